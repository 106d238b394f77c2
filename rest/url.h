/*
 * The target of a request: a path of decoded segments and a decoded query.  What
 * comes in is from outside: decoded once, and a NUL or a broken escape is refused.
 */
#ifndef REST_URL_H
#define REST_URL_H

#include <stdbool.h>
#include <stddef.h>

#define URL_MAX_SEGMENTS 16

struct url_pair {
	char *name, *value;
};

struct url {
	/* Split at '/' before decoding, so that "%2f" stays inside its segment; empty
	 * segments ("//", a trailing "/") are left out. */
	char *segments[URL_MAX_SEGMENTS];
	unsigned n_segments;
	char *path; /* decoded whole, as it came, for messages */
	struct url_pair *query;
	unsigned n_query;
};

/* target: the second word of a request line, "/a/b?c=d". Returns 0, or -1 with a sentence
 * in *why and nothing to free. */
int url_parse(struct url *u, const char *target, const char **why);
void url_fini(struct url *u);
/* The last value of a name, NULL where it is not given. */
const char *url_query(const struct url *u, const char *name);

#endif
