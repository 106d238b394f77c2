/*
 * A source's state in checkpoints, without a broker: readers that are restored at random points give what
 * an undisturbed one gives, at other parallelisms too; entries that are damaged; partitions that are new.
 */
#include "t/unit/fake_task.h"

#include "t/tap.h"
#include "worker/connectors/kafka_state.h"
#include "worker/connectors/reader.h"

#define TOPIC        "t"
#define N_PARTITIONS 6
#define N_MESSAGES   600
#define MAX_READERS  3

typedef struct event {
	int64_t ts, partition, offset;
} event;
WEIR_TYPE(event);

WEIR_DESERIALIZER(read_event, event)(weir_ctx *ctx, const weir_message *m, event *e)
{
	(void)ctx;
	memcpy(e, m->value, sizeof(*e));
	return 1;
}
WEIR_TIMESTAMP_ASSIGNER(event_ts, event)(weir_ctx *ctx, const event *e, int64_t ts)
{
	(void)ctx;
	(void)ts;
	return e->ts;
}

static uint64_t random_state;
static uint32_t rnd(uint32_t n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(random_state >> 33) % n;
}

/* ---------------------------------------------------------- what there is to read */

/* The topic: in which order its messages come out of a broker, and where a fetch's answer ends. */
static event topic[N_MESSAGES];
static bool boundary[N_MESSAGES];

static void make_topic(void)
{
	int64_t next[N_PARTITIONS] = { 0 }, clock_ms = 1000000;

	for (int i = 0; i < N_MESSAGES; i++) {
		uint32_t p = rnd(N_PARTITIONS);

		clock_ms += rnd(20);
		topic[i] = (event){ clock_ms - rnd(300), p, next[p]++ };
		boundary[i] = rnd(3) == 0;
	}
}

/* One subtask's source. */
struct source {
	struct fetcher base; /* first */
	struct reader *r;
	struct operator *op;
	struct task *task;
	int64_t start[N_PARTITIONS]; /* INT64_MAX: not its own */
	uint32_t split_of[N_PARTITIONS];
	int at; /* in the topic */
	struct kafka_reader_place place;
};

static struct clock_virtual clk;
static struct graph_node node;

static int fake_fetch(struct fetcher *base, struct raw_message *out, unsigned max, struct err *e)
{
	struct source *s = (struct source *)(void *)base;
	int n = 0;

	(void)e;
	while (s->at < N_MESSAGES && (unsigned)n < max) {
		const event *m = &topic[s->at];
		bool last = boundary[s->at++];

		if (m->offset >= s->start[m->partition])
			out[n++] = (struct raw_message){ RAW_MESSAGE, s->split_of[m->partition],
				{ .struct_size = sizeof(weir_message),
				    .value = m,
				    .value_len = sizeof(*m),
				    .topic = TOPIC,
				    .partition = (int32_t)m->partition,
				    .offset = m->offset } };
		if (last && n > 0)
			break;
	}
	return n;
}
static int64_t fake_evidence(struct fetcher *base)
{
	(void)base;
	return INT64_MIN;
}
static int64_t host_excluded(void *arg)
{
	(void)arg;
	return 0;
}
static void host_fail(void *arg, const char *sentence)
{
	task_fail(arg, "%s", sentence);
}
static const char *host_user_error(void *arg)
{
	(void)arg;
	return "";
}
static int no_open(struct operator *o, struct err *e)
{
	(void)o, (void)e;
	return 0;
}
static void no_close(struct operator *o)
{
	(void)o;
}
static const struct operator_type source_type = {
	.name = "source", .size = sizeof(struct operator), .open = no_open, .close = no_close
};

static const struct id128 op_id = { { 7 } };
struct saved {
	struct snapshot_writer w[MAX_READERS];
	uint32_t n;
};
struct restoring {
	struct kafka_state *k;
	const struct kafka_reader_place *place;
};

static int restore_part(void *arg, struct snapshot_part *part, struct err *e)
{
	struct restoring *x = arg;

	return kafka_state_restore(x->k, x->place, part, e);
}

/* Make one subtask; saved may be NULL. */
static void source_open(struct source *s, uint32_t subtask, uint32_t parallelism, const struct saved *saved)
{
	struct reader_host host = { &clk.clock, host_excluded, host_fail, host_user_error, NULL, NULL };
	struct reader_options reader_options = { false, NS_PER_S };
	struct kafka_options o = { .topic = TOPIC };
	struct kafka_state k = { 0 };
	struct restoring x = { &k, &s->place };
	struct err e = { 0 };

	*s = (struct source){ .base = { fake_fetch, fake_evidence },
		.place = { TOPIC, subtask, parallelism } };
	for (uint32_t i = 0; saved != NULL && i < saved->n; i++)
		if (snapshot_each(saved->w[i].data, saved->w[i].len, &op_id, restore_part, &x, &e) != 0)
			ok(false, "restore: %s", e.msg);
	s->task = fake_task();
	s->op = fake_operator(s->task, &source_type, &node, &e);
	host.arg = s->task;
	host.metrics = &s->task->metrics;
	s->r = reader_create(s->op, &host, &reader_options, &s->base);
	for (int32_t p = 0; p < N_PARTITIONS; p++) {
		struct kafka_split split = { .partition = p, .start = 0, .stop = READER_NO_END };
		const struct reader_split_state *past = kafka_state_find(&k, p);

		s->start[p] = INT64_MAX;
		if (kafka_partition_owner(TOPIC, p, parallelism) != subtask)
			continue;
		ASSERT(kafka_state_place(&k, &o, &split));
		s->split_of[p] = reader_add_split(s->r, TOPIC, p, split.start, split.stop);
		if (past != NULL)
			reader_restore_split(s->r, s->split_of[p], past);
		s->start[p] = split.start;
	}
	reader_discovered(s->r, false);
	kafka_state_fini(&k);
}

static void source_close(struct source *s)
{
	reader_destroy(s->r);
	fake_close(s->op);
	fake_task_free(s->task);
}

static void source_save(const struct source *s, struct snapshot_writer *w)
{
	snapshot_writer_init(w);
	snapshot_begin(w, &op_id);
	for (int32_t p = 0; p < N_PARTITIONS; p++) {
		struct reader_split_state st;

		if (s->start[p] == INT64_MAX)
			continue;
		reader_split_state(s->r, s->split_of[p], &st);
		kafka_state_put_split(w, TOPIC, p, &st);
	}
	snapshot_end(w);
}

static void saved_free(struct saved *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		snapshot_writer_fini(&s->w[i]);
}

static void poll_once(struct source *s)
{
	int64_t d = INT64_MAX;

	clock_virtual_advance(&clk, 1);
	reader_poll(s->r, &d);
}

/* ------------------------------------------------------------------ tests */

struct log {
	struct emitted *e;
	size_t n, cap;
};

/* A watermark that says nothing new is none. */
static void log_take(struct log *l, const struct task *t)
{
	int64_t mark = INT64_MIN;

	for (size_t i = 0; i < l->n; i++)
		if (l->e[i].kind == 'w')
			mark = l->e[i].ts;
	for (size_t i = 0; i < t->n_out; i++) {
		if (t->out[i].kind == 'w' && t->out[i].ts == mark)
			continue;
		if (t->out[i].kind == 'w')
			mark = t->out[i].ts;
		VEC_RESERVE(l->e, l->n, l->cap);
		l->e[l->n++] = t->out[i];
	}
}

static bool log_equal(const struct log *a, const struct log *b)
{
	for (size_t i = 0; i < a->n && i < b->n; i++)
		if (a->e[i].kind != b->e[i].kind || a->e[i].ts != b->e[i].ts ||
		    memcmp(a->e[i].data, b->e[i].data, sizeof(event)) != 0) {
			diag("element %zu differs", i);
			return false;
		}
	return a->n == b->n;
}

static void test_restore_anywhere(void)
{
	int wrong = 0, not_first = 0, n_restores = 0;

	for (int round = 0; round < 40; round++) {
		struct log calm = { 0 }, disturbed = { 0 };
		struct source s;
		int left = N_MESSAGES;

		make_topic();
		source_open(&s, 0, 1, NULL);
		while (s.at < N_MESSAGES)
			poll_once(&s);
		log_take(&calm, s.task);
		source_close(&s);

		source_open(&s, 0, 1, NULL);
		while (left > 0) {
			struct saved saved = { .n = 1 };
			int64_t mark;
			int n = 1 + (int)rnd(60), at;

			for (; n > 0 && s.at < N_MESSAGES; n--)
				poll_once(&s);
			/* A checkpoint in the middle of a batch: its rest was not read. */
			s.task->hot.interrupt = rnd(2) == 0;
			at = s.task->hot.interrupt ? 0 : s.at;
			if (s.at < N_MESSAGES && s.task->hot.interrupt)
				poll_once(&s);
			left = N_MESSAGES - s.at;
			source_save(&s, &saved.w[0]);
			/* What happens after the snapshot is undone. */
			log_take(&disturbed, s.task);
			mark = s.op->watermark;
			for (n = (int)rnd(5); n > 0 && s.at < N_MESSAGES; n--)
				poll_once(&s);
			source_close(&s);
			source_open(&s, 0, 1, &saved);
			s.at =
			    rnd(2) == 0 ? at : 0; /* a broker's answer may begin before what was asked for */
			not_first += mark != WEIR_MIN_TIMESTAMP &&
			    (s.task->n_out != 1 || s.task->out[0].kind != 'w' || s.task->out[0].ts != mark);
			n_restores++;
			saved_free(&saved);
		}
		while (s.at < N_MESSAGES)
			poll_once(&s);
		log_take(&disturbed, s.task);
		source_close(&s);
		wrong += !log_equal(&calm, &disturbed);
		free(calm.e);
		free(disturbed.e);
	}
	ok(wrong == 0, "40 runs with %d restores emit what undisturbed ones do", n_restores);
	is_int(not_first, 0, "the restored watermark comes before all else");
}

/* The lowest watermark of those that have partitions. */
static int64_t lowest(const struct source *s, uint32_t n)
{
	int64_t low = INT64_MAX;

	for (uint32_t i = 0; i < n; i++)
		if (reader_n_splits(s[i].r) > 0 && s[i].op->watermark < low)
			low = s[i].op->watermark;
	return low;
}

static void test_rescale(void)
{
	static const uint32_t parallelism[] = { 2, 3, 1 };
	int wrong = 0, wrong_mark = 0, missing = 0;

	for (int round = 0; round < 40; round++) {
		int64_t next[N_PARTITIONS] = { 0 }, mark = INT64_MAX;
		struct saved saved = { 0 };

		make_topic();
		for (int phase = 0; phase < 3; phase++) {
			struct source s[MAX_READERS];
			uint32_t n = parallelism[phase];
			int polls = phase == 2 ? 2 * N_MESSAGES : (int)rnd(100);

			for (uint32_t i = 0; i < n; i++)
				source_open(&s[i], i, n, phase == 0 ? NULL : &saved);
			wrong_mark += phase > 0 && lowest(s, n) != mark;
			for (; polls > 0; polls--)
				poll_once(&s[rnd(n)]);
			mark = lowest(s, n);
			saved_free(&saved);
			saved.n = n;
			for (uint32_t i = 0; i < n; i++) {
				source_save(&s[i], &saved.w[i]);
				for (size_t j = 0; j < s[i].task->n_out; j++) {
					const struct emitted *o = &s[i].task->out[j];
					event e;

					if (o->kind != 'r')
						continue;
					memcpy(&e, o->data, sizeof(e));
					wrong += e.offset != next[e.partition]++;
				}
				source_close(&s[i]);
			}
		}
		saved_free(&saved);
		for (int i = 0; i < N_MESSAGES; i++)
			missing += topic[i].offset >= next[topic[i].partition];
	}
	is_int(wrong, 0, "2, then 3, then 1: every partition goes on where it was");
	is_int(missing, 0, "to its end");
	is_int(wrong_mark, 0, "and the watermark of all together is what it was");
}

/* ---- entries ---- */

static struct kafka_state k;

static void put_into(struct snapshot_writer *w, void (*fn)(struct snapshot_writer *w))
{
	snapshot_writer_init(w);
	snapshot_begin(w, &op_id);
	fn(w);
	snapshot_end(w);
}

/* Restore subtask 0 of 1 from it. */
static int restore_from(const struct snapshot_writer *w, struct err *e)
{
	static const struct kafka_reader_place place = { TOPIC, 0, 1 };
	struct restoring x = { &k, &place };

	return snapshot_each(w->data, w->len, &op_id, restore_part, &x, e);
}

static const struct reader_split_state some = { 17, READER_NO_END, 5000, 4000, false };

static void put_zero_and_three(struct snapshot_writer *w)
{
	static const struct reader_split_state unread = { -2, 90, WEIR_MIN_TIMESTAMP, WEIR_MIN_TIMESTAMP,
		false },
					       over = { 40, 40, 9, 8, true };

	kafka_state_put_split(w, TOPIC, 0, &some);
	kafka_state_put_split(w, TOPIC, 3, &unread);
	kafka_state_put_split(w, TOPIC, 1, &over);
}
static void put_twice(struct snapshot_writer *w)
{
	kafka_state_put_split(w, TOPIC, 0, &some);
	kafka_state_put_split(w, TOPIC, 0, &some);
}
static void put_other(struct snapshot_writer *w)
{
	kafka_state_put_split(w, "u", 0, &some);
}
static void put_strange(struct snapshot_writer *w)
{
	snapshot_begin_entry(w, "strange");
	snapshot_end_part(w);
}
static void put_fresh_second_of_two(struct snapshot_writer *w)
{
	static const struct kafka_state none;
	static const struct kafka_reader_place second = { TOPIC, 1, 2 };

	kafka_state_put_unread(&none, &second, w);
	/* The first has read partition 0 (or 1: whichever is its own). */
	for (int32_t p = 0; p < 2; p++)
		if (kafka_partition_owner(TOPIC, p, 2) == 0)
			kafka_state_put_split(w, TOPIC, p, &some);
}

static void put_none(struct snapshot_writer *w)
{
	static const struct kafka_reader_place second = { TOPIC, 1, 2 };

	kafka_state_put_none(w, &second);
}
/* As the runtime says it. */
static void put_finished(struct snapshot_writer *w)
{
	snapshot_begin_entry(w, "finished");
	snapshot_put_u32(w, 1);
	snapshot_put_u32(w, 2);
	snapshot_end_part(w);
}

static void nothing_new(void (*fn)(struct snapshot_writer *w), const char *what)
{
	static const struct kafka_reader_place place = { TOPIC, 0, 1 };
	struct kafka_options bounded = { .topic = TOPIC, .bounded = true };
	struct kafka_split s = { .partition = 1, .start = -2, .stop = READER_NO_END };
	struct snapshot_writer w, again;
	struct err e = { 0 };

	put_into(&w, fn);
	is_int(restore_from(&w, &e), 0, "%s", what);
	ok(!kafka_state_place(&k, &bounded, &s), "its partitions are not read once more");
	snapshot_writer_init(&again);
	snapshot_begin(&again, &op_id);
	kafka_state_put_unread(&k, &place, &again);
	snapshot_end(&again);
	kafka_state_fini(&k);
	is_int(restore_from(&again, &e), 0, "saved unread");
	ok(!kafka_state_place(&k, &bounded, &s), "nor after that");
	snapshot_writer_fini(&again);
	snapshot_writer_fini(&w);
	kafka_state_fini(&k);
}

static void refused(void (*fn)(struct snapshot_writer *w), const char *sentence, const char *what)
{
	struct snapshot_writer w;
	struct err e = { 0 };

	put_into(&w, fn);
	is_int(restore_from(&w, &e), -1, "%s: refused", what);
	like(e.msg, sentence, "and said");
	snapshot_writer_fini(&w);
	kafka_state_fini(&k);
}

static void test_entries(void)
{
	struct kafka_options unbounded = { .topic = TOPIC }, bounded = { .topic = TOPIC, .bounded = true };
	struct kafka_split s = { .partition = 0, .start = -2, .stop = READER_NO_END };
	static const struct kafka_reader_place place = { TOPIC, 0, 1 };
	struct snapshot_writer w, again;
	struct err e = { 0 };

	ok(kafka_state_place(&k, &bounded, &s) && !s.placed, "without state: by the startup mode");

	put_into(&w, put_zero_and_three);
	is_int(restore_from(&w, &e), 0, "entries are taken");
	ok(kafka_state_place(&k, &bounded, &s) && s.placed && s.start == 17 && s.stop == READER_NO_END &&
		!s.ended,
	    "a split goes on where it was");
	s = (struct kafka_split){ .partition = 3, .start = -2, .stop = READER_NO_END };
	ok(kafka_state_place(&k, &bounded, &s) && s.placed && s.start == -2 && s.stop == 90,
	    "one of which nothing was read goes on at its beginning, to the stop it had");
	s = (struct kafka_split){ .partition = 1, .start = -2, .stop = READER_NO_END };
	ok(kafka_state_place(&k, &bounded, &s) && s.ended && s.stop == 40, "one that had ended has");
	s = (struct kafka_split){ .partition = 1, .start = -2, .stop = READER_NO_END };
	ok(kafka_state_place(&k, &unbounded, &s) && !s.ended && s.start == 40 && s.stop == READER_NO_END,
	    "but not where the job has no bound any more");
	s = (struct kafka_split){ .partition = 2, .start = -2, .stop = READER_NO_END };
	ok(!kafka_state_place(&k, &bounded, &s), "a new partition is no part of a bounded run");
	ok(kafka_state_place(&k, &unbounded, &s) && s.placed && s.start == -2,
	    "and read from its beginning by another");
	is_int(kafka_state_check(&k, &unbounded, 4, &e), 0, "all partitions are there");
	is_int(kafka_state_check(&k, &unbounded, 3, &e), -1, "one is not");
	like(e.msg, "topic t, partition 3, offset -1: the partition was read before", "and is named");

	/* Before anything is read, a snapshot repeats what was restored. */
	snapshot_writer_init(&again);
	snapshot_begin(&again, &op_id);
	kafka_state_put_unread(&k, &place, &again);
	snapshot_end(&again);
	ok(again.len == w.len && memcmp(again.data, w.data, w.len) == 0, "it can be saved again unread");
	snapshot_writer_fini(&again);
	snapshot_writer_fini(&w);
	kafka_state_fini(&k);

	nothing_new(put_none, "a subtask without partitions");
	nothing_new(put_finished, "a subtask that had finished");

	put_into(&w, put_fresh_second_of_two);
	is_int(restore_from(&w, &e), 0, "a subtask that had found nothing yet");
	for (int32_t p = 0; p < 4; p++) {
		bool of_second = kafka_partition_owner(TOPIC, p, 2) == 1;

		s = (struct kafka_split){ .partition = p, .start = -2, .stop = READER_NO_END };
		ok(kafka_state_place(&k, &unbounded, &s) && s.placed != of_second, "partition %d: %s", (int)p,
		    of_second ? "starts for the first time" : "does not");
	}
	snapshot_writer_fini(&w);
	kafka_state_fini(&k);

	refused(put_twice, "topic t, partition 0: its state is there twice", "one partition twice");
	refused(put_other, "the state is of topic u, but the source reads topic t", "another topic");
	refused(put_strange, "a Kafka source has no state called \"strange\"", "an unknown entry");
}

static int cut_part(void *arg, struct snapshot_part *part, struct err *e)
{
	static const struct kafka_reader_place place = { TOPIC, 0, 1 };
	int *accepted = arg;
	const uint8_t *end = part->end;

	for (part->end = part->p; part->end < end; part->end++) {
		struct snapshot_part shorter = *part;
		struct err why = { 0 };

		*accepted += kafka_state_restore(&k, &place, &shorter, &why) == 0;
		kafka_state_fini(&k);
	}
	part->p = part->end = end;
	(void)e;
	return 0;
}

static void test_damage(void)
{
	struct snapshot_writer w;
	struct err e = { 0 };
	int accepted = 0;

	static void (*const puts[])(struct snapshot_writer * w) = { put_fresh_second_of_two,
		put_zero_and_three, put_none, put_finished };

	for (unsigned i = 0; i < sizeof(puts) / sizeof(puts[0]); i++) {
		put_into(&w, puts[i]);
		is_int(snapshot_each(w.data, w.len, &op_id, cut_part, &accepted, &e), 0,
		    "every entry, cut at every byte");
		is_int(accepted, 0, "is refused");
		snapshot_writer_fini(&w);
	}
}

int main(int argc, char **argv)
{
	random_state = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL);
	diag("seed %llu", (unsigned long long)random_state);
	clock_virtual_init(&clk, 1000000);
	node.type = NODE_SOURCE;
	node.name = (char[]){ "Source" };
	node.watermark = weir_bounded_out_of_orderness(100);
	node.fns[FN_DESERIALIZER] = (struct graph_fn){ .present = true, .code = &read_event };
	node.fns[FN_TIMESTAMP] = (struct graph_fn){ .present = true, .code = &event_ts };
	test_restore_anywhere();
	test_rescale();
	test_entries();
	test_damage();
	return tap_done();
}
