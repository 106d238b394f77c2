/* The table of routes. */
#include "rest/router.h"

#include <string.h>

#include "base/mem.h"

static const struct route routes[] = {
#define ROUTE(method, pattern, handler, priority, body, sentence) \
	{ #method, pattern, handler, priority, body, sentence },
#include "rest/routes.def"
#undef ROUTE
};

unsigned route_count(void)
{
	return (unsigned)ARRAY_LEN(routes);
}

const struct route *route_at(unsigned i)
{
	return &routes[i];
}

/* Whether segments[0..n) are pattern's, parameters taken. */
static bool pattern_fits(const char *pattern, char *const *segments, unsigned n,
    const char *params[CALL_MAX_PARAMS])
{
	unsigned n_params = 0;

	for (unsigned i = 0; i < n; i++) {
		size_t len;

		if (*pattern != '/')
			return false;
		len = strcspn(++pattern, "/");
		if (*pattern == ':') {
			if (n_params == CALL_MAX_PARAMS)
				return false;
			params[n_params++] = segments[i];
		} else if (strlen(segments[i]) != len || memcmp(segments[i], pattern, len) != 0) {
			return false;
		}
		pattern += len;
	}
	return *pattern == '\0';
}

const struct route *route_find(const char *method, const struct url *u, const char *params[CALL_MAX_PARAMS])
{
	char *const *segments = u->segments;
	unsigned n = u->n_segments;

	if (n > 0 && strcmp(segments[0], "v1") == 0) {
		segments++;
		n--;
	}
	for (unsigned i = 0; i < ARRAY_LEN(routes); i++)
		if (strcmp(routes[i].method, method) == 0 &&
		    pattern_fits(routes[i].pattern, segments, n, params))
			return &routes[i];
	return NULL;
}

int route_param_index(const struct route *r, const char *name)
{
	int index = 0;

	for (const char *p = strstr(r->pattern, "/:"); p != NULL; p = strstr(p + 2, "/:"), index++) {
		size_t len = strcspn(p + 2, "/");

		if (strlen(name) == len && memcmp(p + 2, name, len) == 0)
			return index;
	}
	return -1;
}
