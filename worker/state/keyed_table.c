/*
 * Keyed state: tables of key groups.
 */
#include "worker/state/keyed_table.h"

#include "base/err.h"
#include "base/mem.h"
#include "worker/graph/job_graph.h"

#define GROUP_MIN  8u
#define MOVE_SLOTS 32u /* old slots moved an insert: the old table is gone long before the new one is full */

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

void keyed_table_fini(struct keyed_table *t)
{
	uint32_t i;

	for (i = 0; i < t->n_groups; i++) {
		free(t->groups[i].slots);
		free(t->groups[i].old);
	}
	free(t->groups);
	arena_fini(&t->arena);
	memset(t, 0, sizeof(*t));
}

/* Key hash and window in one tag: the key's hash is Java's, weak in its low bits. */
static inline uint32_t mix(uint32_t key_hash, int64_t window)
{
	uint64_t h = ((uint64_t)key_hash + (uint64_t)window * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xd6e8feb86659fd93);

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

static inline bool same(const struct keyed_table *t, arena_ref ref, int64_t window, const void *key, uint32_t len)
{
	const struct keyed_entry *e = keyed_entry(t, ref);

	return e->window == window && e->key_len == len &&
	    (len == 0 || memcmp((const uint8_t *)e + t->key_off, key, len) == 0);
}

/* The slot of (tag, key, window) in slots, or the empty one where it would be. */
static inline struct keyed_slot *probe(const struct keyed_table *t, struct keyed_slot *slots, uint32_t mask, uint32_t tag,
    int64_t window, const void *key, uint32_t len)
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
static void move_some(struct keyed_group *g, uint32_t n)
{
	while (g->old != NULL && n-- > 0) {
		struct keyed_slot s = g->old[g->old_moved];

		if (s.ref != 0)
			place(g->slots, g->mask, s);
		if (g->old_moved++ == g->old_mask) {
			free(g->old);
			g->old = NULL;
		}
	}
}

static void group_grow(struct keyed_group *g)
{
	uint32_t size = g->slots == NULL ? GROUP_MIN : (g->mask + 1) * 2;

	if (g->old != NULL) /* never in practice: MOVE_SLOTS is far ahead */
		move_some(g, UINT32_MAX);
	g->old = g->slots;
	g->old_mask = g->mask;
	g->old_moved = 0;
	g->slots = xcalloc(size, sizeof(*g->slots));
	g->mask = size - 1;
	if (g->old != NULL && size < KEYED_GROW_IN_STEPS)
		move_some(g, UINT32_MAX);
}

/* Which slot of the old table still counts: moved ones are in the new one. */
static inline struct keyed_slot *find_old(const struct keyed_table *t, struct keyed_group *g, uint32_t tag, int64_t window,
    const void *key, uint32_t len)
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

static arena_ref entry_create(struct keyed_table *t, const void *bytes, uint32_t len, uint32_t key_hash, int64_t window)
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

arena_ref keyed_table_upsert(struct keyed_table *t, const weir_key *key, uint32_t key_hash, int64_t window, bool *added,
    struct err *e)
{
	uint32_t len, group, tag = mix(key_hash, window);
	const void *bytes = key_bytes(t->key_kind, key, &len);
	struct keyed_group *g = group_of(t, key_hash, &group);
	struct keyed_slot *s, fresh;

	*added = false;
	if (g == NULL) {
		err_set(e, ERR_INTERNAL, "a record of key group %u came to the subtask of groups %u to %u", group,
		    t->first_group, t->first_group + t->n_groups - 1);
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
	fresh.ref = entry_create(t, bytes, len, key_hash, window);
	if (fresh.ref == 0) {
		err_set(e, ERR_IO, "no memory for keyed state: %zu bytes are mapped for %llu entries", t->arena.mapped_bytes,
		    (unsigned long long)t->n_entries);
		return 0;
	}
	fresh.tag = tag;
	/* at most 3/4 full; what still waits in the old table has its room in the new one already counted */
	if (g->slots == NULL || (g->n + 1) > (g->mask + 1) / 4 * 3)
		group_grow(g);
	move_some(g, MOVE_SLOTS);
	place(g->slots, g->mask, fresh);
	g->n++;
	t->n_entries++;
	*added = true;
	return fresh.ref;
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
		move_some(g, UINT32_MAX);
	found = erase_ref(g->slots, g->mask, tag, ref);
	ASSERT(found);
	arena_free(&t->arena, ref, (size_t)t->key_off + e->key_len);
	g->n--;
	t->n_entries--;
	if (g->n == 0) {
		/* an empty group gives its table back: windows come and go, and a burst must not stay */
		free(g->slots);
		g->slots = NULL;
		g->mask = 0;
	}
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
