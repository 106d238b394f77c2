/*
 * The CheckpointCoordinator's savepoints, what restarts begin with, and what is remembered.
 */
#include "t/unit/supervisor_checkpoint_fixture.h"

static void test_savepoints(void)
{
	create(&ordinary, 1);
	coordinator_savepoint(c, 1, CHECKPOINT_SAVEPOINT, false, "/save");
	happened("answer:1(refused)", "without an attempt there is no savepoint");
	like(last_error, "of job abcdef00", "the job is named");
	like(last_error, "Not all required tasks are currently running.", "and what is missing");
	start(1);
	pass(1000);
	coordinator_savepoint(c, 2, CHECKPOINT_SAVEPOINT, false, "/save");
	happened("CHECKPOINT:1/1 SAVEPOINT:2/1", "one is taken beside a checkpoint");
	pass(1000);
	ack_all(1, 2);
	is_str(stored_target, "/save", "where it was asked for");
	stored(2, NULL);
	happened("store:2 answer:2(chk-2)", "it is answered; neither notified nor does it subsume");
	is_int(latest(), 0, "and no restart begins with it");
	ack_all(1, 1);
	stored(1, NULL);
	happened("store:1 notify:1", "the checkpoint completes");
	pass(1000);
	ack_all(1, 3);
	stored(3, NULL);
	happened("CHECKPOINT:3/1 store:3 discard:1(chk-1) notify:3", "a savepoint is not discarded");
	is_int(coordinator_latest_of(c, CC_COMPLETED, true)->id, 2, "the latest savepoint is known");
	is_int(coordinator_latest_of(c, CC_COMPLETED, false)->id, 3, "and the latest checkpoint");
	coordinator_savepoint(c, 3, CHECKPOINT_SAVEPOINT, false, "/save");
	done[0] = '\0';
	decline(1, 4, "no");
	happened("abort:4 answer:3(refused)", "one that fails is answered");
	like(last_error, "declined it: no", "with the reason");
	coordinator_savepoint(c, 4, CHECKPOINT_SAVEPOINT, false, "/save");
	ack_all(1, 5);
	done[0] = '\0';
	stored(5, "permission denied");
	happened("abort:5 answer:4(refused)", "one that cannot be stored, too");
	coordinator_savepoint(c, 5, CHECKPOINT_SAVEPOINT, false, "/save");
	coordinator_savepoint(c, 6, CHECKPOINT_SAVEPOINT, false, "/save");
	ack_all(1, 6);
	done[0] = '\0';
	coordinator_stop(c, "tm-1 was killed");
	happened("answer:6(refused)", "the end of the attempt refuses what was not complete");
	stored(6, NULL);
	happened("answer:5(chk-6)", "what is stored goes on");
	is_int(latest(), 3, "a restart does not begin with it");
}

static void test_stop_with_savepoint(void)
{
	create(&ordinary, 1);
	start(1);
	coordinator_savepoint(c, 1, CHECKPOINT_SYNC_SAVEPOINT, true, "/save");
	happened("SYNC_SAVEPOINT(drain):1/1", "a job is stopped");
	is_int(coordinator_deadline_ns(c) - now.mono_ns, 5000 * NS_PER_MS, "nothing but its timeout is due");
	pass(2000);
	happened("", "no checkpoint comes in between");
	coordinator_savepoint(c, 2, CHECKPOINT_SYNC_SAVEPOINT, false, "/save");
	happened("answer:2(refused)", "it is not stopped twice");
	like(last_error, "already being stopped", "which is said");
	decline(1, 1, "no");
	happened("abort:1 answer:1(refused)", "it cannot be stopped");
	pass(1);
	happened("CHECKPOINT:2/1", "so it goes on");
	ack_all(1, 2);
	stored(2, NULL);
	done[0] = '\0';
	coordinator_savepoint(c, 3, CHECKPOINT_SYNC_SAVEPOINT, false, "/save");
	ack_all(1, 3);
	stored(3, NULL);
	happened("SYNC_SAVEPOINT:3/1 store:3 notify:3 answer:3(chk-3)", "the next try succeeds");
	pass(60000);
	happened("", "then nothing is triggered");
	is_int(latest(), 3, "should a task fail before its end, a restart begins with the savepoint");
	coordinator_stop(c, "a task failed while it ended");
	start(2);
	pass(1000);
	happened("CHECKPOINT:4/2", "and goes on as before");
}

static void test_callbacks(void)
{
	create(&ordinary, 1);
	start(1);
	coordinator_savepoint(c, 1, CHECKPOINT_SAVEPOINT, false, "/save");
	coordinator_savepoint(c, 2, CHECKPOINT_SAVEPOINT, false, "/save");
	coordinator_savepoint(c, 3, CHECKPOINT_SAVEPOINT, false, "/save");
	done[0] = '\0';
	stop_in_callback = 1;
	pass(5000);
	happened("abort:1 answer:1(refused) answer:2(refused) answer:3(refused)",
	    "an answer may stop the attempt in the middle of an event");
	start(2);
	coordinator_savepoint(c, 4, CHECKPOINT_SAVEPOINT, false, "/save");
	coordinator_savepoint(c, 5, CHECKPOINT_SAVEPOINT, false, "/save");
	done[0] = '\0';
	stop_in_callback = 4;
	coordinator_stop(c, "over");
	happened("answer:4(refused) answer:5(refused)", "or again at its end");
	stop_in_callback = 0;
}

static void test_too_large(void)
{
	struct ctl_ack a = { .job_id = job,
		.attempt = 1,
		.checkpoint_id = 1,
		.state = "x",
		.state_len = (size_t)CHECKPOINT_FILE_MAX + 1 };

	create(&ordinary, 1);
	start(1);
	pass(1000);
	done[0] = '\0';
	coordinator_on_ack(c, &a);
	happened("abort:1", "more state than a file may hold is refused");
	like(coordinator_find(c, 1)->failure, "more than 67108864 bytes", "and said");
	a.checkpoint_id = 2;
	a.state_len = 1;
	a.job_id.b[0] = 1;
	pass(1000);
	coordinator_on_ack(c, &a);
	a.job_id = job;
	a.vertex = 9;
	coordinator_on_ack(c, &a);
	is_int(coordinator_find(c, 2)->n_acked, 0, "another job's ack and one of no task are dropped");
}

static void test_restored(void)
{
	struct cc_settings s = ordinary;
	struct cc_restored r;
	const char *path;
	enum checkpoint_kind kind;
	int fd, same;

	s.num_retained = 2;
	create(&s, 3);
	coordinator_retain(c, 5, "chk-5");
	coordinator_restored(c, 7, file_memfd("test", "x", 1, NULL), CHECKPOINT_PERIODIC, "chk-7", true);
	is_int(latest(), 7, "an earlier life's is what a restart begins with");
	is_int(coordinator_latest_place(c, &path, &kind), 7, "with its place");
	is_str(path, "chk-7", "its path");
	is_int(kind, CHECKPOINT_PERIODIC, "its kind");
	r = coordinator_last_restored(c);
	ok(r.id == 7 && r.restore_ms == now.wall_ms && !r.is_savepoint, "it is shown");
	is_str(r.path, "chk-7", "with its path");
	start(1);
	pass(1000);
	ack_all(1, 8);
	stored(8, NULL);
	happened("CHECKPOINT:8/1 store:8 discard:5(chk-5) notify:8",
	    "ids go on, and what is left is retained with the others");
	coordinator_stop(c, "x");
	coordinator_latest(c, &fd);
	coordinator_restored(c, 8, fd, CHECKPOINT_PERIODIC, "chk-8", false);
	coordinator_latest(c, &same);
	ok(fd == same && fd >= 0, "a restart keeps the bytes");
	coordinator_restored(c, 8, dup(fd), CHECKPOINT_PERIODIC, "chk-8", false);
	is_int(coordinator_counts(c).restored, 3, "each restore is counted");
	create(&ordinary, 1);
	coordinator_restored(c, 41, file_memfd("test", "x", 1, NULL), CHECKPOINT_SAVEPOINT, "/save/s", true);
	ok(coordinator_last_restored(c).is_savepoint, "a savepoint is shown as one");
	start(1);
	pass(1000);
	ack_all(1, 42);
	stored(42, NULL);
	happened("CHECKPOINT:42/1 store:42 notify:42", "the savepoint that it began with is not discarded");
}

static void test_history(void)
{
	struct cc_settings s = ordinary;
	const struct cc_checkpoint *const *h;

	s.history_size = 3;
	s.max_concurrent = 9;
	s.timeout_ms = 60000;
	create(&s, 1);
	start(1);
	coordinator_savepoint(c, 1, CHECKPOINT_SAVEPOINT, false, "/save");
	ack_all(1, 1);
	stored(1, NULL);
	pass(1000);
	decline(1, 2, "no");
	pass(1000);
	for (uint64_t id = 4; id < 9; id++) {
		pass(1000);
		if (id % 2 == 0) {
			ack_all(1, id);
			stored(id, NULL);
		}
	}
	is_int(coordinator_history(c, &h), 3, "as many are shown as are to be");
	ok(h[0]->id == 8 && h[1]->id == 7 && h[2]->id == 6, "the newest ones");
	ok(coordinator_find(c, 1) != NULL && coordinator_find(c, 4) == NULL,
	    "the latest savepoint is not forgotten");
	is_int(coordinator_latest_of(c, CC_FAILED, false)->id, 7, "the latest that failed is known");
	create(&s, 1);
	start(1);
	for (unsigned i = 0; i < 6; i++)
		pass(1000);
	is_int(coordinator_counts(c).in_progress, 6, "many in progress");
	ok(coordinator_find(c, 1) != NULL, "none of which is forgotten");
}

int main(void)
{
	clock_virtual_init(&now, 1700000000000);
	test_savepoints();
	test_stop_with_savepoint();
	test_callbacks();
	test_too_large();
	test_restored();
	test_history();
	coordinator_destroy(c);
	coordinator_destroy(NULL);
	return tap_done();
}
