/*
 * The plan: a stream graph as JSON, in canonical key order, 64-bit integers as
 * strings, blocks in base64, at most PLAN_MAX bytes.  It is all that leaves the job
 * builder; names, blocks and options come from it everywhere, only addresses from a replay.
 */
#ifndef WORKER_GRAPH_PLAN_H
#define WORKER_GRAPH_PLAN_H

#include "worker/graph/stream_graph.h"

#define PLAN_MAX     (16u << 20)
#define PLAN_VERSION 1 /* of the format; a plan of another is refused */

/* Canonical text; caller frees. NULL where it is over PLAN_MAX. */
char *plan_encode(const struct stream_graph *g, struct err *e);
/* Check everything that another process wrote: ids, ranges, cycles, unknown types, members that are
 * missing, double or unknown, text that is not UTF-8. */
struct stream_graph *plan_decode(const char *json, size_t len, struct err *e);

/* 0 where both are the same graph; otherwise -1 and a sentence that names the first operator
 * (or setting) that differs and how.
 * with_blocks: compare parameter blocks, options, settings, arguments and files too. */
int plan_compare(const struct stream_graph *a, const struct stream_graph *b, bool with_blocks, struct err *e);

/* Move the addresses of `replayed` (made by running main) into `planned`, after plan_compare without blocks. */
int plan_bind(struct stream_graph *planned, const struct stream_graph *replayed, struct err *e);

#endif
