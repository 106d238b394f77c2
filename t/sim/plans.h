/*
 * Plans without a job: source -> map -> sink, unchained, for tests of what comes after the builders.
 */
#ifndef T_SIM_PLANS_H
#define T_SIM_PLANS_H

#include <stdlib.h>

#include "base/mem.h"
#include "supervisor/execution_graph.h"
#include "worker/graph/plan.h"

/* other: with another name for every node. Caller frees. */
__attribute__((unused)) static char *plan_text(uint32_t parallelism, bool other)
{
	struct stream_graph *g = stream_graph_create();
	static const enum node_type types[] = { NODE_SOURCE, NODE_MAP, NODE_SINK };
	struct err e;
	char *plan;
	unsigned i;

	g->job_name = xstrdup("simulated");
	for (i = 0; i < ARRAY_LEN(types); i++) {
		struct graph_node *n = stream_graph_add_node(g, types[i]);
		enum fn_role role = types[i] == NODE_SOURCE ? FN_DESERIALIZER :
		    types[i] == NODE_SINK                   ? FN_SERIALIZER :
							      FN_MAIN;

		n->name = xasprintf("node %u%s", i, other ? " differs" : "");
		n->parallelism = (int32_t)parallelism;
		n->chaining = CHAIN_NEVER;
		n->fns[role].present = true;
		n->fns[role].name = xstrdup("fn");
		if (types[i] != NODE_MAP)
			n->connector = xstrdup("simulated");
		if (i > 0)
			stream_graph_add_edge(g, i - 1, i, SHIP_REBALANCE);
	}
	plan = plan_encode(g, &e);
	ASSERT(plan != NULL);
	stream_graph_destroy(g);
	return plan;
}

/* A program as a submission would have made it. */
__attribute__((unused)) static struct job_program *program_of_plan(uint32_t parallelism)
{
	struct job_program *p = xcalloc(1, sizeof(*p));
	struct err e;

	p->name = xstrdup("simulated");
	p->artifact = xstrdup("/nowhere.so");
	p->default_parallelism = parallelism;
	p->plan = plan_text(parallelism, false);
	p->plan_len = strlen(p->plan);
	p->stream = plan_decode(p->plan, p->plan_len, &e);
	ASSERT(p->stream != NULL);
	p->graph = job_graph_create(p->stream, parallelism, false, &e);
	ASSERT(p->graph != NULL);
	return p;
}

#endif
