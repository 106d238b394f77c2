/*
 * weir-drill's own judgement: what its oracle takes for right, and what it reads from the supervisor's log.
 */
#include "jobs/tools/click.c"
#include "jobs/tools/drill_log.c"
#include "jobs/tools/drill_oracle.c"

#include "base/file.h"
#include "t/tap.h"

static void result(struct drill_oracle *o, const char *start, const char *page, int count)
{
	char *json = xasprintf("{\"windowStart\":\"%s\",\"windowEnd\":\"-\",\"page\":\"%s\",\"count\":%d}",
	    start, page, count);

	oracle_add(o, json);
	free(json);
}

/* Two windows of all pages, as they must be. */
static void right_results(struct drill_oracle *o)
{
	unsigned i;

	for (i = 0; i < CLICK_N_PAGES; i++) {
		result(o, "01-01-1970 00:00:00:000", click_pages[i], 1000);
		result(o, "01-01-1970 00:00:15:000", click_pages[i], 1000);
	}
}

static void test_oracle(void)
{
	struct drill_oracle o = { 0 };
	struct drill_verdict v;

	right_results(&o);
	oracle_judge(&o, 2, &v);
	ok(v.n_expected == 12 && v.n_lost == 0 && v.n_wrong == 0 && v.n_repeated == 0, "all is right");
	is_int(o.n_complete, 12, "and complete");

	result(&o, "01-01-1970 00:00:15:000", "/shop", 1000);
	result(&o, "01-01-1970 00:00:30:000", "/shop", 60);
	oracle_judge(&o, 2, &v);
	ok(v.n_repeated == 1 && v.n_wrong == 0,
	    "the same again is right, and so is what the open window has");

	result(&o, "01-01-1970 00:00:15:000", "/shop", 999);
	result(&o, "01-01-1970 00:00:15:000", "/shop", 1000);
	oracle_judge(&o, 2, &v);
	is_int(v.n_wrong, 1, "another count is wrong, even if the last one is right");

	oracle_judge(&o, 4, &v);
	is_int(v.n_lost, 6 + 5, "what is not there is lost");
	is_int(v.n_wrong, 2, "and a window that is not full is wrong");

	result(&o, "02-01-1970 00:00:00:000", "/shop", 1000);
	oracle_judge(&o, 2, &v);
	is_int(v.n_wrong, 2, "a window behind the input is wrong");

	is_int(o.n_strange, 0, "all of these were results");
	oracle_add(&o, "");
	oracle_add(&o, "{\"windowStart\":\"01-01-1970 00:00:00:000\",\"page\":\"/shop\"}");
	result(&o, "01-01-1970 00:00:07:000", "/shop", 1000);
	result(&o, "01-01-1970 00:00:00:000", "/other", 1000);
	result(&o, "31-12-1969 00:00:00:000", "/shop", 1000);
	result(&o, "yesterday", "/shop", 1000);
	is_int(o.n_strange, 6, "and these are none");
	oracle_fini(&o);

	memset(&o, 0, sizeof(o));
	oracle_judge(&o, 1, &v);
	is_int(v.n_lost, 6, "without any output all is lost");
	oracle_fini(&o);
}

/* ---- the log */

#define AT(ms) (INT64_C(1767225600000) + (ms)) /* 2026-01-01 00:00:00 */

static char path[] = "/tmp/weir-drill-log-XXXXXX";

static void line(int ms, const char *rest)
{
	FILE *f = fopen(path, "a");

	ASSERT(f != NULL);
	fprintf(f, "2026-01-01T00:00:%02d.%03dZ level=info proc=jobmanager pid=1 %s", ms / 1000, ms % 1000,
	    rest);
	fclose(f);
}

static void test_log(void)
{
	struct drill_log l = { .path = path };
	int fd = mkstemp(path);

	ASSERT(fd >= 0);
	close(fd);
	line(0, "event=supervisor.start msg=\"x\"\n");
	line(10, "job=0123456789abcdef0123456789abcdef event=job.submitted name=x\n");
	log_follow(&l);
	is_str(l.job, "0123456789abcdef0123456789abcdef", "the job's id");
	is_int(l.phase, DRILL_DEPLOY, "a submitted job is deployed");
	line(20, "event=job.runn");
	log_follow(&l);
	ok(!l.running, "half a line is not read");
	line(0, "\n");
	log_follow(&l);
	line(20, "event=job.running attempt=1\n");
	log_follow(&l);
	ok(l.running && l.phase == DRILL_FIRST, "it runs, before the first checkpoint");

	log_killed(&l, DRILL_WORKER, 77, AT(30));
	line(31, "event=child.died child_pid=77 signal=9\n");
	line(31, "event=job.running attempt=1\n");
	log_follow(&l);
	is_int(l.recovery[DRILL_WORKER].n, 0, "that it ran before is no recovery");
	line(32, "event=job.failure attempt=1\n");
	line(32, "event=job.restarting attempt=1\n");
	log_follow(&l);
	is_int(l.phase, DRILL_DEPLOY, "without a checkpoint it is deployed");
	line(55, "event=job.running attempt=2\n");
	log_follow(&l);
	ok(l.recovery[DRILL_WORKER].n == 1 && l.recovery[DRILL_WORKER].ms[0] == 25,
	    "it has recovered in 25 ms");

	line(100,
	    "event=checkpoint.completed checkpoint=1 kind=CHECKPOINT bytes=1 msg=\"(checkpointDuration=4 ms)\"\n");
	log_follow(&l);
	is_int(l.phase, DRILL_BETWEEN, "with a checkpoint it is between two");
	is_int(l.trigger_ms, AT(96), "whose trigger is known");
	log_killed(&l, DRILL_WORKER, 78, AT(150));
	line(151, "event=job.failure attempt=2\n");
	line(152, "event=job.restored attempt=3 checkpoint=1\n");
	log_follow(&l);
	is_int(l.phase, DRILL_RESTORE, "deployed from it");
	log_killed(&l, DRILL_ALL, 0, AT(153));
	line(160, "event=supervisor.start\n");
	line(161, "job=0123456789abcdef0123456789abcdef event=job.resumed checkpoint=1\n");
	line(170, "event=job.running attempt=1\n");
	line(300, "event=checkpoint.completed checkpoint=3 kind=CHECKPOINT bytes=1\n");
	log_follow(&l);
	is_int(l.recovery[DRILL_WORKER].n, 1, "a recovery that was cut short is not counted");
	ok(l.recovery[DRILL_ALL].n == 1 && l.recovery[DRILL_ALL].ms[0] == 17, "the next one is");
	is_int(l.kills[DRILL_WORKER][DRILL_FIRST], 1, "a kill before the first checkpoint");
	is_int(l.kills[DRILL_WORKER][DRILL_CHECKPOINT], 1,
	    "one with a checkpoint on its way: its id is missing");
	is_int(l.kills[DRILL_WORKER][DRILL_BETWEEN], 0, "and not between two");
	is_int(l.kills[DRILL_ALL][DRILL_RESTORE], 1, "and one during a restore");

	log_killed(&l, DRILL_WORKER, 79, AT(310));
	line(311, "event=job.failure attempt=1\n");
	line(330, "event=job.running attempt=2\n");
	line(340, "event=job.failure attempt=2\n");
	line(350, "event=job.running attempt=3\n");
	line(500, "event=checkpoint.completed checkpoint=5 kind=CHECKPOINT bytes=1\n");
	log_follow(&l);
	is_int(l.kills[DRILL_WORKER][DRILL_BETWEEN], 1,
	    "a missing id that may be another failure's tells nothing");
	unlink(path);
	free(l.recovery[DRILL_WORKER].ms);
	free(l.recovery[DRILL_ALL].ms);
}

int main(void)
{
	test_oracle();
	test_log();
	return tap_done();
}
