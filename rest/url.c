/* Paths and queries of requests, decoded. */
#include "rest/url.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* A decoded copy of len bytes, or NULL. */
static char *decode(const char *s, size_t len, bool plus_is_blank, const char **why)
{
	char *out = xmalloc(len + 1);
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int hi, lo;
		char c = s[i];

		if (c == '%') {
			if (i + 2 >= len || (hi = hex_value(s[i + 1])) < 0 ||
			    (lo = hex_value(s[i + 2])) < 0) {
				*why = "The request's address has an unfinished percent escape.";
				free(out);
				return NULL;
			}
			c = (char)(hi << 4 | lo);
			i += 2;
		} else if (c == '+' && plus_is_blank) {
			c = ' ';
		}
		if (c == '\0') {
			*why = "The request's address has a NUL in it.";
			free(out);
			return NULL;
		}
		out[n++] = c;
	}
	out[n] = '\0';
	return out;
}

static int parse_path(struct url *u, const char *path, size_t len, const char **why)
{
	u->path = decode(path, len, false, why);
	if (u->path == NULL)
		return -1;
	for (size_t i = 0; i < len;) {
		size_t end = i;

		while (end < len && path[end] != '/')
			end++;
		if (end > i) {
			if (u->n_segments == URL_MAX_SEGMENTS) {
				*why = "The request's path has too many parts.";
				return -1;
			}
			u->segments[u->n_segments] = decode(path + i, end - i, false, why);
			if (u->segments[u->n_segments] == NULL)
				return -1;
			u->n_segments++;
		}
		i = end + 1;
	}
	return 0;
}

static int parse_query(struct url *u, const char *query, const char **why)
{
	unsigned cap = 0;

	while (*query != '\0') {
		size_t len = strcspn(query, "&");
		const char *eq = memchr(query, '=', len);
		size_t name_len = eq != NULL ? (size_t)(eq - query) : len;

		if (len > 0) {
			struct url_pair p = { NULL, NULL };

			p.name = decode(query, name_len, true, why);
			if (p.name != NULL)
				p.value =
				    eq != NULL ? decode(eq + 1, len - name_len - 1, true, why) : xstrdup("");
			if (p.value == NULL) {
				free(p.name);
				return -1;
			}
			VEC_RESERVE(u->query, u->n_query, cap);
			u->query[u->n_query++] = p;
		}
		query += len;
		if (*query == '&')
			query++;
	}
	return 0;
}

int url_parse(struct url *u, const char *target, const char **why)
{
	size_t path_len = strcspn(target, "?#");

	memset(u, 0, sizeof(*u));
	if (target[0] != '/') {
		*why = "The request's address does not begin with a slash.";
		return -1;
	}
	if (parse_path(u, target, path_len, why) == 0 &&
	    (target[path_len] != '?' || parse_query(u, target + path_len + 1, why) == 0))
		return 0;
	url_fini(u);
	return -1;
}

void url_fini(struct url *u)
{
	for (unsigned i = 0; i < u->n_segments; i++)
		free(u->segments[i]);
	for (unsigned i = 0; i < u->n_query; i++) {
		free(u->query[i].name);
		free(u->query[i].value);
	}
	free(u->query);
	free(u->path);
	memset(u, 0, sizeof(*u));
}

const char *url_query(const struct url *u, const char *name)
{
	for (unsigned i = u->n_query; i > 0; i--)
		if (strcmp(u->query[i - 1].name, name) == 0)
			return u->query[i - 1].value;
	return NULL;
}
