/*
 * Kafka fetcher.  Threads: prepare, commit_wait, create and destroy run on the connector
 * thread, the rest on the slot; the two never run at the same time but for a later prepare
 * beside fetch, and those share nothing that either writes.  librdkafka's own threads touch
 * `watch` alone.
 */
#include "worker/connectors/kafka_fetcher.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "worker/connectors/kafka_arrival.h"
#include "worker/connectors/kafka_client.h"
#include "worker/connectors/kafka_prefetch.h"
#include "worker/connectors/kafka_state.h"

#define BATCH        512
#define SAY_AGAIN_NS (60 * NS_PER_S)

enum step { STEP_METADATA, STEP_START, STEP_STOP, STEP_ASSIGN, STEP_DONE };

struct kafka_fetcher {
	struct fetcher base; /* first */
	struct kafka_fetcher_config config;
	char *client_id, *commit_tag;
	rd_kafka_t *rk;
	rd_kafka_topic_t *topic; /* for metadata */
	rd_kafka_queue_t *messages, *events, *commits;
	struct kafka_watch watch; /* librdkafka's threads write */
	struct kafka_prefetch prefetch;
	struct kafka_arrival arrival;
	int64_t burst; /* messages since the queue was last found empty */
	char *group;

	/* prepare */
	enum step step;
	int32_t n_partitions;      /* seen so far */
	struct kafka_split *found; /* not adopted yet */
	uint32_t n_found, cap_found;
	bool first_done; /* partitions found later are new ones */

	/* slot */
	struct kafka_split *splits;
	uint32_t n_splits, cap_splits;
	uint32_t *split_of; /* by partition */
	int32_t n_split_of;
	int64_t *committed; /* by split, last handed to a commit */
	rd_kafka_message_t *batch[BATCH];
	unsigned n_batch;
	int64_t caught_up_ns; /* everything the client had by then has come out */
	int64_t mark_ns;      /* a later time, reached when mark_left messages more have come out */
	int64_t mark_left;    /* 0: no mark */
	bool down, committing;
	int64_t commit_said_ns;
	char fatal[256];
};

/* ------------------------------------------------------------- callbacks */

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	struct kafka_fetcher *f = opaque;
	char text[256];

	if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
		f->down = true;
	} else if (err == RD_KAFKA_RESP_ERR__FATAL) {
		rd_kafka_fatal_error(rk, text, sizeof(text));
		snprintf(f->fatal, sizeof(f->fatal), "%s", text);
	} else if (kafka_fault_of(err) == KAFKA_FAULT_FINAL) {
		snprintf(f->fatal, sizeof(f->fatal), "%s", reason);
	}
}

static void committed(struct kafka_fetcher *f, rd_kafka_resp_err_t err)
{
	int64_t now_ns = clock_mono_ns(&clock_system);

	f->committing = false;
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	for (uint32_t i = 0; i < f->n_splits; i++)
		f->committed[i] = -1; /* once more with the next */
	if (f->commit_said_ns != 0 && now_ns - f->commit_said_ns < SAY_AGAIN_NS)
		return;
	f->commit_said_ns = now_ns;
	log_warnx("kafka.commit_failed", KV_JOB(f->config.job_id), KV_STR("topic", f->config.options->topic),
	    KV_STR("reason", rd_kafka_err2str(err)),
	    KV_MSG("offsets were not committed to the group; trying again"));
}

/* ------------------------------------------------------------ life cycle */

static void release_batch(struct kafka_fetcher *f)
{
	for (unsigned i = 0; i < f->n_batch; i++)
		rd_kafka_message_destroy(f->batch[i]);
	f->n_batch = 0;
}

/* 1: *out is filled, 0: nothing for the reader, -1: the task fails. */
static int raw_of(struct kafka_fetcher *f, const rd_kafka_message_t *m, struct raw_message *out,
    struct err *e)
{
	if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR && m->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
		return kafka_client_judge(f->config.options, m, e);
	if (m->partition < 0 || m->partition >= f->n_split_of || f->split_of[m->partition] == UINT32_MAX)
		return 0;
	*out = (struct raw_message){
		.kind = m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF ? RAW_END : RAW_MESSAGE,
		.split = f->split_of[m->partition],
		.msg = { .struct_size = sizeof(weir_message),
		    .topic = f->config.options->topic,
		    .partition = m->partition,
		    .offset = m->offset },
	};
	if (out->kind == RAW_MESSAGE)
		kafka_client_content(m, &out->msg);
	return 1;
}

static int fetch(struct fetcher *base, struct raw_message *out, unsigned max, struct err *e)
{
	struct kafka_fetcher *f = (struct kafka_fetcher *)(void *)base;
	int64_t now_ns = clock_mono_ns(&clock_system);
	int64_t bytes = 0;
	ssize_t got;
	int n = 0, rc;

	release_batch(f);
	kafka_arrival_before(&f->arrival, now_ns);
	if (max > BATCH)
		max = BATCH;
	/* No timeout: with one, it waits the timeout out to fill the batch. */
	got = rd_kafka_consume_batch_queue(f->messages, 0, f->batch, max);
	if (got < 0)
		return err_set(e, ERR_UNAVAILABLE, "topic %s: %s", f->config.options->topic,
		    rd_kafka_err2str(rd_kafka_last_error()));
	f->n_batch = (unsigned)got;
	/* How far behind the client we are: an empty queue says so at once; in a full one, the messages
	 * that are in it now will have come out when as many more have. */
	if (f->n_batch < max) {
		f->caught_up_ns = now_ns;
		f->mark_left = 0;
	} else if (f->mark_left == 0) {
		f->mark_ns = now_ns;
		f->mark_left = (int64_t)rd_kafka_queue_length(f->messages) + 1;
	} else if ((f->mark_left -= got) <= 0) {
		f->caught_up_ns = f->mark_ns;
		f->mark_left = 0;
	}
	for (unsigned i = 0; i < f->n_batch; i++) {
		if ((rc = raw_of(f, f->batch[i], &out[n], e)) < 0)
			return -1;
		n += rc;
		bytes += (int64_t)f->batch[i]->len;
	}
	kafka_prefetch_taken(&f->prefetch, f->rk, got, bytes);
	f->burst = got == 0 ? 0 : f->burst + got;
	kafka_arrival_after(&f->arrival, now_ns, got > 0 && f->burst < f->prefetch.step_messages);
	return n;
}

static int64_t evidence_ns(struct fetcher *base)
{
	struct kafka_fetcher *f = (struct kafka_fetcher *)(void *)base;
	int64_t answered_ns = kafka_watch_fetched_ns(&f->watch);

	return answered_ns < f->caught_up_ns ? answered_ns : f->caught_up_ns;
}

struct kafka_fetcher *kafka_fetcher_create(const struct kafka_fetcher_config *config, struct err *e)
{
	struct kafka_fetcher *f = xcalloc(1, sizeof(*f));
	static const uint64_t one = 1; /* what an eventfd takes */
	rd_kafka_conf_t *conf;
	char text[512];

	f->base = (struct fetcher){ fetch, evidence_ns };
	f->config = *config;
	f->client_id = kafka_client_id(config->options, config->job_id, config->attempt, config->subtask);
	f->commit_tag = xasprintf("weir-%s", config->job_id);
	f->caught_up_ns = INT64_MIN;
	conf = kafka_client_conf(config->options, f->client_id, e);
	if (conf == NULL)
		goto fail;
	/* A restart goes on from the group's offsets, so there is always a group. */
	f->group = config->options->group_id != NULL ? xstrdup(config->options->group_id) :
						       xasprintf("weir-%s", config->job_id);
	rd_kafka_conf_set(conf, "group.id", f->group, NULL, 0);
	rd_kafka_conf_set_opaque(conf, f);
	rd_kafka_conf_set_error_cb(conf, on_error);
	kafka_client_watch(conf, &f->watch, config->eventfd);
	kafka_prefetch_init(&f->prefetch, conf);
	f->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof(text));
	if (f->rk == NULL) {
		rd_kafka_conf_destroy(conf);
		err_set(e, ERR_INVALID, "topic %s: librdkafka made no consumer: %s", config->options->topic,
		    text);
		goto fail;
	}
	rd_kafka_set_log_queue(f->rk, NULL);
	f->topic = rd_kafka_topic_new(f->rk, config->options->topic, NULL);
	f->messages = rd_kafka_queue_get_consumer(f->rk);
	f->events = rd_kafka_queue_get_main(f->rk);
	f->commits = rd_kafka_queue_new(f->rk);
	if (f->topic == NULL || f->messages == NULL || f->events == NULL) {
		err_set(e, ERR_INVALID, "topic %s: librdkafka: %s", config->options->topic,
		    rd_kafka_err2str(rd_kafka_last_error()));
		goto fail;
	}
	kafka_arrival_init(&f->arrival, config->eventfd, config->options->bounded ? 0 : KAFKA_PAUSE_NS);
	kafka_arrival_watch(&f->arrival, f->messages);
	rd_kafka_queue_io_event_enable(f->events, config->eventfd, &one, sizeof(one));
	rd_kafka_queue_io_event_enable(f->commits, config->eventfd, &one, sizeof(one));
	return f;
fail:
	kafka_fetcher_destroy(f);
	return NULL;
}

static void queue_close(rd_kafka_queue_t *queue)
{
	if (queue == NULL)
		return;
	rd_kafka_queue_io_event_enable(queue, -1, NULL, 0);
	rd_kafka_queue_destroy(queue);
}

void kafka_fetcher_destroy(struct kafka_fetcher *f)
{
	if (f == NULL)
		return;
	release_batch(f);
	if (f->messages != NULL) {
		kafka_arrival_unwatch(f->messages);
		rd_kafka_queue_destroy(f->messages);
	}
	queue_close(f->events);
	queue_close(f->commits);
	if (f->topic != NULL)
		rd_kafka_topic_destroy(f->topic);
	if (f->rk != NULL)
		rd_kafka_destroy_flags(f->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	kafka_prefetch_fini(&f->prefetch);
	free(f->found);
	free(f->splits);
	free(f->split_of);
	free(f->committed);
	free(f->client_id);
	free(f->commit_tag);
	free(f->group);
	free(f);
}

int64_t kafka_fetcher_due_ns(const struct kafka_fetcher *f)
{
	return f->arrival.paused_until_ns;
}

struct fetcher *kafka_fetcher_base(struct kafka_fetcher *f)
{
	return &f->base;
}

/* --------------------------------------------------------------- prepare */

static enum kafka_step not_yet(struct kafka_fetcher *f, rd_kafka_resp_err_t err, const char *what,
    struct err *e)
{
	return kafka_client_unanswered(f->config.options, err, what, e) < 0 ? KAFKA_STEP_FAILED :
									      KAFKA_STEP_UNREACHABLE;
}

/* What there is to find out about what was found. */
static enum step step_after(const struct kafka_fetcher *f, enum step done)
{
	bool place = false, stop = false;

	for (uint32_t i = 0; i < f->n_found; i++) {
		place = place || !f->found[i].placed;
		stop = stop || (f->config.options->bounded && f->found[i].stop == INT64_MAX);
	}
	if (place && done < STEP_START)
		return STEP_START;
	return stop && done < STEP_STOP ? STEP_STOP : STEP_ASSIGN;
}

static enum kafka_step find_partitions(struct kafka_fetcher *f, struct err *e)
{
	const struct rd_kafka_metadata *md;
	rd_kafka_resp_err_t err = rd_kafka_metadata(f->rk, 0, f->topic, &md, KAFKA_CALL_MS);
	int32_t n = 0, p;

	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return not_yet(f, err, "partitions", e);
	if (md->topic_cnt == 1) {
		err = md->topics[0].err;
		n = md->topics[0].partition_cnt;
	}
	rd_kafka_metadata_destroy(md);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR && n == 0)
		err = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return not_yet(f, err, "partitions", e);
	if (!f->first_done && kafka_state_check(f->config.state, f->config.options, n, e) < 0)
		return KAFKA_STEP_FAILED;
	for (p = f->n_partitions; p < n; p++) {
		struct kafka_split k = { p, RD_KAFKA_OFFSET_BEGINNING, INT64_MAX, false, false };

		if (kafka_partition_owner(f->config.options->topic, p, f->config.parallelism) !=
			f->config.subtask ||
		    !kafka_state_place(f->config.state, f->config.options, &k))
			continue;
		k.placed = k.placed || f->first_done; /* one found later is read from its beginning */
		VEC_RESERVE(f->found, f->n_found, f->cap_found);
		f->found[f->n_found++] = k;
	}
	if (n > f->n_partitions)
		f->n_partitions = n;
	f->step = f->n_found == 0 ? STEP_DONE : step_after(f, STEP_METADATA);
	if (f->step == STEP_ASSIGN)
		return KAFKA_STEP_ADOPT;
	if (f->step == STEP_DONE)
		f->first_done = true;
	return f->step == STEP_DONE ? KAFKA_STEP_READY : KAFKA_STEP_AGAIN;
}

/* What has ended may be deleted by now, and is not fetched. */
static rd_kafka_topic_partition_list_t *list_of_found(const struct kafka_fetcher *f, bool ended_too)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)f->n_found);

	for (uint32_t i = 0; i < f->n_found; i++)
		if (ended_too || !f->found[i].ended)
			rd_kafka_topic_partition_list_add(list, f->config.options->topic, f->found[i].partition)
			    ->offset = f->found[i].start;
	return list;
}

/*
 * Where to begin what no checkpoint speaks of.  Where none are taken, a restart goes on from what this job
 * has committed, whatever its startup mode.
 */
static enum kafka_step find_start(struct kafka_fetcher *f, struct err *e)
{
	const struct kafka_options *o = f->config.options;
	rd_kafka_topic_partition_list_t *list = list_of_found(f, true);
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
	enum kafka_step result = KAFKA_STEP_AGAIN;
	bool of_time = o->startup == KAFKA_START_TIMESTAMP;

	if (of_time)
		err = kafka_client_offsets_at(f->rk, list, o->startup_timestamp_ms);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR && (of_time || o->startup == KAFKA_START_LATEST))
		for (uint32_t i = 0; i < f->n_found; i++)
			if (!f->found[i].placed)
				f->found[i].start = of_time && list->elems[i].offset >= 0 ?
				    list->elems[i].offset :
				    RD_KAFKA_OFFSET_END;
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR &&
	    (o->startup == KAFKA_START_GROUP || (f->config.attempt > 1 && !f->config.checkpointing))) {
		err = rd_kafka_committed(f->rk, list, KAFKA_CALL_MS);
		for (int i = 0; err == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; i++)
			err = list->elems[i].err;
		for (uint32_t i = 0; err == RD_KAFKA_RESP_ERR_NO_ERROR && i < f->n_found; i++)
			if (!f->found[i].placed &&
			    kafka_client_group_start(o, &list->elems[i], f->commit_tag, &f->found[i].start, e) < 0)
				result = KAFKA_STEP_FAILED;
	}
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR && result == KAFKA_STEP_AGAIN) {
		/* "The end" as a number: in a checkpoint it must mean the end of now. */
		rd_kafka_topic_partition_list_destroy(list);
		list = list_of_found(f, true);
		err = kafka_client_end_as_number(f->rk, list);
		for (uint32_t i = 0; err == RD_KAFKA_RESP_ERR_NO_ERROR && i < f->n_found; i++)
			f->found[i].start = list->elems[i].offset;
	}
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		result = not_yet(f, err, "start offsets", e);
	rd_kafka_topic_partition_list_destroy(list);
	if (result == KAFKA_STEP_AGAIN) {
		for (uint32_t i = 0; i < f->n_found; i++)
			f->found[i].placed = true;
		f->step = step_after(f, STEP_START);
		if (f->step == STEP_ASSIGN)
			result = KAFKA_STEP_ADOPT;
	}
	return result;
}

static enum kafka_step find_stop(struct kafka_fetcher *f, struct err *e)
{
	rd_kafka_topic_partition_list_t *list = list_of_found(f, true);
	rd_kafka_resp_err_t err;
	enum kafka_step result = KAFKA_STEP_ADOPT;

	for (int i = 0; i < list->cnt; i++)
		list->elems[i].offset = RD_KAFKA_OFFSET_END;
	err = kafka_client_end_as_number(f->rk, list);
	for (uint32_t i = 0; err == RD_KAFKA_RESP_ERR_NO_ERROR && i < f->n_found; i++)
		if (f->found[i].stop == INT64_MAX)
			f->found[i].stop = list->elems[i].offset;
	rd_kafka_topic_partition_list_destroy(list);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		result = not_yet(f, err, "end offsets", e);
	else
		f->step = STEP_ASSIGN;
	return result;
}

static enum kafka_step assign(struct kafka_fetcher *f, struct err *e)
{
	rd_kafka_topic_partition_list_t *list = list_of_found(f, false);
	rd_kafka_error_t *error = NULL;
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;

	if (list->cnt == 0)
		; /* nothing to assign */
	else if (!f->first_done)
		err = rd_kafka_assign(f->rk, list);
	else if ((error = rd_kafka_incremental_assign(f->rk, list)) != NULL)
		err = rd_kafka_error_code(error);
	rd_kafka_topic_partition_list_destroy(list);
	if (error != NULL)
		rd_kafka_error_destroy(error);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
		err_set(e, ERR_UNAVAILABLE, "topic %s: assignment of its partitions: %s",
		    f->config.options->topic, rd_kafka_err2str(err));
		return KAFKA_STEP_FAILED;
	}
	f->n_found = 0;
	f->first_done = true;
	f->step = STEP_DONE;
	return KAFKA_STEP_READY;
}

enum kafka_step kafka_fetcher_prepare(struct kafka_fetcher *f, struct err *e)
{
	switch (f->step) {
	case STEP_METADATA:
		return find_partitions(f, e);
	case STEP_START:
		return find_start(f, e);
	case STEP_STOP:
		return find_stop(f, e);
	case STEP_ASSIGN:
		return assign(f, e);
	case STEP_DONE:
		break;
	}
	return KAFKA_STEP_READY;
}

void kafka_fetcher_rediscover(struct kafka_fetcher *f)
{
	ASSERT(f->step == STEP_DONE);
	f->step = STEP_METADATA;
}

uint32_t kafka_fetcher_adopt(struct kafka_fetcher *f)
{
	uint32_t first = f->n_splits, n = first + f->n_found;

	f->committed = xreallocarray(f->committed, n + 1, sizeof(*f->committed));
	f->split_of = xreallocarray(f->split_of, (size_t)f->n_partitions + 1, sizeof(*f->split_of));
	while (f->n_split_of < f->n_partitions)
		f->split_of[f->n_split_of++] = UINT32_MAX;
	for (uint32_t i = 0; i < f->n_found; i++) {
		VEC_RESERVE(f->splits, f->n_splits, f->cap_splits);
		f->split_of[f->found[i].partition] = f->n_splits;
		f->committed[f->n_splits] = -1;
		f->splits[f->n_splits++] = f->found[i];
	}
	return first;
}

uint32_t kafka_fetcher_n_splits(const struct kafka_fetcher *f)
{
	return f->n_splits;
}

const struct kafka_split *kafka_fetcher_split(const struct kafka_fetcher *f, uint32_t i)
{
	return &f->splits[i];
}

/* ------------------------------------------------------------------ slot */

void kafka_fetcher_settle(struct kafka_fetcher *f, int wait_ms)
{
	rd_kafka_event_t *event;

	if (f->committing && (event = rd_kafka_queue_poll(f->commits, wait_ms)) != NULL)
		committed(f, kafka_client_commit_result(event));
}

int kafka_fetcher_serve(struct kafka_fetcher *f, struct err *e)
{
	rd_kafka_poll(f->rk, 0);
	kafka_fetcher_settle(f, 0);
	if (f->fatal[0] != '\0')
		return err_set(e, ERR_UNAVAILABLE, "topic %s: %s", f->config.options->topic, f->fatal);
	return 0;
}

int64_t kafka_fetcher_answered_ns(const struct kafka_fetcher *f)
{
	return kafka_watch_fetched_ns(&f->watch);
}

bool kafka_fetcher_alive(const struct kafka_fetcher *f)
{
	return kafka_watch_alive(&f->watch);
}

bool kafka_fetcher_take_down(struct kafka_fetcher *f)
{
	bool down = f->down;

	f->down = false;
	return down;
}

/* What has moved since the last commit, or NULL. */
static rd_kafka_topic_partition_list_t *list_to_commit(struct kafka_fetcher *f, const int64_t *positions)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)f->n_splits);

	for (uint32_t i = 0; i < f->n_splits; i++) {
		if (positions[i] < 0 || positions[i] == f->committed[i])
			continue;
		kafka_client_tag(f->rk,
		    rd_kafka_topic_partition_list_add(list, f->config.options->topic,
			f->splits[i].partition),
		    positions[i], f->commit_tag);
		f->committed[i] = positions[i];
	}
	if (list->cnt > 0)
		return list;
	rd_kafka_topic_partition_list_destroy(list);
	return NULL;
}

bool kafka_fetcher_committing(const struct kafka_fetcher *f)
{
	return f->committing;
}

void kafka_fetcher_commit(struct kafka_fetcher *f, const int64_t *positions)
{
	rd_kafka_topic_partition_list_t *list;

	if (f->committing || (list = list_to_commit(f, positions)) == NULL)
		return;
	f->committing = true;
	kafka_client_commit(f->rk, f->group, list, f->commits);
	rd_kafka_topic_partition_list_destroy(list);
}

int kafka_fetcher_commit_wait(struct kafka_fetcher *f, const int64_t *positions, struct err *e)
{
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t err;

	for (uint32_t i = 0; i < f->n_splits; i++)
		f->committed[i] = -1; /* an earlier one may still be on its way */
	list = list_to_commit(f, positions);
	if (list == NULL)
		return 0;
	err = kafka_client_commit_wait(f->rk, f->group, list);
	rd_kafka_topic_partition_list_destroy(list);
	return err == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 :
						   err_set(e, ERR_UNAVAILABLE, "%s", rd_kafka_err2str(err));
}

int64_t kafka_fetcher_pending(struct kafka_fetcher *f, const int64_t *positions)
{
	int64_t sum = 0, n;

	for (uint32_t i = 0; i < f->n_splits; i++) {
		n = kafka_client_behind(f->rk, f->config.options->topic, f->splits[i].partition, positions[i]);
		if (n < 0)
			return -1;
		sum += n;
	}
	return sum;
}
