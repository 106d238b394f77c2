/*
 * Files: paths, whole-file reads, and writes that are complete or absent.
 */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sha2.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "base/mem.h"

#define CHUNK_BYTES (64 * 1024)

char *file_path_from_uri(const char *uri, struct err *e)
{
	size_t scheme_len = strspn(uri, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
	const char *path = uri;

	if (uri[scheme_len] == ':' && scheme_len > 0) {
		if (scheme_len != 4 || strncasecmp(uri, "file", 4) != 0) {
			err_set(e, ERR_INVALID,
			    "'%s' is not a local path; file:///dir, file:/dir and /dir are", uri);
			return NULL;
		}
		path = uri + 5;
		if (strncmp(path, "//", 2) == 0) {
			/* file://host/dir names another machine, unless the host is empty or this one. */
			path += 2;
			if (strncmp(path, "localhost/", 10) == 0)
				path += 9;
		}
		if (path[0] != '/') {
			err_set(e, ERR_INVALID,
			    "'%s' names no absolute path; file:///dir, file:/dir and /dir do", uri);
			return NULL;
		}
	}
	if (path[0] == '\0') {
		err_set(e, ERR_INVALID, "an empty path");
		return NULL;
	}
	return xstrdup(path);
}

int file_mkdirs(const char *path, struct err *e)
{
	char *partial = xstrdup(path);
	struct stat st;
	int rc = 0;

	for (char *p = partial + 1; rc == 0 && partial[0] != '\0'; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (mkdir(partial, 0700) < 0 && errno != EEXIST)
			rc = err_set_errno(e, ERR_IO, "make the directory %s", partial);
		*p = c;
		if (c == '\0')
			break;
	}
	free(partial);
	if (rc == 0 && stat(path, &st) < 0)
		return err_set_errno(e, ERR_IO, "make the directory %s", path);
	if (rc == 0 && !S_ISDIR(st.st_mode))
		return err_set(e, ERR_IO, "%s is there, but is not a directory", path);
	return rc;
}

int file_read_fd(int fd, size_t max_bytes, char **data, size_t *len, struct err *e)
{
	size_t cap = 0, used = 0;
	char *buffer = NULL;
	struct stat st;

	/* The size is a hint: files of /proc say 0, and a growing one says too little. */
	if (fstat(fd, &st) == 0 && st.st_size > 0 && (uintmax_t)st.st_size <= max_bytes)
		cap = (size_t)st.st_size + 2;
	if (cap == 0)
		cap = 4096;
	buffer = xmalloc(cap);
	for (;;) {
		ssize_t n = pread(fd, buffer + used, cap - used - 1, (off_t)used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			free(buffer);
			return err_set_errno(e, ERR_IO, "read");
		}
		if (n == 0)
			break;
		used += (size_t)n;
		if (used > max_bytes) {
			free(buffer);
			return err_set(e, ERR_TOO_LARGE, "larger than the %zu bytes that are allowed",
			    max_bytes);
		}
		if (cap - used == 1) {
			cap *= 2;
			buffer = xreallocarray(buffer, cap, 1);
		}
	}
	buffer[used] = '\0';
	*data = buffer;
	*len = used;
	return 0;
}

int file_read(const char *path, size_t max_bytes, char **data, size_t *len, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), rc;
	struct stat st;

	if (fd < 0)
		return err_set_errno(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "open %s", path);
	if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
		close(fd);
		return err_set(e, ERR_IO, "%s is not a regular file", path);
	}
	rc = file_read_fd(fd, max_bytes, data, len, e);
	if (rc < 0)
		err_prefix(e, "%s", path);
	close(fd);
	return rc;
}

int file_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* A new name is durable only when its directory is. */
static int sync_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash == NULL ? xstrdup(".") : xstrndup(path, slash == path ? 1 : (size_t)(slash - path));
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = -1, saved_errno;

	if (fd >= 0)
		rc = fsync(fd);
	saved_errno = errno;
	if (fd >= 0)
		close(fd);
	free(dir);
	errno = saved_errno;
	return rc;
}

int file_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *e)
{
	char suffix[13], *temporary;
	int fd, rc = -1;

	id_random_hex(suffix, sizeof(suffix) - 1);
	temporary = xasprintf("%s.%s.tmp", path, suffix);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0) {
		err_set_errno(e, ERR_IO, "make %s", temporary);
		free(temporary);
		return -1;
	}
	if (file_write_all(fd, data, len) < 0) {
		err_set_errno(e, ERR_IO, "write %s", path);
	} else if (fsync(fd) < 0) {
		err_set_errno(e, ERR_IO, "sync %s", path);
	} else if (rename(temporary, path) < 0) {
		err_set_errno(e, ERR_IO, "rename %s to %s", temporary, path);
	} else if (sync_parent(path) < 0) {
		err_set_errno(e, ERR_IO, "sync the directory of %s", path);
	} else {
		rc = 0;
	}
	close(fd);
	/* After the rename there is nothing of that name. */
	if (rc < 0)
		(void)unlink(temporary);
	free(temporary);
	return rc;
}

/* Remove name below dir_fd, whatever it is.  Returns 0 or -1 with errno. */
static int remove_at(int dir_fd, const char *name)
{
	struct dirent *entry;
	DIR *dir;
	int fd, rc = 0, saved_errno;

	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -1;
	/* O_NOFOLLOW: a link that replaced a directory meanwhile must not lead out of the tree. */
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	dir = fdopendir(fd);
	if (dir == NULL) {
		saved_errno = errno;
		close(fd);
		errno = saved_errno;
		return -1;
	}
	while (rc == 0 && (errno = 0, entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			rc = remove_at(fd, entry->d_name);
	if (rc == 0 && errno != 0)
		rc = -1;
	saved_errno = errno;
	closedir(dir);
	errno = saved_errno;
	if (rc == 0 && unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		rc = -1;
	return rc;
}

int file_remove_tree(const char *path, struct err *e)
{
	if (remove_at(AT_FDCWD, path) < 0)
		return err_set_errno(e, ERR_IO, "remove %s", path);
	return 0;
}

int file_sha256(int fd, char hex[65], struct err *e)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t digest[SHA256_DIGEST_LENGTH], *chunk = xmalloc(CHUNK_BYTES);
	SHA2_CTX ctx;
	off_t at = 0;
	ssize_t n;

	SHA256Init(&ctx);
	for (;;) {
		n = pread(fd, chunk, CHUNK_BYTES, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		SHA256Update(&ctx, chunk, (size_t)n);
		at += n;
	}
	free(chunk);
	if (n < 0)
		return err_set_errno(e, ERR_IO, "read for its checksum");
	SHA256Final(digest, &ctx);
	for (unsigned i = 0; i < sizeof(digest); i++) {
		hex[2 * i] = digits[digest[i] >> 4];
		hex[2 * i + 1] = digits[digest[i] & 15];
	}
	hex[64] = '\0';
	return 0;
}

int file_memfd(const char *name, const void *data, size_t len, struct err *e)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return err_set_errno(e, ERR_IO, "make a memory file");
	if (file_write_all(fd, data, len) < 0 || lseek(fd, 0, SEEK_SET) < 0) {
		err_set_errno(e, ERR_IO, "fill a memory file with %zu bytes", len);
		close(fd);
		return -1;
	}
	return fd;
}
