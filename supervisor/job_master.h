/*
 * The JobMaster: one job, from its start to its end, through every failure.
 * JobManager's process.  Pure: a table phase × event; the clock and the actions are passed in.
 *
 * Job states are Flink's; a phase says what is being waited for:
 *
 *   phase        job state    waits for
 *   CREATED      CREATED      jm_start
 *   WAITING      RUNNING      slots; tasks are SCHEDULED
 *   RUNNING      RUNNING      the tasks, deployed
 *   FINISHING    RUNNING      all tasks finished; TaskManagers let go of them
 *   FAILING      FAILING      the end of every task of the attempt
 *   RESTARTING   RESTARTING   the restart delay
 *   STARVED      RESTARTING   slots, or half a second until the next cycle as in Flink
 *   CANCELLING   CANCELLING   the end of every task
 *   SUSPENDING   SUSPENDED    the end of every task; the JobManager stops
 *   OVER         the last one nothing
 *
 * Invariant: no task of attempt n + 1 is deployed before every task of attempt n is confirmed
 * gone, by DROPPED or by the death of its process: a Kafka producer, a part file, an upsert of the
 * old one is fenced by nothing else.  A failed task, a failed deploy and a lost TaskManager
 * take one path.  What comes from an attempt gone by, or from a process that takes no part, is dropped.
 *
 * Every attempt begins with the newest completed checkpoint.  One that is being stored when an
 * attempt ends is waited for: it may be durable already, and its effects may be known to somebody.
 */
#ifndef SUPERVISOR_JOB_MASTER_H
#define SUPERVISOR_JOB_MASTER_H

#include "base/clock.h"
#include "rest/gateway.h"
#include "supervisor/checkpoint_coordinator.h"
#include "supervisor/checkpoint_settings.h"
#include "supervisor/execution_graph.h"
#include "supervisor/failure.h"
#include "supervisor/resource_manager.h"
#include "supervisor/restart.h"

/*
 * A TaskManager with tasks of this job alone is killed when it has not dropped them in this time after
 * a failure …
 */
#define JM_DROP_GRACE_MS 100
/* … and in this one where nothing waits for it: after the last record or at a cancel. */
#define JM_END_GRACE_MS 1000
/* Without slots a job is RUNNING with SCHEDULED tasks for the first time, then RESTARTING for the second. */
#define JM_SLOT_WAIT_MS 500
#define JM_STARVED_MS   500

enum jm_phase {
	JM_CREATED,
	JM_WAITING,
	JM_RUNNING,
	JM_FINISHING,
	JM_FAILING,
	JM_RESTARTING,
	JM_STARVED,
	JM_CANCELLING,
	JM_SUSPENDING,
	JM_OVER,
	JM_N_PHASES
};

/* Changed by a reload; the JobMaster reads them when it needs them. */
struct jm_settings {
	struct restart_settings restart;
	int64_t task_cancellation_timeout_ms; /* 0: for ever */
	uint32_t history_size;
};

/* A TaskManager that takes part in the attempt. */
struct jm_member {
	uint32_t place, generation;
	enum { MEMBER_HELD, MEMBER_DROPPING, MEMBER_GONE } state;
	int64_t asked_ns; /* when DROP was sent */
	bool killed;
};

struct job_master;

/* What it asks for. None of these calls back before it returns. */
struct jm_ops {
	/* Slots: as in resource_manager.h. */
	void (*request)(void *arg, struct job_master *jm, uint32_t n_slots);
	void (*withdraw)(void *arg, struct job_master *jm);
	void (*release)(void *arg, struct job_master *jm);
	bool (*alone)(void *arg, const struct job_master *jm, uint32_t place);
	uint32_t (*slots_free)(void *arg);
	uint32_t (*block_take)(void *arg, uint32_t place, uint32_t generation);
	void (*block_give)(void *arg, uint32_t place, uint32_t generation, uint32_t block);
	/*
	 * Send the attempt's tasks to all its members; -1: the attempt fails with e. Some may have
	 * them already.
	 */
	int (*deploy)(void *arg, struct job_master *jm, struct err *e);
	void (*drop)(void *arg, struct job_master *jm, uint32_t place, uint32_t generation);
	void (*kill)(void *arg, struct job_master *jm, uint32_t place, uint32_t generation, const char *why);
	/* The task is gone: last chance to copy its counters to t->metrics. */
	void (*task_over)(void *arg, struct job_master *jm, struct job_task *t);
	/*
	 * Checkpoints, as the coordinator asks for them: trigger, notify and abort are sent to every
	 * member that has tasks; store is answered by jm_on_stored.
	 */
	void (*trigger)(void *arg, struct job_master *jm, uint32_t place, uint32_t generation,
	    const struct ctl_trigger *t);
	void (*notify)(void *arg, struct job_master *jm, uint32_t place, uint32_t generation,
	    const struct ctl_checkpoint *c);
	void (*abort)(void *arg, struct job_master *jm, uint32_t place, uint32_t generation,
	    const struct ctl_checkpoint *c);
	void (*store)(void *arg, struct job_master *jm, const struct checkpoint_file *f, const char *target);
	void (*discard)(void *arg, struct job_master *jm, uint64_t checkpoint_id, const char *path);
	/* A savepoint asked for by jm_savepoint has come to its end: e NULL and its path, or why not. */
	void (*savepoint_done)(void *arg, struct job_master *jm, uint64_t request, const char *path,
	    const struct err *e);
	/* The phase is OVER. The JobMaster may be destroyed after the event that brought it there. */
	void (*over)(void *arg, struct job_master *jm);
};

/*
 * Takes ownership of program.  settings, clock, ops are borrowed until jm_destroy.
 * initializing_ms: when the submission came, wall time.
 */
struct job_master *jm_create(const struct id128 *id, struct job_program *program, int64_t initializing_ms,
    const struct jm_settings *settings, const struct clock *clock, const struct jm_ops *ops, void *arg);
/* Before jm_start: how it takes checkpoints, and the id of the first. Without, it takes none. */
void jm_use_checkpoints(struct job_master *jm, const struct checkpoint_settings *s, uint64_t first_id);
/* After that, before jm_start: the first attempt begins with this one. Takes ownership of fd. */
void jm_restore(struct job_master *jm, uint64_t checkpoint_id, int fd, enum checkpoint_kind kind,
    const char *path);
/* An older one of an earlier life is still there. */
void jm_retain(struct job_master *jm, uint64_t checkpoint_id, const char *path);
/* At the end of the JobManager in any phase: it asks for nothing any more. */
void jm_destroy(struct job_master *jm);

/* Events. */
void jm_start(struct job_master *jm);
void jm_cancel(struct job_master *jm);  /* at any time; ignored where it ends anyway */
void jm_suspend(struct job_master *jm); /* the JobManager stops */
/* Takes ownership of slots, n of them, as requested. */
void jm_on_slots(struct job_master *jm, struct rm_slot *slots, uint32_t n);
void jm_on_task_state(struct job_master *jm, uint32_t place, uint32_t generation,
    const struct ctl_task_state *s);
void jm_on_metric_names(struct job_master *jm, uint32_t place, uint32_t generation,
    const struct ctl_metric_names *m);
void jm_on_dropped(struct job_master *jm, uint32_t place, uint32_t generation, uint64_t attempt);
/* obituary: one sentence with the signal and its last words. */
void jm_on_tm_lost(struct job_master *jm, uint32_t place, uint32_t generation, int signo,
    const char *obituary);
void jm_on_ack(struct job_master *jm, uint32_t place, uint32_t generation, const struct ctl_ack *a);
void jm_on_decline(struct job_master *jm, uint32_t place, uint32_t generation, const struct ctl_decline *d);
void jm_on_stored(struct job_master *jm, uint64_t checkpoint_id, const char *path, const struct err *e);
/* A savepoint, and what is done behind it. */
enum jm_then { JM_GO_ON, JM_THEN_CANCEL, JM_THEN_STOP, JM_THEN_DRAIN };
/*
 * Answered by ops->savepoint_done with this request, maybe before it returns: a stop once the job is
 * FINISHED, everything else once the savepoint is durable.  target: the directory it is made in.
 */
void jm_savepoint(struct job_master *jm, uint64_t request, enum jm_then then, const char *target);
void jm_on_time(struct job_master *jm);
/*
 * When jm_on_time is due, monotonic; INT64_MAX: never. Asked after every event, of any job: it depends
 * on neighbours.
 */
int64_t jm_deadline_ns(const struct job_master *jm);

/* What is known. Borrowed until the next event. */
const struct id128 *jm_id(const struct job_master *jm);
const char *jm_id_hex(const struct job_master *jm);
const struct job_program *jm_program(const struct job_master *jm);
const struct execution_graph *jm_graph(const struct job_master *jm);
enum jm_phase jm_phase(const struct job_master *jm);
const char *jm_phase_name(enum jm_phase p);
enum job_state jm_state(const struct job_master *jm);
int64_t jm_since_ms(const struct job_master *jm, enum job_state s); /* last entry, wall; 0: never */
int64_t jm_modified_ms(const struct job_master *jm);
int64_t jm_end_ms(const struct job_master *jm);   /* -1: not ended */
uint64_t jm_attempt(const struct job_master *jm); /* from 1; 0 before the first */
uint32_t jm_n_members(const struct job_master *jm);
const struct jm_member *jm_member(const struct job_master *jm, uint32_t i);
bool jm_holds(const struct job_master *jm, uint32_t place,
    uint32_t generation); /* tasks that are not confirmed gone */
const struct failure_history *jm_failures(const struct job_master *jm);
int64_t jm_n_restarts(const struct job_master *jm);
int64_t jm_last_restart_ms(const struct job_master *jm); /* how long the last one took */
int64_t jm_down_since_ms(const struct job_master *jm);   /* wall; 0: it is up */
/* NULL: it takes no checkpoints. */
const struct coordinator *jm_coordinator(const struct job_master *jm);
const struct checkpoint_settings *jm_checkpointing(const struct job_master *jm);
/* Which slot runs subtask i: of the present attempt, n of them while it is deployed, else NULL. */
const struct rm_slot *jm_slots(const struct job_master *jm, uint32_t *n);

#endif
