/*
 * The source "sequence": the numbers from `from` to `to`, both included, each as a
 * message whose value is 8 bytes, an int64_t.
 *
 *   from             first number, 0
 *   to               last number; without it there is no end
 *   rows-per-second  of all subtasks together; 0, the default: as fast as they are taken
 *
 * A message's own timestamp is the time of its making.  With a watermark strategy the source stamps
 * records by its assigner and emits a watermark after each batch; it is never idle.
 *
 * Splits: as many as the source's max parallelism, which a job keeps when it is rescaled.  The k-th
 * number, from 0, is of split k mod their count; subtask s of n has the splits s, s + n, s + 2n … and
 * brings their numbers in ascending order.  State: the next number of each split.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/mem.h"
#include "shm/metrics.h"
#include "worker/connectors/connectors.h"
#include "worker/state/snapshot.h"

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
	uint64_t n_emitted; /* by this subtask in this attempt */
	int64_t start_ns;
	/* own splits, by their next number: the first is due. A ring: mostly the first goes to the end. */
	struct split {
		uint64_t next; /* number less `from` */
		int64_t row;   /* how many the split has brought */
		uint32_t idx;
	} *splits;
	uint32_t n_splits, first_split;
	uint32_t n_all_splits;
	bool restored;
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

/* ------------------------------------------------------------- splits */

static struct split *split_at(const struct sequence *s, uint32_t i)
{
	i += s->first_split;
	return &s->splits[i < s->n_splits ? i : i - s->n_splits];
}

static void make_splits(struct sequence *s)
{
	const uint32_t n = task_parallelism(s->op.task);

	s->n_all_splits = task_max_parallelism(s->op.task);
	s->splits = xcalloc(s->n_all_splits, sizeof(*s->splits));
	for (uint32_t i = task_subtask(s->op.task); i < s->n_all_splits; i += n)
		s->splits[s->n_splits++] = (struct split){ .next = i, .idx = i };
}

/* The first split's number is out: put it where its next one comes. */
static void advance(struct sequence *s)
{
	struct split *first = &s->splits[s->first_split], out;
	uint32_t i = s->n_splits - 1;

	first->next += s->n_all_splits;
	first->row++;
	/* The place of the first is that behind the last. */
	if (++s->first_split == s->n_splits)
		s->first_split = 0;
	if (i == 0 || split_at(s, i - 1)->next < first->next)
		return;
	/* Only after a restore, when splits of several subtasks came together. */
	out = *first;
	for (; i > 0 && split_at(s, i - 1)->next > out.next; i--)
		*split_at(s, i) = *split_at(s, i - 1);
	*split_at(s, i) = out;
}

/* In ascending order; there is room for all. */
static void add_split(struct sequence *s, uint64_t next)
{
	uint32_t i = s->n_splits++;

	for (; i > 0 && s->splits[i - 1].next > next; i--)
		s->splits[i] = s->splits[i - 1];
	s->splits[i] = (struct split){ .next = next,
		.row = (int64_t)(next / s->n_all_splits),
		.idx = (uint32_t)(next % s->n_all_splits) };
}

static int sequence_snapshot(struct operator *op, uint64_t checkpoint_id, struct snapshot_writer *w,
    struct err *e)
{
	const struct sequence *s = (const struct sequence *)(const void *)op;

	(void)checkpoint_id;
	(void)e;
	snapshot_begin_entry(w, "splits");
	snapshot_put_i64(w, s->from);
	snapshot_put_u32(w, s->n_all_splits);
	for (uint32_t i = 0; i < s->n_splits; i++)
		snapshot_put_u64(w, split_at(s, i)->next);
	snapshot_end_part(w);
	return 0;
}

static int sequence_restore(struct operator *op, struct snapshot_part *part, struct err *e)
{
	struct sequence *s = (struct sequence *)(void *)op;
	int64_t from;
	uint32_t n_all;

	if (!s->restored) {
		/* Splits that nobody brings were at their end. */
		s->restored = true;
		s->n_splits = 0;
	}
	if (strcmp(part->name, "finished") == 0)
		return 0;
	from = snapshot_get_i64(part);
	n_all = snapshot_get_u32(part);
	if (part->bad || strcmp(part->name, "splits") != 0)
		return err_set(e, ERR_INVALID, "its state is damaged or another operator's");
	if (from != s->from || n_all != s->n_all_splits)
		return err_set(e, ERR_INVALID,
		    "its state is of numbers from %" PRId64 " in %" PRIu32
		    " splits, the job's are from %" PRId64 " in %" PRIu32,
		    from, n_all, s->from, s->n_all_splits);
	while (part->p < part->end) {
		uint64_t next = snapshot_get_u64(part);

		if (part->bad || s->n_splits == s->n_all_splits)
			return err_set(e, ERR_INVALID, "its state is damaged");
		if (next % n_all % task_parallelism(op->task) == task_subtask(op->task))
			add_split(s, next);
	}
	return 0;
}

/* The number that is due next; false: there is none. */
static bool next_number(const struct sequence *s, int64_t *value)
{
	return s->n_splits > 0 && split_at(s, 0)->next <= (uint64_t)INT64_MAX &&
	    !__builtin_add_overflow(s->from, (int64_t)split_at(s, 0)->next, value) && *value <= s->to;
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
	make_splits(s);
	s->start_ns = task_mono_ns(op->task);
	if (open_fn(op, FN_TIMESTAMP, e) != 0 || open_fn(op, FN_DESERIALIZER, e) != 0)
		return -1;
	return 0;
}

static void sequence_close(struct operator *op)
{
	close_fn(op, FN_DESERIALIZER);
	close_fn(op, FN_TIMESTAMP);
	free(((struct sequence *)(void *)op)->splits);
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
	const int64_t wall_ms = task_wall_ms(op->task);
	uint64_t due = n_due(s, task_mono_ns(op->task));

	for (unsigned i = 0; i < BATCH && s->n_emitted < due; i++) {
		weir_message msg = {
			.struct_size = sizeof(msg), .timestamp_ms = wall_ms, .topic = "sequence"
		};
		int64_t value;

		if (!next_number(s, &value))
			return SOURCE_END;
		msg.partition = (int32_t)s->splits[s->first_split].idx;
		msg.offset = s->splits[s->first_split].row;
		msg.value = &value;
		msg.value_len = sizeof(value);
		op->current_ts = op->col.ts = wall_ms;
		if (s->fn->deserialize(&op->ctx.pub, &msg, &op->col.pub) < 0) {
			task_fail(op->task, "%s: the deserializer refused number %" PRId64, op->node->name,
			    value);
			return SOURCE_MORE;
		}
		s->n_emitted++;
		advance(s);
		metrics_add(task_metrics(op->task), METRIC_records_in, 1);
		metrics_add(task_metrics(op->task), METRIC_bytes_in, sizeof(value));
		task_point(op->task);
		if (task_stopping(op->task) || task_interrupted(op->task))
			return SOURCE_MORE;
	}
	emit_watermark(s);
	if (s->n_emitted < due)
		return SOURCE_MORE;
	*deadline_ns = s->start_ns +
	    (int64_t)((double)s->n_emitted * (double)task_parallelism(op->task) / (double)s->rate *
		(double)NS_PER_S);
	return SOURCE_WAIT;
}

static const struct operator_type sequence_source = {
	.name = "sequence",
	.size = sizeof(struct sequence),
	.snapshot = sequence_snapshot,
	.restore = sequence_restore,
	.open = sequence_open,
	.close = sequence_close,
	.poll = sequence_poll,
};

const struct connector connector_sequence = {
	.name = "sequence",
	.source = &sequence_source,
	.validate = sequence_validate,
};
