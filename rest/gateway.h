/*
 * What the REST API may ask of the cluster.  rest/ knows nothing else of it, so it
 * could live in a process of its own; supervisor/gateway.c answers, tests answer with a
 * fake.  Views are copies: borrowed until the handler returns, allocated from the
 * view arena given by the caller.  Actions that take time answer by callback from
 * the event loop.
 */
#ifndef REST_GATEWAY_H
#define REST_GATEWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/conf.h"
#include "base/err.h"
#include "base/id.h"

/* Flink's JobStatus. */
enum job_state {
	JOB_INITIALIZING,
	JOB_CREATED,
	JOB_RUNNING,
	JOB_FAILING,
	JOB_FAILED,
	JOB_CANCELLING,
	JOB_CANCELED,
	JOB_FINISHED,
	JOB_RESTARTING,
	JOB_SUSPENDED,
	JOB_RECONCILING,
	JOB_N_STATES
};
const char *job_state_name(enum job_state s);
bool job_state_is_terminal(enum job_state s); /* FINISHED, CANCELED, FAILED */

/* Task states by index of worker/control.h's enum task_state, counted or stamped. */
enum gw_task_state {
	GW_TASK_CREATED,
	GW_TASK_SCHEDULED,
	GW_TASK_DEPLOYING,
	GW_TASK_INITIALIZING,
	GW_TASK_RUNNING,
	GW_TASK_FINISHED,
	GW_TASK_CANCELING,
	GW_TASK_CANCELED,
	GW_TASK_FAILED,
	GW_TASK_RECONCILING,
	GW_N_TASK_STATES
};
bool gw_task_state_is_terminal(unsigned state);                 /* FINISHED, CANCELED, FAILED */
extern const char *const gw_task_state_names[GW_N_TASK_STATES]; /* "CREATED", "SCHEDULED", ... */

/* Memory of one request's views; freed as a whole. */
struct gw_arena;
struct gw_arena *gw_arena_create(void);
void gw_arena_destroy(struct gw_arena *a);
void *gw_alloc(struct gw_arena *a, size_t size); /* zeroed */
char *gw_strdup(struct gw_arena *a, const char *s);
char *gw_printf(struct gw_arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

struct gw_overview {
	unsigned taskmanagers, slots_total, slots_available;
	unsigned jobs_running, jobs_finished, jobs_cancelled,
	    jobs_failed; /* RESTARTING and the like count as running */
};

struct gw_io {
	int64_t read_bytes, write_bytes, read_records, write_records;
	bool complete; /* all attempts have reported */
	int64_t idle_ms, busy_ms, backpressured_ms;
};

struct gw_subtask {
	unsigned index;
	unsigned state;   /* task state */
	unsigned attempt; /* 0-based */
	struct id128 execution;
	const char *host, *tm_id;           /* "(unassigned)" both where there is none */
	int64_t since_ms[GW_N_TASK_STATES]; /* when it entered each state, 0: never */
	struct gw_io io;
};

struct gw_vertex {
	struct id128 id;
	const char *name;
	unsigned parallelism, max_parallelism;
	unsigned n_subtasks;
	struct gw_subtask *subtasks;
	unsigned n_inputs;
	struct gw_input {
		struct id128 from;
		const char *ship; /* "HASH" */
	} * inputs;
	bool is_source, is_sink;
};

struct gw_exception {
	const char *name; /* class-like name */
	const char *text; /* "name: sentence" and what else is known */
	int64_t timestamp_ms;
	const char *task_name; /* "ClickEvent Counter (2/2) - execution #0", NULL: global */
	const char *location;  /* NULL: unassigned */
	const char *tm_id;
};

struct gw_job {
	struct id128 id;
	const char *name;
	enum job_state state;
	int64_t start_ms, end_ms /* -1 */, last_modification_ms;
	int64_t since_ms[JOB_N_STATES]; /* last entry of each state, 0: never */
	unsigned parallelism_default;
	unsigned n_vertices; /* 0 before the plan is known */
	struct gw_vertex *vertices;
	int64_t num_restarts, last_restart_ms /* length of the last restart */, down_since_ms /* 0: up */,
	    running_since_ms;
	/* failures, newest first; the first is the root exception */
	unsigned n_exceptions;
	struct gw_exception *exceptions;
	bool exceptions_truncated;
	unsigned n_failed_now; /* currently failed attempts, all-exceptions */
	struct gw_exception *failed_now;
	unsigned n_args;
	const char **args;
};

struct gw_taskmanager {
	const char *id; /* 127.0.0.1:<pid>-<6 hex> */
	const char *path;
	unsigned place, pid, generation;
	int64_t last_heartbeat_ms;
	unsigned slots, free_slots;
	int64_t memory_rss_bytes, ring_bytes, heap_bytes;
	int64_t physical_memory_bytes;
	unsigned cpu_cores;
};

struct gw_jar {
	const char *id; /* <uuid>_<name> */
	const char *name;
	int64_t uploaded_ms;
	const char *entry; /* the job's name in the shared object, NULL: not known */
};

/* Metrics as text. */
struct gw_metric {
	const char *id, *value;
};

/* The cluster. */
struct gateway;

void gw_get_overview(struct gateway *g, struct gw_overview *v);
const struct conf *gw_conf(struct gateway *g);
/* All jobs; with vertices and subtasks (counters, io), newest first. */
unsigned gw_jobs(struct gateway *g, struct gw_arena *a, struct gw_job ***jobs);
/* One job whole, or NULL. */
struct gw_job *gw_job(struct gateway *g, struct gw_arena *a, const struct id128 *id);
unsigned gw_taskmanagers(struct gateway *g, struct gw_arena *a, struct gw_taskmanager **tms);
unsigned gw_jars(struct gateway *g, struct gw_arena *a, struct gw_jar **jars);

/* Actions. `done` is called exactly once, from the loop, maybe before the call returns. */
typedef void gw_done_fn(void *arg, const struct err *e /* NULL: success */, const char *text);

/* Take an uploaded file (a temporary path inside gw_upload_dir, which the cluster now owns) under
 * the label `name`. text: the stored path. */
void gw_jar_add(struct gateway *g, const char *temp_path, const char *name, gw_done_fn *done, void *arg);
void gw_jar_delete(struct gateway *g, const char *jar_id, gw_done_fn *done, void *arg);
const char *gw_upload_dir(struct gateway *g); /* exists; ".../flink-web-upload" */

struct gw_run {
	const char *jar_id;
	unsigned n_args;
	const char **args;
	unsigned parallelism;       /* 0: not given */
	const struct id128 *job_id; /* NULL: a fresh one */
	const char *savepoint_path; /* NULL: none */
	bool allow_non_restored;
	const char *entry_class; /* NULL; accepted, has no meaning */
};
/* text: the job id, as soon as the job is in the list. Errors: ERR_NOT_FOUND unknown jar; ERR_INVALID and
 * ERR_USER the program's own or the builder's. */
void gw_jar_run(struct gateway *g, const struct gw_run *run, gw_done_fn *done, void *arg);
/* ERR_NOT_FOUND: unknown or already ended. Ends asynchronously: CANCELLING, CANCELED. */
void gw_job_cancel(struct gateway *g, const struct id128 *id, gw_done_fn *done, void *arg);

/* ---- checkpoints ---- */

/* Stamps are wall ms, -1: not yet. Durations ms. */
struct gw_ckpt_subtask {
	unsigned index;
	bool acked;
	int64_t ack_ms, end_to_end_ms, state_bytes, processed_bytes;
	int64_t sync_ms, async_ms, alignment_ms, start_delay_ms;
};
struct gw_ckpt_vertex {
	struct id128 id;
	unsigned n_subtasks, n_acked;
	int64_t latest_ack_ms, end_to_end_ms, state_bytes, processed_bytes; /* end_to_end_ms -1: no ack yet */
	struct gw_ckpt_subtask *subtasks;
};
enum gw_ckpt_status { GW_CKPT_IN_PROGRESS, GW_CKPT_COMPLETED, GW_CKPT_FAILED };
struct gw_ckpt {
	uint64_t id;
	enum gw_ckpt_status status;
	bool is_savepoint;
	const char *kind; /* "CHECKPOINT", "SAVEPOINT", "SYNC_SAVEPOINT" */
	int64_t trigger_ms, latest_ack_ms, end_to_end_ms;
	int64_t state_bytes, processed_bytes;
	unsigned n_subtasks, n_acked;
	const char *external_path; /* NULL: none */
	const char *failure;       /* NULL: none */
	int64_t failure_ms;
	bool discarded;
	unsigned n_vertices;
	struct gw_ckpt_vertex *vertices; /* in the job's order; none when it is of an earlier life */
};
/* One figure of all checkpoints that were completed; samples, in any order, are those of the newest. */
struct gw_ckpt_figure {
	int64_t min, max, avg; /* 0 without any */
	unsigned n_samples;
	int64_t *samples;
};
struct gw_ckpts {
	uint64_t n_restored, n_total, n_in_progress, n_completed, n_failed;
	struct gw_ckpt *completed, *savepoint, *failed; /* the latest of each, NULL: none */
	struct gw_ckpt_restored {
		uint64_t id;
		int64_t restore_ms;
		bool is_savepoint;
		const char *external_path; /* NULL: not known */
	} * restored; /* the latest, NULL: none */
	struct gw_ckpt_figure state_bytes, end_to_end_ms, processed_bytes;
	unsigned n_history;
	struct gw_ckpt *history; /* newest first */
	/* how the job takes them */
	bool enabled, at_least_once;
	int64_t interval_ms, timeout_ms, min_pause_ms;
	unsigned max_concurrent;
	int64_t tolerable_failures;
	bool externalized, delete_on_cancellation;
};
/* NULL: there is no such job. A job without checkpoints has zero counts and no history. */
struct gw_ckpts *gw_checkpoints(struct gateway *g, struct gw_arena *a, const struct id128 *job);

/*
 * Savepoints take their time: each call answers at once by the id of the request, or refuses.
 * target NULL: state.savepoints.dir. ERR_INVALID: no target.  A job that is unknown or has ended is no
 * refusal: such a request has an id too, and has FAILED with GW_JOB_NOT_FOUND, as Flink's clients expect.
 * cancel_job: the job is cancelled once the savepoint is there.
 * text of done: the request's id, 32 hex digits.
 */
void gw_job_savepoint(struct gateway *g, const struct id128 *job, const char *target, bool cancel_job,
    gw_done_fn *done, void *arg);
/* Stop with a savepoint: the job is FINISHED behind it. drain: sources emit the last watermark before it. */
void gw_job_stop(struct gateway *g, const struct id128 *job, const char *target, bool drain, gw_done_fn *done,
    void *arg);
/* Remove a savepoint's directory; answers by a request's id, whose job is all zero. */
void gw_savepoint_dispose(struct gateway *g, const char *path, gw_done_fn *done, void *arg);

enum gw_operation_status { GW_OP_UNKNOWN, GW_OP_IN_PROGRESS, GW_OP_COMPLETED, GW_OP_FAILED };
struct gw_operation {
	enum gw_operation_status status;
	const char *location;      /* COMPLETED: of the savepoint, "file:/..."; NULL after a disposal */
	const char *failure_class; /* FAILED: class-like name */
	const char *failure;       /* and its sentence */
};
#define GW_JOB_NOT_FOUND "org.apache.flink.runtime.messages.FlinkJobNotFoundException"
#define GW_OPERATION_KEPT_MS (5 * 60 * 1000)
/* What became of a request: kept for so long after its end, then UNKNOWN. job NULL: a disposal. */
void gw_operation(struct gateway *g, struct gw_arena *a, const struct id128 *job, const struct id128 *request,
    struct gw_operation *v);

int64_t gw_now_ms(struct gateway *g);

/* The REST server over a gateway, on an event loop (rest/rest.c). */
struct rest_server;
struct event_base;
/* Binds to conf rest.bind-address and rest.port. *port: what it listens on. */
struct rest_server *rest_create(struct event_base *base, struct gateway *g, int priority, unsigned *port,
    struct err *e);
void rest_destroy(struct rest_server *r);

#endif
