/*
 * One call of a route: what a handler in h_*.c gets and answers with.
 *
 * A handler answers exactly once, now or later.  For later it holds the call, and answers
 * and releases it in its callback; a client that has left in between is no concern
 * of the handler's.
 */
#ifndef REST_CALL_H
#define REST_CALL_H

#include "rest/body.h"
#include "rest/gateway.h"
#include "rest/json.h"
#include "rest/upload.h"
#include "rest/url.h"

struct http_request;
struct route;

#define CALL_MAX_PARAMS 4

struct rest_call {
	struct gateway *gateway;
	struct gw_arena *arena; /* lives as long as the call */
	const struct route *route;
	struct url url;
	const char *params[CALL_MAX_PARAMS]; /* in the order of the pattern */
	cJSON *body;                         /* an object; of the route's kind */
	struct upload *upload;               /* a FILE's, whole; NULL: the body was not multipart */
	const char *address;                 /* "http://host:port" by which the client reaches us */
	/* The transport's. */
	struct http_request *req; /* NULL: answered, or the client is gone */
	char *text;
	size_t text_len, text_cap;
	unsigned refs;
};

typedef void rest_handler_fn(struct rest_call *c);

/* Java's class names, which begin every error's first line. */
#define REST_HANDLER_EXCEPTION "org.apache.flink.runtime.rest.handler.RestHandlerException"
#define NOT_FOUND_EXCEPTION    "org.apache.flink.runtime.rest.NotFoundException"

/* Takes ownership of answer. */
void rest_reply(struct rest_call *c, int status, cJSON *answer);
/* {"errors":["class: sentence"]}; class NULL: the sentence alone. */
void rest_fail(struct rest_call *c, int status, const char *class_name, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* 500 in Flink's two-part form. */
void rest_fail_internal(struct rest_call *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* By the error's code. */
void rest_fail_err(struct rest_call *c, const struct err *e);

void rest_call_hold(struct rest_call *c);
void rest_call_release(struct rest_call *c);

/* A parameter of the path, by its name in the pattern. */
const char *rest_param(const struct rest_call *c, const char *name);
/* It cannot be that. */
void rest_fail_param(struct rest_call *c, const char *name, const char *value);
/* ... that is an id. False: it is none, and that was answered. */
bool rest_param_id(struct rest_call *c, const char *name, struct id128 *id);
/* An integer of the query. False: it is none, and that was answered; *value stays where it is missing. */
bool rest_query_int(struct rest_call *c, const char *name, int64_t min, int64_t max, int64_t *value);
void rest_fail_query(struct rest_call *c, const char *name, const char *value);

#endif
