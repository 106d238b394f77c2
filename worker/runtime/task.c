/*
 * Tasks: turns, budget, waits, failure and the life from INITIALIZING to the end.
 */
#include "worker/runtime/task.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/mem.h"
#include "worker/runtime/chain.h"
#include "worker/runtime/gate.h"

#define SAMPLE_MAX     64
#define QUICK_NS       INT64_C(10000)   /* a record: below it samples grow */
#define SLOW_NS        INT64_C(1000000) /* a record: above it publish before the next */

/* ---------------------------------------------------------- accounting */

static void account(struct task *t, enum wait_kind kind)
{
	static const enum metric row[] = {
		[WAIT_IDLE] = METRIC_idle_ns,
		[WAIT_BACKPRESSURED] = METRIC_backpressured_ns,
		[WAIT_BUSY] = METRIC_busy_ns,
	};

	metrics_add(t->metrics, row[kind], t->now->mono_ns - t->mark_ns);
	t->mark_ns = t->now->mono_ns;
}

static void report(struct task *t, enum task_state state)
{
	struct ctl_task_state st = {
		.job_id = t->env->job_id,
		.attempt = t->env->attempt,
		.vertex = t->vertex,
		.subtask = t->subtask,
		.state = state,
		.wall_ms = clock_wall_ms(slot_clock(t->slot)),
	};

	if (state == TASK_FAILED)
		st.cause = t->cause;
	t->env->state(t->env->arg, &st);
}

/* ------------------------------------------------------------ switches */

/* To the slot's loop; back at the next turn. */
static void switch_out(struct task *t)
{
	fiber_yield(t->fiber);
}

void task_point_slow(struct task *t)
{
	if (t->hot.budget == 0) {
		int64_t a_record;

		slot_read_clock(t->slot);
		a_record = (t->sample_used_ns + t->now->mono_ns - t->sample_start_ns) / t->sample_n;
		t->hot.slow = t->sample_n == 1 && a_record > SLOW_NS;
		if (a_record > QUICK_NS)
			t->sample_n = 1;
		else if (t->sample_n < SAMPLE_MAX)
			t->sample_n *= 2;
		t->hot.budget = t->sample_n;
		t->sample_used_ns = 0;
		t->sample_start_ns = t->now->mono_ns;
		if (t->next_timer_ms <= t->now->wall_ms)
			t->hot.timers_due = true;
		if (t->now->mono_ns < t->turn_end_ns &&
		    atomic_load_explicit(t->hot.attention, memory_order_relaxed) == 0)
			return;
	}
	switch_out(t);
}

void task_turn(struct task *t)
{
	account(t, t->waiting ? t->wait_kind : WAIT_BUSY);
	t->waiting = false;
	t->sample_start_ns = t->now->mono_ns;
	t->turn_end_ns = t->now->mono_ns + TASK_TURN_NS;
	if (t->next_timer_ms <= t->now->wall_ms)
		t->hot.timers_due = true;
	fiber_resume(t->fiber);
	slot_read_clock(t->slot);
	t->sample_used_ns += t->now->mono_ns - t->sample_start_ns;
	account(t, WAIT_BUSY);
}

static void wait_for(struct task *t, enum wait_kind kind, bool (*ready)(void *arg), void *arg,
    int64_t deadline_ns)
{
	t->wait_kind = kind;
	t->ready = ready;
	t->ready_arg = arg;
	t->wait_deadline_ns = deadline_ns;
	t->waiting = true;
	switch_out(t);
	t->wait_always = t->wait_timers = false;
}

void task_wait(struct task *t, enum wait_kind kind, bool (*ready)(void *arg), void *arg, int64_t deadline_ns)
{
	if (!t->hot.stopping)
		wait_for(t, kind, ready, arg, deadline_ns);
}

void task_wait_always(struct task *t, enum wait_kind kind, bool (*ready)(void *arg), void *arg)
{
	t->wait_always = true;
	wait_for(t, kind, ready, arg, INT64_MAX);
}

void task_wait_main(struct task *t, bool (*ready)(void *arg), void *arg, int64_t deadline_ns)
{
	if (t->hot.stopping)
		return;
	t->wait_timers = true;
	wait_for(t, WAIT_IDLE, ready, arg, deadline_ns);
}

bool task_can_run(struct task *t)
{
	if (!t->waiting)
		return true;
	if (t->hot.stopping && !t->wait_always)
		return true;
	if (t->wait_deadline_ns <= t->now->mono_ns ||
	    (t->wait_timers && (t->next_timer_ms <= t->now->wall_ms || t->hot.interrupt)))
		return true;
	return t->ready != NULL && t->ready(t->ready_arg);
}

int64_t task_deadline_ns(const struct task *t)
{
	int64_t deadline_ns = t->wait_deadline_ns, ns;

	if (!t->wait_timers || t->next_timer_ms == INT64_MAX)
		return deadline_ns;
	/* One beyond the next tick is looked at again then, by the wall clock of that time. */
	ns = t->next_timer_ms - t->now->wall_ms > 3600000 ? INT64_MAX :
	    t->now->mono_ns + (t->next_timer_ms - t->now->wall_ms) * NS_PER_MS;
	return ns < deadline_ns ? ns : deadline_ns;
}

bool task_wants_eventfd(const struct task *t)
{
	return t->waiting && t->ready != NULL;
}

/* ------------------------------------------------------------- failure */

static void stop(struct task *t)
{
	t->hot.stopping = true;
}

void task_fail(struct task *t, const char *fmt, ...)
{
	va_list ap;

	if (t->hot.user_error) {
		task_fail_user_error(t);
		return;
	}
	if (t->failed || t->canceled)
		return;
	va_start(ap, fmt);
	err_vset(&t->cause, ERR_USER, fmt, ap);
	va_end(ap);
	t->failed = true;
	stop(t);
	/* At once: recovery need not wait for the clean-up, which DROPPED confirms. */
	report(t, TASK_FAILED);
}

void task_fail_user_error(struct task *t)
{
	t->hot.user_error = false;
	task_fail(t, "%s: %s", t->user_error_op, t->user_error);
}

void task_user_error_set(struct task *t, const char *op_name, const char *fmt, va_list ap)
{
	if (t->hot.user_error)
		return; /* the first one sticks */
	vsnprintf(t->user_error, sizeof(t->user_error), fmt, ap);
	t->user_error_op = op_name;
	t->hot.user_error = true;
}

const char *task_user_error(struct task *t)
{
	if (!t->hot.user_error)
		return "";
	t->hot.user_error = false;
	return t->user_error;
}

void task_cancel(struct task *t)
{
	if (!t->failed)
		t->canceled = true;
	stop(t);
}

bool task_stopping(const struct task *t)
{
	return t->hot.stopping;
}

/* -------------------------------------------------------------- timers */

void task_timer_changed(struct task *t)
{
	t->next_timer_ms = chain_next_timer_ms(t->chain);
}

void operator_set_timer(struct operator *op, int64_t wall_ms)
{
	op->timer_ms = wall_ms;
	task_timer_changed(op->task);
}

/* ---------------------------------------------------------------- life */

static bool source_ready(void *arg)
{
	struct task *t = arg;

	return t->wakes_seen != t->now->wakes;
}

/* Behind the barrier of a savepoint that it stops with: until that is complete or given up. */
static void rest(struct task *t)
{
	if (t->hot.timers_due)
		chain_run_timers(t->chain);
	task_wait_main(t, NULL, NULL, INT64_MAX);
}

static void run_source(struct task *t)
{
	struct operator *head = chain_head(t->chain);

	while (!t->hot.stopping) {
		int64_t deadline_ns = INT64_MAX;
		uint32_t wakes = t->now->wakes;
		enum source_status status;

		if (t->hot.interrupt) {
			checkpoint_serve(t);
			continue;
		}
		if (t->checkpoints.stopped) {
			chain_end(t->chain);
			return;
		}
		if (t->checkpoints.stop_id != 0) {
			rest(t);
			continue;
		}
		if (t->hot.timers_due)
			chain_run_timers(t->chain);
		if (t->hot.slow)
			task_publish_outputs(t);
		status = head->type->poll(head, &deadline_ns);
		task_check_user_error(t);
		if (status == SOURCE_END) {
			if (!t->hot.stopping)
				chain_last_watermark(t->chain);
			if (!t->hot.stopping)
				chain_end(t->chain);
			return;
		}
		task_point(t);
		if (status == SOURCE_WAIT) {
			t->wakes_seen = wakes;
			task_wait_main(t, source_ready, t, deadline_ns);
		}
	}
}

/* The whole life, on the fiber. */
static void task_main(void *arg)
{
	struct task *t = arg;
	struct err e = { 0 };

	if (!t->hot.stopping) {
		report(t, TASK_INITIALIZING);
		if (chain_open(t->chain, &e) != 0)
			task_fail(t, "%s", e.msg);
		if (!t->hot.stopping && checkpoint_restore(t, &e) != 0)
			task_fail(t, "%s", e.msg);
		if (!t->hot.stopping) {
			report(t, TASK_RUNNING);
			if (t->gate == NULL)
				run_source(t);
			else
				gate_run(t->gate);
		}
		chain_close(t->chain);
		task_check_user_error(t);
	}
	if (!t->failed)
		report(t, t->canceled ? TASK_CANCELED : TASK_FINISHED);
}

int task_start(struct task *t)
{
	t->mark_ns = t->now->mono_ns;
	t->fiber = fiber_create(task_main, t, &t->cause);
	if (t->fiber != NULL)
		return 0;
	t->failed = true;
	report(t, TASK_FAILED);
	return -1;
}

bool task_over(const struct task *t)
{
	return fiber_done(t->fiber);
}

/* -------------------------------------------------------- publish, tick */

void task_publish_outputs(struct task *t)
{
	if (!t->hot.out_dirty)
		return;
	t->hot.out_dirty = false;
	t->dirty_since_ns = INT64_MAX;
	chain_publish(t->chain);
}

void task_publish(struct task *t)
{
	task_publish_outputs(t);
	if (t->gate != NULL)
		gate_publish_tails(t->gate);
}

void task_check_buffer_timeout(struct task *t)
{
	if (!t->hot.out_dirty)
		return;
	if (t->dirty_since_ns == INT64_MAX)
		t->dirty_since_ns = t->now->mono_ns;
	else if (t->now->mono_ns - t->dirty_since_ns < t->env->buffer_timeout_ms * NS_PER_MS)
		return;
	else
		task_publish_outputs(t);
}

void task_tick(struct task *t)
{
	account(t, t->waiting ? t->wait_kind : WAIT_BUSY);
	if (t->gate != NULL)
		gate_tick(t->gate, t->now->mono_ns);
}

/* ------------------------------------------------------------ services */

int64_t task_wall_ms(struct task *t)
{
	return t->now->wall_ms;
}

int64_t task_mono_ns(struct task *t)
{
	return t->now->mono_ns;
}

uint32_t task_subtask(const struct task *t)
{
	return t->subtask;
}

uint32_t task_parallelism(const struct task *t)
{
	return t->parallelism;
}

uint32_t task_max_parallelism(const struct task *t)
{
	return t->max_parallelism;
}

uint64_t task_attempt(const struct task *t)
{
	return t->env->attempt;
}

const char *task_name(const struct task *t)
{
	return t->name;
}

const char *task_job_id(const struct task *t)
{
	return t->env->job_hex;
}

int64_t task_stalled_ns(const struct task *t)
{
	return t->now->stalled_ns;
}

struct metrics_task *task_metrics(struct task *t)
{
	return t->metrics;
}

int task_eventfd(const struct task *t)
{
	return slot_eventfd(t->slot);
}

const char *task_param(const struct task *t, const char *name)
{
	return t->env->param != NULL ? t->env->param(t->env->arg, name) : NULL;
}

int64_t task_auto_watermark_ms(const struct task *t)
{
	return t->env->auto_watermark_ms;
}

/* ---------------------------------------------------------- life cycle */

struct task *task_create(const struct task_env *env, struct slot *slot, uint32_t vertex, uint32_t subtask,
    uint32_t execution_attempt, struct metrics_task *metrics, struct err *e)
{
	const struct job_vertex *v = &env->graph->vertices[vertex];
	struct task *t;

	if (posix_memalign((void **)(void *)&t, RING_LINE, sizeof(*t)) != 0) {
		err_set(e, ERR_UNAVAILABLE, "no memory for a task");
		return NULL;
	}
	*t = (struct task){
		.hot = { .attention = slot_attention(slot), .budget = 1 },
		.sample_n = 1,
		.dirty_since_ns = INT64_MAX,
		.slot = slot,
		.now = slot_now(slot),
		.metrics = metrics,
		.env = env,
		.next_timer_ms = INT64_MAX,
		.vertex = vertex,
		.subtask = subtask,
		.parallelism = v->parallelism,
		.max_parallelism = v->max_parallelism,
		.execution_attempt = execution_attempt,
		.name = xasprintf("%s (%" PRIu32 "/%" PRIu32 ")", v->name, subtask + 1, v->parallelism),
	};
	for (unsigned i = 0; i < METRICS_PER_BLOCK; i++)
		metrics_set(metrics, i, 0);
	metrics_set(metrics, METRIC_input_watermark, WEIR_MIN_TIMESTAMP);
	metrics_set(metrics, METRIC_output_watermark, WEIR_MIN_TIMESTAMP);
	t->chain = chain_create(t, e);
	if (t->chain == NULL)
		goto fail;
	if (chain_head(t->chain)->type->poll == NULL) {
		t->gate = gate_create(t, chain_head(t->chain), e);
		if (t->gate == NULL || gate_attach(t->gate, e) != 0)
			goto fail;
	}
	return t;
fail:
	err_prefix(e, "%s", t->name);
	task_destroy(t);
	return NULL;
}

void task_destroy(struct task *t)
{
	if (t == NULL)
		return;
	fiber_destroy(t->fiber);
	gate_destroy(t->gate);
	checkpoint_fini(t);
	chain_destroy(t->chain);
	for (uint32_t i = 0; i < t->n_user_metrics; i++)
		free(t->user_metrics[i].name);
	free(t->user_metrics);
	free(t->name);
	free(t);
}
