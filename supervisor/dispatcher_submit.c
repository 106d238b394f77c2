/*
 * Submissions on their way to become jobs, and the artifacts in the store.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "supervisor/dispatcher_impl.h"

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
	if (e != NULL && s->artifact != NULL)
		dispatcher_unstore(d, s->artifact);
	if (e != NULL)
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

/* Both plans are there: make the job, or say why not. */
static void built(struct dispatcher *d, struct submission *s)
{
	struct job_program *program;
	struct job_master *jm;
	struct err e = { ERR_NONE, "" };

	program = submission_program(s, d->parallelism_default, &e);
	if (program == NULL) {
		dispatcher_answer(d, s, &e);
		return;
	}
	jm = jm_create(&s->job_id, program, s->since_ms, &d->settings, d->clock, &dispatcher_jm_ops, d);
	VEC_RESERVE(d->jobs, d->n_jobs, d->cap_jobs);
	d->jobs[d->n_jobs++] = jm;
	log_info("job.submitted", KV_JOB(jm_id_hex(jm)), KV_STR("name", program->name),
	    KV_STR("artifact", program->artifact), KV_UINT("vertices", program->graph->n_vertices),
	    KV_UINT("tasks", jm_graph(jm)->n_tasks), KV_UINT("slots", program->graph->n_slots),
	    KV_INT("ms", clock_wall_ms(d->clock) - s->since_ms),
	    KV_MSG("job \"%s\" was submitted", program->name));
	jm_start(jm);
	dispatcher_answer(d, s, NULL);
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

enum sub_event { SUB_EV_STORED, SUB_EV_TURN_COMES, SUB_EV_BUILT, SUB_EV_TIMER, SUB_N_EVENTS };

static void (*const sub_table[SUB_N_STATES][SUB_N_EVENTS])(struct dispatcher *, struct submission *) = {
	/*                STORED   TURN_COMES  BUILT    TIMER */
	[SUB_STORING] = { stored, sub_bug, sub_bug, sub_bug },
	[SUB_QUEUED] = { sub_bug, build, sub_bug, sub_bug },
	[SUB_BUILDING] = { sub_bug, sub_bug, built, out_of_time },
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
	s = submission_create(sub, done, arg);
	s->number = ++d->last_number;
	s->since_ms = clock_wall_ms(d->clock);
	VEC_RESERVE(d->submissions, d->n_submissions, d->cap_submissions);
	d->submissions[d->n_submissions++] = s;
	d->ops->store(d->arg, s->number, sub->path);
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
