/*
 * Arena of keyed state: chunks, bump allocation, free lists.
 */
#include "worker/state/arena.h"

#include <sys/mman.h>

#include "base/err.h"
#include "base/mem.h"

/* Under ASan, freed entries are out of bounds: nobody keeps a reference to one. */
#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define FORBID(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define ALLOW(p, n)  ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define FORBID(p, n) ((void)0)
#define ALLOW(p, n)  ((void)0)
#endif

#define CHUNK_UNITS (1u << ARENA_CHUNK_BITS)
#define CHUNK_BYTES ((size_t)CHUNK_UNITS * ARENA_UNIT)
#define FIRST_BYTES ((size_t)64 << 10)

void arena_init(struct arena *a)
{
	memset(a, 0, sizeof(*a));
}

/* Map n whole chunks in a row, aligned so that they can be huge pages. */
static uint8_t *map_chunks(size_t n)
{
	size_t want = n * CHUNK_BYTES, have = want + CHUNK_BYTES;
	uint8_t *p =
	    mmap(NULL, have, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *start;
	size_t before;

	if (p == MAP_FAILED)
		return NULL;
	before = (CHUNK_BYTES - (uintptr_t)p % CHUNK_BYTES) % CHUNK_BYTES;
	start = p + before;
	if (before > 0)
		munmap(p, before);
	if (have - before > want)
		munmap(start + want, have - before - want);
	madvise(start, want, MADV_HUGEPAGE); /* only a wish */
	return start;
}

static void add_chunk(struct arena *a, uint8_t *base)
{
	VEC_RESERVE(a->chunks, a->n_chunks, a->cap_chunks);
	a->chunks[a->n_chunks++].base = base;
}

/* Room for `units` more at next; what is left of the last chunk is given up. */
static int grow(struct arena *a, uint32_t units)
{
	uint32_t n = (units + CHUNK_UNITS - 1) / CHUNK_UNITS, i;
	uint8_t *base;

	if (a->n_chunks == 0 && units < FIRST_BYTES / ARENA_UNIT) {
		base = mmap(NULL, FIRST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (base == MAP_FAILED)
			return -1;
		add_chunk(a, base);
		a->mapped_bytes += FIRST_BYTES;
		a->next = 1; /* reference 0 is none */
		a->end = FIRST_BYTES / ARENA_UNIT;
		return 0;
	}
	if ((uint64_t)a->n_chunks + n + 1 > UINT32_MAX / CHUNK_UNITS)
		return -1;
	if (a->n_chunks == 0)
		add_chunk(a, NULL); /* so that no reference is 0 */
	base = map_chunks(n);
	if (base == NULL)
		return -1;
	a->next = a->n_chunks * CHUNK_UNITS;
	a->end = a->next + n * CHUNK_UNITS;
	for (i = 0; i < n; i++)
		add_chunk(a, base + (size_t)i * CHUNK_BYTES);
	a->mapped_bytes += (size_t)n * CHUNK_BYTES;
	return 0;
}

void arena_fini(struct arena *a)
{
	uint32_t i;

	for (i = 0; i < a->n_chunks; i++) {
		if (a->chunks[i].base == NULL)
			continue;
		/* Only the first one, where it is the small one, is not CHUNK_BYTES long. */
		ALLOW(a->chunks[i].base, i == 0 ? FIRST_BYTES : CHUNK_BYTES);
		munmap(a->chunks[i].base, i == 0 ? FIRST_BYTES : CHUNK_BYTES);
	}
	free(a->chunks);
	arena_init(a);
}

/* Units that an allocation takes, and its free list. */
static uint32_t size_class(struct arena *a, size_t size_bytes, arena_ref **list)
{
	uint32_t units = (uint32_t)((size_bytes + ARENA_UNIT - 1) / ARENA_UNIT);
	unsigned shift;

	if (units == 0)
		units = 1;
	if (units <= ARENA_N_SMALL) {
		*list = &a->free_small[units - 1];
		return units;
	}
	shift = 32 - (unsigned)__builtin_clz(units - 1);
	*list = &a->free_large[shift];
	return 1u << shift;
}

arena_ref arena_alloc(struct arena *a, size_t size_bytes)
{
	arena_ref *list, ref;
	uint32_t units;

	if (size_bytes > ARENA_MAX_ALLOC)
		return 0;
	units = size_class(a, size_bytes, &list);
	ref = *list;
	if (ref != 0) {
		ALLOW(arena_at(a, ref), (size_t)units * ARENA_UNIT);
		memcpy(list, arena_at(a, ref), sizeof(*list));
	} else {
		/* next never crosses a chunk but for allocations of whole chunks, which are mapped in a row */
		if (a->end - a->next < units && grow(a, units) == -1)
			return 0;
		ref = a->next;
		a->next += units;
	}
	a->used_bytes += (size_t)units * ARENA_UNIT;
	return ref;
}

void arena_free(struct arena *a, arena_ref ref, size_t size_bytes)
{
	arena_ref *list;
	uint32_t units = size_class(a, size_bytes, &list);

	ASSERT(ref != 0);
	memcpy(arena_at(a, ref), list, sizeof(*list));
	FORBID(arena_at(a, ref), (size_t)units * ARENA_UNIT);
	*list = ref;
	a->used_bytes -= (size_t)units * ARENA_UNIT;
}
