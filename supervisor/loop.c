/*
 * Signals become calls on a libevent loop with two priorities.
 */
#include "supervisor/loop.h"

#include <event2/event.h>

#include "base/mem.h"

/* Callbacks of HTTP that may run before signals and control channels are looked at again. */
#define HTTP_CALLBACKS_A_TURN 4

#define N_SIGNALS 6

struct loop {
	struct event_base *base;
	struct loop_callbacks callbacks;
	void *arg;
	struct event *signals[N_SIGNALS];
	struct sigaction old_pipe;
};

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
	struct loop *l = arg;

	(void)what;
	switch ((int)signo) {
	case SIGCHLD:
		if (l->callbacks.on_child != NULL)
			l->callbacks.on_child(l->arg);
		break;
	case SIGTERM:
	case SIGINT:
		if (l->callbacks.on_terminate != NULL)
			l->callbacks.on_terminate(l->arg, loop_signal_name((int)signo));
		break;
	case SIGHUP:
		if (l->callbacks.on_reload != NULL)
			l->callbacks.on_reload(l->arg);
		break;
	case SIGUSR1:
		if (l->callbacks.on_reopen_logs != NULL)
			l->callbacks.on_reopen_logs(l->arg);
		break;
	case SIGUSR2:
		if (l->callbacks.on_dump != NULL)
			l->callbacks.on_dump(l->arg);
		break;
	}
}

static struct event_base *create_base(void)
{
	struct event_config *cfg = event_config_new();
	struct event_base *base = NULL;

	if (cfg == NULL)
		return NULL;
	if (event_config_set_flag(cfg, EVENT_BASE_FLAG_PRECISE_TIMER | EVENT_BASE_FLAG_NOLOCK) == 0 &&
	    event_config_set_max_dispatch_interval(cfg, NULL, HTTP_CALLBACKS_A_TURN, LOOP_PRIORITY_HTTP) == 0)
		base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	if (base != NULL && event_base_priority_init(base, LOOP_N_PRIORITIES) < 0) {
		event_base_free(base);
		base = NULL;
	}
	return base;
}

struct loop *loop_create(const struct loop_callbacks *callbacks, void *arg, struct err *e)
{
	static const int signals[N_SIGNALS] = { SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct loop *l = xcalloc(1, sizeof(*l));

	l->callbacks = *callbacks;
	l->arg = arg;
	l->base = create_base();
	if (l->base == NULL) {
		err_set(e, ERR_IO, "cannot make the event loop");
		free(l);
		return NULL;
	}
	sigemptyset(&ignore.sa_mask);
	/* A peer that is gone is an error of the write, not the end of the process. */
	ASSERT(sigaction(SIGPIPE, &ignore, &l->old_pipe) == 0);
	for (unsigned i = 0; i < N_SIGNALS; i++) {
		l->signals[i] = evsignal_new(l->base, signals[i], on_signal, l);
		if (l->signals[i] == NULL || event_priority_set(l->signals[i], LOOP_PRIORITY_CONTROL) < 0 ||
		    event_add(l->signals[i], NULL) < 0) {
			err_set(e, ERR_IO, "cannot take %s over", loop_signal_name(signals[i]));
			loop_destroy(l);
			return NULL;
		}
	}
	return l;
}

void loop_destroy(struct loop *l)
{
	if (l == NULL)
		return;
	for (unsigned i = 0; i < N_SIGNALS; i++)
		if (l->signals[i] != NULL)
			event_free(l->signals[i]);
	event_base_free(l->base);
	sigaction(SIGPIPE, &l->old_pipe, NULL);
	free(l);
}

struct event_base *loop_base(struct loop *l)
{
	return l->base;
}

int loop_run(struct loop *l, struct err *e)
{
	if (event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0)
		return err_set(e, ERR_IO, "the event loop failed");
	return 0;
}

void loop_stop(struct loop *l)
{
	event_base_loopbreak(l->base);
}

void loop_block_signals(sigset_t *old)
{
	sigset_t all;

	sigfillset(&all);
	ASSERT(sigprocmask(SIG_SETMASK, &all, old) == 0);
}

void loop_restore_signals(const sigset_t *old)
{
	ASSERT(sigprocmask(SIG_SETMASK, old, NULL) == 0);
}

const char *loop_signal_name(int signo)
{
	static char text[32];
	const char *abbrev = sigabbrev_np(signo);

	if (abbrev != NULL)
		snprintf(text, sizeof(text), "SIG%s", abbrev);
	else
		snprintf(text, sizeof(text), "signal %d", signo);
	return text;
}
