/* Reader: decode, stamp, watermark a split, merge, idleness. */
#include "worker/connectors/reader.h"

#include <inttypes.h>

#include "base/err.h"
#include "base/mem.h"

#define WATERMARK_EVERY_NS NS_PER_MS
#define IDLE_CHECK_MIN_NS  (50 * NS_PER_MS) /* evidence comes without a wake-up */
#define IDLE_CHECK_MAX_NS  NS_PER_S
#define FIRST_BYTES        48 /* of a malformed message, shown in its failure */

struct split {
	const char *topic;
	int32_t partition;
	int64_t position, stop;
	int64_t max_ts;   /* WEIR_MIN_TIMESTAMP: no record yet */
	int64_t quiet_ns; /* the idle clock when its end was reported */
	bool at_end, idle, finished;
};

struct reader {
	weir_out out; /* first: what the deserializer emits into */
	struct operator *op;
	struct reader_host host;
	struct reader_options options;
	struct fetcher *fetcher;
	const weir_function *deserializer, *timestamp; /* the latter may be NULL */
	bool has_strategy;
	int64_t bound_ms, idle_timeout_ns;

	struct split *splits;
	uint32_t n_splits, cap_splits;
	bool discovered, bounded, failed;

	/* the message in hand */
	struct split *current;
	uint8_t *scratch;
	uint32_t scratch_cap, reserved_len;
	bool reserved;
	const weir_message *msg;
	int64_t batch_bytes, batch_records, emitted_ts; /* the last one's time */

	int64_t watermark;     /* last emitted */
	int64_t restored_watermark; /* to be emitted before all else; INT64_MAX: none */
	int64_t watermark_ns;  /* when */
	bool out_idle;         /* last status emitted */
	int64_t idle_clock_ns; /* advances by evidence */
	int64_t evidence_ns;   /* seen up to here */
	int64_t excluded_ns;   /* of the host, then */
	int64_t idle_check_ns; /* between two looks, grows while there is no evidence */
	int64_t last_message_ns;

	int n_batch, next_in_batch; /* what is left of it when the task was interrupted */
	struct raw_message batch[READER_BATCH];
};

static struct reader *reader_of_out(weir_out *out)
{
	return (struct reader *)(void *)out;
}

static bool stopping(const struct reader *r)
{
	return r->failed || ((const struct task_hot *)(const void *)r->op->task)->stopping;
}

static void fail(struct reader *r, const char *sentence)
{
	if (!r->failed)
		r->host.fail(r->host.arg, sentence);
	r->failed = true;
}

/* -------------------------------------------------------------- collector */

static void deliver(struct reader *r, const void *data, uint32_t len, int64_t ts)
{
	struct operator *op = r->op;
	struct record rec = { data, len, 0, ts };
	struct split *s = r->current;
	char sentence[ERR_MSG_MAX];

	if (r->timestamp != NULL) {
		op->fn = FN_TIMESTAMP;
		rec.ts = r->timestamp->timestamp(&r->op->ctx.pub, data, len, ts);
		op->fn = FN_DESERIALIZER;
		if (rec.ts == WEIR_MIN_TIMESTAMP) {
			const char *why = r->host.user_error(r->host.arg);
			snprintf(sentence, sizeof(sentence),
			    "topic %s, partition %" PRId32 ", offset %" PRId64 ": %s", s->topic, s->partition,
			    r->msg->offset,
			    why[0] != '\0' ? why : "the timestamp assigner gave no timestamp");
			fail(r, sentence);
			return;
		}
	}
	op->current_ts = r->emitted_ts = rec.ts;
	if (rec.ts > s->max_ts)
		s->max_ts = rec.ts;
	if (r->out_idle) {
		r->out_idle = false;
		op->out->status(op->out, false);
	}
	r->batch_records++;
	op->out->record(op->out, &rec);
}

static void out_emit_at(weir_out *out, const void *rec, uint32_t len, int64_t ts)
{
	struct reader *r = reader_of_out(out);

	if (!stopping(r))
		deliver(r, rec, len, ts);
}

static void out_emit(weir_out *out, const void *rec, uint32_t len)
{
	out_emit_at(out, rec, len, reader_of_out(out)->msg->timestamp_ms);
}

static void *out_reserve(weir_out *out, uint32_t len)
{
	struct reader *r = reader_of_out(out);

	if (stopping(r))
		return NULL;
	if (r->reserved) {
		fail(r, "the deserializer reserved twice without a commit");
		return NULL;
	}
	if (len > r->scratch_cap) {
		r->scratch_cap = len < 4096 ? 4096 : len;
		r->scratch = xreallocarray(r->scratch, r->scratch_cap, 1);
	}
	memset(r->scratch, 0, len);
	r->reserved = true;
	r->reserved_len = len;
	return r->scratch;
}

static void out_commit(weir_out *out, uint32_t len)
{
	struct reader *r = reader_of_out(out);

	if (!r->reserved || len > r->reserved_len) {
		fail(r, "the deserializer committed what it had not reserved");
		return;
	}
	r->reserved = false;
	if (len > 0)
		out_emit(out, r->scratch, len);
}

/* ------------------------------------------------------------- life cycle */

struct reader *reader_create(struct operator *op, const struct reader_host *host,
    const struct reader_options *options, struct fetcher *fetcher)
{
	struct reader *r = xcalloc(1, sizeof(*r));
	const weir_watermark_strategy *w = &op->node->watermark;

	r->out = (weir_out){ sizeof(weir_out), out_emit, out_reserve, out_commit, out_emit_at };
	r->op = op;
	r->host = *host;
	r->options = *options;
	r->fetcher = fetcher;
	r->deserializer = operator_fn(op, FN_DESERIALIZER);
	r->timestamp = operator_fn(op, FN_TIMESTAMP);
	r->has_strategy = w->struct_size != 0;
	r->bound_ms = w->out_of_orderness_ms;
	r->idle_timeout_ns = w->idle_timeout_ms * NS_PER_MS;
	r->watermark = WEIR_MIN_TIMESTAMP;
	r->restored_watermark = INT64_MAX;
	r->watermark_ns = INT64_MIN / 2;
	r->evidence_ns = INT64_MIN;
	r->idle_check_ns = IDLE_CHECK_MIN_NS;
	r->last_message_ns = clock_mono_ns(host->clock);
	return r;
}

void reader_destroy(struct reader *r)
{
	if (r == NULL)
		return;
	free(r->scratch);
	free(r->splits);
	free(r);
}

uint32_t reader_add_split(struct reader *r, const char *topic, int32_t partition, int64_t position,
    int64_t stop)
{
	struct split *s;

	VEC_RESERVE(r->splits, r->n_splits, r->cap_splits);
	s = &r->splits[r->n_splits];
	*s = (struct split){ .topic = topic,
		.partition = partition,
		.position = position,
		.stop = stop,
		.max_ts = WEIR_MIN_TIMESTAMP };
	/* Nothing in it, or nothing of it left to read. */
	s->finished = stop != READER_NO_END && (stop <= 0 || position >= stop);
	return r->n_splits++;
}

void reader_split_state(const struct reader *r, uint32_t split, struct reader_split_state *out)
{
	const struct split *s = &r->splits[split];

	*out = (struct reader_split_state){ s->position, s->stop, s->max_ts, r->watermark, s->finished };
}

void reader_restore_split(struct reader *r, uint32_t split, const struct reader_split_state *state)
{
	struct split *s = &r->splits[split];

	s->max_ts = state->max_ts;
	s->finished = s->finished || state->ended;
	if (state->watermark < r->restored_watermark)
		r->restored_watermark = state->watermark;
}

void reader_discovered(struct reader *r, bool bounded)
{
	r->discovered = true;
	r->bounded = bounded;
	if (r->has_strategy && r->restored_watermark != INT64_MAX && r->restored_watermark > r->watermark) {
		r->watermark = r->op->watermark = r->restored_watermark;
		r->op->out->watermark(r->op->out, r->watermark);
	}
	r->restored_watermark = INT64_MAX;
}

int64_t reader_position(const struct reader *r, uint32_t split)
{
	return r->splits[split].position;
}

uint32_t reader_n_splits(const struct reader *r)
{
	return r->n_splits;
}

int64_t reader_last_message_ns(const struct reader *r)
{
	return r->last_message_ns;
}

/* --------------------------------------------------- watermarks, idleness */

/* Let the idle clock follow the fetcher's evidence. */
static void advance_idle_clock(struct reader *r)
{
	int64_t seen_ns = r->fetcher->evidence_ns(r->fetcher), excluded_ns = r->host.excluded_ns(r->host.arg),
		step_ns;

	if (seen_ns <= r->evidence_ns) {
		r->idle_check_ns =
		    r->idle_check_ns * 2 > IDLE_CHECK_MAX_NS ? IDLE_CHECK_MAX_NS : r->idle_check_ns * 2;
		return;
	}
	r->idle_check_ns = IDLE_CHECK_MIN_NS;
	step_ns = r->evidence_ns == INT64_MIN ? 0 : seen_ns - r->evidence_ns;
	if (step_ns > r->options.max_gap_ns)
		step_ns = 0;
	step_ns -= excluded_ns - r->excluded_ns;
	if (step_ns > 0)
		r->idle_clock_ns += step_ns;
	r->evidence_ns = seen_ns;
	r->excluded_ns = excluded_ns;
}

/* Mark what has become idle; returns the idle clock's time until the next one does, INT64_MAX: none will. */
static int64_t find_idle(struct reader *r)
{
	int64_t next_ns = INT64_MAX;
	uint32_t i;

	if (!r->has_strategy || r->idle_timeout_ns == 0)
		return next_ns;
	for (i = 0; i < r->n_splits; i++) {
		struct split *s = &r->splits[i];
		int64_t left_ns = s->quiet_ns + r->idle_timeout_ns - r->idle_clock_ns;

		if (!s->at_end || s->idle || s->finished)
			continue;
		if (left_ns <= 0)
			s->idle = true;
		else if (left_ns < next_ns)
			next_ns = left_ns;
	}
	return next_ns;
}

/* The lowest watermark of the active splits, the highest of all; the number of the active ones. */
static uint32_t find_watermark(const struct reader *r, int64_t *low, int64_t *high)
{
	uint32_t i, n_active = 0;

	*low = WEIR_MAX_TIMESTAMP;
	*high = WEIR_MIN_TIMESTAMP;
	for (i = 0; i < r->n_splits; i++) {
		const struct split *s = &r->splits[i];
		int64_t mark;

		if (s->finished)
			continue;
		/* A timestamp near the lowest there is must not wrap around. */
		mark = s->max_ts < WEIR_MIN_TIMESTAMP + r->bound_ms + 1 ? WEIR_MIN_TIMESTAMP :
									  s->max_ts - r->bound_ms - 1;
		if (mark > *high)
			*high = mark;
		if (s->idle)
			continue;
		n_active++;
		if (mark < *low)
			*low = mark;
	}
	return n_active;
}

/* Emit the watermark, and whether there are active splits. Returns when one is to be emitted that came too
 * soon after the last, INT64_MAX: none. */
static int64_t emit_watermark(struct reader *r, int64_t now_ns)
{
	bool too_soon = now_ns - r->watermark_ns < WATERMARK_EVERY_NS, silent;
	int64_t low, high;

	silent = find_watermark(r, &low, &high) == 0;
	if (silent) {
		/* Nobody is left who could be earlier than the latest; and those that became idle at one
		 * look were never active alone: what they held back goes on before the source is idle. */
		if (!r->discovered || r->out_idle || r->bounded)
			return INT64_MAX;
		low = high;
	}
	if (r->has_strategy && low > r->watermark) {
		if (too_soon)
			return r->watermark_ns + WATERMARK_EVERY_NS;
		r->watermark = low;
		r->watermark_ns = now_ns;
		r->op->watermark = low;
		r->op->out->watermark(r->op->out, low);
	}
	if (silent) {
		r->out_idle = true;
		r->op->out->status(r->op->out, true);
	}
	return INT64_MAX;
}

/* ------------------------------------------------------------------- poll */

static void malformed(struct reader *r, const weir_message *m)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *p = m->value;
	const char *why = r->host.user_error(r->host.arg); /* taken, so that it does not fail the task */
	char first[4 * FIRST_BYTES + 1], sentence[ERR_MSG_MAX];
	uint32_t i, n = 0;

	if (r->options.skip_malformed) {
		metrics_add(r->host.metrics, METRIC_in_errors, 1);
		return;
	}
	for (i = 0; i < m->value_len && i < FIRST_BYTES; i++) {
		if (p[i] >= 0x20 && p[i] < 0x7f) {
			first[n++] = (char)p[i];
		} else {
			first[n++] = '\\';
			first[n++] = 'x';
			first[n++] = hex[p[i] >> 4];
			first[n++] = hex[p[i] & 15];
		}
	}
	first[n] = '\0';
	snprintf(sentence, sizeof(sentence),
	    "topic %s, partition %" PRId32 ", offset %" PRId64 ": malformed message: %s; %s: '%s'", m->topic,
	    m->partition, m->offset, why[0] != '\0' ? why : "the deserializer refused it",
	    m->value_len > FIRST_BYTES ? "its first bytes" : "its bytes", first);
	fail(r, sentence);
}

static void take_message(struct reader *r, struct split *s, const weir_message *m)
{
	int rc;

	s->at_end = s->idle = false;
	if (m->offset >= s->stop) {
		s->finished = true;
		return;
	}
	r->current = s;
	r->msg = m;
	r->reserved = false;
	r->op->fn = FN_DESERIALIZER;
	r->op->current_ts = m->timestamp_ms;
	rc = r->deserializer->deserialize(&r->op->ctx.pub, m, &r->out);
	if (stopping(r))
		return;
	if (rc < 0)
		malformed(r, m);
	else if (r->reserved)
		fail(r, "the deserializer reserved without a commit");
	s->position = m->offset + 1;
	r->batch_bytes += m->value_len + m->key_len;
}

static void take(struct reader *r, const struct raw_message *raw)
{
	struct split *s = &r->splits[raw->split];

	if (s->finished)
		return;
	if (raw->kind == RAW_MESSAGE) {
		take_message(r, s, &raw->msg);
		return;
	}
	/* At its end by offsets too: control records of transactions move the end, but are no messages. */
	if (raw->msg.offset >= s->stop)
		s->finished = true;
	if (s->position < 0)
		s->position = raw->msg.offset; /* it was to begin at its end */
	if (!s->at_end)
		s->quiet_ns = r->idle_clock_ns;
	s->at_end = true;
}

static bool all_finished(const struct reader *r)
{
	uint32_t i;

	for (i = 0; i < r->n_splits; i++)
		if (!r->splits[i].finished)
			return false;
	return r->discovered && r->bounded;
}

static void count_batch(struct reader *r, int64_t now_ns)
{
	struct metrics_task *m = r->host.metrics;
	int64_t wall_ms = clock_wall_ms(r->host.clock), lag_ms;

	if (r->batch_records > 0) {
		metrics_add(m, METRIC_records_in, r->batch_records);
		metrics_add(m, METRIC_bytes_in, r->batch_bytes);
		if (__builtin_sub_overflow(wall_ms, r->emitted_ts, &lag_ms))
			lag_ms = INT64_MAX;
		metrics_set(m, METRIC_emit_event_time_lag, lag_ms);
		metrics_set(m, METRIC_last_record_wall_ms, wall_ms);
		r->last_message_ns = now_ns;
	}
	metrics_set(m, METRIC_source_idle_ms, (now_ns - r->last_message_ns) / NS_PER_MS);
	r->batch_records = r->batch_bytes = 0;
}

enum source_status reader_poll(struct reader *r, int64_t *deadline_ns)
{
	struct err e = { 0 };
	int64_t now_ns, next_ns, mark_ns, at_ns;
	int n, i;

	if (r->next_in_batch == r->n_batch) {
		n = r->n_splits == 0 ? 0 : r->fetcher->fetch(r->fetcher, r->batch, READER_BATCH, &e);
		if (n < 0) {
			fail(r, e.msg);
			return SOURCE_WAIT;
		}
		r->n_batch = n;
		r->next_in_batch = 0;
		/* Before the messages: what is counted as quiet ended with them. */
		advance_idle_clock(r);
	}
	n = r->n_batch;
	for (i = r->next_in_batch; i < n && !stopping(r);) {
		take(r, &r->batch[i]);
		r->next_in_batch = ++i;
		task_point(r->op->task);
		if (task_interrupted(r->op->task))
			break;
	}
	now_ns = clock_mono_ns(r->host.clock);
	count_batch(r, now_ns);
	if (stopping(r))
		return SOURCE_WAIT;
	if (i < n)
		return SOURCE_MORE;
	next_ns = find_idle(r);
	if (all_finished(r))
		return SOURCE_END; /* the runtime's last watermark follows */
	mark_ns = emit_watermark(r, now_ns);
	if (n > 0)
		return SOURCE_MORE;
	if (mark_ns < *deadline_ns)
		*deadline_ns = mark_ns;
	if (next_ns != INT64_MAX) {
		/* Evidence is only seen by looking: two looks further apart than the gap that is allowed would
		 * make a silence of answers out of nothing. */
		at_ns = r->evidence_ns > INT64_MIN ? r->evidence_ns + next_ns : now_ns;
		if (at_ns > now_ns + r->options.max_gap_ns / 2)
			at_ns = now_ns + r->options.max_gap_ns / 2;
		if (at_ns < now_ns + r->idle_check_ns)
			at_ns = now_ns + r->idle_check_ns;
		if (at_ns < *deadline_ns)
			*deadline_ns = at_ns;
	}
	return SOURCE_WAIT;
}
