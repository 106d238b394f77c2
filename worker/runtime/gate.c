/*
 * Reading elements and handing them to the head of the chain.
 */
#include "worker/runtime/gate.h"

#include <inttypes.h>

#include "base/mem.h"
#include "worker/runtime/alignment.h"
#include "worker/runtime/chain.h"
#include "worker/runtime/partition.h"
#include "worker/runtime/task.h"
#include "worker/state/checkpoint_file.h"

#define BATCH 64 /* elements of one input before the next one's turn */

struct input {
	struct ring ring;
	bool idle;    /* its producer said so */
	bool ended;
	bool blocked; /* held back until the barriers of the others have come; nothing is read */
	int64_t watermark;
	int64_t (*deserialize)(const void *buf, uint32_t len, void *v, uint32_t cap);
	uint32_t fixed_size; /* of a record in memory, 0: varies */
	const char *type_name;
	uint8_t *fragments; /* of a record that is not complete */
	uint32_t n_fragments, cap_fragments;
	bool in_fragments;
	char *producer;
};

struct gate {
	struct task *task;
	struct operator *head;
	struct input *inputs;
	uint32_t n_inputs, cap_inputs;
	uint32_t next;    /* whose turn it is */
	uint32_t n_ended;
	int64_t watermark; /* last one handed on */
	bool idle;         /* the whole gate, as handed on */
	bool stopped;      /* the job stops with a savepoint: the end of its inputs is not the end of time */
	uint8_t *buffer;   /* a record in memory, decoded */
	uint32_t cap_buffer;

	struct alignment alignment; /* its inputs are in the order of ours */
	struct barrier barrier;     /* the one being aligned */
	struct barrier_timing timing;
	int64_t first_barrier_ns, first_barrier_bytes;
};

/* ------------------------------------------------------------- failure */

static void damaged(struct gate *g, const struct input *in, const char *what)
{
	task_fail(g->task, "ring %" PRIu32 " from %s is damaged: %s", in->ring.id, in->producer, what);
}

/* ---------------------------------------------- watermarks and idleness */

/*
 * An input counts for the watermark when it is active and not behind what was handed on: one that
 * comes back from idleness catches up first, as watermarks never fall.
 */
static bool counts(const struct gate *g, const struct input *in)
{
	return !in->idle && !in->ended && in->watermark >= g->watermark;
}

static void hand_on_watermark(struct gate *g, int64_t watermark)
{
	if (watermark <= g->watermark || g->stopped)
		return;
	g->watermark = watermark;
	metrics_set(g->task->metrics, METRIC_input_watermark, watermark);
	g->head->in.watermark(&g->head->in, watermark);
}

/* After a change at one input. */
static void update_watermark(struct gate *g)
{
	int64_t least = INT64_MAX, most = WEIR_MIN_TIMESTAMP, most_ended = WEIR_MIN_TIMESTAMP;
	bool any = false, active = false, alive = false;

	for (uint32_t i = 0; i < g->n_inputs; i++) {
		const struct input *in = &g->inputs[i];

		alive = alive || !in->ended;
		active = active || (!in->idle && !in->ended);
		if (in->ended && in->watermark > most_ended)
			most_ended = in->watermark;
		if (!in->ended && in->watermark > most)
			most = in->watermark;
		if (!counts(g, in))
			continue;
		any = true;
		if (in->watermark < least)
			least = in->watermark;
	}
	if (active && g->idle) {
		g->idle = false;
		g->head->in.status(&g->head->in, false);
	}
	if (any)
		hand_on_watermark(g, least);
	else if (!active) /* nobody is left who could be earlier than the latest; an idle one may come back */
		hand_on_watermark(g, alive ? most : most_ended);
	if (!active && alive && !g->idle) {
		g->idle = true;
		g->head->in.status(&g->head->in, true);
	}
}

/* ------------------------------------------------------------- records */

static void add_fragment(struct gate *g, struct input *in, const struct ring_elem *el)
{
	const uint32_t most = g->task->env->record_max_size;

	if (el->len > most - in->n_fragments) {
		damaged(g, in, "the fragments of a record are longer than taskmanager.record.max-size");
		return;
	}
	if (in->n_fragments + el->len > in->cap_fragments) {
		uint32_t cap = in->cap_fragments ? in->cap_fragments : 4096;

		while (cap < in->n_fragments + el->len)
			cap *= 2;
		in->fragments = xreallocarray(in->fragments, 1, cap);
		in->cap_fragments = cap;
	}
	memcpy(in->fragments + in->n_fragments, el->data, el->len);
	in->n_fragments += el->len;
}

/* From the wire's form to that in memory; false: the task has failed. */
static bool decode(struct gate *g, struct input *in, struct record *r)
{
	for (;;) {
		uint32_t cap = g->cap_buffer ? g->cap_buffer : in->fixed_size > 1024 ? in->fixed_size : 1024;
		int64_t n;

		if (g->cap_buffer < cap) {
			free(g->buffer);
			g->buffer = xmalloc(cap);
			g->cap_buffer = cap;
		}
		n = in->deserialize(r->data, r->len, g->buffer, g->cap_buffer);
		if (n < 0 || n > g->task->env->record_max_size) {
			task_fail(g->task,
			    "ring %" PRIu32
			    " from %s: the deserializer of type %s refused a record of %" PRIu32
			    " bytes (returned %" PRId64 ")",
			    in->ring.id, in->producer, in->type_name, r->len, n);
			return false;
		}
		if ((uint64_t)n <= g->cap_buffer) {
			r->data = g->buffer;
			r->len = (uint32_t)n;
			return true;
		}
		free(g->buffer);
		g->buffer = xmalloc((size_t)n);
		g->cap_buffer = (uint32_t)n;
	}
}

static void on_record(struct gate *g, struct input *in, const struct ring_elem *el)
{
	struct record r = { .data = el->data, .len = el->len, .key_hash = el->key_hash, .ts = el->ts };
	struct task *t = g->task;

	if (__builtin_expect(el->flags != 0 || in->in_fragments, 0)) {
		add_fragment(g, in, el);
		in->in_fragments = (el->flags & ELEM_MORE) != 0;
		if (in->in_fragments || t->hot.stopping)
			return;
		r.data = in->fragments;
		r.len = in->n_fragments;
		in->n_fragments = 0;
	}
	metrics_add(t->metrics, METRIC_records_in, 1);
	metrics_add(t->metrics, METRIC_bytes_in, r.len);
	if (in->deserialize != NULL && !decode(g, in, &r))
		return;
	if (__builtin_expect(in->fixed_size != 0 && r.len != in->fixed_size, 0)) {
		task_fail(t,
		    "ring %" PRIu32 " from %s: a record of %" PRIu32 " bytes where type %s has %" PRIu32,
		    in->ring.id, in->producer, r.len, in->type_name, in->fixed_size);
		return;
	}
	g->head->in.record(&g->head->in, &r);
}

/* ------------------------------------------------------------ barriers */

static void hold_back(struct gate *g)
{
	for (uint32_t i = 0; i < g->n_inputs; i++)
		g->inputs[i].blocked = alignment_holds(&g->alignment, i);
}

/* All barriers are here, or no more can come. */
static void aligned(struct gate *g)
{
	struct task *t = g->task;

	slot_read_clock(t->slot);
	g->timing.alignment_ns = t->now->mono_ns - g->first_barrier_ns;
	g->timing.processed_bytes = metrics_get(t->metrics, METRIC_bytes_in) - g->first_barrier_bytes;
	checkpoint_take(t, &g->barrier, &g->timing);
	hold_back(g);
}

static void first_barrier(struct gate *g, const struct barrier *b)
{
	const struct task *t = g->task;
	int64_t delay_ms;

	slot_read_clock(t->slot);
	delay_ms = t->now->wall_ms - b->trigger_wall_ms;
	g->barrier = *b;
	g->timing = (struct barrier_timing){ .start_delay_ns = delay_ms > 0 ? delay_ms * NS_PER_MS : 0 };
	g->first_barrier_ns = t->now->mono_ns;
	g->first_barrier_bytes = metrics_get(t->metrics, METRIC_bytes_in);
}

static void on_barrier(struct gate *g, struct input *in, const struct ring_elem *el)
{
	struct barrier_payload says;
	struct barrier b = { .id = (uint64_t)el->ts };
	enum alignment_step step;
	uint64_t aligning, canceled;
	struct err e;

	if (el->len != sizeof(says)) {
		damaged(g, in, "a barrier of the wrong length");
		return;
	}
	memcpy(&says, el->data, sizeof(says));
	b.trigger_wall_ms = says.trigger_wall_ms;
	b.kind = says.kind;
	b.drain = says.drain != 0;
	if (says.kind > CHECKPOINT_SYNC_SAVEPOINT || says.drain > 1) {
		damaged(g, in, "a barrier of an unknown kind");
		return;
	}
	aligning = g->alignment.id;
	step = alignment_barrier(&g->alignment, (uint32_t)(in - g->inputs), b.id, &canceled);
	if (canceled != 0) {
		err_set(&e, ERR_UNAVAILABLE, "%s: the barrier of checkpoint %" PRIu64
		    " came before all of checkpoint %" PRIu64 "'s", g->task->name, b.id, canceled);
		checkpoint_decline(g->task, canceled, &e);
	}
	if ((step == ALIGNMENT_WAITING || step == ALIGNMENT_COMPLETE) && b.id != aligning)
		first_barrier(g, &b);
	if (step == ALIGNMENT_DAMAGED)
		damaged(g, in, "its barriers are out of order");
	else if (step == ALIGNMENT_COMPLETE)
		aligned(g);
	else
		hold_back(g);
}

static void on_end(struct gate *g, struct input *in, const struct ring_elem *el)
{
	in->ended = true;
	g->n_ended++;
	if (el->ts == END_STOPPED)
		g->stopped = true;
	update_watermark(g);
	if (alignment_ended(&g->alignment, (uint32_t)(in - g->inputs)) == ALIGNMENT_COMPLETE)
		aligned(g);
}

void gate_abort(struct gate *g, uint64_t checkpoint_id)
{
	if (alignment_abort(&g->alignment, checkpoint_id))
		hold_back(g);
}

/* ------------------------------------------------------------ elements */

static void on_element(struct gate *g, struct input *in, const struct ring_elem *el)
{
	if (__builtin_expect(el->kind != ELEM_RECORD && in->in_fragments, 0)) {
		damaged(g, in, "a record's fragments end without the last one");
		return;
	}
	if (__builtin_expect(in->ended, 0)) {
		damaged(g, in, "an element follows the end of input");
		return;
	}
	switch ((enum elem_kind)el->kind) {
	case ELEM_RECORD:
		on_record(g, in, el);
		break;
	case ELEM_WATERMARK:
		if (el->ts < in->watermark) {
			damaged(g, in, "its watermark fell");
			return;
		}
		in->watermark = el->ts;
		update_watermark(g);
		break;
	case ELEM_STATUS:
		in->idle = el->ts != 0;
		update_watermark(g);
		break;
	case ELEM_END:
		on_end(g, in, el);
		break;
	case ELEM_BARRIER:
		on_barrier(g, in, el);
		break;
	case ELEM_LATENCY:
		break; /* measured where it is asked for; operators never see it */
	}
	task_check_user_error(g->task);
}

/* Up to a batch of one input. Returns whether anything was there. */
static bool read_input(struct gate *g, struct input *in)
{
	struct task *t = g->task;
	struct ring_elem el;

	for (unsigned n = 0; n < BATCH; n++) {
		switch (ring_peek(&in->ring, &el)) {
		case RING_OK:
			break;
		case RING_DAMAGED:
			damaged(g, in, in->ring.damage);
			return true;
		default:
			return n > 0;
		}
		if (__builtin_expect(el.kind == ELEM_BARRIER, 0) &&
		    alignment_too_early(&g->alignment, (uint32_t)(in - g->inputs), (uint64_t)el.ts)) {
			in->blocked = true;
			return n > 0;
		}
		on_element(g, in, &el);
		/* Behind the operators: the record lay in the ring for them. */
		ring_release(&in->ring);
		task_point(t);
		if (__builtin_expect(t->hot.stopping || t->hot.timers_due || t->hot.interrupt || in->blocked,
			0))
			return true;
	}
	return true;
}

static bool readable(void *arg)
{
	struct gate *g = arg;

	for (uint32_t i = 0; i < g->n_inputs; i++)
		if (!g->inputs[i].blocked && ring_readable(&g->inputs[i].ring))
			return true;
	return false;
}

void gate_run(struct gate *g)
{
	struct task *t = g->task;

	/* With a savepoint to stop with it ends no earlier than that is complete: sinks are to hear it. */
	while (!t->hot.stopping && (g->n_ended < g->n_inputs || t->checkpoints.stop_id != 0)) {
		bool any = false;

		if (t->hot.interrupt) {
			checkpoint_serve(t);
			continue;
		}
		if (t->hot.timers_due)
			chain_run_timers(t->chain);
		for (uint32_t n = 0;
		     n < g->n_inputs && !t->hot.stopping && !t->hot.timers_due && !t->hot.interrupt; n++) {
			struct input *in = &g->inputs[g->next];

			g->next = g->next + 1 == g->n_inputs ? 0 : g->next + 1;
			if (!in->blocked && read_input(g, in))
				any = true;
		}
		if (!any && !t->hot.timers_due && !t->hot.interrupt)
			task_wait_main(t, readable, g, INT64_MAX);
	}
	if (!t->hot.stopping)
		g->head->in.end(&g->head->in);
}

/* --------------------------------------------------------- slot's thread */

void gate_publish_tails(struct gate *g)
{
	for (uint32_t i = 0; i < g->n_inputs; i++)
		ring_publish_tail(&g->inputs[i].ring);
}

void gate_tick(struct gate *g, int64_t now_ns)
{
	uint64_t queued = 0;

	for (uint32_t i = 0; i < g->n_inputs; i++) {
		ring_update_limit(&g->inputs[i].ring, now_ns);
		queued += ring_in_flight(&g->inputs[i].ring);
	}
	metrics_set(g->task->metrics, METRIC_in_queue_bytes, (int64_t)queued);
}

/* ---------------------------------------------------------- life cycle */

struct gate *gate_create(struct task *t, struct operator *head, struct err *e)
{
	struct gate *g;

	if (head->type->record == NULL) {
		err_set(e, ERR_INTERNAL, "operator \"%s\" takes no records", head->node->name);
		return NULL;
	}
	g = xcalloc(1, sizeof(*g));
	g->task = t;
	g->head = head;
	g->watermark = WEIR_MIN_TIMESTAMP;
	alignment_init(&g->alignment, !t->env->at_least_once);
	return g;
}

void gate_destroy(struct gate *g)
{
	if (g == NULL)
		return;
	for (uint32_t i = 0; i < g->n_inputs; i++) {
		free(g->inputs[i].fragments);
		free(g->inputs[i].producer);
	}
	free(g->inputs);
	alignment_fini(&g->alignment);
	free(g->buffer);
	free(g);
}

void gate_add_input(struct gate *g, const struct ring *ring, const char *producer,
    const struct graph_type *type)
{
	alignment_add_input(&g->alignment);
	VEC_RESERVE(g->inputs, g->n_inputs, g->cap_inputs);
	g->inputs[g->n_inputs++] = (struct input){
		.ring = *ring,
		.watermark = WEIR_MIN_TIMESTAMP,
		.deserialize = type != NULL && type->code != NULL ? type->code->deserialize : NULL,
		.fixed_size = type != NULL ? type->size : 0,
		.type_name = type != NULL && type->name != NULL ? type->name : "",
		.producer = xstrdup(producer),
	};
}

int gate_attach(struct gate *g, struct err *e)
{
	const struct task *t = g->task;
	const struct job_graph *jg = t->env->graph;

	for (uint32_t i = 0; i < jg->n_edges; i++) {
		const struct job_vertex *from = &jg->vertices[jg->edges[i].from_vertex];

		if (jg->edges[i].to_vertex != t->vertex)
			continue;
		for (uint32_t p = 0; p < from->parallelism; p++) {
			uint32_t id = layout_ring(jg, i, p, t->subtask);
			struct ring ring;
			char *producer;

			if (id == UINT32_MAX)
				continue;
			if (exchange_consumer(t->env->exchange, id, &ring, e) != 0)
				return -1;
			producer =
			    xasprintf("%s (%" PRIu32 "/%" PRIu32 ")", from->name, p + 1, from->parallelism);
			gate_add_input(g, &ring, producer, edge_type(jg, i));
			free(producer);
		}
	}
	if (g->n_inputs == 0)
		return err_set(e, ERR_INTERNAL, "it has no input");
	return 0;
}
