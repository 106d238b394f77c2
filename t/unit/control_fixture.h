/*
 * For tests of control messages: a body as it arrives, and what is done to it by accident or malice.
 *
 * Include it in exactly one file of a test program.
 */
#ifndef T_UNIT_CONTROL_FIXTURE_H
#define T_UNIT_CONTROL_FIXTURE_H

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/mem.h"
#include "shm/metrics.h"
#include "t/tap.h"
#include "worker/control.h"

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = -1; /* its own */

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n - 2;
}

/* What a channel hands to a decoder: the first len bytes and duplicates of the descriptors. */
struct arrived {
	struct msg_reader r;
	uint8_t *body;
	int fds[MSG_FDS_MAX];
};

static void arrive(struct arrived *a, const struct msg_writer *w, size_t len)
{
	/* In memory of exactly that length, so that ASan sees a step beyond. */
	a->body = xmemdup(len > 0 ? w->data : (const void *)"", len);
	for (unsigned i = 0; i < w->n_fds; i++)
		a->fds[i] = fcntl(w->fds[i], F_DUPFD_CLOEXEC, 0);
	a->r = (struct msg_reader){ .p = a->body, .end = a->body + len, .fds = a->fds, .n_fds = w->n_fds };
}

static void leave(struct arrived *a)
{
	for (unsigned i = 0; i < a->r.n_fds; i++)
		if (a->fds[i] >= 0)
			close(a->fds[i]);
	free(a->body);
}

/* Decode and, where that succeeds, free; returns what the decoder returned. */
typedef int decode_fn(struct msg_reader *r, struct err *e);

/* Every shorter body, one byte more, a descriptor too few or too many, and each byte changed. */
static void check_damage(const struct msg_writer *w, decode_fn *decode, const char *name)
{
	int fds = count_fds();
	unsigned accepted = 0, silent = 0;
	struct msg_writer longer = *w;
	struct arrived a;
	struct err e;

	for (size_t len = 0; len < w->len; len++) {
		memset(&e, 0, sizeof(e));
		arrive(&a, w, len);
		accepted += decode(&a.r, &e) == 0;
		silent += e.code != ERR_INTERNAL;
		leave(&a);
	}
	is_int(accepted, 0, "%s: no cut body of %zu lengths is accepted", name, w->len);
	is_int(silent, 0, "%s: each refusal says why", name);

	longer.data = xmalloc(w->len + 1);
	memcpy(longer.data, w->data, w->len);
	longer.data[w->len] = 0;
	arrive(&a, &longer, w->len + 1);
	ok(decode(&a.r, &e) < 0, "%s: a byte too many is refused", name);
	leave(&a);
	for (size_t i = 0; i < w->len; i++) {
		for (unsigned flip = 0; flip < 3; flip++) {
			static const uint8_t masks[] = { 0x01, 0x80, 0xff };

			longer.data[i] ^= masks[flip];
			arrive(&a, &longer, w->len);
			(void)decode(&a.r, &e);
			leave(&a);
			longer.data[i] ^= masks[flip];
		}
	}
	free(longer.data);

	if (w->n_fds > 0) {
		arrive(&a, w, w->len);
		close(a.fds[--a.r.n_fds]);
		ok(decode(&a.r, &e) < 0, "%s: a missing descriptor is refused", name);
		leave(&a);
	}
	if (w->n_fds < MSG_FDS_MAX) {
		longer = *w;
		longer.fds[longer.n_fds++] = STDIN_FILENO;
		arrive(&a, &longer, w->len);
		ok(decode(&a.r, &e) < 0, "%s: a descriptor that nobody takes is refused", name);
		leave(&a);
	}
	is_int(count_fds(), fds, "%s: no descriptor is left open", name);
}

/* A deploy whose slot 1 is the worker's own; every other slot has a doorbell. */
static void make_deploy(struct ctl_deploy *d, uint32_t n_slots, int fd)
{
	static char name[] = "Click Event Count", artifact[] = "/state/artifacts/ab.so", a0[] = "--topic",
		    a1[] = "";
	static char *argv[] = { a0, a1, NULL };
	static struct ctl_deploy_slot own[1] = { { .slot = 1, .local_slot = 3 } };
	static struct ctl_deploy_task tasks[2] = {
		{ .vertex = 0, .subtask = 1, .attempt = 4, .metrics_block = 17 },
		{ .vertex = 1, .subtask = 1, .attempt = 4, .metrics_block = METRICS_TASK_BLOCKS - 1 }
	};

	memset(d, 0, sizeof(*d));
	memset(d->job_id.b, 0xab, sizeof(d->job_id.b));
	memset(tasks[1].execution.b, 0x17, sizeof(tasks[1].execution.b));
	d->attempt = 9;
	d->job_name = name;
	d->artifact = artifact;
	d->argv = argv;
	d->argc = 2;
	d->default_parallelism = 5;
	d->force_parallelism = true;
	d->plan_fd = fd;
	d->exchange_fd = fd;
	d->n_slots = n_slots;
	d->eventfds = xcalloc(n_slots, sizeof(*d->eventfds));
	for (uint32_t i = 0; i < n_slots; i++)
		d->eventfds[i] = i == 1 ? -1 : fd;
	d->own = own;
	d->n_own = 1;
	d->tasks = tasks;
	d->n_tasks = 2;
	d->buffer_timeout_ms = 100;
	d->auto_watermark_interval_ms = -200;
	d->record_max_size = 1U << 24;
}

static int decode_deploy(struct msg_reader *r, struct err *e)
{
	struct ctl_deploy m;

	if (ctl_decode_deploy(r, &m, e) < 0)
		return -1;
	ctl_deploy_fini(&m);
	return 0;
}

/* Counts in front of nothing, and noise: every decoder survives and asks for no memory to speak of. */
static void check_random(decode_fn *const *decoders, unsigned n_decoders)
{
	uint64_t x = 88172645463325252U;
	unsigned accepted = 0;

	for (unsigned round = 0; round < 20000; round++) {
		struct msg_writer w;
		size_t len;

		msg_writer_init(&w);
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		len = x % 200;
		for (size_t i = 0; i < len; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			/* Small numbers and all ones more often than chance has it. */
			msg_put_u8(&w, x % 5 < 3 ? 0 : x % 5 == 3 ? 0xff : (uint8_t)(x >> 32));
		}
		for (unsigned i = 0; i < n_decoders; i++) {
			struct arrived a;
			struct err e;

			arrive(&a, &w, w.len);
			accepted += decoders[i](&a.r, &e) == 0;
			leave(&a);
		}
		msg_writer_fini(&w);
	}
	ok(true, "20000 random bodies, of which %u were valid by chance", accepted);
}

#endif
