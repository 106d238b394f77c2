/*
 * A job's checkpoints as its JobMaster sees them: what an attempt begins with, what a restart waits for, what
 * follows a savepoint, and the end of a job that may not be restarted.
 */
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "t/unit/supervisor_job_master_fixture.h"

static const struct err full = { ERR_IO, "the disk is full" };

static void create_taking(int64_t interval_ms)
{
	struct checkpoint_settings s = { .cc = { .interval_ms = interval_ms,
					     .timeout_ms = 60000,
					     .max_concurrent = 1,
					     .num_retained = 1 } };

	create();
	jm_use_checkpoints(f.jm, &s, 1);
}

static void run(void)
{
	grant();
	say_all(TASK_INITIALIZING);
	say_all(TASK_RUNNING);
	actions();
}

static void to_running_taking(int64_t interval_ms)
{
	create_taking(interval_ms);
	jm_start(f.jm);
	run();
}

static void ack(uint32_t vertex, uint32_t subtask, uint64_t id)
{
	struct ctl_ack a = { .job_id = { { 0xaa, 1 } },
		.attempt = jm_attempt(f.jm),
		.checkpoint_id = id,
		.vertex = vertex,
		.subtask = subtask,
		.state = "x",
		.state_len = 1 };

	jm_on_ack(f.jm, subtask + 1, f.generation[subtask + 1], &a);
}

static void ack_all(uint64_t id)
{
	uint32_t v, i;

	for (v = 0; v < 3; v++)
		for (i = 0; i < N; i++)
			ack(v, i, id);
}

static uint64_t latest(void)
{
	int fd;

	return coordinator_latest(jm_coordinator(f.jm), &fd);
}

static void fail_attempt(void)
{
	say(1, 1, TASK_FAILED, jm_attempt(f.jm));
	dropped(1);
	dropped(2);
}

static void test_restart(void)
{
	to_running_taking(100);
	pass(99);
	is_str(actions(), "", "nothing before the interval");
	pass(1);
	is_str(actions(), "trigger:1/1:1 trigger:2/1:1", "every TaskManager of the job is told");
	ack_all(1);
	is_str(actions(), "store:1", "all have acknowledged: it is stored");
	jm_on_stored(f.jm, 1, "file:/c/chk-1", NULL);
	is_str(actions(), "notify:1/1:1 notify:2/1:1", "durable: they are told");
	pass(100);
	actions();
	ack(0, 0, 2);
	fail_attempt();
	is_str(actions(), "drop:1/1 drop:2/1 release request:2", "a failure: the attempt ends as ever");
	ack_all(2);
	is_str(actions(), "", "what is acknowledged after it counts for nothing");
	is_int(latest(), 1, "the next attempt begins with the newest that is complete");
	run();
	is_int(coordinator_counts(jm_coordinator(f.jm)).restored, 1, "which is counted");
	pass(100);
	is_str(actions(), "trigger:1/1:3 trigger:2/1:3", "ids go on");
	jm_destroy(f.jm);
}

static void test_storing(void)
{
	to_running_taking(100);
	pass(100);
	ack_all(1);
	actions();
	fail_attempt();
	is_str(actions(), "drop:1/1 drop:2/1 release", "while one is being stored nothing is asked for");
	is_job(JOB_RESTARTING, "CANCELED 5 FAILED 1", "restarting");
	jm_on_stored(f.jm, 1, "file:/c/chk-1", NULL);
	is_str(actions(), "request:2", "it is durable: the next attempt");
	is_int(latest(), 1, "begins with it");
	run();
	pass(100);
	ack_all(2);
	actions();
	fail_attempt();
	pass(100);
	is_str(actions(), "drop:1/1 drop:2/1 release", "again");
	jm_on_stored(f.jm, 2, NULL, &full);
	is_str(actions(), "request:2", "it could not be stored: the next attempt");
	is_int(latest(), 1, "begins with the one before");
	jm_destroy(f.jm);
}

static void test_stop(void)
{
	to_running_taking(0);
	jm_savepoint(f.jm, 7, JM_THEN_DRAIN, "/sp");
	is_str(actions(), "trigger:1/1:1:drain trigger:2/1:1:drain",
	    "stop: a savepoint with the last watermark");
	ack_all(1);
	is_str(actions(), "store:1:/sp", "goes where it was asked for");
	jm_savepoint(f.jm, 8, JM_GO_ON, "/sp");
	is_str(actions(), "done:8:conflict", "no other one meanwhile");
	jm_on_stored(f.jm, 1, "file:/sp/a", NULL);
	is_str(actions(), "notify:1/1:1 notify:2/1:1", "it is durable, but the answer waits");
	say_all(TASK_FINISHED);
	dropped(1);
	dropped(2);
	is_str(actions(), "drop:1/1 drop:2/1 release done:7:file:/sp/a", "for the job's end");
	is_job(JOB_FINISHED, "FINISHED 6", "stopped");
	is_int(latest(), 0, "an ended job keeps nothing to begin with");
	jm_destroy(f.jm);

	to_running_taking(0);
	jm_savepoint(f.jm, 7, JM_THEN_STOP, "/sp");
	ack_all(1);
	jm_on_stored(f.jm, 1, "file:/sp/a", NULL);
	actions();
	fail_attempt();
	is_str(actions(), "done:7:conflict drop:1/1 drop:2/1 release request:2",
	    "a failure behind the savepoint: the stop has failed, the job goes on");
	jm_destroy(f.jm);

	to_running_taking(0);
	jm_savepoint(f.jm, 7, JM_THEN_STOP, "/sp");
	ack_all(1);
	actions();
	fail_attempt();
	is_str(actions(), "drop:1/1 drop:2/1 release", "a failure while the savepoint is stored");
	jm_on_stored(f.jm, 1, "file:/sp/a", NULL);
	is_str(actions(), "done:7:conflict request:2", "the stop has failed; the job goes on");
	is_int(latest(), 1, "from there");
	jm_destroy(f.jm);

	to_running_taking(0);
	jm_savepoint(f.jm, 7, JM_THEN_STOP, "/sp");
	ack_all(1);
	jm_cancel(f.jm);
	dropped(1);
	dropped(2);
	actions();
	jm_on_stored(f.jm, 1, "file:/sp/a", NULL);
	is_str(actions(), "done:7:conflict", "cancelled while the savepoint is stored: that was no stop, either");
	jm_destroy(f.jm);

	to_running_taking(0);
	jm_savepoint(f.jm, 7, JM_THEN_STOP, "/sp");
	ack_all(1);
	actions();
	jm_on_stored(f.jm, 1, NULL, &full);
	is_str(actions(), "abort:1/1:1 abort:2/1:1 done:7:io", "a savepoint that cannot be stored");
	is_job(JOB_RUNNING, "RUNNING 6", "after that");
	jm_destroy(f.jm);
}

static void test_cancel_behind(void)
{
	to_running_taking(0);
	jm_savepoint(f.jm, 9, JM_THEN_CANCEL, "/sp");
	ack_all(1);
	actions();
	jm_on_stored(f.jm, 1, "file:/sp/a", NULL);
	is_str(actions(), "done:9:file:/sp/a withdraw drop:1/1 drop:2/1", "cancel behind a savepoint");
	is_job(JOB_CANCELLING, "CANCELING 6", "cancelling");
	jm_destroy(f.jm);

	to_running_taking(0);
	jm_savepoint(f.jm, 9, JM_THEN_CANCEL, "/sp");
	ack_all(1);
	actions();
	jm_on_stored(f.jm, 1, NULL, &full);
	is_str(actions(), "abort:1/1:1 abort:2/1:1 done:9:io", "no savepoint, no cancel");
	is_job(JOB_RUNNING, "RUNNING 6", "it goes on");
	jm_destroy(f.jm);
}

static void test_refused(void)
{
	create_taking(0);
	jm_savepoint(f.jm, 1, JM_GO_ON, "/sp");
	is_str(actions(), "done:1:conflict", "no savepoint before the start");
	jm_start(f.jm);
	grant();
	say(0, 0, TASK_RUNNING, 1);
	actions();
	jm_savepoint(f.jm, 2, JM_THEN_STOP, "/sp");
	is_str(actions(), "done:2:conflict", "nor before all tasks are RUNNING");
	say_all(TASK_RUNNING);
	jm_savepoint(f.jm, 3, JM_GO_ON, "/sp");
	is_str(actions(), "trigger:1/1:1 trigger:2/1:1", "then there is");
	jm_destroy(f.jm);

	to_running();
	jm_savepoint(f.jm, 4, JM_GO_ON, "/sp");
	is_str(actions(), "done:4:conflict", "a job without checkpoints");
	jm_destroy(f.jm);
}

static void test_too_many_failures(void)
{
	struct ctl_decline no = { .job_id = { { 0xaa, 1 } }, .attempt = 1, .checkpoint_id = 1, .vertex = 1 };

	to_running_taking(100);
	pass(100);
	actions();
	err_set(&no.why, ERR_USER, "not now");
	jm_on_decline(f.jm, 2, 1, &no); /* not who has the task, but of the attempt */
	like(actions(), "abort:1/1:1 abort:2/1:1 drop:1/1", "one failed checkpoint is one too many here");
	is_str(job_state_name(jm_state(f.jm)), "FAILING", "the attempt fails");
	like(jm_failures(f.jm)->v[0].text, "checkpoint", "with a sentence about that");
	jm_destroy(f.jm);
}

static void test_begin_with(void)
{
	struct err e;
	int fd = file_memfd("checkpoint", "bytes", 5, &e), kept;

	create_taking(100);
	jm_retain(f.jm, 40, "file:/c/chk-40");
	jm_restore(f.jm, 41, fd, CHECKPOINT_PERIODIC, "file:/c/chk-41");
	jm_start(f.jm);
	run();
	is_int(coordinator_latest(jm_coordinator(f.jm), &kept), 41,
	    "a job of an earlier life begins with its checkpoint");
	is_int(coordinator_counts(jm_coordinator(f.jm)).restored, 1, "counted once");
	pass(100);
	is_str(actions(), "trigger:1/1:42 trigger:2/1:42", "the next one has a higher id");
	ack_all(42);
	actions();
	jm_on_stored(f.jm, 42, "file:/c/chk-42", NULL);
	like(actions(), "discard:40", "the older ones go in their turn");
	jm_destroy(f.jm);
}

static void test_no_restart(void)
{
	create_taking(0);
	f.settings.restart.kind = RESTART_FIXED_DELAY;
	f.settings.restart.attempts = 1;
	f.settings.restart.fixed_ms = 50;
	jm_start(f.jm);
	run();
	fail_attempt();
	is_job(JOB_RESTARTING, "CANCELED 5 FAILED 1", "the one restart that there is");
	pass(49);
	is_str(job_state_name(jm_state(f.jm)), "RESTARTING", "after its delay");
	pass(1);
	run();
	fail_attempt();
	is_job(JOB_FAILED, "CANCELED 5 FAILED 1", "no more restarts");
	ok(f.over && jm_end_ms(f.jm) >= 0, "it is over");
	like(jm_failures(f.jm)->v[jm_failures(f.jm)->n - 1].text,
	    "org.apache.flink.runtime.JobException: Recovery is suppressed by FixedDelayRestart",
	    "the failure says why");
	like(jm_failures(f.jm)->v[jm_failures(f.jm)->n - 1].text,
	    "Caused by: java.lang.RuntimeException: the function", "and what came first");
	jm_destroy(f.jm);
}

int main(void)
{
	log_init("test", LOG_ERROR, -1, -1);
	test_restart();
	test_storing();
	test_stop();
	test_cancel_behind();
	test_refused();
	test_too_many_failures();
	test_begin_with();
	test_no_restart();
	return tap_done();
}
