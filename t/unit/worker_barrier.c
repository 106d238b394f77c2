/*
 * Barriers at the input gate: the bookkeeping by itself; then on rings of the test's own: what comes
 * before the snapshot and what after it, an abort while inputs are held back, a stop, damage.
 */
#include "t/unit/gate_fixture.h"

#include "worker/runtime/alignment.h"
#include "worker/state/checkpoint_file.h"

/* ----------------------------------------------------------- bookkeeping */

static void start(struct alignment *a, uint32_t n_inputs, bool holds_back)
{
	alignment_init(a, holds_back);
	for (uint32_t i = 0; i < n_inputs; i++)
		alignment_add_input(a);
}

static void test_bookkeeping(void)
{
	struct alignment a;
	uint64_t canceled;

	start(&a, 3, true);
	is_int(alignment_barrier(&a, 1, 5, &canceled), ALIGNMENT_WAITING, "one of three");
	ok(!alignment_holds(&a, 0) && alignment_holds(&a, 1) && !alignment_holds(&a, 2),
	    "holds back that input alone");
	is_int(alignment_barrier(&a, 0, 5, &canceled), ALIGNMENT_WAITING, "two of three");
	is_int(alignment_barrier(&a, 2, 5, &canceled), ALIGNMENT_COMPLETE, "all");
	ok(!alignment_holds(&a, 0) && !alignment_holds(&a, 1) && !alignment_holds(&a, 2),
	    "and none is held back");
	is_int(alignment_barrier(&a, 0, 5, &canceled), ALIGNMENT_DAMAGED, "the same id again on one input");
	is_int(alignment_barrier(&a, 0, 4, &canceled), ALIGNMENT_DAMAGED, "a lower one");
	is_int(alignment_barrier(&a, 1, 0, &canceled), ALIGNMENT_DAMAGED, "none");
	alignment_fini(&a);

	start(&a, 2, true);
	alignment_barrier(&a, 0, 5, &canceled);
	is_int(alignment_barrier(&a, 1, 7, &canceled), ALIGNMENT_WAITING, "a newer barrier");
	is_int(canceled, 5, "cancels the older one");
	ok(!alignment_holds(&a, 0) && alignment_holds(&a, 1), "whose inputs go on");
	is_int(alignment_barrier(&a, 0, 6, &canceled), ALIGNMENT_DROPPED, "one between the two is dropped");
	ok(canceled == 0 && alignment_holds(&a, 1), "and changes nothing");
	is_int(alignment_barrier(&a, 0, 7, &canceled), ALIGNMENT_COMPLETE, "the newer one is complete");
	alignment_fini(&a);

	start(&a, 3, true);
	is_int(alignment_ended(&a, 0), ALIGNMENT_WAITING, "an end without a barrier");
	alignment_barrier(&a, 1, 5, &canceled);
	is_int(alignment_ended(&a, 2), ALIGNMENT_COMPLETE, "the last one missing ends");
	is_int(alignment_barrier(&a, 1, 6, &canceled), ALIGNMENT_COMPLETE, "ended ones count for ever");
	is_int(alignment_ended(&a, 1), ALIGNMENT_WAITING, "all have ended: nothing to take");
	alignment_fini(&a);

	start(&a, 2, true);
	alignment_barrier(&a, 0, 5, &canceled);
	ok(alignment_abort(&a, 5), "given up while aligning");
	ok(!alignment_holds(&a, 0), "holds nobody back any more");
	ok(!alignment_abort(&a, 5), "twice is once");
	is_int(alignment_barrier(&a, 1, 5, &canceled), ALIGNMENT_DROPPED, "its late barrier is dropped");
	ok(!alignment_abort(&a, 7), "given up before its barrier");
	is_int(alignment_barrier(&a, 0, 7, &canceled), ALIGNMENT_DROPPED, "which is dropped when it comes");
	is_int(alignment_barrier(&a, 0, 8, &canceled), ALIGNMENT_WAITING, "the next one is aligned");
	ok(!alignment_abort(&a, 9), "the one after it is given up");
	ok(alignment_holds(&a, 0), "which does not concern this one");
	is_int(alignment_barrier(&a, 1, 8, &canceled), ALIGNMENT_COMPLETE, "and it is complete");
	alignment_fini(&a);

	start(&a, 2, false);
	alignment_barrier(&a, 0, 5, &canceled);
	ok(!alignment_holds(&a, 0), "at least once: nobody is held back");
	ok(alignment_too_early(&a, 0, 6), "at least once: but at the next barrier");
	ok(!alignment_too_early(&a, 1, 6), "at least once: not where the first one never came");
	is_int(alignment_barrier(&a, 1, 5, &canceled), ALIGNMENT_COMPLETE, "at least once: but counted");
	alignment_fini(&a);
}

/* ------------------------------------------------------------- at the gate */

static void barrier_of(struct scene *s, uint32_t input, uint64_t id, enum checkpoint_kind kind)
{
	struct barrier_payload p = { .trigger_wall_ms = 1, .kind = (uint32_t)kind };

	put(s, input, ELEM_BARRIER, (int64_t)id, &p, sizeof(p));
}
static void barrier(struct scene *s, uint32_t input, uint64_t id)
{
	barrier_of(s, input, id, CHECKPOINT_PERIODIC);
}

static struct {
	unsigned n_acks, n_declines;
	uint64_t acked[16];
	char why[ERR_MSG_MAX];
	int64_t alignment_ns, start_delay_ns, bytes;
} said;

static void on_ack(void *arg, const struct ctl_ack *ack)
{
	(void)arg;
	said.acked[said.n_acks++ % 16] = ack->checkpoint_id;
	said.alignment_ns = ack->alignment_ns;
	said.start_delay_ns = ack->start_delay_ns;
	said.bytes = ack->processed_bytes;
	hear("a", (int64_t)ack->checkpoint_id);
}
static void on_decline(void *arg, const struct ctl_decline *d)
{
	(void)arg;
	said.n_declines++;
	snprintf(said.why, sizeof(said.why), "%s", d->why.msg);
	hear("d", (int64_t)d->checkpoint_id);
}

static void scene(struct scene *s, uint32_t n_inputs, bool at_least_once)
{
	memset(&said, 0, sizeof(said));
	atomic_store(&n_snapshots, 0);
	scene_init_with(s, n_inputs, NULL, at_least_once);
	s->fx.env.checkpointing = true;
	s->fx.env.ack = on_ack;
	s->fx.env.decline = on_decline;
}

static void test_order(void)
{
	struct scene s;

	scene(&s, 1, false);
	record(&s, 0, 1);
	barrier(&s, 0, 1);
	record(&s, 0, 2);
	end(&s, 0);
	run(&s, "r1 s1 a1 r2 e0 ", NULL, "one input");
	ok(said.start_delay_ns > NS_PER_S, "one input: the delay since the trigger is told");

	scene(&s, 2, false);
	record(&s, 0, 1);
	barrier(&s, 0, 1);
	record(&s, 0, 2);
	for (int i = 100; i < 200; i++)
		record(&s, 1, i);
	barrier(&s, 1, 1);
	record(&s, 1, 200);
	end(&s, 0);
	end(&s, 1);
	run(&s, NULL, NULL, "two inputs");
	{
		const char *snap = strstr(heard, "s1 "), *after = strstr(heard, "r2 ");

		ok(snap != NULL && after != NULL && after > snap,
		    "two inputs: what follows a barrier waits for the other's");
		ok(snap != NULL && strstr(heard, "r199 ") < snap && strstr(heard, "r200 ") > snap,
		    "two inputs: what was before it does not");
		is_int(said.bytes, 100 * 8, "two inputs: bytes read while aligning");
	}

	scene(&s, 2, false);
	barrier(&s, 0, 1);
	record(&s, 0, 1);
	end(&s, 0);
	record(&s, 1, 100);
	end(&s, 1);
	run(&s, "r100 s1 a1 r1 e0 ", NULL, "an input that ends is aligned");

	scene(&s, 3, false);
	end(&s, 0);
	barrier(&s, 1, 4);
	record(&s, 1, 1);
	barrier(&s, 2, 4);
	end(&s, 1);
	end(&s, 2);
	run(&s, NULL, NULL, "an input that had ended");
	like(heard, "s4 a4 ", "an input that had ended does not hold up the others");

	scene(&s, 2, false);
	barrier(&s, 0, 1);
	record(&s, 0, 1);
	barrier(&s, 0, 2);
	record(&s, 0, 2);
	barrier(&s, 1, 2);
	record(&s, 1, 100);
	end(&s, 0);
	end(&s, 1);
	run(&s, "d1 r1 s2 a2 r2 r100 e0 ", NULL, "a newer barrier");
	like(said.why, "the barrier of checkpoint 2 came before all of checkpoint 1's",
	    "a newer barrier: the decline");

	scene(&s, 2, true);
	barrier(&s, 0, 1);
	record(&s, 0, 1);
	barrier(&s, 1, 1);
	record(&s, 1, 100);
	end(&s, 0);
	end(&s, 1);
	run(&s, "r1 s1 a1 r100 e0 ", NULL, "at least once");

	scene(&s, 2, true);
	barrier(&s, 0, 1);
	record(&s, 0, 1);
	barrier(&s, 0, 2);
	record(&s, 0, 2);
	record(&s, 1, 100);
	barrier(&s, 1, 1);
	record(&s, 1, 101);
	barrier(&s, 1, 2);
	end(&s, 0);
	end(&s, 1);
	run(&s, "r1 r100 s1 a1 r101 s2 a2 r2 e0 ", NULL, "at least once, two under way");
	is_int(said.n_declines, 0, "at least once, two under way: neither cancels the other");

	scene(&s, 1, false);
	watermark(&s, 0, 10);
	record(&s, 0, 1);
	put(&s, 0, ELEM_END, END_STOPPED, NULL, 0);
	run(&s, "w10 r1 e0 ", NULL, "a stop");

	scene(&s, 2, false);
	watermark(&s, 0, 10);
	watermark(&s, 1, 20);
	put(&s, 0, ELEM_END, END_STOPPED, NULL, 0);
	put(&s, 1, ELEM_END, END_STOPPED, NULL, 0);
	run(&s, "e0 ", NULL, "a stop does not move the watermark");
}

static void test_declined(void)
{
	struct scene s;

	scene(&s, 1, false);
	barrier(&s, 0, 13);
	record(&s, 0, 1);
	barrier(&s, 0, 14);
	end(&s, 0);
	run(&s, "s13 d13 r1 s14 a14 e0 ", NULL, "a snapshot that cannot be taken");
	is_str(said.why, "Sink head (1/1): head: thirteen is unlucky", "with its operator's sentence");

	scene(&s, 1, false);
	barrier(&s, 0, 20);
	record(&s, 0, 1);
	barrier(&s, 0, 21);
	record(&s, 0, 2);
	record(&s, 0, 22);
	end(&s, 0);
	run(&s, "s20 r1 s21 r2 r22 a21 a20 e0 ", NULL, "pending ones are acknowledged when they are done");
}

static void test_damage(void)
{
	struct barrier_payload p = { .kind = 77 };
	struct scene s;

	scene(&s, 1, false);
	barrier(&s, 0, 3);
	barrier(&s, 0, 3);
	run(&s, "s3 a3 ", "ring 10 from Maker (1/1) is damaged: its barriers are out of order",
	    "the same id twice");
	scene(&s, 1, false);
	barrier(&s, 0, 0);
	run(&s, "", "ring 10 from Maker (1/1) is damaged: its barriers are out of order", "id 0");
	scene(&s, 1, false);
	put(&s, 0, ELEM_BARRIER, 3, &p, 8);
	run(&s, "", "ring 10 from Maker (1/1) is damaged: a barrier of the wrong length", "a short barrier");
	scene(&s, 1, false);
	put(&s, 0, ELEM_BARRIER, 3, &p, sizeof(p));
	run(&s, "", "ring 10 from Maker (1/1) is damaged: a barrier of an unknown kind", "an unknown kind");
	scene(&s, 1, false);
	p.kind = 0;
	p.drain = 2;
	put(&s, 0, ELEM_BARRIER, 3, &p, sizeof(p));
	run(&s, "", "ring 10 from Maker (1/1) is damaged: a barrier of an unknown kind", "an unknown flag");
	scene(&s, 1, false);
	s.fx.env.checkpointing = false;
	barrier(&s, 0, 3);
	end(&s, 0);
	run(&s, "s3 a3 e0 ", NULL, "a savepoint of a job that takes no checkpoints");
}

/* Words of the main thread, on the slot's. */
struct word {
	struct slot_mail mail;
	void (*fn)(struct task *t, uint64_t id);
	uint64_t id;
};
static void say_word(struct slot *s, struct slot_mail *m)
{
	struct word *w = (struct word *)(void *)m;

	for (uint32_t i = 0; i < slot_n_tasks(s); i++)
		w->fn(slot_task(s, i), w->id);
}

static void test_abort(void)
{
	struct word w = { .mail.fn = say_word, .fn = checkpoint_on_abort, .id = 1 };
	struct scene s;

	scene(&s, 2, false);
	barrier(&s, 0, 1);
	record(&s, 0, 1);
	record(&s, 1, 100);
	fx_go(&s.fx);
	ok(FX_UNTIL(metrics_get(&s.fx.blocks[1], METRIC_records_in) == 1, 10),
	    "abort: the other input is read");
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	is_int(metrics_get(&s.fx.blocks[1], METRIC_records_in), 1, "abort: the aligned one is held back");
	slot_post(s.fx.slots[0].slot, &w.mail);
	ok(FX_UNTIL(metrics_get(&s.fx.blocks[1], METRIC_records_in) == 2, 10),
	    "abort: and read at once then");
	barrier(&s, 1, 1); /* late: dropped */
	record(&s, 1, 101);
	end(&s, 0);
	end(&s, 1);
	slot_wake(s.fx.slots[0].slot);
	finish(&s, "r100 r1 r101 e0 ", "abort");
	is_int(said.n_acks + said.n_declines, 0, "abort: nothing is acknowledged");

	/* a pending acknowledgement is forgotten */
	scene(&s, 1, false);
	barrier(&s, 0, 20);
	fx_go(&s.fx);
	w.id = 20;
	ok(FX_UNTIL(atomic_load(&n_snapshots) == 1, 10), "abort of a pending one: it is taken");
	slot_post(s.fx.slots[0].slot, &w.mail);
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	record(&s, 0, 22);
	end(&s, 0);
	slot_wake(s.fx.slots[0].slot);
	finish(&s, "s20 r22 e0 ", "abort of a pending one");

	/* a savepoint to stop with: the task hears of its completion before it ends */
	scene(&s, 1, false);
	barrier_of(&s, 0, 5, CHECKPOINT_SYNC_SAVEPOINT);
	put(&s, 0, ELEM_END, END_STOPPED, NULL, 0);
	fx_go(&s.fx);
	nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	is_int(fx_state(&s.fx, 1, 0), TASK_RUNNING, "stop: the task waits for the savepoint");
	w.fn = checkpoint_on_notify;
	w.id = 5;
	slot_post(s.fx.slots[0].slot, &w.mail);
	finish(&s, "s5 a5 n5 e0 ", "stop");
}

/* Behind the barrier of a savepoint to stop with: sinks may go on delivering, others are still. */
static void test_timers(void)
{
	struct word w = { .mail.fn = say_word, .fn = checkpoint_on_abort, .id = 5 };
	struct scene s;

	for (int sink = 0; sink < 2; sink++) {
		atomic_store(&n_timers, 0);
		scene(&s, 1, false);
		s.fx.g->nodes[1].type = sink == 1 ? NODE_SINK : NODE_MAP;
		record(&s, 0, 30);
		barrier_of(&s, 0, 5, CHECKPOINT_SYNC_SAVEPOINT);
		fx_go(&s.fx);
		ok(FX_UNTIL(atomic_load(&n_snapshots) == 1, 10), "timers: the savepoint is taken");
		FX_UNTIL(atomic_load(&n_timers) == 1, sink == 1 ? 10 : 0.1);
		is_int(atomic_load(&n_timers), sink, "timers: %s",
		    sink == 1 ? "a sink's goes on" : "others rest");
		slot_post(s.fx.slots[0].slot, &w.mail);
		FX_UNTIL(atomic_load(&n_timers) == 1, 10);
		barrier(&s, 0, 6);
		end(&s, 0);
		slot_wake(s.fx.slots[0].slot);
		finish(&s, NULL, sink == 1 ? "timers of a sink" : "timers");
		like(heard, "s5 a5 t0 s6 a6 e0 ", "they come, at the latest when the savepoint is given up");
	}
}

int main(void)
{
	test_bookkeeping();
	test_order();
	test_declined();
	test_damage();
	test_abort();
	test_timers();
	return tap_done();
}
