/*
 * The CheckpointCoordinator, event by event: each state of a checkpoint with each thing that can happen.
 */
#include "t/unit/supervisor_checkpoint_fixture.h"

static void test_ordinary(void)
{
	const struct cc_checkpoint *const *h, *k;
	struct checkpoint_file f;
	struct err e = { 0 };
	size_t len;
	char *data;
	int fd;

	create(&ordinary, 1);
	is_int(coordinator_deadline_ns(c), INT64_MAX, "nothing is due before an attempt");
	pass(5000);
	happened("", "and nothing is done");
	start(1);
	is_int(coordinator_deadline_ns(c) - now.mono_ns, 1000 * NS_PER_MS,
	    "the first is due after an interval");
	pass(999);
	happened("", "not before");
	pass(1);
	happened("CHECKPOINT:1/1", "then it is triggered");
	is_int(coordinator_deadline_ns(c) - now.mono_ns, 5000 * NS_PER_MS,
	    "one at a time: next comes its timeout");
	pass(1);
	happened("", "nothing until then");
	ack(1, 1, 0, 0);
	ack(1, 1, 0, 0);
	ack(1, 1, 0, 1);
	ok(!coordinator_storing(c), "not stored before all have acknowledged");
	happened("", "one subtask twice is one");
	ack(1, 1, 1, 0);
	happened("store:1", "all have: it is stored");
	is_str(stored_target, "none", "in the job's directory");
	ok(coordinator_storing(c), "which a restart waits for");
	is_int(latest(), 0, "nothing to restore as yet");
	ack(1, 1, 1, 0);
	decline(1, 1, "late");
	happened("", "what comes now is dropped");
	stored(1, NULL);
	happened("notify:1", "durable: tasks are notified");
	ok(!coordinator_storing(c), "nothing is open");
	is_int(latest(), 1, "a restart begins with it");
	coordinator_latest(c, &fd);
	ok(file_read_fd(fd, CHECKPOINT_FILE_MAX, &data, &len, &e) == 0 &&
		checkpoint_file_decode(data, len, &f, &e) == 0,
	    "its bytes verify");
	is_int(f.id, 1, "its id");
	is_int(f.n_tasks, 3, "its tasks");
	is_int(f.tasks[2].max_parallelism, 64, "with what they are");
	ok(memcmp(f.tasks[0].data, "state", 5) == 0, "and their state");
	checkpoint_file_fini(&f);
	free(data);
	stored(1, NULL);
	happened("", "stored twice is once");
	pass(999);
	happened("CHECKPOINT:2/1", "the next comes an interval after the trigger");
	ack_all(1, 2);
	happened("store:2", "is stored");
	stored(2, NULL);
	happened("discard:1(chk-1) notify:2", "and the older one goes once it is durable");
	is_int(coordinator_counts(c).completed, 2, "two are counted");
	is_int(coordinator_counts(c).in_progress, 0, "none is in progress");
	is_int(coordinator_history(c, &h), 2, "both are remembered");
	ok(h[0]->id == 2 && h[1]->id == 1 && h[1]->discarded && !h[0]->discarded,
	    "newest first, one discarded");
	k = coordinator_find(c, 2);
	ok(k->status == CC_COMPLETED && k->n_acked == 3 && k->state_bytes == 15, "with its figures");
	is_str(k->external_path, "chk-2", "and its path");
	ok(k->subtasks[2].sync_ns == 10 && k->subtasks[2].async_ns == 20 &&
		k->subtasks[2].alignment_ns == 30 && k->subtasks[2].start_delay_ns == 40 &&
		k->subtasks[2].processed_bytes == 50 && k->subtasks[2].ack_ms == now.wall_ms,
	    "and its subtasks'");
	ok(coordinator_find(c, 3) == NULL, "what was not is not found");
}

static void test_schedule(void)
{
	struct cc_settings s = ordinary;

	s.min_pause_ms = 700;
	create(&s, 1);
	start(1);
	pass(1000);
	pass(800);
	ack_all(1, 1);
	stored(1, NULL);
	done[0] = '\0';
	is_int(coordinator_deadline_ns(c) - now.mono_ns, 700 * NS_PER_MS, "the pause begins with the end");
	pass(699);
	happened("", "in the pause there is none");
	pass(1);
	happened("CHECKPOINT:2/1", "after it there is");
	s = ordinary;
	s.max_concurrent = 2;
	create(&s, 1);
	start(1);
	pass(1000);
	pass(1);
	pass(999);
	happened("CHECKPOINT:1/1 CHECKPOINT:2/1", "two at a time");
	pass(1000);
	happened("", "not three");
	ack_all(1, 2);
	stored(2, NULL);
	happened("store:2 abort:1 notify:2", "the newer one is complete: the older one waits in vain");
	is_int(coordinator_counts(c).failed, 1, "and counts as failed");
	s.max_concurrent = 9;
	create(&s, 1);
	start(1);
	pass(3500);
	pass(1);
	pass(998);
	happened("CHECKPOINT:1/1", "what was missed is not made up for");
	pass(1);
	happened("CHECKPOINT:2/1", "the next comes after an interval");
	s = ordinary;
	s.interval_ms = 0;
	create(&s, 5);
	start(1);
	is_int(coordinator_deadline_ns(c), INT64_MAX, "no interval: nothing is due");
	coordinator_savepoint(c, 9, CHECKPOINT_SAVEPOINT, false, "/save");
	happened("SAVEPOINT:5/1", "but a savepoint can be taken, and ids begin where told");
}

static void test_late_store(void)
{
	struct cc_settings s = ordinary;

	s.max_concurrent = 2;
	s.num_retained = 2;
	create(&s, 1);
	start(1);
	pass(1000);
	pass(1000);
	ack_all(1, 1);
	ack_all(1, 2);
	stored(2, NULL);
	done[0] = '\0';
	stored(1, NULL);
	happened("", "an older one that is durable later is not notified");
	is_int(latest(), 2, "nor is it what a restart begins with");
	pass(1000);
	ack_all(1, 3);
	done[0] = '\0';
	stored(3, NULL);
	happened("discard:1(chk-1) notify:3", "two are retained, the oldest goes by its id");
}

static void test_failures(void)
{
	struct cc_settings s = ordinary;
	const struct cc_checkpoint *f;

	s.tolerable_failures = 1;
	create(&s, 1);
	start(1);
	pass(1000);
	decline(2, 1, "of another attempt");
	happened("CHECKPOINT:1/1", "a decline of another attempt is dropped");
	decline(1, 1, "disk full");
	happened("abort:1", "a decline ends it");
	f = coordinator_latest_of(c, CC_FAILED, false);
	like(f->failure, "subtask 1 of vertex 02000000", "with who declined");
	like(f->failure, "disk full", "and why");
	ok(f->failure_ms == now.wall_ms && f->end_ms == now.wall_ms && f->latest_ack_ms == -1, "and when");
	ack_all(1, 1);
	decline(1, 1, NULL);
	stored(1, "not asked for");
	happened("", "what comes for it then is dropped");
	pass(1000);
	ack_all(1, 2);
	stored(2, NULL);
	done[0] = '\0';
	pass(1000);
	decline(1, 3, NULL);
	happened("CHECKPOINT:3/1 abort:3", "one that was completed begins the count anew");
	pass(1000);
	ack_all(1, 4);
	done[0] = '\0';
	stored(4, "no space left on device");
	happened("abort:4 toomany", "one that cannot be stored is one too many");
	like(last_error, "checkpoint 4 failed", "which is said");
	like(last_error, "no space left", "with the reason");
	pass(10000);
	happened("", "the attempt is over");
	is_int(latest(), 2, "the last good one stays");
	start(2);
	pass(1000);
	happened("CHECKPOINT:5/2", "ids go on in the next attempt");
	pass(4999);
	happened("", "a timeout has its time");
	pass(1);
	happened("abort:5 CHECKPOINT:6/2", "then it expires, and the next is due");
	like(coordinator_find(c, 5)->failure, "expired after 5000 ms, before all", "which is said");
	ack_all(2, 6);
	done[0] = '\0';
	pass(5000);
	happened("abort:6 toomany", "one expires while it is stored");
	stored(6, NULL);
	happened("discard:6(chk-6)", "durable too late, it is removed");
	is_int(coordinator_counts(c).failed, 5, "all are counted");
	is_int(coordinator_counts(c).total, 6, "in total, too");
}

static void test_stop(void)
{
	create(&ordinary, 1);
	coordinator_stop(c, "nothing runs");
	start(1);
	pass(1000);
	ack(1, 1, 0, 0);
	done[0] = '\0';
	coordinator_stop(c, "tm-2 was killed");
	happened("", "the end of an attempt needs no abort");
	like(coordinator_find(c, 1)->failure, "tm-2 was killed", "what was triggered failed by it");
	ack_all(1, 1);
	coordinator_on_finished(c, 1, 0, 0);
	pass(60000);
	happened("", "what comes then is dropped");
	start(2);
	pass(1000);
	ack_all(1, 2);
	happened("CHECKPOINT:2/2", "acks of an attempt gone by do not count");
	ack_all(2, 2);
	coordinator_stop(c, "tm-1 was killed");
	happened("store:2", "one that is being stored goes on");
	ok(coordinator_storing(c), "and is waited for");
	is_int(coordinator_counts(c).in_progress, 1, "in progress");
	stored(2, NULL);
	happened("", "durable now, nobody is there to be notified");
	is_int(latest(), 2, "and the restart takes it");
	start(3);
	pass(1000);
	ack_all(3, 3);
	coordinator_stop(c, "again");
	done[0] = '\0';
	stored(3, "no space left on device");
	happened("", "not durable: not aborted, not counted");
	is_int(latest(), 2, "the restart takes the one before");
	start(4);
	pass(1000);
	ack_all(4, 4);
	coordinator_stop(c, "and again");
	start(5);
	done[0] = '\0';
	pass(5000);
	ok(!coordinator_storing(c), "a store that does not end is not waited for for ever");
	happened("CHECKPOINT:5/5", "nor does it hold up the next attempt's");
	ack_all(5, 5);
	coordinator_stop(c, "once more");
	start(6);
	done[0] = '\0';
	stored(5, NULL);
	happened("discard:2(chk-2)", "an attempt that did not wait is not notified of what it did not take");
	is_int(latest(), 5, "but its restart begins with it");
}

static void test_finished(void)
{
	create(&ordinary, 1);
	start(1);
	coordinator_on_finished(c, 2, 0, 0);
	coordinator_on_finished(c, 1, 7, 0);
	pass(1000);
	ack(1, 1, 0, 1);
	ack(1, 1, 1, 0);
	happened("CHECKPOINT:1/1", "an end in another attempt or of no task does not count");
	coordinator_on_finished(c, 1, 0, 0);
	happened("store:1", "a task that ends counts as acknowledged");
	coordinator_on_finished(c, 1, 0, 0);
	stored(1, NULL);
	happened("notify:1", "once");
	pass(1000);
	is_int(coordinator_find(c, 2)->n_acked, 1, "in the next one from the start");
	ack(1, 2, 0, 1);
	coordinator_on_finished(c, 1, 0, 1);
	ack(1, 2, 1, 0);
	happened("CHECKPOINT:2/1 store:2", "one that acknowledged and then ended is as it acknowledged");
	stored(2, NULL);
	done[0] = '\0';
	pass(1000);
	coordinator_on_finished(c, 1, 1, 0);
	happened("CHECKPOINT:3/1", "when all have ended nothing is stored");
	pass(60000);
	happened("abort:3", "nor triggered");
	coordinator_savepoint(c, 4, CHECKPOINT_SAVEPOINT, false, "/save");
	happened("answer:4(refused)", "nor saved");
}

int main(void)
{
	clock_virtual_init(&now, 1700000000000);
	test_ordinary();
	test_schedule();
	test_late_store();
	test_failures();
	test_stop();
	test_finished();
	coordinator_destroy(c);
	coordinator_destroy(NULL);
	return tap_done();
}
