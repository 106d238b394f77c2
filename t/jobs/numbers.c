/*
 * Test job: a sequence of numbers, squared, summed by remainder in windows, discarded.
 * Shows a job that needs no broker; its options make it fail, crash or be slow.
 */
#include "weir.h"

#include <stdlib.h>
#include <unistd.h>

typedef struct number { int64_t value, key; } number;
WEIR_TYPE(number);

WEIR_DESERIALIZER(read_number, number)(weir_ctx *ctx, const weir_message *msg, number *out)
{
	if (msg->value_len != sizeof(int64_t))
		return weir_fail(ctx, "a number is 8 bytes, not %u", msg->value_len);
	memcpy(&out->value, msg->value, sizeof(int64_t));
	return 1;
}
WEIR_TIMESTAMP_ASSIGNER(number_time, number)(weir_ctx *ctx, const number *n, int64_t timestamp_ms)
{
	(void)ctx;
	(void)timestamp_ms;
	return n->value;
}
static int64_t at(weir_ctx *ctx, const char *name)
{
	const char *text = weir_ctx_param(ctx, name);
	int64_t v = 0;

	if (text == NULL)
		return -1;
	while (*text >= '0' && *text <= '9')
		v = v * 10 + (*text++ - '0');
	return v;
}
WEIR_MAP(square, number, number)(weir_ctx *ctx, const number *in, number *out)
{
	static int *volatile nowhere;

	out->value = in->value;
	out->key = in->value % 7;
	if (in->value == at(ctx, "fail-at"))
		return weir_fail(ctx, "number %lld is not wanted", (long long)in->value);
	if (in->value == at(ctx, "crash-at"))
		*nowhere = 1;
	if (at(ctx, "sleep-ms") > 0)
		weir_sleep_ms(ctx, at(ctx, "sleep-ms"));
	return 0;
}
WEIR_KEY_BY_LONG(by_key, number, key);
WEIR_AGGREGATE(sum, number, int64_t, int64_t);
static void sum_create(int64_t *acc) { *acc = 0; }
static int sum_add(weir_ctx *ctx, int64_t *acc, const number *in) { (void)ctx; *acc += in->value; return 0; }
static int sum_merge(weir_ctx *ctx, int64_t *acc, const int64_t *other) { (void)ctx; *acc += *other; return 0; }
static int sum_result(weir_ctx *ctx, const int64_t *acc, int64_t *out) { (void)ctx; *out = *acc; return 0; }
WEIR_SERIALIZER(write_sum, int64_t)(weir_ctx *ctx, const int64_t *in, weir_message_out *out)
{
	(void)ctx;
	out->value_len = sizeof(*in);
	if (out->value_cap >= sizeof(*in))
		memcpy(out->value, in, sizeof(*in));
	return 0;
}

static const weir_param params[] = {
	{ "to", 'i', "1000000000", "last number" },
	{ "rate", 'i', "1000", "numbers a second, 0: as fast as they come" },
	{ "fail-at", 'i', NULL, "the number at which the function fails" },
	{ "crash-at", 'i', NULL, "the number at which the process dies" },
	{ "sleep-ms", 'i', NULL, "time to sleep at each number" },
	{ "chaining", 'f', NULL, "let operators share a task" },
	{ "bad-main", 's', NULL, "what main does wrong: loop, crash or other (another graph)" },
	{ "bad-while", 's', NULL, "... as long as there is a file of this name" },
	{ NULL, 's', NULL, NULL }
};

/* Main misbehaves, if it is asked to and the time has come. */
static int bad_main(weir_env *env, const char *how)
{
	const char *file = weir_param_str(env, "bad-while");

	if (how == NULL || (file != NULL && access(file, F_OK) != 0))
		return 0;
	if (strcmp(how, "crash") == 0)
		abort();
	while (strcmp(how, "loop") == 0)
		pause();
	return 1;
}

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
	s = weir_name(weir_map(s, &square), bad_main(env, weir_param_str(env, "bad-main")) ? "Other" : "Square");
	s = weir_aggregate(weir_window_by(weir_key_by(s, &by_key), weir_tumbling_event_time(1000)), &sum, NULL);
	s = weir_name(s, "Sum");
	weir_name(weir_sink(s, "blackhole", &write_sum), "Nowhere");
	return weir_execute(env, "Numbers");
}
WEIR_JOB(build, "numbers", "1.0", params);
