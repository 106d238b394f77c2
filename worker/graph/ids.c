/*
 * Operator ids by the rules of Flink's StreamGraphHasherV2.
 *
 * Operators are visited breadth first from the sources; one whose inputs have no id
 * yet is left and met again behind a later input.  The id of the k-th visited is
 * murmur3_128 of k, written once and once more for each chained output, then mixed
 * with the id of each input: h = h * 37 ^ input, byte by byte.  A uid's own hash
 * replaces all that, and such an operator does not wait for its inputs.
 */
#include "worker/graph/ids.h"

#include "base/mem.h"
#include "worker/graph/job_graph.h"

struct visit {
	const struct stream_graph *g;
	const bool *chained;
	struct id128 *ids;
	bool *done, *queued;
	uint32_t n_done;
};

static bool inputs_done(const struct visit *v, uint32_t node)
{
	for (unsigned i = 0; i < v->g->n_edges; i++)
		if (v->g->edges[i].to == node && !v->done[v->g->edges[i].from])
			return false;
	return true;
}

static void hash_position(const struct visit *v, uint32_t node, struct id128 *id)
{
	uint8_t *text;
	size_t len = 4;

	for (unsigned i = 0; i < v->g->n_edges; i++)
		if (v->g->edges[i].from == node && v->chained[i])
			len += 4;
	text = xmalloc(len);
	for (size_t i = 0; i < len; i++)
		text[i] = (uint8_t)(v->n_done >> 8 * (i % 4));
	murmur3_128(text, len, id->b);
	free(text);
	for (unsigned i = 0; i < v->g->n_edges; i++) {
		const struct graph_edge *edge = &v->g->edges[i];

		if (edge->to != node)
			continue;
		for (unsigned j = 0; j < sizeof(id->b); j++)
			id->b[j] = (uint8_t)(id->b[j] * 37u ^ v->ids[edge->from].b[j]);
	}
}

/* False: an input has no id yet. */
static bool hash_node(struct visit *v, uint32_t node)
{
	const struct graph_node *n = &v->g->nodes[node];

	if (n->uid != NULL)
		murmur3_128(n->uid, strlen(n->uid), v->ids[node].b);
	else if (inputs_done(v, node))
		hash_position(v, node, &v->ids[node]);
	else
		return false;
	v->done[node] = true;
	v->n_done++;
	return true;
}

static int check_unique(const struct visit *v, struct err *e)
{
	for (unsigned i = 0; i < v->g->n_nodes; i++)
		for (unsigned j = 0; j < i; j++)
			if (id_equal(&v->ids[i], &v->ids[j]))
				return err_set(e, ERR_INVALID,
				    "operators \"%s\" and \"%s\" come to the same id; give one of them "
				    "another uid",
				    v->g->nodes[j].name, v->g->nodes[i].name);
	return 0;
}

int ids_compute(const struct stream_graph *g, const bool *chained, struct id128 *ids, struct err *e)
{
	struct visit v = { .g = g, .chained = chained, .ids = ids };
	/* A node enters the queue anew only for an edge not yet followed. */
	uint32_t *queue = xcalloc((size_t)g->n_nodes + g->n_edges, sizeof(*queue));
	uint32_t head = 0, tail = 0;
	int rc;

	v.done = xcalloc(g->n_nodes, sizeof(*v.done));
	v.queued = xcalloc(g->n_nodes, sizeof(*v.queued));
	for (unsigned i = 0; i < g->n_nodes; i++)
		if (g->nodes[i].type == NODE_SOURCE) {
			queue[tail++] = i;
			v.queued[i] = true;
		}
	while (head < tail) {
		uint32_t node = queue[head++];

		if (!hash_node(&v, node)) {
			v.queued[node] = false;
			continue;
		}
		for (unsigned i = 0; i < g->n_edges; i++)
			if (g->edges[i].from == node && !v.queued[g->edges[i].to]) {
				queue[tail++] = g->edges[i].to;
				v.queued[g->edges[i].to] = true;
			}
	}
	if (v.n_done == g->n_nodes)
		rc = check_unique(&v, e);
	else
		rc = err_set(e, ERR_INVALID, "%u operators cannot be reached from a source",
		    g->n_nodes - v.n_done);
	free(v.queued);
	free(v.done);
	free(queue);
	return rc;
}
