/* What is remembered of checkpoints: history, the newest of each kind, figures of all. */
#include "supervisor/checkpoint_stats.h"

#include "base/mem.h"
#include "t/tap.h"

static uint64_t last_id;

static struct cc_checkpoint *begin(struct checkpoint_stats *s, enum checkpoint_kind kind)
{
	return stats_begin(s, ++last_id, kind, 2, 1000);
}

/* One with so many bytes of state, which took so long. */
static void complete(struct checkpoint_stats *s, enum checkpoint_kind kind, size_t len, int64_t ms)
{
	struct cc_checkpoint *c = begin(s, kind);
	struct ctl_ack ack = { .state_len = len, .processed_bytes = 7 };

	stats_ack(c, 0, &ack, 1001);
	stats_ack(c, 1, NULL, 1002);
	stats_completed(s, c, "file:/chk", 1000 + ms);
}

static void test_history(void)
{
	const struct cc_checkpoint *const *newest;
	struct checkpoint_stats s;
	struct cc_checkpoint *waiting;

	last_id = 0;
	stats_init(&s, 3);
	is_int(stats_history(&s, &newest), 0, "nothing yet");
	complete(&s, CHECKPOINT_SAVEPOINT, 10, 5);
	waiting = begin(&s, CHECKPOINT_PERIODIC);
	stats_failed(&s, begin(&s, CHECKPOINT_SAVEPOINT), "no space", 1001);
	for (int i = 0; i < 10; i++)
		complete(&s, CHECKPOINT_PERIODIC, 20, 5);
	is_int(stats_history(&s, &newest), 3, "the history is bounded");
	is_int((int64_t)newest[0]->id, 13, "the newest first");
	is_int((int64_t)newest[2]->id, 11, "and no gap");
	is_int((int64_t)stats_latest(&s, CC_COMPLETED, true)->id, 1, "the latest savepoint stays");
	is_int((int64_t)stats_latest(&s, CC_FAILED, false)->id, 3, "and what failed last");
	ok(stats_find(&s, 2) == waiting, "and what is in progress");
	ok(stats_find(&s, 5) == NULL, "all else is forgotten");
	stats_completed(&s, waiting, "file:/late", 2000);
	ok(stats_find(&s, 2) == NULL, "it too, once it is over");
	is_int((int64_t)s.counts.total, 13, "all are counted");
	is_int((int64_t)s.counts.completed, 12, "by how they ended");
	is_int((int64_t)s.counts.failed, 1, "the failed one");
	is_int((int64_t)s.counts.in_progress, 0, "none is left");
	stats_fini(&s);
}

static void test_summary(void)
{
	struct checkpoint_stats s;
	int64_t least = INT64_MAX;

	stats_init(&s, 3);
	is_int((int64_t)s.summary.n, 0, "no figures yet");
	complete(&s, CHECKPOINT_PERIODIC, 1, 900);
	stats_failed(&s, begin(&s, CHECKPOINT_PERIODIC), "late", 5000);
	for (int i = 0; i < CC_SAMPLES; i++)
		complete(&s, CHECKPOINT_PERIODIC, 100, 5);
	is_int((int64_t)s.summary.n, CC_SAMPLES + 1, "what failed has none");
	is_int(s.summary.n_samples, CC_SAMPLES, "so many are kept");
	is_int(s.summary.min[CC_STATE_BYTES], 1, "the smallest of all");
	is_int(s.summary.max[CC_END_TO_END_MS], 900, "the longest of all");
	is_int(s.summary.sum[CC_STATE_BYTES], 100 * CC_SAMPLES + 1, "their sum");
	is_int(s.summary.sum[CC_PROCESSED_BYTES], 7 * (CC_SAMPLES + 1), "and what came meanwhile");
	for (uint32_t i = 0; i < s.summary.n_samples; i++)
		least = s.summary.samples[i][CC_STATE_BYTES] < least ? s.summary.samples[i][CC_STATE_BYTES] :
								       least;
	is_int(least, 100, "the oldest sample made way");
	stats_fini(&s);
}

int main(void)
{
	test_history();
	test_summary();
	return tap_done();
}
