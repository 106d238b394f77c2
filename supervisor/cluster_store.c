/*
 * The state machines bound to files: artifacts, checkpoints, savepoints, and the job store, from which a new
 * JobManager goes on with the jobs of the one before.
 */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "base/log.h"
#include "base/mem.h"
#include "supervisor/cluster_impl.h"

/* An answer that a submission waits for. */
struct submission_wait {
	struct cluster *cluster;
	uint32_t submission;
};

/* The same of a checkpoint; its job may be forgotten meanwhile. */
struct checkpoint_wait {
	struct cluster *cluster;
	struct id128 job;
	uint64_t checkpoint_id;
};

static struct submission_wait *wait_of(struct cluster *c, uint32_t submission)
{
	struct submission_wait *w = xcalloc(1, sizeof(*w));

	w->cluster = c;
	w->submission = submission;
	return w;
}

/* ---- artifacts ---- */

static void on_stored(void *arg, const struct storage_answer *a)
{
	struct submission_wait *w = arg;

	if (a->err.code == ERR_NONE)
		dispatcher_on_stored(w->cluster->dispatcher, w->submission, a->path, NULL);
	else
		dispatcher_on_stored(w->cluster->dispatcher, w->submission, NULL, &a->err);
	cluster_poke(w->cluster);
	free(w);
}

void cluster_op_store(void *arg, uint32_t submission, const char *path)
{
	struct cluster *c = arg;

	storage_put_artifact(c->storage, path, on_stored, wait_of(c, submission));
}

void cluster_op_unstore(void *arg, const char *artifact)
{
	struct cluster *c = arg;

	storage_remove(c->storage, artifact, NULL, NULL);
}

/* ---- checkpoints ---- */

static void on_checkpoint_stored(void *arg, const struct checkpoint_answer *a)
{
	struct checkpoint_wait *w = arg;

	dispatcher_on_checkpoint_stored(w->cluster->dispatcher, &w->job, w->checkpoint_id, a->path,
	    a->err.code != ERR_NONE ? &a->err : NULL);
	cluster_poke(w->cluster);
	free(w);
}

void cluster_op_store_checkpoint(void *arg, const struct id128 *job, const struct checkpoint_file *f,
    const char *target)
{
	struct cluster *c = arg;
	struct checkpoint_wait *w = xcalloc(1, sizeof(*w));

	w->cluster = c;
	w->job = *job;
	w->checkpoint_id = f->id;
	checkpoint_store_put(c->checkpoints, f, target, on_checkpoint_stored, w);
}

static void on_discarded(void *arg, const struct checkpoint_answer *a)
{
	(void)arg;
	if (a->err.code != ERR_NONE)
		log_warnx("checkpoint.not_discarded", KV_MSG("%s; it stays", a->err.msg));
}

void cluster_op_discard_checkpoint(void *arg, const char *path)
{
	struct cluster *c = arg;

	checkpoint_store_remove(c->checkpoints, path, on_discarded, NULL);
}

void cluster_op_discard_checkpoints(void *arg, const struct id128 *job)
{
	struct cluster *c = arg;

	checkpoint_store_remove_job(c->checkpoints, job, on_discarded, NULL);
}

void cluster_op_savepoint_done(void *arg, uint64_t request, const char *path, const struct err *e)
{
	struct cluster *c = arg;

	operations_end(c->operations, request, path, e, NULL);
}

static void on_found(void *arg, const struct checkpoint_answer *a)
{
	struct submission_wait *w = arg;

	dispatcher_on_found(w->cluster->dispatcher, w->submission, a);
	cluster_poke(w->cluster);
	free(w);
}

void cluster_op_find_checkpoint(void *arg, uint32_t submission, const struct id128 *job, const char *path)
{
	struct cluster *c = arg;

	if (path != NULL)
		checkpoint_store_open(c->checkpoints, path, on_found, wait_of(c, submission));
	else
		checkpoint_store_find(c->checkpoints, job, on_found, wait_of(c, submission));
}

/* ---- the job store ---- */

static void on_recorded(void *arg, const struct storage_answer *a)
{
	struct submission_wait *w = arg;

	dispatcher_on_recorded(w->cluster->dispatcher, w->submission,
	    a->err.code != ERR_NONE ? &a->err : NULL);
	cluster_poke(w->cluster);
	free(w);
}

void cluster_op_record(void *arg, uint32_t submission, const struct id128 *job, const void *data, size_t len)
{
	struct cluster *c = arg;
	char hex[ID_HEX_SIZE];

	storage_put_record(c->storage, id_hex(job, hex), data, len, on_recorded, wait_of(c, submission));
}

static void on_unrecorded(void *arg, const struct storage_answer *a)
{
	(void)arg;
	if (a->err.code != ERR_NONE)
		log_warnx("job.not_forgotten",
		    KV_MSG("%s; the next start of the supervisor will run that ended job again", a->err.msg));
}

void cluster_op_unrecord(void *arg, const struct id128 *job)
{
	struct cluster *c = arg;
	char hex[ID_HEX_SIZE];

	storage_delete_record(c->storage, id_hex(job, hex), on_unrecorded, NULL);
}

/* What a killed supervisor could not remove. */
static void on_artifacts(void *arg, const struct storage_answer *a)
{
	struct cluster *c = arg;
	uint32_t i;

	if (a->err.code != ERR_NONE) {
		log_warnx("artifacts.unreadable", KV_MSG("%s; artifacts of earlier runs stay", a->err.msg));
		return;
	}
	for (i = 0; i < a->n_entries; i++) {
		char *path = xasprintf("%s/artifacts/%s", c->conf->storage_dir, a->entries[i].name);

		dispatcher_on_artifact(c->dispatcher, path);
		free(path);
	}
}

/* Only when every record was read: an artifact of one that was not could be needed. */
static void sweep_artifacts(struct cluster *c)
{
	char *artifacts = xasprintf("%s/artifacts", c->conf->storage_dir);

	storage_list(c->storage, artifacts, on_artifacts, c);
	free(artifacts);
}

static void on_record(void *arg, const struct storage_answer *a)
{
	struct cluster *c = arg;
	struct job_record r;
	struct err e = a->err;

	if (e.code == ERR_NONE && job_record_decode(a->data, (size_t)a->size_bytes, &r, &e) == 0) {
		dispatcher_resume(c->dispatcher, &r);
		job_record_fini(&r);
		cluster_poke(c);
		if (--c->n_records == 0)
			sweep_artifacts(c);
		return;
	}
	log_errorx("job.unreadable",
	    KV_MSG("%s; its job does not go on, and no artifact of earlier runs is removed", e.msg));
}

static void on_records(void *arg, const struct storage_answer *a)
{
	struct cluster *c = arg;
	uint32_t i;

	if (a->err.code != ERR_NONE) {
		log_errorx("job.unreadable", KV_MSG("%s; no job of an earlier run goes on", a->err.msg));
		return;
	}
	c->n_records = a->n_entries;
	for (i = 0; i < a->n_entries; i++)
		storage_get_record(c->storage, a->entries[i].name, on_record, c);
	if (a->n_entries == 0)
		sweep_artifacts(c);
}

static void on_lock_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	cluster_resume(arg);
}

/*
 * Workers die with their supervisor, but the kernel may take its time.  A job does not go on beside its own
 * earlier tasks, which nothing else fences.  No event tells the end of another process's lock.
 */
static bool workers_are_gone(struct cluster *c)
{
	static const struct timeval again = { 0, 10000 };

	if (c->cfg.workers_lock_fd <= 0 || flock(c->cfg.workers_lock_fd, LOCK_EX | LOCK_NB) == 0)
		return true;
	if (!c->lock_told)
		log_warnx("workers.alive",
		    KV_MSG("a worker of an earlier supervisor is not gone yet; jobs of the job store go on "
			   "when it is"));
	c->lock_told = true;
	if (c->lock_timer == NULL)
		c->lock_timer = evtimer_new(c->cfg.base, on_lock_timer, c);
	ASSERT(c->lock_timer != NULL && event_add(c->lock_timer, &again) == 0);
	return false;
}

void cluster_resume(struct cluster *c)
{
	if (c->stopping || !workers_are_gone(c))
		return;
	storage_list_records(c->storage, on_records, c);
}
