/* weir stop: a savepoint, and the job's end behind it. */
#include "base/mem.h"
#include "rest/cli/cli.h"

int cli_stop(const struct client *c, const struct cli_args *a, FILE *out, FILE *diag)
{
	char hex[ID_HEX_SIZE], *body, *location, *exception;
	struct id128 id;
	struct err e;
	int status;

	if (cli_args_job(a, &id, &e) != 0)
		return cli_fail_usage(out, e.msg);
	id_hex(&id, hex);
	fprintf(out, "%s job \"%s\" with a savepoint.\n", a->drain ? "Draining" : "Suspending", hex);
	fflush(out);
	body = cli_savepoint_body("targetDirectory", a->target, "drain", a->drain);
	location = cli_take_savepoint(c, hex, "stop", body, &e);
	free(body);
	if (location == NULL) {
		exception = xasprintf("org.apache.flink.util.FlinkException: "
				      "Could not stop with a savepoint job \"%s\".",
		    hex);
		status = cli_fail(diag, exception, &e);
		free(exception);
		return status;
	}
	fprintf(out, "Savepoint completed. Path: %s\n", location);
	free(location);
	return 0;
}
