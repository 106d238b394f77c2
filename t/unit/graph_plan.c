/*
 * The plan: written, read, compared, bound; and what a hostile one says.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "t/tap.h"
#include "worker/graph/base64.h"
#include "worker/graph/plan.h"
#include "worker/graph/plan_scan.h"

static void fn(struct graph_node *n, enum fn_role role, const char *name)
{
	static const weir_function code;

	n->fns[role] = (struct graph_fn){ .present = true, .name = xstrdup(name), .code = &code };
}

static void type(struct graph_type *t, const char *name, uint32_t size)
{
	*t = (struct graph_type){ .name = xstrdup(name), .size = size, .version = 1 };
}

/* Every kind of thing that a plan holds. */
static struct stream_graph *sample(void)
{
	struct stream_graph *g = stream_graph_create();
	struct graph_node *n;

	g->job_name = xstrdup("Click \"Event\" Count \xc3\xa9");
	graph_option_set(&g->settings, &g->n_settings, "parallelism.default", "2");
	graph_option_set(&g->params, &g->n_params, "topic", "input");
	g->files = xcalloc(1, sizeof(*g->files));
	g->files[0] = (struct graph_file){ xstrdup("/etc/pages"), xmemdup("a\0b", 4), 3 };
	g->n_files = 1;

	n = stream_graph_add_node(g, NODE_SOURCE);
	n->name = xstrdup("Source");
	n->connector = xstrdup("kafka");
	n->watermark = weir_bounded_out_of_orderness(INT64_MAX);
	n->watermark.idle_timeout_ms = 5000;
	type(&n->out, "click", 40);
	fn(n, FN_DESERIALIZER, "read");
	fn(n, FN_TIMESTAMP, "time");
	graph_option_set(&n->options, &n->n_options, "topic", "a\tb\\");
	graph_option_set(&n->options, &n->n_options, "group.id", "");

	n = stream_graph_add_node(g, NODE_MAP);
	n->name = xstrdup("Map");
	n->uid = xstrdup("the map");
	n->parallelism = 3;
	n->max_parallelism = 32768;
	n->chaining = CHAIN_NEVER;
	type(&n->in, "click", 40);
	type(&n->out, "click", 40);
	fn(n, FN_MAIN, "slow");
	n->fns[FN_MAIN].block = xmemdup("\0\xff\1\2", 4);
	n->fns[FN_MAIN].block_len = 4;

	n = stream_graph_add_node(g, NODE_WINDOW);
	n->name = xstrdup("Counter");
	n->assigner = weir_tumbling_event_time(INT64_C(1) << 60);
	n->assigner.offset_ms = -5;
	n->key_kind = WEIR_KEY_STRING;
	n->acc_size = 8;
	n->chaining = CHAIN_HEAD;
	type(&n->in, "click", 40);
	type(&n->out, "stats", 64);
	fn(n, FN_KEY, "by_page");
	fn(n, FN_AGGREGATE, "count");
	fn(n, FN_WINDOW, "stamp");

	n = stream_graph_add_node(g, NODE_SINK);
	n->name = xstrdup("Sink");
	n->connector = xstrdup("kafka");
	type(&n->in, "stats", 64);
	fn(n, FN_SERIALIZER, "write");

	stream_graph_add_edge(g, 0, 1, SHIP_FORWARD);
	stream_graph_add_edge(g, 1, 2, SHIP_HASH)->given = true;
	stream_graph_add_edge(g, 2, 3, SHIP_REBALANCE)->given = true;
	return g;
}

static struct stream_graph *through_text(const struct stream_graph *g)
{
	struct err e = { 0 };
	char *text = plan_encode(g, &e);
	struct stream_graph *back = text != NULL ? plan_decode(text, strlen(text), &e) : NULL;

	if (back == NULL)
		diag("%s", e.msg);
	free(text);
	return back;
}

static void round_trip(void)
{
	struct stream_graph *g = sample(), *back = through_text(g);
	char *first, *second;
	struct err e = { 0 };

	ok(back != NULL, "a plan is read back");
	is_int(plan_compare(g, back, true, &e), 0, "as the same graph");
	is_int(back->n_files == 1 && back->files[0].len == 3 && memcmp(back->files[0].data, "a\0b", 3) == 0,
	    1, "a file");
	is_int(back->nodes[0].watermark.out_of_orderness_ms, INT64_MAX, "64-bit integers are exact");
	is_int(back->nodes[2].assigner.size_ms, INT64_C(1) << 60, "and above 2^53");
	ok(back->nodes[1].fns[FN_MAIN].code == NULL, "without addresses");
	first = plan_encode(g, &e);
	second = plan_encode(back, &e);
	is_str(second, first, "written again it is the same text");
	ok(strncmp(first, "{\"edges\":[{\"from\":0,\"given\":false,\"ship\":\"FORWARD\",\"to\":1}", 58) == 0,
	    "in canonical order");
	is_int(plan_bind(back, g, &e), 0, "addresses of a replay");
	ok(back->nodes[1].fns[FN_MAIN].code == g->nodes[1].fns[FN_MAIN].code, "move into it");
	g->nodes[1].fns[FN_MAIN].code = NULL;
	is_int(plan_bind(back, g, &e), -1, "a function without an address");
	like(e.msg, "operator \"Map\": its main function has no address", "is named");
	back->n_nodes--;
	is_int(plan_bind(back, g, &e), -1, "another number of operators");
	back->n_nodes++;
	free(first);
	free(second);
	stream_graph_destroy(back);
	stream_graph_destroy(g);
}

static void too_large(void)
{
	struct stream_graph *g = sample();
	struct err e = { 0 };
	char *text;

	free(g->files[0].data);
	g->files[0].len = 13u << 20;
	g->files[0].data = xcalloc(1, g->files[0].len + 1u);
	text = plan_encode(g, &e);
	ok(text == NULL, "a plan over 16 MiB is refused");
	is_int(e.code, ERR_TOO_LARGE, "as too large");
	like(e.msg, "at most 16777216", "with the limit");
	free(text);
	stream_graph_destroy(g);
}

/* ------------------------------------------------------------- comparing */

#define DIFFERS(change, part, blocks_only) \
	do { \
		struct stream_graph *a = sample(), *b = sample(); \
		struct err e = { 0 }; \
		struct graph_node *n = b->nodes; \
		unsigned n_nodes = b->n_nodes; \
		(void)n; \
		change; \
		is_int(plan_compare(a, b, true, &e), -1, "differs: %s", #change); \
		like(e.msg, part, "is said"); \
		is_int(plan_compare(a, b, false, &e), (blocks_only) ? 0 : -1, "and with%s blocks", \
		    (blocks_only) ? "out" : " or without"); \
		b->n_nodes = n_nodes; /* some changes cut one off */ \
		stream_graph_destroy(a); \
		stream_graph_destroy(b); \
	} while (0)

static void rename_to(char **s, const char *to)
{
	free(*s);
	*s = to != NULL ? xstrdup(to) : NULL;
}

static void comparing(void)
{
	DIFFERS(rename_to(&n[1].name, "Mop"), "operator \"Map\": its name is \"Map\" in one run and \"Mop\"",
	    false);
	DIFFERS(rename_to(&n[1].uid, NULL), "its uid is \"the map\" in one run and \"none\"", false);
	DIFFERS(n[1].type = NODE_FILTER, "its type is \"map\" in one run and \"filter\"", false);
	DIFFERS(n[1].parallelism = 4, "its parallelism is 3 in one run and 4 in another", false);
	DIFFERS(n[1].max_parallelism = 4, "its max parallelism", false);
	DIFFERS(n[1].chaining = CHAIN_HEAD, "its chaining is \"never\" in one run and \"head\"", false);
	DIFFERS(rename_to(&n[3].connector, "print"), "operator \"Sink\": its connector", false);
	DIFFERS(n[2].key_kind = WEIR_KEY_LONG, "kind of key is \"string\" in one run and \"long\"", false);
	DIFFERS(n[2].acc_size = 16, "operator \"Counter\": its accumulator size is 8", false);
	DIFFERS(rename_to(&n[2].out.name, "other"), "output type is \"stats\"", false);
	DIFFERS(n[2].in.size = 41, "input type is 40 in one run and 41", false);
	DIFFERS(n[2].in.version = 2, "input type is 1 in one run and 2", false);
	DIFFERS(rename_to(&n[2].fns[FN_KEY].name, "by_user"), "key function is \"by_page\"", false);
	DIFFERS(n[2].assigner.size_ms = 1, "window size (ms)", false);
	DIFFERS(n[2].assigner.offset_ms = 1, "window offset (ms)", false);
	DIFFERS(n[2].assigner.time = WEIR_PROCESSING_TIME, "notion of time", false);
	DIFFERS(n[0].watermark.out_of_orderness_ms = 1, "operator \"Source\": its out-of-orderness (ms)",
	    false);
	DIFFERS(n[0].watermark.idle_timeout_ms = 1, "idle timeout (ms) is 5000", false);
	DIFFERS(b->n_nodes--;
		b->n_edges--, "operator \"Sink\" is there in one run and not in another", false);
	DIFFERS(b->edges[2].ship = SHIP_FORWARD, "operator \"Sink\": its input is \"Counter\" by REBALANCE",
	    false);
	DIFFERS(b->edges[2].from = 1, "and \"Map\" into \"Sink\" by REBALANCE in another", false);
	DIFFERS(b->n_edges--, "operator \"Sink\": it has one more input", false);
	DIFFERS(((char *)n[1].fns[FN_MAIN].block)[2] = 9,
	    "operator \"Map\": its parameter block of function \"slow\" differs from run to run, first at "
	    "byte 2",
	    true);
	DIFFERS(n[1].fns[FN_MAIN].block_len = 3, "(4 and 3 bytes)", true);
	DIFFERS(a->nodes[1].fns[FN_MAIN].block_len = 3, "(3 and 4 bytes)", true);
	DIFFERS(graph_option_set(&n[0].options, &n[0].n_options, "topic", "x"),
	    "its option topic is \"a\tb\\\" in one run and \"x\"", true);
	DIFFERS(graph_option_set(&n[0].options, &n[0].n_options, "new", "x"),
	    "its option new is set in one run and not in another", true);
	DIFFERS(rename_to(&n[0].options[0].key, "y"), "its option is \"topic\" in one run and \"y\"", true);
	DIFFERS(rename_to(&b->job_name, "x"), "the job: its name", true);
	DIFFERS(graph_option_set(&b->settings, &b->n_settings, "parallelism.default", "3"),
	    "its setting parallelism.default is \"2\"", true);
	DIFFERS(graph_option_set(&b->params, &b->n_params, "topic", "z"), "its argument topic", true);
	DIFFERS(((char *)b->files[0].data)[0] = 'z',
	    "its file \"/etc/pages\" differs from run to run, first at byte 0", true);
	DIFFERS(rename_to(&b->files[0].path, "/x"), "its file is \"/etc/pages\" in one run", true);
}

/* --------------------------------------------------------- hostile plans */

/* The sample's text with the first `from` replaced. */
static void refused(const char *from, const char *to, const char *part)
{
	struct stream_graph *g = sample(), *back;
	struct err e = { 0 };
	char *text = plan_encode(g, &e), *at = strstr(text, from), *changed;

	if (!ok(at != NULL, "the plan has %s", from)) {
		diag("%s", text);
	} else {
		changed = xasprintf("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
		back = plan_decode(changed, strlen(changed), &e);
		ok(back == NULL, "%s is refused", to);
		like(e.msg, part, "and says so");
		stream_graph_destroy(back);
		free(changed);
	}
	free(text);
	stream_graph_destroy(g);
}

static void wrong_values(void)
{
	refused("]],\"version\":1}", "]],\"version\":2}", "format 2, and 1 is known");
	refused("\"from\":0", "\"from\":7", "leads from operator 7 to 1, but there are only 4");
	refused("\"from\":0", "\"from\":1", "leads back from operator 1 to 1, which makes a cycle");
	refused("\"from\":0", "\"from\":-1", "\"from\" is not a whole number");
	refused("\"from\":0", "\"from\":0.5", "\"from\" is not a whole number");
	refused("\"from\":0", "\"from\":1e300", "\"from\" is not a whole number");
	refused("\"from\":0", "\"from\":\"0\"", "\"from\" is not a whole number");
	refused("\"from\":0,", "", "edge lacks \"from\"");
	refused("\"from\":0", "\"from\":0,\"from\":0", "edge has members that are double or not known");
	refused("\"from\":0", "\"from\":0,\"x\":0", "edge has members that are double or not known");
	refused("\"given\":false", "\"given\":0", "neither true nor false");
	refused("FORWARD", "SIDEWAYS", "\"SIDEWAYS\", which is not known");
	refused("FORWARD", "CUSTOM", "own partitioner");
	refused("FORWARD", "HASH", "needs a HASH edge");
	refused("\"REBALANCE\",\"to\":3", "\"REBALANCE\",\"to\":1", "makes a cycle");
	refused("\"id\":1", "\"id\":0", "operator 1 of the plan says that it is operator 0");
	refused("\"type\":\"map\"", "\"type\":\"teleport\"", "\"teleport\", which is not known");
	refused("\"type\":\"map\"", "\"type\":\"filter\",\"type\":\"map\"", "double or not known");
	refused("\"type\":\"map\"", "\"type\":\"sink\"", "operator \"Map\"");
	refused("\"uid\":\"the map\"", "\"uid\":5", "\"uid\" is not a string");
	refused("\"chaining\":\"never\"", "\"chaining\":\"x\"", "\"chaining\" has \"x\"");
	refused("\"keyKind\":\"string\"", "\"keyKind\":\"none\"",
	    "operator \"Counter\": a key function and a kind of key");
	refused("\"parallelism\":3", "\"parallelism\":40000", "from 0 to 32768");
	refused("\"maxParallelism\":32768", "\"maxParallelism\":32769", "from 0 to 32768");
	refused("\"accumulatorSize\":8", "\"accumulatorSize\":4294967296", "from 0 to 2147483647");
	refused("\"size\":\"1152921504606846976\"", "\"size\":\"0\"", "longer than 0 ms");
	refused("\"size\":\"1152921504606846976\"", "\"size\":15000", "not a number in quotes");
	refused("\"size\":\"1152921504606846976\"", "\"size\":\"9223372036854775808\"",
	    "is not a whole number");
	refused("\"offset\":\"-5\"", "\"offset\":\"-9223372036854775808\"", "less than its size");
	refused("\"time\":\"event\"", "\"time\":\"tea\"", "\"tea\", which is not known");
	refused("\"kind\":\"tumbling\"", "\"kind\":\"sliding\"", "\"sliding\", which is not known");
	refused("\"outOfOrderness\":\"9223372036854775807\"", "\"outOfOrderness\":\"-1\"",
	    "cannot be negative");
	refused("\"block\":\"AP8BAg==\"", "\"block\":\"AP8BAg=\"", "\"block\" is not base64");
	refused("\"block\":\"AP8BAg==\"", "\"block\":null", "\"block\" is not base64");
	refused("\"role\":\"main\"", "\"role\":\"key\"", "operator \"Map\": it has no main function");
	refused("\"role\":\"key\"", "\"role\":\"aggregate\"", "two aggregate functions");
	refused("\"role\":\"time", "\"role\":\"tame", "\"tamestamp\", which is not known");
	refused("\"connector\":\"kafka\"", "\"connector\":null", "a source must have a connector");
	refused("\"connector\":null", "\"connector\":\"x\"", "a map cannot have a connector");
	refused("[\"topic\",", "[\"topic\"],[", "is not a pair");
	refused("[\"group.id\",\"\"]", "[\"topic\",\"\"]", "sets \"topic\" twice");
	refused("[\"group.id\",\"\"]", "[\"group.id\",\"\",\"\"]", "is not a pair");
	refused("\"name\":\"click\",\"size\":40", "\"name\":\"click\",\"size\":41",
	    "operator \"Map\": it takes click");
	refused("\"name\":\"Source\"", "\"name\":null", "\"name\" is not a string");
	refused("\"data\":\"YQBi\"", "\"data\":\"YQBj!\"", "\"data\" is not base64");
	refused("\"params\":[", "\"params\":{},\"x\":[", "double or not known");
	refused("\"nodes\":[{", "\"nodes\":[7,{", "operator is not an object");
}

static void refused_text(const char *text, size_t len, const char *part)
{
	struct err e = { 0 };
	struct stream_graph *g = plan_decode(text, len, &e);

	ok(g == NULL, "%.30s is refused", text);
	like(e.msg, part, "and says so");
	stream_graph_destroy(g);
}

static void wrong_text(void)
{
	size_t len = PLAN_MAX_VALUES * 2u + 3;
	char *big = xmalloc(len + 1);
	struct stream_graph *g = sample(), *back;
	struct err e = { 0 };
	char *text = plan_encode(g, &e);
	bool all = true;

	refused_text("", 0, "not JSON");
	refused_text("{", 1, "not JSON");
	refused_text("null", 4, "text is not an object");
	refused_text("[]", 2, "text is not an object");
	refused_text("{}", 2, "text lacks \"edges\"");
	refused_text("{} {}", 5, "3 bytes too many");
	refused_text("\"abc", 4, "ends within a string");
	refused_text("\"abc\\", 5, "ends within a string");
	refused_text("\"a\\u0000b\"", 10, "NUL in a string");
	refused_text("{\"a\":\t1}", 8, "control character at byte 5");
	refused_text("{\"a\":\0}", 7, "control character at byte 5");
	refused_text("{\"a\":\"\xff\"}", 9, "not UTF-8");
	refused_text("\"\\ud800\"", 8, "not JSON");
	refused_text("[[[[[[[[[[[[[[[[[", 17, "nested deeper than 16");
	memset(big, '0', len);
	for (size_t i = 0; i < len; i++)
		big[i] = i == 0 ? '[' : i % 2 != 0 ? '0' : ',';
	big[len - 1] = ']';
	big[len] = '\0';
	refused_text(big, len, "more than 400000 values");
	free(big);
	big = xcalloc(1, PLAN_MAX + 2u);
	memset(big, ' ', PLAN_MAX + 1u);
	refused_text(big, PLAN_MAX + 1u, "at most 16777216");
	free(big);

	for (size_t n = 0; n < strlen(text); n++) {
		back = plan_decode(text, n, &e);
		all = all && back == NULL;
		stream_graph_destroy(back);
	}
	ok(all, "a plan cut off anywhere is refused");
	free(text);
	stream_graph_destroy(g);
}

static void base64(void)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *text;
	} rows[] = { { "", 0, "" }, { "f", 1, "Zg==" }, { "fo", 2, "Zm8=" }, { "foo", 3, "Zm9v" },
		{ "foob", 4, "Zm9vYg==" }, { "\xff\xfe\xfb", 3, "//77" } };
	static const char *const bad[] = { "Z", "Zg=", "Zg",
		"Z===", "====", "Zh==", "Zm9=", "Zg==Zg==", "Zm 9", "Zm9\xc3" };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *text = base64_encode(rows[i].bytes, rows[i].len);
		size_t len = 99;
		void *back = base64_decode(rows[i].text, &len);

		is_str(text, rows[i].text, "base64 of %zu bytes", rows[i].len);
		ok(back != NULL && len == rows[i].len && memcmp(back, rows[i].bytes, len) == 0, "and back");
		free(text);
		free(back);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		size_t len;
		void *back = base64_decode(bad[i], &len);

		ok(back == NULL, "%s is not base64", bad[i]);
		free(back);
	}
}

int main(void)
{
	round_trip();
	too_large();
	comparing();
	wrong_values();
	wrong_text();
	base64();
	return tap_done();
}
