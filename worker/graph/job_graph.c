/*
 * From operators to vertices: parallelism, ship strategies, chains, names.
 */
#include "worker/graph/job_graph.h"

#include <inttypes.h>

#include "base/conf.h"
#include "base/mem.h"
#include "worker/graph/ids.h"

/* What is known of the operators on the way; all arrays by node or by edge of the stream graph. */
struct build {
	const struct stream_graph *g;
	uint32_t *parallelism, *max_parallelism;
	enum ship *ship;
	bool *chained;
	uint32_t *vertex, *place; /* where a node went */
};

static int read_setting(const struct stream_graph *g, const char *key, uint32_t def, uint32_t *v,
    struct err *e)
{
	const char *text = stream_graph_setting(g, key, NULL);
	int64_t n;

	*v = def;
	if (text == NULL)
		return 0;
	if (conf_parse_i64(text, 1, GRAPH_MAX_PARALLELISM, &n, e) != 0)
		return err_prefix(e, "job setting %s", key);
	*v = (uint32_t)n;
	return 0;
}

static int resolve_parallelism(struct build *b, uint32_t default_parallelism, bool force, struct err *e)
{
	uint32_t def, max_def;

	if (default_parallelism == 0 || default_parallelism > GRAPH_MAX_PARALLELISM)
		return err_set(e, ERR_INVALID, "parallelism must be 1 to %d, not %" PRIu32,
		    GRAPH_MAX_PARALLELISM, default_parallelism);
	if (read_setting(b->g, "parallelism.default", default_parallelism, &def, e) != 0 ||
	    read_setting(b->g, "pipeline.max-parallelism", MAX_PARALLELISM_DEFAULT, &max_def, e) != 0)
		return -1;
	if (force)
		def = default_parallelism;
	for (unsigned i = 0; i < b->g->n_nodes; i++) {
		const struct graph_node *n = &b->g->nodes[i];

		b->parallelism[i] = n->parallelism > 0 ? (uint32_t)n->parallelism : def;
		b->max_parallelism[i] = n->max_parallelism > 0 ? (uint32_t)n->max_parallelism : max_def;
		if (b->parallelism[i] > b->max_parallelism[i])
			return err_set(e, ERR_INVALID,
			    "operator \"%s\": parallelism %" PRIu32 " is over its max parallelism of %" PRIu32
			    "; lower the one or raise the other (pipeline.max-parallelism)",
			    n->name, b->parallelism[i], b->max_parallelism[i]);
	}
	return 0;
}

static int resolve_ships(struct build *b, struct err *e)
{
	for (unsigned i = 0; i < b->g->n_edges; i++) {
		const struct graph_edge *edge = &b->g->edges[i];
		uint32_t from = b->parallelism[edge->from], to = b->parallelism[edge->to];

		b->ship[i] = edge->ship;
		if (edge->ship != SHIP_FORWARD || from == to)
			continue;
		if (edge->given)
			return err_set(e, ERR_INVALID,
			    "a FORWARD edge cannot change parallelism: \"%s\" has %" PRIu32
			    ", \"%s\" behind it %" PRIu32,
			    b->g->nodes[edge->from].name, from, b->g->nodes[edge->to].name, to);
		b->ship[i] = SHIP_REBALANCE;
	}
	return 0;
}

/* Flink's rule. NEVER joins nothing, HEAD joins only what follows. */
static int decide_chains(struct build *b, struct err *e)
{
	const char *text = stream_graph_setting(b->g, "pipeline.operator-chaining", "true");
	uint32_t *n_inputs;
	bool enabled;

	if (conf_parse_bool(text, &enabled, e) != 0)
		return err_prefix(e, "job setting pipeline.operator-chaining");
	n_inputs = xcalloc(b->g->n_nodes, sizeof(*n_inputs));
	for (unsigned i = 0; i < b->g->n_edges; i++)
		n_inputs[b->g->edges[i].to]++;
	for (unsigned i = 0; i < b->g->n_edges; i++) {
		const struct graph_edge *edge = &b->g->edges[i];

		b->chained[i] = enabled && b->ship[i] == SHIP_FORWARD && n_inputs[edge->to] == 1 &&
		    b->parallelism[edge->from] == b->parallelism[edge->to] &&
		    b->g->nodes[edge->from].chaining != CHAIN_NEVER &&
		    b->g->nodes[edge->to].chaining == CHAIN_ALWAYS;
	}
	free(n_inputs);
	return 0;
}

/* The chained edge into a node, or UINT32_MAX: then the node is a head. */
static uint32_t chained_input(const struct build *b, uint32_t node)
{
	for (unsigned i = 0; i < b->g->n_edges; i++)
		if (b->g->edges[i].to == node && b->chained[i])
			return i;
	return UINT32_MAX;
}

/* "A", "A -> B", "A -> (B, C -> D)" */
static char *chain_name(const struct build *b, uint32_t node)
{
	char *name = graph_node_operator_name(&b->g->nodes[node]), *tail = NULL, *joined;
	unsigned n_out = 0;

	for (unsigned i = 0; i < b->g->n_edges; i++) {
		char *next;

		if (b->g->edges[i].from != node || !b->chained[i])
			continue;
		next = chain_name(b, b->g->edges[i].to);
		joined = n_out == 0 ? xstrdup(next) : xasprintf("%s, %s", tail, next);
		free(next);
		free(tail);
		tail = joined;
		n_out++;
	}
	if (n_out == 0)
		return name;
	joined = n_out == 1 ? xasprintf("%s -> %s", name, tail) : xasprintf("%s -> (%s)", name, tail);
	free(name);
	free(tail);
	return joined;
}

static void add_vertex(const struct build *b, struct job_graph *jg, uint32_t head)
{
	struct job_vertex *v = &jg->vertices[jg->n_vertices];

	*v = (struct job_vertex){
		.id = jg->op_ids[head],
		.name = chain_name(b, head),
		.parallelism = b->parallelism[head],
		.max_parallelism = b->max_parallelism[head],
		.is_source = b->g->nodes[head].type == NODE_SOURCE,
	};
	b->vertex[head] = jg->n_vertices++;
}

/* Creation order is topological: an edge always leads to a later node. */
static void add_vertices(const struct build *b, struct job_graph *jg)
{
	const struct stream_graph *g = b->g;

	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < g->n_nodes; i++)
			if (chained_input(b, i) == UINT32_MAX &&
			    (g->nodes[i].type == NODE_SOURCE) == (pass == 0))
				add_vertex(b, jg, i);
	for (unsigned i = 0; i < g->n_nodes; i++) {
		uint32_t in = chained_input(b, i);
		int32_t parent = -1;
		struct job_vertex *v;

		if (in != UINT32_MAX) {
			b->vertex[i] = b->vertex[g->edges[in].from];
			parent = (int32_t)b->place[g->edges[in].from];
		}
		v = &jg->vertices[b->vertex[i]];
		v->ops = xreallocarray(v->ops, v->n_ops + 1u, sizeof(*v->ops));
		v->parent = xreallocarray(v->parent, v->n_ops + 1u, sizeof(*v->parent));
		v->ops[v->n_ops] = i;
		v->parent[v->n_ops] = parent;
		b->place[i] = v->n_ops++;
	}
}

static void add_edges(const struct build *b, struct job_graph *jg)
{
	for (unsigned i = 0; i < b->g->n_edges; i++)
		if (!b->chained[i])
			jg->edges[jg->n_edges++] = (struct job_edge){
				.from_vertex = b->vertex[b->g->edges[i].from],
				.to_vertex = b->vertex[b->g->edges[i].to],
				.from_op = b->g->edges[i].from,
				.ship = b->ship[i],
			};
}

struct job_graph *job_graph_create(const struct stream_graph *g, uint32_t default_parallelism, bool force,
    struct err *e)
{
	struct build b = { .g = g };
	struct job_graph *jg;
	int rc = -1;

	if (stream_graph_check(g, e) != 0)
		return NULL;
	b.parallelism = xcalloc(g->n_nodes, sizeof(*b.parallelism));
	b.max_parallelism = xcalloc(g->n_nodes, sizeof(*b.max_parallelism));
	b.vertex = xcalloc(g->n_nodes, sizeof(*b.vertex));
	b.place = xcalloc(g->n_nodes, sizeof(*b.place));
	b.ship = xcalloc(g->n_edges, sizeof(*b.ship));
	b.chained = xcalloc(g->n_edges, sizeof(*b.chained));
	jg = xcalloc(1, sizeof(*jg));
	jg->stream = g;
	jg->op_ids = xcalloc(g->n_nodes, sizeof(*jg->op_ids));
	jg->vertices = xcalloc(g->n_nodes, sizeof(*jg->vertices));
	jg->edges = xcalloc(g->n_edges, sizeof(*jg->edges));
	if (resolve_parallelism(&b, default_parallelism, force, e) != 0 || resolve_ships(&b, e) != 0 ||
	    decide_chains(&b, e) != 0 || ids_compute(g, b.chained, jg->op_ids, e) != 0)
		goto out;
	add_vertices(&b, jg);
	add_edges(&b, jg);
	rc = layout_assign(jg, e);
out:
	free(b.chained);
	free(b.ship);
	free(b.place);
	free(b.vertex);
	free(b.max_parallelism);
	free(b.parallelism);
	if (rc != 0) {
		job_graph_destroy(jg);
		return NULL;
	}
	return jg;
}

void job_graph_destroy(struct job_graph *jg)
{
	if (jg == NULL)
		return;
	for (uint32_t i = 0; i < jg->n_vertices; i++) {
		free(jg->vertices[i].name);
		free(jg->vertices[i].ops);
		free(jg->vertices[i].parent);
	}
	free(jg->vertices);
	free(jg->edges);
	free(jg->op_ids);
	free(jg);
}

unsigned job_graph_n_stateful_without_uid(const struct job_graph *jg)
{
	unsigned n = 0;

	for (unsigned i = 0; i < jg->stream->n_nodes; i++)
		if (jg->stream->nodes[i].uid == NULL && graph_node_is_stateful(&jg->stream->nodes[i]))
			n++;
	return n;
}

uint32_t job_graph_vertex_of(const struct job_graph *jg, uint32_t node, uint32_t *place)
{
	for (uint32_t v = 0; v < jg->n_vertices; v++)
		for (uint32_t i = 0; i < jg->vertices[v].n_ops; i++)
			if (jg->vertices[v].ops[i] == node) {
				if (place != NULL)
					*place = i;
				return v;
			}
	ASSERT(!"an operator is in no vertex");
	return UINT32_MAX;
}
