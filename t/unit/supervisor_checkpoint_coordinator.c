/*
 * The CheckpointCoordinator, event by event: each state of a checkpoint with each thing that can happen to it.
 * Actions are noted as a line of words.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "supervisor/checkpoint_coordinator.h"
#include "t/tap.h"

static struct clock_virtual now;
static struct coordinator *c;
static const struct id128 job = { { 0xab, 0xcd, 0xef } };
static char done[4096]; /* what was asked for since the last look */
static char last_error[1200], stored_target[64];
static uint64_t stop_in_callback;

static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *fmt, ...)
{
	size_t len = strlen(done);
	va_list ap;

	va_start(ap, fmt);
	if (len > 0)
		done[len++] = ' ';
	vsnprintf(done + len, sizeof(done) - len, fmt, ap);
	va_end(ap);
}

static void on_trigger(void *arg, const struct ctl_trigger *t)
{
	(void)arg;
	ok(id_equal(&t->job_id, &job) && t->trigger_wall_ms == now.wall_ms,
	    "a trigger says its job and when");
	note("%s%s:%d/%d", checkpoint_kind_name((enum checkpoint_kind)t->kind), t->drain ? "(drain)" : "",
	    (int)t->checkpoint_id, (int)t->attempt);
}

static void on_notify(void *arg, uint64_t id)
{
	(void)arg;
	note("notify:%d", (int)id);
}

static void on_abort(void *arg, uint64_t id)
{
	(void)arg;
	note("abort:%d", (int)id);
}

static void on_store(void *arg, const struct checkpoint_file *f, const char *target)
{
	size_t len;
	void *data = checkpoint_file_encode(f, &len);
	struct checkpoint_file read;
	struct err e = { 0 };

	(void)arg;
	is_int(checkpoint_file_decode(data, len, &read, &e), 0, "what is to be stored is whole %s", e.msg);
	checkpoint_file_fini(&read);
	free(data);
	snprintf(stored_target, sizeof(stored_target), "%s", target != NULL ? target : "none");
	note("store:%d", (int)f->id);
}

static void on_discard(void *arg, uint64_t id, const char *path)
{
	(void)arg;
	note("discard:%d(%s)", (int)id, path);
}

static void on_too_many(void *arg, const struct err *e)
{
	(void)arg;
	snprintf(last_error, sizeof(last_error), "%s", e->msg);
	note("toomany");
	coordinator_stop(c, "too many checkpoints failed");
}

static void on_savepoint(void *arg, uint64_t request, const char *path, const struct err *e)
{
	(void)arg;
	snprintf(last_error, sizeof(last_error), "%s", e != NULL ? e->msg : "");
	note("answer:%d(%s)", (int)request, path != NULL ? path : "refused");
	if (stop_in_callback == request)
		coordinator_stop(c, "the answer was not liked");
}

static const struct cc_ops ops = { on_trigger, on_notify, on_abort, on_store, on_discard, on_too_many,
	on_savepoint };

/* Vertex 0 with two subtasks, vertex 1 with one. */
static const struct cc_task tasks[] = { { { { 1 } }, 0, 0, 2, 128 }, { { { 1 } }, 0, 1, 2, 128 },
	{ { { 2 } }, 1, 0, 1, 64 } };

static void create(const struct cc_settings *s, uint64_t first_id)
{
	coordinator_destroy(c);
	c = coordinator_create(&job, "counting", s, first_id, &now.clock, &ops, NULL);
	done[0] = '\0';
}

static const struct cc_settings ordinary = { .interval_ms = 1000,
	.timeout_ms = 5000,
	.max_concurrent = 1,
	.num_retained = 1,
	.tolerable_failures = 10 };

static void start(uint64_t attempt)
{
	coordinator_start(c, attempt, tasks, ARRAY_LEN(tasks));
}

static void ack(uint64_t attempt, uint64_t id, uint32_t vertex, uint32_t subtask)
{
	struct ctl_ack a = { .job_id = job,
		.attempt = attempt,
		.checkpoint_id = id,
		.vertex = vertex,
		.subtask = subtask,
		.state = "state",
		.state_len = 5,
		.sync_ns = 10,
		.async_ns = 20,
		.alignment_ns = 30,
		.start_delay_ns = 40,
		.processed_bytes = 50 };

	coordinator_on_ack(c, &a);
}

static void ack_all(uint64_t attempt, uint64_t id)
{
	ack(attempt, id, 0, 0);
	ack(attempt, id, 0, 1);
	ack(attempt, id, 1, 0);
}

static void decline(uint64_t attempt, uint64_t id, const char *why)
{
	struct ctl_decline d = { .job_id = job, .attempt = attempt, .checkpoint_id = id, .vertex = 1 };

	if (why != NULL)
		err_set(&d.why, ERR_IO, "%s", why);
	coordinator_on_decline(c, &d);
}

static void stored(uint64_t id, const char *why)
{
	char path[32];
	struct err e;

	err_set(&e, ERR_IO, "%s", why != NULL ? why : "");
	snprintf(path, sizeof(path), "chk-%d", (int)id);
	coordinator_on_stored(c, id, why == NULL ? path : NULL, why == NULL ? NULL : &e);
}

static void pass(int64_t ms)
{
	clock_virtual_advance(&now, ms);
	coordinator_on_time(c);
}

static void happened_at(const char *words, const char *what, int line)
{
	if (!tap_check(strcmp(done, words) == 0, __FILE__, line, "%s", what))
		printf("#   got  '%s'\n#   want '%s'\n", done, words);
	done[0] = '\0';
}
#define happened(words, what) happened_at((words), (what), __LINE__)

static uint64_t latest(void)
{
	int fd;
	uint64_t id = coordinator_latest(c, &fd);

	ok((fd >= 0) == (id != 0), "bytes are at hand when there is one");
	return id;
}

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
	test_ordinary();
	test_schedule();
	test_late_store();
	test_failures();
	test_stop();
	test_finished();
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
