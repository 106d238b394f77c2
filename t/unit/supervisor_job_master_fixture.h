/*
 * A JobMaster of one job with two members, its clock, and actions that are only written down: what the
 * tests of it stand on.
 */
#ifndef T_UNIT_SUPERVISOR_JOB_MASTER_FIXTURE_H
#define T_UNIT_SUPERVISOR_JOB_MASTER_FIXTURE_H

#include <stdlib.h>

#include "supervisor/job_master.h"
#include "t/sim/plans.h"
#include "t/tap.h"

#define N 2 /* parallelism: two members, tm-1 and tm-2; six tasks */

static struct {
	struct clock_virtual clock;
	struct job_master *jm;
	struct jm_settings settings;
	char log[1024]; /* the actions since the last look */
	bool deploy_fails, shared, no_blocks, over;
	uint32_t generation[N + 1];
	unsigned n_over_tasks;
} f;

static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *fmt, ...)
{
	size_t len = strlen(f.log);
	va_list ap;

	if (len + 2 > sizeof(f.log))
		return;
	if (len > 0)
		f.log[len++] = ' ';
	va_start(ap, fmt);
	vsnprintf(f.log + len, sizeof(f.log) - len, fmt, ap);
	va_end(ap);
}

/* What was asked for since the last call. */
static const char *actions(void)
{
	static char last[sizeof(f.log)];

	memcpy(last, f.log, sizeof(last));
	f.log[0] = '\0';
	return last;
}

static void op_request(void *arg, struct job_master *jm, uint32_t n)
{
	(void)arg;
	(void)jm;
	note("request:%u", n);
}
static void op_withdraw(void *arg, struct job_master *jm)
{
	(void)arg;
	(void)jm;
	note("withdraw");
}
static void op_release(void *arg, struct job_master *jm)
{
	(void)arg;
	(void)jm;
	note("release");
}
static bool op_alone(void *arg, const struct job_master *jm, uint32_t place)
{
	(void)arg;
	(void)jm;
	(void)place;
	return !f.shared;
}
static uint32_t op_slots_free(void *arg)
{
	(void)arg;
	return 1;
}
static uint32_t op_block_take(void *arg, uint32_t place, uint32_t generation)
{
	static uint32_t block;

	(void)arg;
	(void)place;
	(void)generation;
	return f.no_blocks ? UINT32_MAX : block++ % 100;
}
static void op_block_give(void *arg, uint32_t place, uint32_t generation, uint32_t block)
{
	(void)arg;
	(void)place;
	(void)generation;
	(void)block;
}
static int op_deploy(void *arg, struct job_master *jm, struct err *e)
{
	(void)arg;
	note("deploy:%" PRIu64, jm_attempt(jm));
	return f.deploy_fails ? err_set(e, ERR_IO, "no memory for the exchange") : 0;
}
static void op_drop(void *arg, struct job_master *jm, uint32_t place, uint32_t generation)
{
	(void)arg;
	(void)jm;
	note("drop:%u/%u", place, generation);
}
static void op_kill(void *arg, struct job_master *jm, uint32_t place, uint32_t generation, const char *why)
{
	(void)arg;
	(void)jm;
	(void)why;
	note("kill:%u/%u", place, generation);
}
static void op_task_over(void *arg, struct job_master *jm, struct job_task *t)
{
	(void)arg;
	(void)jm;
	(void)t;
	f.n_over_tasks++;
}
static void op_over(void *arg, struct job_master *jm)
{
	(void)arg;
	(void)jm;
	f.over = true;
}

static void op_trigger(void *arg, struct job_master *jm, uint32_t place, uint32_t generation,
    const struct ctl_trigger *t)
{
	(void)arg;
	(void)jm;
	note("trigger:%u/%u:%" PRIu64 "%s", place, generation, t->checkpoint_id, t->drain ? ":drain" : "");
}
static void op_notify(void *arg, struct job_master *jm, uint32_t place, uint32_t generation,
    const struct ctl_checkpoint *c)
{
	(void)arg;
	(void)jm;
	note("notify:%u/%u:%" PRIu64, place, generation, c->checkpoint_id);
}
static void op_abort(void *arg, struct job_master *jm, uint32_t place, uint32_t generation,
    const struct ctl_checkpoint *c)
{
	(void)arg;
	(void)jm;
	note("abort:%u/%u:%" PRIu64, place, generation, c->checkpoint_id);
}
static void op_store(void *arg, struct job_master *jm, const struct checkpoint_file *file, const char *target)
{
	(void)arg;
	(void)jm;
	note("store:%" PRIu64 "%s%s", file->id, target != NULL ? ":" : "", target != NULL ? target : "");
}
static void op_discard(void *arg, struct job_master *jm, uint64_t checkpoint_id, const char *path)
{
	(void)arg;
	(void)jm;
	(void)path;
	note("discard:%" PRIu64, checkpoint_id);
}
static void op_savepoint_done(void *arg, struct job_master *jm, uint64_t request, const char *path,
    const struct err *e)
{
	(void)arg;
	(void)jm;
	note("done:%" PRIu64 ":%s", request, e != NULL ? err_name(e->code) : path);
}

static const struct jm_ops ops = { .request = op_request,
	.withdraw = op_withdraw,
	.release = op_release,
	.alone = op_alone,
	.slots_free = op_slots_free,
	.block_take = op_block_take,
	.block_give = op_block_give,
	.deploy = op_deploy,
	.drop = op_drop,
	.kill = op_kill,
	.task_over = op_task_over,
	.trigger = op_trigger,
	.notify = op_notify,
	.abort = op_abort,
	.store = op_store,
	.discard = op_discard,
	.savepoint_done = op_savepoint_done,
	.over = op_over };

static void create(void)
{
	struct id128 id = { { 0xaa, 1 } };

	memset(&f, 0, sizeof(f));
	clock_virtual_init(&f.clock, 1700000000000);
	f.clock.mono_ns = NS_PER_S;
	f.settings.restart =
	    (struct restart_settings){ .initial_ms = 100, .max_ms = 10000, .reset_ms = 60000 };
	f.settings.task_cancellation_timeout_ms = 180000;
	f.settings.history_size = 3;
	f.generation[1] = f.generation[2] = 1;
	f.jm = jm_create(&id, program_of_plan(N), 1700000000000 - 5, &f.settings, &f.clock.clock, &ops, NULL);
}

static void pass(int64_t ms)
{
	clock_virtual_advance(&f.clock, ms);
	if (jm_deadline_ns(f.jm) <= f.clock.mono_ns)
		jm_on_time(f.jm);
}

static void grant(void)
{
	struct rm_slot *slots = xcalloc(N, sizeof(*slots));
	uint32_t i;

	for (i = 0; i < N; i++) {
		slots[i].place = i + 1;
		slots[i].generation = f.generation[i + 1];
		snprintf(slots[i].tm_id, sizeof(slots[i].tm_id), "127.0.0.1:%u-abcdef", 400 + i);
	}
	jm_on_slots(f.jm, slots, N);
}

static void say(uint32_t vertex, uint32_t subtask, enum task_state s, uint64_t attempt)
{
	struct ctl_task_state m = { .attempt = attempt,
		.vertex = vertex,
		.subtask = subtask,
		.state = s,
		.wall_ms = f.clock.wall_ms };
	uint32_t place = subtask < N ? subtask + 1 : 1;

	if (s == TASK_FAILED)
		err_set(&m.cause, ERR_USER, "the function said no");
	jm_on_task_state(f.jm, place, f.generation[place], &m);
}

static void say_all(enum task_state s)
{
	uint32_t v, i;

	for (v = 0; v < 3; v++)
		for (i = 0; i < N; i++)
			say(v, i, s, jm_attempt(f.jm));
}

static void dropped(uint32_t place)
{
	jm_on_dropped(f.jm, place, f.generation[place], jm_attempt(f.jm));
}

/* "RUNNING 6" where all tasks are, else each state that occurs: "CANCELED 4 FAILED 2". */
static const char *tasks(void)
{
	static char text[128];
	uint32_t s, i, n;

	text[0] = '\0';
	for (s = 0; s < TASK_N_STATES; s++) {
		for (n = 0, i = 0; i < jm_graph(f.jm)->n_tasks; i++)
			n += jm_graph(f.jm)->tasks[i].state == s;
		if (n > 0)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s %u",
			    text[0] != '\0' ? " " : "", task_state_name((enum task_state)s), n);
	}
	return text;
}

static void to_running(void)
{
	create();
	jm_start(f.jm);
	grant();
	say_all(TASK_INITIALIZING);
	say_all(TASK_RUNNING);
	actions();
}

static void is_job(enum job_state s, const char *want_tasks, const char *what)
{
	is_str(job_state_name(jm_state(f.jm)), job_state_name(s), "%s: the job is %s", what,
	    job_state_name(s));
	is_str(tasks(), want_tasks, "%s: tasks", what);
}

#endif
