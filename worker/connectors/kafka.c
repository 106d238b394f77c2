/* The row of the connector "kafka". */
#include "worker/connectors/kafka.h"
#include "worker/connectors/connectors.h"
#include "worker/connectors/kafka_client.h"

const struct connector connector_kafka = {
	.name = "kafka",
	.source = &kafka_source_type,
	.sink = &kafka_sink_type,
	.validate = kafka_client_validate,
};
