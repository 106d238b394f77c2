/*
 * JSON bodies of requests, each of a declared shape: an unknown field or a wrong type is
 * refused before a handler sees it.  A field may be missing or null.
 */
#ifndef REST_BODY_H
#define REST_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

enum body_kind {
	BODY_EMPTY, /* nothing, or {} */
	BODY_FILE,  /* one file of a multipart body */
	BODY_JAR_RUN,
	BODY_SAVEPOINT,
	BODY_STOP,
	BODY_DISPOSAL,
	BODY_N_KINDS
};

/* The name that messages call it by, "JarRunRequestBody". */
const char *body_kind_name(enum body_kind kind);
/* text[0..len), NUL behind; nothing or blanks are {}. NULL: not of that shape.
 * Freed with cJSON_Delete. */
cJSON *body_parse(enum body_kind kind, const char *text, size_t len);

/* The last value of a field, NULL where it is missing or null. */
const cJSON *body_field(const cJSON *body, const char *name);
const char *body_str(const cJSON *body, const char *name);
/* An integer, also where it came as a string of digits; false: missing. */
bool body_int(const cJSON *body, const char *name, int64_t *value);
bool body_bool(const cJSON *body, const char *name, bool missing);

#endif
