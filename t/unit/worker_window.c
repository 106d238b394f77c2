/*
 * The window operator, driven by hand and against a slow reference that counts on a
 * sorted list; and its live windows.
 */
#include "t/tap.h"
#include "t/unit/window_fixture.h"
#include "worker/operators/window_ends.h"

static void by_hand(void)
{
	struct task *t = fake_task();
	struct err e;
	struct operator *op =
	    fake_operator(t, &operator_window, window_node(10, 0, WEIR_EVENT_TIME, true), &e);

	add(op, 1, 5, 0);
	add(op, 2, 7, 9);
	add(op, 1, 1, 9);
	add(op, 1, 100, 10);
	add(op, 3, 2, -1);
	fake_advance(op, 8);
	is_int(t->n_out, 2, "watermark 8 fires the window before 0 only, and is passed on");
	is_int(at(t, 0).start_ms, -10, "a negative timestamp belongs to the window below zero");
	is_int(at(t, 0).end_ms, 0, "which ends at zero");
	fake_advance(op, 9);
	is_int(t->n_out, 5, "watermark end - 1 fires exactly the window");
	is_int(at(t, 2).key, 1, "in order of the keys' first records");
	is_int(at(t, 2).sum, 6, "its sum");
	is_int(at(t, 3).sum, 7, "the other key's sum");
	is_int(t->out[2].ts, 9, "results are stamped with the window's last millisecond");
	is_int(at(t, 2).ctx_ts, 9, "the context's timestamp too");
	is_int(at(t, 2).ctx_wm, 9, "and it shows the watermark");
	is_str(t->out[4].kind == 'w' ? "w" : "?", "w", "the watermark follows the results");
	add(op, 1, 5, 9);
	is_int(metrics_get(&t->metrics, METRIC_late_dropped), 1,
	    "a record of the fired window is late and counted");
	add(op, 1, 5, 10);
	is_int(metrics_get(&t->metrics, METRIC_late_dropped), 1, "one of the next window is not");
	fake_advance(op, WEIR_MAX_TIMESTAMP);
	is_int(at(t, 5).sum, 105, "the last watermark fires the rest");
	is_str(t->failure, "", "nothing failed");
	fake_close(op);
	fake_task_free(t);
}

static void offsets_and_plain_results(void)
{
	struct task *t = fake_task();
	struct err e;
	struct operator *op =
	    fake_operator(t, &operator_window, window_node(10, 3, WEIR_EVENT_TIME, false), &e);
	int64_t sum;

	add(op, 1, 5, 2);
	add(op, 1, 6, 3);
	fake_advance(op, 2);
	is_int(t->n_out, 2, "a window with offset 3 ends at 3");
	memcpy(&sum, t->out[0].data, sizeof(sum));
	is_int(sum, 5, "without a window function the aggregate's result is the output");
	is_int(t->out[0].len, sizeof(sum), "of its own type");
	fake_close(op);
	fake_task_free(t);
}

static void processing_time(void)
{
	struct task *t = fake_task();
	struct err e;
	struct operator *op;

	t->wall_ms = 1003;
	op = fake_operator(t, &operator_window, window_node(10, 0, WEIR_PROCESSING_TIME, true), &e);
	add(op, 1, 5, WEIR_MIN_TIMESTAMP);
	is_int(op->timer_ms, 1010, "a processing-time window asks for the clock at its end");
	t->wall_ms = 1009;
	add(op, 1, 6, 55);
	op->type->timer(op, 1010);
	is_int(t->n_out, 1, "and fires then");
	is_int(at(t, 0).sum, 11, "with all that came, whatever its timestamp");
	is_int(op->timer_ms, INT64_MAX, "no window, no timer");
	fake_advance(op, WEIR_MAX_TIMESTAMP);
	is_int(t->n_out, 2, "watermarks are only passed on");
	fake_close(op);
	fake_task_free(t);
}

static void failures(void)
{
	struct task *t = fake_task();
	struct err e;
	struct operator *op =
	    fake_operator(t, &operator_window, window_node(10, 0, WEIR_EVENT_TIME, true), &e);

	add(op, 1, 666, 5);
	like(t->failure, "the amount is unlucky", "a function's own sentence");
	fake_close(op);
	fake_task_free(t);

	t = fake_task();
	op = fake_operator(t, &operator_window, window_node(10, 0, WEIR_EVENT_TIME, true), &e);
	add(op, 1, 667, 5);
	like(t->failure, "returned -3 without saying why", "a function that gives none");
	fake_close(op);
	fake_task_free(t);

	t = fake_task();
	op = fake_operator(t, &operator_window, window_node(10, 0, WEIR_EVENT_TIME, true), &e);
	add(op, 1, 5, WEIR_MIN_TIMESTAMP);
	like(t->failure, "no timestamp", "event time without a timestamp");
	fake_close(op);
	fake_task_free(t);

	t = fake_task();
	op = fake_operator(t, &operator_window, window_node(10, 0, WEIR_EVENT_TIME, true), &e);
	add(op, 1, 5, INT64_MAX - 1);
	like(t->failure, "begins or ends beyond", "a window that cannot end");
	fake_close(op);
	fake_task_free(t);

	t = fake_task();
	t->subtask = 1;
	t->parallelism = 2;
	op = fake_operator(t, &operator_window, window_node(10, 0, WEIR_EVENT_TIME, true), &e);
	{
		int64_t k = 0;

		while (key_group_subtask(key_group(key_hash_long(k), 128), 128, 2) == 1)
			k++;
		add(op, k, 1, 5);
	}
	like(t->failure, "key group", "a record that came to the wrong subtask is named");
	fake_close(op);
	fake_task_free(t);
}

/* Random records with bounded disorder and watermarks; every window counted on the side. */
#define N_KEYS    50
#define N_WINDOWS 64
static void against_reference(unsigned seed)
{
	struct task *t = fake_task();
	struct err e;
	int64_t want[N_KEYS][N_WINDOWS] = { { 0 } }, got[N_KEYS][N_WINDOWS] = { { 0 } };
	int fired[N_KEYS][N_WINDOWS] = { { 0 } }, wrong = 0, late = 0;
	struct operator *op =
	    fake_operator(t, &operator_window, window_node(100, 0, WEIR_EVENT_TIME, true), &e);
	int64_t now = 0, wm = WEIR_MIN_TIMESTAMP;
	size_t i;
	int n, k, w;

	for (n = 0; n < 20000; n++) {
		int64_t key, ts;

		seed = seed * 1103515245u + 12345u;
		now = (int64_t)n * N_WINDOWS * 100 / 20000;
		key = (seed >> 16) % N_KEYS;
		ts = now - (int64_t)((seed >> 8) % 150);
		if (ts < 0)
			ts = 0;
		if (ts / 100 * 100 + 99 <= wm)
			late++;
		else
			want[key][ts / 100] += n % 7 + 1;
		add(op, key, n % 7 + 1, ts);
		if (n % 50 == 0) {
			wm = now - 90;
			fake_advance(op, wm);
		}
	}
	fake_advance(op, WEIR_MAX_TIMESTAMP);
	for (i = 0; i < t->n_out; i++) {
		result r = at(t, i);

		if (t->out[i].kind != 'r')
			continue;
		got[r.key][r.start_ms / 100] += r.sum;
		fired[r.key][r.start_ms / 100]++;
	}
	for (k = 0; k < N_KEYS; k++)
		for (w = 0; w < N_WINDOWS; w++)
			wrong += want[k][w] != got[k][w] || fired[k][w] != (want[k][w] > 0);
	is_int(wrong, 0, "20,000 records: every window as the reference counts it, fired once");
	is_int(metrics_get(&t->metrics, METRIC_late_dropped), late, "and %d late ones", late);
	ok(late > 50, "there were late ones");
	fake_close(op);
	fake_task_free(t);
}

static void many_ends(void)
{
	struct window_ends w;
	int64_t last = INT64_MIN;
	int i, sorted = 1, n = 0;

	window_ends_init(&w);
	is_int(window_ends_first(&w), INT64_MAX, "no window, no end");
	for (i = 0; i < 10000; i++)
		window_ends_get(&w, (int64_t)(i * 7919 % 10007) * 15000)->first = (arena_ref)i + 1;
	for (i = 0; i < 10000; i++)
		window_ends_get(&w, (int64_t)(i * 7919 % 10007) * 15000)->n++;
	is_int(w.n, 10000, "each end once");
	while (window_ends_first(&w) != INT64_MAX) {
		struct window_end we = window_ends_pop(&w);

		sorted &= we.end_ms > last && we.n == 2 && we.first != 0;
		last = we.end_ms;
		n++;
	}
	ok(sorted, "they come out in order, each with what was kept");
	is_int(n, 10000, "all of them");
	window_ends_fini(&w);
}

int main(void)
{
	by_hand();
	offsets_and_plain_results();
	processing_time();
	failures();
	against_reference(1);
	against_reference(77);
	many_ends();
	return tap_done();
}
