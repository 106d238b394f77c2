/*
 * The logical graph of a job, as its main function built it: operators as nodes,
 * streams as edges.  Flink's StreamGraph.
 *
 * It comes from two places: from running main (graph/env.h), with the addresses of
 * its functions, and from a plan (graph/plan.h), without.  The supervisor only ever
 * has the second kind.  A plain tree of owned memory, freed by stream_graph_destroy.
 */
#ifndef WORKER_GRAPH_STREAM_GRAPH_H
#define WORKER_GRAPH_STREAM_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "include/weir.h"

enum node_type {
	NODE_SOURCE,     /* connector + deserializer */
	NODE_MAP,
	NODE_FILTER,
	NODE_FLAT_MAP,
	NODE_WATERMARKS, /* timestamps and watermarks behind a source */
	NODE_WINDOW,     /* keyed window with aggregate and optional window function */
	NODE_SINK,       /* serializer + connector */
	NODE_N_TYPES
};
const char *node_type_name(enum node_type t); /* "source", "map", ... as in the plan */

enum ship { SHIP_FORWARD, SHIP_HASH, SHIP_REBALANCE, SHIP_RESCALE, SHIP_SHUFFLE, SHIP_BROADCAST, SHIP_GLOBAL, SHIP_CUSTOM };
const char *ship_name(enum ship s); /* "FORWARD", ... */

enum chaining { CHAIN_ALWAYS, CHAIN_HEAD, CHAIN_NEVER };

/* What a function is to its node. At most one of each role. */
enum fn_role { FN_MAIN, FN_DESERIALIZER, FN_SERIALIZER, FN_TIMESTAMP, FN_KEY, FN_AGGREGATE, FN_WINDOW, FN_N_ROLES };

struct graph_option {
	char *key, *value;
};

struct graph_fn {
	bool present;
	char *name;
	void *block; /* constant parameter block, owned */
	uint32_t block_len;
	const weir_function *code; /* NULL in a graph that came from a plan */
};

struct graph_type {
	char *name; /* NULL: any */
	uint32_t size;
	uint32_t version;
	const weir_type *code; /* NULL in a graph that came from a plan */
};

struct graph_node {
	uint32_t id; /* 0-based position in nodes[], order of creation */
	enum node_type type;
	char *name; /* given, else the operator's own: "Map", "Window(TumblingEventTimeWindows(15000), ...)" */
	char *uid;  /* NULL: none */
	int32_t parallelism;     /* 0: the job's default */
	int32_t max_parallelism; /* 0: the job's default */
	enum chaining chaining;
	char *connector;         /* sources and sinks */
	weir_key_kind key_kind;  /* of a keyed node's input */
	struct graph_type in, out;
	uint32_t acc_size;       /* of the accumulator, window nodes */
	struct graph_fn fns[FN_N_ROLES];
	weir_assigner assigner;            /* struct_size 0: none */
	weir_watermark_strategy watermark; /* struct_size 0: none; .timestamp is in fns */
	struct graph_option *options;
	unsigned n_options;
};

struct graph_edge {
	uint32_t from, to; /* node ids */
	enum ship ship;    /* SHIP_HASH: by the key function of node `to` */
};

struct stream_graph {
	char *job_name;
	struct graph_node *nodes;
	unsigned n_nodes, cap_nodes;
	struct graph_edge *edges;
	unsigned n_edges, cap_edges;
	struct graph_option *settings; /* weir_env_set: parallelism.default, pipeline.operator-chaining, ... */
	unsigned n_settings;
};

struct stream_graph *stream_graph_create(void);
void stream_graph_destroy(struct stream_graph *g);
/* The value of a setting or of a node's option, or def. Borrowed. */
const char *stream_graph_setting(const struct stream_graph *g, const char *key, const char *def);
const char *graph_node_option(const struct graph_node *n, const char *key, const char *def);

#endif
