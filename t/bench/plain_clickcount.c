/*
 * The bound of bench-clickcount: the same events consumed in batches by plain librdkafka in
 * one thread, parsed and counted by the job's own parser, without an engine.
 *
 * usage: plain_clickcount HOST:PORT TOPIC EVENTS
 * Prints "events seconds cpu_seconds".
 */
#include <librdkafka/rdkafka.h>
#include <sys/resource.h>
#include <time.h>

#include "jobs/click_event.h"

#define BATCH  1000
#define N_SLOT 4096
#define WAKE_N 5000

struct slot {
	char page[PAGE_SIZE];
	int64_t window, count;
};
static struct slot table[N_SLOT];

WEIR_PRINTF(2, 0) static void ctx_fail(weir_ctx *ctx, const char *fmt, va_list ap)
{
	(void)ctx;
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	exit(1);
}

static void count(const click_event *e)
{
	int64_t window = e->timestamp_ms / 15000;
	uint32_t h = (uint32_t)window * 2654435761u;
	const char *p;

	for (p = e->page; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	for (h %= N_SLOT; table[h].count != 0; h = (h + 1) % N_SLOT)
		if (table[h].window == window && strcmp(table[h].page, e->page) == 0)
			break;
	if (table[h].count++ == 0) {
		table[h].window = window;
		memcpy(table[h].page, e->page, sizeof(e->page));
	}
}

static double seconds(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	static weir_ctx_api api;
	weir_ctx ctx = { &api };
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_message_t *batch[BATCH];
	rd_kafka_queue_t *queue;
	rd_kafka_t *rk;
	char text[512];
	long long want, n = 0, woken = 0;
	double start, cpu;
	ssize_t got, i;

	if (argc != 4)
		return 2;
	api.struct_size = sizeof(api);
	api.fail = ctx_fail;
	want = strtoll(argv[3], NULL, 10);
	rd_kafka_conf_set(conf, "bootstrap.servers", argv[1], text, sizeof(text));
	rd_kafka_conf_set(conf, "group.id", "plain", text, sizeof(text));
	rd_kafka_conf_set(conf, "enable.auto.commit", "false", text, sizeof(text));
	rd_kafka_conf_set(conf, "queued.min.messages", "40000", text, sizeof(text));
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof(text));
	if (rk == NULL)
		return 1;
	rd_kafka_poll_set_consumer(rk);
	list = rd_kafka_topic_partition_list_new(2);
	for (i = 0; i < 2; i++)
		rd_kafka_topic_partition_list_add(list, argv[2], (int32_t)i)->offset = 0;
	start = seconds(CLOCK_MONOTONIC);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	rd_kafka_assign(rk, list);
	queue = rd_kafka_queue_get_consumer(rk);
	while (n < want) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 1000);

		/* The same cure of its stalls as the engine's: without, this runs at a third to two thirds. */
		if (n - woken >= WAKE_N) {
			woken = n;
			rd_kafka_sasl_set_credentials(rk, "", "");
		}
		got = 0;
		if (m != NULL) {
			batch[0] = m;
			got = 1 + rd_kafka_consume_batch_queue(queue, 0, batch + 1, BATCH - 1);
		}
		for (i = 0; i < got; i++) {
			if (batch[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
				weir_message msg = { sizeof(msg), batch[i]->payload, (uint32_t)batch[i]->len, NULL, 0,
					WEIR_MIN_TIMESTAMP, argv[2], batch[i]->partition, batch[i]->offset };
				click_event e;

				memset(&e, 0, sizeof(e));
				if (read_event(&ctx, &msg, &e, TS_HH) == 1)
					count(&e);
				n++;
			}
			rd_kafka_message_destroy(batch[i]);
		}
	}
	printf("%lld %.3f %.3f\n", n, seconds(CLOCK_MONOTONIC) - start, seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
	(void)write_statistics;
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_queue_destroy(queue);
	rd_kafka_destroy(rk);
	return 0;
}
