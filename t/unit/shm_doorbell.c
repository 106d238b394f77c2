/*
 * The doorbell: its calls, and the races that its fences are there for.
 *
 * Two threads start a round together; one makes something and looks whether the other sleeps,
 * one goes to sleep and looks whether there is something.  Both looking away is a lost wake-up.
 * Without the fence on either side the processor's store buffer lets that happen, about once in
 * a thousand rounds: the last race shows that this machine and this test can see it.
 */
#include "shm/doorbell.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "shm/exchange.h"
#include "shm/ring.h"
#include "t/tap.h"

#define ROUNDS_MAX 300000
#define RACE_MS    1500

static uint64_t rung(const struct doorbell *d)
{
	uint64_t n = 0;

	return read(d->eventfd, &n, sizeof(n)) == (ssize_t)sizeof(n) ? n : 0;
}

static struct doorbell make_bell(struct slot_page *page)
{
	return (struct doorbell){ page, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
}

static void test_calls(void)
{
	struct slot_page *page = xcalloc(1, sizeof(*page));
	struct doorbell d = make_bell(page);
	const uint64_t most = UINT64_MAX - 1;

	ok(!doorbell_ring(&d), "who is awake is not rung");
	is_int(rung(&d), 0, "and no system call is made");
	doorbell_prepare_sleep(&d);
	is_int(atomic_load(&page->sleeping), 1, "prepare_sleep sets the word");
	ok(doorbell_ring(&d), "who sleeps is rung");
	ok(doorbell_ring(&d), "and again, until it clears the word itself");
	is_int(atomic_load(&page->sleeping), 1, "only the sleeper clears the word");
	doorbell_awake(&d);
	is_int(atomic_load(&page->sleeping), 0, "awake clears it");
	is_int(rung(&d), 2, "both rings are counted");
	doorbell_ring_always(&d);
	doorbell_drain(&d);
	is_int(rung(&d), 0, "drain takes what ring_always gave");
	doorbell_drain(&d);
	ok(true, "draining an empty one does not wait");
	ok(write(d.eventfd, &most, sizeof(most)) == (ssize_t)sizeof(most), "with the count at its maximum");
	errno = EDOM;
	doorbell_ring_always(&d);
	is_int(errno, EDOM, "ringing neither waits nor changes errno");
	close(d.eventfd);
	free(page);
}

/* A doorbell that cannot ring would hang the job silently: the process ends instead. */
static void test_lost_descriptor(void)
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	ASSERT(pid >= 0);
	if (pid == 0) {
		const struct rlimit no_core = { 0, 0 };
		struct slot_page page = { .sleeping = 1 };
		struct doorbell d = { &page, -1 };
		int null_fd = open("/dev/null", O_WRONLY);

		setrlimit(RLIMIT_CORE, &no_core);
		dup2(null_fd, STDERR_FILENO); /* the assertion's line is expected */
		doorbell_ring(&d);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "a bad descriptor ends the process");
}

struct race {
	struct ring p, c;
	struct doorbell producer_bell, consumer_bell;
	_Atomic uint32_t plain_made, plain_sleeping;
	bool made_saw_sleeping, sleeper_saw;
	void (*make)(struct race *);  /* in the other thread */
	void (*sleep)(struct race *); /* in this thread */
	_Atomic uint32_t arrived[2];
	_Atomic bool stop;
};

static void meet(struct race *r, int me, uint32_t round, uint64_t *rng)
{
	unsigned spins = 0;

	atomic_store(&r->arrived[me], round);
	while (atomic_load(&r->arrived[1 - me]) < round && !atomic_load(&r->stop))
		if (++spins % 4096 == 0)
			sched_yield();
	/* Neither side always first. */
	*rng = *rng * UINT64_C(6364136223846793005) + 1442695040888963407;
	for (volatile unsigned i = 0; i < (*rng >> 60); i++)
		;
}

static void *make_thread(void *arg)
{
	struct race *r = arg;
	uint64_t rng = 1;

	for (uint32_t round = 1; !atomic_load(&r->stop); round += 2) {
		meet(r, 1, round, &rng);
		if (atomic_load(&r->stop))
			break;
		r->make(r);
		meet(r, 1, round + 1, &rng);
	}
	return NULL;
}

/* Rounds in which both looked away. before and after run while the other thread waits. */
static uint64_t run_race(struct race *r, void (*before)(struct race *), bool (*lost)(struct race *),
    uint32_t *rounds)
{
	int64_t until_ns = clock_mono_ns(&clock_system) + RACE_MS * NS_PER_MS;
	uint64_t rng = 2, n_lost = 0;
	pthread_t thread;
	uint32_t n = 0;

	/* One side at a time: `before` of the next round runs between the two meetings. */
	before(r);
	ASSERT(pthread_create(&thread, NULL, make_thread, r) == 0);
	for (uint32_t round = 1;; round += 2) {
		meet(r, 0, round, &rng);
		r->sleep(r);
		while (atomic_load(&r->arrived[1]) < round + 1)
			sched_yield();
		n_lost += lost(r);
		n++;
		if (n == ROUNDS_MAX || clock_mono_ns(&clock_system) > until_ns)
			break;
		before(r);
		meet(r, 0, round + 1, &rng);
	}
	atomic_store(&r->stop, true);
	pthread_join(thread, NULL);
	*rounds = n;
	return n_lost;
}

/* 1: a consumer goes to sleep while its producer publishes. */
static void before_publish(struct race *r)
{
	struct ring_elem e;
	void *p;

	doorbell_awake(&r->consumer_bell);
	doorbell_drain(&r->consumer_bell);
	while (ring_peek(&r->c, &e) == RING_OK)
		ring_release(&r->c);
	ring_publish_tail(&r->c);
	ASSERT(ring_reserve(&r->p, 8, &p) == RING_OK);
	ring_commit(&r->p, ELEM_RECORD, 0, 0, 8);
}

static void make_publish(struct race *r)
{
	ring_publish(&r->p);
}

static void sleep_readable(struct race *r)
{
	doorbell_prepare_sleep(&r->consumer_bell);
	r->sleeper_saw = ring_readable(&r->c);
}

static bool lost_publish(struct race *r)
{
	return !r->sleeper_saw && rung(&r->consumer_bell) == 0;
}

/* 2: a producer goes to sleep for space while its consumer publishes its tail. */
static void before_space(struct race *r)
{
	struct ring_elem e;
	void *p;

	doorbell_awake(&r->producer_bell);
	doorbell_drain(&r->producer_bell);
	ring_has_space(&r->p, 8);
	while (ring_reserve(&r->p, ring_max_payload(&r->p), &p) == RING_OK)
		ring_commit(&r->p, ELEM_RECORD, 0, 0, ring_max_payload(&r->p));
	ring_publish(&r->p);
	ASSERT(ring_peek(&r->c, &e) == RING_OK);
	/* Released by hand: ring_release would publish so large an element's tail at once. */
	r->c.tail += r->c.peeked;
	r->c.peeked = 0;
}

static void make_tail(struct race *r)
{
	ring_publish_tail(&r->c);
}

static void sleep_space(struct race *r)
{
	ring_want_space(&r->p, 8);
	doorbell_prepare_sleep(&r->producer_bell);
	r->sleeper_saw = ring_has_space(&r->p, 8);
}

static bool lost_space(struct race *r)
{
	return !r->sleeper_saw && rung(&r->producer_bell) == 0;
}

/* 3: the same without fences. */
static void before_plain(struct race *r)
{
	atomic_store(&r->plain_made, 0);
	atomic_store(&r->plain_sleeping, 0);
}

static void make_plain(struct race *r)
{
	atomic_store_explicit(&r->plain_made, 1, memory_order_release);
	r->made_saw_sleeping = atomic_load_explicit(&r->plain_sleeping, memory_order_acquire) != 0;
}

static void sleep_plain(struct race *r)
{
	atomic_store_explicit(&r->plain_sleeping, 1, memory_order_release);
	r->sleeper_saw = atomic_load_explicit(&r->plain_made, memory_order_acquire) != 0;
}

static bool lost_plain(struct race *r)
{
	return !r->sleeper_saw && !r->made_saw_sleeping;
}

static void test_races(void)
{
	static const struct {
		const char *name;
		void (*before)(struct race *);
		void (*make)(struct race *);
		void (*sleep)(struct race *);
		bool (*lost)(struct race *);
	} races[] = {
		{ "publish against sleep", before_publish, make_publish, sleep_readable, lost_publish },
		{ "tail against waiting for space", before_space, make_tail, sleep_space, lost_space },
		{ "without fences", before_plain, make_plain, sleep_plain, lost_plain },
	};

	for (size_t i = 0; i < ARRAY_LEN(races); i++) {
		struct slot_page *pages = xcalloc(2, sizeof(*pages));
		struct race *r = xcalloc(1, sizeof(*r));
		struct ring_pair *pair;
		uint64_t n_lost;
		uint32_t n;

		r->producer_bell = make_bell(&pages[0]);
		r->consumer_bell = make_bell(&pages[1]);
		pair = ring_pair_create(RING_SIZE_MIN, &r->producer_bell, &r->consumer_bell, &r->p, &r->c);
		ASSERT(pair != NULL);
		r->make = races[i].make;
		r->sleep = races[i].sleep;
		n_lost = run_race(r, races[i].before, races[i].lost, &n);
		diag("%s: %" PRIu64 " of %" PRIu32 " wake-ups lost", races[i].name, n_lost, n);
		if (races[i].make != make_plain)
			is_int(n_lost, 0, "%s: no wake-up is lost", races[i].name);
		else if (n_lost == 0)
			diag("this run could not have seen a missing fence");
		ring_pair_destroy(pair);
		close(r->producer_bell.eventfd);
		close(r->consumer_bell.eventfd);
		free(r);
		free(pages);
	}
}

int main(void)
{
	test_calls();
	test_lost_descriptor();
	test_races();
	return tap_done();
}
