/*
 * Checkpoints as the REST API sees them, and its requests for savepoints.
 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "supervisor/failure.h"
#include "supervisor/gateway_impl.h"
#include "supervisor/operations.h"

/* ---- views ---- */

static int64_t ms_of(int64_t ns)
{
	return ns < 0 ? -1 : ns / NS_PER_MS;
}

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static void view_subtask(const struct cc_checkpoint *c, const struct cc_subtask *s, unsigned index,
    struct gw_ckpt_subtask *v)
{
	v->index = index;
	v->acked = s->acked;
	v->ack_ms = s->acked ? s->ack_ms : -1;
	v->end_to_end_ms = s->acked ? s->ack_ms - c->trigger_ms : -1;
	v->state_bytes = larger(s->state_bytes, 0);
	v->processed_bytes = larger(s->processed_bytes, 0);
	v->sync_ms = ms_of(s->sync_ns);
	v->async_ms = ms_of(s->async_ns);
	v->alignment_ms = ms_of(s->alignment_ns);
	v->start_delay_ms = ms_of(s->start_delay_ns);
}

/* Subtasks are known vertex after vertex, as the job has them. */
static void view_vertices(struct gw_arena *a, const struct cc_checkpoint *c, const struct job_graph *g,
    struct gw_ckpt *v)
{
	uint32_t i, k, at = 0;

	v->n_vertices = g->n_vertices;
	v->vertices = gw_alloc(a, (g->n_vertices + 1) * sizeof(*v->vertices));
	for (i = 0; i < g->n_vertices; i++) {
		struct gw_ckpt_vertex *x = &v->vertices[i];

		x->id = g->vertices[i].id;
		x->n_subtasks = g->vertices[i].parallelism;
		x->latest_ack_ms = x->end_to_end_ms = -1;
		x->subtasks = gw_alloc(a, x->n_subtasks * sizeof(*x->subtasks));
		for (k = 0; k < x->n_subtasks && at < c->n_subtasks; k++, at++) {
			view_subtask(c, &c->subtasks[at], k, &x->subtasks[k]);
			if (!x->subtasks[k].acked)
				continue;
			x->n_acked++;
			x->latest_ack_ms = larger(x->latest_ack_ms, x->subtasks[k].ack_ms);
			x->end_to_end_ms = larger(x->end_to_end_ms, x->subtasks[k].end_to_end_ms);
			x->state_bytes += x->subtasks[k].state_bytes;
			x->processed_bytes += x->subtasks[k].processed_bytes;
		}
	}
}

static void view_checkpoint(struct gw_arena *a, const struct cc_checkpoint *c, const struct job_graph *g,
    struct gw_ckpt *v)
{
	uint32_t i;

	v->id = c->id;
	v->status = c->status == CC_COMPLETED ? GW_CKPT_COMPLETED :
	    c->status == CC_FAILED            ? GW_CKPT_FAILED :
						GW_CKPT_IN_PROGRESS;
	v->is_savepoint = c->kind != CHECKPOINT_PERIODIC;
	v->kind = checkpoint_kind_name(c->kind);
	v->trigger_ms = c->trigger_ms;
	v->latest_ack_ms = c->n_acked > 0 ? c->latest_ack_ms : -1;
	if (c->end_ms >= 0)
		v->end_to_end_ms = larger(c->end_ms - c->trigger_ms, 0);
	else
		v->end_to_end_ms = v->latest_ack_ms >= 0 ? larger(v->latest_ack_ms - c->trigger_ms, 0) : 0;
	v->state_bytes = larger(c->state_bytes, 0);
	for (i = 0; i < c->n_subtasks; i++)
		v->processed_bytes += larger(c->subtasks[i].processed_bytes, 0);
	v->n_subtasks = c->n_subtasks;
	v->n_acked = c->n_acked;
	v->external_path = c->external_path != NULL ? gw_strdup(a, c->external_path) : NULL;
	v->failure = c->failure != NULL ? gw_strdup(a, c->failure) : NULL;
	v->failure_ms = c->failure_ms;
	v->discarded = c->discarded;
	view_vertices(a, c, g, v);
}

static struct gw_ckpt *view_latest(struct gw_arena *a, const struct coordinator *cc,
    const struct job_graph *g, enum cc_status status, bool savepoint)
{
	const struct cc_checkpoint *c = coordinator_latest_of(cc, status, savepoint);
	struct gw_ckpt *v;

	if (c == NULL)
		return NULL;
	v = gw_alloc(a, sizeof(*v));
	view_checkpoint(a, c, g, v);
	return v;
}

static void view_settings(const struct checkpoint_settings *s, struct gw_ckpts *v)
{
	v->enabled = s->cc.interval_ms > 0;
	v->at_least_once = s->cc.at_least_once;
	v->interval_ms = s->cc.interval_ms;
	v->timeout_ms = s->cc.timeout_ms;
	v->min_pause_ms = s->cc.min_pause_ms;
	v->max_concurrent = s->cc.max_concurrent;
	v->tolerable_failures = s->cc.tolerable_failures;
	v->externalized = s->retention != RETAIN_NONE;
	v->delete_on_cancellation = s->retention != RETAIN_CANCELED;
}

static struct gw_ckpt_figure view_figure(struct gw_arena *a, const struct cc_summary *s, enum cc_figure which)
{
	struct gw_ckpt_figure v = { .n_samples = s->n_samples };
	uint32_t i;

	v.samples = gw_alloc(a, (s->n_samples + 1) * sizeof(*v.samples));
	for (i = 0; i < s->n_samples; i++)
		v.samples[i] = s->samples[i][which];
	if (s->n > 0) {
		v.min = s->min[which];
		v.max = s->max[which];
		v.avg = s->sum[which] / (int64_t)s->n;
	}
	return v;
}

struct gw_ckpts *gw_checkpoints(struct gateway *g, struct gw_arena *a, const struct id128 *job)
{
	const struct job_master *jm = dispatcher_find(cluster_dispatcher(g->cluster), job);
	const struct coordinator *cc;
	const struct job_graph *graph;
	const struct cc_checkpoint *const *history;
	struct cc_restored restored;
	struct cc_counts counts;
	struct gw_ckpts *v;
	uint32_t i;

	if (jm == NULL)
		return NULL;
	v = gw_alloc(a, sizeof(*v));
	view_settings(jm_checkpointing(jm), v);
	cc = jm_coordinator(jm);
	if (cc == NULL)
		return v;
	graph = jm_program(jm)->graph;
	counts = coordinator_counts(cc);
	v->n_restored = counts.restored;
	v->n_total = counts.total;
	v->n_in_progress = counts.in_progress;
	v->n_completed = counts.completed;
	v->n_failed = counts.failed;
	v->state_bytes = view_figure(a, coordinator_summary(cc), CC_STATE_BYTES);
	v->end_to_end_ms = view_figure(a, coordinator_summary(cc), CC_END_TO_END_MS);
	v->processed_bytes = view_figure(a, coordinator_summary(cc), CC_PROCESSED_BYTES);
	v->completed = view_latest(a, cc, graph, CC_COMPLETED, false);
	v->savepoint = view_latest(a, cc, graph, CC_COMPLETED, true);
	v->failed = view_latest(a, cc, graph, CC_FAILED, false);
	restored = coordinator_last_restored(cc);
	if (restored.id != 0) {
		v->restored = gw_alloc(a, sizeof(*v->restored));
		v->restored->id = restored.id;
		v->restored->restore_ms = restored.restore_ms;
		v->restored->is_savepoint = restored.is_savepoint;
		v->restored->external_path = restored.path != NULL ? gw_strdup(a, restored.path) : NULL;
	}
	v->n_history = coordinator_history(cc, &history);
	v->history = gw_alloc(a, (v->n_history + 1) * sizeof(*v->history));
	for (i = 0; i < v->n_history; i++)
		view_checkpoint(a, history[i], graph, &v->history[i]);
	return v;
}

/* ---- savepoints ---- */

/* Where savepoints go: absolute; NULL with why not. Caller frees. */
static char *target_of(const struct gateway *g, const char *target, struct err *e)
{
	const struct conf *conf = cluster_conf(g->cluster);
	char *path;

	if (target == NULL || target[0] == '\0') {
		if (conf->savepoints_dir[0] != '\0')
			return xstrdup(conf->savepoints_dir);
		err_set(e, ERR_INVALID,
		    "Config key [state.savepoints.dir] is not set. "
		    "Property [target-directory] must be provided.");
		return NULL;
	}
	path = file_path_from_uri(target, e);
	if (path == NULL || path[0] == '/')
		return path;
	err_set(e, ERR_INVALID, "the target directory %s is not absolute", target);
	free(path);
	return NULL;
}

static void answer(const struct operation *op, gw_done_fn *done, void *arg)
{
	char hex[ID_HEX_SIZE];

	done(arg, NULL, id_hex(&op->id, hex));
}

static void savepoint(struct gateway *g, const struct id128 *job, const char *target, enum jm_then then,
    gw_done_fn *done, void *arg)
{
	struct operations *ops = cluster_operations(g->cluster);
	const struct operation *op;
	struct err e;
	char *path = target_of(g, target, &e);

	if (path == NULL && target == NULL) {
		done(arg, &e, NULL);
		return;
	}
	op = operations_begin(ops, job);
	if (path == NULL ||
	    dispatcher_savepoint(cluster_dispatcher(g->cluster), job, op->number, then, path, &e) != 0)
		operations_end(ops, op->number, NULL, &e, NULL);
	cluster_poke(g->cluster);
	free(path);
	answer(op, done, arg);
}

void gw_job_savepoint(struct gateway *g, const struct id128 *job, const char *target, bool cancel_job,
    gw_done_fn *done, void *arg)
{
	savepoint(g, job, target, cancel_job ? JM_THEN_CANCEL : JM_GO_ON, done, arg);
}

void gw_job_stop(struct gateway *g, const struct id128 *job, const char *target, bool drain, gw_done_fn *done,
    void *arg)
{
	savepoint(g, job, target, drain ? JM_THEN_DRAIN : JM_THEN_STOP, done, arg);
}

struct disposal {
	struct operations *operations;
	uint64_t number;
	char *path;
};

static void on_disposed(void *arg, const struct checkpoint_answer *a)
{
	struct disposal *d = arg;
	struct err e;

	if (a->err.code == ERR_NONE) {
		operations_end(d->operations, d->number, NULL, NULL, NULL);
	} else {
		err_set(&e, a->err.code, "Could not dispose savepoint %s.\nCaused by: %s: %s", d->path,
		    failure_name(a->err.code), a->err.msg);
		operations_end(d->operations, d->number, NULL, &e, "org.apache.flink.util.FlinkException");
	}
	free(d->path);
	free(d);
}

void gw_savepoint_dispose(struct gateway *g, const char *path, gw_done_fn *done, void *arg)
{
	struct operations *ops = cluster_operations(g->cluster);
	const struct operation *op = operations_begin(ops, NULL);
	struct disposal *d = xcalloc(1, sizeof(*d));

	d->operations = ops;
	d->number = op->number;
	d->path = xstrdup(path);
	checkpoint_store_dispose(cluster_checkpoints(g->cluster), path, on_disposed, d);
	answer(op, done, arg);
}

void gw_operation(struct gateway *g, struct gw_arena *a, const struct id128 *job, const struct id128 *request,
    struct gw_operation *v)
{
	const struct operation *op = operations_find(cluster_operations(g->cluster), job, request);

	memset(v, 0, sizeof(*v));
	if (op == NULL)
		return;
	v->status = op->status;
	v->location = op->location != NULL ? gw_strdup(a, op->location) : NULL;
	v->failure_class = op->failure_class;
	v->failure = op->failure != NULL ? gw_strdup(a, op->failure) : NULL;
}
