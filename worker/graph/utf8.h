/*
 * UTF-8 as Java reads it.  Key hashes go by UTF-16 units; names and options have to
 * be valid, since the plan is JSON.
 */
#ifndef WORKER_GRAPH_UTF8_H
#define WORKER_GRAPH_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UTF8_REPLACEMENT 0xFFFDu

/*
 * Decode one code point at p < end and move past it.  A malformed sequence gives
 * UTF8_REPLACEMENT and moves past its longest valid beginning (one byte at least),
 * as java.lang.String does; *valid is set to false then and left alone otherwise.
 */
uint32_t utf8_next(const uint8_t **p, const uint8_t *end, bool *valid);
bool utf8_valid(const char *s, size_t len);

#endif
