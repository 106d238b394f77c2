/*
 * Last words: when a thread of a TaskManager crashes, a sentence that says which signal, where,
 * in which thread and task is left in the metrics region, which outlives the process; then the
 * signal takes its ordinary course (core dump included).  The supervisor puts it into the
 * obituary.
 */
#ifndef WORKER_CRASH_H
#define WORKER_CRASH_H

#include "shm/metrics.h"

/* Once, on the main thread: handlers of SIGSEGV, SIGBUS, SIGABRT, SIGFPE and SIGILL, and the main
 * thread's signal stack. m is borrowed for the process's life. */
void crash_init(struct metrics_region *m);

/*
 * Each thread that runs user code: a signal stack of its own, so that an overflown stack is reported, too.
 * name ("slot 0") is borrowed until crash_thread_leave.  Without crash_init this costs only the stack.
 */
void crash_thread_enter(const char *name);
void crash_thread_leave(void);
/* What this thread works on ("ClickEvent Counter (1/2)"), borrowed until the next call; NULL: nothing. */
void crash_set_task(const char *task);

/* Leave a sentence and end the process at once. */
_Noreturn void crash_exit(int exit_status, const char *sentence);

#endif
