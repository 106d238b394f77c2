/* HTTP/1.x request heads and chunked bodies, strictly. */
#include "rest/http_head.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* RFC 9110's token characters. */
static bool is_token(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && strchr("!#$%&'*+-.^_`|~", *s) == NULL)
			return false;
	return true;
}

static int parse_request_line(struct http_head *h, char *line, const char **why)
{
	char *target, *version;

	*why = "The request line is not \"METHOD /path HTTP/1.1\".";
	target = strchr(line, ' ');
	if (target == NULL)
		return 400;
	*target++ = '\0';
	version = strchr(target, ' ');
	if (version == NULL)
		return 400;
	*version++ = '\0';
	if (!is_token(line) || target[0] == '\0')
		return 400;
	for (const char *p = target; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return 400;
	if (strcmp(version, "HTTP/1.1") == 0) {
		h->minor = 1;
	} else if (strcmp(version, "HTTP/1.0") == 0) {
		h->minor = 0;
	} else if (strncmp(version, "HTTP/", 5) == 0) {
		*why = "Only HTTP/1.0 and HTTP/1.1 are spoken here.";
		return 505;
	} else {
		return 400;
	}
	/* An absolute address could name another host than the Host field does. */
	if (target[0] != '/' && strcmp(target, "*") != 0) {
		*why = "The request's address is absolute; only paths are taken.";
		return 400;
	}
	h->method = line;
	h->target = target;
	return 0;
}

static int parse_field(struct http_head *h, char *line, const char **why)
{
	char *colon = strchr(line, ':'), *value, *end;

	*why = "A header field is malformed.";
	if (colon == NULL)
		return 400;
	*colon = '\0';
	if (!is_token(line)) /* also a folded line and a blank before the colon */
		return 400;
	value = colon + 1;
	while (*value == ' ' || *value == '\t')
		value++;
	end = value + strlen(value);
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	for (const char *p = value; *p != '\0'; p++)
		if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
			return 400;
	if (h->n_fields == HTTP_MAX_FIELDS) {
		*why = "The request has too many header fields.";
		return 431;
	}
	h->fields[h->n_fields].name = line;
	h->fields[h->n_fields++].value = value;
	return 0;
}

const char *http_head_field(const struct http_head *h, const char *name)
{
	for (unsigned i = 0; i < h->n_fields; i++)
		if (strcasecmp(h->fields[i].name, name) == 0)
			return h->fields[i].value;
	return NULL;
}

static unsigned count_fields(const struct http_head *h, const char *name)
{
	unsigned n = 0;

	for (unsigned i = 0; i < h->n_fields; i++)
		n += strcasecmp(h->fields[i].name, name) == 0;
	return n;
}

static bool list_has(const char *list, const char *word)
{
	size_t word_len = strlen(word);

	while (list != NULL && *list != '\0') {
		size_t len;

		list += strspn(list, ", \t");
		len = strcspn(list, ", \t");
		if (len == word_len && strncasecmp(list, word, len) == 0)
			return true;
		list += len;
	}
	return false;
}

static int parse_length(struct http_head *h, const char *text, const char **why)
{
	int64_t n = 0;

	*why = "Content-Length is not a number.";
	if (*text == '\0' || strlen(text) > 15)
		return 400;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return 400;
		n = n * 10 + (*text - '0');
	}
	h->content_length = n;
	return 0;
}

/* What the fields say of the body and of the connection. */
static int interpret(struct http_head *h, const char **why)
{
	static const char *const once[] = { "Host", "Content-Length", "Transfer-Encoding", "Authorization",
		"Content-Type" };
	const char *length, *encoding, *connection, *expect;

	for (unsigned i = 0; i < sizeof(once) / sizeof(once[0]); i++) {
		if (count_fields(h, once[i]) > 1) {
			*why = "A header field that may be there once is there twice.";
			return 400;
		}
	}
	if (h->minor == 1 && http_head_field(h, "Host") == NULL) {
		*why = "An HTTP/1.1 request needs a Host field.";
		return 400;
	}
	length = http_head_field(h, "Content-Length");
	encoding = http_head_field(h, "Transfer-Encoding");
	if (encoding != NULL) {
		if (length != NULL || h->minor == 0) {
			*why = "Transfer-Encoding does not go with Content-Length or with HTTP/1.0.";
			return 400;
		}
		if (strcasecmp(encoding, "chunked") != 0) {
			*why = "The only transfer encoding taken is chunked.";
			return 501;
		}
		h->chunked = true;
	} else if (length != NULL) {
		int status = parse_length(h, length, why);

		if (status != 0)
			return status;
	}
	connection = http_head_field(h, "Connection");
	h->keep_alive = h->minor == 1 ? !list_has(connection, "close") : list_has(connection, "keep-alive");
	expect = http_head_field(h, "Expect");
	if (expect != NULL && expect[0] != '\0') {
		if (strcasecmp(expect, "100-continue") != 0) {
			*why = "The only expectation met is 100-continue.";
			return 417;
		}
		h->expect_continue = h->minor == 1;
	}
	return 0;
}

int http_head_parse(struct http_head *h, char *text, size_t len, const char **why)
{
	char *line = text, *end = text + len;
	bool first = true;
	int status;

	memset(h, 0, sizeof(*h));
	*why = "The request's head is not finished.";
	if (memchr(text, '\0', len) != NULL) {
		*why = "The request's head has a NUL in it.";
		return 400;
	}
	while (line < end) {
		char *nl = memchr(line, '\n', (size_t)(end - line));

		if (nl == NULL)
			return 400;
		*nl = '\0';
		if (nl > line && nl[-1] == '\r')
			nl[-1] = '\0';
		if (line[0] == '\0')
			return first ? 400 : interpret(h, why);
		status = first ? parse_request_line(h, line, why) : parse_field(h, line, why);
		if (status != 0)
			return status;
		first = false;
		line = nl + 1;
	}
	return 400;
}

enum {
	CHUNK_SIZE,
	CHUNK_EXTENSION,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILER,
	CHUNK_TRAILER_LINE,
	CHUNK_TRAILER_LF,
	CHUNK_END,
	CHUNK_BROKEN
};

/* Most bytes of extensions and trailers in one body: they mean nothing here. */
#define CHUNK_SKIP_MAX 16384

/* One byte outside of chunk data. Returns the state that follows. */
static unsigned chunk_step(struct http_chunks *c, char ch)
{
	switch (c->state) {
	case CHUNK_SIZE:
		if (isxdigit((unsigned char)ch)) {
			unsigned v = (unsigned char)ch;

			v = v <= '9' ? v - '0' : (v | 0x20u) - 'a' + 10;
			c->left = c->left << 4 | v;
			return ++c->n_digits <= 12 ? CHUNK_SIZE : CHUNK_BROKEN;
		}
		if (c->n_digits == 0)
			return CHUNK_BROKEN;
		if (ch == ';' || ch == ' ' || ch == '\t')
			return CHUNK_EXTENSION;
		return ch == '\r' ? CHUNK_SIZE_LF : CHUNK_BROKEN;
	case CHUNK_EXTENSION:
		if (++c->n_skipped > CHUNK_SKIP_MAX || ch == '\n')
			return CHUNK_BROKEN;
		return ch == '\r' ? CHUNK_SIZE_LF : CHUNK_EXTENSION;
	case CHUNK_SIZE_LF:
		if (ch != '\n')
			return CHUNK_BROKEN;
		c->n_digits = 0;
		return c->left > 0 ? CHUNK_DATA : CHUNK_TRAILER;
	case CHUNK_DATA_CR:
		return ch == '\r' ? CHUNK_DATA_LF : CHUNK_BROKEN;
	case CHUNK_DATA_LF:
		return ch == '\n' ? CHUNK_SIZE : CHUNK_BROKEN;
	case CHUNK_TRAILER:
		return ch == '\r' ? CHUNK_TRAILER_LF : CHUNK_TRAILER_LINE;
	case CHUNK_TRAILER_LINE:
		if (++c->n_skipped > CHUNK_SKIP_MAX)
			return CHUNK_BROKEN;
		return ch == '\n' ? CHUNK_TRAILER : CHUNK_TRAILER_LINE;
	case CHUNK_TRAILER_LF:
		return ch == '\n' ? CHUNK_END : CHUNK_BROKEN;
	default:
		return CHUNK_BROKEN;
	}
}

enum http_chunk_result http_chunks_feed(struct http_chunks *c, const char *data, size_t len, size_t *used,
    const char **piece, size_t *piece_len)
{
	size_t i = 0;

	while (i < len) {
		if (c->state == CHUNK_DATA) {
			size_t n = len - i < c->left ? len - i : (size_t)c->left;

			*piece = data + i;
			*piece_len = n;
			c->left -= n;
			if (c->left == 0)
				c->state = CHUNK_DATA_CR;
			*used = i + n;
			return HTTP_CHUNK_DATA;
		}
		c->state = chunk_step(c, data[i++]);
		if (c->state == CHUNK_BROKEN || c->state == CHUNK_END) {
			*used = i;
			return c->state == CHUNK_END ? HTTP_CHUNK_END : HTTP_CHUNK_BAD;
		}
	}
	*used = len;
	return HTTP_CHUNK_MORE;
}
