/*
 * The window operator: keyed tumbling windows with an aggregate and an optional
 * window function, in event or processing time.
 *
 * (key, window) → accumulator lies in the key groups' tables; the entries of a window are
 * chained in a list by the window's end, so that firing walks that list and a record that finds its
 * entry costs one lookup.  An event-time window fires when the watermark reaches its last
 * millisecond (end - 1); a record of a window that has fired is late and is dropped, counted.
 * A processing-time window fires when the clock reaches its end.
 */
#include "base/err.h"
#include "base/mem.h"
#include "shm/metrics.h"
#include "worker/graph/job_graph.h"
#include "worker/operators/operators.h"
#include "worker/operators/window_ends.h"
#include "worker/state/keyed_table.h"
#include "worker/state/snapshot.h"

#define FIRE_AHEAD 8 /* entries whose table slots are fetched ahead of their removal */

/* Holds what the aggregate gives until the window function has read it. */
struct capture {
	weir_out pub;
	struct operator *op;
	void *data;
	uint32_t cap, len, len_reserved;
	bool reserved, filled;
};

struct window_op {
	struct operator op;
	struct keyed_table state;
	struct window_ends ends;
	const weir_function *key_fn, *agg, *window_fn;
	unsigned opened;
	int64_t size_ms, offset_ms; /* offset: 0 <= offset < size */
	int64_t last_start_ms;      /* of the last record's window: most records are of the same */
	bool event_time;
	bool wm_restored;
	struct capture capture;
};

static int64_t floor_rest(int64_t v, int64_t by)
{
	int64_t rest = v % by;

	return rest < 0 ? rest + by : rest;
}

/* The end of ts's window; false: the window reaches beyond 64 bits. */
static inline bool window_end_of(struct window_op *w, int64_t ts, int64_t *end_ms)
{
	int64_t rest, start;

	if ((uint64_t)ts - (uint64_t)w->last_start_ms < (uint64_t)w->size_ms) {
		*end_ms = w->last_start_ms + w->size_ms;
		return true;
	}
	/* Flink: ts - (ts - offset + size) % size; this is right for timestamps below zero too and overflows
	 * nowhere */
	rest = floor_rest(ts, w->size_ms) - w->offset_ms;
	if (rest < 0)
		rest += w->size_ms;
	if (__builtin_sub_overflow(ts, rest, &start) || __builtin_add_overflow(start, w->size_ms, end_ms))
		return false;
	w->last_start_ms = start;
	return true;
}

/* ------------------------------------------------------------ capture */

static void *capture_reserve(weir_out *out, uint32_t len)
{
	struct capture *c = (struct capture *)(void *)out;

	if (c->reserved) {
		task_fail(c->op->task, "%s: a second reserve before the commit of what was reserved",
		    c->op->node->name);
		return NULL;
	}
	if (len > c->cap || c->cap == 0) {
		c->cap = len > 64 ? len : 64;
		free(c->data);
		c->data = xmalloc(c->cap);
	}
	memset(c->data, 0, len);
	c->reserved = true;
	c->len_reserved = len;
	return c->data;
}

static void capture_commit(weir_out *out, uint32_t len)
{
	struct capture *c = (struct capture *)(void *)out;

	if (!c->reserved || len > c->len_reserved) {
		task_fail(c->op->task,
		    c->reserved ? "%s: commit of more bytes than were reserved" :
				  "%s: commit without reserve",
		    c->op->node->name);
		c->reserved = c->filled = false;
		return;
	}
	c->reserved = false;
	c->len = len;
	c->filled = len > 0;
}

static void capture_emit(weir_out *out, const void *rec, uint32_t len)
{
	void *p = capture_reserve(out, len);

	if (p == NULL)
		return;
	if (len > 0)
		memcpy(p, rec, len);
	capture_commit(out, len);
	((struct capture *)(void *)out)->filled = true; /* an empty record is one; only a commit of 0 drops */
}

static void capture_emit_at(weir_out *out, const void *rec, uint32_t len, int64_t timestamp_ms)
{
	(void)timestamp_ms; /* a window's result has the window's own time */
	capture_emit(out, rec, len);
}

/* ----------------------------------------------------------- life cycle */

static int window_open(struct operator *op, struct err *e)
{
	struct window_op *w = (struct window_op *)(void *)op;
	const weir_assigner *a = &op->node->assigner;
	uint32_t first, end, max = task_max_parallelism(op->task);

	w->capture.pub.struct_size = sizeof(weir_out);
	w->capture.pub.emit = capture_emit;
	w->capture.pub.reserve = capture_reserve;
	w->capture.pub.commit = capture_commit;
	w->capture.pub.emit_at = capture_emit_at;
	w->capture.op = op;
	window_ends_init(&w->ends);
	key_group_range(task_subtask(op->task), max, task_parallelism(op->task), &first, &end);
	w->key_fn = operator_fn(op, FN_KEY);
	w->agg = operator_fn(op, FN_AGGREGATE);
	w->window_fn = operator_fn(op, FN_WINDOW);
	if (w->key_fn == NULL || w->agg == NULL || w->agg->acc == NULL)
		return err_set(e, ERR_INTERNAL, "window operator \"%s\" has no key selector or no aggregate",
		    op->node->name);
	if (a->kind != WEIR_WINDOW_TUMBLING || a->size_ms <= 0)
		return err_set(e, ERR_INTERNAL, "window operator \"%s\" has no assigner that is known here",
		    op->node->name);
	keyed_table_init(&w->state, w->key_fn->key_kind, w->agg->acc->size, max, first, end);
	w->size_ms = a->size_ms;
	w->offset_ms = floor_rest(a->offset_ms, a->size_ms);
	w->last_start_ms = w->offset_ms - a->size_ms; /* any window will do */
	w->event_time = a->time == WEIR_EVENT_TIME;
	if (operator_open_fn(op, &w->opened, FN_AGGREGATE, e) != 0)
		return -1;
	return operator_open_fn(op, &w->opened, FN_WINDOW, e);
}

static void window_close(struct operator *op)
{
	struct window_op *w = (struct window_op *)(void *)op;

	operator_close_fns(op, w->opened);
	if (w->state.groups != NULL)
		keyed_table_fini(&w->state);
	window_ends_fini(&w->ends);
	free(w->capture.data);
	w->capture.data = NULL;
}

/* ---------------------------------------------------------------- firing */

/* Hand the window's result on; false: the function failed. */
static bool fire_entry(struct window_op *w, struct keyed_entry *entry, const weir_window *win)
{
	struct operator *op = &w->op;
	weir_key key;

	op->current_ts = win->end_ms - 1;
	op->col.ts = win->end_ms - 1;
	op->fn = FN_AGGREGATE;
	if (w->window_fn == NULL)
		return operator_ok(op, w->agg->acc_result(&op->ctx.pub, keyed_acc(entry), &op->col.pub),
		    "result");
	w->capture.filled = w->capture.reserved = false;
	if (!operator_ok(op, w->agg->acc_result(&op->ctx.pub, keyed_acc(entry), &w->capture.pub), "result"))
		return false;
	if (!w->capture.filled || task_stopping(op->task))
		return true;
	keyed_entry_key(&w->state, entry, &key);
	op->fn = FN_WINDOW;
	return operator_ok(op,
	    w->window_fn->window(&op->ctx.pub, &key, win, w->capture.data, w->capture.len, &op->col.pub),
	    "window function");
}

/* Fire and purge a window. A failure or a cancel ends it: the state is not used again. */
static void fire_window(struct window_op *w, const struct window_end *we)
{
	weir_window win = { we->end_ms - w->size_ms, we->end_ms };
	arena_ref ref = we->first, ahead = ref;
	unsigned i;

	for (i = 0; i < FIRE_AHEAD && ahead != 0; i++)
		ahead = keyed_entry(&w->state, ahead)->next;
	while (ref != 0 && !task_stopping(w->op.task)) {
		struct keyed_entry *entry = keyed_entry(&w->state, ref);
		arena_ref next = entry->next;

		if (ahead != 0) {
			keyed_table_prefetch(&w->state, ahead);
			ahead = keyed_entry(&w->state, ahead)->next;
		}
		if (!fire_entry(w, entry, &win))
			return;
		keyed_table_remove(&w->state, ref);
		ref = next;
		task_point(w->op.task);
	}
}

/* Fire every window that ends at or before `end_ms`. */
static void fire_until(struct window_op *w, int64_t end_ms)
{
	while (w->ends.n > 0 && window_ends_first(&w->ends) <= end_ms && !task_stopping(w->op.task)) {
		struct window_end we = window_ends_pop(&w->ends);

		fire_window(w, &we);
	}
}

static void window_watermark(struct operator *op, int64_t ts)
{
	struct window_op *w = (struct window_op *)(void *)op;

	if (w->event_time)
		fire_until(w, ts == WEIR_MAX_TIMESTAMP ? ts : ts + 1);
	op->out->watermark(op->out, ts);
}

static void window_timer(struct operator *op, int64_t now_ms)
{
	struct window_op *w = (struct window_op *)(void *)op;

	fire_until(w, now_ms);
	operator_set_timer(op, window_ends_first(&w->ends));
}

/* --------------------------------------------------------------- records */

static void window_add(struct window_op *w, arena_ref ref, int64_t end_ms)
{
	struct window_end *we = window_ends_get(&w->ends, end_ms);

	if (we->first == 0) {
		we->first = we->last = ref;
		if (!w->event_time && window_ends_first(&w->ends) == end_ms)
			operator_set_timer(&w->op, end_ms);
		return;
	}
	keyed_entry(&w->state, we->last)->next = ref;
	we->last = ref;
	we->n++;
}

static void window_record(struct operator *op, const struct record *r)
{
	struct window_op *w = (struct window_op *)(void *)op;
	int64_t ts = w->event_time ? r->ts : task_wall_ms(op->task);
	struct keyed_entry *entry;
	struct err e;
	weir_key key;
	int64_t end_ms;
	arena_ref ref;
	bool added;

	if (ts == WEIR_MIN_TIMESTAMP) {
		task_fail(op->task,
		    "%s: a record has no timestamp; event-time windows need a watermark strategy with a "
		    "timestamp assigner",
		    op->node->name);
		return;
	}
	if (!window_end_of(w, ts, &end_ms)) {
		task_fail(op->task,
		    "%s: the window of timestamp %lld begins or ends beyond what a timestamp can be",
		    op->node->name, (long long)ts);
		return;
	}
	if (w->event_time && end_ms - 1 <= op->watermark) {
		metrics_add(task_metrics(op->task), METRIC_late_dropped, 1);
		return;
	}
	w->key_fn->key(r->data, r->len, &key);
	ref = keyed_table_upsert(&w->state, &key, r->key_hash, end_ms, &added, &e);
	if (ref == 0) {
		task_fail(op->task, "%s: %s", op->node->name, e.msg);
		return;
	}
	entry = keyed_entry(&w->state, ref);
	if (added) {
		w->agg->acc_create(keyed_acc(entry));
		window_add(w, ref, end_ms);
	}
	op->current_ts = r->ts;
	op->fn = FN_AGGREGATE;
	operator_ok(op, w->agg->acc_add(&op->ctx.pub, keyed_acc(entry), r->data, r->len), "add");
}

/* ----------------------------------------------------------------- state */

/* An entry of a key group: the window's end, the key, the accumulator as its type writes it. */
struct entry_writer {
	struct window_op *w;
	struct snapshot_writer *to;
	struct err *e;
	uint8_t *buffer; /* an accumulator, serialized */
	uint32_t cap;
};

static int put_acc(struct entry_writer *ew, struct keyed_entry *entry)
{
	const weir_type *type = ew->w->agg->acc;
	int64_t n;

	if (type->serialize == NULL) {
		snapshot_put_bytes(ew->to, keyed_acc(entry), type->size);
		return 0;
	}
	for (;;) {
		n = type->serialize(keyed_acc(entry), type->size, ew->buffer, ew->cap);
		if (n < 0 || n > INT32_MAX)
			return err_set(ew->e, ERR_USER,
			    "the serializer of type %s refused an accumulator (returned %lld)", type->name,
			    (long long)n);
		if (n <= ew->cap)
			break;
		free(ew->buffer);
		ew->buffer = xmalloc((size_t)n);
		ew->cap = (uint32_t)n;
	}
	snapshot_put_bytes(ew->to, ew->buffer, (size_t)n);
	return 0;
}

static int put_entry(void *arg, struct keyed_entry *entry)
{
	struct entry_writer *ew = arg;

	snapshot_put_i64(ew->to, entry->window);
	snapshot_put_bytes(ew->to, keyed_entry_key_bytes(&ew->w->state, entry), entry->key_len);
	return put_acc(ew, entry);
}

static int window_snapshot(struct operator *op, uint64_t checkpoint_id, struct snapshot_writer *sw,
    struct err *e)
{
	struct window_op *w = (struct window_op *)(void *)op;
	struct entry_writer ew = { .w = w, .to = sw, .e = e };
	int rc = 0;

	(void)checkpoint_id;
	snapshot_begin_entry(sw, "wm");
	snapshot_put_i64(sw, op->watermark);
	snapshot_end_part(sw);
	snapshot_begin_entry(sw, "late");
	snapshot_put_u32(sw, task_subtask(op->task));
	snapshot_put_i64(sw, metrics_get(task_metrics(op->task), METRIC_late_dropped));
	snapshot_end_part(sw);
	for (uint32_t g = 0; g < w->state.n_groups && rc == 0; g++) {
		if (w->state.groups[g].n == 0)
			continue;
		snapshot_begin_group(sw, w->state.first_group + g);
		rc = keyed_table_each(&w->state, g, put_entry, &ew);
		snapshot_end_part(sw);
	}
	free(ew.buffer);
	return rc;
}

static int get_acc(struct window_op *w, struct snapshot_part *part, void *acc, struct err *e)
{
	const weir_type *type = w->agg->acc;
	size_t len;
	const void *p = snapshot_get_bytes(part, &len);
	int64_t n = (int64_t)len;

	if (part->bad)
		return 0; /* said by the caller */
	if (type->deserialize == NULL)
		memcpy(acc, p, len < type->size ? len : type->size);
	else
		n = type->deserialize(p, (uint32_t)len, acc, type->size);
	if (n != type->size)
		return err_set(e, ERR_INVALID,
		    "an accumulator of %zu bytes does not fit type %s, which has %u", len, type->name,
		    type->size);
	return 0;
}

static int restore_entry(struct window_op *w, struct snapshot_part *part, struct err *e)
{
	const bool by_content = w->state.key_kind == WEIR_KEY_STRING || w->state.key_kind == WEIR_KEY_BYTES;
	int64_t end_ms = snapshot_get_i64(part);
	weir_key key = { 0 };
	size_t key_len;
	const void *p = snapshot_get_bytes(part, &key_len);
	uint32_t hash;
	arena_ref ref;
	bool added;

	if (part->bad || key_len > KEYED_KEY_MAX || (!by_content && key_len != sizeof(key.num)))
		return err_set(e, ERR_INVALID, "a key of key group %u is damaged or of another kind",
		    part->key_group);
	if (by_content) {
		key.data = p;
		key.len = (uint32_t)key_len;
	} else {
		memcpy(&key.num, p, sizeof(key.num));
	}
	hash = key_hash(w->state.key_kind, &key);
	if (key_group(hash, w->state.max_parallelism) != part->key_group)
		return err_set(e, ERR_INVALID, "a key does not belong to key group %u", part->key_group);
	ref = keyed_table_upsert(&w->state, &key, hash, end_ms, &added, e);
	if (ref == 0)
		return -1;
	if (!added)
		return err_set(e, ERR_INVALID, "key group %u has a key twice in one window", part->key_group);
	window_add(w, ref, end_ms);
	return get_acc(w, part, keyed_acc(keyed_entry(&w->state, ref)), e);
}

static int window_restore(struct operator *op, struct snapshot_part *part, struct err *e)
{
	struct window_op *w = (struct window_op *)(void *)op;

	if (part->keyed) {
		while (part->p < part->end)
			if (restore_entry(w, part, e) != 0)
				return -1;
	} else if (strcmp(part->name, "wm") == 0) {
		/* What one of the old subtasks had not passed yet is late for none of the new ones. */
		int64_t wm = snapshot_get_i64(part);

		if (wm == WEIR_MAX_TIMESTAMP) /* drained: what comes now is a new beginning */
			wm = WEIR_MIN_TIMESTAMP;
		if (!w->wm_restored || wm < op->watermark)
			op->watermark = wm;
		w->wm_restored = true;
	} else if (strcmp(part->name, "late") == 0) {
		uint32_t subtask = snapshot_get_u32(part);
		int64_t n = snapshot_get_i64(part);

		if (subtask % task_parallelism(op->task) == task_subtask(op->task))
			metrics_add(task_metrics(op->task), METRIC_late_dropped, n);
	} else {
		return err_set(e, ERR_INVALID, "its state has an entry \"%s\", which a window does not know",
		    part->name);
	}
	return snapshot_part_ok(part) ? 0 : err_set(e, ERR_INVALID, "its state is damaged");
}

const struct operator_type operator_window = {
	.name = "window",
	.size = sizeof(struct window_op),
	.snapshot = window_snapshot,
	.restore = window_restore,
	.open = window_open,
	.close = window_close,
	.record = window_record,
	.watermark = window_watermark,
	.timer = window_timer,
};
