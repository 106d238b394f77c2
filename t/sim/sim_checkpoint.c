/*
 * The CheckpointCoordinator among simulated tasks and a simulated disk: acknowledgements late, twice, of
 * attempts gone by or never; stores slow, failing, or done although they seem to have failed; attempts and
 * the supervisor ending at any event.  Virtual clock, seeded order.
 *
 *   RUNS=20000 SEED=1 build/t/sim/sim_checkpoint
 *
 * Each run has a seed of its own; a failing one is printed and repeats with RUNS=1 SEED=n.  Invariants are
 * checked against what lies on the simulated disk, not against what the coordinator believes.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/file.h"
#include "t/sim/checkpoint_world.h"
#include "t/tap.h"

#define FAULTS_END_MS 2500
#define SETTLE_MS     4000
#define STEPS_MAX     20000 /* of one run: more is a loop */

static uint64_t n_notified, n_restored, n_crashes, n_kills, n_saved;

/* ---- the actions ---- */

/* State says whose it is. */
struct stamp {
	uint64_t life, attempt, id, task;
};

static void on_trigger(void *arg, const struct ctl_trigger *t)
{
	struct fate *f = &w.ids[t->checkpoint_id];

	(void)arg;
	ASSERT(t->checkpoint_id < MAX_IDS);
	if (!w.running || t->attempt != w.attempt)
		broken("a trigger without a running attempt");
	if (f->triggered && (f->life == w.life || f->on_disk || f->notified))
		broken("an id was used twice");
	if (t->checkpoint_id <= newest_on_disk())
		broken("an id is not above those on disk");
	*f = (struct fate){ .triggered = true,
		.attempt = t->attempt,
		.life = w.life,
		.kind = (enum checkpoint_kind)t->kind,
		.status = CC_IN_PROGRESS };
	w.last_id = t->checkpoint_id;
	take_over();
	for (uint64_t id = 1; id < t->checkpoint_id; id++) {
		const struct fate *sync = &w.ids[id];

		if (sync->triggered && sync->life == w.life && sync->attempt == w.attempt &&
		    sync->kind == CHECKPOINT_SYNC_SAVEPOINT && sync->status != CC_FAILED)
			broken("triggered while the job stops");
	}
	if (f->kind == CHECKPOINT_PERIODIC && n_in_progress(false) > w.settings.max_concurrent)
		broken("more checkpoints at a time than may be");
	if (f->kind == CHECKPOINT_PERIODIC && now_ms() < w.last_end_ms + w.settings.min_pause_ms)
		broken("a checkpoint in the pause");
	for (uint32_t i = 0; i < w.n_tasks; i++) {
		struct event *e;

		if (w.finished[i])
			continue;
		if (!w.calm && chance(3))
			continue; /* it hangs */
		e = post(!w.calm && chance(3) ? EV_DECLINE : EV_ACK,
		    (int64_t)(w.calm || !chance(10) ? rnd(40) : rnd(900)));
		e->attempt = t->attempt;
		e->id = t->checkpoint_id;
		e->task = i;
		if (!w.calm && chance(3)) { /* a worker of the attempt before that does not know it is over */
			struct event *stray = post(EV_ACK, (int64_t)rnd(30));

			stray->attempt = t->attempt - 1;
			stray->id = t->checkpoint_id;
			stray->task = i;
			e = &w.events[w.n_events - 2];
		}
		if (!w.calm && chance(5)) {
			struct event *twice = post(EV_ACK, (int64_t)rnd(500));
			int64_t at_ms = twice->at_ms;

			*twice = *e;
			twice->kind = EV_ACK;
			twice->at_ms = at_ms;
		}
	}
}

static void on_notify(void *arg, uint64_t id)
{
	struct fate *f = &w.ids[id];

	(void)arg;
	n_notified++;
	if (!f->on_disk)
		broken("notified before it was durable");
	if (f->notified)
		broken("notified twice");
	if (f->kind == CHECKPOINT_SAVEPOINT)
		broken("tasks were notified of a savepoint");
	if (!w.running || f->attempt != w.attempt)
		broken("notified to an attempt that did not take it");
	if (f->given_up)
		broken("notified after it was given up");
	if (f->kind == CHECKPOINT_SYNC_SAVEPOINT) /* its tasks end now; and something may yet go wrong */
		post(EV_CRASH, (int64_t)rnd(30))->attempt = w.attempt;
	f->notified = true;
}

static void on_abort(void *arg, uint64_t id)
{
	(void)arg;
	if (!w.running || w.ids[id].attempt != w.attempt)
		broken("aborted in another attempt");
	if (w.ids[id].notified || w.ids[id].given_up)
		broken("aborted what was over");
	w.ids[id].aborted = w.ids[id].given_up = true;
}

static void on_store(void *arg, const struct checkpoint_file *f, const char *target)
{
	int64_t begin_ms = w.disk_free_ms > now_ms() ? w.disk_free_ms : now_ms();
	enum outcome outcome = w.calm || chance(80) ? DONE : chance(50) ? FAILED : SEEMS_FAILED;
	struct event *e;

	(void)arg;
	for (uint32_t i = 0; i < f->n_tasks; i++) {
		struct stamp s;

		if (f->tasks[i].finished) {
			if (!w.finished[i] || f->tasks[i].len > 0)
				broken("a task counts as finished and is not");
			continue;
		}
		if (f->tasks[i].len != sizeof(s)) {
			broken("stored without all acknowledgements");
			continue;
		}
		memcpy(&s, f->tasks[i].data, sizeof(s));
		if (s.life != w.life || s.attempt != w.attempt || s.id != f->id || s.task != i)
			broken("an acknowledgement of another attempt, checkpoint or task counts");
	}
	if ((target != NULL) != (w.ids[f->id].kind != CHECKPOINT_PERIODIC))
		broken("stored in the wrong place");
	if (w.ids[f->id].stored_once)
		broken("stored twice");
	w.ids[f->id].stored_once = true;
	begin_ms += (int64_t)(w.calm || !chance(8) ? rnd(10) : rnd(1500));
	w.disk_free_ms = begin_ms;
	e = post(EV_WRITE, begin_ms - now_ms());
	e->id = f->id;
	e->outcome = outcome;
	e->life = 0; /* what was sent is done, whoever died since */
}

static void on_discard(void *arg, uint64_t id, const char *path)
{
	struct fate *f = &w.ids[id];
	struct event *e;
	unsigned n_newer = 0;
	int64_t begin_ms = w.disk_free_ms > now_ms() ? w.disk_free_ms : now_ms();

	(void)arg;
	(void)path;
	if (!f->on_disk && !f->given_up)
		broken("discarded what was never there");
	for (uint64_t other = id + 1; other <= w.last_id; other++)
		n_newer += w.ids[other].on_disk && !w.ids[other].removing &&
		    w.ids[other].kind == CHECKPOINT_PERIODIC;
	if (!f->given_up && f->status != CC_FAILED) {
		if (f->kind != CHECKPOINT_PERIODIC)
			broken("a savepoint was discarded");
		if (n_newer < w.settings.num_retained)
			broken("discarded before as many newer ones were durable");
	}
	f->removing = true;
	w.disk_free_ms = begin_ms;
	e = post(EV_REMOVE, begin_ms - now_ms());
	e->id = id;
	e->life = 0;
}

static void on_too_many(void *arg, const struct err *e)
{
	(void)arg;
	(void)e;
	if (!w.running)
		broken("too many failures without an attempt");
	post(EV_CRASH, 0)->attempt = w.attempt;
}

static void on_savepoint(void *arg, uint64_t request, const char *path, const struct err *e)
{
	(void)arg;
	(void)request;
	if ((path == NULL) != (e != NULL))
		broken("an answer that is neither");
	w.n_answers++;
	n_saved += path != NULL;
}

static const struct cc_ops ops = { on_trigger, on_notify, on_abort, on_store, on_discard, on_too_many,
	on_savepoint };

/* ---- the supervisor and its attempts ---- */

static void deploy(void)
{
	const char *path;
	enum checkpoint_kind kind;
	int fd;
	uint64_t id;

	if (w.running)
		return;
	if (coordinator_storing(w.c)) {
		post(EV_DEPLOY, 1);
		return;
	}
	id = coordinator_latest(w.c, &fd);
	if (id != newest_on_disk() && !(w.ids[id].kind == CHECKPOINT_SYNC_SAVEPOINT && id > newest_on_disk()))
		broken("a restart does not begin with the newest one");
	if (id < newest_notified())
		broken("a restart begins below what tasks were notified of");
	if (id != 0) {
		struct checkpoint_file f;
		struct err e;
		size_t len;
		char *data;

		n_restored++;
		if (file_read_fd(fd, CHECKPOINT_FILE_MAX, &data, &len, &e) < 0) {
			broken("the bytes cannot be read");
			return;
		}
		if (id != w.base_id && (checkpoint_file_decode(data, len, &f, &e) < 0 || f.id != id))
			broken("the bytes are not those of the checkpoint");
		else if (id != w.base_id)
			checkpoint_file_fini(&f);
		free(data);
		coordinator_latest_place(w.c, &path, &kind);
		coordinator_restored(w.c, id, -1, kind, path, false);
	}
	w.running = true;
	w.attempt++;
	memset(w.finished, 0, sizeof(w.finished));
	coordinator_start(w.c, w.attempt, w.tasks, w.n_tasks);
}

static void end_attempt(void)
{
	unsigned n_storing = n_being_stored();

	if (!w.running)
		return;
	n_crashes++;
	w.running = false;
	coordinator_stop(w.c, "the attempt has ended");
	take_over();
	if (n_being_stored() != n_storing)
		broken("what is being stored ended with the attempt");
	post(EV_DEPLOY, (int64_t)rnd(60));
}

static void begin_life(void)
{
	uint64_t id = newest_on_disk(), highest = id;

	for (uint64_t other = 1; other < MAX_IDS; other++) {
		if (w.ids[other].on_disk)
			highest = other;
	}
	w.life++;
	w.c = coordinator_create(&(struct id128){ { 7 } }, "simulated", &w.settings, highest + 1,
	    &w.clock.clock, &ops, NULL);
	w.base_id = id;
	w.n_requests = w.n_answers = 0;
	w.last_end_ms = now_ms() - w.settings.min_pause_ms;
	for (uint64_t other = 1; other < id; other++) {
		if (w.ids[other].on_disk && w.ids[other].kind == CHECKPOINT_PERIODIC)
			coordinator_retain(w.c, other, "older");
	}
	if (id != 0)
		coordinator_restored(w.c, id, file_memfd("sim", "x", 1, NULL), w.ids[id].kind, "newest",
		    true);
	post(EV_DEPLOY, (int64_t)rnd(50));
}

static void kill_supervisor(void)
{
	n_kills++;
	coordinator_destroy(w.c);
	w.running = false;
	/* Storage ends what it was sent; the next life begins when it is gone. */
	for (unsigned i = 0; i < w.n_events; i++) {
		struct event *e = &w.events[i];
		struct fate *f = &w.ids[e->id];

		if (e->life != 0)
			continue;
		if (e->kind == EV_REMOVE || (e->kind == EV_WRITE && chance(50))) {
			f->on_disk = e->kind == EV_WRITE && e->outcome != FAILED;
			f->removing = false;
		}
	}
	w.n_events = 0;
	w.disk_free_ms = 0;
	for (uint64_t id = 1; id < MAX_IDS; id++) {
		w.ids[id].removing = false; /* what was not yet sent */
		w.ids[id].given_up = false;
		if (w.ids[id].on_disk)
			w.ids[id].status = CC_COMPLETED;
	}
	begin_life();
}

static void plan_faults(void)
{
	for (uint64_t n = rnd(6); n > 0; n--)
		post(EV_CRASH, (int64_t)rnd(FAULTS_END_MS))->life = 0;
	for (uint64_t n = rnd(3); n > 0; n--)
		post(EV_FINISH, (int64_t)rnd(FAULTS_END_MS))->life = 0;
	for (uint64_t n = 1 + rnd(4); n > 0; n--)
		post(EV_SAVEPOINT, (int64_t)rnd(FAULTS_END_MS))->life = 0;
}

/* ---- events ---- */

static void take_ack(const struct event *e)
{
	struct stamp s = { w.life, e->attempt, e->id, e->task };
	struct ctl_ack a = { .job_id = { { 7 } },
		.attempt = e->attempt,
		.checkpoint_id = e->id,
		.vertex = w.tasks[e->task].vertex_idx,
		.subtask = w.tasks[e->task].subtask,
		.state = &s,
		.state_len = sizeof(s) };

	coordinator_on_ack(w.c, &a);
}

static void take_decline(const struct event *e)
{
	struct ctl_decline d = { .job_id = { { 7 } },
		.attempt = e->attempt,
		.checkpoint_id = e->id,
		.vertex = w.tasks[e->task].vertex_idx,
		.subtask = w.tasks[e->task].subtask };

	err_set(&d.why, ERR_USER, "declined");
	coordinator_on_decline(w.c, &d);
}

static void take_written(const struct event *e)
{
	struct event *answer;

	w.ids[e->id].on_disk = e->outcome != FAILED;
	answer = post(EV_STORED, (int64_t)rnd(20));
	answer->id = e->id;
	answer->outcome = e->outcome;
}

static void take_stored(const struct event *e)
{
	struct err why;

	err_set(&why, ERR_UNAVAILABLE, "the storage process died");
	if (e->outcome == DONE) {
		if (w.ids[e->id].kind == CHECKPOINT_SYNC_SAVEPOINT && w.ids[e->id].status == CC_IN_PROGRESS)
			w.hint = e->id; /* the job store knows it before any task does */
		coordinator_on_stored(w.c, e->id, "newest", NULL);
		return;
	}
	/* As the store does it: what failed is removed, whether it is there or not. */
	w.ids[e->id].removing = true;
	post(EV_REMOVE, 0)->id = e->id;
	w.events[w.n_events - 1].life = 0;
	coordinator_on_stored(w.c, e->id, NULL, &why);
}

static void take(const struct event *e)
{
	switch (e->kind) {
	case EV_ACK:
		take_ack(e);
		break;
	case EV_DECLINE:
		take_decline(e);
		break;
	case EV_FINISH:
		/* One task goes on for ever, so that there is progress to be seen. */
		if (w.running && w.n_tasks > 1) {
			uint32_t i = 1 + (uint32_t)rnd(w.n_tasks - 1);

			/* Of an attempt gone by it comes late. */
			coordinator_on_finished(w.c, w.attempt - 1, w.tasks[0].vertex_idx,
			    w.tasks[0].subtask);
			w.finished[i] = true;
			coordinator_on_finished(w.c, w.attempt, w.tasks[i].vertex_idx, w.tasks[i].subtask);
		}
		break;
	case EV_CRASH:
		if (e->attempt == 0 || e->attempt == w.attempt)
			end_attempt();
		break;
	case EV_DEPLOY:
		deploy();
		break;
	case EV_KILL:
		kill_supervisor();
		break;
	case EV_SAVEPOINT:
		coordinator_savepoint(w.c, ++w.n_requests,
		    chance(30) ? CHECKPOINT_SYNC_SAVEPOINT : CHECKPOINT_SAVEPOINT, chance(50), "/save");
		break;
	case EV_WRITE:
		take_written(e);
		break;
	case EV_STORED:
		take_stored(e);
		break;
	case EV_REMOVE:
		w.ids[e->id].on_disk = w.ids[e->id].removing = false;
		break;
	}
}

static void look(void)
{
	struct cc_counts counts = coordinator_counts(w.c);

	take_over();
	if (counts.total != counts.in_progress + counts.completed + counts.failed)
		broken("the counts do not add up");
	if (counts.in_progress != n_in_progress(false))
		broken("another number is in progress than is counted");
}

/* The next event, or the coordinator's deadline before it. */
static bool step(int64_t until_ms)
{
	int64_t deadline_ns = coordinator_deadline_ns(w.c), at_ms = until_ms;
	unsigned first = w.n_events;
	struct event e;

	for (unsigned i = 0; i < w.n_events; i++) {
		if (w.events[i].at_ms < at_ms) {
			at_ms = w.events[i].at_ms;
			first = i;
		}
	}
	if (deadline_ns <= at_ms * NS_PER_MS) {
		if (deadline_ns / NS_PER_MS > now_ms())
			clock_virtual_advance(&w.clock, deadline_ns / NS_PER_MS - now_ms());
		coordinator_on_time(w.c);
		look();
		return true;
	}
	if (at_ms > now_ms())
		clock_virtual_advance(&w.clock, at_ms - now_ms());
	if (first == w.n_events)
		return false;
	e = w.events[first];
	w.events[first] = w.events[--w.n_events];
	take(&e);
	look();
	return true;
}

static void run_until(int64_t until_ms)
{
	for (unsigned n = 0; w.what == NULL && step(until_ms); n++) {
		if (n > STEPS_MAX)
			broken("it does not come to rest");
		/* Any event may be the last that this supervisor sees. */
		if (!w.calm && rnd(100) == 0)
			kill_supervisor();
	}
}

static void init(uint64_t seed)
{
	memset(&w, 0, sizeof(w));
	w.seed = w.rng = seed;
	clock_virtual_init(&w.clock, 1700000000000);
	w.settings = (struct cc_settings){ .interval_ms = 20 + (int64_t)rnd(200),
		.timeout_ms = 100 + (int64_t)rnd(900),
		.min_pause_ms = chance(50) ? 0 : (int64_t)rnd(100),
		.max_concurrent = 1 + (uint32_t)rnd(3),
		.num_retained = 1 + (uint32_t)rnd(3),
		.tolerable_failures = (int64_t)rnd(3),
		.history_size = 64 };
	w.n_tasks = 1 + (uint32_t)rnd(MAX_TASKS);
	for (uint32_t i = 0; i < w.n_tasks; i++)
		w.tasks[i] = (struct cc_task){ .vertex = { { (uint8_t)(i / 2 + 1) } },
			.vertex_idx = i / 2,
			.subtask = i % 2,
			.parallelism = i / 2 * 2 + 1 < w.n_tasks ? 2 : 1,
			.max_parallelism = 128 };
	w.last_end_ms = -1000;
}

/* No more faults; and the disk has caught up soon. */
static void calm_down(void)
{
	w.calm = true;
	w.disk_free_ms = now_ms() + 50;
	for (unsigned i = 0; i < w.n_events; i++) {
		if (w.events[i].life == 0 && w.events[i].at_ms > w.disk_free_ms)
			w.events[i].at_ms = w.disk_free_ms;
	}
}

static bool run(uint64_t seed)
{
	uint64_t completed, n_left = 0;

	init(seed);
	begin_life();
	plan_faults();
	run_until(FAULTS_END_MS);
	calm_down();
	/* What hangs may last a timeout. */
	run_until(FAULTS_END_MS + SETTLE_MS / 2);
	if (chance(50))
		end_attempt();
	look();
	completed = coordinator_counts(w.c).completed;
	run_until(FAULTS_END_MS + SETTLE_MS);
	if (w.what == NULL && coordinator_counts(w.c).completed < completed + 3)
		broken("no progress although the faults have stopped");
	if (w.what == NULL && w.n_answers != w.n_requests)
		broken("a savepoint was not answered once");
	for (uint64_t id = 1; id < MAX_IDS; id++)
		n_left += w.ids[id].on_disk && !w.ids[id].removing && w.ids[id].kind == CHECKPOINT_PERIODIC;
	/* What is being stored may be there and not yet count. */
	if (w.what == NULL && n_left > w.settings.num_retained + w.settings.max_concurrent)
		broken("checkpoints are left over");
	coordinator_destroy(w.c);
	return w.what == NULL;
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

int main(void)
{
	uint64_t runs = number("RUNS", 20000), seed = number("SEED", 1), n_bad = 0;

	for (uint64_t i = 0; i < runs && n_bad < 3; i++) {
		if (run(seed + i))
			continue;
		n_bad++;
		diag("%s (repeat with RUNS=1 SEED=%" PRIu64 ")", w.what, seed + i);
	}
	is_int(n_bad, 0, "%" PRIu64 " runs kept every invariant", runs);
	diag("%" PRIu64 " notified, %" PRIu64 " restored, %" PRIu64 " saved, %" PRIu64
	     " attempts ended, %" PRIu64 " supervisors killed",
	    n_notified, n_restored, n_saved, n_crashes, n_kills);
	if (runs >= 1000)
		ok(n_notified > runs && n_restored > runs && n_saved > runs / 2 && n_crashes > runs &&
			n_kills > runs / 2,
		    "in which enough happened");
	return tap_done();
}
