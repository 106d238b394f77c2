/*
 * Between supervisor/storage.c, which asks, and supervisor/storage_proc.c, which does:
 * bodies of STORE and STORED.  Included by those two and their tests only.
 */
#ifndef SUPERVISOR_STORAGE_MSG_H
#define SUPERVISOR_STORAGE_MSG_H

#include "base/msg.h"
#include "supervisor/storage.h"

#define STORAGE_READ_MAX (32 * 1024 * 1024)

enum storage_op {
	STORAGE_PUT_FD,       /* fd as dir/name */
	STORAGE_PUT_ARTIFACT, /* the file `name` as dir/<sha256>.so */
	STORAGE_PUT_BYTES,    /* data as dir/name */
	STORAGE_READ,         /* dir/name, or dir where name is "" */
	STORAGE_REMOVE,       /* the same, file or tree */
	STORAGE_LIST,         /* files in dir */
	STORAGE_LIST_DIRS,    /* directories in dir */
	STORAGE_READ_MEMFD,   /* dir; name is the limit in bytes */
	STORAGE_N_OPS
};

struct storage_request {
	uint64_t id;
	enum storage_op op;
	const char *dir, *name; /* borrowed from the reader */
	const void *data;
	size_t len;
	int fd; /* -1: none; the caller closes */
};
void storage_encode_request(struct msg_writer *w, const struct storage_request *q);
int storage_decode_request(struct msg_reader *r, struct storage_request *q, struct err *e);

void storage_encode_answer(struct msg_writer *w, uint64_t id, const struct storage_answer *a);
/* Strings and data are borrowed from the reader; entries and fd are released by storage_answer_fini. */
int storage_decode_answer(struct msg_reader *r, uint64_t *id, struct storage_answer *a, struct err *e);
void storage_answer_fini(struct storage_answer *a);

#endif
