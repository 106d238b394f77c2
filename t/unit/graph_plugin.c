/*
 * Opening jobs, sound and unsound, and the job builder as a process.
 */
#include <elf.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bsd/string.h>
#include <event2/event.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/msg.h"
#include "t/tap.h"
#include "worker/graph/job_graph.h"
#include "worker/graph/plan.h"
#include "worker/graph/plugin.h"

static char jobs_dir[512], tmp_dir[64];

static void find_dirs(void)
{
	ssize_t n = readlink("/proc/self/exe", jobs_dir, sizeof(jobs_dir) - 16);
	char *slash;

	jobs_dir[n > 0 ? n : 0] = '\0';
	for (int i = 0; i < 2; i++)
		if ((slash = strrchr(jobs_dir, '/')) != NULL)
			*slash = '\0';
	strlcat(jobs_dir, "/jobs", sizeof(jobs_dir));
	snprintf(tmp_dir, sizeof(tmp_dir), "/tmp/weir-plugin-XXXXXX");
	if (mkdtemp(tmp_dir) == NULL)
		tmp_dir[0] = '\0';
}

static char *job_path(const char *name)
{
	return xasprintf("%s/%s.so", jobs_dir, name);
}

/* A file in the temporary directory; caller frees the path. */
static char *make_file(const char *name, const void *data, size_t len)
{
	char *path = xasprintf("%s/%s", tmp_dir, name);
	struct err e = { 0 };

	if (file_write_atomic(path, data, len, 0600, &e) != 0)
		diag("%s", e.msg);
	return path;
}

static void refused(const char *path, const char *part, const char *what)
{
	struct err e = { 0 };
	struct plugin *p = plugin_open(path, &e);

	ok(p == NULL, "%s is refused", what);
	like(e.msg, part, "and says so");
	plugin_close(p);
}

static void foreign_files(void)
{
	static const struct {
		const char *name, *data;
		size_t len;
		const char *part;
	} rows[] = {
		{ "a.jar", "PK\3\4\24\0\0\0", 8, "a.jar: it is a Java archive" },
		{ "a.class", "\xca\xfe\xba\xbe\0\0\0\64", 8, "a Java class" },
		{ "a.sh", "#!/bin/sh\nexit 0\n", 17, "a script" },
		{ "a.a", "!<arch>\nx", 9, "a static library" },
		{ "a.txt", "hello", 5, "not a shared object (ELF)" },
		{ "empty.so", "", 0, "it is empty" },
		{ "magic.so", "\177ELF", 4, "cut off" },
	};
	char *path;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		path = make_file(rows[i].name, rows[i].data, rows[i].len);
		refused(path, rows[i].part, rows[i].name);
		free(path);
	}
	refused("/nonexistent/job.so", "job.so: it cannot be opened: No such file", "a missing file");
	refused(tmp_dir, "not a regular file", "a directory");
	path = xasprintf("%s/pipe", tmp_dir);
	if (mkfifo(path, 0600) == 0)
		refused(path, "not a regular file", "a FIFO that nobody writes to");
	free(path);
}

/* Every length of a job's file: refused with a sentence, never a crash; and damaged headers. */
static void damaged_files(void)
{
	char *good = job_path("plugin_good"), *data, *path;
	bool all = true, cut_off = true;
	struct err e = { 0 };
	Elf64_Ehdr h;
	size_t len;

	if (file_read(good, 64u << 20, &data, &len, &e) != 0) {
		ok(false, "the good job is built: %s", e.msg);
		free(good);
		return;
	}
	for (size_t n = 4; n < len; n += n < 4096 ? 61 : len / 97 + 1) {
		struct plugin *p;

		path = make_file("cut.so", data, n);
		memset(&e, 0, sizeof(e));
		p = plugin_open(path, &e);
		all = all && p == NULL;
		cut_off = cut_off && strstr(e.msg, "cut off") != NULL;
		plugin_close(p);
		free(path);
	}
	ok(all && cut_off, "a job cut off anywhere is refused as cut off");

	memcpy(&h, data, sizeof(h));
#define WITH(change, part, what) \
	do { \
		Elf64_Ehdr was = h; \
		change; \
		memcpy(data, &h, sizeof(h)); \
		path = make_file("damaged.so", data, len); \
		refused(path, part, what); \
		free(path); \
		h = was; \
	} while (0)
	WITH(h.e_machine = EM_386, "built for x86,", "a job for another machine");
	WITH(h.e_ident[EI_CLASS] = ELFCLASS32, "this machine is", "a 32-bit job");
	WITH(h.e_type = ET_REL, "an object file", "an object file");
	WITH(h.e_type = ET_EXEC, "not a shared object", "a program");
	WITH(h.e_phnum = 0, "program headers of the shared object are damaged", "no program headers");
	WITH(h.e_phoff = UINT64_MAX - 8, "cut off", "program headers at the end of the world");
	WITH(h.e_shoff = UINT64_MAX - 8, "section headers of the shared object are damaged",
	    "section headers there");
	free(data);
	free(good);
}

static void other_jobs(void)
{
	char *path = job_path("plugin_no_symbol");

	refused(path, "has no symbol weir_job_v1 (made by WEIR_JOB)", "a shared object that is no job");
	free(path);
	path = job_path("plugin_unresolved");
	refused(path, "undefined symbol: nobody_has_this", "a job that calls what nobody has");
	free(path);
	path = job_path("plugin_abi_major");
	refused(path, "built for ABI 2.0 of weir.h, and this cluster has 1.0", "another major");
	free(path);
	path = job_path("plugin_abi_minor");
	refused(path, "built for ABI 1.7 of weir.h, and this cluster has 1.0", "a newer minor");
	free(path);
}

static void good_job(void)
{
	static const char *const argv[] = { "--shout", "--properties.acks", "all" };
	char *path = job_path("plugin_good"), *text;
	struct stream_graph *g, *planned;
	struct err e = { 0 };
	struct plugin *p = plugin_open(path, &e);

	if (!ok(p != NULL, "the good job opens")) {
		diag("%s", e.msg);
		free(path);
		return;
	}
	is_str(plugin_job(p)->name, "words", "its name");
	g = plugin_build(p, 3, argv, &e);
	ok(g != NULL && g->n_nodes == 4, "it builds its graph");
	text = plan_encode(g, &e);
	planned = plan_decode(text, strlen(text), &e);
	ok(planned != NULL && planned->nodes[1].fns[FN_MAIN].code == NULL, "whose plan has no addresses");
	is_int(plugin_replay(p, 3, argv, planned, &e), 0, "it runs again in the worker");
	ok(planned->nodes[1].fns[FN_MAIN].code == g->nodes[1].fns[FN_MAIN].code, "and gives its addresses");
	ok(planned->nodes[2].out.code != NULL && planned->nodes[2].fns[FN_KEY].code != NULL,
	    "of types and keys too");
	is_int(plugin_replay(p, 0, NULL, planned, &e), -1, "with other arguments it is another graph");
	like(e.msg, "another graph in the worker", "which is said");
	stream_graph_destroy(planned);
	stream_graph_destroy(g);
	free(text);
	ok(plugin_build(p, 1, (const char *const[]){ "--topik=x" }, &e) == NULL, "a wrong argument");
	like(e.msg, "did you mean --topic?", "with the nearest");
	plugin_close(p);
	free(path);
}

/* ----------------------------------------------------- the builder process */

struct outcome {
	struct build_result res;
	bool answered;
	int status; /* of waitpid */
};

static void on_message(void *arg, unsigned type, struct msg_reader *r)
{
	struct outcome *o = arg;
	struct err e = { 0 };

	o->answered = type == MSG_BUILD_RESULT && build_result_decode(r, &o->res, &e) == 0;
	if (!o->answered)
		diag("%s", e.msg);
}

struct run {
	struct event_base *base;
	bool closed;
};
static struct run run_state;

static void on_closed(void *arg, const struct err *why)
{
	(void)arg, (void)why;
	run_state.closed = true;
	event_base_loopbreak(run_state.base);
}

static pid_t start_builder(int *fd, const char *path, const char *how)
{
	const char *argv[] = { "--how", how };
	struct err e = { 0 };
	int fds[2];
	pid_t pid;

	if (channel_pair(fds, &e) != 0)
		return -1;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		builder_main(fds[1], path, how != NULL ? 2 : 0, argv);
	}
	close(fds[1]);
	*fd = fds[0];
	return pid;
}

/* Run it to its end, as the supervisor would. */
static struct outcome build(const char *job, const char *how)
{
	struct timeval limit = { 20, 0 };
	struct outcome o = { 0 };
	char *path = job_path(job);
	struct channel *c;
	int fd = -1;
	pid_t pid;

	pid = start_builder(&fd, path, how);
	run_state = (struct run){ event_base_new(), false };
	c = channel_create(run_state.base, fd, -1, on_message, on_closed, &o);
	event_base_loopexit(run_state.base, &limit);
	event_base_dispatch(run_state.base);
	channel_destroy(c);
	event_base_free(run_state.base);
	waitpid(pid, &o.status, 0);
	free(path);
	return o;
}

static void fails(const char *job, const char *how, const char *part)
{
	struct outcome o = build(job, how);

	ok(o.answered && !o.res.ok, "a builder whose main does %s answers that it failed", how);
	like(o.res.err.msg, part, "and why");
	build_result_fini(&o.res);
}

static void builders(void)
{
	struct outcome o = build("plugin_good", NULL);
	struct stream_graph *g;
	struct err e = { 0 };

	ok(o.answered && o.res.ok && WIFEXITED(o.status) && WEXITSTATUS(o.status) == 0,
	    "the good job is built");
	g = o.res.ok ? plan_decode(o.res.plan, o.res.plan_len, &e) : NULL;
	ok(g != NULL && g->n_nodes == 3, "its plan comes out of the process");
	is_str(o.res.stderr_text, "", "it wrote nothing");
	stream_graph_destroy(g);
	build_result_fini(&o.res);

	fails("plugin_bad", NULL, "--how is needed");
	fails("plugin_no_symbol", "nothing", "has no symbol");
	fails("plugin_bad", "exit", "ended the process by exit(3)");
	o = build("plugin_bad", "grumble");
	like(o.res.err.msg, "returned -1 and gave no reason", "a main that fails");
	is_str(o.res.stderr_text, "grumble ?\n", "and what it wrote, as UTF-8");
	build_result_fini(&o.res);
	o = build("plugin_bad", "flood");
	ok(o.res.ok, "a main that writes 400 kB to stderr is built");
	is_int(strlen(o.res.stderr_text), 4096, "of which the first 4 KiB are kept");
	build_result_fini(&o.res);
	o = build("plugin_bad", "crash");
	ok(!o.answered && WIFSIGNALED(o.status) && WTERMSIG(o.status) == SIGABRT,
	    "a crash gives no answer but a signal");
}

static void looping(void)
{
	char *path = job_path("plugin_bad");
	struct pollfd pfd = { .events = POLLIN };
	int status = 0;
	pid_t pid = start_builder(&pfd.fd, path, "loop");

	is_int(poll(&pfd, 1, 300), 0, "a looping main answers nothing");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	ok(WIFSIGNALED(status), "until it is killed");
	is_int(poll(&pfd, 1, 10000), 1, "which ends its channel");
	close(pfd.fd);
	free(path);
}

/* Two builders of a job that looks at its process or at the clock. */
static void unsteady(void)
{
	static const struct {
		const char *how, *part;
	} rows[] = {
		{ "pid-block", "operator \"Same\": its parameter block of function \"same\" differs" },
		{ "pid-parallelism", "operator \"Same\": its parallelism is " },
		{ "pid-name", "its name is \"Same " },
		{ "time-setting", "the job: its setting execution.checkpointing.interval is " },
		{ "pid-more", "operator \"More\" is there in one run and not in another" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct outcome a = build("plugin_bad", rows[i].how), b = build("plugin_bad", rows[i].how);
		struct err e = { 0 };
		struct stream_graph *x = a.res.ok ? plan_decode(a.res.plan, a.res.plan_len, &e) : NULL;
		struct stream_graph *y = b.res.ok ? plan_decode(b.res.plan, b.res.plan_len, &e) : NULL;

		if (ok(x != NULL && y != NULL, "two plans of %s", rows[i].how)) {
			is_int(plan_compare(x, y, true, &e), -1, "they differ");
			like(e.msg, rows[i].part, "and the operator is named");
		}
		stream_graph_destroy(x);
		stream_graph_destroy(y);
		build_result_fini(&a.res);
		build_result_fini(&b.res);
	}
}

static void damaged_answers(void)
{
	struct build_result res;
	struct err e = { 0 };
	uint8_t bytes[64];
	bool refused_all = true;

	for (unsigned seed = 0; seed < 2000; seed++) {
		struct msg_reader r = { .p = bytes, .end = bytes + seed % sizeof(bytes) };

		for (unsigned i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)((seed * 2654435761u + i * 40503u) >> 13);
		bytes[0] = seed % 2;
		if (build_result_decode(&r, &res, &e) == 0) {
			refused_all = refused_all && !res.ok;
			build_result_fini(&res);
		}
	}
	ok(refused_all, "no answer without a plan is taken for one");
	like(e.msg, "damaged", "they are called damaged");
}

int main(void)
{
	struct err e = { 0 };

	find_dirs();
	foreign_files();
	damaged_files();
	other_jobs();
	good_job();
	builders();
	looping();
	unsteady();
	damaged_answers();
	is_int(file_remove_tree(tmp_dir, &e), 0, "nothing is left in /tmp");
	return tap_done();
}
