/*
 * weir-drill's cluster: the supervisor and the embedded broker as children, workers below the supervisor.
 *
 * The drill is the subreaper of all of them: what outlives a killed supervisor becomes a child of the
 * drill, is seen, and is timed.  All die with the drill.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "jobs/tools/drill.h"

#define MAX_CHILDREN 64
#define STOP_MS      20000
#define START_MS     10000

static int64_t mono_ms(void)
{
	return clock_mono_ns(&clock_system) / NS_PER_MS;
}
static void pause_ms(int64_t ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

/* Run a program with its output appended to DIR/out. It is killed when the drill ends. */
static pid_t spawn(const struct drill_cluster *c, const char *path, const char *const *argv, const char *out,
    struct err *e)
{
	char *log = xasprintf("%s/%s", c->dir, out);
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	char **args;
	sigset_t none;
	unsigned n;
	pid_t pid;

	free(log);
	if (fd < 0)
		return err_set_errno(e, ERR_IO, "%s/%s", c->dir, out);
	for (n = 0; argv[n] != NULL; n++)
		;
	ASSERT(path != NULL && n > 0);
	args = xcalloc(n + 1, sizeof(*args));
	memcpy(args, argv, n * sizeof(*args)); /* execv's type has lost a const */
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		closefrom(STDERR_FILENO + 1); /* what librdkafka has open */
		execv(path, args);
		_exit(127);
	}
	if (pid < 0)
		err_set_errno(e, ERR_IO, "fork");
	free(args);
	close(fd);
	return pid;
}

/* The embedded broker's port, from the line that it writes when it listens. */
static int start_broker(struct drill_cluster *c, const char *tag, struct err *e)
{
	char *program = xasprintf("%s/weir-broker", c->bin_dir), *log = xasprintf("%s/broker.log", c->dir);
	char *in = xasprintf("%s-in:%d", tag, DRILL_PARALLELISM),
	     *out = xasprintf("%s-out:%d", tag, DRILL_PARALLELISM);
	int64_t deadline_ms = mono_ms() + START_MS;
	char *text = NULL, *p = NULL;
	size_t len;
	int rc = -1;

	c->broker_pid = spawn(c, program,
	    (const char *const[]){ program, "-p", "0", "-t", in, "-t", out, NULL }, "broker.log", e);
	if (c->broker_pid < 0)
		goto out;
	while (p == NULL && mono_ms() < deadline_ms) {
		pause_ms(5);
		free(text);
		text = NULL;
		if (file_read(log, 1 << 20, &text, &len, NULL) == 0 &&
		    (p = strstr(text, "event=broker.listening")) != NULL)
			p = strchr(p, '\n') == NULL ? NULL : strstr(p, " port=");
	}
	if (p == NULL) {
		err_set(e, ERR_UNAVAILABLE, "%s does not listen; see %s", program, log);
		goto out;
	}
	c->broker = xasprintf("127.0.0.1:%ld", strtol(p + 6, NULL, 10));
	rc = 0;
out:
	free(text);
	free(program);
	free(log);
	free(in);
	free(out);
	return rc;
}

int cluster_open(struct drill_cluster *c, const struct drill_options *o, struct err *e)
{
	const char *tmp = getenv("TMPDIR");
	char *slash, *tag, *path;
	ssize_t n = readlink("/proc/self/exe", c->bin_dir, sizeof(c->bin_dir) - 1);
	int rc;

	if (n <= 0)
		return err_set_errno(e, ERR_IO, "/proc/self/exe");
	c->bin_dir[n] = '\0';
	slash = strrchr(c->bin_dir, '/');
	*slash = '\0';
	c->job_file = xasprintf("%s/jobs/ClickCountJob.so", c->bin_dir);
	if (access(c->job_file, R_OK) < 0) {
		free(c->job_file);
		c->job_file = xasprintf("%s/../lib/weir/jobs/ClickCountJob.so", c->bin_dir);
	}
	if (access(c->job_file, R_OK) < 0)
		return err_set_errno(e, ERR_NOT_FOUND, "%s", c->job_file);
	if (tmp == NULL || strlen(tmp) > sizeof(c->dir) - 32)
		tmp = "/tmp";
	snprintf(c->dir, sizeof(c->dir), "%s/weir-drill-XXXXXX", tmp);
	if (mkdtemp(c->dir) == NULL) {
		err_set_errno(e, ERR_IO, "%s", c->dir);
		c->dir[0] = '\0';
		return -1;
	}
	path = xasprintf("%s/savepoints", c->dir);
	rc = file_mkdirs(path, e);
	free(path);
	if (rc < 0)
		return -1;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return err_set_errno(e, ERR_IO, "prctl");
	c->checkpointing = o->checkpointing;
	if (o->kafka != NULL) {
		c->broker = xstrdup(o->kafka);
		return 0;
	}
	tag = xasprintf("drill-%" PRIu64, o->seed);
	rc = start_broker(c, tag, e);
	free(tag);
	return rc;
}

int cluster_write_conf(struct drill_cluster *c, int n_workers, struct err *e)
{
	char *path = xasprintf("%s/flink-conf.yaml", c->dir);
	char *text = xasprintf("rest.port: 0\n"
			       "high-availability.storageDir: %s/state\n"
			       "env.log.dir: %s/log\n"
			       "web.upload.dir: %s/upload\n"
			       "state.checkpoints.dir: %s/checkpoints\n"
			       "state.savepoints.dir: %s/savepoints\n"
			       "taskmanager.numberOfTaskManagers: %d\n"
			       "taskmanager.numberOfTaskSlots: 1\n"
			       "restart-strategy: fixed-delay\n"
			       "restart-strategy.fixed-delay.attempts: 1000000\n"
			       "restart-strategy.fixed-delay.delay: 0 s\n",
	    c->dir, c->dir, c->dir, c->dir, c->dir, n_workers);
	int rc;

	rc = file_write_atomic(path, text, strlen(text), 0600, e);
	if (rc == 0)
		c->n_workers = n_workers;
	free(text);
	free(path);
	return rc;
}

int cluster_launch(struct drill_cluster *c, struct err *e)
{
	char *program = xasprintf("%s/weir-supervisor", c->bin_dir),
	     *conf = xasprintf("%s/flink-conf.yaml", c->dir);
	char *port = xasprintf("%s/state/rest.port", c->dir);
	const char *const checked[] = { program, "-c", conf, "-D", "execution.checkpointing.interval=200 ms",
		NULL };
	const char *const plain[] = { program, "-c", conf, NULL };

	unlink(port);
	c->port = 0;
	c->supervisor = spawn(c, program, c->checkpointing ? checked : plain, "supervisor.log", e);
	c->launch_ns = clock_mono_ns(&clock_system);
	c->n_launches++;
	free(program);
	free(conf);
	free(port);
	if (c->supervisor > 0)
		return 0;
	c->supervisor = 0;
	return -1;
}

int cluster_port(struct drill_cluster *c)
{
	char *path, *text;
	size_t len;

	if (c->port != 0)
		return c->port;
	path = xasprintf("%s/state/rest.port", c->dir);
	if (file_read(path, 64, &text, &len, NULL) == 0) {
		if (strchr(text, '\n') != NULL)
			c->port = (int)strtol(text, NULL, 10);
		free(text);
	}
	free(path);
	return c->port;
}

int cluster_client(struct drill_cluster *c, const char *const *argv, struct err *e)
{
	char *program = xasprintf("%s/weir", c->bin_dir);
	const char *args[32] = { program };
	unsigned i;

	for (i = 0; argv[i] != NULL && i + 2 < ARRAY_LEN(args); i++)
		args[i + 1] = argv[i];
	c->client_ended = false;
	c->client = spawn(c, program, args, "client.log", e);
	free(program);
	if (c->client > 0)
		return 0;
	c->client = 0;
	return -1;
}

int cluster_reap(struct drill_cluster *c, struct err *e)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == c->client) {
			c->client = 0;
			c->client_ended = true;
			c->client_status = status;
		} else if (pid == c->broker_pid) {
			c->broker_pid = 0;
			return err_set(e, ERR_UNAVAILABLE, "the embedded broker has ended; see %s/broker.log",
			    c->dir);
		} else if (pid == c->supervisor) {
			fprintf(stderr, "weir-drill: the supervisor has ended by itself, status 0x%x\n",
			    status);
			c->supervisor = 0;
			if (++c->n_died >= 10)
				return err_set(e, ERR_UNAVAILABLE,
				    "the supervisor has ended by itself %u times; see "
				    "%s/supervisor.log",
				    c->n_died, c->dir);
			if (cluster_launch(c, e) < 0)
				return -1;
		} else {
			int64_t ms = (clock_mono_ns(&clock_system) - c->killed_ns) / NS_PER_MS;

			c->n_orphans++;
			if (c->killed_ns != 0 && ms > c->orphan_ms_max)
				c->orphan_ms_max = ms;
		}
	}
	return 0;
}

/* All children of a process, by the kernel's lists. */
static unsigned children_of(pid_t parent, pid_t *pids, unsigned max)
{
	char *path = xasprintf("/proc/%d/task/%d/children", (int)parent, (int)parent);
	char text[4096], *p = text, *end;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	unsigned n = 0;
	long pid;

	free(path);
	if (fd >= 0)
		close(fd);
	text[len < 0 ? 0 : len] = '\0';
	while (n < max && (pid = strtol(p, &end, 10)) > 0 && end != p) {
		pids[n++] = (pid_t)pid;
		p = end;
	}
	return n;
}

static bool has_title(pid_t pid, const char *prefix)
{
	char *path = xasprintf("/proc/%d/cmdline", (int)pid), title[128];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, title, sizeof(title) - 1);

	free(path);
	if (fd >= 0)
		close(fd);
	title[n < 0 ? 0 : n] = '\0';
	return strncmp(title, prefix, strlen(prefix)) == 0;
}

unsigned cluster_children(const struct drill_cluster *c, const char *prefix, pid_t *pids, unsigned max)
{
	pid_t all[MAX_CHILDREN];
	unsigned n_all = c->supervisor == 0 ? 0 : children_of(c->supervisor, all, MAX_CHILDREN), i, n = 0;

	for (i = 0; i < n_all && n < max; i++)
		if (has_title(all[i], prefix))
			pids[n++] = all[i];
	return n;
}

/* The parent of a process, or 0. */
static pid_t parent_of(pid_t pid)
{
	char *path = xasprintf("/proc/%d/stat", (int)pid), text[512], *p;
	int fd = open(path, O_RDONLY | O_CLOEXEC), ppid = 0;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	free(path);
	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = '\0';
	p = strrchr(text, ')');
	return p != NULL && sscanf(p, ") %*c %d", &ppid) == 1 ? (pid_t)ppid : 0;
}

bool cluster_signal(const struct drill_cluster *c, pid_t pid, int sig)
{
	int fd = pid <= 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	pid_t parent;
	bool sent = false;

	if (fd < 0)
		return false;
	/* Looked at behind the open: from here on the descriptor means this process and no later one. */
	parent = parent_of(pid);
	if (parent == getpid() || (parent != 0 && parent == c->supervisor))
		sent = syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0) == 0;
	close(fd);
	return sent;
}

void cluster_kill_supervisor(struct drill_cluster *c, bool everything)
{
	pid_t pids[MAX_CHILDREN];
	unsigned i, n = everything ? cluster_children(c, "", pids, MAX_CHILDREN) : 0;
	int status;

	if (c->supervisor == 0)
		return;
	for (i = 0; i < n; i++)
		cluster_signal(c, pids[i], SIGKILL);
	kill(c->supervisor, SIGKILL);
	c->killed_ns = clock_mono_ns(&clock_system);
	while (waitpid(c->supervisor, &status, 0) < 0 && errno == EINTR)
		;
	c->supervisor = 0;
	c->port = 0;
}

int cluster_stop(struct drill_cluster *c)
{
	int64_t deadline_ms = mono_ms() + STOP_MS;
	int status = 0;
	pid_t pid = 0;

	if (c->supervisor == 0)
		return 0;
	kill(c->supervisor, SIGTERM);
	while ((pid = waitpid(c->supervisor, &status, WNOHANG)) == 0 && mono_ms() < deadline_ms)
		pause_ms(2);
	if (pid == 0) {
		kill(c->supervisor, SIGKILL);
		waitpid(c->supervisor, &status, 0);
	}
	c->supervisor = 0;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

unsigned cluster_end_rest(struct drill_cluster *c)
{
	pid_t pids[MAX_CHILDREN];
	unsigned i, n, left = 0;
	int status;

	if (c->broker_pid > 0) {
		kill(c->broker_pid, SIGTERM);
		waitpid(c->broker_pid, &status, 0);
		c->broker_pid = 0;
	}
	/* Whoever is in the middle of its end has a moment; reaped are the dead in any case. */
	for (i = 0; i < 50 && children_of(getpid(), pids, MAX_CHILDREN) > 0; i++) {
		while (waitpid(-1, &status, WNOHANG) > 0)
			;
		pause_ms(10);
	}
	while ((n = children_of(getpid(), pids, MAX_CHILDREN)) > 0) {
		left += n;
		for (i = 0; i < n; i++) {
			fprintf(stderr, "weir-drill: process %d was left\n", (int)pids[i]);
			kill(pids[i], SIGKILL);
			waitpid(pids[i], &status, 0);
		}
	}
	return left;
}

void cluster_close(struct drill_cluster *c, bool remove_dir)
{
	struct err e = { 0 };

	if (c->dir[0] != '\0' && remove_dir && file_remove_tree(c->dir, &e) < 0)
		fprintf(stderr, "weir-drill: %s\n", e.msg);
	else if (c->dir[0] != '\0' && !remove_dir)
		printf("kept: %s\n", c->dir);
	free(c->job_file);
	free(c->broker);
}
