/*
 * The ring between two threads, for TSan and for the wake protocol: sequence-checked
 * elements of random lengths, each side sleeping on its doorbell when it cannot go on,
 * the limit moving meanwhile.  A lost wake-up ends in the time limit.
 */
#include "shm/ring.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "shm/exchange.h"
#include "t/tap.h"

#define MAX_WAIT_MS 10000

struct side {
	struct ring ring;
	struct doorbell bell;
	struct slot_page *page;
	uint64_t rng;
	uint64_t n_sleeps;
	const char *failure;
};

struct run {
	struct side p, c;
	uint64_t n_elements;
	uint32_t max_len;
	bool pauses; /* each side yields now and then, so that the other one sleeps often */
	bool limits; /* the consumer moves the limit */
};

static uint64_t next(uint64_t *rng)
{
	*rng ^= *rng << 13;
	*rng ^= *rng >> 7;
	*rng ^= *rng << 17;
	return *rng;
}

/* Both threads compute the same element i from the same seed. */
static uint32_t length_of(const struct run *run, uint64_t i)
{
	uint64_t rng = i * UINT64_C(0x9e3779b97f4a7c15) + 1;

	next(&rng);
	return (uint32_t)(next(&rng) % (next(&rng) % 50 == 0 ? run->max_len + 1 : 100));
}

static bool wait_rung(struct side *s)
{
	struct pollfd pfd = { .fd = s->bell.eventfd, .events = POLLIN };
	int n;

	s->n_sleeps++;
	do
		n = poll(&pfd, 1, MAX_WAIT_MS);
	while (n < 0 && errno == EINTR);
	doorbell_awake(&s->bell);
	doorbell_drain(&s->bell);
	return n == 1;
}

/* Hold one side until the other one sleeps: so each of them is rung at least once. */
static bool wait_asleep(const struct side *other)
{
	int64_t deadline_ns = clock_mono_ns(&clock_system) + MAX_WAIT_MS * NS_PER_MS;

	while (atomic_load(&other->page->sleeping) == 0) {
		if (clock_mono_ns(&clock_system) > deadline_ns)
			return false;
		sched_yield();
	}
	return true;
}

static bool put(struct run *run, uint64_t i)
{
	struct side *s = &run->p;
	uint32_t len = length_of(run, i);
	enum ring_result rc;
	void *p;

	while ((rc = ring_reserve(&s->ring, len, &p)) == RING_FULL) {
		ring_want_space(&s->ring, len);
		doorbell_prepare_sleep(&s->bell);
		if (ring_has_space(&s->ring, len)) {
			doorbell_awake(&s->bell);
		} else if (!wait_rung(s)) {
			s->failure = "the producer was not rung";
			return false;
		}
	}
	if (rc != RING_OK) {
		s->failure = rc == RING_DAMAGED ? s->ring.damage : "too big";
		return false;
	}
	for (uint32_t k = 0; k < len; k++)
		((uint8_t *)p)[k] = (uint8_t)(i + k);
	if (ring_commit(&s->ring, ELEM_RECORD, (uint32_t)i, (int64_t)i, len))
		ring_publish(&s->ring);
	return true;
}

static void *produce(void *arg)
{
	struct run *run = arg;

	for (uint64_t i = 0; i < run->n_elements; i++) {
		if (!put(run, i))
			return NULL;
		if (run->pauses && next(&run->p.rng) % 512 == 0) {
			ring_publish(&run->p.ring);
			sched_yield();
		}
		if (i == run->n_elements / 2) {
			ring_publish(&run->p.ring);
			if (!wait_asleep(&run->c)) {
				run->p.failure = "the consumer did not sleep";
				return NULL;
			}
		}
	}
	ring_publish(&run->p.ring);
	return NULL;
}

static bool take(struct run *run, uint64_t i)
{
	struct side *s = &run->c;
	struct ring_elem e;
	enum ring_result rc;

	while ((rc = ring_peek(&s->ring, &e)) == RING_EMPTY) {
		ring_publish_tail(&s->ring);
		doorbell_prepare_sleep(&s->bell);
		if (ring_readable(&s->ring)) {
			doorbell_awake(&s->bell);
		} else if (!wait_rung(s)) {
			s->failure = "the consumer was not rung";
			return false;
		}
	}
	if (rc != RING_OK) {
		s->failure = s->ring.damage;
		return false;
	}
	if (e.kind != ELEM_RECORD || e.key_hash != (uint32_t)i || e.ts != (int64_t)i ||
	    e.len != length_of(run, i)) {
		s->failure = "an element is not the next one";
		return false;
	}
	for (uint32_t k = 0; k < e.len; k++) {
		if (((const uint8_t *)e.data)[k] != (uint8_t)(i + k)) {
			s->failure = "a payload is not what was written";
			return false;
		}
	}
	ring_release(&s->ring);
	return true;
}

static void *consume(void *arg)
{
	struct run *run = arg;
	int64_t now_ns = 1;

	ring_update_limit(&run->c.ring, now_ns);
	for (uint64_t i = 0; i < run->n_elements; i++) {
		if (!take(run, i))
			return NULL;
		if (run->pauses && next(&run->c.rng) % 512 == 0)
			sched_yield();
		if (i == run->n_elements / 4 && !wait_asleep(&run->p)) {
			run->c.failure = "the producer did not sleep";
			return NULL;
		}
		if (run->limits && next(&run->c.rng) % 1024 == 0) {
			/* Pretend that 0.1 to 6.5 s have passed: limits from the least to the most. */
			now_ns += (int64_t)(next(&run->c.rng) % 65 + 1) * 100000000;
			ring_update_limit(&run->c.ring, now_ns);
		}
	}
	ring_publish_tail(&run->c.ring);
	return NULL;
}

static void init_side(struct side *s, uint64_t seed)
{
	s->page = xcalloc(1, sizeof(*s->page));
	s->bell = (struct doorbell){ s->page, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
	s->rng = seed;
}

static void fini_side(struct side *s)
{
	close(s->bell.eventfd);
	free(s->page);
}

static void run_one(const char *name, uint64_t size, struct run *run)
{
	int64_t start_ns = clock_mono_ns(&clock_system);
	struct ring_pair *pair;
	pthread_t producer, consumer;

	init_side(&run->p, 88172645463325252);
	init_side(&run->c, 2463534242);
	pair = ring_pair_create(size, &run->p.bell, &run->c.bell, &run->p.ring, &run->c.ring);
	ASSERT(pair != NULL);
	ASSERT(pthread_create(&producer, NULL, produce, run) == 0);
	ASSERT(pthread_create(&consumer, NULL, consume, run) == 0);
	pthread_join(producer, NULL);
	pthread_join(consumer, NULL);
	is_str(run->p.failure ? run->p.failure : "none", "none", "%s: the producer's failure", name);
	is_str(run->c.failure ? run->c.failure : "none", "none", "%s: the consumer's failure", name);
	is_int(run->c.ring.tail, run->p.ring.head, "%s: all was read", name);
	is_int(ring_in_flight(&run->p.ring), 0, "%s: nothing is left in flight", name);
	ok(run->p.n_sleeps > 0 && run->c.n_sleeps > 0, "%s: both sides have slept", name);
	diag("%s: %" PRIu64 " elements, %" PRIu64 " bytes, sleeps %" PRIu64 " and %" PRIu64 ", %"
	    PRId64 " ms", name,
	    run->n_elements, run->c.ring.tail, run->p.n_sleeps, run->c.n_sleeps,
	    (clock_mono_ns(&clock_system) - start_ns) / NS_PER_MS);
	ring_pair_destroy(pair);
	fini_side(&run->p);
	fini_side(&run->c);
}

int main(void)
{
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	const uint64_t n = 100000;
#else
	const uint64_t n = 1000000;
#endif

	run_one("32 KiB", RING_SIZE_MIN, &(struct run){ .n_elements = n, .max_len = RING_SIZE_MIN / 4 - 16,
	    .pauses = true });
	run_one("1 MiB", RING_SIZE_MAX, &(struct run){ .n_elements = n, .max_len = 10000 });
	run_one("moving limit", RING_SIZE_MAX, &(struct run){ .n_elements = n,
	    .max_len = RING_SIZE_MAX / 4 - 16,
	    .pauses = true, .limits = true });
	return tap_done();
}
