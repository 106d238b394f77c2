/*
 * The arena of keyed state: memory for entries, named by 32-bit references so that
 * tables and lists stay small.  One task's, one thread's.
 *
 * Chunks of 2 MiB, aligned and advised to be huge pages (the kernel frees a huge page
 * 20 times faster, and a kill is reported only after that); the first chunk is small, since
 * most jobs keep a few keys.  Freed entries are kept in lists by size.
 */
#ifndef WORKER_STATE_ARENA_H
#define WORKER_STATE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#define ARENA_UNIT       16u /* bytes; a reference counts these */
#define ARENA_CHUNK_BITS 17  /* units a chunk: 2 MiB */
#define ARENA_MAX_ALLOC  ((size_t)1 << 30)

typedef uint32_t arena_ref; /* 0: none */

struct arena_chunk {
	uint8_t *base;
};

#define ARENA_N_SMALL 64 /* lists for 16, 32, … 1024 bytes */
#define ARENA_N_LARGE 32 /* and for powers of two above */

struct arena {
	struct arena_chunk *chunks; /* indexed by reference >> ARENA_CHUNK_BITS */
	uint32_t n_chunks, cap_chunks;
	uint32_t next, end; /* bump allocation, units */
	arena_ref free_small[ARENA_N_SMALL];
	arena_ref free_large[ARENA_N_LARGE];
	size_t mapped_bytes;
	size_t used_bytes;
};

void arena_init(struct arena *a);
void arena_fini(struct arena *a);

/* size_bytes of uninitialised memory, 16-byte aligned; 0 when there is no memory or no reference left. */
arena_ref arena_alloc(struct arena *a, size_t size_bytes);
/* size_bytes as it was allocated. */
void arena_free(struct arena *a, arena_ref ref, size_t size_bytes);

static inline void *arena_at(const struct arena *a, arena_ref ref)
{
	return a->chunks[ref >> ARENA_CHUNK_BITS].base +
	    (size_t)(ref & ((1u << ARENA_CHUNK_BITS) - 1)) * ARENA_UNIT;
}

#endif
