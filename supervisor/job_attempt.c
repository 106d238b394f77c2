/*
 * One attempt of a job: its tasks, the TaskManagers that have them, and what these say.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "supervisor/job_master_impl.h"

void attempt_set_task(struct job_master *jm, struct job_task *t, enum task_state s)
{
	job_task_set_state(t, s, clock_wall_ms(jm->clock));
	jm->modified_ms = t->since_ms[s];
}

/* Where the task runs, as Flink writes it: "localhost:<pid>". */
static char *location_of(const char *tm_id)
{
	const char *colon = strchr(tm_id, ':');

	if (colon == NULL)
		return NULL;
	return xasprintf("localhost:%.*s", (int)strcspn(colon + 1, "-"), colon + 1);
}

/* Takes what is in f; t NULL: not a single task's. */
void attempt_note_failure(struct job_master *jm, const struct job_task *t, struct job_failure *f)
{
	f->wall_ms = clock_wall_ms(jm->clock);
	if (t != NULL) {
		f->task_name = job_task_name(jm->graph, t, true);
		if (t->tm_id[0] != '\0') {
			f->location = location_of(t->tm_id);
			f->tm_id = xstrdup(t->tm_id);
		}
	}
	if (!f->no_resource)
		log_warnx("job.failure", KV_JOB(jm->id_hex), KV_UINT("attempt", jm->attempt),
		    KV_STR("task", f->task_name), KV_STR("tm_id", f->tm_id), KV_INT("signal", f->signo),
		    KV_MSG("%s", f->text));
	failure_history_add(&jm->failures, f, jm->settings->history_size);
}

/* ---- members: who has tasks of the attempt ---- */

static struct jm_member *find_member(struct job_master *jm, uint32_t place, uint32_t generation)
{
	uint32_t i;

	for (i = 0; i < jm->n_members; i++)
		if (jm->members[i].place == place && jm->members[i].generation == generation)
			return &jm->members[i];
	return NULL;
}

bool attempt_all_gone(const struct job_master *jm)
{
	uint32_t i;

	for (i = 0; i < jm->n_members; i++)
		if (jm->members[i].state != MEMBER_GONE)
			return false;
	return true;
}

/* Nothing of the attempt is left on this member: what was not over by itself ends in state s. */
static void member_gone(struct job_master *jm, struct jm_member *m, enum task_state s)
{
	uint32_t i;

	m->state = MEMBER_GONE;
	for (i = 0; i < jm->graph->n_tasks; i++) {
		struct job_task *t = &jm->graph->tasks[i];

		if (t->place != m->place || t->generation != m->generation || t->over)
			continue;
		if (!task_state_is_terminal(t->state))
			attempt_set_task(jm, t, s);
		jm->ops->task_over(jm->arg, jm, t);
		jm->ops->block_give(jm->arg, t->place, t->generation, t->metrics_block);
		t->over = true;
	}
}

/* Tell everyone who still has tasks to let go of them. */
void attempt_drop_all(struct job_master *jm)
{
	uint32_t i;

	for (i = 0; i < jm->n_members; i++) {
		struct jm_member *m = &jm->members[i];

		if (m->state != MEMBER_HELD)
			continue;
		m->state = MEMBER_DROPPING;
		m->asked_ns = clock_mono_ns(jm->clock);
		jm->ops->drop(jm->arg, jm, m->place, m->generation);
	}
}

/* Active tasks are being cancelled; those that nobody has are so at once. */
void attempt_cancel_tasks(struct job_master *jm)
{
	uint32_t i;

	for (i = 0; i < jm->graph->n_tasks; i++) {
		struct job_task *t = &jm->graph->tasks[i];

		if (task_state_is_terminal(t->state) || t->state == TASK_CANCELING)
			continue;
		attempt_set_task(jm, t, t->place != 0 ? TASK_CANCELING : TASK_CANCELED);
	}
}

void attempt_release(struct job_master *jm)
{
	ASSERT(attempt_all_gone(jm));
	jm->ops->release(jm->arg, jm);
	free(jm->members);
	jm->members = NULL;
	jm->n_members = 0;
	free(jm->slots);
	jm->slots = NULL;
	jm->n_slots = 0;
}

/* When a member that was told to drop has to be killed. A neighbour's tasks give it more time. */
int64_t attempt_drop_deadline(const struct job_master *jm, const struct jm_member *m)
{
	int64_t grace_ms = jm->phase == JM_FAILING ? JM_DROP_GRACE_MS : JM_END_GRACE_MS;

	if (m->state != MEMBER_DROPPING || m->killed)
		return INT64_MAX;
	if (!jm->ops->alone(jm->arg, jm, m->place)) {
		grace_ms = jm->settings->task_cancellation_timeout_ms;
		if (grace_ms == 0)
			return INT64_MAX;
	}
	return m->asked_ns + grace_ms * NS_PER_MS;
}

/* Put the tasks on the slots; a task without a metrics block cannot run. */
int attempt_assign(struct job_master *jm, struct err *e)
{
	uint32_t i;

	for (i = 0; i < jm->n_slots; i++) {
		if (find_member(jm, jm->slots[i].place, jm->slots[i].generation) != NULL)
			continue;
		jm->members = xreallocarray(jm->members, jm->n_members + 1, sizeof(*jm->members));
		jm->members[jm->n_members++] = (struct jm_member){ .place = jm->slots[i].place,
			.generation = jm->slots[i].generation,
			.state = MEMBER_HELD };
	}
	for (i = 0; i < jm->graph->n_tasks; i++) {
		struct job_task *t = &jm->graph->tasks[i];
		const struct rm_slot *s = &jm->slots[t->subtask];

		t->place = s->place;
		t->generation = s->generation;
		t->local_slot = s->local_slot;
		memcpy(t->tm_id, s->tm_id, sizeof(t->tm_id));
		t->metrics_block = jm->ops->block_take(jm->arg, t->place, t->generation);
		attempt_set_task(jm, t, TASK_DEPLOYING);
	}
	for (i = 0; i < jm->graph->n_tasks; i++)
		if (jm->graph->tasks[i].metrics_block == UINT32_MAX)
			return err_set(e, ERR_UNAVAILABLE,
			    "taskmanager tm-%u has as many tasks as it can have (%u)",
			    jm->graph->tasks[i].place, METRICS_TASK_BLOCKS);
	return 0;
}

static bool is_active(enum task_state s)
{
	return s == TASK_DEPLOYING || s == TASK_INITIALIZING || s == TASK_RUNNING;
}

void attempt_fail(struct job_master *jm, struct job_task *t, int64_t wall_ms, const struct err *cause)
{
	struct job_failure f = { .name = NULL };
	bool noted = jm->phase == JM_RUNNING; /* what fails behind the first failure is its consequence */

	failure_from_err(&f, cause);
	if (t != NULL) {
		job_task_set_state(t, TASK_FAILED, wall_ms);
		free(t->failure);
		t->failure = xstrdup(f.text);
	}
	jm->disturbed_ns = noted ? clock_mono_ns(jm->clock) : jm->disturbed_ns;
	if (noted)
		attempt_note_failure(jm, t, &f);
	job_failure_fini(&f);
	jm_happen(jm, EV_FAILURE);
}

static void task_running(struct job_master *jm)
{
	int64_t now = clock_mono_ns(jm->clock);

	if (++jm->n_running < jm->graph->n_tasks)
		return;
	jm->running_since_ns = now;
	log_info("job.running", KV_JOB(jm->id_hex), KV_UINT("attempt", jm->attempt),
	    KV_UINT("tasks", jm->graph->n_tasks), KV_INT("ms", (now - jm->disturbed_ns) / NS_PER_MS),
	    KV_MSG("all tasks of \"%s\" are RUNNING", jm->program->name));
	if (jm->phase == JM_RUNNING)
		checkpoints_start(jm);
}

void jm_on_task_state(struct job_master *jm, uint32_t place, uint32_t generation,
    const struct ctl_task_state *s)
{
	static const struct err unasked = { ERR_INTERNAL,
		"the task ended as CANCELED without being asked to" };
	struct jm_member *m = find_member(jm, place, generation);
	struct job_task *t;
	enum task_state was;

	if (m == NULL || m->state == MEMBER_GONE || s->attempt != jm->attempt)
		return;
	if (s->vertex == UINT32_MAX && s->subtask == UINT32_MAX && s->state == TASK_FAILED) {
		attempt_fail(jm, NULL, s->wall_ms, &s->cause);
		return;
	}
	t = execution_graph_task(jm->graph, s->vertex, s->subtask);
	if (t == NULL || t->place != place || t->generation != generation || task_state_is_terminal(t->state))
		return;
	switch (s->state) {
	case TASK_INITIALIZING:
	case TASK_RUNNING:
		/* Never backwards, and not out of CANCELING. */
		if (!is_active(t->state) || s->state <= t->state)
			return;
		job_task_set_state(t, s->state, s->wall_ms);
		jm->modified_ms = clock_wall_ms(jm->clock);
		if (s->state == TASK_RUNNING)
			task_running(jm);
		return;
	case TASK_FINISHED:
		was = t->state;
		job_task_set_state(t, TASK_FINISHED, s->wall_ms);
		jm->modified_ms = clock_wall_ms(jm->clock);
		if (is_active(was) && was != TASK_RUNNING)
			task_running(jm);
		if (jm->phase == JM_RUNNING)
			checkpoints_task_finished(jm, t);
		if (++jm->n_finished == jm->graph->n_tasks && jm->phase == JM_RUNNING)
			jm_happen(jm, EV_FINISHED);
		return;
	case TASK_CANCELED:
		if (jm->phase == JM_RUNNING)
			attempt_fail(jm, t, s->wall_ms, &unasked);
		else
			job_task_set_state(t, TASK_CANCELED, s->wall_ms);
		return;
	case TASK_FAILED:
		attempt_fail(jm, t, s->wall_ms, &s->cause);
		return;
	case TASK_CREATED:
	case TASK_SCHEDULED:
	case TASK_DEPLOYING:
	case TASK_CANCELING:
	case TASK_RECONCILING:
	case TASK_N_STATES:
		return; /* a TaskManager has nothing to say of these */
	}
}

void jm_on_metric_names(struct job_master *jm, uint32_t place, uint32_t generation,
    const struct ctl_metric_names *m)
{
	struct job_task *t = execution_graph_task(jm->graph, m->vertex, m->subtask);
	uint32_t i;

	if (t == NULL || t->place != place || t->generation != generation || m->attempt != jm->attempt)
		return;
	for (i = 0; i < m->n && m->first < METRIC_USER_MAX; i++)
		if (job_task_set_metric_name(t, m->first + i, m->names[i]) != 0)
			return;
}

void jm_on_dropped(struct job_master *jm, uint32_t place, uint32_t generation, uint64_t attempt)
{
	static const struct err unasked = { ERR_INTERNAL,
		"the taskmanager let go of its tasks without being asked to" };
	struct jm_member *m = find_member(jm, place, generation);

	if (m == NULL || m->state == MEMBER_GONE || attempt != jm->attempt)
		return;
	if (m->state == MEMBER_HELD)
		attempt_fail(jm, NULL, clock_wall_ms(jm->clock), &unasked);
	member_gone(jm, m, TASK_CANCELED);
	if (attempt_all_gone(jm))
		jm_happen(jm, EV_GONE);
}

void jm_on_tm_lost(struct job_master *jm, uint32_t place, uint32_t generation, int signo,
    const char *obituary)
{
	struct jm_member *m = find_member(jm, place, generation);
	struct job_failure f = { .name = NULL };
	struct job_task *first = NULL;
	uint32_t i;

	if (m == NULL || m->state == MEMBER_GONE)
		return;
	for (i = 0; i < jm->graph->n_tasks; i++) {
		struct job_task *t = &jm->graph->tasks[i];

		if (t->place != place || t->generation != generation || t->over)
			continue;
		if (first == NULL)
			failure_from_lost_tm(&f, t->tm_id, signo, obituary);
		if (first == NULL || task_state_is_terminal(first->state))
			first = t;
		if (!task_state_is_terminal(t->state) && t->state != TASK_CANCELING) {
			free(t->failure);
			t->failure = xstrdup(f.text);
		}
	}
	if (jm->phase == JM_RUNNING) {
		jm->disturbed_ns = clock_mono_ns(jm->clock);
		attempt_note_failure(jm, first, &f);
	}
	job_failure_fini(&f);
	member_gone(jm, m, jm->phase == JM_RUNNING ? TASK_FAILED : TASK_CANCELED);
	jm_happen(jm, EV_FAILURE);
	/* After the first failure the last death is what the attempt's end waited for. */
	if (jm->n_members > 0 && attempt_all_gone(jm))
		jm_happen(jm, EV_GONE);
}
