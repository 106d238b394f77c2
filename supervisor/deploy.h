/*
 * Deploying an attempt: the exchange with its rings, the plan, and a DEPLOY message to each
 * TaskManager that takes part.  Everything that can fail is done before the first message is sent.
 */
#ifndef SUPERVISOR_DEPLOY_H
#define SUPERVISOR_DEPLOY_H

#include "base/conf.h"
#include "supervisor/job_master.h"
#include "supervisor/tm_link.h"

/* links: of place 1 first. Returns 0 or -1; some may have their message even so. */
int deploy_attempt(const struct job_master *jm, struct tm_link *const *links, uint32_t n_links,
    const struct conf *conf, struct err *e);

#endif
