/*
 * Restart strategies.
 */
#include "supervisor/restart.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void restart_settings_from(struct restart_settings *s, const struct conf *conf)
{
	static const char *const words[] = { "exponential-delay", "fixed-delay", "failure-rate", "none" };
	int i;

	s->kind = RESTART_EXPONENTIAL_DELAY;
	for (i = 0; conf->restart_strategy != NULL && i < (int)ARRAY_LEN(words); i++)
		if (strcmp(conf->restart_strategy, words[i]) == 0)
			s->kind = (enum restart_kind)i;
	s->initial_ms = conf->restart_initial_backoff_ms;
	s->max_ms = conf->restart_max_backoff_ms;
	s->reset_ms = conf->restart_reset_threshold_ms;
	s->attempts = conf->restart_fixed_attempts;
	s->fixed_ms = conf->restart_fixed_delay_ms;
	s->rate_max = conf->restart_rate_max;
	s->rate_interval_ms = conf->restart_rate_interval_ms;
	s->rate_ms = conf->restart_rate_delay_ms;
}

void restart_init(struct restart_strategy *r)
{
	memset(r, 0, sizeof(*r));
}

void restart_fini(struct restart_strategy *r)
{
	free(r->when_ms);
	r->when_ms = NULL;
	r->n_when = 0;
}

static int64_t exponential_ms(struct restart_strategy *r, const struct restart_settings *s, int64_t ran_ms)
{
	int64_t delay_ms;

	r->backoff.initial_ms = s->initial_ms;
	r->backoff.max_ms = s->max_ms;
	r->backoff.reset_ms = s->reset_ms;
	delay_ms = backoff_next(&r->backoff, ran_ms);
	/* A maximum below the initial delay, or lowered since the last failure, holds too. */
	return delay_ms < s->max_ms ? delay_ms : s->max_ms;
}

static bool within_rate(struct restart_strategy *r, const struct restart_settings *s, int64_t now_ms)
{
	int64_t n_old = 0;

	while (n_old < r->n_when && (r->when_ms[n_old] + s->rate_interval_ms <= now_ms))
		n_old++;
	r->n_when -= n_old;
	if (n_old > 0)
		memmove(r->when_ms, r->when_ms + n_old, (size_t)r->n_when * sizeof(*r->when_ms));
	if (r->n_when >= s->rate_max)
		return false;
	r->when_ms = xreallocarray(r->when_ms, (size_t)r->n_when + 1, sizeof(*r->when_ms));
	r->when_ms[r->n_when++] = now_ms;
	return true;
}

int64_t restart_delay_ms(struct restart_strategy *r, const struct restart_settings *s, int64_t ran_ms,
    int64_t now_ms)
{
	switch (s->kind) {
	case RESTART_EXPONENTIAL_DELAY:
		return exponential_ms(r, s, ran_ms);
	case RESTART_FIXED_DELAY:
		if (r->n_restarts >= s->attempts)
			return RESTART_NEVER;
		r->n_restarts++;
		return s->fixed_ms;
	case RESTART_FAILURE_RATE:
		return within_rate(r, s, now_ms) ? s->rate_ms : RESTART_NEVER;
	case RESTART_NONE:
		break;
	}
	return RESTART_NEVER;
}

const char *restart_suppressed(const struct restart_settings *s, char out[128])
{
	switch (s->kind) {
	case RESTART_FIXED_DELAY:
		snprintf(out, 128,
		    "Recovery is suppressed by "
		    "FixedDelayRestartBackoffTimeStrategy(maxNumberRestartAttempts=%" PRId64
		    ", backoffTimeMS=%" PRId64 ")",
		    s->attempts, s->fixed_ms);
		return out;
	case RESTART_FAILURE_RATE:
		snprintf(out, 128,
		    "Recovery is suppressed by "
		    "FailureRateRestartBackoffTimeStrategy(maxFailuresPerInterval=%" PRId64
		    ")",
		    s->rate_max);
		return out;
	case RESTART_EXPONENTIAL_DELAY:
	case RESTART_NONE:
		break;
	}
	return "Recovery is suppressed by NoRestartBackoffTimeStrategy";
}
