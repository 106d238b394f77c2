/*
 * Whether a job can begin with a checkpoint or savepoint: every operator that has state in it is in the
 * job, by its id, with the same max parallelism.  The parallelism may be another one.  Pure.
 */
#ifndef SUPERVISOR_RESTORE_CHECK_H
#define SUPERVISOR_RESTORE_CHECK_H

#include "supervisor/execution_graph.h"
#include "worker/state/checkpoint_file.h"

/* allow_non_restored: state of operators that the job does not have is left behind. */
int restore_check(const struct job_graph *g, const struct checkpoint_file *f, bool allow_non_restored,
    struct err *e);

#endif
