/*
 * For tests of the runtime: a job graph of the test's own operators, run by real slots over a
 * real exchange, without a plan or a plugin.
 *
 * A test makes nodes with fx_node, edges with fx_edge, starts all tasks, and looks at their
 * states.  Which operator a node is, is said by its name: see fx.find.
 */
#ifndef T_UNIT_WORKER_FIXTURE_H
#define T_UNIT_WORKER_FIXTURE_H

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "shm/exchange.h"
#include "t/tap.h"
#include "worker/runtime/chain.h"
#include "worker/runtime/connector_thread.h"
#include "worker/runtime/task.h"

#define FX_SLOTS 4
#define FX_TASKS 64

struct fx_row {
	int64_t a, b;
};
typedef struct fx_row fx_row;
WEIR_TYPE(fx_row);

struct fx_slot {
	struct slot_mail join, leave;
	struct fx *fx;
	struct slot *slot;
	int eventfd;
	uint32_t idx;
	bool leaving;
	_Atomic bool left;
};

struct fx {
	struct stream_graph *g;
	struct job_graph *jg;
	struct exchange *exchange;
	struct task_env env;
	struct fx_slot slots[FX_SLOTS];
	uint32_t n_slots;
	struct metrics_task *blocks;
	struct task *tasks[FX_TASKS]; /* not to be touched once they run */
	uint32_t slot_of[FX_TASKS];
	uint32_t n_tasks;
	int exchange_fd;

	pthread_mutex_t lock;
	struct {
		uint32_t vertex, subtask;
		unsigned seen; /* bit a state */
		enum task_state last;
		struct err cause;
	} states[FX_TASKS];
	uint32_t n_states;
};

__attribute__((unused))
static int64_t fx_now_ms(void)
{
	return clock_mono_ns(&clock_system) / NS_PER_MS;
}

/* Poll until cond holds or seconds have passed. */
#define FX_UNTIL(cond, seconds) \
	__extension__({ \
		int64_t end_ = fx_now_ms() + (int64_t)((seconds) * 1000); \
		bool ok_; \
		while (!(ok_ = (cond)) && fx_now_ms() < end_) \
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL); \
		ok_; \
	})

static void fx_on_state(void *arg, const struct ctl_task_state *st)
{
	struct fx *fx = arg;
	uint32_t i;

	pthread_mutex_lock(&fx->lock);
	for (i = 0; i < fx->n_states; i++)
		if (fx->states[i].vertex == st->vertex && fx->states[i].subtask == st->subtask)
			break;
	if (i == fx->n_states)
		fx->n_states++;
	fx->states[i].vertex = st->vertex;
	fx->states[i].subtask = st->subtask;
	fx->states[i].seen |= 1u << st->state;
	fx->states[i].last = st->state;
	if (st->state == TASK_FAILED)
		fx->states[i].cause = st->cause;
	pthread_mutex_unlock(&fx->lock);
}

static void fx_on_gone(void *arg, struct slot *s)
{
	struct fx *fx = arg;

	for (uint32_t i = 0; i < fx->n_slots; i++)
		if (fx->slots[i].slot == s && fx->slots[i].leaving && slot_n_tasks(s) == 0) {
			slot_leave(s);
			atomic_store(&fx->slots[i].left, true);
		}
}

__attribute__((unused))
static enum task_state fx_state(struct fx *fx, uint32_t vertex, uint32_t subtask)
{
	enum task_state s = TASK_CREATED;

	pthread_mutex_lock(&fx->lock);
	for (uint32_t i = 0; i < fx->n_states; i++)
		if (fx->states[i].vertex == vertex && fx->states[i].subtask == subtask)
			s = fx->states[i].last;
	pthread_mutex_unlock(&fx->lock);
	return s;
}

/* Of any failed task. */
__attribute__((unused))
static const char *fx_cause(struct fx *fx)
{
	static char text[ERR_MSG_MAX];

	text[0] = '\0';
	pthread_mutex_lock(&fx->lock);
	for (uint32_t i = 0; i < fx->n_states; i++)
		if (fx->states[i].cause.code != ERR_NONE)
			snprintf(text, sizeof(text), "%s", fx->states[i].cause.msg);
	pthread_mutex_unlock(&fx->lock);
	return text;
}

__attribute__((unused))
static bool fx_all(struct fx *fx, enum task_state s)
{
	bool all;

	pthread_mutex_lock(&fx->lock);
	all = fx->n_states == fx->n_tasks;
	for (uint32_t i = 0; i < fx->n_states; i++)
		all = all && fx->states[i].last == s;
	pthread_mutex_unlock(&fx->lock);
	return all;
}

/* ------------------------------------------------------- building a graph */

WEIR_DESERIALIZER(fx_deserializer, fx_row)(weir_ctx *ctx, const weir_message *msg, fx_row *out)
{
	(void)ctx;
	(void)msg;
	(void)out;
	return 1;
}
WEIR_MAP(fx_map, fx_row, fx_row)(weir_ctx *ctx, const fx_row *in, fx_row *out)
{
	(void)ctx;
	*out = *in;
	return 0;
}
WEIR_SERIALIZER(fx_serializer, fx_row)(weir_ctx *ctx, const fx_row *in, weir_message_out *out)
{
	(void)ctx;
	(void)in;
	(void)out;
	return 0;
}
WEIR_KEY_BY_LONG(fx_key, fx_row, a);

static void fx_set_fn(struct graph_node *n, enum fn_role role, const weir_function *fn)
{
	n->fns[role].present = true;
	n->fns[role].name = xstrdup(fn->name);
	n->fns[role].code = fn;
}

/* A node whose operator is found by name; its function is one that nobody calls unless fn is given. */
__attribute__((unused)) static uint32_t fx_node(struct fx *fx, enum node_type type, const char *name,
    int parallelism, const weir_function *fn)
{
	struct graph_node *n = stream_graph_add_node(fx->g, type);

	n->name = xstrdup(name);
	n->parallelism = parallelism;
	if (type == NODE_SOURCE || type == NODE_SINK)
		n->connector = xstrdup("test");
	fx_set_fn(n,
	    type == NODE_SOURCE   ? FN_DESERIALIZER :
		type == NODE_SINK ? FN_SERIALIZER :
				    FN_MAIN,
	    fn != NULL              ? fn :
		type == NODE_SOURCE ? &fx_deserializer :
		type == NODE_SINK   ? &fx_serializer :
				      &fx_map);
	if (type != NODE_SOURCE)
		n->in = (struct graph_type){ .name = xstrdup("fx_row"),
			.size = sizeof(fx_row),
			.version = 1,
			.code = &fx_row_weir_type };
	if (type != NODE_SINK)
		n->out = (struct graph_type){ .name = xstrdup("fx_row"),
			.size = sizeof(fx_row),
			.version = 1,
			.code = &fx_row_weir_type };
	return n->id;
}

__attribute__((unused))
static void fx_edge(struct fx *fx, uint32_t from, uint32_t to, enum ship ship)
{
	struct graph_edge *e = stream_graph_add_edge(fx->g, from, to, ship);

	e->given = true;
	if (ship == SHIP_HASH) {
		fx_set_fn(&fx->g->nodes[to], FN_KEY, &fx_key);
		fx->g->nodes[to].key_kind = WEIR_KEY_LONG;
	}
}

/* ------------------------------------------------------------- running it */

static void fx_init(struct fx *fx,
    const struct operator_type *(*find)(const struct graph_node *n, struct err *e), uint32_t n_slots,
    const struct clock *clock)
{
	struct err e = { 0 };

	*fx = (struct fx){ .n_slots = n_slots, .exchange_fd = -1 };
	pthread_mutex_init(&fx->lock, NULL);
	fx->g = stream_graph_create();
	fx->g->job_name = xstrdup("test");
	graph_option_set(&fx->g->settings, &fx->g->n_settings, "pipeline.operator-chaining", "false");
	fx->blocks = xcalloc(FX_TASKS, sizeof(*fx->blocks));
	fx->env = (struct task_env){
		.attempt = 1,
		.buffer_timeout_ms = 100,
		.auto_watermark_ms = 200,
		.record_max_size = 16 << 20,
		.find = find,
		.state = fx_on_state,
		.gone = fx_on_gone,
		.arg = fx,
	};
	id_random(&fx->env.job_id);
	id_hex(&fx->env.job_id, fx->env.job_hex);
	fx->env.connector = connector_thread_create(&e);
	for (uint32_t i = 0; i < n_slots; i++) {
		fx->slots[i].fx = fx;
		fx->slots[i].idx = i;
		fx->slots[i].eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		fx->slots[i].slot = slot_create(i, fx->slots[i].eventfd, clock, &e);
	}
}

static void fx_join(struct slot *s, struct slot_mail *m)
{
	struct fx_slot *fs = (struct fx_slot *)(void *)m;
	struct fx *fx = fs->fx;

	slot_enter(s, exchange_doorbell(fx->exchange, fs->idx)->page);
	for (uint32_t i = 0; i < fx->n_tasks; i++)
		if (fx->slot_of[i] == fs->idx) {
			ASSERT(task_start(fx->tasks[i]) == 0);
			slot_add_task(s, fx->tasks[i]);
		}
}

static void fx_leave(struct slot *s, struct slot_mail *m)
{
	struct fx_slot *fs = (struct fx_slot *)(void *)((char *)m - offsetof(struct fx_slot, leave));

	fs->leaving = true;
	for (uint32_t i = 0; i < slot_n_tasks(s); i++)
		task_cancel(slot_task(s, i));
	if (slot_n_tasks(s) == 0) {
		slot_leave(s);
		atomic_store(&fs->left, true);
	}
}

/* "@1" in a vertex's name puts its tasks on that thread, so that two vertices need not share one. */
static uint32_t fx_slot_of(const struct fx *fx, uint32_t vertex, uint32_t subtask)
{
	const char *at = strchr(fx->jg->vertices[vertex].name, '@');

	return at != NULL ? (uint32_t)(at[1] - '0') : subtask;
}

/* Slot i of the exchange is thread i. All tasks are made; they start with fx_go. */
__attribute__((unused))
static bool fx_prepare(struct fx *fx, struct err *e)
{
	struct exchange_ring_spec *rings;
	struct exchange_spec spec;
	uint32_t own[FX_SLOTS];
	int eventfds[FX_SLOTS];

	fx->jg = job_graph_create(fx->g, 1, false, e);
	if (fx->jg == NULL)
		return false;
	ASSERT(fx->jg->n_slots <= fx->n_slots);
	fx->n_slots = fx->n_slots < fx->jg->n_slots ? fx->jg->n_slots : fx->n_slots;
	rings = xcalloc(fx->jg->n_rings + 1, sizeof(*rings));
	for (uint32_t r = 0; r < fx->jg->n_rings; r++) {
		uint32_t edge, p, c;

		layout_ring_ends(fx->jg, r, &edge, &p, &c);
		rings[r] = (struct exchange_ring_spec){
			.producer_slot = fx_slot_of(fx, fx->jg->edges[edge].from_vertex, p),
			.consumer_slot = fx_slot_of(fx, fx->jg->edges[edge].to_vertex, c),
			.size_bytes = exchange_ring_size(layout_inbound(fx->jg, edge)),
		};
	}
	for (uint32_t i = 0; i < fx->n_slots; i++) {
		own[i] = i;
		eventfds[i] = fx->slots[i].eventfd;
	}
	spec = (struct exchange_spec){ fx->env.job_id, 1, fx->n_slots, fx->jg->n_rings, rings };
	fx->exchange_fd = exchange_create(&spec, e);
	free(rings);
	if (fx->exchange_fd < 0)
		return false;
	fx->exchange =
	    exchange_attach(fx->exchange_fd, &fx->env.job_id, 1, own, fx->n_slots, eventfds, fx->n_slots, e);
	if (fx->exchange == NULL)
		return false;
	fx->env.graph = fx->jg;
	fx->env.exchange = fx->exchange;
	for (uint32_t v = 0; v < fx->jg->n_vertices; v++)
		for (uint32_t s = 0; s < fx->jg->vertices[v].parallelism; s++) {
			struct task *t = task_create(&fx->env, fx->slots[fx_slot_of(fx, v, s)].slot, v, s, 0,
			    &fx->blocks[fx->n_tasks], e);

			if (t == NULL)
				return false;
			fx->slot_of[fx->n_tasks] = fx_slot_of(fx, v, s);
			fx->tasks[fx->n_tasks++] = t;
		}
	return true;
}

__attribute__((unused))
static void fx_go(struct fx *fx)
{
	for (uint32_t i = 0; i < fx->n_slots; i++) {
		fx->slots[i].join.fn = fx_join;
		slot_post(fx->slots[i].slot, &fx->slots[i].join);
	}
}

/* Cancel what still runs and wait until all slots are free. */
__attribute__((unused))
static bool fx_drop(struct fx *fx)
{
	bool all = true;

	for (uint32_t i = 0; i < fx->n_slots; i++) {
		fx->slots[i].leave.fn = fx_leave;
		slot_post(fx->slots[i].slot, &fx->slots[i].leave);
	}
	for (uint32_t i = 0; i < fx->n_slots; i++)
		all = FX_UNTIL(atomic_load(&fx->slots[i].left), 20) && all;
	return all;
}

/* After fx_drop. */
__attribute__((unused))
static void fx_fini(struct fx *fx)
{
	for (uint32_t i = 0; i < fx->n_slots; i++) {
		slot_destroy(fx->slots[i].slot);
		close(fx->slots[i].eventfd);
	}
	connector_thread_destroy(fx->env.connector);
	if (fx->exchange != NULL)
		exchange_detach(fx->exchange);
	if (fx->exchange_fd >= 0)
		close(fx->exchange_fd);
	job_graph_destroy(fx->jg);
	stream_graph_destroy(fx->g);
	free(fx->blocks);
	pthread_mutex_destroy(&fx->lock);
}

#endif
