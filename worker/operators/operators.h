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

/* Open and close the function of a role, where it has such calls. What was not opened is not closed:
 * `opened` is the operator's own set of roles, zero before open. */
static inline int operator_open_fn(struct operator *op, unsigned *opened, enum fn_role role, struct err *e)
{
	const weir_function *fn = operator_fn(op, role);

	if (fn == NULL)
		return 0;
	op->fn = role;
	*opened |= 1u << role;
	if (fn->open == NULL || fn->open(&op->ctx.pub) >= 0)
		return 0;
	return err_set(e, ERR_USER, "%s: open of %s failed", op->node->name, fn->name);
}

static inline void operator_close_fns(struct operator *op, unsigned opened)
{
	unsigned role;

	for (role = 0; role < FN_N_ROLES; role++) {
		const weir_function *fn = operator_fn(op, (enum fn_role)role);

		if ((opened & 1u << role) == 0 || fn->close == NULL)
			continue;
		op->fn = (enum fn_role)role;
		fn->close(&op->ctx.pub);
	}
}

#endif
