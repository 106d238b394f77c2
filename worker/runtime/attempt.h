/*
 * An attempt: everything that one execution attempt of a job has in this worker,
 * from the deploy message to the moment when nothing of it is left.
 *
 * attempt_create starts the attempt's connector thread, which decodes the plan, opens the
 * artifact, replays main, attaches the exchange and makes the tasks; they are
 * then handed to their slots.  attempt_drop ends all of it.  Nobody waits: what happens is told
 * through the events.
 *
 *   attempt_create → task_state … → attempt_drop → dropped → attempt_destroy
 *
 * An attempt whose tasks have all ended stays until it is dropped.
 */
#ifndef WORKER_RUNTIME_ATTEMPT_H
#define WORKER_RUNTIME_ATTEMPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "shm/metrics.h"
#include "worker/control.h"
#include "worker/runtime/slot.h"

struct attempt;

/*
 * What the TaskManager's main thread wants to know.  Called from any thread (slots and the
 * connector thread), with everything borrowed until return: copy, queue, wake the main thread.
 * They must not block.
 */
struct attempt_events {
	/* A task entered INITIALIZING, RUNNING, FINISHED, CANCELED or FAILED (with its cause; told at once,
	 * its clean-up goes on). A deploy that could not make its tasks: FAILED with vertex and subtask
	 * UINT32_MAX. */
	void (*task_state)(void *arg, const struct ctl_task_state *st);
	/* A user metric was registered: v[METRIC_USER_FIRST + index] of the task's block counts `name`. */
	void (*metric_name)(void *arg, const struct id128 *job_id, uint64_t attempt, uint32_t vertex,
	    uint32_t subtask, uint32_t index, const char *name);
	/* A task's part of a checkpoint, or why there is none. */
	void (*ack)(void *arg, const struct ctl_ack *ack);
	void (*decline)(void *arg, const struct ctl_decline *decline);
	/* After attempt_drop, once: no task, handle or mapping of it is left. From the connector thread,
	 * which ends right after: attempt_destroy is due, from another thread. */
	void (*dropped)(void *arg, const struct id128 *job_id, uint64_t attempt);
};

/*
 * Begin. Returns at once; never fails (what goes wrong is told as a task state).
 *
 * d:     taken over with its descriptors and memory (*d is zeroed).
 * slots: this worker's slots, by local index; borrowed until dropped.
 * m:     metrics region; borrowed until dropped.
 */
struct attempt *attempt_create(struct ctl_deploy *d, struct slot *const *slots, uint32_t n_slots,
    struct metrics_region *m, const struct attempt_events *ev, void *arg);
/* End all its tasks and let go of everything; `dropped` is called when that is done. Once. */
void attempt_drop(struct attempt *a);
/*
 * A checkpoint is to be taken, is complete, is given up: told to every task here, which acts on it between
 * two elements.  Before the tasks are made and after attempt_drop nobody is told.
 */
void attempt_trigger(struct attempt *a, const struct ctl_trigger *m);
void attempt_notify(struct attempt *a, uint64_t checkpoint_id);
void attempt_abort(struct attempt *a, uint64_t checkpoint_id);
/* After `dropped`: join its thread, free. */
void attempt_destroy(struct attempt *a);

/* Is it beyond what runs the job's main again? From any thread. */
bool attempt_is_set_up(struct attempt *a);
const struct id128 *attempt_job_id(const struct attempt *a);
uint64_t attempt_number(const struct attempt *a);

#endif
