/*
 * UTF-8 as Java reads it.
 */
#include "worker/graph/utf8.h"

static bool is_tail(uint8_t b)
{
	return (b & 0xC0) == 0x80;
}

static uint32_t malformed(bool *valid)
{
	*valid = false;
	return UTF8_REPLACEMENT;
}

uint32_t utf8_next(const uint8_t **p, const uint8_t *end, bool *valid)
{
	uint8_t first = *(*p)++;
	uint8_t low = 0x80, high = 0xBF; /* what may stand second: no overlong form */
	unsigned n_tail;
	uint32_t cp;

	if (first < 0x80)
		return first;
	if (first >= 0xC2 && first <= 0xDF) {
		n_tail = 1;
		cp = first & 0x1F;
	} else if (first >= 0xE0 && first <= 0xEF) {
		n_tail = 2;
		cp = first & 0x0F;
		if (first == 0xE0)
			low = 0xA0;
	} else if (first >= 0xF0 && first <= 0xF4) {
		n_tail = 3;
		cp = first & 0x07;
		if (first == 0xF0)
			low = 0x90;
		else if (first == 0xF4)
			high = 0x8F;
	} else {
		return malformed(valid);
	}
	for (unsigned i = 0; i < n_tail; i++) {
		if (*p == end || !is_tail(**p) || (i == 0 && (**p < low || **p > high)))
			return malformed(valid);
		cp = cp << 6 | (*(*p)++ & 0x3F);
	}
	/* A surrogate is read whole and then replaced, once. */
	return cp >= 0xD800 && cp <= 0xDFFF ? malformed(valid) : cp;
}

bool utf8_valid(const char *s, size_t len)
{
	const uint8_t *p = (const uint8_t *)s, *end = p + len;
	bool valid = true;

	while (p < end && valid)
		utf8_next(&p, end, &valid);
	return valid;
}
