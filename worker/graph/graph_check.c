/*
 * Is a stream graph whole?  The one place that says what a graph may be: what a job
 * built and what another process wrote both pass here before anyone walks them.
 */
#include <inttypes.h>

#include "base/mem.h"
#include "worker/graph/stream_graph.h"

/* Which functions a node has, by its type. */
static const struct {
	unsigned must, may; /* bits of enum fn_role */
} fns_of[NODE_N_TYPES] = {
	[NODE_SOURCE] = { 1u << FN_DESERIALIZER, 1u << FN_TIMESTAMP },
	[NODE_MAP] = { 1u << FN_MAIN, 1u << FN_KEY },
	[NODE_FILTER] = { 1u << FN_MAIN, 1u << FN_KEY },
	[NODE_FLAT_MAP] = { 1u << FN_MAIN, 1u << FN_KEY },
	[NODE_WATERMARKS] = { 0, 1u << FN_TIMESTAMP | 1u << FN_KEY },
	[NODE_WINDOW] = { 1u << FN_KEY | 1u << FN_AGGREGATE, 1u << FN_WINDOW },
	[NODE_SINK] = { 1u << FN_SERIALIZER, 1u << FN_KEY },
};

/* The operator's name in front of a sentence; returns -1. */
static int node_error(const struct graph_node *n, struct err *e)
{
	return err_prefix(e, "operator \"%s\"", n->name);
}

bool graph_type_fits(const struct graph_type *from, const struct graph_type *to)
{
	if (from->name == NULL || to->name == NULL)
		return true;
	return strcmp(from->name, to->name) == 0 && from->size == to->size;
}

static int check_fns(const struct graph_node *n, struct err *e)
{
	for (unsigned r = 0; r < FN_N_ROLES; r++) {
		unsigned bit = 1u << r;

		if (n->fns[r].present && n->fns[r].name == NULL)
			return err_set(e, ERR_INVALID, "its %s function has no name", fn_role_name(r));
		if (!n->fns[r].present && (fns_of[n->type].must & bit))
			return err_set(e, ERR_INVALID, "it has no %s function", fn_role_name(r));
		if (n->fns[r].present && !((fns_of[n->type].must | fns_of[n->type].may) & bit))
			return err_set(e, ERR_INVALID, "a %s cannot have a %s function",
			    node_type_name(n->type), fn_role_name(r));
	}
	if (n->fns[FN_KEY].present != (n->key_kind != WEIR_KEY_NONE))
		return err_set(e, ERR_INVALID, "a key function and a kind of key belong together");
	return 0;
}

static int check_assigner(const weir_assigner *a, struct err *e)
{
	if (a->kind != WEIR_WINDOW_TUMBLING ||
	    (a->time != WEIR_EVENT_TIME && a->time != WEIR_PROCESSING_TIME))
		return err_set(e, ERR_INVALID, "its window assigner is of a kind that is not known here");
	if (a->size_ms <= 0)
		return err_set(e, ERR_INVALID, "a window must be longer than 0 ms, not %" PRId64 " ms",
		    a->size_ms);
	if (a->offset_ms <= -a->size_ms || a->offset_ms >= a->size_ms)
		return err_set(e, ERR_INVALID,
		    "the offset of a window must be less than its size of %" PRId64 " ms, not %" PRId64 " ms",
		    a->size_ms, a->offset_ms);
	return 0;
}

static int check_node(const struct graph_node *n, struct err *e)
{
	bool has_strategy = n->watermark.struct_size != 0;

	if (n->parallelism < 0 || n->parallelism > GRAPH_MAX_PARALLELISM)
		return err_set(e, ERR_INVALID, "parallelism must be 1 to %d, not %" PRId32,
		    GRAPH_MAX_PARALLELISM, n->parallelism);
	if (n->max_parallelism < 0 || n->max_parallelism > GRAPH_MAX_PARALLELISM)
		return err_set(e, ERR_INVALID, "max parallelism must be 1 to %d, not %" PRId32,
		    GRAPH_MAX_PARALLELISM, n->max_parallelism);
	if ((n->connector != NULL) != (n->type == NODE_SOURCE || n->type == NODE_SINK))
		return err_set(e, ERR_INVALID,
		    n->connector != NULL ? "a %s cannot have a connector" : "a %s must have a connector",
		    node_type_name(n->type));
	if ((n->assigner.struct_size != 0) != (n->type == NODE_WINDOW))
		return err_set(e, ERR_INVALID,
		    "a window assigner belongs to window operators, and to those only");
	if (n->type == NODE_WINDOW && check_assigner(&n->assigner, e) != 0)
		return -1;
	if (has_strategy ? n->type != NODE_SOURCE && n->type != NODE_WATERMARKS : n->type == NODE_WATERMARKS)
		return err_set(e, ERR_INVALID,
		    "a watermark strategy belongs to sources and watermark operators, and to those only");
	if (has_strategy && (n->watermark.out_of_orderness_ms < 0 || n->watermark.idle_timeout_ms < 0))
		return err_set(e, ERR_INVALID,
		    "out-of-orderness and idle timeout of its watermarks cannot be negative");
	if (n->fns[FN_TIMESTAMP].present && !has_strategy)
		return err_set(e, ERR_INVALID, "it has a timestamp function and no watermark strategy");
	if (n->in.size > INT32_MAX || n->out.size > INT32_MAX || n->acc_size > INT32_MAX)
		return err_set(e, ERR_INVALID, "a record or an accumulator of it is larger than 2 GiB");
	return check_fns(n, e);
}

static int check_edge(const struct stream_graph *g, const struct graph_edge *edge, struct err *e)
{
	const struct graph_node *from, *to;

	if (edge->from >= g->n_nodes || edge->to >= g->n_nodes)
		return err_set(e, ERR_INVALID,
		    "an edge leads from operator %" PRIu32 " to %" PRIu32 ", but there are only %u",
		    edge->from, edge->to, g->n_nodes);
	if (edge->from >= edge->to)
		return err_set(e, ERR_INVALID,
		    "an edge leads back from operator %" PRIu32 " to %" PRIu32 ", which makes a cycle",
		    edge->from, edge->to);
	from = &g->nodes[edge->from];
	to = &g->nodes[edge->to];
	if (from->type == NODE_SINK) {
		err_set(e, ERR_INVALID, "a sink has no output");
		return node_error(from, e);
	}
	if (to->type == NODE_SOURCE) {
		err_set(e, ERR_INVALID, "a source has no input");
		return node_error(to, e);
	}
	if (!graph_type_fits(&from->out, &to->in)) {
		err_set(e, ERR_INVALID,
		    "it takes %s of %" PRIu32 " bytes, and its input \"%s\" gives %s of %" PRIu32 " bytes",
		    to->in.name, to->in.size, from->name, from->out.name, from->out.size);
		return node_error(to, e);
	}
	if ((edge->ship == SHIP_HASH) != (to->key_kind != WEIR_KEY_NONE)) {
		err_set(e, ERR_INVALID, "a keyed operator needs a HASH edge, and no other operator has one");
		return node_error(to, e);
	}
	if (edge->ship == SHIP_CUSTOM) {
		err_set(e, ERR_INVALID, "an edge of its own partitioner is not known here");
		return node_error(to, e);
	}
	return 0;
}

static int check_uids(const struct stream_graph *g, struct err *e)
{
	for (unsigned i = 0; i < g->n_nodes; i++)
		for (unsigned j = 0; j < i && g->nodes[i].uid != NULL; j++)
			if (g->nodes[j].uid != NULL && strcmp(g->nodes[i].uid, g->nodes[j].uid) == 0) {
				err_set(e, ERR_INVALID, "its uid \"%s\" is already that of \"%s\"",
				    g->nodes[i].uid, g->nodes[j].name);
				return node_error(&g->nodes[i], e);
			}
	return 0;
}

int stream_graph_check(const struct stream_graph *g, struct err *e)
{
	bool *has_input;
	int rc = 0;

	if (g->job_name == NULL)
		return err_set(e, ERR_INVALID, "the job has no name");
	if (g->n_nodes == 0)
		return err_set(e, ERR_INVALID, "the job has no operators");
	if (g->n_nodes > GRAPH_MAX_NODES || g->n_edges > GRAPH_MAX_EDGES)
		return err_set(e, ERR_TOO_LARGE,
		    "the job has %u operators and %u edges; at most %d and %d are possible", g->n_nodes,
		    g->n_edges, GRAPH_MAX_NODES, GRAPH_MAX_EDGES);
	for (unsigned i = 0; i < g->n_nodes; i++)
		if (check_node(&g->nodes[i], e) != 0)
			return node_error(&g->nodes[i], e);
	if (check_uids(g, e) != 0)
		return -1;
	has_input = xcalloc(g->n_nodes, sizeof(*has_input));
	for (unsigned i = 0; i < g->n_edges && rc == 0; i++) {
		rc = check_edge(g, &g->edges[i], e);
		if (rc == 0)
			has_input[g->edges[i].to] = true;
	}
	for (unsigned i = 0; i < g->n_nodes && rc == 0; i++)
		if (!has_input[i] && g->nodes[i].type != NODE_SOURCE) {
			err_set(e, ERR_INVALID, "it has no input");
			rc = node_error(&g->nodes[i], e);
		}
	free(has_input);
	return rc;
}
