/*
 * For tests of the Kafka connector in real tasks: librdkafka's mock cluster, a client to fill and to read its
 * topics, and functions over messages that are decimal numbers.
 *
 * Include it in exactly one file of a test program.
 */
#ifndef T_UNIT_KAFKA_MOCK_H
#define T_UNIT_KAFKA_MOCK_H

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "t/unit/worker_fixture.h"

static rd_kafka_t *mock_rk, *client;
static rd_kafka_mock_cluster_t *mock;
static char servers[64];

/* --------------------------------------------------- functions of the job */

WEIR_DESERIALIZER(read_number, fx_row)(weir_ctx *ctx, const weir_message *m, fx_row *out)
{
	const char *p = m->value;

	if (m->value_len == 0)
		return weir_fail(ctx, "an empty message");
	for (uint32_t i = 0; i < m->value_len; i++) {
		if (p[i] < '0' || p[i] > '9')
			return weir_fail(ctx, "not a number at byte %u", (unsigned)i);
		out->a = out->a * 10 + (p[i] - '0');
	}
	out->b = m->partition;
	return 1;
}
WEIR_TIMESTAMP_ASSIGNER(number_time, fx_row)(weir_ctx *ctx, const fx_row *in, int64_t ts)
{
	(void)ctx;
	(void)ts;
	return in->a;
}
WEIR_SERIALIZER(write_number, fx_row)(weir_ctx *ctx, const fx_row *in, weir_message_out *out)
{
	(void)ctx;
	out->value_len = (uint32_t)snprintf(out->value, out->value_cap, "%" PRId64, in->a);
	out->timestamp_ms = WEIR_MIN_TIMESTAMP;
	return 0;
}

/* ------------------------------------------------------------ the outside */

static void no_log(const rd_kafka_t *rk, int level, const char *fac, const char *buf)
{
	(void)rk, (void)level, (void)fac, (void)buf;
}

static void mock_start(void)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	rd_kafka_conf_set_log_cb(conf, no_log);
	mock_rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
	mock = rd_kafka_mock_cluster_new(mock_rk, 1);
	snprintf(servers, sizeof(servers), "%s", rd_kafka_mock_cluster_bootstraps(mock));
	conf = rd_kafka_conf_new();
	rd_kafka_conf_set_log_cb(conf, no_log);
	rd_kafka_conf_set(conf, "bootstrap.servers", servers, NULL, 0);
	rd_kafka_conf_set(conf, "linger.ms", "1", NULL, 0);
	client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
}

static void mock_stop(void)
{
	rd_kafka_destroy(client);
	rd_kafka_mock_cluster_destroy(mock);
	rd_kafka_destroy(mock_rk);
}

static void send_text(const char *topic, int32_t partition, const char *text)
{
	char copy[32];
	size_t len = strlen(text);

	memcpy(copy, text, len);
	while (rd_kafka_producev(client, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
		   RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE(copy, len),
		   RD_KAFKA_V_END) != 0)
		rd_kafka_poll(client, 1);
}

/* Numbers from..to-1, over two partitions. */
static void send_numbers(const char *topic, int from, int to)
{
	char text[16];

	for (int i = from; i < to; i++) {
		snprintf(text, sizeof(text), "%d", i);
		send_text(topic, i % 2, text);
	}
	ok(rd_kafka_flush(client, 10000) == 0, "numbers %d..%d are in %s", from, to - 1, topic);
}

/* Every message of a topic, read by a client of its own; each number that came, once more. */
static int64_t read_topic(const char *topic, int64_t want, uint8_t *times, int64_t n_times)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(2);
	int64_t n = 0, end_ms = fx_now_ms() + 10000;
	rd_kafka_t *rk;

	rd_kafka_conf_set_log_cb(conf, no_log);
	rd_kafka_conf_set(conf, "bootstrap.servers", servers, NULL, 0);
	rd_kafka_conf_set(conf, "group.id", "reader", NULL, 0);
	rd_kafka_conf_set(conf, "fetch.wait.max.ms", "10", NULL, 0);
	rd_kafka_conf_set(conf, "enable.auto.commit", "false", NULL, 0);
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, NULL, 0);
	for (int p = 0; p < 2; p++)
		rd_kafka_topic_partition_list_add(list, topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
	rd_kafka_assign(rk, list);
	while (n < want && fx_now_ms() < end_ms) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 100);

		if (m == NULL)
			continue;
		if (m->err == 0) {
			char text[32] = "";
			int64_t v;

			memcpy(text, m->payload, m->len < sizeof(text) - 1 ? m->len : sizeof(text) - 1);
			v = strtoll(text, NULL, 10);
			if (v >= 0 && v < n_times)
				times[v]++;
			n++;
		}
		rd_kafka_message_destroy(m);
	}
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_destroy(rk);
	return n;
}

/* ----------------------------------------------------------- jobs of numbers */

static void option(struct graph_node *n, const char *key, const char *value)
{
	graph_option_set(&n->options, &n->n_options, key, value);
}

/* A source over `topic` and a sink, to `out`, or one called "Count" where that is NULL. */
static void numbers_job(struct fx *fx, const char *topic, const char *out, int parallelism,
    const char *const *options)
{
	uint32_t a, b;
	struct graph_node *n;

	a = fx_node(fx, NODE_SOURCE, "Source", parallelism, &read_number);
	n = &fx->g->nodes[a];
	option(n, "topic", topic);
	option(n, "properties.bootstrap.servers", servers);
	option(n, "properties.fetch.wait.max.ms", "10");
	option(n, "properties.reconnect.backoff.max.ms", "200");
	for (; options != NULL && *options != NULL; options += 2)
		option(n, options[0], options[1]);
	n->watermark = weir_bounded_out_of_orderness(0);
	fx_set_fn(n, FN_TIMESTAMP, &number_time);
	b = fx_node(fx, NODE_SINK, out != NULL ? "Sink" : "Count", parallelism, &write_number);
	if (out != NULL) {
		option(&fx->g->nodes[b], "topic", out);
		option(&fx->g->nodes[b], "properties.bootstrap.servers", servers);
	}
	fx_edge(fx, a, b, SHIP_FORWARD);
}

static const char *const bounded[] = { "scan.startup.mode", "earliest-offset", "scan.bounded.mode",
	"latest-offset", NULL };

#endif
