/*
 * The CheckpointCoordinator of one job: when checkpoints are triggered, who has acknowledged, when one
 * is complete, which ones are kept.  JobManager's process.  Pure: the clock and the actions are passed
 * in; it knows nothing of processes and files.  From inside an action coordinator_stop and
 * coordinator_savepoint may be called, nothing else that changes it.
 *
 *   TRIGGERED → (all acknowledged) → STORING → (durable) → COMPLETED → notify, retention
 *      ↘ declined, expired, a task failed, could not be stored → FAILED → abort
 *
 * Invariants:
 *   - Nobody is told that a checkpoint is complete before it is durable.
 *   - Ids never repeat in the life of a job, restarts of the JobManager included.
 *   - What comes from an attempt gone by, or for a checkpoint that is over, is dropped.
 *   - One that is durable is given up only when a newer one is.
 *
 * A checkpoint that is STORING when its attempt ends goes on.  When it becomes durable it is the newest and
 * what the next attempt begins with: the JobMaster deploys nothing while coordinator_storing says
 * so, which ends with coordinator_on_stored or the checkpoint's timeout.  Nobody is notified of it
 * then.  One that turns out to be durable after it was given up is discarded.
 *
 * A SAVEPOINT belongs to whoever asked for it: tasks are not notified of it, restarts do not begin with
 * it, and it is not discarded.  Of a SYNC_SAVEPOINT tasks are notified, so that they commit and end, and
 * a restart begins with it; after its trigger nothing else is triggered unless it fails.
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
	int64_t interval_ms; /* 0: none but on demand */
	int64_t timeout_ms, min_pause_ms;
	uint32_t max_concurrent, num_retained;
	int64_t tolerable_failures; /* then the job fails */
	bool at_least_once;
	uint32_t history_size; /* checkpoints that statistics show; 0: 10 */
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
struct cc_counts {
	uint64_t restored, total, in_progress, completed, failed;
};
/* What the present attempt began with. */
struct cc_restored {
	uint64_t id; /* 0: none */
	int64_t restore_ms;
	bool is_savepoint;
	const char *path; /* NULL: unknown */
};

/* Of all that were completed: bounds and sums, and the figures of the newest CC_SAMPLES for percentiles. */
#define CC_SAMPLES 1000
enum cc_figure { CC_STATE_BYTES, CC_END_TO_END_MS, CC_PROCESSED_BYTES, CC_N_FIGURES };
struct cc_summary {
	uint64_t n;
	int64_t min[CC_N_FIGURES], max[CC_N_FIGURES], sum[CC_N_FIGURES];
	uint32_t n_samples; /* in any order */
	int64_t (*samples)[CC_N_FIGURES];
};

struct coordinator;

struct cc_ops {
	/* Send TRIGGER to every worker that runs tasks without a running predecessor. */
	void (*trigger)(void *arg, const struct ctl_trigger *t);
	void (*notify)(void *arg, uint64_t checkpoint_id);
	void (*abort)(void *arg, uint64_t checkpoint_id);
	/*
	 * Make it durable below `target` (where savepoints go; NULL: as the job's chk-<id>).  f is borrowed
	 * until this returns; coordinator_on_stored follows, later and exactly once.
	 */
	void (*store)(void *arg, const struct checkpoint_file *f, const char *target);
	/* Remove one that a newer one subsumes, or that was durable too late; path as on_stored gave it. */
	void (*discard)(void *arg, uint64_t checkpoint_id, const char *path);
	/* More than tolerable failed in a row: the attempt fails with this sentence. */
	void (*too_many_failures)(void *arg, const struct err *e);
	/* A savepoint asked for has come to its end: e NULL and its path, or why not. */
	void (*savepoint_done)(void *arg, uint64_t request, const char *path, const struct err *e);
};

/* Settings are copied; clock and ops are borrowed. first_id: one over the highest known. */
struct coordinator *coordinator_create(const struct id128 *job_id, const char *job_name,
    const struct cc_settings *s, uint64_t first_id, const struct clock *clock, const struct cc_ops *ops,
    void *arg);
/* What is in progress is forgotten: no action is called. */
void coordinator_destroy(struct coordinator *c);
/* The job has ended: what a restart would begin with is let go of. After coordinator_stop. */
void coordinator_close(struct coordinator *c);

/* The tasks of a new attempt, vertex after vertex; all RUNNING from now on: triggering begins. */
struct cc_task {
	struct id128 vertex;
	uint32_t vertex_idx, subtask, parallelism, max_parallelism;
};
void coordinator_start(struct coordinator *c, uint64_t attempt, const struct cc_task *tasks,
    uint32_t n_tasks);
/* The attempt is over: what is in progress fails (a STORING one goes on). Ignored without one. */
void coordinator_stop(struct coordinator *c, const char *why);
/* A task has ended by itself: it counts as acknowledged, now and in later checkpoints. */
void coordinator_on_finished(struct coordinator *c, uint64_t attempt, uint32_t vertex, uint32_t subtask);
void coordinator_on_ack(struct coordinator *c, const struct ctl_ack *a);
void coordinator_on_decline(struct coordinator *c, const struct ctl_decline *d);
/* e NULL: it is durable at path. */
void coordinator_on_stored(struct coordinator *c, uint64_t checkpoint_id, const char *path,
    const struct err *e);
void coordinator_on_time(struct coordinator *c);
int64_t coordinator_deadline_ns(const struct coordinator *c); /* INT64_MAX: none */
/*
 * Savepoint now (kind SAVEPOINT or SYNC_SAVEPOINT) below target; answered by ops->savepoint_done with this
 * request (not 0), also from inside, when it is refused: no attempt runs, or the job stops already.
 */
void coordinator_savepoint(struct coordinator *c, uint64_t request, enum checkpoint_kind kind, bool drain,
    const char *target);

/* One is being stored and nobody knows yet whether it counts: a restart has to wait. */
bool coordinator_storing(const struct coordinator *c);
/* What a restart begins with, 0: nothing. Its bytes are kept in a memfd, borrowed until the next event. */
uint64_t coordinator_latest(const struct coordinator *c, int *fd);
/* The same with where it lies and what it is, for coordinator_restored. */
uint64_t coordinator_latest_place(const struct coordinator *c, const char **path, enum checkpoint_kind *kind);
/*
 * An attempt begins with this one.  Takes ownership of fd, unless it is the one coordinator_latest gave.
 * first: it comes from an earlier life or from a user's savepoint and is what restarts begin with from
 * now on; ids go on behind it.  kind is SAVEPOINT for everything that a user named by its path:
 * it is not ours to discard, while a checkpoint of an earlier life is retained like one of this life.
 */
void coordinator_restored(struct coordinator *c, uint64_t checkpoint_id, int fd, enum checkpoint_kind kind,
    const char *path, bool first);
/* An older checkpoint of an earlier life is still there: it is discarded in its turn. */
void coordinator_retain(struct coordinator *c, uint64_t checkpoint_id, const char *path);

/* Statistics, borrowed until the next event. */
struct cc_counts coordinator_counts(const struct coordinator *c);
const struct cc_summary *coordinator_summary(const struct coordinator *c);
struct cc_restored coordinator_last_restored(const struct coordinator *c);
uint32_t coordinator_history(const struct coordinator *c, const struct cc_checkpoint *const **newest_first);
/* NULL: none. savepoint: of these or of the others; what failed is asked for together. */
const struct cc_checkpoint *coordinator_latest_of(const struct coordinator *c, enum cc_status s,
    bool savepoint);
/* One that is remembered, or NULL. */
const struct cc_checkpoint *coordinator_find(const struct coordinator *c, uint64_t checkpoint_id);

#endif
