/* multipart/form-data, piece by piece. */
#include "rest/multipart.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"

#define BOUNDARY_MAX  70 /* RFC 2046 */
#define PART_HEAD_MAX 8192

enum multipart_state {
	MP_PREAMBLE, /* before the first boundary */
	MP_BOUNDARY, /* right behind a boundary */
	MP_PART_HEAD,
	MP_PART_DATA,
	MP_EPILOGUE,
	MP_BROKEN,
};

struct multipart {
	enum multipart_state state;
	const struct multipart_events *events;
	void *arg;
	char mark[BOUNDARY_MAX + 5]; /* CR LF - - boundary */
	size_t mark_len;
	char *buf;
	size_t len, cap;
};

/* The value of a parameter of a header field, unquoted; NULL: not there. Caller frees. */
static char *parameter(const char *field, const char *name)
{
	size_t name_len = strlen(name);
	const char *p = field + strcspn(field, ";");

	while (*p == ';') {
		const char *key, *eq;
		char *value, *w;

		p++;
		p += strspn(p, " \t");
		key = p;
		p += strcspn(p, "=;\"");
		eq = p;
		if (*p != '=')
			continue;
		p++;
		value = w = xmalloc(strlen(p) + 1);
		if (*p == '"') {
			for (p++; *p != '\0' && *p != '"'; p++) {
				/* Browsers escape a quote; a backslash before anything else is
				 * part of a path of old clients. */
				if (p[0] == '\\' && (p[1] == '"' || p[1] == '\\'))
					p++;
				*w++ = *p;
			}
			p += *p == '"';
			p += strcspn(p, ";");
		} else {
			while (*p != '\0' && *p != ';')
				*w++ = *p++;
			while (w > value && (w[-1] == ' ' || w[-1] == '\t'))
				w--;
		}
		*w = '\0';
		if ((size_t)(eq - key) == name_len && strncasecmp(key, name, name_len) == 0)
			return value;
		free(value);
	}
	return NULL;
}

struct multipart *multipart_create(const char *content_type, const struct multipart_events *events, void *arg)
{
	static const char type[] = "multipart/form-data";
	struct multipart *m;
	char *boundary;
	size_t len;

	if (content_type == NULL || strncasecmp(content_type, type, sizeof(type) - 1) != 0)
		return NULL;
	boundary = parameter(content_type, "boundary");
	if (boundary == NULL)
		return NULL;
	len = strlen(boundary);
	if (len == 0 || len > BOUNDARY_MAX) {
		free(boundary);
		return NULL;
	}
	m = xcalloc(1, sizeof(*m));
	m->events = events;
	m->arg = arg;
	m->mark_len = (size_t)snprintf(m->mark, sizeof(m->mark), "\r\n--%s", boundary);
	free(boundary);
	/* The first boundary stands at the very start: as if a line had ended before. */
	m->cap = 4096;
	m->buf = xmalloc(m->cap);
	memcpy(m->buf, "\r\n", 2);
	m->len = 2;
	return m;
}

void multipart_destroy(struct multipart *m)
{
	if (m == NULL)
		return;
	free(m->buf);
	free(m);
}

bool multipart_is_complete(const struct multipart *m)
{
	return m->state == MP_EPILOGUE;
}

static int broken(struct multipart *m, const char **why, const char *sentence)
{
	m->state = MP_BROKEN;
	*why = sentence;
	return -1;
}

static int stopped(struct multipart *m, const char **why)
{
	return broken(m, why, NULL);
}

/* Lines of a part's head, text[0..len) with a final CR LF; NULs were refused. */
static int part_head(struct multipart *m, char *text, size_t len, const char **why)
{
	char *name = NULL, *filename = NULL, *line = text, *end = text + len;
	int rc;

	while (line < end) {
		char *nl = memmem(line, (size_t)(end - line), "\r\n", 2);

		if (nl == NULL)
			break;
		*nl = '\0';
		if (strncasecmp(line, "Content-Disposition:", 20) == 0 && name == NULL && filename == NULL) {
			name = parameter(line + 20, "name");
			filename = parameter(line + 20, "filename");
		}
		line = nl + 2;
	}
	rc = m->events->begin(m->arg, name, filename);
	free(name);
	free(filename);
	if (rc != 0)
		return stopped(m, why);
	m->state = MP_PART_DATA;
	return 0;
}

/* Pass on what is certainly data: all but what could begin a boundary. */
static int part_data(struct multipart *m, size_t *pos, bool *more, const char **why)
{
	char *start = m->buf + *pos;
	size_t avail = m->len - *pos, n;
	const char *at = memmem(start, avail, m->mark, m->mark_len);

	if (at != NULL)
		n = (size_t)(at - start);
	else if (avail >= m->mark_len)
		n = avail - (m->mark_len - 1);
	else
		n = 0;
	if (n > 0 && m->state == MP_PART_DATA && m->events->data(m->arg, start, n) != 0)
		return stopped(m, why);
	*pos += n;
	if (at == NULL) {
		*more = false;
		return 0;
	}
	*pos += m->mark_len;
	if (m->state == MP_PART_DATA && m->events->end(m->arg) != 0)
		return stopped(m, why);
	m->state = MP_BOUNDARY;
	return 0;
}

/* One step at *pos. *more: false when it needs further bytes. */
static int step(struct multipart *m, size_t *pos, bool *more, const char **why)
{
	size_t avail = m->len - *pos;
	char *start = m->buf + *pos, *end;

	switch (m->state) {
	case MP_PREAMBLE:
	case MP_PART_DATA:
		return part_data(m, pos, more, why);
	case MP_BOUNDARY:
		while (avail > 0 && (*start == ' ' || *start == '\t')) {
			start++;
			avail--;
			++*pos;
		}
		if (avail < 2) {
			*more = false;
			return 0;
		}
		if (memcmp(start, "--", 2) == 0)
			m->state = MP_EPILOGUE;
		else if (memcmp(start, "\r\n", 2) == 0)
			m->state = MP_PART_HEAD;
		else
			return broken(m, why, "A boundary of the multipart body is malformed.");
		/* A part may have an empty head: its CR LF CR LF begins with this one. */
		*pos += m->state == MP_EPILOGUE ? 2 : 0;
		return 0;
	case MP_PART_HEAD:
		end = memmem(start, avail, "\r\n\r\n", 4);
		if (end == NULL) {
			*more = false;
			if (avail > PART_HEAD_MAX)
				return broken(m, why,
				    "The head of a part of the multipart body is too large.");
			return 0;
		}
		if (memchr(start, '\0', (size_t)(end - start)) != NULL)
			return broken(m, why, "The head of a part of the multipart body has a NUL in it.");
		*pos += (size_t)(end - start) + 4;
		/* From behind the boundary's own line end up to the last line's. */
		if (end == start)
			return part_head(m, start, 0, why);
		return part_head(m, start + 2, (size_t)(end - start), why);
	case MP_EPILOGUE:
		*pos = m->len;
		*more = false;
		return 0;
	case MP_BROKEN:
		break;
	}
	return broken(m, why, "The multipart body is malformed.");
}

int multipart_feed(struct multipart *m, const char *data, size_t len, const char **why)
{
	size_t pos = 0;
	bool more = true;
	int rc = 0;

	if (m->cap - m->len < len) {
		m->cap = m->len + len;
		m->buf = xreallocarray(m->buf, m->cap, 1);
	}
	if (len > 0)
		memcpy(m->buf + m->len, data, len);
	m->len += len;
	while (more && rc == 0)
		rc = step(m, &pos, &more, why);
	memmove(m->buf, m->buf + pos, m->len - pos);
	m->len -= pos;
	return rc;
}
