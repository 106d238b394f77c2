/*
 * The supervisor's event loop, and the only place that knows signals: each one is a
 * named call on the loop.  Supervisor process only, one loop a process, one thread.
 *
 * Priorities: signals, control channels and their timers come before HTTP, and at most
 * a few HTTP callbacks run before the others are looked at again.
 */
#ifndef SUPERVISOR_LOOP_H
#define SUPERVISOR_LOOP_H

#include "base/err.h"

#define LOOP_PRIORITY_CONTROL 0 /* SIGCHLD, control channels, their timers */
#define LOOP_PRIORITY_HTTP    1
#define LOOP_N_PRIORITIES     2

struct event_base;
struct loop;

/* Called from the loop, never from inside a signal handler.  NULL: the signal is taken and nothing
 * happens. */
struct loop_callbacks {
	void (*on_child)(void *arg); /* SIGCHLD: one or more children changed; call child_reap */
	void (*on_terminate)(void *arg, const char *signal_name); /* SIGTERM, SIGINT */
	void (*on_reload)(void *arg);                             /* SIGHUP */
	void (*on_reopen_logs)(void *arg);                        /* SIGUSR1 */
	void (*on_dump)(void *arg);                               /* SIGUSR2 */
};

/* Takes the signals over (SIGPIPE is ignored) until loop_destroy gives them back. */
struct loop *loop_create(const struct loop_callbacks *callbacks, void *arg, struct err *e);
void loop_destroy(struct loop *l);
/* For channels, timers and evhttp; priorities as above. Borrowed until loop_destroy. */
struct event_base *loop_base(struct loop *l);

/* Run until loop_stop. Returns 0, or -1 when the loop itself failed. */
int loop_run(struct loop *l, struct err *e);
/* End loop_run after the callback that is running. */
void loop_stop(struct loop *l);

/*
 * Around a fork: with every signal blocked the child cannot run a handler of its parent,
 * which would be heard in the parent's loop.  The child unblocks in adopt.
 */
void loop_block_signals(sigset_t *old);
void loop_restore_signals(const sigset_t *old);

/* "SIGKILL", or "signal 64" in a static buffer. */
const char *loop_signal_name(int signo);

#endif
