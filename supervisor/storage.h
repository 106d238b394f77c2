/*
 * The supervisor's slow file I/O, done by a process of its own, the storage process: the loop only sends
 * requests and gets answers by callback.
 *
 * Requests are answered in order, each exactly once, from the loop, never from inside the call that
 * made it.  The process keeps no state: when it dies, requests that were sent fail with
 * ERR_UNAVAILABLE (what they did may be done or not, but never by half: files appear by rename) and
 * it is forked anew; requests made meanwhile wait for it.
 */
#ifndef SUPERVISOR_STORAGE_H
#define SUPERVISOR_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/child.h"

struct event_base;
struct storage;

struct storage_entry {
	char *name;
	int64_t size_bytes;
	int64_t mtime_ms;
};

/* Borrowed until the callback returns. err.code is ERR_NONE when it was done; other members are for those
 * requests that say so. */
struct storage_answer {
	struct err err;
	const char *path;   /* put_*: where the file is now */
	const char *sha256; /* put_*: 64 hex digits of what was written */
	int64_t size_bytes;
	const void *data;                    /* get_record, read: size_bytes of it, NUL behind */
	const struct storage_entry *entries; /* list, list_dirs, list_records: by name */
	uint32_t n_entries;
	bool has_fd; /* read_memfd: fd holds it, closed after the callback */
	int fd;
};
typedef void storage_done_fn(void *arg, const struct storage_answer *a);

struct storage_config {
	struct children *children;
	struct event_base *base;
	const char *dir; /* high-availability.storageDir: artifacts/ and jobs/ below it; copied */
};

/* Forks the process; a fork that fails is logged and tried again. */
struct storage *storage_create(const struct storage_config *cfg);
/*
 * End: the process finishes what it was sent, then exits; callbacks go on until then.  stopped is called
 * from the loop when it is gone; after it, or after children_destroy, storage_destroy.
 */
void storage_shutdown(struct storage *st, void (*stopped)(void *arg), void *arg);
/* Requests without an answer are forgotten without a callback. */
void storage_destroy(struct storage *st);
unsigned storage_n_pending(const struct storage *st);

/*
 * Store the whole content of fd (a memfd or a file; duplicated, its offset does not matter) as
 * <dir>/<name>: complete and durable, or absent. name is one path component; dir is made if missing, as
 * durable as the file.
 * Answers path, sha256, size.
 */
void storage_put_file(struct storage *st, int fd, const char *dir, const char *name, storage_done_fn *cb,
    void *arg);
/* Copy the file to <storageDir>/artifacts/<sha256>.so, where it may be already. Answers path, sha256,
 * size. */
void storage_put_artifact(struct storage *st, const char *src_path, storage_done_fn *cb, void *arg);

/* The job store: records by key under <storageDir>/jobs/. A key is a file name. */
void storage_put_record(struct storage *st, const char *key, const void *data, size_t len,
    storage_done_fn *cb, void *arg);
void storage_get_record(struct storage *st, const char *key, storage_done_fn *cb, void *arg);
void storage_delete_record(struct storage *st, const char *key, storage_done_fn *cb,
    void *arg); /* missing is fine */
void storage_list_records(struct storage *st, storage_done_fn *cb, void *arg);

/* Remove a file or a tree; a missing one is fine. path is absolute. */
void storage_remove(struct storage *st, const char *path, storage_done_fn *cb, void *arg);
/* The regular files of a directory, but temporary ones; a missing directory is an empty list. */
void storage_list(struct storage *st, const char *dir, storage_done_fn *cb, void *arg);
/* The directories in a directory, but hidden ones; a missing directory is an empty list. */
void storage_list_dirs(struct storage *st, const char *dir, storage_done_fn *cb, void *arg);
/* A whole file of at most max_bytes, in a memfd: fd, size_bytes. A missing one is ERR_NOT_FOUND. */
void storage_read_memfd(struct storage *st, const char *path, size_t max_bytes, storage_done_fn *cb,
    void *arg);
/* A whole file of at most 32 MiB. */
void storage_read(struct storage *st, const char *path, storage_done_fn *cb, void *arg);

/* The storage process's whole life, in a child that adopted control_fd. */
_Noreturn void storage_main(int control_fd);

#endif
