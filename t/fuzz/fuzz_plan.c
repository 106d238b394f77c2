/*
 * Plans of any bytes: no crash, and what is accepted is a graph that can be written,
 * read again as the same text, and turned into vertices and rings.
 */
#include "base/mem.h"
#include "worker/graph/job_graph.h"
#include "worker/graph/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first and last rings suffice: there may be a million. */
static void check_rings(const struct job_graph *jg)
{
	for (uint32_t r = 0; r < jg->n_rings; r += r < 64 || jg->n_rings - r < 64 ? 1 : jg->n_rings / 64) {
		uint32_t edge, p, c;

		layout_ring_ends(jg, r, &edge, &p, &c);
		ASSERT(layout_ring(jg, edge, p, c) == r);
	}
}

static void check_vertices(const struct job_graph *jg)
{
	uint32_t n_ops = 0;

	for (uint32_t v = 0; v < jg->n_vertices; v++) {
		const struct job_vertex *vertex = &jg->vertices[v];

		n_ops += vertex->n_ops;
		ASSERT(vertex->n_ops > 0 && vertex->parent[0] == -1);
		ASSERT(vertex->parallelism > 0 && vertex->parallelism <= vertex->max_parallelism);
		for (uint32_t i = 1; i < vertex->n_ops; i++)
			ASSERT(vertex->parent[i] >= 0 && (uint32_t)vertex->parent[i] < i);
	}
	ASSERT(n_ops == jg->stream->n_nodes);
	for (uint32_t i = 0; i < jg->n_edges; i++)
		ASSERT(jg->edges[i].from_vertex < jg->edges[i].to_vertex ||
		    !jg->vertices[jg->edges[i].from_vertex].is_source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy of exactly this size, so that a read behind it is seen. */
	char *json = xmemdup(data, size), *text, *second;
	struct err e = { 0 };
	struct stream_graph *g, *again;
	struct job_graph *jg;

	g = plan_decode(json, size, &e);
	free(json);
	if (g == NULL) {
		ASSERT(e.msg[0] != '\0');
		return 0;
	}
	text = plan_encode(g, &e);
	if (text != NULL) { /* escapes may have grown it over the limit */
		again = plan_decode(text, strlen(text), &e);
		ASSERT(again != NULL && plan_compare(g, again, true, &e) == 0);
		second = plan_encode(again, &e);
		ASSERT(second != NULL && strcmp(text, second) == 0);
		free(second);
		stream_graph_destroy(again);
	}
	free(text);
	jg = job_graph_create(g, 3, false, &e);
	if (jg != NULL) {
		check_vertices(jg);
		check_rings(jg);
	}
	job_graph_destroy(jg);
	stream_graph_destroy(g);
	return 0;
}
