/*
 * Both ends of a channel as the tests see them: what arrived, in which order, how it ended.
 *
 * Include it in exactly one file of a test program.
 */
#ifndef T_UNIT_MSG_END_H
#define T_UNIT_MSG_END_H

#include <event2/event.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/msg.h"

#define DEADLINE_NS (5 * NS_PER_S)

struct end {
	struct event_base *base;
	struct channel *c;
	unsigned n_messages, n_closed, n_fds;
	uint64_t next; /* the number that the next message must bring */
	bool in_order, destroy_on_message, destroy_on_close, echo;
	size_t last_len;
	int last_fd;
	unsigned last_type;
	struct err why;
};

static void on_message(void *arg, unsigned type, struct msg_reader *r)
{
	struct end *end = arg;
	size_t len;

	end->n_messages++;
	end->last_type = type;
	end->n_fds = r->n_fds;
	if (type == MSG_HEARTBEAT)
		end->in_order = end->in_order && msg_get_u64(r) == end->next++;
	msg_get_bytes(r, &len);
	end->last_len = len;
	if (r->n_fds > 0) {
		if (end->last_fd >= 0)
			close(end->last_fd);
		end->last_fd = msg_get_fd(r);
	}
	if (end->echo)
		channel_send(end->c, MSG_HEARTBEAT, NULL);
	if (end->destroy_on_message) {
		channel_destroy(end->c);
		end->c = NULL;
	}
}

static void on_closed(void *arg, const struct err *why)
{
	struct end *end = arg;

	end->n_closed++;
	end->why = *why;
	if (end->destroy_on_close) {
		channel_destroy(end->c);
		end->c = NULL;
	}
}

static void end_init(struct end *end, struct event_base *base, int fd)
{
	memset(end, 0, sizeof(*end));
	end->base = base;
	end->in_order = true;
	end->last_fd = -1;
	end->c = channel_create(base, fd, 0, on_message, on_closed, end);
}

static void end_fini(struct end *end)
{
	channel_destroy(end->c);
	if (end->last_fd >= 0)
		close(end->last_fd);
}

/* Run the loop until *counter reaches n or the deadline passes. */
static bool run_until(struct event_base *base, const unsigned *counter, unsigned n)
{
	int64_t deadline = clock_mono_ns(&clock_system) + DEADLINE_NS;

	while (*counter < n && clock_mono_ns(&clock_system) < deadline) {
		struct timeval tick = { 0, 10000 };

		event_base_loopexit(base, &tick);
		event_base_loop(base, EVLOOP_ONCE);
	}
	return *counter >= n;
}

static void send_number(struct channel *c, uint64_t number, size_t payload, int fd)
{
	struct msg_writer w;
	void *bytes = xcalloc(1, payload);

	msg_writer_init(&w);
	msg_put_u64(&w, number);
	msg_put_bytes(&w, bytes, payload);
	if (fd >= 0)
		msg_put_fd(&w, fd);
	channel_send(c, MSG_HEARTBEAT, &w);
	msg_writer_fini(&w);
	free(bytes);
}

#endif
