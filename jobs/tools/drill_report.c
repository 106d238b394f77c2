/* weir-drill's verdict. */
#include <inttypes.h>

#include "base/mem.h"
#include "jobs/tools/drill.h"

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int64_t percentile(const struct drill_samples *s, unsigned percent)
{
	unsigned i = (s->n * percent + 99) / 100;

	return s->ms[i == 0 ? 0 : i - 1];
}

static void report_kills(const struct drill_log *l)
{
	unsigned k, p, sum;

	printf("\nkills by phase%*s", 16, "");
	for (k = 0; k < DRILL_N_KINDS; k++)
		printf("%12s", drill_kind_name((enum drill_kind)k));
	printf("%12s\n", "all");
	for (p = 0; p < DRILL_N_PHASES; p++) {
		printf("  %-28s", drill_phase_name((enum drill_phase)p));
		for (k = sum = 0; k < DRILL_N_KINDS; k++) {
			printf("%12u", l->kills[k][p]);
			sum += l->kills[k][p];
		}
		printf("%12u\n", sum);
	}
}

static void report_recovery(const struct drill_log *l)
{
	unsigned k;

	printf("\nkill to all tasks RUNNING, ms %11s%12s%12s%12s%12s\n", "n", "p50", "p90", "p99", "max");
	for (k = 0; k < DRILL_N_KINDS; k++) {
		const struct drill_samples *s = &l->recovery[k];

		if (s->n == 0)
			continue;
		qsort(s->ms, s->n, sizeof(*s->ms), by_value);
		printf("  %-28s%10u%12" PRId64 "%12" PRId64 "%12" PRId64 "%12" PRId64 "\n",
		    drill_kind_name((enum drill_kind)k), s->n, percentile(s, 50), percentile(s, 90),
		    percentile(s, 99), s->ms[s->n - 1]);
	}
}

static void report_left(const struct drill *d)
{
	printf(
	    "\nleft behind: %u processes, %u files; descriptors of the supervisor %u of %u, memfds %u of %u\n",
	    d->left_processes, d->left_files, d->fds_after, d->fds_before, d->memfds_after, d->memfds_before);
	if (d->c.n_orphans > 0)
		printf("workers outlived a killed supervisor by at most %" PRId64
		       " ms (%u were waited for)\n",
		    d->c.orphan_ms_max, d->c.n_orphans);
}

/* Say each reason to fail: how many there are. */
static unsigned blame(const struct drill *d)
{
	const struct {
		bool bad;
		const char *sentence;
	} reasons[] = {
		{ d->v.n_expected == 0, "no window was complete" },
		{ d->v.n_lost + d->v.n_wrong > 0, "results are lost or wrong" },
		{ d->oracle.n_strange > 0, "the topic of the results has other messages" },
		{ drill_interrupted != 0, "the drill was interrupted" },
		{ !d->finished, "the job did not end by the last stop" },
		{ d->c.n_died > 0, "the supervisor ended by itself" },
		{ d->stop_status != 0, "the supervisor did not stop well" },
		{ d->l.n_damaged > 0, "a checkpoint was damaged" },
		{ d->left_processes + d->left_files > 0, "something was left behind" },
		{ d->fds_after > d->fds_before || d->memfds_after > d->memfds_before,
		    "the supervisor has more descriptors than before" },
	};
	unsigned i, n = 0;

	for (i = 0; i < ARRAY_LEN(reasons); i++) {
		if (reasons[i].bad) {
			printf("  %s\n", reasons[i].sentence);
			n++;
		}
	}
	return n;
}

bool drill_report(const struct drill *d)
{
	const struct drill_verdict *v = &d->v;
	double s = (double)(d->end_ns - d->t0_ns) / (double)NS_PER_S;
	bool bad;

	printf("\n%u kills in %.1f s, %u of them within 50 ms of the one before; %u stops, %u reloads, "
	       "%u of %u savepoints taken, %u checkpoints, %u restores\n",
	    d->n_kills, s, d->n_close, d->n_stops, d->n_reloads, d->n_savepoints_done, d->n_savepoints,
	    d->l.n_completed, d->l.n_restored);
	report_kills(&d->l);
	report_recovery(&d->l);
	report_left(d);
	printf("\n%" PRId64 " windows of pages: %" PRId64 " lost, %" PRId64 " wrong, %" PRId64
	       " written more than once\n",
	    v->n_expected, v->n_lost, v->n_wrong, v->n_repeated);
	bad = blame(d) > 0;
	printf("verdict: %s\nagain: weir drill --seed %" PRIu64 " --kills %" PRId64 " --rate %" PRId64
	       "%s%s%s\n",
	    bad ? "FAILED" : "nothing lost, nothing wrong, nothing left", d->o.seed, d->o.n_kills, d->o.rate,
	    d->o.kafka == NULL ? "" : " --kafka ", d->o.kafka == NULL ? "" : d->o.kafka,
	    d->o.checkpointing ? "" : " --no-checkpointing");
	return !bad;
}
