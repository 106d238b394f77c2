/*
 * `_metadata`: a whole checkpoint or savepoint in one file.  Magic, format version, header, one
 * entry a subtask of each vertex with its task's bytes (worker/state/snapshot.h), and a checksum (XXH3-64)
 * of every block and of the whole.  Written by the supervisor from the acknowledgements, read by it and by
 * workers that restore.  It is complete and verifies, or it is refused with what is wrong and where.
 */
#ifndef WORKER_STATE_CHECKPOINT_FILE_H
#define WORKER_STATE_CHECKPOINT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"

#define CHECKPOINT_FORMAT   1
#define CHECKPOINT_FILE_MAX (64u << 20)

enum checkpoint_kind { CHECKPOINT_PERIODIC, CHECKPOINT_SAVEPOINT, CHECKPOINT_SYNC_SAVEPOINT };
const char *checkpoint_kind_name(enum checkpoint_kind k); /* "CHECKPOINT", "SAVEPOINT", "SYNC_SAVEPOINT" */

struct checkpoint_task {
	struct id128 vertex; /* of the vertex that held it */
	uint32_t subtask;
	uint32_t parallelism, max_parallelism;
	bool finished;    /* it had ended by itself before; no bytes */
	const void *data; /* borrowed from the file's bytes, or from who writes */
	size_t len;
};
struct checkpoint_file {
	struct id128 job_id;
	char *job_name;
	uint64_t id;
	uint64_t attempt;
	enum checkpoint_kind kind;
	int64_t trigger_wall_ms;
	struct checkpoint_task *tasks;
	uint32_t n_tasks;
};

/* All bytes; caller frees. */
void *checkpoint_file_encode(const struct checkpoint_file *f, size_t *len);
/* Verify everything. tasks[].data point into data, which must outlive f. Free by checkpoint_file_fini. */
int checkpoint_file_decode(const void *data, size_t len, struct checkpoint_file *f, struct err *e);
void checkpoint_file_fini(struct checkpoint_file *f);

#endif
