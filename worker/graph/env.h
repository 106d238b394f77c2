/*
 * The environment that a job's main function builds its graph in: what stands behind
 * weir_env_api.  Lives while main runs, in the job builder and in the workers.
 *
 * The first error sticks: every later call returns at once, with a stream that
 * takes all calls and does nothing.  The operator that failed is still nameless then, since
 * weir_name comes behind; its stream is the culprit, and a name it is given later is the
 * name in the sentence.
 *
 * env_* is for plugin.c; the rest is between env.c and api_*.c.
 */
#ifndef WORKER_GRAPH_ENV_H
#define WORKER_GRAPH_ENV_H

#include "worker/graph/stream_graph.h"

#define ENV_FILE_MAX (8u << 20)

enum stream_state {
	STREAM_PLAIN,
	STREAM_KEYED,    /* between weir_key_by and the next operator */
	STREAM_WINDOWED, /* between weir_window_by and weir_aggregate */
	STREAM_END,      /* behind a sink */
	STREAM_DEAD      /* behind an error */
};

struct stream {
	struct weir_stream pub; /* first: the handle is a pointer to it */
	struct env *env;
	uint32_t node; /* whose output this is */
	enum stream_state state;
	const weir_function *key;
	weir_assigner assigner;
	enum ship ship; /* of the edge to the next operator, unless it is keyed */
	bool ship_given;
};

struct env {
	struct weir_env pub; /* first: the handle is a pointer to it */
	struct stream_graph *g;
	const weir_param *params;           /* the job's table */
	const struct stream_graph *planned; /* where files come from at a replay, or NULL */
	struct stream **streams;            /* every handle given out */
	unsigned n_streams, cap_streams;
	struct stream dead;
	struct err err; /* the first error; code ERR_NONE: none */
	struct stream *culprit;
	char *culprit_name;
	bool executed;
};

/* params: the job's table, borrowed.  planned: a graph that weir_file reads from, borrowed, or NULL. */
struct env *env_create(const weir_param *params, const struct stream_graph *planned);
void env_destroy(struct env *env);
/*
 * The graph, when main returned rc: ownership goes to the caller.  NULL with the sticky error, or where main
 * failed without one or did not call weir_execute.
 */
struct stream_graph *env_take(struct env *env, int rc, struct err *e);

static inline struct env *env_of(weir_env *env)
{
	return (struct env *)env;
}

static inline struct stream *stream_of(weir_stream *s)
{
	return (struct stream *)s;
}

static inline struct graph_node *stream_node(const struct stream *s)
{
	return &s->env->g->nodes[s->node];
}

/* The error sticks unless one does already. Returns -1. */
int env_fail(struct env *env, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for an operator: the sentence begins with name (copied) or with the one that the stream
 * returned is given later. */
weir_stream *env_fail_at(struct env *env, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool env_failed(const struct env *env);
/* A new handle for the output of node. */
struct stream *env_stream(struct env *env, uint32_t node, enum stream_state state);

/* A function of an operator not yet made: is it of this kind and whole? 0, or -1 and a sentence that
 * does not name the operator. */
int fn_check(const weir_function *fn, weir_fn_kind kind, struct err *e);
const char *fn_kind_name(weir_fn_kind kind); /* "map function", ... */
/* Do records of `have`, which come from operator `from`, fit what fn takes? */
int fn_check_input(const weir_function *fn, const struct graph_type *have, const char *from, struct err *e);
void fn_type(struct graph_type *t, const weir_type *code);
void fn_keep(struct graph_fn *slot, const weir_function *fn, const void *block, uint32_t len);

/* A setting of a job: known and in range? */
int setting_check(const char *key, const char *value, struct err *e);
/* weir_set on a node, for "weir.*" and a connector's own options. */
int node_set(struct graph_node *n, const char *key, const char *value, struct err *e);

/* The calls, by file. */
weir_stream *api_source(weir_env *env, const char *connector, const weir_function *deserializer);
weir_stream *api_transform(weir_stream *s, const weir_function *fn, const void *block, uint32_t len);
weir_stream *api_key_by(weir_stream *s, const weir_function *selector);
weir_stream *api_partition(weir_stream *s, const char *strategy);
weir_stream *api_sink(weir_stream *s, const char *connector, const weir_function *serializer);
weir_stream *api_window(weir_stream *s, const weir_assigner *assigner);
weir_stream *api_aggregate(weir_stream *s, const weir_function *agg, const weir_function *window_fn);
weir_stream *api_watermarks(weir_stream *s, const weir_watermark_strategy *strategy);
/* Append a node behind s, with its key; names and types are the caller's. Borrowed until the next one. */
struct graph_node *api_append(struct stream *s, enum node_type type, const char *name);

#endif
