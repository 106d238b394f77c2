/*
 * Allocation that cannot fail: exhaustion is logged and ends the process.
 */
#include "base/mem.h"

#include "base/log.h"

static _Noreturn void exhausted(size_t n, size_t size_bytes)
{
	log_errorx("memory.exhausted", KV_UINT("n", n), KV_UINT("size_bytes", size_bytes),
	    KV_MSG("out of memory; the process ends"));
	abort();
}

void *xmalloc(size_t size_bytes)
{
	void *p = malloc(size_bytes > 0 ? size_bytes : 1);

	if (p == NULL)
		exhausted(1, size_bytes);
	return p;
}

void *xcalloc(size_t n, size_t size_bytes)
{
	size_t total_bytes;
	void *p = NULL;

	if (!__builtin_mul_overflow(n, size_bytes, &total_bytes))
		p = calloc(1, total_bytes > 0 ? total_bytes : 1);
	if (p == NULL)
		exhausted(n, size_bytes);
	return p;
}

void *xreallocarray(void *p, size_t n, size_t size_bytes)
{
	size_t total_bytes;
	void *q = NULL;

	/* Size 0 would free p and return NULL. */
	if (!__builtin_mul_overflow(n, size_bytes, &total_bytes))
		q = realloc(p, total_bytes > 0 ? total_bytes : 1);
	if (q == NULL)
		exhausted(n, size_bytes);
	return q;
}

char *xstrdup(const char *s)
{
	return xmemdup(s, strlen(s) + 1);
}

char *xstrndup(const char *s, size_t max_len)
{
	size_t len = strnlen(s, max_len);
	char *copy = xmalloc(len + 1);

	memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

void *xmemdup(const void *p, size_t len)
{
	void *copy = xmalloc(len);

	if (len > 0)
		memcpy(copy, p, len);
	return copy;
}

char *xasprintf(const char *fmt, ...)
{
	char *text;
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (len < 0)
		exhausted(1, strlen(fmt));
	return text;
}
