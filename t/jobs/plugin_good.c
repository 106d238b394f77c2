/*
 * A sound job for the tests: words counted by key, every kind of thing that a plan holds.
 */
#include "weir.h"

typedef struct word {
	char text[24];
	int64_t n;
} word;
WEIR_TYPE(word);

WEIR_DESERIALIZER(read_word, word)(weir_ctx *ctx, const weir_message *msg, word *out)
{
	if (msg->value_len >= sizeof(out->text))
		return weir_fail(ctx, "a word of %u bytes", msg->value_len);
	memcpy(out->text, msg->value, msg->value_len);
	return 1;
}
WEIR_MAP(shout, word, word)(weir_ctx *ctx, const word *in, word *out)
{
	uint32_t len;
	const char *suffix = (const char *)weir_block(ctx, &len);

	*out = *in;
	if (len > 0)
		out->text[0] = suffix[0];
	return 0;
}
WEIR_KEY_BY_STRING(by_text, word, text);
WEIR_AGGREGATE(count, word, int64_t, int64_t);
static void count_create(int64_t *acc)
{
	*acc = 0;
}
static int count_add(weir_ctx *ctx, int64_t *acc, const word *in)
{
	(void)ctx, (void)in;
	++*acc;
	return 0;
}
static int count_merge(weir_ctx *ctx, int64_t *acc, const int64_t *other)
{
	(void)ctx;
	*acc += *other;
	return 0;
}
static int count_result(weir_ctx *ctx, const int64_t *acc, int64_t *out)
{
	(void)ctx;
	*out = *acc;
	return 0;
}
WEIR_WINDOW_FUNCTION(stamp, int64_t, word)
(weir_ctx *ctx, const weir_key *key, const weir_window *w, const int64_t *in, weir_out *out)
{
	word o = { { 0 }, 0 };

	(void)ctx, (void)w;
	memcpy(o.text, key->data, key->len < sizeof(o.text) ? key->len : sizeof(o.text));
	o.n = *in;
	WEIR_EMIT(out, word, &o);
	return 0;
}
WEIR_SERIALIZER(write_word, word)(weir_ctx *ctx, const word *in, weir_message_out *out)
{
	(void)ctx;
	out->value_len = (uint32_t)weir_strnlen_(in->text, sizeof(in->text));
	if (out->value_len <= out->value_cap)
		memcpy(out->value, in->text, out->value_len);
	return 0;
}

static int build(weir_env *env)
{
	weir_watermark_strategy w = weir_bounded_out_of_orderness(200);
	const char *key, *value, *suffix = weir_param_str(env, "suffix");
	weir_stream *s;
	unsigned i = 0;

	w.idle_timeout_ms = 5000;
	s = weir_name(weir_source(env, "kafka", &read_word), "Words");
	while ((value = weir_param_each(env, "properties.*", &key, &i)) != NULL)
		weir_set(s, key, value);
	weir_set(s, "topic", weir_param_str(env, "topic"));
	s = weir_with_watermarks(s, w);
	if (weir_param_flag(env, "shout"))
		s = weir_name(weir_transform(s, &shout, suffix, (uint32_t)strlen(suffix)), "Shout");
	s = weir_window_by(weir_key_by(s, &by_text), weir_tumbling_event_time(15000));
	s = weir_uid(weir_name(weir_aggregate(s, &count, &stamp), "Counter"), "counter");
	weir_name(weir_sink(s, "kafka", &write_word), "Out");
	return weir_execute(env, "Words");
}

static const weir_param params[] = {
	{ "topic", 's', "input", "the topic with the words" },
	{ "suffix", 's', "!", "what --shout puts in" },
	{ "shout", 'f', NULL, "shout every word" },
	{ "properties.*", 's', NULL, "properties of the Kafka client" },
	{ NULL, 0, NULL, NULL },
};
WEIR_JOB(build, "words", "1.0", params);
