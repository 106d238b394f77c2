/*
 * The result partitions of one operator: every edge on which its records leave
 * the task, a ring for each subtask they may go to.  The operator's output.
 *
 * A record is written once, into the ring where its type's serializer or memcpy puts it; a
 * full ring makes the task wait.  Elements over a quarter of a ring travel as fragments.
 * Watermarks, status and end of input go to all channels, in order with the records.
 */
#ifndef WORKER_RUNTIME_PARTITION_H
#define WORKER_RUNTIME_PARTITION_H

#include "shm/ring.h"
#include "worker/runtime/operator.h"
#include "worker/runtime/task.h"

struct partition;

struct partition *partition_create(struct task *t);
void partition_destroy(struct partition *p);
/* Add a job edge with this task's producer sides of its rings. */
int partition_attach(struct partition *p, uint32_t edge, struct err *e);
struct output *partition_output(struct partition *p);
/* A barrier to every channel, in order with the records. May wait. */
void partition_barrier(struct partition *p, const struct barrier *b);
/* The slot's thread: publish every ring. */
void partition_publish(struct partition *p);

/* ---- the parts, for tests ---- */

/* How an edge's records are spread. */
struct edge_spec {
	enum ship ship;
	const weir_type *type;          /* for its serializer; NULL: bytes as they are */
	const weir_function *key;       /* SHIP_HASH */
	uint32_t max_parallelism;       /* SHIP_HASH */
	uint32_t subtask, parallelism;  /* of the producer */
	const char *to_name;            /* the consuming vertex, borrowed */
	uint32_t n_channels;
	const struct ring *rings;       /* copied; one a consuming subtask */
};
int partition_add_edge(struct partition *p, const struct edge_spec *spec, struct err *e);

/* The wire format of a job edge: what its producing operator gives, else what its consumer takes. */
const struct graph_type *edge_type(const struct job_graph *jg, uint32_t edge);

#endif
