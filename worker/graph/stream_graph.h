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
	NODE_WATERMARKS, /* timestamps and watermarks behind another operator; a source has its own strategy */
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

/* What weir_file read: main sees the same bytes at every replay. */
struct graph_file {
	char *path;
	void *data; /* a NUL behind */
	uint32_t len;
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
	bool given;        /* by the job. Otherwise FORWARD, which the job graph turns into REBALANCE
	                    * where the parallelism of both ends differs */
};

struct stream_graph {
	char *job_name;
	struct graph_node *nodes;
	unsigned n_nodes, cap_nodes;
	struct graph_edge *edges;
	unsigned n_edges, cap_edges;
	struct graph_option *settings; /* weir_env_set: parallelism.default, pipeline.operator-chaining, ... */
	unsigned n_settings;
	struct graph_option *params; /* the job's arguments, with defaults: weir_ctx_param */
	unsigned n_params;
	struct graph_file *files;
	unsigned n_files;
};

#define GRAPH_MAX_NODES       1024
#define GRAPH_MAX_EDGES       4096
#define GRAPH_MAX_OPTIONS     1024 /* of one operator, and as many settings and parameters */
#define GRAPH_MAX_PARALLELISM 32768 /* also the largest max parallelism, as in Flink */

struct stream_graph *stream_graph_create(void);
void stream_graph_destroy(struct stream_graph *g);
/* Append a zeroed node or edge. The pointers are borrowed until the next such call. */
struct graph_node *stream_graph_add_node(struct stream_graph *g, enum node_type type);
struct graph_edge *stream_graph_add_edge(struct stream_graph *g, uint32_t from, uint32_t to, enum ship ship);
/* Set or replace key in a list of options. */
void graph_option_set(struct graph_option **options, unsigned *n, const char *key, const char *value);

/*
 * Is the graph whole?  At least one operator; edges lead from earlier nodes to later ones, so
 * there is no cycle; sources have no input and all others one; uids are unique; types agree
 * along each edge; each node has the functions of its type.
 * Run on what a job built and on what a plan says.  Returns 0 or -1 with the operator's name.
 */
int stream_graph_check(const struct stream_graph *g, struct err *e);
/* Can anything go over an edge from a stream of `from` to an input of `to`? */
bool graph_type_fits(const struct graph_type *from, const struct graph_type *to);

/*
 * The operator's name as log, metrics and REST print it: "Source: NAME", "Sink NAME", else NAME.
 * That is Flink 1.14's: fromSource puts "Source: " in front and sinkTo, for a sink without a
 * committer, "Sink " without a colon (only the older addSink had "Sink: ").  Caller frees.
 */
char *graph_node_operator_name(const struct graph_node *n);
/* Does the operator keep state, so that it wants a uid? Sources keep positions, windows their panes. */
bool graph_node_is_stateful(const struct graph_node *n);
/* An argument of the job by its name without dashes, its default, or NULL. Borrowed. */
const char *stream_graph_param(const struct stream_graph *g, const char *name);

/* Names to values; -1 where there is no such name. */
int node_type_parse(const char *name);
int ship_parse(const char *name);
int fn_role_parse(const char *name);
int key_kind_parse(const char *name);
int chaining_parse(const char *name);
const char *fn_role_name(enum fn_role r); /* "main", "deserializer", ... as in the plan */
const char *key_kind_name(weir_key_kind k); /* "none", "int", "long", "string", "bytes" */
const char *chaining_name(enum chaining c); /* "always", "head", "never" */
/* The value of a setting or of a node's option, or def. Borrowed. */
const char *stream_graph_setting(const struct stream_graph *g, const char *key, const char *def);
const char *graph_node_option(const struct graph_node *n, const char *key, const char *def);

#endif
