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
#include <string.h>

#include "base/err.h"
#include "shm/doorbell.h"

#define RING_LINE      64
#define RING_PAGE      4096
#define RING_SIZE_MIN  (32u << 10)
#define RING_SIZE_MAX  (1u << 20)
#define RING_LIMIT_MIN (32u << 10)
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
	_Atomic uint64_t limit; /* bytes that may be in flight: about a second's reading; 0: the size */
	uint8_t pad[RING_PAGE - 16];
};
_Static_assert(sizeof(struct elem_header) == 16, "drawn in shm/README.md");
_Static_assert(sizeof(struct ring_producer_page) == RING_PAGE, "one page");
_Static_assert(sizeof(struct ring_consumer_page) == RING_PAGE, "one page");
_Static_assert(offsetof(struct ring_producer_page, space_wanted) == RING_LINE, "lines apart");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock does not work between processes");

#define RING_NOT_RESERVED UINT32_MAX

/* One side's view, private to its thread; both sides' fields are here, each side uses its own half. */
struct ring {
	/* both */
	uint8_t *data; /* mapped twice in a row; read-only for a consumer in another process */
	uint64_t size; /* power of two */
	struct doorbell *peer; /* of the other side's slot; NULL when it is the same slot */
	struct ring_producer_page *prod;
	struct ring_consumer_page *cons;
	uint64_t limit_cached; /* RING_LIMIT_MIN..size: what the producer takes for the size */
	/* producer */
	uint64_t head; /* written so far, maybe not yet published */
	uint64_t published;
	uint64_t tail_cached;
	unsigned unpublished; /* elements */
	uint32_t reserved;    /* payload bytes lent, or RING_NOT_RESERVED */
	/* consumer */
	uint64_t tail;
	uint64_t tail_published;
	uint64_t head_cached;
	uint32_t peeked; /* bytes of the element in hand, 0: none */
	unsigned unreleased;
	/* consumer's debloating: where it stood at limit_since_ns */
	uint64_t limit_tail;
	int64_t limit_since_ns;
	/* rarely used */
	const char *damage; /* what was wrong, after RING_DAMAGED */
	uint32_t id;        /* index in the exchange, for messages */
	bool is_producer;
};

/* Prepare a side over zeroed memory: 2*size bytes of data, mapped twice (tests: ring_pair_create).
 * peer may be NULL.  Where both ends are tasks of one process: two struct rings over one mapping. */
void ring_init_producer(struct ring *r, struct ring_producer_page *p, struct ring_consumer_page *c,
    uint8_t *data, uint64_t size, struct doorbell *peer);
void ring_init_consumer(struct ring *r, struct ring_producer_page *p, struct ring_consumer_page *c,
    uint8_t *data, uint64_t size, struct doorbell *peer);

/* Slow halves of the inline functions below; not called by others. */
enum ring_result ring_reserve_slow(struct ring *r, uint32_t len, void **p);
void ring_head_damaged(struct ring *r, uint64_t head);
void ring_elem_damaged(struct ring *r, const struct ring_elem *elem, uint64_t ready);

/* Largest payload of one element: a quarter of the ring less its header. */
static inline uint32_t ring_max_payload(const struct ring *r)
{
	return (uint32_t)(r->size / 4 - sizeof(struct elem_header));
}
/* What an element of len payload bytes takes up. */
static inline uint64_t ring_elem_size(uint32_t len)
{
	return sizeof(struct elem_header) + (((uint64_t)len + 7) & ~UINT64_C(7));
}
static inline uint8_t *ring_at(const struct ring *r, uint64_t pos)
{
	return r->data + (pos & (r->size - 1));
}

/*
 * Reserve room for one element.
 *
 * Called by: producer side only.  Never blocks.
 * Returns:   RING_OK      *p is writable (len bytes, 8-byte aligned), borrowed until ring_commit
 *            RING_FULL    the consumer is behind or at its limit; nothing changed
 *            RING_TOOBIG  len can never fit; send fragments
 *            RING_DAMAGED the consumer's tail cannot be right (r->damage says what)
 * An element larger than the limit fits when nothing is in flight.
 * If the producer dies before ring_publish the consumer sees nothing.
 */
static inline enum ring_result ring_reserve(struct ring *r, uint32_t len, void **p)
{
	uint64_t need = ring_elem_size(len);

	if (__builtin_expect(need > r->size / 4 || r->head - r->tail_cached + need > r->limit_cached, 0))
		return ring_reserve_slow(r, len, p);
	r->reserved = len;
	*p = ring_at(r, r->head) + sizeof(struct elem_header);
	return RING_OK;
}

/* Finish the reserved element with its final length (at most the reserved one).
 * Not yet visible.  Returns true when it is time to publish (RING_BATCH or 1/8 of the ring). */
static inline bool ring_commit(struct ring *r, uint8_t kind_flags, uint32_t key_hash, int64_t ts,
    uint32_t len)
{
	struct elem_header *h = (struct elem_header *)(void *)ring_at(r, r->head);

	ASSERT(r->reserved != RING_NOT_RESERVED && len <= r->reserved);
	h->kind_len = (uint32_t)kind_flags << 24 | len;
	h->key_hash = key_hash;
	h->ts = ts;
	r->reserved = RING_NOT_RESERVED;
	r->head += ring_elem_size(len);
	r->unpublished++;
	return r->unpublished >= RING_BATCH || r->head - r->published >= r->limit_cached / 8;
}

/* Forget the reserved element. */
static inline void ring_abort(struct ring *r)
{
	r->reserved = RING_NOT_RESERVED;
}

/* Make all committed elements visible and, only if the consumer's slot sleeps, ring its doorbell.
 * Returns true when there was something to publish (a peer of NULL: its task is to be marked runnable). */
static inline bool ring_publish(struct ring *r)
{
	if (r->published == r->head)
		return false;
	/* release: the elements before the head that lets them be read */
	atomic_store_explicit(&r->prod->head, r->head, memory_order_release);
	r->published = r->head;
	r->unpublished = 0;
	if (r->peer)
		doorbell_ring(r->peer);
	return true;
}

/*
 * Ask to be woken when len bytes will fit: publishes, then writes space_wanted, a tail position at
 * least a quarter of the limit ahead, or as much as is in flight.  Call it before
 * doorbell_prepare_sleep, each time that ring_has_space said no: the limit may have changed.
 */
void ring_want_space(struct ring *r, uint32_t len);
/* Whether ring_reserve(len) would do other than RING_FULL now (fresh load of tail).  Clears
 * space_wanted when it would. */
bool ring_has_space(struct ring *r, uint32_t len);

/* Publish the tail now; rings the producer's doorbell when it waits for this much.
 * Returns true when the tail moved (a peer of NULL: see whether its task waits for space). */
static inline bool ring_publish_tail(struct ring *r)
{
	uint64_t wanted;

	r->unreleased = 0;
	if (r->tail_published == r->tail)
		return false;
	/* release: our reads of the elements before the tail that lets them be overwritten */
	atomic_store_explicit(&r->cons->tail, r->tail, memory_order_release);
	r->tail_published = r->tail;
	if (r->peer == NULL)
		return true;
	doorbell_fence();
	wanted = atomic_load_explicit(&r->prod->space_wanted, memory_order_relaxed);
	/* At every tail from wanted on, not once: should the limit have shrunk since it asked, the
	 * producer sleeps on with too little and is rung again by the next. */
	if (wanted != 0 && r->tail >= wanted)
		doorbell_ring(r->peer);
	return true;
}

/* The next element, or RING_EMPTY, or RING_DAMAGED (r->damage says what, for ever).
 * Peeking twice gives the same. */
static inline enum ring_result ring_peek(struct ring *r, struct ring_elem *elem)
{
	struct elem_header h;
	uint64_t word[2], ready, size;
	_Atomic uint64_t *from;

	ready = r->head_cached - r->tail;
	if (__builtin_expect(ready == 0, 0)) {
		uint64_t head = atomic_load_explicit(&r->prod->head, memory_order_acquire);

		if (r->damage)
			return RING_DAMAGED;
		ready = head - r->tail;
		if (ready == 0) {
			/* A busy slot does not sleep: let a waiting producer have what was read. */
			if (r->tail_published != r->tail &&
			    atomic_load_explicit(&r->prod->space_wanted, memory_order_relaxed) != 0)
				ring_publish_tail(r);
			return RING_EMPTY;
		}
		if (ready > r->size || head % 8 != 0) {
			ring_head_damaged(r, head);
			return RING_DAMAGED;
		}
		r->head_cached = head;
	}
	/* Each word is read once, then checked: a wild producer can still write here. */
	from = (_Atomic uint64_t *)(void *)ring_at(r, r->tail);
	word[0] = atomic_load_explicit(&from[0], memory_order_relaxed);
	word[1] = atomic_load_explicit(&from[1], memory_order_relaxed);
	memcpy(&h, word, sizeof(h));
	elem->len = h.kind_len & 0xffffff;
	elem->kind = h.kind_len >> 24 & ELEM_KIND_MASK;
	elem->flags = (uint8_t)(h.kind_len >> 24 & ~ELEM_KIND_MASK);
	elem->key_hash = h.key_hash;
	elem->ts = h.ts;
	elem->data = from + 2;
	size = ring_elem_size(elem->len);
	if (__builtin_expect(elem->kind < ELEM_RECORD || elem->kind > ELEM_LATENCY ||
	    (elem->flags != 0 && (elem->flags != ELEM_MORE || elem->kind != ELEM_RECORD)) ||
	    size > r->size / 4 || size > ready, 0)) {
		ring_elem_damaged(r, elem, ready);
		return RING_DAMAGED;
	}
	r->peeked = (uint32_t)size;
	return RING_OK;
}

/* Done with the peeked element; publishes the tail at RING_BATCH elements or 1/8 of the ring.
 * Returns true when it did (a peer of NULL: see whether its task waits for space). */
static inline bool ring_release(struct ring *r)
{
	ASSERT(r->peeked != 0);
	r->tail += r->peeked;
	r->peeked = 0;
	r->unreleased++;
	if (r->unreleased >= RING_BATCH || r->tail - r->tail_published >= r->limit_cached / 8)
		return ring_publish_tail(r);
	return false;
}

/* Whether ring_peek would give other than RING_EMPTY (fresh load of head). */
bool ring_readable(struct ring *r);
/* Once a second or so from the consumer's slot: set `limit` from what was read since. */
void ring_update_limit(struct ring *r, int64_t now_ns);
/* Bytes written and not yet read, as this side sees it (fresh loads; at most the ring's size). */
uint64_t ring_in_flight(const struct ring *r);

#endif
