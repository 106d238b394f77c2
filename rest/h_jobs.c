/* Jobs: lists, cancel, failures, results. */
#include <strings.h>

#include "base/mem.h"
#include "rest/job_json.h"
#include "rest/router.h"

void h_jobs(struct rest_call *c)
{
	cJSON *o = json_object(NULL, NULL), *list = json_array(o, "jobs");
	struct gw_job **jobs;
	unsigned n = gw_jobs(c->gateway, c->arena, &jobs);
	char hex[ID_HEX_SIZE];

	for (unsigned i = 0; i < n; i++) {
		cJSON *job = json_object(list, NULL);

		json_str(job, "id", id_hex(&jobs[i]->id, hex));
		json_str(job, "status", job_state_name(jobs[i]->state));
	}
	rest_reply(c, 200, o);
}

static void json_overview_tasks(cJSON *to, const struct gw_job *job)
{
	static const struct {
		const char *name;
		enum gw_task_state state;
	} keys[] = {
		{ "created", GW_TASK_CREATED },
		{ "scheduled", GW_TASK_SCHEDULED },
		{ "deploying", GW_TASK_DEPLOYING },
		{ "running", GW_TASK_RUNNING },
		{ "finished", GW_TASK_FINISHED },
		{ "canceling", GW_TASK_CANCELING },
		{ "canceled", GW_TASK_CANCELED },
		{ "failed", GW_TASK_FAILED },
		{ "reconciling", GW_TASK_RECONCILING },
		{ "initializing", GW_TASK_INITIALIZING },
	};
	cJSON *o = json_object(to, "tasks");
	unsigned counts[GW_N_TASK_STATES] = { 0 }, total = 0;

	for (unsigned i = 0; i < job->n_vertices; i++) {
		for (unsigned k = 0; k < job->vertices[i].n_subtasks; k++)
			counts[job->vertices[i].subtasks[k].state]++;
		total += job->vertices[i].n_subtasks;
	}
	json_i64(o, "total", total);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		json_i64(o, keys[i].name, counts[keys[i].state]);
}

void h_jobs_overview(struct rest_call *c)
{
	cJSON *o = json_object(NULL, NULL), *list = json_array(o, "jobs");
	int64_t now_ms = gw_now_ms(c->gateway);
	struct gw_job **jobs;
	unsigned n = gw_jobs(c->gateway, c->arena, &jobs);
	char hex[ID_HEX_SIZE];

	for (unsigned i = 0; i < n; i++) {
		const struct gw_job *j = jobs[i];
		cJSON *job = json_object(list, NULL);

		json_str(job, "jid", id_hex(&j->id, hex));
		json_str(job, "name", j->name);
		json_str(job, "state", job_state_name(j->state));
		json_i64(job, "start-time", j->start_ms);
		json_i64(job, "end-time", j->end_ms);
		json_i64(job, "duration", (j->end_ms >= 0 ? j->end_ms : now_ms) - j->start_ms);
		json_i64(job, "last-modification", j->last_modification_ms);
		json_overview_tasks(job, j);
		/* Clients of 2.x do not read a job without it. */
		json_i64(job, "pending-operators", 0);
	}
	rest_reply(c, 200, o);
}

static void on_cancelled(void *arg, const struct err *e, const char *text)
{
	struct rest_call *c = arg;

	(void)text;
	if (e == NULL)
		rest_reply(c, 202, json_object(NULL, NULL));
	else if (e->code == ERR_NOT_FOUND)
		rest_fail(c, 404, REST_HANDLER_EXCEPTION,
		    "Job could not be found.\n"
		    "Caused by: org.apache.flink.runtime.messages.FlinkJobNotFoundException: "
		    "Could not find Flink job (%.32s)",
		    rest_param(c, "jobid"));
	else
		rest_fail_err(c, e);
	rest_call_release(c);
}

void h_job_cancel(struct rest_call *c)
{
	const char *mode = url_query(&c->url, "mode");
	struct id128 id;

	if (!rest_param_id(c, "jobid", &id))
		return;
	if (mode != NULL && strcasecmp(mode, "stop") == 0) {
		rest_fail(c, 308, REST_HANDLER_EXCEPTION,
		    "The termination mode \"stop\" has been removed. "
		    "For an ungraceful shutdown, please use \"cancel\" instead. "
		    "For a graceful shutdown, please use \"jobs/:jobId/stop\" instead.");
		return;
	}
	if (mode != NULL && strcasecmp(mode, "cancel") != 0) {
		rest_fail_query(c, "mode", mode);
		return;
	}
	rest_call_hold(c);
	gw_job_cancel(c->gateway, &id, on_cancelled, c);
}

void h_job_yarn_cancel(struct rest_call *c)
{
	struct id128 id;

	if (!rest_param_id(c, "jobid", &id))
		return;
	rest_call_hold(c);
	gw_job_cancel(c->gateway, &id, on_cancelled, c);
}

static void fail_rescaling(struct rest_call *c)
{
	rest_fail(c, 503, REST_HANDLER_EXCEPTION, "Rescaling is temporarily disabled. See FLINK-12312.");
}

void h_job_rescaling(struct rest_call *c)
{
	struct id128 job;

	if (rest_param_id(c, "jobid", &job))
		fail_rescaling(c);
}

void h_job_rescaling_status(struct rest_call *c)
{
	struct id128 job, request;

	if (rest_param_id(c, "jobid", &job) && rest_param_id(c, "triggerid", &request))
		fail_rescaling(c);
}

/* "ClickEvent Counter (2/2) - execution #0" without what follows the bracket. */
static const char *task_of(struct gw_arena *a, const char *task_name)
{
	const char *end = task_name != NULL ? strstr(task_name, " - execution #") : NULL;

	return end == NULL ? task_name : gw_printf(a, "%.*s", (int)(end - task_name), task_name);
}

static void json_failed_now(cJSON *to, struct gw_arena *a, const struct gw_exception *x)
{
	cJSON *o = json_object(to, NULL);

	json_str(o, "exception", x->text);
	json_str(o, "task", task_of(a, x->task_name));
	json_str(o, "location", x->location != NULL ? x->location : "(unassigned)");
	json_i64(o, "timestamp", x->timestamp_ms);
}

static void json_history_entry(cJSON *to, const struct gw_exception *x)
{
	cJSON *o = json_object(to, NULL);

	json_str(o, "exceptionName", x->name);
	json_str(o, "stacktrace", x->text);
	json_i64(o, "timestamp", x->timestamp_ms);
	if (x->task_name != NULL)
		json_str(o, "taskName", x->task_name);
	if (x->task_name != NULL && x->location != NULL)
		json_str(o, "location", x->location);
	json_array(o, "concurrentExceptions");
}

void h_job_exceptions(struct rest_call *c)
{
	struct gw_job *job;
	int64_t max = 20;
	cJSON *o, *list, *history;

	if (!rest_query_int(c, "maxExceptions", 0, INT32_MAX, &max))
		return;
	job = job_of_call(c);
	if (job == NULL)
		return;
	o = json_object(NULL, NULL);
	if (job->n_exceptions > 0) {
		json_str(o, "root-exception", job->exceptions[0].text);
		json_i64(o, "timestamp", job->exceptions[0].timestamp_ms);
	} else {
		json_null(o, "root-exception");
		json_null(o, "timestamp");
	}
	list = json_array(o, "all-exceptions");
	for (unsigned i = 0; i < job->n_failed_now && i < max; i++)
		json_failed_now(list, c->arena, &job->failed_now[i]);
	json_bool(o, "truncated", job->n_failed_now > max);
	history = json_object(o, "exceptionHistory");
	list = json_array(history, "entries");
	for (unsigned i = 0; i < job->n_exceptions && i < max; i++)
		json_history_entry(list, &job->exceptions[i]);
	json_bool(history, "truncated", job->exceptions_truncated || job->n_exceptions > max);
	rest_reply(c, 200, o);
}

void h_job_execution_result(struct rest_call *c)
{
	char hex[ID_HEX_SIZE];
	struct id128 id;
	struct gw_job *job;
	cJSON *o, *result;
	bool ended;

	if (!rest_param_id(c, "jobid", &id))
		return;
	job = gw_job(c->gateway, c->arena, &id);
	if (job == NULL) {
		rest_fail(c, 404, REST_HANDLER_EXCEPTION,
		    "org.apache.flink.runtime.messages.FlinkJobNotFoundException: "
		    "Could not find Flink job (%s)",
		    id_hex(&id, hex));
		return;
	}
	ended = job_state_is_terminal(job->state);
	o = json_object(NULL, NULL);
	json_str(json_object(o, "status"), "id", ended ? "COMPLETED" : "IN_PROGRESS");
	if (ended) {
		result = json_object(o, "job-execution-result");
		json_str(result, "id", id_hex(&id, hex));
		json_str(result, "application-status",
		    job->state == JOB_FINISHED     ? "SUCCEEDED" :
			job->state == JOB_CANCELED ? "CANCELED" :
						     "FAILED");
		json_object(result, "accumulator-results");
		json_i64(result, "net-runtime", job->end_ms - job->start_ms);
		if (job->state == JOB_FAILED && job->n_exceptions > 0)
			json_failure_cause(result, "failure-cause", c->arena, job->exceptions[0].name,
			    job->exceptions[0].text);
	}
	rest_reply(c, 200, o);
}
