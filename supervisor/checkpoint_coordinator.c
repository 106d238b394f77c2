/*
 * The CheckpointCoordinator.
 */
#include "supervisor/checkpoint_coordinator.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "supervisor/checkpoint_retention.h"
#include "supervisor/checkpoint_stats.h"

#define DEFAULT_HISTORY 10
#define NOT_RUNNING     "Not all required tasks are currently running."

/* One in progress. */
struct pending {
	TAILQ_ENTRY(pending) link; /* by id */
	uint64_t id, attempt;
	enum checkpoint_kind kind;
	bool storing;
	int64_t deadline_ns;
	uint64_t request; /* 0: nobody asked */
	char *target;
	struct cc_checkpoint *record;
	struct checkpoint_task *tasks; /* as acknowledged; data is ours */
	uint32_t n_tasks;
	size_t state_bytes;
	int fd; /* STORING: its bytes */
};
TAILQ_HEAD(pending_list, pending);

struct task {
	struct cc_task t;
	bool finished;
};

struct coordinator {
	struct id128 job_id;
	char *job_name;
	struct cc_settings settings;
	const struct clock *clock;
	const struct cc_ops *ops;
	void *arg;

	uint64_t attempt; /* 0: none runs */
	bool closed;
	struct task *tasks;
	uint32_t n_tasks, n_finished;

	uint64_t next_id, notified_id;
	struct pending_list pending;
	uint32_t n_pending;
	uint64_t stopping_id;  /* the SYNC_SAVEPOINT under way or done in this attempt, 0: none */
	int64_t next_ns;       /* when the next periodic one is due */
	int64_t pause_ends_ns; /* and not before */
	int64_t n_failures;    /* in a row */
	struct err overdone;   /* too many of them; told at the end of the event */

	struct retention durable;
	struct checkpoint_stats stats;
};

/* ---- life ---- */

struct coordinator *coordinator_create(const struct id128 *job_id, const char *job_name,
    const struct cc_settings *s, uint64_t first_id, const struct clock *clock, const struct cc_ops *ops,
    void *arg)
{
	struct coordinator *c = xcalloc(1, sizeof(*c));

	c->job_id = *job_id;
	c->job_name = xstrdup(job_name);
	c->settings = *s;
	c->clock = clock;
	c->ops = ops;
	c->arg = arg;
	c->next_id = first_id > 0 ? first_id : 1;
	TAILQ_INIT(&c->pending);
	retention_init(&c->durable);
	stats_init(&c->stats, s->history_size > 0 ? s->history_size : DEFAULT_HISTORY);
	return c;
}

static void pending_free(struct coordinator *c, struct pending *p)
{
	TAILQ_REMOVE(&c->pending, p, link);
	c->n_pending--;
	for (uint32_t i = 0; i < p->n_tasks; i++)
		free((void *)(uintptr_t)p->tasks[i].data);
	free(p->tasks);
	free(p->target);
	if (p->fd >= 0)
		close(p->fd);
	free(p);
}

void coordinator_destroy(struct coordinator *c)
{
	struct pending *p;

	if (c == NULL)
		return;
	while ((p = TAILQ_FIRST(&c->pending)) != NULL)
		pending_free(c, p);
	retention_fini(&c->durable);
	stats_fini(&c->stats);
	free(c->tasks);
	free(c->job_name);
	free(c);
}

static int64_t now_ns(const struct coordinator *c)
{
	return clock_mono_ns(c->clock);
}

static struct pending *find_pending(const struct coordinator *c, uint64_t id)
{
	struct pending *p;

	for (p = TAILQ_FIRST(&c->pending); p != NULL; p = TAILQ_NEXT(p, link)) {
		if (p->id == id)
			return p;
	}
	return NULL;
}

/* Index of a task of this attempt, or -1. */
static int64_t find_task(const struct coordinator *c, uint32_t vertex, uint32_t subtask)
{
	for (uint32_t i = 0; i < c->n_tasks; i++) {
		if (c->tasks[i].t.vertex_idx == vertex && c->tasks[i].t.subtask == subtask)
			return i;
	}
	return -1;
}

/* The one that a message of a task is about, if it still waits for such. */
static struct pending *find_triggered(const struct coordinator *c, const struct id128 *job_id,
    uint64_t attempt, uint64_t id)
{
	struct pending *p = id_equal(job_id, &c->job_id) ? find_pending(c, id) : NULL;

	return p != NULL && !p->storing && p->attempt == attempt && attempt == c->attempt ? p : NULL;
}

/* ---- the end of one ---- */

static void count_failure(struct coordinator *c, uint64_t id, const char *why)
{
	if (++c->n_failures <= c->settings.tolerable_failures)
		return;
	err_set(&c->overdone, ERR_USER,
	    "checkpoint %" PRIu64 " failed, the %" PRId64 ". in a row where %" PRId64 " are tolerated: %s",
	    id, c->n_failures, c->settings.tolerable_failures, why);
	c->n_failures = 0;
}

/* counted: a failure of the checkpoint itself, not of what is around it. */
static void fail(struct coordinator *c, struct pending *p, bool counted, enum err_code code, const char *why)
{
	uint64_t id = p->id, request = p->request;
	bool runs = p->attempt == c->attempt;
	struct err e;

	err_set(&e, code, "%s", why);
	stats_failed(&c->stats, p->record, why, clock_wall_ms(c->clock));
	c->pause_ends_ns = now_ns(c) + c->settings.min_pause_ms * NS_PER_MS;
	if (counted && runs && p->kind == CHECKPOINT_PERIODIC)
		count_failure(c, id, why);
	if (c->stopping_id == id)
		c->stopping_id = 0;
	pending_free(c, p);
	if (runs)
		c->ops->abort(c->arg, id);
	if (request != 0)
		c->ops->savepoint_done(c->arg, request, NULL, &e);
}

/* Last in each event: the answer to it may be coordinator_stop. */
static void tell_overdone(struct coordinator *c)
{
	struct err e = c->overdone;

	c->overdone.code = ERR_NONE;
	if (e.code != ERR_NONE && c->attempt != 0)
		c->ops->too_many_failures(c->arg, &e);
}

/* What is older and not ours to keep waits in vain: a newer one has been completed. */
static void subsume_older(struct coordinator *c, uint64_t id)
{
	struct pending *p, *next;

	for (p = TAILQ_FIRST(&c->pending); p != NULL && p->id < id; p = next) {
		next = TAILQ_NEXT(p, link);
		if (p->kind == CHECKPOINT_PERIODIC && !p->storing)
			fail(c, p, false, ERR_CONFLICT,
			    log_fmt("checkpoint %" PRIu64 " was completed before it", id));
	}
}

static void discard_subsumed(struct coordinator *c)
{
	uint32_t n_allowed = c->settings.num_retained > 0 ? c->settings.num_retained : 1;
	struct retained oldest;

	while (retention_take_surplus(&c->durable, n_allowed, &oldest)) {
		stats_discarded(&c->stats, oldest.id);
		c->ops->discard(c->arg, oldest.id, oldest.path);
		free(oldest.path);
	}
}

void coordinator_close(struct coordinator *c)
{
	ASSERT(c->attempt == 0);
	c->closed = true;
	retention_set_latest(&c->durable, 0, -1, CHECKPOINT_PERIODIC, NULL);
}

static void complete(struct coordinator *c, struct pending *p, const char *path)
{
	uint64_t id = p->id, request = p->request;
	enum checkpoint_kind kind = p->kind;
	bool notify = p->attempt == c->attempt && kind != CHECKPOINT_SAVEPOINT;

	stats_completed(&c->stats, p->record, path, clock_wall_ms(c->clock));
	c->pause_ends_ns = now_ns(c) + c->settings.min_pause_ms * NS_PER_MS;
	c->n_failures = 0;
	if (kind == CHECKPOINT_PERIODIC)
		retention_keep(&c->durable, id, path);
	if (kind != CHECKPOINT_SAVEPOINT && id > c->durable.latest_id && !c->closed) {
		retention_set_latest(&c->durable, id, p->fd, kind, path);
		p->fd = -1;
	}
	pending_free(c, p);
	if (kind == CHECKPOINT_PERIODIC) {
		subsume_older(c, id);
		discard_subsumed(c);
	}
	/* Tasks hear of ids in ascending order; those that stop wait for theirs. */
	if (notify && (id > c->notified_id || kind == CHECKPOINT_SYNC_SAVEPOINT)) {
		c->notified_id = id > c->notified_id ? id : c->notified_id;
		c->ops->notify(c->arg, id);
	}
	if (request != 0)
		c->ops->savepoint_done(c->arg, request, path, NULL);
}

/* ---- from trigger to storing ---- */

static void store_when_complete(struct coordinator *c, struct pending *p)
{
	struct checkpoint_file f = { .job_id = c->job_id,
		.job_name = c->job_name,
		.id = p->id,
		.attempt = p->attempt,
		.kind = p->kind,
		.trigger_wall_ms = p->record->trigger_ms,
		.tasks = p->tasks,
		.n_tasks = p->n_tasks };
	struct err e;

	/* When all have ended nobody will ask for it, and the attempt is about to be over. */
	if (p->record->n_acked < p->n_tasks || c->n_finished == c->n_tasks)
		return;
	p->fd = retention_bytes(&f, &e);
	if (p->fd < 0) {
		fail(c, p, true, e.code, e.msg);
		return;
	}
	p->storing = true;
	c->ops->store(c->arg, &f, p->target);
}

static void mark_finished(struct pending *p, uint32_t idx, int64_t now_ms)
{
	p->tasks[idx].finished = true;
	stats_ack(p->record, idx, NULL, now_ms);
}

static struct pending *begin(struct coordinator *c, enum checkpoint_kind kind)
{
	struct pending *p = xcalloc(1, sizeof(*p));
	int64_t wall_ms = clock_wall_ms(c->clock);

	p->id = c->next_id++;
	p->attempt = c->attempt;
	p->kind = kind;
	p->deadline_ns = now_ns(c) + c->settings.timeout_ms * NS_PER_MS;
	p->fd = -1;
	p->n_tasks = c->n_tasks;
	p->tasks = xcalloc((size_t)c->n_tasks + 1, sizeof(*p->tasks));
	p->record = stats_begin(&c->stats, p->id, kind, c->n_tasks, wall_ms);
	for (uint32_t i = 0; i < c->n_tasks; i++) {
		const struct cc_task *t = &c->tasks[i].t;

		p->tasks[i].vertex = t->vertex;
		p->tasks[i].subtask = t->subtask;
		p->tasks[i].parallelism = t->parallelism;
		p->tasks[i].max_parallelism = t->max_parallelism;
		if (c->tasks[i].finished)
			mark_finished(p, i, wall_ms);
	}
	TAILQ_INSERT_TAIL(&c->pending, p, link);
	c->n_pending++;
	return p;
}

static void trigger(struct coordinator *c, const struct pending *p, bool drain)
{
	struct ctl_trigger t = { .job_id = c->job_id,
		.attempt = p->attempt,
		.checkpoint_id = p->id,
		.kind = p->kind,
		.drain = drain,
		.trigger_wall_ms = p->record->trigger_ms };

	c->ops->trigger(c->arg, &t);
}

static bool may_trigger(const struct coordinator *c)
{
	return c->attempt != 0 && c->n_finished < c->n_tasks && c->stopping_id == 0;
}

/* Periodic ones go on, but for a place among the concurrent ones. */
static bool is_periodic(const struct coordinator *c)
{
	return may_trigger(c) && c->settings.interval_ms > 0 &&
	    c->n_pending < (c->settings.max_concurrent > 0 ? c->settings.max_concurrent : 1);
}

static int64_t due_ns(const struct coordinator *c)
{
	return c->next_ns > c->pause_ends_ns ? c->next_ns : c->pause_ends_ns;
}

/* ---- events ---- */

void coordinator_start(struct coordinator *c, uint64_t attempt, const struct cc_task *tasks, uint32_t n_tasks)
{
	ASSERT(c->attempt == 0 && attempt != 0);
	c->attempt = attempt;
	free(c->tasks);
	c->tasks = xcalloc((size_t)n_tasks + 1, sizeof(*c->tasks));
	for (uint32_t i = 0; i < n_tasks; i++)
		c->tasks[i].t = tasks[i];
	c->n_tasks = n_tasks;
	c->n_finished = 0;
	c->n_failures = 0;
	c->stopping_id = 0;
	c->next_ns = now_ns(c) + c->settings.interval_ms * NS_PER_MS;
}

void coordinator_stop(struct coordinator *c, const char *why)
{
	struct pending *p;

	if (c->attempt == 0)
		return;
	/* Nobody is there any more to be told of an abort. */
	c->attempt = 0;
	c->stopping_id = 0;
	c->overdone.code = ERR_NONE;
	do {
		/* From the start each time: what is told may be answered by another call. */
		for (p = TAILQ_FIRST(&c->pending); p != NULL; p = TAILQ_NEXT(p, link)) {
			if (!p->storing) {
				fail(c, p, false, ERR_CONFLICT, why);
				break;
			}
		}
	} while (p != NULL);
}

void coordinator_on_finished(struct coordinator *c, uint64_t attempt, uint32_t vertex, uint32_t subtask)
{
	int64_t idx = attempt == c->attempt && attempt != 0 ? find_task(c, vertex, subtask) : -1;
	struct pending *p;

	if (idx < 0 || c->tasks[idx].finished)
		return;
	c->tasks[idx].finished = true;
	c->n_finished++;
	do {
		for (p = TAILQ_FIRST(&c->pending); p != NULL; p = TAILQ_NEXT(p, link)) {
			if (p->storing || p->attempt != c->attempt || p->record->subtasks[idx].acked)
				continue;
			mark_finished(p, (uint32_t)idx, clock_wall_ms(c->clock));
			store_when_complete(c, p);
			break;
		}
	} while (p != NULL);
	tell_overdone(c);
}

void coordinator_on_ack(struct coordinator *c, const struct ctl_ack *a)
{
	struct pending *p = find_triggered(c, &a->job_id, a->attempt, a->checkpoint_id);
	int64_t idx = p != NULL ? find_task(c, a->vertex, a->subtask) : -1;

	if (idx < 0 || p->record->subtasks[idx].acked)
		return;
	p->state_bytes += a->state_len;
	if (a->state_len > CHECKPOINT_FILE_MAX || p->state_bytes > CHECKPOINT_FILE_MAX) {
		fail(c, p, true, ERR_TOO_LARGE,
		    log_fmt("its state has more than %u bytes in all, which is the limit",
			CHECKPOINT_FILE_MAX));
	} else {
		p->tasks[idx].data = a->state_len > 0 ? xmemdup(a->state, a->state_len) : NULL;
		p->tasks[idx].len = a->state_len;
		stats_ack(p->record, (uint32_t)idx, a, clock_wall_ms(c->clock));
		store_when_complete(c, p);
	}
	tell_overdone(c);
}

void coordinator_on_decline(struct coordinator *c, const struct ctl_decline *d)
{
	struct pending *p = find_triggered(c, &d->job_id, d->attempt, d->checkpoint_id);
	int64_t idx = p != NULL ? find_task(c, d->vertex, d->subtask) : -1;
	char hex[ID_HEX_SIZE];

	if (idx < 0)
		return;
	fail(c, p, true, d->why.code != ERR_NONE ? d->why.code : ERR_USER,
	    log_fmt("subtask %" PRIu32 " of vertex %s declined it: %s", d->subtask + 1,
		id_hex(&c->tasks[idx].t.vertex, hex),
		d->why.code != ERR_NONE ? d->why.msg : "no reason given"));
	tell_overdone(c);
}

void coordinator_on_stored(struct coordinator *c, uint64_t checkpoint_id, const char *path,
    const struct err *e)
{
	struct pending *p = find_pending(c, checkpoint_id);

	if (p != NULL && p->storing) {
		if (e != NULL)
			fail(c, p, true, e->code, e->msg);
		else
			complete(c, p, path);
	} else if (p == NULL && e == NULL && checkpoint_id < c->next_id) {
		const struct cc_checkpoint *record = stats_find(&c->stats, checkpoint_id);

		/* Given up before it was durable: nobody knows of it, and it must not be found. */
		if (record == NULL || record->status == CC_FAILED)
			c->ops->discard(c->arg, checkpoint_id, path);
	}
	tell_overdone(c);
}

void coordinator_on_time(struct coordinator *c)
{
	int64_t now = now_ns(c);
	struct pending *p;

	do {
		for (p = TAILQ_FIRST(&c->pending); p != NULL; p = TAILQ_NEXT(p, link)) {
			if (p->deadline_ns <= now) {
				fail(c, p, true, ERR_TIMEOUT,
				    log_fmt("it expired after %" PRId64 " ms, %s", c->settings.timeout_ms,
					p->storing ? "while it was stored" :
						     "before all tasks had acknowledged it"));
				break;
			}
		}
	} while (p != NULL);
	if (is_periodic(c) && due_ns(c) <= now && c->overdone.code == ERR_NONE) {
		c->next_ns += c->settings.interval_ms * NS_PER_MS;
		/* What was missed meanwhile is not made up for. */
		if (c->next_ns <= now)
			c->next_ns = now + c->settings.interval_ms * NS_PER_MS;
		trigger(c, begin(c, CHECKPOINT_PERIODIC), false);
	}
	tell_overdone(c);
}

int64_t coordinator_deadline_ns(const struct coordinator *c)
{
	int64_t earliest = is_periodic(c) ? due_ns(c) : INT64_MAX;
	const struct pending *p;

	for (p = TAILQ_FIRST(&c->pending); p != NULL; p = TAILQ_NEXT(p, link)) {
		if (p->deadline_ns < earliest)
			earliest = p->deadline_ns;
	}
	return earliest;
}

void coordinator_savepoint(struct coordinator *c, uint64_t request, enum checkpoint_kind kind, bool drain,
    const char *target)
{
	char hex[ID_HEX_SIZE];
	struct pending *p;
	struct err e;

	ASSERT(request != 0 && kind != CHECKPOINT_PERIODIC);
	if (!may_trigger(c)) {
		err_set(&e, ERR_CONFLICT, "a savepoint of job %s cannot be taken: %s",
		    id_hex(&c->job_id, hex),
		    c->stopping_id != 0 ? "the job is already being stopped with a savepoint." : NOT_RUNNING);
		c->ops->savepoint_done(c->arg, request, NULL, &e);
		return;
	}
	p = begin(c, kind);
	p->request = request;
	p->target = xstrdup(target);
	if (kind == CHECKPOINT_SYNC_SAVEPOINT)
		c->stopping_id = p->id;
	trigger(c, p, drain);
}

/* ---- what a restart begins with ---- */

bool coordinator_storing(const struct coordinator *c)
{
	const struct pending *p;

	for (p = TAILQ_FIRST(&c->pending); p != NULL; p = TAILQ_NEXT(p, link)) {
		if (p->storing && p->kind != CHECKPOINT_SAVEPOINT)
			return true;
	}
	return false;
}

uint64_t coordinator_latest(const struct coordinator *c, int *fd)
{
	*fd = c->durable.latest_fd;
	return c->durable.latest_id;
}

uint64_t coordinator_latest_place(const struct coordinator *c, const char **path, enum checkpoint_kind *kind)
{
	*path = c->durable.latest_path;
	*kind = c->durable.latest_kind;
	return c->durable.latest_id;
}

void coordinator_restored(struct coordinator *c, uint64_t checkpoint_id, int fd, enum checkpoint_kind kind,
    const char *path, bool first)
{
	stats_restored(&c->stats, checkpoint_id, kind, path, clock_wall_ms(c->clock));
	if (first) {
		if (kind == CHECKPOINT_PERIODIC && path != NULL)
			retention_keep(&c->durable, checkpoint_id, path);
		retention_set_latest(&c->durable, checkpoint_id, fd, kind, path);
		if (c->next_id <= checkpoint_id)
			c->next_id = checkpoint_id + 1;
	} else if (fd >= 0 && fd != c->durable.latest_fd) {
		close(fd);
	}
}

void coordinator_retain(struct coordinator *c, uint64_t checkpoint_id, const char *path)
{
	retention_keep(&c->durable, checkpoint_id, path);
}

/* ---- statistics ---- */

struct cc_counts coordinator_counts(const struct coordinator *c)
{
	return c->stats.counts;
}

const struct cc_summary *coordinator_summary(const struct coordinator *c)
{
	return &c->stats.summary;
}

struct cc_restored coordinator_last_restored(const struct coordinator *c)
{
	return c->stats.restored;
}

uint32_t coordinator_history(const struct coordinator *c, const struct cc_checkpoint *const **newest_first)
{
	return stats_history(&c->stats, newest_first);
}

const struct cc_checkpoint *coordinator_latest_of(const struct coordinator *c, enum cc_status s,
    bool savepoint)
{
	return stats_latest(&c->stats, s, savepoint);
}

const struct cc_checkpoint *coordinator_find(const struct coordinator *c, uint64_t checkpoint_id)
{
	return stats_find(&c->stats, checkpoint_id);
}
