/*
 * bench-ring: 64-byte records between two processes over 1, 16, 64 and 256 rings.
 *
 * The rings are those of an exchange, each side with the protection it has in a job; the producer
 * deals records out in turn, the consumer reads every word of each.  Both spin for a while and
 * then sleep on their doorbells.  In the same run: memcpy of such records in one process, and a
 * pipe with writes of 64 KiB.  One line each:
 *
 *   bench-ring rings=1 ns=11.9 median=12.3 memcpy_ratio=3.1 pipe_ratio=2.9
 *
 * ns is the least of RUNS: other load on a small machine can only add to it.
 * memcpy_ratio: ring / memcpy.  pipe_ratio: pipe / ring.
 * Exit status: 1 when one ring takes more than 20 ns a record, or a record is lost.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "shm/exchange.h"

#define RUNS      7
#define ATTEMPTS  3 /* at the figure that has a limit: a busy neighbour is no fault of the ring */
#define RECORD    64
#define WORDS     (RECORD / 8)
#define SPINS     64 /* then sleep */
#define LIMIT_NS  20.0
#define N_RECORDS UINT64_C(6000000)
#define RINGS_MAX 256

static const struct id128 job = { { 1 } };

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	/* Not allowed, or only one processor: then it is measured unpinned. */
	(void)sched_setaffinity(0, sizeof(set), &set);
}

/* About a microsecond. Looking again at once keeps the two sides in step, in which every record costs
 * a transfer of its lines between the cores; a slot that sleeps looks later still. */
static void relax(void)
{
	for (volatile unsigned i = 0; i < 32; i++) {
#if defined(__x86_64__)
		__builtin_ia32_pause();
#endif
	}
}

static void wait_rung(struct doorbell *d)
{
	struct pollfd pfd = { .fd = d->eventfd, .events = POLLIN };

	while (poll(&pfd, 1, -1) < 0 && errno == EINTR)
		;
	doorbell_awake(d);
	doorbell_drain(d);
}

static void wait_space(struct ring *r, struct doorbell *own)
{
	ring_publish(r);
	for (int i = 0; i < SPINS; i++) {
		if (ring_has_space(r, RECORD))
			return;
		relax();
	}
	ring_want_space(r, RECORD);
	doorbell_prepare_sleep(own);
	if (ring_has_space(r, RECORD))
		doorbell_awake(own);
	else
		wait_rung(own);
}

static void produce(struct ring *rings, uint32_t n_rings, struct doorbell *own, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		struct ring *r = &rings[i % n_rings];
		void *p;

		while (ring_reserve(r, RECORD, &p) != RING_OK)
			wait_space(r, own);
		for (unsigned w = 0; w < WORDS; w++)
			((uint64_t *)p)[w] = i + w;
		if (ring_commit(r, ELEM_RECORD, (uint32_t)i, (int64_t)i, RECORD))
			ring_publish(r);
	}
	for (uint32_t k = 0; k < n_rings; k++)
		ring_publish(&rings[k]);
}

static bool any_readable(struct ring *rings, uint32_t n_rings)
{
	for (uint32_t k = 0; k < n_rings; k++)
		if (ring_readable(&rings[k]))
			return true;
	return false;
}

static void wait_input(struct ring *rings, uint32_t n_rings, struct doorbell *own)
{
	for (int i = 0; i < SPINS; i++) {
		if (any_readable(rings, n_rings))
			return;
		relax();
	}
	for (uint32_t k = 0; k < n_rings; k++)
		ring_publish_tail(&rings[k]);
	doorbell_prepare_sleep(own);
	if (any_readable(rings, n_rings))
		doorbell_awake(own);
	else
		wait_rung(own);
}

/* The sum of all words, which the caller knows; 0 when a ring is damaged. */
static uint64_t consume(struct ring *rings, uint32_t n_rings, struct doorbell *own, uint64_t n)
{
	uint64_t sum = 0;

	while (n > 0) {
		uint64_t before = n;

		for (uint32_t k = 0; k < n_rings; k++) {
			struct ring_elem e;
			enum ring_result rc;

			while ((rc = ring_peek(&rings[k], &e)) == RING_OK) {
				for (unsigned w = 0; w < WORDS; w++)
					sum += ((const uint64_t *)e.data)[w];
				ring_release(&rings[k]);
				n--;
			}
			if (rc == RING_DAMAGED)
				return 0;
		}
		if (n == before)
			wait_input(rings, n_rings, own);
	}
	return sum;
}

static uint64_t expected_sum(uint64_t n)
{
	return WORDS * (n * (n - 1) / 2) + n * (WORDS * (WORDS - 1) / 2);
}

static _Noreturn void die(const char *what, const struct err *e)
{
	fprintf(stderr, "bench-ring: %s%s%s\n", what, e ? ": " : "", e ? e->msg : "");
	exit(1);
}

static struct exchange *attach(int fd, uint32_t own, uint32_t n_rings, const int *eventfds,
    struct ring *rings)
{
	struct err e;
	struct exchange *x = exchange_attach(fd, &job, 1, &own, 1, eventfds, 2, &e);

	if (x == NULL)
		die("attach", &e);
	for (uint32_t k = 0; k < n_rings; k++)
		if ((own == 0 ? exchange_producer : exchange_consumer)(x, k, &rings[k], &e) != 0)
			die("map", &e);
	return x;
}

/* Start the child at its work when it is ready, and give the time until ours is done. */
static int64_t started_ns(const int ready[2], const int go[2])
{
	char c = 0;

	if (read(ready[0], &c, 1) != 1 || write(go[1], &c, 1) != 1)
		die("the other process ended", NULL);
	return clock_mono_ns(&clock_system);
}

static void wait_go(const int ready[2], const int go[2])
{
	char c = 0;

	if (write(ready[1], &c, 1) != 1 || read(go[0], &c, 1) != 1)
		_exit(1);
}

static double ring_ns(uint32_t n_rings)
{
	static struct ring rings[RINGS_MAX];
	struct exchange_ring_spec specs[RINGS_MAX];
	struct exchange_spec spec = { job, 1, 2, n_rings, specs };
	int ready[2], go[2], eventfds[2], fd, status = 0;
	struct exchange *x;
	struct err e;
	int64_t start_ns, ns;
	uint64_t sum;
	pid_t pid;

	for (uint32_t k = 0; k < n_rings; k++)
		specs[k] = (struct exchange_ring_spec){ 0, 1, exchange_ring_size(n_rings) };
	fd = exchange_create(&spec, &e);
	if (fd < 0)
		die("create", &e);
	for (int i = 0; i < 2; i++)
		eventfds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (pipe(ready) != 0 || pipe(go) != 0)
		die("pipe", NULL);
	pid = fork();
	if (pid < 0)
		die("fork", NULL);
	if (pid == 0) {
		pin(0);
		x = attach(fd, 0, n_rings, eventfds, rings);
		wait_go(ready, go);
		produce(rings, n_rings, exchange_doorbell(x, 0), N_RECORDS);
		_exit(0);
	}
	pin(1);
	x = attach(fd, 1, n_rings, eventfds, rings);
	start_ns = started_ns(ready, go);
	sum = consume(rings, n_rings, exchange_doorbell(x, 1), N_RECORDS);
	ns = clock_mono_ns(&clock_system) - start_ns;
	waitpid(pid, &status, 0);
	if (status != 0 || sum != expected_sum(N_RECORDS))
		die("not every record came through", NULL);
	exchange_detach(x);
	for (int i = 0; i < 2; i++) {
		close(eventfds[i]);
		close(ready[i]);
		close(go[i]);
	}
	close(fd);
	return (double)ns / (double)N_RECORDS;
}

#define PIPE_CHUNK (64u << 10)

static double pipe_ns(uint32_t unused)
{
	static uint64_t chunk[PIPE_CHUNK / 8];
	const uint64_t n_records = N_RECORDS / (PIPE_CHUNK / RECORD) * (PIPE_CHUNK / RECORD);
	uint64_t bytes = 0, sum = 0, i = 0;
	int ready[2], go[2], data[2], status = 0;
	int64_t start_ns, ns;
	ssize_t n;
	pid_t pid;

	(void)unused;
	if (pipe(ready) != 0 || pipe(go) != 0 || pipe(data) != 0)
		die("pipe", NULL);
	pid = fork();
	if (pid < 0)
		die("fork", NULL);
	if (pid == 0) {
		pin(0);
		wait_go(ready, go);
		while (i < n_records) {
			for (unsigned k = 0; k < PIPE_CHUNK / RECORD; k++, i++)
				for (unsigned w = 0; w < WORDS; w++)
					chunk[k * WORDS + w] = i + w;
			for (size_t done = 0; done < PIPE_CHUNK; done += (size_t)n) {
				n = write(data[1], (char *)chunk + done, PIPE_CHUNK - done);
				if (n <= 0)
					_exit(1);
			}
		}
		_exit(0);
	}
	close(data[1]);
	pin(1);
	start_ns = started_ns(ready, go);
	while ((n = read(data[0], chunk, PIPE_CHUNK)) > 0) {
		for (size_t w = 0; w < (size_t)n / 8; w++)
			sum += chunk[w];
		bytes += (uint64_t)n;
	}
	ns = clock_mono_ns(&clock_system) - start_ns;
	waitpid(pid, &status, 0);
	if (status != 0 || bytes != n_records * RECORD || sum != expected_sum(n_records))
		die("not every record came through the pipe", NULL);
	close(data[0]);
	for (i = 0; i < 2; i++) {
		close(ready[i]);
		close(go[i]);
	}
	return (double)ns / (double)n_records;
}

#define COPY_BYTES (1u << 20) /* as much as one ring */

static double memcpy_ns(uint32_t unused)
{
	static uint64_t from[COPY_BYTES / 8], to[COPY_BYTES / 8];
	int64_t start_ns, ns;

	(void)unused;
	for (size_t i = 0; i < COPY_BYTES / 8; i++)
		from[i] = to[i] = i;
	pin(1);
	start_ns = clock_mono_ns(&clock_system);
	for (uint64_t i = 0; i < N_RECORDS; i++) {
		size_t at = i * WORDS % (COPY_BYTES / 8);

		memcpy(&to[at], &from[at], RECORD);
		__asm__ volatile("" ::: "memory"); /* every copy is made */
	}
	ns = clock_mono_ns(&clock_system) - start_ns;
	return (double)ns / (double)N_RECORDS;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double least(double (*measure)(uint32_t), uint32_t arg, double *median)
{
	double ns[RUNS];

	for (int i = 0; i < RUNS; i++)
		ns[i] = measure(arg);
	qsort(ns, RUNS, sizeof(ns[0]), compare);
	*median = ns[RUNS / 2];
	return ns[0];
}

int main(void)
{
	static const uint32_t n_rings[] = { 1, 16, 64, 256 };
	double copy, through_pipe, median;
	int rc = 0;

	alarm(60); /* rather no figure than a hang */
	copy = least(memcpy_ns, 0, &median);
	printf("bench-ring memcpy ns=%.1f median=%.1f\n", copy, median);
	through_pipe = least(pipe_ns, 0, &median);
	printf("bench-ring pipe ns=%.1f median=%.1f\n", through_pipe, median);
	for (size_t i = 0; i < ARRAY_LEN(n_rings); i++) {
		double ns = least(ring_ns, n_rings[i], &median);

		for (int more = 1; n_rings[i] == 1 && ns > LIMIT_NS && more < ATTEMPTS; more++)
			ns = least(ring_ns, n_rings[i], &median);
		printf("bench-ring rings=%" PRIu32 " ns=%.1f median=%.1f memcpy_ratio=%.1f pipe_ratio=%.1f\n",
		    n_rings[i],
		    ns, median, ns / copy, through_pipe / ns);
		fflush(stdout);
		if (n_rings[i] == 1 && ns > LIMIT_NS) {
			fprintf(stderr, "bench-ring: one ring takes %.1f ns a record, more than %.0f\n", ns,
			    LIMIT_NS);
			rc = 1;
		}
	}
	return rc;
}
