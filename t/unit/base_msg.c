/* base/msg.h: bodies, frames over a socketpair, channels on a loop, hostile bytes. */
#include "base/msg.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/msg_frame.h"
#include "t/tap.h"
#include "t/unit/msg_end.h"

static unsigned open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		closedir(d);
	return n;
}

static struct msg_reader reader_of(const struct msg_writer *w)
{
	struct msg_reader r = { w->data, w->data + w->len, NULL, 0, 0, false };

	return r;
}

static void bodies(void)
{
	const struct id128 id = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } };
	struct msg_writer w;
	struct msg_reader r;
	struct id128 got;
	const void *bytes;
	size_t len;

	msg_writer_init(&w);
	msg_put_u8(&w, 200);
	msg_put_u32(&w, 0x01020304);
	msg_put_u64(&w, UINT64_MAX - 1);
	msg_put_i64(&w, INT64_MIN);
	msg_put_str(&w, "gr\xc3\xbc\xc3\x9f");
	msg_put_str(&w, NULL);
	msg_put_bytes(&w, "a\0b", 3);
	msg_put_bytes(&w, NULL, 0);
	msg_put_id(&w, &id);
	ok(w.data[1] == 4 && w.data[4] == 1, "numbers are little-endian");

	r = reader_of(&w);
	is_int(msg_get_u8(&r), 200, "u8");
	is_int(msg_get_u32(&r), 0x01020304, "u32");
	ok(msg_get_u64(&r) == UINT64_MAX - 1, "u64");
	ok(msg_get_i64(&r) == INT64_MIN, "i64");
	is_str(msg_get_str(&r), "gr\xc3\xbc\xc3\x9f", "a string");
	is_str(msg_get_str(&r), "", "NULL is an empty string");
	bytes = msg_get_bytes(&r, &len);
	ok(len == 3 && memcmp(bytes, "a\0b", 3) == 0, "bytes");
	bytes = msg_get_bytes(&r, &len);
	ok(len == 0 && bytes != NULL, "no bytes");
	ok(!msg_reader_ok(&r), "something is left over");
	msg_get_id(&r, &got);
	ok(id_equal(&got, &id), "an id");
	ok(msg_reader_ok(&r), "all is read");
	is_int(msg_get_u8(&r), 0, "behind the end is nothing");
	ok(!msg_reader_ok(&r), "and that is remembered");
	is_int(msg_get_fd(&r), -1, "no descriptor came");

	/* Cut anywhere, reading ends inside and is not ok. */
	for (len = 0; len < w.len; len++) {
		r = reader_of(&w);
		r.end = r.p + len;
		msg_get_u8(&r);
		msg_get_u32(&r);
		msg_get_u64(&r);
		msg_get_i64(&r);
		if (strlen(msg_get_str(&r)) > 6 || strlen(msg_get_str(&r)) > 0)
			break;
		msg_get_bytes(&r, &(size_t){ 0 });
		msg_get_bytes(&r, &(size_t){ 0 });
		msg_get_id(&r, &got);
		if (msg_reader_ok(&r) || r.p != r.end)
			break;
	}
	is_int(len, w.len, "a body cut at any place is bad and read no further");
	msg_writer_fini(&w);
}

static void hostile_bodies(void)
{
	static const struct {
		const char *bytes;
		size_t len;
	} strings[] = {
		{ "\xff\xff\xff\xff", 4 },
		{ "\x05\0\0\0abc", 7 },
		{ "\0\0\0\0", 4 },
		{ "\x03\0\0\0abc", 7 },
		{ "\x04\0\0\0a\0b\0", 8 },
		{ "\x02\0\0", 3 },
	};

	for (unsigned i = 0; i < ARRAY_LEN(strings); i++) {
		const uint8_t *p = (const uint8_t *)strings[i].bytes;
		struct msg_reader r = { p, p + strings[i].len, NULL, 0, 0, false };

		is_str(msg_get_str(&r), "", "string %u is none", i);
		ok(!msg_reader_ok(&r) && r.p == r.end, "and ends the reading");
	}
	is_str(msg_type_name(MSG_DEPLOY), "DEPLOY", "a type has a name");
	is_str(msg_type_name(MSG_NONE), "?", "none has not");
	is_str(msg_type_name(MSG_N_TYPES), "?", "nor one too far");
}

/* ------------------------------------------------------------- channels */

static void ordinary(struct event_base *base)
{
	const size_t sizes[] = { 0, 1, MSG_INLINE_MAX - 12, MSG_INLINE_MAX - 11, MSG_INLINE_MAX, 5 << 20 };
	struct end a, b;
	int fds[2];
	struct err e;

	is_int(channel_pair(fds, &e), 0, "a pair");
	ok((fcntl(fds[0], F_GETFD) & FD_CLOEXEC) && (fcntl(fds[1], F_GETFL) & O_NONBLOCK),
	    "not inherited, not blocking");
	end_init(&a, base, fds[0]);
	end_init(&b, base, fds[1]);
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		send_number(a.c, i, sizes[i], -1);
		ok(run_until(base, &b.n_messages, i + 1) && b.last_len == sizes[i],
		    "a body with %zu bytes arrives", sizes[i]);
		is_int(b.n_fds, 0, "without a descriptor for the handler");
	}
	ok(b.in_order, "all in order");
	b.echo = true;
	channel_send(a.c, MSG_SHUTDOWN, NULL);
	ok(run_until(base, &a.n_messages, 1), "an empty body, and an answer from inside the handler");
	is_int(b.last_type, MSG_SHUTDOWN, "the type is kept");
	end_fini(&a);
	ok(run_until(base, &b.n_closed, 1), "the end of one is told to the other");
	is_int(b.why.code, ERR_UNAVAILABLE, "as unavailable");
	channel_send(b.c, MSG_HEARTBEAT, NULL);
	is_int(channel_queued(b.c), 0, "sending into the void does nothing");
	event_base_loop(base, EVLOOP_NONBLOCK);
	is_int(b.n_closed, 1, "it is told once");
	end_fini(&b);
}

static void descriptors(struct event_base *base)
{
	char text[8] = "";
	struct msg_writer w;
	struct end a, b;
	int fds[2], pipe_fds[2];
	unsigned before;
	struct err e;

	is_int(channel_pair(fds, &e), 0, "a pair");
	end_init(&a, base, fds[0]);
	end_init(&b, base, fds[1]);
	ok(pipe(pipe_fds) == 0, "a pipe");
	before = open_descriptors();

	send_number(a.c, 0, 10, pipe_fds[1]);
	ok(run_until(base, &b.n_messages, 1) && b.last_fd >= 0, "a descriptor arrives");
	ok((fcntl(b.last_fd, F_GETFD) & FD_CLOEXEC) != 0, "not inherited");
	ok(write(b.last_fd, "hi", 2) == 2 && read(pipe_fds[0], text, 2) == 2, "it leads where it led");

	send_number(a.c, 1, 1 << 20, pipe_fds[1]);
	ok(run_until(base, &b.n_messages, 2) && b.n_fds == 1 && b.last_len == 1 << 20,
	    "also beside a large body");

	msg_writer_init(&w);
	for (unsigned i = 0; i < MSG_FDS_MAX; i++)
		msg_put_fd(&w, pipe_fds[i & 1]);
	msg_put_bytes(&w, "", 0);
	channel_send(a.c, MSG_DEPLOY, &w);
	ok(run_until(base, &b.n_messages, 3) && b.n_fds == MSG_FDS_MAX, "%d descriptors at once",
	    MSG_FDS_MAX);
	/* A large body needs one more. */
	for (unsigned i = 0; i < 40000; i++)
		msg_put_u8(&w, 0);
	channel_send(a.c, MSG_DEPLOY, &w);
	ok(run_until(base, &b.n_messages, 4) && b.n_fds == MSG_FDS_MAX, "and with a large body");
	msg_writer_fini(&w);
	close(b.last_fd);
	b.last_fd = -1;
	is_int(open_descriptors(), before, "those that the handler left are closed");
	end_fini(&a);
	end_fini(&b);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void bursts(struct event_base *base)
{
	unsigned n = 0, sent_at_once, before = open_descriptors();
	uint8_t *buffer = xmalloc(MSG_FRAME_MAX);
	struct msg_received in;
	struct end a, b;
	int fds[2], fd;
	struct err e;

	is_int(channel_pair(fds, &e), 0, "a pair");
	end_init(&a, base, fds[0]);
	end_init(&b, base, fds[1]);
	fd = file_memfd("x", "abc", 3, &e);
	for (; channel_queued(a.c) < 100 && n < 100000; n++)
		send_number(a.c, n, 2000, n % 16 == 0 ? fd : -1);
	sent_at_once = n - 100;
	/* The queued ones have descriptors of their own. */
	close(fd);
	/* Room in the socket is not for those that come later. */
	for (; b.n_messages < 10; b.n_messages++) {
		if (msg_frame_recv(fds[1], buffer, &in, &e) != MSG_RECV_FRAME)
			break;
		b.in_order = b.in_order && msg_get_u64(&in.reader) == b.next++;
		msg_received_fini(&in);
	}
	free(buffer);
	send_number(a.c, n++, 10, -1);
	is_int(channel_queued(a.c), 101, "one behind those that wait has to wait, too");
	ok(sent_at_once >= 32, "a burst of %u fits, the rest waits", sent_at_once);
	event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	ok(b.n_messages > 10 && b.n_messages <= 74, "a turn of the loop brings 64 at most (%u)",
	    b.n_messages - 10);
	ok(run_until(base, &b.n_messages, n), "all arrive");
	ok(b.in_order, "in order");
	is_int(channel_queued(a.c), 0, "none waits any more");
	ok(b.last_fd >= 0, "descriptors, too");

	while (channel_queued(a.c) < 50)
		send_number(a.c, n++, 2000, b.last_fd);
	end_fini(&a);
	ok(run_until(base, &b.n_closed, 1) && b.in_order && b.n_messages == n - 50,
	    "what waits is dropped with the channel");
	end_fini(&b);
	is_int(open_descriptors(), before, "and its descriptors with it");
}

static void destroying(struct event_base *base)
{
	struct end a, b;
	int fds[2];
	struct err e;

	is_int(channel_pair(fds, &e), 0, "a pair");
	end_init(&a, base, fds[0]);
	end_init(&b, base, fds[1]);
	b.destroy_on_message = true;
	a.destroy_on_close = true;
	for (unsigned i = 0; i < 10; i++)
		send_number(a.c, i, 10, -1);
	ok(run_until(base, &a.n_closed, 1), "a channel destroyed inside its handler is closed for the other");
	ok(b.c == NULL && b.n_messages == 1, "no message follows");
	ok(a.c == NULL && b.n_closed == 0, "the other can be destroyed when it is told");
	event_base_loop(base, EVLOOP_NONBLOCK);
	is_int(a.n_closed, 1, "nothing of both is left in the loop");
}

/* The last messages of a process that died with messages to it unread. The system reports that
 * death once, to whichever comes first here, a send or a receive. */
static void last_messages(struct event_base *base, bool send_first)
{
	struct end b;
	int fds[2], status = -1;
	struct err e;
	pid_t pid;

	is_int(channel_pair(fds, &e), 0, "a pair");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		struct msg_writer w;

		msg_writer_init(&w);
		msg_put_str(&w, "not read by anyone");
		close(fds[1]);
		for (unsigned i = 0; i < 3; i++)
			if (msg_send_fd(fds[0], MSG_TASK_STATE, &w, &e) < 0)
				_exit(1);
		/* Until the parent's message is there, unread. */
		poll(&(struct pollfd){ .fd = fds[0], .events = POLLIN }, 1, -1);
		kill(getpid(), SIGKILL);
	}
	close(fds[0]);
	end_init(&b, base, fds[1]);
	channel_send(b.c, MSG_HEARTBEAT, NULL);
	ok(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status), "the process is gone");
	if (send_first)
		channel_send(b.c, MSG_HEARTBEAT, NULL);
	ok(run_until(base, &b.n_closed, 1), "its end is told");
	is_int(b.n_messages, 3, "behind its last messages");
	is_int(b.why.code, ERR_UNAVAILABLE, "as an ordinary end");
	end_fini(&b);
}

static void blocking(void)
{
	struct msg_received in;
	uint8_t buffer[MSG_FRAME_MAX];
	struct msg_writer w;
	unsigned n = 0;
	int fds[2], status = -1;
	struct err e;
	pid_t pid;

	is_int(channel_pair(fds, &e), 0, "a pair");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		msg_writer_init(&w);
		for (unsigned i = 0; i < 5000; i++)
			msg_put_u32(&w, i);
		for (unsigned i = 0; i < 200; i++)
			if (msg_send_fd(fds[0], MSG_BUILD_RESULT, &w, &e) < 0)
				_exit(1);
		_exit(0);
	}
	close(fds[0]);
	for (;;) {
		enum msg_recv_result got;

		poll(&(struct pollfd){ .fd = fds[1], .events = POLLIN }, 1, 5000);
		got = msg_frame_recv(fds[1], buffer, &in, &e);
		if (got != MSG_RECV_FRAME)
			break;
		n += in.type == MSG_BUILD_RESULT && in.reader.end - in.reader.p == 20000;
		msg_received_fini(&in);
	}
	is_int(n, 200, "a sender without a loop waits for room");
	ok(waitpid(pid, &status, 0) == pid && status == 0, "and succeeds");
	is_int(msg_send_fd(fds[1], MSG_STORED, NULL, &e), -1, "with nobody there it fails");
	like(e.msg, "send a STORED message: Broken pipe", "and says so");
	close(fds[1]);
	msg_writer_init(&w);
	for (unsigned i = 0; i <= MSG_BODY_MAX / 8; i++)
		msg_put_u64(&w, i);
	is_int(msg_send_fd(fds[1], MSG_STORED, &w, &e), -1, "a body over the limit is not sent");
	is_int(e.code, ERR_TOO_LARGE, "it has a code");
	msg_writer_fini(&w);
}

/* ------------------------------------------------------ hostile frames */

static void put_le(uint8_t *p, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* Send a frame as told, with a memory file of memfd_size and its seals where that is not negative. */
static void hostile_frame(struct event_base *base, const char *what, const char *want, uint32_t magic,
    unsigned type, unsigned n_fds, uint32_t flags, uint32_t len, size_t body, off_t memfd_size, int seals)
{
	union {
		char buffer[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	uint8_t frame[MSG_FRAME_MAX + 64] = { 0 };
	struct iovec iov = { frame, MSG_FRAME_HEADER + body };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	unsigned before = open_descriptors();
	struct end b;
	int fds[2], fd = -1;
	struct err e;

	if (channel_pair(fds, &e) < 0)
		return;
	end_init(&b, base, fds[1]);
	put_le(frame, magic, 4);
	put_le(frame + 4, type, 2);
	put_le(frame + 6, n_fds, 2);
	put_le(frame + 8, flags, 4);
	put_le(frame + 12, len, 4);
	if (memfd_size >= 0) {
		struct cmsghdr *c = &control.align;

		memset(&control, 0, sizeof(control));
		msg.msg_control = control.buffer;
		msg.msg_controllen = sizeof(control.buffer);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		fd = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (ftruncate(fd, memfd_size) < 0 || fcntl(fd, F_ADD_SEALS, seals) < 0)
			ok(false, "a memory file");
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	ok(sendmsg(fds[0], &msg, 0) == (ssize_t)iov.iov_len, "%s is sent", what);
	/* A good one behind it must not be delivered. */
	(void)msg_send_fd(fds[0], MSG_SHUTDOWN, NULL, &e);
	ok(run_until(base, &b.n_closed, 1) && b.n_messages == 0, "%s closes the channel", what);
	is_int(b.why.code, ERR_INTERNAL, "as one that does not verify");
	like(b.why.msg, want, "in a sentence");
	end_fini(&b);
	close(fds[0]);
	if (fd >= 0)
		close(fd);
	is_int(open_descriptors(), before, "no descriptor is left");
}

static void hostile_frames(struct event_base *base)
{
	const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
	const uint32_t good = MSG_FRAME_MAGIC, large = MSG_INLINE_MAX + 1;

	hostile_frame(base, "another magic", "begins with", good + 1, MSG_HELLO, 0, 0, 4, 4, -1, 0);
	hostile_frame(base, "type 0", "unknown type 0", good, MSG_NONE, 0, 0, 4, 4, -1, 0);
	hostile_frame(base, "a type too far", "unknown type", good, MSG_N_TYPES, 0, 0, 4, 4, -1, 0);
	hostile_frame(base, "a longer length", "has 5", good, MSG_HELLO, 0, 0, 5, 4, -1, 0);
	hostile_frame(base, "a shorter length", "has 3", good, MSG_HELLO, 0, 0, 3, 4, -1, 0);
	hostile_frame(base, "an unknown flag", "flags 2", good, MSG_HELLO, 0, 2, 4, 4, -1, 0);
	hostile_frame(base, "a frame over the limit", "no frame", good, MSG_HELLO, 0, 0, large, large, -1, 0);
	hostile_frame(base, "a descriptor too few", "0 of the 1 descriptors", good, MSG_HELLO, 1, 0, 4, 4, -1,
	    0);
	hostile_frame(base, "a descriptor too many", "1 of the 0 descriptors", good, MSG_HELLO, 0, 0, 4, 4,
	    10, 0);
	hostile_frame(base, "a body in no memory file", "flags 1", good, MSG_HELLO, 0, 1, large, 0, -1, 0);
	hostile_frame(base, "a body in an unsealed one", "not a sealed", good, MSG_HELLO, 1, 1, large, 0,
	    large, 0);
	hostile_frame(base, "a body shorter than said", "not a sealed", good, MSG_HELLO, 1, 1, large + 1, 0,
	    large, seals);
	hostile_frame(base, "a small body in a memory file", "flags 1", good, MSG_HELLO, 1, 1, 10, 0, 10,
	    seals);
	hostile_frame(base, "a body over the limit", "flags 1", good, MSG_HELLO, 1, 1, MSG_BODY_MAX + 1, 0,
	    MSG_BODY_MAX + 1, seals);
}

/* Short frames, with and without a header's beginning. */
static void short_frames(struct event_base *base)
{
	static const uint8_t bytes[MSG_FRAME_HEADER] = { 'W', 'E', 'I', 'R', 1 };

	for (size_t len = 1; len < MSG_FRAME_HEADER; len++) {
		struct end b;
		int fds[2];
		struct err e;

		if (channel_pair(fds, &e) < 0)
			break;
		end_init(&b, base, fds[1]);
		if (send(fds[0], bytes, len, 0) != (ssize_t)len || !run_until(base, &b.n_closed, 1) ||
		    b.why.code != ERR_INTERNAL)
			ok(false, "a frame of %zu bytes is refused", len);
		end_fini(&b);
		close(fds[0]);
	}
	ok(true, "frames shorter than a header were tried");
}

/* When this process may open no more descriptors, that is an error with a name, not a lost one. */
static void exhaustion(struct event_base *base)
{
	struct rlimit old, low;
	struct end a, b;
	int fds[2], lowest_free;
	struct err e;

	is_int(channel_pair(fds, &e), 0, "a pair");
	end_init(&a, base, fds[0]);
	end_init(&b, base, fds[1]);
	lowest_free = dup(STDIN_FILENO);
	close(lowest_free);
	getrlimit(RLIMIT_NOFILE, &old);
	send_number(a.c, 0, 10, STDIN_FILENO);
	low = old;
	low.rlim_cur = (rlim_t)lowest_free;
	setrlimit(RLIMIT_NOFILE, &low);
	ok(run_until(base, &b.n_closed, 1) && b.n_messages == 0,
	    "a descriptor that cannot be received closes the channel");
	like(b.why.msg, "0 of the 1 descriptors of a HEARTBEAT message arrived", "and that is said");
	send_number(a.c, 1, 1 << 20, -1);
	is_int(a.n_closed, 0, "a body that finds no memory file is not told inside channel_send");
	ok(run_until(base, &a.n_closed, 1), "but from the loop");
	setrlimit(RLIMIT_NOFILE, &old);
	like(a.why.msg, "Too many open files", "and that is said");
	end_fini(&a);
	end_fini(&b);
}

int main(void)
{
	struct event_base *base = event_base_new();
	unsigned before = open_descriptors();

	bodies();
	hostile_bodies();
	ordinary(base);
	descriptors(base);
	bursts(base);
	destroying(base);
	last_messages(base, false);
	last_messages(base, true);
	blocking();
	hostile_frames(base);
	short_frames(base);
	exhaustion(base);
	is_int(open_descriptors(), before, "no descriptor is left at the end");
	event_base_free(base);
	return tap_done();
}
