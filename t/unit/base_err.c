/* base/err.h and base/mem.h: sentences, prefixes, the table of codes, assertions. */
#include "base/err.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "t/tap.h"

static void sentences(void)
{
	struct err e = { ERR_NONE, "" };

	is_int(err_set(&e, ERR_NOT_FOUND, "no job %d", 7), -1, "err_set returns -1");
	is_int(e.code, ERR_NOT_FOUND, "the code is kept");
	is_str(e.msg, "no job 7", "the sentence is formatted");
	is_int(err_prefix(&e, "cancel %s", "it"), -1, "err_prefix returns -1");
	is_str(e.msg, "cancel it: no job 7", "context goes in front");
	is_int(e.code, ERR_NOT_FOUND, "a prefix keeps the code");

	err_set(&e, ERR_IO, "again: %s", e.msg);
	is_str(e.msg, "again: cancel it: no job 7", "an argument may be the error's own text");

	errno = ENOENT;
	is_int(err_set_errno(&e, ERR_IO, "open %s", "x"), -1, "err_set_errno returns -1");
	is_str(e.msg, "open x: No such file or directory", "the text of errno is behind");
	is_int(errno, ENOENT, "errno is preserved");

	is_int(err_set(NULL, ERR_IO, "x"), -1, "no error wanted: err_set");
	is_int(err_set_errno(NULL, ERR_IO, "x"), -1, "no error wanted: err_set_errno");
	is_int(err_prefix(NULL, "x"), -1, "no error wanted: err_prefix");
}

static void long_sentences(void)
{
	char text[2 * ERR_MSG_MAX];
	struct err e;

	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	err_set(&e, ERR_IO, "%s", text);
	is_int(strlen(e.msg), ERR_MSG_MAX - 1, "a long sentence is cut");
	err_prefix(&e, "front");
	is_int(strlen(e.msg), ERR_MSG_MAX - 1, "a prefixed long sentence is cut at its end");
	like(e.msg, "front: aaa", "and keeps the prefix");

	/* 1,022 letters, then a character of three bytes of which one would fit. */
	text[ERR_MSG_MAX - 2] = '\0';
	err_set(&e, ERR_IO, "%s\xe2\x82\xac", text);
	is_int(strlen(e.msg), ERR_MSG_MAX - 2, "a character is not cut in two");
}

static void table(void)
{
	static const struct {
		enum err_code code;
		const char *name;
		int http, status;
	} want[] = {
		{ ERR_NONE, "none", 200, 0 },
		{ ERR_INVALID, "invalid", 400, 1 },
		{ ERR_CONFIG, "config", 500, 78 },
		{ ERR_NOT_FOUND, "not_found", 404, 1 },
		{ ERR_CONFLICT, "conflict", 409, 1 },
		{ ERR_TOO_LARGE, "too_large", 413, 1 },
		{ ERR_UNAVAILABLE, "unavailable", 503, 1 },
		{ ERR_TIMEOUT, "timeout", 504, 1 },
		{ ERR_IO, "io", 500, 1 },
		{ ERR_USER, "user", 400, 1 },
		{ ERR_INTERNAL, "internal", 500, 1 },
	};

	is_int(ARRAY_LEN(want), ERR_N_CODES, "the table is complete");
	for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
		is_str(err_name(want[i].code), want[i].name, "name of %s", want[i].name);
		is_int(err_http_status(want[i].code), want[i].http, "HTTP status of %s", want[i].name);
		is_int(err_exit_status(want[i].code), want[i].status, "exit status of %s", want[i].name);
	}
	is_str(err_name(ERR_N_CODES), "?", "a code that is none has a name, too");
	is_int(err_http_status((enum err_code)99), 500, "and an HTTP status");
	is_int(err_exit_status((enum err_code)99), 1, "and an exit status");
}

/* Run die in a child; returns its wait status, its log in text. */
static int last_words(void (*die)(void), char *text, size_t size)
{
	int pipe_fds[2], status = -1;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	if (pipe(pipe_fds) < 0)
		return -1;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		log_init("child", LOG_INFO, pipe_fds[1], -1);
		die();
		_exit(0);
	}
	close(pipe_fds[1]);
	while (len + 1 < size && (n = read(pipe_fds[0], text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(pipe_fds[0]);
	waitpid(pid, &status, 0);
	return status;
}

static void assert_one_is_two(void)
{
	ASSERT(1 == 2);
}

static void allocate_too_much(void)
{
	volatile size_t n = SIZE_MAX / 2;

	free(xreallocarray(NULL, n, 4));
}

static void dying(void)
{
	char text[4096];
	int status = last_words(assert_one_is_two, text, sizeof(text));

	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "a broken invariant aborts");
	like(text, "level=error proc=child", "it is logged");
	like(text, "event=assert.failed file=t/unit/base_err.c line=", "with its place");
	like(text, "1 == 2", "with its expression");

	status = last_words(allocate_too_much, text, sizeof(text));
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "exhausted memory aborts");
	like(text, "event=memory.exhausted", "it is logged");
}

static void memory(void)
{
	char *s = xstrndup("abcdef", 3), *t = xasprintf("%s-%d", s, 5), *u = xstrdup("");
	int *v = NULL, *z = xcalloc(4, sizeof(*z));
	unsigned n = 0, cap = 0;

	is_str(s, "abc", "xstrndup cuts");
	is_str(t, "abc-5", "xasprintf formats");
	is_str(u, "", "xstrdup of nothing");
	ok(z[0] == 0 && z[3] == 0, "xcalloc clears");
	for (int i = 0; i < 100; i++) {
		VEC_RESERVE(v, n, cap);
		v[n++] = i;
	}
	ok(v[0] == 0 && v[99] == 99 && cap >= 100, "a vector grows");
	v = xreallocarray(v, 0, sizeof(*v));
	ok(v != NULL, "and is never NULL");
	free(s);
	free(t);
	free(u);
	free(v);
	free(z);
	free(xmalloc(0));
	free(xmemdup("", 0));
}

int main(void)
{
	sentences();
	long_sentences();
	table();
	dying();
	memory();
	return tap_done();
}
