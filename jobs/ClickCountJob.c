/*
 * Click Event Count: reads click events from a Kafka topic, counts them per page in
 * windows of 15 seconds, and writes one result a page and window to another topic.
 *
 * Parameters, names and defaults are those of the Apache Flink operations playground;
 * ClickCountJob(7) says what was added.
 */
#include "click_event.h"

#define WINDOW_MS             15000
#define OUT_OF_ORDERNESS_MS   200
#define IDLE_TIMEOUT_MS       5000
#define CHECKPOINT_MS         1000
#define BACKPRESSURE_SLEEP_MS 100

/* -------------------------------------------------------------- functions */

WEIR_DESERIALIZER(read_playground, click_event)(weir_ctx *ctx, const weir_message *msg, click_event *e)
{
	return read_event(ctx, msg, e, TS_PLAYGROUND);
}
WEIR_DESERIALIZER(read_hh, click_event)(weir_ctx *ctx, const weir_message *msg, click_event *e)
{
	return read_event(ctx, msg, e, TS_HH);
}
WEIR_DESERIALIZER(read_iso, click_event)(weir_ctx *ctx, const weir_message *msg, click_event *e)
{
	return read_event(ctx, msg, e, TS_ISO);
}
WEIR_DESERIALIZER(read_millis, click_event)(weir_ctx *ctx, const weir_message *msg, click_event *e)
{
	return read_event(ctx, msg, e, TS_MILLIS);
}

WEIR_SERIALIZER(write_playground, click_statistics)
(weir_ctx *ctx, const click_statistics *in, weir_message_out *out)
{
	(void)ctx;
	return write_statistics(in, out, TS_PLAYGROUND);
}
WEIR_SERIALIZER(write_hh, click_statistics)(weir_ctx *ctx, const click_statistics *in, weir_message_out *out)
{
	(void)ctx;
	return write_statistics(in, out, TS_HH);
}
WEIR_SERIALIZER(write_iso, click_statistics)(weir_ctx *ctx, const click_statistics *in, weir_message_out *out)
{
	(void)ctx;
	return write_statistics(in, out, TS_ISO);
}
WEIR_SERIALIZER(write_millis, click_statistics)
(weir_ctx *ctx, const click_statistics *in, weir_message_out *out)
{
	(void)ctx;
	return write_statistics(in, out, TS_MILLIS);
}

WEIR_TIMESTAMP_ASSIGNER(event_time, click_event)(weir_ctx *ctx, const click_event *e, int64_t timestamp_ms)
{
	(void)ctx;
	(void)timestamp_ms;
	return e->timestamp_ms;
}

WEIR_KEY_BY_STRING(by_page, click_event, page);

/* Slows every event down in each minute of an even number. */
WEIR_MAP(backpressure, click_event, click_event)(weir_ctx *ctx, const click_event *in, click_event *out)
{
	if (weir_processing_time(ctx) / 60000 % 2 == 0)
		weir_sleep_ms(ctx, BACKPRESSURE_SLEEP_MS);
	*out = *in;
	return 0;
}

WEIR_AGGREGATE(count_events, click_event, int64_t, int64_t);

static void count_events_create(int64_t *acc)
{
	*acc = 0;
}
static int count_events_add(weir_ctx *ctx, int64_t *acc, const click_event *in)
{
	(void)ctx;
	(void)in;
	++*acc;
	return 0;
}
static int count_events_merge(weir_ctx *ctx, int64_t *acc, const int64_t *other)
{
	(void)ctx;
	*acc += *other;
	return 0;
}
static int count_events_result(weir_ctx *ctx, const int64_t *acc, int64_t *out)
{
	(void)ctx;
	*out = *acc;
	return 0;
}

WEIR_WINDOW_FUNCTION(collect_statistics, int64_t, click_statistics)
(weir_ctx *ctx, const weir_key *key, const weir_window *w, const int64_t *in, weir_out *out)
{
	click_statistics s;

	(void)ctx;
	memset(&s, 0, sizeof(s));
	s.window_start_ms = w->start_ms;
	s.window_end_ms = w->end_ms;
	s.count = *in;
	memcpy(s.page, key->data, key->len < PAGE_SIZE - 1 ? key->len : PAGE_SIZE - 1);
	WEIR_EMIT(out, click_statistics, &s);
	return 0;
}

/* -------------------------------------------------------------------- job */

static const weir_param params[] = {
	{ "bootstrap.servers", 's', "localhost:9092", "Kafka brokers, host:port with commas between" },
	{ "input-topic", 's', "input", "topic of the click events" },
	{ "output-topic", 's', "output", "topic of the results" },
	{ "checkpointing", 'f', NULL, "take a checkpoint every second" },
	{ "event-time", 'f', NULL, "windows by the events' own time; without, by the clock" },
	{ "backpressure", 'f', NULL, "slow every event down by 100 ms in every other minute" },
	{ "chaining", 'f', NULL, "let operators that can share a task do so" },
	{ "bounded", 'f', NULL, "stop at the end the topic had at the start" },
	{ "group.id", 's', "click-event-count", "consumer group whose offsets are read and committed" },
	{ "timestamp-format", 's', "playground", "playground, HH, iso or millis" },
	{ "on-malformed", 's', "fail", "what a message that is no click event does: fail or skip" },
	{ "properties.*", 's', NULL, "any librdkafka property, for source and sink" },
	{ NULL, 's', NULL, NULL },
};

static const struct {
	const char *name;
	const weir_function *read, *write;
} formats[TS_N_FORMATS] = {
	{ "playground", &read_playground, &write_playground },
	{ "HH", &read_hh, &write_hh },
	{ "iso", &read_iso, &write_iso },
	{ "millis", &read_millis, &write_millis },
};

static void set_properties(weir_env *env, weir_stream *s)
{
	const char *key, *value;
	unsigned iter = 0;
	char name[128];

	weir_set(s, "properties.bootstrap.servers", weir_param_str(env, "bootstrap.servers"));
	while ((value = weir_param_each(env, "properties", &key, &iter)) != NULL) {
		if (strlen(key) > sizeof(name) - sizeof("properties.")) {
			weir_env_fail(env, "--properties.%s: no property has so long a name", key);
			return;
		}
		*put_text(put_text(name, "properties."), key) = '\0';
		weir_set(s, name, value);
	}
}

static int build(weir_env *env)
{
	const char *format = weir_param_str(env, "timestamp-format");
	weir_watermark_strategy watermarks = weir_bounded_out_of_orderness(OUT_OF_ORDERNESS_MS);
	weir_stream *clicks, *statistics;
	unsigned f;

	for (f = 0; f < TS_N_FORMATS && strcmp(format, formats[f].name) != 0; f++)
		;
	if (f == TS_N_FORMATS)
		return weir_env_fail(env, "--timestamp-format %s: must be playground, HH, iso or millis",
		    format);
	if (weir_param_flag(env, "checkpointing"))
		weir_enable_checkpointing(env, CHECKPOINT_MS);
	if (!weir_param_flag(env, "chaining"))
		weir_disable_operator_chaining(env);

	watermarks.idle_timeout_ms = IDLE_TIMEOUT_MS;
	watermarks.timestamp = &event_time;
	clicks = weir_source(env, "kafka", formats[f].read);
	weir_name(clicks, "ClickEvent Source");
	weir_set(clicks, "topic", weir_param_str(env, "input-topic"));
	weir_set(clicks, "properties.group.id", weir_param_str(env, "group.id"));
	weir_set(clicks, "scan.startup.mode", "group-offsets");
	weir_set(clicks, "on-malformed", weir_param_str(env, "on-malformed"));
	if (weir_param_flag(env, "bounded"))
		weir_set(clicks, "scan.bounded.mode", "latest-offset");
	set_properties(env, clicks);
	clicks = weir_with_watermarks(clicks, watermarks);

	/* By key, so that what it holds up is an exchange between tasks. */
	if (weir_param_flag(env, "backpressure"))
		clicks = weir_name(weir_map(weir_key_by(clicks, &by_page), &backpressure), "Backpressure");

	statistics = weir_window_by(weir_key_by(clicks, &by_page),
	    weir_param_flag(env, "event-time") ? weir_tumbling_event_time(WINDOW_MS) :
						 weir_tumbling_processing_time(WINDOW_MS));
	statistics =
	    weir_name(weir_aggregate(statistics, &count_events, &collect_statistics), "ClickEvent Counter");

	statistics = weir_name(weir_sink(statistics, "kafka", formats[f].write), "ClickEventStatistics Sink");
	weir_set(statistics, "topic", weir_param_str(env, "output-topic"));
	set_properties(env, statistics);
	return weir_execute(env, "Click Event Count");
}

WEIR_JOB(build, "ClickCountJob", "1.0", params);
