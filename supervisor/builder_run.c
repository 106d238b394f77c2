/*
 * A builder's channel and its death, whichever comes first.
 */
#include "supervisor/builder_run.h"

#include <event2/event.h>

#include "base/mem.h"
#include "base/msg.h"
#include "supervisor/loop.h"

struct builder_run {
	struct child *child;
	struct channel *channel;
	builder_run_done_fn *done; /* NULL: it was called, or is not to be */
	void *arg;
};

static void answer(struct builder_run *b, struct build_result *res, const struct err *why)
{
	builder_run_done_fn *done = b->done;

	b->done = NULL;
	if (done != NULL)
		done(b->arg, res, why);
	else if (res != NULL)
		build_result_fini(res);
}

static void on_message(void *arg, unsigned type, struct msg_reader *r)
{
	struct builder_run *b = arg;
	struct build_result res = { .ok = false };
	struct err e;

	if (type != MSG_BUILD_RESULT)
		err_set(&e, ERR_INTERNAL, "the job builder sent a %s message", msg_type_name(type));
	else if (build_result_decode(r, &res, &e) == 0) {
		answer(b, &res, NULL);
		return;
	}
	answer(b, NULL, &e);
	child_kill(b->child, "its answer does not verify");
}

static void on_closed(void *arg, const struct err *why)
{
	struct builder_run *b = arg;

	/* An end of file is the process's end, of which waitpid knows more. */
	if (why->code != ERR_UNAVAILABLE) {
		answer(b, NULL, why);
		child_kill(b->child, "its channel does not verify");
	}
}

static void on_died(void *arg, struct child *c, const struct child_death *d)
{
	struct builder_run *b = arg;
	struct err e;

	(void)c;
	channel_drain(b->channel);
	channel_destroy(b->channel);
	if (d->signo != 0)
		err_set(&e, ERR_USER, "the job's main crashed: its process was killed by %s",
		    loop_signal_name(d->signo));
	else
		err_set(&e, ERR_USER, "the job's main ended its process with status %d instead of returning",
		    d->exit_status);
	answer(b, NULL, &e);
	free(b);
}

struct builder_run *builder_run_start(struct children *children, struct event_base *base,
    const char *artifact, uint32_t argc, const char *const *argv, builder_run_done_fn *done, void *arg,
    struct err *e)
{
	static uint32_t n_runs;
	struct builder_run *b = xcalloc(1, sizeof(*b));

	b->child = child_fork_builder(children, ++n_runs, artifact, (int)argc, argv, on_died, b, e);
	if (b->child == NULL) {
		free(b);
		return NULL;
	}
	b->done = done;
	b->arg = arg;
	b->channel = channel_create(base, child_take_control_fd(b->child), LOOP_PRIORITY_CONTROL, on_message,
	    on_closed, b);
	return b;
}

void builder_run_kill(struct builder_run *b, const char *reason)
{
	b->done = NULL;
	child_kill(b->child, reason);
}
