/* Checkpoints of a job: statistics, settings, one checkpoint, its subtasks. */
#include "base/conf.h"
#include "base/mem.h"
#include "rest/job_json.h"
#include "rest/router.h"
#include "rest/summary.h"

static const char *const status_names[] = {
	[GW_CKPT_IN_PROGRESS] = "IN_PROGRESS",
	[GW_CKPT_COMPLETED] = "COMPLETED",
	[GW_CKPT_FAILED] = "FAILED",
};
static const char *const class_names[] = {
	[GW_CKPT_IN_PROGRESS] = "in_progress",
	[GW_CKPT_COMPLETED] = "completed",
	[GW_CKPT_FAILED] = "failed",
};

/* 1.14 calls the member @class, 2.x className. */
static void json_class(cJSON *o, const char *name)
{
	json_str(o, "@class", name);
	json_str(o, "className", name);
}

/* What barriers overtake is never stored: they are aligned, so nothing is buffered nor persisted. */
static void json_ckpt_sizes(cJSON *o, int64_t latest_ack_ms, int64_t state_bytes, int64_t end_to_end_ms,
    int64_t processed_bytes, unsigned n_subtasks, unsigned n_acked)
{
	json_i64(o, "latest_ack_timestamp", latest_ack_ms);
	json_i64(o, "state_size", state_bytes);
	json_i64(o, "end_to_end_duration", end_to_end_ms);
	json_i64(o, "alignment_buffered", 0);
	json_i64(o, "processed_data", processed_bytes);
	json_i64(o, "persisted_data", 0);
	json_i64(o, "num_subtasks", n_subtasks);
	json_i64(o, "num_acknowledged_subtasks", n_acked);
}

static void json_ckpt_vertex(cJSON *o, const struct gw_ckpt *k, const struct gw_ckpt_vertex *v)
{
	json_i64(o, "id", (int64_t)k->id);
	json_str(o, "status", status_names[k->status]);
	json_ckpt_sizes(o, v->latest_ack_ms, v->state_bytes, v->end_to_end_ms, v->processed_bytes,
	    v->n_subtasks, v->n_acked);
}

/* k NULL: null. whole: with its tasks. Returns the object. */
static cJSON *json_ckpt(cJSON *to, const char *key, const struct gw_ckpt *k, bool whole)
{
	char hex[ID_HEX_SIZE];
	cJSON *o, *tasks;

	if (k == NULL) {
		json_null(to, key);
		return NULL;
	}
	o = json_object(to, key);
	json_class(o, class_names[k->status]);
	json_i64(o, "id", (int64_t)k->id);
	json_str(o, "status", status_names[k->status]);
	json_bool(o, "is_savepoint", k->is_savepoint);
	json_i64(o, "trigger_timestamp", k->trigger_ms);
	json_ckpt_sizes(o, k->latest_ack_ms, k->state_bytes, k->end_to_end_ms, k->processed_bytes,
	    k->n_subtasks, k->n_acked);
	json_str(o, "checkpoint_type", k->kind);
	tasks = json_object(o, "tasks");
	for (unsigned i = 0; whole && i < k->n_vertices; i++)
		json_ckpt_vertex(json_object(tasks, id_hex(&k->vertices[i].id, hex)), k, &k->vertices[i]);
	if (k->status == GW_CKPT_COMPLETED) {
		json_str(o, "external_path", k->external_path);
		json_bool(o, "discarded", k->discarded);
	} else if (k->status == GW_CKPT_FAILED) {
		json_i64(o, "failure_timestamp", k->failure_ms);
		json_str(o, "failure_message", k->failure);
	}
	return o;
}

static void json_ckpt_counts(cJSON *to, const struct gw_ckpts *v)
{
	cJSON *o = json_object(to, "counts");

	json_i64(o, "restored", (int64_t)v->n_restored);
	json_i64(o, "total", (int64_t)v->n_total);
	json_i64(o, "in_progress", (int64_t)v->n_in_progress);
	json_i64(o, "completed", (int64_t)v->n_completed);
	json_i64(o, "failed", (int64_t)v->n_failed);
}

static void json_ckpt_summary(cJSON *to, struct gw_arena *a, const struct gw_ckpts *v)
{
	cJSON *o = json_object(to, "summary");
	struct gw_ckpt_figure nothing = { .n_samples = v->state_bytes.n_samples };

	nothing.samples = gw_alloc(a, (nothing.n_samples + 1) * sizeof(*nothing.samples));
	json_summary(o, "state_size", &v->state_bytes);
	json_summary(o, "end_to_end_duration", &v->end_to_end_ms);
	json_summary_zero(o, "alignment_buffered");
	json_summary(o, "processed_data", &v->processed_bytes);
	json_summary(o, "persisted_data", &nothing);
}

static void json_ckpt_latest(cJSON *to, const struct gw_ckpts *v)
{
	cJSON *o = json_object(to, "latest"), *restored;

	json_ckpt(o, "completed", v->completed, false);
	json_ckpt(o, "savepoint", v->savepoint, false);
	json_ckpt(o, "failed", v->failed, false);
	if (v->restored == NULL) {
		json_null(o, "restored");
		return;
	}
	restored = json_object(o, "restored");
	json_i64(restored, "id", (int64_t)v->restored->id);
	json_i64(restored, "restore_timestamp", v->restored->restore_ms);
	json_bool(restored, "is_savepoint", v->restored->is_savepoint);
	json_str(restored, "external_path", v->restored->external_path);
}

/* The checkpoints of the path's job, NULL: that was answered. */
static struct gw_ckpts *ckpts_of_call(struct rest_call *c)
{
	char hex[ID_HEX_SIZE];
	struct gw_ckpts *v;
	struct id128 id;

	if (!rest_param_id(c, "jobid", &id))
		return NULL;
	v = gw_checkpoints(c->gateway, c->arena, &id);
	if (v == NULL)
		rest_fail(c, 404, NOT_FOUND_EXCEPTION, "Job %s not found", id_hex(&id, hex));
	return v;
}

void h_job_checkpoints(struct rest_call *c)
{
	struct gw_ckpts *v = ckpts_of_call(c);
	cJSON *o, *history;

	if (v == NULL)
		return;
	o = json_object(NULL, NULL);
	json_ckpt_counts(o, v);
	json_ckpt_summary(o, c->arena, v);
	json_ckpt_latest(o, v);
	history = json_array(o, "history");
	for (unsigned i = 0; i < v->n_history; i++)
		json_ckpt(history, NULL, &v->history[i], false);
	rest_reply(c, 200, o);
}

void h_job_checkpoints_config(struct rest_call *c)
{
	struct gw_ckpts *v = ckpts_of_call(c);
	cJSON *o, *kept;

	if (v == NULL)
		return;
	o = json_object(NULL, NULL);
	json_str(o, "mode", v->enabled && !v->at_least_once ? "exactly_once" : "at_least_once");
	json_i64(o, "interval", v->enabled ? v->interval_ms : INT64_MAX);
	json_i64(o, "timeout", v->timeout_ms);
	json_i64(o, "min_pause", v->min_pause_ms);
	json_i64(o, "max_concurrent", v->max_concurrent);
	kept = json_object(o, "externalization");
	json_bool(kept, "enabled", v->externalized);
	json_bool(kept, "delete_on_cancellation", v->delete_on_cancellation);
	json_str(o, "state_backend", "HashMapStateBackend");
	json_str(o, "checkpoint_storage", "FileSystemCheckpointStorage");
	json_bool(o, "unaligned_checkpoints", false);
	json_i64(o, "tolerable_failed_checkpoints", v->tolerable_failures);
	json_i64(o, "aligned_checkpoint_timeout", 0);
	json_bool(o, "checkpoints_after_tasks_finish", true);
	rest_reply(c, 200, o);
}

/* The checkpoint of the path's checkpointid, NULL: that was answered. */
static const struct gw_ckpt *ckpt_of_call(struct rest_call *c)
{
	const char *text = rest_param(c, "checkpointid");
	const struct gw_ckpt *latest[3];
	struct gw_ckpts *v;
	struct id128 job;
	int64_t id;

	if (!rest_param_id(c, "jobid", &job))
		return NULL;
	if (conf_parse_i64(text, INT64_MIN, INT64_MAX, &id, NULL) != 0) {
		rest_fail_param(c, "checkpointid", text);
		return NULL;
	}
	v = ckpts_of_call(c);
	if (v == NULL)
		return NULL;
	for (unsigned i = 0; i < v->n_history; i++)
		if ((int64_t)v->history[i].id == id)
			return &v->history[i];
	/* The latest of each kind is remembered for longer. */
	latest[0] = v->completed;
	latest[1] = v->savepoint;
	latest[2] = v->failed;
	for (size_t i = 0; i < ARRAY_LEN(latest); i++)
		if (latest[i] != NULL && (int64_t)latest[i]->id == id)
			return latest[i];
	rest_fail(c, 404, REST_HANDLER_EXCEPTION,
	    "Could not find checkpointing statistics for checkpoint %lld.", (long long)id);
	return NULL;
}

void h_job_checkpoint(struct rest_call *c)
{
	const struct gw_ckpt *k = ckpt_of_call(c);

	if (k != NULL)
		rest_reply(c, 200, json_ckpt(NULL, NULL, k, true));
}

static void json_ckpt_subtask(cJSON *to, const struct gw_ckpt_subtask *s)
{
	cJSON *o = json_object(to, NULL), *part;

	json_class(o, s->acked ? "completed" : "pending");
	json_i64(o, "index", s->index);
	if (!s->acked) {
		json_str(o, "status", "pending_or_failed");
		return;
	}
	json_i64(o, "ack_timestamp", s->ack_ms);
	json_i64(o, "end_to_end_duration", s->end_to_end_ms);
	json_i64(o, "state_size", s->state_bytes);
	part = json_object(o, "checkpoint");
	json_i64(part, "sync", s->sync_ms);
	json_i64(part, "async", s->async_ms);
	part = json_object(o, "alignment");
	json_i64(part, "buffered", 0);
	json_i64(part, "processed", s->processed_bytes);
	json_i64(part, "persisted", 0);
	json_i64(part, "duration", s->alignment_ms);
	json_i64(o, "start_delay", s->start_delay_ms);
	json_bool(o, "unaligned_checkpoint", false);
	json_bool(o, "aborted", false);
	json_str(o, "status", "completed");
}

/* One figure of all subtasks that have acknowledged. */
static void json_figure(cJSON *to, const char *key, struct gw_arena *a, const struct gw_ckpt_vertex *v,
    size_t offset)
{
	int64_t *values = gw_alloc(a, (v->n_subtasks + 1) * sizeof(*values));
	size_t n = 0;

	for (unsigned i = 0; i < v->n_subtasks; i++)
		if (v->subtasks[i].acked)
			memcpy(&values[n++], (const char *)&v->subtasks[i] + offset, sizeof(*values));
	json_summary_bounds(to, key, values, n);
}
#define FIGURE(to, key, a, v, member) json_figure(to, key, a, v, offsetof(struct gw_ckpt_subtask, member))

static void json_subtasks_summary(cJSON *to, struct gw_arena *a, const struct gw_ckpt_vertex *v)
{
	cJSON *o = json_object(to, "summary"), *part;

	FIGURE(o, "state_size", a, v, state_bytes);
	FIGURE(o, "end_to_end_duration", a, v, end_to_end_ms);
	part = json_object(o, "checkpoint_duration");
	FIGURE(part, "sync", a, v, sync_ms);
	FIGURE(part, "async", a, v, async_ms);
	part = json_object(o, "alignment");
	json_summary_zero(part, "buffered");
	FIGURE(part, "processed", a, v, processed_bytes);
	json_summary_bounds(part, "persisted", NULL, 0);
	FIGURE(part, "duration", a, v, alignment_ms);
	FIGURE(o, "start_delay", a, v, start_delay_ms);
}

void h_job_checkpoint_subtasks(struct rest_call *c)
{
	const struct gw_ckpt_vertex *v = NULL;
	const struct gw_ckpt *k;
	char hex[ID_HEX_SIZE];
	struct id128 id;
	cJSON *o, *list;

	if (!rest_param_id(c, "vertexid", &id))
		return;
	k = ckpt_of_call(c);
	if (k == NULL)
		return;
	for (unsigned i = 0; i < k->n_vertices && v == NULL; i++)
		if (id_equal(&k->vertices[i].id, &id))
			v = &k->vertices[i];
	if (v == NULL) {
		rest_fail(c, 404, NOT_FOUND_EXCEPTION, "There is no checkpoint statistics for task %s.",
		    id_hex(&id, hex));
		return;
	}
	o = json_object(NULL, NULL);
	json_ckpt_vertex(o, k, v);
	json_subtasks_summary(o, c->arena, v);
	list = json_array(o, "subtasks");
	for (unsigned i = 0; i < v->n_subtasks; i++)
		json_ckpt_subtask(list, &v->subtasks[i]);
	rest_reply(c, 200, o);
}
