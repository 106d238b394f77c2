/*
 * Crash handlers.  Everything below the handler is async-signal-safe.
 */
#include "worker/crash.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

#define STACK_BYTES (64 * 1024) /* the kernel's frame with AVX-512 and AMX state takes 11 KiB of it */

static const struct {
	int signo;
	const char *name;
} signals[] = {
	{ SIGSEGV, "SIGSEGV" },
	{ SIGBUS, "SIGBUS" },
	{ SIGABRT, "SIGABRT" },
	{ SIGFPE, "SIGFPE" },
	{ SIGILL, "SIGILL" },
};

static struct metrics_region *region;

static _Thread_local const char *thread_name;
static _Thread_local const char *volatile task_name;
static _Thread_local void *signal_stack;

struct text {
	char s[METRICS_LAST_WORDS];
	size_t len;
};

static void add(struct text *t, const char *s)
{
	while (*s != '\0' && t->len < sizeof(t->s) - 1)
		t->s[t->len++] = *s++;
	t->s[t->len] = '\0';
}

static void add_hex(struct text *t, uintptr_t v)
{
	char digits[2 * sizeof(v) + 3], *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do
		*--p = "0123456789abcdef"[v & 15];
	while ((v >>= 4) != 0);
	*--p = 'x';
	*--p = '0';
	add(t, p);
}

static void leave_words(unsigned i, const siginfo_t *info)
{
	struct text t = { .len = 0 };
	const char *task = task_name;

	if (region == NULL)
		return;
	/* Whoever called abort has often said why. */
	if (info->si_signo == SIGABRT && atomic_load(&metrics_process(region)->last_words_len) > 0)
		return;
	add(&t, signals[i].name);
	/* An address only where the kernel, and no kill(2), sent it. */
	if (info->si_code > 0 && info->si_signo != SIGABRT) {
		add(&t, " at address ");
		add_hex(&t, (uintptr_t)info->si_addr);
	}
	add(&t, " in ");
	add(&t, thread_name != NULL ? thread_name : "a thread without a name");
	if (task != NULL) {
		add(&t, ", task ");
		add(&t, task);
	}
	metrics_last_words(region, t.s);
}

static void on_crash(int signo, siginfo_t *info, void *context)
{
	unsigned i = 0;

	(void)context;
	while (signals[i].signo != signo)
		i++;
	leave_words(i, info);
	/* SA_RESETHAND: the default action is back. A fault happens again when we return; what was sent
	 * does not. */
	if (info->si_code <= 0)
		raise(signo);
}

void crash_thread_enter(const char *name)
{
	stack_t stack = { .ss_size = STACK_BYTES }, there;

	thread_name = name;
	task_name = NULL;
	/* A sanitizer's, which frees it itself. */
	if (sigaltstack(NULL, &there) == 0 && (there.ss_flags & SS_DISABLE) == 0)
		return;
	stack.ss_sp = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* Without it only the report of an overflown stack is lost. */
	if (stack.ss_sp == MAP_FAILED)
		return;
	if (sigaltstack(&stack, NULL) < 0) {
		munmap(stack.ss_sp, STACK_BYTES);
		return;
	}
	signal_stack = stack.ss_sp;
}

void crash_thread_leave(void)
{
	stack_t none = { .ss_flags = SS_DISABLE };

	thread_name = NULL;
	task_name = NULL;
	if (signal_stack == NULL)
		return;
	(void)sigaltstack(&none, NULL);
	munmap(signal_stack, STACK_BYTES);
	signal_stack = NULL;
}

void crash_set_task(const char *task)
{
	task_name = task;
}

void crash_init(struct metrics_region *m)
{
	region = m;
	crash_thread_enter("the main thread");
	for (unsigned i = 0; i < ARRAY_LEN(signals); i++) {
		struct sigaction sa = { .sa_sigaction = on_crash,
			.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND };

		sigemptyset(&sa.sa_mask);
		ASSERT(sigaction(signals[i].signo, &sa, NULL) == 0);
	}
}

void crash_exit(int exit_status, const char *sentence)
{
	if (region != NULL)
		metrics_last_words(region, sentence);
	_exit(exit_status);
}
