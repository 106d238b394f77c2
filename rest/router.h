/* The table of routes, from routes.def, and finding the one that a request means. */
#ifndef REST_ROUTER_H
#define REST_ROUTER_H

#include "rest/call.h"

struct route {
	const char *method, *pattern;
	rest_handler_fn *handler;
	unsigned priority;
	enum body_kind body;
	const char *sentence;
};

unsigned route_count(void);
const struct route *route_at(unsigned i);
/* The row of a method and path, with or without /v1; params are filled from the path, borrowed
 * from u. NULL: there is none. */
const struct route *route_find(const char *method, const struct url *u, const char *params[CALL_MAX_PARAMS]);
/* Which of a pattern's parameters has this name, -1: none. */
int route_param_index(const struct route *r, const char *name);

#define ROUTE(method, pattern, handler, priority, body, sentence) rest_handler_fn handler;
#include "rest/routes.def"
#undef ROUTE

#endif
