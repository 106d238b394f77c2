/*
 * Are two graphs the same?  The answer is for the author of the job: it names the
 * operator and what of it differs.  And: addresses of one for the other.
 */
#include <inttypes.h>

#include "base/mem.h"
#include "worker/graph/plan.h"

/* "uid", "a", "b": 0 where equal. NULL is "none". */
static int same_str(const char *what, const char *a, const char *b, struct err *e)
{
	if (a == b || (a != NULL && b != NULL && strcmp(a, b) == 0))
		return 0;
	return err_set(e, ERR_USER, "its %s is \"%.200s\" in one run and \"%.200s\" in another", what,
	    a != NULL ? a : "none", b != NULL ? b : "none");
}

static int same_num(const char *what, int64_t a, int64_t b, struct err *e)
{
	if (a == b)
		return 0;
	return err_set(e, ERR_USER, "its %s is %" PRId64 " in one run and %" PRId64 " in another", what, a,
	    b);
}

static int same_bytes(const char *what, const char *name, const void *a, size_t a_len, const void *b,
    size_t b_len, struct err *e)
{
	const uint8_t *p = a, *q = b;
	size_t at = 0;

	while (at < a_len && at < b_len && p[at] == q[at])
		at++;
	if (at == a_len && at == b_len)
		return 0;
	return err_set(e, ERR_USER,
	    "its %s \"%.200s\" differs from run to run, first at byte %zu (%zu and %zu bytes)", what, name,
	    at, a_len, b_len);
}

static int same_options(const char *what, const struct graph_option *a, unsigned n_a,
    const struct graph_option *b, unsigned n_b, struct err *e)
{
	for (unsigned i = 0; i < n_a && i < n_b; i++) {
		if (strcmp(a[i].key, b[i].key) != 0)
			return same_str(what, a[i].key, b[i].key, e);
		if (strcmp(a[i].value, b[i].value) != 0)
			return err_set(e, ERR_USER,
			    "its %s %.100s is \"%.200s\" in one run and \"%.200s\" in another", what,
			    a[i].key, a[i].value, b[i].value);
	}
	if (n_a != n_b)
		return err_set(e, ERR_USER, "its %s %.100s is set in one run and not in another", what,
		    n_a > n_b ? a[n_b].key : b[n_a].key);
	return 0;
}

static int same_type(const char *what, const struct graph_type *a, const struct graph_type *b, struct err *e)
{
	if (same_str(what, a->name, b->name, e) != 0)
		return -1;
	return same_num(what, a->size, b->size, e) != 0 ? -1 : same_num(what, a->version, b->version, e);
}

static int same_fns(const struct graph_node *a, const struct graph_node *b, bool with_blocks, struct err *e)
{
	for (unsigned r = 0; r < FN_N_ROLES; r++) {
		char what[64];

		snprintf(what, sizeof(what), "%s function", fn_role_name(r));
		if (same_str(what, a->fns[r].name, b->fns[r].name, e) != 0)
			return -1;
		if (with_blocks &&
		    same_bytes("parameter block of function", a->fns[r].name, a->fns[r].block,
			a->fns[r].block_len, b->fns[r].block, b->fns[r].block_len, e) != 0)
			return -1;
	}
	return 0;
}

static int same_time(const struct graph_node *a, const struct graph_node *b, struct err *e)
{
	if (same_num("kind of window", a->assigner.kind, b->assigner.kind, e) != 0 ||
	    same_num("window's notion of time", a->assigner.time, b->assigner.time, e) != 0 ||
	    same_num("window size (ms)", a->assigner.size_ms, b->assigner.size_ms, e) != 0 ||
	    same_num("window offset (ms)", a->assigner.offset_ms, b->assigner.offset_ms, e) != 0 ||
	    same_num("out-of-orderness (ms)", a->watermark.out_of_orderness_ms,
		b->watermark.out_of_orderness_ms, e) != 0)
		return -1;
	return same_num("idle timeout (ms)", a->watermark.idle_timeout_ms, b->watermark.idle_timeout_ms, e);
}

static int same_node(const struct graph_node *a, const struct graph_node *b, bool with_blocks, struct err *e)
{
	if (same_str("type", node_type_name(a->type), node_type_name(b->type), e) != 0 ||
	    same_str("name", a->name, b->name, e) != 0 || same_str("uid", a->uid, b->uid, e) != 0 ||
	    same_num("parallelism", a->parallelism, b->parallelism, e) != 0 ||
	    same_num("max parallelism", a->max_parallelism, b->max_parallelism, e) != 0 ||
	    same_str("chaining", chaining_name(a->chaining), chaining_name(b->chaining), e) != 0 ||
	    same_str("connector", a->connector, b->connector, e) != 0 ||
	    same_str("kind of key", key_kind_name(a->key_kind), key_kind_name(b->key_kind), e) != 0 ||
	    same_type("input type", &a->in, &b->in, e) != 0 ||
	    same_type("output type", &a->out, &b->out, e) != 0 ||
	    same_num("accumulator size", a->acc_size, b->acc_size, e) != 0 ||
	    same_fns(a, b, with_blocks, e) != 0 || same_time(a, b, e) != 0)
		return -1;
	return with_blocks ? same_options("option", a->options, a->n_options, b->options, b->n_options, e) :
			     0;
}

static int same_edges(const struct stream_graph *a, const struct stream_graph *b, struct err *e)
{
	unsigned n = a->n_edges < b->n_edges ? a->n_edges : b->n_edges;

	for (unsigned i = 0; i < n; i++) {
		const struct graph_edge *x = &a->edges[i], *y = &b->edges[i];

		if (x->from != y->from || x->to != y->to || x->ship != y->ship || x->given != y->given)
			return err_set(e, ERR_USER,
			    "operator \"%s\": its input is \"%s\" by %s in one run and \"%s\" into \"%s\" by "
			    "%s in another",
			    a->nodes[x->to].name, a->nodes[x->from].name, ship_name(x->ship),
			    b->nodes[y->from].name, b->nodes[y->to].name, ship_name(y->ship));
	}
	if (a->n_edges != b->n_edges) {
		const struct stream_graph *longer = a->n_edges > b->n_edges ? a : b;

		return err_set(e, ERR_USER,
		    "operator \"%s\": it has one more input in one run than in another",
		    longer->nodes[longer->edges[n].to].name);
	}
	return 0;
}

static int same_job(const struct stream_graph *a, const struct stream_graph *b, struct err *e)
{
	unsigned n = a->n_files < b->n_files ? a->n_files : b->n_files;

	if (same_str("name", a->job_name, b->job_name, e) != 0 ||
	    same_options("argument", a->params, a->n_params, b->params, b->n_params, e) != 0 ||
	    same_options("setting", a->settings, a->n_settings, b->settings, b->n_settings, e) != 0)
		return -1;
	for (unsigned i = 0; i < n; i++)
		if (same_str("file", a->files[i].path, b->files[i].path, e) != 0 ||
		    same_bytes("file", a->files[i].path, a->files[i].data, a->files[i].len, b->files[i].data,
			b->files[i].len, e) != 0)
			return -1;
	if (a->n_files != b->n_files)
		return err_set(e, ERR_USER, "its file \"%.200s\" is read in one run and not in another",
		    a->n_files > b->n_files ? a->files[n].path : b->files[n].path);
	return 0;
}

int plan_compare(const struct stream_graph *a, const struct stream_graph *b, bool with_blocks, struct err *e)
{
	unsigned n = a->n_nodes < b->n_nodes ? a->n_nodes : b->n_nodes;

	/* Operators first: a different setting often comes from the same cause, and the operator says more.
	 */
	for (unsigned i = 0; i < n; i++)
		if (same_node(&a->nodes[i], &b->nodes[i], with_blocks, e) != 0)
			return err_prefix(e, "operator \"%s\"", a->nodes[i].name);
	if (a->n_nodes != b->n_nodes) {
		const struct stream_graph *longer = a->n_nodes > b->n_nodes ? a : b;

		return err_set(e, ERR_USER, "operator \"%s\" is there in one run and not in another",
		    longer->nodes[n].name);
	}
	if (same_edges(a, b, e) != 0)
		return -1;
	if (with_blocks && same_job(a, b, e) != 0)
		return err_prefix(e, "the job");
	return 0;
}

int plan_bind(struct stream_graph *planned, const struct stream_graph *replayed, struct err *e)
{
	if (planned->n_nodes != replayed->n_nodes)
		return err_set(e, ERR_INTERNAL,
		    "a graph of %u operators cannot take the addresses of one of %u", planned->n_nodes,
		    replayed->n_nodes);
	for (unsigned i = 0; i < planned->n_nodes; i++) {
		struct graph_node *to = &planned->nodes[i];
		const struct graph_node *from = &replayed->nodes[i];

		for (unsigned r = 0; r < FN_N_ROLES; r++) {
			if (to->fns[r].present && from->fns[r].code == NULL)
				return err_set(e, ERR_INTERNAL,
				    "operator \"%s\": its %s function has no address", to->name,
				    fn_role_name(r));
			to->fns[r].code = from->fns[r].code;
		}
		to->in.code = from->in.code;
		to->out.code = from->out.code;
	}
	return 0;
}
