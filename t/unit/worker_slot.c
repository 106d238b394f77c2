/*
 * Slots without tasks: mail from several threads, in order, none lost; sleep and wake;
 * the turn counter; the end.
 */
#include "worker/runtime/slot.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "t/tap.h"

#define UNTIL(cond, seconds) \
	__extension__({ \
		int64_t end_ = clock_mono_ns(&clock_system) + (seconds) * NS_PER_S; \
		bool ok_; \
		while (!(ok_ = (cond)) && clock_mono_ns(&clock_system) < end_) \
			nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL); \
		ok_; \
	})

#define N_LETTERS 20000
#define N_THREADS 3

struct letter {
	struct slot_mail mail; /* first */
	int thread, n;
	int linger; /* so that the slot goes to sleep when the next letter is on its way */
};

static _Atomic int opened, wrong;
static int last[N_THREADS]; /* the slot's thread only */
static pthread_t slot_thread;

static void open_letter(struct slot *s, struct slot_mail *m)
{
	struct letter *l = (struct letter *)(void *)m;

	(void)s;
	if (l->n != last[l->thread])
		atomic_fetch_add(&wrong, 1);
	last[l->thread] = l->n + 1;
	atomic_fetch_add(&opened, 1);
	for (volatile int k = 0; k < l->linger; k++)
		;
	free(l);
}

struct poster {
	struct slot *slot;
	int thread;
	bool slowly;
};

static void *post(void *arg)
{
	struct poster *p = arg;

	for (int i = 0; i < N_LETTERS; i++) {
		struct letter *l = xcalloc(1, sizeof(*l));

		l->mail.fn = open_letter;
		l->thread = p->thread;
		l->n = i;
		slot_post(p->slot, &l->mail);
		if (p->slowly && i % 64 == 0) /* so that the slot goes to sleep in between */
			nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
	}
	return NULL;
}

static void learn_thread(struct slot *s, struct slot_mail *m)
{
	(void)s;
	slot_thread = pthread_self();
	free(m);
	atomic_fetch_add(&opened, 1);
}

static void test_mail(struct slot *s, bool slowly)
{
	struct poster p[N_THREADS];
	pthread_t threads[N_THREADS];

	atomic_store(&opened, 0);
	memset(last, 0, sizeof(last));
	for (int i = 0; i < N_THREADS; i++) {
		p[i] = (struct poster){ s, i, slowly };
		pthread_create(&threads[i], NULL, post, &p[i]);
	}
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	ok(UNTIL(atomic_load(&opened) == N_THREADS * N_LETTERS, 20),
	    "all letters of three threads are opened");
	is_int(atomic_load(&wrong), 0, "each thread's in the order of posting");
}

/* One letter at a time to a slot about to sleep or just asleep: one overlooked would lie there. */
static void test_ping_pong(struct slot *s)
{
	int lost = 0;

	atomic_store(&opened, 0);
	memset(last, 0, sizeof(last));
	for (int i = 0; i < 30000 && lost == 0; i++) {
		struct letter *l = xcalloc(1, sizeof(*l));
		int64_t end_ns = clock_mono_ns(&clock_system) + 2 * NS_PER_S;

		l->mail.fn = open_letter;
		l->n = i;
		l->linger = i % 1000;
		slot_post(s, &l->mail);
		while (atomic_load(&opened) <= i && lost == 0)
			lost = clock_mono_ns(&clock_system) > end_ns;
	}
	is_int(lost, 0, "30,000 letters, each to a slot on its way to sleep: none lies there");
	if (lost)
		slot_wake(s);
}

int main(void)
{
	struct err e = { 0 };
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct slot *s = slot_create(3, fd, &clock_system, &e);
	struct slot_mail *m;
	uint32_t turn;
	uint64_t one = 1;

	ok(s != NULL, "a slot starts");
	is_int(slot_local_idx(s), 3, "its index");
	is_int(slot_eventfd(s), fd, "its eventfd");
	ok(UNTIL(slot_sleeping(s), 10), "with nothing to do it sleeps");
	turn = slot_turn(s);
	nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	is_int(slot_turn(s) - turn, 0, "... and does not turn");
	ok(write(fd, &one, sizeof(one)) == sizeof(one) && UNTIL(slot_turn(s) != turn, 10),
	    "its eventfd makes it turn");
	ok(UNTIL(slot_sleeping(s), 10), "... and sleep again");
	test_mail(s, false);
	test_mail(s, true);
	test_ping_pong(s);

	m = xcalloc(1, sizeof(*m));
	m->fn = learn_thread;
	atomic_store(&opened, 0);
	slot_post(s, m);
	ok(UNTIL(atomic_load(&opened) == 1, 10), "one letter to a sleeping slot");
	ok(!pthread_equal(slot_thread, pthread_self()), "is opened on the slot's own thread");
	{
		char name[16] = "";

		pthread_getname_np(slot_thread, name, sizeof(name));
		is_str(name, "slot-3", "the thread's name");
	}
	slot_wake(s);
	ok(UNTIL(slot_sleeping(s), 10), "a wake for nothing does no harm");
	slot_destroy(s);
	close(fd);
	return tap_done();
}
