/*
 * The supervisor's end of a TaskManager: one place (tm-N) whose process is forked, greeted,
 * watched by heartbeats, spoken to, and forked again when it dies, with a delay where it keeps
 * dying.
 *
 *   FORKED -> (HELLO) REGISTERED -> (death) WAITING -> FORKED ...
 *   any state -> (tm_link_shutdown) STOPPING -> (death) STOPPED
 *
 * A worker that is silent for heartbeat.timeout, or says something that does not verify, is killed;
 * from there on it is a crash like any other: events.died tells, once, for every process that was
 * forked. Messages that the process sent before it died are delivered before that.
 */
#ifndef SUPERVISOR_TM_LINK_H
#define SUPERVISOR_TM_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/conf.h"
#include "supervisor/child.h"

struct event_base;
struct tm_link;

/* Called from the loop. Any of them may deploy, drop, kill, shut down; died and stopped may destroy the
 * link. */
struct tm_events {
	/* HELLO came: its slots can be offered. */
	void (*registered)(void *arg, struct tm_link *l, const struct ctl_hello *hello);
	void (*task_state)(void *arg, struct tm_link *l, const struct ctl_task_state *s);
	void (*dropped)(void *arg, struct tm_link *l, const struct ctl_attempt *a);
	void (*metric_names)(void *arg, struct tm_link *l,
	    const struct ctl_metric_names *names); /* borrowed */
	void (*ack)(void *arg, struct tm_link *l, const struct ctl_ack *a);
	void (*decline)(void *arg, struct tm_link *l, const struct ctl_decline *d);
	/* The process is gone (reaped): every task, slot and doorbell of it, too. */
	void (*died)(void *arg, struct tm_link *l, const struct child_death *d);
	/* After shutdown: no process and none to come. */
	void (*stopped)(void *arg, struct tm_link *l);
};

struct tm_link_config {
	struct children *children;
	struct event_base *base;
	const struct clock *clock;
	const struct conf *conf;   /* slots, heartbeats, log_dir, log_level, taskmanager_restart; borrowed */
	uint32_t place;            /* from 1 */
	uint32_t first_generation; /* of the first process; 1 unless the place was used before */
	struct tm_events events;
	void *arg;
};

/* Forks the first process at once (a fork that fails is logged and tried again with the same delays). */
struct tm_link *tm_link_create(const struct tm_link_config *cfg);
/* Only without a process: after stopped, from died, or after children_destroy. */
void tm_link_destroy(struct tm_link *l);
/* A reloaded configuration: heartbeats from now on, slots and log level from the next fork on. */
void tm_link_set_conf(struct tm_link *l, const struct conf *conf);

/* Sent in order; nothing is sent to a process that is not registered or gone. Descriptors stay the caller's.
 * deploy: -1 when there is no registered process or the attempt does not fit a message. */
int tm_link_deploy(struct tm_link *l, const struct ctl_deploy *d, struct err *e);
void tm_link_drop(struct tm_link *l, const struct ctl_attempt *a);
void tm_link_trigger(struct tm_link *l, const struct ctl_trigger *t);
void tm_link_notify(struct tm_link *l, const struct ctl_checkpoint *c);
void tm_link_abort(struct tm_link *l, const struct ctl_checkpoint *c);
/* SIGKILL; reason is told in the obituary. The death takes the ordinary path, respawn included. */
void tm_link_kill(struct tm_link *l, const char *reason);
/* Ask it to end, SIGKILL after grace_ms; it is not forked again. stopped follows, also when there was
 * none. */
void tm_link_shutdown(struct tm_link *l, int64_t grace_ms);
/* Open its .log and .out again and hand them over, e.g. after they were rotated. What cannot be opened
 * is logged. */
void tm_link_reopen_logs(struct tm_link *l);
/* With taskmanager.restart: never, or while it waits: fork now if there is no process. */
void tm_link_revive(struct tm_link *l);

uint32_t tm_link_place(const struct tm_link *l);
uint32_t tm_link_generation(const struct tm_link *l);   /* of the present or last process */
bool tm_link_registered(const struct tm_link *l);       /* deploy would be sent */
pid_t tm_link_pid(const struct tm_link *l);             /* 0: none */
uint32_t tm_link_n_slots(const struct tm_link *l);      /* of the present or last process */
const char *tm_link_id(const struct tm_link *l);        /* "127.0.0.1:<pid>-<6 hex>", "" before HELLO */
int64_t tm_link_last_heard_ms(const struct tm_link *l); /* wall, 0: never */
struct metrics_region *tm_link_metrics(const struct tm_link *l); /* NULL without a process */
int tm_link_eventfd(const struct tm_link *l, uint32_t slot);     /* borrowed while the process lives; -1 */

#endif
