/*
 * Options of the Kafka connector, by the names of Flink's: what a job wrote with
 * weir_set, checked.
 */
#ifndef WORKER_CONNECTORS_KAFKA_OPTIONS_H
#define WORKER_CONNECTORS_KAFKA_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "worker/graph/stream_graph.h"

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
	int64_t discovery_ms;      /* look for new partitions this often; 0: never */
	int64_t fetch_wait_max_ms; /* a broker answers an empty fetch after this */
};

/* Read a node's options, as source or as sink by its type. The sentence names the option. 0 or -1. */
int kafka_options_parse(const struct graph_node *n, struct kafka_options *o, struct err *e);

/* Flink's rule: which subtask reads a partition. */
uint32_t kafka_partition_owner(const char *topic, int32_t partition, uint32_t parallelism);

#endif
