/*
 * The exchange: all rings of one execution attempt of a job in one sealed memfd.
 *
 * The supervisor computes the layout and writes header and ring table; workers
 * that take part map what concerns them.  Offsets only, never pointers.  A new
 * attempt has a new exchange: a straggler of the old one writes into memory that
 * nobody reads.  Drawn byte by byte in shm/README.md.
 */
#ifndef SHM_EXCHANGE_H
#define SHM_EXCHANGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "shm/doorbell.h"
#include "shm/ring.h"

#define EXCHANGE_MAGIC     UINT64_C(0x4748435852494557) /* "WEIRXCHG" in memory */
#define EXCHANGE_VERSION   1
#define EXCHANGE_SLOTS_MAX 4096
#define EXCHANGE_RINGS_MAX (1u << 20)

/* The memfd's first page. Written by the supervisor before anyone has the descriptor; version last. */
struct exchange_header {
	uint64_t magic;
	uint32_t version;
	uint32_t header_bytes;
	struct id128 job_id;
	uint64_t attempt;
	uint64_t total_bytes;
	uint32_t n_slots;
	uint32_t n_rings;
	uint64_t table_off; /* struct exchange_ring_entry[n_rings] */
	uint64_t slots_off; /* struct slot_page[n_slots] */
};
struct exchange_ring_entry {
	uint64_t ring_off; /* consumer page, producer page, data */
	uint32_t size_bytes;
	uint32_t producer_slot;
	uint32_t consumer_slot;
	uint32_t reserved; /* 0 */
};
_Static_assert(sizeof(struct exchange_header) == 72, "drawn in shm/README.md");
_Static_assert(offsetof(struct exchange_header, job_id) == 16, "drawn in shm/README.md");
_Static_assert(offsetof(struct exchange_header, table_off) == 56, "drawn in shm/README.md");
_Static_assert(sizeof(struct exchange_ring_entry) == 24, "drawn in shm/README.md");

/* Supervisor's side: what is wanted. */
struct exchange_ring_spec {
	uint32_t producer_slot; /* index of the participating slot, 0..n_slots-1 */
	uint32_t consumer_slot;
	uint32_t size_bytes; /* power of two in RING_SIZE_MIN..RING_SIZE_MAX */
};
struct exchange_spec {
	struct id128 job_id;
	uint64_t attempt;
	uint32_t n_slots;
	uint32_t n_rings;
	const struct exchange_ring_spec *rings;
};

/* The ring size for an edge whose consuming slot has n_inbound rings on it. */
uint32_t exchange_ring_size(uint32_t n_inbound);

/* Make the sealed memfd. Touches no ring page. Returns the descriptor or -1. */
int exchange_create(const struct exchange_spec *spec, struct err *e);

/* Worker's side. */
struct exchange;

/*
 * Map header, table and slot pages, after checking magic, version, job, attempt,
 * sizes and offsets. Does not close fd; keeps a duplicate until detach.
 *
 * own_slots:  indices of the participating slots that live in this process
 * eventfds:   one a participating slot, borrowed until detach
 * Rings are mapped by exchange_producer/exchange_consumer.
 */
struct exchange *exchange_attach(int fd, const struct id128 *job_id, uint64_t attempt,
    const uint32_t *own_slots, uint32_t n_own, const int *eventfds, uint32_t n_slots, struct err *e);
void exchange_detach(struct exchange *x); /* unmaps every ring */

/* Prepare one side of ring `id`; its memory is touched and reserved here, so that lack of it is an
 * error now and no fault later. Fails when that side's slot is not ours. Thread-safe against each other. */
int exchange_producer(struct exchange *x, uint32_t id, struct ring *r, struct err *e);
int exchange_consumer(struct exchange *x, uint32_t id, struct ring *r, struct err *e);

/* Doorbell of a participating slot, valid until detach. */
struct doorbell *exchange_doorbell(struct exchange *x, uint32_t slot);

uint32_t exchange_n_rings(const struct exchange *x);
/* Bytes of rings that this process has mapped, for its metrics. */
uint64_t exchange_mapped_bytes(struct exchange *x);

/* Test helper: a ring of its own in an unnamed memfd, both sides in this process, each with the
 * other's doorbell as its peer. NULL: no memory (errno). */
struct ring_pair;
struct ring_pair *ring_pair_create(uint64_t size, struct doorbell *producer, struct doorbell *consumer,
    struct ring *producer_side, struct ring *consumer_side);
void ring_pair_destroy(struct ring_pair *p);

#endif
