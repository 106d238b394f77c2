/*
 * The head of an HTTP/1.x request, parsed strictly: request line and fields in,
 * one struct out.  Pure: no socket, no clock.  What two readers could understand in two
 * ways (duplicate or signed lengths, a length beside chunks, folded lines, a blank
 * before the colon, an absolute address) is refused.
 */
#ifndef REST_HTTP_HEAD_H
#define REST_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_MAX_FIELDS 100

struct http_field {
	const char *name, *value; /* value without blanks around it */
};

struct http_head {
	const char *method, *target;
	int minor; /* of HTTP/1.x: 0 or 1 */
	struct http_field fields[HTTP_MAX_FIELDS];
	unsigned n_fields;
	int64_t content_length; /* 0 where none is given */
	bool chunked;
	bool keep_alive;
	bool expect_continue;
};

/*
 * Parse text[0..len): all lines up to and with the empty one.  Modifies text; the head
 * points into it.  Returns 0, or the status to answer with (400, 417, 501, 505) and a
 * sentence in *why.
 */
int http_head_parse(struct http_head *h, char *text, size_t len, const char **why);
/* The first value of a field, any case; NULL where it is not there. */
const char *http_head_field(const struct http_head *h, const char *name);

/* Decoder of a chunked body. */
enum http_chunk_result { HTTP_CHUNK_MORE, HTTP_CHUNK_DATA, HTTP_CHUNK_END, HTTP_CHUNK_BAD };
struct http_chunks {
	unsigned state;
	unsigned n_digits;
	unsigned n_skipped; /* bytes of extensions and trailers */
	uint64_t left;      /* of the chunk */
};
/*
 * Take from data[0..len): *used is what was consumed. DATA: a piece of the body in
 * *piece, *piece_len, borrowed from data.  MORE: all was consumed, the body goes on.
 */
enum http_chunk_result http_chunks_feed(struct http_chunks *c, const char *data, size_t len, size_t *used,
    const char **piece, size_t *piece_len);

#endif
