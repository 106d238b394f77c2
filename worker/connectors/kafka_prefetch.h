/*
 * Keeps librdkafka's prefetching going.  Its thread for a broker that finds the consumer's queue full
 * as it decides about the next fetch looks again after up to a second, and nobody tells it that the
 * queue has drained: a fast consumer would stand still for most of that second.
 */
#ifndef WORKER_CONNECTORS_KAFKA_PREFETCH_H
#define WORKER_CONNECTORS_KAFKA_PREFETCH_H

#include <stdbool.h>
#include <stdint.h>

struct rd_kafka_s;
struct rd_kafka_conf_s;

/* Plain value. */
struct kafka_prefetch {
	int64_t step_messages, step_bytes;   /* taken out of the queue between two wake-ups */
	int64_t taken_messages, taken_bytes; /* since the last */
	bool can_wake;
	char *user, *password; /* NULL: none was given */
};

/* Reads the limits of the queue from the consumer's configuration. */
void kafka_prefetch_init(struct kafka_prefetch *p, const struct rd_kafka_conf_s *conf);
void kafka_prefetch_fini(struct kafka_prefetch *p);
void kafka_prefetch_wake(struct kafka_prefetch *p, struct rd_kafka_s *rk);

/* So much was taken out of the queue. Never waits. */
static inline void kafka_prefetch_taken(struct kafka_prefetch *p, struct rd_kafka_s *rk, int64_t messages,
    int64_t bytes)
{
	p->taken_messages += messages;
	p->taken_bytes += bytes;
	if (p->taken_messages >= p->step_messages || p->taken_bytes >= p->step_bytes)
		kafka_prefetch_wake(p, rk);
}

#endif
