/*
 * Options of the Kafka connector: defaults, what is refused and in which words, properties that
 * librdkafka judges, client ids, and which subtask reads which partition.
 */
#include "base/mem.h"
#include "t/tap.h"
#include "worker/connectors/kafka_client.h"
#include "worker/graph/stream_graph.h"

static struct graph_option options[16];
static struct graph_node node;

static void begin(enum node_type type)
{
	memset(&node, 0, sizeof(node));
	node.type = type;
	node.options = options;
}
static void set(const char *key, const char *value)
{
	options[node.n_options].key = xstrdup(key);
	options[node.n_options++].value = xstrdup(value);
}
static void end(void)
{
	while (node.n_options > 0) {
		node.n_options--;
		free(options[node.n_options].key);
		free(options[node.n_options].value);
	}
}
static void source(void)
{
	begin(NODE_SOURCE);
	set("topic", "input");
	set("properties.bootstrap.servers", "localhost:9092");
	set("properties.group.id", "g");
}

static void test_defaults(void)
{
	struct kafka_options o;
	struct err e = { 0 };

	source();
	is_int(kafka_options_parse(&node, &o, &e), 0, "topic, servers and group are enough: %s", e.msg);
	is_str(o.topic, "input", "topic");
	is_str(o.servers, "localhost:9092", "servers");
	is_int(o.startup, KAFKA_START_GROUP, "from the group's offsets");
	is_int(o.reset, KAFKA_RESET_EARLIEST, "else from the earliest");
	ok(!o.bounded && !o.skip_malformed && o.discovery_ms == 0,
	    "unbounded, malformed messages fail, no discovery");
	is_int(o.fetch_wait_max_ms, 500, "librdkafka's wait");
	end();
	source();
	set("scan.bounded.mode", "latest-offset");
	is_int(kafka_options_parse(&node, &o, &e), 0, "bounded: %s", e.msg);
	is_int(o.fetch_wait_max_ms, 10, "a bounded source waits for nothing new");
	end();
	begin(NODE_SINK);
	set("topic", "output");
	set("properties.bootstrap.servers", "h:1,h:2");
	is_int(kafka_client_validate(&node, &e), 0, "a sink needs no group");
	end();
}

static void test_values(void)
{
	struct kafka_options o;
	struct err e = { 0 };

	source();
	set("scan.startup.mode", "timestamp");
	set("scan.startup.timestamp-millis", "1767225600000");
	set("scan.bounded.mode", "latest-offset");
	set("scan.topic-partition-discovery.interval", "5 min");
	set("on-malformed", "skip");
	set("properties.auto.offset.reset", "latest");
	set("properties.fetch.wait.max.ms", "10");
	is_int(kafka_client_validate(&node, &e), 0, "all of them: %s", e.msg);
	is_int(kafka_options_parse(&node, &o, &e), 0, "are read");
	is_int(o.startup_timestamp_ms, INT64_C(1767225600000), "timestamp");
	ok(o.bounded && o.skip_malformed && o.startup == KAFKA_START_TIMESTAMP &&
		o.reset == KAFKA_RESET_LATEST,
	    "words");
	is_int(o.discovery_ms, 300000, "interval");
	is_int(o.fetch_wait_max_ms, 10, "wait");
	end();
}

static void refused(const char *key, const char *value, const char *why)
{
	struct err e = { 0 };

	source();
	set(key, value);
	is_int(kafka_client_validate(&node, &e), -1, "%s = %s is refused", key, value);
	like(e.msg, why, "with its reason");
	end();
}

static void test_refused(void)
{
	struct err e = { 0 };

	refused("topics", "x", "the kafka source has no option \"topics\"; did you mean \"topic\"?");
	refused("zzz", "x", "the kafka source has no option \"zzz\"");
	refused("properties.", "x", "has no option \"properties.\"");
	refused("scan.startup.mode", "earliest",
	    "option scan.startup.mode: \"earliest\" must be group-offsets, earliest-offset, latest-offset or timestamp");
	refused("scan.startup.mode", "timestamp", "option scan.startup.timestamp-millis is missing");
	refused("scan.startup.timestamp-millis", "1", "is for scan.startup.mode timestamp only");
	refused("scan.bounded.mode", "yes", "must be unbounded or latest-offset");
	refused("on-malformed", "ignore", "option on-malformed: \"ignore\" must be fail or skip");
	refused("scan.topic-partition-discovery.interval", "often",
	    "option scan.topic-partition-discovery.interval: ");
	refused("properties.fetch.wait.max.ms", "-5", "option properties.fetch.wait.max.ms");
	refused("properties.auto.offset.reset", "oldest",
	    "option properties.auto.offset.reset: \"oldest\" must be");
	refused("properties.fetch.min.byte", "1",
	    "No such configuration property: \"fetch.min.byte\"; did you mean fetch.min.bytes?");
	refused("properties.fetch.min.bytes", "many", "option properties.fetch.min.bytes: Invalid value");
	refused("properties.enable.auto.commit", "true",
	    "option properties.enable.auto.commit cannot be set: the source");
	refused("properties.message.timeout.ms", "5",
	    "cannot be set: a message that cannot be delivered waits");

	begin(NODE_SOURCE);
	set("properties.bootstrap.servers", "h:1");
	is_int(kafka_client_validate(&node, &e), -1, "no topic");
	like(e.msg, "option topic is missing", "is said");
	set("topic", "a/b");
	is_int(kafka_client_validate(&node, &e), -1, "no topic's name");
	like(e.msg, "\"a/b\" is no topic's name", "is said");
	end();
	begin(NODE_SOURCE);
	set("topic", "t");
	is_int(kafka_client_validate(&node, &e), -1, "no servers");
	like(e.msg, "option properties.bootstrap.servers is missing", "is said");
	set("properties.bootstrap.servers", "h:1");
	is_int(kafka_client_validate(&node, &e), -1, "no group for group-offsets");
	like(e.msg, "option properties.group.id is missing: scan.startup.mode is group-offsets", "is said");
	set("scan.startup.mode", "earliest-offset");
	is_int(kafka_client_validate(&node, &e), 0, "otherwise none is needed");
	end();
	begin(NODE_SINK);
	set("topic", "t");
	set("properties.bootstrap.servers", "h:1");
	set("scan.bounded.mode", "latest-offset");
	is_int(kafka_client_validate(&node, &e), -1, "a sink has no end");
	like(e.msg, "the kafka sink has no option \"scan.bounded.mode\"", "is said");
	end();
}

static void test_names(void)
{
	struct kafka_options o = { .client_id = NULL };
	char *id = kafka_client_id(&o, "0af1", 3, 1);

	is_str(id, "weir-0af1-3-1", "job, attempt and subtask are in the client id");
	free(id);
	o.client_id = "mine";
	id = kafka_client_id(&o, "0af1", 3, 1);
	is_str(id, "mine-weir-0af1-3-1", "behind the job's own");
	free(id);
}

static void test_owners(void)
{
	unsigned seen[3] = { 0 };
	uint32_t first = kafka_partition_owner("input", 0, 3);

	/* "input".hashCode() is 100358090; 31 times it, cut to 31 bits, is 963617142 */
	is_int(first, 963617142 % 3, "the first partition's owner comes from the topic's hash, as in Flink");
	is_int(kafka_partition_owner("input", 1, 3), (first + 1) % 3, "the next one is the next subtask's");
	for (int p = 0; p < 30; p++)
		seen[kafka_partition_owner("input", p, 3)]++;
	ok(seen[0] == 10 && seen[1] == 10 && seen[2] == 10, "all have as many");
	is_int(kafka_partition_owner("any", 17, 1), 0, "one subtask has all");
}

int main(void)
{
	test_defaults();
	test_values();
	test_refused();
	test_names();
	test_owners();
	return tap_done();
}
