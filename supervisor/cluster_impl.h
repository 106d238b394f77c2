/*
 * The inside of the cluster, shared by cluster.c, which binds processes, cluster_store.c, which binds
 * files (artifacts, checkpoints, the job store), and cluster_scale.c, which knows how many TaskManagers
 * there are to be.  Included by nobody else.
 */
#ifndef SUPERVISOR_CLUSTER_IMPL_H
#define SUPERVISOR_CLUSTER_IMPL_H

#include "supervisor/checkpoint_store.h"
#include "supervisor/cluster.h"
#include "supervisor/operations.h"

/* A builder of a submission; gone with its answer or its kill. */
struct build {
	struct cluster *cluster;
	uint32_t submission;
	unsigned which;
	struct builder_run *run;
	struct build *next;
};

struct cluster {
	struct cluster_config cfg;
	const struct conf *conf;
	const struct clock *clock;
	struct children *children;
	struct storage *storage;
	struct jar_store *jars;
	struct checkpoint_store *checkpoints;
	struct operations *operations;
	struct event *lock_timer; /* while a worker of an earlier supervisor lives */
	bool lock_told;
	uint32_t n_records; /* of the job store, still to be read at the start */
	struct dispatcher *dispatcher;
	struct gateway *gateway;
	struct tm_link **links;                    /* of place 1 first */
	struct metrics_region **regions;           /* of the registered process there; NULL: none */
	enum { KEPT, DRAINING, DRAINED } * drains; /* a place each */
	uint32_t n_links, n_links_stopped;         /* DRAINED ones are among both */
	struct tm_events tm_events;
	struct build *builds;
	struct event *turn, *timer;
	int64_t armed_ns; /* what the timer is set to; INT64_MAX: not set */
	bool stopping;
	bool ending; /* every job is over; TaskManagers and storage are being ended */
};

/* What the Dispatcher asks for; arg is the cluster. */
void cluster_op_store(void *arg, uint32_t submission, const char *path);
void cluster_op_unstore(void *arg, const char *artifact);
void cluster_op_store_checkpoint(void *arg, const struct id128 *job, const struct checkpoint_file *f,
    const char *target);
void cluster_op_discard_checkpoint(void *arg, const char *path);
void cluster_op_discard_checkpoints(void *arg, const struct id128 *job);
void cluster_op_savepoint_done(void *arg, uint64_t request, const char *path, const struct err *e);
void cluster_op_find_checkpoint(void *arg, uint32_t submission, const struct id128 *job, const char *path);
void cluster_op_record(void *arg, uint32_t submission, const struct id128 *job, const void *data, size_t len);
void cluster_op_unrecord(void *arg, const struct id128 *job);

/* At the start: go on with the jobs of the job store, then remove artifacts that none of them has. */
void cluster_resume(struct cluster *c);

/* As many TaskManagers as configured, with as many slots. */
void cluster_scale(struct cluster *c);
/* There is no process at this place, and none to come. */
void cluster_link_stopped(struct cluster *c, uint32_t place);

#endif
