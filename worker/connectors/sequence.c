/*
 * The source "sequence": the numbers from `from` to `to`, both included, each as a
 * message whose value is 8 bytes, an int64_t.  Subtask s of n brings every n-th number from from + s on.
 *
 *   from             first number, 0
 *   to               last number; without it there is no end
 *   rows-per-second  of all subtasks together; 0, the default: as fast as they are taken
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/conf.h"
#include "shm/metrics.h"
#include "worker/connectors/connectors.h"

#define BATCH 256

struct sequence {
	struct operator op;
	const weir_function *fn;
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
			return err_set(e, ERR_INVALID, "connector sequence has no option \"%s\"%s%s%s", o->key,
			    nearest != NULL ? "; did you mean \"" : "", nearest != NULL ? nearest : "",
			    nearest != NULL ? "\"?" : "");
		}
		if (rc != 0)
			return err_set(e, ERR_INVALID, "option %s of connector sequence: %s", o->key, why.msg);
	}
	return 0;
}

static int sequence_validate(const struct graph_node *n, struct err *e)
{
	int64_t from, to, rate;

	return read_options(n, &from, &to, &rate, e);
}

static int sequence_open(struct operator *op, struct err *e)
{
	struct sequence *s = (struct sequence *)(void *)op;

	s->fn = operator_fn(op, FN_DESERIALIZER);
	if (s->fn == NULL || s->fn->deserialize == NULL)
		return err_set(e, ERR_INTERNAL, "%s: no deserializer", op->node->name);
	if (read_options(op->node, &s->from, &s->to, &s->rate, e) != 0)
		return err_prefix(e, "%s", op->node->name);
	s->start_ns = task_mono_ns(op->task);
	op->fn = FN_DESERIALIZER;
	if (s->fn->open != NULL && s->fn->open(&op->ctx.pub) < 0)
		return err_set(e, ERR_USER, "%s: open of %s failed", op->node->name, s->fn->name);
	return 0;
}

static void sequence_close(struct operator *op)
{
	const weir_function *fn = operator_fn(op, FN_DESERIALIZER);

	if (fn != NULL && fn->close != NULL)
		fn->close(&op->ctx.pub);
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
	uint64_t due = n_due(s, task_mono_ns(op->task));

	for (unsigned i = 0; i < BATCH && s->n_emitted < due; i++) {
		weir_message msg = {
			.struct_size = sizeof(msg),
			.timestamp_ms = WEIR_MIN_TIMESTAMP,
			.topic = "sequence",
			.partition = (int32_t)subtask,
			.offset = (int64_t)s->n_emitted,
		};
		int64_t value;

		if (__builtin_add_overflow(s->from, (int64_t)(s->n_emitted * parallelism + subtask), &value) ||
		    value > s->to)
			return SOURCE_END;
		msg.value = &value;
		msg.value_len = sizeof(value);
		op->current_ts = op->col.ts = WEIR_MIN_TIMESTAMP;
		if (s->fn->deserialize(&op->ctx.pub, &msg, &op->col.pub) < 0) {
			task_fail(op->task, "%s: the deserializer refused number %" PRId64, op->node->name, value);
			return SOURCE_MORE;
		}
		s->n_emitted++;
		metrics_add(task_metrics(op->task), METRIC_records_in, 1);
		metrics_add(task_metrics(op->task), METRIC_bytes_in, sizeof(value));
		task_point(op->task);
		if (task_stopping(op->task))
			return SOURCE_MORE;
	}
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
