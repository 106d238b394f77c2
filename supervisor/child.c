/*
 * Forking, killing and reaping.  What a child's end means is decided by a table of
 * state and event; an empty cell is a bug.
 */
#include "supervisor/child.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/msg.h"
#include "supervisor/loop.h"
#include "supervisor/oom.h"

struct child {
	TAILQ_ENTRY(child) link; /* of the living, then of the reaped */
	struct children *cs;
	enum child_kind kind;
	enum child_state state;
	uint32_t place, generation;
	pid_t pid;
	int control_fd;
	int wait_status;
	int64_t born_ns;
	bool was_killed, was_expected;
	char reason[160];
	child_died_fn *on_died;
	void *arg;
	/* taskmanagers */
	struct metrics_region *metrics;
	uint32_t n_slots;
	int eventfds[CTL_MAX_SLOTS];
};

TAILQ_HEAD(child_list, child);

struct children {
	struct children_config cfg;
	struct child_list living;
	int64_t oom_kills; /* seen so far */
	bool reaping, closing;
};

enum event { EV_EXPECT, EV_KILL, EV_DEATH, N_EVENTS };
enum action { BUG, NOTHING, NOTE, SEND_KILL, BURY };

static const struct {
	enum action action;
	enum child_state next;
} table[CHILD_N_STATES][N_EVENTS] = {
	[CHILD_ALIVE] = {
		[EV_EXPECT] = { NOTE, CHILD_STOPPING },
		[EV_KILL] = { SEND_KILL, CHILD_KILLED },
		[EV_DEATH] = { BURY, CHILD_DEAD },
	},
	[CHILD_STOPPING] = {
		[EV_EXPECT] = { NOTHING, CHILD_STOPPING },
		[EV_KILL] = { SEND_KILL, CHILD_KILLED },
		[EV_DEATH] = { BURY, CHILD_DEAD },
	},
	[CHILD_KILLED] = {
		[EV_EXPECT] = { NOTHING, CHILD_KILLED },
		[EV_KILL] = { NOTHING, CHILD_KILLED },
		[EV_DEATH] = { BURY, CHILD_DEAD },
	},
	/* Reaped, its on_died not yet returned: the pid may be another process's by now. */
	[CHILD_DEAD] = {
		[EV_EXPECT] = { NOTHING, CHILD_DEAD },
		[EV_KILL] = { NOTHING, CHILD_DEAD },
		[EV_DEATH] = { BUG, CHILD_DEAD },
	},
};

const char *child_kind_name(enum child_kind k)
{
	static const char *const names[CHILD_N_KINDS] = { "taskmanager", "storage", "builder" };

	return (unsigned)k < CHILD_N_KINDS ? names[k] : "?";
}

const char *child_state_name(enum child_state s)
{
	static const char *const names[CHILD_N_STATES] = { "alive", "stopping", "killed", "dead" };

	return (unsigned)s < CHILD_N_STATES ? names[s] : "?";
}

static void step(struct child *c, enum event ev)
{
	enum action action = table[c->state][ev].action;

	ASSERT(action != BUG);
	c->state = table[c->state][ev].next;
	switch (action) {
	case NOTE:
		c->was_expected = true;
		break;
	case SEND_KILL:
		c->was_killed = true;
		/* It is not reaped, so the pid is still its own. */
		if (kill(c->pid, SIGKILL) < 0)
			log_warn("child.kill_failed", KV_INT("child_pid", c->pid),
			    KV_MSG("cannot kill a child"));
		break;
	case BURY:
		TAILQ_REMOVE(&c->cs->living, c, link);
		break;
	case BUG:
	case NOTHING:
		break;
	}
}

static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warn("limit.nofile", KV_MSG("cannot raise the limit of open files"));
}

struct children *children_create(const struct children_config *cfg)
{
	struct children *cs = xcalloc(1, sizeof(*cs));

	cs->cfg = *cfg;
	TAILQ_INIT(&cs->living);
	cs->oom_kills = oom_kill_count();
	raise_file_limit();
	return cs;
}

static void child_free(struct child *c)
{
	if (c->control_fd >= 0)
		close(c->control_fd);
	for (uint32_t i = 0; i < c->n_slots; i++)
		if (c->eventfds[i] >= 0)
			close(c->eventfds[i]);
	if (c->metrics != NULL)
		metrics_detach(c->metrics);
	free(c);
}

/* ---- birth ---- */

static struct child *child_new(struct children *cs, enum child_kind kind, uint32_t place, uint32_t generation,
    child_died_fn *on_died, void *arg)
{
	struct child *c = xcalloc(1, sizeof(*c));

	c->cs = cs;
	c->kind = kind;
	c->place = place;
	c->generation = generation;
	c->on_died = on_died;
	c->arg = arg;
	c->control_fd = -1;
	return c;
}

/* fork with every signal blocked; the parent's signals come back here, the child's in adopt. */
static pid_t fork_blocked(struct err *e)
{
	sigset_t old;
	pid_t pid;

	loop_block_signals(&old);
	pid = fork();
	if (pid == 0)
		return 0;
	loop_restore_signals(&old);
	if (pid < 0)
		err_set_errno(e, ERR_UNAVAILABLE, "fork a child");
	return pid;
}

static int refuse_when_closing(const struct children *cs, struct err *e)
{
	if (!cs->closing)
		return 0;
	return err_set(e, ERR_UNAVAILABLE, "no child is forked while the supervisor ends");
}

static struct child *born(struct child *c, pid_t pid)
{
	c->pid = pid;
	c->born_ns = clock_mono_ns(&clock_system);
	c->state = CHILD_ALIVE;
	TAILQ_INSERT_TAIL(&c->cs->living, c, link);
	return c;
}

int child_open_log(const char *log_dir, uint32_t place, const char *suffix, struct err *e)
{
	char *path = xasprintf("%s/taskmanager-%" PRIu32 ".%s", log_dir, place, suffix);
	int fd = log_open_file(path);

	if (fd < 0)
		err_set_errno(e, ERR_IO, "open %s for appending", path);
	free(path);
	return fd;
}

/* Everything of the parent's half that a worker needs before it is there. */
static int prepare_taskmanager(struct child *c, const struct child_taskmanager_spec *spec,
    struct inheritance *in, struct err *e)
{
	int pair[2];

	if (channel_pair(pair, e) < 0)
		return -1;
	c->control_fd = pair[0];
	in->control_fd = pair[1];
	in->metrics_fd = metrics_create(e);
	if (in->metrics_fd < 0)
		return -1;
	c->metrics = metrics_attach(in->metrics_fd, 0, e);
	if (c->metrics == NULL)
		return -1;
	for (; c->n_slots < spec->n_slots; c->n_slots++) {
		int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

		if (fd < 0)
			return err_set_errno(e, ERR_IO, "make the doorbell of slot %" PRIu32, c->n_slots);
		c->eventfds[c->n_slots] = fd;
		in->eventfds[c->n_slots] = fd;
	}
	in->log_fd = child_open_log(spec->log_dir, spec->place, "log", e);
	if (in->log_fd < 0)
		return -1;
	in->out_fd = child_open_log(spec->log_dir, spec->place, "out", e);
	return in->out_fd < 0 ? -1 : 0;
}

struct child *child_fork_taskmanager(struct children *cs, const struct child_taskmanager_spec *spec,
    child_died_fn *on_died, void *arg, struct err *e)
{
	struct inheritance in = { .place = spec->place,
		.generation = spec->generation,
		.n_slots = spec->n_slots,
		.control_fd = -1,
		.metrics_fd = -1,
		.log_fd = -1,
		.out_fd = -1,
		.stderr_fd = cs->cfg.stderr_fd,
		.lock_fd = cs->cfg.lock_fd > 0 ? cs->cfg.lock_fd : -1,
		.log_level = (int)spec->log_level,
		.parent_pid = (uint32_t)getpid() };
	struct child *c = child_new(cs, CHILD_TASKMANAGER, spec->place, spec->generation, on_died, arg);
	pid_t pid = -1;

	ASSERT(spec->n_slots > 0 && spec->n_slots <= CTL_MAX_SLOTS);
	if (refuse_when_closing(cs, e) == 0 && prepare_taskmanager(c, spec, &in, e) == 0)
		pid = fork_blocked(e);
	if (pid == 0) {
		cs->cfg.programs.taskmanager(&in);
		_exit(1);
	}
	/* The child's half. */
	for (unsigned i = 0; i < 4; i++) {
		int fd = (const int[]){ in.control_fd, in.metrics_fd, in.log_fd, in.out_fd }[i];

		if (fd >= 0)
			close(fd);
	}
	if (pid < 0) {
		err_prefix(e, "cannot start taskmanager tm-%" PRIu32, spec->place);
		child_free(c);
		return NULL;
	}
	return born(c, pid);
}

/* Storage processes and builders: a channel and nothing else. */
static struct child *fork_plain(struct child *c, const char *artifact, int argc, const char *const *argv,
    struct err *e)
{
	const struct child_programs *run = &c->cs->cfg.programs;
	struct child_birth birth = { .place = c->place,
		.generation = c->generation,
		.stderr_fd = c->cs->cfg.stderr_fd,
		.parent_pid = getpid() };
	int pair[2];
	pid_t pid;

	if (refuse_when_closing(c->cs, e) < 0 || channel_pair(pair, e) < 0)
		goto failed;
	c->control_fd = pair[0];
	birth.control_fd = pair[1];
	pid = fork_blocked(e);
	if (pid == 0) {
		if (c->kind == CHILD_STORAGE)
			run->storage(&birth);
		else
			run->builder(&birth, artifact, argc, argv);
		_exit(1);
	}
	close(pair[1]);
	if (pid > 0)
		return born(c, pid);
failed:
	err_prefix(e, "cannot start a %s process", child_kind_name(c->kind));
	child_free(c);
	return NULL;
}

struct child *child_fork_storage(struct children *cs, uint32_t generation, child_died_fn *on_died, void *arg,
    struct err *e)
{
	return fork_plain(child_new(cs, CHILD_STORAGE, 0, generation, on_died, arg), NULL, 0, NULL, e);
}

struct child *child_fork_builder(struct children *cs, uint32_t place, const char *artifact, int argc,
    const char *const *argv, child_died_fn *on_died, void *arg, struct err *e)
{
	struct child *c = child_new(cs, CHILD_BUILDER, place, 1, on_died, arg);

	/* It ends by itself. */
	c = fork_plain(c, artifact, argc, argv, e);
	if (c != NULL)
		child_expect_exit(c);
	return c;
}

/* ---- end ---- */

void child_expect_exit(struct child *c)
{
	step(c, EV_EXPECT);
}

void child_kill(struct child *c, const char *reason)
{
	/* The first reason is the cause. */
	if (c->state != CHILD_KILLED && c->state != CHILD_DEAD)
		snprintf(c->reason, sizeof(c->reason), "%s", reason);
	step(c, EV_KILL);
}

static void name_child(const struct child_death *d, char *name, size_t size)
{
	if (d->kind == CHILD_TASKMANAGER)
		snprintf(name, size, "taskmanager tm-%" PRIu32, d->place);
	else if (d->kind == CHILD_STORAGE)
		snprintf(name, size, "the storage process");
	else
		snprintf(name, size, "job builder %" PRIu32, d->place);
}

static void describe(const struct child *c, bool oom_seen, struct child_death *d)
{
	char name[48], how[64];

	memset(d, 0, sizeof(*d));
	d->kind = c->kind;
	d->place = c->place;
	d->generation = c->generation;
	d->pid = c->pid;
	d->lived_ms = (clock_mono_ns(&clock_system) - c->born_ns) / NS_PER_MS;
	if (WIFSIGNALED(c->wait_status))
		d->signo = WTERMSIG(c->wait_status);
	else
		d->exit_status = WEXITSTATUS(c->wait_status);
	d->expected = c->was_expected && d->signo == 0 && d->exit_status == 0;
	d->oom = d->signo == SIGKILL && !c->was_killed && oom_seen;
	if (c->metrics != NULL)
		metrics_read_last_words(c->metrics, d->last_words, sizeof(d->last_words));
	if (d->signo == SIGKILL && c->was_killed)
		snprintf(d->reason, sizeof(d->reason), "%s", c->reason);
	name_child(d, name, sizeof(name));
	if (d->signo != 0)
		snprintf(how, sizeof(how), "was killed by %s", loop_signal_name(d->signo));
	else if (d->expected)
		snprintf(how, sizeof(how), "ended as expected");
	else
		snprintf(how, sizeof(how), "exited with status %d", d->exit_status);
	snprintf(d->sentence, sizeof(d->sentence), "%s (pid %d) %s%s%s%s%s%s", name, (int)d->pid, how,
	    d->oom ? ", probably by the kernel for lack of memory" : "", d->reason[0] != '\0' ? ": " : "",
	    d->reason, d->last_words[0] != '\0' ? ": " : "", d->last_words);
}

/* The one line about a dead child. */
static void write_obituary(const struct children *cs, const struct child_death *d)
{
	struct child_context ctx = { .attempt = 0 };
	struct log_kv kv[16];
	char tm[16];
	unsigned n = 0;

	if (cs->cfg.context != NULL)
		cs->cfg.context(cs->cfg.arg, d, &ctx);
	if (ctx.job[0] != '\0')
		kv[n++] = (struct log_kv)KV_JOB(ctx.job);
	kv[n++] = (struct log_kv)KV_STR("kind", child_kind_name(d->kind));
	if (d->kind == CHILD_TASKMANAGER) {
		snprintf(tm, sizeof(tm), "tm-%" PRIu32, d->place);
		kv[n++] = (struct log_kv)KV_STR("tm", tm);
	}
	kv[n++] = (struct log_kv)KV_INT("child_pid", d->pid);
	kv[n++] = (struct log_kv)KV_UINT("generation", d->generation);
	if (d->signo != 0) {
		kv[n++] = (struct log_kv)KV_INT("signal", d->signo);
		kv[n++] = (struct log_kv)KV_STR("signal_name", loop_signal_name(d->signo));
	} else {
		kv[n++] = (struct log_kv)KV_INT("exit_status", d->exit_status);
	}
	if (ctx.attempt != 0)
		kv[n++] = (struct log_kv)KV_UINT("attempt", ctx.attempt);
	kv[n++] = (struct log_kv)KV_INT("lived_ms", d->lived_ms);
	if (d->oom)
		kv[n++] = (struct log_kv)KV_STR("oom", "likely");
	if (d->kind == CHILD_TASKMANAGER)
		kv[n++] = (struct log_kv)KV_STR("last_words", d->last_words);
	kv[n++] = (struct log_kv)KV_MSG("%s%s%s", d->sentence, ctx.next[0] != '\0' ? "; " : "", ctx.next);
	kv[n] = (struct log_kv){ .type = LOG_KV_END };
	log_write(d->expected ? LOG_INFO : LOG_WARN, false, "child.died", kv);
}

/* Whether the kernel has killed for lack of memory since the last time that this was asked. */
static bool oom_happened(struct children *cs)
{
	int64_t before = cs->oom_kills;

	cs->oom_kills = oom_kill_count();
	return before >= 0 && cs->oom_kills > before;
}

static void bury(struct children *cs, struct child_list *dead)
{
	bool ask_oom = false, oom_seen;
	struct child_death d;
	struct child *c;

	if (TAILQ_EMPTY(dead))
		return;
	TAILQ_FOREACH(c, dead, link)
		ask_oom = ask_oom ||
		    (WIFSIGNALED(c->wait_status) && WTERMSIG(c->wait_status) == SIGKILL && !c->was_killed);
	oom_seen = ask_oom && oom_happened(cs);
	while ((c = TAILQ_FIRST(dead)) != NULL) {
		TAILQ_REMOVE(dead, c, link);
		describe(c, oom_seen, &d);
		write_obituary(cs, &d);
		c->on_died(c->arg, c, &d);
		child_free(c);
	}
	if (cs->cfg.on_reaped != NULL)
		cs->cfg.on_reaped(cs->cfg.arg);
}

static struct child *find(const struct children *cs, pid_t pid)
{
	struct child *c;

	TAILQ_FOREACH(c, &cs->living, link)
		if (c->pid == pid)
			return c;
	return NULL;
}

/* Returns false when there is nothing more to wait for now. */
static bool reap_one(struct children *cs, pid_t which, int options, struct child_list *dead)
{
	struct child *c;
	int status;
	pid_t pid;

	do
		pid = waitpid(which, &status, options);
	while (pid < 0 && errno == EINTR);
	if (pid <= 0)
		return false;
	c = find(cs, pid);
	if (c == NULL) {
		/* Whoever exec'ed the supervisor had it. */
		log_info("child.stranger", KV_INT("child_pid", pid),
		    KV_MSG("reaped a child that was not forked here"));
		return true;
	}
	c->wait_status = status;
	step(c, EV_DEATH);
	TAILQ_INSERT_TAIL(dead, c, link);
	return true;
}

void child_reap(struct children *cs)
{
	struct child_list dead = TAILQ_HEAD_INITIALIZER(dead);

	/* First everybody, so that the state machines see one picture. */
	ASSERT(!cs->reaping);
	cs->reaping = true;
	while (reap_one(cs, -1, WNOHANG, &dead))
		;
	cs->reaping = false;
	bury(cs, &dead);
}

void children_destroy(struct children *cs)
{
	struct child_list dead = TAILQ_HEAD_INITIALIZER(dead);
	struct child *c;

	if (cs == NULL)
		return;
	cs->closing = true;
	TAILQ_FOREACH(c, &cs->living, link)
		child_kill(c, "the supervisor ends");
	while ((c = TAILQ_FIRST(&cs->living)) != NULL)
		ASSERT(reap_one(cs, c->pid, 0, &dead));
	bury(cs, &dead);
	free(cs);
}

/* ---- questions ---- */

bool children_closing(const struct children *cs)
{
	return cs->closing;
}

unsigned children_alive(const struct children *cs)
{
	const struct child *c;
	unsigned n = 0;

	TAILQ_FOREACH(c, &cs->living, link)
		n++;
	return n;
}

void children_each(const struct children *cs, void (*fn)(void *arg, const struct child *c), void *arg)
{
	const struct child *c;

	TAILQ_FOREACH(c, &cs->living, link)
		fn(arg, c);
}

enum child_kind child_kind(const struct child *c)
{
	return c->kind;
}

enum child_state child_state(const struct child *c)
{
	return c->state;
}

uint32_t child_place(const struct child *c)
{
	return c->place;
}

uint32_t child_generation(const struct child *c)
{
	return c->generation;
}

pid_t child_pid(const struct child *c)
{
	return c->pid;
}

int child_take_control_fd(struct child *c)
{
	int fd = c->control_fd;

	c->control_fd = -1;
	return fd;
}

struct metrics_region *child_metrics(const struct child *c)
{
	return c->metrics;
}

int child_eventfd(const struct child *c, uint32_t slot)
{
	return slot < c->n_slots ? c->eventfds[slot] : -1;
}
