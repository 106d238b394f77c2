/*
 * Copies that are complete or absent, and directories.
 */
#include "supervisor/storage_ops.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sha2.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/file.h"
#include "base/id.h"
#include "base/mem.h"

#define CHUNK_BYTES (256 * 1024)
#define TMP_PREFIX  ".weir-" /* <pid of the supervisor>-<random>.tmp */
#define TMP_SUFFIX  ".tmp"

int storage_check_name(const char *name, struct err *e)
{
	if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL || strlen(name) > NAME_MAX)
		return err_set(e, ERR_INVALID,
		    "\"%s\" is no name for a file here: one component, not hidden, at most %d bytes", name,
		    NAME_MAX);
	return 0;
}

int storage_check_path(const char *path, struct err *e)
{
	size_t slashes = strspn(path, "/");

	if (slashes == 0 || path[slashes] == '\0' || strstr(path, "/../") != NULL ||
	    (strlen(path) >= 3 && strcmp(path + strlen(path) - 3, "/..") == 0))
		return err_set(e, ERR_INVALID,
		    "\"%s\" is no path for this: it must be absolute and without ..", path);
	return 0;
}

/* The pid in the name of a temporary file, or -1 for what is not one of ours. */
static pid_t tmp_owner(const char *name)
{
	size_t digits, len = strlen(name);
	char number[16];
	int64_t pid;

	if (strncmp(name, TMP_PREFIX, sizeof(TMP_PREFIX) - 1) != 0 || len < sizeof(TMP_SUFFIX) ||
	    strcmp(name + len - (sizeof(TMP_SUFFIX) - 1), TMP_SUFFIX) != 0)
		return -1;
	name += sizeof(TMP_PREFIX) - 1;
	digits = strspn(name, "0123456789");
	if (digits == 0 || digits >= sizeof(number) || name[digits] != '-')
		return -1;
	memcpy(number, name, digits);
	number[digits] = '\0';
	return conf_parse_i64(number, 1, INT_MAX, &pid, NULL) == 0 ? (pid_t)pid : -1;
}

/* A supervisor has one storage process, which does one thing at a time: a temporary file of ours is a
 * dead one's. */
static void sweep(const char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *entry;

	if (d == NULL)
		return;
	while ((entry = readdir(d)) != NULL) {
		pid_t owner = tmp_owner(entry->d_name);

		if (owner > 0 && (owner == getppid() || (kill(owner, 0) < 0 && errno == ESRCH)))
			(void)unlinkat(dirfd(d), entry->d_name, 0);
	}
	closedir(d);
}

static int copy_and_hash(int src_fd, int dst_fd, char sha256[STORAGE_SHA_SIZE], int64_t *size_bytes,
    struct err *e)
{
	uint8_t *chunk = xmalloc(CHUNK_BYTES);
	off_t offset = 0;
	SHA2_CTX sha;
	ssize_t n;
	int rc = -1;

	SHA256Init(&sha);
	for (;;) {
		n = pread(src_fd, chunk, CHUNK_BYTES, offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_set_errno(e, ERR_IO, "read the file that is to be stored");
			goto out;
		}
		if (n == 0)
			break;
		if (file_write_all(dst_fd, chunk, (size_t)n) < 0) {
			err_set_errno(e, ERR_IO, "write at offset %lld", (long long)offset);
			goto out;
		}
		SHA256Update(&sha, chunk, (size_t)n);
		offset += n;
	}
	if (fsync(dst_fd) < 0) {
		err_set_errno(e, ERR_IO, "make it durable");
		goto out;
	}
	SHA256End(&sha, sha256);
	*size_bytes = offset;
	rc = 0;
out:
	free(chunk);
	return rc;
}

static int sync_dir(const char *dir, struct err *e)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	if (fd < 0)
		return err_set_errno(e, ERR_IO, "open %s", dir);
	rc = fsync(fd);
	if (rc < 0)
		err_set_errno(e, ERR_IO, "make %s durable", dir);
	close(fd);
	return rc;
}

/* mkdir -p that survives a power cut. */
static int make_dirs(const char *path, struct err *e)
{
	struct stat st;
	char *parent;
	int rc;

	if (stat(path, &st) == 0)
		return S_ISDIR(st.st_mode) ? 0 :
					     err_set(e, ERR_IO, "%s is there, but is not a directory", path);
	if (errno != ENOENT)
		return err_set_errno(e, ERR_IO, "make the directory %s", path);
	parent = xstrdup(path);
	for (size_t len = strlen(parent); len > 1 && parent[len - 1] == '/'; len--)
		parent[len - 1] = '\0';
	*strrchr(parent, '/') = '\0';
	rc = parent[0] != '\0' ? make_dirs(parent, e) : 0;
	if (rc == 0 && mkdir(path, 0700) < 0 && errno != EEXIST)
		rc = err_set_errno(e, ERR_IO, "make the directory %s", path);
	if (rc == 0)
		rc = sync_dir(parent[0] != '\0' ? parent : "/", e);
	free(parent);
	return rc;
}

static bool has_content(const char *path, const char *sha256)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char there[STORAGE_SHA_SIZE];
	bool same;

	if (fd < 0)
		return false;
	same = file_sha256(fd, there, NULL) == 0 && strcmp(there, sha256) == 0;
	close(fd);
	return same;
}

int storage_copy(int src_fd, const char *dir, const char *name, char **path, char sha256[STORAGE_SHA_SIZE],
    int64_t *size_bytes, struct err *e)
{
	char digits[13], *tmp;
	int fd, rc = -1;

	*path = NULL;
	if (storage_check_path(dir, e) < 0 || (name != NULL && storage_check_name(name, e) < 0) ||
	    make_dirs(dir, e) < 0)
		return -1;
	sweep(dir);
	id_random_hex(digits, 12);
	tmp = xasprintf("%s/" TMP_PREFIX "%d-%s" TMP_SUFFIX, dir, (int)getppid(), digits);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		err_set_errno(e, ERR_IO, "make a file in %s", dir);
		free(tmp);
		return -1;
	}
	if (copy_and_hash(src_fd, fd, sha256, size_bytes, e) < 0)
		goto out;
	*path = name != NULL ? xasprintf("%s/%s", dir, name) : xasprintf("%s/%s.so", dir, sha256);
	/* Processes that have it open or mapped keep one and the same file. */
	if (name == NULL && has_content(*path, sha256)) {
		rc = 0;
		goto out;
	}
	if (rename(tmp, *path) < 0) {
		err_set_errno(e, ERR_IO, "give it its name %s", *path);
		goto out;
	}
	free(tmp);
	tmp = NULL;
	rc = sync_dir(dir, e);
out:
	close(fd);
	if (tmp != NULL)
		(void)unlink(tmp);
	free(tmp);
	if (rc < 0) {
		err_prefix(e, "store %s in %s", name != NULL ? name : "an artifact", dir);
		free(*path);
		*path = NULL;
	}
	return rc;
}

int storage_remove_path(const char *path, struct err *e)
{
	struct stat st;
	char *parent;
	int rc;

	if (storage_check_path(path, e) < 0)
		return -1;
	if (lstat(path, &st) < 0 && errno == ENOENT)
		return 0;
	if (file_remove_tree(path, e) < 0)
		return -1;
	parent = xstrndup(path, (size_t)(strrchr(path, '/') - path));
	rc = sync_dir(parent[0] != '\0' ? parent : "/", e);
	free(parent);
	return rc;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct storage_entry *)a)->name, ((const struct storage_entry *)b)->name);
}

static int list(const char *dir, mode_t kind, struct storage_entry **entries, uint32_t *n, struct err *e)
{
	struct storage_entry *v = NULL;
	const struct dirent *entry;
	uint32_t n_used = 0, cap = 0;
	DIR *d;

	*entries = NULL;
	*n = 0;
	if (storage_check_path(dir, e) < 0)
		return -1;
	d = opendir(dir);
	if (d == NULL && errno == ENOENT)
		return 0;
	if (d == NULL)
		return err_set_errno(e, ERR_IO, "list %s", dir);
	while ((entry = readdir(d)) != NULL) {
		struct stat st;

		if (entry->d_name[0] == '.' ||
		    fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    (st.st_mode & S_IFMT) != kind)
			continue;
		VEC_RESERVE(v, n_used, cap);
		v[n_used].name = xstrdup(entry->d_name);
		v[n_used].size_bytes = st.st_size;
		v[n_used++].mtime_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
	}
	closedir(d);
	if (n_used > 0)
		qsort(v, n_used, sizeof(*v), by_name);
	*entries = v;
	*n = n_used;
	return 0;
}

int storage_list_dir(const char *dir, struct storage_entry **entries, uint32_t *n, struct err *e)
{
	return list(dir, S_IFREG, entries, n, e);
}

int storage_list_subdirs(const char *dir, struct storage_entry **entries, uint32_t *n, struct err *e)
{
	return list(dir, S_IFDIR, entries, n, e);
}

int storage_read_file(const char *path, int64_t max_bytes, int64_t *size_bytes, struct err *e)
{
	/* A pipe would make the open wait for ever. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), copy = -1;
	struct stat st;
	char *data = NULL;
	size_t len;

	if (fd < 0)
		return err_set_errno(e, errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO,
		    "open %s", path);
	if (fstat(fd, &st) < 0)
		err_set_errno(e, ERR_IO, "look at %s", path);
	else if (!S_ISREG(st.st_mode))
		err_set(e, ERR_INVALID, "%s is not a file", path);
	else if (st.st_size > max_bytes)
		err_set(e, ERR_TOO_LARGE, "%s has %lld bytes, over the limit of %lld", path,
		    (long long)st.st_size, (long long)max_bytes);
	else if (file_read_fd(fd, (size_t)max_bytes, &data, &len, e) < 0)
		err_prefix(e, "%s", path);
	else
		copy = file_memfd("file", data, len, e);
	if (copy >= 0)
		*size_bytes = (int64_t)len;
	free(data);
	close(fd);
	return copy;
}
