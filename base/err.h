/*
 * One error: a code and one sentence.  Plain value, needs no freeing, untouched
 * on success.  Every process.
 *
 * Whoever detects an operational error fills a struct err and returns -1 or
 * NULL; each caller that knows more puts its context in front; the one that
 * handles it logs it.  Broken invariants are not errors: ASSERT ends the
 * process and the normal recovery runs.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>

enum err_code {
	ERR_NONE = 0,
	ERR_INVALID,     /* what the user gave cannot be right          400, 1  */
	ERR_CONFIG,      /* configuration; a restart is useless         500, 78 */
	ERR_NOT_FOUND,   /* no such job, file, option                   404, 1  */
	ERR_CONFLICT,    /* not in this state                           409, 1  */
	ERR_TOO_LARGE,   /* over a limit                                413, 1  */
	ERR_UNAVAILABLE, /* not now: no slot, no broker                 503, 1  */
	ERR_TIMEOUT,     /* did not end in time                         504, 1  */
	ERR_IO,          /* the operating system refused                500, 1  */
	ERR_USER,        /* user code failed                            400, 1  */
	ERR_INTERNAL,    /* a message or a file of ours does not verify 500, 1  */
	ERR_N_CODES
};

#define ERR_MSG_MAX 1024

struct err {
	enum err_code code;
	char msg[ERR_MSG_MAX];
};

/* Fill e (may be NULL) and return -1, so that `return err_set(...)` reads well. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int err_vset(struct err *e, enum err_code code, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));
/* The same with ": " and the text of errno behind; preserves errno. */
int err_set_errno(struct err *e, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Put context in front: "<context>: <what was there>". Returns -1. */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#if defined(__clang_analyzer__) && !defined(BASE_ERR_C)
/* The analyser sees one file at a time and has to be told what these return. */
#define err_set(...)       (err_set(__VA_ARGS__), -1)
#define err_vset(...)      (err_vset(__VA_ARGS__), -1)
#define err_set_errno(...) (err_set_errno(__VA_ARGS__), -1)
#define err_prefix(...)    (err_prefix(__VA_ARGS__), -1)
#endif

const char *err_name(enum err_code code); /* "invalid", "config", ... */
int err_http_status(enum err_code code);  /* 400, 404, ... */
int err_exit_status(enum err_code code);  /* 1 or 78 */

/* A broken invariant: log file, line and expression, then abort. */
#define ASSERT(expr) ((expr) ? (void)0 : err_assert_failed(#expr, __FILE__, __LINE__))
_Noreturn void err_assert_failed(const char *expr, const char *file, int line);

#endif
