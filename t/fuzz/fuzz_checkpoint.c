/*
 * `_metadata` of any bytes: no crash, and what is accepted is written again as the same bytes.
 * Checksums would keep mutations from everything behind them, so a second try has them put right.
 */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/mem.h"
#include "worker/state/checkpoint_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void seal(uint8_t *block, size_t len)
{
	uint64_t sum = XXH3_64bits(block, len);

	memcpy(block + len, &sum, 8);
}

static void seal_all(uint8_t *p, size_t size)
{
	uint32_t header_len;
	uint64_t len;
	size_t off;

	if (size < 100)
		return;
	memcpy(&header_len, p + 12, 4);
	if (header_len < 76 || header_len > size - 16)
		return;
	len = size;
	memcpy(p + 16, &len, 8);
	seal(p, header_len);
	for (off = (size_t)header_len + 8; size - off >= 56; off += 48 + (size_t)len) {
		memcpy(&len, p + off + 32, 8);
		if (len > size - off - 56)
			break;
		seal(p + off, 40 + (size_t)len);
	}
	seal(p, size - 8);
}

static void try_bytes(const uint8_t *p, size_t size)
{
	struct err e = { 0 };
	struct checkpoint_file f;
	size_t len;
	void *again;

	if (checkpoint_file_decode(p, size, &f, &e) < 0) {
		ASSERT(e.msg[0] != '\0' && f.tasks == NULL && f.job_name == NULL);
		return;
	}
	again = checkpoint_file_encode(&f, &len);
	ASSERT(len == size && memcmp(again, p, len) == 0);
	free(again);
	checkpoint_file_fini(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy of exactly this size, so that a read behind it is seen. */
	uint8_t *copy = xmemdup(data, size);

	try_bytes(copy, size);
	seal_all(copy, size);
	try_bytes(copy, size);
	free(copy);
	return 0;
}
