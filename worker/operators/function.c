/*
 * map, filter and flatMap: one user call a record.
 */
#include "worker/operators/operators.h"

struct function_op {
	struct operator op;
	unsigned opened;
	int (*process)(weir_ctx *ctx, const void *in, uint32_t len, weir_out *out);
};

static int function_open(struct operator *op, struct err *e)
{
	struct function_op *f = (struct function_op *)(void *)op;
	const weir_function *fn = operator_fn(op, FN_MAIN);

	if (fn == NULL || fn->process == NULL)
		return err_set(e, ERR_INTERNAL, "operator \"%s\" has no function", op->node->name);
	f->process = fn->process;
	op->fn = FN_MAIN;
	return operator_open_fn(op, &f->opened, FN_MAIN, e);
}

static void function_close(struct operator *op)
{
	struct function_op *f = (struct function_op *)(void *)op;

	operator_close_fns(op, f->opened);
}

static void function_record(struct operator *op, const struct record *r)
{
	struct function_op *f = (struct function_op *)(void *)op;

	op->current_ts = r->ts;
	op->col.ts = r->ts;
	operator_ok(op, f->process(&op->ctx.pub, r->data, r->len, &op->col.pub), "call");
}

const struct operator_type operator_function = {
	.name = "function",
	.size = sizeof(struct function_op),
	.open = function_open,
	.close = function_close,
	.record = function_record,
};
