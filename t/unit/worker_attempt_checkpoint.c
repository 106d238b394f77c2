/*
 * Checkpoints of a whole attempt: a job on the slots of one process is triggered, dropped in its
 * middle and restored into a next attempt, with the same or another parallelism, until it has ended; its sums
 * are compared with what an undisturbed run must give.  Stop with savepoint, with and without drain, given up or not.
 */
#include "t/unit/attempt_fixture.h"

#include "worker/state/checkpoint_file.h"

#define TO       199999 /* last number; ends a window */
#define WINDOW   1000
#define N_KEYS   7
#define N_WINDOWS ((TO + 1) / WINDOW)
#define MAX_VERTICES 8

static char *record_path;
static uint64_t seed = 88172645463325252U;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed >> 8;
}

/* ------------------------------------------------------------ a coordinator */

static struct {
	pthread_mutex_t lock;
	uint64_t id;
	bool acked[MAX_VERTICES][N_SLOTS];
	void *state[MAX_VERTICES][N_SLOTS];
	size_t len[MAX_VERTICES][N_SLOTS];
	uint32_t n_late, n_twice, n_declined;
	char why[ERR_MSG_MAX];
} round_ = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void on_ack(void *arg, const struct ctl_ack *ack)
{
	(void)arg;
	pthread_mutex_lock(&round_.lock);
	if (ack->checkpoint_id != round_.id) {
		round_.n_late++;
	} else {
		round_.n_twice += round_.acked[ack->vertex][ack->subtask];
		free(round_.state[ack->vertex][ack->subtask]);
		round_.acked[ack->vertex][ack->subtask] = true;
		round_.state[ack->vertex][ack->subtask] =
		    xmemdup(ack->state_len > 0 ? ack->state : "", ack->state_len);
		round_.len[ack->vertex][ack->subtask] = ack->state_len;
	}
	pthread_mutex_unlock(&round_.lock);
}

static void on_decline(void *arg, const struct ctl_decline *d)
{
	(void)arg;
	pthread_mutex_lock(&round_.lock);
	round_.n_declined++;
	snprintf(round_.why, sizeof(round_.why), "%s", d->why.msg);
	pthread_mutex_unlock(&round_.lock);
}

static void forget_round(uint64_t next_id)
{
	pthread_mutex_lock(&round_.lock);
	for (unsigned v = 0; v < MAX_VERTICES; v++)
		for (unsigned s = 0; s < N_SLOTS; s++) {
			free(round_.state[v][s]);
			round_.state[v][s] = NULL;
			round_.acked[v][s] = false;
		}
	round_.id = next_id;
	pthread_mutex_unlock(&round_.lock);
}

static bool complete(const struct job_graph *jg)
{
	bool all = true;

	pthread_mutex_lock(&round_.lock);
	pthread_mutex_lock(&seen.lock);
	for (uint32_t v = 0; v < jg->n_vertices; v++)
		for (uint32_t s = 0; s < jg->vertices[v].parallelism; s++)
			all = all && (round_.acked[v][s] || seen.state[v][s] == TASK_FINISHED);
	pthread_mutex_unlock(&seen.lock);
	pthread_mutex_unlock(&round_.lock);
	return all;
}

/* `_metadata` of the round, in a memfd. */
static int make_file(const struct job_graph *jg, bool sources_finished)
{
	struct checkpoint_task tasks[MAX_VERTICES * N_SLOTS];
	static char name[] = "Recorded";
	struct checkpoint_file f = { .job_name = name, .id = round_.id, .attempt = 1, .tasks = tasks };
	struct err e = { 0 };
	void *data;
	size_t len;
	int fd;

	id_random(&f.job_id);
	for (uint32_t v = 0; v < jg->n_vertices; v++)
		for (uint32_t s = 0; s < jg->vertices[v].parallelism; s++)
			tasks[f.n_tasks++] = (struct checkpoint_task){
				.vertex = jg->vertices[v].id,
				.subtask = s,
				.parallelism = jg->vertices[v].parallelism,
				.max_parallelism = jg->vertices[v].max_parallelism,
				.finished = !round_.acked[v][s],
				.data = round_.acked[v][s] ? round_.state[v][s] : NULL,
				.len = round_.acked[v][s] ? round_.len[v][s] : 0,
			};
	for (uint32_t i = 0; sources_finished && i < f.n_tasks; i++)
		if (id_equal(&tasks[i].vertex, &jg->vertices[0].id)) {
			tasks[i].finished = true;
			tasks[i].data = NULL;
			tasks[i].len = 0;
		}
	data = checkpoint_file_encode(&f, &len);
	fd = file_memfd("state", data, len, &e);
	free(data);
	return fd;
}

/* ---------------------------------------------------------------- what came */

struct total {
	int64_t key, end_ms, sum;
};

static struct total *read_record(size_t *n)
{
	struct err e = { 0 };
	char *data = NULL;
	size_t len = 0;

	if (file_read(record_path, 64 << 20, &data, &len, &e) != 0)
		len = 0;
	*n = len / sizeof(struct total);
	return (struct total *)(void *)data;
}

static int64_t reference(int64_t key, int64_t end_ms)
{
	int64_t sum = 0;

	for (int64_t v = end_ms - WINDOW; v < end_ms; v++)
		if (v % N_KEYS == key)
			sum += v;
	return sum;
}

/* Every sum is right, and `all`: every window is there. Returns how many came more than once. */
static size_t check(bool all, const char *what)
{
	static uint8_t came[N_WINDOWS][N_KEYS];
	size_t n, wrong = 0, twice = 0, missing = 0;
	struct total *t = read_record(&n);

	memset(came, 0, sizeof(came));
	for (size_t i = 0; i < n; i++) {
		int64_t w = t[i].end_ms / WINDOW - 1;

		if (t[i].key < 0 || t[i].key >= N_KEYS || w < 0 || w >= N_WINDOWS ||
		    t[i].end_ms % WINDOW != 0 || t[i].sum != reference(t[i].key, t[i].end_ms)) {
			if (wrong++ == 0)
				diag("key %" PRId64 " end %" PRId64 ": sum %" PRId64 " not %" PRId64,
				    t[i].key, t[i].end_ms, t[i].sum, reference(t[i].key, t[i].end_ms));
			continue;
		}
		twice += came[w][t[i].key] > 0;
		came[w][t[i].key] = 1;
	}
	for (unsigned w = 0; w < N_WINDOWS; w++)
		for (unsigned k = 0; k < N_KEYS; k++)
			missing += came[w][k] == 0;
	is_int(wrong, 0, "%s: no sum is wrong", what);
	if (all)
		is_int(missing, 0, "%s: no window is missing", what);
	free(t);
	return twice;
}

/* ----------------------------------------------------------------- a run */

struct run {
	struct deployment dep;
	struct attempt *a;
	uint32_t n_tasks;
	bool chaining, at_least_once, sources_finished;
	int rate;
	uint64_t attempt, id; /* last ones used */
	int state_fd;         /* of the newest complete checkpoint, -1: none */
	uint64_t state_id;
};

static void begin(struct run *r, uint32_t parallelism)
{
	char to[24], rate[24];
	const char *argv[] = { "--to", to, "--rate", rate, "--record", record_path, "--chaining" };
	struct err e = { 0 };

	snprintf(to, sizeof(to), "%d", TO);
	snprintf(rate, sizeof(rate), "%d", r->rate);
	memset(&r->dep, 0, sizeof(r->dep));
	if (!make_deploy(&r->dep, argv, r->chaining ? 7 : 6, parallelism, ++r->attempt, &e))
		ok(false, "planned: %s", e.msg);
	r->dep.d.checkpointing = true;
	r->dep.d.at_least_once = r->at_least_once;
	r->dep.d.restore_fd = -1;
	if (r->state_fd >= 0) {
		r->dep.d.restore_fd = dup(r->state_fd);
		r->dep.d.restore_id = r->state_id;
	}
	r->n_tasks = r->dep.d.n_tasks;
	r->a = start(&r->dep);
	if (!UNTIL(count(TASK_RUNNING) + count(TASK_FINISHED) == r->n_tasks || n_failed() > 0, 20) ||
	    n_failed() > 0)
		ok(false, "all tasks RUNNING: %s", seen.cause.msg);
}

static void end(struct run *r)
{
	attempt_drop(r->a);
	if (!UNTIL(atomic_load(&seen.dropped), 20))
		ok(false, "dropped");
	attempt_destroy(r->a);
	fini_deploy(&r->dep);
}

static void trigger(struct run *r, enum checkpoint_kind kind, bool drain)
{
	struct ctl_trigger t = { .attempt = r->attempt,
		.checkpoint_id = ++r->id,
		.kind = kind,
		.drain = drain,
		.trigger_wall_ms = clock_wall_ms(&clock_system) };

	forget_round(r->id);
	attempt_trigger(r->a, &t);
}

static void keep(struct run *r)
{
	if (r->state_fd >= 0)
		close(r->state_fd);
	r->state_fd = make_file(r->dep.jg, r->sources_finished);
	r->state_id = r->id;
}

static bool over(const struct run *r)
{
	return count(TASK_FINISHED) == r->n_tasks || n_failed() > 0;
}

static void fini(struct run *r)
{
	if (r->state_fd >= 0)
		close(r->state_fd);
	forget_round(0);
	unlink(record_path);
}

/* ---------------------------------------------------------------- tests */

/* Dropped again and again at random instants, restored from the last complete checkpoint. */
static void test_drops(uint32_t parallelism, bool rescale, bool chaining)
{
	struct run r = { .state_fd = -1, .rate = 400000, .chaining = chaining };
	unsigned n_drops = 0, n_complete = 0, n_given_up = 0, n_restored = 0;
	char what[64];
	size_t twice;

	snprintf(what, sizeof(what), "parallelism %u%s%s", parallelism, rescale ? ", rescaled" : "",
	    chaining ? ", chained" : "");
	for (bool done = false; !done;) {
		uint32_t p = rescale && n_drops > 0 ? 1 + (uint32_t)(next_random() % N_SLOTS) : parallelism;
		int64_t drop_at;

		begin(&r, p);
		n_restored += r.state_fd >= 0;
		drop_at = n_drops < 6 ? now_ms() + 30 + (int64_t)(next_random() % 60) : INT64_MAX;
		while (!over(&r) && now_ms() < drop_at) {
			trigger(&r, CHECKPOINT_PERIODIC, false);
			if (next_random() % 5 == 0) {
				attempt_abort(r.a, r.id);
				n_given_up++;
			} else if (UNTIL(complete(r.dep.jg) || over(&r) || now_ms() >= drop_at, 10) &&
			    complete(r.dep.jg)) {
				keep(&r);
				n_complete++;
				attempt_notify(r.a, r.id);
			}
			nanosleep(&(struct timespec){ .tv_nsec = (long)(next_random() % 3000000) }, NULL);
		}
		done = over(&r);
		n_drops += !done;
		end(&r);
	}
	is_int(n_failed(), 0, "%s: no task failed%s%s", what, n_failed() > 0 ? ": " : "", seen.cause.msg);
	twice = check(true, what);
	ok(n_drops >= 4 && n_complete >= 5 && n_restored >= 4,
	    "%s: %u drops, %u restored, %u checkpoints complete, %u given up, %zu sums repeated", what,
	    n_drops, n_restored, n_complete, n_given_up, twice);
	fini(&r);
}

static void test_undisturbed(void)
{
	struct run r = { .state_fd = -1, .rate = 0 };

	begin(&r, 2);
	ok(UNTIL(over(&r), 20), "undisturbed: it ends");
	is_int(check(true, "undisturbed"), 0, "undisturbed: nothing comes twice");
	end(&r);
	fini(&r);
}

static void test_stop(bool chaining, uint32_t next_parallelism)
{
	struct run r = { .state_fd = -1, .rate = 400000, .chaining = chaining };
	size_t n_before, n_after;
	char what[64];

	snprintf(what, sizeof(what), "stop%s, then parallelism %u", chaining ? ", chained" : "",
	    next_parallelism);
	begin(&r, 2);
	UNTIL(sum(r.dep.jg, 0, METRIC_records_in) > 50000, 10);
	trigger(&r, CHECKPOINT_SYNC_SAVEPOINT, false);
	ok(UNTIL(complete(r.dep.jg), 10), "%s: the savepoint is complete", what);
	is_int(count(TASK_FINISHED), 0, "%s: no task ends before it is told", what);
	keep(&r);
	free(read_record(&n_before));
	attempt_notify(r.a, r.id);
	ok(UNTIL(over(&r), 10) && n_failed() == 0, "%s: then all tasks finish", what);
	free(read_record(&n_after));
	is_int(n_after, n_before, "%s: and no window fires for it", what);
	ok(sum(r.dep.jg, 0, METRIC_records_in) < TO, "%s: in the middle", what);
	end(&r);
	is_int(check(false, what), 0, "%s: nothing twice so far", what);
	begin(&r, next_parallelism);
	ok(UNTIL(over(&r), 20) && n_failed() == 0, "%s: the next attempt ends by itself", what);
	is_int(check(true, what), 0, "%s: nothing twice at the end", what);
	end(&r);
	fini(&r);
}

static void test_drain(void)
{
	struct run r = { .state_fd = -1, .rate = 400000 };
	int64_t want = 0, got = 0, n_numbers;
	struct total *t;
	size_t n;

	begin(&r, 1);
	UNTIL(sum(r.dep.jg, 0, METRIC_records_in) > 50000, 10);
	trigger(&r, CHECKPOINT_SYNC_SAVEPOINT, true);
	ok(UNTIL(complete(r.dep.jg), 10), "drain: the savepoint is complete");
	attempt_notify(r.a, r.id);
	ok(UNTIL(over(&r), 10) && n_failed() == 0, "drain: all tasks finish");
	n_numbers = sum(r.dep.jg, 0, METRIC_records_in);
	for (int64_t v = 0; v < n_numbers; v++)
		want += v;
	t = read_record(&n);
	for (size_t i = 0; i < n; i++)
		got += t[i].sum;
	free(t);
	ok(n_numbers < TO, "drain: in the middle");
	is_int(got, want, "drain: every number is in a window that was fired");
	end(&r);
	fini(&r);
}

static void test_stop_given_up(bool drain)
{
	struct run r = { .state_fd = -1, .rate = 400000 };

	begin(&r, 2);
	UNTIL(sum(r.dep.jg, 0, METRIC_records_in) > 20000, 10);
	trigger(&r, CHECKPOINT_SYNC_SAVEPOINT, drain);
	UNTIL(complete(r.dep.jg), 10);
	attempt_abort(r.a, r.id);
	ok(UNTIL(over(&r), 20), "a stop%s that is given up: the job %s", drain ? " with drain" : "",
	    drain ? "fails" : "goes on to its end");
	if (drain) {
		like(seen.cause.msg, "was given up after the stream had been drained", "with its sentence");
	} else {
		is_int(n_failed(), 0, "and no task fails");
		is_int(check(true, "given up"), 0, "given up: nothing twice");
	}
	end(&r);
	fini(&r);
}

static void test_at_least_once(void)
{
	struct run r = { .state_fd = -1, .rate = 400000, .at_least_once = true };
	unsigned n_complete = 0;

	begin(&r, 3);
	while (!over(&r)) {
		trigger(&r, CHECKPOINT_PERIODIC, false);
		if (UNTIL(complete(r.dep.jg) || over(&r), 10) && complete(r.dep.jg))
			n_complete++;
	}
	ok(n_complete >= 2, "at least once: %u checkpoints complete", n_complete);
	is_int(check(true, "at least once"), 0, "at least once: nothing twice while nothing fails");
	end(&r);
	fini(&r);
}

/* Several checkpoints under way at once: each is acknowledged by every task. */
static void test_burst(bool at_least_once)
{
	struct run r = { .state_fd = -1, .rate = 400000, .at_least_once = at_least_once };
	uint32_t n_late, n_tasks;

	begin(&r, 2);
	n_tasks = r.n_tasks;
	UNTIL(sum(r.dep.jg, 0, METRIC_records_in) > 1000, 10);
	forget_round(5);
	pthread_mutex_lock(&round_.lock);
	n_late = round_.n_late;
	pthread_mutex_unlock(&round_.lock);
	for (r.id = 1; r.id <= 5; r.id++) {
		struct ctl_trigger t = { .attempt = r.attempt, .checkpoint_id = r.id, .trigger_wall_ms = 1 };

		attempt_trigger(r.a, &t);
	}
	ok(UNTIL(complete(r.dep.jg), 10), "burst%s: the last of five is complete",
	    at_least_once ? ", at least once" : "");
	pthread_mutex_lock(&round_.lock);
	is_int(round_.n_late - n_late, 4 * n_tasks, "burst: the four before it, too");
	pthread_mutex_unlock(&round_.lock);
	ok(UNTIL(over(&r), 20) && n_failed() == 0, "burst: the job ends");
	is_int(check(true, "burst"), 0, "burst: nothing twice");
	end(&r);
	fini(&r);
}

/* Triggers and words that come too late, twice, or for nothing. */
static void test_late_words(void)
{
	struct run r = { .state_fd = -1, .rate = 400000 };
	uint64_t id;

	begin(&r, 2);
	trigger(&r, CHECKPOINT_PERIODIC, false);
	ok(UNTIL(complete(r.dep.jg), 10), "late words: a checkpoint");
	id = r.id;
	for (int i = 0; i < 3; i++) {
		r.id = id - 1;
		trigger(&r, CHECKPOINT_PERIODIC, false); /* the same id again */
		attempt_abort(r.a, id);
		attempt_notify(r.a, id + 7);
		attempt_abort(r.a, id + 9);
	}
	r.id = id + 9;
	trigger(&r, CHECKPOINT_PERIODIC, false);
	ok(UNTIL(complete(r.dep.jg), 10), "late words: and the next one is complete");
	ok(UNTIL(over(&r), 20) && n_failed() == 0, "late words: the job ends");
	is_int(check(true, "late words"), 0, "late words: nothing twice");
	end(&r);
	fini(&r);
}

/* Sources that had ended by themselves do not begin anew. */
static void test_finished(void)
{
	struct run r = { .state_fd = -1, .rate = 400000, .sources_finished = true };
	size_t n_before, n_after;

	begin(&r, 2);
	UNTIL(sum(r.dep.jg, 0, METRIC_records_in) > 20500, 10);
	trigger(&r, CHECKPOINT_SYNC_SAVEPOINT, false);
	ok(UNTIL(complete(r.dep.jg), 10), "finished sources: a savepoint");
	keep(&r);
	attempt_notify(r.a, r.id);
	UNTIL(over(&r), 10);
	free(read_record(&n_before));
	end(&r);
	begin(&r, 3);
	ok(UNTIL(over(&r), 10) && n_failed() == 0, "finished sources: the next attempt ends");
	is_int(sum(r.dep.jg, 0, METRIC_records_in), 0, "finished sources: bring nothing");
	free(read_record(&n_after));
	ok(n_after > n_before, "finished sources: the last windows fire");
	end(&r);
	fini(&r);
}

static void test_refused(void)
{
	struct run r = { .state_fd = -1, .rate = 400000 };
	struct err e = { 0 };
	char *data;
	size_t len;

	begin(&r, 2);
	trigger(&r, CHECKPOINT_PERIODIC, false);
	UNTIL(complete(r.dep.jg), 10);
	keep(&r);
	end(&r);
	file_read_fd(r.state_fd, CHECKPOINT_FILE_MAX, &data, &len, &e);
	data[len / 2] ^= 1;
	close(r.state_fd);
	r.state_fd = file_memfd("state", data, len, &e);
	free(data);
	{
		char to[] = "99", rate[] = "0";
		const char *argv[] = { "--to", to, "--rate", rate };

		memset(&r.dep, 0, sizeof(r.dep));
		make_deploy(&r.dep, argv, 4, 2, ++r.attempt, &e);
		r.dep.d.checkpointing = true;
		r.dep.d.restore_fd = dup(r.state_fd);
		r.dep.d.restore_id = 1;
		r.a = start(&r.dep);
	}
	ok(UNTIL(deploy_failed(), 10), "a damaged file is refused");
	like(seen.cause.msg, "restore from checkpoint 1", "with what was tried");
	diag("%s", seen.cause.msg);
	end(&r);
	fini(&r);
}

int main(void)
{
	char dir[] = "/tmp/weir-ckpt-XXXXXX";
	unsigned fds;

	if (mkdtemp(dir) == NULL)
		return 1;
	record_path = xasprintf("%s/record", dir);
	events.ack = on_ack;
	events.decline = on_decline;
	fixture_init("recorded");
	fds = n_fds();
	test_undisturbed();
	test_drops(2, false, false);
	test_drops(2, false, true);
	test_drops(2, true, false);
	test_stop(false, 2);
	test_stop(true, 2);
	test_stop(false, 1);
	test_stop(false, 3);
	test_drain();
	test_stop_given_up(false);
	test_stop_given_up(true);
	test_at_least_once();
	test_burst(false);
	test_burst(true);
	test_late_words();
	test_finished();
	test_refused();
	is_int(round_.n_declined, 0, "no task declined%s%s", round_.n_declined > 0 ? ": " : "", round_.why);
	is_int(round_.n_twice, 0, "no task acknowledges twice");
	is_int(n_fds(), fds, "no descriptor is left");
	fixture_fini();
	rmdir(dir);
	free(record_path);
	return tap_done();
}
