/*
 * From operators to vertices: parallelism, ship strategies, chains, names, rings.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "t/tap.h"
#include "worker/graph/job_graph.h"

static void fn(struct graph_node *n, enum fn_role role)
{
	n->fns[role].present = true;
	n->fns[role].name = xstrdup("f");
}

static uint32_t add(struct stream_graph *g, enum node_type type, const char *name)
{
	struct graph_node *n = stream_graph_add_node(g, type);

	n->name = xstrdup(name);
	if (type == NODE_SOURCE || type == NODE_SINK)
		n->connector = xstrdup("kafka");
	if (type == NODE_WINDOW) {
		n->assigner = weir_tumbling_event_time(15000);
		n->key_kind = WEIR_KEY_STRING;
		fn(n, FN_KEY);
	}
	fn(n,
	    type == NODE_SOURCE     ? FN_DESERIALIZER :
		type == NODE_SINK   ? FN_SERIALIZER :
		type == NODE_WINDOW ? FN_AGGREGATE :
				      FN_MAIN);
	return n->id;
}

/* The playground's job, with its map for --backpressure between source and window or without. */
static struct stream_graph *playground(bool backpressure)
{
	struct stream_graph *g = stream_graph_create();
	uint32_t last = add(g, NODE_SOURCE, "ClickEvent Source");

	g->job_name = xstrdup("Click Event Count");
	if (backpressure) {
		add(g, NODE_MAP, "Backpressure");
		stream_graph_add_edge(g, last, 1, SHIP_FORWARD);
		last = 1;
	}
	add(g, NODE_WINDOW, "ClickEvent Counter");
	add(g, NODE_SINK, "ClickEventStatistics Sink");
	stream_graph_add_edge(g, last, last + 1, SHIP_HASH)->given = true;
	stream_graph_add_edge(g, last + 1, last + 2, SHIP_FORWARD);
	return g;
}

static void set(struct stream_graph *g, const char *key, const char *value)
{
	graph_option_set(&g->settings, &g->n_settings, key, value);
}

static struct job_graph *make(const struct stream_graph *g, uint32_t p)
{
	struct err e = { 0 };
	struct job_graph *jg = job_graph_create(g, p, false, &e);

	if (!ok(jg != NULL, "the job graph is made"))
		diag("%s", e.msg);
	return jg;
}

static void unmakeable(const struct stream_graph *g, uint32_t p, const char *part, const char *what)
{
	struct err e = { 0 };
	struct job_graph *jg = job_graph_create(g, p, false, &e);

	ok(jg == NULL, "%s is refused", what);
	like(e.msg, part, "and says so");
	job_graph_destroy(jg);
}

static void is_vertex(const struct job_graph *jg, uint32_t v, const char *id, const char *name)
{
	char hex[ID_HEX_SIZE];

	is_str(id_hex(&jg->vertices[v].id, hex), id, "id of vertex %u", v);
	is_str(jg->vertices[v].name, name, "name of vertex %u", v);
}

static void playground_unchained(void)
{
	struct stream_graph *g = playground(false);
	struct job_graph *jg;

	set(g, "pipeline.operator-chaining", "false");
	jg = make(g, 2);
	is_int(jg->n_vertices, 3, "three vertices without chaining");
	is_vertex(jg, 0, "bc764cd8ddf7a0cff126f51c16239658", "Source: ClickEvent Source");
	is_vertex(jg, 1, "0a448493b4782967b150582570326227", "ClickEvent Counter");
	is_vertex(jg, 2, "ea632d67b7d595e5b851708ae9ad79d6", "Sink ClickEventStatistics Sink");
	ok(jg->vertices[0].is_source && !jg->vertices[1].is_source, "which vertex is a source");
	is_int(jg->n_edges, 2, "two edges");
	is_int(jg->edges[0].ship, SHIP_HASH, "HASH to the window");
	is_int(jg->edges[1].ship, SHIP_FORWARD, "FORWARD to the sink");
	is_int(jg->n_slots, 2, "as many slots as the largest parallelism");
	is_int(jg->vertices[1].max_parallelism, 128, "max parallelism is 128");
	is_int(job_graph_n_stateful_without_uid(jg), 2, "source and window keep state without a uid");
	job_graph_destroy(jg);
	g->nodes[1].uid = xstrdup("counter");
	jg = make(g, 2);
	is_int(job_graph_n_stateful_without_uid(jg), 1, "one of them got a uid");
	is_vertex(jg, 1, "0da08f51eaa85fc298e176a139b3649a", "ClickEvent Counter");
	job_graph_destroy(jg);
	stream_graph_destroy(g);
}

static void playground_chained(void)
{
	struct stream_graph *g = playground(true);
	struct job_graph *jg = make(g, 1);
	uint32_t place;

	is_int(jg->n_vertices, 2, "two vertices with chaining");
	is_vertex(jg, 0, "cbc357ccb763df2852fee8c4fc7d55f2", "Source: ClickEvent Source -> Backpressure");
	is_str(jg->vertices[1].name, "ClickEvent Counter -> Sink ClickEventStatistics Sink",
	    "name of the second");
	is_int(jg->vertices[1].n_ops, 2, "two operators in it");
	is_int(jg->vertices[1].ops[0], 2, "its head");
	is_int(jg->vertices[1].parent[0], -1, "which has no parent");
	is_int(jg->vertices[1].parent[1], 0, "the sink's parent is the head");
	is_int(jg->n_edges, 1, "one edge");
	is_int(jg->edges[0].from_op, 1, "from the end of the first chain");
	is_int(job_graph_vertex_of(jg, 3, &place), 1, "the sink's vertex");
	is_int(place, 1, "and place");
	job_graph_destroy(jg);
	stream_graph_destroy(g);
}

/* source -> (map -> sink, sink, and a map of its own vertex), as Flink writes branches. */
static void branches(void)
{
	struct stream_graph *g = stream_graph_create();
	struct job_graph *jg;

	g->job_name = xstrdup("branches");
	add(g, NODE_SOURCE, "In");
	add(g, NODE_MAP, "A");
	add(g, NODE_SINK, "B");
	add(g, NODE_MAP, "C");
	add(g, NODE_SINK, "D");
	stream_graph_add_edge(g, 0, 1, SHIP_FORWARD);
	stream_graph_add_edge(g, 0, 2, SHIP_FORWARD);
	stream_graph_add_edge(g, 0, 3, SHIP_REBALANCE)->given = true;
	stream_graph_add_edge(g, 1, 4, SHIP_FORWARD);
	jg = make(g, 1);
	is_int(jg->n_vertices, 2, "a tree of four and one of its own");
	is_str(jg->vertices[0].name, "Source: In -> (A -> Sink D, Sink B)", "branches in brackets");
	is_int(jg->vertices[0].n_ops, 4, "four operators");
	is_int(jg->vertices[0].parent[2], 0, "two hang on the head");
	is_int(jg->vertices[0].parent[3], 1, "one on the first of them");
	is_str(jg->vertices[1].name, "C", "REBALANCE does not chain at parallelism 1 either");
	job_graph_destroy(jg);
	stream_graph_destroy(g);
}

static unsigned n_vertices(const struct stream_graph *g)
{
	struct job_graph *jg = make(g, 1);
	unsigned n = jg != NULL ? jg->n_vertices : 0;

	job_graph_destroy(jg);
	return n;
}

static void strategies(void)
{
	struct stream_graph *g = playground(true);

	is_int(n_vertices(g), 2, "all ALWAYS");
	g->nodes[1].chaining = CHAIN_HEAD;
	is_int(n_vertices(g), 3, "HEAD in the map cuts before it");
	g->nodes[1].chaining = CHAIN_ALWAYS;
	g->nodes[0].chaining = CHAIN_HEAD;
	is_int(n_vertices(g), 2, "HEAD in the source changes nothing");
	g->nodes[0].chaining = CHAIN_NEVER;
	is_int(n_vertices(g), 3, "NEVER in the source cuts behind it");
	g->nodes[0].chaining = CHAIN_ALWAYS;
	g->nodes[3].chaining = CHAIN_NEVER;
	is_int(n_vertices(g), 3, "NEVER in the sink cuts before it");
	stream_graph_destroy(g);
}

static void parallelism(void)
{
	struct stream_graph *g = playground(true);
	struct job_graph *jg;
	struct err e = { 0 };

	g->nodes[1].parallelism = 3;
	jg = make(g, 2);
	is_int(jg->n_vertices, 3, "another parallelism does not chain");
	is_int(jg->edges[0].ship, SHIP_REBALANCE, "and FORWARD becomes REBALANCE");
	is_int(jg->edges[1].ship, SHIP_HASH, "HASH stays");
	is_int(jg->n_slots, 3, "slots for the largest");
	is_int(jg->vertices[0].parallelism, 2, "the default for who names none");
	job_graph_destroy(jg);
	g->edges[0].given = true;
	unmakeable(g, 2, "\"ClickEvent Source\" has 2, \"Backpressure\" behind it 3",
	    "a FORWARD that the job asked for");
	g->nodes[1].parallelism = 0;

	set(g, "parallelism.default", "4");
	jg = make(g, 2);
	is_int(jg->n_slots, 4, "the job's setting wins over the default");
	job_graph_destroy(jg);
	jg = job_graph_create(g, 2, true, &e);
	is_int(jg->n_slots, 2, "but not over -p");
	job_graph_destroy(jg);

	set(g, "pipeline.max-parallelism", "3");
	unmakeable(g, 2, "parallelism 4 is over its max parallelism of 3", "more than the maximum");
	g->nodes[0].max_parallelism = 200;
	unmakeable(g, 2, "operator \"Backpressure\"", "the operator without a maximum of its own");
	set(g, "parallelism.default", "many");
	unmakeable(g, 2, "job setting parallelism.default: 'many'", "a setting that is no number");
	set(g, "parallelism.default", "1");
	set(g, "pipeline.operator-chaining", "perhaps");
	unmakeable(g, 2, "pipeline.operator-chaining", "a setting that is neither true nor false");
	set(g, "pipeline.operator-chaining", "true");
	unmakeable(g, 0, "parallelism must be 1 to 32768", "parallelism 0");
	unmakeable(g, 32769, "parallelism must be 1 to 32768", "parallelism 32769");
	stream_graph_destroy(g);
}

/* Each ring is found from its ends and its ends from it, once. */
static void check_rings(const struct job_graph *jg)
{
	bool *seen = calloc(jg->n_rings, 1), good = true;
	uint32_t n = 0;

	for (uint32_t i = 0; i < jg->n_edges; i++)
		for (uint32_t p = 0; p < jg->vertices[jg->edges[i].from_vertex].parallelism; p++)
			for (uint32_t c = 0; c < jg->vertices[jg->edges[i].to_vertex].parallelism; c++) {
				uint32_t r = layout_ring(jg, i, p, c), edge, producer, consumer;

				if (r == UINT32_MAX) {
					good = good && jg->edges[i].ship == SHIP_FORWARD && p != c;
					continue;
				}
				layout_ring_ends(jg, r, &edge, &producer, &consumer);
				good = good && r < jg->n_rings && !seen[r] && edge == i && producer == p &&
				    consumer == c;
				seen[r] = true;
				n++;
			}
	ok(good && n == jg->n_rings, "%u rings, each with its ends", jg->n_rings);
	free(seen);
}

static void rings(void)
{
	struct stream_graph *g = playground(true);
	struct job_graph *jg;

	set(g, "pipeline.operator-chaining", "false");
	g->nodes[1].parallelism = 3;
	jg = make(g, 2);
	is_int(jg->n_rings, 2 * 3 + 3 * 2 + 2, "REBALANCE 6, HASH 6, FORWARD 2");
	is_int(layout_inbound(jg, 0), 2, "inbound on REBALANCE");
	is_int(layout_inbound(jg, 1), 3, "inbound on HASH");
	is_int(layout_inbound(jg, 2), 1, "inbound on FORWARD");
	is_int(layout_ring(jg, 2, 0, 1), UINT32_MAX, "FORWARD joins equal subtasks only");
	is_int(layout_ring(jg, 1, 2, 0) + 1, layout_ring(jg, 1, 0, 1), "a consumer's rings lie side by side");
	check_rings(jg);
	job_graph_destroy(jg);
	g->nodes[1].parallelism = 0;
	jg = make(g, 16);
	check_rings(jg);
	job_graph_destroy(jg);
	set(g, "pipeline.max-parallelism", "32768");
	unmakeable(g, 32768, "more than 1048576 rings", "2^30 rings");
	stream_graph_destroy(g);
}

/* Nobody walks a graph that is not whole. */
static void not_whole(void)
{
	struct stream_graph *g = stream_graph_create();

	g->job_name = xstrdup("x");
	unmakeable(g, 1, "no operators", "an empty graph");
	add(g, NODE_SOURCE, "In");
	add(g, NODE_MAP, "Alone");
	unmakeable(g, 1, "\"Alone\": it has no input", "an operator without input");
	stream_graph_add_edge(g, 0, 1, SHIP_HASH);
	unmakeable(g, 1, "HASH", "HASH without a key");
	g->edges[0].ship = SHIP_CUSTOM;
	unmakeable(g, 1, "own partitioner", "CUSTOM");
	g->edges[0].ship = SHIP_FORWARD;
	stream_graph_add_edge(g, 1, 0, SHIP_FORWARD);
	unmakeable(g, 1, "cycle", "a cycle");
	stream_graph_destroy(g);
}

int main(void)
{
	playground_unchained();
	playground_chained();
	branches();
	strategies();
	parallelism();
	rings();
	not_whole();
	return tap_done();
}
