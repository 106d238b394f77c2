/*
 * Submissions on their way to become jobs, and the artifacts in the store.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "supervisor/dispatcher_impl.h"
#include "supervisor/restore_check.h"

/* ---- artifacts ---- */

/* A suspended job is resumed by the next JobManager. */
static bool needs_artifact(const struct job_master *jm)
{
	return jm_phase(jm) != JM_OVER || jm_state(jm) == JOB_SUSPENDED;
}

void dispatcher_unstore(struct dispatcher *d, const char *artifact)
{
	size_t i;

	for (i = 0; i < d->n_jobs; i++)
		if (needs_artifact(d->jobs[i]) && strcmp(jm_program(d->jobs[i])->artifact, artifact) == 0)
			return;
	for (i = 0; i < d->n_pinned; i++)
		if (strcmp(d->pinned[i], artifact) == 0)
			return;
	for (i = 0; i < d->n_submissions; i++) {
		/* What is being stored may be the same content, found in the store. */
		if (d->submissions[i]->artifact == NULL || strcmp(d->submissions[i]->artifact, artifact) == 0)
			return;
	}
	d->ops->unstore(d->arg, artifact);
}

/* ---- submissions ---- */

static struct submission *find_submission(struct dispatcher *d, uint32_t number)
{
	size_t i;

	for (i = 0; i < d->n_submissions; i++)
		if (d->submissions[i]->number == number)
			return d->submissions[i];
	return NULL;
}

/* Take it from the list, end what still runs for it, and answer. */
void dispatcher_answer(struct dispatcher *d, struct submission *s, const struct err *e)
{
	size_t i;
	unsigned which;

	for (i = 0; d->submissions[i] != s; i++)
		;
	memmove(&d->submissions[i], &d->submissions[i + 1],
	    (d->n_submissions - i - 1) * sizeof(*d->submissions));
	d->n_submissions--;
	for (which = 0; which < DISPATCHER_N_BUILDERS; which++)
		if (s->running[which])
			d->ops->build_kill(d->arg, s->number, which);
	if (e != NULL && s->resumed && !d->stopping) {
		/* The next JobManager may have more luck, with what it needs still there. */
		VEC_RESERVE(d->pinned, d->n_pinned, d->cap_pinned);
		d->pinned[d->n_pinned++] = xstrdup(s->artifact);
	} else if (e != NULL && s->state == SUB_RECORDING) {
		d->ops->unrecord(d->arg, &s->job_id); /* it may be durable by now */
	}
	if (e != NULL && !s->resumed && s->artifact != NULL)
		dispatcher_unstore(d, s->artifact);
	if (e != NULL && !s->resumed)
		log_warnx("job.refused", KV_UINT("submission", s->number), KV_STR("artifact", s->artifact),
		    KV_MSG("%s", e->msg));
	s->done(s->arg, e, &s->job_id);
	submission_destroy(s);
}

static void stored(struct dispatcher *d, struct submission *s)
{
	(void)d;
	s->state = SUB_QUEUED;
}

static void build(struct dispatcher *d, struct submission *s)
{
	struct err e;
	unsigned which;

	s->state = SUB_BUILDING;
	s->deadline_ns = clock_mono_ns(d->clock) + DISPATCHER_BUILD_LIMIT_NS;
	for (which = 0; which < DISPATCHER_N_BUILDERS; which++) {
		if (d->ops->build(d->arg, s->number, which, s->artifact, s->argc, s->argv, &e) != 0) {
			dispatcher_answer(d, s, &e);
			return;
		}
		s->running[which] = true;
	}
}

/* Everything is there. */
static void start_job(struct dispatcher *d, struct submission *s)
{
	struct job_program *program = s->program;
	struct job_master *jm;
	uint32_t i;

	s->program = NULL;
	jm = jm_create(&s->job_id, program, s->since_ms, &d->settings, d->clock, &dispatcher_jm_ops, d);
	jm_use_checkpoints(jm, &s->checkpoints, s->first_id);
	VEC_RESERVE(d->jobs, d->n_jobs, d->cap_jobs);
	d->jobs[d->n_jobs++] = jm;
	if (s->resumed)
		log_info("job.resumed", KV_JOB(jm_id_hex(jm)), KV_STR("name", program->name),
		    KV_UINT("checkpoint", s->restore_id), KV_STR("path", s->restore_path),
		    KV_MSG("job \"%s\" of an earlier JobManager goes on %s", program->name,
			s->restore_id != 0 ? log_fmt("with checkpoint %" PRIu64, s->restore_id) :
					     "without state: it had no checkpoint"));
	else
		log_info("job.submitted", KV_JOB(jm_id_hex(jm)), KV_STR("name", program->name),
		    KV_STR("artifact", program->artifact), KV_UINT("vertices", program->graph->n_vertices),
		    KV_UINT("tasks", jm_graph(jm)->n_tasks), KV_UINT("slots", program->graph->n_slots),
		    KV_STR("savepoint", s->restore_path), KV_INT("ms", clock_wall_ms(d->clock) - s->since_ms),
		    KV_MSG("job \"%s\" was submitted", program->name));
	if (s->restore_id != 0) {
		for (i = 0; i < s->n_older; i++)
			jm_retain(jm, s->older[i].id, s->older[i].path);
		jm_restore(jm, s->restore_id, s->restore_fd, s->restore_kind, s->restore_path);
		s->restore_fd = -1;
	}
	jm_start(jm);
	dispatcher_answer(d, s, NULL);
}

/* The job store has it before anything runs: a JobManager that dies from here on leaves it to the next. */
static void record(struct dispatcher *d, struct submission *s)
{
	struct job_record r = { .job_id = s->job_id,
		.name = s->program->name,
		.artifact = s->artifact,
		.argv = s->argv,
		.argc = s->argc,
		.parallelism = s->parallelism,
		.default_parallelism = s->program->default_parallelism,
		.start_ms = s->since_ms,
		.savepoint = s->savepoint,
		.allow_non_restored = s->allow_non_restored };
	size_t len;
	void *data;

	if (s->resumed) {
		start_job(d, s);
		return;
	}
	s->state = SUB_RECORDING;
	data = job_record_encode(&r, &len);
	d->ops->record(d->arg, s->number, &s->job_id, data, len);
	free(data);
}

/* Both plans are there: make the program, or say why not. */
static void built(struct dispatcher *d, struct submission *s)
{
	struct err e = { ERR_NONE, "" };

	s->program = submission_program(s,
	    s->default_parallelism != 0 ? s->default_parallelism : d->parallelism_default, &e);
	s->checkpoints = d->checkpoints;
	if (s->program == NULL || checkpoint_settings_of_job(&s->checkpoints, s->program->stream, &e) != 0) {
		dispatcher_answer(d, s, &e);
		return;
	}
	s->deadline_ns = INT64_MAX;
	if (!s->resumed && s->savepoint == NULL) {
		record(d, s);
		return;
	}
	s->state = SUB_RESTORING;
	d->ops->find_checkpoint(d->arg, s->number, &s->job_id, s->resumed ? NULL : s->savepoint);
}

static void found(struct dispatcher *d, struct submission *s, const struct checkpoint_answer *a)
{
	bool own = s->resumed && !s->looked; /* the job's own directory was asked for */
	struct err e = a->err;

	s->looked = true;
	if (own && s->savepoint != NULL && e.code == ERR_NONE && a->file == NULL) {
		/* It ended before its first checkpoint: again from what it began with. */
		s->first_id = a->highest_id + 1;
		d->ops->find_checkpoint(d->arg, s->number, &s->job_id, s->savepoint);
		return;
	}
	if (e.code == ERR_NONE && a->file != NULL &&
	    restore_check(s->program->graph, a->file, s->allow_non_restored, &e) != 0)
		err_prefix(&e, "%s", a->path);
	if (e.code == ERR_NONE && a->file != NULL) {
		s->restore_fd = fcntl(a->fd, F_DUPFD_CLOEXEC, 0);
		if (s->restore_fd < 0)
			err_set_errno(&e, ERR_IO, "keep the content of %s", a->path);
	}
	if (e.code != ERR_NONE) {
		dispatcher_answer(d, s, &e);
		return;
	}
	if (s->first_id <= a->highest_id)
		s->first_id = a->highest_id + 1;
	if (a->file != NULL) {
		s->restore_id = a->file->id;
		s->restore_path = xstrdup(a->path);
		/* What somebody else named is not ours to remove, whatever it was made as. */
		s->restore_kind = own ? a->file->kind : CHECKPOINT_SAVEPOINT;
		s->older = xcalloc((size_t)a->n_older + 1, sizeof(*s->older));
		for (; s->n_older < a->n_older; s->n_older++) {
			s->older[s->n_older].id = a->older[s->n_older].id;
			s->older[s->n_older].path = xstrdup(a->older[s->n_older].path);
		}
		if (s->first_id <= a->file->id)
			s->first_id = a->file->id + 1;
	}
	record(d, s);
}

static void out_of_time(struct dispatcher *d, struct submission *s)
{
	struct err e;

	err_set(&e, ERR_USER,
	    "the job's main did not come back within %lld s, so it was killed; "
	    "it must only build the graph and call weir_execute",
	    (long long)(DISPATCHER_BUILD_LIMIT_NS / NS_PER_S));
	dispatcher_answer(d, s, &e);
}

static void sub_bug(struct dispatcher *d, struct submission *s)
{
	(void)d;
	(void)s;
	ASSERT(!"an event of a submission that cannot come in this state");
}

enum sub_event {
	SUB_EV_STORED,
	SUB_EV_TURN_COMES,
	SUB_EV_BUILT,
	SUB_EV_RECORDED,
	SUB_EV_TIMER,
	SUB_N_EVENTS
};

static void (*const sub_table[SUB_N_STATES][SUB_N_EVENTS])(struct dispatcher *, struct submission *) = {
	/*                STORED   TURN_COMES  BUILT    RECORDED  TIMER */
	[SUB_STORING] = { stored, sub_bug, sub_bug, sub_bug, sub_bug },
	[SUB_QUEUED] = { sub_bug, build, sub_bug, sub_bug, sub_bug },
	[SUB_BUILDING] = { sub_bug, sub_bug, built, sub_bug, out_of_time },
	[SUB_RESTORING] = { sub_bug, sub_bug, sub_bug, sub_bug,
	    sub_bug }, /* answered by dispatcher_on_found */
	[SUB_RECORDING] = { sub_bug, sub_bug, sub_bug, start_job, sub_bug },
};

static void sub_happen(struct dispatcher *d, struct submission *s, enum sub_event ev)
{
	sub_table[s->state][ev](d, s);
}

static bool is_known(const struct dispatcher *d, const struct id128 *job)
{
	size_t i;

	for (i = 0; i < d->n_submissions; i++)
		if (id_equal(&d->submissions[i]->job_id, job))
			return true;
	return dispatcher_find(d, job) != NULL;
}

static struct submission *add_submission(struct dispatcher *d, const struct dispatcher_submit *sub,
    dispatcher_done_fn *done, void *arg)
{
	struct submission *s = submission_create(sub, done, arg);

	s->number = ++d->last_number;
	VEC_RESERVE(d->submissions, d->n_submissions, d->cap_submissions);
	d->submissions[d->n_submissions++] = s;
	return s;
}

void dispatcher_submit(struct dispatcher *d, const struct dispatcher_submit *sub, dispatcher_done_fn *done,
    void *arg)
{
	struct submission *s;
	struct err e = { ERR_NONE, "" };
	char hex[ID_HEX_SIZE];

	if (d->stopping)
		err_set(&e, ERR_UNAVAILABLE, "the JobManager is stopping and takes no more jobs");
	else if (d->n_submissions >= DISPATCHER_MAX_WAITING)
		err_set(&e, ERR_UNAVAILABLE, "%u submissions are waiting to be built; try again later",
		    DISPATCHER_MAX_WAITING);
	else if (sub->job_id != NULL && is_known(d, sub->job_id))
		err_set(&e, ERR_CONFLICT, "there is a job %s already", id_hex(sub->job_id, hex));
	else if (sub->parallelism > GRAPH_MAX_PARALLELISM)
		err_set(&e, ERR_INVALID, "parallelism %u is over %u", sub->parallelism,
		    GRAPH_MAX_PARALLELISM);
	if (e.code != ERR_NONE) {
		done(arg, &e, NULL);
		return;
	}
	s = add_submission(d, sub, done, arg);
	s->since_ms = clock_wall_ms(d->clock);
	d->ops->store(d->arg, s->number, sub->path);
}

static void on_resumed(void *arg, const struct err *e, const struct id128 *job)
{
	const struct dispatcher *d = arg;
	char hex[ID_HEX_SIZE];

	if (e != NULL && !d->stopping)
		log_errorx("job.resume_failed", KV_JOB(id_hex(job, hex)),
		    KV_MSG(
			"a job of an earlier JobManager cannot go on: %s; its record and its "
			"checkpoints stay, "
			"and the next start tries again",
			e->msg));
}

void dispatcher_resume(struct dispatcher *d, const struct job_record *r)
{
	struct dispatcher_submit sub = { .argc = r->argc,
		.argv = (const char *const *)r->argv,
		.parallelism = r->parallelism,
		.job_id = &r->job_id,
		.savepoint = r->savepoint,
		.allow_non_restored = r->allow_non_restored };
	struct submission *s;

	if (d->stopping || is_known(d, &r->job_id))
		return;
	s = add_submission(d, &sub, on_resumed, d);
	s->since_ms = r->start_ms;
	s->default_parallelism = r->default_parallelism;
	s->resumed = true;
	s->artifact = xstrdup(r->artifact);
	s->state = SUB_QUEUED;
}

void dispatcher_on_found(struct dispatcher *d, uint32_t submission, const struct checkpoint_answer *a)
{
	struct submission *s = find_submission(d, submission);

	if (s == NULL)
		return; /* the JobManager began to stop meanwhile */
	ASSERT(s->state == SUB_RESTORING);
	found(d, s, a);
}

void dispatcher_on_recorded(struct dispatcher *d, uint32_t submission, const struct err *why)
{
	struct submission *s = find_submission(d, submission);

	if (s == NULL)
		return;
	if (why != NULL)
		dispatcher_answer(d, s, why);
	else
		sub_happen(d, s, SUB_EV_RECORDED);
}

void dispatcher_on_stored(struct dispatcher *d, uint32_t submission, const char *path, const struct err *why)
{
	struct submission *s = find_submission(d, submission);

	if (s == NULL)
		return; /* the JobManager began to stop meanwhile */
	if (path == NULL) {
		dispatcher_answer(d, s, why);
		return;
	}
	s->artifact = xstrdup(path);
	sub_happen(d, s, SUB_EV_STORED);
}

/* The builder's sentence, without the store's name for the artifact, with what main wrote to stderr. */
static void refuse(struct dispatcher *d, struct submission *s, const struct build_result *res)
{
	const char *file = strrchr(s->artifact, '/'), *msg = res->err.msg, *text = res->stderr_text;
	size_t len = text != NULL ? strlen(text) : 0;
	struct err e;

	file = file != NULL ? file + 1 : s->artifact;
	if (strncmp(msg, file, strlen(file)) == 0 && strncmp(msg + strlen(file), ": ", 2) == 0)
		msg += strlen(file) + 2;
	while (len > 0 && text[len - 1] == '\n')
		len--;
	if (len > 0)
		err_set(&e, res->err.code, "%s; it wrote: %.*s", msg, (int)(len < 400 ? len : 400), text);
	else
		err_set(&e, res->err.code, "%s", msg);
	dispatcher_answer(d, s, &e);
}

void dispatcher_on_built(struct dispatcher *d, uint32_t submission, unsigned which, struct build_result *res,
    const struct err *why)
{
	struct submission *s = find_submission(d, submission);

	if (s == NULL || which >= DISPATCHER_N_BUILDERS || !s->running[which]) {
		if (res != NULL)
			build_result_fini(res);
		return;
	}
	s->running[which] = false;
	if (res == NULL) {
		dispatcher_answer(d, s, why);
		return;
	}
	s->results[which] = *res;
	memset(res, 0, sizeof(*res));
	if (!s->results[which].ok)
		refuse(d, s, &s->results[which]);
	else if (!s->running[0] && !s->running[1])
		sub_happen(d, s, SUB_EV_BUILT);
}

void dispatcher_start_builds(struct dispatcher *d)
{
	size_t i = 0, n_building = 0;

	for (i = 0; i < d->n_submissions; i++)
		n_building += d->submissions[i]->state == SUB_BUILDING;
	for (i = 0; i < d->n_submissions && n_building < DISPATCHER_MAX_BUILDS;) {
		struct submission *s = d->submissions[i];

		if (s->state != SUB_QUEUED) {
			i++;
			continue;
		}
		n_building++;
		sub_happen(d, s, SUB_EV_TURN_COMES); /* where it fails at once, the next one takes place i */
	}
}

void dispatcher_out_of_time(struct dispatcher *d, struct submission *s)
{
	sub_happen(d, s, SUB_EV_TIMER);
}
