/*
 * Operator ids are those of Flink's StreamGraphHasherV2.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "t/tap.h"
#include "worker/graph/ids.h"
#include "worker/graph/job_graph.h"

#define MAX 8

/* A graph of sources and maps; only shape and uid matter to an id. */
static struct stream_graph *graph(unsigned n_nodes, unsigned n_sources)
{
	struct stream_graph *g = stream_graph_create();

	for (unsigned i = 0; i < n_nodes; i++)
		stream_graph_add_node(g, i < n_sources ? NODE_SOURCE : NODE_MAP)->name =
		    xasprintf("op %u", i);
	return g;
}

static void is_id(const struct id128 *id, const char *want, const char *what)
{
	char hex[ID_HEX_SIZE];

	is_str(id_hex(id, hex), want, "%s", what);
}

static void murmur(void)
{
	static const struct {
		const char *text, *hex;
	} rows[] = {
		{ "", "00000000000000000000000000000000" },
		{ "hello", "029bbd41b3a7d8cb191dae486a901e5b" },
		{ "The quick brown fox jumps over the lazy dog", "6c1b07bc7bbc4be347939ac4a93c437a" },
		{ "counter", "0da08f51eaa85fc298e176a139b3649a" },
	};
	uint8_t text[50], all[50][16];
	struct id128 id;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		murmur3_128(rows[i].text, strlen(rows[i].text), id.b);
		is_id(&id, rows[i].hex, rows[i].text);
	}

	/* Every length of a tail: the hash of the hashes of all beginnings of a text. */
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 7);
	for (size_t n = 0; n < sizeof(text); n++)
		murmur3_128(text, n, all[n]);
	murmur3_128(all, sizeof(all), id.b);
	is_id(&id, "bece419dfcf1153d5b6df7f18e97a890", "all lengths up to 49");
}

static void recorded_chain(void)
{
	struct stream_graph *g = graph(4, 1);
	bool chained[MAX] = { false };
	struct id128 ids[MAX];
	struct err e = { 0 };

	stream_graph_add_edge(g, 0, 1, SHIP_HASH);
	stream_graph_add_edge(g, 1, 2, SHIP_FORWARD);
	stream_graph_add_edge(g, 2, 3, SHIP_FORWARD);
	is_int(ids_compute(g, chained, ids, &e), 0, "a row of operators, not chained");
	is_id(&ids[0], "bc764cd8ddf7a0cff126f51c16239658", "the recorded source");
	is_id(&ids[1], "0a448493b4782967b150582570326227", "the recorded counter");
	is_id(&ids[2], "ea632d67b7d595e5b851708ae9ad79d6", "the recorded sink");
	is_id(&ids[3], "6d2677a0ecc3fd8df0b72ec675edf8f4", "the recorded fourth");
	chained[0] = chained[1] = true;
	is_int(ids_compute(g, chained, ids, &e), 0, "with chained outputs");
	is_id(&ids[0], "cbc357ccb763df2852fee8c4fc7d55f2", "the recorded source with a chained output");
	is_id(&ids[1], "570f707193e0fe32f4d86d067aba243b", "an operator chained on both sides");
	is_id(&ids[2], "b728d985904d42b0fdd945a9e3253fca", "the end of the chain");
	stream_graph_destroy(g);
}

static void uids(void)
{
	struct stream_graph *g = graph(3, 1);
	bool chained[MAX] = { false };
	struct id128 ids[MAX], with[MAX];
	struct err e = { 0 };

	stream_graph_add_edge(g, 0, 1, SHIP_FORWARD);
	stream_graph_add_edge(g, 1, 2, SHIP_FORWARD);
	ids_compute(g, chained, ids, &e);
	g->nodes[1].uid = xstrdup("counter");
	is_int(ids_compute(g, chained, with, &e), 0, "with a uid");
	is_id(&with[1], "0da08f51eaa85fc298e176a139b3649a", "the uid's own hash");
	ok(id_equal(&with[0], &ids[0]), "what stands before keeps its id");
	ok(!id_equal(&with[2], &ids[2]), "what follows takes the uid's hash in");
	g->nodes[2].uid = xstrdup("counter");
	is_int(ids_compute(g, chained, with, &e), -1, "the same uid twice is refused");
	like(e.msg, "\"op 1\" and \"op 2\"", "with both names");
	stream_graph_destroy(g);
}

/* A join of two sources: the far input is visited later, so that the join is met twice. */
static void breadth_first(void)
{
	struct stream_graph *g = graph(5, 2), *h;
	bool chained[MAX] = { false };
	struct id128 ids[MAX];
	struct err e = { 0 };

	stream_graph_add_edge(g, 0, 4, SHIP_FORWARD);
	stream_graph_add_edge(g, 1, 2, SHIP_FORWARD);
	stream_graph_add_edge(g, 2, 3, SHIP_FORWARD);
	stream_graph_add_edge(g, 3, 4, SHIP_FORWARD);
	is_int(ids_compute(g, chained, ids, &e), 0, "a join with inputs of different depth");
	/* From the formula of the hasher by another hand; the join waits and is the fifth visited. */
	is_id(&ids[0], "bc764cd8ddf7a0cff126f51c16239658", "the first source");
	is_id(&ids[1], "feca28aff5a3958840bee985ee7de4d3", "the second source");
	is_id(&ids[2], "1eed815bf60e290a49bfc12a77e2ff22", "one step behind it");
	is_id(&ids[3], "99a8db9cad18416201599f66eba27e00", "two steps behind it");
	is_id(&ids[4], "25b15455991aea4d6ecbc4e2d3b0d36b", "the join mixes both inputs in");
	h = graph(2, 1);
	is_int(ids_compute(h, chained, ids, &e), -1, "an operator that no source reaches");
	like(e.msg, "cannot be reached", "is said");
	stream_graph_destroy(h);
	stream_graph_destroy(g);
}

/* One hash more a chained output, not one more for all. */
static void fan(void)
{
	struct stream_graph *g = graph(6, 1);
	bool chained[MAX] = { false };
	struct id128 ids[MAX];
	struct err e = { 0 };

	for (uint32_t i = 1; i < 6; i++) {
		stream_graph_add_edge(g, 0, i, SHIP_FORWARD);
		chained[i - 1] = true;
	}
	is_int(ids_compute(g, chained, ids, &e), 0, "five chained outputs");
	is_id(&ids[0], "46328447a2022b04964f2f614c774125", "each counts");
	stream_graph_destroy(g);
}

int main(void)
{
	murmur();
	recorded_chain();
	uids();
	breadth_first();
	fan();
	return tap_done();
}
