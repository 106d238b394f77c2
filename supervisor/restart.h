/*
 * The restart strategy of a job: whether and when it is started again after a
 * failure.  Flink's exponential-delay, with a first delay of 0: the first restart is at
 * once, the next ones after initial, 2 × initial, 4 × initial … up to max; a run of at least
 * `reset` without a disturbance starts anew.  Pure: asks no clock.
 */
#ifndef SUPERVISOR_RESTART_H
#define SUPERVISOR_RESTART_H

#include <stdint.h>

#include "base/conf.h"
#include "supervisor/backoff.h"

struct restart_settings {
	int64_t initial_ms, max_ms, reset_ms;
};
void restart_settings_from(struct restart_settings *s, const struct conf *conf);

struct restart_strategy {
	struct backoff backoff;
};
void restart_init(struct restart_strategy *r);

/*
 * The delay in ms before the restart that is due now; the next one will be longer.
 * s:      as configured now; a reload holds from the next failure on
 * ran_ms: how long the job ran before this failure, 0 where it never did
 */
int64_t restart_delay_ms(struct restart_strategy *r, const struct restart_settings *s, int64_t ran_ms);

#endif
