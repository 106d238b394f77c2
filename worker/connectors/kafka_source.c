/*
 * The Kafka source: a reader over a Kafka fetcher.  Here is what takes time: finding
 * partitions and offsets on the connector thread, again and again while no broker
 * answers; commits to the group, once a second or, where checkpoints are taken, of each that is complete;
 * what is said about a broker that does not answer.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "worker/connectors/kafka.h"
#include "worker/connectors/kafka_fetcher.h"
#include "worker/connectors/kafka_options.h"
#include "worker/connectors/kafka_state.h"
#include "worker/connectors/reader.h"

#define COMMIT_EVERY_NS NS_PER_S
#define LAST_COMMIT_MS  20 /* a broker answers it behind a fetch: the end of a task does not wait for that */
#define RETRY_NS        (NS_PER_S / 2)
#define UNANSWERED_NS   (10 * NS_PER_S) /* without an answer to a fetch, the broker counts as unreachable */
#define SAY_AGAIN_NS    (60 * NS_PER_S)

struct kafka_source {
	struct operator op;
	struct kafka_options options;
	struct kafka_fetcher *fetcher;
	struct reader *reader;
	int64_t *positions; /* by split, for commits */

	struct kafka_state state; /* what it was restored with */
	struct kafka_held held;   /* positions of checkpoints that are not complete */
	int64_t *complete;        /* of the newest that is; n_complete splits */
	uint32_t n_complete;
	bool commit_due; /* complete is still to be committed */

	/* on the connector thread */
	struct connector_job job;
	bool job_running;
	enum kafka_step step;
	struct err step_err;

	bool ready; /* the first partitions are assigned */
	bool preparing;
	bool ended;          /* bounded, and all was read */
	bool last_commit;    /* a complete checkpoint's positions are not known to be committed at the end */
	int64_t retry_ns;    /* next step of prepare not before */
	int64_t discover_ns; /* next look for new partitions, INT64_MAX: none */
	bool dirty;          /* read more since the last commit */
	int64_t commit_ns;   /* next commit */
	int64_t heard_ns;    /* a broker was last known to be there */
	int64_t said_ns;     /* that none is, 0: not said */
};

static struct kafka_source *source_of(struct operator *op)
{
	return (struct kafka_source *)(void *)op;
}

/* ------------------------------------------------- what the reader asks for */

static int64_t host_excluded_ns(void *arg)
{
	struct task *t = arg;

	return task_stalled_ns(t) + metrics_get(task_metrics(t), METRIC_backpressured_ns);
}

static void host_fail(void *arg, const char *sentence)
{
	task_fail(arg, "%s", sentence);
}

static const char *host_user_error(void *arg)
{
	return task_user_error(arg);
}

/* ------------------------------------------------------ on the connector thread */

static void run_create(void *arg)
{
	struct kafka_source *s = arg;
	struct kafka_fetcher_config config = {
		.options = &s->options,
		.job_id = task_job_id(s->op.task),
		.attempt = task_attempt(s->op.task),
		.subtask = task_subtask(s->op.task),
		.parallelism = task_parallelism(s->op.task),
		.eventfd = task_eventfd(s->op.task),
		.checkpointing = task_checkpointing(s->op.task),
		.state = &s->state,
	};

	s->fetcher = kafka_fetcher_create(&config, &s->step_err);
}

static void run_prepare(void *arg)
{
	struct kafka_source *s = arg;

	s->step = kafka_fetcher_prepare(s->fetcher, &s->step_err);
}

static void run_close(void *arg)
{
	struct kafka_source *s = arg;
	struct err e = { 0 };

	/* What was read to the end is not read again by the next job of this group. Not after a failure or
	 * a cancel: what is behind the last commit may not have come out of the job. */
	if (s->ended && !task_checkpointing(s->op.task) &&
	    kafka_fetcher_commit_wait(s->fetcher, s->positions, &e) < 0)
		log_warnx("kafka.commit_failed", KV_JOB(task_job_id(s->op.task)),
		    KV_STR("topic", s->options.topic), KV_STR("reason", e.msg),
		    KV_MSG("the last offsets were not committed to the group"));
	/* Where checkpoints are taken, what the last complete one holds: for display, so not at any price. */
	if (s->last_commit) {
		kafka_fetcher_settle(s->fetcher, LAST_COMMIT_MS);
		if (s->commit_due)
			kafka_fetcher_commit(s->fetcher, s->complete);
		kafka_fetcher_settle(s->fetcher, s->commit_due ? LAST_COMMIT_MS : 0);
	}
	kafka_fetcher_destroy(s->fetcher);
	s->fetcher = NULL;
}

/* -------------------------------------------------------------- open, close */

static int open_function(struct operator *op, enum fn_role role, struct err *e)
{
	const weir_function *fn = operator_fn(op, role);

	op->fn = role;
	if (fn != NULL && fn->open != NULL && fn->open(&op->ctx.pub) < 0)
		return err_set(e, ERR_USER, "%s: open of %s failed", op->node->name, fn->name);
	return 0;
}

static void close_function(struct operator *op, enum fn_role role)
{
	const weir_function *fn = operator_fn(op, role);

	op->fn = role;
	if (fn != NULL && fn->close != NULL)
		fn->close(&op->ctx.pub);
}

static int source_open(struct operator *op, struct err *e)
{
	struct kafka_source *s = source_of(op);
	struct reader_host host = { &clock_system, host_excluded_ns, host_fail, host_user_error, op->task,
		task_metrics(op->task) };
	struct reader_options options = { 0 };

	if (operator_fn(op, FN_DESERIALIZER) == NULL)
		return err_set(e, ERR_INTERNAL, "operator \"%s\" has no deserializer", op->node->name);
	if (open_function(op, FN_DESERIALIZER, e) < 0 || open_function(op, FN_TIMESTAMP, e) < 0)
		return -1;
	if (kafka_options_parse(op->node, &s->options, e) < 0)
		return -1;
	connector_run(op->task, run_create, s, WAIT_BUSY);
	if (s->fetcher == NULL) {
		*e = s->step_err;
		return -1;
	}
	options.skip_malformed = s->options.skip_malformed;
	options.max_gap_ns = 2 * s->options.fetch_wait_max_ms * NS_PER_MS + NS_PER_S;
	s->reader = reader_create(op, &host, &options, kafka_fetcher_base(s->fetcher));
	s->preparing = true;
	s->discover_ns = INT64_MAX;
	s->heard_ns = clock_mono_ns(&clock_system);
	metrics_set(task_metrics(op->task), METRIC_pending_records, -1);
	return 0;
}

/* Of splits found since the newest complete checkpoint, nothing is complete. */
static void widen_complete(struct kafka_source *s)
{
	while (s->n_complete < kafka_fetcher_n_splits(s->fetcher))
		s->complete[s->n_complete++] = -1;
}

static void source_close(struct operator *op)
{
	struct kafka_source *s = source_of(op);

	/* Jobs of one connector thread run in their order: this one also waits for prepare. */
	if (s->fetcher != NULL) {
		s->last_commit = !task_stopping(op->task) && s->n_complete > 0 &&
		    (s->commit_due || kafka_fetcher_committing(s->fetcher));
		widen_complete(s);
		connector_run(op->task, run_close, s, WAIT_BUSY);
	}
	reader_destroy(s->reader);
	kafka_state_fini(&s->state);
	kafka_held_fini(&s->held);
	free(s->positions);
	free(s->complete);
	close_function(op, FN_TIMESTAMP);
	close_function(op, FN_DESERIALIZER);
}

/* --------------------------------------------------------------- preparing */

static void say_unreachable(struct kafka_source *s, const char *why, int64_t now_ns)
{
	if (s->said_ns != 0 && now_ns - s->said_ns < SAY_AGAIN_NS)
		return;
	s->said_ns = now_ns;
	log_warnx("kafka.unreachable", KV_JOB(task_job_id(s->op.task)), KV_STR("task", task_name(s->op.task)),
	    KV_STR("topic", s->options.topic), KV_STR("servers", s->options.servers), KV_STR("reason", why),
	    KV_MSG("the broker does not answer; the task stays up and goes on when it does"));
}

static void say_reachable(struct kafka_source *s)
{
	if (s->said_ns == 0)
		return;
	s->said_ns = 0;
	log_info("kafka.reachable", KV_JOB(task_job_id(s->op.task)), KV_STR("task", task_name(s->op.task)),
	    KV_STR("topic", s->options.topic), KV_STR("servers", s->options.servers),
	    KV_MSG("the broker answers again"));
}

static void adopt(struct kafka_source *s)
{
	uint32_t i = kafka_fetcher_adopt(s->fetcher), n = kafka_fetcher_n_splits(s->fetcher);

	for (; i < n; i++) {
		const struct kafka_split *k = kafka_fetcher_split(s->fetcher, i);
		const struct reader_split_state *past = kafka_state_find(&s->state, k->partition);
		uint32_t split = reader_add_split(s->reader, s->options.topic, k->partition, k->start,
		    k->stop);

		if (past != NULL) {
			struct reader_split_state state = *past;

			state.ended = k->ended;
			reader_restore_split(s->reader, split, &state);
		}
	}
	s->positions = xreallocarray(s->positions, n + 1, sizeof(*s->positions));
	s->complete = xreallocarray(s->complete, n + 1, sizeof(*s->complete));
}

static void prepared(struct kafka_source *s, int64_t now_ns)
{
	if (!s->ready)
		log_info("kafka.assigned", KV_JOB(task_job_id(s->op.task)),
		    KV_STR("task", task_name(s->op.task)), KV_STR("topic", s->options.topic),
		    KV_UINT("partitions", kafka_fetcher_n_splits(s->fetcher)), KV_MSG("reading"));
	say_reachable(s);
	s->ready = true;
	s->preparing = false;
	s->heard_ns = now_ns;
	reader_discovered(s->reader, s->options.bounded);
	if (s->options.discovery_ms > 0 && !s->options.bounded)
		s->discover_ns = now_ns + s->options.discovery_ms * NS_PER_MS;
}

/* Take the result of a step and begin the next. */
static void drive(struct kafka_source *s, int64_t now_ns)
{
	if (s->job_running) {
		if (!connector_job_done(&s->job))
			return;
		s->job_running = false;
		switch (s->step) {
		case KAFKA_STEP_AGAIN:
			break;
		case KAFKA_STEP_ADOPT:
			adopt(s);
			break;
		case KAFKA_STEP_READY:
			prepared(s, now_ns);
			return;
		case KAFKA_STEP_UNREACHABLE:
			say_unreachable(s, s->step_err.msg, now_ns);
			s->retry_ns = now_ns + RETRY_NS;
			break;
		case KAFKA_STEP_FAILED:
			task_fail(s->op.task, "%s", s->step_err.msg);
			return;
		}
	}
	/* With no broker to ask, a call would only hold up the end of the task. Its first answer wakes us. */
	if (now_ns < s->retry_ns || !kafka_fetcher_alive(s->fetcher))
		return;
	s->job_running = true;
	connector_submit(s->op.task, &s->job, run_prepare, s);
}

/* ------------------------------------------------------------------- poll */

static void collect_positions(struct kafka_source *s)
{
	for (uint32_t i = 0; i < reader_n_splits(s->reader); i++)
		s->positions[i] = reader_position(s->reader, i);
}

static void commit(struct kafka_source *s, int64_t now_ns)
{
	collect_positions(s);
	if (!task_checkpointing(s->op.task))
		kafka_fetcher_commit(s->fetcher, s->positions);
	s->dirty = false;
	s->commit_ns = now_ns + COMMIT_EVERY_NS;
	metrics_set(task_metrics(s->op.task), METRIC_pending_records,
	    kafka_fetcher_pending(s->fetcher, s->positions));
}

/* The positions of the newest complete checkpoint, for those who look at the group. */
static void commit_complete(struct kafka_source *s)
{
	widen_complete(s);
	kafka_fetcher_commit(s->fetcher, s->complete);
	s->commit_due = false;
}

/* Nothing came: is the broker there? */
static void watch_broker(struct kafka_source *s, int64_t now_ns, int64_t *deadline_ns)
{
	int64_t answered_ns = kafka_fetcher_answered_ns(s->fetcher), check_ns;

	if (answered_ns > s->heard_ns) {
		s->heard_ns = answered_ns;
		say_reachable(s);
	}
	if (reader_n_splits(s->reader) == 0)
		return;
	check_ns = s->heard_ns + UNANSWERED_NS + s->options.fetch_wait_max_ms * NS_PER_MS;
	if (s->said_ns != 0)
		check_ns = s->said_ns + SAY_AGAIN_NS;
	if (now_ns >= check_ns) {
		say_unreachable(s, "no answer to a fetch", now_ns);
		check_ns = now_ns + SAY_AGAIN_NS;
	}
	if (check_ns < *deadline_ns)
		*deadline_ns = check_ns;
}

/* No broker has answered yet. */
static void watch_first_answer(struct kafka_source *s, int64_t now_ns, int64_t *deadline_ns)
{
	int64_t check_ns = s->said_ns != 0 ? s->said_ns + SAY_AGAIN_NS : s->heard_ns + UNANSWERED_NS;

	if (now_ns >= check_ns) {
		say_unreachable(s, "no answer since the start", now_ns);
		check_ns = now_ns + SAY_AGAIN_NS;
	}
	if (check_ns < *deadline_ns)
		*deadline_ns = check_ns;
}

static enum source_status source_poll(struct operator *op, int64_t *deadline_ns)
{
	struct kafka_source *s = source_of(op);
	int64_t now_ns = clock_mono_ns(&clock_system);
	enum source_status status;
	struct err e = { 0 };

	if (kafka_fetcher_serve(s->fetcher, &e) < 0) {
		task_fail(op->task, "%s", e.msg);
		return SOURCE_WAIT;
	}
	if (kafka_fetcher_take_down(s->fetcher))
		say_unreachable(s, "all connections are down", now_ns);
	if (now_ns >= s->discover_ns) {
		s->discover_ns = INT64_MAX;
		s->preparing = true;
		kafka_fetcher_rediscover(s->fetcher);
	}
	if (s->preparing)
		drive(s, now_ns);
	if (s->commit_due && !kafka_fetcher_committing(s->fetcher))
		commit_complete(s);
	if (!s->ready) {
		if (!s->job_running && kafka_fetcher_alive(s->fetcher))
			*deadline_ns = s->retry_ns;
		else if (!kafka_fetcher_alive(s->fetcher))
			watch_first_answer(s, now_ns, deadline_ns);
		return SOURCE_WAIT;
	}
	status = reader_poll(s->reader, deadline_ns);
	if (status == SOURCE_END) {
		collect_positions(s);
		s->ended = !task_stopping(op->task);
		return SOURCE_END;
	}
	if (status == SOURCE_MORE)
		s->dirty = true;
	else
		watch_broker(s, now_ns, deadline_ns);
	if (kafka_fetcher_due_ns(s->fetcher) > now_ns && kafka_fetcher_due_ns(s->fetcher) < *deadline_ns)
		*deadline_ns = kafka_fetcher_due_ns(s->fetcher);
	if (s->dirty && now_ns >= s->commit_ns)
		commit(s, now_ns);
	if (s->dirty && s->commit_ns < *deadline_ns)
		*deadline_ns = s->commit_ns;
	if (s->preparing && !s->job_running && s->retry_ns < *deadline_ns)
		*deadline_ns = s->retry_ns;
	if (s->discover_ns < *deadline_ns)
		*deadline_ns = s->discover_ns;
	return status;
}

/* ------------------------------------------------------------ checkpoints */

static struct kafka_reader_place place_of(const struct kafka_source *s)
{
	return (struct kafka_reader_place){ s->options.topic, task_subtask(s->op.task),
		task_parallelism(s->op.task) };
}

static int source_snapshot(struct operator *op, uint64_t checkpoint_id, struct snapshot_writer *w,
    struct err *e)
{
	struct kafka_source *s = source_of(op);
	struct kafka_reader_place place = place_of(s);

	(void)e;
	if (!s->ready) {
		kafka_state_put_unread(&s->state, &place, w);
		return 0;
	}
	if (reader_n_splits(s->reader) == 0)
		kafka_state_put_none(w, &place);
	for (uint32_t i = 0; i < reader_n_splits(s->reader); i++) {
		struct reader_split_state state;

		reader_split_state(s->reader, i, &state);
		kafka_state_put_split(w, s->options.topic, kafka_fetcher_split(s->fetcher, i)->partition,
		    &state);
	}
	collect_positions(s);
	kafka_held_put(&s->held, checkpoint_id, s->positions, reader_n_splits(s->reader));
	return 0;
}

static int source_restore(struct operator *op, struct snapshot_part *part, struct err *e)
{
	struct kafka_source *s = source_of(op);
	struct kafka_reader_place place = place_of(s);

	return kafka_state_restore(&s->state, &place, part, e);
}

static void source_notify_complete(struct operator *op, uint64_t checkpoint_id)
{
	struct kafka_source *s = source_of(op);
	uint32_t n = kafka_held_take(&s->held, checkpoint_id, s->complete, reader_n_splits(s->reader));

	/* Without periodic checkpoints this is a savepoint, and newer positions were committed by time. */
	if (n == 0 || !task_checkpointing(op->task))
		return;
	s->n_complete = n;
	s->commit_due = true;
	if (!kafka_fetcher_committing(s->fetcher))
		commit_complete(s);
}

const struct operator_type kafka_source_type = {
	.name = "kafka source",
	.size = sizeof(struct kafka_source),
	.open = source_open,
	.close = source_close,
	.snapshot = source_snapshot,
	.restore = source_restore,
	.notify_complete = source_notify_complete,
	.poll = source_poll,
};
