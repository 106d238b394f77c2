/* Options of the Kafka connector. */
#include "worker/connectors/kafka_options.h"

#include "base/conf.h"
#include "base/mem.h"
#include "worker/graph/job_graph.h"

#define PROPERTIES     "properties."
#define PROPERTIES_LEN (sizeof(PROPERTIES) - 1)
#define TOPIC_MAX      249 /* Kafka's limit */

static const char *const source_keys[] = { "topic", "scan.startup.mode", "scan.startup.timestamp-millis",
	"scan.bounded.mode", "scan.topic-partition-discovery.interval", "on-malformed",
	"properties.bootstrap.servers", "properties.group.id" };
static const char *const sink_keys[] = { "topic", "properties.bootstrap.servers", "sink.delivery-guarantee" };

/* Properties that the connector sets because it depends on them. */
static const struct {
	const char *name, *why;
} reserved[] = {
	{ "enable.auto.commit", "the source commits the offsets of what it has emitted" },
	{ "enable.auto.offset.store", "the source keeps its positions itself" },
	{ "enable.partition.eof", "the source finds the ends of partitions by it" },
	{ "log.queue", "the client's log goes to the worker's" },
	{ "message.timeout.ms", "a message that cannot be delivered waits, it is never dropped" },
	{ "delivery.timeout.ms", "a message that cannot be delivered waits, it is never dropped" },
};

static int unknown_option(const struct graph_node *n, const char *key, struct err *e)
{
	const char *const *keys = n->type == NODE_SOURCE ? source_keys : sink_keys;
	unsigned n_keys = n->type == NODE_SOURCE ? ARRAY_LEN(source_keys) : ARRAY_LEN(sink_keys);
	const char *near = conf_nearest(key, keys, n_keys);

	return err_set(e, ERR_INVALID, "the kafka %s has no option \"%s\"%s%s%s", node_type_name(n->type),
	    key, near != NULL ? "; did you mean \"" : "", near != NULL ? near : "",
	    near != NULL ? "\"?" : "");
}

static bool is_known(const struct graph_node *n, const char *key)
{
	const char *const *keys = n->type == NODE_SOURCE ? source_keys : sink_keys;
	unsigned n_keys = n->type == NODE_SOURCE ? ARRAY_LEN(source_keys) : ARRAY_LEN(sink_keys), i;

	if (strncmp(key, PROPERTIES, PROPERTIES_LEN) == 0 && key[PROPERTIES_LEN] != '\0')
		return true;
	for (i = 0; i < n_keys; i++)
		if (strcmp(key, keys[i]) == 0)
			return true;
	return false;
}

/* Which of the words an option is; the first is its default. */
static int parse_word(const struct graph_node *n, const char *key, const char *const *words, unsigned n_words,
    unsigned *which, struct err *e)
{
	const char *value = graph_node_option(n, key, words[0]);
	char allowed[160];
	size_t len = 0;
	unsigned i;

	allowed[0] = '\0';
	for (i = 0; i < n_words; i++) {
		if (strcmp(value, words[i]) == 0) {
			*which = i;
			return 0;
		}
		len += (size_t)snprintf(allowed + len, sizeof(allowed) - len, "%s%s",
		    i == 0               ? "" :
			i + 1 == n_words ? " or " :
					   ", ",
		    words[i]);
	}
	return err_set(e, ERR_INVALID, "option %s: \"%s\" must be %s", key, value, allowed);
}

static int check_topic(const char *topic, struct err *e)
{
	size_t len;

	if (topic == NULL || topic[0] == '\0')
		return err_set(e, ERR_INVALID, "option topic is missing");
	len = strspn(topic, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
	if (topic[len] != '\0' || len > TOPIC_MAX || strcmp(topic, ".") == 0 || strcmp(topic, "..") == 0)
		return err_set(e, ERR_INVALID,
		    "option topic: \"%s\" is no topic's name: at most %d letters, digits, '.', '_' and '-'",
		    topic, TOPIC_MAX);
	return 0;
}

static int parse_source(const struct graph_node *n, struct kafka_options *o, struct err *e)
{
	static const char *const startups[] = { "group-offsets", "earliest-offset", "latest-offset",
		"timestamp" };
	static const char *const bounds[] = { "unbounded", "latest-offset" };
	static const char *const malformed[] = { "fail", "skip" };
	/* Kafka's words and librdkafka's further ones, by what they mean */
	static const char *const resets[] = { "earliest", "latest", "none", "smallest", "largest", "error",
		"beginning", "end" };
	static const enum kafka_reset reset_of[] = { KAFKA_RESET_EARLIEST, KAFKA_RESET_LATEST,
		KAFKA_RESET_NONE, KAFKA_RESET_EARLIEST, KAFKA_RESET_LATEST, KAFKA_RESET_NONE,
		KAFKA_RESET_EARLIEST, KAFKA_RESET_LATEST };
	const char *text;
	unsigned which;

	if (parse_word(n, "scan.startup.mode", startups, ARRAY_LEN(startups), &which, e) < 0)
		return -1;
	o->startup = (enum kafka_startup)which;
	if (parse_word(n, "scan.bounded.mode", bounds, ARRAY_LEN(bounds), &which, e) < 0)
		return -1;
	o->bounded = which == 1;
	if (parse_word(n, "on-malformed", malformed, ARRAY_LEN(malformed), &which, e) < 0)
		return -1;
	o->skip_malformed = which == 1;
	if (parse_word(n, "properties.auto.offset.reset", resets, ARRAY_LEN(resets), &which, e) < 0)
		return -1;
	o->reset = reset_of[which];
	text = graph_node_option(n, "scan.startup.timestamp-millis", NULL);
	if (o->startup == KAFKA_START_TIMESTAMP) {
		if (text == NULL)
			return err_set(e, ERR_INVALID,
			    "option scan.startup.timestamp-millis is missing: the mode is timestamp");
		if (conf_parse_i64(text, 0, INT64_MAX, &o->startup_timestamp_ms, e) < 0)
			return err_prefix(e, "option scan.startup.timestamp-millis");
	} else if (text != NULL) {
		return err_set(e, ERR_INVALID,
		    "option scan.startup.timestamp-millis is for scan.startup.mode timestamp only");
	}
	text = graph_node_option(n, "scan.topic-partition-discovery.interval", "0");
	if (conf_parse_duration(text, &o->discovery_ms, e) < 0)
		return err_prefix(e, "option scan.topic-partition-discovery.interval");
	if (o->startup == KAFKA_START_GROUP && o->group_id == NULL)
		return err_set(e, ERR_INVALID,
		    "option properties.group.id is missing: scan.startup.mode is group-offsets");
	/* A broker answers what comes behind a fetch when it has answered that: with a bounded source, which
	 * waits for no new messages, that is the last commit. */
	text = graph_node_option(n, "properties.fetch.wait.max.ms",
	    graph_node_option(n, "properties.fetch.max.wait.ms", o->bounded ? "10" : "500"));
	return conf_parse_i64(text, 0, 300000, &o->fetch_wait_max_ms, e) < 0 ?
	    err_prefix(e, "option properties.fetch.wait.max.ms") :
	    0;
}

static int parse_sink(const struct graph_node *n, struct err *e)
{
	static const char *const guarantees[] = { "at-least-once" };
	unsigned which;

	return parse_word(n, "sink.delivery-guarantee", guarantees, ARRAY_LEN(guarantees), &which, e);
}

int kafka_options_parse(const struct graph_node *n, struct kafka_options *o, struct err *e)
{
	unsigned i;

	*o = (struct kafka_options){ .node = n };
	for (i = 0; i < n->n_options; i++)
		if (!is_known(n, n->options[i].key))
			return unknown_option(n, n->options[i].key, e);
	for (i = 0; i < ARRAY_LEN(reserved); i++) {
		char key[64];
		snprintf(key, sizeof(key), PROPERTIES "%s", reserved[i].name);
		if (graph_node_option(n, key, NULL) != NULL)
			return err_set(e, ERR_INVALID, "option %s cannot be set: %s", key, reserved[i].why);
	}
	o->topic = graph_node_option(n, "topic", NULL);
	o->servers = graph_node_option(n, "properties.bootstrap.servers",
	    graph_node_option(n, "properties.metadata.broker.list", NULL));
	o->group_id = graph_node_option(n, "properties.group.id", NULL);
	o->client_id = graph_node_option(n, "properties.client.id", NULL);
	if (o->group_id != NULL && o->group_id[0] == '\0')
		o->group_id = NULL;
	if (check_topic(o->topic, e) < 0)
		return -1;
	if (o->servers == NULL || o->servers[0] == '\0')
		return err_set(e, ERR_INVALID, "option properties.bootstrap.servers is missing");
	return n->type == NODE_SOURCE ? parse_source(n, o, e) : parse_sink(n, e);
}

uint32_t kafka_partition_owner(const char *topic, int32_t partition, uint32_t parallelism)
{
	uint32_t start = (31 * key_hash_string(topic, strlen(topic)) & UINT32_C(0x7fffffff)) % parallelism;

	return (start + (uint32_t)partition % parallelism) % parallelism;
}
