/*
 * A slot: one thread of a TaskManager, which runs turns of its tasks and does
 * nothing else.  Its loop: mail first, a turn of each task that can go on, then
 * sleep on the eventfd until somebody rings or the earliest deadline comes.
 *
 * Nothing that can wait runs here but user functions that block by themselves.
 * Other threads speak to it by mail (slot_post) only; what its tasks wait for in
 * shared memory wakes it through its doorbell (shm/doorbell.h).
 *
 * A slot takes part in one attempt at a time: between slot_enter and slot_leave its
 * `sleeping` word in that attempt's exchange is kept too.
 */
#ifndef WORKER_RUNTIME_SLOT_H
#define WORKER_RUNTIME_SLOT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "shm/doorbell.h"

struct slot;
struct task;

/* The slot's idea of time, read by its tasks; its thread only. */
struct slot_now {
	int64_t mono_ns, wall_ms;
	int64_t stalled_ns; /* in which the loop should have turned and did not */
	uint32_t wakes;     /* times the eventfd was found rung */
};

/* A letter to a slot: embedded in what it is about, so that posting allocates nothing. */
struct slot_mail {
	struct slot_mail *next;
	void (*fn)(struct slot *s, struct slot_mail *m); /* on the slot's thread, not on a task's stack */
};

/* ---- any thread ---- */

/*
 * Start the thread.
 * local_idx: which of this worker's slots, for its name and messages.
 * eventfd:   borrowed until slot_destroy; non-blocking.
 * clock:     borrowed; processing time, deadlines, budgets.
 */
struct slot *slot_create(uint32_t local_idx, int eventfd, const struct clock *clock, struct err *e);
/* End the thread and free. It must have no task left and no mail on its way. */
void slot_destroy(struct slot *s);

/* Letters are opened in the order of posting, before the next turn; a running task is
 * interrupted at its next task_point. The letter belongs to the slot until fn is called. */
void slot_post(struct slot *s, struct slot_mail *m);
/* Have every waiting task asked again, e.g. because a connector call has returned. */
void slot_wake(struct slot *s);
/* The same for what a source looks at in its poll: counts as a wake even where the slot is not asleep. */
void slot_ring(struct slot *s);

/* The signals that a worker's threads block: all but those of a crash; the rest is the main thread's. */
void slot_thread_signals(sigset_t *set);

int slot_eventfd(const struct slot *s);
uint32_t slot_local_idx(const struct slot *s);
const struct clock *slot_clock(const struct slot *s);
/* For heartbeats: a slot is alive when its turn moves or it sleeps. */
uint32_t slot_turn(const struct slot *s);
bool slot_sleeping(const struct slot *s);

/* ---- its own thread only, from mail and from tasks ---- */

/* Take part in an attempt: own_page is this slot's page of the exchange (NULL: none, in tests). */
void slot_enter(struct slot *s, struct slot_page *own_page);
/* The attempt is over here; no task may be left. */
void slot_leave(struct slot *s);
const struct slot_now *slot_now(const struct slot *s);
/* Read the clock anew; a long gap since the last time counts as a stall. */
void slot_read_clock(struct slot *s);
/* Set by mail; tested by tasks after every record. */
_Atomic uint32_t *slot_attention(struct slot *s);
/* Run t from the next turn on. The slot owns it from here and frees it after its end. */
void slot_add_task(struct slot *s, struct task *t);
uint32_t slot_n_tasks(const struct slot *s);
/* The i-th task, 0-based, in the order of adding. */
struct task *slot_task(const struct slot *s, uint32_t i);

#endif
