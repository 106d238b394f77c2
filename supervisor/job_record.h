/*
 * A record of the job store: what a JobManager needs to go on with a job that an earlier one left.
 * Its plan is built anew from the artifact and the arguments; its state is what its checkpoints' directory
 * holds.  Plain value.
 */
#ifndef SUPERVISOR_JOB_RECORD_H
#define SUPERVISOR_JOB_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"

struct job_record {
	struct id128 job_id;
	char *name;     /* for people */
	char *artifact; /* path of the .so in the store */
	char **argv;
	uint32_t argc;
	uint32_t parallelism;         /* as submitted, 0: not given */
	uint32_t default_parallelism; /* as it was configured then */
	int64_t start_ms;             /* when it was submitted, wall */
	char *savepoint;              /* it began with, NULL: without state */
	bool allow_non_restored;
};

/* Caller frees. */
void *job_record_encode(const struct job_record *r, size_t *len);
/* Everything is verified. On success freed by job_record_fini. */
int job_record_decode(const void *data, size_t len, struct job_record *r, struct err *e);
void job_record_fini(struct job_record *r);

#endif
