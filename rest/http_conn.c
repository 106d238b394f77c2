/* One connection: heads, bodies, answers and their deadlines. */
#include "rest/http_conn.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/mem.h"

#define INPUT_MAX       65536     /* read ahead of what is handled */
#define OUTPUT_HIGH     (1 << 20) /* above, the next pipelined request waits */
#define REQUESTS_A_TURN 16        /* of one connection, then others have a turn */

static void conn_run(struct http_conn *c);

static const char *reason_phrase(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} phrases[] = {
		{ 200, "OK" },
		{ 202, "Accepted" },
		{ 308, "Permanent Redirect" },
		{ 400, "Bad Request" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 413, "Request Entity Too Large" },
		{ 417, "Expectation Failed" },
		{ 421, "Misdirected Request" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < ARRAY_LEN(phrases); i++)
		if (phrases[i].status == status)
			return phrases[i].phrase;
	return "Unknown";
}

bool http_conn_is_idle(const struct http_conn *c)
{
	return c->state == HTTP_CONN_HEAD && !c->in_head && !c->running &&
	    evbuffer_get_length(bufferevent_get_output(c->bev)) == 0;
}

static uint64_t drained(const struct http_conn *c)
{
	return c->out_total - evbuffer_get_length(bufferevent_get_output(c->bev));
}

static void arm(struct http_conn *c, int64_t ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	c->drained_mark = drained(c);
	c->body_mark = c->body_taken;
	event_add(c->deadline, &tv);
}

/* It is over: conn_run, which is on the stack or is called next, frees it. */
static void kill_conn(struct http_conn *c)
{
	c->dead = true;
	if (c->in_request) {
		c->in_request = false;
		c->server->handler->end(c->server->arg, &c->req);
	}
}

static void free_conn(struct http_conn *c)
{
	TAILQ_REMOVE(&c->server->conns, c, link);
	c->server->n_conns--;
	event_free(c->deadline);
	event_free(c->more);
	bufferevent_free(c->bev);
	free(c->head_text);
	free(c);
}

void http_conn_destroy(struct http_conn *c)
{
	ASSERT(!c->running);
	kill_conn(c);
	free_conn(c);
}

/* No further request: close when what was answered is sent. */
static void close_when_sent(struct http_conn *c)
{
	if (evbuffer_get_length(bufferevent_get_output(c->bev)) == 0) {
		kill_conn(c);
		return;
	}
	c->state = HTTP_CONN_CLOSING;
	arm(c, c->server->limits->write_ms);
}

/* The answer went out before the request was read: closing now would reset the
 * connection and take the answer from the client. */
static void linger(struct http_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);

	evbuffer_drain(in, evbuffer_get_length(in));
	c->state = HTTP_CONN_LINGER;
	if (evbuffer_get_length(bufferevent_get_output(c->bev)) == 0)
		shutdown(bufferevent_getfd(c->bev), SHUT_WR);
	arm(c, c->server->limits->linger_ms);
}

/* Everything of an answer but going on with what follows it. */
static void answer(struct http_conn *c, int status, const char *content_type, const char *data, size_t len)
{
	struct http_request *r = &c->req;
	struct evbuffer *out = bufferevent_get_output(c->bev);
	size_t before = evbuffer_get_length(out);
	bool is_head = r->head.method != NULL && strcmp(r->head.method, "HEAD") == 0;
	bool keep = r->head.keep_alive && c->body_done && !c->dead;

	ASSERT(c->state == HTTP_CONN_HEAD || c->state == HTTP_CONN_BODY || c->state == HTTP_CONN_WAIT);
	if (is_head)
		len = 0;
	evbuffer_add_printf(out,
	    "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nConnection: %s\r\ncontent-length: %zu\r\n\r\n", status,
	    reason_phrase(status), content_type, keep ? "keep-alive" : "close", len);
	if (len > 0)
		evbuffer_add(out, data, len);
	c->out_total += evbuffer_get_length(out) - before;
	if (c->in_request) {
		c->in_request = false;
		c->server->handler->end(c->server->arg, r);
	}
	if (!c->body_done) {
		linger(c);
	} else if (!keep) {
		close_when_sent(c);
	} else {
		c->state = HTTP_CONN_HEAD;
		c->in_head = false;
		arm(c, c->server->limits->write_ms);
	}
}

static void answer_error(struct http_conn *c, int status, const char *sentence)
{
	const char *type;
	char *body = c->server->handler->error_body(sentence, &type);

	answer(c, status, type, body, strlen(body));
	free(body);
}

void http_respond(struct http_request *r, int status, const char *content_type, const char *data, size_t len)
{
	struct http_conn *c = (struct http_conn *)r;

	answer(c, status, content_type, data, len);
	if (!c->running)
		conn_run(c);
}

void http_respond_error(struct http_request *r, int status, const char *sentence)
{
	struct http_conn *c = (struct http_conn *)r;

	answer_error(c, status, sentence);
	if (!c->running)
		conn_run(c);
}

/* A request that cannot be understood: what follows it cannot be either. */
static void refuse(struct http_conn *c, int status, const char *sentence)
{
	c->body_done = false;
	c->req.head.keep_alive = false;
	answer_error(c, status, sentence);
}

/* Where the head in the input ends (behind its empty line), 0: not yet. */
static size_t find_head_end(struct evbuffer *in)
{
	struct evbuffer_ptr at = evbuffer_search(in, "\r\n\r\n", 4, NULL);

	if (at.pos >= 0)
		return (size_t)at.pos + 4;
	at = evbuffer_search(in, "\n\n", 2, NULL);
	return at.pos >= 0 ? (size_t)at.pos + 2 : 0;
}

static void begin_body(struct http_conn *c)
{
	struct http_head *h = &c->req.head;

	if (h->content_length > c->body_limit) {
		answer_error(c, 413, "The request's body is larger than is taken here.");
		return;
	}
	if (!h->chunked && h->content_length == 0) {
		c->body_done = true;
		c->state = HTTP_CONN_WAIT;
		event_del(c->deadline);
		c->server->handler->whole(c->server->arg, &c->req);
		return;
	}
	c->state = HTTP_CONN_BODY;
	c->body_left = h->content_length;
	memset(&c->chunks, 0, sizeof(c->chunks));
	if (h->expect_continue && evbuffer_get_length(bufferevent_get_input(c->bev)) == 0) {
		static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

		evbuffer_add(bufferevent_get_output(c->bev), go_on, sizeof(go_on) - 1);
		c->out_total += sizeof(go_on) - 1;
	}
	arm(c, c->server->limits->body_ms);
}

/* Returns whether something was done. */
static bool run_head(struct http_conn *c)
{
	const struct http_limits *lim = c->server->limits;
	struct evbuffer *in = bufferevent_get_input(c->bev);
	size_t end, len = evbuffer_get_length(in);
	const char *why;
	char first;
	int status;

	if (evbuffer_get_length(bufferevent_get_output(c->bev)) > OUTPUT_HIGH)
		return false;
	/* An empty line before a request is tolerated, as RFC 9112 asks. */
	while (!c->in_head && len > 0 && evbuffer_copyout(in, &first, 1) == 1 &&
	    (first == '\r' || first == '\n')) {
		evbuffer_drain(in, 1);
		len--;
	}
	if (len == 0)
		return false;
	if (!c->in_head) {
		c->in_head = true;
		memset(&c->req.head, 0, sizeof(c->req.head));
		arm(c, lim->head_ms);
	}
	end = find_head_end(in);
	if (end > lim->head_bytes || (end == 0 && len >= lim->head_bytes)) {
		refuse(c, 431, "The request's head is larger than is taken here.");
		return true;
	}
	if (end == 0)
		return false;
	free(c->head_text);
	c->head_text = xmalloc(end);
	evbuffer_remove(in, c->head_text, end);
	status = http_head_parse(&c->req.head, c->head_text, end, &why);
	if (status != 0) {
		refuse(c, status, why);
		return true;
	}
	c->body_taken = 0;
	c->body_done = !c->req.head.chunked && c->req.head.content_length == 0;
	c->in_request = true;
	c->req.call = NULL;
	c->body_limit = c->server->handler->head(c->server->arg, &c->req);
	if (c->in_request)
		begin_body(c);
	return true;
}

static void body_piece(struct http_conn *c, const char *data, size_t len)
{
	c->body_taken += len;
	if (c->body_taken > (uint64_t)c->body_limit) {
		answer_error(c, 413, "The request's body is larger than is taken here.");
		return;
	}
	c->server->handler->body(c->server->arg, &c->req, data, len);
}

static bool run_body(struct http_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	size_t len = evbuffer_get_contiguous_space(in), used = 0, piece_len = 0;
	const char *data, *piece = NULL;

	if (len == 0)
		return false;
	data = (const char *)evbuffer_pullup(in, (ev_ssize_t)len);
	if (c->req.head.chunked) {
		switch (http_chunks_feed(&c->chunks, data, len, &used, &piece, &piece_len)) {
		case HTTP_CHUNK_BAD:
			refuse(c, 400, "The request's chunked body is malformed.");
			return true;
		case HTTP_CHUNK_END:
			c->body_done = true;
			break;
		case HTTP_CHUNK_DATA:
		case HTTP_CHUNK_MORE:
			break;
		}
	} else {
		piece = data;
		piece_len = used = (uint64_t)c->body_left < len ? (size_t)c->body_left : len;
		c->body_left -= (int64_t)used;
		c->body_done = c->body_left == 0;
	}
	if (piece_len > 0)
		body_piece(c, piece, piece_len);
	/* An answer may have drained the input already. */
	if (c->state == HTTP_CONN_LINGER)
		return true;
	evbuffer_drain(in, used);
	if (c->in_request && c->body_done) {
		c->state = HTTP_CONN_WAIT;
		event_del(c->deadline);
		c->server->handler->whole(c->server->arg, &c->req);
	}
	return true;
}

/* The client closed its side: what it has asked for is still answered. */
static void run_eof(struct http_conn *c)
{
	if (c->state == HTTP_CONN_HEAD) {
		/* Whole requests may wait for the client to take earlier answers. */
		if (evbuffer_get_length(bufferevent_get_output(c->bev)) <= OUTPUT_HIGH)
			close_when_sent(c);
	} else if (c->state == HTTP_CONN_BODY || c->state == HTTP_CONN_LINGER) {
		kill_conn(c);
	}
}

static void conn_run(struct http_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	bool busy = true, again = false;
	int heads = 0;

	c->running = true;
	while (busy && !c->dead) {
		busy = false;
		if (c->state == HTTP_CONN_HEAD) {
			if (heads++ == REQUESTS_A_TURN) {
				event_active(c->more, EV_TIMEOUT, 1);
				again = true;
				break;
			}
			busy = run_head(c);
		} else if (c->state == HTTP_CONN_BODY) {
			busy = run_body(c);
		} else if (c->state == HTTP_CONN_LINGER || c->state == HTTP_CONN_CLOSING) {
			evbuffer_drain(in, evbuffer_get_length(in));
		}
	}
	if (c->eof && !c->dead && !again)
		run_eof(c);
	c->running = false;
	if (c->dead)
		free_conn(c);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct http_conn *c = arg;

	(void)bev;
	TAILQ_REMOVE(&c->server->conns, c, link);
	TAILQ_INSERT_TAIL(&c->server->conns, c, link);
	conn_run(c);
}

/* Everything answered so far is with the kernel. */
static void on_written(struct bufferevent *bev, void *arg)
{
	struct http_conn *c = arg;

	if (c->state == HTTP_CONN_CLOSING)
		kill_conn(c);
	if (c->state == HTTP_CONN_LINGER)
		shutdown(bufferevent_getfd(bev), SHUT_WR);
	if (c->state == HTTP_CONN_HEAD && !c->in_head)
		arm(c, c->server->limits->idle_ms);
	conn_run(c);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct http_conn *c = arg;

	(void)bev;
	if ((what & BEV_EVENT_EOF) != 0 && (what & BEV_EVENT_ERROR) == 0)
		c->eof = true;
	else
		kill_conn(c);
	conn_run(c);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct http_conn *c = arg;
	const struct http_limits *lim = c->server->limits;

	(void)fd;
	(void)what;
	if (c->state == HTTP_CONN_WAIT)
		return;
	if (c->state != HTTP_CONN_LINGER && evbuffer_get_length(bufferevent_get_output(c->bev)) > 0) {
		if (drained(c) == c->drained_mark)
			kill_conn(c);
		else
			arm(c, lim->write_ms);
	} else if (c->state == HTTP_CONN_BODY && c->body_taken - c->body_mark >= lim->body_min_bytes) {
		arm(c, lim->body_ms);
	} else if (c->state == HTTP_CONN_BODY || (c->state == HTTP_CONN_HEAD && c->in_head)) {
		refuse(c, 408, "The request came too slowly.");
	} else {
		kill_conn(c);
	}
	conn_run(c);
}

static void on_more(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	conn_run(arg);
}

void http_conn_create(struct http_server *s, int fd)
{
	struct http_conn *c = xcalloc(1, sizeof(*c));

	c->server = s;
	c->bev = bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
	c->deadline = evtimer_new(s->base, on_deadline, c);
	c->more = evtimer_new(s->base, on_more, c);
	ASSERT(c->bev != NULL && c->deadline != NULL && c->more != NULL);
	if (s->priority >= 0) {
		bufferevent_priority_set(c->bev, s->priority);
		event_priority_set(c->deadline, s->priority);
		event_priority_set(c->more, s->priority);
	}
	bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, INPUT_MAX);
	TAILQ_INSERT_TAIL(&s->conns, c, link);
	s->n_conns++;
	arm(c, s->limits->head_ms);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}
