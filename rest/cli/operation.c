/* Operations that take time: begun by one request, asked after by others until they have ended. */
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "rest/cli/cli.h"

/* A savepoint of a small state is there after some milliseconds; a large one is asked for less often. */
#define POLL_FIRST_MS 10
#define POLL_LAST_MS  500

static void pause_ms(int64_t ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* Why it failed, as the server's side would say it. */
static void set_failure(struct err *e, const cJSON *failure)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(failure, "stack-trace"));

	err_set(e, ERR_USER, "%s", text != NULL ? text : "The server gives no reason.");
}

/* Until the operation at path has ended. Its result is detached from the answer. */
static cJSON *wait_for_end(const struct client *c, const char *path, struct err *e)
{
	for (int64_t ms = POLL_FIRST_MS;; ms = ms * 3 / 2 < POLL_LAST_MS ? ms * 3 / 2 : POLL_LAST_MS) {
		cJSON *answer = client_request(c, "GET", path, "application/json", "{}", 2, e);
		const cJSON *status = cJSON_GetObjectItemCaseSensitive(answer, "status"), *failure;
		const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(status, "id"));
		cJSON *operation = NULL;
		bool ended = id != NULL && strcmp(id, "COMPLETED") == 0;

		if (answer == NULL)
			return NULL;
		if (id == NULL || (!ended && strcmp(id, "IN_PROGRESS") != 0)) {
			cJSON_Delete(answer);
			err_set(e, ERR_INTERNAL, "The server's answer does not say how far the request is.");
			return NULL;
		}
		if (ended)
			operation = cJSON_DetachItemFromObjectCaseSensitive(answer, "operation");
		cJSON_Delete(answer);
		if (ended && operation == NULL)
			operation = cJSON_CreateObject();
		if (ended) {
			failure = cJSON_GetObjectItemCaseSensitive(operation, "failure-cause");
			if (failure == NULL)
				return operation;
			set_failure(e, failure);
			cJSON_Delete(operation);
			return NULL;
		}
		pause_ms(ms);
	}
}

cJSON *cli_operation(const struct client *c, const char *path, const char *body, const char *poll,
    struct err *e)
{
	cJSON *answer = client_request(c, "POST", path, "application/json", body, strlen(body), e),
	      *operation = NULL;
	const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "request-id"));
	char *poll_path;
	struct id128 request;

	if (id != NULL && id_parse(&request, id) == 0) {
		poll_path = xasprintf("%s/%s", poll, id);
		operation = wait_for_end(c, poll_path, e);
		free(poll_path);
	} else if (answer != NULL) {
		err_set(e, ERR_INTERNAL, "The server's answer has no request id.");
	}
	cJSON_Delete(answer);
	return operation;
}

char *cli_take_savepoint(const struct client *c, const char *job_hex, const char *route, const char *body,
    struct err *e)
{
	char *path = xasprintf("/v1/jobs/%s/%s", job_hex, route);
	char *poll = xasprintf("/v1/jobs/%s/savepoints", job_hex), *location = NULL;
	cJSON *operation = cli_operation(c, path, body, poll, e);
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(operation, "location"));

	if (text != NULL)
		location = xstrdup(text);
	else if (operation != NULL)
		err_set(e, ERR_INTERNAL, "The server's answer does not say where the savepoint is.");
	cJSON_Delete(operation);
	free(path);
	free(poll);
	return location;
}

char *cli_place(const char *path)
{
	char *cwd, *place;

	/* "file:/sp" has its scheme before the first slash. */
	if (path == NULL || path[0] == '/' || path[0] == '\0' || path[strcspn(path, ":/")] == ':')
		return path != NULL ? xstrdup(path) : NULL;
	cwd = getcwd(NULL, 0);
	place = cwd != NULL ? xasprintf("%s/%s", cwd, path) : xstrdup(path);
	free(cwd);
	return place;
}

char *cli_savepoint_body(const char *key, const char *target, const char *flag, bool value)
{
	cJSON *body = cJSON_CreateObject();
	char *text, *place = cli_place(target);

	if (place != NULL)
		cJSON_AddStringToObject(body, key, place);
	else
		cJSON_AddNullToObject(body, key);
	free(place);
	cJSON_AddBoolToObject(body, flag, value);
	text = cJSON_PrintUnformatted(body);
	cJSON_Delete(body);
	ASSERT(text != NULL);
	return text;
}
