/*
 * ClickCountJob's own code: how events are read and results written, in all timestamp
 * formats, with what is malformed refused in a sentence.
 */
#include "jobs/ClickCountJob.c"

#include "t/tap.h"

static char why[256];

__attribute__((format(printf, 2, 0))) static void ctx_fail(weir_ctx *ctx, const char *fmt, va_list ap)
{
	(void)ctx;
	vsnprintf(why, sizeof(why), fmt, ap);
}

static const weir_ctx_api ctx_api = { .struct_size = sizeof(weir_ctx_api), .fail = ctx_fail };
static weir_ctx ctx = { &ctx_api };
static click_event event;

static int read_bytes(enum ts_format format, const char *json, size_t len)
{
	/* A copy of its own size, so that reading behind its end is seen. */
	char *copy = malloc(len > 0 ? len : 1);
	weir_message m = { .struct_size = sizeof(m), .value = copy, .value_len = (uint32_t)len };
	int rc;

	memcpy(copy, json, len);
	memset(&event, 0, sizeof(event));
	why[0] = '\0';
	rc = read_event(&ctx, &m, &event, format);
	free(copy);
	return rc;
}

static int read_json(enum ts_format format, const char *json)
{
	return read_bytes(format, json, strlen(json));
}

static void test_events(void)
{
	is_int(read_json(TS_PLAYGROUND, "{\"timestamp\":\"01-01-1970 12:00:00:015\",\"page\":\"/help\"}"), 1,
	    "the playground's event");
	is_int(event.timestamp_ms, 15, "its time");
	is_str(event.page, "/help", "its page");
	is_int(read_json(TS_PLAYGROUND,
		   " { \"page\" : \"/\" ,\t\"timestamp\"\n:\r\"01-01-1970 01:02:03:004\" } \n"),
	    1, "any order, any spacing");
	is_int(event.timestamp_ms, 3723004, "its time");
	is_int(
	    read_json(TS_PLAYGROUND,
		"{\"a\":[1,{\"b\":[]},\"]\",-1.5e3,true,null],\"page\":\"/x\",\"c\":{},\"timestamp\":\"01-01-1970 01:00:00:000\"}"),
	    1, "other members are passed over");
	is_int(
	    read_json(TS_PLAYGROUND,
		"{\"page\":\"\\/\\u00e9\\ud83d\\ude00\\n\\\"\\\\\",\"timestamp\":\"01-01-1970 01:00:00:000\"}"),
	    1, "escapes");
	is_str(event.page, "/\xc3\xa9\xf0\x9f\x98\x80\n\"\\", "are what they stand for");
	is_int(read_json(TS_PLAYGROUND, "{\"p\\u0061ge\":\"/y\",\"timestamp\":\"01-01-1970 01:00:00:000\"}"),
	    1, "in names too");
	is_int(read_json(TS_PLAYGROUND,
		   "{\"page\":\"/1\",\"page\":\"/2\",\"timestamp\":\"01-01-1970 01:00:00:000\"}"),
	    1, "said twice");
	is_str(event.page, "/2", "the last one counts");
	is_int(
	    read_json(TS_PLAYGROUND,
		"{\"page\":\"1234567890123456789012345678901234567890123456789012345\",\"timestamp\":\"01-01-1970 01:00:00:000\"}"),
	    1, "a page of 55 bytes");
	is_int(strlen(event.page), 55, "is whole");
}

static void test_malformed(void)
{
	static const struct {
		const char *json, *why;
	} rows[] = {
		{ "", "no JSON object at byte 0" },
		{ "[]", "no JSON object at byte 0" },
		{ "{", "no member name at byte 1" },
		{ "{}", "no timestamp at byte 2" },
		{ "{\"page\":\"/\"}", "no timestamp" },
		{ "{\"timestamp\":\"01-01-1970 01:00:00:000\"}", "no page" },
		{ "{\"timestamp\":\"01-01-1970 01:00:00:000\",\"page\":\"/\"} x",
		    "something behind the JSON object" },
		{ "{\"timestamp\":\"01-01-1970 01:00:00:000\" \"page\":\"/\"}", "no comma or closing brace" },
		{ "{\"timestamp\" \"01-01-1970 01:00:00:000\"}", "no colon" },
		{ "{\"timestamp\":5,\"page\":\"/\"}", "a timestamp that is not a string" },
		{ "{\"timestamp\":\"01-01-1970 13:00:00:000\",\"page\":\"/\"}",
		    "a timestamp that is not of the expected format" },
		{ "{\"timestamp\":\"01-01-1970 00:00:00:000\",\"page\":\"/\"}",
		    "a timestamp that is not of the expected format" },
		{ "{\"timestamp\":\"31-02-1970 01:00:00:000\",\"page\":\"/\"}",
		    "a timestamp that is not of the expected format" },
		{ "{\"timestamp\":\"01-01-1970 01:00:00:0000000000000\",\"page\":\"/\"}",
		    "a timestamp that is not of" },
		{ "{\"timestamp\":null,\"page\":\"/\"}", "a timestamp that is not a string" },
		{ "{\"page\":7}", "a page that is not a string" },
		{ "{\"page\":\"12345678901234567890123456789012345678901234567890123456\"}",
		    "a page of more than 55 bytes" },
		{ "{\"page\":\"a\\u0000b\"}", "a page with a zero byte" },
		{ "{\"page\":\"a", "a string without an end" },
		{ "{\"page\":\"a\\", "an escape that is cut off" },
		{ "{\"page\":\"a\\u12", "an escape that is cut off" },
		{ "{\"page\":\"a\\q\"}", "an unknown escape" },
		{ "{\"page\":\"a\\u12g4\"}", "without four hex digits" },
		{ "{\"page\":\"\\ud800\"}", "half a surrogate pair" },
		{ "{\"page\":\"\\ud800\\u0041\"}", "half a surrogate pair" },
		{ "{\"page\":\"\\udc00\"}", "half a surrogate pair" },
		{ "{\"page\":\"\xc3\"}", "bytes that are not UTF-8" },
		{ "{\"page\":\"\xed\xa0\x80\"}", "bytes that are not UTF-8" },
		{ "{\"page\":\"\xc0\xaf\"}", "bytes that are not UTF-8" },
		{ "{\"page\":\"a\nb\"}", "a control character in a string" },
		{ "{\"x\":}", "no value" },
		{ "{\"x\":[1 2]}", "no comma or closing bracket" },
		{ "{\"x\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}",
		    "nested deeper than 32" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ok(read_json(TS_PLAYGROUND, rows[i].json) < 0, "row %zu is refused", i);
		like(why, rows[i].why, "with its reason");
	}
	{
		weir_message m = { .struct_size = sizeof(m) };
		ok(read_event(&ctx, &m, &event, TS_HH) < 0, "a message without a value is refused");
	}
	/* Every beginning of a good event is a bad one. */
	{
		static const char good[] =
		    "{\"timestamp\":\"01-01-1970 12:00:00:015\",\"page\":\"/he\\u0041lp\"}";
		int n_bad = 0;

		for (size_t n = 0; n < sizeof(good) - 1; n++)
			n_bad += read_bytes(TS_PLAYGROUND, good, n) < 0;
		is_int(n_bad, sizeof(good) - 1, "cut off anywhere it is refused");
	}
}

static int64_t parsed(enum ts_format format, const char *text)
{
	int64_t ms;

	return parse_timestamp(format, text, (uint32_t)strlen(text), &ms) < 0 ? INT64_MIN : ms;
}

static void test_timestamps(void)
{
	is_int(parsed(TS_PLAYGROUND, "01-01-1970 11:59:59:999"), 43199999, "the last ms before noon");
	is_int(parsed(TS_PLAYGROUND, "01-01-1970 12:00:00:000"), 0,
	    "12 is the hour 0: noon reads as midnight");
	is_int(parsed(TS_HH, "01-01-1970 12:00:00:000"), 43200000, "on a 24-hour clock noon is noon");
	is_int(parsed(TS_HH, "01-01-1970 24:00:00:000"), INT64_MIN, "there is no hour 24");
	is_int(parsed(TS_HH, "29-02-2000 23:59:59:999"), INT64_C(951868799999), "a leap day");
	is_int(parsed(TS_HH, "29-02-1900 00:00:00:000"), INT64_MIN, "1900 had none");
	is_int(parsed(TS_HH, "31-12-1969 23:59:59:999"), -1, "before 1970");
	is_int(parsed(TS_HH, "31-12-9999 23:59:59:999"), INT64_C(253402300799999), "the last year");
	is_int(parsed(TS_HH, "1-01-1970 00:00:00:0000"), INT64_MIN, "fields have fixed widths");
	is_int(parsed(TS_HH, "01-01-1970 00:00:60:000"), INT64_MIN, "no second 60");
	is_int(parsed(TS_ISO, "1970-01-01T00:00:15.015Z"), 15015, "ISO 8601");
	is_int(parsed(TS_ISO, "1970-01-01T00:00:15"), 15000, "without a fraction");
	is_int(parsed(TS_ISO, "1970-01-01T00:00:15.5Z"), 15500, "with a short one");
	is_int(parsed(TS_ISO, "1970-01-01T00:00:15.123456789Z"), 15123, "with a long one");
	is_int(parsed(TS_ISO, "1970-01-01T00:00:15.Z"), INT64_MIN, "but not an empty one");
	is_int(parsed(TS_ISO, "1970-01-01 00:00:15Z"), INT64_MIN, "nor without its T");
	is_int(parsed(TS_MILLIS, "1767225600000"), INT64_C(1767225600000), "milliseconds");
	is_int(parsed(TS_MILLIS, "-1"), -1, "below zero");
	is_int(parsed(TS_MILLIS, "9000000000000000"), INT64_MIN, "too far");
	is_int(parsed(TS_MILLIS, "99999999999999999999"), INT64_MIN, "and further");
	is_int(parsed(TS_MILLIS, "1.5"), INT64_MIN, "no fractions");
	is_int(parsed(TS_MILLIS, "-"), INT64_MIN, "no digits");
	is_int(read_json(TS_MILLIS, "{\"timestamp\":15015,\"page\":\"/\"}"), 1, "a number in JSON");
	is_int(event.timestamp_ms, 15015, "is read");
	is_int(read_json(TS_MILLIS, "{\"timestamp\":\"15015\",\"page\":\"/\"}"), 1,
	    "and so is one in quotes");
}

static void test_round_trip(void)
{
	static const int64_t steps[] = { 15, 3599999, 86399985, INT64_C(31556952123) };
	char text[64];
	int n_wrong = 0, n_wrap = 0, n = 0;

	for (int f = 0; f < TS_N_FORMATS; f++)
		for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++)
			for (int64_t ms = 0, i = 0; i < 4000 && ms < INT64_C(250000000000000);
			     i++, ms += steps[s], n++) {
				char *p = put_timestamp(text, (enum ts_format)f, ms);
				int quoted = f != TS_MILLIS;
				int64_t back = 0;

				if (parse_timestamp((enum ts_format)f, text + quoted,
					(uint32_t)(p - text) - 2 * (uint32_t)quoted, &back) < 0)
					n_wrong++;
				else if (f == TS_PLAYGROUND && ms / 43200000 % 2 == 1)
					n_wrap += back == ms - 43200000;
				else
					n_wrong += back != ms;
			}
	is_int(n_wrong, 0, "%d timestamps written are read as the same", n);
	ok(n_wrap > 1000, "but for the playground's afternoons, which are mornings: the clock has 12 hours");
}

static void write_one(enum ts_format format, const click_statistics *s, char *buf, uint32_t cap,
    uint32_t *len)
{
	weir_message_out out = {
		.struct_size = sizeof(out), .value = buf, .value_cap = cap, .timestamp_ms = 99
	};

	is_int(write_statistics(s, &out, format), 0, "a result is written");
	is_int(out.timestamp_ms, WEIR_MIN_TIMESTAMP, "with the time of writing");
	*len = out.value_len;
	if (out.value_len < cap)
		buf[out.value_len] = '\0';
}

static void test_statistics(void)
{
	click_statistics s = { .window_start_ms = 0, .window_end_ms = 15000, .count = 1000, .page = "/help" };
	char buf[1024];
	uint32_t len;

	write_one(TS_PLAYGROUND, &s, buf, sizeof(buf), &len);
	is_str(buf,
	    "{\"windowStart\":\"01-01-1970 12:00:00:000\",\"windowEnd\":\"01-01-1970 12:00:15:000\",\"page\":\"/help\",\"count\":1000}",
	    "as the playground writes it");
	write_one(TS_ISO, &s, buf, sizeof(buf), &len);
	like(buf, "\"windowEnd\":\"1970-01-01T00:00:15.000Z\"", "in ISO 8601");
	write_one(TS_MILLIS, &s, buf, sizeof(buf), &len);
	like(buf, "\"windowStart\":0,\"windowEnd\":15000,", "in milliseconds");
	s.window_start_ms = -15000;
	write_one(TS_HH, &s, buf, sizeof(buf), &len);
	like(buf, "\"windowStart\":\"31-12-1969 23:59:45:000\"", "before 1970");
	memset(s.page, 1, sizeof(s.page) - 1);
	s.count = INT64_MIN;
	s.window_start_ms = s.window_end_ms = INT64_MIN + 1;
	write_one(TS_MILLIS, &s, buf, sizeof(buf), &len);
	like(buf, "\\u0001\\u0001\",\"count\":-9223372036854775808}", "the longest there is");
	memset(buf, 'x', sizeof(buf));
	write_one(TS_MILLIS, &s, buf, 20, &len);
	ok(len > 20 && buf[0] == 'x' && buf[20] == 'x',
	    "too small a room is not written to, and the need is told");
}

int main(void)
{
	test_events();
	test_malformed();
	test_timestamps();
	test_round_trip();
	test_statistics();
	is_int(weir_job_v1.struct_size, sizeof(weir_job), "the job's symbol");
	return tap_done();
}
