/*
 * weir-drill's plan: what is done to the cluster, and when.
 *
 * Each step takes the same number of random values, whatever comes of it, so that a seed gives the same
 * steps again; which instruction of which process a kill hits is up to the machine.
 */
#include <inttypes.h>

#include "base/mem.h"
#include "jobs/tools/drill.h"

#define CLOSE_MS      50
#define MAX_PIDS      64
#define MAX_TMS       5 /* by reload; there is always a way back to DRILL_PARALLELISM */
#define N_EARLY       3 /* the first kills, before there is any checkpoint */
#define EARLY_MS      2000
#define AIM_MS        400 /* to wait for the sight of what is aimed at */
#define CHECKPOINT_MS 200

struct step {
	int64_t before_ms; /* pause before it */
	bool close;        /* within CLOSE_MS of the kill before */
	bool aimed;        /* at a recovery if it is close, else at a checkpoint */
	int64_t aim_ms;    /* behind the sight of it */
	long aim_ns;
	enum drill_kind kind;                                                    /* of the kill */
	uint64_t which;                                                          /* of the workers */
	enum { NOTHING, STOP_WORKER, STOP_SUPERVISOR, RELOAD, SAVEPOINT } extra; /* in the pause */
	uint64_t extra_which;
	int64_t extra_ms;    /* how long something is stopped, or the worker count is another */
	int64_t relaunch_ms; /* how long the supervisor stays dead */
};

/* splitmix64 */
static uint64_t next(struct drill *d)
{
	uint64_t z = d->rng += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}
static int64_t between(struct drill *d, int64_t lo, int64_t hi)
{
	return lo + (int64_t)(next(d) % (uint64_t)(hi - lo + 1));
}

static struct step plan_step(struct drill *d)
{
	int64_t nearness = between(d, 0, 99), kind = between(d, 0, 99), extra = between(d, 0, 99);
	int64_t near = between(d, 0, CLOSE_MS - 5), usual = between(d, 100, 900), far = between(d, 900, 2500);
	int64_t aimed = between(d, 0, 99), aim = between(d, 0, 5), fine = between(d, 0, 999999);
	int64_t stop = between(d, 5, 250), other = between(d, 20, 400), dead = between(d, -40, 40);
	struct step s = { 0 };

	s.close = nearness < 27; /* the pause is a bit longer than planned: some more than a quarter */
	s.aimed = aimed < (s.close ? 50 : 25);
	s.aim_ms = aim;
	s.aim_ns = (long)fine;
	s.before_ms = s.close ? near : nearness < 90 ? usual : far;
	s.kind = kind < 76 ? DRILL_WORKER : kind < 88 ? DRILL_SUPERVISOR : DRILL_ALL;
	s.extra = extra < 10 ? STOP_WORKER :
	    extra < 14       ? STOP_SUPERVISOR :
	    extra < 24       ? RELOAD :
	    extra < 36       ? SAVEPOINT :
			       NOTHING;
	s.which = next(d);
	s.extra_which = next(d);
	s.extra_ms = s.extra == RELOAD ? other : stop;
	s.relaunch_ms = dead > 0 ? dead : 0;
	return s;
}

/* One of the TaskManagers; waits a while for there to be one. 0: none came. */
static pid_t pick_worker(struct drill *d, uint64_t which, struct err *e)
{
	pid_t pids[MAX_PIDS];
	unsigned n;
	int i;

	for (i = 0; i < 3000; i++) {
		n = cluster_children(&d->c, "taskmanager tm-", pids, MAX_PIDS);
		if (n > 0)
			return pids[which % n];
		if (drill_wait(d, 1, e) < 0)
			return -1;
	}
	return 0;
}

static int stop_for(struct drill *d, pid_t pid, int64_t ms, struct err *e)
{
	int rc;

	if (pid == 0 || !cluster_signal(&d->c, pid, SIGSTOP))
		return 0;
	d->n_stops++;
	rc = drill_wait(d, ms, e);
	cluster_signal(&d->c, pid, SIGCONT);
	return rc;
}

static int reload(struct drill *d, int n_workers, struct err *e)
{
	if (cluster_write_conf(&d->c, n_workers, e) < 0)
		return -1;
	/* Before it has a port it may not have its handler; it reads the new file by itself then. */
	if (cluster_port(&d->c) != 0 && cluster_signal(&d->c, d->c.supervisor, SIGHUP))
		d->n_reloads++;
	return 0;
}

static int take_savepoint(struct drill *d, struct err *e)
{
	char *address, *dir;
	int rc = 0;

	if (d->c.client != 0 || cluster_port(&d->c) == 0)
		return 0;
	address = xasprintf("127.0.0.1:%d", d->c.port);
	dir = xasprintf("%s/savepoints", d->c.dir);
	rc = cluster_client(&d->c, (const char *const[]){ "savepoint", "-m", address, d->l.job, dir, NULL },
	    e);
	d->n_savepoints++;
	free(address);
	free(dir);
	return rc;
}

static int do_extra(struct drill *d, const struct step *s, struct err *e)
{
	pid_t pid;

	switch (s->extra) {
	case STOP_WORKER:
		pid = pick_worker(d, s->extra_which, e);
		return pid < 0 ? -1 : stop_for(d, pid, s->extra_ms, e);
	case STOP_SUPERVISOR:
		return stop_for(d, d->c.supervisor, s->extra_ms, e);
	case RELOAD:
		return reload(d, 1 + (int)(s->extra_which % MAX_TMS), e) < 0 ||
			drill_wait(d, s->extra_ms, e) < 0 || reload(d, DRILL_PARALLELISM, e) < 0 ?
		    -1 :
		    0;
	case SAVEPOINT:
		return take_savepoint(d, e);
	case NOTHING:
		break;
	}
	return 0;
}

static int64_t now_ms(void)
{
	return clock_mono_ns(&clock_system) / NS_PER_MS;
}

/* Wait for what the kill is aimed at: tasks being deployed again, or the next checkpoint's trigger. */
static int aim(struct drill *d, const struct step *s, struct err *e)
{
	int64_t until_ms = now_ms() + (s->close ? CLOSE_MS / 2 : AIM_MS), wait_ms = s->aim_ms;
	struct timespec fine = { 0, s->aim_ns };
	unsigned n = d->l.n_completed;

	while (now_ms() < until_ms) {
		if (s->close ? d->l.phase == DRILL_DEPLOY || d->l.phase == DRILL_RESTORE :
			       d->l.n_completed > n)
			break;
		if (drill_wait(d, 1, e) < 0)
			return -1;
	}
	if (!s->close && d->l.n_completed > n)
		/* Acknowledged within a millisecond: only just behind the trigger a worker is part of it. */
		wait_ms = s->aim_ms % 3 + d->l.trigger_ms + CHECKPOINT_MS - clock_wall_ms(&clock_system) - 1;
	if (wait_ms > 0 && wait_ms <= CHECKPOINT_MS + 10 && drill_wait(d, wait_ms, e) < 0)
		return -1;
	nanosleep(&fine, NULL);
	return 0;
}

/* The pause before a kill, with what else happens in it. */
static int pause_before(struct drill *d, const struct step *s, struct err *e)
{
	int64_t ms = s->before_ms;

	if (d->n_kills < N_EARLY && d->o.checkpointing) {
		int64_t until_ms = now_ms() + EARLY_MS;

		while ((!d->l.running || d->l.awaited) && now_ms() < until_ms)
			if (drill_wait(d, 1, e) < 0)
				return -1;
		return drill_wait(d, ms % (CHECKPOINT_MS / 2), e);
	}
	if (s->close) {
		/* Counted from the kill before, a new start of the supervisor included. */
		ms -= s->aimed ? ms : clock_wall_ms(&clock_system) - d->l.kill_ms;
		return drill_wait(d, ms > 0 ? ms : 0, e) < 0 || (s->aimed && aim(d, s, e) < 0) ? -1 : 0;
	}
	if (drill_wait(d, ms * 3 / 4, e) < 0 || do_extra(d, s, e) < 0 || drill_wait(d, ms / 4, e) < 0)
		return -1;
	return s->aimed && d->o.checkpointing ? aim(d, s, e) : 0;
}

static int kill_now(struct drill *d, const struct step *s, struct err *e)
{
	int64_t ms;
	pid_t pid = 0;

	if (s->kind == DRILL_WORKER) {
		pid = pick_worker(d, s->which, e);
		if (pid < 0)
			return -1;
		if (pid == 0)
			return err_set(e, ERR_TIMEOUT, "no TaskManager is there after 3 s");
		log_follow(&d->l);
		ms = clock_wall_ms(&clock_system);
		if (!cluster_signal(&d->c, pid, SIGKILL))
			return 0; /* it was about to end anyhow: no kill of ours */
	} else {
		log_follow(&d->l);
		ms = clock_wall_ms(&clock_system);
		cluster_kill_supervisor(&d->c, s->kind == DRILL_ALL);
	}
	if (d->o.verbose)
		printf("%8.3f s  kill %-10s  %s\n",
		    (double)(clock_mono_ns(&clock_system) - d->t0_ns) / (double)NS_PER_S,
		    drill_kind_name(s->kind), drill_phase_name(d->l.phase));
	log_killed(&d->l, s->kind, pid, ms);
	d->n_kills++;
	if (s->kind == DRILL_WORKER)
		return 0;
	return drill_wait(d, s->relaunch_ms, e) < 0 || cluster_launch(&d->c, e) < 0 ? -1 : 0;
}

int drill_plan_run(struct drill *d, struct err *e)
{
	int64_t last_ms;
	unsigned before;

	while (d->n_kills < (unsigned)d->o.n_kills && drill_interrupted == 0) {
		struct step s = plan_step(d);

		if (pause_before(d, &s, e) < 0)
			return -1;
		last_ms = d->l.kill_ms;
		before = d->n_kills;
		if (kill_now(d, &s, e) < 0)
			return -1;
		d->n_close += d->n_kills > before && d->l.kill_ms - last_ms <= CLOSE_MS;
	}
	return 0;
}
