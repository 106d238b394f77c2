/*
 * Checkpoints as files.
 */
#include "supervisor/checkpoint_store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#define METADATA         "_metadata"
#define CHECKPOINT       "chk-"
#define SAVEPOINT        "savepoint-"
#define MAX_INTERRUPTION 3 /* deaths of the storage process while it does one thing */

struct request {
	LIST_ENTRY(request) link;
	struct checkpoint_store *cs;
	checkpoint_store_fn *fn;
	void *arg;
	struct err refused; /* before anything was asked */
	char *dir;          /* put, open: of the checkpoint. find: of the job */
	int fd;             /* put: the bytes, -1: none */
	bool dispose;
	struct id128 job_id;             /* find */
	struct checkpoint_place *places; /* find: oldest first, the one that is read last */
	uint32_t n_places, n_interruptions;
	uint64_t highest_id;
};
LIST_HEAD(request_list, request);

struct checkpoint_store {
	struct storage *storage;
	char *dir;
	struct request_list requests;
};

struct checkpoint_store *checkpoint_store_create(struct storage *storage, const char *dir)
{
	struct checkpoint_store *cs = xcalloc(1, sizeof(*cs));

	cs->storage = storage;
	cs->dir = xstrdup(dir);
	LIST_INIT(&cs->requests);
	return cs;
}

static struct request *request_create(struct checkpoint_store *cs, checkpoint_store_fn *fn, void *arg)
{
	struct request *r = xcalloc(1, sizeof(*r));

	r->cs = cs;
	r->fn = fn;
	r->arg = arg;
	r->fd = -1;
	LIST_INSERT_HEAD(&cs->requests, r, link);
	return r;
}

static void drop_last_place(struct request *r)
{
	free(r->places[--r->n_places].path);
}

static void request_free(struct request *r)
{
	LIST_REMOVE(r, link);
	while (r->n_places > 0)
		drop_last_place(r);
	if (r->fd >= 0)
		close(r->fd);
	free(r->places);
	free(r->dir);
	free(r);
}

void checkpoint_store_destroy(struct checkpoint_store *cs)
{
	struct request *r;

	if (cs == NULL)
		return;
	while ((r = LIST_FIRST(&cs->requests)) != NULL)
		request_free(r);
	free(cs->dir);
	free(cs);
}

static void answer(struct request *r, const struct checkpoint_answer *a)
{
	if (r->fn != NULL)
		r->fn(r->arg, a);
	request_free(r);
}

static void answer_error(struct request *r, const struct err *e)
{
	struct checkpoint_answer a = { .err = *e, .fd = -1 };

	answer(r, &a);
}

static void on_refused(void *arg, const struct storage_answer *a)
{
	struct request *r = arg;

	(void)a;
	answer_error(r, &r->refused);
}

/* The answer comes like all others: in order, and later. */
static void refuse(struct request *r)
{
	storage_list_dirs(r->cs->storage, r->cs->dir, on_refused, r);
}

/* "/a/b/" is /a/b. */
static char *plain_path(const char *path, struct err *e)
{
	char *plain = file_path_from_uri(path, e);
	size_t len = plain != NULL ? strlen(plain) : 0;

	while (len > 1 && plain[len - 1] == '/')
		plain[--len] = '\0';
	return plain;
}

static const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static bool has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static char *job_dir(const struct checkpoint_store *cs, const struct id128 *job_id)
{
	char hex[ID_HEX_SIZE];

	return xasprintf("%s/%s", cs->dir, id_hex(job_id, hex));
}

/* ---- put ---- */

static void on_put(void *arg, const struct storage_answer *stored)
{
	struct request *r = arg;
	struct checkpoint_answer a = { .err = stored->err, .fd = -1 };
	char *uri;

	if (stored->err.code == ERR_UNAVAILABLE && r->n_interruptions++ < MAX_INTERRUPTION) {
		storage_put_file(r->cs->storage, r->fd, r->dir, METADATA, on_put, r);
		return;
	}
	uri = xasprintf("file:%s", r->dir);
	/* Perhaps it is there nevertheless, the process having died after it was done. */
	if (stored->err.code != ERR_NONE)
		storage_remove(r->cs->storage, r->dir, NULL, NULL);
	else
		a.path = uri;
	answer(r, &a);
	free(uri);
}

static char *new_savepoint_dir(const struct id128 *job_id, const char *target, struct err *e)
{
	char *below = plain_path(target, e), *dir;
	char job[ID_HEX_SIZE], digits[13];

	if (below == NULL)
		return NULL;
	id_random_hex(digits, 12);
	dir = xasprintf("%s/" SAVEPOINT "%.6s-%s", strcmp(below, "/") == 0 ? "" : below, id_hex(job_id, job),
	    digits);
	free(below);
	return dir;
}

void checkpoint_store_put(struct checkpoint_store *cs, const struct checkpoint_file *f, const char *target,
    checkpoint_store_fn *fn, void *arg)
{
	struct request *r = request_create(cs, fn, arg);
	size_t len;
	void *data;

	if (target != NULL) {
		r->dir = new_savepoint_dir(&f->job_id, target, &r->refused);
	} else {
		char *parent = job_dir(cs, &f->job_id);

		r->dir = xasprintf("%s/" CHECKPOINT "%" PRIu64, parent, f->id);
		free(parent);
	}
	if (r->dir == NULL) {
		refuse(r);
		return;
	}
	data = checkpoint_file_encode(f, &len);
	r->fd = file_memfd("checkpoint", data, len, &r->refused);
	free(data);
	if (r->fd < 0) {
		refuse(r);
		return;
	}
	storage_put_file(cs->storage, r->fd, r->dir, METADATA, on_put, r);
}

/* ---- reading one ---- */

/* Verify what the storage process has read; *data is freed by the caller, behind checkpoint_file_fini. */
static int verify(const struct storage_answer *a, char **data, struct checkpoint_file *f, struct err *e)
{
	size_t len;

	*data = NULL;
	if (a->err.code != ERR_NONE) {
		*e = a->err;
		return -1;
	}
	if (!a->has_fd)
		return err_set(e, ERR_INTERNAL, "the storage process sent no content");
	if (file_read_fd(a->fd, CHECKPOINT_FILE_MAX, data, &len, e) < 0)
		return -1;
	if (checkpoint_file_decode(*data, len, f, e) == 0)
		return 0;
	free(*data);
	*data = NULL;
	return -1;
}

static void answer_found(struct request *r, const char *dir, const struct checkpoint_file *f, int fd)
{
	char *uri = xasprintf("file:%s", dir), *older;
	struct checkpoint_answer a = { .path = uri,
		.file = f,
		.fd = fd,
		.highest_id = r->highest_id,
		.older = r->places,
		.n_older = r->n_places };

	for (uint32_t i = 0; i < r->n_places; i++) {
		older = xasprintf("file:%s", r->places[i].path);
		free(r->places[i].path);
		r->places[i].path = older;
	}
	answer(r, &a);
	free(uri);
}

static void on_disposed(void *arg, const struct storage_answer *removed)
{
	answer_error(arg, &removed->err);
}

/* Only a directory that has the name of one is removed with all that is in it. */
static void dispose(struct request *r, const struct checkpoint_file *f)
{
	struct checkpoint_store *cs = r->cs;
	char hex[ID_HEX_SIZE], *metadata;

	if (f->kind == CHECKPOINT_PERIODIC) {
		err_set(&r->refused, ERR_INVALID, "%s is checkpoint %" PRIu64 " of job %s, not a savepoint",
		    r->dir, f->id, id_hex(&f->job_id, hex));
		answer_error(r, &r->refused);
		return;
	}
	if (has_prefix(last_component(r->dir), SAVEPOINT)) {
		storage_remove(cs->storage, r->dir, on_disposed, r);
		return;
	}
	metadata = xasprintf("%s/" METADATA, r->dir);
	storage_remove(cs->storage, metadata, on_disposed, r);
	free(metadata);
}

static void on_opened(void *arg, const struct storage_answer *read)
{
	struct request *r = arg;
	struct checkpoint_file f;
	struct err e;
	char *data;

	if (verify(read, &data, &f, &e) < 0) {
		err_prefix(&e, "the savepoint %s cannot be used", r->dir);
		answer_error(r, &e);
		return;
	}
	if (r->dispose)
		dispose(r, &f);
	else
		answer_found(r, r->dir, &f, read->fd);
	checkpoint_file_fini(&f);
	free(data);
}

static void open_one(struct checkpoint_store *cs, const char *path, bool for_disposal,
    checkpoint_store_fn *fn, void *arg)
{
	struct request *r = request_create(cs, fn, arg);
	char *metadata;

	r->dispose = for_disposal;
	r->dir = plain_path(path, &r->refused);
	if (r->dir == NULL) {
		refuse(r);
		return;
	}
	if (strcmp(last_component(r->dir), METADATA) == 0 && strlen(r->dir) > sizeof(METADATA))
		r->dir[strlen(r->dir) - sizeof(METADATA)] = '\0';
	metadata = xasprintf("%s/" METADATA, r->dir);
	storage_read_memfd(cs->storage, metadata, CHECKPOINT_FILE_MAX, on_opened, r);
	free(metadata);
}

void checkpoint_store_open(struct checkpoint_store *cs, const char *path, checkpoint_store_fn *fn, void *arg)
{
	open_one(cs, path, false, fn, arg);
}

void checkpoint_store_dispose(struct checkpoint_store *cs, const char *path, checkpoint_store_fn *fn,
    void *arg)
{
	open_one(cs, path, true, fn, arg);
}

/* ---- the newest one ---- */

static void on_found(void *arg, const struct storage_answer *read);

static void try_newest(struct request *r)
{
	struct checkpoint_answer none = { .fd = -1, .highest_id = r->highest_id };
	char *metadata;

	if (r->n_places == 0) {
		answer(r, &none);
		return;
	}
	metadata = xasprintf("%s/" METADATA, r->places[r->n_places - 1].path);
	storage_read_memfd(r->cs->storage, metadata, CHECKPOINT_FILE_MAX, on_found, r);
	free(metadata);
}

static int check_place(const struct request *r, const struct checkpoint_place *place,
    const struct checkpoint_file *f, struct err *e)
{
	char hex[ID_HEX_SIZE];

	if (!id_equal(&f->job_id, &r->job_id))
		return err_set(e, ERR_INVALID, "it is of another job, %s", id_hex(&f->job_id, hex));
	if (f->id != place->id)
		return err_set(e, ERR_INVALID, "it is checkpoint %" PRIu64, f->id);
	return 0;
}

/* The newest that was not tried yet is none: say so, and take the one before. */
static void skip(struct request *r, const struct err *e)
{
	const struct checkpoint_place *place = &r->places[r->n_places - 1];
	char hex[ID_HEX_SIZE];

	if (e->code == ERR_NOT_FOUND) {
		log_info("checkpoint.leftover", KV_JOB(id_hex(&r->job_id, hex)),
		    KV_UINT("checkpoint", place->id), KV_STR("path", place->path),
		    KV_MSG("a checkpoint that was not completed is removed"));
		storage_remove(r->cs->storage, place->path, NULL, NULL);
	} else {
		log_warnx("checkpoint.damaged", KV_JOB(id_hex(&r->job_id, hex)),
		    KV_UINT("checkpoint", place->id), KV_STR("path", place->path),
		    KV_MSG("%s; it is left out, the one before it is tried", e->msg));
	}
	drop_last_place(r);
	try_newest(r);
}

static void on_found(void *arg, const struct storage_answer *read)
{
	struct request *r = arg;
	struct checkpoint_place *place = &r->places[r->n_places - 1];
	struct checkpoint_file f;
	struct err e;
	char *data;
	int rc;

	if (verify(read, &data, &f, &e) < 0) {
		if (e.code == ERR_UNAVAILABLE && r->n_interruptions++ < MAX_INTERRUPTION) {
			try_newest(r);
		} else if (e.code == ERR_UNAVAILABLE || e.code == ERR_IO) {
			/* It may be sound: an older one must not take its place. */
			err_prefix(&e, "checkpoint %" PRIu64 " cannot be read", place->id);
			answer_error(r, &e);
		} else {
			skip(r, &e);
		}
		return;
	}
	rc = check_place(r, place, &f, &e);
	if (rc == 0) {
		char *path = place->path;

		r->n_places--; /* what is left is older */
		answer_found(r, path, &f, read->fd);
		free(path);
	}
	checkpoint_file_fini(&f);
	free(data);
	if (rc < 0)
		skip(r, &e);
}

static int by_id(const void *a, const void *b)
{
	const struct checkpoint_place *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static void list_places(struct request *r, const struct storage_answer *listed)
{
	uint32_t cap = 0;

	for (uint32_t i = 0; i < listed->n_entries; i++) {
		const char *name = listed->entries[i].name;
		int64_t id;

		if (!has_prefix(name, CHECKPOINT) ||
		    conf_parse_i64(name + sizeof(CHECKPOINT) - 1, 1, INT64_MAX, &id, NULL) < 0)
			continue;
		VEC_RESERVE(r->places, r->n_places, cap);
		r->places[r->n_places].id = (uint64_t)id;
		r->places[r->n_places++].path = xasprintf("%s/%s", r->dir, name);
	}
	if (r->n_places == 0)
		return;
	qsort(r->places, r->n_places, sizeof(*r->places), by_id);
	r->highest_id = r->places[r->n_places - 1].id;
}

static void on_listed(void *arg, const struct storage_answer *listed)
{
	struct request *r = arg;

	if (listed->err.code == ERR_UNAVAILABLE && r->n_interruptions++ < MAX_INTERRUPTION) {
		storage_list_dirs(r->cs->storage, r->dir, on_listed, r);
		return;
	}
	if (listed->err.code != ERR_NONE) {
		answer_error(r, &listed->err);
		return;
	}
	list_places(r, listed);
	try_newest(r);
}

void checkpoint_store_find(struct checkpoint_store *cs, const struct id128 *job_id, checkpoint_store_fn *fn,
    void *arg)
{
	struct request *r = request_create(cs, fn, arg);

	r->job_id = *job_id;
	r->dir = job_dir(cs, job_id);
	storage_list_dirs(cs->storage, r->dir, on_listed, r);
}

/* ---- removal ---- */

static void on_removed(void *arg, const struct storage_answer *removed)
{
	answer_error(arg, &removed->err);
}

void checkpoint_store_remove(struct checkpoint_store *cs, const char *path, checkpoint_store_fn *fn,
    void *arg)
{
	struct request *r = request_create(cs, fn, arg);

	r->dir = plain_path(path, &r->refused);
	if (r->dir != NULL && !has_prefix(last_component(r->dir), CHECKPOINT) &&
	    !has_prefix(last_component(r->dir), SAVEPOINT))
		err_set(&r->refused, ERR_INVALID, "%s has not the name of a checkpoint", r->dir);
	if (r->refused.code != ERR_NONE)
		refuse(r);
	else
		storage_remove(cs->storage, r->dir, on_removed, r);
}

void checkpoint_store_remove_job(struct checkpoint_store *cs, const struct id128 *job_id,
    checkpoint_store_fn *fn, void *arg)
{
	struct request *r = request_create(cs, fn, arg);

	r->dir = job_dir(cs, job_id);
	storage_remove(cs->storage, r->dir, on_removed, r);
}
