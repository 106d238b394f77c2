/*
 * The operator chain of a task: its operators, wired by function calls, with the
 * task's result partitions at the ends.
 */
#ifndef WORKER_RUNTIME_CHAIN_H
#define WORKER_RUNTIME_CHAIN_H

#include "worker/runtime/operator.h"

struct chain;

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
/* The source has no more: the last watermark, then the end, through the chain. */
void chain_end_source(struct chain *c);

/* The slot's thread: publish all rings of all partitions. */
void chain_publish(struct chain *c);

#endif
