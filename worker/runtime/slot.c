/*
 * The slot's thread and its loop.
 */
#include "worker/runtime/slot.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/mem.h"
#include "worker/crash.h"
#include "worker/runtime/task.h"

#define STALL_NS      (10 * NS_PER_MS) /* below that it is scheduling, above it is an absence */
#define TICK_NS       NS_PER_S
#define LOOK_AGAIN_NS 2000
#define LOOK_AGAIN_MAX 100
#define EVENTFD_NS    (NS_PER_MS / 10) /* a busy slot looks at its eventfd that often at most */

struct slot {
	/* other threads */
	_Atomic(struct slot_mail *) mail; /* a stack, newest first */
	_Atomic uint32_t attention;
	_Atomic uint32_t turn;
	_Atomic uint32_t stop;
	struct slot_page idle_page; /* our sleeping word for mail, whether or not an attempt is here */

	/* its own thread */
	struct slot_now now;
	struct slot_page *page; /* of the attempt's exchange, NULL: none */
	struct task **tasks;
	uint32_t n_tasks, cap_tasks;
	int64_t next_tick_ns;
	int64_t wall_base_ms, wall_base_ns;
	int64_t eventfd_read_ns;
	bool ran_lately;

	struct doorbell bell; /* page: idle_page */
	const struct clock *clock;
	uint32_t local_idx;
	pthread_t thread;
};

static inline void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
}

/* ------------------------------------------------------- any thread */

void slot_wake(struct slot *s)
{
	doorbell_ring(&s->bell);
}

void slot_ring(struct slot *s)
{
	doorbell_ring_always(&s->bell);
}

void slot_post(struct slot *s, struct slot_mail *m)
{
	struct slot_mail *head = atomic_load_explicit(&s->mail, memory_order_relaxed);

	do
		m->next = head;
	/* release: what the letter says before the letter */
	while (!atomic_compare_exchange_weak_explicit(&s->mail, &head, m, memory_order_release,
	    memory_order_relaxed));
	atomic_store_explicit(&s->attention, 1, memory_order_relaxed);
	slot_wake(s);
}

int slot_eventfd(const struct slot *s)
{
	return s->bell.eventfd;
}

uint32_t slot_local_idx(const struct slot *s)
{
	return s->local_idx;
}

const struct clock *slot_clock(const struct slot *s)
{
	return s->clock;
}

uint32_t slot_turn(const struct slot *s)
{
	return atomic_load_explicit(&s->turn, memory_order_relaxed);
}

bool slot_sleeping(const struct slot *s)
{
	return atomic_load_explicit(&s->idle_page.sleeping, memory_order_relaxed) != 0;
}

void slot_thread_signals(sigset_t *set)
{
	sigfillset(set);
	sigdelset(set, SIGSEGV);
	sigdelset(set, SIGBUS);
	sigdelset(set, SIGFPE);
	sigdelset(set, SIGILL);
	sigdelset(set, SIGABRT);
	sigdelset(set, SIGTRAP);
	sigdelset(set, SIGSYS);
}

/* -------------------------------------------------------- its thread */

const struct slot_now *slot_now(const struct slot *s)
{
	return &s->now;
}

_Atomic uint32_t *slot_attention(struct slot *s)
{
	return &s->attention;
}

/* due_ns: when this reading should have come at the latest. */
static void read_clock(struct slot *s, int64_t due_ns)
{
	s->now.mono_ns = clock_mono_ns(s->clock);
	s->now.wall_ms = s->wall_base_ms + (s->now.mono_ns - s->wall_base_ns) / NS_PER_MS;
	if (s->now.mono_ns - due_ns > STALL_NS)
		s->now.stalled_ns += s->now.mono_ns - due_ns;
}

void slot_read_clock(struct slot *s)
{
	read_clock(s, s->now.mono_ns);
}

/* The wall clock costs a call of its own: once a turn is enough, since a turn is 1 ms. It may be set back. */
static void read_wall(struct slot *s)
{
	s->wall_base_ms = s->now.wall_ms = clock_wall_ms(s->clock);
	s->wall_base_ns = s->now.mono_ns;
}

void slot_enter(struct slot *s, struct slot_page *own_page)
{
	ASSERT(s->page == NULL);
	s->page = own_page;
}

void slot_leave(struct slot *s)
{
	ASSERT(s->n_tasks == 0);
	s->page = NULL;
}

void slot_add_task(struct slot *s, struct task *t)
{
	VEC_RESERVE(s->tasks, s->n_tasks, s->cap_tasks);
	s->tasks[s->n_tasks++] = t;
	if (s->next_tick_ns == INT64_MAX)
		s->next_tick_ns = s->now.mono_ns + TICK_NS;
}

uint32_t slot_n_tasks(const struct slot *s)
{
	return s->n_tasks;
}

struct task *slot_task(const struct slot *s, uint32_t i)
{
	ASSERT(i < s->n_tasks);
	return s->tasks[i];
}

static bool has_mail(const struct slot *s)
{
	return atomic_load_explicit(&s->mail, memory_order_relaxed) != NULL ||
	    atomic_load_explicit(&s->stop, memory_order_relaxed) != 0;
}

static void open_mail(struct slot *s)
{
	struct slot_mail *stack, *m = NULL;

	if (atomic_load_explicit(&s->attention, memory_order_relaxed) != 0)
		/* before the mail is taken: a letter that comes in between sets it again */
		atomic_exchange_explicit(&s->attention, 0, memory_order_seq_cst);
	if (atomic_load_explicit(&s->mail, memory_order_relaxed) == NULL)
		return;
	stack = atomic_exchange_explicit(&s->mail, NULL, memory_order_seq_cst);
	while (stack != NULL) { /* oldest first */
		struct slot_mail *next = stack->next;

		stack->next = m;
		m = stack;
		stack = next;
	}
	while (m != NULL) {
		struct slot_mail *next = m->next; /* fn may free it */

		m->fn(s, m);
		m = next;
	}
}

static void remove_task(struct slot *s, uint32_t i)
{
	struct task *t = s->tasks[i];
	const struct task_env *env = t->env;

	for (; i + 1 < s->n_tasks; i++)
		s->tasks[i] = s->tasks[i + 1];
	s->n_tasks--;
	task_publish(t); /* its last words may still lie in its rings */
	task_destroy(t);
	if (s->n_tasks == 0)
		s->next_tick_ns = INT64_MAX;
	if (env->gone != NULL)
		env->gone(env->arg, s);
}

/* A turn of each task that can go on. False: there was none. */
static bool run_tasks(struct slot *s)
{
	bool ran = false;

	for (uint32_t i = 0; i < s->n_tasks;) {
		struct task *t = s->tasks[i];

		if (task_can_run(t)) {
			ran = true;
			crash_set_task(task_name(t));
			task_turn(t);
			crash_set_task(NULL);
			if (task_over(t)) {
				remove_task(s, i);
				continue;
			}
		}
		task_check_buffer_timeout(t);
		i++;
	}
	return ran;
}

static void tick(struct slot *s)
{
	if (s->now.mono_ns < s->next_tick_ns)
		return;
	s->next_tick_ns = s->now.mono_ns + TICK_NS;
	for (uint32_t i = 0; i < s->n_tasks; i++)
		task_tick(s->tasks[i]);
}

/* The other tasks are busy, so nobody sleeps on the eventfd: see whether a connector has rung. */
static void look_at_eventfd(struct slot *s)
{
	uint64_t count;

	if (s->now.mono_ns - s->eventfd_read_ns < EVENTFD_NS)
		return;
	for (uint32_t i = 0; i < s->n_tasks; i++)
		if (task_wants_eventfd(s->tasks[i])) {
			s->eventfd_read_ns = s->now.mono_ns;
			if (read(s->bell.eventfd, &count, sizeof(count)) == (ssize_t)sizeof(count))
				s->now.wakes++;
			return;
		}
}

static bool anything_to_do(struct slot *s)
{
	if (has_mail(s))
		return true;
	for (uint32_t i = 0; i < s->n_tasks; i++)
		if (task_can_run(s->tasks[i]))
			return true;
	return false;
}

static void set_awake(struct slot *s)
{
	doorbell_awake(&s->bell);
	if (s->page != NULL)
		atomic_store_explicit(&s->page->sleeping, 0, memory_order_relaxed);
}

static void sleep_until(struct slot *s, int64_t deadline_ns)
{
	struct pollfd pfd = { .fd = s->bell.eventfd, .events = POLLIN };
	int64_t left_ns = deadline_ns == INT64_MAX ? INT64_MAX : deadline_ns - clock_mono_ns(s->clock);
	struct timespec ts = { .tv_sec = left_ns / NS_PER_S, .tv_nsec = left_ns % NS_PER_S };
	int n;

	if (left_ns <= 0)
		ts = (struct timespec){ 0 };
	n = ppoll(&pfd, 1, deadline_ns == INT64_MAX ? NULL : &ts, NULL);
	ASSERT(n >= 0 || errno == EINTR);
	set_awake(s);
	if (n > 0) {
		doorbell_drain(&s->bell);
		s->now.wakes++;
	}
	/* Rung before the deadline: nobody can tell how long ago. After it: that much too late. */
	read_clock(s, clock_mono_ns(s->clock) < deadline_ns ? INT64_MAX - STALL_NS : deadline_ns);
	s->eventfd_read_ns = s->now.mono_ns;
}

/*
 * A producer that is only a little slower publishes its next batch within a microsecond or two, and to be
 * woken for it costs it as much as 250 records: look again for that long, once, before sleeping.
 */
static bool look_again(struct slot *s)
{
	const int64_t end_ns = clock_mono_ns(s->clock) + LOOK_AGAIN_NS;

	for (unsigned n = 0; n < LOOK_AGAIN_MAX; n++) {
		for (unsigned i = 0; i < 16; i++)
			cpu_relax();
		if (anything_to_do(s))
			return true;
		if (clock_mono_ns(s->clock) >= end_ns)
			break;
	}
	return false;
}

/* Nothing can go on: the doorbell's protocol, as drawn in shm/doorbell.h. */
static void try_sleep(struct slot *s)
{
	int64_t deadline_ns = s->next_tick_ns;

	for (uint32_t i = 0; i < s->n_tasks; i++)
		task_publish(s->tasks[i]);
	if (s->ran_lately) {
		s->ran_lately = false;
		if (look_again(s))
			return;
	}
	if (s->page != NULL) /* the fence below covers both words */
		atomic_store_explicit(&s->page->sleeping, 1, memory_order_relaxed);
	doorbell_prepare_sleep(&s->bell);
	if (anything_to_do(s)) {
		set_awake(s);
		return;
	}
	for (uint32_t i = 0; i < s->n_tasks; i++) {
		int64_t ns = task_deadline_ns(s->tasks[i]);

		if (ns < deadline_ns)
			deadline_ns = ns;
	}
	sleep_until(s, deadline_ns);
}

static void *slot_main(void *arg)
{
	struct slot *s = arg;
	char name[24];

	snprintf(name, sizeof(name), "slot %u", s->local_idx);
	crash_thread_enter(name);
	s->now.mono_ns = clock_mono_ns(s->clock);
	while (atomic_load_explicit(&s->stop, memory_order_acquire) == 0) {
		uint32_t turn = atomic_load_explicit(&s->turn, memory_order_relaxed) + 1;

		atomic_store_explicit(&s->turn, turn, memory_order_relaxed);
		if (s->page != NULL)
			atomic_store_explicit(&s->page->turn, turn, memory_order_relaxed);
		read_wall(s);
		open_mail(s);
		tick(s);
		if (run_tasks(s)) {
			s->ran_lately = true;
			look_at_eventfd(s);
		} else if (!has_mail(s))
			try_sleep(s);
	}
	crash_thread_leave();
	return NULL;
}

/* -------------------------------------------------------- life cycle */

struct slot *slot_create(uint32_t local_idx, int eventfd, const struct clock *clock, struct err *e)
{
	struct slot *s = xcalloc(1, sizeof(*s));
	sigset_t all, old;
	char name[16];
	int rc;

	s->local_idx = local_idx;
	s->clock = clock;
	s->bell = (struct doorbell){ .page = &s->idle_page, .eventfd = eventfd };
	s->next_tick_ns = INT64_MAX;
	slot_thread_signals(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&s->thread, NULL, slot_main, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		errno = rc;
		err_set_errno(e, ERR_UNAVAILABLE, "cannot start the thread of slot %u", local_idx);
		free(s);
		return NULL;
	}
	snprintf(name, sizeof(name), "slot-%u", local_idx);
	pthread_setname_np(s->thread, name);
	return s;
}

void slot_destroy(struct slot *s)
{
	if (s == NULL)
		return;
	atomic_store_explicit(&s->stop, 1, memory_order_release);
	doorbell_ring_always(&s->bell);
	pthread_join(s->thread, NULL);
	ASSERT(s->n_tasks == 0 && atomic_load_explicit(&s->mail, memory_order_relaxed) == NULL);
	free(s->tasks);
	free(s);
}
