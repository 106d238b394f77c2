/*
 * The job graph: operators chained into vertices.  Made from a stream graph and a
 * default parallelism, without user code, the same way in the supervisor and in
 * every worker.
 */
#ifndef WORKER_GRAPH_JOB_GRAPH_H
#define WORKER_GRAPH_JOB_GRAPH_H

#include "base/id.h"
#include "worker/graph/stream_graph.h"

#define MAX_PARALLELISM_DEFAULT 128

struct job_vertex {
	struct id128 id; /* Flink's, of the chain's head; REST prints it */
	char *name;      /* "Source: ClickEvent Source", "A -> B" for a chain, as Flink 1.14 prints it */
	uint32_t parallelism;
	uint32_t max_parallelism;
	uint32_t n_ops;
	uint32_t *ops;    /* node ids, chain in topological order; ops[0] is the head */
	int32_t *parent;  /* index in ops of the chained predecessor, -1 for the head */
	bool is_source;
};

struct job_edge {
	uint32_t from_vertex, to_vertex;
	uint32_t from_op; /* node id in from_vertex whose output it is */
	enum ship ship;
	uint32_t first_ring; /* set by layout: ring of producer p and consumer c, see layout_ring */
};

struct job_graph {
	const struct stream_graph *stream; /* borrowed; outlives this */
	struct job_vertex *vertices; /* topological order, sources first */
	uint32_t n_vertices;
	struct job_edge *edges;
	uint32_t n_edges;
	struct id128 *op_ids; /* Flink's operator id of each node */
	uint32_t n_rings;
	uint32_t n_slots; /* the largest parallelism: slot i runs subtask i of each vertex */
};

/*
 * Chain, name, compute ids and lay out the rings.
 * default_parallelism: of operators that name none (job setting parallelism.default wins over it
 *                      unless force is set: `run -p`).
 * Errors: parallelism over max parallelism, a FORWARD edge between different parallelisms …
 */
struct job_graph *job_graph_create(const struct stream_graph *g, uint32_t default_parallelism, bool force, struct err *e);
void job_graph_destroy(struct job_graph *jg);
/* How many operators keep state and have no uid: their state is lost when the graph changes. */
unsigned job_graph_n_stateful_without_uid(const struct job_graph *jg);
/* The vertex that operator `node` was chained into, and its place in ops[]. */
uint32_t job_graph_vertex_of(const struct job_graph *jg, uint32_t node, uint32_t *place);

/* More rings than this are refused: each takes 40 KiB and a mapping at the least. */
#define LAYOUT_MAX_RINGS (1u << 20)
/* Number the rings edge by edge; -1 where there are too many. Called by job_graph_create. */
int layout_assign(struct job_graph *jg, struct err *e);

/* The ring of an edge that joins producer p to consumer c, or UINT32_MAX where there is none (FORWARD, p != c). */
uint32_t layout_ring(const struct job_graph *jg, uint32_t edge, uint32_t p, uint32_t c);
/* The reverse: what ring r joins. */
void layout_ring_ends(const struct job_graph *jg, uint32_t r, uint32_t *edge, uint32_t *p, uint32_t *c);
/* How many inbound rings one subtask of the edge's consumer has on it. */
uint32_t layout_inbound(const struct job_graph *jg, uint32_t edge);

/* Flink's key hash and key groups, bit for bit. */
uint32_t key_hash_int(int32_t v);
uint32_t key_hash_long(int64_t v);
uint32_t key_hash_string(const char *utf8, size_t len); /* Java's String.hashCode, by UTF-16 unit */
uint32_t key_hash_bytes(const void *p, size_t len);     /* Arrays.hashCode(byte[]) */
uint32_t key_hash(weir_key_kind kind, const weir_key *key);
uint32_t key_group(uint32_t hash, uint32_t max_parallelism);
uint32_t key_group_subtask(uint32_t group, uint32_t max_parallelism, uint32_t parallelism);
/* First and one past the last key group of a subtask. */
void key_group_range(uint32_t subtask, uint32_t max_parallelism, uint32_t parallelism, uint32_t *first, uint32_t *end);
void murmur3_128(const void *p, size_t len, uint8_t out[16]);

#endif
