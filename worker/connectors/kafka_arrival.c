/* When a source hears of messages in its client's queue. */
#include "worker/connectors/kafka_arrival.h"

#include <unistd.h>

#include "worker/connectors/kafka_client.h"

/* On a thread of librdkafka's, with the queue's lock held: the queue was empty and is not any more. */
static void on_message(struct rd_kafka_s *rk, void *opaque)
{
	static const uint64_t one = 1;
	struct kafka_arrival *a = opaque;

	(void)rk;
	/* Full: it is rung already. */
	if (atomic_load_explicit(&a->ring, memory_order_relaxed) && write(a->eventfd, &one, sizeof(one)) < 0)
		return;
}

void kafka_arrival_init(struct kafka_arrival *a, int eventfd, int64_t pause_ns)
{
	a->eventfd = eventfd;
	a->pause_ns = pause_ns;
	a->paused_until_ns = INT64_MIN;
	atomic_init(&a->ring, true);
}

void kafka_arrival_watch(struct kafka_arrival *a, struct rd_kafka_queue_s *queue)
{
	kafka_client_on_arrival(queue, on_message, a);
}

void kafka_arrival_unwatch(struct rd_kafka_queue_s *queue)
{
	kafka_client_on_arrival(queue, NULL, NULL);
}
