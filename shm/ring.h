/*
 * The ring: single producer, single consumer, bytes in shared memory.
 *
 * One ring joins one producing subtask to one consuming subtask.  It is a page
 * written by its producer, a page written by its consumer and a power of two of
 * data, mapped twice in a row so that nothing wraps.  Head and tail are 64-bit
 * positions that never wrap; each side caches the other's.  See shm/README.md.
 *
 * Invariants:
 *   - A record is visible only after one release store of head: a producer that
 *     dies at any instruction leaves nothing half-written to be read.
 *   - What comes out of shared memory is copied, then checked, then used: damage
 *     is RING_DAMAGED, never a fault of the reader.
 *   - A ring is never repaired; a new attempt has a new exchange.
 *
 * Not thread-safe on one side: each side belongs to one thread.
 */
#ifndef SHM_RING_H
#define SHM_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_LINE      64
#define RING_PAGE      4096
#define RING_SIZE_MIN  (32u << 10)
#define RING_SIZE_MAX  (1u << 20)
#define RING_BATCH     64 /* publish after that many elements */

enum ring_result { RING_OK, RING_FULL, RING_EMPTY, RING_TOOBIG, RING_DAMAGED };

enum elem_kind { ELEM_RECORD = 1, ELEM_WATERMARK, ELEM_BARRIER, ELEM_STATUS, ELEM_END, ELEM_LATENCY };
#define ELEM_KIND_MASK 0x0f
#define ELEM_MORE      0x10 /* a fragment; the record goes on in the next element */

/* Header of an element, 16 bytes, then the payload, padded to 8 bytes. */
struct elem_header {
	uint32_t kind_len; /* kind and flags << 24 | payload bytes */
	uint32_t key_hash;
	int64_t ts; /* event time; watermark; checkpoint id; 1 idle, 0 active */
};

/* An element as the consumer gets it: header copied and checked. */
struct ring_elem {
	uint32_t len;
	uint32_t key_hash;
	int64_t ts;
	const void *data; /* borrowed until ring_release; may be changed by a wild producer, not moved */
	uint8_t kind;     /* enum elem_kind */
	uint8_t flags;    /* ELEM_MORE */
};

/* Written by the producer, mapped read-only by the consumer (unless both are in one process). */
struct ring_producer_page {
	_Atomic uint64_t head; /* end of what may be read */
	uint8_t pad0[RING_LINE - 8];
	_Atomic uint64_t space_wanted; /* tail position at which the producer goes on; 0: it does not wait */
	uint8_t pad1[RING_PAGE - RING_LINE - 8];
};
/* Written by the consumer. */
struct ring_consumer_page {
	_Atomic uint64_t tail; /* end of what has been read */
	_Atomic uint64_t limit; /* bytes that may be in flight: about a second of the consumer's reading */
	uint8_t pad[RING_PAGE - 16];
};
_Static_assert(sizeof(struct elem_header) == 16, "drawn in shm/README.md");
_Static_assert(sizeof(struct ring_producer_page) == RING_PAGE, "one page");
_Static_assert(sizeof(struct ring_consumer_page) == RING_PAGE, "one page");

struct doorbell;

/* One side's view; both sides' fields are here, each side uses its own half. */
struct ring {
	/* producer */
	struct ring_producer_page *prod;
	uint64_t head;        /* written so far, maybe not yet published */
	uint64_t published;
	uint64_t tail_cached;
	uint64_t limit_cached;
	unsigned unpublished; /* elements */
	uint32_t reserved;    /* payload bytes lent, UINT32_MAX: none */
	/* consumer */
	struct ring_consumer_page *cons;
	uint64_t tail;
	uint64_t tail_published;
	uint64_t head_cached;
	uint32_t peeked; /* bytes of the element in hand, 0: none */
	unsigned unreleased;
	/* both */
	uint8_t *data; /* mapped twice in a row */
	uint64_t size; /* power of two */
	struct doorbell *peer; /* of the other side's slot; NULL when it is the same slot */
	uint32_t id;           /* index in the exchange, for messages */
	const char *damage;    /* what was wrong, after RING_DAMAGED */
	/* consumer's debloating: bytes read since limit_since_ns */
	uint64_t limit_bytes;
	int64_t limit_since_ns;
};

/* Prepare a side over mapped memory: tests pass plain memory of 2*size bytes of data
 * mapped twice (see ring_alloc). peer may be NULL. */
void ring_init_producer(struct ring *r, struct ring_producer_page *p, struct ring_consumer_page *c, uint8_t *data, uint64_t size, struct doorbell *peer);
void ring_init_consumer(struct ring *r, struct ring_producer_page *p, struct ring_consumer_page *c, uint8_t *data, uint64_t size, struct doorbell *peer);
/* Where both ends are tasks of one process: two struct rings over one mapping. */

/* Largest payload of one element: a quarter of the ring less its header. */
uint32_t ring_max_payload(const struct ring *r);

/*
 * Reserve room for one element.
 *
 * Called by: producer side only.  Never blocks.
 * Returns:   RING_OK      *p is writable (len bytes), borrowed until ring_commit
 *            RING_FULL    the consumer is behind or at its limit; nothing changed
 *            RING_TOOBIG  len can never fit; send fragments
 * If the producer dies before ring_publish the consumer sees nothing.
 */
enum ring_result ring_reserve(struct ring *r, uint32_t len, void **p);
/* Finish the reserved element with its final length (at most the reserved one).
 * Not yet visible.  Returns true when it is time to publish (RING_BATCH or 1/8 of the ring). */
bool ring_commit(struct ring *r, uint8_t kind_flags, uint32_t key_hash, int64_t ts, uint32_t len);
/* Forget the reserved element. */
void ring_abort(struct ring *r);
/* Make all committed elements visible and, only if the consumer's slot sleeps, ring its doorbell. */
void ring_publish(struct ring *r);
/* Ask to be woken when len bytes will fit (writes space_wanted, which is at least a quarter of the
 * ring ahead or as much as is in flight). Publish first. */
void ring_want_space(struct ring *r, uint32_t len);
/* Whether ring_reserve(len) would succeed now (fresh load of tail). Clears space_wanted when it would. */
bool ring_has_space(struct ring *r, uint32_t len);

/* The next element, or RING_EMPTY, or RING_DAMAGED (r->damage says what). Peeking twice gives the same. */
enum ring_result ring_peek(struct ring *r, struct ring_elem *elem);
/* Done with the peeked element; publishes the tail at RING_BATCH elements or 1/8 of the ring. */
void ring_release(struct ring *r);
/* Publish the tail now; rings the producer's doorbell when it waits for this much. */
void ring_publish_tail(struct ring *r);
/* Whether something is there (fresh load of head). */
bool ring_readable(struct ring *r);
/* Once a second or so from the consumer's slot: set `limit` from what was read since. */
void ring_update_limit(struct ring *r, int64_t now_ns);
/* Bytes written and not yet read, as this side sees it. */
uint64_t ring_in_flight(const struct ring *r);

#endif
