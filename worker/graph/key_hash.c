/*
 * Java's hash codes and Flink's key groups, bit for bit: the same key lands in the
 * same key group here and there.
 */
#include "base/err.h"
#include "worker/graph/job_graph.h"
#include "worker/graph/utf8.h"

/* Java computes in wrapping 32-bit arithmetic; unsigned does the same. */

uint32_t key_hash_int(int32_t v)
{
	return (uint32_t)v;
}

uint32_t key_hash_long(int64_t v)
{
	uint64_t u = (uint64_t)v;

	return (uint32_t)(u ^ u >> 32);
}

uint32_t key_hash_string(const char *utf8, size_t len)
{
	const uint8_t *p = (const uint8_t *)utf8, *end = p + len;
	bool valid = true;
	uint32_t h = 0;

	while (p < end) {
		uint32_t cp;

		if (*p < 0x80) {
			h = 31 * h + *p++;
			continue;
		}
		cp = utf8_next(&p, end, &valid);
		if (cp >= 0x10000) {
			h = 31 * h + (0xD800u + ((cp - 0x10000) >> 10));
			cp = 0xDC00u + ((cp - 0x10000) & 0x3FF);
		}
		h = 31 * h + cp;
	}
	return h;
}

uint32_t key_hash_bytes(const void *p, size_t len)
{
	const int8_t *b = p;
	uint32_t h = 1;

	for (size_t i = 0; i < len; i++)
		h = 31 * h + (uint32_t)(int32_t)b[i];
	return h;
}

uint32_t key_hash(weir_key_kind kind, const weir_key *key)
{
	switch (kind) {
	case WEIR_KEY_INT:
		return key_hash_int((int32_t)key->num);
	case WEIR_KEY_LONG:
		return key_hash_long(key->num);
	case WEIR_KEY_STRING:
		return key_hash_string(key->data, key->len);
	case WEIR_KEY_BYTES:
		return key_hash_bytes(key->data, key->len);
	case WEIR_KEY_NONE:
		break;
	}
	return 0;
}

static uint32_t rotl(uint32_t v, unsigned by)
{
	return v << by | v >> (32 - by);
}

/* Flink's MathUtils.murmurHash: one int, length 4, made non-negative. */
static uint32_t murmur_int(uint32_t v)
{
	v = rotl(v * 0xcc9e2d51u, 15) * 0x1b873593u;
	v = rotl(v, 13) * 5 + 0xe6546b64u;
	v ^= 4;
	v = (v ^ v >> 16) * 0x85ebca6bu;
	v = (v ^ v >> 13) * 0xc2b2ae35u;
	v ^= v >> 16;
	if (v < 0x80000000u)
		return v;
	return v == 0x80000000u ? 0 : 0u - v;
}

uint32_t key_group(uint32_t hash, uint32_t max_parallelism)
{
	uint32_t m = murmur_int(hash);

	/* most are powers of two, and a division would be half of this */
	return (max_parallelism & (max_parallelism - 1)) == 0 ? m & (max_parallelism - 1) : m % max_parallelism;
}

uint32_t key_group_subtask(uint32_t group, uint32_t max_parallelism, uint32_t parallelism)
{
	return (uint32_t)((uint64_t)group * parallelism / max_parallelism);
}

void key_group_range(uint32_t subtask, uint32_t max_parallelism, uint32_t parallelism, uint32_t *first,
    uint32_t *end)
{
	ASSERT(parallelism > 0 && subtask < parallelism);
	*first = (uint32_t)(((uint64_t)subtask * max_parallelism + parallelism - 1) / parallelism);
	*end = (uint32_t)((((uint64_t)subtask + 1) * max_parallelism + parallelism - 1) / parallelism);
}
