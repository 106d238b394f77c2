/* Answers and parameters of a call. */
#include "rest/call.h"

#include <stdarg.h>

#include "base/mem.h"
#include "rest/http.h"
#include "rest/router.h"

#define JSON_TYPE "application/json; charset=UTF-8"

void rest_reply(struct rest_call *c, int status, cJSON *answer)
{
	char *text = json_finish(answer);

	if (c->req != NULL)
		http_respond(c->req, status, JSON_TYPE, text, strlen(text));
	free(text);
}

void rest_fail(struct rest_call *c, int status, const char *class_name, const char *fmt, ...)
{
	cJSON *answer = json_object(NULL, NULL);
	cJSON *errors = json_array(answer, "errors");
	char sentence[2 * ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	if (class_name != NULL)
		json_str(errors, NULL, gw_printf(c->arena, "%s: %s", class_name, sentence));
	else
		json_str(errors, NULL, sentence);
	rest_reply(c, status, answer);
}

void rest_fail_internal(struct rest_call *c, const char *fmt, ...)
{
	cJSON *answer = json_object(NULL, NULL);
	cJSON *errors = json_array(answer, "errors");
	char sentence[2 * ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	json_str(errors, NULL, "Internal server error.");
	json_str(errors, NULL,
	    gw_printf(c->arena, "<Exception on server side:\n%s\n\nEnd of exception on server side>",
		sentence));
	rest_reply(c, 500, answer);
}

void rest_fail_err(struct rest_call *c, const struct err *e)
{
	int status = err_http_status(e->code);

	if (status == 500)
		rest_fail_internal(c, "%s: %s", REST_HANDLER_EXCEPTION, e->msg);
	else
		rest_fail(c, status, REST_HANDLER_EXCEPTION, "%s", e->msg);
}

void rest_call_hold(struct rest_call *c)
{
	c->refs++;
}

void rest_call_release(struct rest_call *c)
{
	if (--c->refs > 0)
		return;
	url_fini(&c->url);
	cJSON_Delete(c->body);
	upload_destroy(c->upload);
	gw_arena_destroy(c->arena);
	free(c->text);
	free(c);
}

const char *rest_param(const struct rest_call *c, const char *name)
{
	int i = route_param_index(c->route, name);

	ASSERT(i >= 0);
	return c->params[i];
}

bool rest_param_id(struct rest_call *c, const char *name, struct id128 *id)
{
	const char *value = rest_param(c, name);
	char hex[ID_HEX_SIZE];

	/* Flink looks at the first 32 digits and no further. */
	snprintf(hex, sizeof(hex), "%s", value);
	if (id_parse(id, hex) == 0)
		return true;
	rest_fail_param(c, name, value);
	return false;
}

void rest_fail_param(struct rest_call *c, const char *name, const char *value)
{
	rest_fail(c, 400, REST_HANDLER_EXCEPTION,
	    "Bad request, could not parse parameters: "
	    "Cannot resolve path parameter (%s) from value \"%s\".",
	    name, value);
}

void rest_fail_query(struct rest_call *c, const char *name, const char *value)
{
	rest_fail(c, 400, REST_HANDLER_EXCEPTION,
	    "Bad request, could not parse parameters: "
	    "Cannot resolve query parameter (%s) from value \"%s\".",
	    name, value);
}

bool rest_query_int(struct rest_call *c, const char *name, int64_t min, int64_t max, int64_t *value)
{
	const char *text = url_query(&c->url, name);

	if (text == NULL || conf_parse_i64(text, min, max, value, NULL) == 0)
		return true;
	rest_fail_query(c, name, text);
	return false;
}
