/* Parts of the answers about jobs. */
#include "rest/job_json.h"

#include "base/mem.h"

struct gw_job *job_of_call(struct rest_call *c)
{
	char hex[ID_HEX_SIZE];
	struct gw_job *job;
	struct id128 id;

	if (!rest_param_id(c, "jobid", &id))
		return NULL;
	job = gw_job(c->gateway, c->arena, &id);
	if (job == NULL)
		rest_fail(c, 404, NOT_FOUND_EXCEPTION, "Job %s not found", id_hex(&id, hex));
	return job;
}

enum gw_task_state vertex_state(const struct gw_vertex *v)
{
	static const enum gw_task_state first_of[] = { GW_TASK_FAILED, GW_TASK_CANCELING, GW_TASK_CANCELED,
		GW_TASK_INITIALIZING, GW_TASK_RUNNING };
	unsigned counts[GW_N_TASK_STATES] = { 0 };

	for (unsigned i = 0; i < v->n_subtasks; i++)
		counts[v->subtasks[i].state]++;
	for (size_t i = 0; i < ARRAY_LEN(first_of); i++)
		if (counts[first_of[i]] > 0)
			return first_of[i];
	if (counts[GW_TASK_FINISHED] == 0)
		return GW_TASK_CREATED;
	return counts[GW_TASK_FINISHED] == v->n_subtasks ? GW_TASK_FINISHED : GW_TASK_RUNNING;
}

void json_state_counts(cJSON *to, const char *key, const unsigned counts[GW_N_TASK_STATES])
{
	static const enum gw_task_state order[GW_N_TASK_STATES] = { GW_TASK_RECONCILING, GW_TASK_DEPLOYING,
		GW_TASK_SCHEDULED, GW_TASK_RUNNING, GW_TASK_CANCELING, GW_TASK_FAILED, GW_TASK_CANCELED,
		GW_TASK_INITIALIZING, GW_TASK_FINISHED, GW_TASK_CREATED };
	cJSON *o = json_object(to, key);

	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		json_i64(o, gw_task_state_names[order[i]], counts[order[i]]);
}

void json_io(cJSON *to, const char *key, const struct gw_io *io)
{
	cJSON *o = json_object(to, key);

	json_i64(o, "read-bytes", io->read_bytes);
	json_bool(o, "read-bytes-complete", io->complete);
	json_i64(o, "write-bytes", io->write_bytes);
	json_bool(o, "write-bytes-complete", io->complete);
	json_i64(o, "read-records", io->read_records);
	json_bool(o, "read-records-complete", io->complete);
	json_i64(o, "write-records", io->write_records);
	json_bool(o, "write-records-complete", io->complete);
}

/* The dashboard puts descriptions into its page as HTML. */
static const char *html_escape(struct gw_arena *a, const char *s)
{
	char *out = gw_alloc(a, strlen(s) * 6 + 1), *w = out;

	for (; *s != '\0'; s++) {
		const char *entity = *s == '<' ? "&lt;" :
		    *s == '>'                  ? "&gt;" :
		    *s == '&'                  ? "&amp;" :
		    *s == '"'                  ? "&quot;" :
						 NULL;

		if (entity != NULL)
			w = stpcpy(w, entity);
		else
			*w++ = *s;
	}
	*w = '\0';
	return out;
}

void json_plan(cJSON *to, const char *key, struct gw_arena *a, const struct gw_job *job)
{
	cJSON *o = json_object(to, key), *nodes;
	char hex[ID_HEX_SIZE];

	json_str(o, "jid", id_hex(&job->id, hex));
	json_str(o, "name", job->name);
	json_str(o, "type", "STREAMING");
	nodes = json_array(o, "nodes");
	/* Sinks first, as Flink has it. */
	for (unsigned i = job->n_vertices; i > 0; i--) {
		const struct gw_vertex *v = &job->vertices[i - 1];
		cJSON *node = json_object(nodes, NULL), *inputs;

		json_str(node, "id", id_hex(&v->id, hex));
		json_i64(node, "parallelism", v->parallelism);
		json_str(node, "operator", "");
		json_str(node, "operator_strategy", "");
		json_str(node, "description", html_escape(a, v->name));
		inputs = v->n_inputs > 0 ? json_array(node, "inputs") : NULL;
		for (unsigned k = 0; k < v->n_inputs; k++) {
			cJSON *input = json_object(inputs, NULL);

			json_i64(input, "num", k);
			json_str(input, "id", id_hex(&v->inputs[k].from, hex));
			json_str(input, "ship_strategy", v->inputs[k].ship);
			json_str(input, "exchange", "pipelined_bounded");
		}
		json_object(node, "optimizer_properties");
	}
}
