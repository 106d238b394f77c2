/*
 * A gateway that answers from what a test has put into it, for rest_*.c.  Jobs, TaskManagers
 * and jars are built by the functions below; actions are recorded and answered at once or,
 * with fake.later, when the test calls fake_answer.
 */
#ifndef T_UNIT_REST_FAKE_GATEWAY_H
#define T_UNIT_REST_FAKE_GATEWAY_H

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "rest/gateway.h"
#include "t/tap.h"

struct gateway {
	struct conf *conf;
	int64_t now_ms;
	char *upload_dir;
	struct gw_overview overview;
	struct gw_job *jobs[8];
	unsigned n_jobs;
	struct gw_taskmanager tms[4];
	unsigned n_tms;
	struct gw_jar jars[4];
	unsigned n_jars;
	struct gw_ckpts ckpts; /* of every job */
	/* What became of one request, of a job or with a zero id a disposal; all others are unknown. */
	struct id128 op_job, op_request;
	struct gw_operation op;
	/* What the next action is answered with. */
	struct err err;
	const char *text;
	bool later;
	gw_done_fn *done;
	void *done_arg;
	/* What was asked. */
	char *asked; /* "add NAME", "delete ID", "run ID p=2 [a][b]", "cancel ID", "stop ID to DIR drain" */
	char *upload_data; /* content of the last file added */
	size_t upload_len;
};

static struct gateway fake;

static void fake_reply(gw_done_fn *done, void *arg)
{
	if (fake.later) {
		fake.done = done;
		fake.done_arg = arg;
		return;
	}
	done(arg, fake.err.code != ERR_NONE ? &fake.err : NULL, fake.text);
}

__attribute__((unused)) static void fake_answer(void)
{
	gw_done_fn *done = fake.done;

	fake.done = NULL;
	done(fake.done_arg, fake.err.code != ERR_NONE ? &fake.err : NULL, fake.text);
}

static void fake_asked(char *what)
{
	free(fake.asked);
	fake.asked = what;
}

void gw_get_overview(struct gateway *g, struct gw_overview *v)
{
	*v = g->overview;
}

const struct conf *gw_conf(struct gateway *g)
{
	return g->conf;
}

unsigned gw_jobs(struct gateway *g, struct gw_arena *a, struct gw_job ***jobs)
{
	(void)a;
	*jobs = g->jobs;
	return g->n_jobs;
}

struct gw_job *gw_job(struct gateway *g, struct gw_arena *a, const struct id128 *id)
{
	(void)a;
	for (unsigned i = 0; i < g->n_jobs; i++)
		if (id_equal(&g->jobs[i]->id, id))
			return g->jobs[i];
	return NULL;
}

unsigned gw_taskmanagers(struct gateway *g, struct gw_arena *a, struct gw_taskmanager **tms)
{
	(void)a;
	*tms = g->tms;
	return g->n_tms;
}

unsigned gw_jars(struct gateway *g, struct gw_arena *a, struct gw_jar **jars)
{
	(void)a;
	*jars = g->jars;
	return g->n_jars;
}

void gw_jar_add(struct gateway *g, const char *temp_path, const char *name, gw_done_fn *done, void *arg)
{
	FILE *f = fopen(temp_path, "r");

	fake_asked(xasprintf("add %s", name));
	free(g->upload_data);
	g->upload_data = xmalloc(1 << 23);
	g->upload_len = f != NULL ? fread(g->upload_data, 1, 1 << 23, f) : 0;
	if (f != NULL)
		fclose(f);
	unlink(temp_path);
	fake_reply(done, arg);
}

void gw_jar_delete(struct gateway *g, const char *jar_id, gw_done_fn *done, void *arg)
{
	(void)g;
	fake_asked(xasprintf("delete %s", jar_id));
	fake_reply(done, arg);
}

const char *gw_upload_dir(struct gateway *g)
{
	return g->upload_dir;
}

void gw_jar_run(struct gateway *g, const struct gw_run *run, gw_done_fn *done, void *arg)
{
	char *text = xasprintf("run %s p=%u", run->jar_id, run->parallelism), *next;

	(void)g;
	for (unsigned i = 0; i < run->n_args; i++, text = next) {
		next = xasprintf("%s [%s]", text, run->args[i]);
		free(text);
	}
	if (run->savepoint_path != NULL) {
		next = xasprintf("%s from %s%s", text, run->savepoint_path,
		    run->allow_non_restored ? " partly" : "");
		free(text);
		text = next;
	}
	if (run->job_id != NULL) {
		char hex[ID_HEX_SIZE];

		next = xasprintf("%s as %s", text, id_hex(run->job_id, hex));
		free(text);
		text = next;
	}
	fake_asked(text);
	fake_reply(done, arg);
}

void gw_job_cancel(struct gateway *g, const struct id128 *id, gw_done_fn *done, void *arg)
{
	char hex[ID_HEX_SIZE];

	(void)g;
	fake_asked(xasprintf("cancel %s", id_hex(id, hex)));
	fake_reply(done, arg);
}

struct gw_ckpts *gw_checkpoints(struct gateway *g, struct gw_arena *a, const struct id128 *job)
{
	return gw_job(g, a, job) != NULL ? &g->ckpts : NULL;
}

void gw_job_savepoint(struct gateway *g, const struct id128 *job, const char *target, bool cancel_job,
    gw_done_fn *done, void *arg)
{
	char hex[ID_HEX_SIZE];

	(void)g;
	fake_asked(xasprintf("savepoint %s to %s%s", id_hex(job, hex), target != NULL ? target : "default",
	    cancel_job ? " cancel" : ""));
	fake_reply(done, arg);
}

void gw_job_stop(struct gateway *g, const struct id128 *job, const char *target, bool drain, gw_done_fn *done,
    void *arg)
{
	char hex[ID_HEX_SIZE];

	(void)g;
	fake_asked(xasprintf("stop %s to %s%s", id_hex(job, hex), target != NULL ? target : "default",
	    drain ? " drain" : ""));
	fake_reply(done, arg);
}

void gw_savepoint_dispose(struct gateway *g, const char *path, gw_done_fn *done, void *arg)
{
	(void)g;
	fake_asked(xasprintf("dispose %s", path));
	fake_reply(done, arg);
}

void gw_operation(struct gateway *g, struct gw_arena *a, const struct id128 *job, const struct id128 *request,
    struct gw_operation *v)
{
	static const struct id128 none;

	(void)a;
	memset(v, 0, sizeof(*v));
	if (id_equal(request, &g->op_request) && id_equal(job != NULL ? job : &none, &g->op_job))
		*v = g->op;
}

int64_t gw_now_ms(struct gateway *g)
{
	return g->now_ms;
}

/* overrides: "key=value", NULL behind the last. */
static void fake_init(const char *const *overrides)
{
	char dir[] = "/tmp/weir-rest-XXXXXX";
	unsigned n = 0;
	struct err e;

	memset(&fake, 0, sizeof(fake));
	while (overrides[n] != NULL)
		n++;
	fake.conf = conf_load(NULL, overrides, n, NULL, NULL, &e);
	ASSERT(fake.conf != NULL);
	fake.upload_dir = xstrdup(mkdtemp(dir));
	fake.now_ms = 1795344815522;
}

static void fake_fini(void)
{
	for (unsigned i = 0; i < fake.n_jobs; i++) {
		for (unsigned k = 0; k < fake.jobs[i]->n_vertices; k++) {
			free(fake.jobs[i]->vertices[k].subtasks);
			free(fake.jobs[i]->vertices[k].inputs);
		}
		free(fake.jobs[i]->vertices);
		free(fake.jobs[i]);
	}
	ok(rmdir(fake.upload_dir) == 0, "no upload is left behind");
	free(fake.upload_dir);
	free(fake.asked);
	free(fake.upload_data);
	conf_destroy(fake.conf);
}

static struct id128 fake_id(const char *hex)
{
	struct id128 id;

	ASSERT(id_parse(&id, hex) == 0);
	return id;
}

/* The click-count job: three vertices of two subtasks, all in task state `tasks`. */
static struct gw_job *fake_add_job(const char *hex, enum job_state state, enum gw_task_state tasks)
{
	static const char *const names[] = { "Source: ClickEvent Source", "ClickEvent Counter",
		"Sink ClickEventStatistics Sink" };
	static const char *const ids[] = { "bc764cd8ddf7a0cff126f51c16239658",
		"0a448493b4782967b150582570326227", "ea632d67b7d595e5b851708ae9ad79d6" };
	struct gw_job *j = xcalloc(1, sizeof(*j));

	j->id = fake_id(hex);
	j->name = "Click Event Count";
	j->state = state;
	j->start_ms = fake.now_ms - 10000;
	j->end_ms = job_state_is_terminal(state) ? fake.now_ms - 1000 : -1;
	j->last_modification_ms = fake.now_ms - 500;
	j->since_ms[JOB_INITIALIZING] = j->start_ms;
	j->since_ms[state] = fake.now_ms - 9000;
	j->running_since_ms = state == JOB_RUNNING ? fake.now_ms - 9000 : 0;
	j->parallelism_default = 2;
	j->n_vertices = 3;
	j->vertices = xcalloc(3, sizeof(*j->vertices));
	for (unsigned i = 0; i < 3; i++) {
		struct gw_vertex *v = &j->vertices[i];

		v->id = fake_id(ids[i]);
		v->name = names[i];
		v->parallelism = 2;
		v->max_parallelism = 128;
		v->n_subtasks = 2;
		v->subtasks = xcalloc(2, sizeof(*v->subtasks));
		v->n_inputs = i > 0;
		v->inputs = xcalloc(1, sizeof(*v->inputs));
		if (i > 0) {
			v->inputs[0].from = fake_id(ids[i - 1]);
			v->inputs[0].ship = i == 1 ? "HASH" : "FORWARD";
		}
		for (unsigned k = 0; k < 2; k++) {
			struct gw_subtask *s = &v->subtasks[k];

			s->index = k;
			s->state = tasks;
			s->host = "localhost";
			s->tm_id = "127.0.0.1:4711-d6520a";
			s->since_ms[GW_TASK_DEPLOYING] = fake.now_ms - 9000 + k;
			s->since_ms[tasks] = fake.now_ms - 8000 + k;
			s->io.complete = true;
			s->io.read_records = i > 0 ? 100 : 0;
			s->io.write_records = INT64_C(9007199254740993); /* no double holds it */
		}
	}
	fake.jobs[fake.n_jobs++] = j;
	return j;
}

#endif
