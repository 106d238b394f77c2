/*
 * Base64.
 */
#include "worker/graph/base64.h"

#include <stdint.h>

#include "base/mem.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *data, size_t len)
{
	const uint8_t *p = data;
	char *text = xmalloc((len + 2) / 3 * 4 + 1), *q = text;

	for (size_t i = 0; i < len; i += 3) {
		size_t left = len - i;
		uint32_t v = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
		    (left > 2 ? p[i + 2] : 0);

		*q++ = digits[v >> 18];
		*q++ = digits[v >> 12 & 63];
		*q++ = left > 1 ? digits[v >> 6 & 63] : '=';
		*q++ = left > 2 ? digits[v & 63] : '=';
	}
	*q = '\0';
	return text;
}

/* 0 to 63, or 64 for what is no digit. */
static uint32_t digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint32_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint32_t)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0') + 52;
	return c == '+' ? 62 : c == '/' ? 63 : 64;
}

void *base64_decode(const char *text, size_t *len)
{
	size_t n_text = strlen(text), n = 0;
	uint8_t *data;

	if (n_text % 4 != 0)
		return NULL;
	data = xmalloc(n_text / 4 * 3 + 1);
	for (size_t i = 0; i < n_text; i += 4) {
		/* Padding: one or two at the end of the last group. */
		unsigned n_pad = i + 4 == n_text ?
		    (unsigned)(text[i + 3] == '=') + (text[i + 3] == '=' && text[i + 2] == '=') :
		    0;
		uint32_t v = 0, d;

		for (unsigned j = 0; j < 4 - n_pad; j++) {
			d = digit_value(text[i + j]);
			if (d == 64)
				goto bad;
			v |= d << (18 - 6 * j);
		}
		if (n_pad > 0 && (v & (n_pad == 1 ? 0xFFu : 0xFFFFu)) != 0)
			goto bad; /* bits that no byte takes */
		for (unsigned j = 0; j < 3 - n_pad; j++)
			data[n++] = (uint8_t)(v >> (16 - 8 * j));
	}
	data[n] = '\0';
	*len = n;
	return data;
bad:
	free(data);
	return NULL;
}
