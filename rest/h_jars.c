/* Uploaded jobs: upload, list, run, delete. */
#include "base/mem.h"
#include "rest/router.h"
#include "rest/words.h"

#define PARALLELISM_MAX 32768

void h_jars(struct rest_call *c)
{
	cJSON *o = json_object(NULL, NULL), *files;
	struct gw_jar *jars;
	unsigned n = gw_jars(c->gateway, c->arena, &jars);

	json_str(o, "address", c->address);
	files = json_array(o, "files");
	for (unsigned i = 0; i < n; i++) {
		cJSON *file = json_object(files, NULL), *entries;

		json_str(file, "id", jars[i].id);
		json_str(file, "name", jars[i].name);
		json_i64(file, "uploaded", jars[i].uploaded_ms);
		entries = json_array(file, "entry");
		if (jars[i].entry != NULL) {
			cJSON *entry = json_object(entries, NULL);

			json_str(entry, "name", jars[i].entry);
			json_null(entry, "description");
		}
	}
	rest_reply(c, 200, o);
}

static void on_added(void *arg, const struct err *e, const char *text)
{
	struct rest_call *c = arg;

	if (e == NULL) {
		cJSON *o = json_object(NULL, NULL);

		json_str(o, "filename", text);
		json_str(o, "status", "success");
		rest_reply(c, 200, o);
	} else {
		rest_fail_err(c, e);
	}
	rest_call_release(c);
}

void h_jar_upload(struct rest_call *c)
{
	char *path;

	if (c->upload == NULL) {
		rest_fail(c, 400, REST_HANDLER_EXCEPTION, "Exactly 1 file must be sent, received 0.");
		return;
	}
	path = upload_take(c->upload);
	rest_call_hold(c);
	gw_jar_add(c->gateway, path, upload_name(c->upload), on_added, c);
	free(path);
}

static void on_deleted(void *arg, const struct err *e, const char *text)
{
	struct rest_call *c = arg;

	(void)text;
	if (e == NULL)
		rest_reply(c, 200, json_object(NULL, NULL));
	else if (e->code == ERR_NOT_FOUND)
		rest_fail(c, 400, REST_HANDLER_EXCEPTION, "File %s does not exist in %s.",
		    rest_param(c, "jarid"), gw_upload_dir(c->gateway));
	else
		rest_fail_err(c, e);
	rest_call_release(c);
}

void h_jar_delete(struct rest_call *c)
{
	rest_call_hold(c);
	gw_jar_delete(c->gateway, rest_param(c, "jarid"), on_deleted, c);
}

/* Of the body or else of the query; an empty one is none. */
static const char *text_of(const struct rest_call *c, const char *field, const char *query)
{
	const char *s = body_str(c->body, field);

	if (s == NULL || s[0] == '\0')
		s = url_query(&c->url, query);
	return s == NULL || s[0] == '\0' ? NULL : s;
}

static void fail_execute(struct rest_call *c, const char *sentence)
{
	rest_fail(c, 400, REST_HANDLER_EXCEPTION,
	    "Could not execute application.\n"
	    "Caused by: org.apache.flink.client.program.ProgramInvocationException: %s",
	    sentence);
}

static void args_of_list(struct rest_call *c, const cJSON *list, struct gw_run *run)
{
	const cJSON *item;

	run->args = gw_alloc(c->arena, ((size_t)cJSON_GetArraySize(list) + 1) * sizeof(*run->args));
	run->n_args = 0;
	cJSON_ArrayForEach(item, list) {
		run->args[run->n_args++] = item->valuestring;
	}
}

/* programArgsList, or programArgs as one string. */
static bool get_args(struct rest_call *c, struct gw_run *run)
{
	const cJSON *list = body_field(c->body, "programArgsList");
	const char *query_list = url_query(&c->url, "programArg");
	const char *text = text_of(c, "programArgs", "program-args");
	struct err e;

	if (text != NULL && (list != NULL || query_list != NULL)) {
		rest_fail(c, 400, REST_HANDLER_EXCEPTION,
		    "Confusing request: programArgs and programArgsList are "
		    "specified, please, use only programArgsList");
		return false;
	}
	if (list != NULL) {
		args_of_list(c, list, run);
	} else if (query_list != NULL) {
		words_split_commas(c->arena, query_list, &run->args, &run->n_args);
	} else if (text != NULL && words_split(c->arena, text, &run->args, &run->n_args, &e) != 0) {
		fail_execute(c, e.msg);
		return false;
	}
	return true;
}

static bool get_parallelism(struct rest_call *c, struct gw_run *run)
{
	int64_t n;

	if (!body_int(c->body, "parallelism", &n)) {
		n = INT64_MIN;
		if (!rest_query_int(c, "parallelism", INT32_MIN, INT32_MAX, &n))
			return false;
		if (n == INT64_MIN)
			return true;
	}
	if (n < 1 || n > PARALLELISM_MAX) {
		fail_execute(c,
		    gw_printf(c->arena, "parallelism %lld is not in 1..%d", (long long)n, PARALLELISM_MAX));
		return false;
	}
	run->parallelism = (unsigned)n;
	return true;
}

static bool get_job_id(struct rest_call *c, struct gw_run *run)
{
	const char *text = text_of(c, "jobId", "jobId");
	struct id128 *id;

	if (text == NULL)
		return true;
	id = gw_alloc(c->arena, sizeof(*id));
	if (id_parse(id, text) != 0) {
		rest_fail_query(c, "jobId", text);
		return false;
	}
	run->job_id = id;
	return true;
}

static bool is_uploaded(struct rest_call *c, const char *id)
{
	struct gw_jar *jars;
	unsigned n = gw_jars(c->gateway, c->arena, &jars);

	for (unsigned i = 0; i < n; i++)
		if (strcmp(jars[i].id, id) == 0)
			return true;
	return false;
}

static void on_running(void *arg, const struct err *e, const char *text)
{
	struct rest_call *c = arg;

	if (e == NULL) {
		cJSON *o = json_object(NULL, NULL);

		json_str(o, "jobid", text);
		rest_reply(c, 200, o);
	} else if (e->code == ERR_NOT_FOUND && !is_uploaded(c, rest_param(c, "jarid"))) {
		rest_fail_internal(c,
		    "java.util.concurrent.CompletionException: %s: Jar file %s/%s does not exist",
		    REST_HANDLER_EXCEPTION, gw_upload_dir(c->gateway), rest_param(c, "jarid"));
	} else if (err_http_status(e->code) == 400 || e->code == ERR_NOT_FOUND) {
		/* What else is not there: the savepoint. */
		fail_execute(c, e->msg);
	} else {
		rest_fail_err(c, e);
	}
	rest_call_release(c);
}

void h_jar_run(struct rest_call *c)
{
	struct gw_run run = { .jar_id = rest_param(c, "jarid") };
	const char *allow = url_query(&c->url, "allowNonRestoredState");

	run.savepoint_path = text_of(c, "savepointPath", "savepointPath");
	run.entry_class = text_of(c, "entryClass", "entry-class");
	if (allow != NULL && conf_parse_bool(allow, &run.allow_non_restored, NULL) != 0) {
		rest_fail_query(c, "allowNonRestoredState", allow);
		return;
	}
	run.allow_non_restored = body_bool(c->body, "allowNonRestoredState", run.allow_non_restored);
	if (!get_args(c, &run) || !get_parallelism(c, &run) || !get_job_id(c, &run))
		return;
	rest_call_hold(c);
	gw_jar_run(c->gateway, &run, on_running, c);
}
