/*
 * The environment: its life, its sticky error, parameters, files, execute.
 */
#include "worker/graph/env.h"

#include <inttypes.h>

#include "base/conf.h"
#include "base/file.h"
#include "base/mem.h"
#include "worker/graph/params.h"
#include "worker/graph/utf8.h"

bool env_failed(const struct env *env)
{
	return env->err.code != ERR_NONE;
}

int env_fail(struct env *env, const char *fmt, ...)
{
	va_list ap;

	if (env_failed(env))
		return -1;
	va_start(ap, fmt);
	err_vset(&env->err, ERR_USER, fmt, ap);
	va_end(ap);
	return -1;
}

weir_stream *env_fail_at(struct env *env, const char *name, const char *fmt, ...)
{
	va_list ap;

	if (env_failed(env))
		return &env->dead.pub;
	va_start(ap, fmt);
	err_vset(&env->err, ERR_USER, fmt, ap);
	va_end(ap);
	env->culprit_name = xstrdup(name);
	env->culprit = env_stream(env, 0, STREAM_DEAD);
	return &env->culprit->pub;
}

__attribute__((format(printf, 2, 0))) static void api_fail(weir_env *handle, const char *fmt, va_list ap)
{
	struct env *env = env_of(handle);

	if (!env_failed(env))
		err_vset(&env->err, ERR_USER, fmt, ap);
}

static const char *api_param(weir_env *handle, const char *name)
{
	struct env *env = env_of(handle);

	if (name == NULL || params_row(env->params, name) == NULL) {
		env_fail(env, "the job asks for the parameter \"%s\", which its table does not have",
		    name != NULL ? name : "(null)");
		return NULL;
	}
	return stream_graph_param(env->g, name);
}

static int api_param_i64(weir_env *handle, const char *name, int64_t min, int64_t max, int64_t *v)
{
	struct env *env = env_of(handle);
	const char *text = api_param(handle, name);
	struct err e = { 0 };

	if (env_failed(env))
		return -1;
	if (text == NULL)
		return env_fail(env, "argument --%s is needed, a whole number from %" PRId64 " to %" PRId64,
		    name, min, max);
	if (conf_parse_i64(text, min, max, v, &e) != 0)
		return env_fail(env, "argument --%s: %s", name, e.msg);
	return 0;
}

/* prefix as the table writes it, "properties.*", or without the star or the dot. */
static const char *api_param_next(weir_env *handle, const char *prefix, const char **key, unsigned *iter)
{
	struct env *env = env_of(handle);
	size_t len = strlen(prefix);

	if (params_prefix_len(prefix) > 0)
		len -= 2;
	else if (len > 0 && prefix[len - 1] == '.')
		len--;
	while (*iter < env->g->n_params) {
		const struct graph_option *o = &env->g->params[(*iter)++];

		if (strncmp(o->key, prefix, len) == 0 && o->key[len] == '.') {
			*key = o->key + len + 1;
			return o->value;
		}
	}
	return NULL;
}

static const struct graph_file *find_file(const struct stream_graph *g, const char *path)
{
	for (unsigned i = 0; g != NULL && i < g->n_files; i++)
		if (strcmp(g->files[i].path, path) == 0)
			return &g->files[i];
	return NULL;
}

static const struct graph_file *read_file(struct env *env, const char *path)
{
	struct graph_file f;
	struct err e = { 0 };
	char *data;
	size_t len;

	if (file_read(path, ENV_FILE_MAX, &data, &len, &e) != 0) {
		env_fail(env, "the job reads the file %s: %s", path, e.msg);
		return NULL;
	}
	f = (struct graph_file){ xstrdup(path), data, (uint32_t)len };
	env->g->files = xreallocarray(env->g->files, env->g->n_files + 1u, sizeof(*env->g->files));
	env->g->files[env->g->n_files] = f;
	return &env->g->files[env->g->n_files++];
}

static const char *api_file(weir_env *handle, const char *path, uint32_t *len)
{
	struct env *env = env_of(handle);
	const struct graph_file *f;

	*len = 0;
	if (env_failed(env))
		return NULL;
	if (path == NULL || !utf8_valid(path, strlen(path))) {
		env_fail(env, "the job reads a file whose path is missing or not UTF-8");
		return NULL;
	}
	f = find_file(env->planned != NULL ? env->planned : env->g, path);
	if (f == NULL && env->planned != NULL)
		env_fail(env, "the job reads the file %s, which it did not when it was submitted", path);
	else if (f == NULL)
		f = read_file(env, path);
	if (f == NULL)
		return NULL;
	*len = f->len;
	return f->data;
}

static void api_env_set(weir_env *handle, const char *key, const char *value)
{
	struct env *env = env_of(handle);
	struct err e = { 0 };

	if (env_failed(env))
		return;
	if (setting_check(key, value, &e) != 0)
		env_fail(env, "job setting: %s", e.msg);
	else
		graph_option_set(&env->g->settings, &env->g->n_settings, key, value);
}

static weir_stream *api_set(weir_stream *handle, const char *key, const char *value)
{
	struct stream *s = stream_of(handle);
	struct env *env = s->env;
	struct err e = { 0 };

	if (s == env->culprit && key != NULL && value != NULL && strcmp(key, "weir.name") == 0) {
		free(env->culprit_name);
		env->culprit_name = xstrdup(value);
	}
	if (env_failed(env))
		return handle;
	if (s->state == STREAM_WINDOWED)
		return env_fail_at(env, stream_node(s)->name,
		    "a windowed stream has no settings of its own; set %s behind weir_aggregate",
		    key != NULL ? key : "them");
	if (node_set(stream_node(s), key, value, &e) != 0)
		return env_fail_at(env, stream_node(s)->name, "%s", e.msg);
	return handle;
}

/* A source that nobody reads would fetch for nothing. */
static int check_sources(struct env *env)
{
	const struct stream_graph *g = env->g;

	for (unsigned i = 0; i < g->n_nodes; i++) {
		bool used = g->nodes[i].type != NODE_SOURCE;

		for (unsigned j = 0; j < g->n_edges && !used; j++)
			used = g->edges[j].from == i;
		if (!used) {
			env_fail_at(env, g->nodes[i].name, "nothing is done with the records of this source");
			return -1;
		}
	}
	return 0;
}

static int api_execute(weir_env *handle, const char *job_name)
{
	struct env *env = env_of(handle);
	struct err e = { 0 };

	if (env_failed(env))
		return -1;
	if (env->executed)
		return env_fail(env, "the job calls weir_execute twice; one job has one graph");
	env->executed = true;
	if (job_name == NULL || job_name[0] == '\0' || !utf8_valid(job_name, strlen(job_name)))
		return env_fail(env, "weir_execute needs the job's name, in UTF-8");
	env->g->job_name = xstrdup(job_name);
	if (check_sources(env) != 0)
		return -1;
	if (stream_graph_check(env->g, &e) != 0)
		return env_fail(env, "%s", e.msg);
	return 0;
}

static const weir_env_api env_api = {
	.struct_size = sizeof(weir_env_api),
	.param = api_param,
	.param_next = api_param_next,
	.param_i64 = api_param_i64,
	.fail = api_fail,
	.file = api_file,
	.env_set = api_env_set,
	.source = api_source,
	.transform = api_transform,
	.key_by = api_key_by,
	.window = api_window,
	.aggregate = api_aggregate,
	.partition = api_partition,
	.watermarks = api_watermarks,
	.sink = api_sink,
	.set = api_set,
	.execute = api_execute,
};

struct stream *env_stream(struct env *env, uint32_t node, enum stream_state state)
{
	struct stream *s = xcalloc(1, sizeof(*s));

	s->pub.api = &env_api;
	s->env = env;
	s->node = node;
	s->state = state;
	VEC_RESERVE(env->streams, env->n_streams, env->cap_streams);
	env->streams[env->n_streams++] = s;
	return s;
}

struct env *env_create(const weir_param *params, const struct stream_graph *planned)
{
	struct env *env = xcalloc(1, sizeof(*env));

	env->pub.api = &env_api;
	env->g = stream_graph_create();
	env->params = params;
	env->planned = planned;
	env->dead.pub.api = &env_api;
	env->dead.env = env;
	env->dead.state = STREAM_DEAD;
	return env;
}

void env_destroy(struct env *env)
{
	if (env == NULL)
		return;
	for (unsigned i = 0; i < env->n_streams; i++)
		free(env->streams[i]);
	free(env->streams);
	free(env->culprit_name);
	stream_graph_destroy(env->g);
	free(env);
}

struct stream_graph *env_take(struct env *env, int rc, struct err *e)
{
	struct stream_graph *g = env->g;

	if (env_failed(env)) {
		*e = env->err;
		if (env->culprit_name != NULL)
			err_prefix(e, "operator \"%s\"", env->culprit_name);
		return NULL;
	}
	if (rc != 0) {
		err_set(e, ERR_USER, "the job's main function returned %d and gave no reason (weir_env_fail)",
		    rc);
		return NULL;
	}
	if (!env->executed) {
		err_set(e, ERR_USER, "the job's main function ended without a call of weir_execute");
		return NULL;
	}
	env->g = NULL;
	return g;
}
