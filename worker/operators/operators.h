/*
 * The operators of this directory, and what they share.
 */
#ifndef WORKER_OPERATORS_OPERATORS_H
#define WORKER_OPERATORS_OPERATORS_H

#include "worker/runtime/operator.h"

extern const struct operator_type operator_function; /* map, filter, flatMap */
extern const struct operator_type operator_watermarks;
extern const struct operator_type operator_window;

/* Judge a user call's result: negative fails the task, with the function's own sentence where it gave one by
 * weir_fail, and `what` otherwise. Returns false when the task is failed. */
static inline bool operator_ok(struct operator *op, int rc, const char *what)
{
	if (rc >= 0)
		return true;
	/* the first failure sticks, so weir_fail's sentence wins */
	task_fail(op->task, "%s: the function's %s returned %d without saying why", op->node->name, what, rc);
	return false;
}

#endif
