/*
 * The inside of the Dispatcher, shared by dispatcher.c, which knows jobs and turns, and
 * dispatcher_submit.c, which knows submissions and artifacts.  Included by nobody else.
 */
#ifndef SUPERVISOR_DISPATCHER_IMPL_H
#define SUPERVISOR_DISPATCHER_IMPL_H

#include "supervisor/dispatcher.h"
#include "supervisor/submission.h"

struct dispatcher {
	const struct clock *clock;
	const struct dispatcher_ops *ops;
	void *arg;
	struct resource_manager *rm;
	struct jm_settings settings;
	struct checkpoint_settings checkpoints; /* of jobs that say nothing of their own */
	uint32_t parallelism_default;
	int64_t keep_ended_ms;
	uint32_t max_ended;
	struct job_master **jobs; /* oldest first */
	size_t n_jobs, cap_jobs;
	struct submission **submissions; /* oldest first */
	size_t n_submissions, cap_submissions;
	uint32_t last_number;
	char **pinned; /* artifacts of recorded jobs that could not be resumed */
	size_t n_pinned, cap_pinned;
	bool stopping, stopped;
};

/* What a JobMaster asks for, with the Dispatcher as its arg. */
extern const struct jm_ops dispatcher_jm_ops;

/* Somebody may have let go of an artifact: remove it after the last one. */
void dispatcher_unstore(struct dispatcher *d, const char *artifact);
/* Take a submission from the list, end what still runs for it, and answer. */
void dispatcher_answer(struct dispatcher *d, struct submission *s, const struct err *e);
/* As many of those that wait as may run. */
void dispatcher_start_builds(struct dispatcher *d);
/* Its deadline has come. */
void dispatcher_out_of_time(struct dispatcher *d, struct submission *s);

#endif
