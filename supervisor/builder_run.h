/*
 * One run of a job builder: a child that runs a submitted job's main and answers with its plan.
 * The supervisor only waits.
 */
#ifndef SUPERVISOR_BUILDER_RUN_H
#define SUPERVISOR_BUILDER_RUN_H

#include "supervisor/child.h"
#include "worker/graph/plugin.h"

struct event_base;
struct builder_run;

/*
 * Once, from the loop, unless the run was killed before; the run is gone when it returns.
 * res is the callee's (build_result_fini); NULL: the process ended without an answer, why says how.
 */
typedef void builder_run_done_fn(void *arg, struct build_result *res, const struct err *why);

/* artifact and argv are borrowed until return. NULL: could not be forked. */
struct builder_run *builder_run_start(struct children *children, struct event_base *base,
    const char *artifact, uint32_t argc, const char *const *argv, builder_run_done_fn *done, void *arg,
    struct err *e);
/* SIGKILL; done is not called any more. */
void builder_run_kill(struct builder_run *b, const char *reason);

#endif
