/*
 * The Kafka connector in checkpoints, in real tasks against librdkafka's mock cluster: positions and
 * watermarks are restored, offsets of the group follow complete checkpoints only, a sink's barrier waits
 * for deliveries.
 */
#include "t/unit/kafka_mock.h"
#include "worker/connectors/kafka.h"
#include "worker/runtime/checkpoint.h"
#include "worker/state/checkpoint_file.h"

static _Atomic int64_t n_seen, sum_seen, first_watermark, last_watermark;

/* A sink that counts. */
static void count_record(struct operator *op, const struct record *r)
{
	const fx_row *row = r->data;

	if (atomic_load(&n_seen) == 0)
		atomic_store(&first_watermark, op->watermark);
	atomic_fetch_add(&sum_seen, row->a);
	atomic_fetch_add(&n_seen, 1);
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

/* ------------------------------------------------------------ checkpoints */

#define MAX_ACKS 16

/* What the tasks have acknowledged, whatever the checkpoint; as the JobManager would keep it. */
static struct {
	pthread_mutex_t lock;
	struct checkpoint_task tasks[MAX_ACKS]; /* data is ours */
	int64_t async_ns[MAX_ACKS];
	uint64_t id[MAX_ACKS];
	uint32_t n;
	char declined[ERR_MSG_MAX];
} acks = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void on_ack(void *arg, const struct ctl_ack *a)
{
	struct fx *fx = arg;
	const struct job_vertex *v = &fx->jg->vertices[a->vertex];

	pthread_mutex_lock(&acks.lock);
	ASSERT(acks.n < MAX_ACKS);
	acks.async_ns[acks.n] = a->async_ns;
	acks.id[acks.n] = a->checkpoint_id;
	acks.tasks[acks.n++] = (struct checkpoint_task){
		.vertex = v->id,
		.subtask = a->subtask,
		.parallelism = v->parallelism,
		.max_parallelism = v->max_parallelism,
		.data = a->state_len > 0 ? xmemdup(a->state, a->state_len) : NULL,
		.len = a->state_len,
	};
	pthread_mutex_unlock(&acks.lock);
}

static void on_decline(void *arg, const struct ctl_decline *d)
{
	(void)arg;
	pthread_mutex_lock(&acks.lock);
	memcpy(acks.declined, d->why.msg, sizeof(acks.declined));
	pthread_mutex_unlock(&acks.lock);
}

static uint32_t n_acks(void)
{
	pthread_mutex_lock(&acks.lock);
	uint32_t n = acks.n;
	pthread_mutex_unlock(&acks.lock);
	return n;
}

static void forget_acks(void)
{
	pthread_mutex_lock(&acks.lock);
	for (uint32_t i = 0; i < acks.n; i++) {
		void *data;
		memcpy(&data, &acks.tasks[i].data, sizeof(data));
		free(data);
	}
	acks.n = 0;
	pthread_mutex_unlock(&acks.lock);
}

/* A letter to every task of a slot. */
struct letter {
	struct slot_mail mail; /* first */
	struct ctl_trigger trigger;
	bool notify;
	struct letter *next;
};
static struct letter *letters;

static void open_letter(struct slot *s, struct slot_mail *m)
{
	struct letter *l = (struct letter *)(void *)m;

	for (uint32_t i = 0; i < slot_n_tasks(s); i++)
		if (l->notify)
			checkpoint_on_notify(slot_task(s, i), l->trigger.checkpoint_id);
		else
			checkpoint_on_trigger(slot_task(s, i), &l->trigger);
}

static void send_letters(struct fx *fx, bool notify, uint64_t id, enum checkpoint_kind kind)
{
	for (uint32_t i = 0; i < fx->n_slots; i++) {
		struct letter *l = xcalloc(1, sizeof(*l));

		l->mail.fn = open_letter;
		l->trigger = (struct ctl_trigger){ .job_id = fx->env.job_id,
			.attempt = fx->env.attempt,
			.checkpoint_id = id,
			.kind = kind,
			.trigger_wall_ms = clock_wall_ms(&clock_system) };
		l->notify = notify;
		l->next = letters;
		letters = l;
		slot_post(fx->slots[i].slot, &l->mail);
	}
}

static void trigger(struct fx *fx, uint64_t id)
{
	send_letters(fx, false, id, CHECKPOINT_PERIODIC);
}

/* ------------------------------------------------------------------ jobs */

static struct checkpoint_file file;

static void job(struct fx *fx, const char *topic, const char *out, int parallelism,
    const char *const *options, bool restore)
{
	fx_init(fx, find, 2, &clock_system);
	numbers_job(fx, topic, out, parallelism, options);
	fx->env.checkpointing = true;
	fx->env.ack = on_ack;
	fx->env.decline = on_decline;
	file = (struct checkpoint_file){ .id = 7, .tasks = acks.tasks, .n_tasks = acks.n };
	fx->env.restore = restore ? &file : NULL;
	if (!restore)
		forget_acks();
	atomic_store(&n_seen, 0);
	atomic_store(&sum_seen, 0);
	atomic_store(&first_watermark, INT64_MAX);
	atomic_store(&last_watermark, INT64_MIN);
}

static void go(struct fx *fx)
{
	struct err e = { 0 };

	if (!ok(fx_prepare(fx, &e), "tasks are made"))
		diag("%s", e.msg);
	fx_go(fx);
}

/* Ends the job as a kill would: what is behind the checkpoint is lost. */
static void done(struct fx *fx)
{
	ok(fx_drop(fx), "tasks are gone");
	fx_fini(fx);
	while (letters != NULL) {
		struct letter *l = letters;
		letters = l->next;
		free(l);
	}
}

static int64_t sum_of(int64_t from, int64_t to)
{
	return (to - from) * (from + to - 1) / 2;
}

static int64_t committed(const char *group, const char *topic, int32_t partition)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_t *rk;
	int64_t offset;

	rd_kafka_conf_set_log_cb(conf, no_log);
	rd_kafka_conf_set(conf, "bootstrap.servers", servers, NULL, 0);
	rd_kafka_conf_set(conf, "group.id", group, NULL, 0);
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, NULL, 0);
	rd_kafka_topic_partition_list_add(list, topic, partition);
	ASSERT(rd_kafka_committed(rk, list, 5000) == 0);
	offset = list->elems[0].offset;
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_destroy(rk);
	return offset;
}

/* A checkpoint with one split as written here, in place of what was acknowledged. */
static struct snapshot_writer forged;
static void forge(struct fx *fx, int32_t partition, int64_t position, int64_t stop, bool ended)
{
	struct job_graph *jg;
	struct err e = { 0 };

	jg = job_graph_create(fx->g, 1, false, &e);
	ASSERT(jg != NULL);
	forget_acks();
	snapshot_writer_fini(&forged);
	snapshot_writer_init(&forged);
	snapshot_begin(&forged, &jg->op_ids[0]);
	snapshot_begin_entry(&forged, "split");
	snapshot_put_str(&forged, graph_node_option(&fx->g->nodes[0], "topic", ""));
	snapshot_put_u32(&forged, (uint32_t)partition);
	snapshot_put_i64(&forged, position);
	snapshot_put_i64(&forged, stop);
	snapshot_put_i64(&forged, 100);
	snapshot_put_i64(&forged, 99);
	snapshot_put_u32(&forged, ended);
	snapshot_end_part(&forged);
	snapshot_end(&forged);
	acks.tasks[0] = (struct checkpoint_task){ .vertex = jg->vertices[0].id,
		.parallelism = 1,
		.max_parallelism = 128,
		.data = xmemdup(forged.data, forged.len),
		.len = forged.len };
	acks.n = 1;
	file = (struct checkpoint_file){ .id = 7, .tasks = acks.tasks, .n_tasks = acks.n };
	fx->env.restore = &file;
	job_graph_destroy(jg);
}

/* ------------------------------------------------------------------ tests */

static const char *const earliest[] = { "properties.group.id", "g", "scan.startup.mode", "earliest-offset",
	NULL };

static void test_positions(void)
{
	int64_t mark;
	struct fx fx;

	rd_kafka_mock_topic_create(mock, "pos", 2, 1);
	send_numbers("pos", 0, 1000);
	job(&fx, "pos", NULL, 1, earliest, false);
	go(&fx);
	ok(FX_UNTIL(atomic_load(&n_seen) == 1000 && atomic_load(&last_watermark) == 997, 10),
	    "all that is there is read");
	mark = atomic_load(&last_watermark);
	trigger(&fx, 1);
	ok(FX_UNTIL(n_acks() == 2, 5), "source and sink acknowledge");
	send_numbers("pos", 1000, 1500);
	ok(FX_UNTIL(atomic_load(&n_seen) == 1500, 10), "more is read");
	/* Longer than the second after which it would be committed by time. */
	FX_UNTIL(false, 2);
	is_int(committed("g", "pos", 0), RD_KAFKA_OFFSET_INVALID, "nothing is committed by time");
	send_letters(&fx, true, 1, CHECKPOINT_PERIODIC);
	ok(FX_UNTIL(committed("g", "pos", 0) == 500, 5), "a complete checkpoint is: its position");
	is_int(committed("g", "pos", 1), 500, "of both partitions");
	done(&fx);

	job(&fx, "pos", NULL, 1, earliest, true);
	fx.env.attempt = 2;
	go(&fx);
	ok(FX_UNTIL(atomic_load(&n_seen) >= 500, 10), "a restored job goes on");
	FX_UNTIL(false, 1);
	is_int(atomic_load(&n_seen), 500, "with the first record behind the barrier");
	is_int(atomic_load(&sum_seen), sum_of(1000, 1500), "and reads each once");
	is_int(atomic_load(&first_watermark), mark, "the watermark of the checkpoint came before them");
	done(&fx);

	job(&fx, "pos", NULL, 2, earliest, true);
	go(&fx);
	ok(FX_UNTIL(atomic_load(&n_seen) >= 500, 10), "so it does with two subtasks");
	FX_UNTIL(false, 1);
	is_int(atomic_load(&sum_seen), sum_of(1000, 1500), "each once");
	forget_acks();
	trigger(&fx, 8);
	ok(FX_UNTIL(n_acks() == 4, 5), "whose checkpoint is taken");
	done(&fx);
	send_numbers("pos", 1500, 1600);
	job(&fx, "pos", NULL, 1, earliest, true);
	go(&fx);
	ok(FX_UNTIL(atomic_load(&n_seen) >= 100, 10), "and restored by one");
	FX_UNTIL(false, 1);
	is_int(atomic_load(&sum_seen), sum_of(1500, 1600), "each once");
	done(&fx);

	/* Killed before its first checkpoint was complete: it begins anew, and not where the group is. */
	job(&fx, "pos", NULL, 1, earliest, false);
	fx.env.attempt = 2;
	go(&fx);
	ok(FX_UNTIL(atomic_load(&n_seen) == 1600, 10), "without a checkpoint the startup mode holds");
	done(&fx);
}

static void test_refused_positions(void)
{
	struct fx fx;

	job(&fx, "pos", NULL, 1, earliest, false);
	forge(&fx, 0, 123456, INT64_MAX, false);
	go(&fx);
	ok(FX_UNTIL(fx_state(&fx, 0, 0) == TASK_FAILED, 10), "an offset that is not there fails the task");
	like(fx_cause(&fx), "topic pos, partition 0, offset 123456", "and is named: %s", fx_cause(&fx));
	done(&fx);

	job(&fx, "pos", NULL, 1, earliest, false);
	forge(&fx, 5, 10, INT64_MAX, false);
	go(&fx);
	ok(FX_UNTIL(fx_state(&fx, 0, 0) == TASK_FAILED, 10), "so does a partition");
	like(fx_cause(&fx), "topic pos, partition 5, offset 10: the partition was read before",
	    "which is named");
	done(&fx);
}

static void test_new_partition(void)
{
	struct fx fx;

	job(&fx, "pos", NULL, 1, earliest, false);
	forge(&fx, 0, 750, INT64_MAX, false);
	go(&fx);
	ok(FX_UNTIL(atomic_load(&n_seen) >= 850, 10), "a partition that the state does not know");
	FX_UNTIL(false, 1);
	is_int(atomic_load(&n_seen), 50 + 800, "is read from its beginning");
	done(&fx);
}

static void test_bounded(void)
{
	struct fx fx;

	job(&fx, "pos", NULL, 1, bounded, false);
	forge(&fx, 0, 100, 300, false);
	go(&fx);
	ok(FX_UNTIL(fx_all(&fx, TASK_FINISHED), 10), "a bounded job goes on and finishes: %s", fx_cause(&fx));
	is_int(atomic_load(&n_seen), 200, "at the stop that it had, and without partitions that it had not");
	is_int(atomic_load(&last_watermark), WEIR_MAX_TIMESTAMP, "with the last watermark");
	done(&fx);
	/* Its messages may be deleted by now: an offset that is not there does not matter. */
	job(&fx, "pos", NULL, 1, bounded, false);
	forge(&fx, 0, 123456, 123456, true);
	go(&fx);
	ok(FX_UNTIL(fx_all(&fx, TASK_FINISHED), 10), "what had ended has: %s", fx_cause(&fx));
	is_int(atomic_load(&n_seen), 0, "and is not read");
	done(&fx);
}

static void test_unread(void)
{
	const char *const latest[] = { "scan.startup.mode", "latest-offset", NULL };
	struct fx fx;

	job(&fx, "pos", NULL, 1, latest, false);
	go(&fx);
	ok(FX_UNTIL(metrics_get(&fx.blocks[0], METRIC_pending_records) >= 0 || fx_all(&fx, TASK_RUNNING), 10),
	    "a job begins at the end");
	FX_UNTIL(false, 1);
	trigger(&fx, 1);
	ok(FX_UNTIL(n_acks() == 2, 5), "a checkpoint before its first record");
	done(&fx);
	send_numbers("pos", 1600, 1620);
	job(&fx, "pos", NULL, 1, latest, true);
	go(&fx);
	ok(FX_UNTIL(atomic_load(&n_seen) == 20, 10), "what came while it was away is read");
	is_int(atomic_load(&sum_seen), sum_of(1600, 1620), "and nothing else");
	done(&fx);

	/* Before any broker has answered. */
	rd_kafka_mock_broker_set_down(mock, 1);
	job(&fx, "pos", NULL, 1, earliest, false);
	go(&fx);
	ok(FX_UNTIL(fx_all(&fx, TASK_RUNNING), 5), "without a broker the tasks run");
	trigger(&fx, 1);
	ok(FX_UNTIL(n_acks() == 2, 5), "and take checkpoints");
	done(&fx);
	rd_kafka_mock_broker_set_up(mock, 1);
	job(&fx, "pos", NULL, 1, earliest, true);
	go(&fx);
	ok(FX_UNTIL(atomic_load(&n_seen) == 1620, 10), "from which the startup mode holds");
	done(&fx);
}

/* The ack of the sink's task, -1: none yet. */
static int64_t sink_async_ns(struct fx *fx, uint64_t id)
{
	int64_t ns = -1;

	pthread_mutex_lock(&acks.lock);
	for (uint32_t i = 0; i < acks.n; i++)
		if (acks.id[i] == id && id_equal(&acks.tasks[i].vertex, &fx->jg->vertices[1].id))
			ns = acks.async_ns[i];
	pthread_mutex_unlock(&acks.lock);
	return ns;
}

static void test_deliveries(void)
{
	enum { N = 1000 };
	static uint8_t times[N];
	int missing = 0;
	struct fx fx;

	rd_kafka_mock_topic_create(mock, "dl-in", 2, 1);
	rd_kafka_mock_topic_create(mock, "dl-out", 2, 1);
	send_numbers("dl-in", 0, N / 2);
	job(&fx, "dl-in", "dl-out", 1, earliest, false);
	go(&fx);
	is_int(read_topic("dl-out", N / 2, NULL, 0), N / 2, "a job writes");
	trigger(&fx, 1);
	ok(FX_UNTIL(sink_async_ns(&fx, 1) >= 0, 5), "with nothing under way a sink acknowledges");
	ok(sink_async_ns(&fx, 1) < 300 * NS_PER_MS, "at once");
	rd_kafka_mock_broker_set_rtt(mock, 1, 600);
	send_numbers("dl-in", N / 2, N - 100);
	ok(FX_UNTIL(metrics_get(&fx.blocks[1], METRIC_records_in) >= N - 100, 10), "slow deliveries");
	trigger(&fx, 2);
	ok(FX_UNTIL(n_acks() >= 3, 2), "the source acknowledges");
	trigger(&fx, 3);
	ok(FX_UNTIL(sink_async_ns(&fx, 3) >= 0, 10), "the sink does");
	ok(sink_async_ns(&fx, 2) > 300 * NS_PER_MS, "when the deliveries are known: %d ms",
	    (int)(sink_async_ns(&fx, 2) / NS_PER_MS));
	rd_kafka_mock_broker_set_rtt(mock, 1, 0);
	read_topic("dl-out", N - 100, times, N);
	for (int i = 0; i < N - 100; i++)
		missing += times[i] == 0;
	is_int(missing, 0, "everything before the barrier is there");

	send_letters(&fx, true, 3, CHECKPOINT_PERIODIC);
	ok(FX_UNTIL(committed("g", "dl-in", 0) + committed("g", "dl-in", 1) == N - 100, 10),
	    "the positions of the checkpoint that is complete are committed");

	/* Stop with savepoint: what is behind its barrier is not read. */
	send_letters(&fx, false, 4, CHECKPOINT_SYNC_SAVEPOINT);
	ok(FX_UNTIL(sink_async_ns(&fx, 4) >= 0, 5), "a savepoint to stop with");
	send_numbers("dl-in", N - 100, N);
	send_letters(&fx, true, 4, CHECKPOINT_SYNC_SAVEPOINT);
	ok(FX_UNTIL(fx_all(&fx, TASK_FINISHED), 10), "the job ends: %s", fx_cause(&fx));
	is_int(metrics_get(&fx.blocks[0], METRIC_records_in), N - 100, "and has read nothing more");
	done(&fx);
}

static void test_refused_delivery(void)
{
	struct fx fx;

	rd_kafka_mock_topic_create(mock, "rd-in", 2, 1);
	rd_kafka_mock_topic_create(mock, "rd-out", 2, 1);
	send_numbers("rd-in", 0, 10);
	rd_kafka_mock_push_request_errors(mock, 0 /* Produce */, 2,
	    RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
	job(&fx, "rd-in", "rd-out", 1, earliest, false);
	go(&fx);
	FX_UNTIL(metrics_get(&fx.blocks[1], METRIC_records_in) >= 1 || fx_state(&fx, 1, 0) == TASK_FAILED,
	    10);
	trigger(&fx, 1);
	ok(FX_UNTIL(fx_state(&fx, 1, 0) == TASK_FAILED, 10), "one that is refused fails the task");
	is_int(sink_async_ns(&fx, 1), -1, "and its checkpoint is not acknowledged");
	done(&fx);
}

int main(void)
{
	mock_start();
	test_positions();
	test_refused_positions();
	test_new_partition();
	test_bounded();
	test_unread();
	test_deliveries();
	test_refused_delivery();
	mock_stop();
	forget_acks();
	snapshot_writer_fini(&forged);
	return tap_done();
}
