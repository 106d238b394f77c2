/*
 * A simulated cluster: a virtual clock, a seeded scheduler, a disk, processes that hold tasks, answer late,
 * fail, hang and die.
 * It knows what each process really holds; the state machines under test see only messages.  For one
 * program t/sim/sim_*.c, which feeds the events to the machines.
 */
#ifndef T_SIM_WORLD_H
#define T_SIM_WORLD_H

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "supervisor/dispatcher.h"

#define MAX_PLACES 4
#define MAX_SLOTS  3
#define MAX_JOBS   5
#define MAX_HELD   16
#define MAX_TASKS  32

/* ---- chance ---- */

static uint64_t rng;

static uint64_t rnd(uint64_t n) /* 0..n-1 */
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng * UINT64_C(0x2545F4914F6CDD1D) >> 16) % n;
}

static bool chance(unsigned permille)
{
	return rnd(1000) < permille;
}

/* ---- the world ---- */

/* What a process really has of one attempt. */
struct held {
	bool used;
	uint32_t job;
	uint64_t attempt;
	uint32_t n_tasks;
	struct {
		uint32_t vertex, subtask, local_slot;
		bool over;
	} tasks[MAX_TASKS];
};

struct place {
	bool alive, greeted, hung, doomed;
	uint32_t generation, n_slots;
	int64_t last_up_ns, last_down_ns; /* delivery times: each direction keeps its order */
	struct held held[MAX_HELD];
};

struct sim_job {
	struct id128 id;
	bool submitted, answered, refused, cancelled, bounded, too_big;
	uint32_t parallelism;
	int artifact; /* 0 good, 1 differs, 2 hangs, 3 dies, 4 refused, 5 cannot be stored */
	uint64_t seen_attempt;
	uint64_t durable;     /* newest checkpoint on the simulated disk */
	uint64_t asked;       /* newest that was triggered */
	enum job_state ended; /* JOB_N_STATES: not yet */
};

enum ev_type {
	EVT_HELLO,
	EVT_DEPLOY,
	EVT_DROP,
	EVT_DROPPED,
	EVT_TASK,
	EVT_DEATH,
	EVT_DEATH_SEEN,
	EVT_SPAWN,
	EVT_HANG_SEEN,
	EVT_STORED,
	EVT_RECORDED,
	EVT_TRIGGER,
	EVT_ACK,
	EVT_DURABLE,
	EVT_BUILT,
	EVT_SUBMIT,
	EVT_CANCEL,
	EVT_STEP,
	EVT_STALE
};

struct ev {
	int64_t at_ns;
	uint64_t order;
	enum ev_type type;
	uint32_t place, generation, job, number;
	uint64_t attempt, checkpoint;
	unsigned which;
	struct ctl_task_state state;
	struct held deploy;
};

static struct {
	struct clock_virtual clock;
	struct dispatcher *d;
	struct ev *queue; /* a binary heap */
	size_t n, cap;
	uint64_t order;
	struct place places[MAX_PLACES + 1];
	uint32_t n_places, n_jobs;
	struct sim_job jobs[MAX_JOBS];
	bool stopped, faults;
	const char *broken; /* the first invariant that did not hold */
	uint64_t n_events, n_kills, n_deploys;
} w;

static uint64_t total_events, total_kills, total_deploys, total_overdue, total_durable, total_restored;

static void broken(const char *what)
{
	if (w.broken == NULL)
		w.broken = what;
}

static int64_t now(void)
{
	return w.clock.mono_ns;
}

static bool before(const struct ev *a, const struct ev *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void push(struct ev *e, int64_t delay_ns)
{
	size_t i;

	e->at_ns = now() + delay_ns;
	e->order = w.order++;
	VEC_RESERVE(w.queue, w.n, w.cap);
	for (i = w.n++; i > 0 && before(e, &w.queue[(i - 1) / 2]); i = (i - 1) / 2)
		w.queue[i] = w.queue[(i - 1) / 2];
	w.queue[i] = *e;
}

static struct ev pop(void)
{
	struct ev top = w.queue[0], last = w.queue[--w.n];
	size_t i = 0, child;

	for (; (child = 2 * i + 1) < w.n; i = child) {
		if (child + 1 < w.n && before(&w.queue[child + 1], &w.queue[child]))
			child++;
		if (!before(&w.queue[child], &last))
			break;
		w.queue[i] = w.queue[child];
	}
	if (w.n > 0)
		w.queue[i] = last;
	return top;
}

/* Mostly a fraction of a ms, now and then much more. */
static int64_t latency(void)
{
	return (int64_t)rnd(chance(50) ? 80 * NS_PER_MS : NS_PER_MS / 2) + 1;
}

/* On the way from or to a process, behind what is on that way already. */
static void push_channel(struct ev *e, int64_t *last_ns, int64_t extra_ns)
{
	int64_t at = now() + latency() + extra_ns;

	if (at <= *last_ns)
		at = *last_ns + 1;
	*last_ns = at;
	push(e, at - now());
}

static uint32_t job_index(const struct id128 *id)
{
	return (uint32_t)id->b[15];
}

/* ---- processes ---- */

static bool lives(const struct ev *e)
{
	return w.places[e->place].alive && w.places[e->place].generation == e->generation;
}

static void die(uint32_t place)
{
	struct place *p = &w.places[place];
	struct ev e = { .type = EVT_DEATH_SEEN, .place = place, .generation = p->generation };

	if (!p->alive)
		return;
	p->alive = false;
	w.n_kills++;
	memset(p->held, 0, sizeof(p->held));
	push_channel(&e, &p->last_up_ns, 0);
}

static void spawn(uint32_t place)
{
	struct place *p = &w.places[place];
	struct ev e = { .type = EVT_HELLO, .place = place };

	p->generation++;
	p->alive = true;
	p->greeted = p->hung = p->doomed = false;
	p->last_up_ns = p->last_down_ns = 0;
	e.generation = p->generation;
	push_channel(&e, &p->last_up_ns, 0);
}

static void say(uint32_t place, const struct held *h, uint32_t i, enum task_state s, int64_t after_ns)
{
	struct place *p = &w.places[place];
	struct ev e = {
		.type = EVT_TASK, .place = place, .generation = p->generation, .attempt = h->attempt
	};

	e.state.job_id = w.jobs[h->job].id;
	e.state.attempt = h->attempt;
	e.state.vertex = i == UINT32_MAX ? UINT32_MAX : h->tasks[i].vertex;
	e.state.subtask = i == UINT32_MAX ? UINT32_MAX : h->tasks[i].subtask;
	e.state.state = s;
	e.state.wall_ms = w.clock.wall_ms;
	if (s == TASK_FAILED)
		err_set(&e.state.cause, ERR_USER, "the simulated function failed");
	push_channel(&e, &p->last_up_ns, after_ns);
}

static struct held *find_held(uint32_t place, uint32_t job, uint64_t attempt)
{
	unsigned i;

	for (i = 0; i < MAX_HELD; i++) {
		struct held *h = &w.places[place].held[i];

		if (h->used && h->job == job && h->attempt == attempt)
			return h;
	}
	return NULL;
}

static void take_deploy(struct ev *e)
{
	struct place *p = &w.places[e->place];
	struct held *h = NULL;
	uint32_t i;

	for (i = 0; i < MAX_HELD && h == NULL; i++)
		if (!p->held[i].used)
			h = &p->held[i];
	ASSERT(h != NULL);
	*h = e->deploy;
	if (w.faults && chance(30)) {
		say(e->place, h, UINT32_MAX, TASK_FAILED, 0);
		return;
	}
	for (i = 0; i < h->n_tasks; i++) {
		say(e->place, h, i, TASK_INITIALIZING, 0);
		if (w.faults && chance(30)) {
			say(e->place, h, i, TASK_FAILED, (int64_t)rnd(20 * NS_PER_MS));
			continue;
		}
		say(e->place, h, i, TASK_RUNNING, 0);
	}
	if (w.jobs[h->job].bounded) {
		struct ev step = { .type = EVT_STEP,
			.place = e->place,
			.generation = e->generation,
			.job = h->job,
			.attempt = h->attempt };

		push(&step, (int64_t)rnd(300 * NS_PER_MS) + NS_PER_MS);
	}
}

/* The tasks of a bounded job come to their end; those of others may fail. */
static void step(struct ev *e)
{
	struct held *h = find_held(e->place, e->job, e->attempt);
	uint32_t i;

	if (h == NULL || w.places[e->place].hung)
		return;
	for (i = 0; i < h->n_tasks; i++) {
		if (h->tasks[i].over)
			continue;
		h->tasks[i].over = true;
		say(e->place, h, i, w.faults && chance(20) ? TASK_FAILED : TASK_FINISHED, 0);
	}
}

static void take_drop(struct ev *e)
{
	struct place *p = &w.places[e->place];
	struct held *h = find_held(e->place, e->job, e->attempt);
	struct ev answer = { .type = EVT_DROPPED,
		.place = e->place,
		.generation = e->generation,
		.job = e->job,
		.attempt = e->attempt };
	uint32_t i;

	if (w.faults && chance(30)) {
		p->hung = true; /* it never lets go */
		answer.type = EVT_HANG_SEEN;
		push(&answer, 50 * NS_PER_S);
		return;
	}
	for (i = 0; h != NULL && i < h->n_tasks; i++)
		if (!h->tasks[i].over && chance(500))
			say(e->place, h, i, TASK_CANCELED, 0);
	if (h != NULL)
		memset(h, 0, sizeof(*h));
	push_channel(&answer, &p->last_up_ns, w.faults && chance(50) ? (int64_t)rnd(300 * NS_PER_MS) : 0);
}

/* ---- what the machines ask for ---- */

static int op_deploy(void *arg, struct job_master *jm, struct err *e)
{
	uint32_t n, i, k, place, job = job_index(jm_id(jm));
	const struct rm_slot *slots = jm_slots(jm, &n);
	const struct execution_graph *g = jm_graph(jm);
	size_t q;

	int fd;

	(void)arg;
	w.n_deploys++;
	for (q = 0; q < w.n; q++)
		if (w.queue[q].type == EVT_DURABLE && w.queue[q].job == job)
			broken("an attempt was deployed while a checkpoint was being stored");
	if (coordinator_latest(jm_coordinator(jm), &fd) != w.jobs[job].durable)
		broken("an attempt does not begin with the newest checkpoint");
	total_restored += w.jobs[job].durable != 0;
	for (place = 1; place <= w.n_places; place++)
		for (i = 0; i < MAX_HELD; i++)
			if (w.places[place].alive && w.places[place].held[i].used &&
			    w.places[place].held[i].job == job)
				broken("an attempt was deployed while tasks of another one were alive");
	for (q = 0; q < w.n; q++)
		if (w.queue[q].type == EVT_DEPLOY && w.queue[q].job == job && lives(&w.queue[q]))
			broken("an attempt was deployed while another one was on its way to a live process");
	if (n != g->graph->n_slots)
		broken("an attempt was deployed without its slots");
	if (w.faults && chance(20))
		return err_set(e, ERR_IO, "the simulated exchange could not be made");
	for (i = 0; i < jm_n_members(jm); i++) {
		const struct jm_member *m = jm_member(jm, i);
		struct ev ev = {
			.type = EVT_DEPLOY, .place = m->place, .generation = m->generation, .job = job
		};
		struct place *p = &w.places[m->place];

		ev.deploy.used = true;
		ev.deploy.job = job;
		ev.deploy.attempt = jm_attempt(jm);
		for (k = 0; k < g->n_tasks; k++) {
			const struct job_task *t = &g->tasks[k];

			if (t->place != m->place)
				continue;
			if (t->metrics_block == UINT32_MAX || t->generation != m->generation ||
			    t->state != TASK_DEPLOYING)
				broken("a deployed task has no block, another generation or another state");
			ev.deploy.tasks[ev.deploy.n_tasks].vertex = t->vertex;
			ev.deploy.tasks[ev.deploy.n_tasks].subtask = t->subtask;
			ev.deploy.tasks[ev.deploy.n_tasks++].local_slot = t->local_slot;
		}
		if (p->generation == m->generation)
			push_channel(&ev, &p->last_down_ns, 0);
	}
	(void)slots;
	return 0;
}

/* ---- checkpoints ---- */

static void op_trigger(void *arg, uint32_t place, uint32_t generation, const struct ctl_trigger *t)
{
	struct ev e = { .type = EVT_TRIGGER,
		.place = place,
		.generation = generation,
		.job = job_index(&t->job_id),
		.attempt = t->attempt,
		.checkpoint = t->checkpoint_id };

	(void)arg;
	if (t->checkpoint_id < w.jobs[e.job].asked)
		broken("the id of a checkpoint came again");
	w.jobs[e.job].asked = t->checkpoint_id;
	if (w.places[place].generation == generation)
		push_channel(&e, &w.places[place].last_down_ns, 0);
}

/* Each task of the process acknowledges after a while. */
static void take_trigger(struct ev *e)
{
	struct held *h = find_held(e->place, e->job, e->attempt);
	struct ev ack = *e;
	uint32_t i;

	ack.type = EVT_ACK;
	for (i = 0; h != NULL && i < h->n_tasks; i++) {
		if (h->tasks[i].over)
			continue;
		ack.state.vertex = h->tasks[i].vertex;
		ack.state.subtask = h->tasks[i].subtask;
		ack.which = w.faults && chance(20);
		push_channel(&ack, &w.places[e->place].last_up_ns, 0);
	}
}

static void op_about_checkpoint(void *arg, uint32_t place, uint32_t generation,
    const struct ctl_checkpoint *c)
{
	(void)arg;
	(void)place;
	(void)generation;
	(void)c;
}

static void op_notify(void *arg, uint32_t place, uint32_t generation, const struct ctl_checkpoint *c)
{
	op_about_checkpoint(arg, place, generation, c);
	if (c->checkpoint_id > w.jobs[job_index(&c->job_id)].durable)
		broken("a checkpoint was told to be complete before it was durable");
}

static void op_store_checkpoint(void *arg, const struct id128 *job, const struct checkpoint_file *file,
    const char *target)
{
	struct ev e = { .type = EVT_DURABLE, .job = job_index(job), .checkpoint = file->id };

	(void)arg;
	(void)target;
	e.which = w.faults && chance(50);
	push(&e, latency());
}

static void op_discard_checkpoint(void *arg, const char *path)
{
	uint64_t id = strtoull(path + strcspn(path, "-") + 1, NULL, 10);

	(void)arg;
	if (id == w.jobs[(uint32_t)(path[0] - '0')].durable)
		broken("the newest checkpoint was discarded");
}

static void op_about_job(void *arg, const struct id128 *job)
{
	(void)arg;
	(void)job;
}

static void op_record(void *arg, uint32_t submission, const struct id128 *job, const void *data, size_t len)
{
	struct ev e = { .type = EVT_RECORDED, .number = submission };

	(void)arg;
	(void)job;
	(void)data;
	(void)len;
	push(&e, latency());
}

static void op_drop(void *arg, uint32_t place, uint32_t generation, const struct id128 *job, uint64_t attempt)
{
	struct ev e = { .type = EVT_DROP,
		.place = place,
		.generation = generation,
		.job = job_index(job),
		.attempt = attempt };

	(void)arg;
	if (w.places[place].generation == generation)
		push_channel(&e, &w.places[place].last_down_ns, 0);
}

static void op_kill(void *arg, uint32_t place, uint32_t generation, const char *why)
{
	struct ev e = { .type = EVT_DEATH, .place = place, .generation = generation };

	(void)arg;
	(void)why;
	total_overdue++;
	push(&e, latency());
}

static void op_task_over(void *arg, struct job_task *t)
{
	(void)arg;
	if (t->over)
		broken("a task was over twice");
}

static void op_store(void *arg, uint32_t submission, const char *path)
{
	struct ev e = { .type = EVT_STORED, .number = submission, .job = (uint32_t)(path[0] - '0') };

	(void)arg;
	push(&e, latency());
}

static void op_unstore(void *arg, const char *artifact)
{
	uint32_t i;

	(void)arg;
	for (i = 0; i < dispatcher_n_jobs(w.d); i++)
		if (jm_phase(dispatcher_job(w.d, i)) != JM_OVER &&
		    strcmp(jm_program(dispatcher_job(w.d, i))->artifact, artifact) == 0)
			broken("the artifact of a living job was removed");
}

static int op_build(void *arg, uint32_t submission, unsigned which, const char *artifact, uint32_t argc,
    char *const *argv, struct err *e)
{
	struct ev ev = {
		.type = EVT_BUILT, .number = submission, .which = which, .job = (uint32_t)(artifact[0] - '0')
	};

	(void)arg;
	(void)argc;
	(void)argv;
	if (w.faults && chance(10))
		return err_set(e, ERR_UNAVAILABLE, "the simulated fork failed");
	if (!(w.jobs[ev.job].artifact == 2 && which == 1))
		push(&ev, latency());
	return 0;
}

static void op_build_kill(void *arg, uint32_t submission, unsigned which)
{
	(void)arg;
	(void)submission;
	(void)which;
}

static void op_stopped(void *arg)
{
	(void)arg;
	if (w.stopped)
		broken("stopped was told twice");
	w.stopped = true;
}

static const struct dispatcher_ops ops = { .deploy = op_deploy,
	.drop = op_drop,
	.kill = op_kill,
	.task_over = op_task_over,
	.store = op_store,
	.unstore = op_unstore,
	.build = op_build,
	.build_kill = op_build_kill,
	.trigger = op_trigger,
	.notify = op_notify,
	.abort = op_about_checkpoint,
	.store_checkpoint = op_store_checkpoint,
	.discard_checkpoint = op_discard_checkpoint,
	.discard_checkpoints = op_about_job,
	.record = op_record,
	.unrecord = op_about_job,
	.stopped = op_stopped };

#endif
