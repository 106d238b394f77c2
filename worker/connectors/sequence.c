/*
 * The source "sequence": the numbers from `from` to `to`, both included, each as a
 * message whose value is 8 bytes, an int64_t.  Subtask s of n brings every n-th number from from + s on.
 *
 *   from             first number, 0
 *   to               last number; without it there is no end
 *   rows-per-second  of all subtasks together; 0, the default: as fast as they are taken
 *
 * A message's own timestamp is the time of its making.  With a watermark strategy the source stamps
 * records by its assigner and emits a watermark after each batch; it is never idle.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/conf.h"
#include "shm/metrics.h"
#include "worker/connectors/connectors.h"

#define BATCH 256

struct sequence {
	struct operator op;
	struct output stamp; /* between the collector and op.out, where there is a watermark strategy */
	void *lent;          /* by op.out, until commit */
	const weir_function *fn, *assigner;
	bool stamps;
	int64_t bound_ms, max_ts, watermark;
	int64_t from, to;
	int64_t rate;       /* rows a second of this subtask's share: rate / parallelism */
	uint64_t n_emitted; /* by this subtask */
	int64_t start_ns;
};

static int read_options(const struct graph_node *n, int64_t *from, int64_t *to, int64_t *rate, struct err *e)
{
	static const char *const known[] = { "from", "to", "rows-per-second" };
	struct err why = { 0 };

	*from = 0;
	*to = INT64_MAX;
	*rate = 0;
	for (unsigned i = 0; i < n->n_options; i++) {
		const struct graph_option *o = &n->options[i];
		const char *nearest;
		int rc;

		if (strcmp(o->key, known[0]) == 0) {
			rc = conf_parse_i64(o->value, INT64_MIN / 2, INT64_MAX / 2, from, &why);
		} else if (strcmp(o->key, known[1]) == 0) {
			rc = conf_parse_i64(o->value, INT64_MIN / 2, INT64_MAX, to, &why);
		} else if (strcmp(o->key, known[2]) == 0) {
			rc = conf_parse_i64(o->value, 0, 1000000000, rate, &why);
		} else {
			nearest = conf_nearest(o->key, known, 3);
			return err_set(e, ERR_INVALID, "connector sequence has no option \"%s\"%s%s%s",
			    o->key, nearest != NULL ? "; did you mean \"" : "",
			    nearest != NULL ? nearest : "", nearest != NULL ? "\"?" : "");
		}
		if (rc != 0)
			return err_set(e, ERR_INVALID, "option %s of connector sequence: %s", o->key,
			    why.msg);
	}
	return 0;
}

static int sequence_validate(const struct graph_node *n, struct err *e)
{
	int64_t from, to, rate;

	return read_options(n, &from, &to, &rate, e);
}

/* ------------------------------------------------------------ stamping */

static struct sequence *of_stamp(struct output *o)
{
	return (struct sequence *)(void *)((char *)o - offsetof(struct sequence, stamp));
}

static int64_t stamp(struct sequence *s, const void *data, uint32_t len, int64_t ts)
{
	if (s->assigner != NULL) {
		s->op.fn = FN_TIMESTAMP;
		ts = s->assigner->timestamp(&s->op.ctx.pub, data, len, ts);
		s->op.fn = FN_DESERIALIZER;
		if (ts == WEIR_MIN_TIMESTAMP)
			task_fail(s->op.task, "%s: the timestamp assigner gave a record no timestamp",
			    s->op.node->name);
	}
	if (ts > s->max_ts)
		s->max_ts = ts;
	return ts;
}

static void stamp_record(struct output *o, const struct record *r)
{
	struct sequence *s = of_stamp(o);
	struct record stamped = *r;

	stamped.ts = stamp(s, r->data, r->len, r->ts);
	s->op.out->record(s->op.out, &stamped);
}

static void *stamp_reserve(struct output *o, uint32_t len)
{
	struct sequence *s = of_stamp(o);

	s->lent = s->op.out->reserve(s->op.out, len);
	return s->lent;
}

static void stamp_commit(struct output *o, uint32_t len, int64_t ts)
{
	struct sequence *s = of_stamp(o);

	s->op.out->commit(s->op.out, len, len > 0 ? stamp(s, s->lent, len, ts) : ts);
}

static void emit_watermark(struct sequence *s)
{
	int64_t ts;

	if (!s->stamps || s->max_ts == WEIR_MIN_TIMESTAMP ||
	    __builtin_sub_overflow(s->max_ts, s->bound_ms + 1, &ts) || ts <= s->watermark)
		return;
	s->watermark = ts;
	s->op.out->watermark(s->op.out, ts);
}

/* -------------------------------------------------------- the operator */

static void init_stamping(struct sequence *s)
{
	const weir_watermark_strategy *w = &s->op.node->watermark;

	s->max_ts = s->watermark = WEIR_MIN_TIMESTAMP;
	if (w->struct_size == 0)
		return;
	s->stamps = true;
	s->bound_ms = w->out_of_orderness_ms;
	s->assigner = operator_fn(&s->op, FN_TIMESTAMP);
	s->stamp.record = stamp_record;
	if (s->op.out->reserve != NULL) {
		s->stamp.reserve = stamp_reserve;
		s->stamp.commit = stamp_commit;
	}
	s->op.col.to = &s->stamp;
}

static int open_fn(struct operator *op, enum fn_role role, struct err *e)
{
	const weir_function *fn = operator_fn(op, role);

	op->fn = role;
	if (fn != NULL && fn->open != NULL && fn->open(&op->ctx.pub) < 0)
		return err_set(e, ERR_USER, "%s: open of %s failed", op->node->name, fn->name);
	return 0;
}

static void close_fn(struct operator *op, enum fn_role role)
{
	const weir_function *fn = operator_fn(op, role);

	op->fn = role;
	if (fn != NULL && fn->close != NULL)
		fn->close(&op->ctx.pub);
}

static int sequence_open(struct operator *op, struct err *e)
{
	struct sequence *s = (struct sequence *)(void *)op;

	init_stamping(s);

	s->fn = operator_fn(op, FN_DESERIALIZER);
	if (s->fn == NULL || s->fn->deserialize == NULL)
		return err_set(e, ERR_INTERNAL, "%s: no deserializer", op->node->name);
	if (read_options(op->node, &s->from, &s->to, &s->rate, e) != 0)
		return err_prefix(e, "%s", op->node->name);
	s->start_ns = task_mono_ns(op->task);
	if (open_fn(op, FN_TIMESTAMP, e) != 0 || open_fn(op, FN_DESERIALIZER, e) != 0)
		return -1;
	return 0;
}

static void sequence_close(struct operator *op)
{
	close_fn(op, FN_DESERIALIZER);
	close_fn(op, FN_TIMESTAMP);
}

/* How many of this subtask's rows the clock allows by now. */
static uint64_t n_due(const struct sequence *s, int64_t now_ns)
{
	if (s->rate == 0)
		return UINT64_MAX;
	return (uint64_t)((double)(now_ns - s->start_ns) / (double)NS_PER_S * (double)s->rate /
	    (double)task_parallelism(s->op.task)) + 1;
}

static enum source_status sequence_poll(struct operator *op, int64_t *deadline_ns)
{
	struct sequence *s = (struct sequence *)(void *)op;
	const uint32_t parallelism = task_parallelism(op->task), subtask = task_subtask(op->task);
	const int64_t wall_ms = task_wall_ms(op->task);
	uint64_t due = n_due(s, task_mono_ns(op->task));

	for (unsigned i = 0; i < BATCH && s->n_emitted < due; i++) {
		weir_message msg = {
			.struct_size = sizeof(msg),
			.timestamp_ms = wall_ms,
			.topic = "sequence",
			.partition = (int32_t)subtask,
			.offset = (int64_t)s->n_emitted,
		};
		int64_t value;

		if (__builtin_add_overflow(s->from, (int64_t)(s->n_emitted * parallelism + subtask),
			&value) ||
		    value > s->to)
			return SOURCE_END;
		msg.value = &value;
		msg.value_len = sizeof(value);
		op->current_ts = op->col.ts = wall_ms;
		if (s->fn->deserialize(&op->ctx.pub, &msg, &op->col.pub) < 0) {
			task_fail(op->task, "%s: the deserializer refused number %" PRId64, op->node->name,
			    value);
			return SOURCE_MORE;
		}
		s->n_emitted++;
		metrics_add(task_metrics(op->task), METRIC_records_in, 1);
		metrics_add(task_metrics(op->task), METRIC_bytes_in, sizeof(value));
		task_point(op->task);
		if (task_stopping(op->task))
			return SOURCE_MORE;
	}
	emit_watermark(s);
	if (s->n_emitted < due)
		return SOURCE_MORE;
	*deadline_ns = s->start_ns +
	    (int64_t)((double)s->n_emitted * (double)parallelism / (double)s->rate * (double)NS_PER_S);
	return SOURCE_WAIT;
}

static const struct operator_type sequence_source = {
	.name = "sequence",
	.size = sizeof(struct sequence),
	.open = sequence_open,
	.close = sequence_close,
	.poll = sequence_poll,
};

const struct connector connector_sequence = {
	.name = "sequence",
	.source = &sequence_source,
	.validate = sequence_validate,
};
