/*
 * The reader over a fetcher of the test's own, in virtual time: positions, watermarks of several
 * splits, ends of bounded ones, malformed messages, and what makes a split idle, and what does not.
 */
#include "t/unit/fake_task.h"

#include "t/tap.h"
#include "worker/connectors/reader.h"

typedef struct event {
	int64_t ts, id;
} event;
WEIR_TYPE(event);

/* ---------------------------------------------------------- functions */

WEIR_DESERIALIZER(read_event, event)(weir_ctx *ctx, const weir_message *m, event *e)
{
	if (m->value_len == 4 && memcmp(m->value, "skip", 4) == 0)
		return 0;
	if (m->value_len != sizeof(*e))
		return weir_fail(ctx, "%u bytes", (unsigned)m->value_len);
	memcpy(e, m->value, sizeof(*e));
	return 1;
}
WEIR_TIMESTAMP_ASSIGNER(event_ts, event)(weir_ctx *ctx, const event *e, int64_t ts)
{
	(void)ctx;
	(void)ts;
	return e->ts;
}

/* ----------------------------------------------------- fetcher and host */

#define MAX_QUEUED 2048
static struct {
	struct fetcher base;
	struct raw_message queue[MAX_QUEUED];
	event values[MAX_QUEUED];
	unsigned n, at;
	int64_t offsets[4];
	int64_t evidence_ns;
	bool broken;
} F;

static struct clock_virtual clk;
static int64_t excluded_ns;
static char user_error[256];
static struct task *task;
static struct reader *r;
static struct operator *op;

static int fake_fetch(struct fetcher *base, struct raw_message *out, unsigned max, struct err *e)
{
	unsigned n = F.n - F.at < max ? F.n - F.at : max;

	(void)base;
	if (F.broken)
		return err_set(e, ERR_UNAVAILABLE, "the fetcher broke");
	memcpy(out, &F.queue[F.at], n * sizeof(*out));
	F.at += n;
	return (int)n;
}
static int64_t fake_evidence(struct fetcher *base)
{
	(void)base;
	return F.evidence_ns;
}
static int64_t host_excluded(void *arg)
{
	(void)arg;
	return excluded_ns;
}
static void host_fail(void *arg, const char *sentence)
{
	task_fail(arg, "%s", sentence);
}
static const char *host_user_error(void *arg)
{
	static char taken[256];

	(void)arg;
	memcpy(taken, user_error, sizeof(taken));
	user_error[0] = '\0';
	return taken;
}
__attribute__((format(printf, 2, 0))) static void ctx_fail(weir_ctx *ctx, const char *fmt, va_list ap)
{
	(void)ctx;
	vsnprintf(user_error, sizeof(user_error), fmt, ap);
}
static const weir_ctx_api ctx_api = { .struct_size = sizeof(weir_ctx_api), .fail = ctx_fail };

static int no_open(struct operator *o, struct err *e)
{
	(void)o, (void)e;
	return 0;
}
static void no_close(struct operator *o)
{
	(void)o;
}
static const struct operator_type source_type = {
	.name = "source", .size = sizeof(struct operator), .open = no_open, .close = no_close
};
static struct graph_node node;

static void begin(int64_t bound_ms, int64_t idle_ms, bool skip)
{
	struct reader_host host = { &clk.clock, host_excluded, host_fail, host_user_error, NULL, NULL };
	struct reader_options options = { skip, 2 * NS_PER_S };
	struct err e;

	memset(&F, 0, sizeof(F));
	F.base = (struct fetcher){ fake_fetch, fake_evidence };
	F.evidence_ns = INT64_MIN;
	clock_virtual_init(&clk, 1000000);
	clk.mono_ns = 100 * NS_PER_S;
	excluded_ns = 0;
	user_error[0] = '\0';
	memset(&node, 0, sizeof(node));
	node.type = NODE_SOURCE;
	node.name = (char[]){ "Source" };
	node.watermark = weir_bounded_out_of_orderness(bound_ms);
	node.watermark.idle_timeout_ms = idle_ms;
	node.fns[FN_DESERIALIZER] = (struct graph_fn){ .present = true, .code = &read_event };
	node.fns[FN_TIMESTAMP] = (struct graph_fn){ .present = true, .code = &event_ts };
	task = fake_task();
	op = fake_operator(task, &source_type, &node, &e);
	op->ctx.pub.api = &ctx_api;
	host.arg = task;
	host.metrics = &task->metrics;
	r = reader_create(op, &host, &options, &F.base);
}

static void end(void)
{
	reader_destroy(r);
	fake_close(op);
	fake_task_free(task);
}

static void put_value(uint32_t split, const void *value, uint32_t len)
{
	F.queue[F.n++] = (struct raw_message){ RAW_MESSAGE, split,
		{ .struct_size = sizeof(weir_message),
		    .value = value,
		    .value_len = len,
		    .timestamp_ms = 7,
		    .topic = "t",
		    .partition = (int32_t)split,
		    .offset = F.offsets[split]++ } };
}
static void put(uint32_t split, int64_t ts)
{
	F.values[F.n] = (event){ ts, F.n };
	put_value(split, &F.values[F.n], sizeof(event));
}
static void put_end(uint32_t split)
{
	F.queue[F.n++] = (struct raw_message){ RAW_END, split,
		{ .struct_size = sizeof(weir_message),
		    .topic = "t",
		    .partition = (int32_t)split,
		    .offset = F.offsets[split] } };
}

/* Poll until it waits or ends; returns the deadline through *deadline_ns. */
static enum source_status drain(int64_t *deadline_ns)
{
	enum source_status s;
	int64_t d;

	do {
		d = INT64_MAX;
		s = reader_poll(r, &d);
	} while (s == SOURCE_MORE);
	if (deadline_ns != NULL)
		*deadline_ns = d;
	return s;
}

/* The clock goes on by ms, in steps; the other side answers at each when it is there. */
static void pass(int64_t ms, bool answers)
{
	for (; ms > 0; ms -= 100) {
		clock_virtual_advance(&clk, ms < 100 ? ms : 100);
		if (answers)
			F.evidence_ns = clk.mono_ns;
		drain(NULL);
	}
}

static const struct emitted *last(char kind)
{
	for (size_t i = task->n_out; i-- > 0;)
		if (task->out[i].kind == kind)
			return &task->out[i];
	return NULL;
}
static int count(char kind)
{
	int n = 0;

	for (size_t i = 0; i < task->n_out; i++)
		n += task->out[i].kind == kind;
	return n;
}
static int64_t last_ts(char kind)
{
	const struct emitted *e = last(kind);
	return e == NULL ? INT64_MIN : e->ts;
}

/* ------------------------------------------------------------------ tests */

static void test_records(void)
{
	event third;

	begin(200, 0, false);
	reader_add_split(r, "t", 0, 0, READER_NO_END);
	reader_discovered(r, false);
	is_int(drain(NULL), SOURCE_WAIT, "nothing there: wait");
	put(0, 1000);
	put(0, 3000);
	put(0, 2000);
	put_value(0, "skip", 4);
	is_int(drain(NULL), SOURCE_WAIT, "messages taken");
	is_int(count('r'), 3, "three records");
	is_int(task->out[1].ts, 3000, "with the assigner's time");
	memcpy(&third, task->out[2].data, sizeof(third));
	is_int(third.id, 2, "and their content");
	is_int(last_ts('w'), 3000 - 200 - 1, "the watermark is the highest time - bound - 1");
	is_int(reader_position(r, 0), 4, "the position is behind what was passed over too");
	is_int(metrics_get(&task->metrics, METRIC_records_in), 3, "records are counted");
	is_int(metrics_get(&task->metrics, METRIC_emit_event_time_lag), 1000000 - 2000, "so is their lag");
	pass(1000, true);
	is_int(count('w'), 1, "a watermark is said once");
	is_int(metrics_get(&task->metrics, METRIC_source_idle_ms), 1000, "idle time is shown");
	put(0, INT64_MIN + 1);
	drain(NULL);
	is_int(last_ts('w'), 2799, "the lowest timestamp there is moves nothing");
	put(0, WEIR_MIN_TIMESTAMP);
	drain(NULL);
	like(task->failure, "topic t, partition 0, offset 5: the timestamp assigner gave no timestamp",
	    "none fails the task");
	end();
}

static void test_rate_of_watermarks(void)
{
	int64_t deadline_ns;

	begin(0, 0, false);
	reader_add_split(r, "t", 0, 0, READER_NO_END);
	reader_discovered(r, false);
	put(0, 10);
	drain(&deadline_ns);
	is_int(deadline_ns, INT64_MAX, "with the watermark said, nothing is to be done");
	put(0, 20);
	drain(&deadline_ns);
	is_int(last_ts('w'), 9, "no second watermark within a ms");
	is_int(deadline_ns, clk.mono_ns + NS_PER_MS, "but it is asked for");
	clock_virtual_advance(&clk, 1);
	drain(NULL);
	is_int(last_ts('w'), 19, "and comes then");
	end();
}

static void test_merge(void)
{
	begin(0, 0, false);
	for (int i = 0; i < 3; i++)
		reader_add_split(r, "t", i, 0, READER_NO_END);
	reader_discovered(r, false);
	put(0, 5000);
	put(1, 9000);
	drain(NULL);
	is_int(count('w'), 0, "no watermark while a split has had no record");
	pass(1, false);
	put(2, 7000);
	drain(NULL);
	is_int(last_ts('w'), 4999, "the lowest of all");
	put(0, 8000);
	pass(1, false);
	is_int(last_ts('w'), 6999, "then the next");
	put(2, 100);
	pass(1, false);
	is_int(last_ts('w'), 6999, "a late record takes nothing back");
	end();
}

static void test_bounded(void)
{
	begin(0, 0, false);
	reader_add_split(r, "t", 0, 0, 2);
	reader_add_split(r, "t", 1, 0, 1);
	reader_add_split(r, "t", 2, 0, 0);
	reader_add_split(r, "t", 3, 7, 7);
	put(0, 10);
	put(0, 20);
	put(0, 30);
	put(1, 10);
	is_int(drain(NULL), SOURCE_WAIT, "not over before all splits are known");
	reader_discovered(r, true);
	is_int(drain(NULL), SOURCE_WAIT, "nor before the ends");
	is_int(count('r'), 3, "what is behind the stop offset is not taken");
	F.offsets[1] = 5;
	put_end(1);
	is_int(drain(NULL), SOURCE_END, "the end of the last split is the end");
	is_int(reader_position(r, 0), 2, "the position is the stop offset");
	end();

	begin(0, 0, false);
	reader_discovered(r, true);
	is_int(drain(NULL), SOURCE_END, "a bounded source without splits is at its end");
	end();

	begin(0, 0, false);
	reader_add_split(r, "t", 0, -2, 3);
	reader_discovered(r, true);
	F.offsets[0] = 2;
	put_end(0);
	is_int(drain(NULL), SOURCE_WAIT, "an end before the stop offset is not the last word");
	is_int(reader_position(r, 0), 2, "but says where a split begins");
	F.offsets[0] = 3;
	put_end(0);
	is_int(drain(NULL), SOURCE_END, "one at the stop offset is");
	end();
}

static void test_malformed(void)
{
	begin(0, 0, false);
	reader_add_split(r, "topic-1", 0, 0, READER_NO_END);
	reader_discovered(r, false);
	put(0, 1);
	put_value(0, "{\"a\":\x01\xff'", 8);
	put(0, 2);
	drain(NULL);
	like(task->failure,
	    "topic t, partition 0, offset 1: malformed message: 8 bytes; its bytes: '{\"a\":\\x01\\xff''",
	    "a malformed message fails the task and is named");
	is_int(count('r'), 1, "nothing of what is behind it is emitted");
	end();

	begin(0, 0, true);
	reader_add_split(r, "t", 0, 0, READER_NO_END);
	reader_discovered(r, false);
	put(0, 1);
	put_value(0, NULL, 0);
	put(0, 2);
	drain(NULL);
	is_str(task->failure, "", "or is passed over");
	is_str(user_error, "", "with its sentence taken");
	is_int(count('r'), 2, "the others are emitted");
	is_int(metrics_get(&task->metrics, METRIC_in_errors), 1, "it is counted");
	is_int(reader_position(r, 0), 3, "the position goes on");
	end();

	begin(0, 0, false);
	reader_add_split(r, "t", 0, 0, READER_NO_END);
	reader_discovered(r, false);
	F.broken = true;
	drain(NULL);
	is_str(task->failure, "the fetcher broke", "the fetcher's failure is the task's");
	end();
}

/* Two splits; the second is at its end, the first has records. */
static void begin_idle(void)
{
	begin(0, 5000, false);
	reader_add_split(r, "t", 0, 0, READER_NO_END);
	reader_add_split(r, "t", 1, 0, READER_NO_END);
	reader_discovered(r, false);
	put(0, 1000);
	put(1, 500);
	put_end(1);
	F.evidence_ns = clk.mono_ns;
	drain(NULL);
	is_int(last_ts('w'), 499, "the slower split holds the watermark");
}

static void test_idle(void)
{
	int64_t deadline_ns;

	begin_idle();
	pass(4900, true);
	drain(&deadline_ns);
	is_int(last_ts('w'), 499, "not idle before its time");
	ok(deadline_ns <= clk.mono_ns + 1100 * NS_PER_MS, "it will be looked at");
	pass(200, true);
	is_int(last_ts('w'), 999, "idle after 5 s at its end with answers");
	is_int(count('s'), 0, "the source is not");
	put(1, 600);
	drain(NULL);
	put(0, 2000);
	pass(10, true);
	is_int(last_ts('w'), 999, "a record wakes it, and it holds the watermark again");
	end();

	begin_idle();
	pass(60000, false);
	is_int(last_ts('w'), 499, "without answers no time makes it idle");
	F.evidence_ns = clk.mono_ns;
	drain(NULL);
	pass(4500, true);
	is_int(last_ts('w'), 499, "a gap of answers is no evidence");
	pass(700, true);
	is_int(last_ts('w'), 999, "only what follows is");
	end();

	begin_idle();
	pass(2000, true);
	/* the process stands still for 8 s; the first answer after it bridges them */
	clock_virtual_advance(&clk, 8000);
	F.evidence_ns = clk.mono_ns;
	excluded_ns += 8000 * NS_PER_MS;
	drain(NULL);
	is_int(last_ts('w'), 499, "a process that stood still for 8 s has no idle split");
	pass(2900, true);
	is_int(last_ts('w'), 499, "nor 2.9 s later");
	pass(200, true);
	is_int(last_ts('w'), 999, "but when 5 s have run");
	end();

	begin_idle();
	for (int i = 0; i < 100; i++) {
		/* answers come, but the task is back-pressured all the time */
		clock_virtual_advance(&clk, 100);
		F.evidence_ns = clk.mono_ns;
		excluded_ns += 100 * NS_PER_MS;
		drain(NULL);
	}
	is_int(last_ts('w'), 499, "10 s of back pressure make nothing idle");
	end();

	begin(0, 5000, false);
	reader_add_split(r, "t", 0, 0, READER_NO_END);
	reader_add_split(r, "t", 1, 0, READER_NO_END);
	reader_discovered(r, false);
	put(0, 1000);
	put(1, 500);
	F.evidence_ns = clk.mono_ns;
	drain(NULL);
	pass(60000, true);
	is_int(last_ts('w'), 499, "a split whose end was not reported is not idle");
	end();
}

/* Nothing wakes the task: it is asked only when it wants to be, while answers come all the time. */
static void test_idle_alone(void)
{
	int64_t deadline_ns, start_ns;
	int looks = 0;

	begin_idle();
	put_end(0);
	drain(&deadline_ns);
	start_ns = clk.mono_ns;
	while (last_ts('w') == 499 && clk.mono_ns - start_ns < 20 * NS_PER_S) {
		while (clk.mono_ns < deadline_ns) {
			clock_virtual_advance(&clk, 10);
			if (clk.mono_ns / NS_PER_MS % 500 == 0)
				F.evidence_ns = clk.mono_ns;
		}
		drain(&deadline_ns);
		looks++;
	}
	is_int(last_ts('w'), 999, "idle without anything that wakes the task");
	ok(clk.mono_ns - start_ns < 6500 * NS_PER_MS, "after 5 s (%lld ms)",
	    (long long)((clk.mono_ns - start_ns) / NS_PER_MS));
	ok(looks < 60, "which it did not spend looking (%d times)", looks);
	end();
}

static void test_status(void)
{
	begin_idle();
	put_end(0);
	drain(NULL);
	pass(5200, true);
	is_int(last_ts('w'), 999, "all idle at once: the latest of them is the watermark");
	ok(last('w') < last('s'), "before the source is idle");
	is_int(last_ts('s'), 1, "the source is idle");
	is_int(count('s'), 1, "said once");
	put(0, 3000);
	drain(NULL);
	is_int(last_ts('s'), 0, "a record makes it active");
	ok(last('s') < last('r'), "before it is emitted");
	pass(1, true);
	is_int(last_ts('w'), 2999, "the split that is still idle holds nothing");
	end();

	begin(0, 5000, false);
	drain(NULL);
	is_int(count('s'), 0, "no split and none looked for: not idle yet");
	reader_discovered(r, false);
	drain(NULL);
	is_int(last_ts('s'), 1, "no split for this subtask: idle from the first turn");
	end();
}

int main(void)
{
	test_records();
	test_rate_of_watermarks();
	test_merge();
	test_bounded();
	test_malformed();
	test_idle();
	test_idle_alone();
	test_status();
	return tap_done();
}
