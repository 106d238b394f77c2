/*
 * Result partitions on rings of the test's own: which channel, what bytes, fragments,
 * serializers, back pressure, control elements, damage.
 */
#include "t/unit/worker_fixture.h"

#include "worker/runtime/partition.h"

#define MAX_CHANNELS 4
#define RING_SIZE    RING_SIZE_MIN

static struct scene *S;

struct scene {
	struct fx fx;
	struct partition *partition;
	void (*script)(struct output *out); /* on the task's fiber */
	struct ring_pair *pairs[MAX_CHANNELS];
	struct ring consumer[MAX_CHANNELS];
	uint32_t n;
	struct doorbell *bell; /* of the task's slot: readers ring it */
};

static enum source_status script_poll(struct operator *op, int64_t *deadline_ns)
{
	(void)op;
	(void)deadline_ns;
	S->script(partition_output(S->partition));
	partition_publish(S->partition);
	return SOURCE_END;
}
static const struct operator_type script_source = {
	.name = "script", .size = sizeof(struct operator), .poll = script_poll,
};
static const struct operator_type *find(const struct graph_node *n, struct err *e)
{
	(void)n;
	(void)e;
	return &script_source;
}

static void scene_init(struct scene *s, enum ship ship, uint32_t n_channels, uint32_t subtask,
    uint32_t parallelism, const weir_type *type, void (*script)(struct output *out))
{
	struct ring producers[MAX_CHANNELS];
	struct edge_spec spec = {
		.ship = ship,
		.type = type,
		.key = ship == SHIP_HASH ? &fx_key : NULL,
		.max_parallelism = 128,
		.subtask = subtask,
		.parallelism = parallelism,
		.to_name = "Reader",
		.n_channels = n_channels,
		.rings = producers,
	};
	struct err e = { 0 };

	S = s;
	memset(s, 0, sizeof(*s));
	s->n = n_channels;
	s->script = script;
	fx_init(&s->fx, find, 1, &clock_system);
	s->fx.env.record_max_size = 100000;
	fx_node(&s->fx, NODE_SOURCE, "script", 1, NULL);
	if (!fx_prepare(&s->fx, &e))
		diag("%s", e.msg);
	s->bell = exchange_doorbell(s->fx.exchange, 0);
	s->partition = partition_create(s->fx.tasks[0]);
	for (uint32_t i = 0; i < n_channels; i++) {
		s->pairs[i] = ring_pair_create(RING_SIZE, s->bell, NULL, &producers[i], &s->consumer[i]);
		producers[i].id = 20 + i;
	}
	if (partition_add_edge(s->partition, &spec, &e) != 0)
		diag("%s", e.msg);
}

static bool finish(struct scene *s, enum task_state state)
{
	fx_go(&s->fx);
	return FX_UNTIL(fx_all(&s->fx, state), 10);
}

static void scene_fini(struct scene *s)
{
	fx_drop(&s->fx);
	partition_destroy(s->partition);
	for (uint32_t i = 0; i < s->n; i++)
		ring_pair_destroy(s->pairs[i]);
	fx_fini(&s->fx);
}

/* What lies in a channel, as text: "r5" a record by its timestamp, "+" more fragments, w, s, e. */
static const char *channel(struct scene *s, uint32_t c)
{
	static char text[2048];
	struct ring_elem el;
	size_t n = 0;

	text[0] = '\0';
	while (ring_peek(&s->consumer[c], &el) == RING_OK && n < sizeof(text) - 40) {
		static const char letter[] = { '?', 'r', 'w', 'b', 's', 'e', 'l' };

		n += (size_t)snprintf(text + n, sizeof(text) - n, "%c%" PRId64 "%s ", letter[el.kind], el.ts,
		    el.flags ? "+" : "");
		ring_release(&s->consumer[c]);
	}
	return text;
}

static void rows(struct output *out, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		fx_row row = { i, i };

		out->record(out, &(struct record){ .data = &row, .len = sizeof(row), .ts = i });
	}
}

/* ------------------------------------------------------------- choosing */

static void six_rows(struct output *out)
{
	rows(out, 6);
	out->watermark(out, 3);
	out->watermark(out, 3);
	out->watermark(out, 2);
	out->status(out, true);
	out->end(out);
}

static void test_spread(enum ship ship, uint32_t n, uint32_t subtask, uint32_t parallelism,
    const char *const *want)
{
	struct scene s;

	scene_init(&s, ship, n, subtask, parallelism, NULL, six_rows);
	ok(finish(&s, TASK_FINISHED), "%s: finished", ship_name(ship));
	for (uint32_t c = 0; c < n; c++)
		is_str(channel(&s, c), want[c], "%s: channel %u of %u, producer %u", ship_name(ship), c, n,
		    subtask);
	scene_fini(&s);
}

static void test_spreads(void)
{
	test_spread(SHIP_FORWARD, 1, 0, 1, (const char *[]){ "r0 r1 r2 r3 r4 r5 w3 s1 e0 " });
	test_spread(SHIP_REBALANCE, 3, 0, 1,
	    (const char *[]){ "r0 r3 w3 s1 e0 ", "r1 r4 w3 s1 e0 ", "r2 r5 w3 s1 e0 " });
	test_spread(SHIP_REBALANCE, 3, 1, 2,
	    (const char *[]){ "r2 r5 w3 s1 e0 ", "r0 r3 w3 s1 e0 ", "r1 r4 w3 s1 e0 " });
	test_spread(SHIP_RESCALE, 4, 1, 2, (const char *[]){ "w3 s1 e0 ", "w3 s1 e0 ", "r0 r2 r4 w3 s1 e0 ",
	    "r1 r3 r5 w3 s1 e0 " });
	test_spread(SHIP_RESCALE, 2, 3, 4, (const char *[]){ "w3 s1 e0 ", "r0 r1 r2 r3 r4 r5 w3 s1 e0 " });
	test_spread(SHIP_BROADCAST, 2, 0, 1, (const char *[]){ "r0 r1 r2 r3 r4 r5 w3 s1 e0 ",
	    "r0 r1 r2 r3 r4 r5 w3 s1 e0 " });
	test_spread(SHIP_GLOBAL, 2, 1, 2, (const char *[]){ "r0 r1 r2 r3 r4 r5 w3 s1 e0 ", "w3 s1 e0 " });
}

static void hundred_rows(struct output *out)
{
	rows(out, 100);
}

static void test_hash_and_shuffle(void)
{
	struct scene s;
	unsigned n[MAX_CHANNELS] = { 0 }, wrong = 0;

	scene_init(&s, SHIP_HASH, 3, 0, 1, NULL, hundred_rows);
	ok(finish(&s, TASK_FINISHED), "HASH: finished");
	for (uint32_t c = 0; c < 3; c++) {
		struct ring_elem el;

		while (ring_peek(&s.consumer[c], &el) == RING_OK) {
			fx_row row;

			memcpy(&row, el.data, sizeof(row));
			wrong += el.len != sizeof(row) || row.b != el.ts ||
			    el.key_hash != key_hash_long(row.a) ||
			    key_group_subtask(key_group(key_hash_long(row.a), 128), 128, 3) != c;
			n[c]++;
			ring_release(&s.consumer[c]);
		}
	}
	is_int(n[0] + n[1] + n[2], 100, "HASH: every row is somewhere");
	is_int(wrong, 0, "HASH: at the subtask of its key group, with its hash and bytes");
	scene_fini(&s);

	for (int run = 0; run < 2; run++) {
		static char first[2048];

		scene_init(&s, SHIP_SHUFFLE, 2, 0, 1, NULL, hundred_rows);
		ok(finish(&s, TASK_FINISHED), "SHUFFLE: finished");
		if (run == 0)
			snprintf(first, sizeof(first), "%s", channel(&s, 0));
		else
			is_str(channel(&s, 0), first, "SHUFFLE: the same way in every run");
		ok(strlen(first) > 40 && channel(&s, 1)[0] != '\0', "SHUFFLE: both channels have some");
		scene_fini(&s);
	}
}

/* ------------------------------------------------------------ big records */

static uint8_t pattern[200000];

static void big_record(struct output *out)
{
	out->record(out, &(struct record){ .data = pattern, .len = 20001, .ts = 1 });
	out->record(out, &(struct record){ .data = pattern, .len = 0, .ts = 2 });
}
static void too_big(struct output *out)
{
	out->record(out, &(struct record){ .data = pattern, .len = 100001, .ts = 1 });
}

static void test_fragments(void)
{
	struct scene s;
	struct ring_elem el;
	uint32_t len = 0, n = 0;
	bool right = true;

	scene_init(&s, SHIP_FORWARD, 1, 0, 1, NULL, big_record);
	ok(finish(&s, TASK_FINISHED), "fragments: finished");
	while (ring_peek(&s.consumer[0], &el) == RING_OK && el.ts == 1) {
		right = right && memcmp(el.data, pattern + len, el.len) == 0;
		len += el.len;
		n++;
		if (!el.flags) {
			ring_release(&s.consumer[0]);
			break;
		}
		ring_release(&s.consumer[0]);
	}
	is_int(len, 20001, "fragments: all bytes of a record over a quarter of the ring");
	is_int(n, 3, "fragments: in three elements");
	ok(right, "fragments: in order");
	ok(ring_peek(&s.consumer[0], &el) == RING_OK && el.len == 0 && el.ts == 2, "an empty record");
	ring_release(&s.consumer[0]);
	scene_fini(&s);

	scene_init(&s, SHIP_FORWARD, 1, 0, 1, NULL, too_big);
	ok(finish(&s, TASK_FAILED), "too big: the task fails");
	is_str(fx_cause(&s.fx),
	    "a record of 100001 bytes for Reader is over taskmanager.record.max-size (100000 bytes)",
	    "too big: both sizes");
	scene_fini(&s);
}

/* ------------------------------------------------------------ serializers */

/* The wire has every byte three times; a record that begins with 255 is refused. */
static int64_t tripled(const void *v, uint32_t len, void *buf, uint32_t cap)
{
	if (len > 0 && *(const uint8_t *)v == 255)
		return -7;
	if (cap >= 3 * len)
		for (uint32_t i = 0; i < 3 * len; i++)
			((uint8_t *)buf)[i] = ((const uint8_t *)v)[i / 3];
	return 3 * (int64_t)len;
}
static const weir_type tripling = { sizeof(weir_type), "tripling", 0, 1, tripled, NULL };

static void serialized(struct output *out)
{
	static const uint32_t lens[] = { 10, 85, 100, 2000, 5000, 10 };

	for (unsigned i = 0; i < ARRAY_LEN(lens); i++)
		out->record(out, &(struct record){ .data = pattern, .len = lens[i], .ts = i });
}
static void refused(struct output *out)
{
	uint8_t bad = 255;

	out->record(out, &(struct record){ .data = &bad, .len = 1, .ts = 0 });
}

static void test_serializer(enum ship ship, uint32_t n_channels)
{
	static const uint32_t want[] = { 30, 255, 300, 6000, 15000, 30 };
	struct scene s;

	scene_init(&s, ship, n_channels, 0, 1, &tripling, serialized);
	ok(partition_output(s.partition)->reserve == NULL, "serializer: no lending of a ring");
	ok(finish(&s, TASK_FINISHED), "serializer: finished");
	for (uint32_t c = 0; c < n_channels; c++) {
		struct ring_elem el;
		uint32_t got[8] = { 0 };
		bool right = true;

		while (ring_peek(&s.consumer[c], &el) == RING_OK) {
			for (uint32_t i = 0; i < el.len; i++)
				right =
				    right && ((const uint8_t *)el.data)[i] == pattern[(got[el.ts] + i) / 3];
			got[el.ts] += el.len;
			ring_release(&s.consumer[c]);
		}
		ok(right && memcmp(got, want, sizeof(want)) == 0,
		    "%s: short, guessed, grown, fragmented (channel %u)", ship_name(ship), c);
	}
	scene_fini(&s);
}

static void test_refused(void)
{
	struct scene s;

	scene_init(&s, SHIP_FORWARD, 1, 0, 1, &tripling, refused);
	ok(finish(&s, TASK_FAILED), "refusing serializer: the task fails");
	is_str(fx_cause(&s.fx), "the serializer of type tripling refused a record of 1 bytes (returned -7)",
	    "refusing serializer: the cause");
	scene_fini(&s);
}

/* ---------------------------------------------------------- back pressure */

static void many_rows(struct output *out)
{
	rows(out, 100000);
}

static void test_back_pressure(void)
{
	struct scene s;
	struct ring_elem el;
	int64_t next = 0, end_ms;
	bool right = true, in_time = true;

	scene_init(&s, SHIP_FORWARD, 1, 0, 1, NULL, many_rows);
	fx_go(&s.fx);
	ok(FX_UNTIL(ring_in_flight(&s.consumer[0]) > RING_SIZE - 100, 10), "back pressure: the ring is full");
	ok(FX_UNTIL(slot_sleeping(s.fx.slots[0].slot), 10), "back pressure: the producer's slot sleeps");
	end_ms = fx_now_ms() + 20000;
	for (int round = 0; round < 20;
	     round++) { /* a reader that is never quick enough to be found reading */
		int64_t start_ms = fx_now_ms();

		if (!FX_UNTIL(slot_sleeping(s.fx.slots[0].slot), 10))
			break;
		for (int i = 0; i < 512 && ring_peek(&s.consumer[0], &el) == RING_OK; i++) {
			right = right && el.ts == next;
			next++;
			ring_release(&s.consumer[0]);
		}
		ring_publish_tail(&s.consumer[0]);
		in_time = in_time && FX_UNTIL(ring_in_flight(&s.consumer[0]) > RING_SIZE - 100, 10) &&
		    fx_now_ms() - start_ms < 500;
	}
	ok(in_time,
	    "back pressure: the reader's doorbell wakes the producer each time, not the slot's second");
	while (next < 100000 && fx_now_ms() < end_ms) {
		if (ring_peek(&s.consumer[0], &el) != RING_OK) {
			ring_publish_tail(&s.consumer[0]);
			continue;
		}
		right = right && el.ts == next;
		next++;
		ring_release(&s.consumer[0]);
	}
	is_int(next, 100000, "back pressure: all rows come as they are read");
	ok(right, "back pressure: in order");
	ok(FX_UNTIL(fx_all(&s.fx, TASK_FINISHED), 10), "back pressure: finished");
	ok(metrics_get(&s.fx.blocks[0], METRIC_backpressured_ns) > 0, "back pressure: counted");
	scene_fini(&s);

	scene_init(&s, SHIP_FORWARD, 1, 0, 1, NULL, many_rows);
	fx_go(&s.fx);
	FX_UNTIL(slot_sleeping(s.fx.slots[0].slot), 10);
	atomic_store(&s.consumer[0].cons->tail, (uint64_t)1 << 40);
	slot_wake(s.fx.slots[0].slot);
	ok(FX_UNTIL(fx_all(&s.fx, TASK_FAILED), 10), "a wild tail: the task fails");
	is_str(fx_cause(&s.fx), "ring 20 to Reader (1) is damaged: its tail is ahead of its head",
	    "a wild tail: the cause");
	scene_fini(&s);
}

/* --------------------------------------------------------------- in place */

static void in_place(struct output *out)
{
	fx_row *row = out->reserve(out, sizeof(*row));

	*row = (fx_row){ 5, 6 };
	out->commit(out, sizeof(*row), 77);
	out->reserve(out, sizeof(*row));
	out->commit(out, 0, 78); /* dropped */
	row = out->reserve(out, 2 * sizeof(*row));
	*row = (fx_row){ 7, 8 };
	out->commit(out, sizeof(*row), 79); /* shorter than reserved */
}

static void test_in_place(void)
{
	struct scene s;
	struct ring_elem el;

	scene_init(&s, SHIP_HASH, 1, 0, 1, NULL, in_place);
	ok(partition_output(s.partition)->reserve != NULL, "in place: one channel lends its ring");
	ok(finish(&s, TASK_FINISHED), "in place: finished");
	ok(ring_peek(&s.consumer[0], &el) == RING_OK && el.ts == 77 && el.len == sizeof(fx_row) &&
	    ((const fx_row *)el.data)->b == 6, "in place: what was written is there");
	is_int(el.key_hash, key_hash_long(5), "in place: with the key's hash");
	ring_release(&s.consumer[0]);
	is_str(channel(&s, 0), "r79 ", "in place: a commit of nothing drops");
	scene_fini(&s);

	scene_init(&s, SHIP_HASH, 2, 0, 1, NULL, six_rows);
	ok(partition_output(s.partition)->reserve == NULL, "in place: not with two channels");
	finish(&s, TASK_FINISHED);
	scene_fini(&s);
}

/* -------------------------------------------------------------- barriers */

static void with_barrier(struct output *out)
{
	const struct barrier b = { .id = 7, .trigger_wall_ms = 1234567, .kind = 2 };

	rows(out, 3);
	partition_barrier(S->partition, &b);
	rows(out, 1);
	out->end(out);
}

/* Behind the barrier of a savepoint that the job stops with; set by the test. */
static bool drained;
static void stopped(struct output *out)
{
	S->fx.tasks[0]->checkpoints.stopping = true;
	S->fx.tasks[0]->checkpoints.drained = drained;
	out->end(out);
}

static void test_barriers(void)
{
	struct barrier_payload says;
	struct ring_elem el;
	struct scene s;

	scene_init(&s, SHIP_REBALANCE, 2, 0, 1, NULL, with_barrier);
	ok(finish(&s, TASK_FINISHED), "barrier: finished");
	is_str(channel(&s, 0), "r0 r2 b7 e0 ", "barrier: behind the records before it");
	is_str(channel(&s, 1), "r1 b7 r0 e0 ", "barrier: on every channel");
	scene_fini(&s);

	scene_init(&s, SHIP_FORWARD, 1, 0, 1, NULL, with_barrier);
	finish(&s, TASK_FINISHED);
	for (int i = 0; i < 3; i++)
		if (ring_peek(&s.consumer[0], &el) == RING_OK)
			ring_release(&s.consumer[0]);
	ok(ring_peek(&s.consumer[0], &el) == RING_OK && el.kind == ELEM_BARRIER && el.len == sizeof(says),
	    "barrier: with what it says");
	memcpy(&says, el.data, sizeof(says));
	ok(says.trigger_wall_ms == 1234567 && says.kind == 2 && says.drain == 0,
	    "barrier: its trigger and kind");
	scene_fini(&s);

	for (int i = 0; i < 2; i++) {
		drained = i == 1;
		scene_init(&s, SHIP_FORWARD, 1, 0, 1, NULL, stopped);
		finish(&s, TASK_FINISHED);
		is_str(channel(&s, 0), drained ? "e0 " : "e1 ", "stop %s drain: the end %s marked",
		    drained ? "with" : "without", drained ? "is not" : "is");
		scene_fini(&s);
	}
}

int main(void)
{
	for (uint32_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i % 251);
	test_spreads();
	test_hash_and_shuffle();
	test_fragments();
	test_serializer(SHIP_FORWARD, 1);
	test_serializer(SHIP_BROADCAST, 2);
	test_refused();
	test_back_pressure();
	test_in_place();
	test_barriers();
	return tap_done();
}
