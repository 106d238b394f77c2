/*
 * Files: paths as the configuration writes them, whole-file reads, and writes
 * that are either complete or absent (temporary name, fsync, rename, fsync of
 * the directory).  Slow; never called on a slot or, but at start, by the
 * supervisor's loop.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* "file:///x", "file:/x" and "/x" are /x; other schemes are refused.
 * Caller frees the returned absolute or relative path. */
char *file_path_from_uri(const char *uri, struct err *e);

/* mkdir -p, mode 0700 for the directories made. */
int file_mkdirs(const char *path, struct err *e);

/* Read a whole file of at most max_bytes. Caller frees *data (NUL behind). */
int file_read(const char *path, size_t max_bytes, char **data, size_t *len, struct err *e);

/* Appear whole or not at all, durable on return. */
int file_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *e);

/* Write all of data, going on after short writes and EINTR. Returns 0 or -1 with errno. */
int file_write_all(int fd, const void *data, size_t len);

/* Remove a tree; a missing one is success. */
int file_remove_tree(const char *path, struct err *e);

/* SHA-256 of the file behind fd, from its start, as 64 hex digits and NUL. */
int file_sha256(int fd, char hex[65], struct err *e);

/* A sealed-later memfd holding data; caller closes. */
int file_memfd(const char *name, const void *data, size_t len, struct err *e);
/* The content of a memfd or file, at most max_bytes; caller frees *data (NUL behind). */
int file_read_fd(int fd, size_t max_bytes, char **data, size_t *len, struct err *e);

#endif
