/*
 * The logical graph: its memory, its look-ups and the names of its words.
 */
#include "worker/graph/stream_graph.h"

#include "base/mem.h"

static const char *const node_type_names[NODE_N_TYPES] = {
	[NODE_SOURCE] = "source",
	[NODE_MAP] = "map",
	[NODE_FILTER] = "filter",
	[NODE_FLAT_MAP] = "flatMap",
	[NODE_WATERMARKS] = "watermarks",
	[NODE_WINDOW] = "window",
	[NODE_SINK] = "sink",
};
static const char *const ship_names[] = {
	[SHIP_FORWARD] = "FORWARD",
	[SHIP_HASH] = "HASH",
	[SHIP_REBALANCE] = "REBALANCE",
	[SHIP_RESCALE] = "RESCALE",
	[SHIP_SHUFFLE] = "SHUFFLE",
	[SHIP_BROADCAST] = "BROADCAST",
	[SHIP_GLOBAL] = "GLOBAL",
	[SHIP_CUSTOM] = "CUSTOM",
};
static const char *const role_names[FN_N_ROLES] = {
	[FN_MAIN] = "main",
	[FN_DESERIALIZER] = "deserializer",
	[FN_SERIALIZER] = "serializer",
	[FN_TIMESTAMP] = "timestamp",
	[FN_KEY] = "key",
	[FN_AGGREGATE] = "aggregate",
	[FN_WINDOW] = "window",
};
static const char *const key_kind_names[] = {
	[WEIR_KEY_NONE] = "none",
	[WEIR_KEY_INT] = "int",
	[WEIR_KEY_LONG] = "long",
	[WEIR_KEY_STRING] = "string",
	[WEIR_KEY_BYTES] = "bytes",
};
static const char *const chaining_names[] = {
	[CHAIN_ALWAYS] = "always",
	[CHAIN_HEAD] = "head",
	[CHAIN_NEVER] = "never",
};

/* User code hands in enums too, so that an index is checked, not asserted. */
static const char *word(const char *const *words, size_t n, size_t i)
{
	return i < n ? words[i] : "?";
}

static int find_word(const char *const *words, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(words[i], name) == 0)
			return (int)i;
	return -1;
}

const char *node_type_name(enum node_type t)
{
	return word(node_type_names, ARRAY_LEN(node_type_names), t);
}

const char *ship_name(enum ship s)
{
	return word(ship_names, ARRAY_LEN(ship_names), s);
}

const char *fn_role_name(enum fn_role r)
{
	return word(role_names, ARRAY_LEN(role_names), r);
}

const char *key_kind_name(weir_key_kind k)
{
	return word(key_kind_names, ARRAY_LEN(key_kind_names), k);
}

const char *chaining_name(enum chaining c)
{
	return word(chaining_names, ARRAY_LEN(chaining_names), c);
}

int node_type_parse(const char *name)
{
	return find_word(node_type_names, ARRAY_LEN(node_type_names), name);
}

int ship_parse(const char *name)
{
	return find_word(ship_names, ARRAY_LEN(ship_names), name);
}

int fn_role_parse(const char *name)
{
	return find_word(role_names, ARRAY_LEN(role_names), name);
}

int key_kind_parse(const char *name)
{
	return find_word(key_kind_names, ARRAY_LEN(key_kind_names), name);
}

int chaining_parse(const char *name)
{
	return find_word(chaining_names, ARRAY_LEN(chaining_names), name);
}

struct stream_graph *stream_graph_create(void)
{
	return xcalloc(1, sizeof(struct stream_graph));
}

static void free_options(struct graph_option *options, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		free(options[i].key);
		free(options[i].value);
	}
	free(options);
}

static void free_node(struct graph_node *n)
{
	free(n->name);
	free(n->uid);
	free(n->connector);
	free(n->in.name);
	free(n->out.name);
	for (unsigned r = 0; r < FN_N_ROLES; r++) {
		free(n->fns[r].name);
		free(n->fns[r].block);
	}
	free_options(n->options, n->n_options);
}

void stream_graph_destroy(struct stream_graph *g)
{
	if (g == NULL)
		return;
	for (unsigned i = 0; i < g->n_nodes; i++)
		free_node(&g->nodes[i]);
	for (unsigned i = 0; i < g->n_files; i++) {
		free(g->files[i].path);
		free(g->files[i].data);
	}
	free_options(g->settings, g->n_settings);
	free_options(g->params, g->n_params);
	free(g->files);
	free(g->nodes);
	free(g->edges);
	free(g->job_name);
	free(g);
}

struct graph_node *stream_graph_add_node(struct stream_graph *g, enum node_type type)
{
	struct graph_node *n;

	VEC_RESERVE(g->nodes, g->n_nodes, g->cap_nodes);
	n = &g->nodes[g->n_nodes];
	memset(n, 0, sizeof(*n));
	n->id = g->n_nodes++;
	n->type = type;
	return n;
}

struct graph_edge *stream_graph_add_edge(struct stream_graph *g, uint32_t from, uint32_t to, enum ship ship)
{
	struct graph_edge *edge;

	VEC_RESERVE(g->edges, g->n_edges, g->cap_edges);
	edge = &g->edges[g->n_edges++];
	*edge = (struct graph_edge){ .from = from, .to = to, .ship = ship };
	return edge;
}

void graph_option_set(struct graph_option **options, unsigned *n, const char *key, const char *value)
{
	for (unsigned i = 0; i < *n; i++) {
		struct graph_option *o = &(*options)[i];

		if (strcmp(o->key, key) == 0) {
			char *copy = xstrdup(value); /* value may be o->value itself */

			free(o->value);
			o->value = copy;
			return;
		}
	}
	*options = xreallocarray(*options, *n + 1u, sizeof(**options));
	(*options)[*n] = (struct graph_option){ xstrdup(key), xstrdup(value) };
	++*n;
}

static const char *find_option(const struct graph_option *options, unsigned n, const char *key,
    const char *def)
{
	for (unsigned i = 0; i < n; i++)
		if (strcmp(options[i].key, key) == 0)
			return options[i].value;
	return def;
}

const char *stream_graph_setting(const struct stream_graph *g, const char *key, const char *def)
{
	return find_option(g->settings, g->n_settings, key, def);
}

const char *stream_graph_param(const struct stream_graph *g, const char *name)
{
	return find_option(g->params, g->n_params, name, NULL);
}

const char *graph_node_option(const struct graph_node *n, const char *key, const char *def)
{
	return find_option(n->options, n->n_options, key, def);
}

char *graph_node_operator_name(const struct graph_node *n)
{
	if (n->type == NODE_SOURCE)
		return xasprintf("Source: %s", n->name);
	if (n->type == NODE_SINK)
		return xasprintf("Sink %s", n->name);
	return xstrdup(n->name);
}

bool graph_node_is_stateful(const struct graph_node *n)
{
	return n->type == NODE_SOURCE || n->type == NODE_WINDOW;
}
