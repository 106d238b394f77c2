/*
 * A fiber: a stack of its own that a slot's thread switches to and from.  Each
 * task runs on one, so that a user call deep in a chain can wait.
 *
 * A fiber belongs to one thread: the thread that creates it also resumes and destroys it.
 * It is left by fiber_yield or by returning; a fiber that has not returned
 * is never destroyed, because what is on its stack would be lost.
 *
 * ASan and TSan are told of every switch where the build has them.
 */
#ifndef WORKER_RUNTIME_FIBER_H
#define WORKER_RUNTIME_FIBER_H

#include <stdbool.h>

#include "base/err.h"

#define FIBER_STACK_SIZE (256u << 10) /* and a guard page below: an overflow ends the process */

struct fiber;

/* NULL where the stack cannot be mapped. fn runs at the first resume. */
struct fiber *fiber_create(void (*fn)(void *arg), void *arg, struct err *e);
/* A fiber that has returned or was never resumed. */
void fiber_destroy(struct fiber *f);

/* Run f until it yields or returns. From a thread's own stack, not from another fiber. */
void fiber_resume(struct fiber *f);
/* Back to whoever resumed f, which is the running fiber. */
void fiber_yield(struct fiber *f);
bool fiber_done(const struct fiber *f);

#endif
