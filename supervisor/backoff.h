/*
 * When to fork again what keeps dying: at once the first time, then after a delay that
 * doubles up to a limit; a life longer than reset_ms starts anew.  Pure.
 */
#ifndef SUPERVISOR_BACKOFF_H
#define SUPERVISOR_BACKOFF_H

#include <stdint.h>

struct backoff {
	int64_t initial_ms, max_ms, reset_ms;
	int64_t next_ms; /* 0: at once */
};

#define BACKOFF_PROCESS \
	{ \
		.initial_ms = 100, .max_ms = 10000, .reset_ms = 60000, .next_ms = 0 \
	}

/* The delay before the next start of something that lived lived_ms. */
static inline int64_t backoff_next(struct backoff *b, int64_t lived_ms)
{
	int64_t delay_ms;

	if (lived_ms >= b->reset_ms)
		b->next_ms = 0;
	delay_ms = b->next_ms;
	if (delay_ms == 0)
		b->next_ms = b->initial_ms;
	else
		b->next_ms = delay_ms > b->max_ms / 2 ? b->max_ms : delay_ms * 2;
	return delay_ms;
}

#endif
