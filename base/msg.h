/*
 * Control messages: typed frames over one UNIX SOCK_SEQPACKET socketpair, with
 * descriptors by SCM_RIGHTS.  Used between the supervisor and each child.
 *
 * A frame is a header (magic, type, descriptors, length) and a body written and read
 * by the functions below, little-endian, length-prefixed strings.  A body over
 * MSG_INLINE_MAX travels in a memfd, transparently.  Nothing that comes in is
 * trusted: a reader that runs past the end stays at the end and says so once,
 * in msg_reader_ok.
 */
#ifndef BASE_MSG_H
#define BASE_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"

#define MSG_INLINE_MAX (32 * 1024)
#define MSG_BODY_MAX   (64 * 1024 * 1024)
#define MSG_FDS_MAX    200 /* a frame; the kernel allows 253 */

enum msg_type {
	MSG_NONE = 0,
#define MSG(name, from, sentence) MSG_##name,
#include "base/msg.def"
#undef MSG
	MSG_N_TYPES
};
const char *msg_type_name(unsigned type); /* "DEPLOY", or "?" */

/* Body being written; grows by itself. msg_writer_fini frees it. */
struct msg_writer {
	uint8_t *data;
	size_t len, cap;
	int fds[MSG_FDS_MAX];
	unsigned n_fds;
};
void msg_writer_init(struct msg_writer *w);
void msg_writer_fini(struct msg_writer *w); /* does not close the descriptors */
void msg_put_u8(struct msg_writer *w, uint8_t v);
void msg_put_u32(struct msg_writer *w, uint32_t v);
void msg_put_u64(struct msg_writer *w, uint64_t v);
void msg_put_i64(struct msg_writer *w, int64_t v);
void msg_put_str(struct msg_writer *w, const char *s); /* NULL is "" */
void msg_put_bytes(struct msg_writer *w, const void *p, size_t len);
void msg_put_id(struct msg_writer *w, const struct id128 *id);
void msg_put_fd(struct msg_writer *w, int fd); /* borrowed until sent */

/* Body being read. Strings and bytes point into it, borrowed until the handler returns. */
struct msg_reader {
	const uint8_t *p, *end;
	int *fds; /* taken by msg_get_fd; the rest is closed by the channel */
	unsigned n_fds, next_fd;
	bool bad;
};
uint8_t msg_get_u8(struct msg_reader *r);
uint32_t msg_get_u32(struct msg_reader *r);
uint64_t msg_get_u64(struct msg_reader *r);
int64_t msg_get_i64(struct msg_reader *r);
const char *msg_get_str(struct msg_reader *r); /* "" when bad */
const void *msg_get_bytes(struct msg_reader *r, size_t *len);
void msg_get_id(struct msg_reader *r, struct id128 *id);
int msg_get_fd(struct msg_reader *r); /* takes ownership; -1 when there is none */
/* True when all reads were inside the body and nothing of it is left over. */
bool msg_reader_ok(const struct msg_reader *r);

/* One end of a socketpair on an event loop. */
struct channel;
struct event_base;
typedef void channel_msg_fn(void *arg, unsigned type, struct msg_reader *r);
/* Once, from the loop: ERR_UNAVAILABLE where the other end closed, else what did not verify.
 * No message follows; destroy the channel then or later.  Either callback may destroy it. */
typedef void channel_closed_fn(void *arg, const struct err *why);

/* A non-blocking, close-on-exec SOCK_SEQPACKET pair with room for bursts. */
int channel_pair(int fds[2], struct err *e);
/* Takes ownership of fd. priority is the libevent priority, -1 for the default.
 * Messages are delivered from the loop, at most 64 a turn. */
struct channel *channel_create(struct event_base *base, int fd, int priority, channel_msg_fn *on_msg,
    channel_closed_fn *on_closed, void *arg);
void channel_destroy(struct channel *c);
/* Send now or, where the socket is full, from the loop later, in order; w NULL: no body.
 * Descriptors are duplicated when it has to wait. Never blocks.  After the other end is gone
 * it does nothing; on_closed tells. */
void channel_send(struct channel *c, enum msg_type type, const struct msg_writer *w);
/* Deliver now what the peer, which is known to be dead, said before it died; then on_closed. For an owner that
 * may not destroy the channel in on_msg; never from a callback of the same channel. */
void channel_drain(struct channel *c);
size_t channel_queued(const struct channel *c); /* frames that wait for room */

/* Blocking use, for short-lived children without a loop. Return 0 or -1. */
int msg_send_fd(int fd, enum msg_type type, const struct msg_writer *w, struct err *e);

#endif
