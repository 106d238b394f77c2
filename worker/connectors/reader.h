/*
 * Reader: makes a source of a fetcher.  Decodes messages, stamps them, keeps the position
 * and the watermark of each split, merges the watermarks, and finds splits idle.
 *
 * Knows nothing of Kafka.  On the task's fiber.
 *
 * Watermarks: a split's is its highest timestamp - bound - 1; the source's is the lowest of its
 * active splits, emitted after a batch, at most once a ms.
 *
 * Idleness: a split is idle when its end was reported and, since then and without a
 * record, the other side has kept answering for the whole timeout.  The clock of this is not the
 * wall's: it advances by the fetcher's evidence only, by steps of at most max_gap_ns, without the time that
 * the slot stood still or the task was back-pressured.  So a process that was stopped, or a broker
 * that was, makes no split idle that has a backlog.
 */
#ifndef WORKER_CONNECTORS_READER_H
#define WORKER_CONNECTORS_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "shm/metrics.h"
#include "worker/connectors/fetcher.h"
#include "worker/runtime/operator.h"

#define READER_BATCH  512       /* messages a poll */
#define READER_NO_END INT64_MAX /* stop offset of an unbounded split */

struct reader_host {
	const struct clock *clock;
	/* Total time, monotonic ns, that idleness does not count: stalls and back pressure. Grows only. */
	int64_t (*excluded_ns)(void *arg);
	void (*fail)(void *arg, const char *sentence); /* the task */
	const char *(*user_error)(void *arg);          /* take what weir_fail said; "" when nothing */
	void *arg;
	struct metrics_task *metrics;
};

struct reader_options {
	bool skip_malformed; /* count them and go on; else the task fails */
	int64_t max_gap_ns;  /* between two steps of evidence that belong together */
};

struct reader;

/* op: the source, with its node, output and context. Borrows fetcher and clock. Freed with reader_destroy. */
struct reader *reader_create(struct operator *op, const struct reader_host *host,
    const struct reader_options *options, struct fetcher *fetcher);
void reader_destroy(struct reader *r);

/* One more split; returns its index. topic is borrowed. position: the first offset, negative: not known.
 * stop: it ends before this offset. */
uint32_t reader_add_split(struct reader *r, const char *topic, int32_t partition, int64_t position,
    int64_t stop);

/* What a checkpoint keeps of a split. */
struct reader_split_state {
	int64_t position, stop; /* as of reader_add_split */
	int64_t max_ts;         /* WEIR_MIN_TIMESTAMP: no record yet */
	int64_t watermark;      /* last emitted by the source that read it; WEIR_MIN_TIMESTAMP: none */
	bool ended;             /* bounded, and all of it was read */
};
/* As of the records emitted so far; what the fetcher holds further counts as not read. */
void reader_split_state(const struct reader *r, uint32_t split, struct reader_split_state *out);
/*
 * Give a split that was just added its past: what its watermark is made of, and whether it is over.
 * Once all have it, reader_discovered emits the lowest of the watermarks, so that what was late stays late.
 * Idleness is no past: while nothing was read, a split that was idle may have got a backlog.
 */
void reader_restore_split(struct reader *r, uint32_t split, const struct reader_split_state *state);
/* All splits there are were added: from now on, to have none is to be idle, or to be at the end. */
void reader_discovered(struct reader *r, bool bounded);

/* As operator_type.poll. */
enum source_status reader_poll(struct reader *r, int64_t *deadline_ns);

/* The next offset to be read, last delivered or skipped + 1; negative: not known. */
int64_t reader_position(const struct reader *r, uint32_t split);
uint32_t reader_n_splits(const struct reader *r);
/* When, monotonic ns, a message last came. */
int64_t reader_last_message_ns(const struct reader *r);

#endif
