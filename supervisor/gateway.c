/*
 * Views of the cluster for the REST API, copied as of now, and its actions.
 */
#include "supervisor/gateway_impl.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define UNASSIGNED "(unassigned)"

/* A jar run under way. */
struct run {
	gw_done_fn *done;
	void *arg;
};

struct gateway *gateway_create(struct cluster *c)
{
	struct gateway *g = xcalloc(1, sizeof(*g));

	g->cluster = c;
	return g;
}

void gateway_destroy(struct gateway *g)
{
	free(g);
}

int64_t gw_now_ms(struct gateway *g)
{
	return clock_wall_ms(cluster_clock(g->cluster));
}

const struct conf *gw_conf(struct gateway *g)
{
	return cluster_conf(g->cluster);
}

void gw_get_overview(struct gateway *g, struct gw_overview *v)
{
	struct dispatcher *d = cluster_dispatcher(g->cluster);
	struct resource_manager *rm = dispatcher_rm(d);
	uint32_t i;

	memset(v, 0, sizeof(*v));
	v->taskmanagers = rm_n_registered(rm);
	v->slots_total = rm_slots_total(rm);
	v->slots_available = rm_slots_free(rm);
	for (i = 0; i < dispatcher_n_jobs(d); i++) {
		enum job_state s = jm_state(dispatcher_job(d, i));

		if (s == JOB_FINISHED)
			v->jobs_finished++;
		else if (s == JOB_CANCELED)
			v->jobs_cancelled++;
		else if (s == JOB_FAILED)
			v->jobs_failed++;
		else
			v->jobs_running++;
	}
}

/* ---- jobs ---- */

/* The counters of a task: of its block while it has one, else the last ones. */
static int64_t counter(const struct gateway *g, const struct job_task *t, enum metric m)
{
	struct tm_link *l = t->over || t->place == 0 ? NULL : cluster_link(g->cluster, t->place);
	struct metrics_region *region;
	struct metrics_task *block;

	if (l == NULL || tm_link_generation(l) != t->generation)
		return t->metrics[m];
	region = tm_link_metrics(l);
	block = region != NULL ? metrics_task(region, t->metrics_block) : NULL;
	return block != NULL ? metrics_get(block, m) : t->metrics[m];
}

/* As Flink counts, only what goes from task to task: a source reads nothing, a sink writes nothing. */
static void view_io(const struct gateway *g, const struct job_task *t, const struct gw_vertex *v,
    struct gw_io *io)
{
	io->complete = t->state == TASK_RUNNING || t->over;
	if (t->state == TASK_DEPLOYING)
		return; /* the block is not its own yet */
	if (!v->is_source) {
		io->read_bytes = counter(g, t, METRIC_bytes_in);
		io->read_records = counter(g, t, METRIC_records_in);
	}
	if (!v->is_sink) {
		io->write_bytes = counter(g, t, METRIC_bytes_out);
		io->write_records = counter(g, t, METRIC_records_out);
	}
	io->idle_ms = counter(g, t, METRIC_idle_ns) / NS_PER_MS;
	io->busy_ms = counter(g, t, METRIC_busy_ns) / NS_PER_MS;
	io->backpressured_ms = counter(g, t, METRIC_backpressured_ns) / NS_PER_MS;
}

static void view_subtask(const struct gateway *g, struct gw_arena *a, const struct job_task *t,
    const struct gw_vertex *v, struct gw_subtask *s)
{
	unsigned i;

	s->index = t->subtask;
	s->state = (unsigned)t->state;
	s->attempt = t->attempt;
	s->execution = t->execution;
	s->host = t->place != 0 ? "localhost" : UNASSIGNED;
	s->tm_id = t->place != 0 ? gw_strdup(a, t->tm_id) : UNASSIGNED;
	for (i = 0; i < GW_N_TASK_STATES; i++)
		s->since_ms[i] = t->since_ms[i];
	view_io(g, t, v, &s->io);
}

static void view_vertex(const struct gateway *g, struct gw_arena *a, const struct execution_graph *eg,
    uint32_t index, struct gw_vertex *v)
{
	const struct job_graph *graph = eg->graph;
	const struct job_vertex *jv = &graph->vertices[index];
	uint32_t i;

	v->id = jv->id;
	v->name = gw_strdup(a, jv->name);
	v->parallelism = jv->parallelism;
	v->max_parallelism = jv->max_parallelism;
	v->is_source = jv->is_source;
	v->is_sink = true;
	v->inputs = gw_alloc(a, (graph->n_edges + 1) * sizeof(*v->inputs));
	for (i = 0; i < graph->n_edges; i++) {
		const struct job_edge *e = &graph->edges[i];

		if (e->from_vertex == index)
			v->is_sink = false;
		if (e->to_vertex != index)
			continue;
		v->inputs[v->n_inputs].from = graph->vertices[e->from_vertex].id;
		v->inputs[v->n_inputs++].ship = ship_name(e->ship);
	}
	v->n_subtasks = jv->parallelism;
	v->subtasks = gw_alloc(a, v->n_subtasks * sizeof(*v->subtasks));
	for (i = 0; i < v->n_subtasks; i++)
		view_subtask(g, a, &eg->tasks[eg->first[index] + i], v, &v->subtasks[i]);
}

static void view_failures(struct gw_arena *a, const struct job_master *jm, struct gw_job *v)
{
	const struct failure_history *h = jm_failures(jm);
	size_t i;

	v->exceptions = gw_alloc(a, (h->n + 1) * sizeof(*v->exceptions));
	v->exceptions_truncated = h->truncated;
	for (i = h->n; i-- > 0;) {
		const struct job_failure *f = &h->v[i];
		struct gw_exception *x = &v->exceptions[v->n_exceptions++];

		x->name = f->name;
		x->text = gw_strdup(a, f->text);
		x->timestamp_ms = f->wall_ms;
		x->task_name = f->task_name != NULL ? gw_strdup(a, f->task_name) : NULL;
		x->location = f->location != NULL ? gw_strdup(a, f->location) : NULL;
		x->tm_id = f->tm_id != NULL ? gw_strdup(a, f->tm_id) : NULL;
	}
}

/* The attempts that are FAILED at this moment. */
static void view_failed_now(struct gw_arena *a, const struct job_master *jm, struct gw_job *v)
{
	const struct execution_graph *eg = jm_graph(jm);
	uint32_t i;

	v->failed_now = gw_alloc(a, eg->n_tasks * sizeof(*v->failed_now));
	for (i = 0; i < eg->n_tasks; i++) {
		const struct job_task *t = &eg->tasks[i];
		struct gw_exception *x;
		char *name;

		if (t->state != TASK_FAILED || t->failure == NULL)
			continue;
		x = &v->failed_now[v->n_failed_now++];
		name = job_task_name(eg, t, true);
		x->task_name = gw_strdup(a, name);
		free(name);
		x->name = gw_printf(a, "%.*s", (int)strcspn(t->failure, ":"), t->failure);
		x->text = gw_strdup(a, t->failure);
		x->timestamp_ms = t->since_ms[TASK_FAILED];
		if (t->tm_id[0] != '\0') {
			x->tm_id = gw_strdup(a, t->tm_id);
			x->location = gw_printf(a, "localhost:%.*s",
			    (int)strcspn(strchr(t->tm_id, ':') + 1, "-"), strchr(t->tm_id, ':') + 1);
		}
	}
}

static struct gw_job *view_job(struct gateway *g, struct gw_arena *a, const struct job_master *jm)
{
	const struct execution_graph *eg = jm_graph(jm);
	const struct job_program *p = jm_program(jm);
	struct gw_job *v = gw_alloc(a, sizeof(*v));
	uint32_t i;

	v->id = *jm_id(jm);
	v->name = gw_strdup(a, p->name);
	v->state = jm_state(jm);
	for (i = 0; i < JOB_N_STATES; i++)
		v->since_ms[i] = jm_since_ms(jm, (enum job_state)i);
	v->start_ms = v->since_ms[JOB_INITIALIZING];
	v->end_ms = jm_end_ms(jm);
	v->last_modification_ms = jm_modified_ms(jm);
	v->parallelism_default = p->default_parallelism;
	v->n_vertices = eg->graph->n_vertices;
	v->vertices = gw_alloc(a, v->n_vertices * sizeof(*v->vertices));
	for (i = 0; i < v->n_vertices; i++)
		view_vertex(g, a, eg, i, &v->vertices[i]);
	v->num_restarts = jm_n_restarts(jm);
	v->last_restart_ms = jm_last_restart_ms(jm);
	v->down_since_ms = jm_down_since_ms(jm);
	v->running_since_ms = v->since_ms[JOB_RUNNING];
	view_failures(a, jm, v);
	view_failed_now(a, jm, v);
	v->n_args = p->argc;
	v->args = gw_alloc(a, (p->argc + 1) * sizeof(*v->args));
	for (i = 0; i < p->argc; i++)
		v->args[i] = gw_strdup(a, p->argv[i]);
	return v;
}

unsigned gw_jobs(struct gateway *g, struct gw_arena *a, struct gw_job ***jobs)
{
	struct dispatcher *d = cluster_dispatcher(g->cluster);
	uint32_t n = dispatcher_n_jobs(d), i;

	*jobs = gw_alloc(a, (n + 1) * sizeof(**jobs));
	for (i = 0; i < n; i++)
		(*jobs)[i] = view_job(g, a, dispatcher_job(d, n - 1 - i));
	return n;
}

struct gw_job *gw_job(struct gateway *g, struct gw_arena *a, const struct id128 *id)
{
	const struct job_master *jm = dispatcher_find(cluster_dispatcher(g->cluster), id);

	return jm != NULL ? view_job(g, a, jm) : NULL;
}

/* ---- TaskManagers ---- */

/* Resident memory of a process, 0 where it cannot be told. */
static int64_t resident_bytes(uint32_t pid)
{
	char path[48];
	FILE *f;
	long long pages = 0;

	snprintf(path, sizeof(path), "/proc/%u/statm", pid);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	if (fscanf(f, "%*s %lld", &pages) != 1)
		pages = 0;
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

unsigned gw_taskmanagers(struct gateway *g, struct gw_arena *a, struct gw_taskmanager **tms)
{
	struct resource_manager *rm = dispatcher_rm(cluster_dispatcher(g->cluster));
	uint32_t place;
	unsigned n = 0;

	*tms = gw_alloc(a, (rm_n_places(rm) + 1) * sizeof(**tms));
	for (place = 1; place <= rm_n_places(rm); place++) {
		const struct tm_info *tm = rm_place(rm, place);
		struct tm_link *l = cluster_link(g->cluster, place);
		struct metrics_process *p = NULL;
		struct gw_taskmanager *v;

		if (tm->state == TM_ABSENT)
			continue;
		v = &(*tms)[n++];
		v->id = gw_strdup(a, tm->id);
		v->path = gw_printf(a, "akka.tcp://flink@%.*s/user/rpc/taskmanager_%u",
		    (int)strcspn(tm->id, "-"), tm->id, place);
		v->place = place;
		v->pid = tm->pid;
		v->generation = tm->generation;
		v->last_heartbeat_ms = tm_link_last_heard_ms(l);
		v->slots = tm->n_slots;
		v->free_slots = tm_slots_free(tm);
		v->memory_rss_bytes = resident_bytes(tm->pid);
		if (tm_link_metrics(l) != NULL)
			p = metrics_process(tm_link_metrics(l));
		if (p != NULL) {
			v->ring_bytes = atomic_load_explicit(&p->ring_bytes, memory_order_relaxed);
			v->heap_bytes = atomic_load_explicit(&p->heap_bytes, memory_order_relaxed);
		}
		v->physical_memory_bytes = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
		v->cpu_cores = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	}
	return n;
}

/* ---- jars ---- */

const char *gw_upload_dir(struct gateway *g)
{
	return jar_store_dir(cluster_jars(g->cluster));
}

unsigned gw_jars(struct gateway *g, struct gw_arena *a, struct gw_jar **jars)
{
	const struct jar_store *js = cluster_jars(g->cluster);
	unsigned n = jar_store_n(js), i;

	*jars = gw_alloc(a, (n + 1) * sizeof(**jars));
	for (i = 0; i < n; i++) {
		const struct jar *j = jar_store_at(js, i);

		(*jars)[i].id = gw_strdup(a, j->id);
		(*jars)[i].name = gw_strdup(a, jar_name(j->id));
		(*jars)[i].uploaded_ms = j->uploaded_ms;
	}
	return n;
}

void gw_jar_add(struct gateway *g, const char *temp_path, const char *name, gw_done_fn *done, void *arg)
{
	jar_store_add(cluster_jars(g->cluster), temp_path, name, done, arg);
}

void gw_jar_delete(struct gateway *g, const char *jar_id, gw_done_fn *done, void *arg)
{
	jar_store_remove(cluster_jars(g->cluster), jar_id, done, arg);
}

static void on_submitted(void *arg, const struct err *e, const struct id128 *job)
{
	struct run *r = arg;
	char hex[ID_HEX_SIZE];

	if (e != NULL)
		r->done(r->arg, e, NULL);
	else
		r->done(r->arg, NULL, id_hex(job, hex));
	free(r);
}

void gw_jar_run(struct gateway *g, const struct gw_run *run, gw_done_fn *done, void *arg)
{
	struct dispatcher_submit s = { .argc = run->n_args,
		.argv = run->args,
		.parallelism = run->parallelism,
		.job_id = run->job_id,
		.savepoint = run->savepoint_path,
		.allow_non_restored = run->allow_non_restored };
	struct run *r;
	struct err e;
	char *path = jar_store_path(cluster_jars(g->cluster), run->jar_id, &e);

	if (path == NULL) {
		done(arg, &e, NULL);
		return;
	}
	r = xmalloc(sizeof(*r));
	r->done = done;
	r->arg = arg;
	s.path = path;
	dispatcher_submit(cluster_dispatcher(g->cluster), &s, on_submitted, r);
	cluster_poke(g->cluster);
	free(path);
}

void gw_job_cancel(struct gateway *g, const struct id128 *id, gw_done_fn *done, void *arg)
{
	struct err e;

	if (dispatcher_cancel(cluster_dispatcher(g->cluster), id, &e) != 0) {
		done(arg, &e, NULL);
		return;
	}
	cluster_poke(g->cluster);
	done(arg, NULL, NULL);
}
