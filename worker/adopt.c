/*
 * A forked child becomes a process of its own.
 */
#include "worker/adopt.h"

#include <bsd/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#define OOM_SCORE_ADJ "500"

/* There is no log yet, or none that is safe to use. */
static _Noreturn void die(const char *what)
{
	dprintf(STDERR_FILENO, "weir: a child cannot start: %s: %s\n", what, strerrordesc_np(errno));
	_exit(1);
}

static void reset_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };

	sigemptyset(&dfl.sa_mask);
	for (int signo = 1; signo < NSIG; signo++) {
		/* SIGKILL, SIGSTOP and the C library's own two refuse. */
		(void)sigaction(signo, &dfl, NULL);
	}
}

/* First out of the way of every target, then to the targets: whatever the numbers were, none is
 * overwritten. */
static void move_descriptors(const struct adoption *a)
{
	int next = ADOPT_FIRST_FD, clear = ADOPT_FIRST_FD + (int)a->n_keep;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), output = a->output_fd;

	if (null < 0)
		die("open /dev/null");
	null = fcntl(null, F_DUPFD_CLOEXEC, clear);
	output = output >= 0 ? fcntl(output, F_DUPFD_CLOEXEC, clear) : null;
	if (null < 0 || output < 0)
		die("move a descriptor");
	for (unsigned i = 0; i < a->n_keep; i++) {
		if (*a->keep[i] < 0)
			continue;
		*a->keep[i] = fcntl(*a->keep[i], F_DUPFD_CLOEXEC, clear);
		if (*a->keep[i] < 0)
			die("move a descriptor");
	}
	if (dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
	    dup2(output, STDERR_FILENO) < 0)
		die("move a descriptor");
	for (unsigned i = 0; i < a->n_keep; i++) {
		if (*a->keep[i] < 0)
			continue;
		if (dup3(*a->keep[i], next, O_CLOEXEC) < 0)
			die("move a descriptor");
		*a->keep[i] = next++;
	}
	closefrom(next);
	/* What the parent had not written yet is the parent's to write. */
	__fpurge(stdout);
	__fpurge(stderr);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

static void die_with_parent(pid_t parent_pid)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		die("ask for the parent's death");
	/* It may have died before that, and then no signal comes. */
	if (getppid() != parent_pid)
		_exit(0);
}

/* Two workers must not draw the same numbers because their parent had drawn none. */
static void reseed(void)
{
	unsigned short seed48_words[3];
	unsigned seed;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed) ||
	    getrandom(seed48_words, sizeof(seed48_words), 0) != sizeof(seed48_words))
		die("draw a random seed");
	srandom(seed);
	seed48(seed48_words);
}

/* A worker is replaced in milliseconds, its supervisor is not. */
static void offer_to_oom_killer(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return; /* no /proc: the kernel chooses by size alone */
	(void)!write(fd, OOM_SCORE_ADJ, sizeof(OOM_SCORE_ADJ) - 1);
	close(fd);
}

void adopt(const struct adoption *a)
{
	sigset_t none;

	reset_signals();
	move_descriptors(a);
	die_with_parent(a->parent_pid);
	setproctitle("-%s", a->title);
	(void)prctl(PR_SET_NAME, a->comm);
	reseed();
	(void)setsid();
	offer_to_oom_killer();
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		die("unblock signals");
}
