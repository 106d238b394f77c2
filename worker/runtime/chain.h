/*
 * The operator chain of a task: its operators, wired by function calls, with the
 * task's result partitions at the ends.
 */
#ifndef WORKER_RUNTIME_CHAIN_H
#define WORKER_RUNTIME_CHAIN_H

#include "worker/runtime/operator.h"

struct barrier;
struct chain;
struct checkpoint_file;

/* All operators of t's vertex with their partitions and rings; nothing is opened yet. */
struct chain *chain_create(struct task *t, struct err *e);
void chain_destroy(struct chain *c);
struct operator *chain_head(const struct chain *c);

/* On the task's fiber. Last operator first; whatever comes out, chain_close is due. */
int chain_open(struct chain *c, struct err *e);
/* First operator first; those whose open was tried. */
void chain_close(struct chain *c);
/* Call the timer of every operator whose time has come. */
void chain_run_timers(struct chain *c);
int64_t chain_next_timer_ms(const struct chain *c);
/* The source has no more: the last watermark, through the chain; then the end. */
void chain_last_watermark(struct chain *c);
void chain_end(struct chain *c);

/*
 * Write a section for each operator that has state, first operator first.
 * waits:   one an operator; set where its acknowledgement is still due
 * Returns: 0, or -1: one of them cannot
 */
int chain_snapshot(struct chain *c, uint64_t checkpoint_id, struct snapshot_writer *w, bool *waits,
    uint32_t *n_waits, struct err *e);
/* The barrier to every channel of every partition, behind what was written before. May wait. */
void chain_barrier(struct chain *c, const struct barrier *b);
void chain_notify_complete(struct chain *c, uint64_t checkpoint_id);
/* Hand each operator its state out of all old subtasks' bytes. */
int chain_restore(struct chain *c, const struct checkpoint_file *f, struct err *e);
uint32_t chain_length(const struct chain *c);
uint32_t chain_place(const struct chain *c, const struct operator *op);

/* The slot's thread: publish all rings of all partitions. */
void chain_publish(struct chain *c);

#endif
