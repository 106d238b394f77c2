/*
 * Memory of the control plane: exhaustion ends the process (crash-only).
 * The data plane allocates from arenas and does not call these per record.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>

void *xmalloc(size_t size_bytes);
void *xcalloc(size_t n, size_t size_bytes);
void *xreallocarray(void *p, size_t n, size_t size_bytes);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t max_len);
void *xmemdup(const void *p, size_t len);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Make room for one more element of v (n in use, cap allocated). */
#define VEC_RESERVE(v, n, cap) \
	do { \
		if ((n) == (cap)) { \
			(cap) = (cap) ? (cap)*2 : 8; \
			(v) = xreallocarray((v), (cap), sizeof *(v)); \
		} \
	} while (0)

#endif
