/*
 * Snapshots of a task, from the trigger or the last barrier to the acknowledgement.
 */
#include "worker/runtime/checkpoint.h"

#include <inttypes.h>

#include "base/mem.h"
#include "base/msg.h"
#include "worker/runtime/chain.h"
#include "worker/runtime/gate.h"
#include "worker/runtime/task.h"
#include "worker/state/checkpoint_file.h"

/* What fits into an acknowledgement beside its other fields. */
#define STATE_MAX (MSG_BODY_MAX - 4096)

enum letter_kind { LETTER_TRIGGER, LETTER_NOTIFY, LETTER_ABORT };

struct checkpoint_letter {
	enum letter_kind kind;
	uint64_t id;
	struct ctl_trigger trigger;
};

struct pending_checkpoint {
	uint64_t id;
	struct snapshot_writer state;
	struct barrier_timing timing;
	int64_t sync_ns, taken_ns;
	bool *waits; /* an operator of the chain each */
	uint32_t n_waits;
	bool forwarded;
};

static int64_t now_ns(const struct task *t)
{
	return clock_mono_ns(slot_clock(t->slot));
}

/* ------------------------------------------------------------- letters */

static void note(struct task *t, const struct checkpoint_letter *l)
{
	struct task_checkpoints *c = &t->checkpoints;

	VEC_RESERVE(c->letters, c->n_letters, c->cap_letters);
	c->letters[c->n_letters++] = *l;
	t->hot.interrupt = true;
}

void checkpoint_on_trigger(struct task *t, const struct ctl_trigger *m)
{
	if (t->gate == NULL) /* the others wait for barriers; one without any input left is about to end */
		note(t, &(struct checkpoint_letter){ LETTER_TRIGGER, m->checkpoint_id, *m });
}

void checkpoint_on_notify(struct task *t, uint64_t id)
{
	note(t, &(struct checkpoint_letter){ .kind = LETTER_NOTIFY, .id = id });
}

void checkpoint_on_abort(struct task *t, uint64_t id)
{
	note(t, &(struct checkpoint_letter){ .kind = LETTER_ABORT, .id = id });
}

/* ---------------------------------------------------- acknowledgements */

static void drop_pending(struct task *t, uint32_t i)
{
	struct task_checkpoints *c = &t->checkpoints;
	struct pending_checkpoint *p = c->pending[i];

	for (; i + 1 < c->n_pending; i++)
		c->pending[i] = c->pending[i + 1];
	c->n_pending--;
	snapshot_writer_fini(&p->state);
	free(p->waits);
	free(p);
}

static uint32_t find_pending(const struct task *t, uint64_t id)
{
	uint32_t i = 0;

	while (i < t->checkpoints.n_pending && t->checkpoints.pending[i]->id != id)
		i++;
	return i;
}

static void acknowledge_if_done(struct task *t, uint64_t id)
{
	uint32_t i = find_pending(t, id);
	const struct pending_checkpoint *p;
	struct ctl_ack ack;

	if (i == t->checkpoints.n_pending)
		return;
	p = t->checkpoints.pending[i];
	if (p->n_waits > 0 || !p->forwarded)
		return;
	ack = (struct ctl_ack){
		.job_id = t->env->job_id,
		.attempt = t->env->attempt,
		.checkpoint_id = id,
		.vertex = t->vertex,
		.subtask = t->subtask,
		.state = p->state.data,
		.state_len = p->state.len,
		.sync_ns = p->sync_ns,
		.async_ns = now_ns(t) - p->taken_ns,
		.alignment_ns = p->timing.alignment_ns,
		.start_delay_ns = p->timing.start_delay_ns,
		.processed_bytes = p->timing.processed_bytes,
	};
	t->env->ack(t->env->arg, &ack);
	drop_pending(t, i);
}

void checkpoint_decline(struct task *t, uint64_t id, const struct err *why)
{
	struct ctl_decline d = {
		.job_id = t->env->job_id,
		.attempt = t->env->attempt,
		.checkpoint_id = id,
		.vertex = t->vertex,
		.subtask = t->subtask,
		.why = *why,
	};

	t->env->decline(t->env->arg, &d);
}

void task_snapshot_done(struct operator *op, uint64_t checkpoint_id)
{
	struct task *t = op->task;
	uint32_t i = find_pending(t, checkpoint_id), place = chain_place(t->chain, op);

	if (i == t->checkpoints.n_pending || !t->checkpoints.pending[i]->waits[place])
		return; /* given up in the meantime */
	t->checkpoints.pending[i]->waits[place] = false;
	t->checkpoints.pending[i]->n_waits--;
	acknowledge_if_done(t, checkpoint_id);
}

bool task_checkpointing(const struct task *t)
{
	return t->env->checkpointing;
}

bool task_restored(const struct task *t)
{
	return t->env->restore != NULL;
}

/* ------------------------------------------------------------ snapshot */

static int snapshot(struct task *t, struct pending_checkpoint *p, struct err *e)
{
	const int64_t start_ns = now_ns(t);
	int rc = chain_snapshot(t->chain, p->id, &p->state, p->waits, &p->n_waits, e);

	p->taken_ns = now_ns(t);
	p->sync_ns = p->taken_ns - start_ns;
	task_check_user_error(t);
	if (rc == 0 && p->state.len > STATE_MAX)
		return err_set(e, ERR_UNAVAILABLE,
		    "its state of %zu bytes is more than the %zu that fit into a message", p->state.len,
		    (size_t)STATE_MAX);
	return rc;
}

void checkpoint_take(struct task *t, const struct barrier *b, const struct barrier_timing *timing)
{
	struct task_checkpoints *c = &t->checkpoints;
	struct pending_checkpoint *p = xcalloc(1, sizeof(*p));
	struct err e = { 0 };
	uint32_t i;

	p->id = b->id;
	p->timing = *timing;
	p->waits = xcalloc(chain_length(t->chain), sizeof(bool));
	snapshot_writer_init(&p->state);
	VEC_RESERVE(c->pending, c->n_pending, c->cap_pending);
	c->pending[c->n_pending++] = p;
	metrics_set(t->metrics, METRIC_checkpoint_alignment_ns, timing->alignment_ns);
	metrics_set(t->metrics, METRIC_checkpoint_start_delay_ns, timing->start_delay_ns);
	if (b->kind == CHECKPOINT_SYNC_SAVEPOINT) {
		/* Declined or not: its completion or its abort will come. */
		c->stop_id = b->id;
		c->stopping = true;
		c->drained = b->drain;
		task_timer_changed(t);
	}
	if (snapshot(t, p, &e) != 0) {
		drop_pending(t, c->n_pending - 1);
		err_prefix(&e, "%s", t->name);
		checkpoint_decline(t, b->id, &e);
		/* The barrier goes on: consumers hold inputs back for it until they hear of the abort. */
	}
	chain_barrier(t->chain, b);
	task_publish_outputs(t);
	i = find_pending(t, b->id); /* the barrier may have waited for room, and time gone on */
	if (t->hot.stopping || i == c->n_pending)
		return;
	c->pending[i]->forwarded = true;
	acknowledge_if_done(t, b->id);
}

/* A source's barrier. */
static void on_trigger(struct task *t, const struct ctl_trigger *m)
{
	const int64_t delay_ms = t->now->wall_ms - m->trigger_wall_ms;
	struct barrier b = { m->checkpoint_id, m->trigger_wall_ms, m->kind, m->drain };
	struct barrier_timing timing = { .start_delay_ns = delay_ms > 0 ? delay_ms * NS_PER_MS : 0 };

	if (m->checkpoint_id <= t->checkpoints.last_id || t->checkpoints.stopping)
		return;
	t->checkpoints.last_id = m->checkpoint_id;
	if (m->drain)
		chain_last_watermark(t->chain);
	if (!t->hot.stopping)
		checkpoint_take(t, &b, &timing);
}

static void on_notify(struct task *t, uint64_t id)
{
	struct task_checkpoints *c = &t->checkpoints;

	chain_notify_complete(t->chain, id);
	if (c->stop_id != id)
		return;
	c->stop_id = 0;
	c->stopped = true;
}

static void on_abort(struct task *t, uint64_t id)
{
	struct task_checkpoints *c = &t->checkpoints;
	uint32_t i = find_pending(t, id);

	if (i < c->n_pending)
		drop_pending(t, i);
	if (t->gate != NULL)
		gate_abort(t->gate, id);
	if (c->stop_id != id)
		return;
	if (c->drained) {
		/* Its windows have fired for the end of time: only the last checkpoint leads back. */
		task_fail(t, "savepoint %" PRIu64 " was given up after the stream had been drained for it",
		    id);
		return;
	}
	c->stop_id = 0;
	c->stopping = false;
	task_timer_changed(t);
}

void checkpoint_serve(struct task *t)
{
	struct task_checkpoints *c = &t->checkpoints;

	for (uint32_t i = 0; i < c->n_letters && !t->hot.stopping; i++) {
		struct checkpoint_letter l = c->letters[i]; /* a call may wait, and more may come */

		switch (l.kind) {
		case LETTER_TRIGGER:
			on_trigger(t, &l.trigger);
			break;
		case LETTER_NOTIFY:
			on_notify(t, l.id);
			break;
		case LETTER_ABORT:
			on_abort(t, l.id);
			break;
		}
	}
	c->n_letters = 0;
	t->hot.interrupt = false;
}

bool checkpoint_timer_rests(const struct task *t, const struct operator *op)
{
	return t->checkpoints.stopping && op->node->type != NODE_SINK;
}

/* ------------------------------------------------------------- restore */

int checkpoint_restore(struct task *t, struct err *e)
{
	if (t->env->restore == NULL)
		return 0;
	if (chain_restore(t->chain, t->env->restore, e) == 0)
		return 0;
	return err_prefix(e, "restore from checkpoint %" PRIu64, t->env->restore->id);
}

void checkpoint_fini(struct task *t)
{
	while (t->checkpoints.n_pending > 0)
		drop_pending(t, 0);
	free(t->checkpoints.pending);
	free(t->checkpoints.letters);
}
