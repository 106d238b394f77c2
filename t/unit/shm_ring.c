/*
 * The ring on one thread: edges of full, empty and size, wrap, publishing, waiting
 * for space, limit, and every kind of damage.
 */
#include "shm/ring.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "shm/exchange.h"
#include "t/tap.h"

#define SIZE ((uint64_t)RING_SIZE_MIN)

struct fixture {
	struct ring p, c;
	struct ring_pair *pair;
	struct slot_page pages[2];
	struct doorbell producer_bell, consumer_bell;
};

static struct fixture *setup(uint64_t size)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->producer_bell = (struct doorbell){ &f->pages[0], eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
	f->consumer_bell = (struct doorbell){ &f->pages[1], eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
	f->pair = ring_pair_create(size, &f->producer_bell, &f->consumer_bell, &f->p, &f->c);
	ASSERT(f->pair != NULL);
	return f;
}

static void teardown(struct fixture *f)
{
	ring_pair_destroy(f->pair);
	close(f->producer_bell.eventfd);
	close(f->consumer_bell.eventfd);
	free(f);
}

static enum ring_result put(struct ring *r, uint32_t len, uint8_t fill)
{
	enum ring_result rc;
	void *p;

	rc = ring_reserve(r, len, &p);
	if (rc != RING_OK)
		return rc;
	memset(p, fill, len);
	ring_commit(r, ELEM_RECORD, len * 7, (int64_t)len * -1, len);
	return RING_OK;
}

static bool filled_with(const struct ring_elem *e, uint8_t fill)
{
	const uint8_t *b = e->data;

	for (uint32_t i = 0; i < e->len; i++)
		if (b[i] != fill)
			return false;
	return true;
}

static uint64_t rung(struct doorbell *d)
{
	uint64_t n = 0;

	return read(d->eventfd, &n, sizeof(n)) == (ssize_t)sizeof(n) ? n : 0;
}

static void test_one_element(void)
{
	struct fixture *f = setup(SIZE);
	struct ring_elem e, again;
	void *p;

	is_int(ring_peek(&f->c, &e), RING_EMPTY, "a new ring is empty");
	ok(!ring_readable(&f->c), "and not readable");
	is_int(ring_reserve(&f->p, 5, &p), RING_OK, "reserve");
	is_int((uintptr_t)p % 8, 0, "the payload is aligned");
	memcpy(p, "hello", 5);
	ok(!ring_commit(&f->p, ELEM_RECORD, 0xdeadbeef, INT64_MIN, 5),
	    "one element need not be published yet");
	is_int(ring_peek(&f->c, &e), RING_EMPTY, "committed is not visible");
	is_int(ring_in_flight(&f->p), 24, "16 of header, 5 of payload, 3 of padding");
	ok(ring_publish(&f->p), "published");
	ok(!ring_publish(&f->p), "a second time there is nothing to publish");
	ok(ring_readable(&f->c), "readable");
	is_int(ring_peek(&f->c, &e), RING_OK, "visible");
	is_int(e.len, 5, "length");
	is_int(e.kind, ELEM_RECORD, "kind");
	is_int(e.flags, 0, "flags");
	is_int(e.key_hash, 0xdeadbeef, "key hash");
	ok(e.ts == INT64_MIN, "timestamp");
	ok(memcmp(e.data, "hello", 5) == 0, "payload");
	is_int(ring_peek(&f->c, &again), RING_OK, "peek again");
	ok(again.data == e.data && again.len == e.len, "gives the same");
	is_int(ring_in_flight(&f->c), 24, "in flight as the consumer sees it");
	ring_release(&f->c);
	is_int(ring_peek(&f->c, &e), RING_EMPTY, "empty after release");
	is_int(ring_in_flight(&f->c), 0, "nothing in flight for the consumer");
	is_int(ring_in_flight(&f->p), 24, "the producer does not know yet");
	ok(ring_publish_tail(&f->c), "tail published");
	ok(!ring_publish_tail(&f->c), "once");
	is_int(ring_in_flight(&f->p), 0, "now it knows");
	teardown(f);
}

static void test_kinds(void)
{
	static const uint8_t kinds[] = { ELEM_RECORD, ELEM_RECORD | ELEM_MORE, ELEM_WATERMARK, ELEM_BARRIER,
		ELEM_STATUS, ELEM_END, ELEM_LATENCY };
	struct fixture *f = setup(SIZE);
	struct ring_elem e;
	void *p;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		ring_reserve(&f->p, 0, &p);
		ring_commit(&f->p, kinds[i], 0, INT64_MAX - (int64_t)i, 0);
	}
	ring_publish(&f->p);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		is_int(ring_peek(&f->c, &e), RING_OK, "element %zu without payload", i);
		ok((e.kind | e.flags) == kinds[i] && e.len == 0 && e.ts == INT64_MAX - (int64_t)i,
		    "kind, flags, length and ts of element %zu", i);
		ring_release(&f->c);
	}
	teardown(f);
}

static void test_shorter_and_aborted(void)
{
	struct fixture *f = setup(SIZE);
	struct ring_elem e;
	void *p;

	ring_reserve(&f->p, 1000, &p);
	ring_abort(&f->p);
	ok(!ring_publish(&f->p), "nothing to publish after abort");
	ring_reserve(&f->p, 1000, &p);
	memset(p, 'a', 3);
	ring_commit(&f->p, ELEM_RECORD, 0, 0, 3);
	put(&f->p, 9, 'b');
	ring_publish(&f->p);
	is_int(ring_peek(&f->c, &e), RING_OK, "committed with less than reserved");
	ok(e.len == 3 && filled_with(&e, 'a'), "is that short");
	ring_release(&f->c);
	is_int(ring_peek(&f->c, &e), RING_OK, "and the next one follows it");
	ok(e.len == 9 && filled_with(&e, 'b'), "whole");
	teardown(f);
}

static void test_full(void)
{
	struct fixture *f = setup(SIZE);
	const uint32_t len = 1024 - sizeof(struct elem_header);
	struct ring_elem e;
	unsigned n = 0;
	void *p;

	while (put(&f->p, len, (uint8_t)n) == RING_OK)
		n++;
	is_int(n, SIZE / 1024, "the ring can be filled to its last byte");
	is_int(ring_reserve(&f->p, 0, &p), RING_FULL, "then not even an empty element fits");
	ok(!ring_has_space(&f->p, 0), "and there is no space");
	ring_publish(&f->p);
	is_int(ring_in_flight(&f->c), SIZE, "all of it in flight");
	ring_peek(&f->c, &e);
	ring_release(&f->c);
	is_int(ring_reserve(&f->p, 0, &p), RING_FULL, "an unpublished tail makes no room");
	ring_publish_tail(&f->c);
	is_int(put(&f->p, len, (uint8_t)n), RING_OK,
	    "a published one does, exactly that of the element read");
	is_int(ring_reserve(&f->p, 0, &p), RING_FULL, "and no more");
	ring_publish(&f->p);
	for (unsigned i = 1; i <= n; i++) {
		if (ring_peek(&f->c, &e) != RING_OK || e.len != len || !filled_with(&e, (uint8_t)i)) {
			ok(false, "element %u", i);
			break;
		}
		ring_release(&f->c);
	}
	is_int(ring_peek(&f->c, &e), RING_EMPTY, "all elements came out as they went in");
	teardown(f);
}

static void test_toobig(void)
{
	struct fixture *f = setup(SIZE);
	struct ring_elem e;
	void *p;

	is_int(ring_max_payload(&f->p), SIZE / 4 - 16, "largest payload");
	is_int(ring_reserve(&f->p, ring_max_payload(&f->p) + 1, &p), RING_TOOBIG, "one byte more is too big");
	is_int(ring_reserve(&f->p, UINT32_MAX, &p), RING_TOOBIG, "so is the largest number");
	ok(ring_has_space(&f->p, UINT32_MAX), "which nobody need wait for");
	is_int(put(&f->p, ring_max_payload(&f->p), 'x'), RING_OK, "the largest fits");
	ring_publish(&f->p);
	is_int(ring_peek(&f->c, &e), RING_OK, "and is read");
	ok(e.len == ring_max_payload(&f->c) && filled_with(&e, 'x'), "whole");
	teardown(f);
}

/* Every length at every position near the end of the ring: the second mapping takes over. */
static void test_wrap(void)
{
	struct fixture *f = setup(SIZE);
	uint64_t n = 0, bad = 0;
	struct ring_elem e;

	for (uint32_t round = 0; round < 40; round++) {
		for (uint32_t len = round; len < 2000; len += 13) {
			if (put(&f->p, len, (uint8_t)(len + round)) != RING_OK)
				bad++;
			ring_publish(&f->p);
			if (ring_peek(&f->c, &e) != RING_OK || e.len != len || e.key_hash != len * 7 ||
			    e.ts != (int64_t)len * -1 || !filled_with(&e, (uint8_t)(len + round)))
				bad++;
			else
				ring_release(&f->c);
			ring_publish_tail(&f->c);
			n += ring_elem_size(len);
		}
	}
	is_int(bad, 0, "no element is damaged by the wrap");
	ok(n > 100 * SIZE && f->p.head == n && f->c.tail == n,
	    "positions went %ju rings far and never wrapped",
	    (uintmax_t)(n / SIZE));
	teardown(f);
}

static void test_publish_at(void)
{
	struct fixture *f = setup(SIZE);
	struct ring_elem e;
	bool due = false;
	unsigned n = 0;
	void *p;

	while (!due) {
		ring_reserve(&f->p, 8, &p);
		due = ring_commit(&f->p, ELEM_RECORD, 0, 0, 8);
		n++;
	}
	is_int(n, RING_BATCH, "small elements are to be published at RING_BATCH");
	ring_publish(&f->p);
	for (unsigned i = 0; i < RING_BATCH - 1; i++) {
		ring_peek(&f->c, &e);
		ok(!ring_release(&f->c), "tail not published at %u", i + 1);
	}
	ring_peek(&f->c, &e);
	ok(ring_release(&f->c), "tail published at RING_BATCH");
	is_int(ring_in_flight(&f->p), 0, "and the producer sees it");

	ring_reserve(&f->p, (uint32_t)SIZE / 8 - 16, &p);
	ok(ring_commit(&f->p, ELEM_RECORD, 0, 0, (uint32_t)SIZE / 8 - 16), "or at an eighth of the ring");
	ring_publish(&f->p);
	ring_peek(&f->c, &e);
	ok(ring_release(&f->c), "the tail as well");
	teardown(f);
}

static void test_doorbells(void)
{
	struct fixture *f = setup(SIZE);
	struct ring_elem e;
	unsigned n = 0;

	put(&f->p, 8, 0);
	ring_publish(&f->p);
	is_int(rung(&f->consumer_bell), 0, "a consumer that is awake is not rung");
	doorbell_prepare_sleep(&f->consumer_bell);
	put(&f->p, 8, 0);
	ring_publish(&f->p);
	is_int(rung(&f->consumer_bell), 1, "one that sleeps is");
	ring_publish(&f->p);
	is_int(rung(&f->consumer_bell), 0, "but not without news");
	doorbell_awake(&f->consumer_bell);

	while (put(&f->p, 1000, 0) == RING_OK)
		;
	ring_want_space(&f->p, 1000);
	doorbell_prepare_sleep(&f->producer_bell);
	is_int(f->p.head, f->p.published, "whoever waits for space has published");
	while (ring_peek(&f->c, &e) == RING_OK) {
		uint64_t wanted = atomic_load(&f->p.prod->space_wanted), count;

		ring_release(&f->c);
		ring_publish_tail(&f->c);
		count = rung(&f->producer_bell);
		if (f->c.tail >= wanted)
			n += count == 1;
		else if (count != 0)
			ok(false, "rung at %ju before %ju", (uintmax_t)f->c.tail, (uintmax_t)wanted);
	}
	ok(n >= 1, "a producer that sleeps is rung when the tail reaches what it wants");
	ok(ring_has_space(&f->p, 1000), "now there is space");
	is_int(atomic_load(&f->p.prod->space_wanted), 0, "and it wants none");
	while (put(&f->p, 1000, 0) == RING_OK)
		;
	ring_publish(&f->p);
	while (ring_peek(&f->c, &e) == RING_OK)
		ring_release(&f->c);
	ring_publish_tail(&f->c);
	is_int(rung(&f->producer_bell), 0, "who wants no space is not rung");
	teardown(f);
}

static void test_want_space(void)
{
	struct fixture *f = setup(SIZE);
	uint64_t wanted;

	put(&f->p, 100, 0);
	ring_want_space(&f->p, 8);
	wanted = atomic_load(&f->p.prod->space_wanted);
	is_int(wanted, 120, "with little in flight all of it is waited for");
	while (put(&f->p, 240, 0) == RING_OK)
		;
	ring_want_space(&f->p, 240);
	wanted = atomic_load(&f->p.prod->space_wanted);
	is_int(wanted, SIZE / 4, "with a full ring a quarter of it");
	ring_want_space(&f->p, ring_max_payload(&f->p));
	wanted = atomic_load(&f->p.prod->space_wanted);
	ok(wanted >= SIZE / 4 && f->p.head + SIZE / 4 - wanted <= SIZE, "or as much as the element needs");
	teardown(f);
}

/* The consumer does not sleep, because other rings keep it busy: the producer must still go on. */
static void test_empty_publishes_tail(void)
{
	struct fixture *f = setup(SIZE);
	struct ring_elem e;

	put(&f->p, 100, 0);
	ring_publish(&f->p);
	ring_peek(&f->c, &e);
	ring_release(&f->c);
	ring_peek(&f->c, &e);
	is_int(ring_in_flight(&f->p), 120, "an empty ring alone does not publish the tail");
	ring_want_space(&f->p, 8);
	ring_peek(&f->c, &e);
	is_int(ring_in_flight(&f->p), 0, "one whose producer waits does");
	teardown(f);
}

static void test_same_slot(void)
{
	struct ring p, c;
	struct ring_pair *pair = ring_pair_create(SIZE, NULL, NULL, &p, &c);
	struct ring_elem e;

	put(&p, 8, 1);
	ring_want_space(&p, 8);
	is_int(ring_peek(&c, &e), RING_OK, "without doorbells elements pass");
	ring_release(&c);
	ok(ring_publish_tail(&c), "and publish_tail says that it moved");
	ring_pair_destroy(pair);
	ring_pair_destroy(NULL);
}

static void test_limit(void)
{
	struct fixture *f = setup(RING_SIZE_MAX);
	const int64_t s = 1000000000;
	struct ring_elem e;
	uint64_t n = 0;

	ring_update_limit(&f->c, 5 * s);
	is_int(atomic_load(&f->c.cons->limit), 0, "the first call only starts the measurement");
	ring_update_limit(&f->c, 5 * s + 1);
	is_int(atomic_load(&f->c.cons->limit), 0, "a moment later is too soon");
	ring_update_limit(&f->c, 6 * s);
	is_int(atomic_load(&f->c.cons->limit), RING_LIMIT_MIN, "nothing read: the least");
	while (put(&f->p, 1008, 0) == RING_OK)
		n++;
	/* The producer finds the limit when it next loads the tail: at the first FULL. */
	is_int(n, RING_SIZE_MAX / 1024, "the producer uses what it knew");
	ring_publish(&f->p);
	while (ring_peek(&f->c, &e) == RING_OK)
		ring_release(&f->c);
	ring_publish_tail(&f->c);
	ring_has_space(&f->p, 0);
	for (n = 0; put(&f->p, 1008, 0) == RING_OK; n++)
		;
	is_int(n, RING_LIMIT_MIN / 1024, "then it keeps to the limit");
	ring_publish(&f->p);
	while (ring_peek(&f->c, &e) == RING_OK)
		ring_release(&f->c);
	ring_publish_tail(&f->c);
	is_int(put(&f->p, ring_max_payload(&f->p), 0), RING_OK,
	    "an element over the limit fits an empty ring");
	is_int(put(&f->p, 0, 0), RING_FULL, "alone");
	ring_want_space(&f->p, 0);
	is_int(atomic_load(&f->p.prod->space_wanted), f->p.head + 16 - RING_LIMIT_MIN,
	    "until the next one fits under the limit");
	ring_peek(&f->c, &e);
	ring_release(&f->c);
	ok(ring_has_space(&f->p, 0), "read: space again");

	ring_update_limit(&f->c, 8 * s);
	is_int(atomic_load(&f->c.cons->limit),
	    (RING_SIZE_MAX + RING_LIMIT_MIN + RING_SIZE_MAX / 4) / 2000 * 1000,
	    "the limit is what was read in a second");
	ring_update_limit(&f->c, 8 * s + s / 5);
	is_int(atomic_load(&f->c.cons->limit), RING_LIMIT_MIN, "and falls again");
	atomic_store(&f->c.cons->limit, UINT64_MAX);
	ok(ring_has_space(&f->p, 0) && f->p.limit_cached == RING_SIZE_MAX,
	    "a wild limit is taken for the size");
	atomic_store(&f->c.cons->limit, 1);
	ok(ring_has_space(&f->p, 0) && f->p.limit_cached == RING_LIMIT_MIN, "or for the least");
	teardown(f);
}

/* One element of 24 bytes is there; then something writes over it. */
static void damaged_element(const char *what, uint32_t kind_len, const char *sentence)
{
	struct fixture *f = setup(SIZE);
	struct ring_elem e;

	put(&f->p, 8, 0);
	memcpy(f->p.data, &kind_len, sizeof(kind_len));
	ring_publish(&f->p);
	is_int(ring_peek(&f->c, &e), RING_DAMAGED, "%s: damaged", what);
	like(f->c.damage, sentence, "%s: says what", what);
	ok(ring_readable(&f->c), "%s: readable, so that it is noticed", what);
	put(&f->p, 8, 0);
	ring_publish(&f->p);
	is_int(ring_peek(&f->c, &e), RING_DAMAGED, "%s: for ever", what);
	teardown(f);
}

/* The length is one that is there, and yet more than an element may have. */
static void test_longer_than_a_quarter(void)
{
	const uint32_t kind_len = (uint32_t)ELEM_RECORD << 24 | ((uint32_t)SIZE / 4 - 15);
	struct fixture *f = setup(SIZE);
	struct ring_elem e;

	while (put(&f->p, 1008, 0) == RING_OK)
		;
	memcpy(f->p.data, &kind_len, sizeof(kind_len));
	ring_publish(&f->p);
	is_int(ring_peek(&f->c, &e), RING_DAMAGED, "longer than a quarter, and all there: damaged");
	teardown(f);
}

static void damaged_head(const char *what, uint64_t head, const char *sentence)
{
	struct fixture *f = setup(SIZE);
	struct ring_elem e;

	put(&f->p, 8, 0);
	put(&f->p, 8, 0);
	ring_publish(&f->p);
	ring_peek(&f->c, &e);
	ring_release(&f->c);
	ring_peek(&f->c, &e);
	ring_release(&f->c);
	ring_publish_tail(&f->c);
	atomic_store(&f->p.prod->head, head);
	is_int(ring_peek(&f->c, &e), RING_DAMAGED, "%s: damaged", what);
	like(f->c.damage, sentence, "%s: says what", what);
	ok(ring_in_flight(&f->c) <= SIZE, "%s: in flight stays sensible", what);
	atomic_store(&f->p.prod->head, 48);
	is_int(ring_peek(&f->c, &e), RING_DAMAGED, "%s: for ever", what);
	teardown(f);
}

static void damaged_tail(const char *what, uint64_t tail, const char *sentence)
{
	struct fixture *f = setup(SIZE);
	struct ring_elem e;
	void *p;

	while (put(&f->p, 1008, 0) == RING_OK)
		;
	ring_publish(&f->p);
	ring_peek(&f->c, &e);
	ring_release(&f->c);
	ring_publish_tail(&f->c);
	ok(ring_has_space(&f->p, 8), "%s: sound at first", what);
	while (put(&f->p, 8, 0) == RING_OK)
		;
	ring_publish(&f->p);
	atomic_store(&f->c.cons->tail, tail);
	is_int(ring_reserve(&f->p, 1008, &p), RING_DAMAGED, "%s: damaged", what);
	like(f->p.damage, sentence, "%s: says what", what);
	ok(ring_has_space(&f->p, 8), "%s: nobody waits for it", what);
	ring_want_space(&f->p, 8);
	atomic_store(&f->c.cons->tail, 2048);
	is_int(ring_reserve(&f->p, 0, &p), RING_DAMAGED, "%s: for ever", what);
	teardown(f);
}

int main(void)
{
	test_one_element();
	test_kinds();
	test_shorter_and_aborted();
	test_full();
	test_toobig();
	test_wrap();
	test_publish_at();
	test_doorbells();
	test_want_space();
	test_empty_publishes_tail();
	test_same_slot();
	test_limit();
	damaged_element("kind 0", 8, "unknown kind");
	damaged_element("kind 7", 7u << 24 | 8, "unknown kind");
	damaged_element("kind 15", 15u << 24 | 8, "unknown kind");
	damaged_element("flag 0x20", 0x21u << 24 | 8, "unknown flags");
	damaged_element("flag 0x80", 0x81u << 24 | 8, "unknown flags");
	damaged_element("a fragment of a barrier", (uint32_t)(ELEM_MORE | ELEM_BARRIER) << 24,
	    "unknown flags");
	damaged_element("length past head", 1u << 24 | 9, "past its head");
	damaged_element("length over a quarter", 1u << 24 | ((uint32_t)SIZE / 4 - 15),
	    "longer than a quarter");
	damaged_element("largest length", 1u << 24 | 0xffffff, "longer than a quarter");
	test_longer_than_a_quarter();
	damaged_head("head went back", 24, "went back");
	damaged_head("head 0", 0, "went back");
	damaged_head("head past size", 48 + SIZE + 8, "more than its size");
	damaged_head("head far away", UINT64_MAX - 7, "more than its size");
	damaged_head("crooked head", 52, "not a multiple of 8");
	damaged_tail("tail went back", 1016, "went back");
	damaged_tail("tail past head", (SIZE + 1024) / 8 * 8 + 8, "ahead of its head");
	damaged_tail("tail far away", UINT64_MAX - 7, "ahead of its head");
	damaged_tail("crooked tail", 2047, "not a multiple of 8");
	return tap_done();
}
