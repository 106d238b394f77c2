/* JSON bodies of requests. */
#include "rest/body.h"

#include <string.h>

#include "base/conf.h"
#include "base/id.h"
#include "base/mem.h"

enum field_type { FIELD_STR, FIELD_STRS, FIELD_INT, FIELD_BOOL, FIELD_ID, FIELD_FORMAT };

struct field {
	const char *name; /* NULL behind the last */
	enum field_type type;
};

static const struct body_shape {
	const char *name;
	struct field fields[8];
} shapes[BODY_N_KINDS] = {
	[BODY_EMPTY] = { "EmptyRequestBody", { { NULL, 0 } } },
	[BODY_FILE] = { "EmptyRequestBody", { { NULL, 0 } } },
	[BODY_JAR_RUN] = { "JarRunRequestBody",
	    {
		{ "entryClass", FIELD_STR },
		{ "programArgs", FIELD_STR },
		{ "programArgsList", FIELD_STRS },
		{ "parallelism", FIELD_INT },
		{ "jobId", FIELD_STR },
		{ "allowNonRestoredState", FIELD_BOOL },
		{ "savepointPath", FIELD_STR },
		{ NULL, 0 },
	    } },
	/* Clients of 2.x send formatType and triggerId too. */
	[BODY_SAVEPOINT] = { "SavepointTriggerRequestBody",
	    {
		{ "target-directory", FIELD_STR },
		{ "cancel-job", FIELD_BOOL },
		{ "formatType", FIELD_FORMAT },
		{ "triggerId", FIELD_ID },
		{ NULL, 0 },
	    } },
	[BODY_STOP] = { "StopWithSavepointRequestBody",
	    {
		{ "targetDirectory", FIELD_STR },
		{ "drain", FIELD_BOOL },
		{ "formatType", FIELD_FORMAT },
		{ "triggerId", FIELD_ID },
		{ NULL, 0 },
	    } },
	[BODY_DISPOSAL] = { "SavepointDisposalRequest", { { "savepoint-path", FIELD_STR }, { NULL, 0 } } },
};

const char *body_kind_name(enum body_kind kind)
{
	return shapes[kind].name;
}

static bool int_of(const cJSON *item, int64_t *value)
{
	if (cJSON_IsString(item))
		return conf_parse_i64(item->valuestring, INT32_MIN, INT32_MAX, value, NULL) == 0;
	if (!cJSON_IsNumber(item) || !(item->valuedouble >= INT32_MIN && item->valuedouble <= INT32_MAX))
		return false;
	*value = (int64_t)item->valuedouble;
	return (double)*value == item->valuedouble;
}

static bool type_fits(const cJSON *item, enum field_type type)
{
	const cJSON *child;
	struct id128 id;
	int64_t value;

	switch (type) {
	case FIELD_STR:
		return cJSON_IsString(item);
	case FIELD_STRS:
		if (!cJSON_IsArray(item))
			return false;
		cJSON_ArrayForEach(child, item) {
			if (!cJSON_IsString(child))
				return false;
		}
		return true;
	case FIELD_INT:
		return int_of(item, &value);
	case FIELD_BOOL:
		return cJSON_IsBool(item);
	case FIELD_ID:
		return cJSON_IsString(item) && id_parse(&id, item->valuestring) == 0;
	case FIELD_FORMAT:
		return cJSON_IsString(item) &&
		    (strcmp(item->valuestring, "CANONICAL") == 0 || strcmp(item->valuestring, "NATIVE") == 0);
	}
	return false;
}

static bool shape_fits(const struct body_shape *shape, const cJSON *body)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, body) {
		const struct field *f = shape->fields;

		while (f->name != NULL && strcmp(f->name, item->string) != 0)
			f++;
		if (f->name == NULL || (!cJSON_IsNull(item) && !type_fits(item, f->type)))
			return false;
	}
	return true;
}

cJSON *body_parse(enum body_kind kind, const char *text, size_t len)
{
	cJSON *body;

	if (text == NULL || strspn(text, " \t\r\n") == len)
		return cJSON_CreateObject();
	/* A NUL, plain or escaped, would cut a string short without a word. */
	if (strlen(text) != len || strstr(text, "\\u0000") != NULL)
		return NULL;
	body = cJSON_ParseWithOpts(text, NULL, 1);
	if (body != NULL && cJSON_IsObject(body) && shape_fits(&shapes[kind], body))
		return body;
	cJSON_Delete(body);
	return NULL;
}

const cJSON *body_field(const cJSON *body, const char *name)
{
	const cJSON *item, *found = NULL;

	cJSON_ArrayForEach(item, body) {
		if (strcmp(item->string, name) == 0)
			found = item;
	}
	return found == NULL || cJSON_IsNull(found) ? NULL : found;
}

const char *body_str(const cJSON *body, const char *name)
{
	const cJSON *item = body_field(body, name);

	return item != NULL ? item->valuestring : NULL;
}

bool body_int(const cJSON *body, const char *name, int64_t *value)
{
	const cJSON *item = body_field(body, name);

	return item != NULL && int_of(item, value);
}

bool body_bool(const cJSON *body, const char *name, bool missing)
{
	const cJSON *item = body_field(body, name);

	return item != NULL ? cJSON_IsTrue(item) != 0 : missing;
}
