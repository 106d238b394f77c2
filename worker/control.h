/*
 * What supervisor and TaskManager say to each other, as structs: bodies of the
 * messages in base/msg.def.  Both sides use these encoders and decoders and nothing else.
 */
#ifndef WORKER_CONTROL_H
#define WORKER_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "base/msg.h"

#define TM_ID_SIZE 40 /* "127.0.0.1:<pid>-<6 hex>" */

/* Flink's ExecutionState. */
enum task_state {
	TASK_CREATED,
	TASK_SCHEDULED,
	TASK_DEPLOYING,
	TASK_INITIALIZING,
	TASK_RUNNING,
	TASK_FINISHED,
	TASK_CANCELING,
	TASK_CANCELED,
	TASK_FAILED,
	TASK_RECONCILING,
	TASK_N_STATES
};
const char *task_state_name(enum task_state s); /* "CREATED", ... */
bool task_state_is_terminal(enum task_state s); /* FINISHED, CANCELED, FAILED */

/* HELLO */
struct ctl_hello {
	uint32_t place;      /* tm-<place>, 1-based */
	uint32_t generation; /* of that place, 1-based */
	uint32_t pid;
	uint32_t n_slots;
	char tm_id[TM_ID_SIZE];
};
void ctl_encode_hello(struct msg_writer *w, const struct ctl_hello *m);
int ctl_decode_hello(struct msg_reader *r, struct ctl_hello *m, struct err *e);

/* HEARTBEAT, both ways */
#define CTL_MAX_SLOTS 64
struct ctl_heartbeat {
	uint64_t seq;
	uint32_t n_slots; /* answers only */
	uint32_t turn[CTL_MAX_SLOTS];
	bool sleeping[CTL_MAX_SLOTS];
};
void ctl_encode_heartbeat(struct msg_writer *w, const struct ctl_heartbeat *m);
int ctl_decode_heartbeat(struct msg_reader *r, struct ctl_heartbeat *m, struct err *e);

/* DEPLOY: all tasks of one attempt on one TaskManager. Slot sharing: participating slot i runs
 * subtask i of every vertex whose parallelism is over i. */
struct ctl_deploy_slot {
	uint32_t slot;       /* participating slot (subtask index) */
	uint32_t local_slot; /* which of this worker's slots */
};
struct ctl_deploy_task {
	uint32_t vertex; /* index in the job graph */
	uint32_t subtask;
	uint32_t attempt;       /* 0-based execution attempt number of this subtask, for names */
	struct id128 execution; /* execution attempt id */
	uint32_t metrics_block;
};
struct ctl_deploy {
	struct id128 job_id;
	uint64_t attempt; /* of the job, from 1; in every later message */
	char *job_name;
	char *artifact; /* path of the .so */
	char **argv;    /* the job's arguments */
	uint32_t argc;
	uint32_t default_parallelism; /* with force: as given to job_graph_create */
	bool force_parallelism;
	int plan_fd; /* memfd with the plan's JSON */
	int exchange_fd;
	uint32_t n_slots;  /* participating slots of the attempt, all workers together */
	int *eventfds;     /* one each; -1 for slots of this worker (it has its own) */
	uint32_t n_before; /* decoded: how many of them came in DOORBELLS and are still -1 */
	uint32_t n_own;
	struct ctl_deploy_slot *own;
	uint32_t n_tasks;
	struct ctl_deploy_task *tasks;
	int64_t buffer_timeout_ms, auto_watermark_interval_ms;
	uint32_t record_max_size;
	bool checkpointing;     /* the job takes checkpoints */
	bool at_least_once;     /* barriers do not hold inputs back */
	uint64_t restore_id;    /* checkpoint that restore_fd holds, 0: none */
	int restore_fd;         /* memfd with `_metadata`, verified by the supervisor; only with restore_id */
};
void ctl_encode_deploy(struct msg_writer *w, const struct ctl_deploy *m);
/* On success the caller owns all memory and descriptors: ctl_deploy_fini closes and frees. */
int ctl_decode_deploy(struct msg_reader *r, struct ctl_deploy *m, struct err *e);
void ctl_deploy_fini(struct ctl_deploy *m);

/*
 * DOORBELLS: a frame has room for MSG_FDS_MAX descriptors.  The doorbells of slots from
 * ctl_deploy_n_inline on travel in messages of this kind, sent before their DEPLOY; its decoder
 * leaves -1 at their places and n_before says how many, and the receiver puts them in with
 * ctl_deploy_take_doorbells.
 */
struct ctl_doorbells {
	struct id128 job_id;
	uint64_t attempt;
	uint32_t first, n;
	int fds[MSG_FDS_MAX]; /* -1: a slot of the receiver's own */
};
/* How many of the attempt's slots, from 0, have their doorbells in the DEPLOY itself. */
uint32_t ctl_deploy_n_inline(const struct ctl_deploy *m);
/* As many as one frame takes, from slot `first` on. Returns the slot behind the last one. */
uint32_t ctl_encode_doorbells(struct msg_writer *w, const struct ctl_deploy *m, uint32_t first);
/* On success the caller owns the descriptors: ctl_doorbells_fini closes them. */
int ctl_decode_doorbells(struct msg_reader *r, struct ctl_doorbells *m, struct err *e);
void ctl_doorbells_fini(struct ctl_doorbells *m);
/* Move them to m; refused when they are another attempt's or out of range. b is left without any. */
int ctl_deploy_take_doorbells(struct ctl_deploy *m, struct ctl_doorbells *b, struct err *e);

/* DROP and DROPPED */
struct ctl_attempt {
	struct id128 job_id;
	uint64_t attempt;
};
void ctl_encode_attempt(struct msg_writer *w, const struct ctl_attempt *m);
int ctl_decode_attempt(struct msg_reader *r, struct ctl_attempt *m, struct err *e);

/* TASK_STATE */
struct ctl_task_state {
	struct id128 job_id;
	uint64_t attempt;
	uint32_t vertex, subtask;
	enum task_state state;
	int64_t wall_ms;  /* when it entered the state */
	struct err cause; /* FAILED only */
};
void ctl_encode_task_state(struct msg_writer *w, const struct ctl_task_state *m);
int ctl_decode_task_state(struct msg_reader *r, struct ctl_task_state *m, struct err *e);

/* METRIC_NAMES: user metrics of one task; names[i] is counted at METRIC_USER_FIRST + first + i of its
 * block. */
struct ctl_metric_names {
	struct id128 job_id;
	uint64_t attempt;
	uint32_t vertex, subtask;
	uint32_t first, n;
	char **names;
};
void ctl_encode_metric_names(struct msg_writer *w, const struct ctl_metric_names *m);
/* On success the caller owns the names: ctl_metric_names_fini frees them. */
int ctl_decode_metric_names(struct msg_reader *r, struct ctl_metric_names *m, struct err *e);
void ctl_metric_names_fini(struct ctl_metric_names *m);

/* TRIGGER */
struct ctl_trigger {
	struct id128 job_id;
	uint64_t attempt, checkpoint_id;
	uint32_t kind;           /* enum checkpoint_kind */
	bool drain;              /* SYNC_SAVEPOINT: the last watermark comes before the barrier */
	int64_t trigger_wall_ms;
};
void ctl_encode_trigger(struct msg_writer *w, const struct ctl_trigger *m);
int ctl_decode_trigger(struct msg_reader *r, struct ctl_trigger *m, struct err *e);

/* ACK and DECLINE */
struct ctl_ack {
	struct id128 job_id;
	uint64_t attempt, checkpoint_id;
	uint32_t vertex, subtask;
	const void *state; /* decoded: borrowed from the message */
	size_t state_len;
	int64_t sync_ns;        /* pause of the task for its snapshot */
	int64_t async_ns;       /* from there until the ack (deliveries that were waited for) */
	int64_t alignment_ns;   /* first to last barrier */
	int64_t start_delay_ns; /* trigger to first barrier, wall clock */
	int64_t processed_bytes; /* during alignment */
};
void ctl_encode_ack(struct msg_writer *w, const struct ctl_ack *m);
int ctl_decode_ack(struct msg_reader *r, struct ctl_ack *m, struct err *e);
struct ctl_decline {
	struct id128 job_id;
	uint64_t attempt, checkpoint_id;
	uint32_t vertex, subtask;
	struct err why;
};
void ctl_encode_decline(struct msg_writer *w, const struct ctl_decline *m);
int ctl_decode_decline(struct msg_reader *r, struct ctl_decline *m, struct err *e);

/* NOTIFY and ABORT */
struct ctl_checkpoint {
	struct id128 job_id;
	uint64_t attempt, checkpoint_id;
};
void ctl_encode_checkpoint(struct msg_writer *w, const struct ctl_checkpoint *m);
int ctl_decode_checkpoint(struct msg_reader *r, struct ctl_checkpoint *m, struct err *e);

/* A deploy that could not even make its tasks (plan, exchange, artifact): vertex and subtask are
 * UINT32_MAX in
 * a TASK_STATE of FAILED; the whole attempt fails with its cause. */

/* What a forked TaskManager has from its parent; taskmanager_main moves the descriptors to fixed
 * numbers (adopt.h). */
struct inheritance {
	uint32_t place, generation, n_slots;
	int control_fd; /* SOCK_SEQPACKET, this end */
	int metrics_fd;
	int log_fd;                  /* taskmanager-N.log, O_APPEND */
	int out_fd;                  /* taskmanager-N.out, becomes 1 and 2 */
	int stderr_fd;               /* the supervisor's stderr, for log lines; -1: none */
	int lock_fd;                 /* held while this process lives, see state_dir.h; -1: none */
	int eventfds[CTL_MAX_SLOTS]; /* one a slot */
	int log_level;               /* enum log_level */
	uint32_t parent_pid;
};

/* A TaskManager's whole life, in a child just forked with all signals blocked. */
_Noreturn void taskmanager_main(const struct inheritance *in);

#endif
