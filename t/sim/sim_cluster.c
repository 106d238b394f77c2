/*
 * The JobManager's state machines in a simulated cluster: a virtual clock, a seeded
 * scheduler, TaskManagers that answer late, fail, hang and die at any event, builders that lie.
 *
 *   RUNS=10000 SEED=1 build/t/sim/sim_cluster
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
#include "t/sim/world.h"
#include "t/tap.h"

#define FAULTS_END_MS   4000   /* then only what was begun goes on */
#define SETTLE_MS       60000  /* and in this time everything must run or have ended */
#define DROP_TIMEOUT_MS 5000   /* task.cancellation.timeout */
#define EVENTS_MAX      200000 /* of one run: more is a loop */

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

static void take_ack(struct ev *e)
{
	struct ctl_ack ack = { .job_id = w.jobs[e->job].id,
		.attempt = e->attempt,
		.checkpoint_id = e->checkpoint,
		.vertex = e->state.vertex,
		.subtask = e->state.subtask,
		.state = "state",
		.state_len = 5 };
	struct ctl_decline no = { .job_id = ack.job_id,
		.attempt = e->attempt,
		.checkpoint_id = e->checkpoint,
		.vertex = e->state.vertex,
		.subtask = e->state.subtask };

	if (e->which == 0) {
		dispatcher_on_ack(w.d, e->place, e->generation, &ack);
		return;
	}
	err_set(&no.why, ERR_USER, "the simulated operator declines");
	dispatcher_on_decline(w.d, e->place, e->generation, &no);
}

static void take_durable(struct ev *e)
{
	struct sim_job *j = &w.jobs[e->job];
	struct err full = { ERR_IO, "the simulated disk is full" };
	char path[40];

	snprintf(path, sizeof(path), "%c/chk-%" PRIu64, (char)('0' + e->job), e->checkpoint);
	if (e->which == 0) {
		j->durable = e->checkpoint;
		total_durable++;
	}
	dispatcher_on_checkpoint_stored(w.d, &j->id, e->checkpoint, e->which == 0 ? path : NULL,
	    e->which == 0 ? NULL : &full);
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

/* A metrics block is in use exactly as long as its task may write to it. */
static void check_blocks(void)
{
	struct resource_manager *rm = dispatcher_rm(w.d);
	uint32_t place, i, k, n;

	for (place = 1; place <= rm_n_places(rm); place++) {
		const struct tm_info *tm = rm_place(rm, place);

		for (n = 0, i = 0; i < ARRAY_LEN(tm->blocks); i++)
			n += (uint32_t)__builtin_popcountll(tm->blocks[i]);
		for (i = 0; i < dispatcher_n_jobs(w.d); i++) {
			const struct execution_graph *g = jm_graph(dispatcher_job(w.d, i));

			for (k = 0; k < g->n_tasks; k++)
				n -= g->tasks[k].place == place && g->tasks[k].generation == tm->generation &&
				    !g->tasks[k].over && tm->state != TM_ABSENT;
		}
		if (n != 0)
			broken("metrics blocks are lost, or in use twice");
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
			if (coordinator_storing(jm_coordinator(jm)))
				break; /* the answer to that goes on with it */
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
	case EVT_RECORDED:
		dispatcher_on_recorded(w.d, e->number, NULL);
		break;
	case EVT_TRIGGER:
		if (lives(e) && !w.places[e->place].hung)
			take_trigger(e);
		break;
	case EVT_ACK:
		take_ack(e);
		break;
	case EVT_DURABLE:
		take_durable(e);
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
	check_blocks();
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
	uint64_t seed = number_from_env("SEED", 1), runs = number_from_env("RUNS", 10000), i, n_failed = 0;
	char mode[] = "EXACTLY_ONCE", retention[] = "NO_EXTERNALIZED_CHECKPOINTS";
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
	conf.checkpoint_mode = mode;
	conf.checkpoint_retention = retention;
	conf.checkpoint_interval_ms = 700;
	conf.checkpoint_timeout_ms = 600000;
	conf.checkpoint_max_concurrent = 1;
	conf.checkpoint_retained = 2;
	conf.checkpoint_tolerable_failures = 1;
	for (i = 0; i < runs && n_failed < 5; i++)
		n_failed += !run(seed + i, &conf);
	ok(n_failed == 0, "%" PRIu64 " simulated clusters from seed %" PRIu64, i, seed);
	diag("%" PRIu64 " events, %" PRIu64 " deaths, %" PRIu64 " deploys, %" PRIu64
	     " overdue drops, %" PRIu64 " checkpoints, %" PRIu64 " restores",
	    total_events, total_kills, total_deploys, total_overdue, total_durable, total_restored);
	if (runs >= 1000)
		ok(total_kills > runs && total_deploys > runs && total_overdue > runs / 100 &&
			total_durable > runs && total_restored > runs / 10,
		    "and they were disturbed enough");
	free(w.queue);
	return tap_done();
}
