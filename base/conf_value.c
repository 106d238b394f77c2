/*
 * Values as Flink writes them: numbers, durations, sizes, truth; and the known
 * word that a mistyped one was probably meant to be.
 */
#include "base/conf.h"

#include <errno.h>
#include <inttypes.h>

#include "base/mem.h"

#define MAX_WORD 128 /* longer ones are nobody's typing error */

struct unit {
	const char *label;
	int64_t factor;
};

/* clang-format off */
static const struct unit time_units_ns[] = {
	{ "ns", 1 }, { "nano", 1 }, { "nanos", 1 }, { "nanosecond", 1 }, { "nanoseconds", 1 },
	{ "\xc2\xb5s", 1000 }, { "micro", 1000 }, { "micros", 1000 }, { "microsecond", 1000 },
	{ "microseconds", 1000 },
	{ "ms", 1000000 }, { "milli", 1000000 }, { "millis", 1000000 }, { "millisecond", 1000000 },
	{ "milliseconds", 1000000 },
};
static const struct unit time_units_ms[] = {
	{ "s", 1000 }, { "sec", 1000 }, { "secs", 1000 }, { "second", 1000 }, { "seconds", 1000 },
	{ "m", 60000 }, { "min", 60000 }, { "minute", 60000 }, { "minutes", 60000 },
	{ "h", 3600000 }, { "hour", 3600000 }, { "hours", 3600000 },
	{ "d", 86400000 }, { "day", 86400000 }, { "days", 86400000 },
};
static const struct unit memory_units[] = {
	{ "", 1 }, { "b", 1 }, { "bytes", 1 },
	{ "k", INT64_C(1) << 10 }, { "kb", INT64_C(1) << 10 }, { "kibibytes", INT64_C(1) << 10 },
	{ "m", INT64_C(1) << 20 }, { "mb", INT64_C(1) << 20 }, { "mebibytes", INT64_C(1) << 20 },
	{ "g", INT64_C(1) << 30 }, { "gb", INT64_C(1) << 30 }, { "gibibytes", INT64_C(1) << 30 },
	{ "t", INT64_C(1) << 40 }, { "tb", INT64_C(1) << 40 }, { "tebibytes", INT64_C(1) << 40 },
};
/* clang-format on */

/* Blanks by Java's trim: everything up to the space. */
static bool is_blank(char c)
{
	return (unsigned char)c <= ' ' && c != '\0';
}

static const char *skip_blanks(const char *s)
{
	while (is_blank(*s))
		s++;
	return s;
}

/* Length of s without the blanks at its end. */
static size_t trimmed_len(const char *s)
{
	size_t len = strlen(s);

	while (len > 0 && is_blank(s[len - 1]))
		len--;
	return len;
}

static const struct unit *find_unit(const struct unit *units, size_t n, const char *label, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(units[i].label) == len && strncasecmp(units[i].label, label, len) == 0)
			return &units[i];
	return NULL;
}

/* Digits, then a unit: "10 s".  False where there are no digits or too many. */
static bool split_number(const char *text, int64_t *number, const char **unit, size_t *unit_len)
{
	const char *p = skip_blanks(text);
	int64_t v = 0;

	if (*p < '0' || *p > '9')
		return false;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v))
			return false;
	*number = v;
	*unit = skip_blanks(p);
	*unit_len = trimmed_len(*unit);
	return true;
}

int conf_parse_duration(const char *text, int64_t *ms, struct err *e)
{
	const struct unit *u;
	const char *unit;
	size_t unit_len;
	int64_t number;

	if (split_number(text, &number, &unit, &unit_len)) {
		if (unit_len == 0) {
			*ms = number;
			return 0;
		}
		u = find_unit(time_units_ns, ARRAY_LEN(time_units_ns), unit, unit_len);
		if (u != NULL) {
			*ms = number / (1000000 / u->factor);
			return 0;
		}
		u = find_unit(time_units_ms, ARRAY_LEN(time_units_ms), unit, unit_len);
		if (u != NULL && !__builtin_mul_overflow(number, u->factor, &number)) {
			*ms = number;
			return 0;
		}
	}
	return err_set(e, ERR_INVALID,
	    "'%s' is not a duration, which is a whole number with ms, s, min, h or d behind it, or of ms",
	    text);
}

int conf_parse_memory(const char *text, int64_t *bytes, struct err *e)
{
	const struct unit *u;
	const char *unit;
	size_t unit_len;
	int64_t number;

	if (split_number(text, &number, &unit, &unit_len)) {
		u = find_unit(memory_units, ARRAY_LEN(memory_units), unit, unit_len);
		if (u != NULL && !__builtin_mul_overflow(number, u->factor, &number)) {
			*bytes = number;
			return 0;
		}
	}
	return err_set(e, ERR_INVALID,
	    "'%s' is not a size, which is a whole number with b, kb, mb, gb or tb behind it, or of bytes",
	    text);
}

int conf_parse_i64(const char *text, int64_t min, int64_t max, int64_t *v, struct err *e)
{
	const char *p = skip_blanks(text);
	size_t len = trimmed_len(p), i = *p == '-' || *p == '+';
	bool negative = *p == '-', good = i < len;
	int64_t number = 0;

	/* Towards the sign, since the least number has no positive counterpart. */
	for (; i < len && good; i++) {
		int digit = p[i] - '0';

		good = p[i] >= '0' && p[i] <= '9' && !__builtin_mul_overflow(number, 10, &number) &&
		    !__builtin_add_overflow(number, negative ? -digit : digit, &number);
	}
	if (!good || number < min || number > max)
		return err_set(e, ERR_INVALID, "'%s' is not a whole number from %" PRId64 " to %" PRId64,
		    text, min, max);
	*v = number;
	return 0;
}

int conf_parse_bool(const char *text, bool *v, struct err *e)
{
	const char *p = skip_blanks(text);
	size_t len = trimmed_len(p);

	if (len == 4 && strncasecmp(p, "true", len) == 0)
		*v = true;
	else if (len == 5 && strncasecmp(p, "false", len) == 0)
		*v = false;
	else
		return err_set(e, ERR_INVALID, "'%s' is neither true nor false", text);
	return 0;
}

void conf_format_duration(int64_t ms, char *out, size_t size)
{
	static const struct {
		const char *label;
		int64_t ms;
	} units[] = { { "d", 86400000 }, { "h", 3600000 }, { "min", 60000 }, { "s", 1000 } };

	for (unsigned i = 0; i < ARRAY_LEN(units); i++) {
		if (ms > 0 && ms % units[i].ms == 0) {
			snprintf(out, size, "%" PRId64 " %s", ms / units[i].ms, units[i].label);
			return;
		}
	}
	snprintf(out, size, "%" PRId64 " ms", ms);
}

void conf_format_memory(int64_t bytes, char *out, size_t size)
{
	static const char *const units[] = { "bytes", "kb", "mb", "gb", "tb" };
	unsigned u = 0;

	while (bytes > 0 && bytes % 1024 == 0 && u + 1 < ARRAY_LEN(units)) {
		bytes /= 1024;
		u++;
	}
	snprintf(out, size, "%" PRId64 " %s", bytes, units[u]);
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Letters to insert, delete, replace or swap with their neighbour on the way from a to b. */
static unsigned edits(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned rows[3][MAX_WORD + 1];
	unsigned *before = rows[0], *above = rows[1], *row = rows[2];

	for (size_t j = 0; j <= b_len; j++)
		above[j] = (unsigned)j;
	memcpy(before, above, sizeof(rows[0]));
	for (size_t i = 1; i <= a_len; i++) {
		unsigned *recycled = before;

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			row[j] =
			    least(least(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], before[j - 2] + 1);
		}
		before = above;
		above = row;
		row = recycled;
	}
	return above[b_len];
}

const char *conf_nearest(const char *text, const char *const *words, unsigned n)
{
	size_t len = strlen(text);
	unsigned best_edits = (unsigned)(len / 3) + 1;
	const char *best = NULL;

	if (len > MAX_WORD)
		return NULL;
	for (unsigned i = 0; i < n; i++) {
		size_t word_len = strlen(words[i]);
		unsigned d;

		if (word_len > MAX_WORD)
			continue;
		d = edits(text, len, words[i], word_len);
		if (d < best_edits) {
			best_edits = d;
			best = words[i];
		}
	}
	return best;
}
