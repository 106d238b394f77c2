/*
 * weir-broker: a Kafka broker for the first run and for trying things out, made of librdkafka's
 * mock cluster.  It keeps a few MB a partition in memory and forgets all at its end.
 *
 * The mock cluster listens on a random port.  This executable therefore has a bind() of
 * its own, found before libc's because it is exported (-rdynamic, default visibility).
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

#define MAX_TOPICS     64
#define MAX_PARTITIONS 1024 /* of one topic */

struct topic {
	char *name;
	int n_partitions;
};

static in_port_t wanted_port; /* 0: any */
static int bind_errno;

__attribute__((visibility("default"))) int bind(int fd, const struct sockaddr *addr, socklen_t len);

int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	int (*libc_bind)(int, const struct sockaddr *, socklen_t);
	void *sym = dlsym(RTLD_NEXT, "bind");
	struct sockaddr_in in;
	int on = 1, rc;

	if (sym == NULL) {
		errno = ENOSYS;
		return -1;
	}
	memcpy(&libc_bind, &sym, sizeof(sym));
	if (wanted_port != 0 && addr->sa_family == AF_INET && len >= sizeof(in)) {
		memcpy(&in, addr, sizeof(in));
		if (in.sin_port == 0) {
			/* Started again at once: connections of the last run may still be in TIME_WAIT. */
			(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
			in.sin_port = htons(wanted_port);
			rc = libc_bind(fd, (const struct sockaddr *)&in, sizeof(in));
			if (rc == 0)
				return 0;
			/* librdkafka asserts when this fails: give it a port, and let serve() end it. */
			bind_errno = errno;
		}
	}
	return libc_bind(fd, addr, len);
}

static int parse_topic(const char *arg, struct topic *t, struct err *e)
{
	const char *colon = strrchr(arg, ':');
	int64_t n;
	size_t i;

	if (colon == NULL || colon == arg || colon - arg > 249)
		return err_set(e, ERR_INVALID, "-t %s: must be topic:partitions", arg);
	for (i = 0; arg + i < colon; i++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", arg[i]) ==
		    NULL)
			return err_set(e, ERR_INVALID,
			    "-t %s: a topic's name is of letters, digits, '.', '_' and '-'", arg);
	if (conf_parse_i64(colon + 1, 1, MAX_PARTITIONS, &n, e) < 0)
		return err_prefix(e, "-t %s", arg);
	t->name = xstrndup(arg, (size_t)(colon - arg));
	t->n_partitions = (int)n;
	return 0;
}

/* What librdkafka has to say about the client that the mock cluster hangs on is of no use to anybody. */
static void no_log(const rd_kafka_t *rk, int level, const char *fac, const char *buf)
{
	(void)rk, (void)level, (void)fac, (void)buf;
}

static rd_kafka_t *client_create(struct err *e)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *rk;
	char text[512];

	rd_kafka_conf_set_log_cb(conf, no_log);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
	if (rk == NULL) {
		rd_kafka_conf_destroy(conf);
		err_set(e, ERR_IO, "librdkafka: %s", text);
	}
	return rk;
}

static int serve(const struct topic *topics, unsigned n_topics, const sigset_t *stop, struct err *e)
{
	rd_kafka_mock_cluster_t *cluster;
	rd_kafka_t *rk = client_create(e);
	rd_kafka_resp_err_t err;
	const char *port;
	unsigned i;
	int sig, rc = -1;

	if (rk == NULL)
		return -1;
	cluster = rd_kafka_mock_cluster_new(rk, 1);
	if (bind_errno == EADDRINUSE)
		err_set(e, ERR_UNAVAILABLE,
		    "port %d is taken by another program; use -p PORT for another one", wanted_port);
	else if (bind_errno != 0)
		err_set(e, ERR_IO, "cannot listen on port %d: %s", wanted_port, strerror(bind_errno));
	else if (cluster == NULL)
		err_set(e, ERR_IO, "librdkafka did not start its mock cluster");
	if (bind_errno != 0 || cluster == NULL)
		goto out;
	for (i = 0; i < n_topics; i++) {
		err = rd_kafka_mock_topic_create(cluster, topics[i].name, topics[i].n_partitions, 1);
		if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
			err_set(e, ERR_INVALID, "cannot make the topic %s: %s", topics[i].name,
			    rd_kafka_err2str(err));
			goto out;
		}
	}
	port = strrchr(rd_kafka_mock_cluster_bootstraps(cluster), ':');
	log_info("broker.listening", KV_STR("port", port == NULL ? "?" : port + 1),
	    KV_MSG("embedded broker on %s; keeps 5 MB a partition, in memory only, until it ends",
		rd_kafka_mock_cluster_bootstraps(cluster)));
	while (sigwait(stop, &sig) != 0)
		;
	log_info("broker.stopped", KV_MSG("asked to stop by signal %d; all topics are gone", sig));
	rc = 0;
out:
	if (cluster != NULL)
		rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(rk);
	return rc;
}

static void usage(FILE *to)
{
	fputs("usage: weir-broker [-p PORT] [-t topic:partitions]...\n"
	      "  -p PORT              where to listen on 127.0.0.1, 0: a free port; default 9092\n"
	      "  -t topic:partitions  a topic to make; default input:2 and output:2\n"
	      "  -V, --version        print the version\n",
	    to);
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	struct topic topics[MAX_TOPICS];
	unsigned n_topics = 0, i;
	struct err e = { 0 };
	int64_t port = 9092;
	sigset_t stop;
	int c, rc = 1;

	log_init("weir-broker", LOG_INFO, STDERR_FILENO, -1);
	while ((c = getopt_long(argc, argv, "p:t:hV", longs, NULL)) != -1) {
		switch (c) {
		case 'p':
			if (conf_parse_i64(optarg, 0, 65535, &port, &e) < 0) {
				err_prefix(&e, "-p %s", optarg);
				goto out;
			}
			break;
		case 't':
			if (n_topics == MAX_TOPICS) {
				err_set(&e, ERR_INVALID, "-t %s: %d topics are the most", optarg, MAX_TOPICS);
				goto out;
			}
			if (parse_topic(optarg, &topics[n_topics], &e) < 0)
				goto out;
			n_topics++;
			break;
		case 'h':
			usage(stdout);
			rc = 0;
			goto out;
		case 'V':
			puts("weir-broker " WEIR_VERSION);
			rc = 0;
			goto out;
		default:
			fputs("weir-broker: see --help\n", stderr);
			goto out;
		}
	}
	if (optind < argc) {
		err_set(&e, ERR_INVALID, "unexpected argument %s; see weir-broker --help", argv[optind]);
		goto out;
	}
	if (n_topics == 0) {
		topics[n_topics++] = (struct topic){ xstrdup("input"), 2 };
		topics[n_topics++] = (struct topic){ xstrdup("output"), 2 };
	}
	wanted_port = (in_port_t)port;

	/* Before librdkafka makes threads, so that none of them takes the signal. */
	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	rc = serve(topics, n_topics, &stop, &e) < 0;
out:
	if (e.code != ERR_NONE)
		fprintf(stderr, "weir-broker: %s\n", e.msg);
	for (i = 0; i < n_topics; i++)
		free(topics[i].name);
	return rc;
}
