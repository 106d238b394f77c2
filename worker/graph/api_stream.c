/*
 * Builder calls for sources, transformations, keys, partitioning and sinks.
 *
 * An operator is checked as a whole before its node is made, so that a graph never
 * holds a half-made one.
 */
#include "base/mem.h"
#include "worker/graph/env.h"
#include "worker/graph/utf8.h"

#define BLOCK_MAX (8u << 20)

/* Nodes may move when one is added, names do not. */
struct graph_node *api_append(struct stream *s, enum node_type type, const char *name)
{
	struct stream_graph *g = s->env->g;
	bool keyed = s->state == STREAM_KEYED || s->state == STREAM_WINDOWED;
	struct graph_node *n = stream_graph_add_node(g, type);
	const struct graph_type *from = &g->nodes[s->node].out;

	stream_graph_add_edge(g, s->node, n->id, keyed ? SHIP_HASH : s->ship)->given = keyed || s->ship_given;
	n->name = xstrdup(name);
	n->in = *from;
	n->in.name = from->name != NULL ? xstrdup(from->name) : NULL;
	if (keyed) {
		n->key_kind = s->key->key_kind;
		fn_keep(&n->fns[FN_KEY], s->key, NULL, 0);
	}
	return n;
}

/* Can no operator other than weir_aggregate follow s?  Then *dead is what its caller gets, and the sentence is
 * for an operator called name. */
static bool refuse(struct stream *s, const char *name, weir_stream **dead)
{
	*dead = &s->env->dead.pub;
	if (s->state == STREAM_DEAD || env_failed(s->env))
		return true;
	if (s->env->executed)
		*dead = env_fail_at(s->env, name, "it was added after weir_execute");
	else if (s->state == STREAM_WINDOWED)
		*dead = env_fail_at(s->env, name,
		    "it follows a windowed stream, which takes only weir_aggregate");
	else if (s->state == STREAM_END)
		*dead = env_fail_at(s->env, name, "it follows the sink \"%s\", which has no output",
		    stream_node(s)->name);
	else
		return false;
	return true;
}

static const char *connector_error(const char *connector)
{
	if (connector == NULL || connector[0] == '\0')
		return "it has no connector";
	if (!utf8_valid(connector, strlen(connector)))
		return "the name of its connector is not UTF-8";
	return NULL;
}

weir_stream *api_source(weir_env *handle, const char *connector, const weir_function *deserializer)
{
	static const char name[] = "Custom Source"; /* Flink's, for one that nobody named */
	struct env *env = env_of(handle);
	struct graph_node *n;
	struct err e = { 0 };

	if (env_failed(env))
		return &env->dead.pub;
	if (env->executed)
		return env_fail_at(env, name, "it was added after weir_execute");
	if (connector_error(connector) != NULL)
		return env_fail_at(env, name, "%s", connector_error(connector));
	if (fn_check(deserializer, WEIR_FN_DESERIALIZE, &e) != 0)
		return env_fail_at(env, name, "%s", e.msg);
	n = stream_graph_add_node(env->g, NODE_SOURCE);
	n->name = xstrdup(name);
	n->connector = xstrdup(connector);
	fn_type(&n->out, deserializer->out);
	fn_keep(&n->fns[FN_DESERIALIZER], deserializer, NULL, 0);
	return &env_stream(env, n->id, STREAM_PLAIN)->pub;
}

weir_stream *api_transform(weir_stream *handle, const weir_function *fn, const void *block, uint32_t len)
{
	static const struct {
		weir_fn_kind kind;
		enum node_type type;
		const char *name;
	} kinds[] = {
		{ WEIR_FN_MAP, NODE_MAP, "Map" },
		{ WEIR_FN_FILTER, NODE_FILTER, "Filter" },
		{ WEIR_FN_FLAT_MAP, NODE_FLAT_MAP, "Flat Map" },
	};
	struct stream *s = stream_of(handle);
	weir_stream *dead;
	struct graph_node *n;
	struct err e = { 0 };
	unsigned k = 0;

	while (fn != NULL && k < ARRAY_LEN(kinds) && kinds[k].kind != fn->kind)
		k++;
	if (refuse(s, k < ARRAY_LEN(kinds) ? kinds[k].name : "Transform", &dead))
		return dead;
	if (fn == NULL)
		return env_fail_at(s->env, "Transform", "its function is missing");
	if (k == ARRAY_LEN(kinds))
		return env_fail_at(s->env, "Transform",
		    "\"%s\" is a %s, and a map function, a filter or a flat map function belongs here",
		    fn->name != NULL ? fn->name : "?", fn_kind_name(fn->kind));
	if (fn_check(fn, kinds[k].kind, &e) != 0 ||
	    fn_check_input(fn, &stream_node(s)->out, stream_node(s)->name, &e) != 0)
		return env_fail_at(s->env, kinds[k].name, "%s", e.msg);
	if (len > BLOCK_MAX || (len > 0 && block == NULL))
		return env_fail_at(s->env, kinds[k].name,
		    "the parameter block of \"%s\" is missing or larger than %u bytes", fn->name, BLOCK_MAX);
	n = api_append(s, kinds[k].type, kinds[k].name);
	fn_type(&n->in, fn->in);
	fn_keep(&n->fns[FN_MAIN], fn, block, len);
	if (fn->out != NULL) {
		fn_type(&n->out, fn->out);
	} else {
		n->out = n->in;
		n->out.name = n->in.name != NULL ? xstrdup(n->in.name) : NULL;
	}
	return &env_stream(s->env, n->id, STREAM_PLAIN)->pub;
}

weir_stream *api_key_by(weir_stream *handle, const weir_function *selector)
{
	struct stream *s = stream_of(handle), *keyed;
	weir_stream *dead;
	struct err e = { 0 };

	if (refuse(s, "KeyBy", &dead))
		return dead;
	if (fn_check(selector, WEIR_FN_KEY, &e) != 0 ||
	    fn_check_input(selector, &stream_node(s)->out, stream_node(s)->name, &e) != 0)
		return env_fail_at(s->env, "KeyBy", "%s", e.msg);
	keyed = env_stream(s->env, s->node, STREAM_KEYED);
	keyed->key = selector;
	return &keyed->pub;
}

/* What the tasks can run; keys bring HASH with them. */
weir_stream *api_partition(weir_stream *handle, const char *strategy)
{
	struct stream *s = stream_of(handle), *out;
	weir_stream *dead;
	int ship = strategy != NULL ? ship_parse(strategy) : -1;

	if (refuse(s, "Partition", &dead))
		return dead;
	if (ship != SHIP_FORWARD && ship != SHIP_REBALANCE)
		return env_fail_at(s->env, "Partition",
		    "there is no partitioning \"%s\" behind \"%s\"; there are FORWARD and REBALANCE, and "
		    "weir_key_by",
		    strategy != NULL ? strategy : "(null)", stream_node(s)->name);
	out = env_stream(s->env, s->node, STREAM_PLAIN);
	out->ship = (enum ship)ship;
	out->ship_given = true;
	return &out->pub;
}

weir_stream *api_sink(weir_stream *handle, const char *connector, const weir_function *serializer)
{
	static const char name[] = "Unnamed"; /* Flink's, for one that nobody named */
	struct stream *s = stream_of(handle);
	weir_stream *dead;
	struct graph_node *n;
	struct err e = { 0 };

	if (refuse(s, name, &dead))
		return dead;
	if (connector_error(connector) != NULL)
		return env_fail_at(s->env, name, "%s", connector_error(connector));
	if (fn_check(serializer, WEIR_FN_SERIALIZE, &e) != 0 ||
	    fn_check_input(serializer, &stream_node(s)->out, stream_node(s)->name, &e) != 0)
		return env_fail_at(s->env, name, "%s", e.msg);
	n = api_append(s, NODE_SINK, name);
	n->connector = xstrdup(connector);
	fn_type(&n->in, serializer->in);
	fn_keep(&n->fns[FN_SERIALIZER], serializer, NULL, 0);
	return &env_stream(s->env, n->id, STREAM_END)->pub;
}
