/*
 * Choosing a channel and writing to it.
 */
#include "worker/runtime/partition.h"

#include <inttypes.h>

#include "base/mem.h"

#define SERIAL_GUESS 256u /* first room lent to a serializer */

struct edge {
	enum ship ship;
	weir_key_kind key_kind;
	void (*key)(const void *in, uint32_t len, weir_key *key);
	int64_t (*serialize)(const void *v, uint32_t len, void *buf, uint32_t cap);
	const char *type_name;
	const char *to_name;
	uint32_t max_parallelism;
	uint32_t *channel_of_group; /* SHIP_HASH */
	uint32_t first, n_used;     /* channels that this producer's records use: all but for RESCALE */
	uint32_t next;              /* round robin, from first */
	uint64_t random;            /* SHIP_SHUFFLE */
	uint32_t serial_guess;
	uint32_t n_channels;
	struct ring *rings;
};

struct partition {
	struct output out; /* first */
	struct task *task;
	struct edge *edges;
	uint32_t n_edges, cap_edges;
	int64_t watermark;
	uint8_t *buffer; /* a record that must be serialized outside of a ring */
	uint32_t cap_buffer;
};

/* ------------------------------------------------------------- writing */

struct wanted {
	struct ring *r;
	uint32_t len;
};

static bool space_ready(void *arg)
{
	struct wanted *w = arg;

	if (ring_has_space(w->r, w->len))
		return true;
	ring_want_space(w->r, w->len);
	return false;
}

/* Room in the ring, waiting for it; NULL: the task is stopping. */
static void *reserve(struct partition *p, struct edge *e, struct ring *r, uint32_t len)
{
	struct wanted w = { r, len };
	void *to;

	for (;;) {
		switch (ring_reserve(r, len, &to)) {
		case RING_OK:
			return to;
		case RING_FULL:
			if (p->task->hot.stopping)
				return NULL;
			task_wait(p->task, WAIT_BACKPRESSURED, space_ready, &w, INT64_MAX);
			break;
		case RING_DAMAGED:
			task_fail(p->task, "ring %" PRIu32 " to %s (%td) is damaged: %s", r->id, e->to_name,
			    r - e->rings + 1, r->damage);
			return NULL;
		case RING_EMPTY:
		case RING_TOOBIG:
			ASSERT(!"a reservation over the ring's largest payload");
		}
	}
}

static void commit(struct partition *p, struct ring *r, uint8_t kind_flags, uint32_t key_hash, int64_t ts,
    uint32_t len)
{
	if (ring_commit(r, kind_flags, key_hash, ts, len) || p->task->env->buffer_timeout_ms == 0)
		ring_publish(r);
	else
		p->task->hot.out_dirty = true;
}

/* Bytes that are at hand, in one element or in fragments. */
static void write_bytes(struct partition *p, struct edge *e, struct ring *r, const void *data, uint32_t len,
    uint32_t key_hash, int64_t ts)
{
	const uint32_t most = ring_max_payload(r) & ~7u;
	const uint8_t *from = data;

	while (len > most) {
		void *to = reserve(p, e, r, most);

		if (to == NULL)
			return;
		memcpy(to, from, most);
		commit(p, r, ELEM_RECORD | ELEM_MORE, key_hash, ts, most);
		from += most;
		len -= most;
	}
	{
		void *to = reserve(p, e, r, len);

		if (to == NULL)
			return;
		if (len > 0)
			memcpy(to, from, len);
		commit(p, r, ELEM_RECORD, key_hash, ts, len);
	}
}

static bool size_ok(struct partition *p, struct edge *e, uint64_t len)
{
	if (len <= p->task->env->record_max_size)
		return true;
	task_fail(p->task,
	    "a record of %" PRIu64 " bytes for %s is over taskmanager.record.max-size (%" PRIu32 " bytes)",
	    len, e->to_name, p->task->env->record_max_size);
	return false;
}

static void need_buffer(struct partition *p, uint32_t size)
{
	if (size <= p->cap_buffer)
		return;
	free(p->buffer);
	p->buffer = xmalloc(size);
	p->cap_buffer = size;
}

/* Serialize into the partition's buffer; negative: the task has failed. */
static int64_t serialize_aside(struct partition *p, struct edge *e, const void *data, uint32_t len,
    uint32_t size)
{
	for (;;) {
		int64_t n;

		need_buffer(p, size);
		n = e->serialize(data, len, p->buffer, p->cap_buffer);
		if (n < 0) {
			task_fail(p->task,
			    "the serializer of type %s refused a record of %" PRIu32
			    " bytes (returned %" PRId64 ")",
			    e->type_name, len, n);
			return -1;
		}
		if (!size_ok(p, e, (uint64_t)n))
			return -1;
		if ((uint64_t)n <= p->cap_buffer)
			return n;
		size = (uint32_t)n;
	}
}

/* Straight into the ring where the guess of its size was right. Returns the bytes written. */
static uint32_t write_serialized(struct partition *p, struct edge *e, struct ring *r, const void *data,
    uint32_t len, uint32_t key_hash, int64_t ts)
{
	uint32_t room = e->serial_guess < ring_max_payload(r) ? e->serial_guess : ring_max_payload(r);
	void *to = reserve(p, e, r, room);
	int64_t n;

	if (to == NULL)
		return 0;
	n = e->serialize(data, len, to, room);
	if (n >= 0 && (uint64_t)n <= room && n <= p->task->env->record_max_size) {
		commit(p, r, ELEM_RECORD, key_hash, ts, (uint32_t)n);
		return (uint32_t)n;
	}
	ring_abort(r);
	n = serialize_aside(p, e, data, len,
	    n > room && n <= p->task->env->record_max_size ? (uint32_t)n : SERIAL_GUESS);
	if (n < 0)
		return 0;
	if ((uint64_t)n > e->serial_guess)
		e->serial_guess = ((uint32_t)n + 7) & ~7u;
	write_bytes(p, e, r, p->buffer, (uint32_t)n, key_hash, ts);
	return (uint32_t)n;
}

/* ------------------------------------------------------------ choosing */

static uint32_t hash_of(const struct edge *e, const struct record *r)
{
	weir_key key = { 0 };

	e->key(r->data, r->len, &key);
	return key_hash(e->key_kind, &key);
}

static uint32_t channel_of_hash(const struct edge *e, uint32_t hash)
{
	return e->channel_of_group[key_group(hash, e->max_parallelism)];
}

/* xorshift: the same records go the same way in every run */
static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* Not for BROADCAST. */
static struct ring *choose(struct edge *e, const struct record *r, uint32_t *hash)
{
	uint32_t c = e->first;

	switch (e->ship) {
	case SHIP_HASH:
		*hash = hash_of(e, r);
		return &e->rings[channel_of_hash(e, *hash)];
	case SHIP_REBALANCE:
	case SHIP_RESCALE:
		c += e->next;
		if (++e->next == e->n_used)
			e->next = 0;
		break;
	case SHIP_SHUFFLE:
		c += (uint32_t)(next_random(&e->random) % e->n_used);
		break;
	case SHIP_FORWARD:
	case SHIP_GLOBAL:
	case SHIP_BROADCAST:
	case SHIP_CUSTOM:
		break;
	}
	return &e->rings[c];
}

static uint32_t write_all(struct partition *p, struct edge *e, const struct record *r)
{
	const void *data = r->data;
	uint32_t len = r->len;

	if (e->serialize != NULL) {
		int64_t n = serialize_aside(p, e, r->data, r->len, SERIAL_GUESS);

		if (n < 0)
			return 0;
		data = p->buffer;
		len = (uint32_t)n;
	}
	for (uint32_t c = 0; c < e->n_channels && !p->task->hot.stopping; c++)
		write_bytes(p, e, &e->rings[c], data, len, r->key_hash, r->ts);
	return len * e->n_channels;
}

/* -------------------------------------------------- the operator's output */

static void partition_record(struct output *o, const struct record *r)
{
	struct partition *p = (struct partition *)(void *)o;
	struct metrics_task *m = p->task->metrics;

	if (p->task->hot.stopping)
		return;
	for (uint32_t i = 0; i < p->n_edges; i++) {
		struct edge *e = &p->edges[i];
		uint32_t hash = 0, len = r->len;

		if (e->serialize == NULL && !size_ok(p, e, len))
			return;
		if (e->ship == SHIP_BROADCAST) {
			len = write_all(p, e, r);
		} else {
			struct ring *to = choose(e, r, &hash);

			if (e->serialize != NULL)
				len = write_serialized(p, e, to, r->data, r->len, hash, r->ts);
			else
				write_bytes(p, e, to, r->data, r->len, hash, r->ts);
		}
		metrics_add(m, METRIC_records_out, 1);
		metrics_add(m, METRIC_bytes_out, len);
	}
}

/* An element that is no record, to every channel. */
static void control(struct partition *p, enum elem_kind kind, int64_t value, const void *data, uint32_t len)
{
	for (uint32_t i = 0; i < p->n_edges; i++) {
		struct edge *e = &p->edges[i];

		for (uint32_t c = 0; c < e->n_channels; c++) {
			void *to = p->task->hot.stopping ? NULL : reserve(p, e, &e->rings[c], len);

			if (to == NULL)
				return;
			if (len > 0)
				memcpy(to, data, len);
			commit(p, &e->rings[c], (uint8_t)kind, 0, value, len);
		}
	}
}

void partition_barrier(struct partition *p, const struct barrier *b)
{
	const struct barrier_payload says = { b->trigger_wall_ms, b->kind, b->drain };

	control(p, ELEM_BARRIER, (int64_t)b->id, &says, sizeof(says));
}

static void partition_watermark(struct output *o, int64_t ts)
{
	struct partition *p = (struct partition *)(void *)o;

	if (ts <= p->watermark)
		return;
	p->watermark = ts;
	control(p, ELEM_WATERMARK, ts, NULL, 0);
	metrics_set(p->task->metrics, METRIC_output_watermark, ts);
}

static void partition_status(struct output *o, bool idle)
{
	control((struct partition *)(void *)o, ELEM_STATUS, idle, NULL, 0);
}

static void partition_end(struct output *o)
{
	struct partition *p = (struct partition *)(void *)o;

	const struct task_checkpoints *cp = &p->task->checkpoints;

	control(p, ELEM_END, cp->stopping && !cp->drained ? END_STOPPED : 0, NULL, 0);
	partition_publish(p);
}

/* In place: exactly one edge with one channel, bytes as they are, one element. */
static void *partition_reserve(struct output *o, uint32_t len)
{
	struct partition *p = (struct partition *)(void *)o;
	struct edge *e = &p->edges[0];

	if (p->task->hot.stopping || len > ring_max_payload(e->rings) || len > p->task->env->record_max_size)
		return NULL;
	return reserve(p, e, e->rings, len);
}

static void partition_commit(struct output *o, uint32_t len, int64_t ts)
{
	struct partition *p = (struct partition *)(void *)o;
	struct edge *e = &p->edges[0];
	struct ring *r = e->rings;
	uint32_t hash = 0;

	if (len == 0 || p->task->hot.stopping) {
		ring_abort(r);
		return;
	}
	if (e->ship == SHIP_HASH)
		hash = hash_of(e,
		    &(struct record){ .data = ring_at(r, r->head) + sizeof(struct elem_header), .len = len });
	commit(p, r, ELEM_RECORD, hash, ts, len);
	metrics_add(p->task->metrics, METRIC_records_out, 1);
	metrics_add(p->task->metrics, METRIC_bytes_out, len);
}

struct output *partition_output(struct partition *p)
{
	return &p->out;
}

void partition_publish(struct partition *p)
{
	for (uint32_t i = 0; i < p->n_edges; i++)
		for (uint32_t c = 0; c < p->edges[i].n_channels; c++)
			ring_publish(&p->edges[i].rings[c]);
}

/* ---------------------------------------------------------- life cycle */

struct partition *partition_create(struct task *t)
{
	struct partition *p = xcalloc(1, sizeof(*p));

	p->out = (struct output){
		.record = partition_record,
		.watermark = partition_watermark,
		.status = partition_status,
		.end = partition_end,
	};
	p->task = t;
	p->watermark = WEIR_MIN_TIMESTAMP;
	return p;
}

void partition_destroy(struct partition *p)
{
	if (p == NULL)
		return;
	for (uint32_t i = 0; i < p->n_edges; i++) {
		free(p->edges[i].channel_of_group);
		free(p->edges[i].rings);
	}
	free(p->edges);
	free(p->buffer);
	free(p);
}

/* Flink's pointwise distribution: neighbouring producers feed neighbouring consumers. */
static void rescale_range(const struct edge_spec *s, uint32_t *first, uint32_t *n)
{
	uint64_t c = s->n_channels, p = s->parallelism;

	*first = (uint32_t)(s->subtask * c / p);
	*n = p >= c ? 1 : (uint32_t)((s->subtask + 1) * c / p) - *first;
}

int partition_add_edge(struct partition *p, const struct edge_spec *spec, struct err *err)
{
	struct edge *e;

	if (spec->n_channels == 0)
		return err_set(err, ERR_INTERNAL, "an edge to %s has no channel", spec->to_name);
	if (spec->ship == SHIP_CUSTOM)
		return err_set(err, ERR_INVALID,
		    "the edge to %s has a partitioner that this version does not know", spec->to_name);
	if (spec->ship == SHIP_HASH && (spec->key == NULL || spec->key->key == NULL))
		return err_set(err, ERR_INTERNAL, "the edge to %s is keyed and has no key selector",
		    spec->to_name);
	VEC_RESERVE(p->edges, p->n_edges, p->cap_edges);
	e = &p->edges[p->n_edges++];
	*e = (struct edge){
		.ship = spec->ship,
		.serialize = spec->type != NULL ? spec->type->serialize : NULL,
		.type_name = spec->type != NULL ? spec->type->name : "",
		.to_name = spec->to_name,
		.n_used = spec->n_channels,
		.random = UINT64_C(0x9e3779b97f4a7c15) * (spec->subtask + 1),
		.serial_guess = SERIAL_GUESS,
		.n_channels = spec->n_channels,
		.rings = xmemdup(spec->rings, spec->n_channels * sizeof(struct ring)),
	};
	switch (spec->ship) {
	case SHIP_HASH:
		e->key_kind = spec->key->key_kind;
		e->key = spec->key->key;
		e->max_parallelism = spec->max_parallelism;
		e->channel_of_group = xcalloc(spec->max_parallelism, sizeof(*e->channel_of_group));
		for (uint32_t g = 0; g < spec->max_parallelism; g++)
			e->channel_of_group[g] =
			    key_group_subtask(g, spec->max_parallelism, spec->n_channels);
		break;
	case SHIP_REBALANCE:
		e->next =
		    spec->subtask % spec->n_channels; /* not all producers begin with the same consumer */
		break;
	case SHIP_RESCALE:
		rescale_range(spec, &e->first, &e->n_used);
		break;
	case SHIP_FORWARD:
	case SHIP_SHUFFLE:
	case SHIP_BROADCAST:
	case SHIP_GLOBAL:
	case SHIP_CUSTOM:
		break;
	}
	/* A chained reserve lends the ring's own memory only where no other choice is possible. */
	if (p->n_edges == 1 && e->n_channels == 1 && e->serialize == NULL) {
		p->out.reserve = partition_reserve;
		p->out.commit = partition_commit;
	} else {
		p->out.reserve = NULL;
		p->out.commit = NULL;
	}
	return 0;
}

const struct graph_type *edge_type(const struct job_graph *jg, uint32_t edge)
{
	const struct job_edge *je = &jg->edges[edge];
	const struct graph_type *out = &jg->stream->nodes[je->from_op].out;

	if (out->code != NULL)
		return out;
	return &jg->stream->nodes[jg->vertices[je->to_vertex].ops[0]].in;
}

int partition_attach(struct partition *p, uint32_t edge, struct err *err)
{
	struct task *t = p->task;
	const struct job_graph *jg = t->env->graph;
	const struct job_edge *je = &jg->edges[edge];
	const struct job_vertex *to = &jg->vertices[je->to_vertex];
	const struct graph_fn *key = &jg->stream->nodes[to->ops[0]].fns[FN_KEY];
	struct edge_spec spec = {
		.ship = je->ship,
		.type = edge_type(jg, edge)->code,
		.key = key->present ? key->code : NULL,
		.max_parallelism = to->max_parallelism,
		.subtask = t->subtask,
		.parallelism = t->parallelism,
		.to_name = to->name,
	};
	struct ring *rings = xcalloc(to->parallelism, sizeof(*rings));
	int rc = -1;

	for (uint32_t c = 0; c < to->parallelism; c++) {
		uint32_t id = layout_ring(jg, edge, t->subtask, c);

		if (id == UINT32_MAX)
			continue;
		if (exchange_producer(t->env->exchange, id, &rings[spec.n_channels], err) != 0)
			goto out;
		spec.n_channels++;
	}
	spec.rings = rings;
	rc = partition_add_edge(p, &spec, err);
out:
	free(rings);
	return rc;
}
