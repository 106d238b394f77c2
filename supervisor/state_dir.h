/*
 * Where a supervisor keeps its things: the directories of the configuration, which are below the state
 * directory unless given, and the lock that lets only one supervisor use them.
 */
#ifndef SUPERVISOR_STATE_DIR_H
#define SUPERVISOR_STATE_DIR_H

#include <sys/types.h>

#include "base/conf.h"

/*
 * Fill in the paths that were not given.  The state directory is /var/lib/weir for root, else
 * $XDG_STATE_HOME/weir or ~/.local/state/weir.  state.savepoints.dir stays empty: a savepoint without
 * a target is refused, as in Flink.
 */
int state_dir_resolve(struct conf *conf, struct err *e);
/* Make what is missing. */
int state_dir_make(const struct conf *conf, struct err *e);
/*
 * Take <storageDir>/supervisor.lock for the life of this process.
 * Waits, at most 2 s, for a child of a dead supervisor that has not yet closed what it inherited.
 * Returns the descriptor that holds it, or -1: ERR_CONFLICT names the pid that has it.
 */
int state_dir_lock(const struct conf *conf, struct err *e);
/*
 * Open <storageDir>/workers.lock, which is locked for as long as a worker of this supervisor or of an
 * earlier one lives: workers inherit the descriptor.  flock it before a job of an earlier supervisor goes on.
 * Returns the descriptor, above 2, or -1.
 */
int state_dir_workers_lock(const struct conf *conf, struct err *e);

#endif
