/*
 * The rows of conf_keys.def: what they say, where their values are kept, what
 * each of them takes.
 */
#include "base/conf_row.h"

#include <inttypes.h>
#include <pthread.h>

#include "base/file.h"
#include "base/mem.h"

#define MAX_ALLOWED_TEXT 96

enum kind { KIND_INT, KIND_DURATION, KIND_SECONDS, KIND_MEMORY, KIND_BOOL, KIND_STR, KIND_PATH, KIND_ENUM };

struct row {
	enum kind kind;
	size_t offset; /* of the value in struct conf */
	int64_t min, max;
};

/* clang-format off */
#define CONF_INT(member, key, def, min, max, reload, sentence) \
	{ KIND_INT, offsetof(struct conf, member), (min), (max) },
#define CONF_DURATION(member, key, def, min, max, reload, sentence) \
	{ KIND_DURATION, offsetof(struct conf, member##_ms), (min), (max) },
#define CONF_SECONDS(member, key, def, min, max, reload, sentence) \
	{ KIND_SECONDS, offsetof(struct conf, member##_ms), (min), (max) },
#define CONF_MEMORY(member, key, def, min, max, reload, sentence) \
	{ KIND_MEMORY, offsetof(struct conf, member##_bytes), (min), (max) },
#define CONF_BOOL(member, key, def, reload, sentence) { KIND_BOOL, offsetof(struct conf, member), 0, 0 },
#define CONF_STR(member, key, def, reload, sentence)  { KIND_STR, offsetof(struct conf, member), 0, 0 },
#define CONF_PATH(member, key, def, reload, sentence) { KIND_PATH, offsetof(struct conf, member), 0, 0 },
#define CONF_ENUM(member, key, def, allowed, reload, sentence) { KIND_ENUM, offsetof(struct conf, member), 0, 0 },
static const struct row rows[] = {
#include "base/conf_keys.def"
};
#undef CONF_INT
#undef CONF_DURATION
#undef CONF_SECONDS
#undef CONF_MEMORY
#undef CONF_BOOL
#undef CONF_STR
#undef CONF_PATH
#undef CONF_ENUM

/* allowed is the word list of an ENUM here and becomes a text for people at first use. */
#define CONF_INT(member, key, def, min, max, reload, sentence)      { key, "int", #def, NULL, sentence, reload },
#define CONF_DURATION(member, key, def, min, max, reload, sentence) { key, "duration", def, NULL, sentence, reload },
#define CONF_SECONDS(member, key, def, min, max, reload, sentence)  { key, "duration", def, NULL, sentence, reload },
#define CONF_MEMORY(member, key, def, min, max, reload, sentence)   { key, "memory", def, NULL, sentence, reload },
#define CONF_BOOL(member, key, def, reload, sentence)               { key, "bool", #def, NULL, sentence, reload },
#define CONF_STR(member, key, def, reload, sentence)                { key, "string", def, NULL, sentence, reload },
#define CONF_PATH(member, key, def, reload, sentence)               { key, "path", def, NULL, sentence, reload },
#define CONF_ENUM(member, key, def, allowed, reload, sentence)      { key, "enum", def, allowed, sentence, reload },
static const struct conf_row row_texts[] = {
#include "base/conf_keys.def"
};
/* clang-format on */

#define N_ROWS ARRAY_LEN(rows)

static struct conf_row public_rows[N_ROWS];
static char allowed_texts[N_ROWS][MAX_ALLOWED_TEXT];

static void describe_row(unsigned i)
{
	const struct row *r = &rows[i];
	char *out = allowed_texts[i], min[32], max[32];

	public_rows[i] = row_texts[i];
	public_rows[i].allowed = out;
	switch (r->kind) {
	case KIND_INT:
		snprintf(out, MAX_ALLOWED_TEXT, "%" PRId64 " to %" PRId64, r->min, r->max);
		return;
	case KIND_DURATION:
	case KIND_SECONDS:
		conf_format_duration(r->min, min, sizeof(min));
		conf_format_duration(r->max, max, sizeof(max));
		snprintf(out, MAX_ALLOWED_TEXT, "%s to %s", min, max);
		return;
	case KIND_MEMORY:
		conf_format_memory(r->min, min, sizeof(min));
		conf_format_memory(r->max, max, sizeof(max));
		snprintf(out, MAX_ALLOWED_TEXT, "%s to %s", min, max);
		return;
	case KIND_BOOL:
		snprintf(out, MAX_ALLOWED_TEXT, "true or false");
		return;
	case KIND_STR:
		snprintf(out, MAX_ALLOWED_TEXT, "any text");
		return;
	case KIND_PATH:
		snprintf(out, MAX_ALLOWED_TEXT, "a local path: /dir, file:/dir or file:///dir");
		return;
	case KIND_ENUM:
		snprintf(out, MAX_ALLOWED_TEXT, "one of: %s", row_texts[i].allowed);
		return;
	}
}

static void describe_rows(void)
{
	for (unsigned i = 0; i < N_ROWS; i++)
		describe_row(i);
}

unsigned conf_n_rows(void)
{
	return N_ROWS;
}

const struct conf_row *conf_row_at(unsigned i)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	ASSERT(i < N_ROWS);
	ASSERT(pthread_once(&once, describe_rows) == 0);
	return &public_rows[i];
}

static void *member_of(struct conf *c, unsigned i)
{
	return (char *)c + rows[i].offset;
}

static char *text_of(const struct conf *c, unsigned i)
{
	char *text;

	memcpy(&text, (const char *)c + rows[i].offset, sizeof(text));
	return text;
}

static bool is_text(enum kind kind)
{
	return kind == KIND_STR || kind == KIND_PATH || kind == KIND_ENUM;
}

/* The word of a blank-separated list that is value in any case of letters; caller frees. */
static char *word_of(const char *list, const char *value)
{
	size_t len = strlen(value);

	for (const char *p = list; *p != '\0';) {
		size_t word_len = strcspn(p, " ");

		if (word_len == len && len > 0 && strncasecmp(p, value, len) == 0)
			return xstrndup(p, len);
		p += word_len;
		p += strspn(p, " ");
	}
	return NULL;
}

static int set_number(struct conf *c, unsigned i, const char *value, struct err *e)
{
	const struct row *r = &rows[i];
	char *with_unit = NULL;
	int64_t v;
	int rc;

	switch (r->kind) {
	case KIND_INT:
		rc = conf_parse_i64(value, r->min, r->max, &v, e);
		break;
	case KIND_MEMORY:
		rc = conf_parse_memory(value, &v, e);
		break;
	case KIND_SECONDS:
		if (value[0] != '\0' && value[strspn(value, "0123456789")] == '\0')
			value = with_unit = xasprintf("%s s", value);
		rc = conf_parse_duration(value, &v, e);
		break;
	default:
		rc = conf_parse_duration(value, &v, e);
		break;
	}
	if (rc == 0 && (v < r->min || v > r->max))
		rc = err_set(e, ERR_CONFIG, "'%s' is out of range", value);
	if (rc == 0)
		memcpy(member_of(c, i), &v, sizeof(v));
	free(with_unit);
	return rc;
}

static int set_text(struct conf *c, unsigned i, const char *value, struct err *e)
{
	char *text, *old = text_of(c, i);

	switch (rows[i].kind) {
	case KIND_ENUM:
		text = word_of(row_texts[i].allowed, value);
		if (text == NULL)
			return err_set(e, ERR_CONFIG, "'%s' is not known", value);
		break;
	case KIND_PATH:
		/* Empty: the default, which is found by who needs it. */
		text = value[0] == '\0' ? xstrdup("") : file_path_from_uri(value, e);
		if (text == NULL)
			return -1;
		break;
	default:
		text = xstrdup(value);
		break;
	}
	free(old);
	memcpy(member_of(c, i), &text, sizeof(text));
	return 0;
}

int conf_row_set(struct conf *c, unsigned i, const char *value, struct err *e)
{
	bool truth;

	if (is_text(rows[i].kind))
		return set_text(c, i, value, e);
	if (rows[i].kind != KIND_BOOL)
		return set_number(c, i, value, e);
	if (conf_parse_bool(value, &truth, e) < 0)
		return -1;
	memcpy(member_of(c, i), &truth, sizeof(truth));
	return 0;
}

void conf_row_set_defaults(struct conf *c)
{
	struct err e;

	for (unsigned i = 0; i < N_ROWS; i++)
		ASSERT(conf_row_set(c, i, row_texts[i].def, &e) == 0);
}

void conf_row_free_values(struct conf *c)
{
	for (unsigned i = 0; i < N_ROWS; i++)
		if (is_text(rows[i].kind))
			free(text_of(c, i));
}

int conf_row_find(const char *key)
{
	for (unsigned i = 0; i < N_ROWS; i++)
		if (strcmp(row_texts[i].key, key) == 0)
			return (int)i;
	return -1;
}

const char *conf_row_nearest(const char *key)
{
	const char *words[N_ROWS];

	for (unsigned i = 0; i < N_ROWS; i++)
		words[i] = row_texts[i].key;
	return conf_nearest(key, words, N_ROWS);
}

char *conf_row_value(const struct conf *c, unsigned i)
{
	const struct conf_pair *p;

	ASSERT(i < N_ROWS);
	if (is_text(rows[i].kind))
		return xstrdup(text_of(c, i));
	/* As it was written: "10 s" and "10000" are both good, and people know what they wrote. */
	p = conf_pair_of(c, row_texts[i].key);
	return xstrdup(p != NULL ? p->value : row_texts[i].def);
}
