/*
 * A stream graph as canonical JSON.  Every object has all its members, in
 * alphabetical order, null for what is absent, so that equal graphs are equal texts.
 */
#include <inttypes.h>

#include <cjson/cJSON.h>

#include "base/mem.h"
#include "worker/graph/base64.h"
#include "worker/graph/plan.h"

/* A missing item would silently shorten the plan: exhaustion ends the process, as in base/mem.h. */
static cJSON *made(cJSON *item)
{
	ASSERT(item != NULL);
	return item;
}

static void put(cJSON *object, const char *key, cJSON *item)
{
	ASSERT(cJSON_AddItemToObjectCS(object, key, made(item)));
}

static void put_str(cJSON *object, const char *key, const char *s)
{
	put(object, key, s != NULL ? cJSON_CreateString(s) : cJSON_CreateNull());
}

static void put_u32(cJSON *object, const char *key, uint32_t v)
{
	put(object, key, cJSON_CreateNumber(v));
}

/* As text: a JSON number is a double for many a reader. */
static void put_i64(cJSON *object, const char *key, int64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, v);
	put_str(object, key, text);
}

static void put_bytes(cJSON *object, const char *key, const void *data, size_t len)
{
	char *text = base64_encode(data, len);

	put_str(object, key, text);
	free(text);
}

/* Pairs in the order in which they were set. */
static cJSON *encode_options(const struct graph_option *options, unsigned n)
{
	cJSON *list = made(cJSON_CreateArray());

	for (unsigned i = 0; i < n; i++) {
		const char *pair[] = { options[i].key, options[i].value };

		ASSERT(cJSON_AddItemToArray(list, made(cJSON_CreateStringArray(pair, 2))));
	}
	return list;
}

static cJSON *encode_assigner(const weir_assigner *a)
{
	cJSON *o;

	if (a->struct_size == 0)
		return cJSON_CreateNull();
	o = made(cJSON_CreateObject());
	put_str(o, "kind", "tumbling");
	put_i64(o, "offset", a->offset_ms);
	put_i64(o, "size", a->size_ms);
	put_str(o, "time", a->time == WEIR_EVENT_TIME ? "event" : "processing");
	return o;
}

static cJSON *encode_watermarks(const weir_watermark_strategy *w)
{
	cJSON *o;

	if (w->struct_size == 0)
		return cJSON_CreateNull();
	o = made(cJSON_CreateObject());
	put_i64(o, "idleTimeout", w->idle_timeout_ms);
	put_i64(o, "outOfOrderness", w->out_of_orderness_ms);
	return o;
}

static cJSON *encode_type(const struct graph_type *t)
{
	cJSON *o;

	if (t->name == NULL)
		return cJSON_CreateNull();
	o = made(cJSON_CreateObject());
	put_str(o, "name", t->name);
	put_u32(o, "size", t->size);
	put_u32(o, "version", t->version);
	return o;
}

static cJSON *encode_functions(const struct graph_node *n)
{
	cJSON *list = made(cJSON_CreateArray());

	for (unsigned r = 0; r < FN_N_ROLES; r++) {
		cJSON *o;

		if (!n->fns[r].present)
			continue;
		o = made(cJSON_CreateObject());
		put_bytes(o, "block", n->fns[r].block, n->fns[r].block_len);
		put_str(o, "name", n->fns[r].name);
		put_str(o, "role", fn_role_name(r));
		ASSERT(cJSON_AddItemToArray(list, o));
	}
	return list;
}

static cJSON *encode_node(const struct graph_node *n)
{
	cJSON *o = made(cJSON_CreateObject());

	put_u32(o, "accumulatorSize", n->acc_size);
	put(o, "assigner", encode_assigner(&n->assigner));
	put_str(o, "chaining", chaining_name(n->chaining));
	put_str(o, "connector", n->connector);
	put(o, "functions", encode_functions(n));
	put_u32(o, "id", n->id);
	put(o, "in", encode_type(&n->in));
	put_str(o, "keyKind", key_kind_name(n->key_kind));
	put_u32(o, "maxParallelism", (uint32_t)n->max_parallelism);
	put_str(o, "name", n->name);
	put(o, "options", encode_options(n->options, n->n_options));
	put(o, "out", encode_type(&n->out));
	put_u32(o, "parallelism", (uint32_t)n->parallelism);
	put_str(o, "type", node_type_name(n->type));
	put_str(o, "uid", n->uid);
	put(o, "watermarks", encode_watermarks(&n->watermark));
	return o;
}

static cJSON *encode_edges(const struct stream_graph *g)
{
	cJSON *list = made(cJSON_CreateArray());

	for (unsigned i = 0; i < g->n_edges; i++) {
		cJSON *o = made(cJSON_CreateObject());

		put_u32(o, "from", g->edges[i].from);
		put(o, "given", cJSON_CreateBool(g->edges[i].given));
		put_str(o, "ship", ship_name(g->edges[i].ship));
		put_u32(o, "to", g->edges[i].to);
		ASSERT(cJSON_AddItemToArray(list, o));
	}
	return list;
}

static cJSON *encode_files(const struct stream_graph *g)
{
	cJSON *list = made(cJSON_CreateArray());

	for (unsigned i = 0; i < g->n_files; i++) {
		cJSON *o = made(cJSON_CreateObject());

		put_bytes(o, "data", g->files[i].data, g->files[i].len);
		put_str(o, "path", g->files[i].path);
		ASSERT(cJSON_AddItemToArray(list, o));
	}
	return list;
}

static cJSON *encode_nodes(const struct stream_graph *g)
{
	cJSON *list = made(cJSON_CreateArray());

	for (unsigned i = 0; i < g->n_nodes; i++)
		ASSERT(cJSON_AddItemToArray(list, encode_node(&g->nodes[i])));
	return list;
}

char *plan_encode(const struct stream_graph *g, struct err *e)
{
	cJSON *o = made(cJSON_CreateObject());
	char *printed, *text = NULL;

	put(o, "edges", encode_edges(g));
	put(o, "files", encode_files(g));
	put_str(o, "name", g->job_name);
	put(o, "nodes", encode_nodes(g));
	put(o, "params", encode_options(g->params, g->n_params));
	put(o, "settings", encode_options(g->settings, g->n_settings));
	put_u32(o, "version", PLAN_VERSION);
	printed = cJSON_PrintUnformatted(o);
	ASSERT(printed != NULL);
	if (strlen(printed) > PLAN_MAX)
		err_set(e, ERR_TOO_LARGE, "the plan of the job is %zu bytes; at most %u are possible",
		    strlen(printed), PLAN_MAX);
	else
		text = xstrdup(printed);
	cJSON_free(printed);
	cJSON_Delete(o);
	return text;
}
