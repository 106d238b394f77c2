/* Click events as the tools write them: by hand, for half a million a second. */
#include "jobs/tools/click.h"

#include "base/mem.h"

const char *const click_pages[] = { "/help", "/index", "/shop", "/jobs", "/about", "/news" };
_Static_assert(ARRAY_LEN(click_pages) == CLICK_N_PAGES, "one name a page");

int click_format_parse(const char *name, enum click_format *format, struct err *e)
{
	static const char *const names[] = { "playground", "HH", "iso", "millis" };
	unsigned i;

	for (i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(name, names[i]) == 0) {
			*format = (enum click_format)i;
			return 0;
		}
	}
	return err_set(e, ERR_INVALID, "--timestamp-format %s: must be playground, HH, iso or millis", name);
}

static char *put_number(char *p, int64_t v, int n_digits)
{
	int i;

	for (i = n_digits - 1; i >= 0; i--, v /= 10)
		p[i] = (char)('0' + v % 10);
	return p + n_digits;
}

static char *put_text(char *p, const char *text)
{
	size_t n = strlen(text);

	memcpy(p, text, n);
	return p + n;
}

/* The calendar date of a day since 1970-01-01, which is asked again for most events. */
struct date {
	int64_t day;
	int year, month, mday;
};

static const struct date *date_of(int64_t day)
{
	static _Thread_local struct date cached = { -1, 0, 0, 0 };
	static const int month_days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int64_t left = day;
	int year = 1970, month = 0, leap;

	if (cached.day == day)
		return &cached;
	for (;; year++) {
		leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
		if (left < 365 + leap)
			break;
		left -= 365 + leap;
	}
	while (left >= month_days[month] + (month == 1 && leap)) {
		left -= month_days[month] + (month == 1 && leap);
		month++;
	}
	cached = (struct date){ day, year, month + 1, (int)left + 1 };
	return &cached;
}

static char *put_timestamp(char *p, enum click_format format, int64_t ms)
{
	const struct date *d = date_of(ms / 86400000);
	int64_t of_day = ms % 86400000, hour = of_day / 3600000;
	char date_sep = '-', ms_sep = format == CLICK_ISO ? '.' : ':';

	*p++ = '"';
	p = format == CLICK_ISO ? put_number(p, d->year, 4) : put_number(p, d->mday, 2);
	*p++ = date_sep;
	p = put_number(p, d->month, 2);
	*p++ = date_sep;
	p = format == CLICK_ISO ? put_number(p, d->mday, 2) : put_number(p, d->year, 4);
	*p++ = format == CLICK_ISO ? 'T' : ' ';
	if (format == CLICK_PLAYGROUND)
		hour = hour % 12 == 0 ? 12 : hour % 12;
	p = put_number(p, hour, 2);
	*p++ = ':';
	p = put_number(p, of_day / 60000 % 60, 2);
	*p++ = ':';
	p = put_number(p, of_day / 1000 % 60, 2);
	*p++ = ms_sep;
	p = put_number(p, of_day % 1000, 3);
	if (format == CLICK_ISO)
		*p++ = 'Z';
	*p++ = '"';
	return p;
}

static char *put_millis(char *p, int64_t ms)
{
	int n = 1;
	int64_t v;

	for (v = ms; v >= 10; v /= 10)
		n++;
	return put_number(p, ms, n);
}

size_t click_event_write(char buf[CLICK_EVENT_MAX], enum click_format format, int64_t ms, const char *page)
{
	char *p = put_text(buf, "{\"timestamp\":");

	p = format == CLICK_MILLIS ? put_millis(p, ms) : put_timestamp(p, format, ms);
	p = put_text(put_text(put_text(p, ",\"page\":\""), page), "\"}");
	return (size_t)(p - buf);
}
