/*
 * Kafka fetcher: a consumer of the partitions of one topic that belong to one subtask.
 *
 * Life: create, then prepare until it says READY, both on the connector thread, where they may
 * wait up to a second a call; then fetch, serve and commit on the slot, which never wait; destroy
 * on the connector thread again.  prepare may be called again later, to look for new partitions.
 */
#ifndef WORKER_CONNECTORS_KAFKA_FETCHER_H
#define WORKER_CONNECTORS_KAFKA_FETCHER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "worker/connectors/fetcher.h"
#include "worker/connectors/kafka_options.h"

struct kafka_fetcher;
struct kafka_state;

struct kafka_fetcher_config {
	const struct kafka_options *options; /* borrowed for life */
	const char *job_id;                  /* the same */
	uint64_t attempt;
	uint32_t subtask, parallelism;
	int eventfd; /* rung when there is something to fetch or to serve */
	bool checkpointing;              /* the group's offsets are for display: no restart begins at them */
	const struct kafka_state *state; /* complete before the first prepare; borrowed for life */
};

/* Returns NULL with e filled. */
struct kafka_fetcher *kafka_fetcher_create(const struct kafka_fetcher_config *config, struct err *e);
void kafka_fetcher_destroy(struct kafka_fetcher *f);
struct fetcher *kafka_fetcher_base(struct kafka_fetcher *f);

/* Fetch again at this time, monotonic ns, if it is to come: until then, messages do not ring the eventfd. */
int64_t kafka_fetcher_due_ns(const struct kafka_fetcher *f);

/* A partition that prepare has found. */
struct kafka_split {
	int32_t partition;
	int64_t start; /* negative: one of librdkafka's logical offsets */
	int64_t stop;  /* INT64_MAX: unbounded */
	bool placed;   /* start is final */
	bool ended;    /* of a checkpoint: all of it was read */
};

enum kafka_step {
	KAFKA_STEP_AGAIN,       /* one step done, call again */
	KAFKA_STEP_ADOPT,       /* splits were found: kafka_fetcher_adopt on the slot, then call again */
	KAFKA_STEP_READY,       /* nothing left to find */
	KAFKA_STEP_UNREACHABLE, /* no broker answered; e says why; call again later */
	KAFKA_STEP_FAILED       /* e is the task's failure */
};
enum kafka_step kafka_fetcher_prepare(struct kafka_fetcher *f, struct err *e);
/* Let prepare begin anew. Only after READY. */
void kafka_fetcher_rediscover(struct kafka_fetcher *f);
/* On the slot: take over what was found. Returns the index of the first new split. */
uint32_t kafka_fetcher_adopt(struct kafka_fetcher *f);
uint32_t kafka_fetcher_n_splits(const struct kafka_fetcher *f);
const struct kafka_split *kafka_fetcher_split(const struct kafka_fetcher *f, uint32_t i);

/* Log lines, errors, results of commits. 0, or -1 with the task's failure. */
int kafka_fetcher_serve(struct kafka_fetcher *f, struct err *e);
/* When a fetch was last answered, monotonic ns; INT64_MIN: never. */
int64_t kafka_fetcher_answered_ns(const struct kafka_fetcher *f);
/* A broker has answered something: from now on, prepare does not wait in vain. That rings the eventfd. */
bool kafka_fetcher_alive(const struct kafka_fetcher *f);
/* The client said since the last call that no broker is left. */
bool kafka_fetcher_take_down(struct kafka_fetcher *f);

/* A commit was not answered yet; another would be passed over. */
bool kafka_fetcher_committing(const struct kafka_fetcher *f);
/* Commit the next offsets to be read to the group; negative ones are passed over. Does not wait. */
void kafka_fetcher_commit(struct kafka_fetcher *f, const int64_t *positions);
/* Take the answer to a commit. Waiting is for the connector thread, when the slot is through with it. */
void kafka_fetcher_settle(struct kafka_fetcher *f, int wait_ms);
/* Commit and wait up to a second for it; connector thread. 0, or -1 with e filled. */
int kafka_fetcher_commit_wait(struct kafka_fetcher *f, const int64_t *positions, struct err *e);
/* Messages known to be behind the positions, -1: unknown. Does not ask the broker. */
int64_t kafka_fetcher_pending(struct kafka_fetcher *f, const int64_t *positions);

#endif
