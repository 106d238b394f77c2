/*
 * A job's shared object: opened, its ABI checked, its main run.
 */
#include "worker/graph/plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/mem.h"
#include "worker/graph/env.h"
#include "worker/graph/params.h"
#include "worker/graph/plan.h"
#include "worker/graph/utf8.h"

struct plugin {
	void *handle;
	const weir_job *job;
};

static int probe_path(const char *path, struct err *e)
{
	/* Not blocking: the path may be a FIFO. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;

	if (fd < 0)
		return err_set_errno(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "it cannot be opened");
	rc = plugin_probe(fd, e);
	close(fd);
	return rc;
}

static int check_job(const weir_job *job, struct err *e)
{
	if (job->abi_major != WEIR_ABI_MAJOR || job->abi_minor > WEIR_ABI_MINOR)
		return err_set(e, ERR_INVALID,
		    "the job was built for ABI %" PRIu32 ".%" PRIu32 " of weir.h, and this cluster has %d.%d",
		    job->abi_major, job->abi_minor, WEIR_ABI_MAJOR, WEIR_ABI_MINOR);
	if (job->struct_size < sizeof(weir_job) || job->main == NULL || job->name == NULL ||
	    job->name[0] == '\0' || !utf8_valid(job->name, strlen(job->name)))
		return err_set(e, ERR_INVALID,
		    "its symbol " WEIR_JOB_SYMBOL " is not one that WEIR_JOB made");
	return 0;
}

static int load(struct plugin *p, const char *path, struct err *e)
{
	/* Without a slash dlopen would search the library path. */
	char *absolute = strchr(path, '/') != NULL ? xstrdup(path) : xasprintf("./%s", path);
	const char *why;
	size_t len = strlen(absolute);

	p->handle = dlopen(absolute, RTLD_NOW | RTLD_LOCAL);
	if (p->handle == NULL) {
		why = dlerror();
		if (why == NULL)
			why = "no reason given";
		else if (strncmp(why, absolute, len) == 0 && strncmp(why + len, ": ", 2) == 0)
			why += len + 2; /* where the store keeps it says nothing to the job's author */
		err_set(e, ERR_INVALID, "it cannot be loaded: %s", why);
	}
	free(absolute);
	if (p->handle == NULL)
		return -1;
	p->job = dlsym(p->handle, WEIR_JOB_SYMBOL);
	if (p->job == NULL)
		return err_set(e, ERR_INVALID,
		    "it is a shared object but not a Weir job: it has no symbol " WEIR_JOB_SYMBOL
		    " (made by WEIR_JOB)");
	return check_job(p->job, e);
}

struct plugin *plugin_open(const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	struct plugin *p = xcalloc(1, sizeof(*p));

	if (probe_path(path, e) != 0 || load(p, path, e) != 0) {
		err_prefix(e, "%s", slash != NULL ? slash + 1 : path);
		plugin_close(p);
		return NULL;
	}
	return p;
}

void plugin_close(struct plugin *p)
{
	if (p == NULL)
		return;
	if (p->handle != NULL)
		dlclose(p->handle);
	free(p);
}

const weir_job *plugin_job(const struct plugin *p)
{
	return p->job;
}

static struct stream_graph *build(const struct plugin *p, int argc, const char *const *argv,
    const struct stream_graph *planned, struct err *e)
{
	struct env *env = env_create(p->job->params, planned);
	struct stream_graph *g = NULL;

	if (params_parse(p->job->params, argc, argv, &env->g->params, &env->g->n_params, e) == 0)
		g = env_take(env, p->job->main(&env->pub), e);
	env_destroy(env);
	return g;
}

struct stream_graph *plugin_build(const struct plugin *p, int argc, const char *const *argv, struct err *e)
{
	return build(p, argc, argv, NULL, e);
}

int plugin_replay(const struct plugin *p, int argc, const char *const *argv, struct stream_graph *planned,
    struct err *e)
{
	struct stream_graph *replayed = build(p, argc, argv, planned, e);
	int rc;

	if (replayed == NULL)
		return -1;
	rc = plan_compare(planned, replayed, false, e);
	if (rc != 0)
		err_prefix(e, "the job builds another graph in the worker than when it was submitted");
	else
		rc = plan_bind(planned, replayed, e);
	stream_graph_destroy(replayed);
	return rc;
}
