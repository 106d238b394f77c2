/*
 * Key hashes are Java's and key groups Flink's, bit for bit.
 */
#include "t/tap.h"
#include "worker/graph/job_graph.h"

static uint32_t group_of(const char *s)
{
	return key_group(key_hash_string(s, strlen(s)), 128);
}

/* Values of String.hashCode, also of what new String(bytes, UTF_8) makes of malformed bytes. */
static void strings(void)
{
	static const struct {
		const char *bytes;
		uint32_t hash;
	} rows[] = {
		{ "", 0 },
		{ "a", 97 },
		{ "hello", 99162322 },
		{ "Aa", 2112 },
		{ "BB", 2112 },
		{ "/help", 46604272 },
		{ "\xc3\xa9", 233 },             /* one unit: e acute */
		{ "\xe2\x82\xac", 8364 },        /* one unit: euro */
		{ "\xf0\x9f\x98\x80", 1772899 }, /* two units: a surrogate pair */
		{ "\xff", 65533 },
		{ "\xc0\xaf", 2097056 }, /* overlong: two replacements */
		{ "\xe2\x82", 65533 },   /* cut off: one */
		{ "\xf0\x9f\x98", 65533 },
		{ "\xed\xb9\x90", 65533 }, /* a lone surrogate: one */
		{ "\xe0\xf4\xed\xa0\x9f", 65074269 },
		{ "\xed\xac\xed\x1e\xc2\x8f", 2015271889 },
		{ "\x41\xdf\xed\xbf", 2159521 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		is_int(key_hash_string(rows[i].bytes, strlen(rows[i].bytes)), rows[i].hash,
		    "hash of string %zu", i);
	is_int(key_hash_string("a\0b", 3), 97 * 31 * 31 + 98, "a NUL counts");
}

static void numbers_and_bytes(void)
{
	weir_key key = { .num = -1 };

	is_int(key_hash_int(-5), (uint32_t)-5, "an int is its own hash");
	is_int(key_hash_long(-1), 0, "Long.hashCode(-1)");
	is_int(key_hash_long(INT64_C(1) << 32), 1, "Long.hashCode(2^32)");
	is_int(key_hash_long(INT64_MIN), 0x80000000u, "Long.hashCode(MIN_VALUE)");
	is_int(key_hash_bytes("\1\2\3", 3), 30817, "Arrays.hashCode of three bytes");
	is_int(key_hash_bytes("\xff", 1), 30, "bytes are signed");
	is_int(key_hash_bytes("", 0), 1, "no bytes");
	is_int(key_hash(WEIR_KEY_INT, &key), UINT32_MAX, "by kind: int");
	is_int(key_hash(WEIR_KEY_LONG, &key), 0, "by kind: long");
	key.data = "hello";
	key.len = 5;
	is_int(key_hash(WEIR_KEY_STRING, &key), 99162322, "by kind: string");
	is_int(key_hash(WEIR_KEY_BYTES, &key), key_hash_bytes("hello", 5), "by kind: bytes");
	is_int(key_hash(WEIR_KEY_NONE, &key), 0, "no key");
}

static void groups(void)
{
	static const struct {
		const char *page;
		uint32_t group;
	} pages[] = { { "/help", 111 }, { "/index", 16 }, { "/shop", 73 }, { "/jobs", 15 }, { "/about", 61 },
		{ "/news", 38 } };
	bool whole = true;

	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		is_int(group_of(pages[i].page), pages[i].group, "key group of %s at 128", pages[i].page);
	for (uint32_t h = 0; h < 100000; h++)
		whole = whole && key_group(h * 2654435761u, 32768) < 32768;
	ok(whole, "groups stay below the maximum");
}

/* The ranges of all subtasks cover the groups once, and agree with key_group_subtask. */
static void ranges(void)
{
	static const uint32_t maxima[] = { 1, 2, 7, 128, 300, 32768 };
	bool whole = true;

	for (size_t m = 0; m < sizeof(maxima) / sizeof(maxima[0]); m++)
		for (uint32_t p = 1; p <= maxima[m] && p <= 200; p++) {
			uint32_t next = 0, first, end;

			for (uint32_t s = 0; s < p; s++) {
				key_group_range(s, maxima[m], p, &first, &end);
				whole = whole && first == next && end > first;
				whole = whole && key_group_subtask(first, maxima[m], p) == s;
				whole = whole && key_group_subtask(end - 1, maxima[m], p) == s;
				next = end;
			}
			whole = whole && next == maxima[m];
		}
	ok(whole, "the ranges of all subtasks cover all groups once");
	is_int(key_group_subtask(111, 128, 2), 1, "/help at parallelism 2");
	is_int(key_group_subtask(61, 128, 2), 0, "/about at parallelism 2");
}

int main(void)
{
	strings();
	numbers_and_bytes();
	groups();
	ranges();
	return tap_done();
}
