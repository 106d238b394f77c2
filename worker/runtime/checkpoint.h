/*
 * A task's part in checkpoints: triggers, barriers, snapshots and their acknowledgement, the
 * state that it begins with, and its stop with a savepoint.
 *
 * Letters of the main thread are noted on the slot's thread (checkpoint_on_*) and served on the task's
 * fiber between elements (checkpoint_serve): a source takes its snapshot then and emits the barrier; the
 * others take theirs when their gate has aligned it.  The order is always: snapshot of the whole chain,
 * barrier behind all earlier records on every channel, publish, acknowledge.  Where an operator's
 * effects are still under way (SNAPSHOT_PENDING) the acknowledgement waits, the task does not.
 *
 * Stop with savepoint: behind its barrier a task emits nothing more.  A source polls no further, timers
 * rest but those of sinks, and the end of input comes after the savepoint is known to be complete.  Without
 * drain that end carries a mark, so that nobody takes it for the end of time and fires windows.
 */
#ifndef WORKER_RUNTIME_CHECKPOINT_H
#define WORKER_RUNTIME_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/control.h"
#include "worker/state/snapshot.h"

struct operator;
struct task;

/* What a barrier says; its id travels in the element's header. */
struct barrier {
	uint64_t id;
	int64_t trigger_wall_ms;
	uint32_t kind; /* enum checkpoint_kind */
	bool drain;
};
/* The element's payload. */
struct barrier_payload {
	int64_t trigger_wall_ms;
	uint32_t kind;
	uint32_t drain; /* 0, 1 */
};
_Static_assert(sizeof(struct barrier_payload) == 16, "drawn in shm/README.md");

/* An ELEM_END's value where the job was stopped without drain: the time has not ended. */
#define END_STOPPED 1

/* What the gate measured. */
struct barrier_timing {
	int64_t alignment_ns, start_delay_ns, processed_bytes;
};

struct checkpoint_letter;
struct pending_checkpoint;

struct task_checkpoints {
	struct checkpoint_letter *letters; /* not yet served, in order */
	uint32_t n_letters, cap_letters;
	struct pending_checkpoint **pending; /* taken, not yet acknowledged */
	uint32_t n_pending, cap_pending;
	uint64_t last_id;  /* of the last trigger served */
	uint64_t stop_id;  /* savepoint that the task stops with and that is not yet complete, 0: none */
	bool stopping;     /* behind the barrier of such a savepoint, complete or not */
	bool drained;
	bool stopped;      /* it is complete: a source ends now */
};

/* ---- slot's thread, from mail ---- */
void checkpoint_on_trigger(struct task *t, const struct ctl_trigger *m);
void checkpoint_on_notify(struct task *t, uint64_t id);
void checkpoint_on_abort(struct task *t, uint64_t id);

/* ---- the task's fiber, between elements ---- */
/* Do what the letters say; due when hot.interrupt is set. */
void checkpoint_serve(struct task *t);
/* Snapshot, forward, acknowledge: a source's trigger, or a barrier that all inputs have brought. */
void checkpoint_take(struct task *t, const struct barrier *b, const struct barrier_timing *timing);
void checkpoint_decline(struct task *t, uint64_t id, const struct err *why);
/* After open, before the first element. */
int checkpoint_restore(struct task *t, struct err *e);

/* Whether an operator's timer may be called now. */
bool checkpoint_timer_rests(const struct task *t, const struct operator *op);
void checkpoint_fini(struct task *t);

#endif
