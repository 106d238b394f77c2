/*
 * One connection of the HTTP server; between http.c (listening, counting) and
 * http_conn.c (reading, answering) only.
 */
#ifndef REST_HTTP_CONN_H
#define REST_HTTP_CONN_H

#include <stdbool.h>
#include <sys/queue.h>

#include "rest/http.h"

struct event;
struct bufferevent;

enum http_conn_state {
	HTTP_CONN_HEAD, /* between requests, or inside a head */
	HTTP_CONN_BODY,
	HTTP_CONN_WAIT,    /* the handler has the whole request */
	HTTP_CONN_CLOSING, /* the last answer is being sent */
	HTTP_CONN_LINGER,  /* answered before the body's end: the rest is thrown away */
};

struct http_conn {
	struct http_request req; /* first member: the request is found by its address */
	TAILQ_ENTRY(http_conn) link;
	struct http_server *server;
	struct bufferevent *bev;
	struct event *deadline, *more;
	enum http_conn_state state;
	bool in_request; /* head() was called, end() not yet */
	bool in_head;    /* the first byte of a head is there */
	bool body_done;
	bool eof; /* the client has closed its side */
	bool running, dead;
	char *head_text;
	int64_t body_limit, body_left;
	struct http_chunks chunks;
	uint64_t body_taken;              /* bytes of this request's body so far */
	uint64_t body_mark;               /* ... when the deadline was set */
	uint64_t out_total, drained_mark; /* bytes answered, and taken by the client at the mark */
};

TAILQ_HEAD(http_conn_list, http_conn);

struct http_server {
	struct event_base *base;
	int fd;
	struct event *accept, *retry;
	int priority;
	bool loopback;
	const struct http_limits *limits;
	const struct http_handler *handler;
	void *arg;
	struct http_conn_list conns; /* longest quiet first */
	unsigned n_conns;
};

/* Takes ownership of fd. */
void http_conn_create(struct http_server *s, int fd);
void http_conn_destroy(struct http_conn *c);
/* Whether it waits for a request of which nothing has come. */
bool http_conn_is_idle(const struct http_conn *c);

#endif
