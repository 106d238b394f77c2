/* Parts of the answers about jobs that several routes share. */
#ifndef REST_JOB_JSON_H
#define REST_JOB_JSON_H

#include "rest/call.h"

/* The job of the path's jobid, or NULL: that was answered (400, 404). */
struct gw_job *job_of_call(struct rest_call *c);

/* The state that stands for all subtasks of a vertex, as Flink derives it. */
enum gw_task_state vertex_state(const struct gw_vertex *v);
/* {"CREATED":n, ...} in Flink's order. */
void json_state_counts(cJSON *to, const char *key, const unsigned counts[GW_N_TASK_STATES]);
void json_io(cJSON *to, const char *key, const struct gw_io *io);
void json_plan(cJSON *to, const char *key, struct gw_arena *a, const struct gw_job *job);
/* {"class","stack-trace","serialized-throwable"}: text is "class: message". */
void json_failure_cause(cJSON *to, const char *key, struct gw_arena *a, const char *class_name,
    const char *text);

#endif
