/*
 * Which messages of a sink are still under way, by the barrier that they were produced before.
 *
 * Each message carries the epoch it was produced in; a barrier ends an epoch.  Reports come in any
 * order, as each partition answers for itself, so an epoch is over when as many reports as messages
 * are in, and a barrier's effects are out when its epoch and all older ones are over.
 */
#ifndef WORKER_CONNECTORS_DELIVERY_H
#define WORKER_CONNECTORS_DELIVERY_H

#include <stdbool.h>
#include <stdint.h>

struct delivery_epoch {
	uint64_t checkpoint_id; /* of the barrier that ended it */
	uint64_t n_under_way;
};
struct delivery {
	uint64_t first;                /* number of epochs[0] */
	struct delivery_epoch *epochs; /* the last is the open one */
	uint32_t n, cap;
};

void delivery_init(struct delivery *d);
void delivery_fini(struct delivery *d);

static inline uint64_t delivery_epoch(const struct delivery *d)
{
	return d->first + d->n - 1;
}
/* A message was taken, with delivery_epoch's number; a report of one that has it is in. */
static inline void delivery_produced(struct delivery *d)
{
	d->epochs[d->n - 1].n_under_way++;
}
void delivery_reported(struct delivery *d, uint64_t epoch);
/* A barrier. Returns whether all before it is out; else delivery_take_done will name the checkpoint. */
bool delivery_barrier(struct delivery *d, uint64_t checkpoint_id);
/* Some barrier is waiting; the first of them need not any more. */
bool delivery_waiting(const struct delivery *d);
bool delivery_done(const struct delivery *d);
/* The first barrier all before which is out, and forget it. */
bool delivery_take_done(struct delivery *d, uint64_t *checkpoint_id);

#endif
