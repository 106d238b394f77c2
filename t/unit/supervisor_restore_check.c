/*
 * Whether a job can begin with a checkpoint: operators by id, max parallelism, what may be left behind.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "supervisor/restore_check.h"
#include "t/sim/plans.h"
#include "t/tap.h"
#include "worker/state/snapshot.h"

static struct snapshot_writer w;
static struct err e;

/* One task's bytes: state of an operator, or a section without any. */
static struct checkpoint_file file_of(const struct id128 *operator_id, bool empty, struct checkpoint_task *t)
{
	snapshot_writer_init(&w);
	snapshot_begin(&w, operator_id);
	if (!empty) {
		snapshot_begin_entry(&w, "x");
		snapshot_put_u32(&w, 1);
		snapshot_end_part(&w);
	}
	snapshot_end(&w);
	*t = (struct checkpoint_task){
		.parallelism = 2, .max_parallelism = MAX_PARALLELISM_DEFAULT, .data = w.data, .len = w.len
	};
	return (struct checkpoint_file){ .id = 1, .tasks = t, .n_tasks = 1 };
}

static int check(const struct job_graph *g, const struct id128 *operator_id, bool empty,
    uint32_t max_parallelism, bool allow)
{
	struct checkpoint_task t;
	struct checkpoint_file f = file_of(operator_id, empty, &t);
	int rc;

	t.max_parallelism = max_parallelism;
	e.msg[0] = '\0';
	rc = restore_check(g, &f, allow, &e);
	snapshot_writer_fini(&w);
	return rc;
}

int main(void)
{
	struct job_program *p = program_of_plan(3);
	const struct id128 *own = &p->graph->op_ids[1], other = { { 0xab, 0xcd } };
	struct checkpoint_task t;
	struct checkpoint_file f;

	is_int(check(p->graph, own, false, 128, false), 0,
	    "state of an operator of the job, with another parallelism");
	is_int(check(p->graph, &other, false, 128, false), -1, "state of an operator that it does not have");
	like(e.msg, "abcd0000", "is refused, and the sentence names it");
	like(e.msg, "allowNonRestoredState", "and what can be done");
	is_int(check(p->graph, &other, false, 128, true), 0, "or left behind, where that is allowed");
	is_int(check(p->graph, &other, true, 128, false), 0, "an operator without state may be missing");
	is_int(check(p->graph, own, false, 256, false), -1, "another max parallelism");
	like(e.msg, "256", "is refused with both numbers");
	like(e.msg, "128", "the job's, too");
	is_int(check(p->graph, own, false, 256, true), -1, "also where state may be left behind");
	f = file_of(own, false, &t);
	t.len--;
	is_int(restore_check(p->graph, &f, false, &e), -1, "bytes that are not whole");
	snapshot_writer_fini(&w);
	job_program_destroy(p);
	return tap_done();
}
