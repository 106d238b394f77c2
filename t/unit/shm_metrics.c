/*
 * The metrics region: rows and their names, one view writing and another reading, blocks
 * without memory until they are used, last words that survive and can be trusted.
 */
#include "shm/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "t/tap.h"

static void test_rows(void)
{
	is_str(metric_id(METRIC_records_in), "numRecordsIn", "first row");
	is_str(metric_id(METRIC_last_record_wall_ms), "lastRecordTime", "last row");
	is_int(metric_kind(METRIC_records_in), METRIC_COUNTER, "a counter");
	is_int(metric_kind(METRIC_input_watermark), METRIC_GAUGE, "a gauge");
	for (unsigned i = 0; i < METRIC_N; i++)
		for (unsigned k = 0; k < i; k++)
			if (strcmp(metric_id((enum metric)i), metric_id((enum metric)k)) == 0)
				ok(false, "%s is there twice", metric_id((enum metric)i));
	ok(METRIC_USER_FIRST + METRIC_USER_MAX == METRICS_PER_BLOCK && METRIC_USER_MAX >= 64,
	    "room for user metrics");
}

static int64_t blocks(int fd)
{
	struct stat st;

	ASSERT(fstat(fd, &st) == 0);
	return st.st_blocks * 512;
}

static void test_two_views(void)
{
	struct err e;
	int fd = metrics_create(&e);
	struct metrics_region *w, *r;
	struct metrics_task *t, *seen;

	ASSERT(fd >= 0);
	is_int(blocks(fd), 4096, "a new region has memory for the process block only");
	w = metrics_attach(fd, 1, &e);
	r = metrics_attach(fd, 0, &e);
	ASSERT(w != NULL && r != NULL);
	is_int(metrics_process(r)->pid, getpid(), "who writes has left its pid");
	t = metrics_task(w, 5);
	seen = metrics_task(r, 5);
	ASSERT(t != NULL && seen != NULL);
	is_int(blocks(fd), 2 * 4096, "a block's page has memory, others have none");
	metrics_add(t, METRIC_records_in, 3);
	metrics_add(t, METRIC_records_in, 4);
	metrics_set(t, METRIC_input_watermark, INT64_MIN);
	metrics_set(t, METRICS_PER_BLOCK - 1, 9);
	is_int(metrics_get(seen, METRIC_records_in), 7, "added up and seen by the other view");
	is_int(metrics_get(seen, METRIC_input_watermark), INT64_MIN, "a gauge too");
	is_int(metrics_get(seen, METRICS_PER_BLOCK - 1), 9, "and the last user metric");
	is_int(metrics_get(metrics_task(r, 4), METRICS_PER_BLOCK - 1), 0, "the block before is another");
	is_int(metrics_get(metrics_task(r, 6), 0), 0, "and the block behind");
	metrics_task_clear(t);
	is_int(metrics_get(seen, METRIC_records_in) + metrics_get(seen, METRICS_PER_BLOCK - 1), 0, "cleared");
	ok(metrics_task(w, METRICS_TASK_BLOCKS - 1) != NULL, "the last block is there");
	ok(metrics_task(w, METRICS_TASK_BLOCKS) == NULL, "the one behind is not");
	ok(metrics_task(w, UINT32_MAX) == NULL, "nor the largest number");
	atomic_store(&metrics_process(w)->heap_bytes, 42);
	metrics_detach(w);
	is_int(metrics_process(r)->heap_bytes, 42, "it outlives its writer");
	metrics_detach(r);
	metrics_detach(NULL);
	close(fd);
}

static void test_refused(void)
{
	struct err e;
	const uint64_t magic = 5;
	int fd = memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct stat st;
	int real = metrics_create(&e);

	ASSERT(fd >= 0 && real >= 0);
	ok(ftruncate(real, 0) == -1 && errno == EPERM, "a region cannot be truncated");
	ok(metrics_attach(-1, 1, &e) == NULL, "no descriptor: refused");
	ok(metrics_attach(fd, 1, &e) == NULL, "an empty one: refused");
	like(e.msg, "metrics region: it has 0 bytes", "and said");
	ASSERT(fstat(real, &st) == 0 && ftruncate(fd, st.st_size) == 0);
	ok(metrics_attach(fd, 1, &e) == NULL, "one that is not sealed: refused");
	ASSERT(pwrite(fd, &magic, sizeof(magic), 0) == (ssize_t)sizeof(magic));
	ASSERT(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	ok(metrics_attach(fd, 1, &e) == NULL, "a wrong magic number: refused");
	like(e.msg, "it has magic 5 and version 0", "and said");
	close(fd);
	close(real);
}

static void test_last_words(void)
{
	char longer[METRICS_LAST_WORDS + 100], buf[METRICS_LAST_WORDS + 1], small[5], none[1] = "x";
	struct err e;
	int fd = metrics_create(&e), status = 0;
	struct metrics_region *m = metrics_attach(fd, 0, &e), *w;
	pid_t pid;

	ASSERT(m != NULL);
	metrics_read_last_words(m, buf, sizeof(buf));
	is_str(buf, "", "no words at first");
	fflush(stdout);
	pid = fork();
	ASSERT(pid >= 0);
	if (pid == 0) {
		w = metrics_attach(fd, 1, &e);
		metrics_last_words(w, "first");
		metrics_last_words(w, "job 1: SIGSEGV\nat \x1b[31m\x7f h\xc3\xa4");
		raise(SIGKILL);
	}
	waitpid(pid, &status, 0);
	metrics_read_last_words(m, buf, sizeof(buf));
	is_str(buf, "job 1: SIGSEGV?at ?[31m? h\xc3\xa4",
	    "the last ones survive, without control characters");
	is_int(metrics_process(m)->pid, pid, "with the pid of who spoke");
	metrics_read_last_words(m, small, sizeof(small));
	is_str(small, "job ", "cut to the buffer");
	metrics_read_last_words(m, none, 1);
	is_str(none, "", "of one byte");
	metrics_read_last_words(m, none, 0);

	w = metrics_attach(fd, 1, &e);
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	metrics_last_words(w, longer);
	metrics_read_last_words(m, buf, sizeof(buf));
	is_int(strlen(buf), METRICS_LAST_WORDS, "a long sentence is cut");
	metrics_last_words(w, "short");
	metrics_read_last_words(m, buf, sizeof(buf));
	is_str(buf, "short", "nothing of the longer one is left");
	atomic_store(&metrics_process(w)->last_words_len, UINT32_MAX);
	metrics_read_last_words(m, buf, sizeof(buf));
	is_int(strlen(buf), strlen("short") + METRICS_LAST_WORDS - 5, "a wild length is cut");
	metrics_detach(w);
	metrics_detach(m);
	close(fd);
}

static void *add(void *arg)
{
	for (int i = 0; i < 100000; i++)
		metrics_add(arg, METRIC_records_out, 1);
	return NULL;
}

/* One writer and one reader: never backwards, nothing lost. For TSan too. */
static void test_while_written(void)
{
	struct err e;
	int fd = metrics_create(&e);
	struct metrics_region *m = metrics_attach(fd, 1, &e);
	struct metrics_task *t = metrics_task(m, 0);
	int64_t last = 0, back = 0;
	pthread_t thread;

	ASSERT(t != NULL && pthread_create(&thread, NULL, add, t) == 0);
	while (last < 100000) {
		int64_t now = metrics_get(t, METRIC_records_out);

		back += now < last;
		last = now;
	}
	pthread_join(thread, NULL);
	is_int(back, 0, "a counter read while it is written never goes back");
	is_int(metrics_get(t, METRIC_records_out), 100000, "and nothing is lost");
	metrics_detach(m);
	close(fd);
}

int main(void)
{
	test_rows();
	test_two_views();
	test_refused();
	test_last_words();
	test_while_written();
	return tap_done();
}
