/*
 * The Dispatcher: submissions, jobs by id, and the events of the cluster handed to the job
 * that they concern.  JobManager's process.  Pure, like the JobMasters and the
 * ResourceManager that it owns: processes, files and messages are behind struct dispatcher_ops.
 *
 * A submission becomes a job in these steps:
 *
 *   STORING    the artifact is copied into the store, by content
 *   QUEUED     a few are built at a time
 *   BUILDING   two builders run its main at once; each has DISPATCHER_BUILD_LIMIT_NS
 *   RESTORING  where it begins with a savepoint: that is read, and fits the job
 *   RECORDING  the job store has what a later JobManager needs to go on with it
 *   then       a JobMaster starts
 *
 * Whatever goes wrong on the way is the answer to who submitted; nothing is left of it.  A job of
 * the store, left by an earlier JobManager, goes the same way from QUEUED on, and begins with its
 * newest checkpoint; what goes wrong is logged, and its record stays.
 *
 * Events only change states.  What follows from several of them together, such as slots that go to
 * a waiting job, is done by dispatcher_turn, once after each batch.
 */
#ifndef SUPERVISOR_DISPATCHER_H
#define SUPERVISOR_DISPATCHER_H

#include "base/clock.h"
#include "base/conf.h"
#include "supervisor/checkpoint_store.h"
#include "supervisor/job_master.h"
#include "supervisor/job_record.h"
#include "supervisor/resource_manager.h"
#include "worker/graph/plugin.h"

#define DISPATCHER_BUILD_LIMIT_NS (PLUGIN_MAIN_LIMIT_MS * NS_PER_MS)
#define DISPATCHER_MAX_BUILDS     4   /* submissions that are BUILDING at a time */
#define DISPATCHER_MAX_WAITING    256 /* submissions that are not jobs yet */
#define DISPATCHER_N_BUILDERS     2   /* of a submission */

/* What it asks for. None of these calls back before it returns. */
struct dispatcher_ops {
	/* As in struct jm_ops. */
	int (*deploy)(void *arg, struct job_master *jm, struct err *e);
	void (*drop)(void *arg, uint32_t place, uint32_t generation, const struct id128 *job,
	    uint64_t attempt);
	void (*kill)(void *arg, uint32_t place, uint32_t generation, const char *why);
	void (*task_over)(void *arg, struct job_task *t);
	/* Answered by dispatcher_on_stored. */
	void (*store)(void *arg, uint32_t submission, const char *path);
	/* No job and no submission has it any more. */
	void (*unstore)(void *arg, const char *artifact);
	/* Answered by dispatcher_on_built. -1: cannot be started. */
	int (*build)(void *arg, uint32_t submission, unsigned which, const char *artifact, uint32_t argc,
	    char *const *argv, struct err *e);
	/* Its answer, if one comes, is ignored. */
	void (*build_kill)(void *arg, uint32_t submission, unsigned which);
	/* Checkpoints; as in struct jm_ops. */
	void (*trigger)(void *arg, uint32_t place, uint32_t generation, const struct ctl_trigger *t);
	void (*notify)(void *arg, uint32_t place, uint32_t generation, const struct ctl_checkpoint *c);
	void (*abort)(void *arg, uint32_t place, uint32_t generation, const struct ctl_checkpoint *c);
	/* Answered by dispatcher_on_checkpoint_stored. */
	void (*store_checkpoint)(void *arg, const struct id128 *job, const struct checkpoint_file *f,
	    const char *target);
	void (*discard_checkpoint)(void *arg, const char *path);
	void (*discard_checkpoints)(void *arg, const struct id128 *job); /* all of a job, no savepoints */
	void (*savepoint_done)(void *arg, uint64_t request, const char *path, const struct err *e);
	/*
	 * The savepoint that a submission begins with, or, where path is NULL, the job's newest checkpoint.
	 * Answered by dispatcher_on_found.
	 */
	void (*find_checkpoint)(void *arg, uint32_t submission, const struct id128 *job, const char *path);
	/* The job store. Answered by dispatcher_on_recorded. */
	void (*record)(void *arg, uint32_t submission, const struct id128 *job, const void *data, size_t len);
	void (*unrecord)(void *arg, const struct id128 *job);
	/* After dispatcher_stop, once: every job is over. */
	void (*stopped)(void *arg);
};

/* Exactly once. e NULL: the job is in the list and has started. */
typedef void dispatcher_done_fn(void *arg, const struct err *e, const struct id128 *job);

struct dispatcher_submit {
	const char *path; /* of the shared object */
	uint32_t argc;
	const char *const *argv;
	uint32_t parallelism;       /* 0: not given */
	const struct id128 *job_id; /* NULL: a fresh one */
	const char *savepoint;      /* begin with it; NULL: without state */
	bool allow_non_restored;    /* state of operators that the job has no more is left behind */
};

struct dispatcher;

/* clock and ops are borrowed; conf is read and not kept. */
struct dispatcher *dispatcher_create(const struct conf *conf, const struct clock *clock,
    const struct dispatcher_ops *ops, void *arg);
/* After stopped; or at any time, and then submissions under way are never answered. */
void dispatcher_destroy(struct dispatcher *d);
/* Restart delays, timeouts and limits from now on. */
void dispatcher_configure(struct dispatcher *d, const struct conf *conf);
/* Refuse new submissions, end the ones under way, suspend every job. */
void dispatcher_stop(struct dispatcher *d);

/* done may be called before this returns. */
void dispatcher_submit(struct dispatcher *d, const struct dispatcher_submit *s, dispatcher_done_fn *done,
    void *arg);
/* Go on with a job of the job store. r is borrowed. */
void dispatcher_resume(struct dispatcher *d, const struct job_record *r);
/* ERR_NOT_FOUND: there is no such job, or it has ended. */
int dispatcher_cancel(struct dispatcher *d, const struct id128 *job, struct err *e);
/* As jm_savepoint; answered by ops->savepoint_done. -1 as dispatcher_cancel: then it is not. */
int dispatcher_savepoint(struct dispatcher *d, const struct id128 *job, uint64_t request, enum jm_then then,
    const char *target, struct err *e);

/* What happened to submissions. Exactly one of path and why. */
void dispatcher_on_stored(struct dispatcher *d, uint32_t submission, const char *path, const struct err *why);
/* Takes ownership of what is in res; res NULL: the builder ended without an answer, why says how. */
void dispatcher_on_built(struct dispatcher *d, uint32_t submission, unsigned which, struct build_result *res,
    const struct err *why);

void dispatcher_on_found(struct dispatcher *d, uint32_t submission, const struct checkpoint_answer *a);
/* why NULL: it is durable. */
void dispatcher_on_recorded(struct dispatcher *d, uint32_t submission, const struct err *why);
void dispatcher_on_checkpoint_stored(struct dispatcher *d, const struct id128 *job, uint64_t checkpoint_id,
    const char *path, const struct err *why);

/* An artifact of an earlier JobManager was found in the store: it is removed unless a job has it. */
void dispatcher_on_artifact(struct dispatcher *d, const char *path);

/* What happened to TaskManagers. */
void dispatcher_on_hello(struct dispatcher *d, const struct ctl_hello *h);
void dispatcher_on_died(struct dispatcher *d, uint32_t place, uint32_t generation, int signo,
    const char *obituary);
void dispatcher_on_task_state(struct dispatcher *d, uint32_t place, uint32_t generation,
    const struct ctl_task_state *s);
void dispatcher_on_metric_names(struct dispatcher *d, uint32_t place, uint32_t generation,
    const struct ctl_metric_names *m);
void dispatcher_on_dropped(struct dispatcher *d, uint32_t place, uint32_t generation,
    const struct ctl_attempt *a);
void dispatcher_on_ack(struct dispatcher *d, uint32_t place, uint32_t generation, const struct ctl_ack *a);
void dispatcher_on_decline(struct dispatcher *d, uint32_t place, uint32_t generation,
    const struct ctl_decline *m);

/* After each batch of events, and when dispatcher_deadline_ns has come. */
void dispatcher_turn(struct dispatcher *d);
int64_t dispatcher_deadline_ns(const struct dispatcher *d); /* monotonic; INT64_MAX: never */

/* What there is; borrowed until the next turn. */
struct resource_manager *dispatcher_rm(const struct dispatcher *d);
uint32_t dispatcher_n_jobs(const struct dispatcher *d);
struct job_master *dispatcher_job(const struct dispatcher *d, uint32_t i);               /* oldest first */
struct job_master *dispatcher_find(const struct dispatcher *d, const struct id128 *job); /* NULL: none */
uint32_t dispatcher_n_submissions(const struct dispatcher *d);
/* The job that has tasks there, NULL: none. With several the oldest. */
struct job_master *dispatcher_job_at(const struct dispatcher *d, uint32_t place, uint32_t generation);

#endif
