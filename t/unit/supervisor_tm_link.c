/*
 * TaskManager links with real TaskManagers that run no job: greeting, heartbeats, the hung, the dead and
 * their replacements, shutdown.
 */
#include <bsd/unistd.h>
#include <fcntl.h>
#include <inttypes.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/msg.h"
#include "supervisor/loop.h"
#include "supervisor/tm_link.h"
#include "t/proc.h"
#include "t/tap.h"
#include "worker/adopt.h"

extern char **environ;

static struct loop *loop;
static struct children *children;
static struct conf *conf;
static struct tm_link *tm;
static char dir[] = "/tmp/weir-tm-XXXXXX";
/* What the next process is: a TaskManager, or one that does what no TaskManager should. */
static enum { REAL, NOISE, IMPOSTOR, SAY_AND_DIE, HUNG_SLOT } behaviour;

static struct {
	unsigned n_hello, n_died, n_dropped, n_stopped, n_failed, n_names;
	struct ctl_hello hello;
	struct child_death death;
	struct ctl_attempt dropped;
	struct ctl_task_state state;
	int64_t hello_ns, died_ns;
	uint64_t acked, declined; /* ids of checkpoints */
	bool ack_is_whole;
} seen;

static void on_registered(void *arg, struct tm_link *l, const struct ctl_hello *h)
{
	(void)arg;
	(void)l;
	seen.n_hello++;
	seen.hello = *h;
	seen.hello_ns = clock_mono_ns(&clock_system);
}

static void on_task_state(void *arg, struct tm_link *l, const struct ctl_task_state *s)
{
	(void)arg;
	(void)l;
	seen.n_failed += s->state == TASK_FAILED;
	seen.state = *s;
}

static void on_dropped(void *arg, struct tm_link *l, const struct ctl_attempt *a)
{
	(void)arg;
	(void)l;
	seen.n_dropped++;
	seen.dropped = *a;
}

static void on_names(void *arg, struct tm_link *l, const struct ctl_metric_names *names)
{
	(void)arg;
	(void)l;
	seen.n_names += names->n;
}

static void on_ack(void *arg, struct tm_link *l, const struct ctl_ack *a)
{
	(void)arg;
	(void)l;
	seen.acked = a->checkpoint_id;
	seen.ack_is_whole = a->state_len == 5 && memcmp(a->state, "state", 5) == 0;
}
static void on_decline(void *arg, struct tm_link *l, const struct ctl_decline *d)
{
	(void)arg;
	(void)l;
	seen.declined = d->checkpoint_id;
}
static void on_died(void *arg, struct tm_link *l, const struct child_death *d)
{
	(void)arg;
	(void)l;
	seen.n_died++;
	seen.death = *d;
	seen.died_ns = clock_mono_ns(&clock_system);
}

static void on_stopped(void *arg, struct tm_link *l)
{
	(void)arg;
	(void)l;
	seen.n_stopped++;
}

static void say_hello(const struct inheritance *in, uint32_t place)
{
	struct ctl_hello hello = { .place = place,
		.generation = in->generation,
		.pid = (uint32_t)getpid(),
		.n_slots = in->n_slots,
		.tm_id = "127.0.0.1:1-abcdef" };
	struct msg_writer w;

	msg_writer_init(&w);
	ctl_encode_hello(&w, &hello);
	msg_send_fd(in->control_fd, MSG_HELLO, &w, NULL);
	msg_writer_fini(&w);
}

/* Seven messages and the end. */
static _Noreturn void say_and_die(int fd)
{
	struct ctl_ack ack = { .attempt = 3, .checkpoint_id = 8, .state = "state", .state_len = 5 };
	struct ctl_decline no = { .attempt = 3, .checkpoint_id = 9, .why = { ERR_USER, "not now" } };
	struct msg_writer first;

	msg_writer_init(&first);
	ctl_encode_ack(&first, &ack);
	msg_send_fd(fd, MSG_ACK, &first, NULL);
	msg_writer_fini(&first);
	msg_writer_init(&first);
	ctl_encode_decline(&first, &no);
	msg_send_fd(fd, MSG_DECLINE, &first, NULL);
	msg_writer_fini(&first);
	for (uint64_t i = 1; i <= 5; i++) {
		struct ctl_attempt a = { .attempt = i };
		struct msg_writer w;

		msg_writer_init(&w);
		ctl_encode_attempt(&w, &a);
		msg_send_fd(fd, MSG_DROPPED, &w, NULL);
		msg_writer_fini(&w);
	}
	_exit(5);
}

static void answer_beat(void *arg, unsigned type, struct msg_reader *r)
{
	const struct inheritance *in = arg;
	struct ctl_heartbeat beat;
	struct msg_writer w;

	if (type != MSG_HEARTBEAT || ctl_decode_heartbeat(r, &beat, NULL) < 0)
		return;
	beat.n_slots = in->n_slots;
	beat.sleeping[0] = true; /* and slot 1 stands at turn 0 for ever */
	msg_writer_init(&w);
	ctl_encode_heartbeat(&w, &beat);
	msg_send_fd(in->control_fd, MSG_HEARTBEAT, &w, NULL);
	msg_writer_fini(&w);
}

static void parent_gone(void *arg, const struct err *why)
{
	(void)arg;
	(void)why;
	_exit(0);
}

static void run_taskmanager(const struct inheritance *in)
{
	struct inheritance mine = *in;
	int *keep[] = { &mine.control_fd };
	struct adoption a = { .title = "taskmanager tm-2",
		.comm = "tm-2",
		.parent_pid = (pid_t)in->parent_pid,
		.output_fd = -1,
		.keep = keep,
		.n_keep = 1 };
	struct event_base *base;

	if (behaviour == REAL)
		taskmanager_main(in);
	adopt(&a);
	if (behaviour == NOISE)
		(void)!write(mine.control_fd, "noise", 5);
	if (behaviour == IMPOSTOR)
		say_hello(&mine, 3);
	if (behaviour == SAY_AND_DIE)
		say_and_die(mine.control_fd);
	if (behaviour == HUNG_SLOT)
		say_hello(&mine, 2);
	base = event_base_new();
	channel_create(base, mine.control_fd, -1, answer_beat, parent_gone, &mine);
	event_base_dispatch(base);
	_exit(1);
}

static void on_child(void *arg)
{
	(void)arg;
	child_reap(children);
}

/* ---- waiting ---- */

static bool reached(void *arg)
{
	const unsigned *const *pair = arg;

	return *pair[0] >= *pair[1];
}

static bool wait_for(const unsigned *count, unsigned want)
{
	const unsigned *pair[2] = { count, &want };

	return proc_loop_until(loop_base(loop), reached, pair, 15000);
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

/* Let the loop run for a time that is the test's subject. */
static void run_for(int64_t ms)
{
	proc_loop_until(loop_base(loop), never, NULL, ms);
}

static void set_conf(const char *more)
{
	char *log_dir = xasprintf("env.log.dir=%s", dir);
	const char *overrides[] = { log_dir, "taskmanager.numberOfTaskSlots=2", "heartbeat.interval=50 ms",
		"heartbeat.timeout=400 ms", more };
	struct conf *old = conf;
	struct err e;

	conf = conf_load(NULL, overrides, more != NULL ? 5 : 4, NULL, NULL, &e);
	if (conf == NULL)
		diag("%s", e.msg);
	if (tm != NULL)
		tm_link_set_conf(tm, conf);
	conf_destroy(old);
	free(log_dir);
}

static void start(void)
{
	struct tm_link_config cfg = { .children = children,
		.base = loop_base(loop),
		.clock = &clock_system,
		.conf = conf,
		.place = 2,
		.first_generation = 1,
		.events = { .registered = on_registered,
		    .task_state = on_task_state,
		    .dropped = on_dropped,
		    .metric_names = on_names,
		    .ack = on_ack,
		    .decline = on_decline,
		    .died = on_died,
		    .stopped = on_stopped } };

	memset(&seen, 0, sizeof(seen));
	tm = tm_link_create(&cfg);
}

static void stop(void)
{
	tm_link_shutdown(tm, 5000);
	ok(wait_for(&seen.n_stopped, 1), "it stops when asked");
	ok(tm_link_pid(tm) == 0, "there is no process");
	tm_link_destroy(tm);
	tm = NULL;
}

/* ---- tests ---- */

static void test_hello(void)
{
	char want[64], path[64], title[64] = "";
	int fd;

	start();
	ok(tm_link_pid(tm) > 0 && !tm_link_registered(tm), "a process is forked at once, not yet registered");
	ok(wait_for(&seen.n_hello, 1), "HELLO arrives");
	ok(seen.hello.place == 2 && seen.hello.generation == 1 && seen.hello.n_slots == 2 &&
		seen.hello.pid == (uint32_t)tm_link_pid(tm),
	    "with place, generation, slots and pid");
	snprintf(want, sizeof(want), "127.0.0.1:%d-", (int)tm_link_pid(tm));
	like(tm_link_id(tm), want, "and the TaskManager id %s", tm_link_id(tm));
	ok(tm_link_registered(tm) && tm_link_n_slots(tm) == 2 && tm_link_last_heard_ms(tm) > 0,
	    "it is registered");
	ok(tm_link_eventfd(tm, 1) >= 0 && tm_link_eventfd(tm, 2) == -1, "with a doorbell a slot");
	ok(tm_link_metrics(tm) != NULL, "and metrics");
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)tm_link_pid(tm));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	(void)!read(fd, title, sizeof(title) - 1);
	close(fd);
	is_str(title, "taskmanager tm-2", "its title");
}

static void test_heartbeats(void)
{
	int64_t heard = tm_link_last_heard_ms(tm);

	run_for(1200);
	ok(seen.n_died == 0, "an idle worker lives through three timeouts");
	ok(tm_link_last_heard_ms(tm) > heard, "it answers heartbeats");
}

static char *log_path_new;

static bool reopened(void *arg)
{
	char *text = NULL;
	size_t len;
	bool there;

	(void)arg;
	there = file_read(log_path_new, 1 << 20, &text, &len, NULL) == 0 &&
	    strstr(text, "event=log.reopened") != NULL;
	free(text);
	return there;
}

static void test_reopen_logs(void)
{
	char *old = xasprintf("%s/rotated", dir);

	log_path_new = xasprintf("%s/taskmanager-2.log", dir);
	ok(rename(log_path_new, old) == 0, "the worker's log is rotated away");
	tm_link_reopen_logs(tm);
	ok(proc_loop_until(loop_base(loop), reopened, NULL, 10000), "and begun anew when asked");
	free(old);
	free(log_path_new);
}

static void test_drop_unknown(void)
{
	struct ctl_attempt a = { .attempt = 12 };

	id_random(&a.job_id);
	tm_link_drop(tm, &a);
	ok(wait_for(&seen.n_dropped, 1) && seen.dropped.attempt == 12 &&
		id_equal(&seen.dropped.job_id, &a.job_id),
	    "an attempt that was never here is dropped at once");
}

/* A deploy that cannot work: its failure is told, the worker lives, and dropping it cleans up. */
static void test_deploy_fails(void)
{
	char name[] = "job", artifact[] = "/nowhere.so";
	int fd = file_memfd("plan", "{}", 2, NULL), eventfds[300];
	struct ctl_deploy_slot own = { .slot = 0, .local_slot = 1 };
	struct ctl_deploy_task task = { .vertex = 0, .subtask = 0 };
	struct ctl_deploy d = { .attempt = 1,
		.job_name = name,
		.artifact = artifact,
		.plan_fd = fd,
		.exchange_fd = fd,
		.n_slots = 300,
		.eventfds = eventfds,
		.n_own = 1,
		.own = &own,
		.n_tasks = 1,
		.tasks = &task };
	struct ctl_attempt a = { .attempt = 1 };
	struct err e;

	id_random(&d.job_id);
	a.job_id = d.job_id;
	for (unsigned i = 0; i < 300; i++)
		eventfds[i] = i == 0 ? -1 : fd;
	ok(tm_link_deploy(tm, &d, &e) == 0, "a deploy is sent");
	ok(wait_for(&seen.n_failed, 1), "its failure comes back");
	ok(seen.state.vertex == UINT32_MAX && seen.state.cause.code != ERR_NONE, "with its cause: %s",
	    seen.state.cause.msg);
	tm_link_drop(tm, &a);
	ok(wait_for(&seen.n_dropped, 2) && seen.dropped.attempt == 1, "it is dropped");
	run_for(500);
	ok(seen.n_died == 0, "the worker lives");
	close(fd);
}

static void test_kill(void)
{
	pid_t pid = tm_link_pid(tm);

	kill(pid, SIGKILL);
	ok(wait_for(&seen.n_died, 1), "kill -9 is noticed");
	ok(seen.death.signo == SIGKILL && seen.death.pid == pid && seen.death.generation == 1, "who and how");
	ok(tm_link_pid(tm) > 0 && tm_link_pid(tm) != pid, "its replacement is forked at once");
	ok(wait_for(&seen.n_hello, 2) && seen.hello.generation == 2,
	    "and says HELLO with the next generation");
	wait_for(&seen.n_hello, 2);
	kill(tm_link_pid(tm), SIGKILL);
	wait_for(&seen.n_died, 2);
	ok(tm_link_pid(tm) == 0, "the second in a row waits");
	ok(tm_link_deploy(tm, &(struct ctl_deploy){ .n_slots = 0 }, NULL) < 0,
	    "meanwhile nothing can be deployed");
	tm_link_drop(tm, &seen.dropped);
	ok(wait_for(&seen.n_hello, 3), "then there is one again");
	ok((seen.hello_ns - seen.died_ns) / NS_PER_MS >= 90, "after 100 ms: %" PRId64,
	    (seen.hello_ns - seen.died_ns) / NS_PER_MS);
}

static void test_stopped_process(void)
{
	int64_t start_ns = clock_mono_ns(&clock_system);

	kill(tm_link_pid(tm), SIGSTOP);
	ok(wait_for(&seen.n_died, 3), "a worker that is stopped is killed");
	is_int(seen.death.signo, SIGKILL, "as any crash");
	is_str(seen.death.reason, "no heartbeat for 400 ms", "for its silence");
	ok((seen.died_ns - start_ns) / NS_PER_MS >= 300, "not before the timeout: %" PRId64 " ms",
	    (seen.died_ns - start_ns) / NS_PER_MS);
	ok(wait_for(&seen.n_hello, 4), "and replaced");
}

/* The supervisor itself does not run for longer than the timeout: nobody is killed for that. */
static void test_lag(void)
{
	run_for(100);
	usleep(1600 * 1000); /* the lag is what is tested */
	run_for(600);
	is_int(seen.n_died, 3, "a supervisor that did not run blames nobody");
	ok(tm_link_registered(tm), "the worker is as before");
}

static void test_wild(void)
{
	behaviour = NOISE;
	kill(tm_link_pid(tm), SIGKILL);
	ok(wait_for(&seen.n_died, 5), "a worker that sends noise is killed");
	like(seen.death.reason, "control message", "for that: %s", seen.death.reason);
	behaviour = IMPOSTOR;
	ok(wait_for(&seen.n_died, 6), "and so is one that says to be another");
	is_str(seen.death.reason, "it introduced itself as another one", "for that");
	behaviour = REAL;
	ok(wait_for(&seen.n_hello, 5), "it is replaced when its time comes");
	stop();
}

static void test_hung_slot(void)
{
	behaviour = HUNG_SLOT;
	start();
	ok(wait_for(&seen.n_hello, 1) && wait_for(&seen.n_died, 1),
	    "a worker whose slot no longer turns is killed");
	like(seen.death.reason, "slot 1 hung in user code for ", "for that: %s", seen.death.reason);
	behaviour = REAL;
	stop();
}

static void test_last_messages(void)
{
	siginfo_t info;

	behaviour = SAY_AND_DIE;
	start();
	behaviour = REAL;
	/* Its death is known before anything that it said was read. */
	waitid(P_PID, (id_t)tm_link_pid(tm), &info, WEXITED | WNOWAIT);
	child_reap(children);
	ok(seen.n_died == 1 && seen.death.exit_status == 5, "a worker ends by itself");
	ok(seen.n_dropped == 5 && seen.dropped.attempt == 5, "what it said before is heard first");
	ok(seen.acked == 8 && seen.ack_is_whole && seen.declined == 9,
	    "an acknowledged checkpoint and a declined one among it");
	stop();
}

static void test_never(void)
{
	set_conf("taskmanager.restart=never");
	start();
	wait_for(&seen.n_hello, 1);
	kill(tm_link_pid(tm), SIGKILL);
	ok(wait_for(&seen.n_died, 1), "taskmanager.restart: never");
	run_for(300);
	ok(tm_link_pid(tm) == 0, "the dead stays dead");
	tm_link_revive(tm);
	ok(wait_for(&seen.n_hello, 2), "until it is revived");
	kill(tm_link_pid(tm), SIGKILL);
	wait_for(&seen.n_died, 2);
	stop();
	is_int(seen.n_died, 2, "a dead one is stopped without another death");
	set_conf(NULL);
}

static void test_shutdown(void)
{
	start();
	wait_for(&seen.n_hello, 1);
	stop();
	ok(seen.n_died == 1 && seen.death.expected, "an asked worker ends with status 0: %s",
	    seen.death.sentence);

	start();
	wait_for(&seen.n_hello, 1);
	kill(tm_link_pid(tm), SIGSTOP);
	tm_link_shutdown(tm, 200);
	ok(wait_for(&seen.n_stopped, 1), "one that does not end in time is killed");
	is_str(seen.death.reason, "it did not end in time", "for that");
	tm_link_destroy(tm);
	tm = NULL;
}

static void test_fork_fails(void)
{
	char *good = conf->log_dir;
	char bad[] = "/proc/nowhere";

	conf->log_dir = bad;
	start();
	ok(tm_link_pid(tm) == 0, "a fork that fails leaves nothing");
	conf->log_dir = good;
	ok(wait_for(&seen.n_hello, 1), "it is tried again");
	stop();
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void test_many(void)
{
	enum { N = 100 };
	static int64_t hello_us[N], notice_us[N];
	int fds = proc_count_fds();

	for (unsigned i = 0; i < N; i++) {
		int64_t t0 = clock_mono_ns(&clock_system);

		start();
		if (!wait_for(&seen.n_hello, 1))
			break;
		hello_us[i] = (seen.hello_ns - t0) / 1000;
		t0 = clock_mono_ns(&clock_system);
		kill(tm_link_pid(tm), SIGKILL);
		wait_for(&seen.n_died, 1);
		notice_us[i] = (seen.died_ns - t0) / 1000;
		tm_link_shutdown(tm, 0);
		wait_for(&seen.n_stopped, 1);
		tm_link_destroy(tm);
		tm = NULL;
	}
	ok(proc_no_children(), "after %d workers were killed no zombie is left", N);
	is_int(proc_count_fds(), fds, "and no descriptor");
	qsort(hello_us, N, sizeof(hello_us[0]), by_value);
	qsort(notice_us, N, sizeof(notice_us[0]), by_value);
	diag("fork to HELLO: min %" PRId64 " p50 %" PRId64 " p99 %" PRId64 " us", hello_us[0],
	    hello_us[N / 2], hello_us[N * 99 / 100]);
	diag("kill -9 to died: min %" PRId64 " p50 %" PRId64 " p99 %" PRId64 " us", notice_us[0],
	    notice_us[N / 2], notice_us[N * 99 / 100]);
}

int main(int argc, char **argv)
{
	struct loop_callbacks callbacks = { .on_child = on_child };
	struct children_config cfg = { .programs = { .taskmanager = run_taskmanager }, .stderr_fd = -1 };
	char *log_path;
	struct err e;
	int fds;

	setproctitle_init(argc, argv, environ);
	ok(mkdtemp(dir) != NULL, "a directory");
	log_path = xasprintf("%s/jobmanager.log", dir);
	log_init("jobmanager", LOG_INFO, log_open_file(log_path), -1);
	fds = proc_count_fds();
	loop = loop_create(&callbacks, NULL, &e);
	children = children_create(&cfg);
	set_conf(NULL);

	test_hello();
	test_heartbeats();
	test_reopen_logs();
	test_drop_unknown();
	test_deploy_fails();
	test_kill();
	test_stopped_process();
	test_lag();
	test_wild();
	test_hung_slot();
	test_last_messages();
	test_never();
	test_shutdown();
	test_fork_fails();
	test_many();

	children_destroy(children);
	loop_destroy(loop);
	conf_destroy(conf);
	ok(proc_no_children(), "no process is left");
	is_int(proc_count_fds(), fds, "no descriptor is left");
	proc_remove_tree(dir);
	free(log_path);
	return tap_done();
}
