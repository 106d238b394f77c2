/*
 * One frame in or out of a SOCK_SEQPACKET socket.  Between base/msg_body.c, which
 * knows what is inside, and base/msg_channel.c, which knows when; included by the
 * base/msg_*.c files and their tests only.
 *
 * On the wire, little-endian:
 *
 *   0  u32  magic
 *   4  u16  type
 *   6  u16  descriptors that travel along, a memfd with the body included
 *   8  u32  flags: 1 - the body is in the last descriptor
 *   12 u32  length of the body
 *   16      the body, unless it is in the descriptor
 */
#ifndef BASE_MSG_FRAME_H
#define BASE_MSG_FRAME_H

#include "base/msg.h"

#define MSG_FRAME_MAGIC    0x52494557U /* "WEIR" */
#define MSG_FRAME_HEADER   16
#define MSG_FRAME_IN_MEMFD 1U
#define MSG_FRAME_MAX      (MSG_FRAME_HEADER + MSG_INLINE_MAX)

/* A frame on its way out. */
struct msg_frame {
	uint8_t header[MSG_FRAME_HEADER];
	uint8_t *body;   /* NULL where it is in body_fd; the writer's until msg_frame_keep */
	size_t body_len; /* of what is sent inline */
	int body_fd;     /* -1: inline */
	int fds[MSG_FDS_MAX + 1];
	unsigned n_fds; /* with body_fd, which is the last one */
	bool kept;
};
/* Borrows the body and the descriptors of w (NULL: an empty body). Returns 0 or -1. */
int msg_frame_init(struct msg_frame *f, enum msg_type type, const struct msg_writer *w, struct err *e);
/* Copy what is borrowed, so that the frame can wait. Returns 0, or -1 when a descriptor cannot be
 * duplicated; msg_frame_fini is due in both cases. */
int msg_frame_keep(struct msg_frame *f, struct err *e);
void msg_frame_fini(struct msg_frame *f);
/* Returns 0, or -1 with errno; EAGAIN: nothing was sent. */
int msg_frame_send(int fd, const struct msg_frame *f);

enum msg_recv_result { MSG_RECV_FRAME, MSG_RECV_NOTHING, MSG_RECV_END, MSG_RECV_ERROR };

/* A frame that came in. */
struct msg_received {
	unsigned type;
	struct msg_reader reader; /* into buffer, or into body */
	int fds[MSG_FDS_MAX + 1];
	unsigned n_fds;
	uint8_t *body; /* what came in a memfd; freed by msg_received_fini */
};
/* buffer is MSG_FRAME_MAX bytes.  Never blocks.  e is filled for MSG_RECV_ERROR. */
enum msg_recv_result msg_frame_recv(int fd, uint8_t *buffer, struct msg_received *in, struct err *e);
/* Close the descriptors that nobody took, free the body. After MSG_RECV_FRAME. */
void msg_received_fini(struct msg_received *in);

#endif
