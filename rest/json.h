/*
 * Small helpers over cJSON: members are added to an object or, with key NULL, to an
 * array.  64-bit integers go in raw, since cJSON's numbers are doubles; strings are
 * made valid UTF-8 on their way, since names come from users.
 */
#ifndef REST_JSON_H
#define REST_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include <cjson/cJSON.h>

/* cJSON's memory comes from base/mem. Called once, before anything else here. */
void json_init(void);

cJSON *json_object(cJSON *to, const char *key); /* to NULL: a root */
cJSON *json_array(cJSON *to, const char *key);
void json_str(cJSON *to, const char *key, const char *value); /* NULL: null */
void json_i64(cJSON *to, const char *key, int64_t value);
void json_double(cJSON *to, const char *key, double value); /* with a point, as Java prints it */
void json_bool(cJSON *to, const char *key, bool value);
void json_null(cJSON *to, const char *key);

/* The text without blanks; caller frees. Deletes j. */
char *json_finish(cJSON *j);

#endif
