/*
 * Keyed state: tables of key groups.
 */
#include "worker/state/keyed_table.h"

#include <sys/mman.h>

#include "base/err.h"
#include "base/mem.h"
#include "worker/graph/job_graph.h"

#define GROUP_MIN  8u
#define MOVE_SLOTS 32u /* old slots moved an insert: the old table is gone long before the new one is full */
/* Above this a table is mapped by itself: pages that come zeroed when they are touched, where clearing
 * them all at once would hold up the task. */
#define SLOTS_IN_ARENA_BYTES ((size_t)1 << 20)

void keyed_table_init(struct keyed_table *t, weir_key_kind kind, uint32_t acc_size, uint32_t max_parallelism,
    uint32_t first_group, uint32_t end_group)
{
	memset(t, 0, sizeof(*t));
	arena_init(&t->arena);
	t->key_kind = kind;
	t->acc_size = acc_size;
	t->key_off = (uint32_t)sizeof(struct keyed_entry) + (acc_size + 7) / 8 * 8;
	t->max_parallelism = max_parallelism;
	t->first_group = first_group;
	t->n_groups = end_group - first_group;
	t->groups = xcalloc(t->n_groups, sizeof(*t->groups));
}

/* size empty slots; NULL when there is no memory. */
static struct keyed_slot *slots_make(struct keyed_table *t, uint32_t size, arena_ref *ref)
{
	size_t bytes = size * sizeof(struct keyed_slot);
	void *p;

	*ref = 0;
	if (bytes <= SLOTS_IN_ARENA_BYTES) {
		*ref = arena_alloc(&t->arena, bytes);
		return *ref == 0 ? NULL : memset(arena_at(&t->arena, *ref), 0, bytes);
	}
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	madvise(p, bytes, MADV_HUGEPAGE); /* only a wish */
	return p;
}

static void slots_drop(struct keyed_table *t, struct keyed_slot *slots, uint32_t mask, arena_ref ref)
{
	size_t bytes = ((size_t)mask + 1) * sizeof(*slots);

	if (slots == NULL)
		return;
	if (ref != 0)
		arena_free(&t->arena, ref, bytes);
	else
		munmap(slots, bytes);
}

void keyed_table_fini(struct keyed_table *t)
{
	uint32_t i;

	for (i = 0; i < t->n_groups; i++) {
		slots_drop(t, t->groups[i].slots, t->groups[i].mask, t->groups[i].slots_ref);
		slots_drop(t, t->groups[i].old, t->groups[i].old_mask, t->groups[i].old_ref);
	}
	free(t->groups);
	arena_fini(&t->arena);
	memset(t, 0, sizeof(*t));
}

/* Key hash and window in one tag: the key's hash is Java's, weak in its low bits. */
static inline uint32_t mix(uint32_t key_hash, int64_t window)
{
	uint64_t h = ((uint64_t)key_hash + (uint64_t)window * UINT64_C(0x9e3779b97f4a7c15)) *
	    UINT64_C(0xd6e8feb86659fd93);

	h ^= h >> 32;
	h *= UINT64_C(0xd6e8feb86659fd93);
	return (uint32_t)(h >> 32);
}

/* The bytes of a key as they are stored and compared. */
static inline const void *key_bytes(weir_key_kind kind, const weir_key *key, uint32_t *len)
{
	if (kind == WEIR_KEY_STRING || kind == WEIR_KEY_BYTES) {
		*len = key->len;
		return key->data;
	}
	*len = sizeof(key->num);
	return &key->num;
}

/* Most keys are short: without a call. */
static inline bool equal(const uint8_t *a, const uint8_t *b, uint32_t len)
{
	uint64_t a8, b8, c8, d8;
	uint32_t a4, b4, c4, d4;

	if (len > 16)
		return memcmp(a, b, len) == 0;
	if (len >= 8) {
		memcpy(&a8, a, 8);
		memcpy(&b8, b, 8);
		memcpy(&c8, a + len - 8, 8);
		memcpy(&d8, b + len - 8, 8);
		return ((a8 ^ b8) | (c8 ^ d8)) == 0;
	}
	if (len >= 4) {
		memcpy(&a4, a, 4);
		memcpy(&b4, b, 4);
		memcpy(&c4, a + len - 4, 4);
		memcpy(&d4, b + len - 4, 4);
		return ((a4 ^ b4) | (c4 ^ d4)) == 0;
	}
	return len == 0 || (a[0] == b[0] && a[len / 2] == b[len / 2] && a[len - 1] == b[len - 1]);
}

static inline bool same(const struct keyed_table *t, arena_ref ref, int64_t window, const void *key,
    uint32_t len)
{
	const struct keyed_entry *e = keyed_entry(t, ref);

	return e->window == window && e->key_len == len && equal((const uint8_t *)e + t->key_off, key, len);
}

static inline struct keyed_slot *recent(struct keyed_table *t, uint32_t tag)
{
	return &t->recent[tag % KEYED_N_RECENT];
}

/* The slot of (tag, key, window) in slots, or the empty one where it would be. */
static inline struct keyed_slot *probe(const struct keyed_table *t, struct keyed_slot *slots, uint32_t mask,
    uint32_t tag, int64_t window, const void *key, uint32_t len)
{
	uint32_t i = tag & mask;

	while (slots[i].ref != 0) {
		if (slots[i].tag == tag && same(t, slots[i].ref, window, key, len))
			break;
		i = (i + 1) & mask;
	}
	return &slots[i];
}

static void place(struct keyed_slot *slots, uint32_t mask, struct keyed_slot s)
{
	uint32_t i = s.tag & mask;

	while (slots[i].ref != 0)
		i = (i + 1) & mask;
	slots[i] = s;
}

/* Move some of the old table. A slot that was moved stays in old, marked by old_moved, so that probing
 * through it goes on working. */
static void move_some(struct keyed_table *t, struct keyed_group *g, uint32_t n)
{
	while (g->old != NULL && n-- > 0) {
		struct keyed_slot s = g->old[g->old_moved];

		if (s.ref != 0)
			place(g->slots, g->mask, s);
		if (g->old_moved++ == g->old_mask) {
			slots_drop(t, g->old, g->old_mask, g->old_ref);
			g->old = NULL;
		}
	}
}

/* Twice the slots, or the first ones. -1: no memory, and nothing has changed. */
static int group_grow(struct keyed_table *t, struct keyed_group *g)
{
	uint32_t size = g->slots == NULL ? GROUP_MIN : (g->mask + 1) * 2;
	struct keyed_slot *slots;
	arena_ref ref;

	if (g->old != NULL) /* never in practice: MOVE_SLOTS is far ahead */
		move_some(t, g, UINT32_MAX);
	slots = slots_make(t, size, &ref);
	if (slots == NULL)
		return -1;
	g->old = g->slots;
	g->old_ref = g->slots_ref;
	g->old_mask = g->mask;
	g->old_moved = 0;
	g->slots = slots;
	g->slots_ref = ref;
	g->mask = size - 1;
	if (g->old != NULL && size < KEYED_GROW_IN_STEPS)
		move_some(t, g, UINT32_MAX);
	return 0;
}

/* Which slot of the old table still counts: moved ones are in the new one. */
static inline struct keyed_slot *find_old(const struct keyed_table *t, struct keyed_group *g, uint32_t tag,
    int64_t window, const void *key, uint32_t len)
{
	struct keyed_slot *s = probe(t, g->old, g->old_mask, tag, window, key, len);

	return s->ref != 0 && (uint32_t)(s - g->old) >= g->old_moved ? s : NULL;
}

static inline struct keyed_group *group_of(const struct keyed_table *t, uint32_t key_hash, uint32_t *group)
{
	*group = key_group(key_hash, t->max_parallelism);
	return *group - t->first_group < t->n_groups ? &t->groups[*group - t->first_group] : NULL;
}

arena_ref keyed_table_find(struct keyed_table *t, const weir_key *key, uint32_t key_hash, int64_t window)
{
	uint32_t len, group, tag = mix(key_hash, window);
	const void *bytes = key_bytes(t->key_kind, key, &len);
	struct keyed_group *g = group_of(t, key_hash, &group);
	struct keyed_slot *s;

	if (g == NULL || g->slots == NULL)
		return 0;
	s = probe(t, g->slots, g->mask, tag, window, bytes, len);
	if (s->ref == 0 && g->old != NULL) {
		s = find_old(t, g, tag, window, bytes, len);
		return s == NULL ? 0 : s->ref;
	}
	return s->ref;
}

static arena_ref entry_create(struct keyed_table *t, const void *bytes, uint32_t len, uint32_t key_hash,
    int64_t window)
{
	arena_ref ref = arena_alloc(&t->arena, (size_t)t->key_off + len);
	struct keyed_entry *e;

	if (ref == 0)
		return 0;
	e = keyed_entry(t, ref);
	memset(e, 0, t->key_off);
	e->window = window;
	e->key_hash = key_hash;
	e->key_len = len;
	if (len > 0)
		memcpy((uint8_t *)e + t->key_off, bytes, len);
	return ref;
}

/* The entry of a key that was not asked for lately. */
__attribute__((noinline)) static arena_ref upsert(struct keyed_table *t, const void *bytes, uint32_t len,
    uint32_t key_hash, int64_t window, uint32_t tag, bool *added, struct err *e)
{
	uint32_t group;
	struct keyed_group *g = group_of(t, key_hash, &group);
	struct keyed_slot *s, fresh;
	int grown = 0;

	if (g == NULL) {
		err_set(e, ERR_INTERNAL, "a record of key group %u came to the subtask of groups %u to %u",
		    group, t->first_group, t->first_group + t->n_groups - 1);
		return 0;
	}
	if (g->slots != NULL) {
		s = probe(t, g->slots, g->mask, tag, window, bytes, len);
		if (s->ref != 0)
			return s->ref;
		if (g->old != NULL && (s = find_old(t, g, tag, window, bytes, len)) != NULL)
			return s->ref;
	}
	if (len > KEYED_KEY_MAX) {
		err_set(e, ERR_USER, "a key of %u bytes is over the limit of %u", len, KEYED_KEY_MAX);
		return 0;
	}
	/* at most 3/4 full; what still waits in the old table has its room in the new one already counted */
	if (g->slots == NULL || g->n + 1 > (g->mask + 1) / 4 * 3)
		grown = group_grow(t, g);
	fresh.ref = grown == 0 ? entry_create(t, bytes, len, key_hash, window) : 0;
	if (fresh.ref == 0) {
		err_set(e, ERR_IO, "no memory for keyed state: %zu bytes are mapped for %llu entries",
		    t->arena.mapped_bytes, (unsigned long long)t->n_entries);
		return 0;
	}
	fresh.tag = tag;
	move_some(t, g, MOVE_SLOTS);
	place(g->slots, g->mask, fresh);
	g->n++;
	t->n_entries++;
	*added = true;
	return fresh.ref;
}

arena_ref keyed_table_upsert(struct keyed_table *t, const weir_key *key, uint32_t key_hash, int64_t window,
    bool *added, struct err *e)
{
	uint32_t len, tag = mix(key_hash, window);
	const void *bytes = key_bytes(t->key_kind, key, &len);
	struct keyed_slot *r = recent(t, tag);

	*added = false;
	if (r->tag != tag || r->ref == 0 || !same(t, r->ref, window, bytes, len)) {
		r->ref = upsert(t, bytes, len, key_hash, window, tag, added, e);
		r->tag = tag;
	}
	return r->ref;
}

/* Empty slot i and close the gap, so that no probe ends early. */
static void erase(struct keyed_slot *slots, uint32_t mask, uint32_t i)
{
	uint32_t j = i, home;

	for (;;) {
		j = (j + 1) & mask;
		if (slots[j].ref == 0)
			break;
		home = slots[j].tag & mask;
		if (((j - home) & mask) >= ((j - i) & mask)) {
			slots[i] = slots[j];
			i = j;
		}
	}
	slots[i].ref = 0;
}

static bool erase_ref(struct keyed_slot *slots, uint32_t mask, uint32_t tag, arena_ref ref)
{
	uint32_t i;

	for (i = tag & mask; slots[i].ref != 0; i = (i + 1) & mask) {
		if (slots[i].ref == ref) {
			erase(slots, mask, i);
			return true;
		}
	}
	return false;
}

void keyed_table_remove(struct keyed_table *t, arena_ref ref)
{
	struct keyed_entry *e = keyed_entry(t, ref);
	uint32_t group, tag = mix(e->key_hash, e->window);
	struct keyed_group *g = group_of(t, e->key_hash, &group);
	bool found;

	ASSERT(g != NULL);
	/* Closing a gap moves slots across old_moved: end the move first. Rare, and at most once a growth. */
	if (g->old != NULL)
		move_some(t, g, UINT32_MAX);
	if (recent(t, tag)->ref == ref)
		recent(t, tag)->ref = 0;
	found = erase_ref(g->slots, g->mask, tag, ref);
	ASSERT(found);
	arena_free(&t->arena, ref, (size_t)t->key_off + e->key_len);
	g->n--;
	t->n_entries--;
	if (g->n == 0) {
		/* an empty group gives its table back: windows come and go, and a burst must not stay */
		slots_drop(t, g->slots, g->mask, g->slots_ref);
		g->slots = NULL;
		g->mask = 0;
	}
}

static int each_slot(const struct keyed_table *t, const struct keyed_slot *slots, uint32_t from,
    uint32_t mask, int (*fn)(void *arg, struct keyed_entry *e), void *arg)
{
	int rc = 0;

	for (uint32_t i = from; i <= mask && rc == 0; i++)
		if (slots[i].ref != 0)
			rc = fn(arg, keyed_entry(t, slots[i].ref));
	return rc;
}

int keyed_table_each(const struct keyed_table *t, uint32_t i, int (*fn)(void *arg, struct keyed_entry *e),
    void *arg)
{
	const struct keyed_group *g = &t->groups[i];
	int rc = 0;

	if (g->slots != NULL)
		rc = each_slot(t, g->slots, 0, g->mask, fn, arg);
	if (g->old != NULL && rc == 0) /* what has been moved is in the new table */
		rc = each_slot(t, g->old, g->old_moved, g->old_mask, fn, arg);
	return rc;
}

void keyed_table_prefetch(const struct keyed_table *t, arena_ref ref)
{
	const struct keyed_entry *e = keyed_entry(t, ref);
	uint32_t group;
	const struct keyed_group *g = group_of(t, e->key_hash, &group);

	if (g != NULL && g->slots != NULL)
		__builtin_prefetch(&g->slots[mix(e->key_hash, e->window) & g->mask], 1);
}

void keyed_entry_key(const struct keyed_table *t, const struct keyed_entry *e, weir_key *key)
{
	const uint8_t *bytes = (const uint8_t *)e + t->key_off;

	memset(key, 0, sizeof(*key));
	if (t->key_kind == WEIR_KEY_STRING || t->key_kind == WEIR_KEY_BYTES) {
		key->data = bytes;
		key->len = e->key_len;
	} else {
		memcpy(&key->num, bytes, sizeof(key->num));
	}
}
