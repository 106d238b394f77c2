/*
 * One TaskManager's place: fork, greet, watch, speak, fork again.  What happens in which
 * state is a table; an empty cell is a bug.
 */
#include "supervisor/tm_link.h"

#include <event2/event.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/msg.h"
#include "supervisor/backoff.h"
#include "supervisor/loop.h"
#include "supervisor/tm_messages.h"

#define LAG_NS          NS_PER_S /* the loop itself was late by this much: nobody's silence is known */
#define CLOSED_GRACE_MS 1000     /* between the end of the channel and the end of the process */

enum state {
	FORKED,     /* a process without HELLO */
	REGISTERED, /* a process that can be given tasks */
	WAITING,    /* no process; forked again by timer or revival */
	STOPPING,   /* a process that was asked to end */
	STOPPED,    /* no process and none to come */
	N_STATES
};

enum input { IN_HELLO, IN_DEATH, IN_TIMER, IN_SHUTDOWN, IN_REVIVE, N_INPUTS };

enum action {
	BUG,
	NOTHING,
	REGISTER,     /* tell that it is there */
	REFUSE_HELLO, /* it said HELLO twice */
	REPLACE,      /* tell its death, fork again when the backoff says so */
	FORK,
	WATCH, /* a heartbeat, or its absence */
	ASK_TO_END,
	KILL_LATE,  /* the grace is over */
	TELL_DEATH, /* expected; and that there is none to come */
	TELL_STOPPED
};

static const struct {
	enum action action;
	enum state next;
} table[N_STATES][N_INPUTS] = {
	[FORKED] = {
		[IN_HELLO] = { REGISTER, REGISTERED },
		[IN_DEATH] = { REPLACE, WAITING },
		[IN_TIMER] = { WATCH, FORKED },
		[IN_SHUTDOWN] = { ASK_TO_END, STOPPING },
		[IN_REVIVE] = { NOTHING, FORKED },
	},
	[REGISTERED] = {
		[IN_HELLO] = { REFUSE_HELLO, REGISTERED },
		[IN_DEATH] = { REPLACE, WAITING },
		[IN_TIMER] = { WATCH, REGISTERED },
		[IN_SHUTDOWN] = { ASK_TO_END, STOPPING },
		[IN_REVIVE] = { NOTHING, REGISTERED },
	},
	[WAITING] = {
		[IN_TIMER] = { FORK, WAITING }, /* FORKED when there is one */
		[IN_SHUTDOWN] = { TELL_STOPPED, STOPPED },
		[IN_REVIVE] = { FORK, WAITING },
	},
	[STOPPING] = {
		[IN_HELLO] = { NOTHING, STOPPING },
		[IN_DEATH] = { TELL_DEATH, STOPPED },
		[IN_TIMER] = { KILL_LATE, STOPPING },
		[IN_SHUTDOWN] = { ASK_TO_END, STOPPING }, /* with another grace */
		[IN_REVIVE] = { NOTHING, STOPPING },
	},
	[STOPPED] = {
		[IN_TIMER] = { TELL_STOPPED, STOPPED },
		[IN_SHUTDOWN] = { NOTHING, STOPPED },
		[IN_REVIVE] = { NOTHING, STOPPED },
	},
};

struct tm_link {
	struct tm_link_config cfg;
	const struct conf *conf;
	enum state state;
	struct event *timer;
	int64_t due_ns; /* when the timer should fire */

	struct child *child; /* NULL: no process */
	struct channel *channel;
	uint32_t generation, n_slots;
	char tm_id[TM_ID_SIZE];
	struct backoff backoff;

	uint64_t beat_seq;
	int64_t ping_ns;  /* when the next heartbeat is due */
	int64_t heard_ns; /* last message, or when its silence began to count */
	int64_t heard_wall_ms;
	int64_t closed_ns; /* 0: the channel is open */
	struct {
		uint32_t turn;
		int64_t moved_ns;
	} slots[CTL_MAX_SLOTS];

	unsigned busy; /* inside died or stopped, which may destroy the link */
	bool destroyed;
};

static void feed(struct tm_link *l, enum input in);
static void fork_process(struct tm_link *l);

static int64_t now_ns(const struct tm_link *l)
{
	return clock_mono_ns(l->cfg.clock);
}

static void set_timer(struct tm_link *l, int64_t delay_ms)
{
	struct timeval tv = { .tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000 };

	l->due_ns = now_ns(l) + delay_ms * NS_PER_MS;
	ASSERT(event_add(l->timer, &tv) == 0);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	feed(arg, IN_TIMER);
}

/* ---- heartbeats ---- */

static int64_t interval_ms(const struct tm_link *l)
{
	int64_t half_ms = l->conf->heartbeat_timeout_ms / 2;

	/* An interval beyond the timeout would kill the healthy. */
	return l->conf->heartbeat_interval_ms < half_ms ? l->conf->heartbeat_interval_ms : half_ms;
}

/* From now on its silence and its slots' standing still count anew. */
static void restart_watch(struct tm_link *l)
{
	l->heard_ns = now_ns(l);
	for (uint32_t i = 0; i < l->n_slots; i++)
		l->slots[i].moved_ns = l->heard_ns;
}

/* Fire at what comes first: the next heartbeat, or the end of the patience. */
static void set_watch_timer(struct tm_link *l)
{
	int64_t now = now_ns(l), due = l->ping_ns,
		end = l->heard_ns + l->conf->heartbeat_timeout_ms * NS_PER_MS;

	if (l->closed_ns != 0)
		end = l->closed_ns + CLOSED_GRACE_MS * NS_PER_MS;
	if (end < due)
		due = end;
	set_timer(l, due > now ? (due - now + NS_PER_MS - 1) / NS_PER_MS : 0);
}

static void ping(struct tm_link *l)
{
	struct ctl_heartbeat beat = { .seq = ++l->beat_seq };
	struct msg_writer w;

	msg_writer_init(&w);
	ctl_encode_heartbeat(&w, &beat);
	channel_send(l->channel, MSG_HEARTBEAT, &w);
	msg_writer_fini(&w);
	l->ping_ns = now_ns(l) + interval_ms(l) * NS_PER_MS;
}

static void watch(struct tm_link *l)
{
	int64_t now = now_ns(l);

	if (child_state(l->child) == CHILD_KILLED)
		return;
	if (l->closed_ns != 0 && now - l->closed_ns >= CLOSED_GRACE_MS * NS_PER_MS) {
		tm_link_kill(l, "it closed its control channel");
		return;
	}
	if (now - l->due_ns > LAG_NS) {
		log_warnx("loop.lagged", KV_INT("late_ms", (now - l->due_ns) / NS_PER_MS),
		    KV_MSG("the supervisor itself did not run; the silence of tm-%" PRIu32 " counts anew",
			l->cfg.place));
		restart_watch(l);
	} else if (now - l->heard_ns >= l->conf->heartbeat_timeout_ms * NS_PER_MS) {
		tm_link_kill(l, log_fmt("no heartbeat for %" PRId64 " ms", l->conf->heartbeat_timeout_ms));
		return;
	}
	if (now >= l->ping_ns)
		ping(l);
	set_watch_timer(l);
}

/* A slot lives when its turn moves or it sleeps. */
static void check_slots(struct tm_link *l, const struct ctl_heartbeat *beat)
{
	int64_t now = now_ns(l);

	for (uint32_t i = 0; i < l->n_slots; i++) {
		if (beat->sleeping[i] || beat->turn[i] != l->slots[i].turn) {
			l->slots[i].turn = beat->turn[i];
			l->slots[i].moved_ns = now;
		} else if (now - l->slots[i].moved_ns >= l->conf->heartbeat_timeout_ms * NS_PER_MS) {
			tm_link_kill(l,
			    log_fmt("slot %" PRIu32 " hung in user code for %" PRId64 " ms", i,
				(now - l->slots[i].moved_ns) / NS_PER_MS));
			return;
		}
	}
}

/* ---- messages ---- */

static void on_hello(struct tm_link *l, const struct ctl_hello *m, struct err *e)
{
	if (m->place != l->cfg.place || m->generation != l->generation || m->n_slots != l->n_slots ||
	    m->pid != (uint32_t)child_pid(l->child)) {
		err_set(e, ERR_INTERNAL, "it introduced itself as another one");
		return;
	}
	memcpy(l->tm_id, m->tm_id, sizeof(l->tm_id));
	feed(l, IN_HELLO);
	if (l->state == REGISTERED && l->cfg.events.registered != NULL)
		l->cfg.events.registered(l->cfg.arg, l, m);
}

/* e is filled where the message does not verify. */
static void dispatch(struct tm_link *l, unsigned type, struct msg_reader *r, struct err *e)
{
	const struct tm_events *ev = &l->cfg.events;
	struct ctl_hello hello;
	struct ctl_heartbeat beat;
	struct ctl_task_state state;
	struct ctl_attempt dropped;
	struct ctl_metric_names names;

	switch (type) {
	case MSG_HELLO:
		if (ctl_decode_hello(r, &hello, e) == 0)
			on_hello(l, &hello, e);
		return;
	case MSG_HEARTBEAT:
		if (ctl_decode_heartbeat(r, &beat, e) < 0)
			return;
		if (beat.n_slots != l->n_slots)
			err_set(e, ERR_INTERNAL, "a HEARTBEAT message tells of %" PRIu32 " slots",
			    beat.n_slots);
		else
			check_slots(l, &beat);
		return;
	case MSG_TASK_STATE:
		if (ctl_decode_task_state(r, &state, e) == 0 && ev->task_state != NULL)
			ev->task_state(l->cfg.arg, l, &state);
		return;
	case MSG_DROPPED:
		if (ctl_decode_attempt(r, &dropped, e) == 0 && ev->dropped != NULL)
			ev->dropped(l->cfg.arg, l, &dropped);
		return;
	case MSG_METRIC_NAMES:
		if (ctl_decode_metric_names(r, &names, e) < 0)
			return;
		if (ev->metric_names != NULL)
			ev->metric_names(l->cfg.arg, l, &names);
		ctl_metric_names_fini(&names);
		return;
	case MSG_ACK:
	case MSG_DECLINE:
		tm_hear_checkpoint(l, ev, l->cfg.arg, type, r, e);
		return;
	}
	err_set(e, ERR_INTERNAL, "it sent a %s message", msg_type_name(type));
}

static void on_message(void *arg, unsigned type, struct msg_reader *r)
{
	struct tm_link *l = arg;
	struct err e = { .code = ERR_NONE };

	l->heard_ns = now_ns(l);
	l->heard_wall_ms = clock_wall_ms(l->cfg.clock);
	dispatch(l, type, r, &e);
	/* Whatever made it talk nonsense, its death has a path that is known to work. */
	if (e.code != ERR_NONE)
		tm_link_kill(l, e.msg);
}

static void on_closed(void *arg, const struct err *why)
{
	struct tm_link *l = arg;

	if (why->code != ERR_UNAVAILABLE) {
		tm_link_kill(l, why->msg);
		return;
	}
	/* As a rule SIGCHLD is on its way and says more. */
	l->closed_ns = now_ns(l);
	if (l->state == FORKED || l->state == REGISTERED)
		set_watch_timer(l);
}

/* ---- life and death ---- */

static void on_died(void *arg, struct child *c, const struct child_death *d)
{
	struct tm_link *l = arg;
	struct channel *channel = l->channel;

	(void)c;
	/* Its last messages first: a task that had finished has finished. */
	channel_drain(channel);
	l->channel = NULL;
	channel_destroy(channel);
	event_del(l->timer);
	l->child = NULL;
	l->tm_id[0] = '\0';
	l->busy++;
	if (l->state == STOPPING) {
		l->state = table[STOPPING][IN_DEATH].next;
		if (l->cfg.events.died != NULL)
			l->cfg.events.died(l->cfg.arg, l, d);
		if (!l->destroyed && l->cfg.events.stopped != NULL)
			l->cfg.events.stopped(l->cfg.arg, l);
	} else {
		ASSERT(table[l->state][IN_DEATH].action == REPLACE);
		l->state = WAITING;
		if (l->cfg.events.died != NULL)
			l->cfg.events.died(l->cfg.arg, l, d);
		if (!l->destroyed && l->state == WAITING && !children_closing(l->cfg.children) &&
		    strcmp(l->conf->taskmanager_restart, "never") != 0) {
			int64_t delay_ms = backoff_next(&l->backoff, d->lived_ms);

			if (delay_ms > 0) {
				log_info("tm.respawn", KV_UINT("place", l->cfg.place),
				    KV_INT("delay_ms", delay_ms),
				    KV_MSG("taskmanager tm-%" PRIu32 " is forked again in %" PRId64 " ms",
					l->cfg.place, delay_ms));
				set_timer(l, delay_ms);
			} else {
				fork_process(l);
			}
		}
	}
	l->busy--;
	if (l->destroyed)
		tm_link_destroy(l);
}

static void fork_process(struct tm_link *l)
{
	struct child_taskmanager_spec spec = { .place = l->cfg.place,
		.generation = l->generation + 1,
		.n_slots = (uint32_t)l->conf->slots,
		.log_dir = l->conf->log_dir,
		.log_level = LOG_INFO };
	struct err e;

	(void)log_level_parse(l->conf->log_level, &spec.log_level);
	event_del(l->timer);
	l->child = child_fork_taskmanager(l->cfg.children, &spec, on_died, l, &e);
	if (l->child == NULL) {
		/* At least the first delay: what refused a fork refuses the next one, too. */
		int64_t delay_ms = backoff_next(&l->backoff, 0);

		if (delay_ms == 0)
			delay_ms = l->backoff.initial_ms;
		log_errorx("tm.fork_failed", KV_UINT("place", l->cfg.place), KV_INT("delay_ms", delay_ms),
		    KV_MSG("%s; tried again in %" PRId64 " ms", e.msg, delay_ms));
		set_timer(l, delay_ms);
		return;
	}
	l->state = FORKED;
	l->generation = spec.generation;
	l->n_slots = spec.n_slots;
	l->closed_ns = 0;
	memset(l->slots, 0, sizeof(l->slots));
	restart_watch(l);
	l->ping_ns = l->heard_ns + interval_ms(l) * NS_PER_MS;
	l->channel = channel_create(l->cfg.base, child_take_control_fd(l->child), LOOP_PRIORITY_CONTROL,
	    on_message, on_closed, l);
	set_watch_timer(l);
}

static void tell_stopped(struct tm_link *l)
{
	l->busy++;
	if (l->cfg.events.stopped != NULL)
		l->cfg.events.stopped(l->cfg.arg, l);
	l->busy--;
	if (l->destroyed)
		tm_link_destroy(l);
}

/* Every input but a death, which on_died takes through the same table. */
static void feed(struct tm_link *l, enum input in)
{
	enum state was = l->state;

	l->state = table[was][in].next;
	switch (table[was][in].action) {
	case NOTHING:
	case REGISTER:
		return;
	case REFUSE_HELLO:
		tm_link_kill(l, "it said HELLO twice");
		return;
	case FORK:
		fork_process(l);
		return;
	case WATCH:
		watch(l);
		return;
	case ASK_TO_END:
		child_expect_exit(l->child);
		channel_send(l->channel, MSG_SHUTDOWN, NULL);
		return;
	case KILL_LATE:
		child_kill(l->child, "it did not end in time");
		return;
	case TELL_STOPPED:
		/* Not from inside the call that asked for it. */
		if (in == IN_TIMER)
			tell_stopped(l);
		else
			set_timer(l, 0);
		return;
	case REPLACE:
	case TELL_DEATH:
	case BUG:
		break;
	}
	ASSERT(!"an input that this state does not know");
}

struct tm_link *tm_link_create(const struct tm_link_config *cfg)
{
	struct tm_link *l = xcalloc(1, sizeof(*l));

	ASSERT(cfg->place > 0 && cfg->first_generation > 0);
	l->cfg = *cfg;
	l->conf = cfg->conf;
	l->backoff = (struct backoff)BACKOFF_PROCESS;
	l->generation = cfg->first_generation - 1;
	l->timer = evtimer_new(cfg->base, on_timer, l);
	ASSERT(l->timer != NULL && event_priority_set(l->timer, LOOP_PRIORITY_CONTROL) == 0);
	l->state = WAITING;
	fork_process(l);
	return l;
}

void tm_link_destroy(struct tm_link *l)
{
	if (l == NULL)
		return;
	ASSERT(l->child == NULL);
	l->destroyed = true;
	event_del(l->timer);
	if (l->busy > 0)
		return;
	event_free(l->timer);
	free(l);
}

void tm_link_set_conf(struct tm_link *l, const struct conf *conf)
{
	l->conf = conf;
	if (l->state == FORKED || l->state == REGISTERED) {
		restart_watch(l);
		l->ping_ns = l->heard_ns;
		set_watch_timer(l);
	}
}

int tm_link_deploy(struct tm_link *l, const struct ctl_deploy *d, struct err *e)
{
	struct msg_writer w;
	int rc = 0;

	if (!tm_link_registered(l))
		return err_set(e, ERR_UNAVAILABLE, "tm-%" PRIu32 " is not registered", l->cfg.place);
	msg_writer_init(&w);
	ctl_encode_deploy(&w, d);
	if (w.len > MSG_BODY_MAX) {
		rc = err_set(e, ERR_TOO_LARGE,
		    "the job's arguments and tasks take %zu bytes, over the limit of %d", w.len,
		    MSG_BODY_MAX);
	} else {
		for (uint32_t i = ctl_deploy_n_inline(d); i < d->n_slots;) {
			struct msg_writer bells;

			msg_writer_init(&bells);
			i = ctl_encode_doorbells(&bells, d, i);
			channel_send(l->channel, MSG_DOORBELLS, &bells);
			msg_writer_fini(&bells);
		}
		channel_send(l->channel, MSG_DEPLOY, &w);
	}
	msg_writer_fini(&w);
	return rc;
}

void tm_link_send(struct tm_link *l, enum msg_type type, const struct msg_writer *w)
{
	if (tm_link_registered(l))
		channel_send(l->channel, type, w);
}

void tm_link_kill(struct tm_link *l, const char *reason)
{
	if (l->child != NULL)
		child_kill(l->child, reason);
}

void tm_link_shutdown(struct tm_link *l, int64_t grace_ms)
{
	feed(l, IN_SHUTDOWN);
	if (l->state == STOPPING)
		set_timer(l, grace_ms);
}

void tm_link_reopen_logs(struct tm_link *l)
{
	int log_fd, out_fd = -1;
	struct msg_writer w;
	struct err e;

	if (!tm_link_registered(l))
		return;
	log_fd = child_open_log(l->conf->log_dir, l->cfg.place, "log", &e);
	if (log_fd >= 0)
		out_fd = child_open_log(l->conf->log_dir, l->cfg.place, "out", &e);
	if (out_fd >= 0) {
		msg_writer_init(&w);
		msg_put_fd(&w, log_fd);
		msg_put_fd(&w, out_fd);
		channel_send(l->channel, MSG_LOGS, &w);
		msg_writer_fini(&w);
		close(out_fd);
	} else {
		log_errorx("log.reopen_failed", KV_UINT("place", l->cfg.place),
		    KV_MSG("%s; the old files are used on", e.msg));
	}
	if (log_fd >= 0)
		close(log_fd);
}

void tm_link_revive(struct tm_link *l)
{
	l->backoff.next_ms = 0;
	feed(l, IN_REVIVE);
}

uint32_t tm_link_place(const struct tm_link *l)
{
	return l->cfg.place;
}

uint32_t tm_link_generation(const struct tm_link *l)
{
	return l->generation;
}

bool tm_link_registered(const struct tm_link *l)
{
	return l->state == REGISTERED && child_state(l->child) == CHILD_ALIVE;
}

pid_t tm_link_pid(const struct tm_link *l)
{
	return l->child != NULL ? child_pid(l->child) : 0;
}

uint32_t tm_link_n_slots(const struct tm_link *l)
{
	return l->n_slots;
}

const char *tm_link_id(const struct tm_link *l)
{
	return l->tm_id;
}

int64_t tm_link_last_heard_ms(const struct tm_link *l)
{
	return l->heard_wall_ms;
}

struct metrics_region *tm_link_metrics(const struct tm_link *l)
{
	return l->child != NULL ? child_metrics(l->child) : NULL;
}

int tm_link_eventfd(const struct tm_link *l, uint32_t slot)
{
	return l->child != NULL ? child_eventfd(l->child, slot) : -1;
}
