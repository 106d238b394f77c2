/*
 * What is remembered of a job's checkpoints for people: counts, the last ones in order, the newest of each
 * kind.  Decides nothing.
 */
#ifndef SUPERVISOR_CHECKPOINT_STATS_H
#define SUPERVISOR_CHECKPOINT_STATS_H

#include "supervisor/checkpoint_coordinator.h"

struct checkpoint_stats {
	struct cc_counts counts;
	struct cc_summary summary;
	uint32_t cap_samples;
	struct cc_restored restored;
	char *restored_path;
	struct cc_checkpoint **records; /* oldest first; more than history_size while they are needed */
	const struct cc_checkpoint **newest_first;
	uint32_t n, cap, history_size;
};

void stats_init(struct checkpoint_stats *s, uint32_t history_size);
void stats_fini(struct checkpoint_stats *s);

/* Borrowed until stats_fini; in progress, it is not forgotten. */
struct cc_checkpoint *stats_begin(struct checkpoint_stats *s, uint64_t id, enum checkpoint_kind kind,
    uint32_t n_subtasks, int64_t now_ms);
/* One more subtask counts as acknowledged. ack NULL: it had ended before. */
void stats_ack(struct cc_checkpoint *c, uint32_t idx, const struct ctl_ack *ack, int64_t now_ms);
/* After these two c may be forgotten. */
void stats_completed(struct checkpoint_stats *s, struct cc_checkpoint *c, const char *path, int64_t now_ms);
void stats_failed(struct checkpoint_stats *s, struct cc_checkpoint *c, const char *why, int64_t now_ms);
void stats_discarded(struct checkpoint_stats *s, uint64_t id);
void stats_restored(struct checkpoint_stats *s, uint64_t id, enum checkpoint_kind kind, const char *path,
    int64_t now_ms);

uint32_t stats_history(const struct checkpoint_stats *s, const struct cc_checkpoint *const **newest_first);
const struct cc_checkpoint *stats_latest(const struct checkpoint_stats *s, enum cc_status status,
    bool savepoint);
const struct cc_checkpoint *stats_find(const struct checkpoint_stats *s, uint64_t id);

#endif
