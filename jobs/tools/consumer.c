/*
 * weir-consumer: prints the messages of a topic, one a line, from its beginning or from
 * now on; with --windows it judges each result of the click-count job.
 *
 * It assigns itself every partition and commits nothing, so that watching changes nothing.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

static const char program[] = "weir-consumer";
static volatile sig_atomic_t stopped;

static void on_stop(int sig)
{
	(void)sig;
	stopped = 1;
}

struct options {
	const char *servers, *topic;
	int64_t max_messages; /* 0: no end */
	int64_t idle_ms;      /* end after so long without a message; 0: never */
	int64_t window_count; /* expected count, 0: plain output */
	bool from_beginning;
};

static rd_kafka_t *client(const struct options *o, struct err *e)
{
	static const char *const settings[][2] = { { "group.id", "weir-consumer" }, { "enable.auto.commit", "false" },
		{ "auto.offset.reset", "earliest" }, { "fetch.wait.max.ms", "10" }, { "log_level", "0" } };
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *rk;
	char text[512];
	size_t i;

	for (i = 0; i < ARRAY_LEN(settings); i++)
		rd_kafka_conf_set(conf, settings[i][0], settings[i][1], text, sizeof(text));
	if (rd_kafka_conf_set(conf, "bootstrap.servers", o->servers, text, sizeof(text)) != RD_KAFKA_CONF_OK) {
		rd_kafka_conf_destroy(conf);
		err_set(e, ERR_INVALID, "--bootstrap.servers: %s", text);
		return NULL;
	}
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof(text));
	if (rk == NULL) {
		rd_kafka_conf_destroy(conf);
		err_set(e, ERR_IO, "librdkafka: %s", text);
	}
	return rk;
}

/* Wait until the topic is there, then take all its partitions. */
static int assign_all(rd_kafka_t *rk, const struct options *o, struct err *e)
{
	rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, o->topic, NULL);
	rd_kafka_topic_partition_list_t *list;
	const struct rd_kafka_metadata *md;
	rd_kafka_resp_err_t err;
	bool said = false;
	int i, n = 0;

	while (!stopped && n == 0) {
		err = rd_kafka_metadata(rk, 0, topic, &md, 1000);
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
			n = md->topic_cnt == 1 ? md->topics[0].partition_cnt : 0;
			rd_kafka_metadata_destroy(md);
		}
		if (n == 0 && !said) {
			fprintf(stderr, "%s: waiting for topic \"%s\" at %s\n", program, o->topic, o->servers);
			said = true;
		}
		if (n == 0 && err == RD_KAFKA_RESP_ERR_NO_ERROR)
			rd_kafka_poll(rk, 200);
	}
	rd_kafka_topic_destroy(topic);
	if (n == 0)
		return 0;
	rd_kafka_poll_set_consumer(rk);
	list = rd_kafka_topic_partition_list_new(n);
	for (i = 0; i < n; i++)
		rd_kafka_topic_partition_list_add(list, o->topic, i)->offset =
		    o->from_beginning ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_END;
	err = rd_kafka_assign(rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	return err == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : err_set(e, ERR_IO, "assign: %s", rd_kafka_err2str(err));
}

/* The number behind "count": in a result, or -1. */
static int64_t result_count(const char *json)
{
	const char *p = strstr(json, "\"count\":");
	char *end;
	long long n;

	if (p == NULL)
		return -1;
	n = strtoll(p + 8, &end, 10);
	return end == p + 8 ? -1 : n;
}

static bool print_message(const struct options *o, const rd_kafka_message_t *m)
{
	char *text = xstrndup(m->payload == NULL ? "" : m->payload, m->len);
	bool right = true;

	if (o->window_count > 0) {
		right = result_count(text) == o->window_count;
		printf("%s %s\n", right ? "\xe2\x9c\x93" : "\xe2\x9c\x97", text);
	} else {
		puts(text);
	}
	free(text);
	return right && fflush(stdout) == 0;
}

static int consume(rd_kafka_t *rk, const struct options *o)
{
	int64_t n = 0, last_ns = clock_mono_ns(&clock_system);
	bool all_right = true;
	rd_kafka_message_t *m;

	while (!stopped && (o->max_messages == 0 || n < o->max_messages)) {
		m = rd_kafka_consumer_poll(rk, 100);
		if (m != NULL && m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
			all_right &= print_message(o, m);
			n++;
			last_ns = clock_mono_ns(&clock_system);
		}
		if (m != NULL)
			rd_kafka_message_destroy(m);
		if (ferror(stdout))
			return 1;
		if (o->idle_ms > 0 && clock_mono_ns(&clock_system) - last_ns > o->idle_ms * NS_PER_MS)
			break;
	}
	return all_right ? 0 : 3;
}

static const char usage[] =
    "usage: weir-consumer --bootstrap.servers HOST:PORT --topic TOPIC [option...]\n"
    "  --from-beginning     from the first message that is kept, not from now on\n"
    "  --max-messages N     end after N messages\n"
    "  --idle-ms N          end after N ms without one\n"
    "  --windows COUNT      mark each result of the click-count job: right or wrong count;\n"
    "                       exit 3 when any was wrong\n";

static int parse(int argc, char **argv, struct options *o, struct err *e)
{
	static const struct option longs[] = { { "bootstrap.servers", required_argument, NULL, 'b' },
		{ "topic", required_argument, NULL, 't' }, { "from-beginning", no_argument, NULL, 'f' },
		{ "max-messages", required_argument, NULL, 'n' }, { "idle-ms", required_argument, NULL, 'i' },
		{ "windows", required_argument, NULL, 'w' }, { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		int64_t *number = c == 'n' ? &o->max_messages : c == 'i' ? &o->idle_ms : &o->window_count;

		switch (c) {
		case 'b':
			o->servers = optarg;
			break;
		case 't':
			o->topic = optarg;
			break;
		case 'f':
			o->from_beginning = true;
			break;
		case 'n':
		case 'i':
		case 'w':
			if (conf_parse_i64(optarg, 1, INT64_MAX, number, e) == -1)
				return err_prefix(e, "%s", c == 'n' ? "--max-messages" : c == 'i' ? "--idle-ms" : "--windows");
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			return err_set(e, ERR_INVALID, "see --help");
		}
	}
	if (optind < argc)
		return err_set(e, ERR_INVALID, "\"%s\" is not an option", argv[optind]);
	if (o->servers == NULL || o->topic == NULL)
		return err_set(e, ERR_INVALID, "--bootstrap.servers and --topic are needed");
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_stop };
	struct options o = { 0 };
	struct err e;
	rd_kafka_t *rk;
	int rc = 1;

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	if (parse(argc, argv, &o, &e) == -1 || (rk = client(&o, &e)) == NULL) {
		fprintf(stderr, "%s: %s\n", program, e.msg);
		return 1;
	}
	if (assign_all(rk, &o, &e) == -1)
		fprintf(stderr, "%s: %s\n", program, e.msg);
	else
		rc = consume(rk, &o);
	rd_kafka_destroy(rk);
	return rc;
}
