/*
 * The ring's slow halves: what runs once a batch, a wait or a second.
 */
#include "shm/ring.h"

/* Below that, a measurement says more about the scheduler than about the consumer. */
#define LIMIT_INTERVAL_MIN_NS INT64_C(100000000)

static void init(struct ring *r, struct ring_producer_page *p, struct ring_consumer_page *c,
    uint8_t *data, uint64_t size, struct doorbell *peer)
{
	ASSERT(size >= RING_SIZE_MIN && size <= RING_SIZE_MAX && (size & (size - 1)) == 0);
	*r = (struct ring){
		.data = data,
		.size = size,
		.peer = peer,
		.prod = p,
		.cons = c,
		.limit_cached = size,
		.reserved = RING_NOT_RESERVED,
	};
}

void ring_init_producer(struct ring *r, struct ring_producer_page *p, struct ring_consumer_page *c,
    uint8_t *data, uint64_t size, struct doorbell *peer)
{
	init(r, p, c, data, size, peer);
	r->is_producer = true;
}

void ring_init_consumer(struct ring *r, struct ring_producer_page *p, struct ring_consumer_page *c,
    uint8_t *data, uint64_t size, struct doorbell *peer)
{
	init(r, p, c, data, size, peer);
}

/* 0: the consumer has not said anything yet. A wild value costs speed, nothing else. */
static uint64_t clamp_limit(const struct ring *r, uint64_t limit)
{
	if (limit == 0 || limit > r->size)
		return r->size;
	return limit < RING_LIMIT_MIN ? RING_LIMIT_MIN : limit;
}

/* Fresh tail and limit. False: the tail cannot be right. */
static bool load_tail(struct ring *r)
{
	uint64_t tail;

	if (r->damage)
		return false;
	/* acquire: the consumer's last reads happened before our overwriting */
	tail = atomic_load_explicit(&r->cons->tail, memory_order_acquire);
	/* one comparison for both: not behind the last one, not ahead of what was published */
	if (tail - r->tail_cached > r->published - r->tail_cached || tail % 8 != 0) {
		r->damage = tail % 8 != 0 ? "its tail is not a multiple of 8" :
		    tail < r->tail_cached ? "its tail went back" : "its tail is ahead of its head";
		r->tail_cached = r->head - r->size; /* full for ever: the fast path leads here */
		return false;
	}
	r->tail_cached = tail;
	r->limit_cached = clamp_limit(r, atomic_load_explicit(&r->cons->limit, memory_order_relaxed));
	return true;
}

static bool fits(const struct ring *r, uint32_t len)
{
	uint64_t in_flight = r->head - r->tail_cached;

	return in_flight == 0 || in_flight + ring_elem_size(len) <= r->limit_cached;
}

enum ring_result ring_reserve_slow(struct ring *r, uint32_t len, void **p)
{
	if (len > ring_max_payload(r))
		return RING_TOOBIG;
	if (!load_tail(r))
		return RING_DAMAGED;
	if (!fits(r, len))
		return RING_FULL;
	r->reserved = len;
	*p = ring_at(r, r->head) + sizeof(struct elem_header);
	return RING_OK;
}

void ring_want_space(struct ring *r, uint32_t len)
{
	uint64_t need = ring_elem_size(len), in_flight, ahead;

	/* The consumer can read only what is published, so only that can be waited for. */
	ring_publish(r);
	in_flight = r->head - r->tail_cached;
	ahead = r->limit_cached / 4;
	if (in_flight + need > r->limit_cached && in_flight + need - r->limit_cached > ahead)
		ahead = in_flight + need - r->limit_cached;
	if (ahead > in_flight)
		ahead = in_flight;
	atomic_store_explicit(&r->prod->space_wanted, r->tail_cached + ahead, memory_order_relaxed);
}

bool ring_has_space(struct ring *r, uint32_t len)
{
	/* Damaged or too big: yes, so that the caller goes on and ring_reserve tells it. */
	if (load_tail(r) && len <= ring_max_payload(r) && !fits(r, len))
		return false;
	if (atomic_load_explicit(&r->prod->space_wanted, memory_order_relaxed) != 0)
		atomic_store_explicit(&r->prod->space_wanted, 0, memory_order_relaxed);
	return true;
}

static void set_damage(struct ring *r, const char *damage)
{
	r->damage = damage;
	r->peeked = 0;
	r->head_cached = r->tail; /* nothing more comes out: the fast path leads to the test of damage */
}

void ring_head_damaged(struct ring *r, uint64_t head)
{
	if (head % 8 != 0)
		set_damage(r, "its head is not a multiple of 8");
	else if (head < r->tail)
		set_damage(r, "its head went back");
	else
		set_damage(r, "its head is more than its size ahead of its tail");
}

void ring_elem_damaged(struct ring *r, const struct ring_elem *elem, uint64_t ready)
{
	if (elem->kind < ELEM_RECORD || elem->kind > ELEM_LATENCY)
		set_damage(r, "an element of it has an unknown kind");
	else if (elem->len > ring_max_payload(r))
		set_damage(r, "an element of it is longer than a quarter of it");
	else if (ring_elem_size(elem->len) > ready)
		set_damage(r, "an element of it ends past its head");
	else
		set_damage(r, "an element of it has unknown flags");
}

bool ring_readable(struct ring *r)
{
	return r->head_cached != r->tail || r->damage != NULL ||
	    atomic_load_explicit(&r->prod->head, memory_order_acquire) != r->tail;
}

void ring_update_limit(struct ring *r, int64_t now_ns)
{
	int64_t elapsed_ns = now_ns - r->limit_since_ns;

	if (r->limit_since_ns != 0) {
		uint64_t limit;

		if (elapsed_ns < LIMIT_INTERVAL_MIN_NS)
			return;
		limit = (r->tail - r->limit_tail) / ((uint64_t)elapsed_ns / 1000000) * 1000;
		r->limit_cached = limit < RING_LIMIT_MIN ? RING_LIMIT_MIN : clamp_limit(r, limit);
		atomic_store_explicit(&r->cons->limit, r->limit_cached, memory_order_relaxed);
	}
	r->limit_tail = r->tail;
	r->limit_since_ns = now_ns;
}

uint64_t ring_in_flight(const struct ring *r)
{
	uint64_t n;

	if (r->is_producer)
		n = r->head - atomic_load_explicit(&r->cons->tail, memory_order_relaxed);
	else
		n = atomic_load_explicit(&r->prod->head, memory_order_relaxed) - r->tail;
	return n > r->size ? r->size : n;
}
