/*
 * Jobs, the routing of events, and turns; see the header.  Submissions are in dispatcher_submit.c.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "supervisor/dispatcher_impl.h"

/* ---- what a JobMaster asks for ---- */

static void jm_request(void *arg, struct job_master *jm, uint32_t n_slots)
{
	struct dispatcher *d = arg;

	rm_request(d->rm, jm_id(jm), n_slots);
}

static void jm_withdraw(void *arg, struct job_master *jm)
{
	struct dispatcher *d = arg;

	rm_withdraw(d->rm, jm_id(jm));
}

static void jm_release(void *arg, struct job_master *jm)
{
	struct dispatcher *d = arg;

	rm_release(d->rm, jm_id(jm));
}

static bool jm_alone(void *arg, const struct job_master *jm, uint32_t place)
{
	struct dispatcher *d = arg;

	return rm_is_alone(d->rm, place, jm_id(jm));
}

static uint32_t jm_slots_free(void *arg)
{
	struct dispatcher *d = arg;

	return rm_slots_free(d->rm);
}

static uint32_t jm_block_take(void *arg, uint32_t place, uint32_t generation)
{
	struct dispatcher *d = arg;

	return rm_block_take(d->rm, place, generation);
}

static void jm_block_give(void *arg, uint32_t place, uint32_t generation, uint32_t block)
{
	struct dispatcher *d = arg;

	rm_block_give(d->rm, place, generation, block);
}

static int jm_deploy(void *arg, struct job_master *jm, struct err *e)
{
	struct dispatcher *d = arg;

	return d->ops->deploy(d->arg, jm, e);
}

static void jm_drop(void *arg, struct job_master *jm, uint32_t place, uint32_t generation)
{
	struct dispatcher *d = arg;

	d->ops->drop(d->arg, place, generation, jm_id(jm), jm_attempt(jm));
}

static void jm_kill(void *arg, struct job_master *jm, uint32_t place, uint32_t generation, const char *why)
{
	struct dispatcher *d = arg;

	(void)jm;
	rm_on_kill(d->rm, place, generation);
	d->ops->kill(d->arg, place, generation, why);
}

static void jm_task_over(void *arg, struct job_master *jm, struct job_task *t)
{
	struct dispatcher *d = arg;

	(void)jm;
	d->ops->task_over(d->arg, t);
}

static void jm_trigger(void *arg, struct job_master *jm, uint32_t place, uint32_t generation,
    const struct ctl_trigger *t)
{
	struct dispatcher *d = arg;

	(void)jm;
	d->ops->trigger(d->arg, place, generation, t);
}

static void jm_notify(void *arg, struct job_master *jm, uint32_t place, uint32_t generation,
    const struct ctl_checkpoint *c)
{
	struct dispatcher *d = arg;

	(void)jm;
	d->ops->notify(d->arg, place, generation, c);
}

static void jm_abort(void *arg, struct job_master *jm, uint32_t place, uint32_t generation,
    const struct ctl_checkpoint *c)
{
	struct dispatcher *d = arg;

	(void)jm;
	d->ops->abort(d->arg, place, generation, c);
}

static void jm_store(void *arg, struct job_master *jm, const struct checkpoint_file *f, const char *target)
{
	struct dispatcher *d = arg;

	d->ops->store_checkpoint(d->arg, jm_id(jm), f, target);
}

static void jm_discard(void *arg, struct job_master *jm, uint64_t checkpoint_id, const char *path)
{
	struct dispatcher *d = arg;

	(void)jm;
	(void)checkpoint_id;
	d->ops->discard_checkpoint(d->arg, path);
}

static void jm_savepoint_done(void *arg, struct job_master *jm, uint64_t request, const char *path,
    const struct err *e)
{
	struct dispatcher *d = arg;

	(void)jm;
	d->ops->savepoint_done(d->arg, request, path, e);
}

/*
 * It stays in the list as an ended job until expire() forgets it.  A suspended one is resumed by the next
 * JobManager, from its record and its checkpoints.
 */
static void jm_over(void *arg, struct job_master *jm)
{
	struct dispatcher *d = arg;

	if (jm_state(jm) != JOB_SUSPENDED) {
		d->ops->unrecord(d->arg, jm_id(jm));
		if (jm_coordinator(jm) != NULL &&
		    !checkpoint_settings_retain(jm_checkpointing(jm), jm_state(jm)))
			d->ops->discard_checkpoints(d->arg, jm_id(jm));
	}
	dispatcher_unstore(d, jm_program(jm)->artifact);
}

const struct jm_ops dispatcher_jm_ops = {
	.request = jm_request,
	.withdraw = jm_withdraw,
	.release = jm_release,
	.alone = jm_alone,
	.slots_free = jm_slots_free,
	.block_take = jm_block_take,
	.block_give = jm_block_give,
	.deploy = jm_deploy,
	.drop = jm_drop,
	.kill = jm_kill,
	.task_over = jm_task_over,
	.trigger = jm_trigger,
	.notify = jm_notify,
	.abort = jm_abort,
	.store = jm_store,
	.discard = jm_discard,
	.savepoint_done = jm_savepoint_done,
	.over = jm_over,
};

/* ---- life ---- */

void dispatcher_configure(struct dispatcher *d, const struct conf *conf)
{
	restart_settings_from(&d->settings.restart, conf);
	checkpoint_settings_from(&d->checkpoints, conf);
	d->settings.task_cancellation_timeout_ms = conf->task_cancellation_timeout_ms;
	d->settings.history_size = (uint32_t)conf->web_exception_history;
	d->parallelism_default = (uint32_t)conf->parallelism_default;
	d->keep_ended_ms = conf->jobstore_expiration_ms;
	d->max_ended = (uint32_t)conf->jobstore_max_capacity;
}

struct dispatcher *dispatcher_create(const struct conf *conf, const struct clock *clock,
    const struct dispatcher_ops *ops, void *arg)
{
	struct dispatcher *d = xcalloc(1, sizeof(*d));

	d->clock = clock;
	d->ops = ops;
	d->arg = arg;
	d->rm = rm_create();
	dispatcher_configure(d, conf);
	return d;
}

void dispatcher_destroy(struct dispatcher *d)
{
	size_t i;

	if (d == NULL)
		return;
	for (i = 0; i < d->n_jobs; i++)
		jm_destroy(d->jobs[i]);
	for (i = 0; i < d->n_submissions; i++)
		submission_destroy(d->submissions[i]);
	for (i = 0; i < d->n_pinned; i++)
		free(d->pinned[i]);
	free(d->pinned);
	free(d->jobs);
	free(d->submissions);
	rm_destroy(d->rm);
	free(d);
}

/* ---- jobs ---- */

struct job_master *dispatcher_find(const struct dispatcher *d, const struct id128 *job)
{
	size_t i;

	for (i = 0; i < d->n_jobs; i++)
		if (id_equal(jm_id(d->jobs[i]), job))
			return d->jobs[i];
	return NULL;
}

/* A job that has not ended, or NULL with why not. */
static struct job_master *find_living(struct dispatcher *d, const struct id128 *job, struct err *e)
{
	struct job_master *jm = dispatcher_find(d, job);
	char hex[ID_HEX_SIZE];

	if (jm == NULL) {
		err_set(e, ERR_NOT_FOUND, "there is no job %s", id_hex(job, hex));
		return NULL;
	}
	if (jm_phase(jm) == JM_OVER) {
		err_set(e, ERR_NOT_FOUND, "job %s has already ended: it is %s", jm_id_hex(jm),
		    job_state_name(jm_state(jm)));
		return NULL;
	}
	return jm;
}

int dispatcher_cancel(struct dispatcher *d, const struct id128 *job, struct err *e)
{
	struct job_master *jm = find_living(d, job, e);

	if (jm == NULL)
		return -1;
	jm_cancel(jm);
	return 0;
}

int dispatcher_savepoint(struct dispatcher *d, const struct id128 *job, uint64_t request, enum jm_then then,
    const char *target, struct err *e)
{
	struct job_master *jm = find_living(d, job, e);

	if (jm == NULL)
		return -1;
	jm_savepoint(jm, request, then, target);
	return 0;
}

void dispatcher_on_hello(struct dispatcher *d, const struct ctl_hello *h)
{
	rm_on_hello(d->rm, h);
}

void dispatcher_on_died(struct dispatcher *d, uint32_t place, uint32_t generation, int signo,
    const char *obituary)
{
	size_t i;

	/* First the jobs, whose tasks' blocks are looked up by generation, then the slots. */
	for (i = 0; i < d->n_jobs; i++)
		jm_on_tm_lost(d->jobs[i], place, generation, signo, obituary);
	rm_on_died(d->rm, place, generation);
}

void dispatcher_on_task_state(struct dispatcher *d, uint32_t place, uint32_t generation,
    const struct ctl_task_state *s)
{
	struct job_master *jm = dispatcher_find(d, &s->job_id);

	if (jm != NULL)
		jm_on_task_state(jm, place, generation, s);
}

void dispatcher_on_metric_names(struct dispatcher *d, uint32_t place, uint32_t generation,
    const struct ctl_metric_names *m)
{
	struct job_master *jm = dispatcher_find(d, &m->job_id);

	if (jm != NULL)
		jm_on_metric_names(jm, place, generation, m);
}

void dispatcher_on_dropped(struct dispatcher *d, uint32_t place, uint32_t generation,
    const struct ctl_attempt *a)
{
	struct job_master *jm = dispatcher_find(d, &a->job_id);

	if (jm != NULL)
		jm_on_dropped(jm, place, generation, a->attempt);
}

void dispatcher_on_ack(struct dispatcher *d, uint32_t place, uint32_t generation, const struct ctl_ack *a)
{
	struct job_master *jm = dispatcher_find(d, &a->job_id);

	if (jm != NULL)
		jm_on_ack(jm, place, generation, a);
}

void dispatcher_on_decline(struct dispatcher *d, uint32_t place, uint32_t generation,
    const struct ctl_decline *m)
{
	struct job_master *jm = dispatcher_find(d, &m->job_id);

	if (jm != NULL)
		jm_on_decline(jm, place, generation, m);
}

void dispatcher_on_checkpoint_stored(struct dispatcher *d, const struct id128 *job, uint64_t checkpoint_id,
    const char *path, const struct err *why)
{
	struct job_master *jm = dispatcher_find(d, job);

	if (jm != NULL)
		jm_on_stored(jm, checkpoint_id, path, why);
}

static void forget(struct dispatcher *d, size_t i)
{
	jm_destroy(d->jobs[i]);
	memmove(&d->jobs[i], &d->jobs[i + 1], (d->n_jobs - i - 1) * sizeof(*d->jobs));
	d->n_jobs--;
}

/* When an ended job is forgotten, wall; INT64_MAX: it has not ended. */
static int64_t expires_ms(const struct dispatcher *d, const struct job_master *jm)
{
	return jm_phase(jm) == JM_OVER && jm_end_ms(jm) >= 0 ? jm_end_ms(jm) + d->keep_ended_ms : INT64_MAX;
}

static void expire(struct dispatcher *d)
{
	int64_t now_ms = clock_wall_ms(d->clock);
	size_t i, n_ended = 0, oldest;

	for (i = d->n_jobs; i-- > 0;) {
		if (expires_ms(d, d->jobs[i]) <= now_ms)
			forget(d, i);
		else if (jm_phase(d->jobs[i]) == JM_OVER)
			n_ended++;
	}
	for (; n_ended > d->max_ended; n_ended--) {
		oldest = d->n_jobs;
		for (i = 0; i < d->n_jobs; i++)
			if (jm_phase(d->jobs[i]) == JM_OVER &&
			    (oldest == d->n_jobs || jm_end_ms(d->jobs[i]) < jm_end_ms(d->jobs[oldest])))
				oldest = i;
		forget(d, oldest);
	}
}

void dispatcher_on_artifact(struct dispatcher *d, const char *path)
{
	dispatcher_unstore(d, path);
}

/* ---- turns ---- */

static void run_timers(struct dispatcher *d)
{
	int64_t now = clock_mono_ns(d->clock);
	size_t i;

	for (i = d->n_submissions; i-- > 0;)
		if (d->submissions[i]->deadline_ns <= now)
			dispatcher_out_of_time(d, d->submissions[i]);
	for (i = 0; i < d->n_jobs; i++)
		if (jm_deadline_ns(d->jobs[i]) <= now)
			jm_on_time(d->jobs[i]);
}

static void grant_slots(struct dispatcher *d)
{
	struct job_master *jm;
	struct rm_slot *slots;
	struct id128 job;
	uint32_t n;

	while ((slots = rm_grant(d->rm, &job, &n)) != NULL) {
		jm = dispatcher_find(d, &job);
		ASSERT(jm != NULL); /* a job withdraws its request before it is over */
		jm_on_slots(jm, slots, n);
	}
}

static bool all_over(const struct dispatcher *d)
{
	size_t i;

	for (i = 0; i < d->n_jobs; i++)
		if (jm_phase(d->jobs[i]) != JM_OVER)
			return false;
	return true;
}

void dispatcher_turn(struct dispatcher *d)
{
	run_timers(d);
	dispatcher_start_builds(d);
	grant_slots(d);
	expire(d);
	if (d->stopping && !d->stopped && all_over(d)) {
		d->stopped = true;
		d->ops->stopped(d->arg);
	}
}

int64_t dispatcher_deadline_ns(const struct dispatcher *d)
{
	int64_t due = INT64_MAX, now_ms = clock_wall_ms(d->clock), now = clock_mono_ns(d->clock), at;
	size_t i;

	for (i = 0; i < d->n_submissions; i++)
		if (d->submissions[i]->deadline_ns < due)
			due = d->submissions[i]->deadline_ns;
	for (i = 0; i < d->n_jobs; i++) {
		at = jm_deadline_ns(d->jobs[i]);
		if (at < due)
			due = at;
		/* The wall clock may be set: ask again once a minute at the least. */
		at = expires_ms(d, d->jobs[i]);
		if (at != INT64_MAX) {
			at = at <= now_ms ? 0 : at - now_ms;
			at = now + (at < 60000 ? at : 60000) * NS_PER_MS;
			if (at < due)
				due = at;
		}
	}
	return due;
}

void dispatcher_stop(struct dispatcher *d)
{
	static const struct err why = { ERR_UNAVAILABLE, "the JobManager is stopping" };
	size_t i;

	d->stopping = true;
	while (d->n_submissions > 0)
		dispatcher_answer(d, d->submissions[0], &why);
	for (i = 0; i < d->n_jobs; i++)
		jm_suspend(d->jobs[i]);
}

/* ---- what there is ---- */

struct resource_manager *dispatcher_rm(const struct dispatcher *d)
{
	return d->rm;
}

uint32_t dispatcher_n_jobs(const struct dispatcher *d)
{
	return (uint32_t)d->n_jobs;
}

struct job_master *dispatcher_job(const struct dispatcher *d, uint32_t i)
{
	return d->jobs[i];
}

uint32_t dispatcher_n_submissions(const struct dispatcher *d)
{
	return (uint32_t)d->n_submissions;
}

struct job_master *dispatcher_job_at(const struct dispatcher *d, uint32_t place, uint32_t generation)
{
	size_t i;

	for (i = 0; i < d->n_jobs; i++)
		if (jm_holds(d->jobs[i], place, generation))
			return d->jobs[i];
	return NULL;
}
