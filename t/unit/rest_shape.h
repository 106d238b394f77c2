/* Recorded answers (t/flink-rest) and their comparison with those of a server, for rest_json_shapes.c. */
#ifndef T_UNIT_REST_SHAPE_H
#define T_UNIT_REST_SHAPE_H

#include <cjson/cJSON.h>

#include "base/file.h"
#include "t/unit/rest_http_client.h"

/* The recorded answer `name` of a file; borrowed until its end. */
static const cJSON *recorded(const char *file, const char *name)
{
	static struct {
		const char *file;
		cJSON *list;
	} loaded[16];
	const cJSON *item;
	size_t i = 0, len;
	struct err e;
	char *path, *text;

	while (loaded[i].file != NULL && (file == NULL || strcmp(loaded[i].file, file) != 0))
		i++;
	if (file == NULL) {
		while (i > 0)
			cJSON_Delete(loaded[--i].list);
		return NULL;
	}
	if (loaded[i].file == NULL) {
		path = xasprintf("t/flink-rest/%s.json", file);
		ASSERT(file_read(path, 1 << 24, &text, &len, &e) == 0);
		loaded[i].file = file;
		loaded[i].list = cJSON_Parse(text);
		free(path);
		free(text);
	}
	cJSON_ArrayForEach(item, loaded[i].list) {
		if (strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(item, "name")), name) == 0)
			return item;
	}
	return NULL;
}

static const char *type_name(const cJSON *j)
{
	return cJSON_IsObject(j) ? "object" :
	    cJSON_IsArray(j)     ? "array" :
	    cJSON_IsString(j)    ? "string" :
	    cJSON_IsNumber(j)    ? "number" :
	    cJSON_IsBool(j)      ? "bool" :
				   "null";
}

/* Keys that Weir may add or leave out. */
static bool is_free(const char *key)
{
	return strcmp(key, "pending-operators") == 0 || strcmp(key, "location") == 0 ||
	    strcmp(key, "taskName") == 0 || strcmp(key, "className") == 0;
}

static char differs[512];

/* Whether got has the shape of want; the first difference in `differs`. Arrays: of the same length element
 * by element, else each like the first recorded one; an empty one fits any. */
static bool same_shape(const char *at, const cJSON *got, const cJSON *want)
{
	const cJSON *item;
	char path[256];
	int i = 0;

	if (strcmp(type_name(got), type_name(want)) != 0) {
		snprintf(differs, sizeof(differs), "%s is a %s, recorded is a %s", at, type_name(got),
		    type_name(want));
		return false;
	}
	cJSON_ArrayForEach(item, want) {
		const cJSON *other =
		    cJSON_IsObject(want) ? cJSON_GetObjectItemCaseSensitive(got, item->string) : item;

		snprintf(path, sizeof(path), "%s.%s", at, cJSON_IsObject(want) ? item->string : "[]");
		if (other == NULL && !is_free(item->string)) {
			snprintf(differs, sizeof(differs), "%s is missing", path);
			return false;
		}
		if (cJSON_IsObject(want) && other != NULL && !same_shape(path, other, item))
			return false;
	}
	cJSON_ArrayForEach(item, got) {
		snprintf(path, sizeof(path), "%s.%s", at, cJSON_IsObject(got) ? item->string : "[]");
		if (cJSON_IsObject(got) && cJSON_GetObjectItemCaseSensitive(want, item->string) == NULL &&
		    !is_free(item->string)) {
			snprintf(differs, sizeof(differs), "%s is not recorded", path);
			return false;
		}
		if (cJSON_IsArray(got) && cJSON_GetArraySize(want) > 0 &&
		    !same_shape(path, item,
			cJSON_GetArrayItem(want,
			    cJSON_GetArraySize(want) == cJSON_GetArraySize(got) ? i++ : 0)))
			return false;
	}
	return true;
}

/* A member by its way down; numbers are positions. */
static const cJSON *member(const cJSON *j, const char *path)
{
	char key[64];

	while (j != NULL && *path != '\0') {
		size_t len = strcspn(path, "/");

		snprintf(key, sizeof(key), "%.*s", (int)len, path);
		j = cJSON_IsArray(j) ? cJSON_GetArrayItem(j, (int)strtol(key, NULL, 10)) :
				       cJSON_GetObjectItemCaseSensitive(j, key);
		path += len + (path[len] == '/');
	}
	return j;
}

/* Ask; compare status and shape with what was recorded. The answer, freed by the caller. */
static cJSON *shape_is(const char *method, const char *path, const char *body, const char *file,
    const char *name)
{
	const cJSON *want = recorded(file, name);
	char *answer = client_call(method, path, body);
	cJSON *got = cJSON_Parse(body_of(answer));
	const char *status;

	if (!ok(want != NULL, "%s/%s is recorded", file, name)) {
		free(answer);
		return got;
	}
	status = cJSON_GetStringValue(cJSON_GetObjectItem(want, "status"));
	ok(strncmp(answer, status, 12) == 0, "%s %s: %s", method, path, status);
	ok(strstr(answer, "\r\nContent-Type: application/json; charset=UTF-8\r\n") != NULL, "%s %s: is JSON",
	    method, path);
	if (!ok(same_shape("", got, cJSON_GetObjectItem(want, "body")), "%s %s: shaped as %s/%s", method,
		path, file, name))
		diag("%s", differs);
	free(answer);
	return got;
}

static void shape_only(const char *method, const char *path, const char *body, const char *file,
    const char *name)
{
	cJSON_Delete(shape_is(method, path, body, file, name));
}

/* An error: its status and the first line of its first message are the recorded ones. */
static void error_is(const char *method, const char *path, const char *body, const char *name)
{
	cJSON *got = shape_is(method, path, body, "err", name);
	const cJSON *want = member(cJSON_GetObjectItem(recorded("err", name), "body"), "errors");
	const char *mine = cJSON_GetStringValue(member(got, "errors/0"));
	const char *theirs = cJSON_GetStringValue(cJSON_GetArrayItem(want, 0));
	char first[1024], recorded_first[1024];

	snprintf(first, sizeof(first), "%.*s", (int)strcspn(mine, "\n"), mine);
	snprintf(recorded_first, sizeof(recorded_first), "%.*s", (int)strcspn(theirs, "\n"), theirs);
	is_str(first, recorded_first, "%s %s: first line of the error", method, path);
	is_int(cJSON_GetArraySize(member(got, "errors")), cJSON_GetArraySize(want), "%s %s: messages", method,
	    path);
	cJSON_Delete(got);
}

#endif
