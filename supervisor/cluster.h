/*
 * The cluster as it runs: the Dispatcher's state machines bound to processes, messages and
 * files.  Supervisor process, one loop.  Nothing is decided here; what happened goes to the
 * Dispatcher, what it asks for goes to tm_link, builder_run, deploy and storage.
 */
#ifndef SUPERVISOR_CLUSTER_H
#define SUPERVISOR_CLUSTER_H

#include "base/conf.h"
#include "supervisor/dispatcher.h"
#include "supervisor/jar_store.h"
#include "supervisor/storage.h"
#include "supervisor/tm_link.h"

struct event_base;
struct cluster;

struct cluster_config {
	struct event_base *base;
	const struct conf *conf; /* with every directory resolved and made; borrowed until cluster_set_conf */
	int stderr_fd;           /* where children write their log lines, too */
	int workers_lock_fd;     /* inherited by TaskManagers, locked before jobs of the store go on; 0: none */
	int64_t stop_grace_ms;   /* from SHUTDOWN to SIGKILL of a TaskManager */
	/* After cluster_stop, once, from the loop: jobs, TaskManagers and the storage process are gone. */
	void (*stopped)(void *arg);
	void *arg;
};

struct cluster *cluster_create(const struct cluster_config *cfg);
/* Fork the storage process and the TaskManagers. */
void cluster_start(struct cluster *c);
/* End everything in order: jobs, TaskManagers, storage. */
void cluster_stop(struct cluster *c);
/* Kills what still lives. */
void cluster_destroy(struct cluster *c);

/* On SIGCHLD. */
void cluster_reap(struct cluster *c);
/*
 * A reloaded configuration, which outlives the cluster or the next call. Missing TaskManagers are forked
 * at once, surplus ones drained; their jobs go on with what is left.
 */
void cluster_set_conf(struct cluster *c, const struct conf *conf);
/* Log and output files of the TaskManagers, after they were rotated. */
void cluster_reopen_logs(struct cluster *c);
/* What there is, into the log. */
void cluster_dump(const struct cluster *c);

/* For the gateway. */
struct gateway *cluster_gateway(struct cluster *c);
const struct conf *cluster_conf(const struct cluster *c);
struct dispatcher *cluster_dispatcher(const struct cluster *c);
struct jar_store *cluster_jars(const struct cluster *c);
struct operations *cluster_operations(const struct cluster *c);
struct checkpoint_store *cluster_checkpoints(const struct cluster *c);
const struct clock *cluster_clock(const struct cluster *c);
/* NULL: there is no such place. */
struct tm_link *cluster_link(const struct cluster *c, uint32_t place);
/* Call it after whatever may have changed the Dispatcher's state. */
void cluster_poke(struct cluster *c);

#endif
