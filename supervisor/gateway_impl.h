/*
 * The inside of the gateway, shared by gateway.c (jobs, TaskManagers, jars) and gateway_checkpoints.c.
 * Included by nobody else.
 */
#ifndef SUPERVISOR_GATEWAY_IMPL_H
#define SUPERVISOR_GATEWAY_IMPL_H

#include "supervisor/cluster.h"
#include "supervisor/gateway.h"

struct gateway {
	struct cluster *cluster;
};

#endif
