/*
 * The Dispatcher: what becomes of a submission in each of its steps, which job an event is handed to,
 * slots that go from job to job, ended jobs that are forgotten, and the orderly stop.
 */
#include "t/unit/supervisor_dispatcher_fixture.h"

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
	return tap_done();
}
