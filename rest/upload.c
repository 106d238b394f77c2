/* Uploads into temporary files. */
#include "rest/upload.h"

#include <fcntl.h>
#include <stdbool.h>
#include <strings.h>
#include <unistd.h>

#include "base/file.h"
#include "base/id.h"
#include "base/mem.h"
#include "rest/multipart.h"

#define NAME_MAX_LEN 200 /* beside a uuid it must fit into a file name */

struct upload {
	struct multipart *parts;
	const char *dir;
	unsigned n_files;
	bool in_file;
	bool refused; /* its name ends neither in .jar nor in .so: received, not kept */
	char *name, *path;
	int fd;
	struct err err;
};

static bool ends_with(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n > m && strcasecmp(s + n - m, suffix) == 0;
}

/* The last part of what the client calls its file, with what could disturb a log, a
 * URL or a terminal replaced. */
static char *label_of(const char *filename)
{
	const char *base = filename;
	char *label;
	size_t len;

	for (const char *p = filename; *p != '\0'; p++)
		if (*p == '/' || *p == '\\')
			base = p + 1;
	len = strlen(base);
	if (len > NAME_MAX_LEN) /* the end is kept, since the suffix is there */
		base += len - NAME_MAX_LEN;
	label = xstrdup(base);
	for (char *p = label; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f || strchr("%?#\"'<>&;|*$`", *p) != NULL)
			*p = '_';
	return label;
}

static int open_file(struct upload *u)
{
	char random[33];

	id_random_hex(random, 32);
	free(u->path);
	u->path = xasprintf("%s/upload-%s.tmp", u->dir, random);
	u->fd = open(u->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (u->fd >= 0)
		return 0;
	err_set_errno(&u->err, ERR_IO, "cannot store the upload in %s", u->dir);
	free(u->path);
	u->path = NULL;
	return -1;
}

static int on_begin(void *arg, const char *name, const char *filename)
{
	struct upload *u = arg;

	(void)name; /* Flink does not look at it either */
	u->in_file = filename != NULL;
	if (!u->in_file || ++u->n_files > 1)
		return 0;
	u->name = label_of(filename);
	u->refused = !ends_with(u->name, ".jar") && !ends_with(u->name, ".so");
	return u->refused ? 0 : open_file(u);
}

static int on_data(void *arg, const char *data, size_t len)
{
	struct upload *u = arg;

	if (!u->in_file || u->n_files > 1 || u->fd < 0)
		return 0;
	/* Into the page cache; durable it becomes when the storage process takes it over. */
	if (file_write_all(u->fd, data, len) == 0)
		return 0;
	return err_set_errno(&u->err, ERR_IO, "cannot store the upload in %s", u->dir);
}

static int on_end(void *arg)
{
	struct upload *u = arg;
	int fd = u->fd;

	u->in_file = false;
	if (fd < 0)
		return 0;
	u->fd = -1;
	if (close(fd) == 0)
		return 0;
	return err_set_errno(&u->err, ERR_IO, "cannot store the upload in %s", u->dir);
}

struct upload *upload_create(const char *content_type, const char *dir)
{
	static const struct multipart_events events = { on_begin, on_data, on_end };
	struct upload *u = xcalloc(1, sizeof(*u));

	u->dir = dir;
	u->fd = -1;
	u->parts = multipart_create(content_type, &events, u);
	if (u->parts != NULL)
		return u;
	free(u);
	return NULL;
}

void upload_destroy(struct upload *u)
{
	if (u == NULL)
		return;
	if (u->fd >= 0)
		close(u->fd);
	if (u->path != NULL)
		unlink(u->path);
	multipart_destroy(u->parts);
	free(u->path);
	free(u->name);
	free(u);
}

int upload_feed(struct upload *u, const char *data, size_t len, struct err *e)
{
	const char *why;

	if (multipart_feed(u->parts, data, len, &why) == 0)
		return 0;
	if (why != NULL)
		return err_set(e, ERR_INVALID, "%s", why);
	*e = u->err;
	return -1;
}

int upload_finish(struct upload *u, struct err *e)
{
	if (!multipart_is_complete(u->parts))
		return err_set(e, ERR_INVALID, "The multipart body ends before its closing boundary.");
	if (u->n_files != 1)
		return err_set(e, ERR_INVALID, "Exactly 1 file must be sent, received %u.", u->n_files);
	if (u->refused)
		return err_set(e, ERR_INVALID, "Only Jar files are allowed.");
	return 0;
}

const char *upload_name(const struct upload *u)
{
	return u->name;
}

char *upload_take(struct upload *u)
{
	char *path = u->path;

	u->path = NULL;
	return path;
}
