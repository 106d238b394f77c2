/*
 * The system's clock, a clock that moves only when told, and the one way in
 * which a time is printed.
 */
#include "base/clock.h"

#include "base/err.h"

#define MAX_ISO_MS INT64_C(253402300799999) /* the last one of four-digit years */

static int64_t system_ns(clockid_t id)
{
	struct timespec ts;

	ASSERT(clock_gettime(id, &ts) == 0);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static int64_t system_mono_ns(const struct clock *c)
{
	(void)c;
	return system_ns(CLOCK_MONOTONIC);
}

static int64_t system_wall_ms(const struct clock *c)
{
	(void)c;
	return system_ns(CLOCK_REALTIME) / NS_PER_MS;
}

const struct clock clock_system = { system_mono_ns, system_wall_ms };

static int64_t virtual_mono_ns(const struct clock *c)
{
	return ((const struct clock_virtual *)c)->mono_ns;
}

static int64_t virtual_wall_ms(const struct clock *c)
{
	return ((const struct clock_virtual *)c)->wall_ms;
}

void clock_virtual_init(struct clock_virtual *v, int64_t wall_ms)
{
	v->clock.mono_ns = virtual_mono_ns;
	v->clock.wall_ms = virtual_wall_ms;
	/* Not 0, which some deadlines use for "none". */
	v->mono_ns = NS_PER_S;
	v->wall_ms = wall_ms;
}

void clock_virtual_advance(struct clock_virtual *v, int64_t ms)
{
	ASSERT(ms >= 0);
	v->mono_ns += ms * NS_PER_MS;
	v->wall_ms += ms;
}

/* Write v with exactly n digits and the separator behind; returns the place behind that. */
static char *put_digits(char *p, int v, int n, char separator)
{
	for (int i = n - 1; i >= 0; i--, v /= 10)
		p[i] = (char)('0' + v % 10);
	p[n] = separator;
	return p + n + 1;
}

void clock_iso(int64_t wall_ms, char out[CLOCK_ISO_SIZE])
{
	struct tm tm;
	time_t s;
	char *p = out;

	if (wall_ms < 0)
		wall_ms = 0;
	if (wall_ms > MAX_ISO_MS)
		wall_ms = MAX_ISO_MS;
	s = wall_ms / 1000;
	ASSERT(gmtime_r(&s, &tm) != NULL);
	p = put_digits(p, tm.tm_year + 1900, 4, '-');
	p = put_digits(p, tm.tm_mon + 1, 2, '-');
	p = put_digits(p, tm.tm_mday, 2, 'T');
	p = put_digits(p, tm.tm_hour, 2, ':');
	p = put_digits(p, tm.tm_min, 2, ':');
	p = put_digits(p, tm.tm_sec, 2, '.');
	p = put_digits(p, (int)(wall_ms % 1000), 3, 'Z');
	*p = '\0';
}
