/*
 * Uploaded jobs: files <uuid>_<name> below <web.upload.dir>/flink-web-upload.  The list is kept in
 * memory, so that an id is looked up and never made into a path; the files are handled by
 * the storage process.  They survive a restart.
 */
#ifndef SUPERVISOR_JAR_STORE_H
#define SUPERVISOR_JAR_STORE_H

#include "base/clock.h"
#include "rest/gateway.h"
#include "supervisor/storage.h"

struct jar_store;

struct jar {
	char *id; /* the file's name */
	int64_t uploaded_ms;
};

/* dir is copied; it need not exist yet. */
struct jar_store *jar_store_create(const char *dir, const struct clock *clock);
void jar_store_destroy(struct jar_store *js);
/* Read the directory; a listing that fails is logged. storage is borrowed until jar_store_destroy. */
void jar_store_start(struct jar_store *js, struct storage *storage);

const char *jar_store_dir(const struct jar_store *js);
unsigned jar_store_n(const struct jar_store *js);
const struct jar *jar_store_at(const struct jar_store *js, unsigned i); /* newest first */
/* The path of a jar; caller frees. NULL: ERR_NOT_FOUND. */
char *jar_store_path(const struct jar_store *js, const char *id, struct err *e);
/* "<uuid>_<name>" to the name. */
const char *jar_name(const char *id);

/* Take over the file at temp_path. text of done: where it is now. */
void jar_store_add(struct jar_store *js, const char *temp_path, const char *name, gw_done_fn *done,
    void *arg);
void jar_store_remove(struct jar_store *js, const char *id, gw_done_fn *done, void *arg);

#endif
