/*
 * The cluster's answers to rest/gateway.h.
 */
#ifndef SUPERVISOR_GATEWAY_H
#define SUPERVISOR_GATEWAY_H

#include "rest/gateway.h"

struct cluster;

/* Both borrowed from each other; the cluster owns the gateway. */
struct gateway *gateway_create(struct cluster *c);
void gateway_destroy(struct gateway *g);

#endif
