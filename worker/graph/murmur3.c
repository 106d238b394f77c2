/*
 * MurmurHash3 x64 128, seed 0: the hash behind Flink's operator ids (Guava's murmur3_128).
 */
#include "worker/graph/job_graph.h"

#define C1 0x87c37b91114253d5u
#define C2 0x4cf5ad432745937fu

static uint64_t rotl(uint64_t v, unsigned by)
{
	return v << by | v >> (64 - by);
}

static uint64_t final_mix(uint64_t h)
{
	h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
	return h ^ h >> 33;
}

/* Up to eight bytes, little-endian, missing ones 0. */
static uint64_t load(const uint8_t *p, size_t len)
{
	uint64_t v = 0;

	for (size_t i = 0; i < len && i < 8; i++)
		v |= (uint64_t)p[i] << 8 * i;
	return v;
}

static void store(uint8_t *p, uint64_t v)
{
	for (unsigned i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static uint64_t mix1(uint64_t k)
{
	return rotl(k * C1, 31) * C2;
}

static uint64_t mix2(uint64_t k)
{
	return rotl(k * C2, 33) * C1;
}

void murmur3_128(const void *p, size_t len, uint8_t out[16])
{
	const uint8_t *at = p;
	uint64_t h1 = 0, h2 = 0;
	size_t left = len;

	for (; left >= 16; left -= 16, at += 16) {
		h1 = (rotl(h1 ^ mix1(load(at, 8)), 27) + h2) * 5 + 0x52dce729u;
		h2 = (rotl(h2 ^ mix2(load(at + 8, 8)), 31) + h1) * 5 + 0x38495ab5u;
	}
	if (left > 8)
		h2 ^= mix2(load(at + 8, left - 8));
	if (left > 0)
		h1 ^= mix1(load(at, left));
	h1 ^= len;
	h2 ^= len;
	h1 += h2;
	h2 += h1;
	h1 = final_mix(h1);
	h2 = final_mix(h2);
	h1 += h2;
	h2 += h1;
	store(out, h1);
	store(out + 8, h2);
}
