/*
 * The inside of a JobMaster, shared by job_master.c, which knows the phases, and
 * job_attempt.c, which knows the tasks of one attempt and who has them, and job_checkpoints.c, which
 * stands between them and the CheckpointCoordinator.  Included by nobody else.
 */
#ifndef SUPERVISOR_JOB_MASTER_IMPL_H
#define SUPERVISOR_JOB_MASTER_IMPL_H

#include "supervisor/job_master.h"

struct job_master {
	struct id128 id;
	char id_hex[ID_HEX_SIZE];
	struct job_program *program;
	struct execution_graph *graph;
	const struct jm_settings *settings;
	const struct clock *clock;
	const struct jm_ops *ops;
	void *arg;

	enum jm_phase phase;
	enum job_state state;
	int64_t since_ms[JOB_N_STATES];
	int64_t modified_ms, end_ms;
	int64_t due_ns; /* the phase's timer, INT64_MAX: none */

	uint64_t attempt;
	struct rm_slot *slots;
	uint32_t n_slots;
	struct jm_member *members;
	uint32_t n_members;
	uint32_t n_running, n_finished; /* tasks that are RUNNING or FINISHED, and FINISHED */

	struct restart_strategy restart;
	int64_t running_since_ns; /* all tasks RUNNING, 0: not since the last failure */
	int64_t disturbed_ns;     /* when the last failure or the start was, for the time it took */
	int64_t starved_log_ns;   /* when the log is told next that slots are missing */
	struct failure_history failures;
	int64_t n_restarts, last_restart_ms, down_since_ms;

	struct coordinator *coordinator; /* NULL: no checkpoints */
	struct checkpoint_settings checkpointing;
	uint64_t n_deploys;
	uint64_t stop_request;   /* stop with a savepoint under way, 0: none */
	char *stop_path;         /* ... which is there; the tasks come to their end */
	uint64_t cancel_request; /* cancel behind this savepoint, 0: none */
	bool cancel_wanted;      /* ... which is there */
	struct err too_many;     /* checkpoints have failed: the attempt does, once the coordinator returns */
};

enum jm_event {
	EV_START,
	EV_SLOTS,
	EV_TIMER,
	EV_FAILURE,  /* a task, a deploy or a member of the attempt failed */
	EV_FINISHED, /* every task did */
	EV_GONE,     /* the last member has nothing of the attempt any more */
	EV_CANCEL,
	EV_SUSPEND,
	EV_N
};
void jm_happen(struct job_master *jm, enum jm_event ev);

/* Put every task on its slot and know the members. */
int attempt_assign(struct job_master *jm, struct err *e);
/* Active tasks are being cancelled; those that nobody has are so at once. */
void attempt_cancel_tasks(struct job_master *jm);
/* Tell every member that still has tasks to let go of them. */
void attempt_drop_all(struct job_master *jm);
bool attempt_all_gone(const struct job_master *jm);
/* All are gone: give the slots back. */
void attempt_release(struct job_master *jm);
/* When a member that was told to drop has to be killed; INT64_MAX: never. */
int64_t attempt_drop_deadline(const struct job_master *jm, const struct jm_member *m);

void attempt_set_task(struct job_master *jm, struct job_task *t, enum task_state s);
/* The attempt fails with this; t NULL: not a single task's. */
void attempt_fail(struct job_master *jm, struct job_task *t, int64_t wall_ms, const struct err *cause);
/* Stamp, log and keep what is in f; t NULL: not a single task's. */
void attempt_note_failure(struct job_master *jm, const struct job_task *t, struct job_failure *f);

/* All tasks are RUNNING or FINISHED: checkpoints begin. */
void checkpoints_start(struct job_master *jm);
/* The attempt is over, or is being ended. */
void checkpoints_stop(struct job_master *jm, const char *why);
/* An attempt is about to be deployed: note what it begins with. */
void checkpoints_restored(struct job_master *jm);
/* Nobody knows yet what the next attempt begins with. */
bool checkpoints_storing(const struct job_master *jm);
void checkpoints_task_finished(struct job_master *jm, const struct job_task *t);
/* A stop that waits for the job's end gets its answer; e NULL: the job is FINISHED. */
void checkpoints_answer_stop(struct job_master *jm, const struct err *e);
/* No attempt follows. */
void checkpoints_close(struct job_master *jm);
void checkpoints_on_time(struct job_master *jm);
int64_t checkpoints_deadline_ns(const struct job_master *jm);
void checkpoints_fini(struct job_master *jm);

#endif
