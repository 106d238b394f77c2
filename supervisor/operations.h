/*
 * Requests that take their time and are asked about later: savepoints, stops, disposals.  Each has a
 * random id for the client and a number for the rest of the supervisor; its outcome is kept for a while.
 */
#ifndef SUPERVISOR_OPERATIONS_H
#define SUPERVISOR_OPERATIONS_H

#include "base/clock.h"
#include "rest/gateway.h"

struct operation {
	struct id128 id;
	uint64_t number;
	struct id128 job; /* zero: of none */
	enum gw_operation_status status;
	char *location;            /* COMPLETED; NULL: none */
	const char *failure_class; /* FAILED; static storage */
	char *failure;
	int64_t ended_ns;
};

struct operations;

/* clock is borrowed. */
struct operations *operations_create(const struct clock *clock);
void operations_destroy(struct operations *o);

/* A new one, IN_PROGRESS; borrowed until it is forgotten. job NULL: none. */
const struct operation *operations_begin(struct operations *o, const struct id128 *job);
/* Its end. What is not IN_PROGRESS stays as it is. failure_class NULL: by e's code. */
void operations_end(struct operations *o, uint64_t number, const char *location, const struct err *e,
    const char *failure_class);
/* NULL: unknown, of another job, or forgotten. */
const struct operation *operations_find(struct operations *o, const struct id128 *job,
    const struct id128 *id);

#endif
