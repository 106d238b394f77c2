/*
 * Both sides of a ring whose other side is wild: positions and data come from the input.
 *
 * Input:  u8  mode: bit 0 the producer's side, else the consumer's
 *         u64 where the ring stands (made a multiple of 8)
 *         u64 head or tail, as the wild side wrote it, relative to that (bit 1 of mode: absolute)
 *         u64 space_wanted or limit
 *         u16 where the rest goes, from that position on
 *         the rest: data of the ring; for the producer two bytes a call: what, and how much
 *
 * Nothing may crash; what comes out lies in the ring and keeps the rules of an element; damage has
 * a sentence and is for ever.
 */
#include "base/mem.h"
#include "shm/exchange.h"
#include "shm/ring.h"

#define SIZE RING_SIZE_MIN

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t size);

static uint64_t take(const uint8_t **in, size_t *size, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n && *size > 0; i++, ++*in, --*size)
		v |= (uint64_t)**in << 8 * i;
	return v;
}

static void consume(struct ring *c, uint64_t head, uint64_t wanted)
{
	const uint64_t start = c->tail;
	volatile uint8_t sum = 0;
	struct ring_elem e;
	enum ring_result rc;

	atomic_store(&c->prod->head, head);
	atomic_store(&c->prod->space_wanted, wanted);
	while ((rc = ring_peek(c, &e)) == RING_OK) {
		const uint8_t *b = e.data;

		ASSERT(ring_readable(c));
		ASSERT(e.kind >= ELEM_RECORD && e.kind <= ELEM_LATENCY);
		ASSERT(e.flags == 0 || (e.flags == ELEM_MORE && e.kind == ELEM_RECORD));
		ASSERT(e.len <= ring_max_payload(c));
		ASSERT(b >= c->data && b + e.len <= c->data + 2 * SIZE);
		for (uint32_t i = 0; i < e.len; i++)
			sum = (uint8_t)(sum + b[i]);
		ring_release(c);
		ASSERT(c->tail - start <= SIZE && c->tail - start <= head - start);
	}
	ASSERT(ring_in_flight(c) <= SIZE);
	if (rc == RING_DAMAGED) {
		ASSERT(c->damage != NULL && ring_readable(c));
		atomic_store(&c->prod->head, c->tail);
		ASSERT(ring_peek(c, &e) == RING_DAMAGED);
	} else {
		ASSERT(rc == RING_EMPTY && c->tail == head);
	}
	ring_publish_tail(c);
	ring_update_limit(c, (int64_t)(head >> 1));
	ring_update_limit(c, (int64_t)(wanted >> 1));
	ASSERT(c->limit_cached >= RING_LIMIT_MIN && c->limit_cached <= SIZE);
}

static void produce(struct ring *p, uint64_t tail, uint64_t limit, const uint8_t *in, size_t size)
{
	atomic_store(&p->cons->limit, limit);
	while (size > 0) {
		uint8_t what = (uint8_t)take(&in, &size, 1);
		uint32_t len = (uint32_t)take(&in, &size, 1) * 37;
		enum ring_result rc;
		void *mem;

		if (what == 255)
			atomic_store(&p->cons->tail, tail);
		if (what == 254)
			atomic_store(&p->cons->tail, p->published); /* as an honest consumer */
		if (what == 253)
			ring_publish(p);
		if (what == 252) {
			ring_want_space(p, len);
			ASSERT(p->head == p->published);
		}
		rc = ring_reserve(p, len, &mem);
		ASSERT(rc != RING_EMPTY && (rc == RING_FULL) == !ring_has_space(p, len));
		if (rc == RING_DAMAGED)
			ASSERT(p->damage != NULL);
		if (rc != RING_OK)
			continue;
		ASSERT(p->damage != NULL || p->head - p->tail_cached + ring_elem_size(len) <= SIZE);
		ASSERT((uint8_t *)mem >= p->data && (uint8_t *)mem + len <= p->data + 2 * SIZE);
		memset(mem, what, len);
		ring_commit(p, ELEM_RECORD, what, what, len);
	}
	ASSERT(ring_in_flight(p) <= SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t size)
{
	static struct ring_pair *pair;
	static struct ring p, c;
	uint64_t pos, wild, other;
	uint16_t at;
	uint8_t mode;

	if (pair == NULL)
		pair = ring_pair_create(SIZE, NULL, NULL, &p, &c);
	ASSERT(pair != NULL);
	ring_init_producer(&p, p.prod, p.cons, p.data, SIZE, NULL);
	ring_init_consumer(&c, p.prod, p.cons, p.data, SIZE, NULL);
	memset(p.data, 0, SIZE);

	mode = (uint8_t)take(&in, &size, 1);
	pos = take(&in, &size, 8) & ~UINT64_C(7);
	wild = take(&in, &size, 8) + (mode & 2 ? 0 : pos);
	other = take(&in, &size, 8);
	p.head = p.published = p.tail_cached = pos;
	c.tail = c.tail_published = c.head_cached = c.limit_tail = pos;
	atomic_store(&p.prod->head, pos);
	atomic_store(&c.cons->tail, pos);
	atomic_store(&p.prod->space_wanted, 0);
	atomic_store(&c.cons->limit, 0);
	if (mode & 1) {
		produce(&p, wild, other, in, size);
		return 0;
	}
	at = (uint16_t)take(&in, &size, 2);
	for (size_t i = 0; i < size && i < SIZE; i++)
		*ring_at(&p, pos + at + i) = in[i];
	consume(&c, wild, other);
	return 0;
}
