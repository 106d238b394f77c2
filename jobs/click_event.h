/*
 * Click events and click statistics: the records, and how they are written as JSON.
 *
 *   {"timestamp":"01-01-1970 12:00:00:015","page":"/help"}
 *   {"windowStart":"01-01-1970 12:00:00:000","windowEnd":"01-01-1970 12:00:15:000",
 *    "page":"/help","count":1000}
 *
 * For jobs: sees weir.h alone, all functions are static.
 */
#ifndef JOBS_CLICK_EVENT_H
#define JOBS_CLICK_EVENT_H

#include "weir.h"

#define MS_PER_DAY         INT64_C(86400000)
#define TIMESTAMP_LIMIT_MS INT64_C(8640000000000000) /* 100 million days either side of 1970 */

#define PAGE_SIZE 56 /* with its NUL: an event takes 64 bytes */

typedef struct click_event {
	int64_t timestamp_ms;
	char page[PAGE_SIZE];
} click_event;
WEIR_TYPE(click_event);

typedef struct click_statistics {
	int64_t window_start_ms;
	int64_t window_end_ms;
	int64_t count;
	char page[PAGE_SIZE];
} click_statistics;
WEIR_TYPE(click_statistics);

/* How timestamps are written: dd-MM-yyyy hh:mm:ss:SSS on a 12-hour clock without am and pm, the
 * same on a 24-hour clock, ISO 8601, or a number of milliseconds. All are UTC. */
enum ts_format { TS_PLAYGROUND, TS_HH, TS_ISO, TS_MILLIS, TS_N_FORMATS };

/* ------------------------------------------------------------- timestamps */

/* Days since 1970-01-01 of a Gregorian date; years begin in March, so that the leap day ends one. */
static int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
	int64_t era;
	unsigned yoe, doy;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = (unsigned)(y - era * 400);
	doy = (153 * (m + (m > 2 ? -3U : 9U)) + 2) / 5 + d - 1;
	return era * 146097 + (int64_t)(yoe * 365 + yoe / 4 - yoe / 100 + doy) - 719468;
}

static void civil_from_days(int64_t days, int64_t *y, unsigned *m, unsigned *d)
{
	int64_t era;
	unsigned doe, yoe, doy, mp;

	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	doe = (unsigned)(days - era * 146097);
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	*d = doy - (153 * mp + 2) / 5 + 1;
	*m = mp < 10 ? mp + 3 : mp - 9;
	*y = (int64_t)yoe + era * 400 + (*m <= 2);
}

/* n decimal digits, or a negative number. */
static int digits(const char *p, int n)
{
	int v = 0;

	for (; n > 0; n--, p++) {
		unsigned c = (unsigned)(unsigned char)*p - '0';
		if (c > 9)
			return -1;
		v = v * 10 + (int)c;
	}
	return v;
}

/* 0, or -1 where a field is out of its range. */
static int join_date(int y, int mon, int d, int h, int min, int s, int ms, int64_t *out)
{
	static const uint8_t month_days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

	if (y < 0 || mon < 1 || mon > 12 || d < 1 || d > month_days[mon - 1] + (mon == 2 && leap) || h < 0 ||
	    h > 23 || min < 0 || min > 59 || s < 0 || s > 59 || ms < 0)
		return -1;
	*out = days_from_civil(y, (unsigned)mon, (unsigned)d) * MS_PER_DAY +
	    (((int64_t)h * 60 + min) * 60 + s) * 1000 + ms;
	return 0;
}

static int parse_integer(const char *p, uint32_t len, int64_t *out)
{
	int negative = len > 0 && p[0] == '-';
	uint32_t i = (uint32_t)negative;
	int64_t v = 0;

	if (i == len || len - i > 16)
		return -1;
	for (; i < len; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		v = v * 10 + (p[i] - '0');
	}
	if (v > TIMESTAMP_LIMIT_MS)
		return -1;
	*out = negative ? -v : v;
	return 0;
}

/* 0, or -1: not of this format. */
static int parse_timestamp(enum ts_format format, const char *p, uint32_t len, int64_t *out)
{
	int hour, ms = 0;
	uint32_t i;

	switch (format) {
	case TS_PLAYGROUND:
	case TS_HH:
		if (len != 23 || p[2] != '-' || p[5] != '-' || p[10] != ' ' || p[13] != ':' || p[16] != ':' ||
		    p[19] != ':')
			return -1;
		hour = digits(p + 11, 2);
		if (format == TS_PLAYGROUND)
			hour = hour < 1 || hour > 12 ? -1 : hour % 12;
		return join_date(digits(p + 6, 4), digits(p + 3, 2), digits(p, 2), hour, digits(p + 14, 2),
		    digits(p + 17, 2), digits(p + 20, 3), out);
	case TS_ISO:
		if (len > 0 && p[len - 1] == 'Z')
			len--;
		if (len < 19 || p[4] != '-' || p[7] != '-' || p[10] != 'T' || p[13] != ':' || p[16] != ':')
			return -1;
		if (len > 19) {
			if (p[19] != '.' || len == 20 || len > 29)
				return -1;
			for (i = 20; i < 23; i++) {
				int c = i < len ? digits(p + i, 1) : 0;
				if (c < 0)
					return -1;
				ms = ms * 10 + c;
			}
			for (; i < len; i++)
				if (digits(p + i, 1) < 0)
					return -1;
		}
		return join_date(digits(p, 4), digits(p + 5, 2), digits(p + 8, 2), digits(p + 11, 2),
		    digits(p + 14, 2), digits(p + 17, 2), ms, out);
	case TS_MILLIS:
		return parse_integer(p, len, out);
	case TS_N_FORMATS:
		break;
	}
	return -1;
}

static char *put_digits(char *p, int64_t v, int n)
{
	int i;

	for (i = n - 1; i >= 0; i--, v /= 10)
		p[i] = (char)('0' + v % 10);
	return p + n;
}

static char *put_text(char *p, const char *text)
{
	size_t n = strlen(text);

	memcpy(p, text, n);
	return p + n;
}

/* Write a timestamp as a JSON value, at most 32 bytes; returns its end. Years outside 0..9999 are
 * written as their last four digits. */
static char *put_timestamp(char *p, enum ts_format format, int64_t ms)
{
	int64_t days = ms / MS_PER_DAY - (ms % MS_PER_DAY < 0), year;
	int64_t of_day = (ms % MS_PER_DAY + MS_PER_DAY) % MS_PER_DAY;
	int64_t hour = of_day / 3600000, min = of_day / 60000 % 60, sec = of_day / 1000 % 60;
	unsigned mon, day;
	char num[24];

	if (format == TS_MILLIS)
		return put_text(p, weir_i64_text_(num, ms));
	civil_from_days(days, &year, &mon, &day);
	year = (year % 10000 + 10000) % 10000;
	*p++ = '"';
	if (format == TS_ISO) {
		p = put_digits(p, year, 4);
		*p++ = '-';
		p = put_digits(p, mon, 2);
		*p++ = '-';
		p = put_digits(p, day, 2);
		*p++ = 'T';
	} else {
		p = put_digits(p, day, 2);
		*p++ = '-';
		p = put_digits(p, mon, 2);
		*p++ = '-';
		p = put_digits(p, year, 4);
		*p++ = ' ';
	}
	if (format == TS_PLAYGROUND)
		hour = hour % 12 == 0 ? 12 : hour % 12;
	p = put_digits(p, hour, 2);
	*p++ = ':';
	p = put_digits(p, min, 2);
	*p++ = ':';
	p = put_digits(p, sec, 2);
	*p++ = format == TS_ISO ? '.' : ':';
	p = put_digits(p, of_day % 1000, 3);
	if (format == TS_ISO)
		*p++ = 'Z';
	*p++ = '"';
	return p;
}

/* ------------------------------------------------------------------- JSON */

/* A scan of one message by hand: 10 times faster than a parser of trees. */
struct scan {
	const char *start, *p, *end;
	const char *wrong; /* the first thing that was, or NULL */
};

static int scan_wrong(struct scan *s, const char *what)
{
	if (s->wrong == NULL)
		s->wrong = what;
	return -1;
}

static void skip_blanks(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
		s->p++;
}

/* Take the character c after blanks. */
static int scan_char(struct scan *s, char c)
{
	skip_blanks(s);
	if (s->p == s->end || *s->p != c)
		return 0;
	s->p++;
	return 1;
}

static int hex4(struct scan *s, uint32_t *out)
{
	uint32_t v = 0;
	int i;

	if (s->end - s->p < 4)
		return scan_wrong(s, "an escape that is cut off");
	for (i = 0; i < 4; i++) {
		char c = *s->p++;
		uint32_t d = c >= '0' && c <= '9' ? (uint32_t)(c - '0') :
		    c >= 'a' && c <= 'f'          ? (uint32_t)(c - 'a' + 10) :
		    c >= 'A' && c <= 'F'          ? (uint32_t)(c - 'A' + 10) :
						    16;
		if (d == 16)
			return scan_wrong(s, "a \\u escape without four hex digits");
		v = v * 16 + d;
	}
	*out = v;
	return 0;
}

/* What follows a backslash, as UTF-8; returns the number of bytes in out, or -1. */
static int scan_escape(struct scan *s, char out[4])
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at;
	uint32_t c, low;

	if (s->p == s->end)
		return scan_wrong(s, "an escape that is cut off");
	if (*s->p != 'u') {
		at = (const char *)memchr(from, *s->p, sizeof(from) - 1);
		if (at == NULL)
			return scan_wrong(s, "an unknown escape");
		s->p++;
		out[0] = to[at - from];
		return 1;
	}
	s->p++;
	if (hex4(s, &c) < 0)
		return -1;
	if (c >= 0xdc00 && c <= 0xdfff)
		return scan_wrong(s, "half a surrogate pair");
	if (c >= 0xd800 && c <= 0xdbff) {
		if (s->end - s->p < 6 || s->p[0] != '\\' || s->p[1] != 'u')
			return scan_wrong(s, "half a surrogate pair");
		s->p += 2;
		if (hex4(s, &low) < 0)
			return -1;
		if (low < 0xdc00 || low > 0xdfff)
			return scan_wrong(s, "half a surrogate pair");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* The length of the UTF-8 sequence at p, 0 where there is none. */
static int utf8_sequence(const unsigned char *p, const unsigned char *end)
{
	int n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2, i;

	if (p[0] < 0xc2 || p[0] > 0xf4 || end - p < n)
		return 0;
	for (i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* over-long, surrogates, above U+10FFFF */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

/* A character that stands for itself in a string, and is one byte. */
static int is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static void keep(char *out, uint32_t cap, uint32_t *n, const char *from, uint32_t len)
{
	if (*n < cap)
		memcpy(out + *n, from, len < cap - *n ? len : cap - *n);
	*n += len;
}

/* A string, its opening quote taken already. At most cap bytes are kept, *len counts all. */
static int scan_string(struct scan *s, char *out, uint32_t cap, uint32_t *len)
{
	uint32_t n = 0;
	char utf8[4];

	for (;;) {
		const char *from = s->p;
		int k;

		while (s->p < s->end && is_plain((unsigned char)*s->p))
			s->p++;
		keep(out, cap, &n, from, (uint32_t)(s->p - from));
		from = s->p;
		if (s->p == s->end)
			return scan_wrong(s, "a string without an end");
		if (*s->p == '"')
			break;
		if ((unsigned char)*s->p < 0x20)
			return scan_wrong(s, "a control character in a string");
		if (*s->p == '\\') {
			s->p++;
			k = scan_escape(s, utf8);
			if (k < 0)
				return -1;
			from = utf8;
		} else {
			k = utf8_sequence((const unsigned char *)s->p, (const unsigned char *)s->end);
			if (k == 0)
				return scan_wrong(s, "bytes that are not UTF-8");
			s->p += k;
		}
		keep(out, cap, &n, from, (uint32_t)k);
	}
	s->p++;
	*len = n;
	return 0;
}

/* A number or one of true, false, null: its bytes. */
static int scan_word(struct scan *s, const char **word, uint32_t *len)
{
	const char *from = s->p;

	while (s->p < s->end &&
	    ((*s->p >= '0' && *s->p <= '9') || (*s->p >= 'a' && *s->p <= 'z') || *s->p == '-' ||
		*s->p == '+' || *s->p == '.' || *s->p == 'E'))
		s->p++;
	*word = from;
	*len = (uint32_t)(s->p - from);
	return *len > 0 ? 0 : scan_wrong(s, "no value");
}

/* Any value, of a member that is not ours. */
static int skip_value(struct scan *s, unsigned depth)
{
	const char *word;
	uint32_t len;
	int object;

	if (depth > 32)
		return scan_wrong(s, "values nested deeper than 32");
	if (scan_char(s, '"'))
		return scan_string(s, NULL, 0, &len);
	object = scan_char(s, '{');
	if (!object && !scan_char(s, '['))
		return scan_word(s, &word, &len);
	if (scan_char(s, object ? '}' : ']'))
		return 0;
	do {
		if (object) {
			if (!scan_char(s, '"'))
				return scan_wrong(s, "no member name");
			if (scan_string(s, NULL, 0, &len) < 0)
				return -1;
			if (!scan_char(s, ':'))
				return scan_wrong(s, "no colon after a member name");
		}
		if (skip_value(s, depth + 1) < 0)
			return -1;
	} while (scan_char(s, ','));
	return scan_char(s, object ? '}' : ']') ? 0 : scan_wrong(s, "no comma or closing bracket");
}

static int scan_timestamp(struct scan *s, enum ts_format format, int64_t *out)
{
	char text[32];
	const char *word = text;
	uint32_t len;

	if (scan_char(s, '"')) {
		if (scan_string(s, text, sizeof(text), &len) < 0)
			return -1;
		if (len > sizeof(text))
			return scan_wrong(s, "a timestamp that is not of the expected format");
	} else if (format != TS_MILLIS) {
		return scan_wrong(s, "a timestamp that is not a string");
	} else if (scan_word(s, &word, &len) < 0) {
		return -1;
	}
	if (parse_timestamp(format, word, len, out) < 0)
		return scan_wrong(s, "a timestamp that is not of the expected format");
	return 0;
}

static int scan_page(struct scan *s, click_event *e)
{
	uint32_t len;

	if (!scan_char(s, '"'))
		return scan_wrong(s, "a page that is not a string");
	if (scan_string(s, e->page, PAGE_SIZE - 1, &len) < 0)
		return -1;
	if (len > PAGE_SIZE - 1)
		return scan_wrong(s, "a page of more than 55 bytes");
	e->page[len] = '\0';
	return memchr(e->page, 0, len) == NULL ? 0 : scan_wrong(s, "a page with a zero byte");
}

/* Members come in any order and with any spacing; those that are not ours are passed over. */
static int scan_event(struct scan *s, enum ts_format format, click_event *e)
{
	unsigned seen = 0;
	char name[16];
	uint32_t len;

	if (!scan_char(s, '{'))
		return scan_wrong(s, "no JSON object");
	if (!scan_char(s, '}')) {
		do {
			if (!scan_char(s, '"'))
				return scan_wrong(s, "no member name");
			if (scan_string(s, name, sizeof(name), &len) < 0)
				return -1;
			if (!scan_char(s, ':'))
				return scan_wrong(s, "no colon after a member name");
			if (len == 9 && memcmp(name, "timestamp", 9) == 0) {
				if (scan_timestamp(s, format, &e->timestamp_ms) < 0)
					return -1;
				seen |= 1;
			} else if (len == 4 && memcmp(name, "page", 4) == 0) {
				if (scan_page(s, e) < 0)
					return -1;
				seen |= 2;
			} else if (skip_value(s, 0) < 0) {
				return -1;
			}
		} while (scan_char(s, ','));
		if (!scan_char(s, '}'))
			return scan_wrong(s, "no comma or closing brace");
	}
	skip_blanks(s);
	if (s->p != s->end)
		return scan_wrong(s, "something behind the JSON object");
	if (seen != 3)
		return scan_wrong(s, (seen & 1) == 0 ? "no timestamp" : "no page");
	return 0;
}

static int read_event(weir_ctx *ctx, const weir_message *msg, click_event *e, enum ts_format format)
{
	struct scan s = { (const char *)msg->value, (const char *)msg->value, (const char *)msg->value,
		NULL };

	if (msg->value == NULL)
		return weir_fail(ctx, "not a click event: the message has no value");
	s.end += msg->value_len;
	if (scan_event(&s, format, e) < 0)
		return weir_fail(ctx, "not a click event: %s at byte %u", s.wrong, (unsigned)(s.p - s.start));
	return 1;
}

static char *put_json_string(char *p, const char *text)
{
	static const char hex[] = "0123456789abcdef";

	*p++ = '"';
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		if (c == '"' || c == '\\') {
			*p++ = '\\';
			*p++ = (char)c;
		} else if (c < 0x20) {
			p = put_text(p, "\\u00");
			*p++ = hex[c >> 4];
			*p++ = hex[c & 15];
		} else {
			*p++ = (char)c;
		}
	}
	*p++ = '"';
	return p;
}

static int write_statistics(const click_statistics *in, weir_message_out *out, enum ts_format format)
{
	/* Names and punctuation, two timestamps, a number, and a page of escapes. */
	char text[64 + 2 * 32 + 24 + 6 * PAGE_SIZE], num[24], *p = text;
	uint32_t len;

	p = put_timestamp(put_text(p, "{\"windowStart\":"), format, in->window_start_ms);
	p = put_timestamp(put_text(p, ",\"windowEnd\":"), format, in->window_end_ms);
	p = put_json_string(put_text(p, ",\"page\":"), in->page);
	p = put_text(put_text(p, ",\"count\":"), weir_i64_text_(num, in->count));
	*p++ = '}';
	len = (uint32_t)(p - text);
	/* The time of writing, as the playground's: brokers delete by it, and 1970 is long past. */
	out->timestamp_ms = WEIR_MIN_TIMESTAMP;
	if (len <= out->value_cap)
		memcpy(out->value, text, len);
	out->value_len = len;
	return 0;
}

#endif
