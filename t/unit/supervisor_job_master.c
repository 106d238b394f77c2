/*
 * The JobMaster, event by event: the ordinary life, every kind of failure on the one path
 * of recovery, missing slots, cancellation in each phase, and what must be ignored.
 */
#include <stdlib.h>

#include "supervisor/job_master.h"

#include "base/log.h"
#include "t/unit/supervisor_job_master_fixture.h"

static void test_life(void)
{
	create();
	is_job(JOB_CREATED, "CREATED 6", "at first");
	is_int(jm_since_ms(f.jm, JOB_INITIALIZING), 1700000000000 - 5, "it began when it was submitted");
	jm_start(f.jm);
	is_str(actions(), "request:2", "start asks for slots");
	is_job(JOB_RUNNING, "SCHEDULED 6", "started");
	grant();
	is_str(actions(), "deploy:1", "slots are followed by a deploy");
	is_job(JOB_RUNNING, "DEPLOYING 6", "deployed");
	say_all(TASK_INITIALIZING);
	is_job(JOB_RUNNING, "INITIALIZING 6", "initializing");
	say_all(TASK_RUNNING);
	is_job(JOB_RUNNING, "RUNNING 6", "running");
	say(0, 0, TASK_INITIALIZING, 1);
	is_job(JOB_RUNNING, "RUNNING 6", "a state that came late");
	ok(jm_deadline_ns(f.jm) == INT64_MAX, "a running job has no timer");
	say_all(TASK_FINISHED);
	is_str(actions(), "drop:1/1 drop:2/1", "all finished: everyone lets go");
	is_str(jm_phase_name(jm_phase(f.jm)), "FINISHING", "which is a phase of its own");
	dropped(1);
	ok(!f.over, "not over before the last one has");
	dropped(2);
	is_job(JOB_FINISHED, "FINISHED 6", "at last");
	is_str(actions(), "release", "slots go back");
	ok(f.over && jm_end_ms(f.jm) == f.clock.wall_ms, "over, with a time");
	is_int(f.n_over_tasks, 6, "each task's counters were taken once");
	jm_cancel(f.jm);
	is_job(JOB_FINISHED, "FINISHED 6", "cancelled when it is over");
	jm_destroy(f.jm);
}

static void test_task_failure(void)
{
	const struct failure_history *h;
	char *name;

	to_running();
	pass(1000);
	say(1, 1, TASK_FAILED, 1);
	is_str(actions(), "drop:1/1 drop:2/1", "a failed task: everyone lets go");
	is_job(JOB_FAILING, "CANCELING 5 FAILED 1", "failing");
	say(2, 1, TASK_FAILED, 1);
	dropped(2);
	is_str(actions(), "", "no deploy before the last one is gone");
	say_all(TASK_RUNNING);
	is_job(JOB_FAILING, "CANCELING 3 CANCELED 1 FAILED 2", "still failing");
	dropped(1);
	is_str(actions(), "release request:2", "then at once the next attempt");
	is_job(JOB_RUNNING, "SCHEDULED 6", "attempt 2");
	is_int(jm_attempt(f.jm), 2, "by number");
	h = jm_failures(f.jm);
	is_int(h->n, 1, "one failure, not its consequences");
	is_str(h->v[0].text, "java.lang.RuntimeException: the function said no",
	    "with the function's sentence");
	is_str(h->v[0].task_name, "node 1 (2/2) - execution #0", "its task and execution");
	is_str(h->v[0].location, "localhost:401", "its place");
	is_int(jm_n_restarts(f.jm), 1, "one restart");
	name = job_task_name(jm_graph(f.jm), &jm_graph(f.jm)->tasks[3], true);
	is_str(name, "node 1 (2/2) - execution #1", "the next execution has the next number");
	free(name);
	grant();
	say_all(TASK_RUNNING);
	say(0, 0, TASK_FAILED, 1);
	is_job(JOB_RUNNING, "RUNNING 6", "a failure of the attempt before");
	jm_on_dropped(f.jm, 1, 1, 1);
	is_job(JOB_RUNNING, "RUNNING 6", "a drop of the attempt before");
	jm_destroy(f.jm);
}

static void test_delays(void)
{
	to_running();
	say(0, 0, TASK_FAILED, 1);
	dropped(1);
	dropped(2);
	grant();
	say_all(TASK_RUNNING);
	pass(200);
	say(0, 0, TASK_FAILED, 2);
	dropped(1);
	dropped(2);
	is_job(JOB_RESTARTING, "CANCELED 5 FAILED 1", "the second failure waits");
	pass(99);
	is_job(JOB_RESTARTING, "CANCELED 5 FAILED 1", "for 100 ms");
	pass(1);
	is_job(JOB_RUNNING, "SCHEDULED 6", "and then goes on");
	is_int(jm_last_restart_ms(f.jm), 100, "the time it took is kept");
	grant();
	say_all(TASK_RUNNING);
	pass(60000);
	say(0, 0, TASK_FAILED, 3);
	dropped(1);
	dropped(2);
	is_job(JOB_RUNNING, "SCHEDULED 6", "after a minute of running the next one is at once again");
	jm_destroy(f.jm);
}

static void test_lost_tm(void)
{
	to_running();
	jm_on_tm_lost(f.jm, 2, 7, 9, "not us");
	is_job(JOB_RUNNING, "RUNNING 6", "another generation died");
	jm_on_tm_lost(f.jm, 2, 1, 9, "taskmanager tm-2 (pid 401) was killed by SIGKILL");
	is_str(actions(), "drop:1/1", "a lost TaskManager: the others let go");
	is_job(JOB_FAILING, "CANCELING 3 FAILED 3", "its tasks failed");
	dropped(1);
	is_int(jm_attempt(f.jm), 2, "the next attempt");
	like(jm_failures(f.jm)->v[0].text,
	    "RemoteTransportException: Connection unexpectedly closed by remote task manager "
	    "'127.0.0.1:401-abcdef'. This might indicate that the remote task manager was lost.",
	    "in Flink's words");
	like(jm_failures(f.jm)->v[0].text, "was killed by SIGKILL", "and with the signal");
	is_int(jm_failures(f.jm)->v[0].signo, 9, "by number, too");
	actions();
	f.generation[2] = 2;
	grant();
	say_all(TASK_RUNNING);
	jm_on_tm_lost(f.jm, 1, 1, 11, "one");
	jm_on_tm_lost(f.jm, 2, 2, 11, "two");
	is_job(JOB_RESTARTING, "CANCELED 3 FAILED 3", "both lost at once: nothing to wait for");
	is_int(jm_failures(f.jm)->n, 2, "and one more failure");
	jm_destroy(f.jm);
}

static void test_deploy_failure(void)
{
	struct ctl_task_state whole = {
		.attempt = 2, .vertex = UINT32_MAX, .subtask = UINT32_MAX, .state = TASK_FAILED
	};

	create();
	f.deploy_fails = true;
	jm_start(f.jm);
	grant();
	is_str(actions(), "request:2 deploy:1 drop:1/1 drop:2/1",
	    "a deploy that fails may have reached some");
	dropped(1);
	dropped(2);
	like(jm_failures(f.jm)->v[0].text, "deploy attempt 1: no memory for the exchange", "with its reason");
	ok(jm_failures(f.jm)->v[0].task_name == NULL, "which is no task's");
	f.deploy_fails = false;
	grant();
	err_set(&whole.cause, ERR_INTERNAL, "the exchange does not verify");
	jm_on_task_state(f.jm, 1, 1, &whole);
	is_job(JOB_FAILING, "CANCELING 6", "refused by the TaskManager");
	dropped(1);
	dropped(2);
	pass(100);
	f.no_blocks = true;
	grant();
	is_job(JOB_FAILING, "CANCELING 6", "too many tasks there");
	like(jm_failures(f.jm)->v[2].text, "as many tasks as it can have", "which is said");
	jm_destroy(f.jm);
}

static void test_overdue(void)
{
	to_running();
	say(0, 0, TASK_FAILED, 1);
	actions();
	dropped(2);
	pass(99);
	is_str(actions(), "", "99 ms are within the grace");
	pass(1);
	is_str(actions(), "kill:1/1", "after 100 ms it is killed");
	pass(1000);
	is_str(actions(), "", "once");
	ok(jm_deadline_ns(f.jm) == INT64_MAX, "then its death is waited for");
	jm_on_tm_lost(f.jm, 1, 1, 9, "as asked");
	is_int(jm_attempt(f.jm), 2, "and then comes the next attempt");
	is_int(jm_failures(f.jm)->n, 1, "the kill is no failure of its own");
	jm_destroy(f.jm);

	to_running();
	f.shared = true;
	say(0, 0, TASK_FAILED, 1);
	actions();
	pass(179999);
	is_str(actions(), "", "a neighbour's tasks give it task.cancellation.timeout");
	pass(1);
	is_str(actions(), "kill:1/1 kill:2/1", "and not more");
	jm_destroy(f.jm);

	to_running();
	f.shared = true;
	f.settings.task_cancellation_timeout_ms = 0;
	say(0, 0, TASK_FAILED, 1);
	actions();
	ok(jm_deadline_ns(f.jm) == INT64_MAX, "a timeout of 0 is none");
	f.shared = false;
	pass(100);
	is_str(actions(), "kill:1/1 kill:2/1", "when the neighbour is gone, the short grace holds");
	jm_destroy(f.jm);
}

static void test_no_slots(void)
{
	int i;

	create();
	jm_start(f.jm);
	pass(JM_SLOT_WAIT_MS);
	is_job(JOB_RESTARTING, "CANCELED 5 FAILED 1", "without slots");
	like(jm_failures(f.jm)->v[0].text,
	    "NoResourceAvailableException: Could not acquire the minimum required resources.",
	    "in Flink's words");
	pass(JM_STARVED_MS);
	is_job(JOB_RUNNING, "SCHEDULED 6", "half a second later");
	for (i = 0; i < 20; i++)
		pass(500);
	is_int(jm_n_restarts(f.jm), 11, "a restart a second");
	is_int(jm_failures(f.jm)->n, 1, "the same failure is kept once");
	pass(JM_SLOT_WAIT_MS);
	actions();
	is_job(JOB_RESTARTING, "CANCELED 5 FAILED 1", "in the other half");
	grant();
	is_str(actions(), "deploy:13", "slots are taken in either half");
	say_all(TASK_RUNNING);
	say(0, 0, TASK_FAILED, 13);
	dropped(1);
	dropped(2);
	is_job(JOB_RUNNING, "SCHEDULED 6", "the wait has used up no restart attempt");
	jm_destroy(f.jm);
}

static void test_cancel(void)
{
	create();
	jm_cancel(f.jm);
	is_job(JOB_CANCELED, "CANCELED 6", "cancelled before the start");
	jm_destroy(f.jm);

	create();
	jm_start(f.jm);
	actions();
	jm_cancel(f.jm);
	is_str(actions(), "withdraw release", "cancelled without slots");
	is_job(JOB_CANCELED, "CANCELED 6", "cancelled without slots");
	ok(jm_since_ms(f.jm, JOB_CANCELLING) != 0, "CANCELLING has its time");
	jm_destroy(f.jm);

	to_running();
	jm_cancel(f.jm);
	is_str(actions(), "withdraw drop:1/1 drop:2/1", "cancelled while running");
	is_job(JOB_CANCELLING, "CANCELING 6", "cancelled while running");
	say(0, 0, TASK_FAILED, 1);
	jm_cancel(f.jm);
	dropped(1);
	pass(JM_DROP_GRACE_MS);
	is_str(actions(), "", "nobody waits, so there is more time");
	pass(JM_END_GRACE_MS - JM_DROP_GRACE_MS);
	is_str(actions(), "kill:2/1", "but not for ever");
	jm_on_tm_lost(f.jm, 2, 1, 9, "as asked");
	is_job(JOB_CANCELED, "CANCELED 5 FAILED 1", "in the end");
	is_int(jm_failures(f.jm)->n, 0, "what fails while it is cancelled is no failure");
	jm_destroy(f.jm);

	to_running();
	say(0, 0, TASK_FAILED, 1);
	jm_cancel(f.jm);
	dropped(1);
	dropped(2);
	is_job(JOB_CANCELED, "CANCELED 5 FAILED 1", "cancelled while failing");
	jm_destroy(f.jm);

	create();
	jm_start(f.jm);
	pass(JM_SLOT_WAIT_MS);
	jm_cancel(f.jm);
	is_job(JOB_CANCELED, "CANCELED 5 FAILED 1", "cancelled while starved");
	jm_destroy(f.jm);

	to_running();
	say_all(TASK_FINISHED);
	jm_cancel(f.jm);
	dropped(1);
	jm_on_tm_lost(f.jm, 2, 1, 9, "too late to matter");
	is_job(JOB_FINISHED, "FINISHED 6", "what has finished has finished");
	jm_destroy(f.jm);
}

static void test_suspend(void)
{
	to_running();
	jm_suspend(f.jm);
	is_str(actions(), "withdraw drop:1/1 drop:2/1", "suspend lets everything go");
	is_job(JOB_SUSPENDED, "CANCELING 6", "suspended");
	ok(!f.over, "not over yet");
	dropped(1);
	dropped(2);
	ok(f.over && jm_end_ms(f.jm) == -1, "over, without having ended");
	jm_destroy(f.jm);
}

static void test_nonsense(void)
{
	to_running();
	say(77, 0, TASK_FAILED, 1);
	say(0, 77, TASK_FAILED, 1);
	say(0, 0, TASK_FAILED, 99);
	say(0, 0, TASK_SCHEDULED, 1);
	say(0, 0, TASK_RECONCILING, 1);
	jm_on_task_state(f.jm, 2, 1,
	    &(struct ctl_task_state){ .attempt = 1, .vertex = 0, .subtask = 0, .state = TASK_FAILED });
	is_job(JOB_RUNNING, "RUNNING 6", "tasks that are not there, or another's");
	dropped(2);
	is_job(JOB_FAILING, "CANCELING 3 CANCELED 3", "a drop that nobody asked for");
	like(jm_failures(f.jm)->v[0].text, "without being asked", "is a failure with a name");
	dropped(2);
	dropped(1);
	grant();
	say_all(TASK_RUNNING);
	say(0, 1, TASK_CANCELED, 2);
	is_job(JOB_FAILING, "CANCELING 5 FAILED 1", "so is a task that ends by itself");
	jm_destroy(f.jm);
}

static void test_history(void)
{
	uint64_t i;

	create();
	jm_start(f.jm);
	for (i = 1; i <= 6; i++) {
		grant();
		say(0, 0, TASK_FAILED, i);
		dropped(1);
		dropped(2);
		if (jm_phase(f.jm) == JM_RESTARTING)
			pass(10000);
	}
	is_int(jm_failures(f.jm)->n, 3, "as many failures as are to be kept");
	ok(jm_failures(f.jm)->truncated, "and it is known that there were more");
	is_str(jm_failures(f.jm)->v[2].task_name, "Source: node 0 (1/2) - execution #5", "the newest last");
	jm_destroy(f.jm);
}

static void test_metric_names(void)
{
	char a[] = "clicks", b[] = "pages", *names[] = { a, b };
	struct ctl_metric_names m = {
		.attempt = 1, .vertex = 1, .subtask = 0, .first = 0, .n = 2, .names = names
	};

	to_running();
	jm_on_metric_names(f.jm, 1, 1, &m);
	is_int(jm_graph(f.jm)->tasks[2].n_user_metrics, 2, "names of user metrics are kept");
	is_str(jm_graph(f.jm)->tasks[2].user_metrics[1], "pages", "in their order");
	m.first = METRIC_USER_MAX - 1;
	jm_on_metric_names(f.jm, 1, 1, &m);
	is_int(jm_graph(f.jm)->tasks[2].n_user_metrics, METRIC_USER_MAX, "not beyond the block");
	m.attempt = 2;
	m.first = 0;
	names[0] = b;
	jm_on_metric_names(f.jm, 1, 1, &m);
	is_str(jm_graph(f.jm)->tasks[2].user_metrics[0], "clicks", "nor of another attempt");
	jm_destroy(f.jm);
	jm_destroy(NULL);
}

int main(void)
{
	log_init("test", LOG_ERROR, 2, -1);
	test_life();
	test_task_failure();
	test_delays();
	test_lost_tm();
	test_deploy_failure();
	test_overdue();
	test_no_slots();
	test_cancel();
	test_suspend();
	test_nonsense();
	test_history();
	test_metric_names();
	return tap_done();
}
