/*
 * The services of a task, faked, so that one operator can be driven by hand: records
 * and watermarks in, what it emits kept in order, time as the test sets it.
 *
 * Include it in exactly one file of a test program.
 */
#ifndef T_UNIT_FAKE_TASK_H
#define T_UNIT_FAKE_TASK_H

#include "base/mem.h"
#include "shm/metrics.h"
#include "worker/runtime/operator.h"

struct emitted {
	char kind; /* 'r' record, 'w' watermark, 's' status, 'e' end */
	int64_t ts;
	uint32_t len;
	uint8_t data[120];
};

struct task {
	struct task_hot hot;
	_Atomic uint32_t attention;
	struct output sink;
	struct metrics_task metrics;
	struct emitted *out;
	size_t n_out, cap_out;
	int64_t wall_ms, mono_ns, stalled_ns;
	uint32_t subtask, parallelism, max_parallelism;
	char failure[512]; /* "" while it runs */
};

static void fake_push(struct task *t, char kind, int64_t ts, const void *p, uint32_t len)
{
	struct emitted *e;

	VEC_RESERVE(t->out, t->n_out, t->cap_out);
	e = &t->out[t->n_out++];
	memset(e, 0, sizeof(*e));
	e->kind = kind;
	e->ts = ts;
	e->len = len;
	if (len > 0)
		memcpy(e->data, p, len < sizeof(e->data) ? len : sizeof(e->data));
}
static struct task *fake_of(struct output *o) { return (struct task *)(void *)((char *)o - offsetof(struct task, sink)); }
static void fake_record(struct output *o, const struct record *r) { fake_push(fake_of(o), 'r', r->ts, r->data, r->len); }
static void fake_watermark(struct output *o, int64_t ts) { fake_push(fake_of(o), 'w', ts, NULL, 0); }
static void fake_status(struct output *o, bool idle) { fake_push(fake_of(o), 's', idle, NULL, 0); }
static void fake_end(struct output *o) { fake_push(fake_of(o), 'e', 0, NULL, 0); }

static void fake_emit(weir_out *o, const void *rec, uint32_t len)
{
	struct collector *c = (struct collector *)(void *)o;
	struct record r = { rec, len, 0, c->ts };
	c->to->record(c->to, &r);
}
static uint8_t fake_scratch[4096];
static void *fake_reserve(weir_out *o, uint32_t len) { (void)o; memset(fake_scratch, 0, len); return fake_scratch; }
static void fake_commit(weir_out *o, uint32_t len) { if (len > 0) fake_emit(o, fake_scratch, len); }
static void fake_emit_at(weir_out *o, const void *rec, uint32_t len, int64_t ts)
{
	struct collector *c = (struct collector *)(void *)o;
	struct record r = { rec, len, 0, ts };
	c->to->record(c->to, &r);
}

void task_fail(struct task *t, const char *fmt, ...)
{
	va_list ap;
	if (t->failure[0] != '\0')
		return;
	va_start(ap, fmt);
	vsnprintf(t->failure, sizeof(t->failure), fmt, ap);
	va_end(ap);
	t->hot.stopping = true;
}
bool task_stopping(const struct task *t) { return t->hot.stopping; }
void task_point_slow(struct task *t) { t->hot.budget = 64; }
void task_wait(struct task *t, enum wait_kind kind, bool (*ready)(void *arg), void *arg, int64_t deadline_ns)
{
	(void)kind;
	(void)ready;
	(void)arg;
	t->mono_ns = deadline_ns;
}
int64_t task_wall_ms(struct task *t) { return t->wall_ms; }
int64_t task_mono_ns(struct task *t) { return t->mono_ns; }
uint32_t task_subtask(const struct task *t) { return t->subtask; }
uint32_t task_parallelism(const struct task *t) { return t->parallelism; }
uint32_t task_max_parallelism(const struct task *t) { return t->max_parallelism; }
int64_t task_stalled_ns(const struct task *t) { return t->stalled_ns; }
int64_t task_auto_watermark_ms(const struct task *t) { (void)t; return 200; }
struct metrics_task *task_metrics(struct task *t) { return &t->metrics; }
void operator_set_timer(struct operator *op, int64_t wall_ms) { op->timer_ms = wall_ms; }

__attribute__((format(printf, 2, 0)))
static void fake_ctx_fail(weir_ctx *ctx, const char *fmt, va_list ap)
{
	struct op_ctx *c = (struct op_ctx *)(void *)ctx;
	char text[256];
	vsnprintf(text, sizeof(text), fmt, ap);
	task_fail(c->op->task, "%s", text);
}
static int64_t fake_ctx_timestamp(weir_ctx *ctx) { return ((struct op_ctx *)(void *)ctx)->op->current_ts; }
static int64_t fake_ctx_watermark(weir_ctx *ctx) { return ((struct op_ctx *)(void *)ctx)->op->watermark; }
static const weir_ctx_api fake_ctx_api = { sizeof(weir_ctx_api), fake_ctx_fail, NULL, fake_ctx_timestamp, fake_ctx_watermark,
	NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL };

__attribute__((unused))
static struct task *fake_task(void)
{
	struct task *t = xcalloc(1, sizeof(*t));
	t->hot.attention = &t->attention;
	t->hot.budget = 64;
	t->parallelism = 1;
	t->max_parallelism = 128;
	t->sink.record = fake_record;
	t->sink.watermark = fake_watermark;
	t->sink.status = fake_status;
	t->sink.end = fake_end;
	return t;
}
__attribute__((unused))
static void fake_task_free(struct task *t)
{
	free(t->out);
	free(t);
}
/* An operator of `type` over `node`, opened. */
__attribute__((unused))
static struct operator *fake_operator(struct task *t, const struct operator_type *type, const struct graph_node *node, struct err *e)
{
	struct operator *op = xcalloc(1, type->size);
	op->type = type;
	op->task = t;
	op->node = node;
	op->out = &t->sink;
	op->ctx.pub.api = &fake_ctx_api;
	op->ctx.op = op;
	op->col.pub.struct_size = sizeof(weir_out);
	op->col.pub.emit = fake_emit;
	op->col.pub.reserve = fake_reserve;
	op->col.pub.commit = fake_commit;
	op->col.pub.emit_at = fake_emit_at;
	op->col.op = op;
	op->col.to = &t->sink;
	op->watermark = WEIR_MIN_TIMESTAMP;
	op->timer_ms = INT64_MAX;
	if (type->open(op, e) == -1) {
		type->close(op);
		free(op);
		return NULL;
	}
	return op;
}
__attribute__((unused))
static void fake_close(struct operator *op)
{
	op->type->close(op);
	free(op);
}
/* A watermark as the runtime gives it: remembered first, then handed in. */
__attribute__((unused))
static void fake_advance(struct operator *op, int64_t ts)
{
	op->watermark = ts;
	op->type->watermark(op, ts);
}

#endif
