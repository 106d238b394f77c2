/* Heads and chunked bodies of any bytes: no crash, what is accepted is inside its limits, and chunks give
 * the same body however they are cut. */
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "rest/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_head(const char *data, size_t size)
{
	char *text = xmemdup(size > 0 ? data : "x", size > 0 ? size : 1);
	struct http_head h;
	const char *why = NULL;
	int status = http_head_parse(&h, text, size, &why);

	if (status == 0) {
		ASSERT(h.method[0] != '\0' && h.target[0] != '\0' && h.n_fields <= HTTP_MAX_FIELDS);
		ASSERT(h.content_length >= 0 && !(h.chunked && h.content_length > 0));
		for (unsigned i = 0; i < h.n_fields; i++)
			ASSERT(http_head_field(&h, h.fields[i].name) != NULL);
		(void)guard_check(&h, "jobmanager", true, &why);
	} else {
		ASSERT(status >= 400 && status < 600 && why != NULL);
	}
	free(text);
}

/* Length and hash of the body in chunks; -1: malformed. */
static int64_t unchunk(const char *data, size_t size, size_t step, uint32_t *hash)
{
	struct http_chunks c = { 0 };
	int64_t total = 0;

	*hash = 0;
	for (size_t i = 0; i < size;) {
		size_t n = size - i < step ? size - i : step, used = 0, piece_len = 0;
		const char *piece = NULL;
		enum http_chunk_result r = http_chunks_feed(&c, data + i, n, &used, &piece, &piece_len);

		ASSERT(used > 0 && used <= n);
		ASSERT(r != HTTP_CHUNK_DATA || (piece >= data + i && piece + piece_len <= data + i + used));
		if (r == HTTP_CHUNK_BAD)
			return -1;
		for (size_t k = 0; k < piece_len; k++)
			*hash = (*hash ^ (unsigned char)piece[k]) * 16777619u;
		total += (int64_t)piece_len;
		if (r == HTTP_CHUNK_END)
			return total;
		i += used;
	}
	return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	uint32_t hash, cut_hash;
	int64_t len;

	try_head(text, size);
	if (size == 0)
		return 0;
	len = unchunk(text + 1, size - 1, size, &hash);
	ASSERT(unchunk(text + 1, size - 1, (size_t)data[0] + 1, &cut_hash) == len &&
	    (len < 0 || hash == cut_hash));
	return 0;
}
