/* What the Kafka source and sink have in common on librdkafka's side. */
#include "worker/connectors/kafka_client.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/mem.h"

#define PROPERTIES     "properties."
#define PROPERTIES_LEN (sizeof(PROPERTIES) - 1)

#define API_KEY_FETCH     1
#define COMMIT_TIMEOUT_MS 10000

struct setting {
	const char *key, *value;
};

/* The property nearest to a wrong name, of those that librdkafka lists; caller frees. */
static char *nearest_property(rd_kafka_conf_t *conf, const char *name)
{
	size_t n, i;
	const char **dump = rd_kafka_conf_dump(conf, &n);
	const char **names = xcalloc(n / 2 + 1, sizeof(*names)), *near;
	char *copy;

	for (i = 0; i < n / 2; i++)
		names[i] = dump[2 * i];
	near = conf_nearest(name, names, (unsigned)(n / 2));
	copy = near != NULL ? xstrdup(near) : NULL;
	free(names);
	rd_kafka_conf_dump_free(dump, n);
	return copy;
}

/* Secrets are not repeated: librdkafka's sentences hold the value. */
static bool is_secret(const char *name)
{
	return strstr(name, "password") != NULL || strstr(name, "secret") != NULL ||
	    strstr(name, "key.pem") != NULL || strcmp(name, "sasl.oauthbearer.config") == 0;
}

static int set_property(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *e)
{
	char text[512], *near;

	switch (rd_kafka_conf_set(conf, name, value, text, sizeof(text))) {
	case RD_KAFKA_CONF_OK:
		return 0;
	case RD_KAFKA_CONF_INVALID:
		return err_set(e, ERR_INVALID, "option " PROPERTIES "%s: %s", name,
		    is_secret(name) ? "librdkafka does not accept its value" : text);
	case RD_KAFKA_CONF_UNKNOWN:
		break;
	}
	near = nearest_property(conf, name);
	err_set(e, ERR_INVALID, "option " PROPERTIES "%s: %s%s%s%s", name, text,
	    near != NULL ? "; did you mean " : "", near != NULL ? near : "", near != NULL ? "?" : "");
	free(near);
	return -1;
}

static int set_all(rd_kafka_conf_t *conf, const struct setting *s, unsigned n, struct err *e)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (set_property(conf, s[i].key, s[i].value, e) < 0)
			return -1;
	return 0;
}

/* The client's log, from a poll of the operator's. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	/* Said once a minute by the operator; no news where properties of consumers and producers come
	 * mixed; and of old brokers, which cannot be told to make no topics. */
	static const char *const quiet[] = { "FAIL", "ERROR", "CONFWARN", "AUTOCREATE" };
	bool loud = level <= 4;
	unsigned i;

	(void)rk;
	for (i = 0; i < ARRAY_LEN(quiet); i++)
		loud = loud && strcmp(facility, quiet[i]) != 0;
	if (loud)
		log_warnx("kafka.client", KV_STR("facility", facility), KV_MSG("%s", text));
	else
		log_debug("kafka.client", KV_STR("facility", facility), KV_MSG("%s", text));
}

rd_kafka_conf_t *kafka_client_conf(const struct kafka_options *o, const char *client_id, struct err *e)
{
	static const struct setting consumer_defaults[] = {
		/* What is prefetched is lost at a kill, and takes its time to free. */
		{ "queued.max.messages.kbytes", "8192" },
		/* A small one takes some hundred bytes more than its own. More of them make nothing faster: the
		 * next fetch is asked for while these are worked on. */
		{ "queued.min.messages", "40000" },
		{ "allow.auto.create.topics", "false" },
	};
	static const struct setting consumer_fixed[] = {
		{ "enable.auto.commit", "false" },
		{ "enable.auto.offset.store", "false" },
		{ "enable.partition.eof", "true" },
		/* Positions are found before; one that the broker does not have must not be skipped. */
		{ "auto.offset.reset", "error" },
	};
	static const struct setting producer_defaults[] = {
		{ "enable.idempotence", "true" },
		{ "acks", "all" },
	};
	static const struct setting producer_fixed[] = {
		{ "message.timeout.ms", "0" }, /* for ever; the default drops a message after 5 minutes */
	};
	static const struct setting both[] = { { "log.queue", "true" } };
	bool source = o->node->type == NODE_SOURCE;
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char wait_ms[24];
	const struct setting consumer_wait[] = { { "fetch.wait.max.ms", wait_ms } };
	int rc;

	rc = set_all(conf, both, ARRAY_LEN(both), e);
	if (rc == 0)
		rc = source ? set_all(conf, consumer_defaults, ARRAY_LEN(consumer_defaults), e) :
			      set_all(conf, producer_defaults, ARRAY_LEN(producer_defaults), e);
	if (rc == 0 && source) {
		snprintf(wait_ms, sizeof(wait_ms), "%" PRId64, o->fetch_wait_max_ms);
		rc = set_all(conf, consumer_wait, ARRAY_LEN(consumer_wait), e);
	}
	for (unsigned i = 0; rc == 0 && i < o->node->n_options; i++) {
		const struct graph_option *opt = &o->node->options[i];
		if (strncmp(opt->key, PROPERTIES, PROPERTIES_LEN) == 0 &&
		    strcmp(opt->key + PROPERTIES_LEN, "auto.offset.reset") != 0)
			rc = set_property(conf, opt->key + PROPERTIES_LEN, opt->value, e);
	}
	if (rc == 0)
		rc = source ? set_all(conf, consumer_fixed, ARRAY_LEN(consumer_fixed), e) :
			      set_all(conf, producer_fixed, ARRAY_LEN(producer_fixed), e);
	if (rc == 0 && client_id != NULL)
		rc = set_property(conf, "client.id", client_id, e);
	if (rc == 0) {
		rd_kafka_conf_set_log_cb(conf, on_log);
		return conf;
	}
	rd_kafka_conf_destroy(conf);
	return NULL;
}

int kafka_client_validate(const struct graph_node *n, struct err *e)
{
	struct kafka_options o;
	rd_kafka_conf_t *conf;

	if (kafka_options_parse(n, &o, e) < 0)
		return -1;
	conf = kafka_client_conf(&o, NULL, e);
	if (conf == NULL)
		return -1;
	rd_kafka_conf_destroy(conf);
	return 0;
}

char *kafka_client_id(const struct kafka_options *o, const char *job_id, uint64_t attempt, uint32_t subtask)
{
	return xasprintf("%s%sweir-%s-%" PRIu64 "-%" PRIu32, o->client_id != NULL ? o->client_id : "",
	    o->client_id != NULL ? "-" : "", job_id, attempt, subtask);
}

enum kafka_fault kafka_fault_of(int resp_err)
{
	switch ((rd_kafka_resp_err_t)resp_err) {
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
	case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
		return KAFKA_FAULT_NO_TOPIC;
	case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
	case RD_KAFKA_RESP_ERR_INVALID_GROUP_ID:
	case RD_KAFKA_RESP_ERR__AUTHENTICATION:
	case RD_KAFKA_RESP_ERR__SSL:
	case RD_KAFKA_RESP_ERR__FATAL:
		return KAFKA_FAULT_FINAL;
	default:
		return KAFKA_FAULT_PASSES;
	}
}

int kafka_client_judge(const struct kafka_options *o, const rd_kafka_message_t *m, struct err *e)
{
	const char *topic = o->topic;

	if (m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || m->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
		return err_set(e, ERR_NOT_FOUND,
		    "topic %s, partition %" PRId32 ", offset %" PRId64 ": the broker does not have it: %s",
		    topic, m->partition, m->offset, rd_kafka_message_errstr(m));
	switch (kafka_fault_of(m->err)) {
	case KAFKA_FAULT_NO_TOPIC:
		return err_set(e, ERR_NOT_FOUND, "topic %s does not exist any more on %s", topic, o->servers);
	case KAFKA_FAULT_FINAL:
		return err_set(e, ERR_UNAVAILABLE, "topic %s: %s", topic, rd_kafka_message_errstr(m));
	case KAFKA_FAULT_PASSES:
		break;
	}
	log_debug("kafka.consumer", KV_STR("topic", topic), KV_STR("reason", rd_kafka_err2name(m->err)),
	    KV_MSG("%s", rd_kafka_message_errstr(m)));
	return 0;
}

void kafka_client_content(const rd_kafka_message_t *m, weir_message *out)
{
	rd_kafka_timestamp_type_t type;

	out->value = m->payload;
	out->value_len = (uint32_t)m->len;
	out->key = m->key;
	out->key_len = (uint32_t)m->key_len;
	out->timestamp_ms = rd_kafka_message_timestamp(m, &type);
	if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || out->timestamp_ms < 0)
		out->timestamp_ms = WEIR_MIN_TIMESTAMP;
}

int kafka_client_unanswered(const struct kafka_options *o, int resp_err, const char *what, struct err *e)
{
	const char *why = rd_kafka_err2str((rd_kafka_resp_err_t)resp_err);

	switch (kafka_fault_of(resp_err)) {
	case KAFKA_FAULT_NO_TOPIC:
		return err_set(e, ERR_NOT_FOUND, "topic %s does not exist on %s", o->topic, o->servers);
	case KAFKA_FAULT_FINAL:
		return err_set(e, ERR_UNAVAILABLE, "topic %s: %s: %s", o->topic, what, why);
	case KAFKA_FAULT_PASSES:
		break;
	}
	err_set(e, ERR_UNAVAILABLE, "%s: %s", what, why);
	return 0;
}

void kafka_client_tag(rd_kafka_t *rk, rd_kafka_topic_partition_t *p, int64_t offset, const char *tag)
{
	size_t len = strlen(tag);

	p->offset = offset;
	p->metadata = rd_kafka_mem_malloc(rk, len);
	if (p->metadata != NULL) {
		memcpy(p->metadata, tag, len);
		p->metadata_size = len;
	}
}

/* Was this offset committed by this very job? */
static bool has_tag(const rd_kafka_topic_partition_t *p, const char *tag)
{
	size_t len = strlen(tag);

	return p->metadata_size >= len && memcmp(p->metadata, tag, len) == 0;
}

int kafka_client_group_start(const struct kafka_options *o, const rd_kafka_topic_partition_t *p,
    const char *tag, int64_t *start, struct err *e)
{
	bool of_group = o->startup == KAFKA_START_GROUP;

	if (p->offset >= 0 && (of_group || has_tag(p, tag)))
		*start = p->offset;
	else if (of_group && o->reset == KAFKA_RESET_NONE)
		return err_set(e, ERR_NOT_FOUND,
		    "topic %s, partition %" PRId32 ": group %s has no offset, and auto.offset.reset is none",
		    o->topic, p->partition, o->group_id);
	else if (of_group && o->reset == KAFKA_RESET_LATEST)
		*start = RD_KAFKA_OFFSET_END;
	return 0;
}

int64_t kafka_client_behind(rd_kafka_t *rk, const char *topic, int32_t partition, int64_t position)
{
	int64_t low, high;

	if (rd_kafka_get_watermark_offsets(rk, topic, partition, &low, &high) != RD_KAFKA_RESP_ERR_NO_ERROR ||
	    high < 0)
		return -1;
	if (position >= 0)
		low = position;
	return high > low ? high - low : 0;
}

int kafka_client_end_as_number(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_topic_partition_list_t *ends = NULL;
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;

	for (int i = 0; i < list->cnt; i++)
		if (list->elems[i].offset == RD_KAFKA_OFFSET_END && ends == NULL)
			ends = rd_kafka_topic_partition_list_copy(list);
	if (ends == NULL)
		return err;
	err = kafka_client_offsets_at(rk, ends, RD_KAFKA_OFFSET_END);
	for (int i = 0; err == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; i++) {
		if (list->elems[i].offset != RD_KAFKA_OFFSET_END)
			continue;
		if (ends->elems[i].offset < 0)
			err = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
		else
			list->elems[i].offset = ends->elems[i].offset;
	}
	rd_kafka_topic_partition_list_destroy(ends);
	return err;
}

int kafka_client_offsets_at(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list, int64_t when)
{
	rd_kafka_resp_err_t err;

	for (int i = 0; i < list->cnt; i++)
		list->elems[i].offset = when;
	err = rd_kafka_offsets_for_times(rk, list, KAFKA_CALL_MS);
	for (int i = 0; err == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; i++)
		err = list->elems[i].err;
	return err;
}

void kafka_client_commit(rd_kafka_t *rk, const char *group, const rd_kafka_topic_partition_list_t *list,
    rd_kafka_queue_t *queue)
{
	rd_kafka_AdminOptions_t *options =
	    rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS);
	rd_kafka_AlterConsumerGroupOffsets_t *alter = rd_kafka_AlterConsumerGroupOffsets_new(group, list);

	rd_kafka_AdminOptions_set_request_timeout(options, COMMIT_TIMEOUT_MS, NULL, 0);
	rd_kafka_AlterConsumerGroupOffsets(rk, &alter, 1, options, queue);
	rd_kafka_AlterConsumerGroupOffsets_destroy(alter);
	rd_kafka_AdminOptions_destroy(options);
}

int kafka_client_commit_result(rd_kafka_event_t *event)
{
	rd_kafka_resp_err_t err = rd_kafka_event_error(event);
	const rd_kafka_AlterConsumerGroupOffsets_result_t *result =
	    rd_kafka_event_AlterConsumerGroupOffsets_result(event);
	const rd_kafka_group_result_t **groups = NULL;
	const rd_kafka_topic_partition_list_t *list = NULL;
	const rd_kafka_error_t *error;
	size_t n = 0;

	if (err == RD_KAFKA_RESP_ERR_NO_ERROR && result != NULL)
		groups = rd_kafka_AlterConsumerGroupOffsets_result_groups(result, &n);
	if (n == 1) {
		error = rd_kafka_group_result_error(groups[0]);
		err = error != NULL ? rd_kafka_error_code(error) : err;
		list = rd_kafka_group_result_partitions(groups[0]);
	}
	for (int i = 0; list != NULL && err == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; i++)
		err = list->elems[i].err;
	rd_kafka_event_destroy(event);
	return err;
}

int kafka_client_commit_wait(rd_kafka_t *rk, const char *group, const rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_event_t *event;
	int err;

	kafka_client_commit(rk, group, list, queue);
	event = rd_kafka_queue_poll(queue, KAFKA_CALL_MS);
	err = event != NULL ? kafka_client_commit_result(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
	rd_kafka_queue_destroy(queue);
	return err;
}

static rd_kafka_resp_err_t on_response(rd_kafka_t *rk, int sockfd, const char *broker, int32_t broker_id,
    int16_t api_key, int16_t api_version, int32_t corr_id, size_t size, int64_t rtt, rd_kafka_resp_err_t err,
    void *opaque)
{
	static const uint64_t one = 1;
	struct kafka_watch *w = opaque;

	(void)rk, (void)sockfd, (void)broker, (void)broker_id, (void)api_version, (void)corr_id, (void)size,
	    (void)rtt;
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	if (api_key == API_KEY_FETCH)
		atomic_store_explicit(&w->fetched_ns, clock_mono_ns(&clock_system), memory_order_relaxed);
	if (!atomic_load_explicit(&w->alive, memory_order_relaxed)) {
		atomic_store_explicit(&w->alive, true, memory_order_relaxed);
		/* Full: it is rung already. */
		if (write(w->eventfd, &one, sizeof(one)) < 0)
			return RD_KAFKA_RESP_ERR_NO_ERROR;
	}
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *opaque, char *text,
    size_t size)
{
	(void)conf, (void)text, (void)size;
	return rd_kafka_interceptor_add_on_response_received(rk, "weir", on_response, opaque);
}

void kafka_client_watch(rd_kafka_conf_t *conf, struct kafka_watch *w, int eventfd)
{
	w->eventfd = eventfd;
	atomic_init(&w->fetched_ns, INT64_MIN);
	atomic_init(&w->alive, false);
	rd_kafka_conf_interceptor_add_on_new(conf, "weir", on_new, w);
}

char *kafka_client_property(const struct rd_kafka_conf_s *conf, const char *name)
{
	size_t size;
	char *value;

	if (rd_kafka_conf_get(conf, name, NULL, &size) != RD_KAFKA_CONF_OK)
		return NULL;
	value = xmalloc(size);
	if (rd_kafka_conf_get(conf, name, value, &size) == RD_KAFKA_CONF_OK)
		return value;
	free(value);
	return NULL;
}

void kafka_client_wake(struct rd_kafka_s *rk, const char *user, const char *password)
{
	rd_kafka_error_t *error = rd_kafka_sasl_set_credentials(rk, user, password);

	if (error != NULL)
		rd_kafka_error_destroy(error);
}

void kafka_client_on_arrival(struct rd_kafka_queue_s *queue, void (*fn)(struct rd_kafka_s *rk, void *opaque),
    void *opaque)
{
	rd_kafka_queue_cb_event_enable(queue, fn, opaque);
}
