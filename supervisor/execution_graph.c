/*
 * The tasks of a job and their execution attempts.
 */
#include "supervisor/execution_graph.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void job_program_destroy(struct job_program *p)
{
	uint32_t i;

	if (p == NULL)
		return;
	for (i = 0; i < p->argc; i++)
		free(p->argv[i]);
	free(p->argv);
	free(p->name);
	free(p->artifact);
	free(p->plan);
	job_graph_destroy(p->graph);
	stream_graph_destroy(p->stream);
	free(p);
}

struct execution_graph *execution_graph_create(const struct job_graph *graph)
{
	struct execution_graph *g = xcalloc(1, sizeof(*g));
	uint32_t v, s, n = 0;

	g->graph = graph;
	g->first = xcalloc(graph->n_vertices, sizeof(*g->first));
	for (v = 0; v < graph->n_vertices; v++) {
		g->first[v] = n;
		n += graph->vertices[v].parallelism;
	}
	g->n_tasks = n;
	g->tasks = xcalloc(n, sizeof(*g->tasks));
	for (v = 0; v < graph->n_vertices; v++) {
		for (s = 0; s < graph->vertices[v].parallelism; s++) {
			g->tasks[g->first[v] + s].vertex = v;
			g->tasks[g->first[v] + s].subtask = s;
			g->tasks[g->first[v] + s].metrics_block = UINT32_MAX;
		}
	}
	return g;
}

static void forget_attempt(struct job_task *t)
{
	uint32_t i;

	for (i = 0; i < t->n_user_metrics; i++)
		free(t->user_metrics[i]);
	free(t->user_metrics);
	t->user_metrics = NULL;
	t->n_user_metrics = 0;
	free(t->failure);
	t->failure = NULL;
}

void execution_graph_destroy(struct execution_graph *g)
{
	uint32_t i;

	if (g == NULL)
		return;
	for (i = 0; i < g->n_tasks; i++)
		forget_attempt(&g->tasks[i]);
	free(g->tasks);
	free(g->first);
	free(g);
}

struct job_task *execution_graph_task(struct execution_graph *g, uint32_t vertex, uint32_t subtask)
{
	if (vertex >= g->graph->n_vertices || subtask >= g->graph->vertices[vertex].parallelism)
		return NULL;
	return &g->tasks[g->first[vertex] + subtask];
}

void job_task_set_state(struct job_task *t, enum task_state s, int64_t wall_ms)
{
	t->state = s;
	t->since_ms[s] = wall_ms;
}

void execution_graph_begin(struct execution_graph *g, bool first, int64_t wall_ms)
{
	uint32_t i;

	for (i = 0; i < g->n_tasks; i++) {
		struct job_task *t = &g->tasks[i];

		forget_attempt(t);
		t->attempt = first ? 0 : t->attempt + 1;
		id_random(&t->execution);
		memset(t->since_ms, 0, sizeof(t->since_ms));
		memset(t->metrics, 0, sizeof(t->metrics));
		t->place = t->generation = t->local_slot = 0;
		t->tm_id[0] = '\0';
		t->metrics_block = UINT32_MAX;
		t->over = false;
		job_task_set_state(t, TASK_CREATED, wall_ms);
	}
}

int job_task_set_metric_name(struct job_task *t, uint32_t index, const char *name)
{
	if (index >= METRIC_USER_MAX)
		return -1;
	if (index >= t->n_user_metrics) {
		t->user_metrics = xreallocarray(t->user_metrics, index + 1, sizeof(*t->user_metrics));
		while (t->n_user_metrics <= index)
			t->user_metrics[t->n_user_metrics++] = NULL;
	}
	free(t->user_metrics[index]);
	t->user_metrics[index] = xstrdup(name);
	return 0;
}

char *job_task_name(const struct execution_graph *g, const struct job_task *t, bool with_attempt)
{
	const struct job_vertex *v = &g->graph->vertices[t->vertex];

	if (!with_attempt)
		return xasprintf("%s (%u/%u)", v->name, t->subtask + 1, v->parallelism);
	return xasprintf("%s (%u/%u) - execution #%u", v->name, t->subtask + 1, v->parallelism, t->attempt);
}
