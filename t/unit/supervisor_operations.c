/* Requests that take their time: ids, outcomes, how long they are remembered, what they say. */
#include "supervisor/operations.h"

#include "base/mem.h"
#include "t/tap.h"

#define CHECKPOINT_EXCEPTION "org.apache.flink.runtime.checkpoint.CheckpointException"

static void fails(struct operations *o, const struct id128 *job, enum err_code code, const char *class_name,
    const char *want, const char *what)
{
	const struct operation *op = operations_begin(o, job);
	struct id128 id = op->id;
	struct err e;

	err_set(&e, code, "no space on /sp");
	operations_end(o, op->number, NULL, &e, NULL);
	op = operations_find(o, job, &id);
	is_int(op->status, GW_OP_FAILED, "%s: has failed", what);
	if (class_name != NULL)
		is_str(op->failure_class, class_name, "%s: its class", what);
	is_str(op->failure, want, "%s: its sentence", what);
}

int main(void)
{
	struct clock_virtual time;

	struct operations *o;
	struct id128 job, other, first, second;
	const struct operation *op;

	clock_virtual_init(&time, 1000000);
	o = operations_create(&time.clock);
	ok(id_parse(&job, "fb9501bf1c301faa5bc10b446bd0b114") == 0, "a job");
	id_random(&other);
	op = operations_begin(o, &job);
	first = op->id;
	is_int(op->status, GW_OP_IN_PROGRESS, "a request is in progress");
	ok(op->number != 0, "and has a number");
	second = operations_begin(o, &job)->id;
	ok(!id_equal(&first, &second), "the next has another id");
	ok(operations_find(o, &other, &first) == NULL, "another job has no such request");
	ok(operations_find(o, NULL, &first) == NULL, "nor is it a disposal");
	op = operations_find(o, &job, &first);
	operations_end(o, op->number, "file:/sp/1", NULL, NULL);
	is_int(op->status, GW_OP_COMPLETED, "completed");
	is_str(op->location, "file:/sp/1", "with its place");
	operations_end(o, op->number, "file:/sp/2", NULL, NULL);
	is_str(op->location, "file:/sp/1", "it ends once");
	operations_end(o, 999, "file:/sp/2", NULL, NULL);
	clock_virtual_advance(&time, GW_OPERATION_KEPT_MS - 1);
	ok(operations_find(o, &job, &first) != NULL, "remembered for five minutes");
	clock_virtual_advance(&time, 1);
	ok(operations_find(o, &job, &first) == NULL, "and no longer");
	ok(operations_find(o, &job, &second) != NULL, "what is in progress is never forgotten");

	fails(o, &job, ERR_NOT_FOUND, GW_JOB_NOT_FOUND,
	    "Could not find Flink job (fb9501bf1c301faa5bc10b446bd0b114)", "an unknown job");
	fails(o, &job, ERR_IO, CHECKPOINT_EXCEPTION,
	    "An Exception occurred while triggering the checkpoint. IO-problem detected.\n"
	    "Caused by: java.io.IOException: no space on /sp",
	    "a disk");
	fails(o, &job, ERR_UNAVAILABLE, CHECKPOINT_EXCEPTION, "no space on /sp", "any other reason");
	fails(o, NULL, ERR_IO, NULL, "no space on /sp", "a disposal");
	operations_destroy(o);
	operations_destroy(NULL);
	return tap_done();
}
