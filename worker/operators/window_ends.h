/*
 * The live windows of a task, by their end: for each a list of its entries, and the
 * earliest of all at hand.  For assigners whose windows are the same for every key
 * (tumbling, sliding): no timer a key is needed.
 */
#ifndef WORKER_OPERATORS_WINDOW_ENDS_H
#define WORKER_OPERATORS_WINDOW_ENDS_H

#include <stdint.h>

#include "worker/state/arena.h"

struct window_end {
	int64_t end_ms;
	arena_ref first, last; /* entries in order of their first record */
	uint32_t n;
	uint32_t heap_idx;
};

struct window_ends {
	struct window_end *slots; /* open addressing by end_ms; n == 0: empty */
	uint32_t mask, n;
	uint32_t *heap; /* slot indexes, earliest end first */
	uint32_t cap_heap;
};

void window_ends_init(struct window_ends *w);
void window_ends_fini(struct window_ends *w);
/* The window of this end, made if new. Valid until the next call. */
struct window_end *window_ends_get(struct window_ends *w, int64_t end_ms);
/* The earliest end, INT64_MAX when there is none. */
int64_t window_ends_first(const struct window_ends *w);
/* Take the earliest window out: a copy of it. Only when there is one. */
struct window_end window_ends_pop(struct window_ends *w);

#endif
