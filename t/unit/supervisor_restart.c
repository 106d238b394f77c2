/*
 * The delays between restarts: at once, doubling, capped, reset, reloaded.
 */
#include "supervisor/restart.h"

#include "t/tap.h"

static const struct restart_settings settings = { .initial_ms = 100, .max_ms = 10000, .reset_ms = 60000 };

static void test_doubling(void)
{
	static const int64_t want_ms[] = { 0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000, 10000 };
	struct restart_strategy r;
	unsigned i;

	restart_init(&r);
	for (i = 0; i < sizeof(want_ms) / sizeof(want_ms[0]); i++)
		is_int(restart_delay_ms(&r, &settings, 0, 0), want_ms[i], "delay of restart %u", i + 1);
}

static void test_reset(void)
{
	struct restart_strategy r;

	restart_init(&r);
	restart_delay_ms(&r, &settings, 0, 0);
	restart_delay_ms(&r, &settings, 0, 0);
	is_int(restart_delay_ms(&r, &settings, settings.reset_ms - 1, 0), 200,
	    "a run just short of the threshold changes nothing");
	is_int(restart_delay_ms(&r, &settings, settings.reset_ms, 0), 0,
	    "a run of the threshold starts anew");
	is_int(restart_delay_ms(&r, &settings, 0, 0), 100, "and then comes the initial delay");
}

static void test_reload(void)
{
	struct restart_settings other = settings;
	struct restart_strategy r;
	int i;

	restart_init(&r);
	for (i = 0; i < 20; i++)
		restart_delay_ms(&r, &settings, 0, 0);
	other.max_ms = 2000;
	is_int(restart_delay_ms(&r, &other, 0, 0), 2000, "a lowered maximum holds at once");
	other.max_ms = INT64_MAX;
	for (i = 0; i < 80; i++)
		restart_delay_ms(&r, &other, 0, 0);
	is_int(restart_delay_ms(&r, &other, 0, 0), INT64_MAX, "doubling does not overflow");

	restart_init(&r);
	other.initial_ms = 500;
	other.max_ms = 200;
	restart_delay_ms(&r, &other, 0, 0);
	is_int(restart_delay_ms(&r, &other, 0, 0), 200, "a maximum below the initial delay wins");
}

static void test_settings(void)
{
	struct conf conf;
	struct restart_settings s;

	memset(&conf, 0, sizeof(conf));
	conf.restart_initial_backoff_ms = 7;
	conf.restart_max_backoff_ms = 70;
	conf.restart_reset_threshold_ms = 700;
	restart_settings_from(&s, &conf);
	ok(s.initial_ms == 7 && s.max_ms == 70 && s.reset_ms == 700, "the settings are the configuration's");
}

static void test_fixed(void)
{
	struct restart_settings s = { .kind = RESTART_FIXED_DELAY, .attempts = 2, .fixed_ms = 300 };
	struct restart_strategy r;
	char why[128];

	restart_init(&r);
	is_int(restart_delay_ms(&r, &s, 0, 0), 300, "fixed-delay: the first restart after its delay");
	is_int(restart_delay_ms(&r, &s, 999999, 5), 300, "the second, too, however long the job ran");
	is_int(restart_delay_ms(&r, &s, 0, 9), RESTART_NEVER, "no third one");
	is_str(restart_suppressed(&s, why),
	    "Recovery is suppressed by FixedDelayRestartBackoffTimeStrategy(maxNumberRestartAttempts=2, "
	    "backoffTimeMS=300)",
	    "and why, in Flink's words");
	s.attempts = 3;
	is_int(restart_delay_ms(&r, &s, 0, 9), 300, "a raised limit holds at once");
	restart_fini(&r);
}

static void test_rate(void)
{
	struct restart_settings s = {
		.kind = RESTART_FAILURE_RATE, .rate_max = 2, .rate_interval_ms = 1000, .rate_ms = 10
	};
	struct restart_strategy r;

	restart_init(&r);
	is_int(restart_delay_ms(&r, &s, 0, 100), 10, "failure-rate: one failure");
	is_int(restart_delay_ms(&r, &s, 0, 1099), 10, "two in an interval");
	is_int(restart_delay_ms(&r, &s, 0, 1100), 10, "the first one no longer counts");
	is_int(restart_delay_ms(&r, &s, 0, 1101), RESTART_NEVER, "three in an interval are too many");
	restart_fini(&r);
}

static void test_none(void)
{
	struct restart_settings s = { .kind = RESTART_NONE };
	struct restart_strategy r;
	char why[128];

	restart_init(&r);
	is_int(restart_delay_ms(&r, &s, 1000000, 0), RESTART_NEVER, "none: no restart");
	is_str(restart_suppressed(&s, why), "Recovery is suppressed by NoRestartBackoffTimeStrategy",
	    "and why");
	restart_fini(&r);
}

int main(void)
{
	test_fixed();
	test_rate();
	test_none();
	test_doubling();
	test_reset();
	test_reload();
	test_settings();
	return tap_done();
}
