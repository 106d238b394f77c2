/*
 * Attempts: a job's plugin deployed on two slots of one process, from the deploy
 * message to the moment when nothing is left; refused deploys; drops at every stage.
 */
#include "t/unit/attempt_fixture.h"

static void test_whole(uint32_t parallelism, bool chaining)
{
	const char *argv[] = { "--to", "9999", "--rate", "0", "--chaining" };
	struct deployment dep = { 0 };
	struct err e = { 0 };
	struct attempt *a;
	uint32_t last, n_tasks;
	char what[64];

	snprintf(what, sizeof(what), "parallelism %u%s", parallelism, chaining ? ", chained" : "");
	ok(make_deploy(&dep, argv, chaining ? 5 : 4, parallelism, 1, &e), "%s: planned%s", what, e.msg);
	n_tasks = dep.d.n_tasks;
	last = dep.jg->n_vertices - 1;
	a = start(&dep);
	is_int(attempt_number(a), 1, "%s: attempt number", what);
	ok(UNTIL(count(TASK_FINISHED) == n_tasks || n_failed() > 0, 30), "%s: all %u tasks finish", what,
	    n_tasks);
	if (n_failed() > 0)
		diag("%s", seen.cause.msg);
	is_int(seen.n_initializing, n_tasks, "%s: each was INITIALIZING", what);
	is_int(seen.n_running, n_tasks, "%s: ... and RUNNING", what);
	is_int(sum(dep.jg, 0, METRIC_records_in), 10000, "%s: the source brought every number", what);
	/* 10 windows of 7 remainders */
	is_int(sum(dep.jg, last, METRIC_records_out), 70, "%s: every window reached the sink once", what);
	drop(a, what);
	fini_deploy(&dep);
}

static void test_failing(void)
{
	const char *argv[] = { "--to", "9999", "--rate", "0", "--fail-at", "4321" };
	struct deployment dep = { 0 };
	struct err e = { 0 };
	struct attempt *a;

	ok(make_deploy(&dep, argv, 6, 2, 2, &e), "failing: planned");
	a = start(&dep);
	ok(UNTIL(count(TASK_FAILED) == 1, 20), "failing: one task fails");
	is_str(seen.cause.msg, "Square: number 4321 is not wanted", "failing: with the function's sentence");
	drop(a, "failing");
	is_int(count(TASK_FAILED), 1, "failing: the others are cancelled");
	fini_deploy(&dep);
}

static void test_endless(void)
{
	const char *argv[] = { "--rate", "1000" };
	struct deployment dep = { 0 };
	struct err e = { 0 };
	struct attempt *a;
	uint32_t n_tasks;
	int64_t t0, n;

	ok(make_deploy(&dep, argv, 2, 2, 3, &e), "endless: planned");
	n_tasks = dep.d.n_tasks;
	a = start(&dep);
	ok(UNTIL(count(TASK_RUNNING) == n_tasks, 20), "endless: all tasks RUNNING");
	t0 = now_ms();
	n = sum(dep.jg, 0, METRIC_records_in);
	ok(UNTIL(sum(dep.jg, 0, METRIC_records_in) >= n + 500, 20), "endless: it runs");
	ok(now_ms() - t0 >= 300, "endless: at about the rate that was asked for (%d ms for 500)",
	    (int)(now_ms() - t0));
	t0 = now_ms();
	drop(a, "endless");
	ok(now_ms() - t0 < 1000, "endless: dropped at once (%d ms)", (int)(now_ms() - t0));
	is_int(count(TASK_CANCELED), n_tasks, "endless: all tasks CANCELED");
	fini_deploy(&dep);
}

static void test_sleeping(void)
{
	const char *argv[] = { "--rate", "0", "--sleep-ms", "3600000" };
	struct deployment dep = { 0 };
	struct err e = { 0 };
	struct attempt *a;
	int64_t t0;

	ok(make_deploy(&dep, argv, 4, 1, 4, &e), "sleeping: planned");
	a = start(&dep);
	/* the source fills its ring and waits; the map sleeps for an hour */
	ok(UNTIL(sum(dep.jg, 0, METRIC_records_in) > 1000 && sum(dep.jg, 0, METRIC_backpressured_ns) > 0, 20),
	    "sleeping: the source is back-pressured");
	t0 = now_ms();
	drop(a, "sleeping");
	ok(now_ms() - t0 < 1000, "sleeping: dropped at once (%d ms)", (int)(now_ms() - t0));
	fini_deploy(&dep);
}

static void test_early_drop(void)
{
	const char *argv[] = { "--rate", "1000" };

	for (int i = 0; i < 20; i++) {
		struct deployment dep = { 0 };
		struct err e = { 0 };
		struct attempt *a;
		bool good = make_deploy(&dep, argv, 2, 2, (uint64_t)(10 + i), &e);

		if (!good)
			ok(false, "early drop: planned");
		a = start(&dep);
		if (i % 4 != 0)
			nanosleep(&(struct timespec){ .tv_nsec = i * 200000 }, NULL);
		attempt_drop(a);
		if (!UNTIL(atomic_load(&seen.dropped), 20))
			ok(false, "early drop %d: dropped", i);
		attempt_destroy(a);
		fini_deploy(&dep);
	}
	ok(true, "an attempt is dropped at any stage of its setting up");
	is_int(n_maps(), 0, "... and leaves no mapping");
}

static void refused(struct deployment *dep, const char *why, const char *what)
{
	struct attempt *a = start(dep);

	ok(UNTIL(deploy_failed(), 20), "%s: refused", what);
	like(seen.cause.msg, why, "%s: the sentence", what);
	diag("%s", seen.cause.msg);
	drop(a, what);
	fini_deploy(dep);
}

static void test_refused(void)
{
	const char *argv[] = { "--rate", "1000" };
	struct deployment dep = { 0 };
	struct err e = { 0 };

	make_deploy(&dep, argv, 2, 1, 40, &e);
	free(dep.d.artifact);
	dep.d.artifact = xstrdup("/nonexistent/job.so");
	refused(&dep, "job.so", "a missing artifact");

	memset(&dep, 0, sizeof(dep));
	make_deploy(&dep, argv, 2, 1, 41, &e);
	dep.d.attempt = 42;
	refused(&dep, "attempt 41", "an exchange of another attempt");

	memset(&dep, 0, sizeof(dep));
	make_deploy(&dep, argv, 2, 1, 43, &e);
	close(dep.d.plan_fd);
	dep.d.plan_fd = file_memfd("plan", "{", 1, &e);
	refused(&dep, "plan", "a damaged plan");

	memset(&dep, 0, sizeof(dep));
	make_deploy(&dep, argv, 2, 1, 44, &e);
	dep.d.tasks[0].vertex = 99;
	refused(&dep, "vertex 99", "a task that is not in the graph");

	memset(&dep, 0, sizeof(dep));
	make_deploy(&dep, argv, 2, 1, 45, &e);
	dep.d.own[0].local_slot = 99;
	refused(&dep, "local slot 99", "a slot that is not here");
}

int main(void)
{
	unsigned fds;

	fixture_init("numbers");
	fds = n_fds();
	test_whole(1, false);
	test_whole(2, false);
	test_whole(2, true);
	test_failing();
	test_endless();
	test_sleeping();
	test_early_drop();
	test_refused();
	is_int(n_fds(), fds, "no descriptor is left");
	fixture_fini();
	return tap_done();
}
