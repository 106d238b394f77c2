/*
 * A TaskManager's main thread: the control channel, the attempts, and nothing that
 * could wait for user code.  What slots and connector threads have to say comes through a
 * queue and an eventfd.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "worker/adopt.h"
#include "worker/control.h"
#include "worker/crash.h"
#include "worker/graph/plugin.h"
#include "worker/runtime/attempt.h"
#include "worker/runtime/slot.h"

/* An attempt between DEPLOY and DROPPED. */
struct deployed {
	LIST_ENTRY(deployed) link;
	struct attempt *attempt;
	struct event *limit; /* of the job's main */
	bool dropping;
};

/* DOORBELLS that came before their DEPLOY. */
struct early_bells {
	STAILQ_ENTRY(early_bells) link;
	struct ctl_doorbells bells;
};

/* A message to the supervisor from another thread. */
struct letter {
	STAILQ_ENTRY(letter) link;
	enum msg_type type;
	struct msg_writer body;
	struct ctl_attempt dropped; /* DROPPED: the main thread joins the attempt first */
};

struct taskmanager {
	struct inheritance in;
	char proc[16]; /* "tm-2" */
	struct event_base *base;
	struct channel *channel;
	struct metrics_region *metrics;
	struct slot *slots[CTL_MAX_SLOTS];
	LIST_HEAD(, deployed) attempts;
	STAILQ_HEAD(, early_bells) early;
	bool stopping;

	int wake_fd;
	struct event *wake;
	pthread_mutex_t lock; /* of letters */
	STAILQ_HEAD(, letter) letters;
};

/* What was said does not verify: supervisor and worker no longer understand each other. */
static _Noreturn void give_up(const struct err *e)
{
	log_errorx("control.invalid", KV_MSG("%s; the process ends", e->msg));
	crash_exit(1, e->msg);
}

/* ---- from any thread ---- */

static void post(struct taskmanager *tm, struct letter *l)
{
	uint64_t one = 1;

	pthread_mutex_lock(&tm->lock);
	STAILQ_INSERT_TAIL(&tm->letters, l, link);
	pthread_mutex_unlock(&tm->lock);
	/* EAGAIN: it is readable anyway. */
	(void)!write(tm->wake_fd, &one, sizeof(one));
}

static struct letter *letter_new(enum msg_type type)
{
	struct letter *l = xcalloc(1, sizeof(*l));

	l->type = type;
	msg_writer_init(&l->body);
	return l;
}

static void on_task_state(void *arg, const struct ctl_task_state *st)
{
	struct letter *l = letter_new(MSG_TASK_STATE);

	ctl_encode_task_state(&l->body, st);
	post(arg, l);
}

static void on_metric_name(void *arg, const struct id128 *job_id, uint64_t attempt, uint32_t vertex,
    uint32_t subtask, uint32_t index, const char *name)
{
	struct letter *l = letter_new(MSG_METRIC_NAMES);
	char *copy = xstrdup(name);
	struct ctl_metric_names m = { .job_id = *job_id,
		.attempt = attempt,
		.vertex = vertex,
		.subtask = subtask,
		.first = index,
		.n = 1,
		.names = &copy };

	ctl_encode_metric_names(&l->body, &m);
	free(copy);
	post(arg, l);
}

static void on_ack(void *arg, const struct ctl_ack *ack)
{
	struct letter *l = letter_new(MSG_ACK);

	ctl_encode_ack(&l->body, ack);
	post(arg, l);
}

static void on_decline(void *arg, const struct ctl_decline *decline)
{
	struct letter *l = letter_new(MSG_DECLINE);

	ctl_encode_decline(&l->body, decline);
	post(arg, l);
}

static void on_dropped(void *arg, const struct id128 *job_id, uint64_t attempt)
{
	struct letter *l = letter_new(MSG_DROPPED);

	l->dropped = (struct ctl_attempt){ .job_id = *job_id, .attempt = attempt };
	ctl_encode_attempt(&l->body, &l->dropped);
	post(arg, l);
}

static const struct attempt_events attempt_events = {
	.task_state = on_task_state,
	.metric_name = on_metric_name,
	.ack = on_ack,
	.decline = on_decline,
	.dropped = on_dropped,
};

/* ---- the main thread ---- */

static struct deployed *find(struct taskmanager *tm, const struct ctl_attempt *which)
{
	struct deployed *d;

	LIST_FOREACH(d, &tm->attempts, link)
		if (attempt_number(d->attempt) == which->attempt &&
		    id_equal(attempt_job_id(d->attempt), &which->job_id))
			return d;
	return NULL;
}

static void stop_if_empty(struct taskmanager *tm)
{
	if (tm->stopping && LIST_EMPTY(&tm->attempts))
		event_base_loopbreak(tm->base);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct taskmanager *tm = arg;
	STAILQ_HEAD(, letter) letters = STAILQ_HEAD_INITIALIZER(letters);
	struct letter *l;
	uint64_t count;

	(void)what;
	/* Before the queue is taken: what is posted later rings again. */
	(void)!read(fd, &count, sizeof(count));
	pthread_mutex_lock(&tm->lock);
	STAILQ_CONCAT(&letters, &tm->letters);
	pthread_mutex_unlock(&tm->lock);
	while ((l = STAILQ_FIRST(&letters)) != NULL) {
		STAILQ_REMOVE_HEAD(&letters, link);
		if (l->type == MSG_DROPPED) {
			struct deployed *d = find(tm, &l->dropped);

			ASSERT(d != NULL && d->dropping);
			LIST_REMOVE(d, link);
			event_free(d->limit);
			attempt_destroy(d->attempt);
			free(d);
		}
		channel_send(tm->channel, l->type, &l->body);
		msg_writer_fini(&l->body);
		free(l);
	}
	stop_if_empty(tm);
}

static void on_heartbeat(struct taskmanager *tm, struct msg_reader *r)
{
	struct ctl_heartbeat beat;
	struct msg_writer w;
	struct err e;

	if (ctl_decode_heartbeat(r, &beat, &e) < 0)
		give_up(&e);
	beat.n_slots = tm->in.n_slots;
	for (uint32_t i = 0; i < tm->in.n_slots; i++) {
		beat.turn[i] = slot_turn(tm->slots[i]);
		beat.sleeping[i] = slot_sleeping(tm->slots[i]);
	}
	msg_writer_init(&w);
	ctl_encode_heartbeat(&w, &beat);
	channel_send(tm->channel, MSG_HEARTBEAT, &w);
	msg_writer_fini(&w);
}

static void on_doorbells(struct taskmanager *tm, struct msg_reader *r)
{
	struct early_bells *early = xmalloc(sizeof(*early));
	struct err e;

	if (ctl_decode_doorbells(r, &early->bells, &e) < 0)
		give_up(&e);
	STAILQ_INSERT_TAIL(&tm->early, early, link);
}

/* User code that does not come back costs the process: there is no other way to end it. */
static void on_limit(evutil_socket_t fd, short what, void *arg)
{
	const struct deployed *d = arg;

	(void)fd;
	(void)what;
	if (attempt_is_set_up(d->attempt))
		return;
	log_errorx("job.main_overdue", KV_INT("limit_ms", PLUGIN_MAIN_LIMIT_MS),
	    KV_MSG("the job's main does not come back; the process ends"));
	crash_exit(1, "the job's main did not come back within 10 s when it was run again here");
}

static void on_deploy(struct taskmanager *tm, struct msg_reader *r)
{
	const struct timeval limit = { .tv_sec = PLUGIN_MAIN_LIMIT_MS / 1000,
		.tv_usec = PLUGIN_MAIN_LIMIT_MS % 1000 * 1000 };
	struct early_bells *early;
	struct deployed *d;
	struct ctl_deploy m;
	struct ctl_attempt which;
	struct err e;

	if (ctl_decode_deploy(r, &m, &e) < 0)
		give_up(&e);
	while ((early = STAILQ_FIRST(&tm->early)) != NULL) {
		STAILQ_REMOVE_HEAD(&tm->early, link);
		if (ctl_deploy_take_doorbells(&m, &early->bells, &e) < 0)
			give_up(&e);
		free(early);
	}
	which = (struct ctl_attempt){ .job_id = m.job_id, .attempt = m.attempt };
	if (m.n_before > 0 || find(tm, &which) != NULL) {
		err_set(&e, ERR_INTERNAL, "a DEPLOY message came twice or without its DOORBELLS");
		give_up(&e);
	}
	for (uint32_t i = 0; i < m.n_own; i++) {
		if (m.own[i].local_slot >= tm->in.n_slots) {
			err_set(&e, ERR_INTERNAL, "a DEPLOY message names slot %" PRIu32 " of %" PRIu32,
			    m.own[i].local_slot, tm->in.n_slots);
			give_up(&e);
		}
	}
	if (tm->stopping) {
		ctl_deploy_fini(&m);
		return;
	}
	d = xcalloc(1, sizeof(*d));
	d->attempt = attempt_create(&m, tm->slots, tm->in.n_slots, tm->metrics, &attempt_events, tm);
	d->limit = evtimer_new(tm->base, on_limit, d);
	ASSERT(d->limit != NULL && event_add(d->limit, &limit) == 0);
	LIST_INSERT_HEAD(&tm->attempts, d, link);
}

static void drop(struct deployed *d)
{
	if (d->dropping)
		return;
	d->dropping = true;
	attempt_drop(d->attempt);
}

static void on_drop(struct taskmanager *tm, struct msg_reader *r)
{
	struct ctl_attempt which;
	struct msg_writer w;
	struct deployed *d;
	struct err e;

	if (ctl_decode_attempt(r, &which, &e) < 0)
		give_up(&e);
	d = find(tm, &which);
	if (d != NULL) {
		drop(d);
		return;
	}
	/* Nothing of it is here, which is all that the answer says. */
	msg_writer_init(&w);
	ctl_encode_attempt(&w, &which);
	channel_send(tm->channel, MSG_DROPPED, &w);
	msg_writer_fini(&w);
}

/* A message about an attempt that is gone is late and says nothing any more. */
static struct deployed *find_live(struct taskmanager *tm, const struct id128 *job_id, uint64_t attempt)
{
	struct deployed *d = find(tm, &(struct ctl_attempt){ .job_id = *job_id, .attempt = attempt });

	return d != NULL && !d->dropping ? d : NULL;
}

static void on_trigger(struct taskmanager *tm, struct msg_reader *r)
{
	struct ctl_trigger m;
	struct deployed *d;
	struct err e;

	if (ctl_decode_trigger(r, &m, &e) < 0)
		give_up(&e);
	d = find_live(tm, &m.job_id, m.attempt);
	if (d != NULL)
		attempt_trigger(d->attempt, &m);
}

static void on_notify(struct taskmanager *tm, struct msg_reader *r)
{
	struct ctl_checkpoint m;
	char job[ID_HEX_SIZE];
	struct deployed *d;
	struct err e;

	if (ctl_decode_checkpoint(r, &m, &e) < 0)
		give_up(&e);
	d = find_live(tm, &m.job_id, m.attempt);
	if (d == NULL)
		return;
	attempt_notify(d->attempt, m.checkpoint_id);
	log_info("checkpoint.notified", KV_STR("job", id_hex(&m.job_id, job)), KV_UINT("attempt", m.attempt),
	    KV_UINT("checkpoint", m.checkpoint_id),
	    KV_MSG("Notification of completed checkpoint %" PRIu64 " for job %s", m.checkpoint_id, job));
}

static void on_abort(struct taskmanager *tm, struct msg_reader *r)
{
	struct ctl_checkpoint m;
	struct deployed *d;
	struct err e;

	if (ctl_decode_checkpoint(r, &m, &e) < 0)
		give_up(&e);
	d = find_live(tm, &m.job_id, m.attempt);
	if (d != NULL)
		attempt_abort(d->attempt, m.checkpoint_id);
}

/* The new files take the numbers of the old ones, so that nobody has to be told. */
static void on_logs(struct taskmanager *tm, struct msg_reader *r)
{
	int log_fd = msg_get_fd(r), out_fd = msg_get_fd(r);
	struct err e;

	if (!msg_reader_ok(r) || log_fd < 0 || out_fd < 0) {
		err_set(&e, ERR_INTERNAL, "a LOGS message does not verify");
		give_up(&e);
	}
	if (dup3(log_fd, tm->in.log_fd, O_CLOEXEC) < 0 || dup2(out_fd, STDOUT_FILENO) < 0 ||
	    dup2(out_fd, STDERR_FILENO) < 0)
		log_error("log.reopen_failed", KV_MSG("the old files are used on"));
	close(log_fd);
	close(out_fd);
	log_info("log.reopened", KV_MSG("the log was opened again"));
}

static void on_shutdown(struct taskmanager *tm)
{
	struct deployed *d;

	tm->stopping = true;
	LIST_FOREACH(d, &tm->attempts, link)
		drop(d);
	stop_if_empty(tm);
}

static void on_message(void *arg, unsigned type, struct msg_reader *r)
{
	struct taskmanager *tm = arg;
	struct err e;

	switch (type) {
	case MSG_HEARTBEAT:
		on_heartbeat(tm, r);
		return;
	case MSG_DOORBELLS:
		on_doorbells(tm, r);
		return;
	case MSG_DEPLOY:
		on_deploy(tm, r);
		return;
	case MSG_DROP:
		on_drop(tm, r);
		return;
	case MSG_TRIGGER:
		on_trigger(tm, r);
		return;
	case MSG_NOTIFY:
		on_notify(tm, r);
		return;
	case MSG_ABORT:
		on_abort(tm, r);
		return;
	case MSG_LOGS:
		on_logs(tm, r);
		return;
	case MSG_SHUTDOWN:
		on_shutdown(tm);
		return;
	}
	err_set(&e, ERR_INTERNAL, "a TaskManager is sent a %s message", msg_type_name(type));
	give_up(&e);
}

static void on_closed(void *arg, const struct err *why)
{
	(void)arg;
	if (why->code != ERR_UNAVAILABLE)
		give_up(why);
	/* The supervisor is gone, and with it everything that this process is for. */
	log_warnx("tm.orphaned", KV_MSG("%s; the process ends", why->msg));
	crash_exit(1, "the supervisor is gone");
}

static void say_hello(struct taskmanager *tm)
{
	struct ctl_hello hello = { .place = tm->in.place,
		.generation = tm->in.generation,
		.pid = (uint32_t)getpid(),
		.n_slots = tm->in.n_slots };
	char digits[7];
	struct msg_writer w;

	id_random_hex(digits, 6);
	snprintf(hello.tm_id, sizeof(hello.tm_id), "127.0.0.1:%" PRIu32 "-%s", hello.pid, digits);
	log_info("tm.started", KV_STR("version", WEIR_VERSION), KV_STR("tm", tm->proc),
	    KV_STR("tm_id", hello.tm_id), KV_UINT("generation", tm->in.generation),
	    KV_UINT("slots", tm->in.n_slots), KV_MSG("TaskManager %s is up", tm->proc));
	msg_writer_init(&w);
	ctl_encode_hello(&w, &hello);
	channel_send(tm->channel, MSG_HELLO, &w);
	msg_writer_fini(&w);
}

static void adopt_inheritance(struct taskmanager *tm)
{
	struct inheritance *in = &tm->in;
	int *keep[5 + CTL_MAX_SLOTS] = { &in->control_fd, &in->metrics_fd, &in->log_fd, &in->stderr_fd,
		&in->lock_fd };
	char title[32];
	struct adoption a = { .title = title,
		.comm = tm->proc,
		.parent_pid = (pid_t)in->parent_pid,
		.output_fd = in->out_fd,
		.keep = keep,
		.n_keep = 5 + in->n_slots };

	ASSERT(in->n_slots > 0 && in->n_slots <= CTL_MAX_SLOTS);
	snprintf(tm->proc, sizeof(tm->proc), "tm-%" PRIu32, in->place);
	snprintf(title, sizeof(title), "taskmanager %s", tm->proc);
	for (uint32_t i = 0; i < in->n_slots; i++)
		keep[5 + i] = &in->eventfds[i];
	adopt(&a);
	in->out_fd = STDOUT_FILENO;
}

static void start(struct taskmanager *tm)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct err e;

	sigemptyset(&ignore.sa_mask);
	/* User code that writes to a closed pipe hears EPIPE. */
	ASSERT(sigaction(SIGPIPE, &ignore, NULL) == 0);
	log_init(tm->proc, (enum log_level)tm->in.log_level, tm->in.stderr_fd, tm->in.log_fd);
	tm->metrics = metrics_attach(tm->in.metrics_fd, 1, &e);
	if (tm->metrics == NULL)
		give_up(&e);
	metrics_process(tm->metrics)->pid = (uint32_t)getpid();
	crash_init(tm->metrics);
	tm->base = event_base_new();
	tm->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ASSERT(tm->base != NULL && tm->wake_fd >= 0);
	tm->wake = event_new(tm->base, tm->wake_fd, EV_READ | EV_PERSIST, on_wake, tm);
	ASSERT(tm->wake != NULL && event_add(tm->wake, NULL) == 0);
	tm->channel = channel_create(tm->base, tm->in.control_fd, -1, on_message, on_closed, tm);
	for (uint32_t i = 0; i < tm->in.n_slots; i++) {
		tm->slots[i] = slot_create(i, tm->in.eventfds[i], &clock_system, &e);
		if (tm->slots[i] == NULL)
			give_up(&e);
	}
}

void taskmanager_main(const struct inheritance *in)
{
	struct taskmanager tm = { .in = *in, .lock = PTHREAD_MUTEX_INITIALIZER };

	LIST_INIT(&tm.attempts);
	STAILQ_INIT(&tm.early);
	STAILQ_INIT(&tm.letters);
	adopt_inheritance(&tm);
	start(&tm);
	say_hello(&tm);
	if (event_base_dispatch(tm.base) < 0)
		crash_exit(1, "the event loop of the main thread failed");
	for (uint32_t i = 0; i < tm.in.n_slots; i++)
		slot_destroy(tm.slots[i]);
	log_info("tm.stopped", KV_STR("tm", tm.proc), KV_MSG("TaskManager %s was asked to stop", tm.proc));
	fflush(NULL);
	/* Not exit: what the parent registered to run at its end is not ours. */
	_exit(0);
}
