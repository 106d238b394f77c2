/*
 * Whether the kernel has killed for lack of memory: the counter of this process's
 * control group, or of the whole machine where it has none.  Supervisor.
 */
#ifndef SUPERVISOR_OOM_H
#define SUPERVISOR_OOM_H

#include <stdint.h>

/* Out-of-memory kills until now; -1 where the kernel does not say. Small reads of /proc and /sys. */
int64_t oom_kill_count(void);

#endif
