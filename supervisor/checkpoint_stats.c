/*
 * Records of checkpoints.
 */
#include "supervisor/checkpoint_stats.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void stats_init(struct checkpoint_stats *s, uint32_t history_size)
{
	memset(s, 0, sizeof(*s));
	s->history_size = history_size;
	s->newest_first = xcalloc((size_t)history_size + 1, sizeof(struct cc_checkpoint *));
}

static void record_free(struct cc_checkpoint *c)
{
	free(c->subtasks);
	free(c->external_path);
	free(c->failure);
	free(c);
}

void stats_fini(struct checkpoint_stats *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		record_free(s->records[i]);
	free(s->records);
	free(s->summary.samples);
	free(s->newest_first);
	free(s->restored_path);
	memset(s, 0, sizeof(*s));
}

static bool is_savepoint(const struct cc_checkpoint *c)
{
	return c->kind != CHECKPOINT_PERIODIC;
}

const struct cc_checkpoint *stats_latest(const struct checkpoint_stats *s, enum cc_status status,
    bool savepoint)
{
	for (uint32_t i = s->n; i-- > 0;) {
		const struct cc_checkpoint *c = s->records[i];

		/* What failed is asked for whatever it was to be. */
		if (c->status == status && (status == CC_FAILED || is_savepoint(c) == savepoint))
			return c;
	}
	return NULL;
}

const struct cc_checkpoint *stats_find(const struct checkpoint_stats *s, uint64_t id)
{
	for (uint32_t i = 0; i < s->n; i++) {
		if (s->records[i]->id == id)
			return s->records[i];
	}
	return NULL;
}

/* Beyond the history stays only what is in progress or the newest of its kind. */
static void forget(struct checkpoint_stats *s)
{
	const struct cc_checkpoint *keep[] = { stats_latest(s, CC_COMPLETED, false),
		stats_latest(s, CC_COMPLETED, true), stats_latest(s, CC_FAILED, false) };
	uint32_t over = s->n > s->history_size ? s->n - s->history_size : 0, n = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		struct cc_checkpoint *c = s->records[i];

		if (i >= over || c->status == CC_IN_PROGRESS || c == keep[0] || c == keep[1] || c == keep[2])
			s->records[n++] = c;
		else
			record_free(c);
	}
	s->n = n;
	n = n < s->history_size ? n : s->history_size;
	for (uint32_t i = 0; i < n; i++)
		s->newest_first[i] = s->records[s->n - 1 - i];
}

uint32_t stats_history(const struct checkpoint_stats *s, const struct cc_checkpoint *const **newest_first)
{
	*newest_first = s->newest_first;
	return s->n < s->history_size ? s->n : s->history_size;
}

struct cc_checkpoint *stats_begin(struct checkpoint_stats *s, uint64_t id, enum checkpoint_kind kind,
    uint32_t n_subtasks, int64_t now_ms)
{
	struct cc_checkpoint *c = xcalloc(1, sizeof(*c));

	c->id = id;
	c->status = CC_IN_PROGRESS;
	c->kind = kind;
	c->trigger_ms = now_ms;
	c->latest_ack_ms = c->end_ms = c->failure_ms = -1;
	c->n_subtasks = n_subtasks;
	c->subtasks = xcalloc((size_t)n_subtasks + 1, sizeof(*c->subtasks));
	for (uint32_t i = 0; i < n_subtasks; i++)
		c->subtasks[i].ack_ms = -1;
	s->counts.total++;
	s->counts.in_progress++;
	VEC_RESERVE(s->records, s->n, s->cap);
	s->records[s->n++] = c;
	forget(s);
	return c;
}

void stats_ack(struct cc_checkpoint *c, uint32_t idx, const struct ctl_ack *ack, int64_t now_ms)
{
	struct cc_subtask *t = &c->subtasks[idx];

	t->acked = true;
	c->n_acked++;
	t->ack_ms = c->latest_ack_ms = now_ms;
	if (ack == NULL)
		return;
	t->sync_ns = ack->sync_ns;
	t->async_ns = ack->async_ns;
	t->alignment_ns = ack->alignment_ns;
	t->start_delay_ns = ack->start_delay_ns;
	t->processed_bytes = ack->processed_bytes;
	t->state_bytes = (int64_t)ack->state_len;
	c->state_bytes += t->state_bytes;
}

static void summarize(struct cc_summary *u, uint32_t *cap, const struct cc_checkpoint *c)
{
	int64_t v[CC_N_FIGURES] = { [CC_STATE_BYTES] = c->state_bytes,
		[CC_END_TO_END_MS] = c->end_ms > c->trigger_ms ? c->end_ms - c->trigger_ms : 0 };
	uint32_t slot = (uint32_t)(u->n % CC_SAMPLES);

	for (uint32_t i = 0; i < c->n_subtasks; i++)
		v[CC_PROCESSED_BYTES] +=
		    c->subtasks[i].processed_bytes > 0 ? c->subtasks[i].processed_bytes : 0;
	if (slot == u->n_samples) {
		VEC_RESERVE(u->samples, u->n_samples, *cap);
		u->n_samples++;
	}
	memcpy(u->samples[slot], v, sizeof(v));
	for (int i = 0; i < CC_N_FIGURES; i++) {
		u->min[i] = u->n == 0 || v[i] < u->min[i] ? v[i] : u->min[i];
		u->max[i] = u->n == 0 || v[i] > u->max[i] ? v[i] : u->max[i];
		u->sum[i] += v[i];
	}
	u->n++;
}

void stats_completed(struct checkpoint_stats *s, struct cc_checkpoint *c, const char *path, int64_t now_ms)
{
	c->status = CC_COMPLETED;
	c->end_ms = now_ms;
	c->external_path = xstrdup(path);
	s->counts.in_progress--;
	s->counts.completed++;
	summarize(&s->summary, &s->cap_samples, c);
	forget(s);
}

void stats_failed(struct checkpoint_stats *s, struct cc_checkpoint *c, const char *why, int64_t now_ms)
{
	c->status = CC_FAILED;
	c->end_ms = c->failure_ms = now_ms;
	c->failure = xstrdup(why);
	s->counts.in_progress--;
	s->counts.failed++;
	forget(s);
}

void stats_discarded(struct checkpoint_stats *s, uint64_t id)
{
	for (uint32_t i = 0; i < s->n; i++) {
		if (s->records[i]->id == id)
			s->records[i]->discarded = true;
	}
}

void stats_restored(struct checkpoint_stats *s, uint64_t id, enum checkpoint_kind kind, const char *path,
    int64_t now_ms)
{
	/* The path may be the one that is kept here already. */
	char *copy = path != NULL ? xstrdup(path) : NULL;

	free(s->restored_path);
	s->restored_path = copy;
	s->restored = (struct cc_restored){ id, now_ms, kind != CHECKPOINT_PERIODIC, copy };
	s->counts.restored++;
}
