/* weir cancel */
#include "rest/cli/cli.h"

#include "base/mem.h"

static int fail(FILE *diag, const char *hex, const struct err *e)
{
	char *exception = xasprintf("org.apache.flink.util.FlinkException: Could not cancel job %s.", hex);
	int status = cli_fail(diag, exception, e);

	free(exception);
	return status;
}

static int cancel_with_savepoint(const struct client *c, const char *hex, const char *target, FILE *out,
    FILE *diag)
{
	char *body = cli_savepoint_body("target-directory", target, "cancel-job", true), *location;
	struct err e;

	fprintf(out,
	    "DEPRECATION WARNING: Cancelling a job with savepoint is deprecated. Use \"stop\" instead.\n"
	    "Cancelling job %s with savepoint to %s.\n",
	    hex, target != NULL ? target : "default savepoint directory");
	fflush(out);
	location = cli_take_savepoint(c, hex, "savepoints", body, &e);
	free(body);
	if (location == NULL)
		return fail(diag, hex, &e);
	fprintf(out, "Cancelled job %s. Savepoint stored in %s.\n", hex, location);
	free(location);
	return 0;
}

int cli_cancel(const struct client *c, const struct cli_args *a, FILE *out, FILE *diag)
{
	char hex[ID_HEX_SIZE], path[96];
	struct id128 id;
	struct err e;
	cJSON *answer;

	if (cli_args_job(a, &id, &e) != 0)
		return cli_fail_usage(out, e.msg);
	id_hex(&id, hex);
	if (a->with_savepoint)
		return cancel_with_savepoint(c, hex, a->target, out, diag);
	fprintf(out, "Cancelling job %s.\n", hex);
	fflush(out);
	snprintf(path, sizeof(path), "/v1/jobs/%s?mode=cancel", hex);
	answer = client_request(c, "PATCH", path, "application/json", "{}", 2, &e);
	if (answer == NULL)
		return fail(diag, hex, &e);
	cJSON_Delete(answer);
	fprintf(out, "Cancelled job %s.\n", hex);
	return 0;
}
