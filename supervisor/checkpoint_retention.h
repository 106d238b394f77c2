/*
 * The durable checkpoints of a job: the one that a restart begins with, its bytes at hand in a memfd, and
 * those that are kept on disk.
 */
#ifndef SUPERVISOR_CHECKPOINT_RETENTION_H
#define SUPERVISOR_CHECKPOINT_RETENTION_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/state/checkpoint_file.h"

struct retained {
	uint64_t id;
	char *path;
};
struct retention {
	uint64_t latest_id; /* 0: none */
	int latest_fd;
	char *latest_path;
	enum checkpoint_kind latest_kind;
	struct retained *kept; /* oldest first; no savepoints */
	uint32_t n_kept, cap;
};

void retention_init(struct retention *r);
void retention_fini(struct retention *r);
/* What restarts read of it: all its bytes in a memfd, or -1. */
int retention_bytes(const struct checkpoint_file *f, struct err *e);
/* Takes ownership of fd. */
void retention_set_latest(struct retention *r, uint64_t id, int fd, enum checkpoint_kind kind,
    const char *path);
/* Twice the same is once. */
void retention_keep(struct retention *r, uint64_t id, const char *path);
/* While more than n_allowed are kept: take off the oldest, whose path the caller frees. */
bool retention_take_surplus(struct retention *r, uint32_t n_allowed, struct retained *oldest);

#endif
