/*
 * Settings of checkpoints, from the configuration and from the job.
 */
#include "supervisor/checkpoint_settings.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"

#define PREFIX "execution.checkpointing."

static enum checkpoint_retention retention_from(const char *text)
{
	if (strcmp(text, "RETAIN_ON_CANCELLATION") == 0)
		return RETAIN_CANCELED;
	return strcmp(text, "DELETE_ON_CANCELLATION") == 0 ? RETAIN_FAILED : RETAIN_NONE;
}

void checkpoint_settings_from(struct checkpoint_settings *s, const struct conf *conf)
{
	s->cc = (struct cc_settings){ .interval_ms = conf->checkpoint_interval_ms,
		.timeout_ms = conf->checkpoint_timeout_ms,
		.min_pause_ms = conf->checkpoint_min_pause_ms,
		.max_concurrent = (uint32_t)conf->checkpoint_max_concurrent,
		.num_retained = (uint32_t)conf->checkpoint_retained,
		.tolerable_failures = conf->checkpoint_tolerable_failures,
		.at_least_once = strcmp(conf->checkpoint_mode, "AT_LEAST_ONCE") == 0,
		.history_size = (uint32_t)conf->web_checkpoints_history };
	s->retention = retention_from(conf->checkpoint_retention);
}

static int duration(const struct stream_graph *g, const char *key, int64_t min_ms, int64_t *ms, struct err *e)
{
	const char *text = stream_graph_setting(g, key, NULL);
	int64_t v;

	if (text == NULL)
		return 0;
	if (conf_parse_duration(text, &v, e) != 0)
		return err_prefix(e, "the job's setting %s", key);
	if (v < min_ms || v > 86400000)
		return err_set(e, ERR_INVALID, "the job's setting %s is %lld ms; allowed: %lld ms to 1 d",
		    key, (long long)v, (long long)min_ms);
	*ms = v;
	return 0;
}

static int number(const struct stream_graph *g, const char *key, int64_t min, int64_t max, int64_t *v,
    struct err *e)
{
	const char *text = stream_graph_setting(g, key, NULL);

	if (text == NULL || conf_parse_i64(text, min, max, v, e) == 0)
		return 0;
	return err_prefix(e, "the job's setting %s", key);
}

/* *which: index of the job's word among n, unchanged where it has none. */
static int word(const struct stream_graph *g, const char *key, const char *const *words, int n, int *which,
    struct err *e)
{
	const char *text = stream_graph_setting(g, key, NULL);
	int i;

	if (text == NULL)
		return 0;
	for (i = 0; i < n; i++) {
		if (strcasecmp(words[i], text) == 0) {
			*which = i;
			return 0;
		}
	}
	return err_set(e, ERR_INVALID, "the job's setting %s is \"%s\"; allowed: %s, %s%s%s", key, text,
	    words[0], words[1], n > 2 ? ", " : "", n > 2 ? words[2] : "");
}

int checkpoint_settings_of_job(struct checkpoint_settings *s, const struct stream_graph *g, struct err *e)
{
	static const char *const modes[] = { "EXACTLY_ONCE", "AT_LEAST_ONCE" };
	static const char *const kept[] = { "NO_EXTERNALIZED_CHECKPOINTS", "DELETE_ON_CANCELLATION",
		"RETAIN_ON_CANCELLATION" };
	int64_t concurrent = s->cc.max_concurrent, retained = s->cc.num_retained;
	int mode = s->cc.at_least_once, retention = (int)s->retention;

	if (duration(g, PREFIX "interval", 0, &s->cc.interval_ms, e) != 0 ||
	    duration(g, PREFIX "timeout", 10, &s->cc.timeout_ms, e) != 0 ||
	    duration(g, PREFIX "min-pause", 0, &s->cc.min_pause_ms, e) != 0 ||
	    number(g, PREFIX "max-concurrent-checkpoints", 1, 100, &concurrent, e) != 0 ||
	    number(g, PREFIX "tolerable-failed-checkpoints", 0, 1000000, &s->cc.tolerable_failures, e) != 0 ||
	    number(g, "state.checkpoints.num-retained", 1, 1000, &retained, e) != 0 ||
	    word(g, PREFIX "mode", modes, ARRAY_LEN(modes), &mode, e) != 0 ||
	    word(g, PREFIX "externalized-checkpoint-retention", kept, ARRAY_LEN(kept), &retention, e) != 0)
		return -1;
	s->cc.max_concurrent = (uint32_t)concurrent;
	s->cc.num_retained = (uint32_t)retained;
	s->cc.at_least_once = mode == 1;
	s->retention = (enum checkpoint_retention)retention;
	return 0;
}

bool checkpoint_settings_retain(const struct checkpoint_settings *s, enum job_state end)
{
	if (end == JOB_CANCELED)
		return s->retention == RETAIN_CANCELED;
	if (end == JOB_FAILED)
		return s->retention != RETAIN_NONE;
	return end != JOB_FINISHED;
}
