/*
 * 128-bit identifiers as Flink prints them: 32 lower-case hex digits.
 * Jobs, vertices, execution attempts and triggers have one each.
 */
#ifndef BASE_ID_H
#define BASE_ID_H

#include <stdbool.h>
#include <stdint.h>

struct id128 {
	uint8_t b[16];
};

#define ID_HEX_SIZE 33 /* with the final NUL */

/* Write 32 hex digits and NUL into out; returns out. */
const char *id_hex(const struct id128 *id, char out[ID_HEX_SIZE]);
/* Parse 32 hex digits, upper or lower case, nothing behind. Returns 0 or -1. */
int id_parse(struct id128 *id, const char *hex);
/* A fresh random id (getrandom). */
void id_random(struct id128 *id);
bool id_equal(const struct id128 *a, const struct id128 *b);
bool id_is_zero(const struct id128 *id);
/* n random lower-case hex digits and NUL into out (n + 1 bytes). */
void id_random_hex(char *out, unsigned n);

#endif
