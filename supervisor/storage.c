/*
 * The supervisor's side of the storage process: requests by id, in order.
 */
#include "supervisor/storage.h"

#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/msg.h"
#include "supervisor/backoff.h"
#include "supervisor/loop.h"
#include "supervisor/storage_msg.h"
#include "supervisor/storage_ops.h"

#define RECORD_MAX STORAGE_READ_MAX

struct pending {
	STAILQ_ENTRY(pending) link;
	uint64_t id;
	struct msg_writer body; /* until it is sent */
	int fd;                 /* in body; -1 none */
	bool sent;
	struct err refused; /* before it could be sent: the answer */
	storage_done_fn *cb;
	void *arg;
};

STAILQ_HEAD(pending_list, pending);

struct storage {
	struct children *children;
	struct event_base *base;
	char *artifacts_dir, *jobs_dir;
	struct child *child; /* NULL: waiting for the timer, or stopped */
	struct channel *channel;
	uint32_t generation;
	struct backoff backoff;
	struct event *timer; /* fork; or tell what needs no process */
	uint64_t next_id;
	struct pending_list pending; /* oldest first: the sent ones, then the others */
	bool stopping, told;
	void (*stopped)(void *arg);
	void *stopped_arg;
};

static void start_process(struct storage *st);

static void set_timer(struct storage *st, int64_t delay_ms)
{
	struct timeval tv = { .tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000 };

	ASSERT(event_add(st->timer, &tv) == 0);
}

static void pending_free(struct pending *p)
{
	msg_writer_fini(&p->body);
	if (p->fd >= 0)
		close(p->fd);
	free(p);
}

/* The callback may make new requests. */
static void answer(struct pending *p, const struct storage_answer *a)
{
	if (p->cb != NULL)
		p->cb(p->arg, a);
	pending_free(p);
}

static void fail_all(struct pending_list *list, const char *why)
{
	struct pending *p;

	while ((p = STAILQ_FIRST(list)) != NULL) {
		struct storage_answer a = { .size_bytes = 0 };

		STAILQ_REMOVE_HEAD(list, link);
		if (p->refused.code != ERR_NONE)
			a.err = p->refused;
		else
			err_set(&a.err, ERR_UNAVAILABLE, "%s; try again", why);
		answer(p, &a);
	}
}

static void send_pending(struct storage *st, struct pending *p)
{
	channel_send(st->channel, MSG_STORE, &p->body);
	p->sent = true;
	msg_writer_fini(&p->body);
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

static void on_message(void *arg, unsigned type, struct msg_reader *r)
{
	struct storage *st = arg;
	struct pending *p = STAILQ_FIRST(&st->pending);
	struct storage_answer a;
	struct err e;
	uint64_t id;

	if (type != MSG_STORED) {
		child_kill(st->child, log_fmt("it sent a %s message", msg_type_name(type)));
		return;
	}
	if (storage_decode_answer(r, &id, &a, &e) < 0) {
		child_kill(st->child, e.msg);
		return;
	}
	if (p == NULL || !p->sent || p->id != id) {
		child_kill(st->child, "it answered what was not asked");
	} else {
		STAILQ_REMOVE_HEAD(&st->pending, link);
		if (p->refused.code != ERR_NONE)
			a.err = p->refused;
		answer(p, &a);
	}
	storage_answer_fini(&a);
}

static void on_closed(void *arg, const struct err *why)
{
	struct storage *st = arg;

	/* SIGCHLD follows by itself where the process is ending. */
	if (why->code != ERR_UNAVAILABLE)
		child_kill(st->child, why->msg);
}

static void on_died(void *arg, struct child *c, const struct child_death *d)
{
	struct storage *st = arg;
	struct channel *channel = st->channel;
	struct pending_list lost = STAILQ_HEAD_INITIALIZER(lost);
	struct pending *p;

	(void)c;
	/* What it did before it died is done. */
	channel_drain(channel);
	st->channel = NULL;
	channel_destroy(channel);
	st->child = NULL;
	while ((p = STAILQ_FIRST(&st->pending)) != NULL && p->sent) {
		STAILQ_REMOVE_HEAD(&st->pending, link);
		STAILQ_INSERT_TAIL(&lost, p, link);
	}
	if (!st->stopping && !children_closing(st->children)) {
		int64_t delay_ms = backoff_next(&st->backoff, d->lived_ms);

		if (delay_ms > 0)
			set_timer(st, delay_ms);
		else
			start_process(st);
	}
	fail_all(&lost, "the storage process died before it was done");
	if (st->stopping)
		set_timer(st, 0);
}

static void start_process(struct storage *st)
{
	struct pending *p;
	struct err e;

	st->child = child_fork_storage(st->children, st->generation + 1, on_died, st, &e);
	if (st->child == NULL) {
		int64_t delay_ms = backoff_next(&st->backoff, 0);

		if (delay_ms == 0)
			delay_ms = st->backoff.initial_ms;
		log_errorx("storage.fork_failed", KV_INT("delay_ms", delay_ms),
		    KV_MSG("%s; tried again in %" PRId64 " ms", e.msg, delay_ms));
		set_timer(st, delay_ms);
		return;
	}
	st->generation++;
	st->channel = channel_create(st->base, child_take_control_fd(st->child), LOOP_PRIORITY_CONTROL,
	    on_message, on_closed, st);
	STAILQ_FOREACH(p, &st->pending, link)
		send_pending(st, p);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct storage *st = arg;

	(void)fd;
	(void)what;
	if (!st->stopping) {
		start_process(st);
		return;
	}
	if (st->child != NULL)
		return;
	fail_all(&st->pending, "the supervisor ends");
	if (st->told)
		return;
	st->told = true;
	st->stopped(st->stopped_arg);
}

struct storage *storage_create(const struct storage_config *cfg)
{
	struct storage *st = xcalloc(1, sizeof(*st));

	st->children = cfg->children;
	st->base = cfg->base;
	st->artifacts_dir = xasprintf("%s/artifacts", cfg->dir);
	st->jobs_dir = xasprintf("%s/jobs", cfg->dir);
	st->backoff = (struct backoff)BACKOFF_PROCESS;
	STAILQ_INIT(&st->pending);
	st->timer = evtimer_new(cfg->base, on_timer, st);
	ASSERT(st->timer != NULL && event_priority_set(st->timer, LOOP_PRIORITY_CONTROL) == 0);
	start_process(st);
	return st;
}

void storage_shutdown(struct storage *st, void (*stopped)(void *arg), void *arg)
{
	ASSERT(!st->stopping);
	st->stopping = true;
	st->stopped = stopped;
	st->stopped_arg = arg;
	if (st->child == NULL) {
		set_timer(st, 0);
		return;
	}
	child_expect_exit(st->child);
	channel_send(st->channel, MSG_SHUTDOWN, NULL);
}

void storage_destroy(struct storage *st)
{
	struct pending *p;

	if (st == NULL)
		return;
	ASSERT(st->child == NULL);
	while ((p = STAILQ_FIRST(&st->pending)) != NULL) {
		STAILQ_REMOVE_HEAD(&st->pending, link);
		pending_free(p);
	}
	event_free(st->timer);
	free(st->artifacts_dir);
	free(st->jobs_dir);
	free(st);
}

unsigned storage_n_pending(const struct storage *st)
{
	const struct pending *p;
	unsigned n = 0;

	STAILQ_FOREACH(p, &st->pending, link)
		n++;
	return n;
}

static struct storage_request request(enum storage_op op, const char *dir, const char *name)
{
	return (struct storage_request){ .op = op, .dir = dir, .name = name, .fd = -1 };
}

/* refused: why it cannot be done, or NULL.  The answer comes through the process nevertheless: in order, and
 * never from inside this call. */
static void submit(struct storage *st, struct storage_request q, const struct err *refused,
    storage_done_fn *cb, void *arg)
{
	struct pending *p = xcalloc(1, sizeof(*p));

	p->cb = cb;
	p->arg = arg;
	/* Kept until it is sent: the caller closes its own when it likes. */
	p->fd = refused == NULL && q.fd >= 0 ? fcntl(q.fd, F_DUPFD_CLOEXEC, 0) : -1;
	if (refused != NULL)
		p->refused = *refused;
	else if (q.fd >= 0 && p->fd < 0)
		err_set_errno(&p->refused, ERR_IO, "duplicate the descriptor of %s", q.name);
	if (p->refused.code != ERR_NONE)
		q = request(STORAGE_LIST, "/", "");
	else
		q.fd = p->fd;
	p->id = q.id = ++st->next_id;
	msg_writer_init(&p->body);
	storage_encode_request(&p->body, &q);
	STAILQ_INSERT_TAIL(&st->pending, p, link);
	if (st->child != NULL && !st->stopping)
		send_pending(st, p);
	else if (st->stopping)
		set_timer(st, 0);
}

static void submit_record(struct storage *st, enum storage_op op, const char *key, const void *data,
    size_t len, storage_done_fn *cb, void *arg)
{
	struct storage_request q = request(op, st->jobs_dir, key);
	struct err e;
	int rc = storage_check_name(key, &e);

	if (rc == 0 && len > RECORD_MAX)
		rc = err_set(&e, ERR_TOO_LARGE, "the record %s has %zu bytes, over the limit of %d", key, len,
		    RECORD_MAX);
	q.data = data;
	q.len = rc == 0 ? len : 0;
	submit(st, q, rc == 0 ? NULL : &e, cb, arg);
}

void storage_put_file(struct storage *st, int fd, const char *dir, const char *name, storage_done_fn *cb,
    void *arg)
{
	struct storage_request q = request(STORAGE_PUT_FD, dir, name);
	struct err e;

	q.fd = fd;
	if (fd < 0)
		err_set(&e, ERR_INVALID, "there is no content to store as %s", name);
	submit(st, q, fd < 0 ? &e : NULL, cb, arg);
}

void storage_put_artifact(struct storage *st, const char *src_path, storage_done_fn *cb, void *arg)
{
	submit(st, request(STORAGE_PUT_ARTIFACT, st->artifacts_dir, src_path), NULL, cb, arg);
}

void storage_put_record(struct storage *st, const char *key, const void *data, size_t len,
    storage_done_fn *cb, void *arg)
{
	submit_record(st, STORAGE_PUT_BYTES, key, data, len, cb, arg);
}

void storage_get_record(struct storage *st, const char *key, storage_done_fn *cb, void *arg)
{
	submit_record(st, STORAGE_READ, key, NULL, 0, cb, arg);
}

void storage_delete_record(struct storage *st, const char *key, storage_done_fn *cb, void *arg)
{
	submit_record(st, STORAGE_REMOVE, key, NULL, 0, cb, arg);
}

void storage_list_records(struct storage *st, storage_done_fn *cb, void *arg)
{
	storage_list(st, st->jobs_dir, cb, arg);
}

void storage_remove(struct storage *st, const char *path, storage_done_fn *cb, void *arg)
{
	submit(st, request(STORAGE_REMOVE, path, ""), NULL, cb, arg);
}

void storage_list(struct storage *st, const char *dir, storage_done_fn *cb, void *arg)
{
	submit(st, request(STORAGE_LIST, dir, ""), NULL, cb, arg);
}

void storage_list_dirs(struct storage *st, const char *dir, storage_done_fn *cb, void *arg)
{
	submit(st, request(STORAGE_LIST_DIRS, dir, ""), NULL, cb, arg);
}

void storage_read_memfd(struct storage *st, const char *path, size_t max_bytes, storage_done_fn *cb,
    void *arg)
{
	submit(st, request(STORAGE_READ_MEMFD, path, log_fmt("%zu", max_bytes)), NULL, cb, arg);
}

void storage_read(struct storage *st, const char *path, storage_done_fn *cb, void *arg)
{
	submit(st, request(STORAGE_READ, path, ""), NULL, cb, arg);
}
