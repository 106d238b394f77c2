/*
 * The delays between a job's restarts.
 */
#include "supervisor/restart.h"

void restart_settings_from(struct restart_settings *s, const struct conf *conf)
{
	s->initial_ms = conf->restart_initial_backoff_ms;
	s->max_ms = conf->restart_max_backoff_ms;
	s->reset_ms = conf->restart_reset_threshold_ms;
}

void restart_init(struct restart_strategy *r)
{
	r->backoff.next_ms = 0;
}

int64_t restart_delay_ms(struct restart_strategy *r, const struct restart_settings *s, int64_t ran_ms)
{
	int64_t delay_ms;

	r->backoff.initial_ms = s->initial_ms;
	r->backoff.max_ms = s->max_ms;
	r->backoff.reset_ms = s->reset_ms;
	delay_ms = backoff_next(&r->backoff, ran_ms);
	/* A maximum below the initial delay, or lowered since the last failure, holds too. */
	return delay_ms < s->max_ms ? delay_ms : s->max_ms;
}
