/*
 * State of a checkpoint against the operators of a job.
 */
#include "supervisor/restore_check.h"

#include "worker/state/snapshot.h"

struct check {
	const struct job_graph *graph;
	const struct checkpoint_task *task;
	bool allow_non_restored;
};

static int check_operator(void *arg, const struct id128 *operator_id, size_t len, struct err *e)
{
	const struct check *c = arg;
	const struct job_vertex *v;
	char hex[ID_HEX_SIZE];
	uint32_t node, place;

	if (len == 0)
		return 0;
	for (node = 0; node < c->graph->stream->n_nodes; node++)
		if (id_equal(&c->graph->op_ids[node], operator_id))
			break;
	if (node == c->graph->stream->n_nodes) {
		if (c->allow_non_restored)
			return 0;
		return err_set(e, ERR_INVALID,
		    "it has state of operator %s, which the job does not have; the job can begin "
		    "without it when "
		    "that is allowed (allowNonRestoredState, run -n)",
		    id_hex(operator_id, hex));
	}
	v = &c->graph->vertices[job_graph_vertex_of(c->graph, node, &place)];
	if (v->max_parallelism == c->task->max_parallelism)
		return 0;
	return err_set(e, ERR_INVALID,
	    "its max parallelism of operator %s (%s) is %u, and the job's is %u; they must be the same",
	    id_hex(operator_id, hex), v->name, c->task->max_parallelism, v->max_parallelism);
}

int restore_check(const struct job_graph *g, const struct checkpoint_file *f, bool allow_non_restored,
    struct err *e)
{
	struct check c = { .graph = g, .allow_non_restored = allow_non_restored };
	uint32_t i;

	for (i = 0; i < f->n_tasks; i++) {
		c.task = &f->tasks[i];
		if (snapshot_operators(c.task->data, c.task->len, check_operator, &c, e) != 0)
			return -1;
	}
	return 0;
}
