/*
 * Test job: a sequence of numbers, summed by remainder in windows; each window's sum is appended to a file,
 * so that what a job gave before and after a restart can be compared with what it should.
 */
#include "weir.h"

#include <fcntl.h>
#include <unistd.h>

typedef struct number { int64_t value, key; } number;
WEIR_TYPE(number);
typedef struct total { int64_t key, end_ms, sum; } total;
WEIR_TYPE(total);

WEIR_DESERIALIZER(read_number, number)(weir_ctx *ctx, const weir_message *msg, number *out)
{
	if (msg->value_len != sizeof(int64_t))
		return weir_fail(ctx, "a number is 8 bytes, not %u", msg->value_len);
	memcpy(&out->value, msg->value, sizeof(int64_t));
	out->key = out->value % 7;
	return 1;
}
WEIR_TIMESTAMP_ASSIGNER(number_time, number)(weir_ctx *ctx, const number *n, int64_t timestamp_ms)
{
	(void)ctx;
	(void)timestamp_ms;
	return n->value;
}
WEIR_MAP(pass, number, number)(weir_ctx *ctx, const number *in, number *out)
{
	(void)ctx;
	*out = *in;
	return 0;
}
WEIR_KEY_BY_LONG(by_key, number, key);
WEIR_AGGREGATE(sum, number, int64_t, int64_t);
static void sum_create(int64_t *acc) { *acc = 0; }
static int sum_add(weir_ctx *ctx, int64_t *acc, const number *in) { (void)ctx; *acc += in->value; return 0; }
static int sum_merge(weir_ctx *ctx, int64_t *acc, const int64_t *other) { (void)ctx; *acc += *other; return 0; }
static int sum_result(weir_ctx *ctx, const int64_t *acc, int64_t *out) { (void)ctx; *out = *acc; return 0; }
WEIR_WINDOW_FUNCTION(tell, int64_t, total)
(weir_ctx *ctx, const weir_key *key, const weir_window *w, const int64_t *in, weir_out *out)
{
	total t = { key->num, w->end_ms, *in };

	(void)ctx;
	WEIR_EMIT(out, total, &t);
	return 0;
}
WEIR_SERIALIZER(record, total)(weir_ctx *ctx, const total *in, weir_message_out *out)
{
	const char *path = weir_ctx_param(ctx, "record");
	int fd;

	out->value_len = sizeof(*in);
	if (path == NULL || out->value_cap < sizeof(*in))
		return 0;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, in, sizeof(*in)) != (ssize_t)sizeof(*in))
		return weir_fail(ctx, "%s cannot be written", path);
	close(fd);
	return 0;
}

static const weir_param params[] = {
	{ "to", 'i', "1000000000", "last number" },
	{ "rate", 'i', "1000", "numbers a second, 0: as fast as they come" },
	{ "record", 's', NULL, "file that every sum is appended to" },
	{ "chaining", 'f', NULL, "let operators share a task" },
	{ NULL, 's', NULL, NULL }
};

static int build(weir_env *env)
{
	weir_watermark_strategy w = weir_bounded_out_of_orderness(0);
	weir_stream *s = weir_source(env, "sequence", &read_number);

	if (!weir_param_flag(env, "chaining"))
		weir_disable_operator_chaining(env);
	w.timestamp = &number_time;
	weir_set_int(s, "from", 0);
	weir_set_int(s, "to", weir_param_int(env, "to", 0, INT64_MAX));
	weir_set_int(s, "rows-per-second", weir_param_int(env, "rate", 0, 1000000000));
	s = weir_name(weir_with_watermarks(s, w), "Numbers");
	s = weir_name(weir_map(s, &pass), "Pass");
	s = weir_aggregate(weir_window_by(weir_key_by(s, &by_key), weir_tumbling_event_time(1000)), &sum, &tell);
	s = weir_name(s, "Sum");
	weir_name(weir_sink(s, "blackhole", &record), "Record");
	return weir_execute(env, "Recorded");
}
WEIR_JOB(build, "recorded", "1.0", params);
