/*
 * The Kafka sink, at least once: an idempotent producer that retries for ever; any message that cannot be
 * delivered fails the task.
 *
 * On the slot it only produces and polls without waiting.  A full queue is back pressure: the task gives way
 * until delivery reports have made room.  At the end of input it waits until everything is delivered.
 * A checkpoint waits for the reports of what came before its barrier; the sink goes on meanwhile.
 */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "shm/metrics.h"
#include "worker/connectors/delivery.h"
#include "worker/connectors/kafka.h"
#include "worker/connectors/kafka_client.h"
#include "worker/runtime/operator.h"

#define SERVE_EVERY_MS   100 /* delivery reports are looked at this often while some are due */
#define SERVE_EVERY_N    256 /* records */
#define SERVE_FIRST_MS   1   /* ... while a checkpoint waits for them, at first; then rarer and rarer */
#define SAY_AGAIN_NS     (60 * NS_PER_S)
#define TOPIC_GRACE_NS   (5 * NS_PER_S) /* a broker may make a missing topic, and needs a moment for it */
#define UNANSWERED_NS    (10 * NS_PER_S)
#define WARM_RETRY_NS    (NS_PER_S / 2)
#define FIRST_ROOM_BYTES 4096
#define MAX_VALUE_BYTES  (64U << 20)

struct kafka_sink {
	struct operator op;
	struct kafka_options options;
	rd_kafka_t *rk;
	rd_kafka_topic_t *topic;
	rd_kafka_queue_t *events;
	struct kafka_watch watch; /* librdkafka's threads write */
	int (*serialize)(weir_ctx *ctx, const void *in, uint32_t len, weir_message_out *out);
	void *room;
	uint32_t room_cap;
	uint32_t unserved; /* records since the last poll */
	struct delivery delivery;
	int64_t serve_ms; /* until the next look at delivery reports */
	int go_on_at;      /* queue length at which a wait for room ends */

	/* The topic is asked for on the connector thread, so that the first message has its leader, and
	 * a missing topic is found before there is a message for it. */
	struct connector_job job;
	bool job_running, warm;
	rd_kafka_resp_err_t warm_err;
	int64_t opened_ns, warm_retry_ns;

	struct err failure; /* of a delivery or of the producer; code 0: none */
	bool down;
	int64_t said_ns;
};

static struct kafka_sink *sink_of(struct operator *op)
{
	return (struct kafka_sink *)(void *)op;
}

/* -------------------------------------- callbacks: from our own polls only */

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct kafka_sink *s = opaque;

	(void)rk;
	if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
		delivery_reported(&s->delivery, (uintptr_t)m->_private);
		s->down = false;
		return;
	}
	/* Its epoch is never over. */
	metrics_add(task_metrics(s->op.task), METRIC_out_errors, 1);
	if (s->failure.code == ERR_NONE)
		err_set(&s->failure, ERR_UNAVAILABLE,
		    "topic %s, partition %" PRId32 ": a message was not delivered: %s", s->options.topic,
		    m->partition, rd_kafka_err2str(m->err));
}

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	struct kafka_sink *s = opaque;
	char text[256];

	if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
		s->down = true;
	} else if (err == RD_KAFKA_RESP_ERR__FATAL && s->failure.code == ERR_NONE) {
		rd_kafka_fatal_error(rk, text, sizeof(text));
		err_set(&s->failure, ERR_UNAVAILABLE, "topic %s: %s", s->options.topic, text);
	} else if (kafka_fault_of(err) == KAFKA_FAULT_FINAL && s->failure.code == ERR_NONE) {
		err_set(&s->failure, ERR_UNAVAILABLE, "topic %s: %s", s->options.topic, reason);
	}
}

/* ------------------------------------------------------ on the connector thread */

static void run_create(void *arg)
{
	static const uint64_t one = 1; /* what an eventfd takes */
	struct kafka_sink *s = arg;
	struct task *t = s->op.task;
	char *client_id = kafka_client_id(&s->options, task_job_id(t), task_attempt(t), task_subtask(t)),
	     text[512];
	rd_kafka_conf_t *conf = kafka_client_conf(&s->options, client_id, &s->failure);

	free(client_id);
	if (conf == NULL)
		return;
	rd_kafka_conf_set_opaque(conf, s);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set_error_cb(conf, on_error);
	kafka_client_watch(conf, &s->watch, task_eventfd(t));
	s->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
	if (s->rk == NULL) {
		rd_kafka_conf_destroy(conf);
		err_set(&s->failure, ERR_INVALID, "topic %s: librdkafka made no producer: %s",
		    s->options.topic, text);
		return;
	}
	rd_kafka_set_log_queue(s->rk, NULL);
	s->topic = rd_kafka_topic_new(s->rk, s->options.topic, NULL);
	s->events = rd_kafka_queue_get_main(s->rk);
	if (s->topic == NULL || s->events == NULL) {
		err_set(&s->failure, ERR_INVALID, "topic %s: librdkafka: %s", s->options.topic,
		    rd_kafka_err2str(rd_kafka_last_error()));
		return;
	}
	rd_kafka_queue_io_event_enable(s->events, task_eventfd(t), &one, sizeof(one));
}

static void run_warm(void *arg)
{
	struct kafka_sink *s = arg;
	const struct rd_kafka_metadata *md;

	s->warm_err = rd_kafka_metadata(s->rk, 0, s->topic, &md, KAFKA_CALL_MS);
	if (s->warm_err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	s->warm_err = md->topic_cnt == 1 ? md->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
	rd_kafka_metadata_destroy(md);
}

static void run_destroy(void *arg)
{
	struct kafka_sink *s = arg;

	if (s->events != NULL) {
		rd_kafka_queue_io_event_enable(s->events, -1, NULL, 0);
		rd_kafka_queue_destroy(s->events);
	}
	if (s->topic != NULL)
		rd_kafka_topic_destroy(s->topic);
	if (s->rk == NULL)
		return;
	/* What is left belongs to a task that failed or was canceled: its restart sends it again. */
	rd_kafka_purge(s->rk,
	    RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
	rd_kafka_destroy(s->rk);
}

/* ------------------------------------------------------------------ serve */

static void say_unreachable(struct kafka_sink *s)
{
	int64_t now_ns = clock_mono_ns(&clock_system);

	if (s->said_ns != 0 && now_ns - s->said_ns < SAY_AGAIN_NS)
		return;
	s->said_ns = now_ns;
	log_warnx("kafka.unreachable", KV_JOB(task_job_id(s->op.task)), KV_STR("task", task_name(s->op.task)),
	    KV_STR("topic", s->options.topic), KV_STR("servers", s->options.servers),
	    KV_MSG("the broker does not answer; what is to be written waits for it"));
}

/* Ask for the topic until it is there. */
static void drive_warm(struct kafka_sink *s)
{
	int64_t now_ns = clock_mono_ns(&clock_system);

	if (s->job_running) {
		if (!connector_job_done(&s->job))
			return;
		s->job_running = false;
		s->warm_retry_ns = now_ns + WARM_RETRY_NS;
		if (s->warm_err == RD_KAFKA_RESP_ERR_NO_ERROR) {
			s->warm = true;
			return;
		}
		switch (kafka_fault_of(s->warm_err)) {
		case KAFKA_FAULT_FINAL:
			task_fail(s->op.task, "topic %s: %s", s->options.topic,
			    rd_kafka_err2str(s->warm_err));
			return;
		case KAFKA_FAULT_NO_TOPIC:
			if (now_ns - s->opened_ns > TOPIC_GRACE_NS)
				task_fail(s->op.task, "topic %s does not exist on %s", s->options.topic,
				    s->options.servers);
			break;
		case KAFKA_FAULT_PASSES:
			s->opened_ns = now_ns; /* the grace begins when a broker answers */
			say_unreachable(s);
			break;
		}
	}
	if (!kafka_watch_alive(&s->watch) && now_ns - s->opened_ns > UNANSWERED_NS)
		say_unreachable(s);
	/* With no broker to ask, a call would only hold up the end of the task. */
	if (now_ns < s->warm_retry_ns || !kafka_watch_alive(&s->watch) || task_stopping(s->op.task))
		return;
	s->job_running = true;
	connector_submit(s->op.task, &s->job, run_warm, s);
}

/* Say which barriers everything has been delivered before. */
static void report_done(struct kafka_sink *s)
{
	uint64_t checkpoint_id;

	while (s->failure.code == ERR_NONE && delivery_take_done(&s->delivery, &checkpoint_id))
		task_snapshot_done(&s->op, checkpoint_id);
}

static void serve_in(struct kafka_sink *s, int64_t ms)
{
	int64_t at_ms = task_wall_ms(s->op.task) + ms;

	s->serve_ms = ms;
	if (at_ms < s->op.timer_ms)
		operator_set_timer(&s->op, at_ms);
}

/* Take delivery reports and errors. */
static void serve(struct kafka_sink *s)
{
	s->unserved = 0;
	rd_kafka_poll(s->rk, 0);
	report_done(s);
	if (!s->warm)
		drive_warm(s);
	if (s->down && (rd_kafka_outq_len(s->rk) > 0 || !s->warm))
		say_unreachable(s);
	else if (s->warm)
		s->said_ns = 0;
	if (s->failure.code != ERR_NONE)
		task_fail(s->op.task, "%s", s->failure.msg);
	if (delivery_waiting(&s->delivery) && 2 * s->serve_ms < SERVE_EVERY_MS)
		serve_in(s, 2 * s->serve_ms);
	else if (rd_kafka_outq_len(s->rk) > 0 || !s->warm)
		serve_in(s, SERVE_EVERY_MS);
}

/* Called by the slot before it sleeps. */
static bool has_room(void *arg)
{
	struct kafka_sink *s = arg;

	rd_kafka_poll(s->rk, 0);
	return s->failure.code != ERR_NONE || delivery_done(&s->delivery) ||
	    rd_kafka_outq_len(s->rk) <= s->go_on_at;
}

static bool all_delivered(void *arg)
{
	struct kafka_sink *s = arg;

	rd_kafka_poll(s->rk, 0);
	return s->failure.code != ERR_NONE || delivery_done(&s->delivery) || rd_kafka_outq_len(s->rk) == 0;
}

/* ---------------------------------------------------------------- operator */

static int sink_open(struct operator *op, struct err *e)
{
	struct kafka_sink *s = sink_of(op);
	const weir_function *fn = operator_fn(op, FN_SERIALIZER);

	delivery_init(&s->delivery);
	if (fn == NULL || fn->serialize == NULL)
		return err_set(e, ERR_INTERNAL, "operator \"%s\" has no serializer", op->node->name);
	op->fn = FN_SERIALIZER;
	s->serialize = fn->serialize;
	if (fn->open != NULL && fn->open(&op->ctx.pub) < 0)
		return err_set(e, ERR_USER, "%s: open of %s failed", op->node->name, fn->name);
	if (kafka_options_parse(op->node, &s->options, e) < 0)
		return -1;
	connector_run(op->task, run_create, s, WAIT_BUSY);
	if (s->failure.code != ERR_NONE) {
		*e = s->failure;
		return -1;
	}
	s->room = xmalloc(FIRST_ROOM_BYTES);
	s->room_cap = FIRST_ROOM_BYTES;
	s->opened_ns = clock_mono_ns(&clock_system);
	serve(s);
	return 0;
}

static void sink_close(struct operator *op)
{
	struct kafka_sink *s = sink_of(op);
	const weir_function *fn = operator_fn(op, FN_SERIALIZER);

	/* Behind the warm-up, if there is one: jobs of one connector thread run in their order. */
	if (s->rk != NULL)
		connector_run(op->task, run_destroy, s, WAIT_BUSY);
	free(s->room);
	delivery_fini(&s->delivery);
	op->fn = FN_SERIALIZER;
	if (fn != NULL && fn->close != NULL)
		fn->close(&op->ctx.pub);
}

/* One message into librdkafka's queue. Its room is back pressure's measure. */
static void produce(struct kafka_sink *s, const weir_message_out *m)
{
	int64_t ts = m->timestamp_ms < 0 ? 0 : m->timestamp_ms; /* 0: now */
	void *key;

	memcpy(&key, &m->key, sizeof(key)); /* librdkafka's call lacks the const; it copies */

	while (!task_stopping(s->op.task)) {
		rd_kafka_resp_err_t err = rd_kafka_producev(s->rk, RD_KAFKA_V_RKT(s->topic),
		    RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE(m->value, m->value_len),
		    RD_KAFKA_V_KEY(key, m->key_len), RD_KAFKA_V_TIMESTAMP(ts),
		    RD_KAFKA_V_OPAQUE((void *)(uintptr_t)delivery_epoch(&s->delivery)), RD_KAFKA_V_END);

		if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
			delivery_produced(&s->delivery);
			return;
		}
		if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
			metrics_add(task_metrics(s->op.task), METRIC_out_errors, 1);
			task_fail(s->op.task, "topic %s: a message of %" PRIu32 " bytes was refused: %s",
			    s->options.topic, m->value_len, rd_kafka_err2str(err));
			return;
		}
		/* A quarter of what is queued, so that not every report switches fibers; a second at most, so
		 * that a broker that is gone is said. */
		s->go_on_at = rd_kafka_outq_len(s->rk) / 4 * 3;
		task_wait(s->op.task, WAIT_BACKPRESSURED, has_room, s,
		    clock_mono_ns(&clock_system) + NS_PER_S);
		serve(s);
	}
}

static void sink_record(struct operator *op, const struct record *r)
{
	struct kafka_sink *s = sink_of(op);
	weir_message_out m;
	int rc, tries;

	for (tries = 0; tries < 2; tries++) {
		m = (weir_message_out){ .struct_size = sizeof(m),
			.value = s->room,
			.value_cap = s->room_cap,
			.timestamp_ms = r->ts };
		op->fn = FN_SERIALIZER;
		rc = s->serialize(&op->ctx.pub, r->data, r->len, &m);
		if (rc < 0) {
			task_fail(op->task, "%s: the serializer returned %d without saying why",
			    op->node->name, rc);
			return;
		}
		if (m.value_len <= s->room_cap)
			break;
		if (m.value_len > MAX_VALUE_BYTES || tries > 0) {
			task_fail(op->task, "%s: the serializer wants %" PRIu32 " bytes for one message",
			    op->node->name, m.value_len);
			return;
		}
		s->room_cap = m.value_len;
		s->room = xreallocarray(s->room, s->room_cap, 1);
	}
	produce(s, &m);
	if (++s->unserved >= SERVE_EVERY_N)
		serve(s);
	else if (op->timer_ms == INT64_MAX)
		serve_in(s, SERVE_EVERY_MS);
}

static void sink_end(struct operator *op)
{
	struct kafka_sink *s = sink_of(op);

	serve(s);
	while (!task_stopping(op->task) && rd_kafka_outq_len(s->rk) > 0) {
		task_wait(op->task, WAIT_BACKPRESSURED, all_delivered, s,
		    clock_mono_ns(&clock_system) + NS_PER_S);
		serve(s);
	}
}

static void sink_timer(struct operator *op, int64_t now_ms)
{
	(void)now_ms;
	serve(sink_of(op));
}

/* Nothing to write: what was produced before the barrier is delivered before the checkpoint is complete. */
static int sink_snapshot(struct operator *op, uint64_t checkpoint_id, struct snapshot_writer *w,
    struct err *e)
{
	struct kafka_sink *s = sink_of(op);

	(void)w;
	rd_kafka_poll(s->rk, 0);
	report_done(s);
	if (s->failure.code != ERR_NONE) {
		*e = s->failure;
		task_fail(op->task, "%s", s->failure.msg);
		return -1;
	}
	if (delivery_barrier(&s->delivery, checkpoint_id))
		return 0;
	serve_in(s, SERVE_FIRST_MS);
	return SNAPSHOT_PENDING;
}

static int sink_restore(struct operator *op, struct snapshot_part *part, struct err *e)
{
	(void)part;
	return err_set(e, ERR_INVALID, "%s: a sink with delivery at least once has no state to restore",
	    op->node->name);
}

const struct operator_type kafka_sink_type = {
	.name = "kafka sink",
	.size = sizeof(struct kafka_sink),
	.open = sink_open,
	.close = sink_close,
	.record = sink_record,
	.end = sink_end,
	.timer = sink_timer,
	.snapshot = sink_snapshot,
	.restore = sink_restore,
};
