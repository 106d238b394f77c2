/*
 * One submission on its way to become a job; see dispatcher.h for the steps.  A plain value of the
 * Dispatcher, with the two questions that need neither clock nor actions: whether two
 * builders agree, and what program they describe.
 */
#ifndef SUPERVISOR_SUBMISSION_H
#define SUPERVISOR_SUBMISSION_H

#include "supervisor/dispatcher.h"

enum submission_state { SUB_STORING, SUB_QUEUED, SUB_BUILDING, SUB_RESTORING, SUB_RECORDING, SUB_N_STATES };

struct submission {
	uint32_t number;
	enum submission_state state;
	struct id128 job_id;
	int64_t since_ms;    /* when it came, wall */
	int64_t deadline_ns; /* BUILDING: the builders are killed then */
	char *artifact;      /* once stored */
	char **argv;
	uint32_t argc;
	uint32_t parallelism;         /* 0: not given */
	uint32_t default_parallelism; /* of a resumed job, as it was then; 0: as configured now */
	bool running[DISPATCHER_N_BUILDERS];
	struct build_result results[DISPATCHER_N_BUILDERS];
	char *savepoint; /* NULL: none */
	bool allow_non_restored;
	bool looked;                 /* ... for its own newest checkpoint, where resumed */
	bool resumed;                /* it is in the job store already, with its own newest checkpoint */
	struct job_program *program; /* once built */
	struct checkpoint_settings checkpoints;
	/* what it begins with, once found */
	uint64_t restore_id, first_id;
	int restore_fd;
	enum checkpoint_kind restore_kind;
	char *restore_path;
	struct checkpoint_place *older; /* ... and what else is there of it */
	uint32_t n_older;
	dispatcher_done_fn *done;
	void *arg;
};

struct submission *submission_create(const struct dispatcher_submit *s, dispatcher_done_fn *done, void *arg);
void submission_destroy(struct submission *s);

/*
 * All builders have answered with a plan: compare them and make the program of the job.
 * default_parallelism: where the submission named none
 * Returns the program, or NULL with what differs or cannot be.
 */
struct job_program *submission_program(struct submission *s, uint32_t default_parallelism, struct err *e);

#endif
