/*
 * State of the window operator and of the watermarks before it: a snapshot at a random point,
 * restored into one, two or three subtasks, gives what an undisturbed one gives; damaged state is refused
 * with a sentence.
 */
#include "t/tap.h"
#include "t/unit/window_fixture.h"
#include "worker/state/snapshot.h"

#include <stdlib.h>

#define N_EVENTS 600
#define N_KEYS   40
#define MAX_OUT  4096

static const struct id128 op_id = { { 7 } };
static uint64_t seed = 88172645463325252U;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed >> 8;
}

struct step {
	int64_t key, amount, ts;
	bool watermark; /* ts is one */
};

/* Records in bounded disorder, some of them late, and watermarks. */
static void make_steps(struct step *s, unsigned n)
{
	int64_t now = (int64_t)(next_random() % 1000) - 500, wm = INT64_MIN;

	for (unsigned i = 0; i < n; i++) {
		now += (int64_t)(next_random() % 3);
		s[i] = (struct step){ (int64_t)(next_random() % N_KEYS), (int64_t)(next_random() % 100),
			now - (int64_t)(next_random() % 30), false };
		if (next_random() % 8 == 0 && now - 15 > wm)
			s[i] = (struct step){ .ts = wm = now - 15, .watermark = true };
	}
}

/* ---------------------------------------------------- a set of subtasks */

struct group {
	uint32_t n;
	struct task *t[3];
	struct operator *op[3];
};

static void make_group(struct group *g, uint32_t n, struct graph_node *nd)
{
	struct err e = { 0 };

	g->n = n;
	for (uint32_t i = 0; i < n; i++) {
		g->t[i] = fake_task();
		g->t[i]->subtask = i;
		g->t[i]->parallelism = n;
		g->t[i]->wall_ms = 1000;
		g->op[i] = fake_operator(g->t[i], &operator_window, nd, &e);
	}
}

static void free_group(struct group *g)
{
	for (uint32_t i = 0; i < g->n; i++) {
		fake_close(g->op[i]);
		fake_task_free(g->t[i]);
	}
}

static void give(struct group *g, const struct step *s)
{
	if (s->watermark) {
		for (uint32_t i = 0; i < g->n; i++)
			if (s->ts > g->op[i]->watermark)
				fake_advance(g->op[i], s->ts);
	} else {
		uint32_t to = key_group_subtask(key_group(key_hash_long(s->key), 128), 128, g->n);

		add(g->op[to], s->key, s->amount, s->ts);
	}
}

struct results {
	result r[MAX_OUT];
	unsigned n;
	int64_t late;
};

static int by_window(const void *a, const void *b)
{
	const result *x = a, *y = b;

	if (x->end_ms != y->end_ms)
		return x->end_ms < y->end_ms ? -1 : 1;
	return x->key < y->key ? -1 : x->key > y->key;
}

static void collect(struct group *g, struct results *to)
{
	for (uint32_t i = 0; i < g->n; i++)
		for (size_t k = 0; k < g->t[i]->n_out; k++)
			if (g->t[i]->out[k].kind == 'r')
				to->r[to->n++] = at(g->t[i], k);
}

static int64_t late_of(const struct group *g)
{
	int64_t n = 0;

	for (uint32_t i = 0; i < g->n; i++)
		n += metrics_get(&g->t[i]->metrics, METRIC_late_dropped);
	return n;
}

/* ------------------------------------------------------ snapshot, restore */

static void take(struct operator *op, struct snapshot_writer *w)
{
	struct err e = { 0 };

	snapshot_writer_init(w);
	snapshot_begin(w, &op_id);
	if (op->type->snapshot(op, 1, w, &e) != 0)
		ok(false, "snapshot: %s", e.msg);
	snapshot_end(w);
}

/* As the runtime: keyed parts of own key groups only. */
static int on_part(void *arg, struct snapshot_part *part, struct err *e)
{
	struct operator *op = arg;
	uint32_t first, end;

	key_group_range(op->task->subtask, 128, op->task->parallelism, &first, &end);
	if (part->keyed && (part->key_group < first || part->key_group >= end))
		return 0;
	return op->type->restore(op, part, e);
}

static void restore(struct group *from, struct group *to)
{
	for (uint32_t i = 0; i < from->n; i++) {
		struct snapshot_writer w;
		struct err e = { 0 };

		take(from->op[i], &w);
		for (uint32_t k = 0; k < to->n; k++)
			if (snapshot_each(w.data, w.len, &op_id, on_part, to->op[k], &e) != 0)
				ok(false, "restore: %s", e.msg);
		snapshot_writer_fini(&w);
	}
}

static bool same(struct results *a, struct results *b)
{
	qsort(a->r, a->n, sizeof(result), by_window);
	qsort(b->r, b->n, sizeof(result), by_window);
	return a->n == b->n && a->late == b->late && memcmp(a->r, b->r, a->n * sizeof(result)) == 0;
}

/* A slow reference: sums by key and window, closed when the watermark has passed. */
static void reference(const struct step *s, unsigned n, int64_t size, struct results *out)
{
	struct { int64_t key, end, sum; } *live = xcalloc(n, sizeof(*live));
	int64_t wm = WEIR_MIN_TIMESTAMP;
	unsigned n_live = 0;

	for (unsigned i = 0; i < n; i++) {
		int64_t end = s[i].watermark ?
		    0 :
		    (s[i].ts >= 0 ? s[i].ts / size : -((-s[i].ts + size - 1) / size)) * size + size;
		unsigned k = 0;

		if (s[i].watermark) {
			wm = s[i].ts;
			for (k = 0; k < n_live;) {
				if (live[k].end - 1 <= wm) {
					out->r[out->n++] = (result){ live[k].key, live[k].end - size,
						live[k].end, live[k].sum, live[k].end - 1, wm };
					live[k] = live[--n_live];
				} else {
					k++;
				}
			}
			continue;
		}
		if (end - 1 <= wm) {
			out->late++;
			continue;
		}
		while (k < n_live && (live[k].key != s[i].key || live[k].end != end))
			k++;
		if (k == n_live) {
			n_live++;
			live[k].key = s[i].key;
			live[k].end = end;
			live[k].sum = 0;
		}
		live[k].sum += s[i].amount;
	}
	free(live);
}

static void test_random(void)
{
	static struct step steps[N_EVENTS + 1];
	static struct results whole, cut;
	unsigned n_good = 0, n_runs = 0, n_late = 0, n_out = 0;

	for (unsigned round = 0; round < 150; round++) {
		struct graph_node *nd = window_node(20, (int64_t)0, WEIR_EVENT_TIME, true);
		struct group g;
		unsigned i;

		make_steps(steps, N_EVENTS);
		steps[N_EVENTS] = (struct step){ .ts = WEIR_MAX_TIMESTAMP, .watermark = true };
		memset(&whole, 0, sizeof(whole));
		reference(steps, N_EVENTS + 1, 20, &whole);
		memset(&cut, 0, sizeof(cut));
		make_group(&g, 1 + (uint32_t)(next_random() % 3), nd);
		for (i = 0; i <= N_EVENTS; i++) {
			/* two or three restores a run, each into another number of subtasks */
			if (next_random() % 200 == 0 || i == N_EVENTS / 2) {
				struct group next;

				make_group(&next, 1 + (uint32_t)(next_random() % 3), nd);
				restore(&g, &next);
				collect(&g, &cut);
				free_group(&g);
				g = next;
				n_runs++;
			}
			give(&g, &steps[i]);
		}
		collect(&g, &cut);
		cut.late = late_of(&g);
		free_group(&g);
		n_late += (unsigned)cut.late;
		n_out += cut.n;
		n_good += same(&whole, &cut);
	}
	is_int(n_good, 150, "150 runs with %u restores are as undisturbed ones: %u results, %u late", n_runs,
	    n_out, n_late);
	ok(n_runs > 300 && n_late > 1000, "which have seen enough");
}

static void test_processing_time(void)
{
	struct graph_node *nd = window_node(10, 0, WEIR_PROCESSING_TIME, true);
	struct group a, b;

	make_group(&a, 1, nd);
	a.t[0]->wall_ms = 1003;
	add(a.op[0], 1, 5, WEIR_MIN_TIMESTAMP);
	add(a.op[0], 2, 6, WEIR_MIN_TIMESTAMP);
	a.t[0]->wall_ms = 1013;
	add(a.op[0], 1, 7, WEIR_MIN_TIMESTAMP);
	make_group(&b, 1, nd);
	restore(&a, &b);
	is_int(b.op[0]->timer_ms, 1010, "a restored processing-time window asks for the clock at its end");
	b.op[0]->type->timer(b.op[0], 1012);
	is_int(b.t[0]->n_out, 2, "and fires then");
	is_int(b.op[0]->timer_ms, 1020, "the next one after it");
	free_group(&a);
	free_group(&b);
}

static void test_watermark_minimum(void)
{
	struct graph_node *nd = window_node(10, 0, WEIR_EVENT_TIME, true);
	struct group a, b;

	make_group(&a, 2, nd);
	fake_advance(a.op[0], 100);
	fake_advance(a.op[1], 50);
	make_group(&b, 3, nd);
	restore(&a, &b);
	for (uint32_t i = 0; i < 3; i++)
		is_int(b.op[i]->watermark, 50, "subtask %u of three begins with the least of two watermarks",
		    i);
	fake_advance(a.op[0], WEIR_MAX_TIMESTAMP);
	fake_advance(a.op[1], WEIR_MAX_TIMESTAMP);
	free_group(&b);
	make_group(&b, 1, nd);
	restore(&a, &b);
	ok(b.op[0]->watermark == WEIR_MIN_TIMESTAMP, "a drained one begins anew");
	free_group(&a);
	free_group(&b);
}

/* Every cut and every changed byte: refused or harmless. */
static void test_damage(void)
{
	struct graph_node *nd = window_node(10, 0, WEIR_EVENT_TIME, true);
	struct snapshot_writer w;
	unsigned n_refused = 0, n_silent = 0;
	struct group a;

	make_group(&a, 1, nd);
	for (int64_t k = 0; k < 5; k++)
		add(a.op[0], k, k, 5 + k);
	take(a.op[0], &w);
	for (size_t i = 0; i < w.len; i++) {
		for (int how = 0; how < 3; how++) {
			uint8_t *p = xmemdup(w.data, w.len);
			struct err e = { 0 };
			struct group b;

			p[i] ^= how == 0 ? 1 : how == 1 ? 0x80 : 0xff;
			make_group(&b, 1, nd);
			if (snapshot_each(p, w.len, &op_id, on_part, b.op[0], &e) != 0) {
				n_refused++;
				n_silent += e.msg[0] == '\0';
			}
			fake_advance(b.op[0], WEIR_MAX_TIMESTAMP);
			free_group(&b);
			free(p);
		}
	}
	ok(n_refused > w.len, "%u of %zu changed bytes are refused", n_refused, w.len * 3);
	is_int(n_silent, 0, "each with a sentence");
	snapshot_writer_fini(&w);
	free_group(&a);
}

/* An accumulator whose type has a form of its own outside of memory: digits. */
static int64_t write_digits(const void *v, uint32_t len, void *buf, uint32_t cap)
{
	int64_t n;
	char text[24];
	int l;

	(void)len;
	memcpy(&n, v, sizeof(n));
	if (n == 13)
		return -5;
	l = snprintf(text, sizeof(text), "%lld", (long long)n);
	if ((uint32_t)l <= cap)
		memcpy(buf, text, (size_t)l);
	return l;
}
static int64_t read_digits(const void *buf, uint32_t len, void *v, uint32_t cap)
{
	char text[24] = "";
	long long n;

	if (len >= sizeof(text) || cap < sizeof(int64_t))
		return -1;
	memcpy(text, buf, len);
	n = strtoll(text, NULL, 10);
	memcpy(v, &n, sizeof(int64_t));
	return sizeof(int64_t);
}

static void test_serialized(void)
{
	static const weir_type digits = { sizeof(weir_type), "digits", sizeof(int64_t), 1, write_digits,
		read_digits };
	struct graph_node *nd = window_node(10, 0, WEIR_EVENT_TIME, true);
	weir_function agg = total;
	struct snapshot_writer w;
	struct err e = { 0 };
	struct group a, b;

	agg.acc = &digits;
	nd->fns[FN_AGGREGATE].code = &agg;
	make_group(&a, 1, nd);
	add(a.op[0], 1, 123456789, 5);
	add(a.op[0], 2, 7, 5);
	make_group(&b, 1, nd);
	restore(&a, &b);
	fake_advance(b.op[0], 9);
	is_int(b.t[0]->n_out, 3, "accumulators with a form of their own");
	is_int(at(b.t[0], 0).sum + at(b.t[0], 1).sum, 123456796, "come back");
	add(a.op[0], 3, 13, 5);
	snapshot_writer_init(&w);
	snapshot_begin(&w, &op_id);
	ok(a.op[0]->type->snapshot(a.op[0], 1, &w, &e) < 0,
	    "one that cannot be written declines the checkpoint");
	like(e.msg, "the serializer of type digits refused an accumulator (returned -5)", "with its type");
	snapshot_writer_fini(&w);
	free_group(&a);
	free_group(&b);
}

static void refused(void (*write)(struct snapshot_writer *w), const char *why)
{
	struct graph_node *nd = window_node(10, 0, WEIR_EVENT_TIME, true);
	struct snapshot_writer w;
	struct err e = { 0 };
	struct group g;

	snapshot_writer_init(&w);
	snapshot_begin(&w, &op_id);
	write(&w);
	snapshot_end(&w);
	make_group(&g, 1, nd);
	ok(snapshot_each(w.data, w.len, &op_id, on_part, g.op[0], &e) != 0, "refused: %s", why);
	like(e.msg, why, "its sentence");
	free_group(&g);
	snapshot_writer_fini(&w);
}

static void put_entry(struct snapshot_writer *w, int64_t key, size_t key_len, size_t acc_len)
{
	static const uint8_t zeros[64];

	snapshot_put_i64(w, 20);
	snapshot_put_bytes(w, &key, key_len);
	snapshot_put_bytes(w, zeros, acc_len);
}
static void wrong_acc(struct snapshot_writer *w)
{
	snapshot_begin_group(w, key_group(key_hash_long(1), 128));
	put_entry(w, 1, 8, 24);
	snapshot_end_part(w);
}
static void wrong_key(struct snapshot_writer *w)
{
	snapshot_begin_group(w, key_group(key_hash_long(1), 128));
	put_entry(w, 1, 4, 8);
	snapshot_end_part(w);
}
static void wrong_group(struct snapshot_writer *w)
{
	snapshot_begin_group(w, (key_group(key_hash_long(1), 128) + 1) % 128);
	put_entry(w, 1, 8, 8);
	snapshot_end_part(w);
}
static void twice(struct snapshot_writer *w)
{
	snapshot_begin_group(w, key_group(key_hash_long(1), 128));
	put_entry(w, 1, 8, 8);
	put_entry(w, 1, 8, 8);
	snapshot_end_part(w);
}
static void unknown(struct snapshot_writer *w)
{
	snapshot_begin_entry(w, "offsets");
	snapshot_end_part(w);
}

/* --------------------------------------------------------- watermarks */

static void test_watermarks_operator(void)
{
	struct graph_node nd = { .type = NODE_WATERMARKS };
	static char name[] = "Stamps";
	struct operator *op[2], *next;
	struct task *t[2], *tn = fake_task();
	struct record r = { "x", 1, 0, 0 };
	struct err e = { 0 };

	nd.name = name;
	nd.watermark = weir_bounded_out_of_orderness(10);
	for (int i = 0; i < 2; i++) {
		t[i] = fake_task();
		op[i] = fake_operator(t[i], &operator_watermarks, &nd, &e);
		r.ts = i == 0 ? 500 : 300;
		op[i]->type->record(op[i], &r);
		op[i]->type->timer(op[i], 200);
	}
	next = fake_operator(tn, &operator_watermarks, &nd, &e);
	for (int i = 0; i < 2; i++) {
		struct snapshot_writer w;

		take(op[i], &w);
		ok(snapshot_each(w.data, w.len, &op_id, on_part, next, &e) == 0, "watermarks: restored");
		snapshot_writer_fini(&w);
	}
	next->type->timer(next, 200);
	is_int(tn->n_out, 1, "watermarks: what was emitted is emitted again");
	is_int(tn->out[0].ts, 289, "watermarks: the least of two");
	r.ts = 295;
	next->type->record(next, &r);
	next->type->timer(next, 400);
	is_int(tn->n_out, 2, "watermarks: it never falls");
	r.ts = 400;
	next->type->record(next, &r);
	next->type->timer(next, 600);
	is_int(tn->out[3].ts, 389, "watermarks: and goes on");
	for (int i = 0; i < 2; i++) {
		fake_close(op[i]);
		fake_task_free(t[i]);
	}
	fake_close(next);
	fake_task_free(tn);
}

int main(void)
{
	test_random();
	test_processing_time();
	test_watermark_minimum();
	test_damage();
	test_serialized();
	refused(wrong_acc, "an accumulator of 24 bytes does not fit type");
	refused(wrong_key, "is damaged or of another kind");
	refused(wrong_group, "does not belong to key group");
	refused(twice, "has a key twice in one window");
	refused(unknown, "has an entry \"offsets\"");
	test_watermarks_operator();
	return tap_done();
}
