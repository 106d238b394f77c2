/*
 * Where checkpoints and savepoints lie, as files.  JobManager's process; the work is done by the storage
 * process, answers come by callback from the loop, in order, never from inside the call.
 *
 *   <checkpoints-dir>/<job-id>/chk-<n>/_metadata
 *   <target>/savepoint-<first 6 hex of the job id>-<12 hex>/_metadata
 *
 * A checkpoint exists when its `_metadata` verifies; the truth is the directory.  Paths are given as "/dir",
 * "file:/dir" or "file:///dir" and answered as "file:/dir".
 */
#ifndef SUPERVISOR_CHECKPOINT_STORE_H
#define SUPERVISOR_CHECKPOINT_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "supervisor/storage.h"
#include "worker/state/checkpoint_file.h"

struct checkpoint_store;

/* One that is there beside the newest; not verified. */
struct checkpoint_place {
	uint64_t id;
	char *path;
};

/* Borrowed until the callback returns. err.code is ERR_NONE when it was done. */
struct checkpoint_answer {
	struct err err;
	const char *path; /* put, find, open: "file:/…" of its directory; NULL: none */
	/* find, open: what it holds, verified. NULL: find found none. */
	const struct checkpoint_file *file;
	int fd; /* a memfd with its bytes; -1: none. Whoever keeps it duplicates it. */
	/* find: the highest number in use, damaged ones included: ids go on behind it. 0: none. */
	uint64_t highest_id;
	const struct checkpoint_place *older; /* find: those below the one that was found, oldest first */
	uint32_t n_older;
};
typedef void checkpoint_store_fn(void *arg, const struct checkpoint_answer *a);

/* storage is borrowed until checkpoint_store_destroy. dir: state.checkpoints.dir, absolute. */
struct checkpoint_store *checkpoint_store_create(struct storage *storage, const char *dir);
/* After storage_destroy, or when nothing is asked any more: requests under way are forgotten with it. */
void checkpoint_store_destroy(struct checkpoint_store *cs);

/*
 * Make it durable. target NULL: as the job's chk-<id>; else as a new savepoint below that directory, which
 * is made if missing. f is not needed after the call. On failure nothing of it is left.
 */
void checkpoint_store_put(struct checkpoint_store *cs, const struct checkpoint_file *f, const char *target,
    checkpoint_store_fn *fn, void *arg);
/*
 * The newest one of a job that verifies.  Each newer one that does not is logged with what is wrong and stays
 * where it is.  None at all is no error; a disk that cannot be read is.
 */
void checkpoint_store_find(struct checkpoint_store *cs, const struct id128 *job_id, checkpoint_store_fn *fn,
    void *arg);
/* A savepoint or a retained checkpoint of any job, by its directory or `_metadata`. Verified, or refused. */
void checkpoint_store_open(struct checkpoint_store *cs, const char *path, checkpoint_store_fn *fn, void *arg);
/* Remove a checkpoint of ours, as put or find named it; a missing one is fine. fn may be NULL. */
void checkpoint_store_remove(struct checkpoint_store *cs, const char *path, checkpoint_store_fn *fn,
    void *arg);
/* All of a job's checkpoints (no savepoints). fn may be NULL. */
void checkpoint_store_remove_job(struct checkpoint_store *cs, const struct id128 *job_id,
    checkpoint_store_fn *fn, void *arg);
/* Disposal by a user: refused when it is no savepoint that verifies. */
void checkpoint_store_dispose(struct checkpoint_store *cs, const char *path, checkpoint_store_fn *fn,
    void *arg);

#endif
