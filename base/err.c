/*
 * Errors as values: fill, prefix, and the one table that maps a code to its
 * name, HTTP status and exit status.
 */
#define BASE_ERR_C
#include "base/err.h"

#include <errno.h>

#include "base/log.h"
#include "base/mem.h"

static const struct {
	const char *name;
	int http_status;
	int exit_status;
} codes[ERR_N_CODES] = {
	[ERR_NONE] = { "none", 200, 0 },
	[ERR_INVALID] = { "invalid", 400, 1 },
	[ERR_CONFIG] = { "config", 500, 78 },
	[ERR_NOT_FOUND] = { "not_found", 404, 1 },
	[ERR_CONFLICT] = { "conflict", 409, 1 },
	[ERR_TOO_LARGE] = { "too_large", 413, 1 },
	[ERR_UNAVAILABLE] = { "unavailable", 503, 1 },
	[ERR_TIMEOUT] = { "timeout", 504, 1 },
	[ERR_IO] = { "io", 500, 1 },
	[ERR_USER] = { "user", 400, 1 },
	[ERR_INTERNAL] = { "internal", 500, 1 },
};

/* Copy as much of s as fits into dst (size > 0), never half a UTF-8 character. */
static void copy_text(char *dst, size_t size, const char *s)
{
	size_t len = strlen(s);

	if (len >= size) {
		len = size - 1;
		while (len > 0 && ((unsigned char)s[len] & 0xc0) == 0x80)
			len--;
	}
	memmove(dst, s, len);
	dst[len] = '\0';
}

int err_vset(struct err *e, enum err_code code, const char *fmt, va_list ap)
{
	/* Not into e->msg at once: an argument may point there. */
	char text[ERR_MSG_MAX + 1];

	if (e == NULL)
		return -1;
	vsnprintf(text, sizeof(text), fmt, ap);
	copy_text(e->msg, sizeof(e->msg), text);
	e->code = code;
	return -1;
}

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_vset(e, code, fmt, ap);
	va_end(ap);
	return -1;
}

int err_set_errno(struct err *e, enum err_code code, const char *fmt, ...)
{
	int saved_errno = errno;
	char text[ERR_MSG_MAX], reason[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_set(e, code, "%s: %s", text, strerror_r(saved_errno, reason, sizeof(reason)));
	errno = saved_errno;
	return -1;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	va_list ap;

	if (e == NULL)
		return -1;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(e, e->code, "%s: %s", text, e->msg);
}

const char *err_name(enum err_code code)
{
	return (unsigned)code < ERR_N_CODES ? codes[code].name : "?";
}

int err_http_status(enum err_code code)
{
	return (unsigned)code < ERR_N_CODES ? codes[code].http_status : 500;
}

int err_exit_status(enum err_code code)
{
	return (unsigned)code < ERR_N_CODES ? codes[code].exit_status : 1;
}

void err_assert_failed(const char *expr, const char *file, int line)
{
	log_errorx("assert.failed", KV_STR("file", file), KV_INT("line", line),
	    KV_MSG("broken invariant: %s; the process ends", expr));
	abort();
}
