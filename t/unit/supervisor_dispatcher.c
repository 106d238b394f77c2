/*
 * The Dispatcher: what becomes of a submission in each of its steps, which job an event is handed to,
 * slots that go from job to job, ended jobs that are forgotten, and the orderly stop.
 */
#include <stdlib.h>

#include "supervisor/dispatcher.h"

#include "base/log.h"
#include "t/sim/plans.h"
#include "t/tap.h"

static struct {
	struct clock_virtual clock;
	struct conf conf;
	struct dispatcher *d;
	char log[2048];  /* the actions since the last look */
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
	ok(job_record_decode(data, len, &r, &e) == 0 && id_equal(&r.job_id, job), "the job store is given a whole record");
	job_record_fini(&r);
}
static void op_unrecord(void *arg, const struct id128 *job)
{
	(void)arg;
	(void)job;
	f.n_unrecorded++;
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

static void pass(int64_t ms)
{
	clock_virtual_advance(&f.clock, ms);
	dispatcher_turn(f.d);
}

static void submit(uint8_t job, uint32_t parallelism)
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
static void make_job(uint8_t job, uint32_t parallelism, uint32_t n)
{
	submit(job, parallelism);
	stored(n);
	built(n, 0, false);
	built(n, 1, false);
	actions();
}

static void hello(uint32_t place, uint32_t generation, uint32_t n_slots)
{
	struct ctl_hello h = { .place = place,
		.generation = generation,
		.pid = 400 + place,
		.n_slots = n_slots,
		.tm_id = "127.0.0.1:400-abcdef" };

	dispatcher_on_hello(f.d, &h);
	dispatcher_turn(f.d);
}

static enum job_state state_of(uint8_t job)
{
	struct id128 id = { { job } };
	struct job_master *jm = dispatcher_find(f.d, &id);

	return jm != NULL ? jm_state(jm) : JOB_N_STATES;
}

static void dropped(uint8_t job, uint32_t place, uint64_t attempt)
{
	struct ctl_attempt a = { .job_id = { { job } }, .attempt = attempt };

	dispatcher_on_dropped(f.d, place, 1, &a);
	dispatcher_turn(f.d);
}

static int cancel(uint8_t job, struct err *e)
{
	struct id128 id = { { job } };
	int rc = dispatcher_cancel(f.d, &id, e);

	dispatcher_turn(f.d);
	return rc;
}

static void test_submission(void)
{
	struct job_master *jm;

	create();
	submit(1, 0);
	is_str(actions(), "store:1:/up/a.so", "first the artifact is stored");
	stored(1);
	is_str(actions(), "build:1/0:/store/a.so:1:--x build:1/1:/store/a.so:1:--x",
	    "then two builders run it");
	built(1, 1, false);
	is_str(answer, "", "one answer is not enough");
	built(1, 0, false);
	is_str(answer, "job 1", "with both there is a job");
	is_int(dispatcher_n_submissions(f.d), 0, "and no submission");
	jm = dispatcher_job(f.d, 0);
	is_str(jm_program(jm)->name, "simulated", "by the plan's name");
	ok(!jm_program(jm)->force_parallelism && jm_graph(jm)->n_tasks == 3, "with the default parallelism");
	is_int(state_of(1), JOB_RUNNING, "it has started");
	submit(1, 0);
	like(answer, "no (conflict): there is a job 01", "its id is taken");
	make_job(2, 4, 2);
	is_int(jm_graph(dispatcher_job(f.d, 1))->n_tasks, 12, "a given parallelism is taken");
	submit(3, 99999);
	like(answer, "no (invalid): parallelism 99999 is over 32768", "but not any");
	dispatcher_destroy(f.d);
}

static void refused(const char *want, const char *what)
{
	like(answer, want, "%s: the answer says why", what);
	is_int(dispatcher_n_submissions(f.d) + dispatcher_n_jobs(f.d), 0, "%s: nothing is left", what);
	dispatcher_destroy(f.d);
}

static void test_refusals(void)
{
	struct build_result no = { .ok = false };
	struct err why;

	create();
	submit(1, 0);
	err_set(&why, ERR_IO, "the disk is full");
	dispatcher_on_stored(f.d, 1, NULL, &why);
	refused("no (io): the disk is full", "not stored");

	create();
	submit(1, 0);
	stored(1);
	actions();
	err_set(&no.err, ERR_USER, "main said no");
	dispatcher_on_built(f.d, 1, 1, &no, NULL);
	is_str(actions(), "unbuild:1/0 unstore:/store/a.so",
	    "one builder refuses: the other is killed, the artifact goes");
	built(1, 0, false);
	refused("no (user): main said no", "main refuses");

	create();
	submit(1, 0);
	stored(1);
	no = (struct build_result){ .ok = false, .stderr_text = xstrdup("config.txt: not there\n") };
	err_set(&no.err, ERR_USER, "main said no");
	dispatcher_on_built(f.d, 1, 1, &no, NULL);
	refused("no (user): main said no; it wrote: config.txt: not there", "with what it wrote");

	create();
	submit(1, 0);
	stored(1);
	no = (struct build_result){ .ok = false };
	err_set(&no.err, ERR_INVALID, "a.so: it is cut off");
	dispatcher_on_built(f.d, 1, 0, &no, NULL);
	refused("no (invalid): it is cut off", "without the store's name");

	create();
	submit(1, 0);
	stored(1);
	err_set(&why, ERR_USER, "it was killed by SIGSEGV");
	dispatcher_on_built(f.d, 1, 0, NULL, &why);
	refused("SIGSEGV", "main crashes");

	create();
	submit(1, 0);
	stored(1);
	built(1, 0, false);
	built(1, 1, true);
	refused("no (user): the job's main built two different graphs", "main is not pure");

	create();
	submit(1, 0);
	stored(1);
	built(1, 0, false);
	pass(9999);
	is_str(answer, "", "9.999 s are allowed");
	actions();
	pass(1);
	is_str(actions(), "unbuild:1/1 unstore:/store/a.so", "at 10 s what runs is killed");
	refused("no (user): the job's main did not come back within 10 s", "main loops");

	create();
	f.build_fails = 1;
	submit(1, 0);
	stored(1);
	is_str(actions(), "store:1:/up/a.so build:1/0:/store/a.so:1:--x unbuild:1/0 unstore:/store/a.so",
	    "a fork that fails leaves no builder");
	refused("no (unavailable): no process is left", "no fork");

	create();
	submit(1, 0);
	stored(1);
	no = (struct build_result){ .ok = true, .plan = xstrdup("{}"), .plan_len = 2 };
	dispatcher_on_built(f.d, 1, 0, &no, NULL);
	built(1, 1, false);
	refused("plan of the job builder", "a plan that does not verify");
}

static void test_queue(void)
{
	unsigned i;

	create();
	for (i = 1; i <= DISPATCHER_MAX_BUILDS + 1; i++) {
		submit((uint8_t)i, 0);
		stored(i);
	}
	ok(strstr(actions(), "build:5/0") == NULL, "a few are built at a time");
	built(2, 0, false);
	built(2, 1, false);
	like(actions(), "build:5/0", "the next when one is done");
	dispatcher_destroy(f.d);

	create();
	for (i = 1; i <= DISPATCHER_MAX_WAITING; i++)
		submit(0, 0);
	submit(0, 0);
	like(answer, "no (unavailable): 256 submissions are waiting", "too many are refused");
	dispatcher_destroy(f.d);
}

static void test_slots(void)
{
	struct ctl_task_state s = {
		.job_id = { { 1 } }, .attempt = 1, .vertex = 0, .subtask = 0, .state = TASK_FAILED
	};
	struct err e;

	create();
	make_job(1, 2, 1);
	make_job(2, 2, 2);
	is_str(actions(), "", "no slots, no deploy");
	hello(1, 1, 2);
	is_str(actions(), "deploy:1", "the first job has the first slots");
	is_int(rm_slots_free(dispatcher_rm(f.d)), 0, "all of them");
	ok(dispatcher_job_at(f.d, 1, 1) == dispatcher_job(f.d, 0), "it is known whose tasks are there");
	ok(dispatcher_job_at(f.d, 1, 2) == NULL, "by generation");
	is_int(cancel(1, &e), 0, "cancel");
	is_str(actions(), "drop:1@tm-1", "the TaskManager is told");
	dropped(1, 1, 1);
	is_int(state_of(1), JOB_CANCELED, "then it is CANCELED");
	like(actions(), "deploy:2", "and the next job has the slots");
	is_int(cancel(1, &e), -1, "an ended job cannot be cancelled");
	like(e.msg, "has already ended: it is CANCELED", "which is said");
	is_int(cancel(99, &e), -1, "nor one that is not there");
	is_int(e.code, ERR_NOT_FOUND, "which is not found");
	s.job_id.b[0] = 99;
	dispatcher_on_task_state(f.d, 1, 1, &s);
	s.job_id.b[0] = 2;
	err_set(&s.cause, ERR_USER, "no");
	dispatcher_on_task_state(f.d, 1, 1, &s);
	is_int(state_of(2), JOB_FAILING, "an event goes to its job");
	actions();
	pass(100);
	is_str(actions(), "kill:tm-1", "a TaskManager that does not let go is killed");
	is_int(rm_slots_free(dispatcher_rm(f.d)), 0, "and offers no slots");
	dispatcher_on_died(f.d, 1, 1, 9, "killed");
	dispatcher_turn(f.d);
	is_int(state_of(2), JOB_RUNNING, "after its death the job goes on");
	hello(1, 2, 2);
	is_str(actions(), "deploy:2", "on the next one");
	dispatcher_destroy(f.d);
}

static void test_expiry(void)
{
	struct err e;
	uint8_t i;

	create();
	for (i = 1; i <= 4; i++) {
		make_job(i, 1, i);
		pass(10);
	}
	for (i = 1; i <= 3; i++) {
		cancel(i, &e);
		pass(10);
	}
	is_int(dispatcher_n_jobs(f.d), 3, "the oldest ended one is forgotten when there are too many");
	is_int(state_of(1), JOB_N_STATES, "it is the first");
	pass(3600000 - 100);
	is_int(dispatcher_n_jobs(f.d), 3, "the others stay for an hour");
	ok(dispatcher_deadline_ns(f.d) <= f.clock.mono_ns + 100 * NS_PER_MS, "and there is a timer for it");
	pass(200);
	is_int(dispatcher_n_jobs(f.d), 1, "then they go, too");
	ok(state_of(4) != JOB_N_STATES, "what has not ended is never forgotten");
	dispatcher_destroy(f.d);
}

static void test_artifacts(void)
{
	struct err e;

	create();
	make_job(1, 1, 1);
	make_job(2, 1, 2);
	cancel(1, &e);
	is_str(actions(), "", "an artifact that another job has stays");
	submit(3, 0);
	actions();
	cancel(2, &e);
	is_str(actions(), "", "so it does while one is being stored, which may be the same");
	stored(3);
	actions();
	built(3, 0, false);
	built(3, 1, false);
	cancel(3, &e);
	is_str(actions(), "unstore:/store/a.so", "after the last job it goes");
	dispatcher_destroy(f.d);
}

static void test_stop(void)
{
	create();
	make_job(1, 2, 1);
	hello(1, 1, 2);
	submit(2, 0);
	stored(2);
	actions();
	dispatcher_stop(f.d);
	like(answer, "no (unavailable): the JobManager is stopping", "a submission under way is answered");
	like(actions(), "drop:1@tm-1", "jobs let go of their tasks");
	dispatcher_turn(f.d);
	ok(!f.stopped, "that is waited for");
	submit(3, 0);
	like(answer, "no (unavailable): the JobManager is stopping", "nothing new is taken");
	dropped(1, 1, 1);
	ok(f.stopped, "then it has stopped");
	is_int(state_of(1), JOB_SUSPENDED, "the job is suspended, not ended");
	is_str(actions(), "", "and keeps its artifact");
	dispatcher_turn(f.d);
	dispatcher_destroy(f.d);

	create();
	dispatcher_stop(f.d);
	dispatcher_turn(f.d);
	ok(f.stopped, "with no job it has stopped at once");
	dispatcher_destroy(f.d);
	dispatcher_destroy(NULL);
}

static void test_record(void)
{
	create();
	f.record_fails = true;
	submit(1, 0);
	stored(1);
	actions();
	built(1, 0, false);
	built(1, 1, false);
	is_str(answer, "no (io): the disk is full", "a job that cannot be recorded does not start");
	is_str(actions(), "unstore:/store/a.so", "and leaves nothing");
	is_int(f.n_unrecorded, 1, "not even a record");
	dispatcher_destroy(f.d);
}

int main(void)
{
	log_init("test", LOG_ERROR, 2, -1);
	test_submission();
	test_refusals();
	test_queue();
	test_slots();
	test_expiry();
	test_artifacts();
	test_stop();
	test_record();
	return tap_done();
}
