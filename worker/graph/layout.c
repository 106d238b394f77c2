/*
 * Which ring joins which subtasks.  Rings are numbered edge by edge, on an edge by
 * consumer and then by producer, so that a subtask's inbound rings lie side by side.
 * A FORWARD edge has one ring a pair of equal subtasks, every other edge one for
 * each producer with each consumer.
 */
#include "worker/graph/job_graph.h"

static uint32_t n_producers(const struct job_graph *jg, const struct job_edge *edge)
{
	return jg->vertices[edge->from_vertex].parallelism;
}

static uint32_t n_consumers(const struct job_graph *jg, const struct job_edge *edge)
{
	return jg->vertices[edge->to_vertex].parallelism;
}

int layout_assign(struct job_graph *jg, struct err *e)
{
	uint64_t n = 0;

	jg->n_slots = 0;
	for (uint32_t v = 0; v < jg->n_vertices; v++)
		if (jg->vertices[v].parallelism > jg->n_slots)
			jg->n_slots = jg->vertices[v].parallelism;
	for (uint32_t i = 0; i < jg->n_edges; i++) {
		struct job_edge *edge = &jg->edges[i];

		edge->first_ring = (uint32_t)n;
		n += edge->ship == SHIP_FORWARD ? n_consumers(jg, edge) :
						  (uint64_t)n_producers(jg, edge) * n_consumers(jg, edge);
		if (n > LAYOUT_MAX_RINGS)
			return err_set(e, ERR_TOO_LARGE,
			    "the job needs more than %u rings between its subtasks; lower the parallelism of "
			    "\"%s\" or \"%s\"",
			    LAYOUT_MAX_RINGS, jg->vertices[edge->from_vertex].name,
			    jg->vertices[edge->to_vertex].name);
	}
	jg->n_rings = (uint32_t)n;
	return 0;
}

uint32_t layout_inbound(const struct job_graph *jg, uint32_t edge)
{
	const struct job_edge *je = &jg->edges[edge];

	return je->ship == SHIP_FORWARD ? 1 : n_producers(jg, je);
}

uint32_t layout_ring(const struct job_graph *jg, uint32_t edge, uint32_t p, uint32_t c)
{
	const struct job_edge *je = &jg->edges[edge];

	ASSERT(edge < jg->n_edges && p < n_producers(jg, je) && c < n_consumers(jg, je));
	if (je->ship == SHIP_FORWARD)
		return p == c ? je->first_ring + c : UINT32_MAX;
	return je->first_ring + c * n_producers(jg, je) + p;
}

void layout_ring_ends(const struct job_graph *jg, uint32_t r, uint32_t *edge, uint32_t *p, uint32_t *c)
{
	uint32_t i = jg->n_edges, at;

	ASSERT(r < jg->n_rings);
	while (jg->edges[i - 1].first_ring > r)
		i--;
	*edge = i - 1;
	at = r - jg->edges[*edge].first_ring;
	if (jg->edges[*edge].ship == SHIP_FORWARD) {
		*p = *c = at;
	} else {
		*c = at / n_producers(jg, &jg->edges[*edge]);
		*p = at % n_producers(jg, &jg->edges[*edge]);
	}
}
