/* Metrics of jobs. */
#include "base/mem.h"
#include "rest/router.h"
#include "rest/words.h"

#define N_JOB_METRICS 15

/* The job's metrics as text. Without a checkpoint the figures are those Flink has before its first. */
static void job_metrics(struct rest_call *c, const struct gw_job *job, struct gw_metric m[N_JOB_METRICS])
{
	static const struct gw_ckpts none;
	const struct gw_ckpts *ckpts = gw_checkpoints(c->gateway, c->arena, &job->id);
	const struct gw_ckpts *k = ckpts != NULL ? ckpts : &none;
	/* The last one of either kind. */
	const struct gw_ckpt *last =
	    k->savepoint != NULL && (k->completed == NULL || k->savepoint->id > k->completed->id) ?
	    k->savepoint :
	    k->completed;
	int64_t now_ms = gw_now_ms(c->gateway);
	bool running = job->state == JOB_RUNNING && job->running_since_ms > 0;
	const struct {
		const char *id;
		int64_t value;
	} numbers[N_JOB_METRICS - 1] = {
		{ "uptime", running ? now_ms - job->running_since_ms : 0 },
		{ "downtime", job->down_since_ms > 0 ? now_ms - job->down_since_ms : 0 },
		{ "restartingTime", job->last_restart_ms },
		{ "numRestarts", job->num_restarts },
		{ "fullRestarts", job->num_restarts },
		{ "totalNumberOfCheckpoints", (int64_t)k->n_total },
		{ "numberOfInProgressCheckpoints", (int64_t)k->n_in_progress },
		{ "numberOfCompletedCheckpoints", (int64_t)k->n_completed },
		{ "numberOfFailedCheckpoints", (int64_t)k->n_failed },
		{ "lastCheckpointSize", last != NULL ? last->state_bytes : -1 },
		{ "lastCheckpointDuration", last != NULL ? last->end_to_end_ms : -1 },
		{ "lastCheckpointProcessedData", last != NULL ? last->processed_bytes : -1 },
		{ "lastCheckpointPersistedData", last != NULL ? 0 : -1 },
		{ "lastCheckpointRestoreTimestamp", k->restored != NULL ? k->restored->restore_ms : -1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		m[i].id = numbers[i].id;
		m[i].value = gw_printf(c->arena, "%lld", (long long)numbers[i].value);
	}
	m[N_JOB_METRICS - 1].id = "lastCheckpointExternalPath";
	m[N_JOB_METRICS - 1].value =
	    last != NULL && last->external_path != NULL ? last->external_path : "n/a";
}

/* Ids alone or, with get, values of the known ones among those asked for. */
static void reply_metrics(struct rest_call *c, const struct gw_metric *m, unsigned n)
{
	const char *get = url_query(&c->url, "get"), **wanted = NULL;
	cJSON *list = json_array(NULL, NULL);
	unsigned n_wanted = 0;

	if (get != NULL)
		words_split_commas(c->arena, get, &wanted, &n_wanted);
	for (unsigned i = 0; i < n; i++) {
		bool take = get == NULL;
		cJSON *o;

		for (unsigned k = 0; k < n_wanted && !take; k++)
			take = strcmp(wanted[k], m[i].id) == 0;
		if (!take)
			continue;
		o = json_object(list, NULL);
		json_str(o, "id", m[i].id);
		if (get != NULL)
			json_str(o, "value", m[i].value);
	}
	rest_reply(c, 200, list);
}

void h_job_metrics(struct rest_call *c)
{
	struct gw_metric m[N_JOB_METRICS];
	struct gw_job *job;
	struct id128 id;

	if (!rest_param_id(c, "jobid", &id))
		return;
	job = gw_job(c->gateway, c->arena, &id);
	if (job == NULL || job_state_is_terminal(job->state)) {
		rest_reply(c, 200, json_array(NULL, NULL));
		return;
	}
	job_metrics(c, job, m);
	reply_metrics(c, m, N_JOB_METRICS);
}
