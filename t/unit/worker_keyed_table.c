/*
 * Keyed state: tables of key groups against a plain array, growth in steps, removal,
 * key kinds, the arena below.
 */
#include <sys/resource.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"
#include "t/tap.h"
#include "worker/graph/job_graph.h"
#include "worker/state/keyed_table.h"

static arena_ref put(struct keyed_table *t, int64_t k, int64_t window, bool *added)
{
	struct err e;
	weir_key key = { 0, NULL, 0 };

	key.num = k;
	return keyed_table_upsert(t, &key, key_hash_long(k), window, added, &e);
}

static arena_ref find(struct keyed_table *t, int64_t k, int64_t window)
{
	weir_key key = { 0, NULL, 0 };

	key.num = k;
	return keyed_table_find(t, &key, key_hash_long(k), window);
}

static void strings(void)
{
	struct keyed_table t;
	struct err e;
	weir_key key = { 0, "/help", 5 }, back;
	bool added;
	arena_ref a, b;
	static char big[100000];

	keyed_table_init(&t, WEIR_KEY_STRING, 12, 128, 0, 128);
	a = keyed_table_upsert(&t, &key, key_hash_string("/help", 5), 15000, &added, &e);
	ok(a != 0 && added, "a new key is made");
	is_int(*(int32_t *)keyed_acc(keyed_entry(&t, a)), 0, "its accumulator is zero");
	ok(((uintptr_t)keyed_acc(keyed_entry(&t, a)) & 7) == 0, "and aligned");
	b = keyed_table_upsert(&t, &key, key_hash_string("/help", 5), 15000, &added, &e);
	ok(a == b && !added, "the same key again is the same entry");
	b = keyed_table_upsert(&t, &key, key_hash_string("/help", 5), 30000, &added, &e);
	ok(a != b && added, "another window is another entry");
	keyed_entry_key(&t, keyed_entry(&t, a), &back);
	ok(back.len == 5 && memcmp(back.data, "/help", 5) == 0, "the key comes back");
	key.len = 0;
	b = keyed_table_upsert(&t, &key, 0, 1, &added, &e);
	ok(b != 0 && added && keyed_table_find(&t, &key, 0, 1) == b, "an empty key is a key");
	memset(big, 'x', sizeof(big));
	key.data = big;
	key.len = sizeof(big);
	b = keyed_table_upsert(&t, &key, key_hash_string(big, sizeof(big)), 1, &added, &e);
	ok(b != 0 && keyed_table_find(&t, &key, key_hash_string(big, sizeof(big)), 1) == b,
	    "a key of 100,000 bytes");
	keyed_table_remove(&t, b);
	is_int(keyed_table_find(&t, &key, key_hash_string(big, sizeof(big)), 1), 0, "is gone when removed");
	is_int(t.n_entries, 3, "three are left");
	/* Java's hash of these two is the same */
	key.data = "Aa";
	key.len = 2;
	a = keyed_table_upsert(&t, &key, key_hash_string("Aa", 2), 1, &added, &e);
	key.data = "BB";
	b = keyed_table_upsert(&t, &key, key_hash_string("BB", 2), 1, &added, &e);
	ok(key_hash_string("Aa", 2) == key_hash_string("BB", 2) && a != b && added,
	    "keys of equal hash are told apart");
	keyed_table_fini(&t);
}

static void range(void)
{
	struct keyed_table t;
	struct err e;
	weir_key key = { 0, NULL, 0 };
	bool added;
	int64_t k = 0;

	keyed_table_init(&t, WEIR_KEY_LONG, 8, 128, 64, 128);
	while (key_group(key_hash_long(k), 128) >= 64)
		k++;
	key.num = k;
	is_int(keyed_table_upsert(&t, &key, key_hash_long(k), 1, &added, &e), 0,
	    "a key of another subtask's group is refused");
	like(e.msg, "64 to 127", "naming the groups");
	is_int(keyed_table_find(&t, &key, key_hash_long(k), 1), 0, "and not found");
	keyed_table_fini(&t);
}

/* Random upserts and removals against an array. max_parallelism 1: one group, so it grows far and in steps. */
#define N 120000
static void model(uint32_t max_parallelism)
{
	struct keyed_table t;
	int64_t *want = xcalloc(N, sizeof(*want));
	unsigned seed = 42, i;
	int wrong = 0, removed = 0;
	int64_t worst_ns = 0;
	bool added;

	keyed_table_init(&t, WEIR_KEY_LONG, 8, max_parallelism, 0, max_parallelism);
	for (i = 0; i < 4 * N; i++) {
		struct timespec a, b;
		arena_ref ref;
		unsigned k;

		seed = seed * 1103515245u + 12345u;
		k = (seed >> 8) % N;
		if (i % 5 == 4) {
			ref = find(&t, k, 7);
			wrong += (ref != 0) != (want[k] != 0);
			if (ref != 0) {
				keyed_table_remove(&t, ref);
				want[k] = 0;
				removed++;
			}
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &a);
		ref = put(&t, k, 7, &added);
		clock_gettime(CLOCK_MONOTONIC, &b);
		if ((b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec > worst_ns)
			worst_ns = (b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec;
		wrong += added != (want[k] == 0);
		want[k]++;
		++*(int64_t *)keyed_acc(keyed_entry(&t, ref));
	}
	is_int(wrong, 0, "max parallelism %u: found and made as the model says", max_parallelism);
	for (i = 0; i < N; i++) {
		arena_ref ref = find(&t, i, 7);

		wrong += ref == 0 ? want[i] != 0 : *(int64_t *)keyed_acc(keyed_entry(&t, ref)) != want[i];
	}
	is_int(wrong, 0, "and every counter is right");
	ok(removed > 1000, "%d were removed on the way", removed);
	diag("worst insert of %d keys: %lld us", N, (long long)worst_ns / 1000);
	for (i = 0; i < N; i++)
		if (want[i] != 0)
			keyed_table_remove(&t, find(&t, i, 7));
	is_int(t.n_entries, 0, "all can be removed");
	is_int(t.arena.used_bytes, 0, "and give their memory back to the arena");
	keyed_table_fini(&t);
	free(want);
}

static void arenas(void)
{
	struct arena a;
	arena_ref r[5], s;
	int i;

	arena_init(&a);
	r[0] = arena_alloc(&a, 1);
	ok(r[0] != 0 && a.mapped_bytes < 128 << 10, "a small arena maps little");
	arena_free(&a, r[0], 1);
	is_int(arena_alloc(&a, 16), r[0], "freed memory of a size is used again");
	is_int(arena_alloc(&a, ARENA_MAX_ALLOC + 1), 0, "over the limit: none");
	s = arena_alloc(&a, (size_t)5 << 20);
	ok(s != 0, "more than a chunk");
	memset(arena_at(&a, s), 0x5a, (size_t)5 << 20);
	for (i = 0; i < 5; i++) {
		r[i] = arena_alloc(&a, 100000);
		memset(arena_at(&a, r[i]), i, 100000);
	}
	ok(*(uint8_t *)arena_at(&a, r[0]) == 0 && *(uint8_t *)arena_at(&a, r[4]) == 4 &&
		((uint8_t *)arena_at(&a, s))[((size_t)5 << 20) - 1] == 0x5a,
	    "allocations do not overlap");
	arena_fini(&a);
}

/* Keys that differ in one byte only, all of one hash: the bytes alone tell them apart. */
static void bytes_alone(void)
{
	struct keyed_table t;
	struct err e;
	uint8_t bytes[40];
	weir_key key = { 0, bytes, 0 };
	int n_made = 0, wrong = 0;
	bool added;

	keyed_table_init(&t, WEIR_KEY_BYTES, 0, 128, 0, 128);
	memset(bytes, 'x', sizeof(bytes));
	for (int pass = 0; pass < 2; pass++) {
		for (key.len = 0; key.len <= sizeof(bytes); key.len++) {
			wrong += keyed_table_upsert(&t, &key, 5, 1, &added, &e) == 0 || added != (pass == 0);
			n_made += added;
			for (uint32_t i = 0; i < key.len; i++) {
				bytes[i] = 'y';
				wrong += keyed_table_upsert(&t, &key, 5, 1, &added, &e) == 0 ||
				    added != (pass == 0);
				n_made += added;
				bytes[i] = 'x';
			}
		}
	}
	is_int(n_made, 41 + 40 * 41 / 2, "keys of 0 to 40 bytes and of one hash, each differing in one byte");
	is_int(wrong, 0, "are made once and found again");
	keyed_table_fini(&t);
}

/* What was removed is not remembered, not even where its memory still looks like it. */
static void removed(void)
{
	struct keyed_table t;
	arena_ref a;
	bool added;

	keyed_table_init(&t, WEIR_KEY_LONG, 8, 128, 0, 128);
	put(&t, 1, (int64_t)1 << 32, &added);
	a = put(&t, 1, (int64_t)2 << 32, &added);
	*(int64_t *)keyed_acc(keyed_entry(&t, a)) = 42;
	keyed_table_remove(&t, a);
	is_int(find(&t, 1, (int64_t)2 << 32), 0, "a removed entry is not found");
	a = put(&t, 1, (int64_t)2 << 32, &added);
	ok(a != 0 && added, "and made anew when asked for");
	is_int(*(int64_t *)keyed_acc(keyed_entry(&t, a)), 0, "with a zeroed accumulator");
	is_int(t.n_entries, 2, "two entries in all");
	keyed_table_fini(&t);
}

/* No memory: a sentence, nothing broken, and what was there stays. */
static void no_memory(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	diag("no limit of memory under a sanitizer");
#else
	struct rlimit was, now;
	struct keyed_table t;
	struct err e = { 0 };
	weir_key key = { 0, NULL, 0 };
	int64_t n = 0, wrong = 0;
	bool added;

	keyed_table_init(&t, WEIR_KEY_LONG, 1000, 1, 0, 1);
	put(&t, -1, 7, &added);
	getrlimit(RLIMIT_AS, &was);
	now = was;
	now.rlim_cur = (rlim_t)64 << 20;
	ASSERT(setrlimit(RLIMIT_AS, &now) == 0);
	while (n < 100000) {
		key.num = n;
		if (keyed_table_upsert(&t, &key, key_hash_long(n), 7, &added, &e) == 0)
			break;
		n++;
	}
	setrlimit(RLIMIT_AS, &was);
	ok(n > 1000 && n < 100000, "memory ends at %lld entries", (long long)n);
	like(e.msg, "no memory for keyed state", "with a sentence");
	is_int(t.n_entries, n + 1, "no entry is counted that is not there");
	for (int64_t k = -1; k < n; k++)
		wrong += find(&t, k, 7) == 0;
	is_int(wrong, 0, "all that were made are found");
	ok(find(&t, n, 7) == 0 && put(&t, n, 7, &added) != 0 && added,
	    "and it goes on when there is memory again");
	for (int64_t k = -1; k <= n; k++)
		keyed_table_remove(&t, find(&t, k, 7));
	is_int(t.arena.used_bytes, 0, "nothing was lost");
	keyed_table_fini(&t);
#endif
}

static int mark(void *arg, struct keyed_entry *e)
{
	++*(int64_t *)keyed_acc(e);
	++*(int64_t *)arg;
	return 0;
}

static int stop_at_third(void *arg, struct keyed_entry *e)
{
	(void)e;
	return ++*(int64_t *)arg == 3 ? 77 : 0;
}

/* Walking over all entries, at every state of a growth. */
static void each_entry(void)
{
	struct keyed_table t;
	int64_t n = 0, seen = 0, wrong = 0, walks = 0;
	bool added, moving = false;

	keyed_table_init(&t, WEIR_KEY_LONG, 8, 2, 0, 2);
	is_int(keyed_table_each(&t, 0, mark, &seen), 0, "an empty group has no entries");
	is_int(seen, 0, "none");
	while (n < 120000) {
		put(&t, n++, 7, &added);
		if (n % 9973 != 0 && (t.groups[0].old == NULL || n % 499 != 0))
			continue;
		seen = 0;
		moving = moving || t.groups[0].old != NULL;
		keyed_table_each(&t, 0, mark, &seen);
		keyed_table_each(&t, 1, mark, &seen);
		walks++;
		wrong += seen != n;
		for (int64_t k = 0; k < n; k++) {
			int64_t *acc = keyed_acc(keyed_entry(&t, find(&t, k, 7)));

			wrong += *acc != 1;
			*acc = 0;
		}
	}
	is_int(wrong, 0, "each entry is met once in each of %lld walks", (long long)walks);
	ok(moving, "some of them amid a growth");
	seen = 0;
	is_int(keyed_table_each(&t, 0, stop_at_third, &seen), 77, "a walk is ended by its function");
	is_int(seen, 3, "at once");
	keyed_table_fini(&t);
}

/* Growing, removing and finding while a large table moves. */
static void while_growing(void)
{
	struct keyed_table t;
	bool added;
	int64_t n = 0, wrong = 0;

	keyed_table_init(&t, WEIR_KEY_LONG, 8, 1, 0, 1);
	while (n < 300000) {
		put(&t, n++, 7, &added);
		if (t.groups[0].old == NULL || t.groups[0].old_moved % 4096 > 32)
			continue;
		/* in the old table, in the new one, and in both */
		for (int64_t k = 0; k < n; k += n / 7)
			wrong += put(&t, k, 7, &added) == 0 || added || find(&t, k, 7) == 0;
	}
	is_int(wrong, 0, "entries are found in both tables while a growth is under way");
	while (t.groups[0].old == NULL)
		put(&t, n++, 7, &added);
	keyed_table_remove(&t, find(&t, 3, 7));
	for (int64_t k = 0; k < n; k++)
		wrong += (find(&t, k, 7) == 0) != (k == 3);
	is_int(wrong, 0, "a removal amid a growth takes out that one only");
	keyed_table_fini(&t);
}

int main(void)
{
	strings();
	range();
	model(128);
	model(1);
	bytes_alone();
	removed();
	while_growing();
	each_entry();
	no_memory();
	arenas();
	return tap_done();
}
