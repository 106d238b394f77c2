/*
 * The storage process: what it stores is there whole, what it cannot do is said, and its own death
 * fails requests by id and nothing else.
 */
#include <bsd/unistd.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "supervisor/child.h"
#include "supervisor/loop.h"
#include "supervisor/storage.h"
#include "supervisor/storage_msg.h"
#include "t/proc.h"
#include "t/tap.h"
#include "worker/adopt.h"

extern char **environ;

static struct loop *loop;
static struct children *children;
static struct storage *st;
static char dir[] = "/tmp/weir-storage-XXXXXX";
static unsigned n_stopped, n_died;

/* The last answer, copied. */
static struct {
	unsigned n;
	struct err err;
	char path[256], sha256[65], data[64], names[512];
	int64_t size_bytes;
	uint32_t n_entries;
	bool has_fd;
	uintptr_t order[4096];
} got;

static void done(void *arg, const struct storage_answer *a)
{
	got.err = a->err;
	snprintf(got.path, sizeof(got.path), "%s", a->path != NULL ? a->path : "");
	snprintf(got.sha256, sizeof(got.sha256), "%s", a->sha256 != NULL ? a->sha256 : "");
	snprintf(got.data, sizeof(got.data), "%s", a->data != NULL ? (const char *)a->data : "");
	got.size_bytes = a->size_bytes;
	got.n_entries = a->n_entries;
	got.has_fd = a->has_fd;
	if (a->has_fd) {
		char *text;
		size_t len;

		ASSERT(file_read_fd(a->fd, sizeof(got.data) - 1, &text, &len, NULL) == 0);
		snprintf(got.data, sizeof(got.data), "%s", text);
		free(text);
	}
	got.names[0] = '\0';
	for (uint32_t i = 0; i < a->n_entries; i++)
		snprintf(got.names + strlen(got.names), sizeof(got.names) - strlen(got.names), "%s ",
		    a->entries[i].name);
	got.order[got.n++ % 4096] = (uintptr_t)arg;
}

static bool answered(void *arg)
{
	return got.n >= *(unsigned *)arg;
}

/* Wait for the answer to what was just asked; true when it is good. */
static bool wait_answer(void)
{
	static unsigned want;

	want = got.n + 1;
	memset(&got.err, 0, sizeof(got.err));
	if (!proc_loop_until(loop_base(loop), answered, &want, 20000))
		err_set(&got.err, ERR_TIMEOUT, "no answer");
	return got.err.code == ERR_NONE;
}

static void run_storage(const struct child_birth *b)
{
	int control_fd = b->control_fd;
	int *const keep[] = { &control_fd };
	struct adoption a = { .title = "storage",
		.comm = "storage",
		.parent_pid = b->parent_pid,
		.output_fd = b->stderr_fd,
		.keep = keep,
		.n_keep = 1 };

	adopt(&a);
	storage_main(control_fd);
}

static void on_child(void *arg)
{
	(void)arg;
	child_reap(children);
}

static void on_reaped(void *arg)
{
	(void)arg;
	n_died++;
}

static void on_stopped(void *arg)
{
	(void)arg;
	n_stopped++;
}

static bool is_stopped(void *arg)
{
	(void)arg;
	return n_stopped > 0;
}

static void find_pid(void *arg, const struct child *c)
{
	*(pid_t *)arg = child_pid(c);
}

static pid_t storage_pid(void)
{
	pid_t pid = 0;

	children_each(children, find_pid, &pid);
	return pid;
}

static void start(void)
{
	struct storage_config cfg = { .children = children, .base = loop_base(loop), .dir = dir };

	n_stopped = 0;
	st = storage_create(&cfg);
}

static void stop(void)
{
	storage_shutdown(st, on_stopped, NULL);
	ok(proc_loop_until(loop_base(loop), is_stopped, NULL, 10000), "it stops when asked");
	storage_destroy(st);
}

static bool same_content(const char *path, const char *want)
{
	char *text = NULL;
	size_t len = 0;
	bool same = file_read(path, 1 << 20, &text, &len, NULL) == 0 && strcmp(text, want) == 0;

	free(text);
	return same;
}

/* Names in a directory, hidden ones included. */
static unsigned count_files(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;

	if (d == NULL)
		return 0;
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n - 2;
}

static void test_put(void)
{
	static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
	char *uploads = xasprintf("%s/a/b", dir), *path = xasprintf("%s/a/b/x_ClickCountJob.so", dir),
	     *artifact;
	int fd = file_memfd("upload", "abc", 3, NULL);
	struct stat before, after;

	storage_put_file(st, fd, uploads, "x_ClickCountJob.so", done, NULL);
	close(fd);
	is_int(got.n, 0, "no answer comes from inside the call");
	is_int(storage_n_pending(st), 1, "one is expected");
	ok(wait_answer(), "an upload is stored: %s", got.err.msg);
	is_str(got.path, path, "under its name, in a directory that was not there");
	is_str(got.sha256, abc, "with its SHA-256");
	is_int(got.size_bytes, 3, "and size");
	ok(same_content(path, "abc"), "it is what was sent");
	is_int(count_files(uploads), 1, "nothing else is in the directory");

	storage_put_artifact(st, path, done, NULL);
	ok(wait_answer(), "an artifact is copied: %s", got.err.msg);
	artifact = xasprintf("%s/artifacts/%s.so", dir, abc);
	is_str(got.path, artifact, "by its hash");
	ok(same_content(artifact, "abc"), "whole");
	stat(artifact, &before);
	storage_put_artifact(st, path, done, NULL);
	ok(wait_answer(), "a second time");
	stat(artifact, &after);
	ok(before.st_ino == after.st_ino, "is the same file, which workers may have mapped");
	ok(file_write_atomic(artifact, "damaged", 7, 0600, NULL) == 0, "the artifact is damaged");
	storage_put_artifact(st, path, done, NULL);
	ok(wait_answer() && same_content(artifact, "abc"), "a third time repairs it");

	storage_list(st, uploads, done, NULL);
	ok(wait_answer() && got.n_entries == 1, "it is listed");
	is_str(got.names, "x_ClickCountJob.so ", "by name");
	storage_read(st, path, done, NULL);
	ok(wait_answer() && got.size_bytes == 3 && strcmp(got.data, "abc") == 0, "and read");
	storage_remove(st, path, done, NULL);
	ok(wait_answer() && access(path, F_OK) != 0, "and removed");
	storage_remove(st, path, done, NULL);
	ok(wait_answer(), "removing what is not there is fine");
	free(path);
	path = xasprintf("%s/a", dir);
	storage_remove(st, path, done, NULL);
	ok(wait_answer() && access(path, F_OK) != 0, "a tree is removed, too");
	storage_list(st, uploads, done, NULL);
	ok(wait_answer() && got.n_entries == 0, "a directory that is not there is empty");
	free(path);
	free(uploads);
	free(artifact);
}

static void test_directories(void)
{
	char *below = xasprintf("%s/tree", dir), *path = xasprintf("%s/tree/chk-1/_metadata", dir),
	     *place = xasprintf("%s/tree/chk-1", dir), *hidden = xasprintf("%s/tree/.hidden", dir);
	int fd = file_memfd("upload", "abc", 3, NULL);

	storage_put_file(st, fd, place, "_metadata", done, NULL);
	ok(wait_answer(), "a file in a directory that is made: %s", got.err.msg);
	storage_put_file(st, fd, below, "file", done, NULL);
	wait_answer();
	close(fd);
	ASSERT(mkdir(hidden, 0700) == 0);
	storage_list_dirs(st, below, done, NULL);
	ok(wait_answer(), "directories are listed: %s", got.err.msg);
	is_str(got.names, "chk-1 ", "no files and nothing hidden");
	storage_list_dirs(st, path, done, NULL);
	ok(!wait_answer(), "those in a file are not: %s", got.err.msg);
	storage_list_dirs(st, "/nowhere/at/all", done, NULL);
	ok(wait_answer() && got.n_entries == 0, "a directory that is not there has none");
	storage_read_memfd(st, path, 3, done, NULL);
	ok(wait_answer() && got.has_fd && got.size_bytes == 3, "a file comes as a memfd: %s", got.err.msg);
	is_str(got.data, "abc", "with its content");
	storage_read_memfd(st, path, 2, done, NULL);
	ok(!wait_answer() && !got.has_fd && got.err.code == ERR_TOO_LARGE, "one too large does not: %s",
	    got.err.msg);
	storage_read_memfd(st, "/nowhere/at/all", 2, done, NULL);
	ok(!wait_answer() && got.err.code == ERR_NOT_FOUND, "one that is not there does not: %s",
	    got.err.msg);
	storage_read_memfd(st, below, 2, done, NULL);
	ok(!wait_answer() && got.err.code == ERR_INVALID, "nor a directory: %s", got.err.msg);
	storage_remove(st, below, done, NULL);
	wait_answer();
	free(below);
	free(path);
	free(place);
	free(hidden);
}

static void test_records(void)
{
	char *big = xcalloc(1, 200000);

	storage_put_record(st, "job-b", "{\"b\":1}", 7, done, NULL);
	ok(wait_answer(), "a record is put");
	storage_put_record(st, "job-a", "{}", 2, done, NULL);
	wait_answer();
	storage_put_record(st, "job-b", "{\"b\":2}", 7, done, NULL);
	wait_answer();
	storage_get_record(st, "job-b", done, NULL);
	ok(wait_answer(), "a record is read");
	is_str(got.data, "{\"b\":2}", "it is the newest");
	storage_list_records(st, done, NULL);
	ok(wait_answer(), "records are listed");
	is_str(got.names, "job-a job-b ", "by key, without leftovers");
	storage_delete_record(st, "job-a", done, NULL);
	ok(wait_answer(), "a record is deleted");
	storage_get_record(st, "job-a", done, NULL);
	ok(!wait_answer(), "then it is not there");
	like(got.err.msg, "/jobs/job-a", "it says which: %s", got.err.msg);

	memset(big, 'x', 199999);
	storage_put_record(st, "big", big, 199999, done, NULL);
	ok(wait_answer() && got.size_bytes == 199999, "a record larger than a frame");
	storage_get_record(st, "big", done, NULL);
	ok(wait_answer() && got.size_bytes == 199999, "comes back");
	storage_put_record(st, "empty", "", 0, done, NULL);
	ok(wait_answer() && got.size_bytes == 0, "an empty one");
	free(big);
}

static void test_refusals(void)
{
	static const char *const bad_keys[] = { "", ".", "..", "../x", "a/b", ".hidden" };
	char *file = xasprintf("%s/file", dir), *below = xasprintf("%s/file/sub", dir);
	struct rlimit limit, old;
	int fd;

	for (unsigned i = 0; i < ARRAY_LEN(bad_keys); i++) {
		storage_delete_record(st, bad_keys[i], done, NULL);
		ok(!wait_answer() && got.err.code == ERR_INVALID, "key \"%s\" is refused: %s", bad_keys[i],
		    got.err.msg);
	}
	storage_list_records(st, done, NULL);
	ok(wait_answer() && got.n_entries > 0, "the job store is still there");
	storage_remove(st, "/", done, NULL);
	ok(!wait_answer(), "the root is not removed: %s", got.err.msg);
	storage_remove(st, "/tmp/../etc", done, NULL);
	ok(!wait_answer(), "nor what hides behind ..");
	storage_remove(st, "relative", done, NULL);
	ok(!wait_answer(), "nor a relative path");
	storage_put_artifact(st, "/nowhere/at/all.so", done, NULL);
	ok(!wait_answer() && got.err.code == ERR_NOT_FOUND, "a missing artifact is said");
	like(got.err.msg, "open /nowhere/at/all.so: No such file", "by name");

	ok(file_write_atomic(file, "x", 1, 0600, NULL) == 0, "a file where a directory should be");
	fd = file_memfd("upload", "abc", 3, NULL);
	storage_put_file(st, fd, below, "y", done, NULL);
	ok(!wait_answer(), "storing below it fails: %s", got.err.msg);
	like(got.err.msg, below, "with the path");
	storage_put_file(st, -1, dir, "y", done, NULL);
	ok(!wait_answer() && got.err.code == ERR_INVALID, "nothing to store is said: %s", got.err.msg);
	close(fd);

	/* No room: a process whose files may have 64 KiB. */
	stop();
	getrlimit(RLIMIT_FSIZE, &old);
	limit = old;
	limit.rlim_cur = 65536;
	setrlimit(RLIMIT_FSIZE, &limit);
	start();
	setrlimit(RLIMIT_FSIZE, &old);
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	storage_put_file(st, fd, dir, "large", done, NULL);
	close(fd);
	ok(!wait_answer() && got.err.code == ERR_IO, "a disk without room is said: %s", got.err.msg);
	like(got.err.msg, "store large in /tmp/weir-storage-", "with the name");
	free(file);
	file = xasprintf("%s/large", dir);
	ok(access(file, F_OK) != 0, "no half of it is there");
	is_int(count_files(dir), 3, "and no temporary file: artifacts, jobs, file");
	storage_put_record(st, "small", "s", 1, done, NULL);
	ok(wait_answer(), "what has room is stored as before");
	free(file);
	free(below);
}

static void test_death(void)
{
	enum { N = 300 };
	unsigned failed = 0, first, pending;
	bool in_order = true;
	char *tmp = xasprintf("%s/jobs/.weir-%d-0123456789ab.tmp", dir, (int)getpid()), *foreign;
	unsigned want;
	pid_t pid = storage_pid();

	foreign = xasprintf("%s/jobs/.weir-1-0123456789ab.tmp", dir);
	ok(file_write_atomic(tmp, "half", 4, 0600, NULL) == 0 &&
		file_write_atomic(foreign, "half", 4, 0600, NULL) == 0,
	    "leftovers of a dead process and of another supervisor");
	kill(pid, SIGSTOP);
	first = got.n;
	for (uintptr_t i = 0; i < N; i++)
		storage_put_record(st, "again", "x", 1, done, (void *)(i + 1));
	is_int(storage_n_pending(st), N, "%d requests wait for a process that does not run", N);
	kill(pid, SIGKILL);
	want = first + N;
	ok(proc_loop_until(loop_base(loop), answered, &want, 10000), "when it dies each is answered");
	for (unsigned i = 0; i < N; i++)
		in_order = in_order && got.order[(first + i) % 4096] == i + 1;
	ok(in_order, "once and in order");
	ok(got.err.code == ERR_UNAVAILABLE, "as failed: %s", got.err.msg);
	ok(storage_pid() > 0 && storage_pid() != pid, "there is a new process");
	storage_put_record(st, "after", "x", 1, done, NULL);
	ok(wait_answer(), "which works");
	ok(access(tmp, F_OK) != 0, "the dead one's leftover is gone");
	ok(access(foreign, F_OK) == 0, "a living supervisor's is not");
	unlink(foreign);

	/* Killed again and again in the middle of its work: what is answered as done is whole. */
	for (unsigned round = 0; round < 3; round++) {
		first = got.n;
		for (unsigned i = 0; i < 50; i++)
			storage_put_record(st, "kept", "0123456789", 10, done, NULL);
		want = first + 1 + round * 7;
		proc_loop_until(loop_base(loop), answered, &want, 10000);
		kill(storage_pid(), SIGKILL);
		want = first + 50;
		ok(proc_loop_until(loop_base(loop), answered, &want, 10000), "all 50 are answered");
		failed += got.err.code == ERR_UNAVAILABLE;
	}
	ok(failed > 0, "some were lost");
	storage_get_record(st, "kept", done, NULL);
	ok(wait_answer() && strcmp(got.data, "0123456789") == 0, "the record is whole");
	storage_list_records(st, done, NULL);
	ok(wait_answer() && strstr(got.names, "tmp") == NULL, "no temporary file is listed");

	/* Requests made while there is no process wait for it. */
	kill(storage_pid(), SIGKILL);
	pending = n_died;
	while (n_died == pending)
		event_base_loop(loop_base(loop), EVLOOP_ONCE);
	storage_put_record(st, "waited", "x", 1, done, NULL);
	ok(wait_answer(), "a request made while it is away waits: %s", got.err.msg);
	free(tmp);
	free(foreign);
}

static void test_messages(void)
{
	struct storage_entry entries[2];
	struct storage_answer in = { .size_bytes = 3, .data = "abc", .n_entries = 2, .entries = entries },
			      out;
	char n0[] = "a", n1[] = "b";
	struct msg_writer w;
	unsigned accepted = 0;
	struct err e;
	uint64_t id;

	entries[0] = (struct storage_entry){ n0, 1, 2 };
	entries[1] = (struct storage_entry){ n1, 3, 4 };
	msg_writer_init(&w);
	storage_encode_answer(&w, 77, &in);
	for (size_t len = 0; len < w.len; len++) {
		uint8_t *body = xmemdup(w.data, len > 0 ? len : 1);
		struct msg_reader r = { .p = body, .end = body + len };

		accepted += storage_decode_answer(&r, &id, &out, &e) == 0;
		free(body);
	}
	is_int(accepted, 0, "no cut answer is accepted");
	for (size_t i = 0; i < w.len * 8; i++) {
		struct msg_reader r = { .p = w.data, .end = w.data + w.len };

		w.data[i / 8] ^= (uint8_t)(1U << i % 8);
		if (storage_decode_answer(&r, &id, &out, &e) == 0)
			storage_answer_fini(&out);
		w.data[i / 8] ^= (uint8_t)(1U << i % 8);
	}
	ok(true, "each bit changed");
	msg_writer_fini(&w);
}

int main(int argc, char **argv)
{
	struct loop_callbacks callbacks = { .on_child = on_child };
	struct children_config cfg = {
		.programs = { .storage = run_storage }, .stderr_fd = STDERR_FILENO, .on_reaped = on_reaped
	};
	struct err e;
	int fds;

	setproctitle_init(argc, argv, environ);
	ok(mkdtemp(dir) != NULL, "a directory");
	log_init("jobmanager", LOG_ERROR, STDERR_FILENO, -1);
	fds = proc_count_fds();
	loop = loop_create(&callbacks, NULL, &e);
	children = children_create(&cfg);
	start();

	test_messages();
	test_put();
	test_directories();
	test_records();
	test_refusals();
	test_death();

	storage_put_record(st, "last", "x", 1, done, NULL);
	stop();
	ok(got.err.code == ERR_NONE, "what was asked before the end is done");
	children_destroy(children);
	loop_destroy(loop);
	ok(proc_no_children(), "no process is left");
	is_int(proc_count_fds(), fds, "no descriptor is left");
	proc_remove_tree(dir);
	return tap_done();
}
