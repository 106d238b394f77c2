/*
 * How a ring lies in its memfd and in a process's addresses.
 *
 *   in the memfd    consumer page | producer page | data
 *   in addresses    consumer page | producer page | data | the same data again
 *
 * Side by side in the file, so that what has one protection is one mapping of the
 * kernel's: a side costs three of vm.max_map_count, both together two.
 */
#ifndef SHM_RING_MAP_H
#define SHM_RING_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "shm/ring.h"

enum ring_map_side { RING_MAP_PRODUCER, RING_MAP_CONSUMER, RING_MAP_BOTH };

/* Bytes of a ring in its memfd, and in addresses. */
static inline uint64_t ring_file_size(uint64_t size)
{
	return 2 * RING_PAGE + size;
}
static inline size_t ring_map_size(uint64_t size)
{
	return (size_t)(2 * RING_PAGE + 2 * size);
}

/*
 * Reserve the ring's pages and map it for one side or for both; no access can fail later for
 * lack of memory.
 * Returns:   the consumer page's address, unmapped with munmap(p, ring_map_size(size)), or NULL
 */
void *ring_map(int fd, uint64_t ring_off, uint64_t size, enum ring_map_side side, struct err *e);

static inline struct ring_consumer_page *ring_map_consumer_page(void *base)
{
	return base;
}
static inline struct ring_producer_page *ring_map_producer_page(void *base)
{
	return (struct ring_producer_page *)(void *)((uint8_t *)base + RING_PAGE);
}
static inline uint8_t *ring_map_data(void *base)
{
	return (uint8_t *)base + 2 * RING_PAGE;
}

/* Reserve pages of a memfd, so that lack of memory is said now: fallocate with EINTR
 * repeated and a sentence. Returns 0 or -1. */
int shm_reserve(int fd, uint64_t off, uint64_t len, struct err *e);
/* The sentence for a failed mmap (errno): address space, memory, or vm.max_map_count. Returns -1. */
int shm_map_failed(uint64_t len, struct err *e);

#endif
