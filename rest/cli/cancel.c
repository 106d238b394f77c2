/* weir cancel */
#include "rest/cli/cli.h"

#include "base/mem.h"

int cli_cancel(const struct client *c, const struct cli_args *a, FILE *out, FILE *diag)
{
	char hex[ID_HEX_SIZE], path[96];
	struct id128 id;
	struct err e;
	cJSON *answer;

	if (cli_args_job(a, &id, &e) != 0)
		return cli_fail_usage(out, e.msg);
	id_hex(&id, hex);
	fprintf(out, "Cancelling job %s.\n", hex);
	fflush(out);
	snprintf(path, sizeof(path), "/v1/jobs/%s?mode=cancel", hex);
	answer = client_request(c, "PATCH", path, "application/json", "{}", 2, &e);
	if (answer == NULL) {
		char *exception =
		    xasprintf("org.apache.flink.util.FlinkException: Could not cancel job %s.", hex);
		int status = cli_fail(diag, exception, &e);

		free(exception);
		return status;
	}
	cJSON_Delete(answer);
	fprintf(out, "Cancelled job %s.\n", hex);
	return 0;
}
