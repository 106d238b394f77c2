/*
 * Timestamps and watermarks behind a source: Flink's TimestampsAndWatermarks for a
 * stream that is not the source's own.  (Within a source, each split has its own; see
 * worker/connectors/reader.c.)
 *
 * The bounded-out-of-orderness watermark is the largest timestamp less the bound less
 * one.  It is emitted every pipeline.auto-watermark-interval, and after every PERIOD_RECORDS records so
 * that a fast stream's windows fire early.  Upstream watermarks are dropped, but for the last one.
 *
 * The input is idle when it was silent for the strategy's timeout.  Time in which this task did not run, or in
 * which its output held it up (a full ring, a firing behind it in the chain), is no silence.
 */
#include "base/clock.h"
#include "worker/operators/operators.h"
#include "worker/state/snapshot.h"

#define PERIOD_RECORDS 64

struct watermarks_op {
	struct operator op;
	const weir_function *assigner;
	unsigned opened;
	int64_t behind_ms;       /* the bound and one */
	int64_t idle_timeout_ns; /* 0: never idle */
	int64_t period_ms;
	int64_t max_ts; /* WEIR_MIN_TIMESTAMP before the first record */
	int64_t emitted;
	int64_t last_record_ns, stalled_at_ns;
	unsigned n_since;
	bool idle;
	bool restored;
	bool resend; /* what was emitted before the checkpoint: consumers begin without a watermark */
};

static int watermarks_open(struct operator *op, struct err *e)
{
	struct watermarks_op *w = (struct watermarks_op *)(void *)op;
	const weir_watermark_strategy *s = &op->node->watermark;

	w->assigner = operator_fn(op, FN_TIMESTAMP);
	if (__builtin_add_overflow(s->out_of_orderness_ms, 1, &w->behind_ms))
		w->behind_ms = INT64_MAX;
	if (__builtin_mul_overflow(s->idle_timeout_ms, NS_PER_MS, &w->idle_timeout_ns))
		w->idle_timeout_ns = INT64_MAX;
	w->period_ms = task_auto_watermark_ms(op->task);
	w->max_ts = w->emitted = WEIR_MIN_TIMESTAMP;
	w->last_record_ns = task_mono_ns(op->task);
	w->stalled_at_ns = task_stalled_ns(op->task);
	operator_set_timer(op, task_wall_ms(op->task) + w->period_ms);
	return operator_open_fn(op, &w->opened, FN_TIMESTAMP, e);
}

static void watermarks_close(struct operator *op)
{
	struct watermarks_op *w = (struct watermarks_op *)(void *)op;

	operator_close_fns(op, w->opened);
}

static void emit_watermark(struct watermarks_op *w)
{
	int64_t wm;

	w->n_since = 0;
	if (w->resend) {
		w->resend = false;
		w->op.out->watermark(w->op.out, w->emitted);
	}
	if (w->max_ts == WEIR_MIN_TIMESTAMP || __builtin_sub_overflow(w->max_ts, w->behind_ms, &wm) ||
	    wm <= w->emitted)
		return;
	w->emitted = wm;
	w->op.out->watermark(w->op.out, wm);
}

static void set_idle(struct watermarks_op *w, bool idle)
{
	if (w->idle == idle)
		return;
	w->idle = idle;
	w->op.out->status(w->op.out, idle);
}

static void watermarks_record(struct operator *op, const struct record *r)
{
	struct watermarks_op *w = (struct watermarks_op *)(void *)op;
	struct record stamped = *r;

	op->fn = FN_TIMESTAMP;
	op->current_ts = r->ts;
	if (w->assigner != NULL)
		stamped.ts = w->assigner->timestamp(&op->ctx.pub, r->data, r->len, r->ts);
	if (stamped.ts == WEIR_MIN_TIMESTAMP) {
		task_fail(op->task,
		    w->assigner != NULL ? "%s: the timestamp assigner gave a record no timestamp" :
					  "%s: a record has no timestamp and there is no timestamp assigner",
		    op->node->name);
		return;
	}
	if (stamped.ts > w->max_ts)
		w->max_ts = stamped.ts;
	set_idle(w, false);
	op->out->record(op->out, &stamped);
	if (++w->n_since >= PERIOD_RECORDS)
		emit_watermark(w);
	/* not before: the calls may have waited */
	w->last_record_ns = task_mono_ns(op->task);
}

static void watermarks_timer(struct operator *op, int64_t now_ms)
{
	struct watermarks_op *w = (struct watermarks_op *)(void *)op;
	int64_t stalled = task_stalled_ns(op->task), now_ns = task_mono_ns(op->task);

	w->last_record_ns += stalled - w->stalled_at_ns;
	w->stalled_at_ns = stalled;
	emit_watermark(w);
	if (w->idle_timeout_ns > 0 && now_ns - w->last_record_ns > w->idle_timeout_ns)
		set_idle(w, true);
	w->last_record_ns += task_mono_ns(op->task) - now_ns;
	operator_set_timer(op, now_ms + w->period_ms);
}

static void watermarks_watermark(struct operator *op, int64_t ts)
{
	struct watermarks_op *w = (struct watermarks_op *)(void *)op;

	/* Long.MAX_VALUE is the end of the input; all others are replaced by ours */
	if (ts == WEIR_MAX_TIMESTAMP && w->emitted != ts) {
		w->emitted = ts;
		op->out->watermark(op->out, ts);
	}
}

static void watermarks_status(struct operator *op, bool idle)
{
	(void)op; /* ours says so by itself */
	(void)idle;
}

static int watermarks_snapshot(struct operator *op, uint64_t checkpoint_id, struct snapshot_writer *sw,
    struct err *e)
{
	const struct watermarks_op *w = (const struct watermarks_op *)(const void *)op;

	(void)checkpoint_id;
	(void)e;
	snapshot_begin_entry(sw, "wm");
	snapshot_put_i64(sw, w->max_ts);
	snapshot_put_i64(sw, w->emitted);
	snapshot_end_part(sw);
	return 0;
}

/* The least of all old subtasks: their records may come here now. */
static int watermarks_restore(struct operator *op, struct snapshot_part *part, struct err *e)
{
	struct watermarks_op *w = (struct watermarks_op *)(void *)op;
	int64_t max_ts = snapshot_get_i64(part), emitted = snapshot_get_i64(part);

	if (part->keyed || strcmp(part->name, "wm") != 0 || !snapshot_part_ok(part))
		return err_set(e, ERR_INVALID, "its state is damaged or another operator's");
	if (emitted == WEIR_MAX_TIMESTAMP) /* drained: what comes now is a new beginning */
		max_ts = emitted = WEIR_MIN_TIMESTAMP;
	if (!w->restored || max_ts < w->max_ts)
		w->max_ts = max_ts;
	if (!w->restored || emitted < w->emitted)
		w->emitted = emitted;
	w->restored = true;
	w->resend = w->emitted != WEIR_MIN_TIMESTAMP;
	return 0;
}

const struct operator_type operator_watermarks = {
	.name = "watermarks",
	.size = sizeof(struct watermarks_op),
	.snapshot = watermarks_snapshot,
	.restore = watermarks_restore,
	.open = watermarks_open,
	.close = watermarks_close,
	.record = watermarks_record,
	.watermark = watermarks_watermark,
	.status = watermarks_status,
	.timer = watermarks_timer,
};
