/*
 * One job's life: phases, events, and the one path of recovery; see the header.
 */
#include "supervisor/job_master_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

/* While slots are missing, the log is told at first and then this often. */
#define STARVED_LOG_NS (60 * NS_PER_S)

static const struct {
	const char *name;
	enum job_state state; /* OVER keeps the last one */
} phases[JM_N_PHASES] = {
	[JM_CREATED] = { "CREATED", JOB_CREATED },
	[JM_WAITING] = { "WAITING", JOB_RUNNING },
	[JM_RUNNING] = { "RUNNING", JOB_RUNNING },
	[JM_FINISHING] = { "FINISHING", JOB_RUNNING },
	[JM_FAILING] = { "FAILING", JOB_FAILING },
	[JM_RESTARTING] = { "RESTARTING", JOB_RESTARTING },
	[JM_STARVED] = { "STARVED", JOB_RESTARTING },
	[JM_CANCELLING] = { "CANCELLING", JOB_CANCELLING },
	[JM_SUSPENDING] = { "SUSPENDING", JOB_SUSPENDED },
	[JM_OVER] = { "OVER", JOB_N_STATES },
};

const char *jm_phase_name(enum jm_phase p)
{
	return phases[p].name;
}

static void set_state(struct job_master *jm, enum job_state s)
{
	int64_t now_ms = clock_wall_ms(jm->clock);

	if (jm->state == s)
		return;
	log_debug("job.state", KV_JOB(jm->id_hex), KV_UINT("attempt", jm->attempt),
	    KV_MSG("job goes from %s to %s", job_state_name(jm->state), job_state_name(s)));
	jm->state = s;
	jm->since_ms[s] = jm->modified_ms = now_ms;
	if (s == JOB_RUNNING && jm->down_since_ms != 0) {
		jm->last_restart_ms = now_ms - jm->down_since_ms;
		jm->down_since_ms = 0;
	} else if ((s == JOB_FAILING || s == JOB_RESTARTING) && jm->down_since_ms == 0) {
		jm->down_since_ms = now_ms;
	}
	if (job_state_is_terminal(s))
		jm->end_ms = now_ms;
}

static void enter(struct job_master *jm, enum jm_phase p)
{
	jm->phase = p;
	jm->due_ns = INT64_MAX;
	if (phases[p].state != JOB_N_STATES)
		set_state(jm, phases[p].state);
}

/* ---- phases: what each event means in each of them ---- */

typedef void event_fn(struct job_master *jm);

static void bug(struct job_master *jm)
{
	(void)jm;
	ASSERT(!"an event of the JobMaster that cannot come in this phase");
}

static void ignore(struct job_master *jm)
{
	(void)jm;
}

/* The next attempt: every task anew, waiting for slots. */
static void begin(struct job_master *jm)
{
	uint32_t i;

	ASSERT(jm->n_members == 0);
	jm->attempt++;
	jm->n_running = jm->n_finished = 0;
	execution_graph_begin(jm->graph, jm->attempt == 1, clock_wall_ms(jm->clock));
	for (i = 0; i < jm->graph->n_tasks; i++)
		attempt_set_task(jm, &jm->graph->tasks[i], TASK_SCHEDULED);
	enter(jm, JM_WAITING);
	jm->due_ns = clock_mono_ns(jm->clock) + JM_SLOT_WAIT_MS * NS_PER_MS;
}

static void start(struct job_master *jm)
{
	if (jm->attempt == 0)
		jm->disturbed_ns = clock_mono_ns(jm->clock);
	begin(jm);
	jm->ops->request(jm->arg, jm, jm->program->graph->n_slots);
}

/* The delay is over. A checkpoint that is just being stored decides what the next attempt begins with. */
static void start_again(struct job_master *jm)
{
	jm->due_ns = INT64_MAX;
	if (!checkpoints_storing(jm))
		start(jm);
}

static void deploy(struct job_master *jm)
{
	struct err e = { ERR_NONE, "" };
	struct job_failure f = { .name = NULL };

	enter(jm, JM_RUNNING);
	jm->starved_log_ns = 0;
	checkpoints_restored(jm);
	if (attempt_assign(jm, &e) != 0 || jm->ops->deploy(jm->arg, jm, &e) != 0) {
		err_prefix(&e, "deploy attempt %llu", (unsigned long long)jm->attempt);
		failure_from_err(&f, &e);
		attempt_note_failure(jm, NULL, &f);
		jm_happen(jm, EV_FAILURE);
	}
}

/* The slots were missing for half a second: fail as Flink does, but leave the request standing. */
static void starve(struct job_master *jm)
{
	struct job_failure f = { .name = NULL };
	uint32_t n_free = jm->ops->slots_free(jm->arg), n_slots = jm->program->graph->n_slots;
	int64_t now = clock_mono_ns(jm->clock);

	failure_from_missing_slots(&f, n_slots, n_free);
	jm->graph->tasks[0].failure = xstrdup(f.text);
	attempt_set_task(jm, &jm->graph->tasks[0], TASK_FAILED);
	attempt_cancel_tasks(jm);
	attempt_note_failure(jm, &jm->graph->tasks[0], &f);
	if (now >= jm->starved_log_ns) {
		log_warnx("job.starved", KV_JOB(jm->id_hex), KV_UINT("attempt", jm->attempt),
		    KV_UINT("slots", n_slots), KV_UINT("free", n_free),
		    KV_MSG("the job needs %u slots and %u are free; it goes on when there are enough",
			n_slots, n_free));
		jm->starved_log_ns = now + STARVED_LOG_NS;
	}
	jm->n_restarts++;
	enter(jm, JM_STARVED);
	jm->due_ns = now + JM_STARVED_MS * NS_PER_MS;
}

static void resume(struct job_master *jm)
{
	begin(jm);
	jm_happen(jm, EV_SLOTS);
}

static void fail(struct job_master *jm)
{
	enter(jm, JM_FAILING);
	checkpoints_stop(jm, "the attempt failed");
	attempt_cancel_tasks(jm);
	attempt_drop_all(jm);
	if (attempt_all_gone(jm))
		jm_happen(jm, EV_GONE);
}

static void over(struct job_master *jm, enum job_state end)
{
	attempt_release(jm);
	enter(jm, JM_OVER);
	set_state(jm, end);
	if (end == JOB_FINISHED)
		checkpoints_answer_stop(jm, NULL);
	checkpoints_close(jm);
	log_info("job.ended", KV_JOB(jm->id_hex), KV_STR("state", job_state_name(end)),
	    KV_UINT("attempt", jm->attempt),
	    KV_MSG("job \"%s\" is %s", jm->program->name, job_state_name(end)));
	jm->ops->over(jm->arg, jm);
}

/* The restart strategy allows no more: what failed last is told with that. */
static void give_up(struct job_master *jm)
{
	const struct failure_history *h = &jm->failures;
	struct job_failure f = { .name = NULL };
	char why[128];

	failure_from_suppressed(&f, restart_suppressed(&jm->settings->restart, why),
	    h->n > 0 ? &h->v[h->n - 1] : NULL);
	f.wall_ms = clock_wall_ms(jm->clock);
	log_errorx("job.failed", KV_JOB(jm->id_hex), KV_UINT("attempt", jm->attempt), KV_MSG("%s", f.text));
	failure_history_add(&jm->failures, &f, jm->settings->history_size);
	over(jm, JOB_FAILED);
}

static void restart(struct job_master *jm)
{
	int64_t now = clock_mono_ns(jm->clock), delay_ms, ran_ms = 0;

	if (jm->running_since_ns != 0)
		ran_ms = (jm->disturbed_ns - jm->running_since_ns) / NS_PER_MS;
	jm->running_since_ns = 0;
	delay_ms = restart_delay_ms(&jm->restart, &jm->settings->restart, ran_ms, now / NS_PER_MS);
	if (delay_ms == RESTART_NEVER) {
		give_up(jm);
		return;
	}
	attempt_release(jm);
	jm->n_restarts++;
	enter(jm, JM_RESTARTING);
	log_info("job.restarting", KV_JOB(jm->id_hex), KV_UINT("attempt", jm->attempt),
	    KV_INT("delay_ms", delay_ms),
	    KV_MSG("attempt %llu is gone; the next one starts %s", (unsigned long long)jm->attempt,
		delay_ms == 0 ? "at once" : log_fmt("in %lld ms", (long long)delay_ms)));
	jm->due_ns = now + delay_ms * NS_PER_MS;
	if (delay_ms == 0)
		jm_happen(jm, EV_TIMER);
}

static void finish(struct job_master *jm)
{
	enter(jm, JM_FINISHING);
	checkpoints_stop(jm, "the job has finished");
	attempt_drop_all(jm);
	if (attempt_all_gone(jm))
		jm_happen(jm, EV_GONE);
}

static void finished(struct job_master *jm)
{
	over(jm, JOB_FINISHED);
}

static void end_tasks(struct job_master *jm, enum jm_phase phase)
{
	jm->ops->withdraw(jm->arg, jm);
	enter(jm, phase);
	checkpoints_stop(jm, phase == JM_CANCELLING ? "the job was cancelled" : "the JobManager stops");
	attempt_cancel_tasks(jm);
	attempt_drop_all(jm);
	if (attempt_all_gone(jm))
		jm_happen(jm, EV_GONE);
}

static void cancel(struct job_master *jm)
{
	log_info("job.cancelling", KV_JOB(jm->id_hex), KV_UINT("attempt", jm->attempt),
	    KV_MSG("job \"%s\" is being cancelled", jm->program->name));
	end_tasks(jm, JM_CANCELLING);
}

static void canceled(struct job_master *jm)
{
	over(jm, JOB_CANCELED);
}

static void suspend(struct job_master *jm)
{
	end_tasks(jm, JM_SUSPENDING);
}

static void suspended(struct job_master *jm)
{
	over(jm, JOB_SUSPENDED);
}

/*
 * Failures and slots reach a job only while it has members or a request; the rest of `bug` is as
 * impossible.
 */
static event_fn *const table[JM_N_PHASES][EV_N] = {
	/*                  START  SLOTS   TIMER   FAILURE FINISHED GONE       CANCEL  SUSPEND */
	[JM_CREATED] = { start, bug, bug, bug, bug, bug, cancel, suspend },
	[JM_WAITING] = { bug, deploy, starve, bug, bug, bug, cancel, suspend },
	[JM_RUNNING] = { bug, bug, bug, fail, finish, bug, cancel, suspend },
	[JM_FINISHING] = { bug, bug, bug, ignore, bug, finished, ignore, ignore },
	[JM_FAILING] = { bug, bug, bug, ignore, bug, restart, cancel, suspend },
	[JM_RESTARTING] = { bug, bug, start_again, bug, bug, bug, cancel, suspend },
	[JM_STARVED] = { bug, resume, start, bug, bug, bug, cancel, suspend },
	[JM_CANCELLING] = { bug, bug, bug, ignore, bug, canceled, ignore, ignore },
	[JM_SUSPENDING] = { bug, bug, bug, ignore, bug, suspended, ignore, ignore },
	[JM_OVER] = { bug, bug, bug, bug, bug, bug, ignore, ignore },
};

void jm_happen(struct job_master *jm, enum jm_event ev)
{
	table[jm->phase][ev](jm);
}

/* ---- life ---- */

struct job_master *jm_create(const struct id128 *id, struct job_program *program, int64_t initializing_ms,
    const struct jm_settings *settings, const struct clock *clock, const struct jm_ops *ops, void *arg)
{
	struct job_master *jm = xcalloc(1, sizeof(*jm));

	jm->id = *id;
	id_hex(id, jm->id_hex);
	jm->program = program;
	jm->graph = execution_graph_create(program->graph);
	jm->settings = settings;
	jm->clock = clock;
	jm->ops = ops;
	jm->arg = arg;
	jm->end_ms = -1;
	jm->due_ns = INT64_MAX;
	jm->state = JOB_INITIALIZING;
	jm->since_ms[JOB_INITIALIZING] = initializing_ms;
	restart_init(&jm->restart);
	enter(jm, JM_CREATED);
	return jm;
}

void jm_destroy(struct job_master *jm)
{
	if (jm == NULL)
		return;
	checkpoints_fini(jm);
	free(jm->members);
	free(jm->slots);
	execution_graph_destroy(jm->graph);
	job_program_destroy(jm->program);
	failure_history_fini(&jm->failures);
	restart_fini(&jm->restart);
	free(jm);
}

/* ---- what comes from outside ---- */

void jm_start(struct job_master *jm)
{
	jm_happen(jm, EV_START);
}

void jm_cancel(struct job_master *jm)
{
	jm_happen(jm, EV_CANCEL);
}

void jm_suspend(struct job_master *jm)
{
	jm_happen(jm, EV_SUSPEND);
}

void jm_on_slots(struct job_master *jm, struct rm_slot *slots, uint32_t n)
{
	ASSERT(jm->slots == NULL && n == jm->program->graph->n_slots);
	jm->slots = slots;
	jm->n_slots = n;
	jm_happen(jm, EV_SLOTS);
}

void jm_on_time(struct job_master *jm)
{
	int64_t now = clock_mono_ns(jm->clock);
	uint32_t i;

	for (i = 0; i < jm->n_members; i++) {
		struct jm_member *m = &jm->members[i];

		if (attempt_drop_deadline(jm, m) > now)
			continue;
		m->killed = true;
		log_warnx("job.drop_overdue", KV_JOB(jm->id_hex), KV_UINT("attempt", jm->attempt),
		    KV_STR("tm", log_fmt("tm-%u", m->place)),
		    KV_INT("waited_ms", (now - m->asked_ns) / NS_PER_MS),
		    KV_MSG("taskmanager did not let go of its tasks in time; it is killed"));
		jm->ops->kill(jm->arg, jm, m->place, m->generation, "it did not let go of its tasks in time");
	}
	if (jm->due_ns <= now)
		jm_happen(jm, EV_TIMER);
	checkpoints_on_time(jm);
}

int64_t jm_deadline_ns(const struct job_master *jm)
{
	int64_t due = jm->due_ns, d = checkpoints_deadline_ns(jm);
	uint32_t i;

	if (d < due)
		due = d;
	for (i = 0; i < jm->n_members; i++) {
		d = attempt_drop_deadline(jm, &jm->members[i]);
		if (d < due)
			due = d;
	}
	return due;
}

/* ---- what is known ---- */

const struct id128 *jm_id(const struct job_master *jm)
{
	return &jm->id;
}

const char *jm_id_hex(const struct job_master *jm)
{
	return jm->id_hex;
}

const struct job_program *jm_program(const struct job_master *jm)
{
	return jm->program;
}

const struct execution_graph *jm_graph(const struct job_master *jm)
{
	return jm->graph;
}

enum jm_phase jm_phase(const struct job_master *jm)
{
	return jm->phase;
}

enum job_state jm_state(const struct job_master *jm)
{
	return jm->state;
}

int64_t jm_since_ms(const struct job_master *jm, enum job_state s)
{
	return jm->since_ms[s];
}

int64_t jm_modified_ms(const struct job_master *jm)
{
	return jm->modified_ms;
}

int64_t jm_end_ms(const struct job_master *jm)
{
	return jm->end_ms;
}

uint64_t jm_attempt(const struct job_master *jm)
{
	return jm->attempt;
}

uint32_t jm_n_members(const struct job_master *jm)
{
	return jm->n_members;
}

const struct jm_member *jm_member(const struct job_master *jm, uint32_t i)
{
	return &jm->members[i];
}

bool jm_holds(const struct job_master *jm, uint32_t place, uint32_t generation)
{
	uint32_t i;

	for (i = 0; i < jm->n_members; i++)
		if (jm->members[i].place == place && jm->members[i].generation == generation)
			return jm->members[i].state != MEMBER_GONE;
	return false;
}

const struct failure_history *jm_failures(const struct job_master *jm)
{
	return &jm->failures;
}

int64_t jm_n_restarts(const struct job_master *jm)
{
	return jm->n_restarts;
}

int64_t jm_last_restart_ms(const struct job_master *jm)
{
	return jm->last_restart_ms;
}

int64_t jm_down_since_ms(const struct job_master *jm)
{
	return jm->down_since_ms;
}

const struct rm_slot *jm_slots(const struct job_master *jm, uint32_t *n)
{
	*n = jm->n_slots;
	return jm->slots;
}
