/*
 * What the storage process does to files.  Every file it makes appears by
 * temporary name, fsync, rename, fsync of the directory.  May wait for the disk: never
 * in the supervisor.
 */
#ifndef SUPERVISOR_STORAGE_OPS_H
#define SUPERVISOR_STORAGE_OPS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "supervisor/storage.h"

#define STORAGE_SHA_SIZE 65

/* One path component that is not hidden. */
int storage_check_name(const char *name, struct err *e);
/* Absolute, not the root, without ".." in it. */
int storage_check_path(const char *path, struct err *e);

/*
 * Copy what src_fd holds to <dir>/<name>, or to <dir>/<sha256>.so where name is NULL; one that is
 * there already with that content stays as it is.  Leftovers of processes that died in here are
 * removed first.  dir and its parents are made where they are missing, durable, too.  *path is freed by
 * the caller.
 */
int storage_copy(int src_fd, const char *dir, const char *name, char **path, char sha256[STORAGE_SHA_SIZE],
    int64_t *size_bytes, struct err *e);
/* Remove a file or a tree for good, also after a power cut; a missing one is fine. */
int storage_remove_path(const char *path, struct err *e);
/* A missing directory is an empty list. Freed by storage_answer_fini's rules: each name, then the array. */
int storage_list_dir(const char *dir, struct storage_entry **entries, uint32_t *n, struct err *e);
/* The same of the directories in it. */
int storage_list_subdirs(const char *dir, struct storage_entry **entries, uint32_t *n, struct err *e);
/* The content of a regular file of at most max_bytes as a memfd, or -1. */
int storage_read_file(const char *path, int64_t max_bytes, int64_t *size_bytes, struct err *e);

#endif
