/* weir savepoint: take one, or remove one. */
#include "base/mem.h"
#include "rest/cli/cli.h"

static int fail(FILE *diag, const char *what, const char *which, const struct err *e)
{
	char *exception = xasprintf("org.apache.flink.util.FlinkException: %s %s failed.", what, which);
	int status = cli_fail(diag, exception, e);

	free(exception);
	return status;
}

static int dispose(const struct client *c, const char *path, FILE *out, FILE *diag)
{
	cJSON *body = cJSON_CreateObject(), *operation;
	char *text, *quoted, *place = cli_place(path);
	struct err e;
	int status = 0;

	fprintf(out, "Disposing savepoint '%s'.\nWaiting for response...\n", path);
	fflush(out);
	cJSON_AddStringToObject(body, "savepoint-path", place);
	free(place);
	text = cJSON_PrintUnformatted(body);
	cJSON_Delete(body);
	ASSERT(text != NULL);
	operation = cli_operation(c, "/v1/savepoint-disposal", text, "/v1/savepoint-disposal", &e);
	free(text);
	if (operation != NULL) {
		fprintf(out, "Savepoint '%s' disposed.\n", path);
	} else {
		quoted = xasprintf("'%s'", path);
		status = fail(diag, "Disposing the savepoint", quoted, &e);
		free(quoted);
	}
	cJSON_Delete(operation);
	return status;
}

int cli_savepoint(const struct client *c, const struct cli_args *a, FILE *out, FILE *diag)
{
	char hex[ID_HEX_SIZE], *body, *location;
	struct id128 id;
	struct err e;

	if (a->dispose != NULL)
		return dispose(c, a->dispose, out, diag);
	if (cli_args_job(a, &id, &e) != 0)
		return cli_fail_usage(out, e.msg);
	if (a->n_ignored > 0)
		fprintf(out, "Provided more arguments than required. Ignoring not needed arguments.\n");
	id_hex(&id, hex);
	fprintf(out, "Triggering savepoint for job %s.\nWaiting for response...\n", hex);
	fflush(out);
	body = cli_savepoint_body("target-directory", a->target, "cancel-job", false);
	location = cli_take_savepoint(c, hex, "savepoints", body, &e);
	free(body);
	if (location == NULL)
		return fail(diag, "Triggering a savepoint for the job", hex, &e);
	fprintf(out,
	    "Savepoint completed. Path: %s\n"
	    "You can resume your program from this savepoint with the run command.\n",
	    location);
	free(location);
	return 0;
}
