/*
 * weir-drill's topics: a thread writes click events at a steady rate, whatever happens to the cluster;
 * a reader takes the results, assigned to all partitions and committing nothing.
 */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "jobs/tools/click.h"
#include "jobs/tools/drill.h"

#define EVENTS_A_WINDOW (CLICK_WINDOW_MS / CLICK_STEP_MS * CLICK_N_PAGES)
#define ROUNDS_BEHIND   60 /* of the next window: 900 ms, past all that watermarks stay behind */
#define FLUSH_MS        30000

struct drill_kafka {
	rd_kafka_t *producer, *reader;
	rd_kafka_topic_t *topic;
	char *in, *out;
	int32_t n_partitions;
	int64_t rate, n_sent;
	pthread_t thread;
	bool writing;
	atomic_bool end;
	atomic_int failed; /* rd_kafka_resp_err_t */
};

static void no_log(const rd_kafka_t *rk, int level, const char *fac, const char *buf)
{
	(void)rk, (void)level, (void)fac, (void)buf;
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct drill_kafka *k = opaque;

	(void)rk;
	if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		atomic_store(&k->failed, m->err);
}

static rd_kafka_t *client(struct drill_kafka *k, rd_kafka_type_t type, const char *servers, struct err *e)
{
	static const char *const settings[][2] = { { "enable.idempotence", "true" }, { "linger.ms", "5" },
		{ "message.timeout.ms", "0" }, { "delivery.report.only.error", "true" } };
	static const char *const reading[][2] = { { "group.id", "weir-drill" },
		{ "enable.auto.commit", "false" }, { "auto.offset.reset", "earliest" },
		{ "fetch.wait.max.ms", "10" } };
	const char *const(*list)[2] = type == RD_KAFKA_PRODUCER ? settings : reading;
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *rk;
	char text[512];
	unsigned i;

	for (i = 0; i < 4; i++)
		rd_kafka_conf_set(conf, list[i][0], list[i][1], text, sizeof(text));
	rd_kafka_conf_set_log_cb(conf, no_log);
	rd_kafka_conf_set_opaque(conf, k);
	if (type == RD_KAFKA_PRODUCER)
		rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	if (rd_kafka_conf_set(conf, "bootstrap.servers", servers, text, sizeof(text)) != RD_KAFKA_CONF_OK) {
		rd_kafka_conf_destroy(conf);
		err_set(e, ERR_INVALID, "--kafka %s: %s", servers, text);
		return NULL;
	}
	rk = rd_kafka_new(type, conf, text, sizeof(text));
	if (rk == NULL) {
		rd_kafka_conf_destroy(conf);
		err_set(e, ERR_IO, "librdkafka: %s", text);
	}
	return rk;
}

/* Ask for the topics to be made, one partition a subtask of the source. */
static int create_topics(struct drill_kafka *k, struct err *e)
{
	rd_kafka_NewTopic_t *topics[2];
	rd_kafka_queue_t *queue = rd_kafka_queue_new(k->producer);
	rd_kafka_event_t *event;
	const rd_kafka_topic_result_t **results;
	char text[512];
	size_t i, n = 0;
	int rc = 0;

	topics[0] = rd_kafka_NewTopic_new(k->in, DRILL_PARALLELISM, 1, text, sizeof(text));
	topics[1] = rd_kafka_NewTopic_new(k->out, DRILL_PARALLELISM, 1, text, sizeof(text));
	rd_kafka_CreateTopics(k->producer, topics, 2, NULL, queue);
	event = rd_kafka_queue_poll(queue, 30000);
	if (event == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
		rc = err_set(e, ERR_UNAVAILABLE, "topics cannot be made: %s",
		    event == NULL ? "no broker answers" : rd_kafka_event_error_string(event));
	} else {
		results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
		for (i = 0; i < n && rc == 0; i++)
			if (rd_kafka_topic_result_error(results[i]) != RD_KAFKA_RESP_ERR_NO_ERROR)
				rc = err_set(e, ERR_UNAVAILABLE, "topic %s: %s",
				    rd_kafka_topic_result_name(results[i]),
				    rd_kafka_topic_result_error_string(results[i]));
	}
	if (event != NULL)
		rd_kafka_event_destroy(event);
	rd_kafka_queue_destroy(queue);
	rd_kafka_NewTopic_destroy_array(topics, 2);
	return rc;
}

static void delete_topics(struct drill_kafka *k)
{
	rd_kafka_DeleteTopic_t *topics[2] = { rd_kafka_DeleteTopic_new(k->in),
		rd_kafka_DeleteTopic_new(k->out) };
	rd_kafka_queue_t *queue = rd_kafka_queue_new(k->producer);
	rd_kafka_event_t *event;

	rd_kafka_DeleteTopics(k->producer, topics, 2, NULL, queue);
	event = rd_kafka_queue_poll(queue, 10000);
	if (event == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
		fprintf(stderr, "weir-drill: the topics %s and %s could not be removed\n", k->in, k->out);
	if (event != NULL)
		rd_kafka_event_destroy(event);
	rd_kafka_queue_destroy(queue);
	rd_kafka_DeleteTopic_destroy_array(topics, 2);
}

/* Wait until each partition of a topic has its leader: how many there are, 0 after 30 s. */
static int32_t await_topic(struct drill_kafka *k, const char *name)
{
	int64_t deadline_ns = clock_mono_ns(&clock_system) + 30 * NS_PER_S;
	rd_kafka_topic_t *topic = rd_kafka_topic_new(k->producer, name, NULL);
	const struct rd_kafka_metadata *md;
	int32_t n = 0;
	int i;

	while (n == 0 && topic != NULL && clock_mono_ns(&clock_system) < deadline_ns &&
	    drill_interrupted == 0) {
		if (rd_kafka_metadata(k->producer, 0, topic, &md, 1000) == RD_KAFKA_RESP_ERR_NO_ERROR) {
			if (md->topic_cnt == 1 && md->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR)
				n = md->topics[0].partition_cnt;
			for (i = 0; n > 0 && i < md->topics[0].partition_cnt; i++)
				if (md->topics[0].partitions[i].leader < 0)
					n = 0;
			rd_kafka_metadata_destroy(md);
		}
		if (n == 0)
			rd_kafka_poll(k->producer, 50);
	}
	if (topic != NULL)
		rd_kafka_topic_destroy(topic);
	return n;
}

static int assign_all(struct drill_kafka *k, int32_t n, struct err *e)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(n);
	rd_kafka_resp_err_t err;
	int32_t i;

	rd_kafka_poll_set_consumer(k->reader);
	for (i = 0; i < n; i++)
		rd_kafka_topic_partition_list_add(list, k->out, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
	err = rd_kafka_assign(k->reader, list);
	rd_kafka_topic_partition_list_destroy(list);
	return err == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 :
						   err_set(e, ERR_IO, "assign: %s", rd_kafka_err2str(err));
}

struct drill_kafka *kafka_open(const char *servers, const char *tag, bool create, struct err *e)
{
	struct drill_kafka *k = xcalloc(1, sizeof(*k));
	int32_t n_out;

	k->in = xasprintf("%s-in", tag);
	k->out = xasprintf("%s-out", tag);
	if ((k->producer = client(k, RD_KAFKA_PRODUCER, servers, e)) == NULL ||
	    (k->reader = client(k, RD_KAFKA_CONSUMER, servers, e)) == NULL ||
	    (create && create_topics(k, e) < 0))
		goto fail;
	k->n_partitions = await_topic(k, k->in);
	n_out = await_topic(k, k->out);
	if (k->n_partitions == 0 || n_out == 0) {
		err_set(e, ERR_UNAVAILABLE, "the broker at %s has no leaders for the topics after 30 s",
		    servers);
		goto fail;
	}
	k->topic = rd_kafka_topic_new(k->producer, k->in, NULL);
	if (assign_all(k, n_out, e) == 0)
		return k;
fail:
	kafka_close(k, false);
	return NULL;
}

const char *kafka_topic_in(const struct drill_kafka *k)
{
	return k->in;
}
const char *kafka_topic_out(const struct drill_kafka *k)
{
	return k->out;
}

/* Hand over one event more, waiting for room. */
static int send_next(struct drill_kafka *k)
{
	int64_t i = k->n_sent, round = i / CLICK_N_PAGES;
	char event[CLICK_EVENT_MAX];
	size_t len =
	    click_event_write(event, CLICK_HH, round * CLICK_STEP_MS, click_pages[i % CLICK_N_PAGES]);

	while (rd_kafka_produce(k->topic, (int32_t)((i + round) % k->n_partitions), RD_KAFKA_MSG_F_COPY,
		   event, len, NULL, 0, NULL) < 0) {
		rd_kafka_resp_err_t err = rd_kafka_last_error();

		if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
			atomic_store(&k->failed, err);
			return -1;
		}
		rd_kafka_poll(k->producer, 5);
	}
	k->n_sent++;
	return 0;
}

static void *write_events(void *arg)
{
	struct drill_kafka *k = arg;
	int64_t t0_ns = clock_mono_ns(&clock_system), due;
	struct timespec ms = { 0, 1000000 };

	while (!atomic_load(&k->end) && atomic_load(&k->failed) == 0) {
		due = (int64_t)((double)(clock_mono_ns(&clock_system) - t0_ns) / (double)NS_PER_S *
		    (double)k->rate);
		while (k->n_sent < due && send_next(k) == 0)
			;
		rd_kafka_poll(k->producer, 0);
		nanosleep(&ms, NULL);
	}
	/* All that follows is written at once: what is open is filled, and a watermark behind it closes it. */
	while (atomic_load(&k->failed) == 0 && k->n_sent % EVENTS_A_WINDOW != 0)
		send_next(k);
	for (due = k->n_sent + (int64_t)ROUNDS_BEHIND * CLICK_N_PAGES; k->n_sent < due;)
		if (send_next(k) < 0)
			break;
	return NULL;
}

int kafka_start_input(struct drill_kafka *k, int64_t rate, struct err *e)
{
	int rc;

	k->rate = rate;
	rc = pthread_create(&k->thread, NULL, write_events, k);
	if (rc != 0)
		return err_set(e, ERR_IO, "no thread: %s", strerror(rc));
	k->writing = true;
	return 0;
}

int64_t kafka_end_input(struct drill_kafka *k, struct err *e)
{
	atomic_store(&k->end, true);
	if (k->writing)
		pthread_join(k->thread, NULL);
	k->writing = false;
	if (rd_kafka_flush(k->producer, FLUSH_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return err_set(e, ERR_TIMEOUT, "the broker has not confirmed every event within %d s",
		    FLUSH_MS / 1000);
	if (atomic_load(&k->failed) != 0)
		return err_set(e, ERR_IO, "the broker refused an event: %s",
		    rd_kafka_err2str((rd_kafka_resp_err_t)atomic_load(&k->failed)));
	return k->n_sent / EVENTS_A_WINDOW;
}

void kafka_read(struct drill_kafka *k, struct drill_oracle *o, int wait_ms)
{
	rd_kafka_message_t *m = rd_kafka_consumer_poll(k->reader, wait_ms);
	char *text;

	for (; m != NULL; m = rd_kafka_consumer_poll(k->reader, 0)) {
		if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
			text = xstrndup(m->payload == NULL ? "" : m->payload, m->len);
			oracle_add(o, text);
			free(text);
		}
		rd_kafka_message_destroy(m);
	}
}

void kafka_close(struct drill_kafka *k, bool delete)
{
	atomic_store(&k->end, true);
	if (k->writing)
		pthread_join(k->thread, NULL);
	if (k->producer != NULL) {
		if (delete)
			delete_topics(k);
		if (k->topic != NULL)
			rd_kafka_topic_destroy(k->topic);
		rd_kafka_purge(k->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
		rd_kafka_poll(k->producer, 0);
		rd_kafka_destroy(k->producer);
	}
	if (k->reader != NULL) {
		rd_kafka_consumer_close(k->reader);
		rd_kafka_destroy(k->reader);
	}
	free(k->in);
	free(k->out);
	free(k);
}
