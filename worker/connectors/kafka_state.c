/* State of a Kafka source in checkpoints; positions that wait for one to be complete. */
#include "worker/connectors/kafka_state.h"

#include <inttypes.h>

#include "base/mem.h"

#define SPLIT    "split"
#define FRESH    "fresh"
#define NONE     "none"
#define FINISHED "finished" /* the runtime's: no topic, and else as "fresh" */

#define NOT_READ (-1) /* as a position: nothing of it was read, from its beginning on */

void kafka_state_fini(struct kafka_state *k)
{
	free(k->splits);
	free(k->fresh);
	*k = (struct kafka_state){ 0 };
}

/* ---------------------------------------------------------------- writing */

void kafka_state_put_split(struct snapshot_writer *w, const char *topic, int32_t partition,
    const struct reader_split_state *s)
{
	snapshot_begin_entry(w, SPLIT);
	snapshot_put_str(w, topic);
	snapshot_put_u32(w, (uint32_t)partition);
	snapshot_put_i64(w, s->position < 0 ? NOT_READ : s->position);
	snapshot_put_i64(w, s->stop);
	snapshot_put_i64(w, s->max_ts);
	snapshot_put_i64(w, s->watermark);
	snapshot_put_u32(w, s->ended);
	snapshot_end_part(w);
}

static void put_subtask(struct snapshot_writer *w, const char *name, const char *topic, uint32_t subtask,
    uint32_t parallelism)
{
	snapshot_begin_entry(w, name);
	snapshot_put_str(w, topic);
	snapshot_put_u32(w, subtask);
	snapshot_put_u32(w, parallelism);
	snapshot_end_part(w);
}

void kafka_state_put_none(struct snapshot_writer *w, const struct kafka_reader_place *place)
{
	put_subtask(w, NONE, place->topic, place->subtask, place->parallelism);
}

void kafka_state_put_unread(const struct kafka_state *k, const struct kafka_reader_place *place,
    struct snapshot_writer *w)
{
	if (!k->restored)
		put_subtask(w, FRESH, place->topic, place->subtask, place->parallelism);
	else if (k->n_splits == 0)
		kafka_state_put_none(w, place);
	for (uint32_t i = 0; i < k->n_splits; i++)
		kafka_state_put_split(w, place->topic, k->splits[i].partition, &k->splits[i].s);
	/* By every subtask that knows of it: a fresh one's partitions may be those of several now. */
	for (uint32_t i = 0; i < k->n_fresh; i++)
		put_subtask(w, FRESH, place->topic, k->fresh[i].subtask, k->fresh[i].parallelism);
}

/* ---------------------------------------------------------------- reading */

static int restore_split(struct kafka_state *k, const struct kafka_reader_place *place,
    struct snapshot_part *part, struct err *e)
{
	struct kafka_split_state split = { 0 };
	uint32_t partition = snapshot_get_u32(part), ended;

	split.s.position = snapshot_get_i64(part);
	split.s.stop = snapshot_get_i64(part);
	split.s.max_ts = snapshot_get_i64(part);
	split.s.watermark = snapshot_get_i64(part);
	ended = snapshot_get_u32(part);
	if (!snapshot_part_ok(part) || partition > INT32_MAX || ended > 1 || split.s.position < NOT_READ)
		return err_set(e, ERR_INVALID, "topic %s: a split's state is damaged", place->topic);
	split.partition = (int32_t)partition;
	split.s.ended = ended == 1;
	if (kafka_partition_owner(place->topic, split.partition, place->parallelism) != place->subtask)
		return 0;
	if (kafka_state_find(k, split.partition) != NULL)
		return err_set(e, ERR_INVALID, "topic %s, partition %" PRId32 ": its state is there twice",
		    place->topic, split.partition);
	VEC_RESERVE(k->splits, k->n_splits, k->cap_splits);
	k->splits[k->n_splits++] = split;
	return 0;
}

static int restore_subtask(struct kafka_state *k, const struct kafka_reader_place *place,
    struct snapshot_part *part, struct err *e)
{
	struct kafka_fresh fresh = { .subtask = snapshot_get_u32(part) };

	fresh.parallelism = snapshot_get_u32(part);
	if (!snapshot_part_ok(part) || fresh.subtask >= fresh.parallelism)
		return err_set(e, ERR_INVALID, "topic %s: the state of a source is damaged", place->topic);
	if (strcmp(part->name, FRESH) != 0)
		return 0;
	for (uint32_t i = 0; i < k->n_fresh; i++)
		if (k->fresh[i].subtask == fresh.subtask && k->fresh[i].parallelism == fresh.parallelism)
			return 0;
	VEC_RESERVE(k->fresh, k->n_fresh, k->cap_fresh);
	k->fresh[k->n_fresh++] = fresh;
	return 0;
}

int kafka_state_restore(struct kafka_state *k, const struct kafka_reader_place *place,
    struct snapshot_part *part, struct err *e)
{
	static const char *const names[] = { SPLIT, FRESH, NONE, FINISHED };
	const char *topic;
	unsigned i = 0;

	while (i < ARRAY_LEN(names) && strcmp(part->name, names[i]) != 0)
		i++;
	if (part->keyed || i == ARRAY_LEN(names))
		return err_set(e, ERR_INVALID, "a Kafka source has no state called \"%s\"",
		    part->keyed ? "keyed" : part->name);
	topic = strcmp(part->name, FINISHED) == 0 ? place->topic : snapshot_get_str(part);
	if (part->bad)
		return err_set(e, ERR_INVALID, "topic %s: the state of a source is damaged", place->topic);
	if (strcmp(topic, place->topic) != 0)
		return err_set(e, ERR_INVALID,
		    "the state is of topic %s, but the source reads topic %s; with another uid it starts anew",
		    topic, place->topic);
	k->restored = true;
	return i == 0 ? restore_split(k, place, part, e) : restore_subtask(k, place, part, e);
}

const struct reader_split_state *kafka_state_find(const struct kafka_state *k, int32_t partition)
{
	for (uint32_t i = 0; i < k->n_splits; i++)
		if (k->splits[i].partition == partition)
			return &k->splits[i].s;
	return NULL;
}

/* Whether its first start is still to come. */
static bool is_fresh(const struct kafka_state *k, const char *topic, int32_t partition)
{
	for (uint32_t i = 0; i < k->n_fresh; i++)
		if (kafka_partition_owner(topic, partition, k->fresh[i].parallelism) == k->fresh[i].subtask)
			return true;
	return !k->restored;
}

bool kafka_state_place(const struct kafka_state *k, const struct kafka_options *o, struct kafka_split *split)
{
	const struct reader_split_state *past = kafka_state_find(k, split->partition);

	if (past == NULL) {
		split->placed = !is_fresh(k, o->topic, split->partition);
		return !split->placed || !o->bounded;
	}
	split->placed = true;
	if (past->position >= 0)
		split->start = past->position;
	if (o->bounded) {
		split->stop = past->stop;
		split->ended = past->ended;
	}
	return true;
}

int kafka_state_check(const struct kafka_state *k, const struct kafka_options *o, int32_t n_partitions,
    struct err *e)
{
	for (uint32_t i = 0; i < k->n_splits; i++) {
		const struct kafka_split_state *split = &k->splits[i];

		if (split->partition >= n_partitions && !(o->bounded && split->s.ended))
			return err_set(e, ERR_NOT_FOUND,
			    "topic %s, partition %" PRId32 ", offset %" PRId64
			    ": the partition was read before and is not there any more",
			    o->topic, split->partition, split->s.position);
	}
	return 0;
}

/* ------------------------------------------------- positions that wait */

static void drop_first(struct kafka_held *h, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		free(h->held[i].positions);
	h->n -= n;
	memmove(h->held, h->held + n, h->n * sizeof(h->held[0]));
}

void kafka_held_put(struct kafka_held *h, uint64_t checkpoint_id, const int64_t *positions, uint32_t n)
{
	if (h->n == KAFKA_HELD_MAX)
		drop_first(h, 1);
	h->held[h->n++] = (struct kafka_held_positions){
		.checkpoint_id = checkpoint_id,
		.positions = n > 0 ? xmemdup(positions, n * sizeof(*positions)) : NULL,
		.n = n,
	};
}

uint32_t kafka_held_take(struct kafka_held *h, uint64_t checkpoint_id, int64_t *positions, uint32_t max)
{
	uint32_t i = 0, n = 0;

	for (; i < h->n && h->held[i].checkpoint_id <= checkpoint_id; i++)
		if (h->held[i].checkpoint_id == checkpoint_id) {
			n = h->held[i].n < max ? h->held[i].n : max;
			if (n > 0)
				memcpy(positions, h->held[i].positions, n * sizeof(*positions));
		}
	drop_first(h, i);
	return n;
}

void kafka_held_fini(struct kafka_held *h)
{
	drop_first(h, h->n);
}
