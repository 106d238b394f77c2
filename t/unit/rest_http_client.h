/* A raw HTTP client on the event loop of the server under test, for rest_*.c. */
#ifndef T_UNIT_REST_HTTP_CLIENT_H
#define T_UNIT_REST_HTTP_CLIENT_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/mem.h"
#include "t/tap.h"

#define CLIENT_DEADLINE_MS 5000

static struct event_base *loop;
static unsigned server_port;

static int64_t mono_ms(void)
{
	return clock_mono_ns(&clock_system) / NS_PER_MS;
}

static void turn(void)
{
	event_base_loop(loop, EVLOOP_NONBLOCK);
}

static int client_open(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)server_port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ASSERT(fd >= 0 && connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0);
	return fd;
}

/* Send all, letting the server run; false: it has closed. */
static bool client_send_n(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return false;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
		turn();
	}
	return true;
}

static bool client_send(int fd, const char *text)
{
	return client_send_n(fd, text, strlen(text));
}

/* One answer: up to the end of its body, or of the connection. Caller frees. */
static char *client_read(int fd)
{
	int64_t deadline = mono_ms() + CLIENT_DEADLINE_MS;
	size_t len = 0, cap = 65536;
	char *text = xcalloc(1, cap + 1);

	while (mono_ms() < deadline) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		const char *end = strstr(text, "\r\n\r\n"), *length = strstr(text, "content-length: ");
		ssize_t n;

		if (end != NULL && strncmp(text, "HTTP/1.1 100", 12) == 0)
			return text;
		if (end != NULL && length != NULL &&
		    (size_t)(end + 4 - text) + strtoul(length + 16, NULL, 10) <= len)
			return text;
		turn();
		if (poll(&p, 1, 1) != 1)
			continue;
		/* One byte at a time at first, so that what follows stays in the socket. */
		n = recv(fd, text + len, 1, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return text;
		if (n > 0)
			len += (size_t)n;
		if (len == cap) {
			cap *= 2;
			text = xreallocarray(text, cap + 1, 1);
		}
		text[len] = '\0';
	}
	printf("# no whole answer in time\n");
	return text;
}

/* Whether the server closes the connection within ms. */
__attribute__((unused)) static bool client_is_closed(int fd, int64_t ms)
{
	int64_t deadline = mono_ms() + ms;
	char c;

	while (mono_ms() < deadline) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		turn();
		if (poll(&p, 1, 1) == 1 && recv(fd, &c, 1, MSG_DONTWAIT) <= 0)
			return true;
	}
	return false;
}

/* A request on a connection of its own. Caller frees the answer. */
static char *client_ask(const char *request)
{
	int fd = client_open();
	char *answer;

	client_send(fd, request);
	answer = client_read(fd);
	close(fd);
	return answer;
}

__attribute__((unused)) static char *client_call(const char *method, const char *path, const char *body)
{
	char *request = xasprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s",
	    method, path, strlen(body), body);
	char *answer = client_ask(request);

	free(request);
	return answer;
}

__attribute__((unused)) static const char *body_of(const char *answer)
{
	const char *end = strstr(answer, "\r\n\r\n");

	return end != NULL ? end + 4 : "";
}

#endif
