/*
 * Time, asked in one place only, so that tests need no sleeps: state machines,
 * timers and restart delays get a struct clock and never call the system.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

struct clock {
	int64_t (*mono_ns)(const struct clock *); /* durations, deadlines */
	int64_t (*wall_ms)(const struct clock *); /* stamps and processing time */
};

/* CLOCK_MONOTONIC and CLOCK_REALTIME. */
extern const struct clock clock_system;

/* Moves only when told. */
struct clock_virtual {
	struct clock clock; /* first member: pass &v.clock */
	int64_t mono_ns;
	int64_t wall_ms;
};
void clock_virtual_init(struct clock_virtual *v, int64_t wall_ms);
void clock_virtual_advance(struct clock_virtual *v, int64_t ms);

static inline int64_t clock_mono_ns(const struct clock *c)
{
	return c->mono_ns(c);
}
static inline int64_t clock_wall_ms(const struct clock *c)
{
	return c->wall_ms(c);
}

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

/* "2026-01-02T03:04:05.678Z" */
#define CLOCK_ISO_SIZE 25
void clock_iso(int64_t wall_ms, char out[CLOCK_ISO_SIZE]);

#endif
