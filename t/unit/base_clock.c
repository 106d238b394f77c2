/* base/clock.h: the system's clock, the virtual one, times as text. */
#include "base/clock.h"

#include "t/tap.h"

static const char *iso(int64_t wall_ms)
{
	static char text[CLOCK_ISO_SIZE];

	memset(text, 'x', sizeof(text));
	clock_iso(wall_ms, text);
	return text;
}

int main(void)
{
	struct clock_virtual v;
	int64_t mono, before = clock_mono_ns(&clock_system);

	ok(clock_mono_ns(&clock_system) >= before, "monotonic time does not go back");
	ok(clock_wall_ms(&clock_system) > INT64_C(1600000000000), "wall time is in this century, in ms");
	ok(llabs(clock_wall_ms(&clock_system) / 1000 - (long long)time(NULL)) <= 1, "and agrees with time()");

	clock_virtual_init(&v, 5000);
	mono = clock_mono_ns(&v.clock);
	is_int(clock_wall_ms(&v.clock), 5000, "a virtual clock starts as told");
	ok(mono > 0, "its monotonic time is not 0");
	is_int(clock_mono_ns(&v.clock), mono, "it stands still");
	clock_virtual_advance(&v, 1500);
	is_int(clock_wall_ms(&v.clock), 6500, "it moves when told: wall");
	is_int(clock_mono_ns(&v.clock) - mono, 1500 * NS_PER_MS, "it moves when told: monotonic");
	clock_virtual_advance(&v, 0);
	is_int(clock_wall_ms(&v.clock), 6500, "by nothing, too");

	is_str(iso(0), "1970-01-01T00:00:00.000Z", "the epoch");
	is_str(iso(INT64_C(1767323045678)), "2026-01-02T03:04:05.678Z", "a day of 2026");
	is_str(iso(INT64_C(951827696789)), "2000-02-29T12:34:56.789Z", "a leap day");
	is_str(iso(INT64_C(253402300799999)), "9999-12-31T23:59:59.999Z", "the last of four-digit years");
	is_str(iso(INT64_MAX), "9999-12-31T23:59:59.999Z", "later ones are shown as that");
	is_str(iso(INT64_MIN), "1970-01-01T00:00:00.000Z", "earlier ones as the epoch");
	return tap_done();
}
