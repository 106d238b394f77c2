/*
 * What a child that was forked without exec must unlearn of its parent before it does
 * anything else.  TaskManagers, the storage process, job builders.
 *
 * Nothing of the parent's event base is used or freed here or later: freeing it would
 * remove the parent's events.
 */
#ifndef WORKER_ADOPT_H
#define WORKER_ADOPT_H

#include <sys/types.h>

#define ADOPT_FIRST_FD 3 /* kept descriptors are 3, 4, ... after adoption */

struct adoption {
	const char *title; /* of the process: "taskmanager tm-2" */
	const char *comm;  /* at most 15 characters: "tm-2" */
	pid_t parent_pid;  /* as the parent knew it before the fork */
	int output_fd;     /* becomes 1 and 2; -1: /dev/null. 0 is /dev/null */
	/* Descriptors to keep: each *keep[i] is moved to ADOPT_FIRST_FD + its rank, close-on-exec; -1
	 * is left out. */
	int *const *keep;
	unsigned n_keep;
};

/*
 * In this order: dispositions back to default; descriptors to their fixed numbers, all others
 * closed; death with the parent; title and names; fresh random seeds; a session of its own, so that
 * the terminal's Ctrl-C is the parent's alone; first in the queue of the out-of-memory killer;
 * signals unblocked.
 *
 * Called in the child with every signal blocked. Ends the process where a step fails or the parent is gone.
 */
void adopt(const struct adoption *a);

#endif
