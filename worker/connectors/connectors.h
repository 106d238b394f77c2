/*
 * The connectors there are.  connector_find (worker/runtime/operator.h) finds them by name.
 */
#ifndef WORKER_CONNECTORS_CONNECTORS_H
#define WORKER_CONNECTORS_CONNECTORS_H

#include "worker/runtime/operator.h"

extern const struct connector connector_kafka;
extern const struct connector connector_sequence;  /* source: numbers, no outside world */
extern const struct connector connector_blackhole; /* sink: serializes, counts, discards */

#endif
