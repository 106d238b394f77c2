/* base/file.h: paths, whole reads, writes that are complete or absent, trees, checksums. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "t/tap.h"

static char dir[] = "/tmp/weir-file-XXXXXX";

/* dir/name, in one of a few buffers. */
static const char *in_dir(const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static unsigned n_temporary(void)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	for (struct dirent *entry; d != NULL && (entry = readdir(d)) != NULL;)
		n += strstr(entry->d_name, ".tmp") != NULL;
	if (d != NULL)
		closedir(d);
	return n;
}

static void paths(void)
{
	static const struct {
		const char *uri, *want;
	} cases[] = {
		{ "/a/b", "/a/b" },
		{ "file:///a/b", "/a/b" },
		{ "file:/a/b", "/a/b" },
		{ "FILE:///a", "/a" },
		{ "file://localhost/a", "/a" },
		{ "a/b", "a/b" },
		{ "./a:b", "./a:b" },
		{ "/a b#c", "/a b#c" },
		{ "file:///", "/" },
		{ "s3://bucket/a", NULL },
		{ "hdfs:/a", NULL },
		{ "file://host/a", NULL },
		{ "file:a", NULL },
		{ "file://", NULL },
		{ "file:", NULL },
		{ "", NULL },
	};

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = { ERR_NONE, "" };
		char *path = file_path_from_uri(cases[i].uri, &e);

		if (cases[i].want != NULL)
			is_str(path, cases[i].want, "'%s' is a path", cases[i].uri);
		else
			ok(path == NULL && e.code == ERR_INVALID && e.msg[0] != '\0', "'%s' is refused: %s",
			    cases[i].uri, e.msg);
		free(path);
	}
}

static void directories(void)
{
	struct stat st;
	struct err e;

	is_int(file_mkdirs(in_dir("a/b/c"), &e), 0, "directories are made");
	ok(stat(in_dir("a/b"), &st) == 0 && (st.st_mode & 0777) == 0700, "private ones");
	is_int(file_mkdirs(in_dir("a/b/c/"), &e), 0, "again is no error");
	is_int(file_write_atomic(in_dir("plain"), "x", 1, 0600, &e), 0, "a plain file");
	is_int(file_mkdirs(in_dir("plain"), &e), -1, "a file is no directory");
	like(e.msg, "not a directory", "it is said so");
	is_int(file_mkdirs(in_dir("plain/sub"), &e), -1, "nor has it room for one");
	like(e.msg, "make the directory", "it is said which");
}

static void reading(void)
{
	const char *path = in_dir("r");
	struct err e;
	char *data;
	size_t len;
	FILE *f;

	is_int(file_write_atomic(path, "hello\0x", 7, 0600, &e), 0, "a file of 7 bytes");
	is_int(file_read(path, 7, &data, &len, &e), 0, "is read");
	ok(len == 7 && memcmp(data, "hello\0x", 8) == 0, "whole, with a NUL behind");
	free(data);
	is_int(file_read(path, 6, &data, &len, &e), -1, "over the limit it is not");
	is_int(e.code, ERR_TOO_LARGE, "that has a code");
	like(e.msg, path, "and names the file");
	is_int(file_read(in_dir("none"), 10, &data, &len, &e), -1, "a missing one");
	is_int(e.code, ERR_NOT_FOUND, "has a code, too");
	is_int(file_read(dir, 10, &data, &len, &e), -1, "a directory is not read");
	like(e.msg, "not a regular file", "and that is said");
	is_int(file_read("/proc/self/status", 1 << 20, &data, &len, &e), 0,
	    "a file that says it has no size");
	ok(len > 100 && strstr(data, "Name:") == data, "is read whole");
	free(data);
	f = fopen(in_dir("empty"), "w");
	if (f != NULL)
		fclose(f);
	is_int(file_read(in_dir("empty"), 10, &data, &len, &e), 0, "an empty file");
	ok(len == 0 && data[0] == '\0', "is empty");
	free(data);
}

static void writing(void)
{
	const char *path = in_dir("w");
	char *data, *big = xmalloc(3 << 20);
	struct stat st;
	struct err e;
	size_t len;

	umask(0);
	is_int(file_write_atomic(path, "one", 3, 0640, &e), 0, "a file appears");
	ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0640, "with its mode");
	memset(big, 'b', 3 << 20);
	is_int(file_write_atomic(path, big, 3 << 20, 0600, &e), 0, "it is replaced");
	ok(file_read(path, 3 << 20, &data, &len, &e) == 0 && len == 3 << 20 && memcmp(data, big, len) == 0,
	    "by all");
	free(data);
	free(big);
	is_int(file_write_atomic(in_dir("no/such/w"), "x", 1, 0600, &e), -1,
	    "without its directory it cannot");
	is_int(e.code, ERR_IO, "that is the system's refusal");
	is_int(mkdir(in_dir("w2"), 0700), 0, "a directory of the name");
	is_int(file_write_atomic(in_dir("w2"), "x", 1, 0600, &e), -1, "is not replaced");
	like(e.msg, "rename", "it is said what failed");
	is_int(rmdir(in_dir("w2")), 0, "the directory is as it was");
	is_int(n_temporary(), 0, "no temporary file is left");
	is_int(chdir(dir), 0, "a path without a directory");
	is_int(file_write_atomic("relative", "x", 1, 0600, &e), 0, "is in the current one");
	is_int(access(in_dir("relative"), F_OK), 0, "indeed");
	is_int(chdir("/"), 0, "back");
}

static void trees(void)
{
	struct err e;

	is_int(file_mkdirs(in_dir("t/x/y"), &e), 0, "a tree");
	file_write_atomic(in_dir("t/x/y/f"), "x", 1, 0400, &e);
	file_write_atomic(in_dir("t/g"), "x", 1, 0600, &e);
	file_write_atomic(in_dir("keep"), "x", 1, 0600, &e);
	ok(symlink(in_dir("keep"), in_dir("t/x/link")) == 0 && symlink(dir, in_dir("t/out")) == 0,
	    "with links out of it");
	is_int(file_remove_tree(in_dir("t"), &e), 0, "is removed");
	ok(access(in_dir("t"), F_OK) < 0 && errno == ENOENT, "as a whole");
	is_int(access(in_dir("keep"), F_OK), 0, "but not what links led to");
	is_int(file_remove_tree(in_dir("t"), &e), 0, "a missing tree is success");
	is_int(file_remove_tree(in_dir("keep"), &e), 0, "a file is a small tree");
	is_int(file_remove_tree("/proc/self/stat", &e), -1, "what cannot be removed");
	like(e.msg, "remove /proc/self/stat", "is named");
}

static void checksums(void)
{
	char hex[65], *big = xcalloc(1, 200000), *data;
	struct err e;
	size_t len;
	int fd;

	fd = file_memfd("t", "abc", 3, &e);
	ok(fd >= 0, "a memory file");
	is_int(file_sha256(fd, hex, &e), 0, "its checksum");
	is_str(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
	    "is the known one of abc");
	is_int(file_sha256(fd, hex, &e), 0, "asked twice");
	is_str(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "it is the same");
	is_int(file_read_fd(fd, 100, &data, &len, &e), 0, "it can be read");
	is_str(data, "abc", "from its start");
	free(data);
	ok(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0, "and sealed later");
	close(fd);
	fd = file_memfd("t", "", 0, &e);
	is_int(file_sha256(fd, hex, &e), 0, "of nothing");
	is_str(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	    "there is a checksum, too");
	close(fd);
	fd = file_memfd("t", big, 200000, &e);
	is_int(file_read_fd(fd, 199999, &data, &len, &e), -1, "over the limit");
	is_int(e.code, ERR_TOO_LARGE, "is an error");
	is_int(file_read_fd(fd, 200000, &data, &len, &e), 0, "at the limit");
	is_int(len, 200000, "is not");
	free(data);
	close(fd);
	is_int(file_sha256(fd, hex, &e), -1, "a closed descriptor is an error");
	is_int(file_read_fd(fd, 1, &data, &len, &e), -1, "for reading, too");
	is_int(file_write_all(fd, "x", 1), -1, "and for writing");
	free(big);
}

int main(void)
{
	struct err e;

	if (mkdtemp(dir) == NULL)
		return 1;
	paths();
	directories();
	reading();
	writing();
	trees();
	checksums();
	is_int(file_remove_tree(dir, &e), 0, "nothing is left");
	return tap_done();
}
