/*
 * bench-state: keyed state under the window operator.
 *
 * Tumbling counts by a string key of 5 to 9 bytes, records in random order, handed to the operator as a
 * task does.  Beside it, in the same run and on the same records, a bare table: open addressing, 32-byte
 * entries in place, the same key hash and the same mixing, no groups, no growth, nothing to fire.  Both
 * sides compute the key's hash for each record.
 *
 *   bench-state keys=100000 ns=41.0 bare_ns=33.0 ratio=1.24
 *   bench-state grow_to=2000000 worst_insert_us=310 mean_insert_ns=180 bytes=77
 *   bench-state fire=1000000 ns=150 walk_ns=110 ratio=1.36
 *
 * ns is the least of RUNS, in processor time: a busy neighbour is no fault of the table.
 * worst_insert_us: of all the inserts that make a table of so many keys; bytes: resident, an entry.
 * fire: a window of so many keys is handed on and purged; walk: the bare table's entries in the same order.
 * Exit status: 1 when a count is wrong.
 */
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "t/unit/fake_task.h"
#include "worker/graph/job_graph.h"
#include "worker/operators/operators.h"

#define RUNS      3
#define N_RECORDS 2000000u
#define N_GROW    2000000u
#define N_FIRE    1000000u
#define WINDOW_MS 15000

typedef struct event {
	char page[16];
} event;
WEIR_TYPE(event);
WEIR_KEY_BY_STRING(by_page, event, page);
WEIR_AGGREGATE(count, event, int64_t, int64_t);
static void count_create(int64_t *acc)
{
	*acc = 0;
}
static int count_add(weir_ctx *ctx, int64_t *acc, const event *in)
{
	(void)ctx;
	(void)in;
	++*acc;
	return 0;
}
static int count_merge(weir_ctx *ctx, int64_t *acc, const int64_t *other)
{
	(void)ctx;
	*acc += *other;
	return 0;
}
static int count_result(weir_ctx *ctx, const int64_t *acc, int64_t *out)
{
	(void)ctx;
	*out = *acc;
	return 0;
}

/* ---------------------------------------------------------- the bare table */

struct bare_entry {
	uint32_t tag;
	uint8_t len; /* 0: empty; no key of the bench is */
	char key[11];
	int64_t window;
	int64_t count;
};
_Static_assert(sizeof(struct bare_entry) == 32, "two a cache line");

struct bare {
	struct bare_entry *slots;
	uint32_t mask;
};

static uint32_t mix(uint32_t key_hash, int64_t window)
{
	uint64_t h = ((uint64_t)key_hash + (uint64_t)window * UINT64_C(0x9e3779b97f4a7c15)) *
	    UINT64_C(0xd6e8feb86659fd93);

	h ^= h >> 32;
	h *= UINT64_C(0xd6e8feb86659fd93);
	return (uint32_t)(h >> 32);
}

static struct bare_entry *bare_get(struct bare *b, const char *key, uint32_t len, uint32_t key_hash,
    int64_t window)
{
	uint32_t tag = mix(key_hash, window), i = tag & b->mask;

	for (; b->slots[i].len != 0; i = (i + 1) & b->mask) {
		struct bare_entry *s = &b->slots[i];

		if (s->tag == tag && s->window == window && s->len == len && memcmp(s->key, key, len) == 0)
			return s;
	}
	b->slots[i].tag = tag;
	b->slots[i].len = (uint8_t)len;
	memcpy(b->slots[i].key, key, len);
	b->slots[i].window = window;
	return &b->slots[i];
}

static void bare_init(struct bare *b, uint32_t n_keys)
{
	uint32_t size = 16;

	while (size < n_keys + n_keys / 2)
		size *= 2;
	b->slots = xcalloc(size, sizeof(*b->slots));
	b->mask = size - 1;
}

/* -------------------------------------------------------------- the records */

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Keys of 5 to 9 bytes. */
static void name_key(event *ev, uint32_t k)
{
	memset(ev, 0, sizeof(*ev));
	snprintf(ev->page, sizeof(ev->page), "/p%03u", k);
}

static event *make_records(uint32_t n_keys, bool each_once)
{
	uint32_t n = each_once ? n_keys : N_RECORDS, i;
	event *records = xcalloc(n, sizeof(*records));
	uint64_t seed = 88172645463325252u;

	for (i = 0; i < n; i++)
		name_key(&records[i], each_once ? i : (uint32_t)(next_random(&seed) % n_keys));
	for (i = n - 1; each_once && i > 0; i--) {
		uint32_t j = (uint32_t)(next_random(&seed) % (i + 1));
		event other = records[j];

		records[j] = records[i];
		records[i] = other;
	}
	return records;
}

static uint32_t page_len(const event *ev)
{
	return (uint32_t)weir_strnlen_(ev->page, sizeof(ev->page));
}

static int64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static int64_t resident_bytes(void)
{
	long long size = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f == NULL)
		return 0;
	if (fscanf(f, "%lld %lld", &size, &resident) != 2)
		resident = 0;
	fclose(f);
	return (int64_t)resident * sysconf(_SC_PAGESIZE);
}

/* ------------------------------------------------------------- the operator */

static int64_t n_fired, sum_fired;

static void fired(struct output *o, const struct record *r)
{
	int64_t n;

	(void)o;
	memcpy(&n, r->data, sizeof(n));
	n_fired++;
	sum_fired += n;
}

static void passed(struct output *o, int64_t ts)
{
	(void)o;
	(void)ts;
}

static struct operator *make_operator(struct task *t)
{
	static struct graph_node node;
	static char name[] = "Count";
	struct operator *op;
	struct err e;

	memset(&node, 0, sizeof(node));
	node.type = NODE_WINDOW;
	node.name = name;
	node.assigner = weir_tumbling_event_time(WINDOW_MS);
	node.fns[FN_KEY].present = node.fns[FN_AGGREGATE].present = true;
	node.fns[FN_KEY].code = &by_page;
	node.fns[FN_AGGREGATE].code = &count;
	t->sink.record = fired;
	t->sink.watermark = passed;
	op = fake_operator(t, &operator_window, &node, &e);
	ASSERT(op != NULL);
	return op;
}

static void hand_in(struct operator *op, const event *ev, int64_t ts)
{
	struct record r = { ev, sizeof(*ev), key_hash_string(ev->page, page_len(ev)), ts };

	op->type->record(op, &r);
}

/* ------------------------------------------------------------- measurements */

static bool bench_update(uint32_t n_keys)
{
	event *records = make_records(n_keys, false);
	struct task *t = fake_task();
	struct operator *op = make_operator(t);
	double best = 1e9, best_bare = 1e9;
	int64_t total = 0, started;
	struct bare bare;
	uint32_t i, run;

	bare_init(&bare, n_keys);
	/* run 0 makes the entries */
	for (run = 0; run <= RUNS; run++) {
		double ns, bare_ns;

		started = cpu_ns();
		for (i = 0; i < N_RECORDS; i++)
			hand_in(op, &records[i], (int64_t)i % WINDOW_MS);
		ns = (double)(cpu_ns() - started) / N_RECORDS;
		started = cpu_ns();
		for (i = 0; i < N_RECORDS; i++) {
			const event *ev = &records[i];
			uint32_t len = page_len(ev);

			bare_get(&bare, ev->page, len, key_hash_string(ev->page, len), WINDOW_MS)->count++;
		}
		bare_ns = (double)(cpu_ns() - started) / N_RECORDS;
		if (run > 0 && ns < best)
			best = ns;
		if (run > 0 && bare_ns < best_bare)
			best_bare = bare_ns;
	}
	printf("bench-state keys=%u ns=%.1f bare_ns=%.1f ratio=%.2f\n", n_keys, best, best_bare,
	    best / best_bare);
	fflush(stdout);
	for (i = 0; i <= bare.mask; i++)
		total += bare.slots[i].count;
	n_fired = sum_fired = 0;
	fake_advance(op, WEIR_MAX_TIMESTAMP);
	fake_close(op);
	fake_task_free(t);
	free(bare.slots);
	free(records);
	return total == sum_fired && total == (int64_t)N_RECORDS * (RUNS + 1);
}

static bool bench_grow(void)
{
	event *records = make_records(N_GROW, true);
	struct task *t = fake_task();
	struct operator *op = make_operator(t);
	int64_t worst = 0, first, last, resident = resident_bytes();
	uint32_t i;

	first = last = cpu_ns();
	for (i = 0; i < N_GROW; i++) {
		int64_t now;

		hand_in(op, &records[i], 0);
		now = cpu_ns();
		if (now - last > worst)
			worst = now - last;
		last = now;
	}
	printf("bench-state grow_to=%u worst_insert_us=%.0f mean_insert_ns=%.0f bytes=%.0f\n", N_GROW,
	    (double)worst / 1000, (double)(last - first) / N_GROW,
	    (double)(resident_bytes() - resident) / N_GROW);
	fflush(stdout);
	n_fired = 0;
	fake_advance(op, WEIR_MAX_TIMESTAMP);
	fake_close(op);
	fake_task_free(t);
	free(records);
	return n_fired == N_GROW;
}

/* What firing cannot do without: each entry in order of its first record, read, handed on and emptied. */
static double bare_walk(struct bare *b, const uint32_t *order, struct output *to)
{
	int64_t started = cpu_ns();

	for (uint32_t i = 0; i < N_FIRE; i++) {
		struct bare_entry *s = &b->slots[order[i]];
		struct record r = { &s->count, sizeof(s->count), 0, WINDOW_MS - 1 };

		to->record(to, &r);
		s->len = 0;
	}
	return (double)(cpu_ns() - started) / N_FIRE;
}

static bool bench_fire(void)
{
	event *records = make_records(N_FIRE, true);
	uint32_t *order = xcalloc(N_FIRE, sizeof(*order)), run, i;
	struct task *t = fake_task();
	double best = 1e9, best_walk = 1e9, ns;
	bool good = true;

	for (run = 0; run < RUNS; run++) {
		struct operator *op = make_operator(t);
		struct bare bare;
		int64_t started;

		bare_init(&bare, N_FIRE);
		for (i = 0; i < N_FIRE; i++) {
			uint32_t len = page_len(&records[i]);
			struct bare_entry *s = bare_get(&bare, records[i].page, len,
			    key_hash_string(records[i].page, len), WINDOW_MS);

			s->count++;
			order[i] = (uint32_t)(s - bare.slots);
			hand_in(op, &records[i], 0);
		}
		n_fired = sum_fired = 0;
		started = cpu_ns();
		fake_advance(op, WINDOW_MS - 1);
		ns = (double)(cpu_ns() - started) / N_FIRE;
		best = ns < best ? ns : best;
		good &= n_fired == N_FIRE && sum_fired == N_FIRE;
		ns = bare_walk(&bare, order, &t->sink);
		best_walk = ns < best_walk ? ns : best_walk;
		free(bare.slots);
		fake_close(op);
	}
	printf("bench-state fire=%u ns=%.1f walk_ns=%.1f ratio=%.2f\n", N_FIRE, best, best_walk,
	    best / best_walk);
	fake_task_free(t);
	free(order);
	free(records);
	return good;
}

int main(void)
{
	static const uint32_t sizes[] = { 6, 100000, 2000000 };
	bool good = true;

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		good &= bench_update(sizes[i]);
	good &= bench_grow();
	good &= bench_fire();
	if (!good)
		fprintf(stderr, "bench-state: a count is wrong\n");
	return good ? 0 : 1;
}
