/* One job in detail: vertices, subtasks, plan, settings. */
#include "base/mem.h"
#include "rest/job_json.h"
#include "rest/router.h"

/* Sums over the subtasks; complete when all of them are. */
static struct gw_io vertex_io(const struct gw_vertex *v)
{
	struct gw_io sum = { .complete = true };

	for (unsigned i = 0; i < v->n_subtasks; i++) {
		const struct gw_io *io = &v->subtasks[i].io;

		sum.read_bytes += io->read_bytes;
		sum.write_bytes += io->write_bytes;
		sum.read_records += io->read_records;
		sum.write_records += io->write_records;
		sum.complete = sum.complete && io->complete;
	}
	return sum;
}

/* Start, end and duration of a vertex: of its current attempts, -1 where not known. */
static void json_vertex_times(cJSON *o, const struct gw_vertex *v, int64_t now_ms)
{
	int64_t start_ms = INT64_MAX, end_ms = 0, duration_ms;
	bool all_ended = true;

	for (unsigned i = 0; i < v->n_subtasks; i++) {
		const struct gw_subtask *s = &v->subtasks[i];
		int64_t deployed_ms = s->since_ms[GW_TASK_DEPLOYING];

		if (deployed_ms > 0 && deployed_ms < start_ms)
			start_ms = deployed_ms;
		all_ended = all_ended && gw_task_state_is_terminal(s->state);
		if (s->since_ms[s->state] > end_ms)
			end_ms = s->since_ms[s->state];
	}
	if (start_ms == INT64_MAX) {
		start_ms = end_ms = duration_ms = -1;
	} else if (all_ended) {
		duration_ms = end_ms - start_ms;
	} else {
		end_ms = -1;
		duration_ms = now_ms - start_ms;
	}
	json_i64(o, "start-time", start_ms);
	json_i64(o, "end-time", end_ms);
	json_i64(o, "duration", duration_ms);
}

static void json_vertex(cJSON *to, const struct gw_vertex *v, int64_t now_ms)
{
	cJSON *o = json_object(to, NULL);
	unsigned counts[GW_N_TASK_STATES] = { 0 };
	struct gw_io io = vertex_io(v);
	char hex[ID_HEX_SIZE];

	for (unsigned i = 0; i < v->n_subtasks; i++)
		counts[v->subtasks[i].state]++;
	json_str(o, "id", id_hex(&v->id, hex));
	json_str(o, "name", v->name);
	json_i64(o, "maxParallelism", v->max_parallelism);
	json_i64(o, "parallelism", v->parallelism);
	json_str(o, "status", gw_task_state_names[vertex_state(v)]);
	json_vertex_times(o, v, now_ms);
	json_state_counts(o, "tasks", counts);
	json_io(o, "metrics", &io);
}

static void json_job_timestamps(cJSON *to, const struct gw_job *job)
{
	static const enum job_state order[JOB_N_STATES] = { JOB_CANCELED, JOB_CREATED, JOB_CANCELLING,
		JOB_RUNNING, JOB_FAILED, JOB_FINISHED, JOB_RECONCILING, JOB_FAILING, JOB_SUSPENDED,
		JOB_INITIALIZING, JOB_RESTARTING };
	cJSON *o = json_object(to, "timestamps");

	for (unsigned i = 0; i < JOB_N_STATES; i++)
		json_i64(o, job_state_name(order[i]), job->since_ms[order[i]]);
}

void h_job(struct rest_call *c)
{
	struct gw_job *job = job_of_call(c);
	int64_t now_ms = gw_now_ms(c->gateway);
	unsigned counts[GW_N_TASK_STATES] = { 0 };
	char hex[ID_HEX_SIZE];
	cJSON *o, *vertices;

	if (job == NULL)
		return;
	o = json_object(NULL, NULL);
	json_str(o, "jid", id_hex(&job->id, hex));
	json_str(o, "name", job->name);
	json_bool(o, "isStoppable", false);
	json_str(o, "state", job_state_name(job->state));
	json_i64(o, "start-time", job->start_ms);
	json_i64(o, "end-time", job->end_ms);
	json_i64(o, "duration", (job->end_ms >= 0 ? job->end_ms : now_ms) - job->start_ms);
	json_i64(o, "maxParallelism", -1);
	json_i64(o, "now", now_ms);
	json_job_timestamps(o, job);
	vertices = json_array(o, "vertices");
	for (unsigned i = 0; i < job->n_vertices; i++) {
		json_vertex(vertices, &job->vertices[i], now_ms);
		counts[vertex_state(&job->vertices[i])]++;
	}
	json_state_counts(o, "status-counts", counts);
	json_plan(o, "plan", c->arena, job);
	rest_reply(c, 200, o);
}

void h_job_status(struct rest_call *c)
{
	struct gw_job *job = job_of_call(c);
	cJSON *o;

	if (job == NULL)
		return;
	o = json_object(NULL, NULL);
	json_str(o, "status", job_state_name(job->state));
	rest_reply(c, 200, o);
}

void h_job_plan(struct rest_call *c)
{
	struct gw_job *job = job_of_call(c);
	cJSON *o;

	if (job == NULL)
		return;
	o = json_object(NULL, NULL);
	json_plan(o, "plan", c->arena, job);
	rest_reply(c, 200, o);
}

/* Words by which Flink knows a key whose value is nobody's business, and librdkafka's. */
static bool is_secret(const char *key)
{
	static const char *const words[] = { "password", "secret", "apikey", "api-key", "token",
		"jaas.config", "basic-auth", "ssl.key" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcasestr(key, words[i]) != NULL)
			return true;
	return false;
}

/* "--key value" arguments, as Flink's ParameterTool shows them; a flag alone has no value. */
static void json_user_config(cJSON *to, const struct gw_job *job)
{
	cJSON *o = json_object(to, "user-config");

	for (unsigned i = 0; i < job->n_args; i++) {
		const char *key = job->args[i];

		if (key[0] != '-')
			continue;
		key += strspn(key, "-");
		if (i + 1 < job->n_args && job->args[i + 1][0] != '-') {
			i++;
			json_str(o, key, is_secret(key) ? "******" : job->args[i]);
		} else {
			json_str(o, key, "__NO_VALUE_KEY");
		}
	}
}

void h_job_config(struct rest_call *c)
{
	struct gw_job *job = job_of_call(c);
	char hex[ID_HEX_SIZE];
	cJSON *o, *execution;

	if (job == NULL)
		return;
	o = json_object(NULL, NULL);
	json_str(o, "jid", id_hex(&job->id, hex));
	json_str(o, "name", job->name);
	execution = json_object(o, "execution-config");
	json_str(execution, "execution-mode", "PIPELINED");
	json_str(execution, "restart-strategy", "Cluster level default restart strategy");
	json_i64(execution, "job-parallelism", job->parallelism_default);
	json_bool(execution, "object-reuse-mode", false);
	json_user_config(execution, job);
	rest_reply(c, 200, o);
}

static void json_subtask(cJSON *to, const struct gw_subtask *s, int64_t now_ms)
{
	cJSON *o = json_object(to, NULL);
	int64_t deployed_ms = s->since_ms[GW_TASK_DEPLOYING];
	int64_t start_ms = deployed_ms > 0 ? deployed_ms : -1;
	int64_t end_ms = gw_task_state_is_terminal(s->state) ? s->since_ms[s->state] : -1;

	json_i64(o, "subtask", s->index);
	json_str(o, "status", gw_task_state_names[s->state]);
	json_i64(o, "attempt", s->attempt);
	json_str(o, "host", s->host);
	json_i64(o, "start-time", start_ms);
	json_i64(o, "end-time", end_ms);
	json_i64(o, "duration", start_ms < 0 ? -1 : (end_ms > 0 ? end_ms : now_ms) - start_ms);
	json_io(o, "metrics", &s->io);
	json_str(o, "taskmanager-id", s->tm_id);
	json_i64(o, "start_time", start_ms);
}

void h_vertex(struct rest_call *c)
{
	struct gw_job *job;
	const struct gw_vertex *v = NULL;
	int64_t now_ms = gw_now_ms(c->gateway);
	char hex[ID_HEX_SIZE];
	struct id128 id;
	cJSON *o, *subtasks;

	if (!rest_param_id(c, "vertexid", &id))
		return;
	job = job_of_call(c);
	if (job == NULL)
		return;
	for (unsigned i = 0; i < job->n_vertices && v == NULL; i++)
		if (id_equal(&job->vertices[i].id, &id))
			v = &job->vertices[i];
	if (v == NULL) {
		rest_fail(c, 404, NOT_FOUND_EXCEPTION, "JobVertex %s not found", id_hex(&id, hex));
		return;
	}
	o = json_object(NULL, NULL);
	json_str(o, "id", id_hex(&v->id, hex));
	json_str(o, "name", v->name);
	json_i64(o, "parallelism", v->parallelism);
	json_i64(o, "maxParallelism", v->max_parallelism);
	json_i64(o, "now", now_ms);
	subtasks = json_array(o, "subtasks");
	for (unsigned i = 0; i < v->n_subtasks; i++)
		json_subtask(subtasks, &v->subtasks[i], now_ms);
	rest_reply(c, 200, o);
}
