/*
 * Operator ids: Flink's, so that state and REST clients find the same operator
 * under the same 32 hex digits.
 */
#ifndef WORKER_GRAPH_IDS_H
#define WORKER_GRAPH_IDS_H

#include "base/id.h"
#include "worker/graph/stream_graph.h"

/*
 * Fill ids[g->n_nodes].  chained[i]: edge i of g joins two operators of one chain;
 * an id without a uid depends on how many of them leave its operator.
 * Returns 0, or -1 where two operators come to the same id or an input is missing.
 */
int ids_compute(const struct stream_graph *g, const bool *chained, struct id128 *ids, struct err *e);

#endif
