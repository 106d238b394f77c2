/*
 * Reading the configuration: lines to pairs by Flink's rules, pairs to values by
 * the rows of conf_keys.def, then what only several keys together can violate.
 */
#include "base/conf.h"

#include "base/conf_flink.h"
#include "base/conf_row.h"
#include "base/file.h"
#include "base/mem.h"

#define MAX_FILE_BYTES (1 << 20)
#define MAX_KEYS       4096 /* far more than there are; what is read has to be checked in a moment */

const struct conf_pair *conf_pair_of(const struct conf *c, const char *key)
{
	for (unsigned i = 0; i < c->n_pairs; i++)
		if (strcmp(c->pairs[i].key, key) == 0)
			return &c->pairs[i];
	return NULL;
}

/* Where a pair stands, as errors and warnings begin; caller frees. */
static char *place_of(const struct conf *c, unsigned line)
{
	return line > 0 ? xasprintf("%s:%u", c->file, line) : xstrdup("-D");
}

struct loader {
	struct conf *c;
	unsigned cap;
	bool too_many;
	conf_warn_fn *warn;
	void *arg;
};

static void warn_at(const struct loader *l, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void warn_at(const struct loader *l, unsigned line, const char *fmt, ...)
{
	char *place, *sentence, *warning;
	va_list ap;

	if (l->warn == NULL)
		return;
	va_start(ap, fmt);
	if (vasprintf(&sentence, fmt, ap) < 0)
		sentence = NULL;
	va_end(ap);
	ASSERT(sentence != NULL);
	place = place_of(l->c, line);
	warning = xasprintf("%s: %s", place, sentence);
	l->warn(l->arg, warning);
	free(warning);
	free(place);
	free(sentence);
}

/* [*start, *start + *len) without blanks at both ends, by Java's trim. */
static void trim(const char **start, size_t *len)
{
	while (*len > 0 && (unsigned char)**start <= ' ') {
		(*start)++;
		(*len)--;
	}
	while (*len > 0 && (unsigned char)(*start)[*len - 1] <= ' ')
		(*len)--;
}

/* The last one of a key wins and takes the place of the first. */
static void add_pair(struct loader *l, const char *key, size_t key_len, const char *value, size_t value_len,
    unsigned line)
{
	struct conf *c = l->c;
	char *new_key = xstrndup(key, key_len);
	struct conf_pair *p = NULL;

	for (unsigned i = 0; i < c->n_pairs && p == NULL; i++)
		if (strcmp(c->pairs[i].key, new_key) == 0)
			p = &c->pairs[i];
	if (p == NULL && c->n_pairs == MAX_KEYS) {
		l->too_many = true;
		free(new_key);
		return;
	}
	if (p == NULL) {
		VEC_RESERVE(c->pairs, c->n_pairs, l->cap);
		p = &c->pairs[c->n_pairs++];
		p->key = new_key;
	} else {
		free(new_key);
		free(p->value);
	}
	p->value = xstrndup(value, value_len);
	p->line = line;
}

static void read_line(struct loader *l, const char *text, size_t len, unsigned line)
{
	const char *comment = memchr(text, '#', len), *separator, *key, *value;
	size_t key_len, value_len;

	if (comment != NULL)
		len = (size_t)(comment - text);
	trim(&text, &len);
	if (len == 0)
		return;
	if (memchr(text, '\0', len) != NULL) {
		warn_at(l, line, "the line has a zero byte and is ignored");
		return;
	}
	separator = memmem(text, len, ": ", 2);
	if (separator == NULL) {
		/* Not the whole line: what follows may be a password. */
		for (key_len = 0; key_len < len && text[key_len] != ':' && text[key_len] != ' '; key_len++)
			;
		warn_at(l, line, "'%.*s' has no value behind ': '; the line is ignored", (int)key_len, text);
		return;
	}
	key = text;
	key_len = (size_t)(separator - text);
	value = separator + 2;
	value_len = len - key_len - 2;
	trim(&key, &key_len);
	trim(&value, &value_len);
	if (key_len == 0 || value_len == 0) {
		warn_at(l, line, "the line has no %s and is ignored", key_len == 0 ? "key" : "value");
		return;
	}
	add_pair(l, key, key_len, value, value_len, line);
}

static int read_conf_file(struct loader *l, struct err *e)
{
	const char *p, *end;
	unsigned line = 0;
	char *data;
	size_t len;

	if (file_read(l->c->file, MAX_FILE_BYTES, &data, &len, e) < 0) {
		e->code = ERR_CONFIG;
		return err_prefix(e, "configuration");
	}
	/* A line ends with LF, CR or CR LF. */
	for (p = data, end = data + len; p < end && !l->too_many;) {
		const char *eol = p;

		while (eol < end && *eol != '\n' && *eol != '\r')
			eol++;
		read_line(l, p, (size_t)(eol - p), ++line);
		p = eol + 1;
		if (eol < end && *eol == '\r' && p < end && *p == '\n')
			p++;
	}
	free(data);
	if (l->too_many)
		return err_set(e, ERR_CONFIG, "%s:%u: more than %d keys", l->c->file, line, MAX_KEYS);
	return 0;
}

static int read_override(struct loader *l, const char *text, struct err *e)
{
	const char *equals = strchr(text, '='), *key = text, *value;
	size_t key_len = equals != NULL ? (size_t)(equals - text) : 0, value_len;

	trim(&key, &key_len);
	if (equals == NULL || key_len == 0)
		return err_set(e, ERR_CONFIG, "-D %s: not of the form key=value", text);
	value = equals + 1;
	value_len = strlen(value);
	trim(&value, &value_len);
	add_pair(l, key, key_len, value, value_len, 0);
	if (l->too_many)
		return err_set(e, ERR_CONFIG, "-D %s: more than %d keys", text, MAX_KEYS);
	return 0;
}

static void warn_unknown(const struct loader *l, const struct conf_pair *p)
{
	const char *nearest;

	if (conf_flink_has_key(p->key)) {
		warn_at(l, p->line, "%s: this key of Flink has no effect here", p->key);
		return;
	}
	nearest = conf_row_nearest(p->key);
	if (nearest != NULL)
		warn_at(l, p->line, "%s: unknown key, it has no effect; is %s meant?", p->key, nearest);
	else if (conf_flink_has_family(p->key))
		warn_at(l, p->line, "%s: a key of this kind has no effect here", p->key);
	else
		warn_at(l, p->line, "%s: unknown key, it has no effect, and no known one is near it", p->key);
}

static int refuse(const struct conf *c, const struct conf_pair *p, const char *allowed, struct err *e)
{
	char *place = place_of(c, p->line);

	if (allowed != NULL)
		err_set(e, ERR_CONFIG, "%s: %s: %s; allowed: %s", place, p->key, e->msg, allowed);
	else
		err_set(e, ERR_CONFIG, "%s: %s", place, e->msg);
	free(place);
	return -1;
}

static int apply_pairs(const struct loader *l, struct err *e)
{
	for (unsigned p = 0; p < l->c->n_pairs; p++) {
		const struct conf_pair *pair = &l->c->pairs[p];
		int i = conf_row_find(pair->key);

		if (i < 0)
			warn_unknown(l, pair);
		else if (conf_row_set(l->c, (unsigned)i, pair->value, e) < 0)
			return refuse(l->c, pair, conf_row_at((unsigned)i)->allowed, e);
	}
	return 0;
}

/* The larger key must be above (or_equal: not below) the smaller one; the one that was given is at fault. */
static int check_order(const struct conf *c, const char *larger, int64_t larger_ms, const char *smaller,
    int64_t smaller_ms, bool or_equal, struct err *e)
{
	const struct conf_pair *p = conf_pair_of(c, larger);
	const char *word = or_equal ? "not be shorter than" : "be longer than";
	char larger_text[32], smaller_text[32];

	if (larger_ms > smaller_ms || (or_equal && larger_ms == smaller_ms))
		return 0;
	if (p == NULL)
		p = conf_pair_of(c, smaller);
	ASSERT(p != NULL);
	conf_format_duration(larger_ms, larger_text, sizeof(larger_text));
	conf_format_duration(smaller_ms, smaller_text, sizeof(smaller_text));
	err_set(e, ERR_CONFIG, "%s (%s) must %s %s (%s)", larger, larger_text, word, smaller, smaller_text);
	return refuse(c, p, NULL, e);
}

static int check_together(const struct conf *c, struct err *e)
{
	if (check_order(c, "heartbeat.timeout", c->heartbeat_timeout_ms, "heartbeat.interval",
		c->heartbeat_interval_ms, false, e) < 0)
		return -1;
	return check_order(c, "restart-strategy.exponential-delay.max-backoff", c->restart_max_backoff_ms,
	    "restart-strategy.exponential-delay.initial-backoff", c->restart_initial_backoff_ms, true, e);
}

struct conf *conf_load(const char *file, const char *const *overrides, unsigned n_overrides,
    conf_warn_fn *warn, void *arg, struct err *e)
{
	struct loader l = { xcalloc(1, sizeof(struct conf)), 0, false, warn, arg };
	struct err own;
	int rc = 0;

	if (e == NULL)
		e = &own;
	conf_row_set_defaults(l.c);
	if (file != NULL) {
		l.c->file = xstrdup(file);
		rc = read_conf_file(&l, e);
	}
	for (unsigned i = 0; i < n_overrides && rc == 0; i++)
		rc = read_override(&l, overrides[i], e);
	if (rc == 0)
		rc = apply_pairs(&l, e);
	if (rc == 0)
		rc = check_together(l.c, e);
	if (rc < 0) {
		conf_destroy(l.c);
		return NULL;
	}
	return l.c;
}

void conf_destroy(struct conf *c)
{
	if (c == NULL)
		return;
	conf_row_free_values(c);
	for (unsigned i = 0; i < c->n_pairs; i++) {
		free(c->pairs[i].key);
		free(c->pairs[i].value);
	}
	free(c->pairs);
	free(c->file);
	free(c);
}
