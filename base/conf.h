/*
 * The configuration: flink-conf.yaml by Flink 1.14's own rules, then -D
 * overrides.  Every key is a row of conf_keys.def with type, range, default and a
 * sentence; the struct below, --help, GET /jobmanager/config and the checks of the man page
 * come from the rows.  An unknown key is one warning with the nearest known one; an
 * unacceptable value names file, line, key and what is allowed.
 *
 * A configuration is immutable once loaded: a reload makes a new one.
 */
#ifndef BASE_CONF_H
#define BASE_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct conf {
	/* One member a row: int64_t for INT, DURATION (ms), MEMORY (bytes); bool; char * for STR, PATH, ENUM.
	 * SECONDS is a DURATION whose bare number Flink reads as seconds.
	 * PATH values are plain paths, after file: was taken off. */
#define CONF_INT(member, key, def, min, max, reload, sentence)      int64_t member;
#define CONF_DURATION(member, key, def, min, max, reload, sentence) int64_t member##_ms;
#define CONF_SECONDS(member, key, def, min, max, reload, sentence)  int64_t member##_ms;
#define CONF_MEMORY(member, key, def, min, max, reload, sentence)   int64_t member##_bytes;
#define CONF_BOOL(member, key, def, reload, sentence)               bool member;
#define CONF_STR(member, key, def, reload, sentence)                char *member;
#define CONF_PATH(member, key, def, reload, sentence)               char *member;
#define CONF_ENUM(member, key, def, allowed, reload, sentence)      char *member;
#include "base/conf_keys.def"
#undef CONF_INT
#undef CONF_DURATION
#undef CONF_SECONDS
#undef CONF_MEMORY
#undef CONF_BOOL
#undef CONF_STR
#undef CONF_PATH
#undef CONF_ENUM
	char *file;              /* where it was read from, NULL: nowhere */
	struct conf_pair *pairs; /* every key that was given, known or not, in order, last wins */
	unsigned n_pairs;
};

struct conf_pair {
	char *key, *value;
	unsigned line; /* 0: from -D */
};

/* A warning to be logged by the caller, one a key. */
typedef void conf_warn_fn(void *arg, const char *sentence);

/*
 * Read file (NULL: none) and apply n_overrides of "key=value".
 * Returns a new configuration, freed with conf_destroy, or NULL with ERR_CONFIG.
 */
struct conf *conf_load(const char *file, const char *const *overrides, unsigned n_overrides,
    conf_warn_fn *warn, void *arg, struct err *e);
void conf_destroy(struct conf *c);

/* Rows in order, for --help, REST and the checks; value is the effective one as text. */
struct conf_row {
	const char *key, *type, *def, *allowed, *sentence;
	bool reload; /* may change while running */
};
unsigned conf_n_rows(void);
const struct conf_row *conf_row_at(unsigned i);
/* The effective value of row i: as it was written, or the default's text; caller frees. */
char *conf_row_value(const struct conf *c, unsigned i);

/* Flink's value syntax, used for job options too. Return 0 or -1 with what is allowed. */
int conf_parse_duration(const char *text, int64_t *ms, struct err *e);  /* "10 s", "1 min", bare: ms */
int conf_parse_memory(const char *text, int64_t *bytes, struct err *e); /* "64 mb", "1g", bare: bytes */
int conf_parse_i64(const char *text, int64_t min, int64_t max, int64_t *v, struct err *e);
int conf_parse_bool(const char *text, bool *v, struct err *e);

/* The reverse, in the largest unit that divides: "10 s", "64 mb". */
void conf_format_duration(int64_t ms, char *out, size_t size);
void conf_format_memory(int64_t bytes, char *out, size_t size);

/* The known word nearest to text by edits (within a third of its length), or NULL. */
const char *conf_nearest(const char *text, const char *const *words, unsigned n);

#endif
