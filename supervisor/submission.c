/*
 * From two builders' answers to a program.
 */
#include "supervisor/submission.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "worker/graph/plan.h"

struct submission *submission_create(const struct dispatcher_submit *s, dispatcher_done_fn *done, void *arg)
{
	struct submission *sub = xcalloc(1, sizeof(*sub));
	uint32_t i;

	sub->state = SUB_STORING;
	sub->deadline_ns = INT64_MAX;
	if (s->job_id != NULL)
		sub->job_id = *s->job_id;
	else
		id_random(&sub->job_id);
	sub->argc = s->argc;
	sub->argv = xcalloc((size_t)s->argc + 1, sizeof(*sub->argv));
	for (i = 0; i < s->argc; i++)
		sub->argv[i] = xstrdup(s->argv[i]);
	sub->parallelism = s->parallelism;
	sub->savepoint = s->savepoint != NULL ? xstrdup(s->savepoint) : NULL;
	sub->allow_non_restored = s->allow_non_restored;
	sub->restore_fd = -1;
	sub->first_id = 1;
	sub->done = done;
	sub->arg = arg;
	return sub;
}

void submission_destroy(struct submission *s)
{
	uint32_t i;

	for (i = 0; i < DISPATCHER_N_BUILDERS; i++)
		build_result_fini(&s->results[i]);
	for (i = 0; i < s->argc; i++)
		free(s->argv[i]);
	free(s->argv);
	free(s->artifact);
	free(s->savepoint);
	free(s->restore_path);
	for (i = 0; i < s->n_older; i++)
		free(s->older[i].path);
	free(s->older);
	if (s->restore_fd >= 0)
		close(s->restore_fd);
	job_program_destroy(s->program);
	free(s);
}

/* 0 where both builders made the same plan. first is the decoded plan of builder 0. */
static int compare(const struct submission *s, const struct stream_graph *first, struct err *e)
{
	const struct build_result *a = &s->results[0], *b = &s->results[1];
	struct stream_graph *second;
	int rc;

	/* The text is canonical: the same bytes are the same plan. */
	if (a->plan_len == b->plan_len && memcmp(a->plan, b->plan, a->plan_len) == 0)
		return 0;
	second = plan_decode(b->plan, b->plan_len, e);
	if (second == NULL)
		return err_prefix(e, "plan of the second builder");
	rc = plan_compare(first, second, true, e);
	stream_graph_destroy(second);
	if (rc != 0) {
		e->code = ERR_USER;
		return err_prefix(e, "the job's main built two different graphs when it was run twice");
	}
	return err_set(e, ERR_USER, "the job's main built two different plans when it was run twice");
}

struct job_program *submission_program(struct submission *s, uint32_t default_parallelism, struct err *e)
{
	struct job_program *p = xcalloc(1, sizeof(*p));
	uint32_t i;

	p->stream = plan_decode(s->results[0].plan, s->results[0].plan_len, e);
	if (p->stream == NULL) {
		err_prefix(e, "plan of the job builder");
		goto fail;
	}
	if (compare(s, p->stream, e) != 0)
		goto fail;
	p->default_parallelism = s->parallelism != 0 ? s->parallelism : default_parallelism;
	p->force_parallelism = s->parallelism != 0;
	p->graph = job_graph_create(p->stream, p->default_parallelism, p->force_parallelism, e);
	if (p->graph == NULL)
		goto fail;
	p->name = xstrdup(p->stream->job_name);
	p->artifact = xstrdup(s->artifact);
	p->argc = s->argc;
	p->argv = xcalloc((size_t)s->argc + 1, sizeof(*p->argv));
	for (i = 0; i < s->argc; i++)
		p->argv[i] = xstrdup(s->argv[i]);
	p->plan = s->results[0].plan;
	p->plan_len = s->results[0].plan_len;
	s->results[0].plan = NULL;
	return p;
fail:
	job_program_destroy(p);
	return NULL;
}
