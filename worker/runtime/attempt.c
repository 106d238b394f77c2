/*
 * Setting an attempt up on its connector thread, handing its tasks to their slots,
 * and taking all of it down in the reverse order.
 */
#include "worker/runtime/attempt.h"

#include <inttypes.h>
#include <pthread.h>

#include "base/file.h"
#include "base/mem.h"
#include "shm/exchange.h"
#include "worker/graph/plan.h"
#include "worker/graph/plugin.h"
#include "worker/runtime/connector_thread.h"
#include "worker/runtime/task.h"
#include "worker/state/checkpoint_file.h"

/* What the attempt has in one of this worker's slots. Its letters go in order: join before leave. */
struct attempt_slot {
	struct slot_mail join, leave;
	struct attempt *attempt;
	struct slot *slot;
	struct slot_page *page;
	struct task **tasks; /* until they have joined */
	uint32_t n_tasks, cap_tasks;
	bool leaving; /* its thread only */
};

struct attempt {
	struct ctl_deploy d;
	struct slot *const *slots;
	uint32_t n_slots;
	struct metrics_region *metrics;
	struct attempt_events ev;
	void *arg;

	struct connector_thread *connector;
	struct connector_job setup, teardown;
	struct task_env env;
	struct stream_graph *stream;
	struct job_graph *graph;
	struct plugin *plugin;
	struct exchange *exchange;
	char *state; /* the checkpoint's file, which `restore` points into */
	struct checkpoint_file restore;
	int *eventfds;
	struct attempt_slot *own; /* d.n_own */

	pthread_mutex_t lock; /* of what follows */
	bool dropping, set_up, joined;
	uint32_t n_left;
};

const struct id128 *attempt_job_id(const struct attempt *a)
{
	return &a->env.job_id;
}

uint64_t attempt_number(const struct attempt *a)
{
	return a->env.attempt;
}

/* -------------------------------------------------------------- events */

static void on_state(void *arg, const struct ctl_task_state *st)
{
	struct attempt *a = arg;

	a->ev.task_state(a->arg, st);
}

static void on_metric_name(void *arg, const struct task *t, uint32_t index, const char *name)
{
	struct attempt *a = arg;

	if (a->ev.metric_name != NULL)
		a->ev.metric_name(a->arg, &a->env.job_id, a->env.attempt, t->vertex, t->subtask, index, name);
}

static void on_ack(void *arg, const struct ctl_ack *ack)
{
	struct attempt *a = arg;

	a->ev.ack(a->arg, ack);
}

static void on_decline(void *arg, const struct ctl_decline *decline)
{
	struct attempt *a = arg;

	a->ev.decline(a->arg, decline);
}

static const char *on_param(void *arg, const char *name)
{
	const struct attempt *a = arg;

	return stream_graph_param(a->stream, name);
}

static void report_failed(struct attempt *a, const struct err *e)
{
	struct ctl_task_state st = {
		.job_id = a->env.job_id,
		.attempt = a->env.attempt,
		.vertex = UINT32_MAX,
		.subtask = UINT32_MAX,
		.state = TASK_FAILED,
		.wall_ms = clock_wall_ms(&clock_system),
		.cause = *e,
	};

	a->ev.task_state(a->arg, &st);
}

/* ----------------------------------------------------------- taking down */

/* On the connector thread, when no slot has anything of the attempt any more. */
static void tear_down(void *arg)
{
	struct attempt *a = arg;

	/* Whoever posted this has let go of the lock, and with it of the attempt. */
	pthread_mutex_lock(&a->lock);
	pthread_mutex_unlock(&a->lock);
	for (uint32_t i = 0; a->own != NULL && i < a->d.n_own; i++) {
		for (uint32_t k = 0; k < a->own[i].n_tasks; k++)
			task_destroy(a->own[i].tasks[k]); /* never joined */
		free(a->own[i].tasks);
	}
	free(a->own);
	a->own = NULL;
	if (a->exchange != NULL)
		exchange_detach(a->exchange);
	free(a->eventfds);
	if (a->state != NULL)
		checkpoint_file_fini(&a->restore);
	free(a->state);
	a->state = NULL;
	job_graph_destroy(a->graph);
	stream_graph_destroy(a->stream);
	plugin_close(a->plugin);
	ctl_deploy_fini(&a->d);
	a->ev.dropped(a->arg, &a->env.job_id, a->env.attempt);
}

static void post_teardown(struct attempt *a)
{
	a->teardown = (struct connector_job){ .fn = tear_down, .arg = a };
	connector_thread_post(a->connector, &a->teardown);
}

/* ------------------------------------------------------ on a slot's thread */

static struct attempt_slot *attempt_slot_of(struct attempt *a, const struct slot *s)
{
	for (uint32_t i = 0; i < a->d.n_own; i++)
		if (a->own[i].slot == s)
			return &a->own[i];
	ASSERT(!"a task ended in a slot that its attempt has no part in");
	return NULL;
}

static void left(struct attempt_slot *as)
{
	struct attempt *a = as->attempt;

	slot_leave(as->slot);
	pthread_mutex_lock(&a->lock);
	if (++a->n_left == a->d.n_own)
		post_teardown(a);
	pthread_mutex_unlock(&a->lock);
}

static void on_task_gone(void *arg, struct slot *s)
{
	struct attempt_slot *as = attempt_slot_of(arg, s);

	if (as->leaving && slot_n_tasks(s) == 0)
		left(as);
}

static void join_slot(struct slot *s, struct slot_mail *m)
{
	struct attempt_slot *as =
	    (struct attempt_slot *)(void *)((char *)m - offsetof(struct attempt_slot, join));

	slot_enter(s, as->page);
	for (uint32_t i = 0; i < as->n_tasks; i++) {
		if (task_start(as->tasks[i]) == 0)
			slot_add_task(s, as->tasks[i]);
		else
			task_destroy(as->tasks[i]);
	}
	as->n_tasks = 0;
}

static void leave_slot(struct slot *s, struct slot_mail *m)
{
	struct attempt_slot *as =
	    (struct attempt_slot *)(void *)((char *)m - offsetof(struct attempt_slot, leave));

	as->leaving = true;
	for (uint32_t i = 0; i < slot_n_tasks(s); i++)
		task_cancel(slot_task(s, i));
	if (slot_n_tasks(s) == 0)
		left(as);
}

/* ------------------------------------------------- on the connector thread */

static int read_plan(struct attempt *a, struct err *e)
{
	char *json;
	size_t len;

	if (file_read_fd(a->d.plan_fd, PLAN_MAX, &json, &len, e) != 0)
		return err_prefix(e, "read the plan");
	a->stream = plan_decode(json, len, e);
	free(json);
	if (a->stream == NULL)
		return err_prefix(e, "decode the plan");
	a->graph = job_graph_create(a->stream, a->d.default_parallelism, a->d.force_parallelism, e);
	return a->graph == NULL ? -1 : 0;
}

static int replay(struct attempt *a, struct err *e)
{
	a->plugin = plugin_open(a->d.artifact, e);
	if (a->plugin == NULL)
		return -1;
	return plugin_replay(a->plugin, (int)a->d.argc, (const char *const *)a->d.argv, a->stream, e);
}

/* What the tasks begin with; decoded once for all of them. */
static int read_state(struct attempt *a, struct err *e)
{
	size_t len;

	if (a->d.restore_id == 0)
		return 0;
	if (file_read_fd(a->d.restore_fd, CHECKPOINT_FILE_MAX, &a->state, &len, e) != 0)
		return err_prefix(e, "read checkpoint %" PRIu64, a->d.restore_id);
	if (checkpoint_file_decode(a->state, len, &a->restore, e) != 0) {
		free(a->state);
		a->state = NULL;
		return err_prefix(e, "restore from checkpoint %" PRIu64, a->d.restore_id);
	}
	a->env.restore = &a->restore;
	return 0;
}

static int attach(struct attempt *a, struct err *e)
{
	uint32_t *own = xcalloc(a->d.n_own, sizeof(*own));
	int rc = -1;

	if (a->d.n_slots != a->graph->n_slots) {
		err_set(e, ERR_INTERNAL, "deployed to %" PRIu32 " slots, its graph needs %" PRIu32,
		    a->d.n_slots, a->graph->n_slots);
		goto out;
	}
	a->eventfds = xmemdup(a->d.eventfds, a->d.n_slots * sizeof(int));
	a->own = xcalloc(a->d.n_own, sizeof(*a->own));
	for (uint32_t i = 0; i < a->d.n_own; i++) {
		const struct ctl_deploy_slot *s = &a->d.own[i];

		if (s->slot >= a->d.n_slots || s->local_slot >= a->n_slots) {
			err_set(e, ERR_INTERNAL,
			    "deployed to slot %" PRIu32 " of %" PRIu32 ", local slot %" PRIu32 " of %" PRIu32,
			    s->slot, a->d.n_slots, s->local_slot, a->n_slots);
			goto out;
		}
		own[i] = s->slot;
		a->eventfds[s->slot] = slot_eventfd(a->slots[s->local_slot]);
	}
	a->exchange = exchange_attach(a->d.exchange_fd, &a->d.job_id, a->d.attempt, own, a->d.n_own,
	    a->eventfds, a->d.n_slots, e);
	if (a->exchange == NULL) {
		err_prefix(e, "attach the exchange");
		goto out;
	}
	for (uint32_t i = 0; i < a->d.n_own; i++)
		a->own[i] = (struct attempt_slot){
			.join.fn = join_slot,
			.leave.fn = leave_slot,
			.attempt = a,
			.slot = a->slots[a->d.own[i].local_slot],
			.page = exchange_doorbell(a->exchange, a->d.own[i].slot)->page,
		};
	a->env.graph = a->graph;
	a->env.exchange = a->exchange;
	rc = 0;
out:
	free(own);
	return rc;
}

static int make_task(struct attempt *a, const struct ctl_deploy_task *dt, struct err *e)
{
	struct metrics_task *m = metrics_task(a->metrics, dt->metrics_block);
	struct task *t;

	if (dt->vertex >= a->graph->n_vertices || dt->subtask >= a->graph->vertices[dt->vertex].parallelism)
		return err_set(e, ERR_INTERNAL, "deployed with a task of vertex %" PRIu32 ", subtask %" PRIu32
		    ", which its graph does not have", dt->vertex, dt->subtask);
	if (m == NULL)
		return err_set(e, ERR_INTERNAL, "deployed with metrics block %" PRIu32, dt->metrics_block);
	for (uint32_t i = 0; i < a->d.n_own; i++) {
		struct attempt_slot *as = &a->own[i];

		if (a->d.own[i].slot != dt->subtask)
			continue;
		t = task_create(&a->env, as->slot, dt->vertex, dt->subtask, dt->attempt, m, e);
		if (t == NULL)
			return -1;
		VEC_RESERVE(as->tasks, as->n_tasks, as->cap_tasks);
		as->tasks[as->n_tasks++] = t;
		return 0;
	}
	return err_set(e, ERR_INTERNAL, "deployed with subtask %" PRIu32 ", which has no slot here",
	    dt->subtask);
}

static int make_tasks(struct attempt *a, struct err *e)
{
	for (uint32_t i = 0; i < a->d.n_tasks; i++)
		if (make_task(a, &a->d.tasks[i], e) != 0)
			return -1;
	return 0;
}

static void set_up(void *arg)
{
	struct attempt *a = arg;
	struct err e = { 0 };
	bool good = read_plan(a, &e) == 0 && replay(a, &e) == 0 && read_state(a, &e) == 0 &&
	    attach(a, &e) == 0 && make_tasks(a, &e) == 0;

	if (!good) {
		err_prefix(&e, "deploy of job %s", a->d.job_name);
		report_failed(a, &e);
	}
	pthread_mutex_lock(&a->lock);
	a->set_up = true;
	a->joined = good && !a->dropping && a->d.n_own > 0;
	if (a->joined)
		for (uint32_t i = 0; i < a->d.n_own; i++)
			slot_post(a->own[i].slot, &a->own[i].join);
	else if (a->dropping)
		post_teardown(a);
	pthread_mutex_unlock(&a->lock);
}

/* --------------------------------------------------------- checkpoints */

enum word_kind { WORD_TRIGGER, WORD_NOTIFY, WORD_ABORT };

/* What the main thread says to the tasks of one slot. */
struct word {
	struct slot_mail mail;
	enum word_kind kind;
	struct ctl_trigger trigger;
	uint64_t checkpoint_id;
};

static void tell_tasks(struct slot *s, struct slot_mail *m)
{
	struct word *w = (struct word *)(void *)m;

	for (uint32_t i = 0; i < slot_n_tasks(s); i++) {
		struct task *t = slot_task(s, i);

		switch (w->kind) {
		case WORD_TRIGGER:
			checkpoint_on_trigger(t, &w->trigger);
			break;
		case WORD_NOTIFY:
			checkpoint_on_notify(t, w->checkpoint_id);
			break;
		case WORD_ABORT:
			checkpoint_on_abort(t, w->checkpoint_id);
			break;
		}
	}
	free(w);
}

static void say(struct attempt *a, const struct word *what)
{
	pthread_mutex_lock(&a->lock);
	/* Once `leave` is posted nothing follows it, so that a slot's letters are of the attempt it is in. */
	for (uint32_t i = 0; a->joined && !a->dropping && i < a->d.n_own; i++) {
		struct word *w = xmemdup(what, sizeof(*what));

		w->mail.fn = tell_tasks;
		slot_post(a->own[i].slot, &w->mail);
	}
	pthread_mutex_unlock(&a->lock);
}

void attempt_trigger(struct attempt *a, const struct ctl_trigger *m)
{
	say(a, &(struct word){ .kind = WORD_TRIGGER, .trigger = *m });
}

void attempt_notify(struct attempt *a, uint64_t checkpoint_id)
{
	say(a, &(struct word){ .kind = WORD_NOTIFY, .checkpoint_id = checkpoint_id });
}

void attempt_abort(struct attempt *a, uint64_t checkpoint_id)
{
	say(a, &(struct word){ .kind = WORD_ABORT, .checkpoint_id = checkpoint_id });
}

/* ---------------------------------------------------------- life cycle */

struct attempt *attempt_create(struct ctl_deploy *d, struct slot *const *slots, uint32_t n_slots,
    struct metrics_region *m, const struct attempt_events *ev, void *arg)
{
	struct attempt *a = xcalloc(1, sizeof(*a));
	struct err e = { 0 };

	a->d = *d;
	memset(d, 0, sizeof(*d));
	d->plan_fd = d->exchange_fd = d->restore_fd = -1;
	a->slots = slots;
	a->n_slots = n_slots;
	a->metrics = m;
	a->ev = *ev;
	a->arg = arg;
	pthread_mutex_init(&a->lock, NULL);
	a->env = (struct task_env){
		.job_id = a->d.job_id,
		.attempt = a->d.attempt,
		.buffer_timeout_ms = a->d.buffer_timeout_ms,
		.auto_watermark_ms = a->d.auto_watermark_interval_ms,
		.record_max_size = a->d.record_max_size,
		.find = operator_type_find,
		.param = on_param,
		.state = on_state,
		.metric_name = on_metric_name,
		.gone = on_task_gone,
		.checkpointing = a->d.checkpointing,
		.at_least_once = a->d.at_least_once,
		.ack = on_ack,
		.decline = on_decline,
		.arg = a,
	};
	id_hex(&a->d.job_id, a->env.job_hex);
	a->connector = connector_thread_create(&e);
	if (a->connector == NULL) {
		a->set_up = true;
		report_failed(a, &e);
		return a;
	}
	a->env.connector = a->connector;
	a->setup = (struct connector_job){ .fn = set_up, .arg = a };
	connector_thread_post(a->connector, &a->setup);
	return a;
}

void attempt_drop(struct attempt *a)
{
	const bool threadless = a->connector == NULL;

	pthread_mutex_lock(&a->lock);
	ASSERT(!a->dropping);
	a->dropping = true;
	if (a->joined)
		for (uint32_t i = 0; i < a->d.n_own; i++)
			slot_post(a->own[i].slot, &a->own[i].leave);
	else if (a->set_up && !threadless)
		post_teardown(a);
	pthread_mutex_unlock(&a->lock);
	if (threadless)
		tear_down(a);
}

bool attempt_is_set_up(struct attempt *a)
{
	bool set_up;

	pthread_mutex_lock(&a->lock);
	set_up = a->set_up;
	pthread_mutex_unlock(&a->lock);
	return set_up;
}

void attempt_destroy(struct attempt *a)
{
	if (a == NULL)
		return;
	connector_thread_destroy(a->connector);
	pthread_mutex_destroy(&a->lock);
	free(a);
}
