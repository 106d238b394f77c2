/*
 * What a user function sees: the context and the collector.
 */
#ifndef WORKER_RUNTIME_CONTEXT_H
#define WORKER_RUNTIME_CONTEXT_H

#include "worker/runtime/operator.h"

void context_init(struct op_ctx *c, struct operator *op);
/* A collector that hands on to `to`; its timestamp is set before each element. */
void collector_init(struct collector *c, struct operator *op, struct output *to);
void collector_fini(struct collector *c);

#endif
