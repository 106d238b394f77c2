/*
 * Fibers: order of switches, registers and floating point across them, many at once,
 * deep stacks, and the guard page.
 */
#include "worker/runtime/fiber.h"

#include <fenv.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "t/tap.h"

struct script {
	struct fiber *f;
	char trace[64];
	unsigned n;
};

static void trace(struct script *s, char c)
{
	s->trace[s->n++] = c;
	s->trace[s->n] = '\0';
}

static void scripted(void *arg)
{
	struct script *s = arg;

	trace(s, 'b');
	fiber_yield(s->f);
	trace(s, 'd');
	fiber_yield(s->f);
	trace(s, 'f');
}

static void test_order(void)
{
	struct script s = { 0 };
	struct err e = { 0 };

	s.f = fiber_create(scripted, &s, &e);
	ok(s.f != NULL, "a fiber is created");
	trace(&s, 'a');
	fiber_resume(s.f);
	trace(&s, 'c');
	ok(!fiber_done(s.f), "not done after a yield");
	fiber_resume(s.f);
	trace(&s, 'e');
	fiber_resume(s.f);
	trace(&s, 'g');
	ok(fiber_done(s.f), "done after its return");
	is_str(s.trace, "abcdefg", "control changes hands in order");
	fiber_destroy(s.f);
	s.f = fiber_create(scripted, &s, &e);
	fiber_destroy(s.f);
	ok(true, "a fiber that never ran is destroyed");
}

struct summing {
	struct fiber *f;
	uint64_t seed, sum;
	double product;
	int rounding;
};

/* Enough live values that some are in callee-saved registers across the yield. */
static void summing(void *arg)
{
	struct summing *s = arg;
	uint64_t a = s->seed, b = a * 3, c = a * 5, d = a * 7, g = a * 11, h = a * 13, sum = 0;
	double x = (double)s->seed;

	fesetround(s->seed % 2 ? FE_UPWARD : FE_DOWNWARD);
	for (int i = 0; i < 1000; i++) {
		sum += a + b + c + d + g + h + (uint64_t)i;
		x += 1.0;
		fiber_yield(s->f);
		a++, b++, c++, d++, g++, h++;
	}
	s->rounding = fegetround();
	s->sum = sum;
	s->product = x;
}

static void test_many(void)
{
	static struct summing s[100];
	struct err e = { 0 };
	bool sums = true, floats = true, rounding = true;

	for (unsigned i = 0; i < 100; i++) {
		s[i].seed = i + 1;
		s[i].f = fiber_create(summing, &s[i], &e);
	}
	for (unsigned n = 0; n < 1001; n++)
		for (unsigned i = 0; i < 100; i++)
			fiber_resume(s[i].f);
	for (unsigned i = 0; i < 100; i++) {
		uint64_t want = 0;

		for (uint64_t k = 0; k < 1000; k++)
			want += 40 * (uint64_t)(i + 1) + 6 * k + k;
		sums = sums && fiber_done(s[i].f) && s[i].sum == want;
		floats = floats && s[i].product > i + 1000.5 && s[i].product < i + 1001.5;
		rounding = rounding && s[i].rounding == ((i + 1) % 2 ? FE_UPWARD : FE_DOWNWARD);
		fiber_destroy(s[i].f);
	}
	ok(sums, "100 fibers keep their registers over 1,000 switches");
	ok(floats, "... and their floating point values");
	ok(rounding, "each has its own rounding mode");
	is_int(fegetround(), FE_TONEAREST, "the thread's own rounding mode is untouched");
}

struct deep {
	struct fiber *f;
	unsigned depth;
	unsigned sum;
};

__attribute__((noinline)) static unsigned descend(struct deep *d, unsigned depth)
{
	volatile char room[512];

	room[0] = (char)depth;
	if (depth == d->depth) {
		fiber_yield(d->f);
		return 0;
	}
	return descend(d, depth + 1) + 1 + (unsigned)(room[0] != (char)depth);
}

static void deep(void *arg)
{
	struct deep *d = arg;

	d->sum = descend(d, 0);
}

static void test_deep(void)
{
	struct deep d = { .depth = 100 };
	struct err e = { 0 };
	pid_t pid;
	int status = 0;

	d.f = fiber_create(deep, &d, &e);
	fiber_resume(d.f);
	fiber_resume(d.f);
	is_int(d.sum, 100, "a yield from a hundred calls deep comes back to all of them");
	fiber_destroy(d.f);

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		close(2); /* a sanitizer's report of this death is of no interest */
		d = (struct deep){ .depth = 10000 };
		d.f = fiber_create(deep, &d, &e);
		fiber_resume(d.f);
		_exit(0);
	}
	ok(waitpid(pid, &status, 0) == pid && !(WIFEXITED(status) && WEXITSTATUS(status) == 0),
	    "a stack that runs over ends the process at the guard page");
}

static void *threaded(void *arg)
{
	(void)arg;
	for (int i = 0; i < 50; i++) {
		struct script s = { 0 };
		struct err e = { 0 };

		s.f = fiber_create(scripted, &s, &e);
		while (!fiber_done(s.f))
			fiber_resume(s.f);
		if (strcmp(s.trace, "bdf") != 0)
			return NULL;
		fiber_destroy(s.f);
	}
	return arg;
}

static void ticking(void *arg)
{
	struct script *s = arg;

	for (;;) {
		if (s->n == 200000)
			return;
		s->n++;
		fiber_yield(s->f);
	}
}

int main(void)
{
	pthread_t threads[4];
	bool all = true;
	struct script s = { 0 };
	struct err e = { 0 };
	int64_t start;

	test_order();
	test_many();
	test_deep();
	for (unsigned i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, threaded, &all);
	for (unsigned i = 0; i < 4; i++) {
		void *r;

		pthread_join(threads[i], &r);
		all = all && r != NULL;
	}
	ok(all, "four threads run fibers of their own");

	s.f = fiber_create(ticking, &s, &e);
	start = clock_mono_ns(&clock_system);
	while (!fiber_done(s.f))
		fiber_resume(s.f);
	diag("resume and yield: %.1f ns", (double)(clock_mono_ns(&clock_system) - start) / 200000);
	fiber_destroy(s.f);
	return tap_done();
}
