/*
 * When a source hears of messages in its client's queue.  At once, where none came for a while; else after
 * a pause, so that a stream of few messages, each fetched by itself, does not wake the slot for each.
 * What else wakes the slot meanwhile takes along what is there.
 */
#ifndef WORKER_CONNECTORS_KAFKA_ARRIVAL_H
#define WORKER_CONNECTORS_KAFKA_ARRIVAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define KAFKA_PAUSE_NS (8 * NS_PER_MS)

struct rd_kafka_queue_s;

struct kafka_arrival {
	int eventfd;
	_Atomic bool ring;       /* librdkafka's threads read it, under the queue's lock */
	int64_t pause_ns;        /* 0: hear of everything at once */
	int64_t paused_until_ns; /* the slot looks by itself then */
};

void kafka_arrival_init(struct kafka_arrival *a, int eventfd, int64_t pause_ns);
/* a must live until kafka_arrival_unwatch. */
void kafka_arrival_watch(struct kafka_arrival *a, struct rd_kafka_queue_s *queue);
void kafka_arrival_unwatch(struct rd_kafka_queue_s *queue);

/* Before messages are taken from the queue: by its lock, either we see a message or its sender the flag. */
static inline void kafka_arrival_before(struct kafka_arrival *a, int64_t now_ns)
{
	atomic_store_explicit(&a->ring, now_ns >= a->paused_until_ns, memory_order_relaxed);
}

/* few: some were there, but not so many that the client may be waiting for room. */
static inline void kafka_arrival_after(struct kafka_arrival *a, int64_t now_ns, bool few)
{
	if (few)
		a->paused_until_ns = now_ns + a->pause_ns;
}

#endif
