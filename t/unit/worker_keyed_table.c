/*
 * Keyed state: tables of key groups against a plain array, growth in steps, removal,
 * key kinds, the arena below.
 */
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
	ok(b != 0 && keyed_table_find(&t, &key, key_hash_string(big, sizeof(big)), 1) == b, "a key of 100,000 bytes");
	keyed_table_remove(&t, b);
	is_int(keyed_table_find(&t, &key, key_hash_string(big, sizeof(big)), 1), 0, "is gone when removed");
	is_int(t.n_entries, 3, "three are left");
	/* Java's hash of these two is the same */
	key.data = "Aa";
	key.len = 2;
	a = keyed_table_upsert(&t, &key, key_hash_string("Aa", 2), 1, &added, &e);
	key.data = "BB";
	b = keyed_table_upsert(&t, &key, key_hash_string("BB", 2), 1, &added, &e);
	ok(key_hash_string("Aa", 2) == key_hash_string("BB", 2) && a != b && added, "keys of equal hash are told apart");
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
	is_int(keyed_table_upsert(&t, &key, key_hash_long(k), 1, &added, &e), 0, "a key of another subtask's group is refused");
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
	    ((uint8_t *)arena_at(&a, s))[((size_t)5 << 20) - 1] == 0x5a, "allocations do not overlap");
	arena_fini(&a);
}

int main(void)
{
	strings();
	range();
	model(128);
	model(1);
	arenas();
	return tap_done();
}
