/*
 * For tests of the input gate: a task behind rings of the test's own, and an operator that tells what it was
 * given as one line of text.
 *
 * Include it in exactly one file of a test program.
 */
#ifndef T_UNIT_GATE_FIXTURE_H
#define T_UNIT_GATE_FIXTURE_H

#include "t/unit/worker_fixture.h"

#include "worker/runtime/gate.h"

#define MAX_INPUTS 4
#define RING_SIZE  (64u << 10)

/* What the head was given: "r5" record, "w10" watermark, "i1" idle, "i0" active, "e0" end,
 * "max0" the last watermark. */
static char heard[4096];
static uint32_t big_len, sum_len;
static bool big_right = true;
static _Atomic int n_timers, n_snapshots;

static void hear(const char *what, int64_t v)
{
	size_t n = strlen(heard);

	if (n < sizeof(heard) - 32)
		snprintf(heard + n, sizeof(heard) - n, "%s%" PRId64 " ", what, v);
}

static void head_record(struct operator *op, const struct record *r)
{
	if (r->len > 1000) {
		const uint8_t *p = r->data;

		big_len = r->len;
		sum_len += r->len;
		for (uint32_t i = 0; i < r->len; i++)
			big_right = big_right && p[i] == (uint8_t)(i * 7);
	}
	hear("r", r->ts);
	if (r->ts == 30)
		operator_set_timer(op, task_wall_ms(op->task) + 30);
	if (r->ts == 22) {
		task_snapshot_done(op, 21);
		task_snapshot_done(op, 20);
		task_snapshot_done(op, 20);
	}
}
static void head_watermark(struct operator *op, int64_t ts)
{
	(void)op;
	if (ts == WEIR_MAX_TIMESTAMP)
		hear("max", 0);
	else
		hear("w", ts);
}
static void head_status(struct operator *op, bool idle)
{
	(void)op;
	hear("i", idle);
}
static void head_end(struct operator *op)
{
	(void)op;
	hear("e", 0);
}
/* 13 is declined; of 20 and 21 the acknowledgement waits for record 22. */
static int head_snapshot(struct operator *op, uint64_t id, struct snapshot_writer *w, struct err *e)
{
	(void)op;
	(void)w;
	hear("s", (int64_t)id);
	atomic_fetch_add(&n_snapshots, 1);
	if (id == 13)
		return err_set(e, ERR_USER, "thirteen is unlucky");
	return id == 20 || id == 21 ? SNAPSHOT_PENDING : 0;
}
static void head_notify(struct operator *op, uint64_t id)
{
	(void)op;
	hear("n", (int64_t)id);
}
static void head_timer(struct operator *op, int64_t now_ms)
{
	(void)op;
	(void)now_ms;
	atomic_fetch_add(&n_timers, 1);
	hear("t", 0);
}
static const struct operator_type head_type = {
	.timer = head_timer,
	.name = "head", .size = sizeof(struct operator), .record = head_record, .watermark = head_watermark,
	.status = head_status, .end = head_end, .snapshot = head_snapshot, .notify_complete = head_notify,
};

/* A source, which the graph needs; it is never run. */
static enum source_status no_poll(struct operator *op, int64_t *deadline_ns)
{
	(void)op;
	(void)deadline_ns;
	return SOURCE_END;
}
static const struct operator_type no_source = {
	.name = "none", .size = sizeof(struct operator), .poll = no_poll
};

static const struct operator_type *find(const struct graph_node *n, struct err *e)
{
	(void)e;
	return n->type == NODE_SOURCE ? &no_source : &head_type;
}

/* ------------------------------------------------------------ the scene */

struct scene {
	struct fx fx;
	struct ring_pair *pairs[MAX_INPUTS];
	struct ring producer[MAX_INPUTS];
	uint32_t n;
	struct graph_type type;
};

static void scene_init_with(struct scene *s, uint32_t n_inputs, const struct graph_type *type,
    bool at_least_once)
{
	struct err e = { 0 };
	uint32_t a, b;
	struct task *t;

	heard[0] = '\0';
	big_len = sum_len = 0;
	big_right = true;
	memset(s, 0, sizeof(*s));
	s->n = n_inputs;
	fx_init(&s->fx, find, 1, &clock_system);
	s->fx.env.record_max_size = 200000;
	s->fx.env.at_least_once = at_least_once;
	a = fx_node(&s->fx, NODE_SOURCE, "none", 1, NULL);
	b = fx_node(&s->fx, NODE_SINK, "head", 1, NULL);
	fx_edge(&s->fx, a, b, SHIP_FORWARD);
	if (!fx_prepare(&s->fx, &e))
		diag("%s", e.msg);
	/* the task of the sink, with inputs of ours instead of the exchange's */
	task_destroy(s->fx.tasks[0]);
	t = s->fx.tasks[0] = s->fx.tasks[1];
	s->fx.slot_of[0] = s->fx.slot_of[1];
	s->fx.n_tasks = 1;
	gate_destroy(t->gate);
	t->gate = gate_create(t, chain_head(t->chain), &e);
	for (uint32_t i = 0; i < n_inputs; i++) {
		struct ring consumer;
		char name[32];

		s->pairs[i] = ring_pair_create(RING_SIZE, NULL, NULL, &s->producer[i], &consumer);
		consumer.id = 10 + i;
		snprintf(name, sizeof(name), "Maker (%u/%u)", i + 1, n_inputs);
		gate_add_input(t->gate, &consumer, name, type);
	}
}

__attribute__((unused))
static void scene_init(struct scene *s, uint32_t n_inputs, const struct graph_type *type)
{
	scene_init_with(s, n_inputs, type, false);
}

static void put(struct scene *s, uint32_t input, uint8_t kind, int64_t ts, const void *data, uint32_t len)
{
	struct ring *r = &s->producer[input];
	void *p;

	if (ring_reserve(r, len, &p) != RING_OK) {
		ok(false, "the test's ring is full");
		return;
	}
	if (len > 0)
		memcpy(p, data, len);
	ring_commit(r, kind, 0, ts, len);
	ring_publish(r);
}

static void record(struct scene *s, uint32_t input, int64_t ts)
{
	int64_t v = ts;

	put(s, input, ELEM_RECORD, ts, &v, sizeof(v));
}
__attribute__((unused))
static void watermark(struct scene *s, uint32_t input, int64_t ts)
{
	put(s, input, ELEM_WATERMARK, ts, NULL, 0);
}
__attribute__((unused))
static void status(struct scene *s, uint32_t input, bool idle) { put(s, input, ELEM_STATUS, idle, NULL, 0); }
static void end(struct scene *s, uint32_t input) { put(s, input, ELEM_END, 0, NULL, 0); }

/* When it runs: until the task ends by itself; then all is torn down. */
static void finish_as(struct scene *s, const char *want, const char *cause, const char *what)
{
	enum task_state state = cause != NULL ? TASK_FAILED : TASK_FINISHED;

	ok(FX_UNTIL(fx_all(&s->fx, state), 10), "%s: %s", what, task_state_name(state));
	if (cause != NULL)
		is_str(fx_cause(&s->fx), cause, "%s: the cause", what);
	else if (fx_cause(&s->fx)[0] != '\0')
		diag("%s", fx_cause(&s->fx));
	fx_drop(&s->fx);
	if (want != NULL)
		is_str(heard, want, "%s: what the head was given", what);
	fx_fini(&s->fx);
	for (uint32_t i = 0; i < s->n; i++)
		ring_pair_destroy(s->pairs[i]);
}

__attribute__((unused))
static void finish(struct scene *s, const char *want, const char *what)
{
	finish_as(s, want, NULL, what);
}

/* Start it, and the same. */
static void run(struct scene *s, const char *want, const char *cause, const char *what)
{
	fx_go(&s->fx);
	finish_as(s, want, cause, what);
}

#endif
