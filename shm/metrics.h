/*
 * The metrics region: one memfd a worker, made by the supervisor before the fork.
 *
 * A process block, then METRICS_TASK_BLOCKS blocks of 1 KiB, sparse.  Written by
 * the worker with relaxed stores, one writer a field; read by the supervisor, which
 * treats it like a packet from outside.  It outlives the worker: its last words are in it.
 */
#ifndef SHM_METRICS_H
#define SHM_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define METRICS_MAGIC       UINT64_C(0x5352544d52494557) /* "WEIRMTRS" in memory */
#define METRICS_VERSION     1
#define METRICS_TASK_BLOCKS 4096
#define METRICS_BLOCK_SIZE  1024
#define METRICS_LAST_WORDS  512

enum metric {
#define METRIC(member, id, kind, sentence) METRIC_##member,
#include "shm/metrics.def"
#undef METRIC
	METRIC_N
};
#define METRIC_USER_FIRST METRIC_N
#define METRICS_PER_BLOCK (METRICS_BLOCK_SIZE / 8)
#define METRIC_USER_MAX   (METRICS_PER_BLOCK - METRIC_USER_FIRST)

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE };
const char *metric_id(enum metric m); /* Flink's id */
enum metric_kind metric_kind(enum metric m);

/* A task's block; the owner's slot writes. */
struct metrics_task {
	_Atomic int64_t v[METRICS_PER_BLOCK];
};
_Static_assert(sizeof(struct metrics_task) == METRICS_BLOCK_SIZE, "1 KiB");

/* The process block, one page. */
struct metrics_process {
	uint64_t magic;
	uint32_t version;
	_Atomic uint32_t pid; /* of the worker that attached it */
	_Atomic int64_t heap_bytes;
	_Atomic int64_t arena_bytes;
	_Atomic int64_t ring_bytes;
	_Atomic int64_t threads;
	_Atomic uint32_t last_words_len;
	char last_words[METRICS_LAST_WORDS]; /* why the worker ends, written before it does */
};

_Static_assert(offsetof(struct metrics_process, last_words_len) == 48, "drawn in shm/README.md");
_Static_assert(offsetof(struct metrics_process, last_words) == 52, "drawn in shm/README.md");

struct metrics_region;

int metrics_create(struct err *e); /* memfd or -1; supervisor, before the fork */
/* Map it; writable by the worker, read-only by the supervisor. Does not close fd. */
struct metrics_region *metrics_attach(int fd, int writable, struct err *e);
void metrics_detach(struct metrics_region *m);
struct metrics_process *metrics_process(struct metrics_region *m);
/* A task's block, its page reserved: NULL out of range or without memory. Any thread. */
struct metrics_task *metrics_task(struct metrics_region *m, uint32_t block);
/* Zero a block before its next attempt; the owner's slot or, before it runs, the main thread. */
void metrics_task_clear(struct metrics_task *t);

static inline void metrics_add(struct metrics_task *t, unsigned m, int64_t n)
{
	/* one writer: no locked instruction */
	atomic_store_explicit(&t->v[m], atomic_load_explicit(&t->v[m], memory_order_relaxed) + n,
	    memory_order_relaxed);
}
static inline void metrics_set(struct metrics_task *t, unsigned m, int64_t v)
{
	atomic_store_explicit(&t->v[m], v, memory_order_relaxed);
}
static inline int64_t metrics_get(const struct metrics_task *t, unsigned m)
{
	return atomic_load_explicit(&t->v[m], memory_order_relaxed);
}
/* Async-signal-safe: keep the last sentence of this process. */
void metrics_last_words(struct metrics_region *m, const char *sentence);
/* Copy them out, NUL-terminated, control characters replaced. */
void metrics_read_last_words(struct metrics_region *m, char *buf, unsigned size);

#endif
