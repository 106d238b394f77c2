/*
 * The execution graph: the tasks of a job, one a subtask of each vertex, and what is known of
 * the present execution attempt of each.  A plain tree of values of the JobMaster, which is the
 * only one to change it; the gateway reads it.
 */
#ifndef SUPERVISOR_EXECUTION_GRAPH_H
#define SUPERVISOR_EXECUTION_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "shm/metrics.h"
#include "worker/control.h"
#include "worker/graph/job_graph.h"

/* What a submission became; everything that DEPLOY needs and that does not change from attempt to attempt. */
struct job_program {
	char *name;
	char *artifact; /* path of the .so */
	char **argv;
	uint32_t argc;
	uint32_t default_parallelism;
	bool force_parallelism;
	char *plan;
	size_t plan_len;
	struct stream_graph *stream; /* of the plan */
	struct job_graph *graph;     /* of the stream graph */
};
void job_program_destroy(struct job_program *p); /* NULL is fine */

struct job_task {
	uint32_t vertex, subtask;
	enum task_state state;
	int64_t since_ms[TASK_N_STATES]; /* when this attempt entered each state, 0: never */
	uint32_t attempt;                /* execution attempt number, from 0 */
	struct id128 execution;
	uint32_t place, generation; /* its TaskManager; 0: unassigned */
	uint32_t local_slot;
	char tm_id[TM_ID_SIZE];
	uint32_t metrics_block; /* there; UINT32_MAX: none */
	bool over;              /* the block is given back; metrics[] is what it held last */
	int64_t metrics[METRICS_PER_BLOCK];
	char **user_metrics; /* names of METRIC_USER_FIRST and on */
	uint32_t n_user_metrics;
	char *failure; /* FAILED: "name: sentence" */
};

struct execution_graph {
	const struct job_graph *graph; /* borrowed */
	struct job_task *tasks;        /* by vertex, then subtask */
	uint32_t n_tasks;
	uint32_t *first; /* index of subtask 0, a vertex each */
};

struct execution_graph *execution_graph_create(const struct job_graph *graph);
void execution_graph_destroy(struct execution_graph *g);
struct job_task *execution_graph_task(struct execution_graph *g, uint32_t vertex,
    uint32_t subtask); /* NULL: none */

/* A new execution attempt of every task, CREATED. The first is number 0. */
void execution_graph_begin(struct execution_graph *g, bool first, int64_t wall_ms);
void job_task_set_state(struct job_task *t, enum task_state s, int64_t wall_ms);
/* Keep the name of a user metric. Returns -1 where there is no such metric. */
int job_task_set_metric_name(struct job_task *t, uint32_t index, const char *name);
/* "ClickEvent Counter (2/2)", with_attempt: and " - execution #0"; caller frees. */
char *job_task_name(const struct execution_graph *g, const struct job_task *t, bool with_attempt);

#endif
