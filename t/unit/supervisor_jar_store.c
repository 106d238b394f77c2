/*
 * Uploaded jobs: names that cannot lead anywhere, the list after a restart, and answers when the storage
 * process fails.  The storage is a fake of the three calls that the store makes.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "supervisor/jar_store.h"

#include "base/mem.h"
#include "t/tap.h"

struct request {
	storage_done_fn *cb;
	void *arg;
};

static struct request list_request, last_request;
static char last_dir[256], last_name[512], removed[512];
static char answer[1200];

void storage_list(struct storage *st, const char *dir, storage_done_fn *cb, void *arg)
{
	(void)st;
	snprintf(last_dir, sizeof(last_dir), "%s", dir);
	list_request = (struct request){ cb, arg };
}

void storage_put_file(struct storage *st, int fd, const char *dir, const char *name, storage_done_fn *cb,
    void *arg)
{
	(void)st;
	ok(fcntl(fd, F_GETFD) >= 0, "the upload is open");
	snprintf(last_dir, sizeof(last_dir), "%s", dir);
	snprintf(last_name, sizeof(last_name), "%s", name);
	last_request = (struct request){ cb, arg };
}

void storage_remove(struct storage *st, const char *path, storage_done_fn *cb, void *arg)
{
	(void)st;
	snprintf(removed, sizeof(removed), "%s", path);
	if (cb != NULL)
		last_request = (struct request){ cb, arg };
}

static void on_done(void *arg, const struct err *e, const char *text)
{
	(void)arg;
	snprintf(answer, sizeof(answer), "%s", e != NULL ? e->msg : text != NULL ? text : "done");
}

static void reply(bool good, const char *path)
{
	struct storage_answer a = { .path = path, .sha256 = "", .size_bytes = 3 };

	if (!good)
		err_set(&a.err, ERR_IO, "the disk is full");
	last_request.cb(last_request.arg, &a);
}

static char temp[] = "/tmp/weir-jar-XXXXXX";
static struct clock_virtual now;

static void add(struct jar_store *js, const char *name)
{
	answer[0] = last_name[0] = '\0';
	jar_store_add(js, temp, name, on_done, NULL);
}

static void test_names(struct jar_store *js)
{
	static const char *const evil[][2] = {
		{ "Numbers.jar", "Numbers.jar" },
		{ "../../etc/passwd", "passwd" },
		{ "a b$(rm).so", "a_b_(rm).so" },
		{ "x\ny\x7f.so", "x_y_.so" },
		{ "", "job" },
		{ "dir/", "job" },
	};
	char longest[600];
	unsigned i;

	for (i = 0; i < ARRAY_LEN(evil); i++) {
		add(js, evil[i][0]);
		is_str(jar_name(last_name), evil[i][1], "name %u is a clean label", i);
		ok(last_name[8] == '-' && last_name[14] == '4' && last_name[36] == '_', "behind a uuid");
		reply(false, NULL);
	}
	memset(longest, 'n', sizeof(longest));
	snprintf(longest + 500, 20, ".so");
	add(js, longest);
	ok(strlen(last_name) < 240 && strcmp(last_name + strlen(last_name) - 3, ".so") == 0,
	    "a long name loses its beginning");
	reply(false, NULL);
	is_int(jar_store_n(js), 0, "none of them is listed after a failure");
	is_str(answer, "the disk is full", "which is told");
	is_str(removed, temp, "and the upload itself is removed");
}

static void test_life(struct jar_store *js)
{
	char id[512], *path;
	struct err e;

	add(js, "A.so");
	snprintf(id, sizeof(id), "%s", last_name);
	is_int(jar_store_n(js), 0, "not listed before it is stored");
	reply(true, "/up/stored");
	is_str(answer, "/up/stored", "the answer is where it is");
	is_int(jar_store_n(js), 1, "now it is listed");
	path = jar_store_path(js, id, &e);
	like(path, id, "and has a path");
	free(path);
	ok(jar_store_path(js, "../x", &e) == NULL && e.code == ERR_NOT_FOUND, "what is not listed has none");
	clock_virtual_advance(&now, 5);
	add(js, "B.so");
	reply(true, "/up/stored");
	is_str(jar_name(jar_store_at(js, 0)->id), "B.so", "newest first");

	jar_store_remove(js, "nothing", on_done, NULL);
	is_str(answer, "there is no uploaded job nothing", "what is not there cannot be removed");
	jar_store_remove(js, id, on_done, NULL);
	reply(false, NULL);
	is_int(jar_store_n(js), 2, "a removal that fails changes nothing");
	jar_store_remove(js, id, on_done, NULL);
	reply(true, NULL);
	is_int(jar_store_n(js), 1, "one that does not takes it from the list");
	jar_store_add(js, "/nowhere/at/all", "C.so", on_done, NULL);
	like(answer, "open the upload /nowhere/at/all", "an upload that is gone is said");
}

static void test_restart(struct jar_store *js)
{
	char names[][64] = { "11111111-2222-4333-8444-555555555555_Old.jar", "notes.txt",
		"21111111-2222-4333-8444-555555555555_Older.jar",
		"11111111-2222-4333-8444-555555555555_Old.jar" };
	struct storage_entry entries[] = { { names[0], 1, 30 }, { names[1], 1, 20 }, { names[2], 1, 10 },
		{ names[3], 1, 40 } };
	struct storage_answer a = { .entries = entries, .n_entries = 4 };

	list_request.cb(list_request.arg, &a);
	is_int(jar_store_n(js), 3, "uploads of earlier runs are listed, other files are not, none twice");
	is_str(jar_name(jar_store_at(js, 2)->id), "Older.jar", "by age");
	is_int(jar_store_at(js, 1)->uploaded_ms, 30, "with their time");
}

int main(void)
{
	struct jar_store *js;
	int fd = mkstemp(temp);

	ASSERT(fd >= 0);
	clock_virtual_init(&now, 1700000000000);
	js = jar_store_create("/up", &now.clock);
	jar_store_start(js, NULL);
	is_str(last_dir, "/up", "the directory is read");
	test_names(js);
	test_life(js);
	test_restart(js);
	jar_store_destroy(js);
	jar_store_destroy(NULL);
	close(fd);
	unlink(temp);
	return tap_done();
}
