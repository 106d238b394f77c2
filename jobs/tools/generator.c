/*
 * clickevent-generator: writes click events to a Kafka topic, the pages in turn, each page's
 * timestamps 15 ms apart, so that every page has exactly 1,000 events in each window
 * of 15 seconds.
 *
 * Nothing is lost or doubled: the producer is idempotent and retries for ever, and the
 * program ends well only when every event was confirmed.  Events go to the partitions in
 * turn, moved on by one after each round of pages, so that each partition has events of all pages
 * and of all times.
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
#include "jobs/tools/click.h"

#define SAY_AGAIN_NS  (60 * NS_PER_S)          /* between two lines about a broker that does not answer */
#define STOP_GRACE_NS (10 * NS_PER_S)          /* for what is on its way when asked to stop */
#define MAX_TIME_MS   INT64_C(253402300799999) /* the end of the year 9999 */

static const char program[] = "clickevent-generator";

struct options {
	char *servers, *topic;
	int64_t rate;  /* events a second, 0: unlimited */
	int64_t count; /* 0: no end */
	int64_t start_ms;
	enum click_format format;
	char **properties; /* K=V */
	unsigned n_properties, cap_properties;
};

struct producer {
	rd_kafka_t *rk;
	rd_kafka_topic_t *topic;
	int32_t n_partitions;
	int64_t n_sent, n_failed;
	int64_t said_ns; /* when the broker was last said to be missing, 0: it is there */
	bool fatal;      /* nothing more will be delivered */
};

static volatile sig_atomic_t stop_signal;

static int64_t stop_ns; /* when it came */

static void on_stop(int sig)
{
	/* Asked twice: at once. One request often comes doubled, to the process and to its group. */
	if (stop_signal != 0 && clock_mono_ns(&clock_system) - stop_ns > NS_PER_S / 2)
		_exit(1);
	if (stop_signal == 0)
		stop_ns = clock_mono_ns(&clock_system);
	stop_signal = sig;
}

/* ---------------------------------------------------------------- options */

static int parse_rate(const char *text, int64_t *rate, struct err *e)
{
	if (strcmp(text, "unlimited") == 0) {
		*rate = 0;
		return 0;
	}
	if (conf_parse_i64(text, 1, INT64_C(100000000), rate, e) < 0)
		return err_set(e, ERR_INVALID,
		    "--rate %s: must be unlimited or 1 to 100000000 events a second", text);
	return 0;
}

static void add_property(struct options *o, const char *text)
{
	VEC_RESERVE(o->properties, o->n_properties, o->cap_properties);
	o->properties[o->n_properties++] = xstrdup(text);
}

static void usage(FILE *to)
{
	fputs("usage: clickevent-generator [--bootstrap.servers HOST:PORT] [--topic TOPIC]\n"
	      "           [--rate N|unlimited] [--count N] [--start-time MS]\n"
	      "           [--timestamp-format playground|HH|iso|millis] [--properties.K=V]...\n",
	    to);
}

/* One option. *used is the number of arguments it took. */
static int parse_option(struct options *o, const char *arg, const char *next, int *used, struct err *e)
{
	static const char *const names[] = { "bootstrap.servers", "topic", "rate", "count", "start-time",
		"timestamp-format", "properties." };
	const char *value = strchr(arg, '='), *near;
	char *name;
	int rc = 0;

	if (strncmp(arg, "--", 2) != 0)
		return err_set(e, ERR_INVALID, "unexpected argument %s", arg);
	name = value != NULL ? xstrndup(arg + 2, (size_t)(value - arg - 2)) : xstrdup(arg + 2);
	*used = value != NULL ? 1 : 2;
	value = value != NULL ? value + 1 : next;
	if (value == NULL) {
		rc = err_set(e, ERR_INVALID, "--%s needs a value", name);
	} else if (strcmp(name, "bootstrap.servers") == 0) {
		free(o->servers);
		o->servers = xstrdup(value);
	} else if (strcmp(name, "topic") == 0) {
		free(o->topic);
		o->topic = xstrdup(value);
	} else if (strcmp(name, "rate") == 0) {
		rc = parse_rate(value, &o->rate, e);
	} else if (strcmp(name, "count") == 0) {
		if ((rc = conf_parse_i64(value, 1, INT64_MAX / CLICK_STEP_MS, &o->count, e)) < 0)
			err_prefix(e, "--count %s", value);
	} else if (strcmp(name, "start-time") == 0) {
		if ((rc = conf_parse_i64(value, 0, MAX_TIME_MS - CLICK_WINDOW_MS, &o->start_ms, e)) < 0)
			err_prefix(e, "--start-time %s", value);
	} else if (strcmp(name, "timestamp-format") == 0) {
		rc = click_format_parse(value, &o->format, e);
	} else if (strncmp(name, "properties.", 11) == 0 && name[11] != '\0') {
		char *pair = xasprintf("%s=%s", name + 11, value);
		add_property(o, pair);
		free(pair);
	} else {
		near = conf_nearest(name, names, ARRAY_LEN(names));
		rc = err_set(e, ERR_INVALID, "unknown option --%s%s%s%s", name,
		    near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
	}
	free(name);
	return rc;
}

static void options_fini(struct options *o)
{
	while (o->n_properties > 0)
		free(o->properties[--o->n_properties]);
	free(o->properties);
	free(o->servers);
	free(o->topic);
}

/* --------------------------------------------------------------- producer */

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct producer *p = opaque;

	(void)rk;
	if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR || m->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
	    m->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
		return; /* what producer_close threw away was counted before */
	if (p->n_failed++ == 0)
		log_errorx("generator.delivery_failed", KV_STR("reason", rd_kafka_err2str(m->err)),
		    KV_MSG("the broker refused an event; stopping"));
	p->fatal = true;
}

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	struct producer *p = opaque;
	int64_t now_ns = clock_mono_ns(&clock_system);

	(void)rk;
	if (err == RD_KAFKA_RESP_ERR__FATAL) {
		log_errorx("generator.fatal", KV_STR("reason", reason), KV_MSG("the producer can not go on"));
		p->fatal = true;
	} else if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
		if (p->said_ns == 0 || now_ns - p->said_ns >= SAY_AGAIN_NS) {
			p->said_ns = now_ns;
			log_warnx("kafka.unreachable", KV_MSG("no broker answers; waiting for one"));
		}
	}
}

static void no_log(const rd_kafka_t *rk, int level, const char *fac, const char *buf)
{
	(void)rk, (void)level, (void)fac, (void)buf;
}

static int conf_set(rd_kafka_conf_t *conf, const char *key, const char *value, struct err *e)
{
	char text[512];

	if (rd_kafka_conf_set(conf, key, value, text, sizeof(text)) != RD_KAFKA_CONF_OK)
		return err_set(e, ERR_INVALID, "--properties.%s: %s", key, text);
	return 0;
}

static int producer_open(struct producer *p, const struct options *o, struct err *e)
{
	/* The last two are not negotiable and therefore come last. */
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char text[512];
	unsigned i;

	if (conf_set(conf, "bootstrap.servers", o->servers, e) < 0 ||
	    conf_set(conf, "client.id", program, e) < 0 ||
	    conf_set(conf, "linger.ms", o->rate == 0 ? "20" : "5", e) < 0 ||
	    conf_set(conf, "queue.buffering.max.messages", "500000", e) < 0 ||
	    conf_set(conf, "delivery.report.only.error", "true", e) < 0)
		goto fail;
	for (i = 0; i < o->n_properties; i++) {
		char *eq = strchr(o->properties[i], '=');
		*eq = '\0';
		if (conf_set(conf, o->properties[i], eq + 1, e) < 0)
			goto fail;
		*eq = '=';
	}
	if (conf_set(conf, "enable.idempotence", "true", e) < 0 ||
	    conf_set(conf, "message.timeout.ms", "0", e) < 0)
		goto fail;
	rd_kafka_conf_set_opaque(conf, p);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_log_cb(conf, no_log);
	p->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
	if (p->rk == NULL) {
		err_set(e, ERR_INVALID, "librdkafka: %s", text);
		goto fail;
	}
	p->topic = rd_kafka_topic_new(p->rk, o->topic, NULL);
	if (p->topic == NULL)
		return err_set(e, ERR_INVALID, "--topic %s: %s", o->topic,
		    rd_kafka_err2str(rd_kafka_last_error()));
	return 0;
fail:
	rd_kafka_conf_destroy(conf);
	return -1;
}

/* Wait for broker and topic, however long that takes; n_partitions stays 0 when asked to stop. */
static int producer_await_topic(struct producer *p, const struct options *o)
{
	int64_t said_ns = 0;

	p->said_ns = clock_mono_ns(&clock_system); /* on_error keeps quiet: it is said here */
	while (stop_signal == 0 && p->n_partitions == 0) {
		const struct rd_kafka_metadata *md = NULL;
		rd_kafka_resp_err_t err = rd_kafka_metadata(p->rk, 0, p->topic, &md, 500);
		const char *why =
		    err != RD_KAFKA_RESP_ERR_NO_ERROR ? "no broker answers" : "the topic is not there";

		if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
			if (md->topic_cnt == 1 && md->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR)
				p->n_partitions = md->topics[0].partition_cnt;
			rd_kafka_metadata_destroy(md);
		}
		rd_kafka_poll(p->rk, p->n_partitions == 0 ? 100 : 0);
		if (p->fatal)
			return -1;
		if (p->n_partitions == 0 &&
		    (said_ns == 0 || clock_mono_ns(&clock_system) - said_ns > SAY_AGAIN_NS)) {
			p->said_ns = said_ns = clock_mono_ns(&clock_system);
			log_warnx("generator.waiting", KV_STR("servers", o->servers),
			    KV_STR("topic", o->topic), KV_STR("reason", why),
			    KV_MSG("%s; waiting for it", why));
		}
	}
	p->said_ns = 0;
	return 0;
}

/* Hand one event over, waiting for room. Returns -1 when it will never be taken. */
static int producer_send(struct producer *p, int32_t partition, void *value, size_t len)
{
	while (rd_kafka_produce(p->topic, partition, RD_KAFKA_MSG_F_COPY, value, len, NULL, 0, NULL) < 0) {
		rd_kafka_resp_err_t err = rd_kafka_last_error();

		if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
			log_errorx("generator.refused", KV_STR("reason", rd_kafka_err2str(err)),
			    KV_MSG("librdkafka does not take an event; stopping"));
			return -1;
		}
		if (stop_signal != 0)
			return -1;
		rd_kafka_poll(p->rk, 5);
		if (p->fatal)
			return -1;
	}
	p->n_sent++;
	return 0;
}

/* Wait until all is confirmed; when asked to stop, no longer than the grace. Returns 0, or -1: not all is. */
static int producer_flush(struct producer *p)
{
	int64_t asked_ns = 0;

	while (rd_kafka_outq_len(p->rk) > 0 && !p->fatal) {
		rd_kafka_flush(p->rk, 200);
		if (stop_signal == 0)
			continue;
		if (asked_ns == 0)
			asked_ns = clock_mono_ns(&clock_system);
		if (clock_mono_ns(&clock_system) - asked_ns > STOP_GRACE_NS)
			break;
	}
	rd_kafka_poll(p->rk, 0);
	return rd_kafka_outq_len(p->rk) == 0 && p->n_failed == 0 ? 0 : -1;
}

static void producer_close(struct producer *p)
{
	if (p->topic != NULL)
		rd_kafka_topic_destroy(p->topic);
	if (p->rk != NULL) {
		rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
		rd_kafka_poll(p->rk, 0);
		rd_kafka_destroy(p->rk);
	}
}

/* -------------------------------------------------------------------- run */

/* Wait until at least one event more than n is due; returns how many are due by then. */
static int64_t await_due(struct producer *p, int64_t rate, int64_t t0_ns, int64_t n)
{
	for (;;) {
		int64_t now_ns = clock_mono_ns(&clock_system), in_ns;
		/* in two steps, so that nothing overflows in a long run */
		int64_t s = (now_ns - t0_ns) / NS_PER_S, rest = (now_ns - t0_ns) % NS_PER_S;
		int64_t due = s * rate + rest * rate / NS_PER_S + 1;
		struct timespec ts;

		rd_kafka_poll(p->rk, 0);
		if (due > n || stop_signal != 0 || p->fatal)
			return due;
		in_ns = t0_ns + n / rate * NS_PER_S + n % rate * NS_PER_S / rate - now_ns;
		/* Many a wake-up brings several events: a timer a millisecond is enough. */
		in_ns = in_ns < NS_PER_MS ? NS_PER_MS : in_ns > 200 * NS_PER_MS ? 200 * NS_PER_MS : in_ns;
		ts = (struct timespec){ in_ns / NS_PER_S, in_ns % NS_PER_S };
		nanosleep(&ts, NULL);
	}
}

static int generate(struct producer *p, const struct options *o)
{
	int64_t start_ms = (o->start_ms + CLICK_WINDOW_MS - 1) / CLICK_WINDOW_MS * CLICK_WINDOW_MS;
	int64_t t0_ns = clock_mono_ns(&clock_system), due = o->rate == 0 ? INT64_MAX : 0, i;
	char event[CLICK_EVENT_MAX];

	for (i = 0; (o->count == 0 || i < o->count) && stop_signal == 0 && !p->fatal; i++) {
		int64_t round = i / CLICK_N_PAGES, ms = start_ms + round * CLICK_STEP_MS;
		size_t len;

		if (ms > MAX_TIME_MS) {
			log_errorx("generator.end_of_time",
			    KV_MSG("the year 9999 is over; no format has a longer one"));
			return -1;
		}
		if (i >= due)
			due = await_due(p, o->rate, t0_ns, i);
		else if (i % 4096 == 0)
			rd_kafka_poll(p->rk, 0);
		if (stop_signal != 0 || p->fatal)
			break;
		len = click_event_write(event, o->format, ms, click_pages[i % CLICK_N_PAGES]);
		if (producer_send(p, (int32_t)((i + round) % p->n_partitions), event, len) < 0)
			break;
	}
	return p->fatal || (stop_signal == 0 && o->count != 0 && i < o->count) ? -1 : 0;
}

static int run(const struct options *o, struct err *e)
{
	struct producer p = { 0 };
	int rc = 1;

	if (producer_open(&p, o, e) < 0 || producer_await_topic(&p, o) < 0)
		goto out;
	if (p.n_partitions == 0) {
		rc = 0; /* asked to stop before anything was sent */
		goto out;
	}
	log_info("generator.started", KV_STR("servers", o->servers), KV_STR("topic", o->topic),
	    KV_INT("partitions", p.n_partitions), KV_INT("rate", o->rate), KV_INT("count", o->count),
	    KV_MSG("writing click events"));
	rc = generate(&p, o) < 0;
	if (producer_flush(&p) < 0)
		rc = 1;
	if (rc == 0)
		log_info("generator.stopped", KV_INT("sent", p.n_sent), KV_MSG("every event was confirmed"));
	else
		log_errorx("generator.stopped", KV_INT("sent", p.n_sent),
		    KV_INT("unconfirmed", rd_kafka_outq_len(p.rk)), KV_INT("failed", p.n_failed),
		    KV_MSG("not every event was confirmed by the broker"));
out:
	producer_close(&p);
	return rc;
}

int main(int argc, char **argv)
{
	struct options o = { .rate = 400 };
	struct sigaction sa = { .sa_handler = on_stop };
	struct err e = { 0 };
	int i, used = 1, rc = 1;

	o.servers = xstrdup("localhost:9092");
	o.topic = xstrdup("input");
	log_init(program, LOG_INFO, STDERR_FILENO, -1);
	for (i = 1; i < argc; i += used) {
		if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
			usage(stdout);
			rc = 0;
			goto out;
		}
		if (strcmp(argv[i], "-V") == 0 || strcmp(argv[i], "--version") == 0) {
			printf("%s %s\n", program, WEIR_VERSION);
			rc = 0;
			goto out;
		}
		if (parse_option(&o, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &used, &e) < 0)
			goto out;
	}
	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	rc = run(&o, &e);
out:
	if (e.code != ERR_NONE)
		fprintf(stderr, "%s: %s\n", program, e.msg);
	options_fini(&o);
	return rc;
}
