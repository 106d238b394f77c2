/*
 * Identifiers: hex text to bytes and back, and fresh ones from the kernel.
 */
#include "base/id.h"

#include <errno.h>
#include <sys/random.h>

#include "base/err.h"

static const char hex_digits[] = "0123456789abcdef";

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

const char *id_hex(const struct id128 *id, char out[ID_HEX_SIZE])
{
	for (unsigned i = 0; i < sizeof(id->b); i++) {
		out[2 * i] = hex_digits[id->b[i] >> 4];
		out[2 * i + 1] = hex_digits[id->b[i] & 15];
	}
	out[ID_HEX_SIZE - 1] = '\0';
	return out;
}

int id_parse(struct id128 *id, const char *hex)
{
	struct id128 parsed;

	/* A short text ends at its NUL, which is no digit. */
	for (unsigned i = 0; i < sizeof(parsed.b); i++) {
		int high = hex_value(hex[2 * i]);
		int low = high < 0 ? -1 : hex_value(hex[2 * i + 1]);

		if (low < 0)
			return -1;
		parsed.b[i] = (uint8_t)(high << 4 | low);
	}
	if (hex[ID_HEX_SIZE - 1] != '\0')
		return -1;
	*id = parsed;
	return 0;
}

static void random_bytes(uint8_t *p, size_t len)
{
	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		ASSERT(n > 0 || errno == EINTR);
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
}

void id_random(struct id128 *id)
{
	random_bytes(id->b, sizeof(id->b));
}

bool id_equal(const struct id128 *a, const struct id128 *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool id_is_zero(const struct id128 *id)
{
	static const struct id128 zero;

	return id_equal(id, &zero);
}

void id_random_hex(char *out, unsigned n)
{
	uint8_t bytes[32];

	for (unsigned i = 0; i < n; i++) {
		if (i % sizeof(bytes) == 0)
			random_bytes(bytes, sizeof(bytes));
		out[i] = hex_digits[bytes[i % sizeof(bytes)] & 15];
	}
	out[n] = '\0';
}
