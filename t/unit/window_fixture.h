/*
 * What tests of the window operator share: events with a long key, a sum, a window
 * function that tells all it is told.
 *
 * Include it in exactly one file of a test program.
 */
#ifndef T_UNIT_WINDOW_FIXTURE_H
#define T_UNIT_WINDOW_FIXTURE_H

#include "t/unit/fake_task.h"
#include "worker/graph/job_graph.h"
#include "worker/operators/operators.h"

typedef struct event {
	int64_t key;
	int64_t amount;
} event;
WEIR_TYPE(event);
typedef struct result {
	int64_t key, start_ms, end_ms, sum, ctx_ts, ctx_wm;
} result;
WEIR_TYPE(result);

WEIR_KEY_BY_LONG(by_key, event, key);
WEIR_AGGREGATE(total, event, int64_t, int64_t);
static void total_create(int64_t *acc)
{
	*acc = 0;
}
static int total_add(weir_ctx *ctx, int64_t *acc, const event *in)
{
	if (in->amount == 666)
		return weir_fail(ctx, "the amount is unlucky");
	if (in->amount == 667)
		return -3;
	*acc += in->amount;
	return 0;
}
static int total_merge(weir_ctx *ctx, int64_t *acc, const int64_t *other)
{
	(void)ctx;
	*acc += *other;
	return 0;
}
static int total_result(weir_ctx *ctx, const int64_t *acc, int64_t *out)
{
	(void)ctx;
	*out = *acc;
	return 0;
}
WEIR_WINDOW_FUNCTION(describe, int64_t, result)
(weir_ctx *ctx, const weir_key *key, const weir_window *w, const int64_t *in, weir_out *out)
{
	result r = { key->num, w->start_ms, w->end_ms, *in, weir_timestamp(ctx), weir_watermark(ctx) };
	WEIR_EMIT(out, result, &r);
	return 0;
}

static struct graph_node node;
static struct graph_node *window_node(int64_t size_ms, int64_t offset_ms, weir_time time, bool with_fn)
{
	static char name[] = "Total";

	memset(&node, 0, sizeof(node));
	node.type = NODE_WINDOW;
	node.name = name;
	node.assigner = weir_tumbling_event_time(size_ms);
	node.assigner.time = time;
	node.assigner.offset_ms = offset_ms;
	node.fns[FN_KEY].present = node.fns[FN_AGGREGATE].present = true;
	node.fns[FN_KEY].code = &by_key;
	node.fns[FN_AGGREGATE].code = &total;
	node.fns[FN_WINDOW].present = with_fn;
	node.fns[FN_WINDOW].code = &describe;
	return &node;
}

static void add(struct operator *op, int64_t key, int64_t amount, int64_t ts)
{
	event ev = { key, amount };
	struct record r = { &ev, sizeof(ev), key_hash_long(key), ts };

	op->type->record(op, &r);
}

static result at(const struct task *t, size_t i)
{
	result r = { 0, 0, 0, 0, 0, 0 };

	if (i < t->n_out && t->out[i].len == sizeof(r))
		memcpy(&r, t->out[i].data, sizeof(r));
	return r;
}

#endif
