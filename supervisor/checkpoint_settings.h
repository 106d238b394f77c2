/*
 * How a job takes checkpoints: the configuration's keys, over which the job's own settings win. Pure.
 */
#ifndef SUPERVISOR_CHECKPOINT_SETTINGS_H
#define SUPERVISOR_CHECKPOINT_SETTINGS_H

#include "base/conf.h"
#include "rest/gateway.h"
#include "supervisor/checkpoint_coordinator.h"
#include "worker/graph/stream_graph.h"

/* Which checkpoints stay after the job's end. */
enum checkpoint_retention { RETAIN_NONE, RETAIN_FAILED, RETAIN_CANCELED };

struct checkpoint_settings {
	struct cc_settings cc;
	enum checkpoint_retention retention;
};

void checkpoint_settings_from(struct checkpoint_settings *s, const struct conf *conf);
/* Apply what the job says of itself; -1: a setting of it is not acceptable. */
int checkpoint_settings_of_job(struct checkpoint_settings *s, const struct stream_graph *g, struct err *e);
/* Do the checkpoints of a job that ended like this stay? A suspended one's always do. */
bool checkpoint_settings_retain(const struct checkpoint_settings *s, enum job_state end);

#endif
