/*
 * The JobManager's state machines in a simulated cluster: a virtual clock, a seeded
 * scheduler, TaskManagers that answer late, fail, hang and die at any event, builders that lie.
 *
 *   RUNS=4000 SEED=1 build/t/sim/sim_cluster
 *
 * Each run has a seed of its own; a failing one is printed and repeats with RUNS=1 SEED=n.
 * After every event the invariants of job_master.h are checked against what the simulated processes
 * really hold, not against what the machines believe.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "supervisor/dispatcher.h"
#include "t/sim/plans.h"
#include "t/tap.h"

#define MAX_PLACES      4
#define MAX_SLOTS       3
#define MAX_JOBS        5
#define MAX_HELD        16
#define MAX_TASKS       32
#define FAULTS_END_MS   4000   /* then only what was begun goes on */
#define SETTLE_MS       60000  /* and in this time everything must run or have ended */
#define DROP_TIMEOUT_MS 5000   /* task.cancellation.timeout */
#define EVENTS_MAX      200000 /* of one run: more is a loop */

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
	uint64_t attempt;
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

static uint64_t total_events, total_kills, total_deploys, total_overdue;

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

	(void)arg;
	w.n_deploys++;
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
	.stopped = op_stopped };

/* ---- submissions ---- */

static void on_answer(void *arg, const struct err *e, const struct id128 *id)
{
	struct sim_job *j = arg;

	(void)id;
	if (j->answered)
		broken("a submission was answered twice");
	j->answered = true;
	j->refused = e != NULL;
	if (e == NULL && j->artifact != 0)
		broken("a submission that cannot be built became a job");
}

static void submit(uint32_t i)
{
	struct sim_job *j = &w.jobs[i];
	char path[2] = { (char)('0' + i), '\0' };
	struct dispatcher_submit s = { .path = path, .job_id = &j->id };

	j->submitted = true;
	dispatcher_submit(w.d, &s, on_answer, j);
}

static void take_built(struct ev *e)
{
	struct sim_job *j = &w.jobs[e->job];
	struct build_result res = { .ok = true };
	struct err why;

	if (j->artifact == 3 && e->which == 0) {
		err_set(&why, ERR_USER, "the simulated builder died");
		dispatcher_on_built(w.d, e->number, e->which, NULL, &why);
		return;
	}
	if (j->artifact == 4) {
		res.ok = false;
		err_set(&res.err, ERR_USER, "the simulated main refused");
	} else {
		res.plan = plan_text(j->parallelism, j->artifact == 1 && e->which == 1);
		res.plan_len = strlen(res.plan);
	}
	dispatcher_on_built(w.d, e->number, e->which, &res, NULL);
}

/* ---- invariants ---- */

static void check_processes(void)
{
	uint32_t place, i, k, t, u;

	for (place = 1; place <= w.n_places; place++) {
		struct place *p = &w.places[place];

		for (i = 0; p->alive && i < MAX_HELD; i++) {
			for (k = 0; p->held[i].used && k < i; k++) {
				if (!p->held[k].used)
					continue;
				for (t = 0; t < p->held[i].n_tasks; t++)
					for (u = 0; u < p->held[k].n_tasks; u++)
						if (p->held[i].tasks[t].local_slot ==
						    p->held[k].tasks[u].local_slot)
							broken("a slot takes part in two attempts");
			}
		}
	}
}

static void check_jobs(void)
{
	struct resource_manager *rm = dispatcher_rm(w.d);
	uint32_t i, k, s, n_taken, n_slots;
	int64_t due;

	for (i = 0; i < dispatcher_n_jobs(w.d); i++) {
		struct job_master *jm = dispatcher_job(w.d, i);
		struct sim_job *j = &w.jobs[job_index(jm_id(jm))];

		for (n_taken = 0, k = 1; k <= rm_n_places(rm); k++)
			for (s = 0; s < rm_place(rm, k)->n_slots; s++)
				n_taken += rm_place(rm, k)->slots[s].taken &&
				    id_equal(&rm_place(rm, k)->slots[s].job, jm_id(jm));
		jm_slots(jm, &n_slots);
		if (n_taken > n_slots)
			broken("a job holds slots that it was not granted");
		if (jm_attempt(jm) < j->seen_attempt)
			broken("an attempt number went back");
		j->seen_attempt = jm_attempt(jm);
		if (j->ended != JOB_N_STATES && jm_state(jm) != j->ended)
			broken("an ended job changed its state");
		if (jm_phase(jm) == JM_OVER) {
			j->ended = jm_state(jm);
			if (n_taken > 0 || n_slots > 0)
				broken("an ended job has slots");
			continue;
		}
		due = jm_deadline_ns(jm);
		switch (jm_phase(jm)) {
		case JM_WAITING:
		case JM_STARVED:
		case JM_RESTARTING:
			if (due == INT64_MAX || due > now() + 10 * NS_PER_S)
				broken("a waiting job has no timer, or one too far away");
			break;
		case JM_FAILING:
		case JM_CANCELLING:
		case JM_FINISHING:
		case JM_SUSPENDING:
			for (k = 0; k < jm_n_members(jm); k++) {
				const struct jm_member *m = jm_member(jm, k);

				if (m->state == MEMBER_HELD)
					broken("a member was not told to drop");
				if (m->state == MEMBER_DROPPING && !m->killed &&
				    due > m->asked_ns +
					    (rm_is_alone(rm, m->place, jm_id(jm)) ?
						    (jm_phase(jm) == JM_FAILING ? JM_DROP_GRACE_MS :
										  JM_END_GRACE_MS) :
						    DROP_TIMEOUT_MS) *
						NS_PER_MS)
					broken("a member may take longer to drop than it is allowed to");
			}
			break;
		case JM_CREATED:
		case JM_RUNNING:
		case JM_OVER:
		case JM_N_PHASES:
			break;
		}
	}
}

/* ---- a run ---- */

/* What an attempt or a process gone by may still say must change nothing. */
static void stale(struct ev *e)
{
	struct job_master *jm = dispatcher_find(w.d, &e->state.job_id);
	struct ctl_attempt a = { .job_id = e->state.job_id };
	enum jm_phase phase = jm != NULL ? jm_phase(jm) : JM_OVER;

	if (jm == NULL)
		return;
	if (chance(500))
		e->state.state = TASK_FAILED;
	if (chance(500))
		e->generation--;
	else
		e->state.attempt = jm_attempt(jm) - 1;
	a.attempt = e->state.attempt;
	if (chance(500))
		dispatcher_on_task_state(w.d, e->place, e->generation, &e->state);
	else
		dispatcher_on_dropped(w.d, e->place, e->generation, &a);
	if (jm_phase(jm) != phase)
		broken("a message of the past changed a job's phase");
}

static void handle(struct ev *e)
{
	struct place *p = &w.places[e->place];
	struct ctl_hello hello = { .place = e->place,
		.generation = e->generation,
		.pid = 1000 + e->generation,
		.n_slots = p->n_slots };
	struct ctl_attempt attempt = { .job_id = w.jobs[e->job].id, .attempt = e->attempt };
	struct err why;

	switch (e->type) {
	case EVT_HELLO:
		if (p->generation == e->generation)
			dispatcher_on_hello(w.d, &hello);
		break;
	case EVT_DEPLOY:
		if (lives(e) && !p->hung)
			take_deploy(e);
		break;
	case EVT_DROP:
		if (lives(e) && !p->hung)
			take_drop(e);
		break;
	case EVT_STEP:
		if (lives(e))
			step(e);
		break;
	case EVT_DROPPED:
		dispatcher_on_dropped(w.d, e->place, e->generation, &attempt);
		break;
	case EVT_TASK:
		dispatcher_on_task_state(w.d, e->place, e->generation, &e->state);
		if (w.faults && chance(20)) { /* and once more, much later */
			e->type = EVT_STALE;
			push(e, (int64_t)rnd(NS_PER_S));
		}
		break;
	case EVT_STALE:
		stale(e);
		break;
	case EVT_DEATH:
	case EVT_HANG_SEEN:
		if (lives(e))
			die(e->place);
		break;
	case EVT_DEATH_SEEN:
		dispatcher_on_died(w.d, e->place, e->generation, 9, "it was killed by SIGKILL");
		e->type = EVT_SPAWN;
		push(e, chance(800) ? latency() : (int64_t)rnd(2 * NS_PER_S));
		break;
	case EVT_SPAWN:
		if (!w.stopped)
			spawn(e->place);
		break;
	case EVT_SUBMIT:
		submit(e->job);
		break;
	case EVT_CANCEL:
		w.jobs[e->job].cancelled |= dispatcher_cancel(w.d, &w.jobs[e->job].id, &why) == 0;
		break;
	case EVT_STORED:
		err_set(&why, ERR_IO, "the simulated disk is full");
		dispatcher_on_stored(w.d, e->number,
		    w.jobs[e->job].artifact == 5 ? NULL : (const char[]){ (char)('0' + e->job), '\0' }, &why);
		break;
	case EVT_BUILT:
		take_built(e);
		break;
	}
}

static void advance_to(int64_t at_ns)
{
	if (at_ns > w.clock.mono_ns) {
		w.clock.wall_ms += (at_ns - w.clock.mono_ns) / NS_PER_MS;
		w.clock.mono_ns = at_ns;
	}
}

/* One event or timer, whichever is first; false: nothing before until_ns. */
static bool once(int64_t until_ns)
{
	int64_t timer = dispatcher_deadline_ns(w.d), next = w.n > 0 ? w.queue[0].at_ns : INT64_MAX;
	struct ev e;

	if ((timer < next ? timer : next) > until_ns)
		return false;
	if (timer < next) {
		advance_to(timer);
	} else {
		e = pop();
		advance_to(e.at_ns);
		handle(&e);
		/* A batch may hold several events before the machines have their turn. */
		while (w.n > 0 && w.queue[0].at_ns <= now() && chance(700)) {
			e = pop();
			handle(&e);
		}
		if (w.faults && chance(15))
			die(1 + (uint32_t)rnd(w.n_places));
		if (w.faults && chance(4)) {
			struct ev seen = { .type = EVT_HANG_SEEN, .place = 1 + (uint32_t)rnd(w.n_places) };

			seen.generation = w.places[seen.place].generation;
			w.places[seen.place].hung = true;
			push(&seen, 50 * NS_PER_S);
		}
	}
	dispatcher_turn(w.d);
	check_processes();
	check_jobs();
	if (++w.n_events > EVENTS_MAX)
		broken("the run does not end");
	return w.broken == NULL;
}

static void run_until(int64_t until_ns)
{
	while (w.broken == NULL && once(until_ns))
		;
	advance_to(until_ns);
}

static void set_up(const struct conf *conf)
{
	uint32_t i, n_slots = 0, free_slots;

	memset(w.places, 0, sizeof(w.places));
	memset(w.jobs, 0, sizeof(w.jobs));
	w.n = 0;
	w.stopped = false;
	w.broken = NULL;
	w.n_events = w.n_kills = w.n_deploys = 0;
	w.faults = true;
	clock_virtual_init(&w.clock, 1700000000000);
	w.clock.mono_ns = NS_PER_S;
	w.d = dispatcher_create(conf, &w.clock.clock, &ops, NULL);
	w.n_places = 1 + (uint32_t)rnd(MAX_PLACES);
	for (i = 1; i <= w.n_places; i++) {
		w.places[i].n_slots = 1 + (uint32_t)rnd(MAX_SLOTS);
		n_slots += w.places[i].n_slots;
		spawn(i);
	}
	free_slots = n_slots;
	w.n_jobs = 1 + (uint32_t)rnd(MAX_JOBS);
	for (i = 0; i < w.n_jobs; i++) {
		struct sim_job *j = &w.jobs[i];
		struct ev e = { .type = EVT_SUBMIT, .job = i };

		j->id.b[0] = 0xab;
		j->id.b[15] = (uint8_t)i;
		j->ended = JOB_N_STATES;
		j->bounded = chance(300);
		j->artifact = chance(150) ? 1 + (int)rnd(5) : 0;
		j->too_big = free_slots == 0 || chance(50);
		j->parallelism = j->too_big ? n_slots + 1 : 1 + (uint32_t)rnd(free_slots);
		if (!j->too_big && j->artifact == 0)
			free_slots -= j->parallelism;
		push(&e, (int64_t)rnd(FAULTS_END_MS / 2 * NS_PER_MS));
		if (chance(250)) {
			e.type = EVT_CANCEL;
			push(&e, (int64_t)rnd(FAULTS_END_MS * NS_PER_MS));
		}
	}
}

/* Faults have stopped long ago: what is there must be right. */
static void check_settled(void)
{
	uint32_t i, k, n;

	for (i = 0; i < w.n_jobs; i++) {
		struct sim_job *j = &w.jobs[i];
		struct job_master *jm = dispatcher_find(w.d, &j->id);

		if (!j->answered)
			broken("a submission was never answered");
		if (jm == NULL)
			continue;
		if (j->cancelled) {
			/* All tasks may have finished before the cancel came. */
			if (jm_state(jm) != JOB_CANCELED && !(j->bounded && jm_state(jm) == JOB_FINISHED))
				broken("a cancelled job did not end");
		} else if (j->too_big) {
			if (jm_phase(jm) != JM_WAITING && jm_phase(jm) != JM_STARVED)
				broken("a job without slots does not wait for them");
			if (jm_n_restarts(jm) < SETTLE_MS / 2 / 1000)
				broken("a job without slots does not cycle");
		} else if (j->bounded) {
			if (jm_state(jm) != JOB_FINISHED)
				broken("a bounded job did not finish");
		} else {
			if (jm_phase(jm) != JM_RUNNING)
				broken("a job does not run although the faults have stopped");
			for (k = 0, n = 0; k < jm_graph(jm)->n_tasks; k++)
				n += jm_graph(jm)->tasks[k].state == TASK_RUNNING;
			if (n != jm_graph(jm)->n_tasks)
				broken("a running job has tasks that do not run");
		}
	}
}

static void tear_down(void)
{
	uint32_t place, i;

	dispatcher_stop(w.d);
	dispatcher_turn(w.d);
	run_until(now() + 200 * NS_PER_S);
	if (!w.stopped)
		broken("the JobManager did not stop");
	for (place = 1; place <= w.n_places; place++)
		for (i = 0; w.places[place].alive && i < MAX_HELD; i++)
			if (w.places[place].held[i].used)
				broken("tasks are left after the stop");
	for (i = 0; i < w.n_jobs; i++)
		if (w.jobs[i].submitted && !w.jobs[i].answered)
			broken("a submission was not answered at the stop");
	if (w.broken == NULL)
		dispatcher_destroy(w.d);
}

static bool run(uint64_t seed, const struct conf *conf)
{
	int i;

	rng = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
	for (i = 0; i < 8; i++)
		rnd(2);
	set_up(conf);
	run_until(NS_PER_S + FAULTS_END_MS * NS_PER_MS);
	w.faults = false;
	if (chance(800)) {
		/* A hung process costs 50 s, then everything has a minute. */
		run_until(now() + (50 * 1000 + SETTLE_MS) * NS_PER_MS);
		if (w.broken == NULL)
			check_settled();
	}
	if (w.broken == NULL)
		tear_down();
	total_events += w.n_events;
	total_kills += w.n_kills;
	total_deploys += w.n_deploys;
	if (w.broken != NULL)
		diag("SEED=%" PRIu64 " RUNS=1: %s (after %" PRIu64 " events, at %" PRId64 " ms)", seed,
		    w.broken, w.n_events, now() / NS_PER_MS);
	return w.broken == NULL;
}

static uint64_t number_from_env(const char *name, uint64_t def)
{
	const char *text = getenv(name);

	return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 10) : def;
}

int main(void)
{
	uint64_t seed = number_from_env("SEED", 1), runs = number_from_env("RUNS", 4000), i, n_failed = 0;
	struct conf conf;

	if (getenv("VERBOSE") == NULL)
		log_init("sim", LOG_ERROR, 2, -1);
	else
		log_init("sim", LOG_DEBUG, 2, -1);
	memset(&conf, 0, sizeof(conf));
	conf.restart_initial_backoff_ms = 100;
	conf.restart_max_backoff_ms = 2000;
	conf.restart_reset_threshold_ms = 60000;
	conf.task_cancellation_timeout_ms = DROP_TIMEOUT_MS;
	conf.web_exception_history = 4;
	conf.parallelism_default = 1;
	conf.jobstore_expiration_ms = 3600000;
	conf.jobstore_max_capacity = 100;
	for (i = 0; i < runs && n_failed < 5; i++)
		n_failed += !run(seed + i, &conf);
	ok(n_failed == 0, "%" PRIu64 " simulated clusters from seed %" PRIu64, i, seed);
	diag("%" PRIu64 " events, %" PRIu64 " deaths, %" PRIu64 " deploys, %" PRIu64 " overdue drops",
	    total_events, total_kills, total_deploys, total_overdue);
	if (runs >= 1000)
		ok(total_kills > runs && total_deploys > runs && total_overdue > runs / 100,
		    "and they were disturbed enough");
	free(w.queue);
	return tap_done();
}
