/* The two operators of the Kafka connector. */
#ifndef WORKER_CONNECTORS_KAFKA_H
#define WORKER_CONNECTORS_KAFKA_H

#include "worker/runtime/operator.h"

extern const struct operator_type kafka_source_type;
extern const struct operator_type kafka_sink_type;

#endif
