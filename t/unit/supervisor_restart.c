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
		is_int(restart_delay_ms(&r, &settings, 0), want_ms[i], "delay of restart %u", i + 1);
}

static void test_reset(void)
{
	struct restart_strategy r;

	restart_init(&r);
	restart_delay_ms(&r, &settings, 0);
	restart_delay_ms(&r, &settings, 0);
	is_int(restart_delay_ms(&r, &settings, settings.reset_ms - 1), 200,
	    "a run just short of the threshold changes nothing");
	is_int(restart_delay_ms(&r, &settings, settings.reset_ms), 0, "a run of the threshold starts anew");
	is_int(restart_delay_ms(&r, &settings, 0), 100, "and then comes the initial delay");
}

static void test_reload(void)
{
	struct restart_settings other = settings;
	struct restart_strategy r;
	int i;

	restart_init(&r);
	for (i = 0; i < 20; i++)
		restart_delay_ms(&r, &settings, 0);
	other.max_ms = 2000;
	is_int(restart_delay_ms(&r, &other, 0), 2000, "a lowered maximum holds at once");
	other.max_ms = INT64_MAX;
	for (i = 0; i < 80; i++)
		restart_delay_ms(&r, &other, 0);
	is_int(restart_delay_ms(&r, &other, 0), INT64_MAX, "doubling does not overflow");

	restart_init(&r);
	other.initial_ms = 500;
	other.max_ms = 200;
	restart_delay_ms(&r, &other, 0);
	is_int(restart_delay_ms(&r, &other, 0), 200, "a maximum below the initial delay wins");
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

int main(void)
{
	test_doubling();
	test_reset();
	test_reload();
	test_settings();
	return tap_done();
}
