/*
 * A job's arguments by its table of parameters: `--name value`, `--name=value`,
 * `--flag`, and `--prefix.KEY value` for a row named "prefix.*".
 */
#ifndef WORKER_GRAPH_PARAMS_H
#define WORKER_GRAPH_PARAMS_H

#include "worker/graph/stream_graph.h"

/*
 * Read argv (without a program name) into *options: defaults first, in the table's order; the last
 * value given wins; a flag that is set is "true", one that is not has no entry.
 * Returns 0 or -1 with the argument, and the nearest known name where there is none of that name.
 */
int params_parse(const weir_param *table, int argc, const char *const *argv, struct graph_option **options,
    unsigned *n, struct err *e);

/* The row that name (without dashes) belongs to: an exact one before a prefix, or NULL. */
const weir_param *params_row(const weir_param *table, const char *name);
/* Where a row's name ends in ".*", the length of what stands before the star; else 0. */
size_t params_prefix_len(const char *row_name);

#endif
