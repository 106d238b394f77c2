/*
 * Frames over a socket: header, body or memfd with the body, descriptors.  What
 * comes in is checked before anything of it is used.
 */
#include "base/msg_frame.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

#define SEALS       (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)
#define BURST_BYTES (1 << 20)

union control {
	char buffer[CMSG_SPACE(sizeof(int) * (MSG_FDS_MAX + 1))];
	struct cmsghdr align;
};

int channel_pair(int fds[2], struct err *e)
{
	int size_bytes = BURST_BYTES;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return err_set_errno(e, ERR_IO, "make a control channel");
	/* As much as the system allows; with less the sender's queue takes the burst. */
	for (unsigned i = 0; i < 2; i++)
		(void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size_bytes, sizeof(size_bytes));
	return 0;
}

static void put_u16(uint8_t *p, unsigned v)
{
	uint16_t le = htole16((uint16_t)v);

	memcpy(p, &le, sizeof(le));
}

static void put_u32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static unsigned get_u16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static uint32_t get_u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

int msg_frame_init(struct msg_frame *f, enum msg_type type, const struct msg_writer *w, struct err *e)
{
	size_t len = w != NULL ? w->len : 0;

	f->body = NULL;
	f->body_len = 0;
	f->body_fd = -1;
	f->n_fds = 0;
	f->kept = false;
	if (len > MSG_BODY_MAX)
		return err_set(e, ERR_TOO_LARGE, "a %s message of %zu bytes is over the limit of %d",
		    msg_type_name(type), len, MSG_BODY_MAX);
	if (w != NULL) {
		memcpy(f->fds, w->fds, w->n_fds * sizeof(w->fds[0]));
		f->n_fds = w->n_fds;
	}
	if (len > MSG_INLINE_MAX) {
		f->body_fd = file_memfd("message", w->data, len, e);
		if (f->body_fd < 0)
			return -1;
		if (fcntl(f->body_fd, F_ADD_SEALS, SEALS) < 0) {
			err_set_errno(e, ERR_IO, "seal the body of a %s message", msg_type_name(type));
			close(f->body_fd);
			f->body_fd = -1;
			return -1;
		}
		f->fds[f->n_fds++] = f->body_fd;
	} else if (len > 0) {
		f->body = w->data;
		f->body_len = len;
	}
	put_u32(f->header, MSG_FRAME_MAGIC);
	put_u16(f->header + 4, type);
	put_u16(f->header + 6, f->n_fds);
	put_u32(f->header + 8, f->body_fd >= 0 ? MSG_FRAME_IN_MEMFD : 0);
	put_u32(f->header + 12, (uint32_t)len);
	return 0;
}

int msg_frame_keep(struct msg_frame *f, struct err *e)
{
	unsigned n_borrowed = f->n_fds - (f->body_fd >= 0);

	ASSERT(!f->kept);
	f->kept = true;
	if (f->body != NULL)
		f->body = xmemdup(f->body, f->body_len);
	for (unsigned i = 0; i < n_borrowed; i++) {
		int fd = fcntl(f->fds[i], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			err_set_errno(e, ERR_IO, "duplicate a descriptor for a message that waits");
			/* The rest stays the sender's. */
			f->n_fds = i;
			return -1;
		}
		f->fds[i] = fd;
	}
	return 0;
}

void msg_frame_fini(struct msg_frame *f)
{
	if (f->kept) {
		free(f->body);
		for (unsigned i = 0; i < f->n_fds; i++)
			if (f->fds[i] != f->body_fd)
				close(f->fds[i]);
	}
	if (f->body_fd >= 0)
		close(f->body_fd);
	f->body = NULL;
	f->body_fd = -1;
	f->n_fds = 0;
}

int msg_frame_send(int fd, const struct msg_frame *f)
{
	uint8_t header[MSG_FRAME_HEADER];
	struct iovec iov[2] = { { header, sizeof(header) }, { f->body, f->body_len } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = f->body_len > 0 ? 2 : 1 };
	union control control;
	ssize_t n;

	memcpy(header, f->header, sizeof(header));
	if (f->n_fds > 0) {
		struct cmsghdr *cmsg;

		memset(&control, 0, sizeof(control));
		msg.msg_control = control.buffer;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * f->n_fds);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * f->n_fds);
		memcpy(CMSG_DATA(cmsg), f->fds, sizeof(int) * f->n_fds);
	}
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -1 : 0;
}

int msg_send_fd(int fd, enum msg_type type, const struct msg_writer *w, struct err *e)
{
	struct msg_frame f;
	int rc;

	if (msg_frame_init(&f, type, w, e) < 0)
		return -1;
	while ((rc = msg_frame_send(fd, &f)) < 0 && errno == EAGAIN) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };

		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			break;
	}
	if (rc < 0)
		err_set_errno(e, ERR_IO, "send a %s message", msg_type_name(type));
	msg_frame_fini(&f);
	return rc;
}

/* Collect every descriptor that came, whatever else is wrong: each one must be closed. */
static void take_fds(struct msghdr *msg, struct msg_received *in)
{
	in->n_fds = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (in->n_fds < MSG_FDS_MAX + 1)
				in->fds[in->n_fds++] = fd;
			else
				close(fd);
		}
	}
}

/* A body in a memfd is believed only when nobody can change it under the reader. */
static int read_body(struct msg_received *in, size_t len, struct err *e)
{
	int fd = in->fds[in->n_fds - 1], seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	size_t got;
	char *data;

	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0 || st.st_size < 0 ||
	    (size_t)st.st_size != len)
		return err_set(e, ERR_INTERNAL, "its body is not a sealed memory file of %zu bytes", len);
	if (file_read_fd(fd, len, &data, &got, e) < 0)
		return -1;
	in->body = (uint8_t *)data;
	in->n_fds--;
	close(fd);
	if (got != len)
		return err_set(e, ERR_INTERNAL, "its body has %zu bytes instead of %zu", got, len);
	in->reader.p = in->body;
	return 0;
}

static int check_frame(const uint8_t *buffer, size_t n, int flags, struct msg_received *in, struct err *e)
{
	uint32_t frame_flags, len;

	if (n < MSG_FRAME_HEADER || (flags & MSG_TRUNC) != 0)
		return err_set(e, ERR_INTERNAL, "a control message of %zu bytes is no frame", n);
	if (get_u32(buffer) != MSG_FRAME_MAGIC)
		return err_set(e, ERR_INTERNAL, "a control message begins with %08" PRIx32, get_u32(buffer));
	in->type = get_u16(buffer + 4);
	frame_flags = get_u32(buffer + 8);
	len = get_u32(buffer + 12);
	if (in->type == MSG_NONE || in->type >= MSG_N_TYPES)
		return err_set(e, ERR_INTERNAL, "a control message has the unknown type %u", in->type);
	/* The kernel leaves descriptors out where this process may have no more of them. */
	if ((flags & MSG_CTRUNC) != 0 || in->n_fds != get_u16(buffer + 6))
		return err_set(e, ERR_INTERNAL, "%u of the %u descriptors of a %s message arrived", in->n_fds,
		    get_u16(buffer + 6), msg_type_name(in->type));
	if (frame_flags == 0 && len == n - MSG_FRAME_HEADER) {
		in->reader.p = buffer + MSG_FRAME_HEADER;
	} else if (frame_flags == MSG_FRAME_IN_MEMFD && n == MSG_FRAME_HEADER && in->n_fds > 0 &&
	    len > MSG_INLINE_MAX && len <= MSG_BODY_MAX) {
		if (read_body(in, len, e) < 0)
			return err_prefix(e, "a %s message does not verify", msg_type_name(in->type));
	} else {
		return err_set(e, ERR_INTERNAL,
		    "a %s message of %zu bytes says that its body has %" PRIu32 ", flags %" PRIx32,
		    msg_type_name(in->type), n, len, frame_flags);
	}
	if (in->n_fds > MSG_FDS_MAX)
		return err_set(e, ERR_INTERNAL, "a %s message brings %u descriptors", msg_type_name(in->type),
		    in->n_fds);
	in->reader.end = in->reader.p + len;
	in->reader.fds = in->fds;
	in->reader.n_fds = in->n_fds;
	in->reader.next_fd = 0;
	in->reader.bad = false;
	return 0;
}

enum msg_recv_result msg_frame_recv(int fd, uint8_t *buffer, struct msg_received *in, struct err *e)
{
	union control control;
	struct iovec iov = { buffer, MSG_FRAME_MAX };
	struct msghdr msg;
	ssize_t n;

	do {
		msg = (struct msghdr){ .msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.buffer,
			.msg_controllen = sizeof(control.buffer) };
		n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		/* A peer that died with messages of ours unread leaves ECONNRESET in front of its own
		 * last ones; asking again brings those, and then the end. */
	} while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0 && errno == EAGAIN)
		return MSG_RECV_NOTHING;
	if (n < 0) {
		err_set_errno(e, ERR_IO, "receive a control message");
		return MSG_RECV_ERROR;
	}
	in->body = NULL;
	take_fds(&msg, in);
	if (n == 0) {
		msg_received_fini(in);
		return MSG_RECV_END;
	}
	if (check_frame(buffer, (size_t)n, msg.msg_flags, in, e) < 0) {
		msg_received_fini(in);
		return MSG_RECV_ERROR;
	}
	return MSG_RECV_FRAME;
}

void msg_received_fini(struct msg_received *in)
{
	for (unsigned i = 0; i < in->n_fds; i++)
		if (in->fds[i] >= 0)
			close(in->fds[i]);
	in->n_fds = 0;
	free(in->body);
	in->body = NULL;
}
