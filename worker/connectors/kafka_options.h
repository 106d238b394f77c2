/*
 * Options of the Kafka connector, by the names of Flink's: what a job wrote with
 * weir_set, checked, and the librdkafka configurations that come of it.
 */
#ifndef WORKER_CONNECTORS_KAFKA_OPTIONS_H
#define WORKER_CONNECTORS_KAFKA_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "worker/graph/stream_graph.h"

struct rd_kafka_conf_s; /* librdkafka's; its header is for three files here */

enum kafka_startup { KAFKA_START_GROUP, KAFKA_START_EARLIEST, KAFKA_START_LATEST, KAFKA_START_TIMESTAMP };
/* Where to start a partition for which the group has no offset. */
enum kafka_reset { KAFKA_RESET_EARLIEST, KAFKA_RESET_LATEST, KAFKA_RESET_NONE };

/* Plain value; all text is borrowed from the node. */
struct kafka_options {
	const struct graph_node *node;
	const char *topic;
	const char *servers;
	const char *group_id;  /* NULL: none given */
	const char *client_id; /* NULL: none given */
	enum kafka_startup startup;
	int64_t startup_timestamp_ms;
	enum kafka_reset reset;
	bool bounded;
	bool skip_malformed;
	int64_t discovery_ms;     /* look for new partitions this often; 0: never */
	int64_t fetch_wait_max_ms; /* a broker answers an empty fetch after this */
};

/* Read a node's options, as source or as sink by its type. The sentence names the option. 0 or -1. */
int kafka_options_parse(const struct graph_node *n, struct kafka_options *o, struct err *e);

/* Also asks librdkafka about every property. As connector.validate; connects to nothing. */
int kafka_options_validate(const struct graph_node *n, struct err *e);

/*
 * A new configuration with this connector's defaults, then the node's properties, then what is not
 * negotiable.  client_id is what every connection carries.  Caller gives it to rd_kafka_new or destroys it.
 */
struct rd_kafka_conf_s *kafka_options_conf(const struct kafka_options *o, const char *client_id, struct err *e);

/* "weir-<job>-<attempt>-<subtask>", behind the node's own client.id where there is one; caller frees. */
char *kafka_client_id(const struct kafka_options *o, const char *job_id, uint64_t attempt, uint32_t subtask);

/* Flink's rule: which subtask reads a partition. */
uint32_t kafka_partition_owner(const char *topic, int32_t partition, uint32_t parallelism);

#endif
