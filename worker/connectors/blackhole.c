/*
 * The sink "blackhole": has each record serialized, counts it, and throws it away.
 * For benchmarks and for jobs that are run for their side effects.  No options.
 */
#include <inttypes.h>

#include "base/mem.h"
#include "shm/metrics.h"
#include "worker/connectors/connectors.h"

#define FIRST_CAP 1024

struct blackhole {
	struct operator op;
	const weir_function *fn;
	void *buffer;
	uint32_t cap;
};

static int blackhole_validate(const struct graph_node *n, struct err *e)
{
	if (n->n_options > 0)
		return err_set(e, ERR_INVALID, "connector blackhole has no option \"%s\"", n->options[0].key);
	return 0;
}

static int blackhole_open(struct operator *op, struct err *e)
{
	struct blackhole *b = (struct blackhole *)(void *)op;

	b->fn = operator_fn(op, FN_SERIALIZER);
	if (b->fn == NULL || b->fn->serialize == NULL)
		return err_set(e, ERR_INTERNAL, "%s: no serializer", op->node->name);
	b->buffer = xmalloc(FIRST_CAP);
	b->cap = FIRST_CAP;
	op->fn = FN_SERIALIZER;
	if (b->fn->open != NULL && b->fn->open(&op->ctx.pub) < 0)
		return err_set(e, ERR_USER, "%s: open of %s failed", op->node->name, b->fn->name);
	return 0;
}

static void blackhole_close(struct operator *op)
{
	struct blackhole *b = (struct blackhole *)(void *)op;
	const weir_function *fn = operator_fn(op, FN_SERIALIZER);

	if (fn != NULL && fn->close != NULL)
		fn->close(&op->ctx.pub);
	free(b->buffer);
}

static void blackhole_record(struct operator *op, const struct record *r)
{
	struct blackhole *b = (struct blackhole *)(void *)op;

	for (;;) {
		weir_message_out out = {
			.struct_size = sizeof(out),
			.value = b->buffer,
			.value_cap = b->cap,
			.timestamp_ms = r->ts,
		};

		if (b->fn->serialize(&op->ctx.pub, r->data, r->len, &out) < 0) {
			task_fail(op->task, "%s: the serializer refused a record of %" PRIu32 " bytes",
			    op->node->name, r->len);
			return;
		}
		if (out.value_len <= b->cap) {
			metrics_add(task_metrics(op->task), METRIC_records_out, 1);
			metrics_add(task_metrics(op->task), METRIC_bytes_out, out.value_len);
			return;
		}
		free(b->buffer);
		b->buffer = xmalloc(out.value_len);
		b->cap = out.value_len;
	}
}

static const struct operator_type blackhole_sink = {
	.name = "blackhole",
	.size = sizeof(struct blackhole),
	.open = blackhole_open,
	.close = blackhole_close,
	.record = blackhole_record,
};

const struct connector connector_blackhole = {
	.name = "blackhole",
	.sink = &blackhole_sink,
	.validate = blackhole_validate,
};
