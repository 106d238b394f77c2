/* The HTTP server on a real socket: limits, deadlines, bad and unusual requests. */
#include "rest/http.h"

#include <sys/resource.h>

#include "t/unit/rest_http_client.h"

/* An echo: answers with method, target and the body's length; "/hold" waits. */
struct echo {
	size_t body_len;
	struct http_request *held;
	unsigned n_heads, n_ends;
	int64_t limit;
};

static struct echo echo;

static int64_t on_head(void *arg, struct http_request *r)
{
	struct echo *e = arg;

	e->n_heads++;
	e->body_len = 0;
	if (strcmp(r->head.target, "/early") == 0)
		http_respond_error(r, 404, "early");
	return e->limit;
}

static void on_body(void *arg, struct http_request *r, const char *data, size_t len)
{
	struct echo *e = arg;

	(void)r;
	(void)data;
	e->body_len += len;
}

static void on_whole(void *arg, struct http_request *r)
{
	struct echo *e = arg;
	char text[256];

	if (strcmp(r->head.target, "/hold") == 0) {
		e->held = r;
		return;
	}
	if (strcmp(r->head.target, "/big") == 0) {
		char *big = xcalloc(1, 4 << 20);

		memset(big, 'x', 4 << 20);
		http_respond(r, 200, "text/plain", big, 4 << 20);
		free(big);
		return;
	}
	snprintf(text, sizeof(text), "%s %s %zu", r->head.method, r->head.target, e->body_len);
	http_respond(r, 200, "text/plain", text, strlen(text));
}

static void on_end(void *arg, struct http_request *r)
{
	struct echo *e = arg;

	e->n_ends++;
	if (e->held == r)
		e->held = NULL;
}

static char *error_body(const char *sentence, const char **content_type)
{
	*content_type = "application/json";
	return xasprintf("{\"errors\":[\"%s\"]}", sentence);
}

static const struct http_handler handler = { on_head, on_body, on_whole, on_end, error_body };
static const struct http_limits limits = {
	.head_bytes = 2048,
	.max_connections = 4,
	.head_ms = 300,
	.idle_ms = 600,
	.body_ms = 300,
	.body_min_bytes = 1000,
	.write_ms = 300,
	.linger_ms = 200,
};

static struct http_server *start(void)
{
	struct err e;
	struct http_server *s;

	server_port = 0;
	echo.limit = 100000;
	s = http_server_create(loop, "127.0.0.1", &server_port, -1, &limits, &handler, &echo, &e);
	ok(s != NULL && server_port > 0, "listens on a free port");
	return s;
}

static void answers(const char *request, const char *status, const char *part, const char *what)
{
	char *answer = client_ask(request);

	ok(strncmp(answer, "HTTP/1.1 ", 9) == 0 && strncmp(answer + 9, status, 3) == 0, "%s: status %s", what,
	    status);
	like(answer, part, "%s: its answer", what);
	free(answer);
}

static void test_ordinary(void)
{
	char *answer = client_ask("GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n");

	is_str(answer,
	    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: keep-alive\r\n"
	    "content-length: 10\r\n\r\nGET /a?b 0",
	    "a GET and its answer");
	free(answer);
	answers("PATCH /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", "200", "PATCH /p 5",
	    "PATCH with a body");
	answers(
	    "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: v\r\n\r\n",
	    "200", "POST /c 7", "chunks, an extension, a trailer");
	answers("GET /a HTTP/1.0\r\n\r\n", "200", "Connection: close", "HTTP/1.0 closes");
	answers("\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "200", "Connection: close",
	    "asked to close");
	answers("GET /a HTTP/1.1\nHost: x\n\n", "200", "GET /a 0", "bare line feeds");
	answer = client_ask("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
	like(answer, "content-length: 0\r\n\r\n", "HEAD has no body");
	is_str(body_of(answer), "", "really none");
	free(answer);
}

static void test_bad(void)
{
	static const struct {
		const char *request, *status, *what;
	} rows[] = {
		{ "nonsense\r\n\r\n", "400", "no request line" },
		{ "GET /a\r\n\r\n", "400", "no version" },
		{ "GET /a HTTP/2.0\r\nHost: x\r\n\r\n", "505", "another version" },
		{ "GET http://evil/a HTTP/1.1\r\nHost: x\r\n\r\n", "400", "an absolute address" },
		{ "GET /a HTTP/1.1\r\n\r\n", "400", "no Host" },
		{ "GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400", "two Hosts" },
		{ "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", "400",
		    "two lengths" },
		{ "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		    "400", "length and chunks" },
		{ "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "400", "a negative length" },
		{ "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n", "400", "a signed length" },
		{ "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", "501",
		    "another encoding" },
		{ "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400",
		    "a bad chunk size" },
		{ "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "400",
		    "a chunk too long" },
		{ "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffff\r\n", "400",
		    "a chunk of 4 PiB" },
		{ "GET /a HTTP/1.1\r\nHost : x\r\n\r\n", "400", "a blank before the colon" },
		{ "GET /a HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", "400", "a folded line" },
		{ "GET /a HTTP/1.1\r\nHost: x\r\nExpect: magic\r\n\r\n", "417", "an unknown expectation" },
		{ "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n", "413",
		    "a body over the limit" },
		{ "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\n", "413",
		    "a length of 91 TiB" },
		{ "POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n", "404",
		    "an answer before the body" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		unsigned heads = echo.n_heads, ends = echo.n_ends;

		answers(rows[i].request, rows[i].status, "\r\nConnection: close\r\n", rows[i].what);
		is_int(echo.n_heads - heads, echo.n_ends - ends, "%s: every request is ended", rows[i].what);
	}
}

static void test_large(void)
{
	char *head = xasprintf("GET /%04000d HTTP/1.1\r\nHost: x\r\n\r\n", 0);
	char *chunks = xasprintf(
	    "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n30000\r\n%0196608d\r\n", 0);
	char *many = xmalloc(4000), *w = many;

	answers(head, "431", "errors", "a head over the limit");
	answers(chunks, "413", "errors", "chunks over the limit");
	w += snprintf(w, 100, "GET /a HTTP/1.1\r\nHost: x\r\n");
	for (int i = 0; i < 101; i++)
		w += snprintf(w, 20, "A: b\r\n");
	snprintf(w, 4, "\r\n");
	answers(many, "431", "errors", "more fields than are taken");
	free(head);
	free(chunks);
	free(many);
}

static void test_pipelining(void)
{
	char request[64], *all = xmalloc(4000), *w = all;
	int fd = client_open(), good = 0;

	for (int i = 0; i < 50; i++)
		w += snprintf(w, 80, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i);
	client_send(fd, all);
	for (int i = 0; i < 50; i++) {
		char *answer = client_read(fd);

		snprintf(request, sizeof(request), "GET /%d 0", i);
		good += strcmp(body_of(answer), request) == 0;
		free(answer);
	}
	is_int(good, 50, "50 pipelined requests are answered in order");
	/* The same, the client's side closed behind them. */
	client_send(fd, all);
	shutdown(fd, SHUT_WR);
	good = 0;
	for (int i = 0; i < 50; i++) {
		char *answer = client_read(fd);

		good += strstr(answer, "200 OK") != NULL;
		free(answer);
	}
	is_int(good, 50, "requests before a half-close are all answered");
	ok(client_is_closed(fd, 2000), "then the connection is closed");
	close(fd);
	free(all);
}

static void test_pieces(void)
{
	const char *request =
	    "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n";
	int fd = client_open();
	char *answer;

	for (const char *p = request; *p != '\0'; p++)
		client_send_n(fd, p, 1);
	answer = client_read(fd);
	is_str(body_of(answer), "POST /p 10", "a request that comes byte by byte");
	free(answer);
	close(fd);
}

static void test_expect(void)
{
	int fd = client_open();
	char *answer;

	client_send(fd, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
	answer = client_read(fd);
	is_str(answer, "HTTP/1.1 100 Continue\r\n\r\n", "Expect is answered before the body");
	free(answer);
	client_send(fd, "abc");
	answer = client_read(fd);
	is_str(body_of(answer), "POST /p 3", "then the body is taken");
	free(answer);
	close(fd);
	answers("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\nExpect: 100-continue\r\n\r\n",
	    "413", "errors", "Expect with too large a body is refused at once");
}

static void test_slow(void)
{
	int fd = client_open();
	int64_t began = mono_ms();
	static char text[65536];
	size_t total = 0;
	char *answer;
	ssize_t n;

	client_send(fd, "GET /a HTTP/1.1\r\nHos");
	answer = client_read(fd);
	like(answer, "HTTP/1.1 408", "a head that does not end is given up");
	ok(mono_ms() - began < 3000, "... in time");
	free(answer);
	close(fd);
	fd = client_open();
	client_send(fd, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nabc");
	answer = client_read(fd);
	like(answer, "HTTP/1.1 408", "a body that does not come is given up");
	free(answer);
	close(fd);
	fd = client_open();
	ok(client_is_closed(fd, 3000), "a connection without a request is closed");
	close(fd);
	fd = client_open();
	client_send(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	free(client_read(fd));
	ok(!client_is_closed(fd, 300) && client_is_closed(fd, 3000),
	    "an idle connection is closed after its time");
	close(fd);
	/* A reader that takes nothing. */
	fd = client_open();
	for (int i = 0; i < 4; i++)
		client_send(fd, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
	began = mono_ms();
	while (mono_ms() - began < 1500)
		turn();
	while ((n = recv(fd, text, sizeof(text), MSG_DONTWAIT)) > 0)
		total += (size_t)n;
	ok((n == 0 || errno == ECONNRESET) && total < 4 * (4u << 20),
	    "a client that reads nothing is given up");
	close(fd);
}

static void test_connections(void)
{
	int fds[4], fd;
	char *answer;

	for (int i = 0; i < 4; i++) {
		fds[i] = client_open();
		client_send(fds[i], "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
		free(client_read(fds[i]));
	}
	answer = client_ask("GET /fifth HTTP/1.1\r\nHost: x\r\n\r\n");
	like(answer, "200 OK", "with all connections idle, a new one is served");
	free(answer);
	ok(client_is_closed(fds[0], 2000), "the longest idle one makes room");
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	turn();
	for (int i = 0; i < 4; i++) {
		fds[i] = client_open();
		client_send(fds[i], "GET /a HT");
	}
	fd = client_open();
	answer = client_read(fd);
	like(answer, "HTTP/1.1 503", "with all of them busy it is refused");
	free(answer);
	close(fd);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	turn();
}

static void test_later(void)
{
	int fd = client_open(), gone = client_open();
	char *answer;

	client_send(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n");
	for (int i = 0; i < 1000 && echo.held == NULL; i++)
		turn();
	ok(echo.held != NULL, "a request is held");
	http_respond(echo.held, 202, "text/plain", "done", 4);
	answer = client_read(fd);
	like(answer, "202 Accepted", "and answered later");
	free(answer);
	answer = client_read(fd);
	is_str(body_of(answer), "GET /next 0", "the pipelined one follows");
	free(answer);
	close(fd);
	client_send(gone, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
	for (int i = 0; i < 1000 && echo.held == NULL; i++)
		turn();
	{
		struct linger reset = { .l_onoff = 1, .l_linger = 0 };

		setsockopt(gone, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	}
	close(gone);
	for (int64_t until = mono_ms() + 2000; echo.held != NULL && mono_ms() < until;)
		turn();
	ok(echo.held == NULL, "a client that leaves ends its request");
}

static void test_create_errors(struct http_server *s)
{
	struct err e;
	unsigned port = server_port;

	(void)s;
	ok(http_server_create(loop, "127.0.0.1", &port, -1, &limits, &handler, &echo, &e) == NULL,
	    "a taken port");
	like(e.msg, "is in use by another program", "... is said");
	port = 0;
	ok(http_server_create(loop, "no.such.host.invalid", &port, -1, &limits, &handler, &echo, &e) == NULL,
	    "an unknown address");
	like(e.msg, "rest.bind-address", "... is said with its key");
}

int main(void)
{
	struct http_server *s;
	int fd;

	loop = event_base_new();
	s = start();
	test_ordinary();
	test_bad();
	test_large();
	test_pipelining();
	test_pieces();
	test_expect();
	test_slow();
	test_connections();
	test_later();
	test_create_errors(s);
	fd = client_open();
	client_send(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
	turn();
	http_server_destroy(s);
	is_int(echo.n_heads, echo.n_ends, "every request was ended");
	close(fd);
	event_base_free(loop);
	libevent_global_shutdown();
	return tap_done();
}
