/*
 * map, filter, flatMap and the watermarks operator, driven by hand.
 */
#include "base/clock.h"
#include "t/tap.h"
#include "t/unit/fake_task.h"
#include "worker/operators/operators.h"

typedef struct number {
	int64_t v;
} number;
WEIR_TYPE(number);

#define UNLUCKY    13 /* fails with a sentence */
#define SPEECHLESS 14 /* fails without one */

WEIR_MAP(twice, number, number)(weir_ctx *ctx, const number *in, number *out)
{
	if (out->v != 0)
		return weir_fail(ctx, "the room lent is not zeroed");
	out->v = in->v * 2;
	if (in->v == UNLUCKY)
		return weir_fail(ctx, "13 cannot be doubled");
	return in->v == SPEECHLESS ? -7 : 0;
}

WEIR_FILTER(even, number)(weir_ctx *ctx, const number *in)
{
	if (in->v == UNLUCKY)
		return weir_fail(ctx, "13 is neither");
	return in->v == SPEECHLESS ? -1 : in->v % 2 == 0;
}

/* As many records as the number says. */
WEIR_FLAT_MAP(repeat, number, number)(weir_ctx *ctx, const number *in, weir_out *out)
{
	number n;

	for (n.v = 0; n.v < in->v; n.v++) {
		if (n.v == UNLUCKY)
			return weir_fail(ctx, "no more after 13");
		WEIR_EMIT(out, number, &n);
	}
	return 0;
}

WEIR_FLAT_MAP(restamp, number, number)(weir_ctx *ctx, const number *in, weir_out *out)
{
	out->emit(out, in, sizeof(*in));
	out->emit_at(out, in, sizeof(*in), weir_timestamp(ctx) + 1000);
	return 0;
}

WEIR_TIMESTAMP_ASSIGNER(own_time, number)(weir_ctx *ctx, const number *in, int64_t timestamp_ms)
{
	(void)ctx;
	(void)timestamp_ms;
	return in->v;
}

/* Functions with open and close, which the macros do not make. */
static int n_opened, n_closed, open_result;
static int counted_open(weir_ctx *ctx)
{
	n_opened++;
	return open_result < 0 ? weir_fail(ctx, "no table to look up in") : 0;
}
static void counted_close(weir_ctx *ctx)
{
	(void)ctx;
	n_closed++;
}

static struct graph_node node;
static struct graph_node *make_node(enum node_type type, enum fn_role role, const weir_function *fn)
{
	static char name[] = "Op";

	memset(&node, 0, sizeof(node));
	node.type = type;
	node.name = name;
	node.fns[role].present = fn != NULL;
	node.fns[role].code = fn;
	return &node;
}

static void give(struct operator *op, int64_t v, int64_t ts)
{
	number n = { v };
	struct record r = { &n, sizeof(n), 0, ts };

	op->type->record(op, &r);
}

static int64_t value(const struct task *t, size_t i)
{
	number n = { -1 };

	if (i < t->n_out && t->out[i].kind == 'r' && t->out[i].len == sizeof(n))
		memcpy(&n, t->out[i].data, sizeof(n));
	return n.v;
}

/* What came out, a letter an element. */
static const char *kinds(const struct task *t)
{
	static char text[256];
	size_t i;

	for (i = 0; i < t->n_out && i < sizeof(text) - 1; i++)
		text[i] = t->out[i].kind;
	text[i] = '\0';
	return text;
}

static size_t count_kind(const struct task *t, char kind)
{
	size_t i, n = 0;

	for (i = 0; i < t->n_out; i++)
		n += t->out[i].kind == kind;
	return n;
}

/* ---------------------------------------------------- map, filter, flatMap */

static void ordinary(void)
{
	struct task *t = fake_task();
	struct err e;
	struct operator *op = fake_operator(t, &operator_function, make_node(NODE_MAP, FN_MAIN, &twice), &e);

	give(op, 21, 5);
	give(op, 4, WEIR_MIN_TIMESTAMP);
	ok(t->n_out == 2 && value(t, 0) == 42 && value(t, 1) == 8, "map gives one record each");
	ok(t->out[0].ts == 5 && t->out[1].ts == WEIR_MIN_TIMESTAMP, "stamped as its input, or not at all");
	fake_close(op);
	fake_task_free(t);

	t = fake_task();
	op = fake_operator(t, &operator_function, make_node(NODE_FILTER, FN_MAIN, &even), &e);
	give(op, 1, 1);
	give(op, 2, 2);
	give(op, 3, 3);
	give(op, -4, 4);
	ok(t->n_out == 2 && value(t, 0) == 2 && value(t, 1) == -4, "filter keeps what it is told to");
	ok(t->out[0].ts == 2 && t->out[1].ts == 4, "with its timestamp");
	fake_close(op);
	fake_task_free(t);

	t = fake_task();
	op = fake_operator(t, &operator_function, make_node(NODE_FLAT_MAP, FN_MAIN, &repeat), &e);
	give(op, 0, 1);
	is_int(t->n_out, 0, "flatMap may give nothing");
	give(op, 3, 9);
	ok(t->n_out == 3 && value(t, 0) == 0 && value(t, 2) == 2 && t->out[2].ts == 9,
	    "or several, in order");
	fake_close(op);
	fake_task_free(t);

	t = fake_task();
	op = fake_operator(t, &operator_function, make_node(NODE_FLAT_MAP, FN_MAIN, &restamp), &e);
	give(op, 1, 70);
	ok(t->n_out == 2 && t->out[0].ts == 70 && t->out[1].ts == 1070, "emit_at stamps one record only");
	give(op, 1, 80);
	is_int(t->out[2].ts, 80, "the next has its own time again");
	ok(op->type->watermark == NULL && op->type->status == NULL && op->type->end == NULL,
	    "watermarks, status and end pass through");
	fake_close(op);
	fake_task_free(t);
}

static void function_fails(const weir_function *fn, enum node_type type, int64_t v, size_t n_out,
    const char *sentence)
{
	struct task *t = fake_task();
	struct err e;
	struct operator *op = fake_operator(t, &operator_function, make_node(type, FN_MAIN, fn), &e);

	give(op, v, 5);
	like(t->failure, sentence, "%s of %lld fails", fn->name, (long long)v);
	is_int(t->n_out, n_out, "and gives %zu records before", n_out);
	fake_close(op);
	fake_task_free(t);
}

static void open_and_close(void)
{
	struct task *t = fake_task();
	weir_function fn = twice;
	struct operator *op;
	struct err e;

	fn.open = counted_open;
	fn.close = counted_close;
	n_opened = n_closed = open_result = 0;
	op = fake_operator(t, &operator_function, make_node(NODE_MAP, FN_MAIN, &fn), &e);
	ok(op != NULL && n_opened == 1 && n_closed == 0, "open is called once");
	fake_close(op);
	ok(n_opened == 1 && n_closed == 1, "and close");

	n_opened = n_closed = 0;
	open_result = -1;
	op = fake_operator(t, &operator_function, make_node(NODE_MAP, FN_MAIN, &fn), &e);
	ok(op == NULL && n_opened == 1 && n_closed == 1,
	    "close follows an open that failed: it may have made something");
	like(t->failure, "no table to look up in", "the function's own sentence is kept");
	like(e.msg, "Op: open of twice failed", "the operator's names both");

	n_opened = n_closed = 0;
	fn.process = NULL;
	op = fake_operator(t, &operator_function, make_node(NODE_MAP, FN_MAIN, &fn), &e);
	ok(op == NULL && n_opened == 0 && n_closed == 0, "what was not opened is not closed");
	like(e.msg, "has no function", "a function without its call is refused");
	ok(fake_operator(t, &operator_function, make_node(NODE_MAP, FN_MAIN, NULL), &e) == NULL,
	    "and no function at all");

	n_opened = n_closed = open_result = 0;
	fn = own_time;
	fn.open = counted_open;
	fn.close = counted_close;
	op = fake_operator(t, &operator_watermarks, make_node(NODE_WATERMARKS, FN_TIMESTAMP, &fn), &e);
	ok(op != NULL && n_opened == 1, "a timestamp assigner is opened too");
	if (op != NULL)
		fake_close(op);
	is_int(n_closed, 1, "and closed");
	fake_task_free(t);
}

/* -------------------------------------------------------------- watermarks */

static struct operator *
    watermarks(struct task *t, int64_t bound_ms, int64_t idle_ms, const weir_function *assigner)
{
	struct operator *op;
	struct err e;

	make_node(NODE_WATERMARKS, FN_TIMESTAMP, assigner);
	node.watermark = weir_bounded_out_of_orderness(bound_ms);
	node.watermark.idle_timeout_ms = idle_ms;
	op = fake_operator(t, &operator_watermarks, &node, &e);
	ASSERT(op != NULL);
	return op;
}

/* Let the clock go on, and the timer with it. */
static void pass(struct task *t, struct operator *op, int64_t ms)
{
	int64_t end_ms = t->wall_ms + ms, start_ms = t->wall_ms, start_ns = t->mono_ns;

	while (op->timer_ms <= end_ms) {
		t->wall_ms = op->timer_ms;
		t->mono_ns = start_ns + (t->wall_ms - start_ms) * NS_PER_MS;
		op->timer_ms = INT64_MAX;
		op->type->timer(op, t->wall_ms);
	}
	t->wall_ms = end_ms;
	t->mono_ns = start_ns + ms * NS_PER_MS;
}

static void periodic(void)
{
	struct task *t = fake_task();
	struct operator *op;
	int64_t last = WEIR_MIN_TIMESTAMP;
	size_t i;
	bool rising = true;

	t->wall_ms = 1000;
	op = watermarks(t, 5, 0, &own_time);
	is_int(op->timer_ms, 1000 + 200, "the first timer comes after pipeline.auto-watermark-interval");
	pass(t, op, 1000);
	is_int(t->n_out, 0, "no record, no watermark");
	give(op, 100, 1);
	give(op, 103, 1);
	give(op, 98, 1);
	is_str(kinds(t), "rrr", "records go on at once");
	ok(t->out[0].ts == 100 && t->out[2].ts == 98, "with the assigner's timestamp");
	pass(t, op, 200);
	is_str(kinds(t), "rrrw", "the watermark comes with the timer");
	is_int(t->out[3].ts, 103 - 5 - 1, "the largest timestamp less the bound less one");
	pass(t, op, 1000);
	is_int(t->n_out, 4, "the same one is not repeated");
	give(op, 50, 1);
	pass(t, op, 200);
	is_str(kinds(t), "rrrwr", "a late record is passed on and moves nothing");

	for (i = 0; i < 200; i++)
		give(op, 1000 + (int64_t)i % 90, 1);
	is_int(count_kind(t, 'w'), 3, "after each 64 records one comes without a timer");
	pass(t, op, 200);
	for (i = 0; i < t->n_out; i++) {
		if (t->out[i].kind != 'w')
			continue;
		rising &= t->out[i].ts > last;
		last = t->out[i].ts;
	}
	ok(rising, "watermarks only rise");
	fake_close(op);
	fake_task_free(t);
}

static void upstream_and_end(void)
{
	struct task *t = fake_task();
	struct operator *op = watermarks(t, 0, 0, NULL);

	give(op, 7, 500);
	fake_advance(op, 499);
	op->type->status(op, true);
	is_str(kinds(t), "r", "watermarks and status from upstream are replaced by our own");
	is_int(t->out[0].ts, 500, "without an assigner the record's own timestamp stays");
	fake_advance(op, WEIR_MAX_TIMESTAMP);
	ok(t->n_out == 2 && t->out[1].ts == WEIR_MAX_TIMESTAMP, "but for the last one");
	pass(t, op, 1000);
	fake_advance(op, WEIR_MAX_TIMESTAMP);
	is_int(t->n_out, 2, "which is the last: no timer and no repetition follows it");
	fake_close(op);
	fake_task_free(t);
}

static void no_timestamp(void)
{
	struct task *t = fake_task();
	struct operator *op = watermarks(t, 0, 0, NULL);

	give(op, 7, WEIR_MIN_TIMESTAMP);
	like(t->failure, "Op: a record has no timestamp and there is no timestamp assigner",
	    "no timestamp and no assigner");
	is_int(t->n_out, 0, "nothing goes on");
	fake_close(op);
	fake_task_free(t);

	t = fake_task();
	op = watermarks(t, 0, 0, &own_time);
	give(op, WEIR_MIN_TIMESTAMP, 5);
	like(t->failure, "assigner gave a record no timestamp", "an assigner that gives none");
	fake_close(op);
	fake_task_free(t);
}

static void extreme_numbers(void)
{
	struct task *t = fake_task();
	struct operator *op = watermarks(t, INT64_MAX, INT64_MAX, &own_time);

	give(op, 5, 0);
	give(op, -5, 0);
	pass(t, op, 100000);
	is_str(kinds(t), "rrw", "the largest timeout is never over");
	is_int(t->out[2].ts, 5 - INT64_MAX, "the largest bound gives a watermark that far behind");
	give(op, INT64_MAX, 0);
	pass(t, op, 200);
	is_int(t->out[4].ts, 0, "also from the largest timestamp");
	fake_close(op);
	fake_task_free(t);

	t = fake_task();
	op = watermarks(t, 0, 0, &own_time);
	give(op, WEIR_MIN_TIMESTAMP + 1, 0);
	pass(t, op, 200);
	is_int(count_kind(t, 'w'), 0,
	    "the smallest timestamp gives no watermark: it would mean that there is none yet");
	give(op, -1, 0);
	pass(t, op, 200);
	is_int(t->out[t->n_out - 1].ts, -2, "timestamps below zero are times as well");
	fake_close(op);
	fake_task_free(t);
}

static void idle(void)
{
	struct task *t = fake_task();
	struct operator *op = watermarks(t, 0, 1000, &own_time);

	give(op, 10, 0);
	pass(t, op, 1000);
	is_str(kinds(t), "rw", "not idle within the timeout");
	pass(t, op, 200);
	is_str(kinds(t), "rws", "idle behind it");
	ok(t->out[2].ts, "and says so");
	pass(t, op, 10000);
	is_int(t->n_out, 3, "once");
	give(op, 20, 0);
	is_str(kinds(t), "rwssr", "a record makes it active, before it goes on");
	is_int(t->out[3].ts, 0, "active");
	pass(t, op, 1400);
	is_str(kinds(t), "rwssrws", "and idle again after another silence, its watermark first");

	fake_close(op);
	fake_task_free(t);

	t = fake_task();
	op = watermarks(t, 0, 1000, &own_time);
	pass(t, op, 1200);
	is_str(kinds(t), "s", "an input that was never heard of is idle too");
	fake_close(op);
	fake_task_free(t);

	t = fake_task();
	op = watermarks(t, 0, 0, &own_time);
	pass(t, op, 1000000);
	is_int(t->n_out, 0, "without a timeout never");
	fake_close(op);
	fake_task_free(t);
}

/* An output that waits, as a full ring does. */
static int64_t held_up_ms;
static void slow_record(struct output *o, const struct record *r)
{
	fake_of(o)->mono_ns += held_up_ms * NS_PER_MS;
	fake_of(o)->wall_ms += held_up_ms;
	fake_record(o, r);
}
static void slow_watermark(struct output *o, int64_t ts)
{
	fake_of(o)->mono_ns += held_up_ms * NS_PER_MS;
	fake_of(o)->wall_ms += held_up_ms;
	fake_watermark(o, ts);
}

static void no_silence(void)
{
	struct task *t = fake_task();
	struct operator *op = watermarks(t, 0, 1000, &own_time);

	give(op, 10, 0);
	t->mono_ns += 5000 * NS_PER_MS;
	t->wall_ms += 5000;
	t->stalled_ns += 4900 * NS_PER_MS;
	pass(t, op, 200);
	is_int(count_kind(t, 's'), 0, "time in which the slot did not turn is no silence");
	pass(t, op, 1000);
	is_int(count_kind(t, 's'), 1, "what follows it is");
	fake_close(op);
	fake_task_free(t);

	t = fake_task();
	op = watermarks(t, 0, 1000, &own_time);
	t->sink.record = slow_record;
	held_up_ms = 3000;
	give(op, 10, 0);
	held_up_ms = 0;
	pass(t, op, 0);
	is_int(count_kind(t, 's'), 0, "time in which the output took no record is no silence");
	t->sink.watermark = slow_watermark;
	give(op, 20, 0);
	held_up_ms = 3000;
	op->type->timer(op, t->wall_ms);
	held_up_ms = 0;
	pass(t, op, 200);
	is_int(count_kind(t, 's'), 0, "nor is that of a watermark's work behind");
	pass(t, op, 1200);
	is_int(count_kind(t, 's'), 1, "but then");
	fake_close(op);
	fake_task_free(t);
}

int main(void)
{
	ordinary();
	function_fails(&twice, NODE_MAP, UNLUCKY, 0, "13 cannot be doubled");
	function_fails(&twice, NODE_MAP, SPEECHLESS, 0,
	    "Op: the function's call returned -7 without saying why");
	function_fails(&even, NODE_FILTER, UNLUCKY, 0, "13 is neither");
	function_fails(&even, NODE_FILTER, SPEECHLESS, 0, "returned -1");
	function_fails(&repeat, NODE_FLAT_MAP, 20, 13, "no more after 13");
	open_and_close();
	periodic();
	upstream_and_end();
	no_timestamp();
	extreme_numbers();
	idle();
	no_silence();
	return tap_done();
}
