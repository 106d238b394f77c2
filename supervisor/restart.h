/*
 * The restart strategy of a job: whether and when it is started again after a failure.  Flink's, by its
 * names.  Pure: asks no clock.
 *
 *   exponential-delay  the first restart is at once, the next ones after initial, 2 × initial,
 *                      4 × initial … up to max; a run of at least `reset` without a disturbance starts anew.  The default.
 *   fixed-delay        so many restarts in all, each after the same delay
 *   failure-rate       so many restarts in any interval, each after the same delay
 *   none               no restart
 */
#ifndef SUPERVISOR_RESTART_H
#define SUPERVISOR_RESTART_H

#include <stdint.h>

#include "base/conf.h"
#include "supervisor/backoff.h"

enum restart_kind { RESTART_EXPONENTIAL_DELAY, RESTART_FIXED_DELAY, RESTART_FAILURE_RATE, RESTART_NONE };

struct restart_settings {
	enum restart_kind kind;
	int64_t initial_ms, max_ms, reset_ms;        /* exponential-delay */
	int64_t attempts, fixed_ms;                  /* fixed-delay */
	int64_t rate_max, rate_interval_ms, rate_ms; /* failure-rate */
};
void restart_settings_from(struct restart_settings *s, const struct conf *conf);

struct restart_strategy {
	struct backoff backoff;
	int64_t n_restarts; /* that were granted */
	int64_t *when_ms;   /* failure-rate: when the last ones were granted, oldest first */
	int64_t n_when;
};
void restart_init(struct restart_strategy *r);
void restart_fini(struct restart_strategy *r);

#define RESTART_NEVER (-1)
/*
 * The delay in ms before the restart that is due now, or RESTART_NEVER: the job is FAILED.
 * s:      as configured now; a reload holds from the next failure on
 * ran_ms: how long the job ran before this failure, 0 where it never did
 * now_ms: monotonic
 */
int64_t restart_delay_ms(struct restart_strategy *r, const struct restart_settings *s, int64_t ran_ms,
    int64_t now_ms);
/* "Recovery is suppressed by …": why there was none. out has room for 128 bytes. */
const char *restart_suppressed(const struct restart_settings *s, char out[128]);

#endif
