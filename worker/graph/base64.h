/*
 * Base64 with padding (RFC 4648, section 4), for what a plan holds in bytes.
 */
#ifndef WORKER_GRAPH_BASE64_H
#define WORKER_GRAPH_BASE64_H

#include <stddef.h>

/* Text with NUL; caller frees. */
char *base64_encode(const void *data, size_t len);
/* The bytes with a NUL behind, which is not counted; caller frees. NULL where text is not
 * what base64_encode writes. */
void *base64_decode(const char *text, size_t *len);

#endif
