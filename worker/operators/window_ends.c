/*
 * Live windows by their end: a hash table for finding, a heap for the earliest.
 */
#include "worker/operators/window_ends.h"

#include "base/err.h"
#include "base/mem.h"

#define SLOTS_MIN 16u

void window_ends_init(struct window_ends *w)
{
	memset(w, 0, sizeof(*w));
	w->slots = xcalloc(SLOTS_MIN, sizeof(*w->slots));
	w->mask = SLOTS_MIN - 1;
}

void window_ends_fini(struct window_ends *w)
{
	free(w->slots);
	free(w->heap);
	memset(w, 0, sizeof(*w));
}

static uint32_t home(const struct window_ends *w, int64_t end_ms)
{
	return (uint32_t)(((uint64_t)end_ms * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & w->mask;
}

static void heap_set(struct window_ends *w, uint32_t i, uint32_t slot)
{
	w->heap[i] = slot;
	w->slots[slot].heap_idx = i;
}

static int64_t heap_end(const struct window_ends *w, uint32_t i)
{
	return w->slots[w->heap[i]].end_ms;
}

static void heap_up(struct window_ends *w, uint32_t i)
{
	uint32_t slot = w->heap[i];

	while (i > 0 && w->slots[slot].end_ms < heap_end(w, (i - 1) / 2)) {
		heap_set(w, i, w->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	heap_set(w, i, slot);
}

static void heap_down(struct window_ends *w, uint32_t i)
{
	uint32_t slot = w->heap[i], child;

	while ((child = 2 * i + 1) < w->n) {
		if (child + 1 < w->n && heap_end(w, child + 1) < heap_end(w, child))
			child++;
		if (w->slots[slot].end_ms <= heap_end(w, child))
			break;
		heap_set(w, i, w->heap[child]);
		i = child;
	}
	heap_set(w, i, slot);
}

static void grow(struct window_ends *w)
{
	struct window_end *old = w->slots;
	uint32_t i, j, old_mask = w->mask;

	w->mask = w->mask * 2 + 1;
	w->slots = xcalloc((size_t)w->mask + 1, sizeof(*w->slots));
	for (i = 0; i <= old_mask; i++) {
		if (old[i].n == 0)
			continue;
		for (j = home(w, old[i].end_ms); w->slots[j].n != 0; j = (j + 1) & w->mask)
			;
		w->slots[j] = old[i];
		w->heap[old[i].heap_idx] = j;
	}
	free(old);
}

struct window_end *window_ends_get(struct window_ends *w, int64_t end_ms)
{
	uint32_t i;

	for (i = home(w, end_ms); w->slots[i].n != 0; i = (i + 1) & w->mask)
		if (w->slots[i].end_ms == end_ms)
			return &w->slots[i];
	if (w->n + 1 > (w->mask + 1) / 4 * 3) {
		grow(w);
		for (i = home(w, end_ms); w->slots[i].n != 0; i = (i + 1) & w->mask)
			;
	}
	memset(&w->slots[i], 0, sizeof(w->slots[i]));
	w->slots[i].end_ms = end_ms;
	/* n counts its entries; 1 marks it used until the caller has linked the first */
	w->slots[i].n = 1;
	if (w->n == w->cap_heap) {
		w->cap_heap = w->cap_heap == 0 ? SLOTS_MIN : w->cap_heap * 2;
		w->heap = xreallocarray(w->heap, w->cap_heap, sizeof(*w->heap));
	}
	w->heap[w->n] = i;
	heap_up(w, w->n++);
	return &w->slots[i];
}

int64_t window_ends_first(const struct window_ends *w)
{
	return w->n == 0 ? INT64_MAX : heap_end(w, 0);
}

/* Empty slot i, closing the gap; moved slots tell the heap. */
static void erase(struct window_ends *w, uint32_t i)
{
	uint32_t j = i;

	for (;;) {
		j = (j + 1) & w->mask;
		if (w->slots[j].n == 0)
			break;
		if (((j - home(w, w->slots[j].end_ms)) & w->mask) >= ((j - i) & w->mask)) {
			w->slots[i] = w->slots[j];
			w->heap[w->slots[i].heap_idx] = i;
			i = j;
		}
	}
	w->slots[i].n = 0;
}

struct window_end window_ends_pop(struct window_ends *w)
{
	struct window_end top;
	uint32_t slot;

	ASSERT(w->n > 0);
	slot = w->heap[0];
	top = w->slots[slot];
	if (--w->n > 0) {
		heap_set(w, 0, w->heap[w->n]);
		heap_down(w, 0);
	}
	erase(w, slot);
	return top;
}
