/*
 * Wiring operators: what is between an operator and its successors, chained or not.
 */
#include "worker/runtime/chain.h"

#include <inttypes.h>

#include "base/mem.h"
#include "worker/runtime/context.h"
#include "worker/runtime/partition.h"
#include "worker/runtime/task.h"
#include "worker/state/checkpoint_file.h"

/* An output that hands each element to several. */
struct tee {
	struct output out;
	struct output **to;
	uint32_t n_to;
};

/* What becomes of the elements of an operator that nothing follows. */
struct sinkhole {
	struct output out;
	struct task *task;
};

/* What belongs to one operator. */
struct link {
	struct operator *op;
	struct partition *partition; /* its edges that leave the task, NULL: none */
	struct tee tee;
	struct sinkhole sinkhole;
	bool opened; /* or tried */
};

struct chain {
	struct task *task;
	uint32_t n;
	struct link *links;
};

/* ---------------------------------------------- an operator as an output */

static void op_record(struct output *o, const struct record *r)
{
	struct operator *op = (struct operator *)(void *)o;
	struct task_hot *hot = (struct task_hot *)(void *)op->task;

	if (__builtin_expect(hot->stopping || hot->slow, 0)) {
		if (hot->stopping)
			return;
		task_publish_outputs(op->task);
	}
	op->current_ts = op->col.ts = r->ts;
	op->type->record(op, r);
}

static void op_watermark(struct output *o, int64_t ts)
{
	struct operator *op = (struct operator *)(void *)o;

	/* One that was restored is ahead of the first ones. */
	if (op->task->hot.stopping || ts <= op->watermark)
		return;
	op->watermark = ts;
	if (op->type->watermark != NULL)
		op->type->watermark(op, ts);
	else
		op->out->watermark(op->out, ts);
}

static void op_status(struct output *o, bool idle)
{
	struct operator *op = (struct operator *)(void *)o;

	if (op->task->hot.stopping)
		return;
	if (op->type->status != NULL)
		op->type->status(op, idle);
	else
		op->out->status(op->out, idle);
}

static void op_end(struct output *o)
{
	struct operator *op = (struct operator *)(void *)o;

	if (op->task->hot.stopping)
		return;
	if (op->type->end != NULL)
		op->type->end(op);
	task_check_user_error(op->task);
	if (!op->task->hot.stopping)
		op->out->end(op->out);
}

/* ----------------------------------------------------- tee and sinkhole */

static void tee_record(struct output *o, const struct record *r)
{
	struct tee *t = (struct tee *)(void *)o;

	for (uint32_t i = 0; i < t->n_to; i++)
		t->to[i]->record(t->to[i], r);
}

static void tee_watermark(struct output *o, int64_t ts)
{
	struct tee *t = (struct tee *)(void *)o;

	for (uint32_t i = 0; i < t->n_to; i++)
		t->to[i]->watermark(t->to[i], ts);
}

static void tee_status(struct output *o, bool idle)
{
	struct tee *t = (struct tee *)(void *)o;

	for (uint32_t i = 0; i < t->n_to; i++)
		t->to[i]->status(t->to[i], idle);
}

static void tee_end(struct output *o)
{
	struct tee *t = (struct tee *)(void *)o;

	for (uint32_t i = 0; i < t->n_to; i++)
		t->to[i]->end(t->to[i]);
}

static void sinkhole_record(struct output *o, const struct record *r)
{
	(void)o;
	(void)r;
}

static void sinkhole_watermark(struct output *o, int64_t ts)
{
	struct sinkhole *s = (struct sinkhole *)(void *)o;

	metrics_set(s->task->metrics, METRIC_output_watermark, ts);
}

static void sinkhole_status(struct output *o, bool idle)
{
	(void)o;
	(void)idle;
}

static void sinkhole_end(struct output *o)
{
	(void)o;
}

/* --------------------------------------------------------------- making */

static struct operator *operator_make(struct task *t, const struct graph_node *n, struct err *e)
{
	const struct operator_type *type = t->env->find(n, e);
	struct operator *op;

	if (type == NULL)
		return NULL;
	op = xcalloc(1, type->size);
	op->in = (struct output){
		.record = op_record,
		.watermark = op_watermark,
		.status = op_status,
		.end = op_end,
	};
	op->type = type;
	op->task = t;
	op->node = n;
	op->current_ts = WEIR_MIN_TIMESTAMP;
	op->watermark = WEIR_MIN_TIMESTAMP;
	op->timer_ms = INT64_MAX;
	for (unsigned role = 0; role < FN_N_ROLES; role++) {
		const weir_function *fn = operator_fn(op, (enum fn_role)role);

		if (fn != NULL && fn->instance_size > 0)
			op->instances[role] = xcalloc(1, fn->instance_size);
	}
	context_init(&op->ctx, op);
	return op;
}

/* Where operator i's elements go: chained successors, edges that leave the task, nowhere. */
static void wire(struct chain *c, const struct job_vertex *v, uint32_t i)
{
	struct link *l = &c->links[i];
	struct output **to = xcalloc(v->n_ops + 1, sizeof(struct output *));
	uint32_t n = 0;

	for (uint32_t k = 0; k < v->n_ops; k++)
		if (v->parent[k] == (int32_t)i)
			to[n++] = &c->links[k].op->in;
	if (l->partition != NULL)
		to[n++] = partition_output(l->partition);
	if (n == 1) {
		l->op->out = to[0];
		free(to);
	} else if (n == 0) {
		l->sinkhole = (struct sinkhole){
			.out = { sinkhole_record, sinkhole_watermark, sinkhole_status, sinkhole_end, NULL,
			    NULL },
			.task = c->task,
		};
		l->op->out = &l->sinkhole.out;
		free(to);
	} else {
		l->tee = (struct tee){
			.out = { tee_record, tee_watermark, tee_status, tee_end, NULL, NULL },
			.to = to,
			.n_to = n,
		};
		l->op->out = &l->tee.out;
	}
	collector_init(&l->op->col, l->op, l->op->out);
}

static int make_partition(struct chain *c, struct link *l, uint32_t node, struct err *e)
{
	const struct job_graph *jg = c->task->env->graph;

	for (uint32_t i = 0; i < jg->n_edges; i++) {
		if (jg->edges[i].from_vertex != c->task->vertex || jg->edges[i].from_op != node)
			continue;
		if (l->partition == NULL)
			l->partition = partition_create(c->task);
		if (partition_attach(l->partition, i, e) != 0)
			return -1;
	}
	return 0;
}

struct chain *chain_create(struct task *t, struct err *e)
{
	const struct job_graph *jg = t->env->graph;
	const struct job_vertex *v = &jg->vertices[t->vertex];
	struct chain *c = xcalloc(1, sizeof(*c));

	c->task = t;
	c->n = v->n_ops;
	c->links = xcalloc(c->n, sizeof(*c->links));
	for (uint32_t i = 0; i < c->n; i++) {
		c->links[i].op = operator_make(t, &jg->stream->nodes[v->ops[i]], e);
		if (c->links[i].op == NULL || make_partition(c, &c->links[i], v->ops[i], e) != 0) {
			chain_destroy(c);
			return NULL;
		}
	}
	for (uint32_t i = 0; i < c->n; i++)
		wire(c, v, i);
	return c;
}

void chain_destroy(struct chain *c)
{
	if (c == NULL)
		return;
	for (uint32_t i = 0; i < c->n; i++) {
		struct link *l = &c->links[i];

		partition_destroy(l->partition);
		free(l->tee.to);
		if (l->op == NULL)
			continue;
		for (unsigned role = 0; role < FN_N_ROLES; role++)
			free(l->op->instances[role]);
		collector_fini(&l->op->col);
		free(l->op);
	}
	free(c->links);
	free(c);
}

struct operator *chain_head(const struct chain *c)
{
	return c->links[0].op;
}

/* ------------------------------------------------------------- on the fiber */

int chain_open(struct chain *c, struct err *e)
{
	for (uint32_t i = c->n; i-- > 0;) {
		struct link *l = &c->links[i];
		int rc;

		if (c->task->hot.stopping)
			return 0;
		l->opened = true;
		rc = l->op->type->open == NULL ? 0 : l->op->type->open(l->op, e);
		task_check_user_error(c->task); /* the function's own words say more than the operator's */
		if (rc != 0)
			return -1;
	}
	return 0;
}

void chain_close(struct chain *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (c->links[i].opened && c->links[i].op->type->close != NULL)
			c->links[i].op->type->close(c->links[i].op);
}

int64_t chain_next_timer_ms(const struct chain *c)
{
	int64_t next = INT64_MAX;

	for (uint32_t i = 0; i < c->n; i++)
		if (c->links[i].op->timer_ms < next && !checkpoint_timer_rests(c->task, c->links[i].op))
			next = c->links[i].op->timer_ms;
	return next;
}

void chain_run_timers(struct chain *c)
{
	struct task *t = c->task;

	t->hot.timers_due = false;
	for (uint32_t i = 0; i < c->n && !t->hot.stopping; i++) {
		struct operator *op = c->links[i].op;

		if (op->timer_ms > t->now->wall_ms || checkpoint_timer_rests(t, op))
			continue;
		op->timer_ms = INT64_MAX; /* the call may ask for the next one */
		if (t->hot.slow)
			task_publish_outputs(t);
		op->type->timer(op, t->now->wall_ms);
		task_check_user_error(t);
		task_point(t);
	}
	task_timer_changed(t);
}

void chain_last_watermark(struct chain *c)
{
	struct output *out = chain_head(c)->out;

	out->watermark(out, WEIR_MAX_TIMESTAMP);
	task_check_user_error(c->task);
}

void chain_end(struct chain *c)
{
	struct output *out = chain_head(c)->out;

	out->end(out);
}

void chain_publish(struct chain *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (c->links[i].partition != NULL)
			partition_publish(c->links[i].partition);
}

/* --------------------------------------------------------------- checkpoints */

uint32_t chain_length(const struct chain *c)
{
	return c->n;
}

uint32_t chain_place(const struct chain *c, const struct operator *op)
{
	uint32_t i = 0;

	while (i < c->n && c->links[i].op != op)
		i++;
	ASSERT(i < c->n);
	return i;
}

static const struct id128 *operator_id(const struct chain *c, uint32_t place)
{
	const struct job_graph *jg = c->task->env->graph;

	return &jg->op_ids[jg->vertices[c->task->vertex].ops[place]];
}

int chain_snapshot(struct chain *c, uint64_t checkpoint_id, struct snapshot_writer *w, bool *waits,
    uint32_t *n_waits, struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++) {
		struct operator *op = c->links[i].op;
		int rc;

		if (op->type->snapshot == NULL)
			continue;
		snapshot_begin(w, operator_id(c, i));
		rc = op->type->snapshot(op, checkpoint_id, w, e);
		if (rc < 0)
			return err_prefix(e, "%s", op->node->name);
		snapshot_end(w);
		if (rc == SNAPSHOT_PENDING) {
			waits[i] = true;
			++*n_waits;
		}
	}
	return 0;
}

void chain_barrier(struct chain *c, const struct barrier *b)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (c->links[i].partition != NULL)
			partition_barrier(c->links[i].partition, b);
}

void chain_notify_complete(struct chain *c, uint64_t checkpoint_id)
{
	for (uint32_t i = 0; i < c->n && !c->task->hot.stopping; i++) {
		struct operator *op = c->links[i].op;

		if (op->type->notify_complete != NULL)
			op->type->notify_complete(op, checkpoint_id);
		task_check_user_error(c->task);
	}
}

/* One old subtask's state for one operator here. */
struct restoring {
	struct operator *op;
	uint32_t max_parallelism; /* the old one */
	uint32_t first_group, end_group;
};

static int restore_part(void *arg, struct snapshot_part *part, struct err *e)
{
	const struct restoring *r = arg;
	struct operator *op = r->op;

	if (op->type->restore == NULL)
		return err_set(e, ERR_INVALID,
		    "an operator of type %s keeps no state, and there is some for it", op->type->name);
	if (part->keyed) {
		if (r->max_parallelism != op->task->max_parallelism)
			return err_set(e, ERR_INVALID,
			    "its keyed state was written with max parallelism %" PRIu32
			    ", the job has %" PRIu32,
			    r->max_parallelism, op->task->max_parallelism);
		if (part->key_group < r->first_group || part->key_group >= r->end_group)
			return 0;
	}
	return op->type->restore(op, part, e);
}

/* A source that had nothing left must not begin anew. */
static int restore_finished(struct operator *op, const struct checkpoint_task *from, struct err *e)
{
	uint8_t says[8];
	struct snapshot_part part = { .name = "finished", .p = says, .end = says + sizeof(says) };

	for (unsigned i = 0; i < 4; i++) {
		says[i] = (uint8_t)(from->subtask >> (8 * i));
		says[4 + i] = (uint8_t)(from->parallelism >> (8 * i));
	}
	return op->type->restore(op, &part, e);
}

int chain_restore(struct chain *c, const struct checkpoint_file *f, struct err *e)
{
	const struct task *t = c->task;

	for (uint32_t i = 0; i < c->n; i++) {
		const struct id128 *id = operator_id(c, i);
		struct restoring r = { .op = c->links[i].op };

		key_group_range(t->subtask, t->max_parallelism, t->parallelism, &r.first_group, &r.end_group);
		for (uint32_t k = 0; k < f->n_tasks; k++) {
			const struct checkpoint_task *from = &f->tasks[k];
			int rc = 0;

			r.max_parallelism = from->max_parallelism;
			if (!from->finished)
				rc = snapshot_each(from->data, from->len, id, restore_part, &r, e);
			else if (r.op->type->poll != NULL && r.op->type->restore != NULL &&
			    id_equal(&from->vertex, id))
				rc = restore_finished(r.op, from, e);
			if (rc != 0)
				return err_prefix(e, "%s", r.op->node->name);
		}
	}
	return 0;
}
