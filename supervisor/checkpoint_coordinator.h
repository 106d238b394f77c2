/*
 * The CheckpointCoordinator of one job: when checkpoints are triggered, who has
 * acknowledged, when one is complete, which ones are kept.  JobManager's process.  Pure: the clock and
 * the actions are passed in; it knows nothing of processes and files.
 *
 *   TRIGGERED → (all acknowledged) → STORING → (durable) → COMPLETED → notify, retention
 *      ↘ declined, expired, a task failed, could not be stored → FAILED → abort
 *
 * Invariants:
 *   - Nobody is told that a checkpoint is complete before it is durable.
 *   - Ids never repeat in the life of a job, restarts of the JobManager included.
 *   - What comes from an attempt gone by, or for a checkpoint that is over, is dropped.
 */
#ifndef SUPERVISOR_CHECKPOINT_COORDINATOR_H
#define SUPERVISOR_CHECKPOINT_COORDINATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "worker/control.h"
#include "worker/state/checkpoint_file.h"

struct cc_settings {
	int64_t interval_ms;  /* 0: none but on demand */
	int64_t timeout_ms, min_pause_ms;
	uint32_t max_concurrent, num_retained;
	int64_t tolerable_failures; /* then the job fails */
	bool at_least_once;
};

/* One checkpoint, for statistics and REST. Stamps are wall ms, durations as named, -1: not yet. */
struct cc_subtask {
	bool acked;
	int64_t ack_ms, sync_ns, async_ns, alignment_ns, start_delay_ns, state_bytes, processed_bytes;
};
enum cc_status { CC_IN_PROGRESS, CC_COMPLETED, CC_FAILED };
struct cc_checkpoint {
	uint64_t id;
	enum cc_status status;
	enum checkpoint_kind kind;
	int64_t trigger_ms, latest_ack_ms, end_ms;
	int64_t state_bytes;
	uint32_t n_subtasks, n_acked;
	struct cc_subtask *subtasks; /* vertex after vertex */
	char *external_path;         /* "file:/…/chk-7", NULL */
	char *failure;               /* sentence, NULL */
	int64_t failure_ms;
	bool discarded;
};
struct cc_counts { uint64_t restored, total, in_progress, completed, failed; };

struct coordinator;

struct cc_ops {
	/* Send TRIGGER to every worker that runs tasks without a running predecessor. */
	void (*trigger)(void *arg, const struct ctl_trigger *t);
	void (*notify)(void *arg, uint64_t checkpoint_id);
	void (*abort)(void *arg, uint64_t checkpoint_id);
	/* Make it durable at `target` (a savepoint's directory; NULL: the job's chk-<id>); coordinator_on_stored follows. */
	void (*store)(void *arg, const struct checkpoint_file *f, const char *target);
	/* Remove one that is subsumed; path as on_stored gave it. */
	void (*discard)(void *arg, uint64_t checkpoint_id, const char *path);
	/* More than tolerable failed: the attempt fails with this sentence. */
	void (*too_many_failures)(void *arg, const struct err *e);
	/* A savepoint asked for has come to its end: e NULL and its path, or why not. */
	void (*savepoint_done)(void *arg, uint64_t request, const char *path, const struct err *e);
};

struct coordinator *coordinator_create(const struct id128 *job_id, const char *job_name, const struct cc_settings *s,
    uint64_t first_id, const struct clock *clock, const struct cc_ops *ops, void *arg);
void coordinator_destroy(struct coordinator *c);

/* The tasks of a new attempt, vertex after vertex; all RUNNING from now on: triggering begins. */
struct cc_task { struct id128 vertex; uint32_t vertex_idx, subtask, parallelism, max_parallelism; };
void coordinator_start(struct coordinator *c, uint64_t attempt, const struct cc_task *tasks, uint32_t n_tasks);
/* The attempt is over: what is in progress fails (a STORING one goes on and may complete). */
void coordinator_stop(struct coordinator *c, const char *why);
/* A task has ended by itself: it counts as acknowledged, now and in later checkpoints. */
void coordinator_on_finished(struct coordinator *c, uint64_t attempt, uint32_t vertex, uint32_t subtask);
void coordinator_on_ack(struct coordinator *c, const struct ctl_ack *a);
void coordinator_on_decline(struct coordinator *c, const struct ctl_decline *d);
void coordinator_on_stored(struct coordinator *c, uint64_t checkpoint_id, const char *path, const struct err *e);
void coordinator_on_time(struct coordinator *c);
int64_t coordinator_deadline_ns(const struct coordinator *c); /* INT64_MAX: none */
/* Savepoint now (kind SAVEPOINT or SYNC_SAVEPOINT); answered by ops->savepoint_done with this request. */
void coordinator_savepoint(struct coordinator *c, uint64_t request, enum checkpoint_kind kind, bool drain, const char *target);

/* The newest completed one: what a restart begins with. Its bytes are kept in a memfd. */
uint64_t coordinator_latest(const struct coordinator *c, int *fd); /* 0: none */
/* A restart or a start from a savepoint or an earlier life begins with this one. Takes ownership of fd. */
void coordinator_restored(struct coordinator *c, uint64_t checkpoint_id, int fd, enum checkpoint_kind kind, const char *path, bool first);

/* Statistics. */
struct cc_counts coordinator_counts(const struct coordinator *c);
uint32_t coordinator_history(const struct coordinator *c, const struct cc_checkpoint *const **newest_first);
const struct cc_checkpoint *coordinator_latest_of(const struct coordinator *c, enum cc_status s, bool savepoint); /* NULL: none */

#endif
