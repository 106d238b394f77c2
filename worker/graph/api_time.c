/*
 * Builder calls for windows and watermarks.
 */
#include <inttypes.h>

#include "base/mem.h"
#include "worker/graph/env.h"

static bool is_dead(const struct stream *s)
{
	return s->state == STREAM_DEAD || env_failed(s->env);
}

/* key_by, window and aggregate make one operator: the name at their end is the culprit's too. */
static weir_stream *pass_error(struct stream *s)
{
	return s == s->env->culprit ? &s->pub : &s->env->dead.pub;
}

weir_stream *api_window(weir_stream *handle, const weir_assigner *a)
{
	struct stream *s = stream_of(handle), *out;
	struct env *env = s->env;

	if (is_dead(s))
		return pass_error(s);
	if (s->state == STREAM_END)
		return env_fail_at(env, "Window", "it follows the sink \"%s\", which has no output",
		    stream_node(s)->name);
	if (s->state == STREAM_WINDOWED)
		return env_fail_at(env, "Window",
		    "it follows a windowed stream, which takes only weir_aggregate");
	if (s->state != STREAM_KEYED)
		return env_fail_at(env, "Window", "the stream from \"%s\" has no key; call weir_key_by first",
		    stream_node(s)->name);
	if (a->struct_size < sizeof(*a) || a->kind != WEIR_WINDOW_TUMBLING ||
	    (a->time != WEIR_EVENT_TIME && a->time != WEIR_PROCESSING_TIME))
		return env_fail_at(env, "Window",
		    "its assigner is of a kind that this cluster does not know");
	if (a->size_ms <= 0)
		return env_fail_at(env, "Window", "a window must be longer than 0 ms, not %" PRId64 " ms",
		    a->size_ms);
	if (a->offset_ms <= -a->size_ms || a->offset_ms >= a->size_ms)
		return env_fail_at(env, "Window",
		    "the offset of a window must be less than its size of %" PRId64 " ms, not %" PRId64 " ms",
		    a->size_ms, a->offset_ms);
	out = env_stream(env, s->node, STREAM_WINDOWED);
	out->key = s->key;
	out->assigner = *a;
	out->assigner.struct_size = sizeof(out->assigner);
	return &out->pub;
}

/* As Flink 1.14 calls it when nobody does. */
static char *window_name(const weir_assigner *a, const char *agg, const char *window_fn)
{
	bool event = a->time == WEIR_EVENT_TIME;

	return xasprintf("Window(%s(%" PRId64 "), %s, %s, %s)",
	    event ? "TumblingEventTimeWindows" : "TumblingProcessingTimeWindows", a->size_ms,
	    event ? "EventTimeTrigger" : "ProcessingTimeTrigger", agg,
	    window_fn != NULL ? window_fn : "PassThroughWindowFunction");
}

static int check_aggregate(const struct stream *s, const weir_function *agg, const weir_function *window_fn,
    struct err *e)
{
	struct graph_type result = { 0 };
	int rc;

	if (fn_check(agg, WEIR_FN_AGGREGATE, e) != 0 ||
	    fn_check_input(agg, &stream_node(s)->out, stream_node(s)->name, e) != 0)
		return -1;
	if (agg->out == NULL)
		return err_set(e, ERR_USER,
		    "the aggregate function \"%s\" does not say the type of its result", agg->name);
	if (window_fn == NULL)
		return 0;
	if (fn_check(window_fn, WEIR_FN_WINDOW, e) != 0)
		return -1;
	fn_type(&result, agg->out);
	rc = fn_check_input(window_fn, &result, agg->name, e);
	free(result.name);
	return rc;
}

weir_stream *api_aggregate(weir_stream *handle, const weir_function *agg, const weir_function *window_fn)
{
	struct stream *s = stream_of(handle);
	struct env *env = s->env;
	struct err e = { 0 };
	struct graph_node *n;
	char *name;

	if (is_dead(s))
		return pass_error(s);
	if (env->executed)
		return env_fail_at(env, "Window", "it was added after weir_execute");
	if (s->state != STREAM_WINDOWED)
		return env_fail_at(env, "Aggregate",
		    "the stream from \"%s\" has no windows; call weir_window_by first", stream_node(s)->name);
	if (check_aggregate(s, agg, window_fn, &e) != 0)
		return env_fail_at(env, "Window", "%s", e.msg);
	name = window_name(&s->assigner, agg->name, window_fn != NULL ? window_fn->name : NULL);
	n = api_append(s, NODE_WINDOW, name);
	free(name);
	n->assigner = s->assigner;
	n->acc_size = agg->acc->size;
	fn_type(&n->in, agg->in);
	fn_keep(&n->fns[FN_AGGREGATE], agg, NULL, 0);
	if (window_fn != NULL)
		fn_keep(&n->fns[FN_WINDOW], window_fn, NULL, 0);
	fn_type(&n->out, window_fn != NULL && window_fn->out != NULL ? window_fn->out : agg->out);
	return &env_stream(env, n->id, STREAM_PLAIN)->pub;
}

static int check_strategy(const struct stream *s, const weir_watermark_strategy *w, struct err *e)
{
	if (w->struct_size < sizeof(*w))
		return err_set(e, ERR_USER,
		    "its watermark strategy is not one that the calls of weir.h made");
	if (w->out_of_orderness_ms < 0 || w->idle_timeout_ms < 0)
		return err_set(e, ERR_USER,
		    "out-of-orderness and idle timeout cannot be negative, but they are %" PRId64
		    " and %" PRId64 " ms",
		    w->out_of_orderness_ms, w->idle_timeout_ms);
	if (w->timestamp == NULL)
		return 0;
	if (fn_check(w->timestamp, WEIR_FN_TIMESTAMP, e) != 0)
		return -1;
	return fn_check_input(w->timestamp, &stream_node(s)->out, stream_node(s)->name, e);
}

static void keep_strategy(struct graph_node *n, const weir_watermark_strategy *w)
{
	n->watermark = *w;
	n->watermark.struct_size = sizeof(n->watermark);
	n->watermark.timestamp = NULL; /* the function is in fns[] */
	if (w->timestamp != NULL)
		fn_keep(&n->fns[FN_TIMESTAMP], w->timestamp, NULL, 0);
}

/* Still fromSource(source, strategy, name): right behind a source that nobody reads yet and that has none. */
static bool is_for_source(const struct stream *s)
{
	const struct stream_graph *g = s->env->g;

	if (stream_node(s)->type != NODE_SOURCE || stream_node(s)->watermark.struct_size != 0 ||
	    s->ship_given || s->state != STREAM_PLAIN)
		return false;
	for (unsigned i = 0; i < g->n_edges; i++)
		if (g->edges[i].from == s->node)
			return false;
	return true;
}

weir_stream *api_watermarks(weir_stream *handle, const weir_watermark_strategy *w)
{
	static const char name[] = "Timestamps/Watermarks";
	struct stream *s = stream_of(handle);
	struct env *env = s->env;
	struct err e = { 0 };
	struct graph_node *n;

	if (is_dead(s))
		return &env->dead.pub;
	if (env->executed)
		return env_fail_at(env, name, "it was added after weir_execute");
	if (s->state == STREAM_WINDOWED || s->state == STREAM_END)
		return env_fail_at(env, name,
		    s->state == STREAM_END ?
			"it follows the sink \"%s\", which has no output" :
			"it follows a windowed stream behind \"%s\", which takes only weir_aggregate",
		    stream_node(s)->name);
	if (check_strategy(s, w, &e) != 0)
		return env_fail_at(env, is_for_source(s) ? stream_node(s)->name : name, "%s", e.msg);
	if (is_for_source(s)) {
		keep_strategy(stream_node(s), w); /* made in the source, from the watermark of each split */
		return handle;
	}
	n = api_append(s, NODE_WATERMARKS, name);
	keep_strategy(n, w);
	n->out = n->in;
	n->out.name = n->in.name != NULL ? xstrdup(n->in.name) : NULL;
	return &env_stream(env, n->id, STREAM_PLAIN)->pub;
}
