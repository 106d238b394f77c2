/*
 * The Dispatcher and what lasts: the job store, savepoints that jobs begin with, jobs that an earlier
 * JobManager left.
 */
#include <unistd.h>

#include "base/file.h"
#include "t/unit/supervisor_dispatcher_fixture.h"

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

/* What the checkpoint store answers: a file without tasks, or none. */
static void found(uint32_t submission, uint64_t id, uint64_t highest, const char *why)
{
	struct checkpoint_file file = { .id = id, .kind = CHECKPOINT_PERIODIC };
	struct checkpoint_answer a = { .fd = -1, .highest_id = highest };
	struct err e;

	if (why != NULL)
		err_set(&a.err, ERR_INVALID, "%s", why);
	else if (id != 0) {
		a.file = &file;
		a.path = "file:/c/chk";
		a.fd = file_memfd("checkpoint", "x", 1, &e);
	}
	dispatcher_on_found(f.d, submission, &a);
	if (a.fd >= 0)
		close(a.fd);
	if (f.to_record != 0) {
		dispatcher_on_recorded(f.d, f.to_record, NULL);
		f.to_record = 0;
	}
	dispatcher_turn(f.d);
}

static uint64_t begins_with(uint8_t job)
{
	struct id128 id = { { job } };
	int fd;

	return coordinator_latest(jm_coordinator(dispatcher_find(f.d, &id)), &fd);
}

static void submit_with(uint8_t job, const char *savepoint)
{
	struct id128 id = { { job } };
	struct dispatcher_submit s = { .path = "/up/a.so", .job_id = &id, .savepoint = savepoint };

	answer[0] = '\0';
	dispatcher_submit(f.d, &s, on_answer, answer);
	stored(1);
	built(1, 0, false);
	built(1, 1, false);
}

static void test_savepoint(void)
{
	create();
	submit_with(1, "/sp/a");
	like(actions(), "find:1:/sp/a", "a savepoint is read before the job starts");
	is_int(dispatcher_n_jobs(f.d), 0, "there is no job yet");
	found(1, 9, 0, NULL);
	is_str(answer, "job 1", "then there is");
	is_int(begins_with(1), 9, "and it begins with the savepoint");
	dispatcher_destroy(f.d);

	create();
	submit_with(1, "/sp/a");
	actions();
	found(1, 0, 0, "/sp/a is damaged");
	is_str(answer, "no (invalid): /sp/a is damaged", "one that does not verify is refused");
	is_str(actions(), "unstore:/store/a.so", "and nothing is left");
	is_int(dispatcher_n_jobs(f.d), 0, "no job has started");
	dispatcher_destroy(f.d);
}

static void test_resume(void)
{
	static char artifact[] = "/store/a.so", savepoint[] = "/sp/a", name[] = "x", *none[1];
	struct job_record r = { .job_id = { { 7 } },
		.name = name,
		.artifact = artifact,
		.argv = none,
		.parallelism = 0,
		.default_parallelism = 3,
		.start_ms = 1600000000000 };
	struct id128 id = { { 7 } };

	create();
	dispatcher_resume(f.d, &r);
	dispatcher_turn(f.d);
	is_str(actions(), "build:1/0:/store/a.so:0 build:1/1:/store/a.so:0",
	    "a job of the store is built again");
	dispatcher_on_artifact(f.d, "/store/a.so");
	is_str(actions(), "", "its artifact stays");
	built(1, 0, false);
	built(1, 1, false);
	is_str(actions(), "find:1:job 7", "its own newest checkpoint is looked for");
	found(1, 5, 8, NULL);
	is_int(begins_with(7), 5, "it begins with that");
	is_int(jm_program(dispatcher_find(f.d, &id))->graph->n_slots, 3, "with the parallelism of then");
	is_int(jm_since_ms(dispatcher_find(f.d, &id), JOB_INITIALIZING), 1600000000000,
	    "and is the same job");
	is_int(f.n_unrecorded, 0, "still in the store");
	dispatcher_destroy(f.d);

	create();
	r.savepoint = savepoint;
	dispatcher_resume(f.d, &r);
	dispatcher_turn(f.d);
	built(1, 0, false);
	built(1, 1, false);
	actions();
	found(1, 0, 4, NULL);
	is_str(actions(), "find:1:/sp/a", "without a checkpoint it is the savepoint that it began with");
	found(1, 2, 0, NULL);
	is_int(begins_with(7), 2, "again");
	dispatcher_destroy(f.d);

	create();
	dispatcher_resume(f.d, &r);
	dispatcher_turn(f.d);
	built(1, 0, false);
	built(1, 1, false);
	actions();
	found(1, 0, 0, "the disk cannot be read");
	is_int(dispatcher_n_jobs(f.d), 0, "a job that cannot go on does not");
	dispatcher_on_artifact(f.d, "/store/a.so");
	is_str(actions(), "", "but keeps its artifact");
	is_int(f.n_unrecorded, 0, "and its record");
	dispatcher_destroy(f.d);
}

int main(void)
{
	log_init("test", LOG_ERROR, -1, -1);
	test_record();
	test_savepoint();
	test_resume();
	return tap_done();
}
