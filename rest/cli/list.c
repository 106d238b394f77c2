/* weir list */
#include "rest/cli/cli.h"

#include <math.h>

#include "base/mem.h"

struct job {
	const char *id, *name, *state;
	double start_ms;
	unsigned order;
};

enum job_kind { JOB_IS_RUNNING, JOB_IS_SCHEDULED, JOB_IS_ENDED };

static enum job_kind kind_of(const struct job *j)
{
	static const char *const scheduled[] = { "CREATED", "INITIALIZING" };
	static const char *const ended[] = { "FINISHED", "CANCELED", "FAILED" };

	for (size_t i = 0; i < ARRAY_LEN(scheduled); i++)
		if (strcmp(j->state, scheduled[i]) == 0)
			return JOB_IS_SCHEDULED;
	for (size_t i = 0; i < ARRAY_LEN(ended); i++)
		if (strcmp(j->state, ended[i]) == 0)
			return JOB_IS_ENDED;
	return JOB_IS_RUNNING;
}

static int by_start(const void *a, const void *b)
{
	const struct job *x = a, *y = b;

	if (x->start_ms < y->start_ms || x->start_ms > y->start_ms)
		return x->start_ms < y->start_ms ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

static void print_job(FILE *out, const struct job *j)
{
	time_t at = (time_t)floor(j->start_ms / 1000);
	char text[32];
	struct tm tm;

	localtime_r(&at, &tm);
	strftime(text, sizeof(text), "%d.%m.%Y %H:%M:%S", &tm);
	fprintf(out, "%s : %s : %s (%s)\n", text, j->id, j->name, j->state);
}

/* Returns how many there were. */
static unsigned print_kind(FILE *out, const struct job *jobs, unsigned n, enum job_kind kind,
    const char *title)
{
	unsigned found = 0;

	for (unsigned i = 0; i < n; i++) {
		if (kind_of(&jobs[i]) != kind)
			continue;
		if (found++ == 0)
			fprintf(out, "%s\n", title);
		print_job(out, &jobs[i]);
	}
	if (found > 0)
		fprintf(out, "--------------------------------------------------------------\n");
	return found;
}

static int read_job(struct job *j, const cJSON *item)
{
	const cJSON *start = cJSON_GetObjectItemCaseSensitive(item, "start-time");

	j->id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "jid"));
	j->name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "name"));
	j->state = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "state"));
	if (j->id == NULL || j->name == NULL || j->state == NULL || !cJSON_IsNumber(start))
		return -1;
	j->start_ms = start->valuedouble;
	return 0;
}

int cli_print_jobs(FILE *out, const cJSON *answer, const struct cli_args *a, struct err *e)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(answer, "jobs"), *item;
	bool everything = !a->running && !a->scheduled;
	struct job *jobs;
	unsigned n = 0;

	if (!cJSON_IsArray(list))
		return err_set(e, ERR_INTERNAL, "The server's answer has no list of jobs.");
	jobs = xcalloc((size_t)cJSON_GetArraySize(list) + 1, sizeof(*jobs));
	cJSON_ArrayForEach(item, list) {
		jobs[n].order = n;
		if (read_job(&jobs[n], item) != 0) {
			free(jobs);
			return err_set(e, ERR_INTERNAL,
			    "A job of the server's answer lacks id, name, state or start.");
		}
		n++;
	}
	qsort(jobs, n, sizeof(*jobs), by_start);
	if ((everything || a->running) &&
	    print_kind(out, jobs, n, JOB_IS_RUNNING,
		"------------------ Running/Restarting Jobs -------------------") == 0)
		fprintf(out, "No running jobs.\n");
	if ((everything || a->scheduled) &&
	    print_kind(out, jobs, n, JOB_IS_SCHEDULED,
		"----------------------- Scheduled/Initializing Jobs -----------------------") == 0)
		fprintf(out, "No scheduled jobs.\n");
	if (a->all)
		print_kind(out, jobs, n, JOB_IS_ENDED,
		    "---------------------- Terminated Jobs -----------------------");
	free(jobs);
	return 0;
}

int cli_list(const struct client *c, const struct cli_args *a, FILE *out, FILE *diag)
{
	struct err e;
	cJSON *answer;
	int rc;

	fprintf(out, "Waiting for response...\n");
	fflush(out);
	answer = client_request(c, "GET", "/v1/jobs/overview", "application/json", "", 0, &e);
	if (answer == NULL)
		return cli_fail(diag, "org.apache.flink.util.FlinkException: Failed to retrieve job list.",
		    &e);
	rc = cli_print_jobs(out, answer, a, &e);
	cJSON_Delete(answer);
	if (rc != 0)
		return cli_fail(diag, "org.apache.flink.util.FlinkException: Failed to retrieve job list.",
		    &e);
	return 0;
}
