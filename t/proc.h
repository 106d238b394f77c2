/*
 * For tests that start processes: what is open, who is left, and waiting on a
 * loop for a condition, to a deadline.
 */
#ifndef T_PROC_H
#define T_PROC_H

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

__attribute__((unused)) static int proc_count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = -3; /* ".", ".." and its own */

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* True when this process has no child, dead or alive. */
__attribute__((unused)) static bool proc_no_children(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

/* Run the loop until cond(arg) or the deadline; returns what cond said last. */
__attribute__((unused)) static bool proc_loop_until(struct event_base *base, bool (*cond)(void *arg),
    void *arg, int64_t timeout_ms)
{
	int64_t end_ns = clock_mono_ns(&clock_system) + timeout_ms * NS_PER_MS;
	struct timeval tick = { 0, 2000 };

	while (!cond(arg)) {
		if (clock_mono_ns(&clock_system) > end_ns)
			return cond(arg);
		event_base_loopexit(base, &tick);
		event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
	}
	return true;
}

/* Poll without a loop. */
__attribute__((unused)) static bool proc_until(bool (*cond)(void *arg), void *arg, int64_t timeout_ms)
{
	int64_t end_ns = clock_mono_ns(&clock_system) + timeout_ms * NS_PER_MS;

	while (!cond(arg)) {
		if (clock_mono_ns(&clock_system) > end_ns)
			return cond(arg);
		usleep(1000);
	}
	return true;
}

__attribute__((unused)) static int proc_remove_entry(const char *path, const struct stat *st, int type,
    struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

__attribute__((unused)) static void proc_remove_tree(const char *path)
{
	nftw(path, proc_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
