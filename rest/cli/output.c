/* Messages that every action shares. */
#include "rest/cli/cli.h"

#include <string.h>

int cli_fail_usage(FILE *out, const char *sentence)
{
	fprintf(out, "%s\n\nUse the help option (-h or --help) to get help on the command.\n", sentence);
	return 1;
}

int cli_fail(FILE *diag, const char *exception, const struct err *cause)
{
	fprintf(diag,
	    "\n------------------------------------------------------------\n"
	    " The program finished with the following exception:\n\n%s\n",
	    exception);
	if (cause == NULL)
		return 1;
	/* What the server has answered stands in brackets; the rest happened here. */
	if (cause->msg[0] == '[')
		fprintf(diag, "Caused by: org.apache.flink.runtime.rest.util.RestClientException: %s\n",
		    cause->msg);
	else if (cause->code == ERR_UNAVAILABLE)
		fprintf(diag, "Caused by: java.net.ConnectException: %s\n", cause->msg);
	else
		fprintf(diag, "Caused by: %s\n", cause->msg);
	return 1;
}
