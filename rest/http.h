/*
 * The HTTP server: connections, limits and deadlines, on an event loop.  In the
 * JobManager.
 *
 * Not evhttp: that holds a whole body in memory before anyone sees it (an upload of 100
 * MiB would stay in the heap that every fork copies), answers its own errors in HTML, takes
 * heads that can be read in two ways, and gives no hook for a deadline or a count before
 * a head is whole.  Here a body is passed on piece by piece.
 *
 * One request at a time a connection: what is pipelined waits in the socket.
 */
#ifndef REST_HTTP_H
#define REST_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rest/http_head.h"

struct event_base;
struct http_server;

struct http_limits {
	size_t head_bytes;        /* request line and fields */
	unsigned max_connections; /* above: the longest idle one is closed, else 503 */
	int64_t head_ms;          /* from its first byte to the head's end */
	int64_t idle_ms;          /* between requests */
	int64_t body_ms;          /* in each such span a body must bring body_min_bytes or its end */
	size_t body_min_bytes;
	int64_t write_ms;  /* without a byte taken by the client */
	int64_t linger_ms; /* for the rest of a refused body */
};
extern const struct http_limits http_default_limits;

/* Borrowed until end(). */
struct http_request {
	struct http_head head;
	void *call; /* the handler's own */
};

/* head, then body for each piece, then whole, end last of all. head, body and whole may
 * answer; after an answer only end follows. */
struct http_handler {
	/* Returns how many bytes of body are taken; more are answered with 413. Not used after an answer. */
	int64_t (*head)(void *arg, struct http_request *r);
	void (*body)(void *arg, struct http_request *r, const char *data, size_t len);
	void (*whole)(void *arg, struct http_request *r);
	/* Answered, or the client is gone; r is not valid afterwards. */
	void (*end)(void *arg, struct http_request *r);
	/* The body that says one sentence; caller frees. */
	char *(*error_body)(const char *sentence, const char **content_type);
};

/*
 * Listen on host (a name or an address) and port (0: a free one, stored in *port).
 * priority: of libevent, -1 for the default.  handler and limits are borrowed.
 */
struct http_server *http_server_create(struct event_base *base, const char *host, unsigned *port,
    int priority, const struct http_limits *limits, const struct http_handler *handler, void *arg,
    struct err *e);
/* Closes every connection at once; end() is called for the requests under way. */
void http_server_destroy(struct http_server *s);
/* Whether only this host can connect. */
int http_server_is_loopback(const struct http_server *s);

/* Answer, exactly once a request; data is copied. Calls end(). */
void http_respond(struct http_request *r, int status, const char *content_type, const char *data, size_t len);
/* The same with the handler's error_body. */
void http_respond_error(struct http_request *r, int status, const char *sentence);

#endif
