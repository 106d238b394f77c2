/*
 * What a Kafka source keeps in a checkpoint, and what it finds of that when it is restored.
 *
 * A list of entries, all of them shown to every subtask, which takes those of its own partitions by
 * the rule that assigns partitions, whatever the parallelism was:
 *
 *   split   a partition that is read: where to go on, where to stop, its watermark
 *   fresh   a subtask that had not found its partitions yet: they start as in a first run
 *   none    a subtask without partitions: that the source has a past at all
 *
 * and the runtime's "finished", which says the same of a subtask that had ended.
 *
 * A partition that neither speaks of has come up since, and is read from its beginning; or, where the
 * source is bounded, belonged to a subtask that had finished or is no part of the run, and is not read.
 */
#ifndef WORKER_CONNECTORS_KAFKA_STATE_H
#define WORKER_CONNECTORS_KAFKA_STATE_H

#include "worker/connectors/kafka_fetcher.h"
#include "worker/connectors/reader.h"
#include "worker/state/snapshot.h"

/* Of which subtask of how many, reading what. */
struct kafka_reader_place {
	const char *topic;
	uint32_t subtask, parallelism;
};

struct kafka_split_state {
	int32_t partition;
	struct reader_split_state s;
};
struct kafka_fresh {
	uint32_t subtask, parallelism;
};

/* Filled on the task's fiber before the first partition is looked for; only read after that. */
struct kafka_state {
	bool restored;                    /* there was an entry, of whatever subtask */
	struct kafka_split_state *splits; /* own ones */
	uint32_t n_splits, cap_splits;
	struct kafka_fresh *fresh; /* all there were */
	uint32_t n_fresh, cap_fresh;
};
void kafka_state_fini(struct kafka_state *k);

/* Take one entry. Returns 0, or -1 with e: damaged, of another topic, or twice there. */
int kafka_state_restore(struct kafka_state *k, const struct kafka_reader_place *place,
    struct snapshot_part *part, struct err *e);

/* NULL: not restored. */
const struct reader_split_state *kafka_state_find(const struct kafka_state *k, int32_t partition);

/*
 * Place a split of the given partition: where it goes on and stops, as far as the state says, and
 * whether it is over.  Returns false when it is not read at all.
 */
bool kafka_state_place(const struct kafka_state *k, const struct kafka_options *o, struct kafka_split *split);
/* Whether the topic still has every partition of the state; if not it is another topic. 0 or -1. */
int kafka_state_check(const struct kafka_state *k, const struct kafka_options *o, int32_t n_partitions,
    struct err *e);

void kafka_state_put_split(struct snapshot_writer *w, const char *topic, int32_t partition,
    const struct reader_split_state *s);
/* Of a subtask that found no partitions. */
void kafka_state_put_none(struct snapshot_writer *w, const struct kafka_reader_place *place);
/* The state of a subtask that has read nothing yet: what it was restored with, or that it is fresh. */
void kafka_state_put_unread(const struct kafka_state *k, const struct kafka_reader_place *place,
    struct snapshot_writer *w);

/*
 * Positions of checkpoints, by split, until they are told to the group.  An aborted checkpoint's go when
 * a later one is complete, or when there are too many.
 */
#define KAFKA_HELD_MAX 16
struct kafka_held {
	struct kafka_held_positions {
		uint64_t checkpoint_id;
		int64_t *positions;
		uint32_t n;
	} held[KAFKA_HELD_MAX];
	uint32_t n;
};
/* Copies positions. */
void kafka_held_put(struct kafka_held *h, uint64_t checkpoint_id, const int64_t *positions, uint32_t n);
/* Complete: forget it and all older ones. Returns how many positions were copied out, 0: it is unknown. */
uint32_t kafka_held_take(struct kafka_held *h, uint64_t checkpoint_id, int64_t *positions, uint32_t max);
void kafka_held_fini(struct kafka_held *h);

#endif
