/*
 * A task: one subtask of a vertex, a chain of operators on a stack of its own, with
 * an input gate before it (unless it begins with a source) and result partitions behind.
 *
 * INITIALIZING (open, last operator first) → RUNNING → FINISHED, CANCELED or FAILED (close, first
 * operator first, on the same stack).  It belongs to its slot's thread from slot_add_task on, which frees it
 * when its fiber has returned.
 */
#ifndef WORKER_RUNTIME_TASK_H
#define WORKER_RUNTIME_TASK_H

#include "base/id.h"
#include "shm/exchange.h"
#include "shm/metrics.h"
#include "worker/control.h"
#include "worker/graph/job_graph.h"
#include "worker/runtime/checkpoint.h"
#include "worker/runtime/fiber.h"
#include "worker/runtime/operator.h"
#include "worker/runtime/slot.h"

#define TASK_TURN_NS INT64_C(1000000)

struct chain;
struct gate;
struct checkpoint_file;
struct connector_thread;

/* What all tasks of an attempt share; outlives them. Callbacks come from the slots' threads. */
struct task_env {
	const struct job_graph *graph;
	struct id128 job_id;
	char job_hex[ID_HEX_SIZE];
	uint64_t attempt;
	int64_t buffer_timeout_ms, auto_watermark_ms;
	uint32_t record_max_size;
	struct exchange *exchange;
	struct connector_thread *connector;
	const struct operator_type *(*find)(const struct graph_node *n, struct err *e);
	const char *(*param)(void *arg, const char *name); /* NULL: no arguments */
	void (*state)(void *arg, const struct ctl_task_state *st);
	void (*metric_name)(void *arg, const struct task *t, uint32_t index,
	    const char *name);                   /* NULL: not wanted */
	void (*gone)(void *arg, struct slot *s); /* a task of it has been freed; NULL: not wanted */
	bool checkpointing;
	bool at_least_once;                    /* barriers hold no input back */
	const struct checkpoint_file *restore; /* what the tasks begin with, NULL: nothing */
	void (*ack)(void *arg, const struct ctl_ack *a);
	void (*decline)(void *arg, const struct ctl_decline *d);
	void *arg;
};

struct task_metric {
	char *name;
};

struct task {
	struct task_hot hot; /* first: operator.h */

	/* the turn and its budget */
	uint32_t sample_n;       /* records a sample */
	int64_t sample_start_ns; /* since when this part of the sample runs */
	int64_t sample_used_ns;  /* of it before the last switch */
	int64_t turn_end_ns;
	int64_t dirty_since_ns;  /* INT64_MAX: nothing unpublished that the slot knows of */

	struct slot *slot;
	const struct slot_now *now;
	struct fiber *fiber;
	struct metrics_task *metrics;
	const struct task_env *env;
	struct chain *chain;
	struct gate *gate; /* NULL: begins with a source */

	/* what it waits for */
	bool waiting;
	bool wait_always; /* a stop does not end this wait */
	bool wait_timers; /* a due timer ends it: waits of the task itself, not of user calls */
	enum wait_kind wait_kind;
	bool (*ready)(void *arg);
	void *ready_arg;
	int64_t wait_deadline_ns;
	uint32_t wakes_seen; /* a source: of the slot's eventfd */
	int64_t mark_ns;     /* time is accounted up to here */
	int64_t next_timer_ms; /* wall; earliest of the operators' */

	struct task_checkpoints checkpoints;

	/* its end */
	bool canceled, failed;
	struct err cause;
	char user_error[ERR_MSG_MAX];
	const char *user_error_op;

	uint32_t vertex, subtask, parallelism, max_parallelism;
	uint32_t execution_attempt;
	char *name;
	struct task_metric *user_metrics;
	uint32_t n_user_metrics, cap_user_metrics;
	int64_t spare_counter; /* for counters beyond the block */
};

/*
 * Make the task of one subtask: operators, gate, partitions, rings of env->exchange. Any thread.
 * slot:    where it will run
 * metrics: its block, zeroed here; borrowed until it is gone
 */
struct task *task_create(const struct task_env *env, struct slot *slot, uint32_t vertex, uint32_t subtask,
    uint32_t execution_attempt, struct metrics_task *metrics, struct err *e);
/* One that never ran or has ended. */
void task_destroy(struct task *t);

/* ---- for its slot ---- */

/* The fiber can be made only by the thread that runs it. -1: the task has failed and is over. */
int task_start(struct task *t);
bool task_over(const struct task *t);
/* End it: waits return, outputs discard. */
void task_cancel(struct task *t);
/* Whether a turn would get anywhere; asks what it waits for. */
bool task_can_run(struct task *t);
void task_turn(struct task *t);
/* Earliest time at which it wants a turn without being rung, INT64_MAX: none. */
int64_t task_deadline_ns(const struct task *t);
/* Publish heads; heads and tails. */
void task_publish_outputs(struct task *t);
void task_publish(struct task *t);
/* Once a turn: the buffer timeout. Once a second: metrics, limits of rings. */
void task_check_buffer_timeout(struct task *t);
void task_tick(struct task *t);
/* Waits for the slot's eventfd itself: its sources and sinks. */
bool task_wants_eventfd(const struct task *t);

/* ---- for gate, chain, context and connector thread ---- */

/* A wait that a stop does not end. */
void task_wait_always(struct task *t, enum wait_kind kind, bool (*ready)(void *arg), void *arg);
/* A wait of the task's own loop: ends for due timers too. */
void task_wait_main(struct task *t, bool (*ready)(void *arg), void *arg, int64_t deadline_ns);
void task_user_error_set(struct task *t, const char *op_name, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));
/* After each element: did a user function say weir_fail, and nobody took it? */
static inline void task_check_user_error(struct task *t);
void task_fail_user_error(struct task *t);
/* Recompute the next timer after an operator's changed. */
void task_timer_changed(struct task *t);

static inline void task_check_user_error(struct task *t)
{
	if (__builtin_expect(t->hot.user_error, 0))
		task_fail_user_error(t);
}

#endif
