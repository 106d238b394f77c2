/* Helpers over cJSON. */
#include "rest/json.h"

#include <inttypes.h>

#include "base/err.h"
#include "base/mem.h"

void json_init(void)
{
	static cJSON_Hooks hooks = { xmalloc, free };

	cJSON_InitHooks(&hooks);
}

static void add(cJSON *to, const char *key, cJSON *item)
{
	ASSERT(item != NULL);
	if (to == NULL)
		return;
	if (key != NULL)
		cJSON_AddItemToObject(to, key, item);
	else
		cJSON_AddItemToArray(to, item);
}

cJSON *json_object(cJSON *to, const char *key)
{
	cJSON *item = cJSON_CreateObject();

	add(to, key, item);
	return item;
}

cJSON *json_array(cJSON *to, const char *key)
{
	cJSON *item = cJSON_CreateArray();

	add(to, key, item);
	return item;
}

/* Length of the UTF-8 sequence at s, 0 where it is not one. */
static unsigned utf8_len(const unsigned char *s)
{
	unsigned n;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	for (unsigned i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, and beyond U+10FFFF. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

/* A copy in which every byte that is no UTF-8 is U+FFFD; NULL where s is good as it is. */
static char *repair_utf8(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t bad = 0, n = 0;
	char *out;

	for (const unsigned char *q = p; *q != '\0';) {
		unsigned len = utf8_len(q);

		bad += len == 0;
		q += len > 0 ? len : 1;
	}
	if (bad == 0)
		return NULL;
	out = xmalloc(strlen(s) + 2 * bad + 1);
	while (*p != '\0') {
		unsigned len = utf8_len(p);

		if (len > 0) {
			memcpy(out + n, p, len);
			n += len;
			p += len;
		} else {
			memcpy(out + n, "\xef\xbf\xbd", 3);
			n += 3;
			p++;
		}
	}
	out[n] = '\0';
	return out;
}

void json_str(cJSON *to, const char *key, const char *value)
{
	char *repaired;

	if (value == NULL) {
		json_null(to, key);
		return;
	}
	repaired = repair_utf8(value);
	add(to, key, cJSON_CreateString(repaired != NULL ? repaired : value));
	free(repaired);
}

void json_i64(cJSON *to, const char *key, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, value);
	add(to, key, cJSON_CreateRaw(text));
}

void json_double(cJSON *to, const char *key, double value)
{
	char text[40];

	/* JSON has no NaN; Flink writes it as a string. */
	if (value != value) {
		json_str(to, key, "NaN");
		return;
	}
	snprintf(text, sizeof(text), "%.15g", value);
	if (strpbrk(text, ".en") == NULL)
		snprintf(text, sizeof(text), "%.1f", value);
	add(to, key, cJSON_CreateRaw(text));
}

void json_bool(cJSON *to, const char *key, bool value)
{
	add(to, key, cJSON_CreateBool(value));
}

void json_null(cJSON *to, const char *key)
{
	add(to, key, cJSON_CreateNull());
}

char *json_finish(cJSON *j)
{
	char *text = cJSON_PrintUnformatted(j);

	ASSERT(text != NULL);
	cJSON_Delete(j);
	return text;
}
