/*
 * The Kafka connector in real tasks against librdkafka's mock cluster: bounded runs, group offsets,
 * malformed messages, missing topics, offsets out of range, a broker that goes and comes, refused messages.
 */
#include "t/unit/kafka_mock.h"
#include "worker/connectors/kafka.h"

static _Atomic int64_t n_seen, sum_seen, last_watermark;

/* A sink that counts. */
static void count_record(struct operator *op, const struct record *r)
{
	const fx_row *row = r->data;

	(void)op;
	atomic_fetch_add(&n_seen, 1);
	atomic_fetch_add(&sum_seen, row->a);
}
static void count_watermark(struct operator *op, int64_t ts)
{
	(void)op;
	atomic_store(&last_watermark, ts);
}
static const struct operator_type count_sink = {
	.name = "count",
	.size = sizeof(struct operator),
	.record = count_record,
	.watermark = count_watermark,
};

static const struct operator_type *find(const struct graph_node *n, struct err *e)
{
	(void)e;
	if (n->type == NODE_SOURCE)
		return &kafka_source_type;
	return strncmp(n->name, "Count", 5) == 0 ? &count_sink : &kafka_sink_type;
}

/* ----------------------------------------------------------------- a job */

/* Source over `topic`, then a sink to `out`, or one that counts where out is NULL. */
static void job(struct fx *fx, const char *topic, const char *out, int parallelism,
    const char *const *options)
{
	fx_init(fx, find, 2, &clock_system);
	numbers_job(fx, topic, out, parallelism, options);
	atomic_store(&n_seen, 0);
	atomic_store(&sum_seen, 0);
	atomic_store(&last_watermark, INT64_MIN);
}

static void go(struct fx *fx)
{
	struct err e = { 0 };

	if (!ok(fx_prepare(fx, &e), "tasks are made"))
		diag("%s", e.msg);
	fx_go(fx);
}

static void done(struct fx *fx)
{
	ok(fx_drop(fx), "tasks are gone");
	fx_fini(fx);
}

static void test_through(int parallelism, const char *topic, const char *out)
{
	enum { N = 20000 };
	static uint8_t times[N];
	struct fx fx;
	int wrong = 0;

	rd_kafka_mock_topic_create(mock, topic, 2, 1);
	rd_kafka_mock_topic_create(mock, out, 2, 1);
	send_numbers(topic, 0, N);
	job(&fx, topic, out, parallelism, bounded);
	go(&fx);
	ok(FX_UNTIL(fx_all(&fx, TASK_FINISHED), 20), "parallelism %d: a bounded job finishes: %s",
	    parallelism, fx_cause(&fx));
	/* The block is the task's until it is gone, and the fixture's after. */
	is_int(metrics_get(&fx.blocks[0], METRIC_records_in) +
		(parallelism > 1 ? metrics_get(&fx.blocks[1], METRIC_records_in) : 0),
	    N, "records in are counted");
	done(&fx);
	memset(times, 0, sizeof(times));
	is_int(read_topic(out, N, times, N), N, "as many messages out as in");
	for (int i = 0; i < N; i++)
		wrong += times[i] != 1;
	is_int(wrong, 0, "each number once");
}

/* librdkafka looks again up to a second after it found its queue full, unless it is woken. */
static void test_full_queue(void)
{
	enum { N = 400, EVERY = 20 };
	const char *small[] = { "scan.startup.mode", "earliest-offset", "scan.bounded.mode", "latest-offset",
		"properties.queued.min.messages", "8", "properties.fetch.message.max.bytes", "64",
		"properties.sasl.username", "somebody", NULL };
	int64_t start_ms;
	struct fx fx;

	rd_kafka_mock_topic_create(mock, "full", 2, 1);
	for (int i = 0; i < N; i += EVERY) /* a batch each, and so a fetch */
		send_numbers("full", i, i + EVERY);
	job(&fx, "full", NULL, 1, small);
	start_ms = fx_now_ms();
	go(&fx);
	ok(FX_UNTIL(fx_all(&fx, TASK_FINISHED), 30), "a full queue is fetched for again: %s", fx_cause(&fx));
	ok(fx_now_ms() - start_ms < 5000, "as soon as it has drained: %" PRId64 " ms", fx_now_ms() - start_ms);
	is_int(atomic_load(&n_seen), N, "every message came");
	done(&fx);
}

static void test_empty(void)
{
	struct fx fx;

	rd_kafka_mock_topic_create(mock, "empty", 2, 1);
	job(&fx, "empty", NULL, 1, bounded);
	go(&fx);
	ok(FX_UNTIL(fx_all(&fx, TASK_FINISHED), 10), "a bounded job over nothing finishes: %s",
	    fx_cause(&fx));
	is_int(atomic_load(&last_watermark), WEIR_MAX_TIMESTAMP, "with the last watermark");
	done(&fx);
}

static void test_malformed(void)
{
	const char *skip[] = { "scan.startup.mode", "earliest-offset", "scan.bounded.mode", "latest-offset",
		"on-malformed", "skip", NULL };
	struct fx fx;

	rd_kafka_mock_topic_create(mock, "bad", 2, 1);
	send_text("bad", 1, "7");
	send_text("bad", 1, "8\tx{}");
	send_text("bad", 1, "9");
	rd_kafka_flush(client, 5000);
	job(&fx, "bad", NULL, 1, bounded);
	go(&fx);
	ok(FX_UNTIL(fx_state(&fx, 0, 0) == TASK_FAILED, 10), "a malformed message fails the task");
	like(fx_cause(&fx),
	    "topic bad, partition 1, offset 1: malformed message: not a number at byte 1; its bytes: '8\\x09x{}'",
	    "and is named");
	done(&fx);
	job(&fx, "bad", NULL, 1, skip);
	go(&fx);
	ok(FX_UNTIL(fx_all(&fx, TASK_FINISHED), 10), "skipped where so configured: %s", fx_cause(&fx));
	is_int(atomic_load(&sum_seen), 16, "the others are there");
	is_int(metrics_get(&fx.blocks[0], METRIC_in_errors), 1, "and it is counted");
	done(&fx);
}

static void test_group(void)
{
	const char *group[] = { "properties.group.id", "g", NULL };
	struct fx fx;

	rd_kafka_mock_topic_create(mock, "grp", 2, 1);
	send_numbers("grp", 0, 100);
	job(&fx, "grp", NULL, 1, group);
	go(&fx);
	ok(FX_UNTIL(atomic_load(&n_seen) == 100, 10), "without offsets of the group: from the earliest");
	ok(FX_UNTIL(atomic_load(&last_watermark) == 97, 10), "watermark: the lower of the two partitions");
	/* A commit comes within a second of the first messages; what comes after it is behind the next. */
	send_numbers("grp", 100, 102);
	ok(FX_UNTIL(atomic_load(&n_seen) == 102, 10), "and on");
	ok(FX_UNTIL(metrics_get(&fx.blocks[0], METRIC_pending_records) == 0, 10), "nothing is pending");
	FX_UNTIL(false, 2);
	done(&fx);
	send_numbers("grp", 102, 110);
	job(&fx, "grp", NULL, 1, group);
	fx.env.attempt = 2;
	go(&fx);
	ok(FX_UNTIL(atomic_load(&n_seen) >= 8, 10), "a restart reads on");
	FX_UNTIL(false, 1);
	is_int(atomic_load(&n_seen), 8, "from the offsets that were committed");
	done(&fx);
}

/* A restart of a job that began at the earliest goes on from its own commits, and not from those of another job. */
static void test_foreign_commits(void)
{
	const char *early[] = { "properties.group.id", "g", "scan.startup.mode", "earliest-offset", NULL };
	struct fx fx;

	job(&fx, "grp", NULL, 1, early);
	fx.env.attempt = 2;
	go(&fx);
	ok(FX_UNTIL(atomic_load(&n_seen) == 110, 10), "commits of another job are not this job's positions");
	done(&fx);
}

static void test_missing_topic(void)
{
	struct fx fx;

	rd_kafka_mock_topic_set_error(mock, "nowhere", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
	job(&fx, "nowhere", NULL, 1, bounded);
	go(&fx);
	ok(FX_UNTIL(fx_state(&fx, 0, 0) == TASK_FAILED, 10), "a missing topic fails the task");
	like(fx_cause(&fx), "topic nowhere does not exist on 127.0.0.1:", "and is named");
	done(&fx);
}

static void test_out_of_range(void)
{
	const char *group[] = { "properties.group.id", "far", NULL };
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_t *rk;
	struct fx fx;

	rd_kafka_conf_set_log_cb(conf, no_log);
	rd_kafka_conf_set(conf, "bootstrap.servers", servers, NULL, 0);
	rd_kafka_conf_set(conf, "group.id", "far", NULL, 0);
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, NULL, 0);
	rd_kafka_topic_partition_list_add(list, "grp", 0)->offset = 123456;
	is_int(rd_kafka_commit(rk, list, 0), 0, "an offset that is not there is committed");
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_destroy(rk);
	job(&fx, "grp", NULL, 1, group);
	go(&fx);
	ok(FX_UNTIL(fx_state(&fx, 0, 0) == TASK_FAILED, 10), "an offset out of range fails the task");
	like(fx_cause(&fx), "topic grp, partition 0, offset 123456", "and is named");
	done(&fx);
}

static void test_broker_down(void)
{
	const char *group[] = { "properties.group.id", "down", NULL };
	int64_t t0_ms;
	struct fx fx;

	rd_kafka_mock_topic_create(mock, "dn-in", 2, 1);
	rd_kafka_mock_topic_create(mock, "dn-out", 2, 1);
	rd_kafka_mock_broker_set_down(mock, 1);
	job(&fx, "dn-in", "dn-out", 1, group);
	go(&fx);
	ok(FX_UNTIL(fx_all(&fx, TASK_RUNNING), 5), "without a broker the tasks run");
	rd_kafka_mock_broker_set_up(mock, 1);
	send_numbers("dn-in", 0, 1000);
	is_int(read_topic("dn-out", 1000, NULL, 0), 1000, "they begin when it comes");
	rd_kafka_mock_broker_set_down(mock, 1);
	FX_UNTIL(false, 1);
	ok(fx_all(&fx, TASK_RUNNING), "they stay when it goes");
	rd_kafka_mock_broker_set_up(mock, 1);
	send_numbers("dn-in", 1000, 2000);
	is_int(read_topic("dn-out", 2000, NULL, 0), 2000, "they go on when it comes again");
	/* A commit that waits for the coordinator must not hold up the end. */
	send_numbers("dn-in", 2000, 2002);
	ok(FX_UNTIL(metrics_get(&fx.blocks[0], METRIC_records_in) == 2002, 10), "two more are read");
	rd_kafka_mock_broker_set_down(mock, 1);
	FX_UNTIL(false, 2);
	t0_ms = fx_now_ms();
	done(&fx);
	ok(fx_now_ms() - t0_ms < 3000, "without a broker it ends at once: %d ms", (int)(fx_now_ms() - t0_ms));
	rd_kafka_mock_broker_set_up(mock, 1);
}

static void test_refused(void)
{
	struct fx fx;

	rd_kafka_mock_topic_create(mock, "rf-in", 2, 1);
	rd_kafka_mock_topic_create(mock, "rf-out", 2, 1);
	send_numbers("rf-in", 0, 10);
	rd_kafka_mock_push_request_errors(mock, 0 /* Produce */, 1,
	    RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
	job(&fx, "rf-in", "rf-out", 1, bounded);
	go(&fx);
	ok(FX_UNTIL(fx_state(&fx, 1, 0) == TASK_FAILED, 10), "a refused message fails the task");
	like(fx_cause(&fx), "topic rf-out", "which names the topic: %s", fx_cause(&fx));
	done(&fx);
}

int main(void)
{
	mock_start();
	test_through(1, "t1-in", "t1-out");
	test_through(2, "t2-in", "t2-out");
	test_full_queue();
	test_empty();
	test_malformed();
	test_group();
	test_foreign_commits();
	test_missing_topic();
	test_out_of_range();
	test_refused();
	test_broker_down();
	mock_stop();
	return tap_done();
}
