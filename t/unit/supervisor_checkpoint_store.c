/*
 * Checkpoints as files: layout, the newest that verifies, and what is wrong with those that do not.  The
 * storage is a fake that does the storage process's work on real files when it is told to.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "supervisor/checkpoint_store.h"
#include "supervisor/storage_ops.h"
#include "t/tap.h"

/* ---- the storage ---- */

enum op { PUT, REMOVE, LIST_DIRS, READ };
struct work {
	enum op op;
	int fd;
	char *path, *name;
	size_t max_bytes;
	storage_done_fn *cb;
	void *arg;
};
static struct work queue[64];
static unsigned n_queued, n_done, fail_first, n_reads;
static enum op fail_op;
static struct err fail_with;

static void enqueue(struct work w)
{
	ASSERT(n_queued < ARRAY_LEN(queue));
	queue[n_queued++] = w;
}

void storage_put_file(struct storage *st, int fd, const char *dir, const char *name, storage_done_fn *cb,
    void *arg)
{
	(void)st;
	enqueue((struct work){ PUT, dup(fd), xstrdup(dir), xstrdup(name), 0, cb, arg });
}

void storage_remove(struct storage *st, const char *path, storage_done_fn *cb, void *arg)
{
	(void)st;
	enqueue((struct work){ REMOVE, -1, xstrdup(path), NULL, 0, cb, arg });
}

void storage_list_dirs(struct storage *st, const char *dir, storage_done_fn *cb, void *arg)
{
	(void)st;
	enqueue((struct work){ LIST_DIRS, -1, xstrdup(dir), NULL, 0, cb, arg });
}

void storage_read_memfd(struct storage *st, const char *path, size_t max_bytes, storage_done_fn *cb,
    void *arg)
{
	(void)st;
	enqueue((struct work){ READ, -1, xstrdup(path), NULL, max_bytes, cb, arg });
}

static void perform(const struct work *w, struct storage_answer *a)
{
	struct storage_entry *entries = NULL;
	char *path = NULL, sha256[STORAGE_SHA_SIZE];

	if (fail_first > 0 && w->op == fail_op) {
		fail_first--;
		a->err = fail_with;
	} else if (w->op == PUT) {
		(void)storage_copy(w->fd, w->path, w->name, &path, sha256, &a->size_bytes, &a->err);
	} else if (w->op == REMOVE) {
		(void)storage_remove_path(w->path, &a->err);
	} else if (w->op == LIST_DIRS) {
		(void)storage_list_subdirs(w->path, &entries, &a->n_entries, &a->err);
		a->entries = entries;
	} else {
		n_reads++;
		a->fd = storage_read_file(w->path, (int64_t)w->max_bytes, &a->size_bytes, &a->err);
		a->has_fd = a->fd >= 0;
	}
	if (w->cb != NULL)
		w->cb(w->arg, a);
	for (uint32_t i = 0; entries != NULL && i < a->n_entries; i++)
		free(entries[i].name);
	free(entries);
	free(path);
	if (a->has_fd)
		close(a->fd);
}

/* Until nothing is asked any more. */
static void run(void)
{
	for (n_done = 0; n_done < n_queued; n_done++) {
		struct work w = queue[n_done];
		struct storage_answer a = { .fd = -1 };

		perform(&w, &a);
		free(w.path);
		free(w.name);
		if (w.fd >= 0)
			close(w.fd);
	}
	n_queued = 0;
}

static void fail_next(unsigned n, enum op op, enum err_code code, const char *why)
{
	fail_first = n;
	fail_op = op;
	err_set(&fail_with, code, "%s", why);
}

/* ---- what is asked and answered ---- */

static char dir[] = "/tmp/weir-ckstore-XXXXXX", saves[64], checkpoints[64];
static struct checkpoint_store *cs;
static const struct id128 job = { { 0xab, 0xcd, 0xef, 0x01 } };
static const struct id128 other = { { 0x77 } };
static struct {
	unsigned n;
	struct err err;
	char path[256], older[512];
	uint64_t id, highest_id;
	uint32_t n_tasks;
	bool has_bytes;
} got;

static void done(void *arg, const struct checkpoint_answer *a)
{
	char *data;
	size_t len;

	(void)arg;
	got.n++;
	got.err = a->err;
	snprintf(got.path, sizeof(got.path), "%s", a->path != NULL ? a->path : "");
	got.id = a->file != NULL ? a->file->id : 0;
	got.n_tasks = a->file != NULL ? a->file->n_tasks : 0;
	got.highest_id = a->highest_id;
	got.has_bytes = a->fd >= 0 && file_read_fd(a->fd, CHECKPOINT_FILE_MAX, &data, &len, NULL) == 0;
	if (got.has_bytes)
		free(data);
	got.older[0] = '\0';
	for (uint32_t i = 0; i < a->n_older; i++)
		snprintf(got.older + strlen(got.older), sizeof(got.older) - strlen(got.older), "%d=%s ",
		    (int)a->older[i].id, a->older[i].path);
}

/* Let it be done; true when the answer is good. */
static bool answered(void)
{
	unsigned before = got.n;

	run();
	is_int(got.n, before + 1, "one answer");
	if (got.err.code != ERR_NONE)
		diag("%s", got.err.msg);
	return got.err.code == ERR_NONE;
}

static bool put(uint64_t id, const struct id128 *of, const char *target)
{
	static char name[] = "counting";
	struct checkpoint_task t = { { { 1 } }, 0, 1, 128, false, "state", 5 };
	struct checkpoint_file f = { .job_id = *of,
		.job_name = name,
		.id = id,
		.attempt = 1,
		.kind = target != NULL ? CHECKPOINT_SAVEPOINT : CHECKPOINT_PERIODIC,
		.tasks = &t,
		.n_tasks = 1 };
	unsigned before = got.n;

	checkpoint_store_put(cs, &f, target, done, NULL);
	is_int(got.n, before, "never from inside");
	return answered();
}

static bool find(void)
{
	checkpoint_store_find(cs, &job, done, NULL);
	return answered();
}

static bool open_path(const char *path)
{
	checkpoint_store_open(cs, path, done, NULL);
	return answered();
}

static char *place(const char *of, unsigned id, const char *file)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s/chk-%u%s", checkpoints, of, id, file);
	return path;
}
#define JOB "abcdef01000000000000000000000000"

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static void damage(const char *path, off_t at)
{
	int fd = open(path, O_RDWR);
	char b;

	ASSERT(fd >= 0 && pread(fd, &b, 1, at) == 1);
	b ^= 0x10;
	ASSERT(pwrite(fd, &b, 1, at) == 1);
	close(fd);
}

static void test_put_and_find(void)
{
	ok(find(), "a job without any has none");
	ok(got.id == 0 && !got.has_bytes && got.highest_id == 0, "which is no error");
	for (uint64_t id = 8; id <= 11; id++)
		ok(put(id, &job, NULL), "one is stored");
	ok(exists(place(JOB, 11, "/_metadata")), "at its place");
	like(got.path, "file:/tmp/weir-ckstore-", "which is answered as a URI");
	like(got.path, "/" JOB "/chk-11", "of its directory");
	n_reads = 0;
	ok(find(), "the newest is found");
	is_int(got.id, 11, "by its number, not by its name");
	ok(got.has_bytes && got.n_tasks == 1, "with its bytes");
	is_int(n_reads, 1, "the others are not read");
	like(got.path, "file:/", "and its path");
	like(got.older, "8=file:/", "the older ones are named, oldest first");
	like(got.older, "/chk-10 ", "up to the one before");
	ok(strstr(got.older, "chk-11") == NULL, "without itself");
	checkpoint_store_remove(cs, got.path, done, NULL);
	ok(answered() && !exists(place(JOB, 11, "")), "it is removed by that path");
	checkpoint_store_remove(cs, place(JOB, 11, ""), NULL, NULL);
	run();
	checkpoint_store_remove(cs, checkpoints, done, NULL);
	ok(!answered() && exists(checkpoints), "nothing else is removed by its path");
	like(got.err.msg, "has not the name of a checkpoint", "and said");
	ok(find() && got.id == 10, "then the one before is the newest");
}

static void test_damage(void)
{
	char path[256];

	ok(put(12, &job, NULL), "stored");
	ok(put(13, &job, NULL), "and another");
	damage(place(JOB, 13, "/_metadata"), 100);
	ok(find() && got.id == 12, "a damaged one is left out, the one before is taken");
	is_int(got.highest_id, 13, "ids go on behind it");
	ok(exists(place(JOB, 13, "/_metadata")), "it stays where it is");
	snprintf(path, sizeof(path), "%s", place(JOB, 13, "/_metadata"));
	ASSERT(truncate(path, 0) == 0);
	ok(find() && got.id == 12, "an empty one is left out, too");
	unlink(path);
	ASSERT(mkdir(path, 0700) == 0);
	ok(find() && got.id == 12, "and one that is no file");
	rmdir(path);
	ok(find() && got.id == 12, "one that was not completed is none");
	ok(!exists(place(JOB, 13, "")), "what is left of it is removed");
	is_int(got.highest_id, 13, "its number is not used again");
	ok(put(14, &other, NULL), "one of another job");
	snprintf(path, sizeof(path), "%s", place("77000000000000000000000000000000", 14, ""));
	ASSERT(rename(path, place(JOB, 14, "")) == 0);
	ok(find() && got.id == 12, "another job's does not count");
	snprintf(path, sizeof(path), "%s", place(JOB, 14, ""));
	ASSERT(file_remove_tree(path, NULL) == 0 && rename(place(JOB, 10, ""), path) == 0);
	ok(find() && got.id == 12, "nor one with another's number");
	ASSERT(mkdir(place(JOB, 15, "x"), 0700) == 0 && mkdir(place(JOB, 0, ""), 0700) == 0);
	ok(find() && got.highest_id == 14, "what is not named like one is none");
	checkpoint_store_remove_job(cs, &job, done, NULL);
	ok(answered() && !exists(place(JOB, 12, "")), "all of a job's are removed");
	checkpoint_store_remove_job(cs, &job, NULL, NULL);
	run();
	ok(find() && got.id == 0, "then it has none");
}

static void test_interrupted(void)
{
	ok(put(1, &job, NULL) && put(2, &job, NULL), "two are stored");
	fail_next(1, READ, ERR_IO, "permission denied");
	ok(!find() && got.id == 0, "one that cannot be read may be sound: no older one takes its place");
	like(got.err.msg, "checkpoint 2 cannot be read: permission denied", "it is said");
	fail_next(2, READ, ERR_UNAVAILABLE, "the storage process died");
	ok(find() && got.id == 2, "when the storage process dies it is asked again");
	fail_next(2, LIST_DIRS, ERR_UNAVAILABLE, "the storage process died");
	ok(find() && got.id == 2, "for the list, too");
	fail_next(20, READ, ERR_UNAVAILABLE, "the storage process died");
	ok(!find(), "not for ever");
	fail_next(20, LIST_DIRS, ERR_UNAVAILABLE, "the storage process died");
	ok(!find(), "nor that");
	fail_next(1, LIST_DIRS, ERR_IO, "no disk");
	ok(!find(), "a directory that cannot be listed is an error");
	is_str(got.err.msg, "no disk", "as it is");
	fail_next(3, PUT, ERR_UNAVAILABLE, "the storage process died");
	ok(put(3, &job, NULL) && find() && got.id == 3, "and to store it");
	fail_next(20, PUT, ERR_UNAVAILABLE, "the storage process died");
	ok(!put(4, &job, NULL), "not for ever, either");
	fail_first = 0;
	checkpoint_store_remove(cs, place(JOB, 3, ""), NULL, NULL);
	run();
	fail_next(1, PUT, ERR_IO, "no space left on device");
	ok(!put(3, &job, NULL), "a full disk is answered");
	is_str(got.err.msg, "no space left on device", "with the reason");
	ok(find() && got.highest_id == 2, "and leaves nothing");
	fail_first = 0;
}

/* Another user's directory; root would be let in. */
static void test_permission(void)
{
	bool root = geteuid() == 0;

	ASSERT(chmod(dir, root ? 0700 : 0) == 0 && (!root || seteuid(65534) == 0));
	ok(!find() && got.id == 0, "without permission to look, none is found and that is an error");
	like(got.err.msg, "Permission denied", "which is said");
	ok(!put(3, &job, NULL), "nor is one stored");
	like(got.err.msg, dir, "with the path");
	ok(!open_path(saves), "nor opened");
	like(got.err.msg, "_metadata: Permission denied", "with the file");
	ASSERT((!root || seteuid(0) == 0) && chmod(dir, 0700) == 0);
	ok(find() && got.id == 2, "nothing is lost by it");
}

static void test_savepoints(void)
{
	char uri[256], path[300], moved[256];

	snprintf(uri, sizeof(uri), "file://%s/", saves);
	ok(put(5, &job, uri), "a savepoint is stored");
	snprintf(path, sizeof(path), "%s", got.path);
	like(path, "/saves/savepoint-abcdef-", "with the job in its name");
	is_int(strlen(strstr(path, "savepoint-")), 29, "and twelve digits");
	ok(strstr(path, "//") == NULL, "in a plain path");
	ok(find() && got.id == 2, "it is none of the job's checkpoints");
	ok(open_path(path) && got.id == 5 && got.has_bytes, "opened by its URI");
	is_str(got.path, path, "which is answered");
	ok(open_path(path + 5) && got.id == 5, "by its path");
	snprintf(moved, sizeof(moved), "%s/moved", dir);
	ASSERT(rename(path + 5, moved) == 0);
	snprintf(path, sizeof(path), "%s/_metadata", moved);
	ok(open_path(path) && got.id == 5, "moved, by its file");
	like(got.path, "/moved", "it is where it is");
	ok(strstr(got.path, "_metadata") == NULL, "the directory is answered");
	ok(open_path(place(JOB, 2, "/")) && got.id == 2, "a retained checkpoint can be opened, too");

	ok(!open_path("/nowhere/at/all"), "a missing one is refused");
	like(got.err.msg, "the savepoint /nowhere/at/all cannot be used: open /nowhere", "and said");
	ok(!open_path(dir), "a directory that is none, too");
	ok(!open_path("s3://bucket/save"), "and what is no local path");
	like(got.err.msg, "s3://bucket/save", "and said");
	ok(!put(6, &job, "s3://bucket"), "nor is one stored there");
	ok(!open_path(""), "nothing is no path");
	damage(path, 120);
	ok(!open_path(moved), "a damaged one is refused");
	like(got.err.msg, "is damaged", "and said");
	checkpoint_store_dispose(cs, moved, done, NULL);
	ok(!answered() && exists(path), "nor is it disposed of");
	damage(path, 120);
	damage(path, 8); /* format 1 becomes 17 */
	ok(!open_path(moved), "a newer format is refused");
	like(got.err.msg, "of format 17 and this version reads formats up to 1", "by its name");
	damage(path, 8);
	snprintf(path, sizeof(path), "%s/_metadata/x", place(JOB, 2, ""));
	ok(!put(7, &job, path), "below a file there is no room");
	like(got.err.msg, "Not a directory", "which is said");
}

static void test_disposal(void)
{
	char path[300], file[300];

	checkpoint_store_dispose(cs, place(JOB, 2, ""), done, NULL);
	ok(!answered() && exists(place(JOB, 2, "/_metadata")), "a checkpoint is not disposed of");
	like(got.err.msg, "is checkpoint 2 of job " JOB ", not a savepoint", "and said");
	ok(put(5, &job, saves), "a savepoint");
	snprintf(path, sizeof(path), "%s", got.path);
	checkpoint_store_dispose(cs, path, done, NULL);
	ok(answered() && !exists(path + 5), "is disposed of, directory and all");
	checkpoint_store_dispose(cs, path, done, NULL);
	ok(!answered(), "once");
	snprintf(path, sizeof(path), "%s/moved", dir);
	snprintf(file, sizeof(file), "%s/moved/_metadata", dir);
	checkpoint_store_dispose(cs, path, done, NULL);
	ok(answered() && !exists(file) && exists(path), "of one with a name of its own the file goes alone");
}

int main(void)
{
	struct checkpoint_store *forgotten;

	ASSERT(mkdtemp(dir) != NULL);
	log_init("test", LOG_ERROR, 2, -1);
	snprintf(checkpoints, sizeof(checkpoints), "%s/cp", dir);
	snprintf(saves, sizeof(saves), "%s/saves", dir);
	cs = checkpoint_store_create(NULL, checkpoints);
	test_put_and_find();
	test_damage();
	test_interrupted();
	test_permission();
	test_savepoints();
	test_disposal();
	checkpoint_store_destroy(cs);
	forgotten = checkpoint_store_create(NULL, checkpoints);
	checkpoint_store_find(forgotten, &job, done, NULL);
	checkpoint_store_destroy(forgotten);
	ok(true, "what is under way at the end is forgotten");
	for (unsigned i = 0; i < n_queued; i++)
		free(queue[i].path);
	checkpoint_store_destroy(NULL);
	ASSERT(file_remove_tree(dir, NULL) == 0);
	return tap_done();
}
