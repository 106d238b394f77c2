/*
 * A stream graph from JSON that another process wrote.  Nothing is believed: each
 * object has exactly its members, each number is in range, and the whole passes
 * stream_graph_check.
 */
#include <inttypes.h>

#include <cjson/cJSON.h>

#include "base/conf.h"
#include "base/mem.h"
#include "worker/graph/base64.h"
#include "worker/graph/plan.h"
#include "worker/graph/plan_scan.h"

/* An object's members; a name that is missing, unknown or there twice is an error. */
static int want_members(const cJSON *o, const char *const *names, unsigned n, const char *what, struct err *e)
{
	if (!cJSON_IsObject(o))
		return err_set(e, ERR_INTERNAL, "the plan's %s is not an object", what);
	for (unsigned i = 0; i < n; i++)
		if (cJSON_GetObjectItemCaseSensitive(o, names[i]) == NULL)
			return err_set(e, ERR_INTERNAL, "the plan's %s lacks \"%s\"", what, names[i]);
	if ((unsigned)cJSON_GetArraySize(o) != n)
		return err_set(e, ERR_INTERNAL, "the plan's %s has members that are double or not known here",
		    what);
	return 0;
}
#define WANT_MEMBERS(o, what, e, ...) \
	want_members((o), (const char *const[]){ __VA_ARGS__ }, \
	    (unsigned)ARRAY_LEN(((const char *const[]){ __VA_ARGS__ })), (what), (e))

/* A member that want_members has seen. */
static const cJSON *member(const cJSON *o, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(o, key);
}

static int get_u32(const cJSON *o, const char *key, uint32_t max, uint32_t *v, struct err *e)
{
	const cJSON *item = member(o, key);

	if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= max) ||
	    item->valuedouble != (double)(uint32_t)item->valuedouble)
		return err_set(e, ERR_INTERNAL, "the plan's \"%s\" is not a whole number from 0 to %" PRIu32,
		    key, max);
	*v = (uint32_t)item->valuedouble;
	return 0;
}

static int get_i64(const cJSON *o, const char *key, int64_t *v, struct err *e)
{
	const cJSON *item = member(o, key);

	if (!cJSON_IsString(item))
		return err_set(e, ERR_INTERNAL, "the plan's \"%s\" is not a number in quotes", key);
	if (conf_parse_i64(item->valuestring, INT64_MIN, INT64_MAX, v, e) != 0)
		return err_prefix(e, "the plan's \"%s\"", key);
	return 0;
}

/* A copy of a string; NULL for null where that may be. */
static int get_str(const cJSON *o, const char *key, bool may_be_null, char **s, struct err *e)
{
	const cJSON *item = member(o, key);

	if (may_be_null && cJSON_IsNull(item))
		return 0;
	if (!cJSON_IsString(item))
		return err_set(e, ERR_INTERNAL, "the plan's \"%s\" is not a string", key);
	*s = xstrdup(item->valuestring);
	return 0;
}

typedef int parse_fn(const char *name);

static int get_word(const cJSON *o, const char *key, parse_fn *parse, int *v, struct err *e)
{
	const cJSON *item = member(o, key);

	if (!cJSON_IsString(item))
		return err_set(e, ERR_INTERNAL, "the plan's \"%s\" is not a string", key);
	*v = parse(item->valuestring);
	if (*v < 0)
		return err_set(e, ERR_INTERNAL, "the plan's \"%s\" has \"%.64s\", which is not known here",
		    key, item->valuestring);
	return 0;
}

static int get_bytes(const cJSON *o, const char *key, void **data, uint32_t *len, struct err *e)
{
	const cJSON *item = member(o, key);
	size_t n;

	*data = cJSON_IsString(item) ? base64_decode(item->valuestring, &n) : NULL;
	if (*data == NULL)
		return err_set(e, ERR_INTERNAL, "the plan's \"%s\" is not base64", key);
	*len = (uint32_t)n; /* less than PLAN_MAX */
	return 0;
}

static int decode_options(const cJSON *list, struct graph_option **options, unsigned *n, struct err *e)
{
	const cJSON *pair;
	unsigned n_pairs = 0;

	if (!cJSON_IsArray(list))
		return err_set(e, ERR_INTERNAL, "the plan's options, settings or parameters are not a list");
	cJSON_ArrayForEach(pair, list) {
		const cJSON *key = pair->child, *value = key != NULL ? key->next : NULL;

		if (!cJSON_IsArray(pair) || value == NULL || !cJSON_IsString(key) || !cJSON_IsString(value) ||
		    value->next != NULL)
			return err_set(e, ERR_INTERNAL,
			    "an option, setting or parameter in the plan is not a pair");
		if (++n_pairs > GRAPH_MAX_OPTIONS)
			return err_set(e, ERR_TOO_LARGE, "the plan has more than %d options at one place",
			    GRAPH_MAX_OPTIONS);
		graph_option_set(options, n, key->valuestring, value->valuestring);
		if (*n != n_pairs)
			return err_set(e, ERR_INTERNAL, "the plan sets \"%.64s\" twice", key->valuestring);
	}
	return 0;
}

static int time_parse(const char *name)
{
	return strcmp(name, "event") == 0   ? WEIR_EVENT_TIME :
	    strcmp(name, "processing") == 0 ? WEIR_PROCESSING_TIME :
					      -1;
}

static int window_kind_parse(const char *name)
{
	return strcmp(name, "tumbling") == 0 ? WEIR_WINDOW_TUMBLING : -1;
}

static int decode_assigner(const cJSON *o, weir_assigner *a, struct err *e)
{
	int kind, time;

	if (cJSON_IsNull(o))
		return 0;
	if (WANT_MEMBERS(o, "assigner", e, "kind", "offset", "size", "time") != 0 ||
	    get_word(o, "kind", window_kind_parse, &kind, e) != 0 ||
	    get_word(o, "time", time_parse, &time, e) != 0 || get_i64(o, "offset", &a->offset_ms, e) != 0 ||
	    get_i64(o, "size", &a->size_ms, e) != 0)
		return -1;
	a->kind = (weir_window_kind)kind;
	a->time = (weir_time)time;
	a->struct_size = sizeof(*a);
	return 0;
}

static int decode_watermarks(const cJSON *o, weir_watermark_strategy *w, struct err *e)
{
	if (cJSON_IsNull(o))
		return 0;
	if (WANT_MEMBERS(o, "watermarks", e, "idleTimeout", "outOfOrderness") != 0 ||
	    get_i64(o, "idleTimeout", &w->idle_timeout_ms, e) != 0 ||
	    get_i64(o, "outOfOrderness", &w->out_of_orderness_ms, e) != 0)
		return -1;
	w->struct_size = sizeof(*w);
	return 0;
}

static int decode_type(const cJSON *o, struct graph_type *t, struct err *e)
{
	if (cJSON_IsNull(o))
		return 0;
	if (WANT_MEMBERS(o, "type", e, "name", "size", "version") != 0 ||
	    get_str(o, "name", false, &t->name, e) != 0 || get_u32(o, "size", INT32_MAX, &t->size, e) != 0 ||
	    get_u32(o, "version", UINT32_MAX, &t->version, e) != 0)
		return -1;
	return 0;
}

static int decode_functions(const cJSON *list, struct graph_node *n, struct err *e)
{
	const cJSON *o;

	if (!cJSON_IsArray(list))
		return err_set(e, ERR_INTERNAL, "the plan's functions are not a list");
	cJSON_ArrayForEach(o, list) {
		struct graph_fn *fn;
		int role;

		if (WANT_MEMBERS(o, "function", e, "block", "name", "role") != 0 ||
		    get_word(o, "role", fn_role_parse, &role, e) != 0)
			return -1;
		fn = &n->fns[role];
		if (fn->present)
			return err_set(e, ERR_INTERNAL, "an operator of the plan has two %s functions",
			    fn_role_name(role));
		fn->present = true;
		if (get_str(o, "name", false, &fn->name, e) != 0 ||
		    get_bytes(o, "block", &fn->block, &fn->block_len, e) != 0)
			return -1;
	}
	return 0;
}

static int decode_node(const cJSON *o, struct stream_graph *g, struct err *e)
{
	int type, chaining, key_kind;
	uint32_t id, parallelism, max_parallelism;
	struct graph_node *n;

	if (WANT_MEMBERS(o, "operator", e, "accumulatorSize", "assigner", "chaining", "connector",
		"functions", "id", "in", "keyKind", "maxParallelism", "name", "options", "out", "parallelism",
		"type", "uid", "watermarks") != 0 ||
	    get_word(o, "type", node_type_parse, &type, e) != 0)
		return -1;
	n = stream_graph_add_node(g, type);
	if (get_u32(o, "id", UINT32_MAX, &id, e) != 0 ||
	    get_word(o, "chaining", chaining_parse, &chaining, e) != 0 ||
	    get_word(o, "keyKind", key_kind_parse, &key_kind, e) != 0 ||
	    get_u32(o, "parallelism", GRAPH_MAX_PARALLELISM, &parallelism, e) != 0 ||
	    get_u32(o, "maxParallelism", GRAPH_MAX_PARALLELISM, &max_parallelism, e) != 0 ||
	    get_u32(o, "accumulatorSize", INT32_MAX, &n->acc_size, e) != 0 ||
	    get_str(o, "name", false, &n->name, e) != 0 || get_str(o, "uid", true, &n->uid, e) != 0 ||
	    get_str(o, "connector", true, &n->connector, e) != 0 ||
	    decode_assigner(member(o, "assigner"), &n->assigner, e) != 0 ||
	    decode_watermarks(member(o, "watermarks"), &n->watermark, e) != 0 ||
	    decode_type(member(o, "in"), &n->in, e) != 0 || decode_type(member(o, "out"), &n->out, e) != 0 ||
	    decode_functions(member(o, "functions"), n, e) != 0 ||
	    decode_options(member(o, "options"), &n->options, &n->n_options, e) != 0)
		return -1;
	if (id != n->id)
		return err_set(e, ERR_INTERNAL,
		    "operator %" PRIu32 " of the plan says that it is operator %" PRIu32, n->id, id);
	n->chaining = (enum chaining)chaining;
	n->key_kind = (weir_key_kind)key_kind;
	n->parallelism = (int32_t)parallelism;
	n->max_parallelism = (int32_t)max_parallelism;
	return 0;
}

static int decode_nodes(const cJSON *list, struct stream_graph *g, struct err *e)
{
	const cJSON *o;

	if (!cJSON_IsArray(list))
		return err_set(e, ERR_INTERNAL, "the plan's nodes are not a list");
	cJSON_ArrayForEach(o, list) {
		if (g->n_nodes == GRAPH_MAX_NODES)
			return err_set(e, ERR_TOO_LARGE, "the plan has more than %d operators",
			    GRAPH_MAX_NODES);
		if (decode_node(o, g, e) != 0)
			return -1;
	}
	return 0;
}

static int decode_edges(const cJSON *list, struct stream_graph *g, struct err *e)
{
	const cJSON *o;

	if (!cJSON_IsArray(list))
		return err_set(e, ERR_INTERNAL, "the plan's edges are not a list");
	cJSON_ArrayForEach(o, list) {
		uint32_t from, to;
		int ship;

		if (g->n_edges == GRAPH_MAX_EDGES)
			return err_set(e, ERR_TOO_LARGE, "the plan has more than %d edges", GRAPH_MAX_EDGES);
		if (WANT_MEMBERS(o, "edge", e, "from", "given", "ship", "to") != 0 ||
		    get_u32(o, "from", UINT32_MAX, &from, e) != 0 ||
		    get_u32(o, "to", UINT32_MAX, &to, e) != 0 ||
		    get_word(o, "ship", ship_parse, &ship, e) != 0)
			return -1;
		if (!cJSON_IsBool(member(o, "given")))
			return err_set(e, ERR_INTERNAL, "the plan's \"given\" is neither true nor false");
		stream_graph_add_edge(g, from, to, (enum ship)ship)->given = cJSON_IsTrue(member(o, "given"));
	}
	return 0;
}

static int decode_files(const cJSON *list, struct stream_graph *g, struct err *e)
{
	const cJSON *o;

	if (!cJSON_IsArray(list))
		return err_set(e, ERR_INTERNAL, "the plan's files are not a list");
	cJSON_ArrayForEach(o, list) {
		struct graph_file *f;

		if (WANT_MEMBERS(o, "file", e, "data", "path") != 0)
			return -1;
		g->files = xreallocarray(g->files, g->n_files + 1u, sizeof(*g->files));
		f = &g->files[g->n_files++];
		memset(f, 0, sizeof(*f));
		if (get_str(o, "path", false, &f->path, e) != 0 ||
		    get_bytes(o, "data", &f->data, &f->len, e) != 0)
			return -1;
	}
	return 0;
}

static int decode_graph(const cJSON *o, struct stream_graph *g, struct err *e)
{
	uint32_t version;

	if (WANT_MEMBERS(o, "text", e, "edges", "files", "name", "nodes", "params", "settings", "version") !=
		0 ||
	    get_u32(o, "version", UINT32_MAX, &version, e) != 0)
		return -1;
	if (version != PLAN_VERSION)
		return err_set(e, ERR_INTERNAL, "the plan is of format %" PRIu32 ", and %d is known here",
		    version, PLAN_VERSION);
	if (get_str(o, "name", false, &g->job_name, e) != 0 || decode_nodes(member(o, "nodes"), g, e) != 0 ||
	    decode_edges(member(o, "edges"), g, e) != 0 || decode_files(member(o, "files"), g, e) != 0 ||
	    decode_options(member(o, "params"), &g->params, &g->n_params, e) != 0 ||
	    decode_options(member(o, "settings"), &g->settings, &g->n_settings, e) != 0)
		return -1;
	return stream_graph_check(g, e);
}

struct stream_graph *plan_decode(const char *json, size_t len, struct err *e)
{
	struct stream_graph *g = NULL;
	const char *end = NULL;
	cJSON *o;

	if (plan_scan(json, len, e) != 0)
		return NULL;
	o = cJSON_ParseWithLengthOpts(json, len, &end, 0);
	if (o == NULL) {
		err_set(e, ERR_INTERNAL, "the plan is not JSON (at byte %td of %zu)",
		    end != NULL ? end - json : 0, len);
		return NULL;
	}
	if (end != json + len) {
		err_set(e, ERR_INTERNAL, "the plan has %td bytes too many", json + len - end);
	} else {
		g = stream_graph_create();
		if (decode_graph(o, g, e) != 0) {
			stream_graph_destroy(g);
			g = NULL;
		}
	}
	cJSON_Delete(o);
	return g;
}
