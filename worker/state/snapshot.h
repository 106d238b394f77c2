/*
 * What a snapshot is made of: for each operator of a task its keyed state by key group
 * and its operator state as a list of entries.  Written on the task's fiber at a barrier,
 * travels in the acknowledgement, lies in `_metadata`, is read when a task is restored, also by
 * another number of subtasks: keyed state goes to whoever has the key group, a list's
 * entries go to every subtask, which takes what is its own.
 *
 * Bytes: little-endian, lengths before contents, each section by its operator's id, so that state finds its
 * operator when the job around it has changed.  Nothing that is read is trusted.
 */
#ifndef WORKER_STATE_SNAPSHOT_H
#define WORKER_STATE_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"

/* ---- writing: one task's part of a checkpoint ---- */

struct snapshot_writer {
	uint8_t *data;
	size_t len, cap;
	size_t section; /* where the open operator's length goes; 0: none is open */
	size_t group;   /* the same of the open key group or entry */
};
void snapshot_writer_init(struct snapshot_writer *w);
void snapshot_writer_fini(struct snapshot_writer *w);
/* All of one operator between these two. */
void snapshot_begin(struct snapshot_writer *w, const struct id128 *operator_id);
void snapshot_end(struct snapshot_writer *w);
/* One key group's bytes between these two; groups in ascending order. */
void snapshot_begin_group(struct snapshot_writer *w, uint32_t key_group);
/* One entry of the operator's list state called name (16 bytes at most). */
void snapshot_begin_entry(struct snapshot_writer *w, const char *name);
void snapshot_end_part(struct snapshot_writer *w);
void snapshot_put_u32(struct snapshot_writer *w, uint32_t v);
void snapshot_put_u64(struct snapshot_writer *w, uint64_t v);
void snapshot_put_i64(struct snapshot_writer *w, int64_t v);
void snapshot_put_bytes(struct snapshot_writer *w, const void *p, size_t len);
void snapshot_put_str(struct snapshot_writer *w, const char *s);

/* ---- reading ---- */

/* Bytes of one part; runs dry instead of over. */
struct snapshot_part {
	bool keyed;
	uint32_t key_group; /* when keyed */
	char name[17];      /* when not */
	const uint8_t *p, *end;
	bool bad;
};
uint32_t snapshot_get_u32(struct snapshot_part *r);
uint64_t snapshot_get_u64(struct snapshot_part *r);
int64_t snapshot_get_i64(struct snapshot_part *r);
const void *snapshot_get_bytes(struct snapshot_part *r, size_t *len); /* borrowed */
const char *snapshot_get_str(struct snapshot_part *r);                /* borrowed, "" when bad */
bool snapshot_part_ok(const struct snapshot_part *r);                 /* all read, nothing over */

/*
 * Call fn for each part of one operator in one task's bytes, in order; -1 from fn ends it.
 * Returns 0, or -1 with e: fn's, or what is damaged where.  Another operator's bytes are skipped.
 */
typedef int snapshot_part_fn(void *arg, struct snapshot_part *part, struct err *e);
int snapshot_each(const void *data, size_t len, const struct id128 *operator_id, snapshot_part_fn *fn, void *arg,
    struct err *e);
/* The operators that have state in one task's bytes. */
typedef int snapshot_operator_fn(void *arg, const struct id128 *operator_id, size_t len, struct err *e);
int snapshot_operators(const void *data, size_t len, snapshot_operator_fn *fn, void *arg, struct err *e);

#endif
