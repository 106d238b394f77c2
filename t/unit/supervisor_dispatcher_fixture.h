/*
 * A Dispatcher, its clock, and actions that are only written down: what its tests stand on.
 */
#ifndef T_UNIT_SUPERVISOR_DISPATCHER_FIXTURE_H
#define T_UNIT_SUPERVISOR_DISPATCHER_FIXTURE_H

#include <stdlib.h>

#include "base/log.h"
#include "supervisor/dispatcher.h"
#include "t/sim/plans.h"
#include "t/tap.h"

static struct {
	struct clock_virtual clock;
	struct conf conf;
	struct dispatcher *d;
	char log[2048];     /* the actions since the last look */
	uint32_t to_record; /* the submission that the job store was asked to keep, 0: none */
	bool record_fails;
	unsigned n_unrecorded;
	int build_fails; /* which builder cannot be forked, -1: none */
	struct id128 last_job;
	bool stopped;
} f;

static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *fmt, ...)
{
	size_t len = strlen(f.log);
	va_list ap;

	if (len + 2 > sizeof(f.log))
		return;
	if (len > 0)
		f.log[len++] = ' ';
	va_start(ap, fmt);
	vsnprintf(f.log + len, sizeof(f.log) - len, fmt, ap);
	va_end(ap);
}

static const char *actions(void)
{
	static char last[sizeof(f.log)];

	memcpy(last, f.log, sizeof(last));
	f.log[0] = '\0';
	return last;
}

static int op_deploy(void *arg, struct job_master *jm, struct err *e)
{
	(void)arg;
	(void)e;
	note("deploy:%u", jm_id(jm)->b[0]);
	return 0;
}
static void op_drop(void *arg, uint32_t place, uint32_t generation, const struct id128 *job, uint64_t attempt)
{
	(void)arg;
	(void)generation;
	(void)attempt;
	note("drop:%u@tm-%u", job->b[0], place);
}
static void op_kill(void *arg, uint32_t place, uint32_t generation, const char *why)
{
	(void)arg;
	(void)generation;
	(void)why;
	note("kill:tm-%u", place);
}
static void op_task_over(void *arg, struct job_task *t)
{
	(void)arg;
	(void)t;
}
static void op_store(void *arg, uint32_t submission, const char *path)
{
	(void)arg;
	note("store:%u:%s", submission, path);
}
static void op_unstore(void *arg, const char *artifact)
{
	(void)arg;
	note("unstore:%s", artifact);
}
static int op_build(void *arg, uint32_t submission, unsigned which, const char *artifact, uint32_t argc,
    char *const *argv, struct err *e)
{
	(void)arg;
	if ((int)which == f.build_fails)
		return err_set(e, ERR_UNAVAILABLE, "no process is left");
	note("build:%u/%u:%s:%u%s%s", submission, which, artifact, argc, argc > 0 ? ":" : "",
	    argc > 0 ? argv[0] : "");
	return 0;
}
static void op_build_kill(void *arg, uint32_t submission, unsigned which)
{
	(void)arg;
	note("unbuild:%u/%u", submission, which);
}
static void op_stopped(void *arg)
{
	(void)arg;
	f.stopped = true;
}

static void op_record(void *arg, uint32_t submission, const struct id128 *job, const void *data, size_t len)
{
	struct job_record r;
	struct err e;

	(void)arg;
	f.to_record = submission;
	ok(job_record_decode(data, len, &r, &e) == 0 && id_equal(&r.job_id, job),
	    "the job store is given a whole record");
	job_record_fini(&r);
}
static void op_unrecord(void *arg, const struct id128 *job)
{
	(void)arg;
	(void)job;
	f.n_unrecorded++;
}
static void op_find_checkpoint(void *arg, uint32_t submission, const struct id128 *job, const char *path)
{
	(void)arg;
	note("find:%u:%s", submission, path != NULL ? path : log_fmt("job %u", job->b[0]));
}
static void op_discard_checkpoints(void *arg, const struct id128 *job)
{
	(void)arg;
	(void)job;
}

static const struct dispatcher_ops ops = { .deploy = op_deploy,
	.drop = op_drop,
	.kill = op_kill,
	.task_over = op_task_over,
	.store = op_store,
	.unstore = op_unstore,
	.build = op_build,
	.build_kill = op_build_kill,
	.find_checkpoint = op_find_checkpoint,
	.record = op_record,
	.unrecord = op_unrecord,
	.discard_checkpoints = op_discard_checkpoints,
	.stopped = op_stopped };

/* "job 1", "no: <sentence>" */
static void on_answer(void *arg, const struct err *e, const struct id128 *job)
{
	char *text = arg;

	if (e == NULL)
		snprintf(text, ERR_MSG_MAX, "job %u", job->b[0]);
	else
		snprintf(text, ERR_MSG_MAX, "no (%s): %.900s", err_name(e->code), e->msg);
}

static char answer[ERR_MSG_MAX];

static void create(void)
{
	static char mode[] = "EXACTLY_ONCE", retention[] = "NO_EXTERNALIZED_CHECKPOINTS";

	memset(&f, 0, sizeof(f));
	clock_virtual_init(&f.clock, 1700000000000);
	f.clock.mono_ns = NS_PER_S;
	f.build_fails = -1;
	f.conf.restart_initial_backoff_ms = 100;
	f.conf.restart_max_backoff_ms = 10000;
	f.conf.restart_reset_threshold_ms = 60000;
	f.conf.web_exception_history = 16;
	f.conf.parallelism_default = 1;
	f.conf.jobstore_expiration_ms = 3600000;
	f.conf.jobstore_max_capacity = 2;
	f.conf.checkpoint_mode = mode;
	f.conf.checkpoint_retention = retention;
	f.d = dispatcher_create(&f.conf, &f.clock.clock, &ops, NULL);
}

__attribute__((unused)) static void pass(int64_t ms)
{
	clock_virtual_advance(&f.clock, ms);
	dispatcher_turn(f.d);
}

__attribute__((unused)) static void submit(uint8_t job, uint32_t parallelism)
{
	static const char *const argv[] = { "--x" };
	struct id128 id = { { job } };
	struct dispatcher_submit s = { .path = "/up/a.so",
		.argc = 1,
		.argv = argv,
		.parallelism = parallelism,
		.job_id = job != 0 ? &id : NULL };

	answer[0] = '\0';
	dispatcher_submit(f.d, &s, on_answer, answer);
	dispatcher_turn(f.d);
}

static void built(uint32_t submission, unsigned which, bool other)
{
	struct build_result res = { .ok = true };

	res.plan = plan_text(0, other);
	res.plan_len = strlen(res.plan);
	dispatcher_on_built(f.d, submission, which, &res, NULL);
	dispatcher_turn(f.d);
	if (f.to_record != 0) {
		struct err full = { ERR_IO, "the disk is full" };

		dispatcher_on_recorded(f.d, f.to_record, f.record_fails ? &full : NULL);
		f.to_record = 0;
		dispatcher_turn(f.d);
	}
}

static void stored(uint32_t submission)
{
	dispatcher_on_stored(f.d, submission, "/store/a.so", NULL);
	dispatcher_turn(f.d);
}

/* The whole way; n is the number of the submission. */
__attribute__((unused)) static void make_job(uint8_t job, uint32_t parallelism, uint32_t n)
{
	submit(job, parallelism);
	stored(n);
	built(n, 0, false);
	built(n, 1, false);
	actions();
}

__attribute__((unused)) static void hello(uint32_t place, uint32_t generation, uint32_t n_slots)
{
	struct ctl_hello h = { .place = place,
		.generation = generation,
		.pid = 400 + place,
		.n_slots = n_slots,
		.tm_id = "127.0.0.1:400-abcdef" };

	dispatcher_on_hello(f.d, &h);
	dispatcher_turn(f.d);
}

#endif
