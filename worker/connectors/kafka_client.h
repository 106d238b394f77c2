/*
 * What the Kafka source and sink have in common on librdkafka's side: configurations,
 * the client's log, client ids, which errors pass.
 */
#ifndef WORKER_CONNECTORS_KAFKA_CLIENT_H
#define WORKER_CONNECTORS_KAFKA_CLIENT_H

#include <stdatomic.h>

#include "worker/connectors/kafka_options.h"

/* librdkafka's; its header is for three files here */
struct rd_kafka_s;
struct rd_kafka_conf_s;
struct rd_kafka_message_s;
struct rd_kafka_queue_s;
struct rd_kafka_op_s;
struct rd_kafka_topic_partition_s;
struct rd_kafka_topic_partition_list_s;

#define KAFKA_CALL_MS 1000 /* the longest a call on the connector thread waits */

/*
 * A new configuration with this connector's defaults, then the node's properties, then what is not
 * negotiable.  client_id is what every connection carries.  Caller gives it to rd_kafka_new or destroys it.
 */
struct rd_kafka_conf_s *kafka_client_conf(const struct kafka_options *o, const char *client_id,
    struct err *e);

/* "weir-<job>-<attempt>-<subtask>", behind the node's own client.id where there is one; caller frees. */
char *kafka_client_id(const struct kafka_options *o, const char *job_id, uint64_t attempt, uint32_t subtask);

/* Reads the options and asks librdkafka about every property. As connector.validate; connects to nothing. */
int kafka_client_validate(const struct graph_node *n, struct err *e);

/* A property's value, NULL: it has none; caller frees. */
char *kafka_client_property(const struct rd_kafka_conf_s *conf, const char *name);

/*
 * Wake every thread of the client.  No call is there for this alone: new credentials wake whoever might wait to
 * use them, at the cost of a lock and of no request.  They are the old ones.
 */
void kafka_client_wake(struct rd_kafka_s *rk, const char *user, const char *password);
/* Call fn when the queue is not empty any more, on a thread of librdkafka's, under the queue's lock; NULL: no more. */
void kafka_client_on_arrival(struct rd_kafka_queue_s *queue, void (*fn)(struct rd_kafka_s *rk, void *opaque),
    void *opaque);

/* What to make of a rd_kafka_resp_err_t. */
enum kafka_fault {
	KAFKA_FAULT_PASSES,   /* time betters it, librdkafka tries again by itself or can be asked again */
	KAFKA_FAULT_NO_TOPIC, /* the topic or the partition does not exist */
	KAFKA_FAULT_FINAL     /* authorization, a bad name, a fatal error */
};
enum kafka_fault kafka_fault_of(int resp_err);

/* An error that came in place of a message. 0: librdkafka goes on by itself; -1: the task fails. */
int kafka_client_judge(const struct kafka_options *o, const struct rd_kafka_message_s *m, struct err *e);

/* Value, key and timestamp of a message, borrowed from it. */
void kafka_client_content(const struct rd_kafka_message_s *m, weir_message *out);

/* A question that had this answer, or none. 0: ask again, with e why; -1: e is the task's failure. */
int kafka_client_unanswered(const struct kafka_options *o, int resp_err, const char *what, struct err *e);

/* An offset to be committed, by whom. */
void kafka_client_tag(struct rd_kafka_s *rk, struct rd_kafka_topic_partition_s *p, int64_t offset,
    const char *tag);
/* Where a partition starts by p, what the group has of it; *start stays when that says nothing. 0 or -1. */
int kafka_client_group_start(const struct kafka_options *o, const struct rd_kafka_topic_partition_s *p,
    const char *tag, int64_t *start, struct err *e);

/* Messages known to be behind a position (negative: none is known), -1: unknown. Does not ask the broker. */
int64_t kafka_client_behind(struct rd_kafka_s *rk, const char *topic, int32_t partition, int64_t position);

/* These wait, and return a rd_kafka_resp_err_t. Connector thread. */

/* Ask for the offset at a time, or at the end (RD_KAFKA_OFFSET_END), of every partition of the list. */
int kafka_client_offsets_at(struct rd_kafka_s *rk, struct rd_kafka_topic_partition_list_s *list,
    int64_t when);
/* Put the offset of now in the place of each RD_KAFKA_OFFSET_END in the list; asks only if there is one. */
int kafka_client_end_as_number(struct rd_kafka_s *rk, struct rd_kafka_topic_partition_list_s *list);
int kafka_client_commit_wait(struct rd_kafka_s *rk, const char *group,
    const struct rd_kafka_topic_partition_list_s *list);

/*
 * Commit offsets to a group; the result comes into queue as an event.  Does not wait.  By the administrator's
 * request and not the consumer's: a consumer is not destroyed before its last commit was answered, which a
 * broker that stands still does not.
 */
void kafka_client_commit(struct rd_kafka_s *rk, const char *group,
    const struct rd_kafka_topic_partition_list_s *list, struct rd_kafka_queue_s *queue);
/* What the event says, a rd_kafka_resp_err_t. Destroys it. */
int kafka_client_commit_result(struct rd_kafka_op_s *event);

/* What a broker's answers say, noted by librdkafka's threads. */
struct kafka_watch {
	_Atomic int64_t fetched_ns; /* monotonic, of the last good answer to a fetch; INT64_MIN: none */
	_Atomic bool alive;         /* some broker has answered something */
	int eventfd;                /* rung when it first does */
};
/* w must live as long as the client that is made of conf. */
void kafka_client_watch(struct rd_kafka_conf_s *conf, struct kafka_watch *w, int eventfd);

static inline int64_t kafka_watch_fetched_ns(const struct kafka_watch *w)
{
	return atomic_load_explicit(&w->fetched_ns, memory_order_relaxed);
}
static inline bool kafka_watch_alive(const struct kafka_watch *w)
{
	return atomic_load_explicit(&w->alive, memory_order_relaxed);
}

#endif
