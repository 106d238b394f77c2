/* weir run: upload, run, remove the upload, wait. */
#include "rest/cli/cli.h"

#include <time.h>
#include <unistd.h>

#include "base/mem.h"

#define POLL_FIRST_MS 50
#define POLL_LAST_MS  1000

char *cli_run_body(const struct cli_args *a)
{
	cJSON *body = cJSON_CreateObject(), *args = cJSON_AddArrayToObject(body, "programArgsList");
	char *text, *savepoint = cli_place(a->savepoint);

	for (unsigned i = 0; i < a->n_program_args; i++)
		cJSON_AddItemToArray(args, cJSON_CreateString(a->program_args[i]));
	if (a->parallelism > 0)
		cJSON_AddNumberToObject(body, "parallelism", a->parallelism);
	if (savepoint != NULL)
		cJSON_AddStringToObject(body, "savepointPath", savepoint);
	free(savepoint);
	if (a->allow_non_restored)
		cJSON_AddTrueToObject(body, "allowNonRestoredState");
	if (a->entry_class != NULL)
		cJSON_AddStringToObject(body, "entryClass", a->entry_class);
	text = cJSON_PrintUnformatted(body);
	cJSON_Delete(body);
	ASSERT(text != NULL);
	return text;
}

/* The jar's id: the last part of the path under which the server keeps it. */
static char *upload(const struct client *c, const char *file, struct err *e)
{
	cJSON *answer = client_upload(c, "/v1/jars/upload", file, e);
	const char *stored = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "filename"));
	const char *slash = stored != NULL ? strrchr(stored, '/') : NULL;
	char *id = NULL;

	if (slash != NULL)
		id = xstrdup(slash + 1);
	else if (answer != NULL)
		err_set(e, ERR_INTERNAL, "The server's answer to the upload has no file name.");
	cJSON_Delete(answer);
	return id;
}

/* The path of a jar's route; its id may have bytes that a path may not have. */
static char *jar_path(const char *id, const char *action)
{
	char *escaped = xmalloc(strlen(id) * 3 + 1), *w = escaped, *path;

	for (const unsigned char *p = (const unsigned char *)id; *p != '\0'; p++) {
		if (*p > ' ' && *p < 0x7f && strchr("%?#/\"<>\\", *p) == NULL)
			*w++ = (char)*p;
		else
			w += snprintf(w, 4, "%%%02X", *p);
	}
	*w = '\0';
	path = xasprintf("/v1/jars/%s%s", escaped, action);
	free(escaped);
	return path;
}

static char *start(const struct client *c, const struct cli_args *a, const char *jar_id, struct err *e)
{
	char *path = jar_path(jar_id, "/run"), *body = cli_run_body(a), *job_id = NULL;
	cJSON *answer = client_request(c, "POST", path, "application/json", body, strlen(body), e);
	const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "jobid"));

	if (id != NULL)
		job_id = xstrdup(id);
	else if (answer != NULL)
		err_set(e, ERR_INTERNAL, "The server's answer has no job id.");
	cJSON_Delete(answer);
	free(path);
	free(body);
	return job_id;
}

/* Flink's run leaves nothing behind in the list of jars. */
static void remove_upload(const struct client *c, const char *jar_id, FILE *diag)
{
	char *path = jar_path(jar_id, "");
	struct err e;
	cJSON *answer = client_request(c, "DELETE", path, "application/json", "{}", 2, &e);

	if (answer == NULL)
		fprintf(diag, "weir: the uploaded file %s stays on the server: %s\n", jar_id, e.msg);
	cJSON_Delete(answer);
	free(path);
}

int cli_print_result(FILE *out, FILE *diag, const char *job_id, const cJSON *result)
{
	const char *status =
	    cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(result, "application-status"));
	const cJSON *runtime = cJSON_GetObjectItemCaseSensitive(result, "net-runtime");
	const cJSON *failure = cJSON_GetObjectItemCaseSensitive(result, "failure-cause");
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(failure, "stack-trace"));
	char *exception;
	int rc;

	if (status != NULL && strcmp(status, "SUCCEEDED") == 0) {
		fprintf(out,
		    "Program execution finished\nJob with JobID %s has finished.\nJob Runtime: %.0f ms\n\n",
		    job_id, cJSON_IsNumber(runtime) ? runtime->valuedouble : 0);
		return 0;
	}
	if (status != NULL && strcmp(status, "CANCELED") == 0)
		exception = xasprintf("org.apache.flink.client.program.ProgramInvocationException: "
				      "Job failed (JobID: %s)\n"
				      "Caused by: org.apache.flink.runtime.client.JobCancellationException: "
				      "Job was cancelled.",
		    job_id);
	else
		exception = xasprintf("org.apache.flink.client.program.ProgramInvocationException: "
				      "Job failed (JobID: %s)%s%s",
		    job_id, text != NULL ? "\nCaused by: " : "", text != NULL ? text : "");
	rc = cli_fail(diag, exception, NULL);
	free(exception);
	return rc;
}

static int wait_for_end(const struct client *c, const char *job_id, FILE *out, FILE *diag)
{
	char path[96];
	int64_t pause_ms = POLL_FIRST_MS;

	snprintf(path, sizeof(path), "/v1/jobs/%.32s/execution-result", job_id);
	for (;;) {
		struct timespec pause;
		struct err e;
		cJSON *answer = client_request(c, "GET", path, "application/json", "", 0, &e);
		cJSON *result;
		int rc;

		if (answer == NULL)
			return cli_fail(diag,
			    "org.apache.flink.client.program.ProgramInvocationException: "
			    "The job's result could not be retrieved.",
			    &e);
		result = cJSON_GetObjectItemCaseSensitive(answer, "job-execution-result");
		rc = result != NULL ? cli_print_result(out, diag, job_id, result) : -1;
		cJSON_Delete(answer);
		if (rc >= 0)
			return rc;
		pause.tv_sec = pause_ms / 1000;
		pause.tv_nsec = pause_ms % 1000 * 1000000;
		nanosleep(&pause, NULL);
		pause_ms = pause_ms * 3 / 2 < POLL_LAST_MS ? pause_ms * 3 / 2 : POLL_LAST_MS;
	}
}

int cli_run(const struct client *c, const struct cli_args *a, FILE *out, FILE *diag)
{
	char *jar_id, *job_id, *sentence;
	struct err e;
	int rc;

	if (a->jar == NULL)
		return cli_fail_usage(out, "No job file is given.");
	if (access(a->jar, R_OK) != 0) {
		sentence = xasprintf("Could not get job jar and dependencies from JAR file: "
				     "JAR file does not exist: %s",
		    a->jar);
		rc = cli_fail_usage(out, sentence);
		free(sentence);
		return rc;
	}
	jar_id = upload(c, a->jar, &e);
	if (jar_id == NULL)
		return cli_fail(diag,
		    "org.apache.flink.client.program.ProgramInvocationException: "
		    "The job could not be uploaded.",
		    &e);
	job_id = start(c, a, jar_id, &e);
	remove_upload(c, jar_id, diag);
	free(jar_id);
	if (job_id == NULL)
		return cli_fail(diag,
		    "org.apache.flink.client.program.ProgramInvocationException: "
		    "The job could not be run.",
		    &e);
	fprintf(out, "Job has been submitted with JobID %s\n", job_id);
	fflush(out);
	rc = a->detached ? 0 : wait_for_end(c, job_id, out, diag);
	free(job_id);
	return rc;
}
