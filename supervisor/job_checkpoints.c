/*
 * Between a job's attempts and its CheckpointCoordinator: when checkpoints are taken, who is told of
 * them, what an attempt begins with, and what follows a savepoint.
 *
 * What the coordinator asks for while it is called is only noted where it would change the phase; it
 * is done by settle once the call is over.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "supervisor/job_master_impl.h"

/* ---- what the coordinator asks for ---- */

static void on_trigger(void *arg, const struct ctl_trigger *t)
{
	struct job_master *jm = arg;
	uint32_t i;

	for (i = 0; i < jm->n_members; i++)
		if (jm->members[i].state == MEMBER_HELD)
			jm->ops->trigger(jm->arg, jm, jm->members[i].place, jm->members[i].generation, t);
}

static void on_notify(void *arg, uint64_t checkpoint_id)
{
	struct job_master *jm = arg;
	struct ctl_checkpoint c = {
		.job_id = jm->id, .attempt = jm->attempt, .checkpoint_id = checkpoint_id
	};
	uint32_t i;

	for (i = 0; i < jm->n_members; i++)
		if (jm->members[i].state == MEMBER_HELD)
			jm->ops->notify(jm->arg, jm, jm->members[i].place, jm->members[i].generation, &c);
}

static void on_abort(void *arg, uint64_t checkpoint_id)
{
	struct job_master *jm = arg;
	struct ctl_checkpoint c = {
		.job_id = jm->id, .attempt = jm->attempt, .checkpoint_id = checkpoint_id
	};
	const struct cc_checkpoint *known = coordinator_find(jm->coordinator, checkpoint_id);
	uint32_t i;

	log_warnx("checkpoint.failed", KV_JOB(jm->id_hex), KV_UINT("attempt", jm->attempt),
	    KV_UINT("checkpoint", checkpoint_id),
	    KV_MSG("Checkpoint %" PRIu64 " of job %s was given up: %s", checkpoint_id, jm->id_hex,
		known != NULL && known->failure != NULL ? known->failure : "it is not wanted any more"));
	for (i = 0; i < jm->n_members; i++)
		if (jm->members[i].state == MEMBER_HELD)
			jm->ops->abort(jm->arg, jm, jm->members[i].place, jm->members[i].generation, &c);
}

static void on_store(void *arg, const struct checkpoint_file *f, const char *target)
{
	struct job_master *jm = arg;

	jm->ops->store(jm->arg, jm, f, target);
}

static void on_discard(void *arg, uint64_t checkpoint_id, const char *path)
{
	struct job_master *jm = arg;

	jm->ops->discard(jm->arg, jm, checkpoint_id, path);
}

static void on_too_many_failures(void *arg, const struct err *e)
{
	struct job_master *jm = arg;

	jm->too_many = *e;
}

static void on_savepoint_done(void *arg, uint64_t request, const char *path, const struct err *e)
{
	struct job_master *jm = arg;

	if (request == jm->cancel_request) {
		jm->cancel_request = 0;
		jm->cancel_wanted = e == NULL;
	}
	if (request == jm->stop_request && e == NULL) {
		jm->stop_path = xstrdup(path);
		return; /* answered once the tasks have come to their end */
	}
	if (request == jm->stop_request)
		jm->stop_request = 0;
	jm->ops->savepoint_done(jm->arg, jm, request, path, e);
}

static const struct cc_ops coordinator_ops = {
	.trigger = on_trigger,
	.notify = on_notify,
	.abort = on_abort,
	.store = on_store,
	.discard = on_discard,
	.too_many_failures = on_too_many_failures,
	.savepoint_done = on_savepoint_done,
};

/* What the coordinator's last call led to. */
static void settle(struct job_master *jm)
{
	struct err e = jm->too_many;
	bool cancel = jm->cancel_wanted;

	jm->too_many.code = ERR_NONE;
	jm->cancel_wanted = false;
	if (cancel)
		jm_happen(jm, EV_CANCEL);
	else if (e.code != ERR_NONE && jm->phase == JM_RUNNING)
		attempt_fail(jm, NULL, clock_wall_ms(jm->clock), &e);
}

/* ---- life ---- */

void jm_use_checkpoints(struct job_master *jm, const struct checkpoint_settings *s, uint64_t first_id)
{
	ASSERT(jm->coordinator == NULL && jm->phase == JM_CREATED);
	jm->checkpointing = *s;
	jm->coordinator =
	    coordinator_create(&jm->id, jm->program->name, &s->cc, first_id, jm->clock, &coordinator_ops, jm);
}

void jm_restore(struct job_master *jm, uint64_t checkpoint_id, int fd, enum checkpoint_kind kind,
    const char *path)
{
	ASSERT(jm->coordinator != NULL && jm->phase == JM_CREATED);
	coordinator_restored(jm->coordinator, checkpoint_id, fd, kind, path, true);
}

void jm_retain(struct job_master *jm, uint64_t checkpoint_id, const char *path)
{
	ASSERT(jm->coordinator != NULL && jm->phase == JM_CREATED);
	coordinator_retain(jm->coordinator, checkpoint_id, path);
}

void checkpoints_fini(struct job_master *jm)
{
	coordinator_destroy(jm->coordinator);
	free(jm->stop_path);
}

/* ---- attempts ---- */

void checkpoints_restored(struct job_master *jm)
{
	bool first = jm->n_deploys++ == 0;
	enum checkpoint_kind kind;
	const char *path;
	uint64_t id;

	if (jm->coordinator == NULL)
		return;
	id = coordinator_latest_place(jm->coordinator, &path, &kind);
	if (id == 0)
		return;
	log_info("job.restored", KV_JOB(jm->id_hex), KV_UINT("attempt", jm->attempt),
	    KV_UINT("checkpoint", id), KV_STR("path", path),
	    KV_MSG("attempt %" PRIu64 " begins with checkpoint %" PRIu64, jm->attempt, id));
	/* Of the first deploy jm_restore has told. */
	if (!first)
		coordinator_restored(jm->coordinator, id, -1, kind, path, false);
}

bool checkpoints_storing(const struct job_master *jm)
{
	return jm->coordinator != NULL && coordinator_storing(jm->coordinator);
}

void checkpoints_start(struct job_master *jm)
{
	struct execution_graph *g = jm->graph;
	struct cc_task *tasks;
	uint32_t i;

	if (jm->coordinator == NULL)
		return;
	tasks = xcalloc(g->n_tasks, sizeof(*tasks));
	for (i = 0; i < g->n_tasks; i++) {
		const struct job_vertex *v = &g->graph->vertices[g->tasks[i].vertex];

		tasks[i] = (struct cc_task){ .vertex = v->id,
			.vertex_idx = g->tasks[i].vertex,
			.subtask = g->tasks[i].subtask,
			.parallelism = v->parallelism,
			.max_parallelism = v->max_parallelism };
	}
	coordinator_start(jm->coordinator, jm->attempt, tasks, g->n_tasks);
	free(tasks);
	for (i = 0; i < g->n_tasks; i++)
		if (g->tasks[i].state == TASK_FINISHED)
			coordinator_on_finished(jm->coordinator, jm->attempt, g->tasks[i].vertex,
			    g->tasks[i].subtask);
	settle(jm);
}

static void drop_stop(struct job_master *jm, const char *why)
{
	struct err e;

	if (jm->stop_path == NULL)
		return;
	err_set(&e, ERR_CONFLICT, "the savepoint is at %s, but before all tasks had come to their end %s",
	    jm->stop_path, why);
	checkpoints_answer_stop(jm, &e);
}

void checkpoints_stop(struct job_master *jm, const char *why)
{
	if (jm->coordinator == NULL)
		return;
	coordinator_stop(jm->coordinator, why);
	/* What the coordinator may have asked for meanwhile is of an attempt that ends anyway. */
	jm->too_many.code = ERR_NONE;
	if (jm->phase != JM_FINISHING)
		drop_stop(jm, why);
}

void checkpoints_close(struct job_master *jm)
{
	if (jm->coordinator != NULL)
		coordinator_close(jm->coordinator);
}

void checkpoints_answer_stop(struct job_master *jm, const struct err *e)
{
	uint64_t request = jm->stop_request;
	char *path = jm->stop_path;

	if (path == NULL)
		return;
	jm->stop_request = 0;
	jm->stop_path = NULL;
	jm->ops->savepoint_done(jm->arg, jm, request, e == NULL ? path : NULL, e);
	free(path);
}

void checkpoints_task_finished(struct job_master *jm, const struct job_task *t)
{
	if (jm->coordinator == NULL || jm->n_running < jm->graph->n_tasks)
		return; /* told by checkpoints_start */
	coordinator_on_finished(jm->coordinator, jm->attempt, t->vertex, t->subtask);
	settle(jm);
}

/* The next attempt may have waited for a checkpoint that was being stored. */
static void wake(struct job_master *jm)
{
	if (jm->phase == JM_RESTARTING && jm->due_ns == INT64_MAX && !checkpoints_storing(jm))
		jm_happen(jm, EV_TIMER);
}

/* ---- events ---- */

void jm_on_ack(struct job_master *jm, uint32_t place, uint32_t generation, const struct ctl_ack *a)
{
	if (jm->coordinator == NULL || a->attempt != jm->attempt || !jm_holds(jm, place, generation))
		return;
	coordinator_on_ack(jm->coordinator, a);
	settle(jm);
}

void jm_on_decline(struct job_master *jm, uint32_t place, uint32_t generation, const struct ctl_decline *d)
{
	if (jm->coordinator == NULL || d->attempt != jm->attempt || !jm_holds(jm, place, generation))
		return;
	coordinator_on_decline(jm->coordinator, d);
	settle(jm);
}

void jm_on_stored(struct job_master *jm, uint64_t checkpoint_id, const char *path, const struct err *e)
{
	const struct cc_checkpoint *c;

	if (jm->coordinator == NULL)
		return;
	coordinator_on_stored(jm->coordinator, checkpoint_id, path, e);
	c = coordinator_find(jm->coordinator, checkpoint_id);
	if (c != NULL && e != NULL)
		log_warnx("checkpoint.not_stored", KV_JOB(jm->id_hex), KV_UINT("checkpoint", checkpoint_id),
		    KV_MSG("Checkpoint %" PRIu64 " of job %s could not be stored: %s", checkpoint_id,
			jm->id_hex, e->msg));
	else if (c != NULL && c->status == CC_COMPLETED)
		log_info("checkpoint.completed", KV_JOB(jm->id_hex), KV_UINT("checkpoint", checkpoint_id),
		    KV_STR("kind", checkpoint_kind_name(c->kind)), KV_INT("bytes", c->state_bytes),
		    KV_STR("path", path),
		    KV_MSG("Completed checkpoint %" PRIu64 " for job %s (%" PRId64
			   " bytes, checkpointDuration=%" PRId64 " ms, finalizationTime=%" PRId64 " ms).",
			checkpoint_id, jm->id_hex, c->state_bytes, c->end_ms - c->trigger_ms,
			c->end_ms - c->latest_ack_ms));
	/* Its attempt had ended before it was durable. */
	if (jm->phase != JM_RUNNING && jm->phase != JM_FINISHING)
		drop_stop(jm, "their attempt was over");
	settle(jm);
	wake(jm);
}

void jm_savepoint(struct job_master *jm, uint64_t request, enum jm_then then, const char *target)
{
	bool stop = then == JM_THEN_STOP || then == JM_THEN_DRAIN;
	struct err e = { ERR_NONE, "" };

	if (jm->coordinator == NULL)
		err_set(&e, ERR_CONFLICT, "the job takes no savepoints");
	else if (jm->phase != JM_RUNNING || jm->n_running < jm->graph->n_tasks)
		err_set(&e, ERR_CONFLICT,
		    "Checkpoint triggering task of job %s is not being executed at the moment. "
		    "Aborting checkpoint. "
		    "Failure reason: Not all required tasks are currently running.",
		    jm->id_hex);
	else if (jm->stop_request != 0)
		err_set(&e, ERR_CONFLICT, "job %s is being stopped with a savepoint already", jm->id_hex);
	if (e.code != ERR_NONE) {
		jm->ops->savepoint_done(jm->arg, jm, request, NULL, &e);
		return;
	}
	if (stop)
		jm->stop_request = request;
	if (then == JM_THEN_CANCEL)
		jm->cancel_request = request;
	coordinator_savepoint(jm->coordinator, request,
	    stop ? CHECKPOINT_SYNC_SAVEPOINT : CHECKPOINT_SAVEPOINT, then == JM_THEN_DRAIN, target);
	settle(jm);
}

void checkpoints_on_time(struct job_master *jm)
{
	if (jm->coordinator == NULL || coordinator_deadline_ns(jm->coordinator) > clock_mono_ns(jm->clock))
		return;
	coordinator_on_time(jm->coordinator);
	settle(jm);
	wake(jm);
}

int64_t checkpoints_deadline_ns(const struct job_master *jm)
{
	return jm->coordinator != NULL ? coordinator_deadline_ns(jm->coordinator) : INT64_MAX;
}

/* ---- what is known ---- */

const struct coordinator *jm_coordinator(const struct job_master *jm)
{
	return jm->coordinator;
}

const struct checkpoint_settings *jm_checkpointing(const struct job_master *jm)
{
	return &jm->checkpointing;
}
