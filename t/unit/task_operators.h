/*
 * Operators for the tests of tasks: sources that count, are silent or never wait, sinks
 * that check, wait, fail or tick; what they saw is in T.
 *
 * Include it in exactly one file of a test program.
 */
#ifndef T_UNIT_TASK_OPERATORS_H
#define T_UNIT_TASK_OPERATORS_H

#include <stdatomic.h>

#include "t/unit/worker_fixture.h"

static struct {
	int64_t n;           /* rows of each source */
	int64_t keys;
	_Atomic int64_t received, wrong, closed, opened, ended, watermark;
	_Atomic int64_t per_subtask[4];
	_Atomic int64_t key_owner[64]; /* subtask + 1 */
	_Atomic int blocked;
	_Atomic int64_t timers;
	int64_t fail_at;
	_Atomic bool let_go;
	char open_order[64];
} T;

static void reset(int64_t n)
{
	memset(&T, 0, sizeof(T));
	T.n = n;
	T.keys = 1;
	T.fail_at = -1;
}

struct rows {
	struct operator op;
	int64_t next;
};

static int note_open(struct operator *op, struct err *e)
{
	size_t n = strlen(T.open_order);

	(void)e;
	atomic_fetch_add(&T.opened, 1);
	if (n + 1 < sizeof(T.open_order))
		T.open_order[n] = op->node->name[0];
	return 0;
}

static void note_close(struct operator *op)
{
	(void)op;
	atomic_fetch_add(&T.closed, 1);
}

static enum source_status rows_poll(struct operator *op, int64_t *deadline_ns)
{
	struct rows *s = (struct rows *)(void *)op;

	(void)deadline_ns;
	for (int i = 0; i < 100; i++) {
		fx_row row = { s->next % T.keys, s->next };

		if (s->next == T.n)
			return SOURCE_END;
		op->out->record(op->out, &(struct record){ .data = &row, .len = sizeof(row), .ts = s->next });
		s->next++;
		if (s->next % 1000 == 0)
			op->out->watermark(op->out, s->next - 1);
		task_point(op->task);
		if (task_stopping(op->task))
			return SOURCE_MORE;
	}
	return SOURCE_MORE;
}

static const struct operator_type rows_source = {
	.name = "rows",
	.size = sizeof(struct rows),
	.open = note_open,
	.close = note_close,
	.poll = rows_poll,
};

/* Says when it is asked too often: it waits for the eventfd or its deadline. */
static enum source_status silent_poll(struct operator *op, int64_t *deadline_ns)
{
	(void)op;
	(void)deadline_ns;
	atomic_fetch_add(&T.received, 1);
	return SOURCE_WAIT;
}

/* One record, then nothing: it must not lie in the producer's batch. */
static enum source_status single_poll(struct operator *op, int64_t *deadline_ns)
{
	struct rows *s = (struct rows *)(void *)op;
	fx_row row = { 0, 0 };

	(void)deadline_ns;
	if (s->next++ == 0)
		op->out->record(op->out, &(struct record){ .data = &row, .len = sizeof(row), .ts = 0 });
	return SOURCE_WAIT;
}

static const struct operator_type single_source = {
	.name = "single",
	.size = sizeof(struct rows),
	.open = note_open,
	.close = note_close,
	.poll = single_poll,
};

/* One record, then busy for ever: only the buffer timeout can publish it. */
static enum source_status lingering_poll(struct operator *op, int64_t *deadline_ns)
{
	single_poll(op, deadline_ns);
	return SOURCE_MORE;
}

static const struct operator_type lingering_source = {
	.name = "lingering",
	.size = sizeof(struct rows),
	.open = note_open,
	.close = note_close,
	.poll = lingering_poll,
};

/* An author's counters. */
static void counting_record(struct operator *op, const struct record *r)
{
	int64_t *seen = weir_counter(&op->ctx.pub, "seen"), *other = weir_counter(&op->ctx.pub, "other");

	(void)r;
	if (seen == other || seen != weir_counter(&op->ctx.pub, "seen"))
		atomic_fetch_add(&T.wrong, 1);
	++*seen;
	*other += 2;
}

static const struct operator_type counting_sink = {
	.name = "counting",
	.size = sizeof(struct rows),
	.open = note_open,
	.close = note_close,
	.record = counting_record,
};

/* Always busy, with nothing to show for it. */
static enum source_status spinning_poll(struct operator *op, int64_t *deadline_ns)
{
	(void)op;
	(void)deadline_ns;
	return SOURCE_MORE;
}

static const struct operator_type spinning_source = {
	.name = "spinning",
	.size = sizeof(struct rows),
	.open = note_open,
	.close = note_close,
	.poll = spinning_poll,
};

static const struct operator_type silent_source = {
	.name = "silent",
	.size = sizeof(struct rows),
	.open = note_open,
	.close = note_close,
	.poll = silent_poll,
};

struct check {
	struct operator op;
	int64_t next;
	int64_t last[64]; /* by key: order within a key */
};

static void check_record(struct operator *op, const struct record *r)
{
	struct check *c = (struct check *)(void *)op;
	fx_row row;

	memcpy(&row, r->data, sizeof(row));
	if (r->len != sizeof(row) || row.b != c->next || r->ts != row.b)
		atomic_fetch_add(&T.wrong, 1);
	c->next++;
	atomic_fetch_add_explicit(&T.received, 1, memory_order_relaxed);
}

static void check_watermark(struct operator *op, int64_t ts)
{
	struct check *c = (struct check *)(void *)op;

	if (ts != WEIR_MAX_TIMESTAMP && ts != c->next - 1)
		atomic_fetch_add(&T.wrong, 1); /* not where the source put it */
	atomic_store(&T.watermark, ts);
}

static void note_end(struct operator *op)
{
	(void)op;
	atomic_fetch_add(&T.ended, 1);
}

static const struct operator_type check_sink = {
	.name = "check", .size = sizeof(struct check), .open = note_open, .close = note_close,
	.record = check_record, .watermark = check_watermark, .end = note_end,
};

static void keyed_record(struct operator *op, const struct record *r)
{
	fx_row row;
	int64_t me = task_subtask(op->task) + 1, was = 0;

	memcpy(&row, r->data, sizeof(row));
	if (!atomic_compare_exchange_strong(&T.key_owner[row.a], &was, me) && was != me)
		atomic_fetch_add(&T.wrong, 1);
	if (r->key_hash != key_hash_long(row.a))
		atomic_fetch_add(&T.wrong, 1);
	atomic_fetch_add_explicit(&T.received, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&T.per_subtask[me - 1], 1, memory_order_relaxed);
}

static const struct operator_type keyed_sink = {
	.name = "keyed", .size = sizeof(struct check), .open = note_open, .close = note_close,
	.record = keyed_record, .end = note_end,
};

static bool let_go(void *arg)
{
	(void)arg;
	return atomic_load(&T.let_go);
}

/* Waits at its first record until it is let go or stopped. */
static void waiting_record(struct operator *op, const struct record *r)
{
	(void)r;
	atomic_store(&T.blocked, 1);
	task_wait(op->task, WAIT_BUSY, let_go, NULL, INT64_MAX);
	atomic_fetch_add(&T.received, 1);
}

static const struct operator_type waiting_sink = {
	.name = "waiting",
	.size = sizeof(struct check),
	.open = note_open,
	.close = note_close,
	.record = waiting_record,
};

/* weir_sleep_ms, as a user function would. */
static void sleeping_record(struct operator *op, const struct record *r)
{
	(void)r;
	atomic_store(&T.blocked, 1);
	weir_sleep_ms(&op->ctx.pub, 3600000);
	atomic_fetch_add(&T.received, 1);
}

static const struct operator_type sleeping_sink = {
	.name = "sleeping",
	.size = sizeof(struct check),
	.open = note_open,
	.close = note_close,
	.record = sleeping_record,
};

static void failing_record(struct operator *op, const struct record *r)
{
	fx_row row;

	memcpy(&row, r->data, sizeof(row));
	if (row.b == T.fail_at) {
		weir_fail(&op->ctx.pub, "number %d is not wanted", (int)row.b);
		task_fail(op->task, "the operator's own words");
		return;
	}
	atomic_fetch_add(&T.received, 1);
}

static const struct operator_type failing_sink = {
	.name = "failing",
	.size = sizeof(struct check),
	.open = note_open,
	.close = note_close,
	.record = failing_record,
};

static int refusing_open(struct operator *op, struct err *e)
{
	note_open(op, e);
	return err_set(e, ERR_USER, "it does not want to");
}

static const struct operator_type refusing_sink = {
	.name = "refusing",
	.size = sizeof(struct check),
	.open = refusing_open,
	.close = note_close,
	.record = failing_record,
};

static int ticking_open(struct operator *op, struct err *e)
{
	operator_set_timer(op, task_wall_ms(op->task) + 5);
	return note_open(op, e);
}

static void ticking_timer(struct operator *op, int64_t now_ms)
{
	atomic_fetch_add(&T.timers, 1);
	operator_set_timer(op, now_ms + 5);
}

static const struct operator_type ticking_sink = {
	.name = "ticking", .size = sizeof(struct check), .open = ticking_open, .close = note_close,
	.record = failing_record, .timer = ticking_timer,
};

static void once_timer(struct operator *op, int64_t now_ms)
{
	(void)op;
	(void)now_ms;
	atomic_fetch_add(&T.timers, 1);
}

static const struct operator_type once_sink = {
	.name = "once", .size = sizeof(struct check), .open = ticking_open, .close = note_close,
	.record = failing_record, .timer = once_timer,
};

static void job_fn(void *arg)
{
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	*(_Atomic int *)arg = 1;
}

static int connecting_open(struct operator *op, struct err *e)
{
	_Atomic int done = 0;

	connector_run(op->task, job_fn, &done, WAIT_BUSY);
	if (atomic_load(&done) != 1)
		atomic_fetch_add(&T.wrong, 1);
	return note_open(op, e);
}

static void connecting_close(struct operator *op)
{
	_Atomic int done = 0;

	connector_run(op->task, job_fn, &done, WAIT_BUSY);
	if (atomic_load(&done) != 1)
		atomic_fetch_add(&T.wrong, 1);
	note_close(op);
}

static const struct operator_type connecting_sink = {
	.name = "connecting",
	.size = sizeof(struct check),
	.open = connecting_open,
	.close = connecting_close,
	.record = failing_record,
};

/* Passes on, by the author's collector: in place where the ring can be lent. */
static void passing_record(struct operator *op, const struct record *r)
{
	weir_out *out = &op->col.pub;
	void *p = out->reserve(out, r->len);

	for (uint32_t i = 0; i < r->len; i++)
		if (((uint8_t *)p)[i] != 0)
			atomic_fetch_add(&T.wrong, 1); /* lent memory is zeroed */
	memcpy(p, r->data, r->len);
	out->commit(out, r->len);
}

static const struct operator_type passing_map = {
	.name = "passing",
	.size = sizeof(struct check),
	.open = note_open,
	.close = note_close,
	.record = passing_record,
};

static void twice_record(struct operator *op, const struct record *r)
{
	weir_out *out = &op->col.pub;

	out->reserve(out, r->len);
	out->reserve(out, r->len);
}

static const struct operator_type twice_map = {
	.name = "twice",
	.size = sizeof(struct check),
	.open = note_open,
	.close = note_close,
	.record = twice_record,
};

static void stopping_record(struct operator *op, const struct record *r)
{
	(void)op;
	(void)r;
	if (atomic_exchange(&T.blocked, 1) == 0)
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	atomic_store(&T.watermark, task_stalled_ns(op->task));
	atomic_fetch_add(&T.received, 1);
}

static const struct operator_type stopping_sink = {
	.name = "stopping",
	.size = sizeof(struct check),
	.open = note_open,
	.close = note_close,
	.record = stopping_record,
};

static const struct operator_type *find(const struct graph_node *n, struct err *e)
{
	static const struct operator_type *const all[] = {
		&rows_source,
		&silent_source,
		&check_sink,
		&keyed_sink,
		&waiting_sink,
		&sleeping_sink,
		&failing_sink,
		&refusing_sink,
		&ticking_sink,
		&connecting_sink,
		&passing_map,
		&twice_map,
		&stopping_sink,
		&single_source,
		&spinning_source,
		&once_sink,
		&lingering_source,
		&counting_sink,
	};
	size_t len = strcspn(n->name, "@");

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (strlen(all[i]->name) == len && strncmp(n->name, all[i]->name, len) == 0)
			return all[i];
	err_set(e, ERR_INVALID, "no operator \"%s\"", n->name);
	return NULL;
}

#endif
