/*
 * Keyed state: one open-addressing table a key group, made at its first key.
 *
 * An entry is (key, window) with an accumulator behind it.  Entries live in the arena
 * and do not move; a table holds a tag and a reference of each, so that a lookup touches an entry
 * only where all 32 bits of its tag agree.  A table above KEYED_GROW_IN_STEPS slots moves a few
 * entries an insert to its larger self, so that growing never holds up a task.  Tables lie in the
 * arena too, for its huge pages: with millions of keys each lookup is a miss of the TLB otherwise.
 *
 * Key hash and key group are Flink's (worker/graph/job_graph.h), so state can be told apart
 * by key group when a job is rescaled.  One task's, one thread's.
 */
#ifndef WORKER_STATE_KEYED_TABLE_H
#define WORKER_STATE_KEYED_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "include/weir.h"
#include "worker/state/arena.h"

#define KEYED_GROW_IN_STEPS 32768u
#define KEYED_KEY_MAX       ((uint32_t)1 << 24)
#define KEYED_N_RECENT      256u

/* An entry: this header, the accumulator (8-byte aligned), the key's bytes. */
struct keyed_entry {
	int64_t window;    /* the window's end, ms */
	uint32_t key_hash; /* Flink's */
	uint32_t key_len;
	arena_ref next; /* in the list of its window; the owner's */
	uint32_t reserved;
};
_Static_assert(sizeof(struct keyed_entry) == 24, "the accumulator behind it is 8-byte aligned");

struct keyed_slot {
	uint32_t tag;  /* mixed hash of key and window */
	arena_ref ref; /* 0: empty */
};

struct keyed_group {
	struct keyed_slot *slots;
	uint32_t mask; /* size - 1 */
	uint32_t n;
	/* while growing in steps: what was, and how far it has been moved */
	struct keyed_slot *old;
	uint32_t old_mask, old_moved;
	arena_ref slots_ref, old_ref; /* 0: too large for the arena, mapped by itself */
};

struct keyed_table {
	struct arena arena;
	struct keyed_group *groups; /* of this subtask's range */
	uint32_t first_group, n_groups, max_parallelism;
	uint32_t acc_size;
	uint32_t key_off; /* of the key's bytes in an entry */
	weir_key_kind key_kind;
	uint64_t n_entries;
	/* Entries as they were last asked for, by tag: few keys, or a few that most records have, are
	 * found here without their group. */
	struct keyed_slot recent[KEYED_N_RECENT];
};

void keyed_table_init(struct keyed_table *t, weir_key_kind kind, uint32_t acc_size, uint32_t max_parallelism,
    uint32_t first_group, uint32_t end_group);
void keyed_table_fini(struct keyed_table *t);

/*
 * Find or make the entry of (key, window).
 *
 * key_hash: Flink's hash of key.
 * added:    set to true where it was made; its accumulator is zeroed then.
 * Returns:  its reference, or 0: no memory, or the key's group is not of this subtask (*e says which).
 */
struct err;
arena_ref keyed_table_upsert(struct keyed_table *t, const weir_key *key, uint32_t key_hash, int64_t window,
    bool *added, struct err *e);
/* Find only; 0: not there. */
arena_ref keyed_table_find(struct keyed_table *t, const weir_key *key, uint32_t key_hash, int64_t window);
/* Remove and free an entry. */
void keyed_table_remove(struct keyed_table *t, arena_ref ref);
/* Fetch what keyed_table_remove of this entry will touch, some 100 ns ahead of it. */
void keyed_table_prefetch(const struct keyed_table *t, arena_ref ref);

static inline struct keyed_entry *keyed_entry(const struct keyed_table *t, arena_ref ref)
{
	return arena_at(&t->arena, ref);
}
static inline void *keyed_acc(struct keyed_entry *e)
{
	return e + 1;
}
/* Call fn for every entry of the i-th group of the range, in no order; it may not change the table. What fn
 * returns other than 0 ends it and is returned. */
int keyed_table_each(const struct keyed_table *t, uint32_t i, int (*fn)(void *arg, struct keyed_entry *e),
    void *arg);
/* The key's key_len bytes as they are stored: of a number its 8. */
static inline const void *keyed_entry_key_bytes(const struct keyed_table *t, const struct keyed_entry *e)
{
	return (const uint8_t *)e + t->key_off;
}
/* The key as user functions see it; points into the entry. */
void keyed_entry_key(const struct keyed_table *t, const struct keyed_entry *e, weir_key *key);

#endif
