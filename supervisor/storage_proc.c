/*
 * The storage process: takes requests one after the other, answers each, ends with its
 * channel.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "supervisor/storage_msg.h"
#include "supervisor/storage_ops.h"

/* The parts of an answer that have to be freed. */
struct result {
	struct storage_answer answer;
	char *path, *data;
	char sha256[STORAGE_SHA_SIZE];
	struct storage_entry *entries;
};

static char *full_path(const struct storage_request *q, struct err *e)
{
	char *path;

	if (q->name[0] != '\0' && storage_check_name(q->name, e) < 0)
		return NULL;
	path = q->name[0] != '\0' ? xasprintf("%s/%s", q->dir, q->name) : xstrdup(q->dir);
	if (storage_check_path(path, e) < 0) {
		free(path);
		return NULL;
	}
	return path;
}

static int put(int fd, const char *dir, const char *name, struct result *res, struct err *e)
{
	if (storage_copy(fd, dir, name, &res->path, res->sha256, &res->answer.size_bytes, e) < 0)
		return -1;
	res->answer.path = res->path;
	res->answer.sha256 = res->sha256;
	return 0;
}

static int put_artifact(const struct storage_request *q, struct result *res, struct err *e)
{
	int fd = open(q->name, O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return err_set_errno(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "open %s", q->name);
	rc = put(fd, q->dir, NULL, res, e);
	close(fd);
	return rc;
}

static int put_bytes(const struct storage_request *q, struct result *res, struct err *e)
{
	int fd = file_memfd("record", q->data, q->len, e), rc;

	if (fd < 0)
		return -1;
	rc = put(fd, q->dir, q->name, res, e);
	close(fd);
	return rc;
}

static int read_file(const struct storage_request *q, struct result *res, struct err *e)
{
	char *path = full_path(q, e);
	size_t len = 0;
	int rc;

	if (path == NULL)
		return -1;
	rc = file_read(path, STORAGE_READ_MAX, &res->data, &len, e);
	res->answer.data = rc == 0 ? res->data : NULL;
	res->answer.size_bytes = (int64_t)len;
	free(path);
	return rc;
}

static int read_memfd(const struct storage_request *q, struct result *res, struct err *e)
{
	int64_t max_bytes;

	if (conf_parse_i64(q->name, 1, INT64_MAX, &max_bytes, e) < 0)
		return -1;
	res->answer.fd = storage_read_file(q->dir, max_bytes, &res->answer.size_bytes, e);
	res->answer.has_fd = res->answer.fd >= 0;
	return res->answer.has_fd ? 0 : -1;
}

static int remove_path(const struct storage_request *q, struct err *e)
{
	char *path = full_path(q, e);
	int rc;

	if (path == NULL)
		return -1;
	rc = storage_remove_path(path, e);
	free(path);
	return rc;
}

static int perform(const struct storage_request *q, struct result *res, struct err *e)
{
	switch (q->op) {
	case STORAGE_PUT_FD:
		return put(q->fd, q->dir, q->name, res, e);
	case STORAGE_PUT_ARTIFACT:
		return put_artifact(q, res, e);
	case STORAGE_PUT_BYTES:
		return put_bytes(q, res, e);
	case STORAGE_READ:
		return read_file(q, res, e);
	case STORAGE_REMOVE:
		return remove_path(q, e);
	case STORAGE_LIST:
		if (storage_list_dir(q->dir, &res->entries, &res->answer.n_entries, e) < 0)
			return -1;
		res->answer.entries = res->entries;
		return 0;
	case STORAGE_LIST_DIRS:
		if (storage_list_subdirs(q->dir, &res->entries, &res->answer.n_entries, e) < 0)
			return -1;
		res->answer.entries = res->entries;
		return 0;
	case STORAGE_READ_MEMFD:
		return read_memfd(q, res, e);
	case STORAGE_N_OPS:
		break;
	}
	return err_set(e, ERR_INTERNAL, "the storage process knows no operation %d", (int)q->op);
}

static _Noreturn void give_up(const struct err *e)
{
	log_errorx("storage.failed", KV_MSG("%s; the storage process ends", e->msg));
	_exit(1);
}

static void on_store(int control_fd, struct msg_reader *r)
{
	struct storage_request q;
	struct result res;
	struct msg_writer w;
	struct err e;

	if (storage_decode_request(r, &q, &e) < 0)
		give_up(&e);
	memset(&res, 0, sizeof(res));
	if (perform(&q, &res, &res.answer.err) < 0)
		ASSERT(res.answer.err.code != ERR_NONE);
	if (q.fd >= 0)
		close(q.fd);
	msg_writer_init(&w);
	storage_encode_answer(&w, q.id, &res.answer);
	if (msg_send_fd(control_fd, MSG_STORED, &w, &e) < 0)
		give_up(&e);
	msg_writer_fini(&w);
	free(res.path);
	free(res.data);
	storage_answer_fini(&res.answer);
}

static void on_message(void *arg, unsigned type, struct msg_reader *r)
{
	const int *control_fd = arg;
	struct err e;

	if (type == MSG_STORE) {
		on_store(*control_fd, r);
		return;
	}
	/* Everything before it is answered by now. */
	if (type == MSG_SHUTDOWN)
		_exit(0);
	err_set(&e, ERR_INTERNAL, "a storage process is sent a %s message", msg_type_name(type));
	give_up(&e);
}

static void on_closed(void *arg, const struct err *why)
{
	(void)arg;
	if (why->code != ERR_UNAVAILABLE)
		give_up(why);
	_exit(0);
}

void storage_main(int control_fd)
{
	static const int ignored[] = { SIGPIPE, SIGXFSZ }; /* both come as errors, too */
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct event_base *base = event_base_new();

	ASSERT(base != NULL);
	sigemptyset(&ignore.sa_mask);
	for (unsigned i = 0; i < ARRAY_LEN(ignored); i++)
		ASSERT(sigaction(ignored[i], &ignore, NULL) == 0);
	channel_create(base, control_fd, -1, on_message, on_closed, &control_fd);
	event_base_dispatch(base);
	_exit(1);
}
