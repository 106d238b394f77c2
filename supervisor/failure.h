/*
 * Why a job's attempt ended: one record, whatever it was that failed (a user
 * function, a deploy, a process), and the history that the exceptions endpoint shows.
 * Names are those that a reader of Flink's exceptions knows.
 */
#ifndef SUPERVISOR_FAILURE_H
#define SUPERVISOR_FAILURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct job_failure {
	const char *name; /* class-like, static storage */
	char *text;       /* "name: sentence", further lines with what else is known */
	int64_t wall_ms;
	char *task_name; /* "ClickEvent Counter (2/2) - execution #0", NULL: the whole job */
	char *location;  /* "localhost:420", NULL: unassigned */
	char *tm_id;
	int signo;        /* that ended the TaskManager, 0: none */
	bool no_resource; /* slots were missing */
};
void job_failure_fini(struct job_failure *f);

/* The class-like name for what a task says of itself. */
const char *failure_name(enum err_code code);
/* A failed task's own cause. */
void failure_from_err(struct job_failure *f, const struct err *cause);
/* A TaskManager's end; its obituary tells more. */
void failure_from_lost_tm(struct job_failure *f, const char *tm_id, int signo, const char *obituary);
/* No restart follows; last is what the job failed with, NULL: not known. */
void failure_from_suppressed(struct job_failure *f, const char *why, const struct job_failure *last);
/* Slots were missing for too long. */
void failure_from_missing_slots(struct job_failure *f, uint32_t n_required, uint32_t n_free);

struct failure_history {
	struct job_failure *v; /* oldest first */
	size_t n, cap;
	bool truncated; /* older ones were forgotten */
};
/*
 * Takes ownership of what is in f.  Keeps the newest `limit`.  While slots are missing the same
 * failure comes about every second: it is kept once, with its newest time, so that it does not drive
 * out why they are missing.
 */
void failure_history_add(struct failure_history *h, struct job_failure *f, size_t limit);
void failure_history_fini(struct failure_history *h);

#endif
