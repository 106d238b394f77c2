/*
 * The builder API as a job's main function calls it: the graph that comes of it, and
 * a sentence for everything that can be wrong.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "t/tap.h"
#include "worker/graph/env.h"
#include "worker/graph/job_graph.h"
#include "worker/graph/params.h"

typedef struct word {
	char text[16];
	int64_t n;
} word;
typedef struct sum {
	int64_t n;
} sum;
WEIR_TYPE(word);
WEIR_TYPE(sum);

WEIR_DESERIALIZER(read_word, word)(weir_ctx *ctx, const weir_message *msg, word *out)
{
	(void)ctx, (void)msg, (void)out;
	return 1;
}
WEIR_MAP(shout, word, word)(weir_ctx *ctx, const word *in, word *out)
{
	(void)ctx;
	*out = *in;
	return 0;
}
WEIR_FILTER(is_long, word)(weir_ctx *ctx, const word *in)
{
	(void)ctx;
	return in->n > 3;
}
WEIR_FLAT_MAP(twice, word, word)(weir_ctx *ctx, const word *in, weir_out *out)
{
	(void)ctx;
	WEIR_EMIT(out, word, in);
	return 0;
}
WEIR_MAP(sum_map, sum, sum)(weir_ctx *ctx, const sum *in, sum *out)
{
	(void)ctx;
	*out = *in;
	return 0;
}
WEIR_TIMESTAMP_ASSIGNER(word_time, word)(weir_ctx *ctx, const word *in, int64_t ts)
{
	(void)ctx, (void)ts;
	return in->n;
}
WEIR_TIMESTAMP_ASSIGNER(sum_time, sum)(weir_ctx *ctx, const sum *in, int64_t ts)
{
	(void)ctx, (void)ts;
	return in->n;
}
WEIR_KEY_BY_STRING(by_text, word, text);
WEIR_KEY_BY_LONG(by_sum, sum, n);
WEIR_AGGREGATE(count, word, sum, sum);
static void count_create(sum *acc)
{
	acc->n = 0;
}
static int count_add(weir_ctx *ctx, sum *acc, const word *in)
{
	(void)ctx, (void)in;
	acc->n++;
	return 0;
}
static int count_merge(weir_ctx *ctx, sum *acc, const sum *other)
{
	(void)ctx;
	acc->n += other->n;
	return 0;
}
static int count_result(weir_ctx *ctx, const sum *acc, sum *out)
{
	(void)ctx;
	*out = *acc;
	return 0;
}
WEIR_WINDOW_FUNCTION(stamp, sum, word)
(weir_ctx *ctx, const weir_key *key, const weir_window *w, const sum *in, weir_out *out)
{
	(void)ctx, (void)key, (void)w, (void)in, (void)out;
	return 0;
}
WEIR_WINDOW_FUNCTION(stamp_word, word, word)
(weir_ctx *ctx, const weir_key *key, const weir_window *w, const word *in, weir_out *out)
{
	(void)ctx, (void)key, (void)w, (void)in, (void)out;
	return 0;
}
WEIR_SERIALIZER(write_word, word)(weir_ctx *ctx, const word *in, weir_message_out *out)
{
	(void)ctx, (void)in, (void)out;
	return 0;
}
WEIR_SERIALIZER(write_sum, sum)(weir_ctx *ctx, const sum *in, weir_message_out *out)
{
	(void)ctx, (void)in, (void)out;
	return 0;
}

static const weir_param params[] = {
	{ "topic", 's', "input", "where from" },
	{ "count", 'i', "3", "how many" },
	{ "group.id", 's', NULL, "group" },
	{ "need", 'i', NULL, "a number that must be given" },
	{ "chaining", 'f', NULL, "chain" },
	{ "properties.*", 's', NULL, "any property" },
	{ NULL, 0, NULL, NULL },
};

typedef int main_fn(weir_env *env);

static struct stream_graph *run(main_fn *main_function, int argc, const char *const *argv, struct err *e)
{
	struct env *env = env_create(params, NULL);
	struct stream_graph *g = NULL;

	memset(e, 0, sizeof(*e));
	if (params_parse(params, argc, argv, &env->g->params, &env->g->n_params, e) == 0)
		g = env_take(env, main_function(&env->pub), e);
	env_destroy(env);
	return g;
}

/* A sound beginning for those that go wrong later. */
static weir_stream *words(weir_env *env)
{
	return weir_name(weir_source(env, "kafka", &read_word), "Words");
}

static weir_stream *windows(weir_env *env)
{
	return weir_window_by(weir_key_by(words(env), &by_text), weir_tumbling_event_time(15000));
}

/* ------------------------------------------------------------- a sound job */

static int sound(weir_env *env)
{
	static const int block[] = { 1, 2, 3 };
	weir_watermark_strategy w = weir_bounded_out_of_orderness(200);
	weir_stream *s;

	weir_env_parallelism(env, 2);
	weir_enable_checkpointing(env, 1000);
	w.timestamp = &word_time;
	w.idle_timeout_ms = 5000;
	s = words(env);
	weir_set(s, "topic", "a");
	weir_set(s, "topic", weir_param_str(env, "topic"));
	weir_set_int(s, "fetch.min.bytes", -1);
	s = weir_with_watermarks(s, w);
	s = weir_disable_chaining(weir_transform(s, &shout, block, sizeof(block)));
	s = weir_parallelism(weir_filter(s, &is_long), 3);
	s = weir_start_new_chain(weir_rebalance(s));
	s = weir_max_parallelism(weir_flat_map(s, &twice), 64);
	s = weir_with_watermarks(s, weir_bounded_out_of_orderness(0));
	s = weir_window_by(weir_key_by(s, &by_text), weir_tumbling_event_time(15000));
	s = weir_uid(weir_aggregate(s, &count, &stamp), "counter");
	weir_name(weir_sink(weir_key_by(s, &by_text), "kafka", &write_word), "Out");
	weir_sink(s, "print", &write_word);
	return weir_execute(env, "Sound");
}

static void sound_graph(void)
{
	static const char *const argv[] = { "--topic=in", "--properties.acks", "all" };
	struct err e;
	struct stream_graph *g = run(sound, 3, argv, &e);
	const struct graph_node *n;
	struct job_graph *jg;

	if (!ok(g != NULL, "a sound job is built")) {
		diag("%s", e.msg);
		return;
	}
	n = g->nodes;
	is_str(g->job_name, "Sound", "its name");
	is_int(g->n_nodes, 8, "its operators; the source has its watermarks itself");
	is_str(stream_graph_setting(g, "parallelism.default", NULL), "2", "a setting");
	is_str(stream_graph_setting(g, "execution.checkpointing.interval", NULL), "1000", "another");
	is_str(stream_graph_param(g, "topic"), "in", "an argument");
	is_str(stream_graph_param(g, "count"), "3", "a default");
	ok(stream_graph_param(g, "chaining") == NULL, "a flag that is not set");
	is_int(n[0].type, NODE_SOURCE, "the source");
	is_str(graph_node_option(&n[0], "topic", NULL), "in", "the last value of an option");
	is_str(graph_node_option(&n[0], "fetch.min.bytes", NULL), "-1", "an option that is a number");
	is_int(n[0].watermark.out_of_orderness_ms, 200, "its watermarks");
	ok(n[0].fns[FN_TIMESTAMP].code == &word_time && n[0].watermark.timestamp == NULL, "its timestamps");
	is_str(n[1].name, "Map", "Flink's name for a map");
	is_int(n[1].chaining, CHAIN_NEVER, "no chaining");
	ok(n[1].fns[FN_MAIN].block_len == 12 && memcmp(n[1].fns[FN_MAIN].block, "\1\0\0\0\2", 5) == 0,
	    "its block");
	is_str(n[2].name, "Filter", "Flink's name for a filter");
	is_int(n[2].parallelism, 3, "its parallelism");
	is_int(n[2].chaining, CHAIN_HEAD, "a setting behind rebalance goes to the operator before it");
	is_str(n[3].name, "Flat Map", "Flink's name for a flat map");
	is_int(n[3].max_parallelism, 64, "its max parallelism");
	is_int(g->edges[2].ship, SHIP_REBALANCE, "REBALANCE before it");
	is_str(n[4].name, "Timestamps/Watermarks", "watermarks that are not the source's");
	is_str(n[5].name, "Window(TumblingEventTimeWindows(15000), EventTimeTrigger, count, stamp)",
	    "a window");
	is_int(n[5].key_kind, WEIR_KEY_STRING, "its key");
	is_int(n[5].acc_size, sizeof(sum), "its accumulator");
	is_str(n[5].out.name, "word", "its output");
	is_int(g->edges[4].ship, SHIP_HASH, "HASH before it");
	is_str(n[6].name, "Out", "a sink");
	is_int(g->edges[5].ship, SHIP_HASH, "which is keyed");
	is_str(n[7].name, "Unnamed", "Flink's name for a sink without one");
	jg = job_graph_create(g, 1, false, &e);
	ok(jg != NULL, "and a job graph comes of it");
	job_graph_destroy(jg);
	stream_graph_destroy(g);
}

static int minimal(weir_env *env)
{
	weir_stream *s = weir_map(weir_source(env, "kafka", &read_word), &shout);

	s = weir_window_by(weir_key_by(s, &by_text), weir_tumbling_processing_time(1000));
	weir_sink(weir_aggregate(s, &count, NULL), "kafka", &write_sum);
	return weir_execute(env, "Minimal");
}

static void default_names(void)
{
	struct err e;
	struct stream_graph *g = run(minimal, 0, NULL, &e);
	char *name = graph_node_operator_name(&g->nodes[0]);

	is_str(name, "Source: Custom Source", "Flink's name for a source without one");
	is_str(g->nodes[2].name,
	    "Window(TumblingProcessingTimeWindows(1000), ProcessingTimeTrigger, count, "
	    "PassThroughWindowFunction)",
	    "a window without a function of its own");
	is_str(g->nodes[2].out.name, "sum", "whose output is the aggregate's");
	free(name);
	stream_graph_destroy(g);
}

/* --------------------------------------------------------- what goes wrong */

#define WRONG(name, ...) \
	static int name(weir_env *env) \
	{ \
		__VA_ARGS__; \
		return weir_execute(env, "Wrong"); \
	}
static weir_function broken_fn;
static weir_assigner with(int64_t size, int64_t offset)
{
	weir_assigner a = weir_tumbling_event_time(size);

	a.offset_ms = offset;
	return a;
}
static weir_watermark_strategy strategy(int64_t bound, const weir_function *timestamp)
{
	weir_watermark_strategy w = weir_bounded_out_of_orderness(bound);

	w.timestamp = timestamp;
	return w;
}

WRONG(window_without_key, weir_name(weir_window_by(words(env), with(1, 0)), "W"))
WRONG(aggregate_without_window, weir_aggregate(weir_key_by(words(env), &by_text), &count, NULL))
WRONG(map_on_windows, weir_name(weir_map(windows(env), &shout), "M"))
WRONG(key_on_windows, weir_key_by(windows(env), &by_text))
WRONG(sink_on_windows, weir_sink(windows(env), "kafka", &write_word))
WRONG(window_on_windows, weir_window_by(windows(env), with(1, 0)))
WRONG(watermarks_on_windows, weir_with_watermarks(windows(env), strategy(0, NULL)))
WRONG(partition_on_windows, weir_rebalance(windows(env)))
WRONG(set_on_windows, weir_uid(windows(env), "u"))
WRONG(map_on_sink, weir_map(weir_sink(words(env), "kafka", &write_word), &shout))
WRONG(window_on_sink, weir_window_by(weir_sink(words(env), "kafka", &write_word), with(1, 0)))
WRONG(watermarks_on_sink,
    weir_with_watermarks(weir_sink(words(env), "kafka", &write_word), strategy(0, NULL)))
WRONG(size_zero, weir_window_by(weir_key_by(words(env), &by_text), with(0, 0)))
WRONG(offset_of_size, weir_window_by(weir_key_by(words(env), &by_text), with(10, 10)))
WRONG(offset_below, weir_window_by(weir_key_by(words(env), &by_text), with(10, -10)))
WRONG(map_type, weir_name(weir_map(words(env), &sum_map), "Summer"))
WRONG(key_type, weir_key_by(words(env), &by_sum))
WRONG(sink_type, weir_name(weir_sink(words(env), "kafka", &write_sum), "Out"))
WRONG(window_fn_type, weir_name(weir_aggregate(windows(env), &count, &stamp_word), "Counter"))
WRONG(timestamp_type, weir_with_watermarks(words(env), strategy(0, &sum_time)))
WRONG(map_kind, weir_map(words(env), &by_text))
WRONG(source_kind, weir_source(env, "kafka", &shout))
WRONG(sink_kind, weir_sink(words(env), "kafka", &shout))
WRONG(key_kind, weir_key_by(words(env), &shout))
WRONG(aggregate_kind, weir_aggregate(windows(env), &shout, NULL))
WRONG(map_missing, weir_map(words(env), NULL))
WRONG(source_missing, weir_source(env, "kafka", NULL))
WRONG(no_connector, weir_source(env, "", &read_word))
WRONG(no_sink_connector, weir_sink(words(env), NULL, &write_word))
WRONG(bare_function, broken_fn = shout; broken_fn.process = NULL; weir_map(words(env), &broken_fn))
WRONG(old_function, broken_fn = shout; broken_fn.struct_size = 8; weir_map(words(env), &broken_fn))
WRONG(keyless_selector, broken_fn = by_text; broken_fn.key_kind = WEIR_KEY_NONE;
      weir_key_by(words(env), &broken_fn))
WRONG(no_accumulator, broken_fn = count; broken_fn.acc = NULL; weir_aggregate(windows(env), &broken_fn, NULL))
WRONG(big_block, weir_transform(words(env), &shout, NULL, 5))
WRONG(negative_bound, weir_with_watermarks(words(env), strategy(-1, NULL)))
WRONG(unknown_setting, weir_name(words(env), "X"); weir_set(words(env), "weir.paralelism", "2"))
WRONG(foreign_option, weir_set(weir_map(words(env), &shout), "topic", "x"))
WRONG(parallelism_zero, weir_parallelism(words(env), 0))
WRONG(parallelism_over, weir_parallelism(words(env), 32769))
WRONG(max_parallelism_over, weir_max_parallelism(words(env), 1 << 20))
WRONG(bad_chaining, weir_set(words(env), "weir.chaining", "sometimes"))
WRONG(empty_name, weir_name(words(env), ""))
WRONG(control_name, weir_name(words(env), "a\nb"))
WRONG(name_not_utf8, weir_name(words(env), "\xff"))
WRONG(null_value, weir_set(words(env), "topic", NULL))
WRONG(same_uid, weir_uid(weir_map(weir_uid(words(env), "u"), &shout), "u"))
WRONG(job_setting, weir_env_set(env, "parallelism.defualt", "2"))
WRONG(job_setting_value, weir_env_parallelism(env, 0))
WRONG(job_setting_bool, weir_env_set(env, "pipeline.operator-chaining", "perhaps"))
WRONG(job_setting_duration, weir_env_set(env, "execution.checkpointing.interval", "soon"))
WRONG(no_operators, (void)env)
WRONG(lonely_source, words(env))
WRONG(custom_partition, words(env)->api->partition(words(env), "CUSTOM"))
WRONG(own_reason, weir_env_fail(env, "the moon is %s", "full"); words(env))
WRONG(unknown_param, weir_param_str(env, "nothing"))
WRONG(param_missing, weir_param_int(env, "need", 1, 5))
WRONG(param_range, weir_param_int(env, "count", 4, 5))
WRONG(no_file, {
	uint32_t n;
	weir_file(env, "/nonexistent/file", &n);
})
WRONG(twice_executed, weir_map(words(env), &shout); weir_execute(env, "One"))
WRONG(after_execute, weir_map(words(env), &shout); weir_execute(env, "One"); weir_map(words(env), &shout))

static int first_wins(weir_env *env)
{
	weir_stream *s = weir_name(weir_map(words(env), &sum_map), "First");

	s = weir_window_by(weir_key_by(weir_filter(s, &is_long), &by_sum), with(0, 0));
	s = weir_aggregate(weir_rebalance(weir_set(s, "weir.x", "y")), &count, NULL);
	weir_name(weir_sink(weir_with_watermarks(s, strategy(-1, NULL)), "", NULL), "Last");
	weir_env_set(env, "x", "y");
	weir_env_fail(env, "no");
	return weir_execute(env, "");
}
static int not_executed(weir_env *env)
{
	weir_map(words(env), &shout);
	return 0;
}
static int nameless(weir_env *env)
{
	weir_map(words(env), &shout);
	return weir_execute(env, NULL);
}
static int mute(weir_env *env)
{
	weir_map(words(env), &shout);
	weir_execute(env, "Mute");
	return 7;
}

static void errors(void)
{
#define ROW(name, ...) \
	{ \
#name, name, \
		{ \
			__VA_ARGS__ \
		} \
	}
	static const struct {
		const char *name;
		main_fn *main_function;
		const char *parts[3];
	} rows[] = {
		ROW(window_without_key, "operator \"W\": the stream from \"Words\" has no key",
		    "weir_key_by"),
		ROW(aggregate_without_window, "the stream from \"Words\" has no windows", "weir_window_by"),
		ROW(map_on_windows, "operator \"M\": it follows a windowed stream", "weir_aggregate"),
		ROW(key_on_windows, "\"KeyBy\": it follows a windowed stream"),
		ROW(sink_on_windows, "\"Unnamed\": it follows a windowed stream"),
		ROW(window_on_windows, "\"Window\": it follows a windowed stream"),
		ROW(watermarks_on_windows, "\"Timestamps/Watermarks\": it follows a windowed stream"),
		ROW(partition_on_windows, "\"Partition\": it follows a windowed stream"),
		ROW(set_on_windows, "a windowed stream has no settings", "weir.uid"),
		ROW(map_on_sink, "\"Map\": it follows the sink \"Unnamed\""),
		ROW(window_on_sink, "\"Window\": it follows the sink \"Unnamed\""),
		ROW(watermarks_on_sink, "it follows the sink \"Unnamed\""),
		ROW(size_zero, "longer than 0 ms, not 0 ms"),
		ROW(offset_of_size, "less than its size of 10 ms, not 10 ms"),
		ROW(offset_below, "less than its size of 10 ms, not -10 ms"),
		ROW(map_type, "operator \"Summer\"", "\"sum_map\" takes records of type sum",
		    "\"Words\" gives word"),
		ROW(key_type, "key selector \"by_sum\" takes records of type sum", "\"Words\" gives word"),
		ROW(sink_type, "operator \"Out\"", "serializer \"write_sum\" takes records of type sum"),
		ROW(window_fn_type, "operator \"Counter\"", "\"stamp_word\" takes records of type word",
		    "\"count\" gives sum"),
		ROW(timestamp_type, "operator \"Words\"",
		    "timestamp assigner \"sum_time\" takes records of type sum"),
		ROW(map_kind, "\"by_text\" is a key selector",
		    "map function, a filter or a flat map function"),
		ROW(source_kind, "its deserializer cannot be \"shout\", a map function"),
		ROW(sink_kind, "its serializer cannot be \"shout\", a map function"),
		ROW(key_kind, "its key selector cannot be \"shout\", a map function"),
		ROW(aggregate_kind, "its aggregate function cannot be \"shout\", a map function"),
		ROW(map_missing, "its function is missing"),
		ROW(source_missing, "its deserializer is missing"),
		ROW(no_connector, "\"Custom Source\": it has no connector"),
		ROW(no_sink_connector, "it has no connector"),
		ROW(bare_function, "map function \"shout\" lacks one of its calls"),
		ROW(old_function, "not one that the macros of weir.h made"),
		ROW(keyless_selector, "does not say the kind of its key"),
		ROW(no_accumulator, "accumulator of \"count\" has no fixed size"),
		ROW(big_block, "parameter block of \"shout\" is missing"),
		ROW(negative_bound, "operator \"Words\"", "cannot be negative"),
		ROW(unknown_setting, "operator \"Words\"",
		    "\"weir.paralelism\"; did you mean weir.parallelism?"),
		ROW(foreign_option, "operator \"Map\"", "only sources and sinks have options", "\"topic\""),
		ROW(parallelism_zero, "operator \"Words\"", "weir.parallelism: '0'", "from 1 to 32768"),
		ROW(parallelism_over, "'32769'", "from 1 to 32768"),
		ROW(max_parallelism_over, "weir.max-parallelism: '1048576'"),
		ROW(bad_chaining, "always, head or never, not \"sometimes\""),
		ROW(empty_name, "weir.name cannot be empty"),
		ROW(control_name, "weir.name cannot have control characters"),
		ROW(name_not_utf8, "weir.name", "not UTF-8"),
		ROW(null_value, "the value of topic is missing"),
		ROW(same_uid, "operator \"Map\"", "uid \"u\" is already that of \"Words\""),
		ROW(job_setting, "\"parallelism.defualt\"; did you mean parallelism.default?"),
		ROW(job_setting_value, "job setting: parallelism.default: '0'"),
		ROW(job_setting_bool, "pipeline.operator-chaining: 'perhaps'"),
		ROW(job_setting_duration, "execution.checkpointing.interval: 'soon'"),
		ROW(no_operators, "the job has no operators"),
		ROW(lonely_source, "operator \"Words\": nothing is done"),
		ROW(custom_partition, "no partitioning \"CUSTOM\" behind \"Words\""),
		ROW(own_reason, "the moon is full"),
		ROW(unknown_param, "parameter \"nothing\", which its table does not have"),
		ROW(param_missing, "argument --need is needed, a whole number from 1 to 5"),
		ROW(param_range, "argument --count: '3'", "from 4 to 5"),
		ROW(no_file, "the job reads the file /nonexistent/file"),
		ROW(twice_executed, "weir_execute twice"),
		ROW(after_execute, "added after weir_execute"),
		ROW(first_wins, "operator \"First\": the map function \"sum_map\""),
		ROW(not_executed, "ended without a call of weir_execute"),
		ROW(nameless, "weir_execute needs the job's name"),
		ROW(mute, "returned 7 and gave no reason"),
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e;
		struct stream_graph *g = run(rows[i].main_function, 0, NULL, &e);

		ok(g == NULL, "%s is refused", rows[i].name);
		for (unsigned p = 0; p < 3 && rows[i].parts[p] != NULL; p++)
			like(e.msg, rows[i].parts[p], "%s is said", rows[i].name);
		stream_graph_destroy(g);
	}
}

/* -------------------------------------------------------------- arguments */

static int show_params(weir_env *env)
{
	const char *key, *value;
	unsigned iter = 0, n = 0;

	is_str(weir_param_str(env, "topic"), "a=b", "--topic=a=b");
	is_int(weir_param_int(env, "count", -10, 10), -7, "--count -7");
	ok(weir_param_flag(env, "chaining"), "--chaining");
	ok(weir_param_str(env, "group.id") == NULL, "one that was not given");
	while ((value = weir_param_each(env, "properties.*", &key, &iter)) != NULL) {
		n++;
		ok(strcmp(key, "acks") == 0 ? strcmp(value, "all") == 0 : strcmp(value, "5") == 0,
		    "property %s", key);
	}
	is_int(n, 2, "two properties");
	iter = 0;
	ok(weir_param_each(env, "properties", &key, &iter) != NULL, "the prefix without the star");
	iter = 0;
	ok(weir_param_each(env, "prop", &key, &iter) == NULL, "half a prefix finds nothing");
	is_str(weir_param_str(env, "properties.acks"), "all", "one of them by name");
	weir_map(words(env), &shout);
	return weir_execute(env, "Params");
}

static void refused_argument(int argc, const char *const *argv, const char *part)
{
	struct err e;
	struct stream_graph *g = run(minimal, argc, argv, &e);

	ok(g == NULL, "%s is refused", argv[0]);
	like(e.msg, part, "and says why");
	stream_graph_destroy(g);
}
#define REFUSED(part, ...) \
	refused_argument((int)ARRAY_LEN(((const char *const[]){ __VA_ARGS__ })), \
	    (const char *const[]){ __VA_ARGS__ }, part)

static void arguments(void)
{
	static const char *const good[] = { "--count", "1", "--topic=a=b", "--count", "-7",
		"--properties.acks=all", "--properties.linger.ms", "5", "--chaining" };
	static const char *const off[] = { "--chaining", "--chaining=false" };
	struct err e;
	struct stream_graph *g = run(show_params, ARRAY_LEN(good), good, &e);

	ok(g != NULL, "all of these are taken");
	stream_graph_destroy(g);
	g = run(minimal, 2, off, &e);
	ok(g != NULL && stream_graph_param(g, "chaining") == NULL, "a flag can be taken back");
	stream_graph_destroy(g);
	REFUSED("unknown argument --topik; did you mean --topic?", "--topik", "x");
	REFUSED("unknown argument --zzzzzzzzz", "--zzzzzzzzz");
	REFUSED("unknown argument --properties.", "--properties.", "x");
	REFUSED("unexpected argument \"topic\"", "topic");
	REFUSED("unexpected argument \"--\"", "--");
	REFUSED("--topic needs a value", "--topic");
	REFUSED("--topic needs a value", "--topic", "--chaining");
	REFUSED("argument --count: 'x'", "--count", "x");
	REFUSED("argument --chaining: 'x'", "--chaining=x");
	REFUSED("not UTF-8", "--topic", "\xc3");
	REFUSED("unexpected argument \"true\"", "--chaining", "true");
}

static int reads_file(weir_env *env)
{
	uint32_t len;
	const char *text = weir_file(env, weir_param_str(env, "topic"), &len);

	ok(text != NULL && len == 5 && strcmp(text, "pages") == 0, "the file's content");
	ok(weir_file(env, weir_param_str(env, "topic"), &len) == text, "which is read once");
	weir_map(words(env), &shout);
	return weir_execute(env, "File");
}

/* At a replay the file comes from the plan: it may be gone or another one by then. */
static void files(void)
{
	char path[] = "/tmp/weir-env-XXXXXX";
	int fd = mkstemp(path);
	const char *argv[] = { "--topic", path };
	struct stream_graph *g, *again;
	struct env *env;
	struct err e;

	ok(write(fd, "pages", 5) == 5, "a file is made");
	close(fd);
	g = run(reads_file, 2, argv, &e);
	ok(g != NULL && g->n_files == 1, "the graph keeps the file");
	unlink(path);
	env = env_create(params, g);
	params_parse(params, 2, argv, &env->g->params, &env->g->n_params, &e);
	again = env_take(env, reads_file(&env->pub), &e);
	ok(again != NULL, "main runs again without the file");
	stream_graph_destroy(again);
	env_destroy(env);
	free(g->files[0].path);
	g->files[0].path = xstrdup("other");
	env = env_create(params, g);
	params_parse(params, 2, argv, &env->g->params, &env->g->n_params, &e);
	ok(weir_file(&env->pub, path, &(uint32_t){ 0 }) == NULL, "a file that is not in the plan");
	like(env->err.msg, "did not when it was submitted", "is said");
	env_destroy(env);
	stream_graph_destroy(g);
}

int main(void)
{
	sound_graph();
	default_names();
	errors();
	arguments();
	files();
	return tap_done();
}
