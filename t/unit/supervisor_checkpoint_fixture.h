/*
 * The CheckpointCoordinator of one job under test: what it asks for is noted as a line of words.
 */
#ifndef T_UNIT_SUPERVISOR_CHECKPOINT_FIXTURE_H
#define T_UNIT_SUPERVISOR_CHECKPOINT_FIXTURE_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "supervisor/checkpoint_coordinator.h"
#include "t/tap.h"

static struct clock_virtual now;
static struct coordinator *c;
static const struct id128 job = { { 0xab, 0xcd, 0xef } };
static char done[4096]; /* what was asked for since the last look */
static char last_error[1200], stored_target[64];
static uint64_t stop_in_callback;

static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *fmt, ...)
{
	size_t len = strlen(done);
	va_list ap;

	va_start(ap, fmt);
	if (len > 0)
		done[len++] = ' ';
	vsnprintf(done + len, sizeof(done) - len, fmt, ap);
	va_end(ap);
}

static void on_trigger(void *arg, const struct ctl_trigger *t)
{
	(void)arg;
	ok(id_equal(&t->job_id, &job) && t->trigger_wall_ms == now.wall_ms,
	    "a trigger says its job and when");
	note("%s%s:%d/%d", checkpoint_kind_name((enum checkpoint_kind)t->kind), t->drain ? "(drain)" : "",
	    (int)t->checkpoint_id, (int)t->attempt);
}

static void on_notify(void *arg, uint64_t id)
{
	(void)arg;
	note("notify:%d", (int)id);
}

static void on_abort(void *arg, uint64_t id)
{
	(void)arg;
	note("abort:%d", (int)id);
}

static void on_store(void *arg, const struct checkpoint_file *f, const char *target)
{
	size_t len;
	void *data = checkpoint_file_encode(f, &len);
	struct checkpoint_file read;
	struct err e = { 0 };

	(void)arg;
	is_int(checkpoint_file_decode(data, len, &read, &e), 0, "what is to be stored is whole %s", e.msg);
	checkpoint_file_fini(&read);
	free(data);
	snprintf(stored_target, sizeof(stored_target), "%s", target != NULL ? target : "none");
	note("store:%d", (int)f->id);
}

static void on_discard(void *arg, uint64_t id, const char *path)
{
	(void)arg;
	note("discard:%d(%s)", (int)id, path);
}

static void on_too_many(void *arg, const struct err *e)
{
	(void)arg;
	snprintf(last_error, sizeof(last_error), "%s", e->msg);
	note("toomany");
	coordinator_stop(c, "too many checkpoints failed");
}

static void on_savepoint(void *arg, uint64_t request, const char *path, const struct err *e)
{
	(void)arg;
	snprintf(last_error, sizeof(last_error), "%s", e != NULL ? e->msg : "");
	note("answer:%d(%s)", (int)request, path != NULL ? path : "refused");
	if (stop_in_callback == request)
		coordinator_stop(c, "the answer was not liked");
}

static const struct cc_ops ops = { on_trigger, on_notify, on_abort, on_store, on_discard, on_too_many,
	on_savepoint };

/* Vertex 0 with two subtasks, vertex 1 with one. */
static const struct cc_task tasks[] = { { { { 1 } }, 0, 0, 2, 128 }, { { { 1 } }, 0, 1, 2, 128 },
	{ { { 2 } }, 1, 0, 1, 64 } };

__attribute__((unused)) static void create(const struct cc_settings *s, uint64_t first_id)
{
	coordinator_destroy(c);
	c = coordinator_create(&job, "counting", s, first_id, &now.clock, &ops, NULL);
	done[0] = '\0';
}

static const struct cc_settings ordinary = { .interval_ms = 1000,
	.timeout_ms = 5000,
	.max_concurrent = 1,
	.num_retained = 1,
	.tolerable_failures = 10 };

__attribute__((unused)) static void start(uint64_t attempt)
{
	coordinator_start(c, attempt, tasks, ARRAY_LEN(tasks));
}

__attribute__((unused)) static void ack(uint64_t attempt, uint64_t id, uint32_t vertex, uint32_t subtask)
{
	struct ctl_ack a = { .job_id = job,
		.attempt = attempt,
		.checkpoint_id = id,
		.vertex = vertex,
		.subtask = subtask,
		.state = "state",
		.state_len = 5,
		.sync_ns = 10,
		.async_ns = 20,
		.alignment_ns = 30,
		.start_delay_ns = 40,
		.processed_bytes = 50 };

	coordinator_on_ack(c, &a);
}

__attribute__((unused)) static void ack_all(uint64_t attempt, uint64_t id)
{
	ack(attempt, id, 0, 0);
	ack(attempt, id, 0, 1);
	ack(attempt, id, 1, 0);
}

__attribute__((unused)) static void decline(uint64_t attempt, uint64_t id, const char *why)
{
	struct ctl_decline d = { .job_id = job, .attempt = attempt, .checkpoint_id = id, .vertex = 1 };

	if (why != NULL)
		err_set(&d.why, ERR_IO, "%s", why);
	coordinator_on_decline(c, &d);
}

__attribute__((unused)) static void stored(uint64_t id, const char *why)
{
	char path[32];
	struct err e;

	err_set(&e, ERR_IO, "%s", why != NULL ? why : "");
	snprintf(path, sizeof(path), "chk-%d", (int)id);
	coordinator_on_stored(c, id, why == NULL ? path : NULL, why == NULL ? NULL : &e);
}

__attribute__((unused)) static void pass(int64_t ms)
{
	clock_virtual_advance(&now, ms);
	coordinator_on_time(c);
}

static void happened_at(const char *words, const char *what, int line)
{
	if (!tap_check(strcmp(done, words) == 0, __FILE__, line, "%s", what))
		printf("#   got  '%s'\n#   want '%s'\n", done, words);
	done[0] = '\0';
}
#define happened(words, what) happened_at((words), (what), __LINE__)

__attribute__((unused)) static uint64_t latest(void)
{
	int fd;
	uint64_t id = coordinator_latest(c, &fd);

	ok((fd >= 0) == (id != 0), "bytes are at hand when there is one");
	return id;
}

#endif
