/*
 * A channel: frames on an event loop.  Sending never blocks; what does not fit
 * waits here in order.  Its end is told once, from the loop, never from inside
 * channel_send.
 */
#include "base/msg.h"

#include <errno.h>
#include <event2/event.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/msg_frame.h"

#define MESSAGES_A_TURN      64
#define MESSAGES_OF_THE_DEAD 65536 /* far over what a socket holds */

struct waiting {
	STAILQ_ENTRY(waiting) link;
	struct msg_frame frame;
};

struct channel {
	int fd;
	channel_msg_fn *on_msg;
	channel_closed_fn *on_closed;
	void *arg;
	struct event *readable, *writable, *failed;
	STAILQ_HEAD(waiting_list, waiting) queue;
	size_t n_queued;
	struct err why; /* of failed */
	bool broken;    /* nothing can be sent any more */
	bool closed;    /* on_closed was called */
	bool in_turn;   /* inside a callback: destroying waits for its end */
	bool destroyed;
	uint8_t buffer[MSG_FRAME_MAX];
};

static void drop_queue(struct channel *c)
{
	struct waiting *q;

	while ((q = STAILQ_FIRST(&c->queue)) != NULL) {
		STAILQ_REMOVE_HEAD(&c->queue, link);
		msg_frame_fini(&q->frame);
		free(q);
	}
	c->n_queued = 0;
}

static void stop_events(struct channel *c)
{
	event_del(c->readable);
	event_del(c->writable);
	event_del(c->failed);
}

static void release(struct channel *c)
{
	event_free(c->readable);
	event_free(c->writable);
	event_free(c->failed);
	free(c);
}

static void tell_closed(struct channel *c, const struct err *why)
{
	if (c->closed)
		return;
	c->closed = true;
	c->broken = true;
	stop_events(c);
	drop_queue(c);
	c->on_closed(c->arg, why);
}

/* Leave a turn of the loop in which the owner may have destroyed the channel. */
static void end_turn(struct channel *c)
{
	c->in_turn = false;
	if (c->destroyed)
		release(c);
}

static void read_messages(struct channel *c, unsigned max)
{
	struct msg_received in;
	struct err e;

	c->in_turn = true;
	for (unsigned i = 0; i < max && !c->destroyed && !c->closed; i++) {
		switch (msg_frame_recv(c->fd, c->buffer, &in, &e)) {
		case MSG_RECV_FRAME:
			c->on_msg(c->arg, in.type, &in.reader);
			msg_received_fini(&in);
			continue;
		case MSG_RECV_NOTHING:
			break;
		case MSG_RECV_END:
			err_set(&e, ERR_UNAVAILABLE, "the other end of the control channel is closed");
			tell_closed(c, &e);
			break;
		case MSG_RECV_ERROR:
			tell_closed(c, &e);
			break;
		}
		break;
	}
	end_turn(c);
}

static void read_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	read_messages(arg, MESSAGES_A_TURN);
}

static void failed_turn(evutil_socket_t fd, short what, void *arg)
{
	struct channel *c = arg;

	(void)fd;
	(void)what;
	c->in_turn = true;
	tell_closed(c, &c->why);
	end_turn(c);
}

/* Nothing more goes out; the owner hears of it from the loop. */
static void fail(struct channel *c)
{
	c->broken = true;
	drop_queue(c);
	event_del(c->writable);
	event_active(c->failed, EV_TIMEOUT, 0);
}

/* Returns true when the frame is dealt with, false when it has to wait for room. */
static bool send_now(struct channel *c, const struct msg_frame *f)
{
	if (msg_frame_send(c->fd, f) == 0)
		return true;
	if (errno == EAGAIN)
		return false;
	if (errno == EPIPE || errno == ECONNRESET) {
		/* What the peer said before it went is still to be read; its end comes behind that. */
		c->broken = true;
		return true;
	}
	err_set_errno(&c->why, ERR_IO, "send a control message");
	fail(c);
	return true;
}

static void write_turn(evutil_socket_t fd, short what, void *arg)
{
	struct channel *c = arg;

	(void)fd;
	(void)what;
	while (!c->broken && !STAILQ_EMPTY(&c->queue)) {
		struct waiting *q = STAILQ_FIRST(&c->queue);

		if (!send_now(c, &q->frame))
			return;
		if (c->broken)
			break;
		STAILQ_REMOVE_HEAD(&c->queue, link);
		c->n_queued--;
		msg_frame_fini(&q->frame);
		free(q);
	}
	drop_queue(c);
	event_del(c->writable);
}

struct channel *channel_create(struct event_base *base, int fd, int priority, channel_msg_fn *on_msg,
    channel_closed_fn *on_closed, void *arg)
{
	struct channel *c = xcalloc(1, sizeof(*c));

	c->fd = fd;
	c->on_msg = on_msg;
	c->on_closed = on_closed;
	c->arg = arg;
	STAILQ_INIT(&c->queue);
	c->readable = event_new(base, fd, EV_READ | EV_PERSIST, read_turn, c);
	c->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, write_turn, c);
	c->failed = event_new(base, -1, 0, failed_turn, c);
	ASSERT(c->readable != NULL && c->writable != NULL && c->failed != NULL);
	if (priority >= 0) {
		ASSERT(event_priority_set(c->readable, priority) == 0);
		ASSERT(event_priority_set(c->writable, priority) == 0);
		ASSERT(event_priority_set(c->failed, priority) == 0);
	}
	ASSERT(event_add(c->readable, NULL) == 0);
	return c;
}

void channel_drain(struct channel *c)
{
	ASSERT(!c->in_turn);
	read_messages(c, MESSAGES_OF_THE_DEAD);
}

void channel_destroy(struct channel *c)
{
	if (c == NULL || c->destroyed)
		return;
	c->destroyed = true;
	c->broken = true;
	stop_events(c);
	drop_queue(c);
	close(c->fd);
	c->fd = -1;
	if (!c->in_turn)
		release(c);
}

void channel_send(struct channel *c, enum msg_type type, const struct msg_writer *w)
{
	struct waiting *q;
	struct msg_frame f;

	if (c->broken)
		return;
	if (msg_frame_init(&f, type, w, &c->why) < 0) {
		fail(c);
		return;
	}
	if (c->n_queued == 0 && send_now(c, &f)) {
		msg_frame_fini(&f);
		return;
	}
	if (msg_frame_keep(&f, &c->why) < 0) {
		msg_frame_fini(&f);
		fail(c);
		return;
	}
	q = xmalloc(sizeof(*q));
	q->frame = f;
	STAILQ_INSERT_TAIL(&c->queue, q, link);
	if (c->n_queued++ == 0)
		ASSERT(event_add(c->writable, NULL) == 0);
}

size_t channel_queued(const struct channel *c)
{
	return c->n_queued;
}
