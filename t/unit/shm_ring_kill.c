/*
 * The ring between two processes, one of which is killed by SIGKILL at a random instant,
 * many times: the consumer reads a prefix of what was written, whole and in order, and never
 * calls the ring damaged; a producer whose consumer is gone fills the ring and no more.
 */
#include "shm/ring.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "shm/exchange.h"
#include "t/tap.h"

#define ROUNDS    600
#define BUDGET_MS 8000 /* of each half; fewer rounds on a slow machine */
#define MAX_DELAY_US 400

static const struct id128 job = { { 1 } };

struct pair {
	int fd, eventfds[2];
	struct exchange *x; /* of this process */
	struct ring ring;
	struct doorbell *bell;
};

static uint64_t rng = 88172645463325252;

static uint64_t next(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

static uint64_t mix(uint64_t i)
{
	i = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
	return i ^ i >> 29;
}

/* Element i, the same in both processes: mostly short, some as long as they may be. */
static uint32_t length_of(const struct ring *r, uint64_t i)
{
	uint64_t h = mix(i);

	return (uint32_t)((h >> 8) % (h % 20 == 0 ? ring_max_payload(r) + 1 : 64));
}

static void pair_init(struct pair *p)
{
	const struct exchange_ring_spec ring = { 0, 1, RING_SIZE_MIN };
	const struct exchange_spec spec = { job, 1, 2, 1, &ring };

	memset(p, 0, sizeof(*p));
	p->fd = exchange_create(&spec, NULL);
	ASSERT(p->fd >= 0);
	for (int i = 0; i < 2; i++)
		p->eventfds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

static void pair_attach(struct pair *p, uint32_t slot)
{
	p->x = exchange_attach(p->fd, &job, 1, &slot, 1, p->eventfds, 2, NULL);
	ASSERT(p->x != NULL);
	ASSERT((slot == 0 ? exchange_producer : exchange_consumer)(p->x, 0, &p->ring, NULL) == 0);
	p->bell = exchange_doorbell(p->x, slot);
}

static void pair_fini(struct pair *p)
{
	exchange_detach(p->x);
	close(p->eventfds[0]);
	close(p->eventfds[1]);
	close(p->fd);
}

static void wait_rung(struct doorbell *d, int ms)
{
	struct pollfd pfd = { .fd = d->eventfd, .events = POLLIN };

	if (poll(&pfd, 1, ms) < 0)
		ASSERT(errno == EINTR);
	doorbell_awake(d);
	doorbell_drain(d);
}

/* Write for ever, or until the ring is full where nobody reads. */
static uint64_t produce(struct pair *p, bool sleeps)
{
	for (uint64_t i = 0;; i++) {
		uint32_t len = length_of(&p->ring, i);
		enum ring_result rc;
		uint64_t h = mix(i);
		void *mem;

		while ((rc = ring_reserve(&p->ring, len, &mem)) == RING_FULL) {
			ring_want_space(&p->ring, len);
			doorbell_prepare_sleep(p->bell);
			if (ring_has_space(&p->ring, len))
				doorbell_awake(p->bell);
			else if (sleeps)
				wait_rung(p->bell, -1);
			else
				return i;
		}
		ASSERT(rc == RING_OK);
		for (uint32_t k = 0; k < len; k++)
			((uint8_t *)mem)[k] = (uint8_t)(h + k);
		/* Now and then at once, so that publishing too is often the instant. */
		if (ring_commit(&p->ring, ELEM_RECORD, (uint32_t)h, (int64_t)i, len) || h % 7 == 0)
			ring_publish(&p->ring);
	}
}

/* Read what is there. Returns NULL or what is wrong; *next_i is the element expected next. */
static const char *drain(struct ring *r, uint64_t *next_i)
{
	struct ring_elem e;
	enum ring_result rc;

	while ((rc = ring_peek(r, &e)) == RING_OK) {
		uint64_t h = mix(*next_i);

		if (e.kind != ELEM_RECORD || e.ts != (int64_t)*next_i || e.key_hash != (uint32_t)h ||
		    e.len != length_of(r, *next_i))
			return "an element is not the next one";
		for (uint32_t k = 0; k < e.len; k++)
			if (((const uint8_t *)e.data)[k] != (uint8_t)(h + k))
				return "a payload is not whole";
		ring_release(r);
		++*next_i;
	}
	ring_publish_tail(r);
	return rc == RING_DAMAGED ? r->damage : NULL;
}

static void kill_child(pid_t pid)
{
	int status = 0;

	ASSERT(kill(pid, SIGKILL) == 0);
	ASSERT(waitpid(pid, &status, 0) == pid);
	ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); /* and of nothing else before */
}

static void sleep_us(uint64_t us)
{
	const struct timespec t = { 0, (long)us * 1000 };

	nanosleep(&t, NULL);
}

static bool in_time(int64_t start_ns)
{
	return clock_mono_ns(&clock_system) - start_ns < BUDGET_MS * NS_PER_MS;
}

/* Returns what went wrong in this round, or NULL. */
static const char *kill_producer(uint64_t *n_elements)
{
	int64_t deadline_ns = clock_mono_ns(&clock_system) + 10000 * NS_PER_MS, kill_ns;
	const char *wrong = NULL;
	uint64_t next_i = 0;
	struct pair p;
	pid_t pid;

	pair_init(&p);
	pid = fork();
	ASSERT(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pair_attach(&p, 0);
		produce(&p, true);
	}
	pair_attach(&p, 1);
	/* The clock of the kill starts with the first element. */
	while (!ring_readable(&p.ring) && clock_mono_ns(&clock_system) < deadline_ns)
		sched_yield();
	kill_ns = clock_mono_ns(&clock_system) + (int64_t)(next() % (MAX_DELAY_US * 1000));
	while (wrong == NULL && clock_mono_ns(&clock_system) < kill_ns) {
		wrong = drain(&p.ring, &next_i);
		doorbell_prepare_sleep(p.bell);
		if (ring_readable(&p.ring) || next() % 4 != 0)
			doorbell_awake(p.bell);
		else
			wait_rung(p.bell, 1);
	}
	kill_child(pid);
	if (wrong == NULL)
		wrong = drain(&p.ring, &next_i); /* what it published last */
	if (wrong == NULL && next_i == 0)
		wrong = "nothing came within 10 s";
	*n_elements += next_i;
	pair_fini(&p);
	return wrong;
}

static const char *kill_consumer(uint64_t *n_elements)
{
	struct pair p;
	uint64_t n;
	pid_t pid;

	pair_init(&p);
	pid = fork();
	ASSERT(pid >= 0);
	if (pid == 0) {
		uint64_t next_i = 0;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pair_attach(&p, 1);
		while (drain(&p.ring, &next_i) == NULL)
			;
		_exit(1);
	}
	pair_attach(&p, 0);
	if (next() % 2 == 0) {
		/* It dies while we write. */
		n = produce(&p, false);
		kill_child(pid);
	} else {
		sleep_us(next() % MAX_DELAY_US);
		kill_child(pid);
		n = produce(&p, false);
	}
	*n_elements += n;
	if (p.ring.damage)
		return p.ring.damage;
	if (ring_in_flight(&p.ring) > p.ring.size)
		return "more in flight than fits";
	pair_fini(&p);
	return NULL;
}

static void rounds(const char *name, const char *(*round)(uint64_t *))
{
	int64_t start_ns = clock_mono_ns(&clock_system);
	uint64_t n_elements = 0;
	unsigned n = 0;

	for (const char *wrong = NULL; n < ROUNDS && in_time(start_ns) && wrong == NULL; n++) {
		uint64_t seed = rng;

		wrong = round(&n_elements);
		if (wrong != NULL) {
			ok(false, "%s, round %u, seed %" PRIu64 ": %s", name, n, seed, wrong);
			return;
		}
	}
	ok(n >= 20, "%s: %u kills, %" PRIu64 " elements, none damaged or half", name, n, n_elements);
}

int main(void)
{
	rounds("producer killed", kill_producer);
	rounds("consumer killed", kill_consumer);
	return tap_done();
}
