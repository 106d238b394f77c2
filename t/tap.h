/*
 * TAP for unit tests: one line a check, the plan at the end, exit status 1 when
 * any failed.  Safe from several threads.
 *
 *   int main(void) { ok(1 + 1 == 2, "sums"); is_int(f(3), 9, "f(3)"); return tap_done(); }
 */
#ifndef T_TAP_H
#define T_TAP_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static atomic_int tap_n_run, tap_n_failed;

__attribute__((format(printf, 4, 5), unused))
static bool tap_check(bool good, const char *file, int line, const char *fmt, ...)
{
	char name[512];
	va_list ap;
	int n = atomic_fetch_add(&tap_n_run, 1) + 1;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	printf("%sok %d - %s\n", good ? "" : "not ", n, name);
	if (!good) {
		atomic_fetch_add(&tap_n_failed, 1);
		printf("#   failed at %s:%d\n", file, line);
	}
	fflush(stdout);
	return good;
}

#define ok(cond, ...) tap_check((cond), __FILE__, __LINE__, __VA_ARGS__)
#define is_int(got, want, ...) \
	do { \
		int64_t got_ = (int64_t)(got), want_ = (int64_t)(want); \
		if (!tap_check(got_ == want_, __FILE__, __LINE__, __VA_ARGS__)) \
			printf("#   got %" PRId64 ", want %" PRId64 "\n", got_, want_); \
	} while (0)
#define is_str(got, want, ...) \
	do { \
		const char *got_ = (got), *want_ = (want); \
		if (!tap_check(got_ != NULL && want_ != NULL && strcmp(got_, want_) == 0, \
		        __FILE__, __LINE__, __VA_ARGS__)) \
			printf("#   got  '%s'\n#   want '%s'\n", got_ ? got_ : "(null)", want_ ? want_ : "(null)"); \
	} while (0)
/* got contains part */
#define like(got, part, ...) \
	do { \
		const char *got_ = (got), *part_ = (part); \
		if (!tap_check(got_ != NULL && strstr(got_, part_) != NULL, __FILE__, __LINE__, __VA_ARGS__)) \
			printf("#   got '%s'\n#   which lacks '%s'\n", got_ ? got_ : "(null)", part_); \
	} while (0)
#define diag(...) (printf("# " __VA_ARGS__), printf("\n"), fflush(stdout))

__attribute__((unused))
static int tap_done(void)
{
	printf("1..%d\n", atomic_load(&tap_n_run));
	if (atomic_load(&tap_n_failed) > 0)
		printf("# %d of %d failed\n", atomic_load(&tap_n_failed), atomic_load(&tap_n_run));
	return atomic_load(&tap_n_failed) > 0;
}

__attribute__((unused))
static int tap_skip_all(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	return 0;
}

#endif
