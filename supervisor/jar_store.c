/*
 * Uploaded jobs.
 */
#include "supervisor/jar_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"

#define UUID_LEN     36
#define NAME_MAX_LEN 180 /* with the uuid below any file system's limit */

struct jar_store {
	char *dir;
	const struct clock *clock;
	struct storage *storage;
	struct jar *jars; /* oldest first */
	size_t n, cap;
};

/* A request under way. */
struct change {
	struct jar_store *js;
	char *id, *temp_path;
	gw_done_fn *done;
	void *arg;
};

static void change_free(struct change *c)
{
	free(c->id);
	free(c->temp_path);
	free(c);
}

struct jar_store *jar_store_create(const char *dir, const struct clock *clock)
{
	struct jar_store *js = xcalloc(1, sizeof(*js));

	js->dir = xstrdup(dir);
	js->clock = clock;
	return js;
}

void jar_store_destroy(struct jar_store *js)
{
	size_t i;

	if (js == NULL)
		return;
	for (i = 0; i < js->n; i++)
		free(js->jars[i].id);
	free(js->jars);
	free(js->dir);
	free(js);
}

static void enlist(struct jar_store *js, const char *id, int64_t uploaded_ms)
{
	size_t i;

	VEC_RESERVE(js->jars, js->n, js->cap);
	for (i = js->n++; i > 0 && js->jars[i - 1].uploaded_ms > uploaded_ms; i--)
		js->jars[i] = js->jars[i - 1];
	js->jars[i].id = xstrdup(id);
	js->jars[i].uploaded_ms = uploaded_ms;
}

static size_t find(const struct jar_store *js, const char *id)
{
	size_t i;

	for (i = 0; i < js->n && strcmp(js->jars[i].id, id) != 0; i++)
		;
	return i;
}

static bool is_jar_id(const char *name)
{
	size_t len = strlen(name);

	return len > UUID_LEN + 1 && name[8] == '-' && name[UUID_LEN] == '_' &&
	    strspn(name, "0123456789abcdef-") == UUID_LEN;
}

static void on_listed(void *arg, const struct storage_answer *a)
{
	struct jar_store *js = arg;
	uint32_t i;

	if (a->err.code != ERR_NONE) {
		log_warnx("jars.unreadable", KV_STR("dir", js->dir),
		    KV_MSG("%s; uploads of earlier runs are not shown", a->err.msg));
		return;
	}
	for (i = 0; i < a->n_entries; i++)
		if (is_jar_id(a->entries[i].name) && find(js, a->entries[i].name) == js->n)
			enlist(js, a->entries[i].name, a->entries[i].mtime_ms);
}

void jar_store_start(struct jar_store *js, struct storage *storage)
{
	js->storage = storage;
	storage_list(storage, js->dir, on_listed, js);
}

const char *jar_store_dir(const struct jar_store *js)
{
	return js->dir;
}

unsigned jar_store_n(const struct jar_store *js)
{
	return (unsigned)js->n;
}

const struct jar *jar_store_at(const struct jar_store *js, unsigned i)
{
	return &js->jars[js->n - 1 - i];
}

char *jar_store_path(const struct jar_store *js, const char *id, struct err *e)
{
	if (find(js, id) == js->n) {
		err_set(e, ERR_NOT_FOUND, "there is no uploaded job %s", id);
		return NULL;
	}
	return xasprintf("%s/%s", js->dir, id);
}

const char *jar_name(const char *id)
{
	return is_jar_id(id) ? id + UUID_LEN + 1 : id;
}

/* The client's name is a label: its last component, without what a shell or a path could take amiss. */
static char *make_id(const char *name)
{
	char hex[ID_HEX_SIZE], clean[NAME_MAX_LEN + 1];
	const char *base = strrchr(name, '/');
	struct id128 id;
	size_t len;

	base = base != NULL ? base + 1 : name;
	len = strlen(base);
	if (len > NAME_MAX_LEN) /* its end says what it is */
		base += len - NAME_MAX_LEN;
	for (len = 0; base[len] != '\0'; len++) {
		unsigned char ch = (unsigned char)base[len];

		clean[len] = ch > ' ' && ch != 0x7f && strchr("\\\"'`$&|;<>*?%", ch) == NULL ? (char)ch : '_';
	}
	clean[len] = '\0';
	id_random(&id);
	id.b[6] = (id.b[6] & 0x0f) | 0x40; /* version 4 */
	id.b[8] = (id.b[8] & 0x3f) | 0x80;
	id_hex(&id, hex);
	return xasprintf("%.8s-%.4s-%.4s-%.4s-%.12s_%s", hex, hex + 8, hex + 12, hex + 16, hex + 20,
	    len > 0 ? clean : "job");
}

static void on_stored(void *arg, const struct storage_answer *a)
{
	struct change *c = arg;

	storage_remove(c->js->storage, c->temp_path, NULL, NULL);
	if (a->err.code != ERR_NONE) {
		c->done(c->arg, &a->err, NULL);
	} else {
		enlist(c->js, c->id, clock_wall_ms(c->js->clock));
		log_info("jar.added", KV_STR("jar", c->id), KV_INT("bytes", a->size_bytes),
		    KV_STR("sha256", a->sha256), KV_MSG("uploaded job stored"));
		c->done(c->arg, NULL, a->path);
	}
	change_free(c);
}

void jar_store_add(struct jar_store *js, const char *temp_path, const char *name, gw_done_fn *done, void *arg)
{
	struct change *c;
	struct err e;
	int fd = open(temp_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0) {
		err_set_errno(&e, ERR_IO, "open the upload %s", temp_path);
		done(arg, &e, NULL);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->js = js;
	c->id = make_id(name);
	c->temp_path = xstrdup(temp_path);
	c->done = done;
	c->arg = arg;
	storage_put_file(js->storage, fd, js->dir, c->id, on_stored, c);
	close(fd);
}

static void on_removed(void *arg, const struct storage_answer *a)
{
	struct change *c = arg;
	size_t i = find(c->js, c->id);

	if (a->err.code != ERR_NONE) {
		c->done(c->arg, &a->err, NULL);
	} else {
		if (i < c->js->n) {
			free(c->js->jars[i].id);
			memmove(&c->js->jars[i], &c->js->jars[i + 1],
			    (c->js->n - i - 1) * sizeof(c->js->jars[0]));
			c->js->n--;
		}
		log_info("jar.removed", KV_STR("jar", c->id), KV_MSG("uploaded job removed"));
		c->done(c->arg, NULL, NULL);
	}
	change_free(c);
}

void jar_store_remove(struct jar_store *js, const char *id, gw_done_fn *done, void *arg)
{
	struct change *c;
	struct err e;
	char *path = jar_store_path(js, id, &e);

	if (path == NULL) {
		done(arg, &e, NULL);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->js = js;
	c->id = xstrdup(id);
	c->done = done;
	c->arg = arg;
	storage_remove(js->storage, path, on_removed, c);
	free(path);
}
