/* The HTTP server: listening, accepting and counting. */
#include "rest/http.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "base/mem.h"
#include "rest/http_conn.h"

#define ACCEPTS_A_TURN 16
#define BACKLOG        511

const struct http_limits http_default_limits = {
	.head_bytes = 32768,
	.max_connections = 1024,
	.head_ms = 10000,
	.idle_ms = 60000,
	.body_ms = 10000,
	.body_min_bytes = 100000,
	.write_ms = 10000,
	.linger_ms = 2000,
};

/* Make room for one connection by closing the one that is idle for longest. */
static bool make_room(struct http_server *s)
{
	struct http_conn *c;

	for (c = TAILQ_FIRST(&s->conns); c != NULL; c = TAILQ_NEXT(c, link)) {
		if (http_conn_is_idle(c)) {
			http_conn_destroy(c);
			return true;
		}
	}
	return false;
}

static void refuse_connection(struct http_server *s, int fd)
{
	const char *type;
	char *body = s->handler->error_body("There are too many connections; try again later.", &type);
	char *text = xasprintf("HTTP/1.1 503 Service Unavailable\r\nContent-Type: %s\r\nConnection: close\r\n"
			       "content-length: %zu\r\n\r\n%s",
	    type, strlen(body), body);

	/* A fresh socket's buffer takes this at once, or the client does without. */
	(void)!send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
	free(text);
	free(body);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *s = arg;

	(void)fd;
	(void)what;
	event_add(s->accept, NULL);
}

static void on_accept(evutil_socket_t lfd, short what, void *arg)
{
	struct http_server *s = arg;

	(void)what;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int one = 1, fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
				return;
			/* Out of descriptors: the socket stays readable, so look away for a while. */
			log_warn("rest.accept_failed",
			    KV_MSG("no connection can be accepted; trying again in a second"));
			event_del(s->accept);
			event_add(s->retry, &(struct timeval){ .tv_sec = 1 });
			return;
		}
		if (s->n_conns >= s->limits->max_connections && !make_room(s)) {
			refuse_connection(s, fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		http_conn_create(s, fd);
	}
}

static bool is_loopback(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		return ntohl(in.sin_addr.s_addr) >> 24 == 127;
	}
	if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, sa, sizeof(in6));
		return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr) != 0;
	}
	return false;
}

/* A listening socket on the first address of host that works, IPv4 first. */
static int listen_on(const char *host, unsigned *port, bool *loopback, struct err *e)
{
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE
	};
	struct addrinfo *list, *ai;
	char service[8];
	int rc, fd = -1, failed = 0;

	snprintf(service, sizeof(service), "%u", *port);
	rc = getaddrinfo(host, service, &hints, &list);
	if (rc != 0)
		return err_set(e, ERR_CONFIG, "rest.bind-address \"%s\" is not an address of this host: %s",
		    host, gai_strerror(rc));
	for (int pass = 0; pass < 2 && fd < 0; pass++) {
		for (ai = list; ai != NULL && fd < 0; ai = ai->ai_next) {
			int one = 1;

			if ((ai->ai_family == AF_INET) != (pass == 0))
				continue;
			fd = socket(ai->ai_family, ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
			if (fd < 0) {
				failed = errno;
				continue;
			}
			setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
			if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) {
				*loopback = is_loopback(ai->ai_addr);
				break;
			}
			failed = errno;
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(list);
	if (fd < 0 && failed == EADDRINUSE)
		return err_set(e, ERR_IO,
		    "port %u of %s is in use by another program; give rest.port another number, "
		    "or 0 for a free one",
		    *port, host);
	if (fd < 0) {
		errno = failed;
		return err_set_errno(e, ERR_IO, "cannot listen on port %u of %s", *port, host);
	}
	return fd;
}

static unsigned bound_port(int fd)
{
	struct sockaddr_storage ss = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(ss);
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		return 0;
	if (ss.ss_family == AF_INET6) {
		memcpy(&in6, &ss, sizeof(in6));
		return ntohs(in6.sin6_port);
	}
	memcpy(&in, &ss, sizeof(in));
	return ntohs(in.sin_port);
}

struct http_server *http_server_create(struct event_base *base, const char *host, unsigned *port,
    int priority, const struct http_limits *limits, const struct http_handler *handler, void *arg,
    struct err *e)
{
	struct http_server *s;
	bool loopback = false;
	int fd = listen_on(host, port, &loopback, e);

	if (fd < 0)
		return NULL;
	*port = bound_port(fd);
	s = xcalloc(1, sizeof(*s));
	s->base = base;
	s->fd = fd;
	s->priority = priority;
	s->loopback = loopback;
	s->limits = limits;
	s->handler = handler;
	s->arg = arg;
	TAILQ_INIT(&s->conns);
	s->accept = event_new(base, fd, EV_READ | EV_PERSIST, on_accept, s);
	s->retry = evtimer_new(base, on_retry, s);
	ASSERT(s->accept != NULL && s->retry != NULL);
	if (priority >= 0) {
		event_priority_set(s->accept, priority);
		event_priority_set(s->retry, priority);
	}
	event_add(s->accept, NULL);
	return s;
}

void http_server_destroy(struct http_server *s)
{
	struct http_conn *c;

	if (s == NULL)
		return;
	while ((c = TAILQ_FIRST(&s->conns)) != NULL)
		http_conn_destroy(c);
	event_free(s->accept);
	event_free(s->retry);
	close(s->fd);
	free(s);
}

int http_server_is_loopback(const struct http_server *s)
{
	return s->loopback;
}
