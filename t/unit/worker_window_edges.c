/*
 * The window operator's edges: kinds of keys, sizes of accumulators, firings that give nothing, fail or are
 * stopped, the ends of time, functions with open and close.
 */
#include "t/tap.h"
#include "t/unit/window_fixture.h"

/* ----------------------------------------------------- keys and accumulators */

typedef struct visit {
	char page[24];
	uint8_t digest[20];
	int32_t code;
	int64_t amount;
} visit;
WEIR_TYPE(visit);
typedef struct text {
	char s[32];
	int64_t sum;
} text;
WEIR_TYPE(text);
typedef struct tiny {
	int8_t n;
} tiny;
WEIR_TYPE(tiny);
typedef struct big {
	int64_t sum;
	uint8_t marks[1000];
	int64_t check;
} big;
WEIR_TYPE(big);

WEIR_KEY_BY_STRING(by_page, visit, page);
WEIR_KEY_BY_BYTES(by_digest, visit, digest);
WEIR_KEY_BY_INT(by_code, visit, code);
WEIR_AGGREGATE(amounts, visit, int64_t, int64_t);
static void amounts_create(int64_t *acc)
{
	*acc = 1000;
}
static int amounts_add(weir_ctx *ctx, int64_t *acc, const visit *in)
{
	(void)ctx;
	*acc += in->amount;
	return 0;
}
static int amounts_merge(weir_ctx *ctx, int64_t *acc, const int64_t *other)
{
	(void)ctx;
	*acc += *other;
	return 0;
}
static int amounts_result(weir_ctx *ctx, const int64_t *acc, int64_t *out)
{
	(void)ctx;
	*out = *acc;
	return 0;
}

WEIR_AGGREGATE(tiny_count, event, tiny, int64_t);
static void tiny_count_create(tiny *acc)
{
	(void)acc;
}
static int tiny_count_add(weir_ctx *ctx, tiny *acc, const event *in)
{
	(void)ctx;
	acc->n = (int8_t)(acc->n + in->amount);
	return 0;
}
static int tiny_count_merge(weir_ctx *ctx, tiny *acc, const tiny *other)
{
	(void)ctx;
	acc->n = (int8_t)(acc->n + other->n);
	return 0;
}
static int tiny_count_result(weir_ctx *ctx, const tiny *acc, int64_t *out)
{
	(void)ctx;
	*out = acc->n;
	return 0;
}

/* Every byte of it must stay as it was. */
WEIR_AGGREGATE(big_sum, event, big, int64_t);
static void big_sum_create(big *acc)
{
	memset(acc->marks, 0x5a, sizeof(acc->marks));
	acc->check = 77;
}
static int big_sum_add(weir_ctx *ctx, big *acc, const event *in)
{
	(void)ctx;
	acc->sum += in->amount;
	return 0;
}
static int big_sum_merge(weir_ctx *ctx, big *acc, const big *other)
{
	(void)ctx;
	acc->sum += other->sum;
	return 0;
}
static int big_sum_result(weir_ctx *ctx, const big *acc, int64_t *out)
{
	for (size_t i = 0; i < sizeof(acc->marks); i++)
		if (acc->marks[i] != 0x5a)
			return weir_fail(ctx, "byte %zu of the accumulator has changed", i);
	*out = acc->check == 77 ? acc->sum : -1;
	return 0;
}

WEIR_WINDOW_FUNCTION(show_text, int64_t, text)
(weir_ctx *ctx, const weir_key *key, const weir_window *w, const int64_t *in, weir_out *out)
{
	text t = { "", *in };

	(void)ctx;
	(void)w;
	memcpy(t.s, key->data, key->len < sizeof(t.s) - 1 ? key->len : sizeof(t.s) - 1);
	WEIR_EMIT(out, text, &t);
	return 0;
}

static void visit_add(struct operator *op, weir_key_kind kind, const char *page, int32_t code, int64_t amount)
{
	visit v = { "", { 0 }, code, amount };
	struct record r = { &v, sizeof(v), 0, 5 };
	weir_key key = { 0, NULL, 0 };

	memcpy(v.page, page, strlen(page) < sizeof(v.page) ? strlen(page) : sizeof(v.page));
	memcpy(v.digest, v.page, sizeof(v.digest));
	op->node->fns[FN_KEY].code->key(&v, sizeof(v), &key);
	r.key_hash = key_hash(kind, &key);
	op->type->record(op, &r);
	memset(&v, 0xee, sizeof(v)); /* nobody keeps the pointer */
}

static struct operator *visits(struct task *t, const weir_function *key_fn, const weir_function *window_fn)
{
	struct graph_node *n = window_node(10, 0, WEIR_EVENT_TIME, window_fn != NULL);
	struct operator *op;
	struct err e;

	n->fns[FN_KEY].code = key_fn;
	n->fns[FN_AGGREGATE].code = &amounts;
	n->fns[FN_WINDOW].code = window_fn;
	op = fake_operator(t, &operator_window, n, &e);
	ASSERT(op != NULL);
	return op;
}

static text text_at(const struct task *t, size_t i)
{
	text r = { "", -1 };

	if (i < t->n_out && t->out[i].len == sizeof(r))
		memcpy(&r, t->out[i].data, sizeof(r));
	return r;
}

static void key_kinds(void)
{
	static const char *const pages[] = { "", "a", "ab", "abc", "abcd", "abcde", "abcdefgh", "abcdefgX",
		"abcdefghijklmnop", "abcdefghijklmnoX", "abcdefghijklmnopq", "abcdefghijklmnopqrstuvwx", "Aa",
		"BB" };
	struct task *t = fake_task();
	struct operator *op = visits(t, &by_page, &show_text);
	int wrong = 0;
	size_t i;

	for (i = 0; i < 3 * ARRAY_LEN(pages); i++)
		visit_add(op, WEIR_KEY_STRING, pages[i % ARRAY_LEN(pages)], 0,
		    (int64_t)(i % ARRAY_LEN(pages)) + 1);
	fake_advance(op, 9);
	is_int(t->n_out, ARRAY_LEN(pages) + 1,
	    "string keys of 0 to 24 bytes, some differing in one byte: a window each");
	for (i = 0; i < ARRAY_LEN(pages); i++)
		wrong += strcmp(text_at(t, i).s, pages[i]) != 0 ||
		    text_at(t, i).sum != 1000 + 3 * ((int64_t)i + 1);
	is_int(wrong, 0, "each with its key and its sum, from what create set");
	fake_close(op);
	fake_task_free(t);

	t = fake_task();
	op = visits(t, &by_digest, &show_text);
	visit_add(op, WEIR_KEY_BYTES, "abcdefghijklmnopqrst1", 0, 1);
	visit_add(op, WEIR_KEY_BYTES, "abcdefghijklmnopqrst2", 0, 2);
	visit_add(op, WEIR_KEY_BYTES, "", 0, 4);
	fake_advance(op, 9);
	is_int(t->n_out, 3, "keys of 20 bytes: what lies behind them is not theirs, and zeros are bytes");
	is_int(text_at(t, 0).sum, 1003, "their sum");
	fake_close(op);
	fake_task_free(t);

	t = fake_task();
	op = visits(t, &by_code, NULL);
	visit_add(op, WEIR_KEY_INT, "x", INT32_MIN, 1);
	visit_add(op, WEIR_KEY_INT, "y", INT32_MAX, 2);
	visit_add(op, WEIR_KEY_INT, "z", -1, 4);
	visit_add(op, WEIR_KEY_INT, "", INT32_MIN, 8);
	fake_advance(op, 9);
	is_int(t->n_out, 4, "int keys, also below zero");
	fake_close(op);
	fake_task_free(t);
}

static int64_t plain_sum(const struct task *t, size_t i)
{
	int64_t v = INT64_MIN;

	if (i < t->n_out && t->out[i].len == sizeof(v))
		memcpy(&v, t->out[i].data, sizeof(v));
	return v;
}

static void accumulators(void)
{
	static const weir_function *const aggs[] = { &tiny_count, &total, &big_sum };
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(aggs); i++) {
		struct task *t = fake_task();
		struct graph_node *n = window_node(10, 0, WEIR_EVENT_TIME, false);
		struct operator *op;
		int wrong = 0;

		n->fns[FN_AGGREGATE].code = aggs[i];
		op = fake_operator(t, &operator_window, n, &e);
		for (int64_t k = 0; k < 3000; k++)
			add(op, k % 1000, k / 1000 + 1, 5);
		fake_advance(op, 9);
		for (size_t k = 0; k < 1000; k++)
			wrong += plain_sum(t, k) != 1 + 2 + 3;
		is_int(wrong, 0, "1,000 keys with accumulators of %u bytes", aggs[i]->acc->size);
		is_str(t->failure, "", "nothing failed");
		fake_close(op);
		fake_task_free(t);
	}
}

/* ------------------------------------------------------------------ firing */

/* As many records as the sum says; fails at 13. */
WEIR_WINDOW_FUNCTION(expand, int64_t, int64_t)
(weir_ctx *ctx, const weir_key *key, const weir_window *w, const int64_t *in, weir_out *out)
{
	(void)key;
	(void)w;
	for (int64_t i = 0; i < *in; i++)
		WEIR_EMIT(out, int64_t, &i);
	return *in == 13 ? weir_fail(ctx, "13 is too many") : 0;
}

static struct operator *with_window_fn(struct task *t, const weir_function *fn)
{
	struct graph_node *n = window_node(10, 0, WEIR_EVENT_TIME, true);
	struct operator *op;
	struct err e;

	n->fns[FN_WINDOW].code = fn;
	op = fake_operator(t, &operator_window, n, &e);
	ASSERT(op != NULL);
	return op;
}

static void none_or_several(void)
{
	struct task *t = fake_task();
	struct operator *op = with_window_fn(t, &expand);

	add(op, 1, 0, 5);
	add(op, 2, 3, 5);
	add(op, 3, 0, 5);
	add(op, 4, 1, 5);
	fake_advance(op, 9);
	is_int(t->n_out, 3 + 1 + 1, "a window function may give nothing or several records");
	is_int(t->out[2].ts, 9, "all stamped with the window's time");
	add(op, 1, 1, 15);
	add(op, 2, 13, 15);
	add(op, 3, 1, 15);
	fake_advance(op, 19);
	like(t->failure, "13 is too many", "one that fails says why");
	is_int(t->n_out, 5 + 1 + 13 + 1, "and no window behind it fires");
	fake_close(op);
	fake_task_free(t);
}

/* An aggregate made by hand, which misuses what it is lent. */
static int misuse;
static int misused_result(weir_ctx *ctx, const void *acc, weir_out *out)
{
	int64_t *room;

	(void)ctx;
	if (misuse == 0) {
		out->emit(out, acc, sizeof(int64_t));
		return 0;
	}
	if (misuse == 1)
		return 0;
	if (misuse == 2) {
		out->commit(out, 8);
		return 0;
	}
	room = out->reserve(out, sizeof(int64_t));
	if (misuse == 3) {
		out->commit(out, 0);
		return 0;
	}
	if (misuse == 4)
		return out->reserve(out, 8) == NULL ? 0 : -1;
	*room = 9;
	out->commit(out, 16);
	return 0;
}

static void captured_results(void)
{
	static const struct {
		size_t n_out;
		const char *failure;
	} want[] = { { 1, "" }, { 0, "" }, { 0, "commit without reserve" }, { 0, "" },
		{ 0, "second reserve" }, { 0, "more bytes than were reserved" } };
	weir_function fn = total;
	struct err e;

	fn.acc_result = misused_result;
	for (misuse = 0; misuse < (int)ARRAY_LEN(want); misuse++) {
		struct task *t = fake_task();
		struct graph_node *n = window_node(10, 0, WEIR_EVENT_TIME, true);
		struct operator *op;

		n->fns[FN_AGGREGATE].code = &fn;
		op = fake_operator(t, &operator_window, n, &e);
		add(op, 1, 5, 5);
		fake_advance(op, 9);
		is_int(t->n_out, want[misuse].n_out + 1,
		    "a result in the way %d: what the window function gives", misuse);
		if (want[misuse].failure[0] != '\0')
			like(t->failure, want[misuse].failure, "and the sentence");
		else
			is_str(t->failure, "", "and no failure");
		fake_close(op);
		fake_task_free(t);
	}
}

static int n_results_until_stop;
static void stopping_record(struct output *o, const struct record *r)
{
	fake_record(o, r);
	if (--n_results_until_stop == 0)
		fake_of(o)->hot.stopping = true;
}

static void stop_while_firing(void)
{
	struct task *t = fake_task();
	struct operator *op = with_window_fn(t, &describe);
	int64_t k;

	for (k = 0; k < 100; k++) {
		add(op, k, 1, 5);
		add(op, k, 1, 15);
	}
	t->sink.record = stopping_record;
	n_results_until_stop = 37;
	fake_advance(op, WEIR_MAX_TIMESTAMP);
	is_int(t->n_out, 37 + 1, "a cancel ends a firing at the next window");
	fake_close(op);
	ok(true, "and closing frees what is left");
	fake_task_free(t);
}

static void gives_way(void)
{
	struct task *t = fake_task();
	struct operator *op = with_window_fn(t, &describe);
	int64_t k;

	for (k = 0; k < 10; k++)
		add(op, k, 1, 5);
	t->hot.budget = 64;
	fake_advance(op, 9);
	is_int(t->hot.budget, 64 - 10, "each window that fires counts as a record of the turn's budget");
	fake_close(op);
	fake_task_free(t);
}

static void far_jumps(void)
{
	struct task *t = fake_task();
	struct operator *op = with_window_fn(t, &describe);
	int64_t last = INT64_MIN;
	int wrong = 0;
	size_t i;

	/* not in order, over 5,000 windows below and above zero, two keys each */
	for (i = 0; i < 10000; i++)
		add(op, (int64_t)i / 5000, 1, (int64_t)(i * 7919 % 5000) * 10 - 25000 + (int64_t)i / 5000);
	fake_advance(op, 24999);
	is_int(t->n_out, 10001, "one watermark fires 5,000 windows of two keys");
	for (i = 0; i < 10000; i++) {
		result r = at(t, i);

		wrong += r.end_ms < last || r.end_ms - r.start_ms != 10 || r.start_ms % 10 != 0 ||
		    r.sum != 1 || t->out[i].ts != r.end_ms - 1;
		last = r.end_ms;
	}
	is_int(wrong, 0, "in order of their ends, each whole");
	add(op, 1, 1, 24999);
	add(op, 1, 1, -25000);
	is_int(metrics_get(&t->metrics, METRIC_late_dropped), 2, "and none of them comes back");
	fake_close(op);
	fake_task_free(t);
}

/* The window of ts: its start, or the sentence of the failure. */
static const char *window_of(int64_t size_ms, int64_t offset_ms, int64_t ts, int64_t *start_ms)
{
	static char failure[512];
	struct task *t = fake_task();
	struct err e;
	struct operator *op =
	    fake_operator(t, &operator_window, window_node(size_ms, offset_ms, WEIR_EVENT_TIME, true), &e);

	add(op, 1, 1, ts);
	fake_advance(op, WEIR_MAX_TIMESTAMP);
	*start_ms = at(t, 0).start_ms;
	if (t->failure[0] == '\0' && (t->n_out != 2 || at(t, 0).end_ms != *start_ms + size_ms))
		snprintf(failure, sizeof(failure), "the window did not fire");
	else
		snprintf(failure, sizeof(failure), "%s", t->failure);
	fake_close(op);
	fake_task_free(t);
	return failure;
}

static void edges_of_time(void)
{
	static const struct {
		int64_t size_ms, offset_ms, ts, start_ms;
	} good[] = {
		{ 10, 0, -1, -10 },
		{ 10, 0, -10, -10 },
		{ 10, 0, -11, -20 },
		{ 10, 9, 8, -1 },
		{ 10, 9, 9, 9 },
		{ 10, -9, 0, -9 },
		{ 10, -9, 1, 1 },
		{ 1, 0, -5, -5 },
		{ 1, 0, INT64_MAX - 1, INT64_MAX - 1 },
		{ 1, 0, INT64_MIN + 1, INT64_MIN + 1 },
		{ 10, 7, INT64_MIN + 20, INT64_MIN + 15 },
		{ INT64_MAX, 0, 0, 0 },
		{ INT64_MAX, 0, INT64_MAX - 1, 0 },
		{ INT64_MAX, 0, -1, -INT64_MAX },
		{ INT64_MAX, INT64_MAX - 1, 5, -1 },
		{ INT64_MAX, -(INT64_MAX - 1), 0, -(INT64_MAX - 1) },
		{ 86400000, -28800000, 0, -28800000 },
	};
	static const struct {
		int64_t size_ms, offset_ms, ts;
	} bad[] = {
		{ 10, 0, INT64_MIN + 1 },
		{ 10, 0, INT64_MAX - 1 },
		{ 1, 0, INT64_MAX },
		{ INT64_MAX, 0, INT64_MAX },
		{ INT64_MAX, 1, INT64_MAX },
		{ INT64_MAX, 1, INT64_MIN + 1 },
	};
	const char *failure;
	int64_t start_ms;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		failure = window_of(good[i].size_ms, good[i].offset_ms, good[i].ts, &start_ms);
		is_str(failure, "", "size %" PRId64 ", offset %" PRId64 ": %" PRId64 " has a window",
		    good[i].size_ms, good[i].offset_ms, good[i].ts);
		is_int(start_ms, good[i].start_ms, "that begins at %" PRId64, good[i].start_ms);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		failure = window_of(bad[i].size_ms, bad[i].offset_ms, bad[i].ts, &start_ms);
		like(failure, "begins or ends beyond",
		    "size %" PRId64 ", offset %" PRId64 ": %" PRId64 " has none", bad[i].size_ms,
		    bad[i].offset_ms, bad[i].ts);
	}
}

/* ---------------------------------------------------- open, close and refusals */

static int n_opened, n_closed, failing_open; /* 0: none */
static int counted_open(weir_ctx *ctx)
{
	return ++n_opened == failing_open ? weir_fail(ctx, "cannot open") : 0;
}
static void counted_close(weir_ctx *ctx)
{
	(void)ctx;
	n_closed++;
}

static void open_and_close(void)
{
	struct task *t = fake_task();
	weir_function agg = total, win = describe;
	struct graph_node *n = window_node(10, 0, WEIR_EVENT_TIME, true);
	struct operator *op;
	struct err e;

	agg.open = win.open = counted_open;
	agg.close = win.close = counted_close;
	n->fns[FN_AGGREGATE].code = &agg;
	n->fns[FN_WINDOW].code = &win;
	op = fake_operator(t, &operator_window, n, &e);
	ok(op != NULL && n_opened == 2 && n_closed == 0, "aggregate and window function are opened");
	if (op != NULL)
		fake_close(op);
	is_int(n_closed, 2, "and closed");
	n_opened = n_closed = 0;
	failing_open = 1;
	ok(fake_operator(t, &operator_window, n, &e) == NULL && n_opened == 1 && n_closed == 1,
	    "where the first fails the second is neither opened nor closed");
	like(e.msg, "Total: open of total failed", "its name is said");
	n->fns[FN_AGGREGATE].present = false;
	ok(fake_operator(t, &operator_window, n, &e) == NULL, "no aggregate, no operator");
	n = window_node(0, 0, WEIR_EVENT_TIME, true);
	ok(fake_operator(t, &operator_window, n, &e) == NULL, "nor with windows of no size");
	fake_task_free(t);
}

/* Two windows of the same end, the clock having gone back between. */
static void clock_goes_back(void)
{
	struct task *t = fake_task();
	struct err e;
	struct operator *op =
	    fake_operator(t, &operator_window, window_node(10, 0, WEIR_PROCESSING_TIME, true), &e);

	t->wall_ms = 25;
	add(op, 1, 5, 0);
	is_int(op->timer_ms, 30, "the timer of the window at hand");
	t->wall_ms = 12;
	add(op, 1, 6, 0);
	is_int(op->timer_ms, 20, "an earlier one when the clock went back");
	t->wall_ms = 20;
	op->type->timer(op, 20);
	ok(t->n_out == 1 && at(t, 0).sum == 6, "fires alone");
	is_int(op->timer_ms, 30, "then the later one is waited for");
	t->wall_ms = 1000;
	op->type->timer(op, 1000);
	ok(t->n_out == 2 && at(t, 1).sum == 5 && at(t, 1).end_ms == 30,
	    "and fires even if the clock jumped far");
	fake_close(op);
	fake_task_free(t);
}

int main(void)
{
	key_kinds();
	accumulators();
	none_or_several();
	captured_results();
	stop_while_firing();
	gives_way();
	far_jumps();
	edges_of_time();
	open_and_close();
	clock_goes_back();
	return tap_done();
}
