/*
 * Children: birth, death, obituary; what a forked child has unlearnt; nothing left after 200 kills.
 * They run programs of the test's own; what a real TaskManager does is supervisor_tm_link.c's.
 */
#include <bsd/unistd.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/msg.h"
#include "supervisor/backoff.h"
#include "supervisor/child.h"
#include "supervisor/loop.h"
#include "supervisor/oom.h"
#include "t/proc.h"
#include "t/tap.h"
#include "worker/adopt.h"
#include "worker/crash.h"

extern char **environ;

static struct loop *loop;
static struct children *children;
static char dir[] = "/tmp/weir-child-XXXXXX";
static int log_read_fd;

/* What the next child does. */
static enum { WAIT_FOREVER, EXIT_3, EXIT_0, CRASH, OVERFLOW, ABORT, REPORT, BORN_LATE } task;

static unsigned n_died, n_batches, n_terminate;
static struct child_death last;
static int64_t died_ns;

/* What a child says of itself: one frame of text. */
static void report(int control_fd)
{
	char comm[17] = "", title[256] = "", exe[64], oom[16] = "", text[1024];
	sigset_t mask;
	int fd, n_fds = 0, pdeath = 0, blocked = 0, handled = 0;

	prctl(PR_GET_NAME, comm);
	prctl(PR_GET_PDEATHSIG, &pdeath);
	fd = open("/proc/self/cmdline", O_RDONLY);
	(void)!read(fd, title, sizeof(title) - 1);
	close(fd);
	fd = open("/proc/self/oom_score_adj", O_RDONLY);
	(void)!read(fd, oom, sizeof(oom) - 1);
	oom[strcspn(oom, "\n")] = '\0';
	close(fd);
	n_fds = proc_count_fds();
	sigprocmask(SIG_SETMASK, NULL, &mask);
	for (int signo = 1; signo < NSIG; signo++) {
		struct sigaction sa;

		blocked += sigismember(&mask, signo) == 1;
		if (sigaction(signo, NULL, &sa) == 0 && sa.sa_handler != SIG_DFL)
			handled++;
	}
	exe[readlink("/proc/self/fd/0", exe, sizeof(exe) - 1)] = '\0';
	snprintf(text, sizeof(text),
	    "comm=%s title=%s fds=%d blocked=%d handled=%d pdeath=%d oom=%s stdin=%s leader=%d "
	    "control=%d random=%ld",
	    comm, title, n_fds, blocked, handled, pdeath, oom, exe, getsid(0) == getpid(), control_fd,
	    random());
	(void)!write(control_fd, text, strlen(text));
}

static int deep(int n)
{
	volatile char frame[4096];

	frame[0] = (char)n;
	return n == 0 ? 0 : deep(n - 1) + frame[0];
}

static void act(int control_fd)
{
	volatile int *nowhere = (volatile int *)(uintptr_t)0x1230;

	switch (task) {
	case EXIT_3:
		_exit(3);
	case EXIT_0:
		_exit(0);
	case CRASH:
		*nowhere = 1;
		break;
	case OVERFLOW:
		_exit(deep(1 << 30) + 1);
	case ABORT:
		abort();
	case REPORT:
		report(control_fd);
		break;
	case WAIT_FOREVER:
	case BORN_LATE:
		break;
	}
	for (;;)
		pause();
}

static void run_plain(const struct child_birth *b)
{
	int control_fd = b->control_fd;
	int *const keep[] = { &control_fd };
	struct adoption a = { .title = "taskmanager tm-9",
		.comm = "tm-9",
		.parent_pid = b->parent_pid,
		.output_fd = -1,
		.keep = keep,
		.n_keep = 1 };

	while (task == BORN_LATE && getppid() == b->parent_pid)
		usleep(1000);
	adopt(&a);
	act(control_fd);
}

static void run_builder(const struct child_birth *b, const char *artifact, int argc, const char *const *argv)
{
	(void)artifact;
	(void)argc;
	(void)argv;
	run_plain(b);
}

static void run_taskmanager(const struct inheritance *in)
{
	struct inheritance mine = *in;
	int *keep[3 + CTL_MAX_SLOTS] = { &mine.control_fd, &mine.metrics_fd, &mine.log_fd };
	struct adoption a = { .title = "taskmanager tm-1",
		.comm = "tm-1",
		.parent_pid = (pid_t)in->parent_pid,
		.output_fd = in->out_fd,
		.keep = keep,
		.n_keep = 3 + in->n_slots };

	for (uint32_t i = 0; i < in->n_slots; i++)
		keep[3 + i] = &mine.eventfds[i];
	adopt(&a);
	puts("to the .out file");
	fflush(stdout);
	(void)!write(mine.log_fd, "to the .log file\n", 17);
	crash_init(metrics_attach(mine.metrics_fd, 1, NULL));
	crash_thread_enter("slot 0");
	crash_set_task("Counter (1/2)");
	act(mine.control_fd);
}

static void on_died(void *arg, struct child *c, const struct child_death *d)
{
	(void)arg;
	(void)c;
	n_died++;
	last = *d;
	died_ns = clock_mono_ns(&clock_system);
}

static void on_reaped(void *arg)
{
	(void)arg;
	n_batches++;
}

static void context(void *arg, const struct child_death *d, struct child_context *ctx)
{
	(void)arg;
	if (d->kind != CHILD_TASKMANAGER)
		return;
	memset(ctx->job, '7', sizeof(ctx->job) - 1);
	ctx->attempt = 3;
	snprintf(ctx->next, sizeof(ctx->next), "restarting from checkpoint 17");
}

static void on_child(void *arg)
{
	(void)arg;
	child_reap(children);
}

static void on_terminate(void *arg, const char *signal_name)
{
	(void)arg;
	(void)signal_name;
	n_terminate++;
}

static bool died_reached(void *arg)
{
	return n_died >= *(unsigned *)arg;
}

static bool wait_died(unsigned n)
{
	return proc_loop_until(loop_base(loop), died_reached, &n, 10000);
}

/* What the log got since the last time. */
static const char *read_log(void)
{
	static char text[65536];
	ssize_t n = read(log_read_fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static unsigned count_lines(const char *text, const char *part)
{
	unsigned n = 0;

	while ((text = strstr(text, part)) != NULL) {
		n++;
		text++;
	}
	return n;
}

static struct child *fork_tm(uint32_t generation)
{
	struct child_taskmanager_spec spec = {
		.place = 1, .generation = generation, .n_slots = 2, .log_dir = dir
	};
	struct err e;
	struct child *c = child_fork_taskmanager(children, &spec, on_died, NULL, &e);

	if (c == NULL)
		diag("%s", e.msg);
	return c;
}

static void test_obituary(void)
{
	struct child *c;
	const char *log;

	task = WAIT_FOREVER;
	c = fork_tm(4);
	ok(c != NULL && child_state(c) == CHILD_ALIVE && child_kind(c) == CHILD_TASKMANAGER &&
		child_generation(c) == 4,
	    "a child is alive");
	ok(child_eventfd(c, 1) >= 0 && child_eventfd(c, 2) == -1, "it has a doorbell a slot");
	kill(child_pid(c), SIGKILL);
	ok(wait_died(1), "kill -9 is noticed");
	is_int(last.signo, SIGKILL, "with its signal");
	ok(!last.expected && last.generation == 4 && last.reason[0] == '\0', "it was not ours");
	is_int(n_batches, 1, "then the state machines run once");
	log = read_log();
	is_int(count_lines(log, "event=child.died"), 1, "one obituary");
	like(log, "job=77777777777777777777777777777777 event=child.died kind=taskmanager tm=tm-1 child_pid=",
	    "its keys");
	like(log, " generation=4 signal=9 signal_name=SIGKILL attempt=3 lived_ms=", "more of them");
	like(log, "was killed by SIGKILL; restarting from checkpoint 17\"", "and what happens next");

	c = fork_tm(5);
	child_kill(c, "no heartbeat for 50 s");
	ok(child_state(c) == CHILD_KILLED, "a killed child waits to be reaped");
	child_kill(c, "another reason");
	wait_died(2);
	is_str(last.reason, "no heartbeat for 50 s", "the first reason is the cause");
	like(read_log(), "was killed by SIGKILL: no heartbeat for 50 s", "it is in the obituary");

	task = EXIT_3;
	fork_tm(6);
	wait_died(3);
	ok(last.signo == 0 && last.exit_status == 3 && !last.expected, "an exit status is told");
	like(read_log(), "level=warn", "it is a warning");

	task = EXIT_0;
	fork_tm(7);
	wait_died(4);
	ok(last.signo == 0 && last.exit_status == 0 && !last.expected,
	    "exit(0) that nobody asked for is no order");
	like(read_log(), "exited with status 0", "and the obituary says so");

	c = fork_tm(8);
	child_expect_exit(c);
	wait_died(5);
	ok(last.expected, "an expected end is one");
	like(read_log(), "level=info", "and no warning");
}

static void test_last_words(void)
{
	task = CRASH;
	fork_tm(1);
	wait_died(6);
	is_int(last.signo, SIGSEGV, "a crash ends by its signal");
	is_str(last.last_words, "SIGSEGV at address 0x1230 in slot 0, task Counter (1/2)", "its last words");
	like(read_log(), "last_words=\"SIG", "they are in the obituary");
	task = ABORT;
	fork_tm(1);
	wait_died(7);
	is_str(last.signo == SIGABRT ? last.last_words : "no SIGABRT", "SIGABRT in slot 0, task Counter (1/2)", "abort has last words");
	task = OVERFLOW;
	fork_tm(1);
	wait_died(8);
	ok(last.signo == SIGSEGV && last.last_words[0] != '\0', "an overflown stack has last words: %s",
	    last.last_words);
}

static bool readable(void *arg)
{
	char c;

	return recv(*(int *)arg, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void test_unlearnt(void)
{
	char text[2][1100];
	int extra[40];

	for (unsigned i = 0; i < 40; i++)
		extra[i] = open("/dev/null", O_RDONLY); /* not close-on-exec: nothing is exec'ed */
	task = REPORT;
	for (unsigned i = 0; i < 2; i++) {
		struct err e;
		struct child *c = child_fork_storage(children, 1, on_died, NULL, &e);
		int fd = child_take_control_fd(c);
		ssize_t n;

		ok(child_take_control_fd(c) == -1, "the channel can be taken once");
		ok(proc_loop_until(loop_base(loop), readable, &fd, 10000), "the child reports");
		n = recv(fd, text[i], sizeof(text[i]) - 1, 0);
		text[i][n > 0 ? n : 0] = '\0';
		close(fd);
		child_kill(c, "done");
		wait_died(n_died + 1);
	}
	diag("%s", text[0]);
	like(text[0], "comm=tm-9 title=taskmanager tm-9 ", "comm and title are its own");
	like(text[0], " fds=4 ", "stdin, stdout, stderr and its channel are open, nothing else");
	like(text[0], " blocked=0 ", "no signal is blocked");
	like(text[0], " handled=0 ", "no handler of the parent's is left");
	like(text[0], " pdeath=9 ", "it dies with its parent");
	like(text[0], " oom=500 ", "it dies before its parent where memory lacks");
	like(text[0], " stdin=/dev/null leader=1 control=3 ", "standard input, session, fixed numbers");
	ok(strcmp(strstr(text[0], "random="), strstr(text[1], "random=")) != 0,
	    "two children draw different numbers");
	for (unsigned i = 0; i < 40; i++)
		close(extra[i]);
}

static void check_file(const char *suffix, const char *want)
{
	char *path = xasprintf("%s/taskmanager-1.%s", dir, suffix), *text;
	size_t len;

	ok(file_read(path, 1 << 20, &text, &len, NULL) == 0, "%s exists", path);
	like(text, want, "what the worker wrote is in it");
	ok(count_lines(text, want) > 1, "it is appended to, not begun anew");
	free(text);
	free(path);
}

static bool has_lines(void *arg)
{
	char *path = xasprintf("%s/taskmanager-1.%s", dir, (const char *)arg), *text;
	size_t len;
	unsigned n;

	if (file_read(path, 1 << 20, &text, &len, NULL) < 0)
		return false;
	n = count_lines(text, "file");
	free(text);
	free(path);
	return n > 1;
}

static void test_files(void)
{
	static char suffix[] = "log";

	proc_until(has_lines, suffix, 5000);
	check_file("log", "to the .log file");
	check_file("out", "to the .out file");
}

/* A signal that comes right after the fork must not reach the parent's loop through the child. */
static void test_signals_stay_apart(void)
{
	unsigned before = n_terminate, died = n_died;

	task = WAIT_FOREVER;
	for (unsigned i = 0; i < 20; i++) {
		struct child *c = fork_tm(1);

		kill(child_pid(c), SIGTERM);
		wait_died(++died);
		ok(last.signo == SIGTERM, "SIGTERM to a child %u ends the child", i);
	}
	is_int(n_terminate, before, "and is not heard by the parent");
	raise(SIGTERM);
	event_base_loop(loop_base(loop), EVLOOP_ONCE | EVLOOP_NONBLOCK);
	is_int(n_terminate, before + 1, "its own is");
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void test_many(void)
{
	enum { N = 200 };
	static int64_t fork_us[N], notice_us[N];
	unsigned died = n_died;
	int fds = proc_count_fds();

	task = WAIT_FOREVER;
	for (unsigned i = 0; i < N; i++) {
		int64_t t0 = clock_mono_ns(&clock_system), t1;
		struct child *c = fork_tm(i + 1);

		fork_us[i] = (clock_mono_ns(&clock_system) - t0) / 1000;
		t1 = clock_mono_ns(&clock_system);
		kill(child_pid(c), SIGKILL);
		if (!wait_died(++died))
			break;
		notice_us[i] = (died_ns - t1) / 1000;
	}
	is_int(n_died, died, "%d children were killed and reaped", N);
	ok(proc_no_children(), "no zombie is left");
	is_int(children_alive(children), 0, "the table is empty");
	is_int(proc_count_fds(), fds, "no descriptor is left");
	qsort(fork_us, N, sizeof(fork_us[0]), by_value);
	qsort(notice_us, N, sizeof(notice_us[0]), by_value);
	diag("fork of a taskmanager, as the supervisor sees it: min %" PRId64 " p50 %" PRId64 " p99 %" PRId64
	     " us",
	    fork_us[0], fork_us[N / 2], fork_us[N * 99 / 100]);
	diag("kill -9 to on_died: min %" PRId64 " p50 %" PRId64 " p99 %" PRId64 " us", notice_us[0],
	    notice_us[N / 2], notice_us[N * 99 / 100]);
}

static void test_batch(void)
{
	unsigned died = n_died, batches = n_batches;
	pid_t pids[10];
	siginfo_t info;

	task = EXIT_0;
	for (unsigned i = 0; i < 10; i++) {
		struct child *c = fork_tm(i + 1);

		child_expect_exit(c);
		pids[i] = child_pid(c);
	}
	/* All are dead before anybody looks. */
	for (unsigned i = 0; i < 10; i++)
		waitid(P_PID, (id_t)pids[i], &info, WEXITED | WNOWAIT);
	child_reap(children);
	is_int(n_died, died + 10, "ten deaths are told at once");
	ok(n_batches == batches + 1, "and the state machines run once");
}

static void test_refusals(void)
{
	struct child_taskmanager_spec spec = {
		.place = 1, .generation = 1, .n_slots = 2, .log_dir = "/proc/nowhere"
	};
	struct rlimit limit, old;
	int fds = proc_count_fds();
	struct err e;

	ok(child_fork_taskmanager(children, &spec, on_died, NULL, &e) == NULL,
	    "without its log no worker is forked");
	like(e.msg, "cannot start taskmanager tm-1: open /proc/nowhere/taskmanager-1.log for appending: ",
	    "it says why");
	getrlimit(RLIMIT_NOFILE, &old);
	ok(old.rlim_cur == old.rlim_max, "the soft limit of open files is the hard one");
	limit = old;
	for (int more = 0; more < 8; more++) {
		limit.rlim_cur = (rlim_t)(fds + 3 + more);
		setrlimit(RLIMIT_NOFILE, &limit);
		spec.log_dir = dir;
		if (child_fork_taskmanager(children, &spec, on_died, NULL, &e) != NULL)
			break;
		setrlimit(RLIMIT_NOFILE, &old);
		is_int(proc_count_fds(), fds, "out of descriptors (%d more): nothing is left behind: %s",
		    more, e.msg);
	}
	setrlimit(RLIMIT_NOFILE, &old);
}

static bool child_gone(void *arg)
{
	siginfo_t info = { .si_pid = 0 };

	return waitid(P_PID, (id_t) * (pid_t *)arg, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	    info.si_pid != 0;
}

/* The parent's own death, in a process of its own which is killed once its child has adopted, or before
 * that. */
static void test_parent_death(bool born_late)
{
	int pipes[2], status;
	pid_t middle, child = 0;
	siginfo_t info;

	/* Its children become ours when it dies. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	ok(pipe2(pipes, O_CLOEXEC) == 0, "a pipe");
	middle = fork();
	if (middle == 0) {
		struct child *c;
		char said[1100];

		task = born_late ? BORN_LATE : REPORT;
		c = child_fork_storage(children, 1, on_died, NULL, NULL);
		child = child_pid(c);
		for (int fd = child_take_control_fd(c); !born_late && recv(fd, said, sizeof(said), 0) < 0;)
			usleep(1000);
		(void)!write(pipes[1], &child, sizeof(child));
		for (;;)
			pause();
	}
	ok(read(pipes[0], &child, sizeof(child)) == (ssize_t)sizeof(child) && kill(child, 0) == 0,
	    "a grandchild lives");
	kill(middle, SIGKILL);
	waitpid(middle, &status, 0);
	ok(proc_until(child_gone, &child, 5000), "it dies with its parent");
	ok(waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG) == 0 &&
		(born_late ? info.si_code == CLD_EXITED : info.si_status == SIGKILL),
	    "%s",
	    born_late ? "also one whose parent was dead before it could ask for a signal" : "by a signal");
	close(pipes[0]);
	close(pipes[1]);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static void test_backoff(void)
{
	static const int64_t want[] = { 0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000 };
	struct backoff b = BACKOFF_PROCESS;

	for (unsigned i = 0; i < ARRAY_LEN(want); i++)
		is_int(backoff_next(&b, 50), want[i], "death %u in a row", i + 1);
	is_int(backoff_next(&b, 59999), 10000, "a minute is needed");
	is_int(backoff_next(&b, 60000), 0, "after one it starts anew");
	is_int(backoff_next(&b, 0), 100, "and doubles again");
}

int main(int argc, char **argv)
{
	struct loop_callbacks callbacks = { .on_child = on_child, .on_terminate = on_terminate };
	struct children_config cfg = { .programs = { run_taskmanager, run_plain, run_builder },
		.stderr_fd = -1,
		.context = context,
		.on_reaped = on_reaped };
	char *log_path;
	struct err e;
	int fds;

	setproctitle_init(argc, argv, environ);
	ok(mkdtemp(dir) != NULL, "a directory");
	log_path = xasprintf("%s/log", dir);
	log_init("jobmanager", LOG_INFO, log_open_file(log_path), -1);
	log_read_fd = open(log_path, O_RDONLY | O_CLOEXEC);
	fds = proc_count_fds();
	loop = loop_create(&callbacks, NULL, &e);
	children = children_create(&cfg);

	test_obituary();
	test_last_words();
	test_unlearnt();
	test_files();
	test_signals_stay_apart();
	test_many();
	test_batch();
	test_refusals();
	children_destroy(children);
	children = children_create(&cfg);
	test_parent_death(false);
	test_parent_death(true);

	task = WAIT_FOREVER;
	n_died = 0;
	fork_tm(1);
	fork_tm(2);
	children_destroy(children);
	is_int(n_died, 2, "the end of the table kills, reaps and tells");
	ok(proc_no_children(), "no child is left");
	loop_destroy(loop);
	is_int(proc_count_fds(), fds, "no descriptor is left at the end");
	test_backoff();
	ok(oom_kill_count() >= -1, "out-of-memory kills so far: %" PRId64, oom_kill_count());
	proc_remove_tree(dir);
	free(log_path);
	return tap_done();
}
