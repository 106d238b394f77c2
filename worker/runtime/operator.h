/*
 * Operators: what a task runs for each element.  The contract between the runtime
 * (task, gate, partition), the operators and the connectors.
 *
 * A task is a chain of operators.  Elements enter at the head and travel by
 * function call: an operator is an output of its predecessor, and its own output is the next
 * operator or the task's result partitions.  Everything runs on the task's fiber: any
 * call may wait inside (a full ring, sleep_ms) and come back later; no lock is held
 * across one.  Errors are sticky in the task (task_fail): from then on, and after a
 * cancel, outputs discard and waits return at once, so a chain unwinds by returning.
 */
#ifndef WORKER_RUNTIME_OPERATOR_H
#define WORKER_RUNTIME_OPERATOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "include/weir.h"
#include "worker/graph/stream_graph.h"

struct record {
	const void *data; /* valid during the call only */
	uint32_t len;
	uint32_t key_hash; /* Flink's hash of the key, where the input is keyed; else 0 */
	int64_t ts;        /* WEIR_MIN_TIMESTAMP: none */
};

/* Where elements go. First member of every operator and of a task's result partitions. */
struct output {
	void (*record)(struct output *o, const struct record *r);
	void (*watermark)(struct output *o, int64_t ts); /* never falls */
	void (*status)(struct output *o, bool idle);     /* the whole input became idle or active */
	void (*end)(struct output *o); /* end of input, after MAX_TIMESTAMP's watermark where bounded */
	/* Lend room for one record and hand it on; NULL reserve: not offered (chained operators). */
	void *(*reserve)(struct output *o, uint32_t len);
	void (*commit)(struct output *o, uint32_t len, int64_t ts);
};

struct operator;
struct task;
struct snapshot_writer;
struct snapshot_part;

#define SNAPSHOT_PENDING 1

/* What a source has after a poll. */
enum source_status {
	SOURCE_MORE, /* there may be more at once */
	SOURCE_WAIT, /* nothing now; woken by the slot's eventfd or at *deadline_ns */
	SOURCE_END   /* bounded and done */
};

struct operator_type {
	const char *name;
	size_t size; /* of the whole struct that begins with struct operator */

	/* On the task's fiber, last operator first; may wait with task_wait. 0, or -1 with e filled.
	 * The operator calls the open and close of its node's user functions itself; instances[] is there before. */
	int (*open)(struct operator *op, struct err *e);
	/* Always called once after open was tried, first operator first; must free everything. May wait. */
	void (*close)(struct operator *op);

	/* The element calls; NULL: pass on unchanged (record: not allowed to be NULL but for sources). */
	void (*record)(struct operator *op, const struct record *r);
	void (*watermark)(struct operator *op, int64_t ts);
	void (*status)(struct operator *op, bool idle);
	/* End of input: flush what is held (a sink: until all is delivered; may wait), then the runtime passes it on. */
	void (*end)(struct operator *op);
	/* The processing time asked for with operator_set_timer has come. */
	void (*timer)(struct operator *op, int64_t now_ms);

	/*
	 * State.  snapshot: write what a restored one needs, on the fiber at a barrier, without waiting; the
	 * operator's section is open.  0, or SNAPSHOT_PENDING: written, but effects of earlier records are still
	 * under way (messages not yet delivered): task_snapshot_done is due when they are.  -1: the checkpoint is declined.
	 * restore: once for each part, after open, before the first element; parts of all subtasks come,
	 * keyed ones only for own key groups.  A source hears of old subtasks that had ended by themselves,
	 * and have no other part, by an entry "finished": u32 subtask, u32 parallelism.  NULL both: no state.
	 */
	int (*snapshot)(struct operator *op, uint64_t checkpoint_id, struct snapshot_writer *w, struct err *e);
	int (*restore)(struct operator *op, struct snapshot_part *part, struct err *e);
	/* The checkpoint is durable everywhere. On the fiber, between elements. NULL: not wanted. */
	void (*notify_complete)(struct operator *op, uint64_t checkpoint_id);

	/* Sources only: emit at most about a batch into op->out. deadline_ns (monotonic) is INT64_MAX on entry. */
	enum source_status (*poll)(struct operator *op, int64_t *deadline_ns);
};

/* The author's view: weir_ctx and weir_out are the first members of these. */
struct op_ctx {
	weir_ctx pub;
	struct operator *op;
};
struct collector {
	weir_out pub;
	struct operator *op;  /* whose output it feeds */
	struct output *to;    /* op->out, or a capture of the operator's own */
	int64_t ts;           /* stamped on what is emitted */
	bool reserved;
	bool in_place;        /* ... in a ring, not in scratch */
	void *scratch;        /* lent where the output does not lend */
	uint32_t cap_scratch, len_reserved;
};

struct operator {
	struct output in; /* first: the predecessor's output */
	const struct operator_type *type;
	struct output *out;
	struct task *task;
	const struct graph_node *node;
	struct op_ctx ctx;
	struct collector col;   /* to op->out */
	int64_t current_ts;     /* of the element in hand, for weir_timestamp */
	int64_t watermark;      /* last seen, for weir_watermark */
	int64_t timer_ms;       /* next processing-time timer, INT64_MAX: none */
	void *instances[FN_N_ROLES]; /* zeroed memory of functions that asked for it */
	enum fn_role fn;        /* whose block and instance the context shows */
};

/* The code of a role's function; NULL when absent. */
static inline const weir_function *operator_fn(const struct operator *op, enum fn_role role)
{
	return op->node->fns[role].present ? op->node->fns[role].code : NULL;
}
/* Ask for type->timer at wall time ms (processing time); INT64_MAX: no more. One a operator. */
void operator_set_timer(struct operator *op, int64_t wall_ms);
/* Count a record of this operator (the head's "in" and the last one's "out" are the runtime's). */

/* ---- services of the task, callable from operators and connectors, on the fiber ---- */

/* The first failure sticks: "what was wrong and where". */
void task_fail(struct task *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/*
 * weir_fail only notes its sentence.  After a negative return call task_fail: a noted sentence takes the
 * place of the operator's own.  Who goes on instead (a malformed message that is skipped), or has more to
 * say, takes it with this call; "" when there was none.  Borrowed until the next weir_fail.  A sentence
 * that nobody took fails the task when the element is done.
 */
const char *task_user_error(struct task *t);
/* Failed or cancelled: return as soon as possible. */
bool task_stopping(const struct task *t);
/* Call after each record, firing or timer that a loop handled: lets mail and other tasks in when
 * the turn's budget is spent. Cheap. May switch fibers. */
static inline void task_point(struct task *t);

enum wait_kind { WAIT_IDLE, WAIT_BACKPRESSURED, WAIT_BUSY };
/*
 * Give way until ready(arg) is true, deadline_ns has passed or the task is stopping.
 * ready is called by the slot before it sleeps and after each wake; it must be cheap and
 * must not wait. NULL: only the deadline. Time spent counts as kind says.
 */
void task_wait(struct task *t, enum wait_kind kind, bool (*ready)(void *arg), void *arg, int64_t deadline_ns);

/* The clock as last read for this task: at the start of its turn, after each wait and, within its
 * budget's sample (at most 64 quick records or one slow one), at task_point. Costs no system call, never
 * goes on by itself: do not spin on it. */
int64_t task_wall_ms(struct task *t);  /* processing time */
int64_t task_mono_ns(struct task *t);
uint32_t task_subtask(const struct task *t);
uint32_t task_parallelism(const struct task *t);
uint32_t task_max_parallelism(const struct task *t);
uint64_t task_attempt(const struct task *t);
const char *task_name(const struct task *t);     /* "ClickEvent Counter (1/2)" */
const char *task_job_id(const struct task *t);   /* 32 hex digits */
/* Nanoseconds of wall (monotonic) time in which the slot did not turn although it should have: the process was
 * stopped or a call took that long. Grows only; idleness subtracts it. */
int64_t task_stalled_ns(const struct task *t);
struct metrics_task *task_metrics(struct task *t);
/* The eventfd of the task's slot, for rd_kafka_queue_io_event_enable. */
int task_eventfd(const struct task *t);
const char *task_param(const struct task *t, const char *name); /* the job's arguments as parsed */
int64_t task_auto_watermark_ms(const struct task
	*t); /* longest wait for a periodic watermark without input */

/* The effects of everything before the barrier of this checkpoint are out; from this operator, on the slot's thread. */
void task_snapshot_done(struct operator *op, uint64_t checkpoint_id);
/* Whether the job takes checkpoints: positions are committed on notify_complete then, not by time. */
bool task_checkpointing(const struct task *t);
/* Whether this task begins with state from a checkpoint (known in open). */
bool task_restored(const struct task *t);

/*
 * Run fn(arg) on the attempt's connector thread, where it may wait (at most about 1 s a call).
 * `done` is set (release) and the slot woken when it has returned. arg must live until then; a
 * stopping task still waits for it (task_wait with connector_job_done as ready, and a deadline of its own).
 */
struct connector_job {
	void (*fn)(void *arg);
	void *arg;
	_Atomic bool done;
	struct connector_job *next;
	struct task *task;
};
void connector_submit(struct task *t, struct connector_job *job, void (*fn)(void *arg), void *arg);
bool connector_job_done(void *job);
/* Submit and wait for the end, even when the task is stopping. */
void connector_run(struct task *t, void (*fn)(void *arg), void *arg, enum wait_kind kind);

/* ---- hot part of struct task, so that task_point is inline ---- */
struct task_hot {
	_Atomic uint32_t *attention;       /* the slot's; set by the main thread */
	uint32_t budget;                   /* records until the clock is asked */
	bool stopping;
	bool slow;       /* the last record took over 1 ms: publish before the next */
	bool timers_due; /* some operator's processing-time timer has come */
	bool out_dirty;  /* something is committed and maybe not published */
	bool user_error; /* weir_fail said something that nobody took */
	bool interrupt;  /* something is to be done between elements: a checkpoint */
};
void task_point_slow(struct task *t);
static inline void task_point(struct task *t)
{
	struct task_hot *h = (struct task_hot *)(void *)t; /* first member */
	if (--h->budget == 0 || atomic_load_explicit(h->attention, memory_order_relaxed) != 0)
		task_point_slow(t);
}

/* A checkpoint waits for the task to be between two elements: a source's poll, which may have many records
 * at hand, returns SOURCE_MORE when this is true after a task_point. */
static inline bool task_interrupted(const struct task *t)
{
	return ((const struct task_hot *)(const void *)t)->interrupt;
}

/* ---- tables ---- */

/* The operator of a node type; sources and sinks come from the connector. */
const struct operator_type *operator_type_find(const struct graph_node *n, struct err *e);

struct connector {
	const char *name; /* "kafka" */
	const struct operator_type *source; /* NULL: cannot */
	const struct operator_type *sink;
	/* Check a node's options without connecting; the sentence names the option. Callable in the job builder. */
	int (*validate)(const struct graph_node *n, struct err *e);
};
const struct connector *connector_find(const char *name); /* NULL: unknown */

#endif
