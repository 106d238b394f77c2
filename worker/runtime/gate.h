/*
 * The input gate of a task: all rings that lead to it, taken in turn.
 *
 * Order is kept within a ring and nowhere else.  The gate puts fragments together,
 * decodes, keeps the watermark (the minimum over the active inputs), aligns barriers, and knows which inputs
 * are idle, blocked or at their end.  What is wrong in a ring fails the task with the ring, its producer and
 * what was found.
 */
#ifndef WORKER_RUNTIME_GATE_H
#define WORKER_RUNTIME_GATE_H

#include "shm/ring.h"
#include "worker/runtime/operator.h"

struct gate;

struct gate *gate_create(struct task *t, struct operator *head, struct err *e);
void gate_destroy(struct gate *g);
/* Add every ring of the job's edges that lead to this task. */
int gate_attach(struct gate *g, struct err *e);
/* One input. ring and producer ("Source (1/2)") are copied.
 * type: its wire format, NULL: bytes as they are. */
void gate_add_input(struct gate *g, const struct ring *ring, const char *producer,
    const struct graph_type *type);

/* On the task's fiber: until every input has ended or the task stops. */
void gate_run(struct gate *g);
/* A checkpoint was given up: nobody is held back for it any more. Between elements. */
void gate_abort(struct gate *g, uint64_t checkpoint_id);

/* The slot's thread. */
void gate_publish_tails(struct gate *g);
void gate_tick(struct gate *g, int64_t now_ns);

#endif
