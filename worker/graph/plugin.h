/*
 * A job's shared object: opening it, checking its ABI, running its main.  In the
 * job builder and in the workers; never in the supervisor.
 */
#ifndef WORKER_GRAPH_PLUGIN_H
#define WORKER_GRAPH_PLUGIN_H

#include "worker/graph/stream_graph.h"

/* What a job's main may take, in the builder and in a worker; then its process is ended. */
#define PLUGIN_MAIN_LIMIT_MS 10000

struct plugin;

/* dlopen(RTLD_NOW|RTLD_LOCAL) and check the symbol: both versions are in the refusal.
 * The file is first judged by its content, without loading it: a Java archive, a script, a truncated or foreign
 * ELF file is each refused with a sentence of its own. */
struct plugin *plugin_open(const char *path, struct err *e);
void plugin_close(struct plugin *p); /* dlclose */
const weir_job *plugin_job(const struct plugin *p);

/* Parse the arguments by the job's parameter table, run main, return what it built.
 * Errors: unknown or malformed argument (with the nearest known), main failed, execute not called or
 * called twice, the sticky builder error with the operator's name. */
struct stream_graph *plugin_build(const struct plugin *p, int argc, const char *const *argv, struct err *e);

/*
 * The same in a worker, which needs only addresses: run main with the plan's files, see that it builds the
 * planned graph, and put the addresses of its functions into `planned`.
 */
int plugin_replay(const struct plugin *p, int argc, const char *const *argv, struct stream_graph *planned,
    struct err *e);

/* Look at the headers behind fd only: 0 for a whole shared object of this machine, else -1 and why not.
 * A file that is cut off must not reach dlopen, which would die of SIGBUS. */
int plugin_probe(int fd, struct err *e);

/*
 * The job builder's whole life, in a forked child: plugin_open, plugin_build, plan_encode, send BUILD_RESULT over
 * result_fd, exit.  stderr is captured (a memfd) and its first 4 KiB travel along.  The supervisor runs two of them
 * and compares; its timer kills one that loops.
 */
_Noreturn void builder_main(int result_fd, const char *artifact, int argc, const char *const *argv);

/* BUILD_RESULT as the supervisor reads it. */
struct build_result {
	bool ok;
	char *plan; /* when ok; caller frees both by build_result_fini */
	size_t plan_len;
	struct err err; /* when not */
	char *stderr_text;
};
struct msg_reader;
int build_result_decode(struct msg_reader *r, struct build_result *res, struct err *e);
void build_result_fini(struct build_result *res);

#endif
