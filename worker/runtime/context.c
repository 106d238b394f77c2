/*
 * The tables behind weir_ctx and weir_out.
 */
#include "worker/runtime/context.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/mem.h"
#include "worker/runtime/task.h"

static struct operator *op_of(weir_ctx *ctx)
{
	return ((struct op_ctx *)(void *)ctx)->op;
}

/* ------------------------------------------------------------- context */

__attribute__((format(printf, 2, 0)))
static void ctx_fail(weir_ctx *ctx, const char *fmt, va_list ap)
{
	task_user_error_set(op_of(ctx)->task, op_of(ctx)->node->name, fmt, ap);
}

static void ctx_sleep_ms(weir_ctx *ctx, int64_t ms)
{
	struct task *t = op_of(ctx)->task;
	int64_t now_ns, deadline_ns;

	if (ms <= 0 || t->hot.stopping)
		return;
	slot_read_clock(t->slot); /* the user's own work before this call must not shorten it */
	now_ns = t->now->mono_ns;
	if (__builtin_mul_overflow(ms, NS_PER_MS, &deadline_ns) ||
	    __builtin_add_overflow(deadline_ns, now_ns, &deadline_ns))
		deadline_ns = INT64_MAX;
	task_wait(t, WAIT_BUSY, NULL, NULL, deadline_ns);
}

static int64_t ctx_timestamp(weir_ctx *ctx)
{
	return op_of(ctx)->current_ts;
}

static int64_t ctx_watermark(weir_ctx *ctx)
{
	return op_of(ctx)->watermark;
}

/* Read anew: the author may measure with it. */
static int64_t ctx_processing_time(weir_ctx *ctx)
{
	return clock_wall_ms(slot_clock(op_of(ctx)->task->slot));
}

static const char *ctx_param(weir_ctx *ctx, const char *name)
{
	return task_param(op_of(ctx)->task, name);
}

static const void *ctx_block(weir_ctx *ctx, uint32_t *len)
{
	const struct operator *op = op_of(ctx);
	const struct graph_fn *fn = &op->node->fns[op->fn];

	if (len != NULL)
		*len = fn->block_len;
	return fn->block;
}

static void *ctx_instance(weir_ctx *ctx)
{
	return op_of(ctx)->instances[op_of(ctx)->fn];
}

static uint32_t ctx_subtask_index(weir_ctx *ctx)
{
	return op_of(ctx)->task->subtask;
}

static uint32_t ctx_parallelism(weir_ctx *ctx)
{
	return op_of(ctx)->task->parallelism;
}

static uint32_t ctx_attempt(weir_ctx *ctx)
{
	return op_of(ctx)->task->execution_attempt;
}

__attribute__((format(printf, 2, 0)))
static void ctx_log(weir_ctx *ctx, const char *fmt, va_list ap)
{
	const struct operator *op = op_of(ctx);
	char text[2048];

	vsnprintf(text, sizeof(text), fmt, ap);
	log_info("user.log", KV_JOB(op->task->env->job_hex), KV_STR("task", op->task->name),
	    KV_STR("operator", op->node->name), KV_MSG("%s", text));
}

static int64_t *ctx_counter(weir_ctx *ctx, const char *name)
{
	struct operator *op = op_of(ctx);
	struct task *t = op->task;
	char *full = xasprintf("%s.%s", op->node->name, name);
	uint32_t i;

	for (i = 0; i < t->n_user_metrics; i++)
		if (strcmp(t->user_metrics[i].name, full) == 0)
			break;
	if (i < t->n_user_metrics) {
		free(full);
	} else if (i == METRIC_USER_MAX) {
		log_warnx("metric.no_room", KV_JOB(t->env->job_hex), KV_STR("task", t->name),
		    KV_STR("metric", full),
		    KV_MSG("a task has room for %d user metrics; this one is counted but not shown",
			METRIC_USER_MAX));
		free(full);
		return &t->spare_counter;
	} else {
		VEC_RESERVE(t->user_metrics, t->n_user_metrics, t->cap_user_metrics);
		t->user_metrics[t->n_user_metrics++].name = full;
		if (t->env->metric_name != NULL)
			t->env->metric_name(t->env->arg, t, i, full);
	}
	/* The author adds to it with plain stores, which REST reads as the machine writes them: whole. */
	return (int64_t *)(uintptr_t)&t->metrics->v[METRIC_USER_FIRST + i];
}

static const weir_ctx_api ctx_api = {
	.struct_size = sizeof(weir_ctx_api),
	.fail = ctx_fail,
	.sleep_ms = ctx_sleep_ms,
	.timestamp = ctx_timestamp,
	.watermark = ctx_watermark,
	.processing_time = ctx_processing_time,
	.param = ctx_param,
	.block = ctx_block,
	.instance = ctx_instance,
	.subtask_index = ctx_subtask_index,
	.parallelism = ctx_parallelism,
	.attempt = ctx_attempt,
	.log = ctx_log,
	.counter = ctx_counter,
};

void context_init(struct op_ctx *c, struct operator *op)
{
	c->pub.api = &ctx_api;
	c->op = op;
}

/* ----------------------------------------------------------- collector */

/* Between reserve and commit nothing else may be handed on: it would take the place of what is lent. */
static bool out_of_order(struct collector *c, const char *call)
{
	if (!c->reserved)
		return false;
	task_fail(c->op->task, "%s: %s before the commit of what was reserved", c->op->node->name, call);
	return true;
}

static void col_emit_at(weir_out *out, const void *rec, uint32_t len, int64_t timestamp_ms)
{
	struct collector *c = (struct collector *)(void *)out;

	if (c->op->task->hot.stopping || out_of_order(c, "emit"))
		return;
	c->to->record(c->to, &(struct record){ .data = rec, .len = len, .ts = timestamp_ms });
}

static void col_emit(weir_out *out, const void *rec, uint32_t len)
{
	col_emit_at(out, rec, len, ((struct collector *)(void *)out)->ts);
}

static void *col_reserve(weir_out *out, uint32_t len)
{
	struct collector *c = (struct collector *)(void *)out;
	const uint32_t most = c->op->task->env->record_max_size;
	void *p = NULL;

	if (out_of_order(c, "a second reserve"))
		return NULL;
	if (len > most) {
		task_fail(c->op->task,
		    "%s: reserve of %" PRIu32 " bytes is over taskmanager.record.max-size (%" PRIu32
		    " bytes)",
		    c->op->node->name, len, most);
		return NULL;
	}
	if (c->to->reserve != NULL)
		p = c->to->reserve(c->to, len);
	c->in_place = p != NULL;
	if (p == NULL) {
		/* Also for a stopping task: its author need not look for NULL, and commit discards. */
		if (len > c->cap_scratch) {
			uint32_t cap = c->cap_scratch ? c->cap_scratch : 256;

			while (cap < len)
				cap = cap * 2;
			free(c->scratch);
			c->scratch = xmalloc(cap);
			c->cap_scratch = cap;
		}
		if (c->scratch == NULL) { /* len 0 */
			c->scratch = xmalloc(256);
			c->cap_scratch = 256;
		}
		p = c->scratch;
	}
	memset(p, 0, len);
	c->reserved = true;
	c->len_reserved = len;
	return p;
}

static void col_commit(weir_out *out, uint32_t len)
{
	struct collector *c = (struct collector *)(void *)out;

	if (!c->reserved) {
		task_fail(c->op->task, "%s: commit without reserve", c->op->node->name);
		return;
	}
	c->reserved = false;
	if (len > c->len_reserved) {
		task_fail(c->op->task, "%s: commit of %" PRIu32 " bytes where %" PRIu32 " were reserved",
		    c->op->node->name, len, c->len_reserved);
		len = 0;
	}
	if (c->in_place) {
		c->to->commit(c->to, len, c->ts);
		return;
	}
	if (len > 0 && !c->op->task->hot.stopping)
		c->to->record(c->to, &(struct record){ .data = c->scratch, .len = len, .ts = c->ts });
}

void collector_init(struct collector *c, struct operator *op, struct output *to)
{
	*c = (struct collector){
		.pub = {
			.struct_size = sizeof(weir_out),
			.emit = col_emit,
			.reserve = col_reserve,
			.commit = col_commit,
			.emit_at = col_emit_at,
		},
		.op = op,
		.to = to,
		.ts = WEIR_MIN_TIMESTAMP,
	};
}

void collector_fini(struct collector *c)
{
	free(c->scratch);
}
