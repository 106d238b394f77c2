/*
 * The log's lines: formatted on the stack, escaped so that no value can forge a
 * line or an attribute, written with one write(2) a destination.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define LINE_MAX_BYTES PIPE_BUF /* what a pipe takes whole, so that lines of processes never mix */
#define TAIL_BYTES     8        /* kept free for the mark of a cut value, its quote and the newline */
#define CUT_MARK       "\xe2\x80\xa6"
#define FMT_BUFFERS    8
#define FMT_MAX_BYTES  2048

static const char *const level_names[] = { "debug", "info", "warn", "error" };

static struct {
	const char *proc;
	int stderr_fd;
	int tee_fd;
	atomic_int min_level;
} logger = { "weir", STDERR_FILENO, -1, LOG_INFO };

struct line {
	char text[LINE_MAX_BYTES];
	size_t len;
	bool cut;
};

void log_init(const char *proc, enum log_level min_level, int stderr_fd, int tee_fd)
{
	logger.proc = proc;
	logger.stderr_fd = stderr_fd;
	logger.tee_fd = tee_fd;
	log_set_level(min_level);
}

void log_set_level(enum log_level min_level)
{
	atomic_store_explicit(&logger.min_level, (int)min_level, memory_order_relaxed);
}

int log_open_file(const char *path)
{
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
}

bool log_level_parse(const char *name, enum log_level *level)
{
	for (unsigned i = 0; i < ARRAY_LEN(level_names); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

/* All of the piece or nothing, and nothing more behind the first that did not fit. */
static void put(struct line *l, const char *piece, size_t len)
{
	if (l->cut || l->len + len > sizeof(l->text) - TAIL_BYTES) {
		l->cut = true;
		return;
	}
	memcpy(l->text + l->len, piece, len);
	l->len += len;
}

static void put_str(struct line *l, const char *s)
{
	put(l, s, strlen(s));
}

/* Length of the UTF-8 character at s when it is well-formed and printable, else 0. */
static size_t utf8_len(const unsigned char *s)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	uint32_t c;

	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	c = s[0] & (0x7fU >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3fU);
	}
	/* Terminals obey the control characters of U+0080 to U+009F, too. */
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) || c < 0xa0)
		return 0;
	return n;
}

static bool needs_quotes(const char *s)
{
	for (const unsigned char *p = (const unsigned char *)s; *p != '\0'; p++) {
		if (*p <= ' ' || *p == '"' || *p == '=' || *p == '\\' || *p == 0x7f)
			return true;
		if (*p >= 0x80) {
			size_t n = utf8_len(p);

			if (n == 0)
				return true;
			p += n - 1;
		}
	}
	return *s == '\0';
}

static void put_quoted(struct line *l, const char *s)
{
	bool was_cut = l->cut;

	put(l, "\"", 1);
	for (const unsigned char *p = (const unsigned char *)s; *p != '\0' && !l->cut; p++) {
		size_t n = *p >= 0x80 ? utf8_len(p) : 1;
		char escaped[8];

		if (*p == '\n') {
			put(l, "\\n", 2);
		} else if (*p == '\t') {
			put(l, "\\t", 2);
		} else if (*p == '\r') {
			put(l, "\\r", 2);
		} else if (*p == '"' || *p == '\\') {
			escaped[0] = '\\';
			escaped[1] = (char)*p;
			put(l, escaped, 2);
		} else if (n == 0 || *p < ' ' || *p == 0x7f) {
			snprintf(escaped, sizeof(escaped), "\\x%02x", *p);
			put(l, escaped, 4);
		} else {
			put(l, (const char *)p, n);
			p += n - 1;
		}
	}
	/* The tail is kept free for this: a value is well-formed, cut or not. */
	if (was_cut)
		return;
	if (l->cut) {
		memcpy(l->text + l->len, CUT_MARK, sizeof(CUT_MARK) - 1);
		l->len += sizeof(CUT_MARK) - 1;
	}
	l->text[l->len++] = '"';
}

static void put_kv(struct line *l, const struct log_kv *kv)
{
	const char *s = kv->str != NULL ? kv->str : "";
	char number[24];
	bool quoted;

	if (kv->type == LOG_KV_INT) {
		snprintf(number, sizeof(number), "%" PRId64, kv->num);
		s = number;
	} else if (kv->type == LOG_KV_UINT) {
		snprintf(number, sizeof(number), "%" PRIu64, (uint64_t)kv->num);
		s = number;
	}
	/* What is long may be cut, and is quoted so that the cut can be marked. */
	quoted = kv->type == LOG_KV_MSG || needs_quotes(s) || strlen(s) > LINE_MAX_BYTES / 4;
	if (l->len + strlen(kv->key) + 3 + (quoted ? 0 : strlen(s)) > sizeof(l->text) - TAIL_BYTES)
		l->cut = true;
	put(l, " ", 1);
	put_str(l, kv->key);
	put(l, "=", 1);
	if (quoted)
		put_quoted(l, s);
	else
		put_str(l, s);
}

static void put_errno(struct line *l, int number)
{
	const char *name = strerrorname_np(number);
	struct log_kv kv = KV_INT("errno", number);

	if (name != NULL)
		kv = (struct log_kv)KV_STR("errno", name);
	put_kv(l, &kv);
}

/* A log that cannot be written is no reason to stop or to wait: the line is lost. */
static void write_line(int fd, const struct line *l)
{
	ssize_t n;

	if (fd < 0)
		return;
	do
		n = write(fd, l->text, l->len);
	while (n < 0 && errno == EINTR);
}

void log_write(enum log_level level, bool with_errno, const char *event, const struct log_kv *kv)
{
	int saved_errno = errno;
	char stamp[CLOCK_ISO_SIZE], head[128];
	struct line l;

	if ((int)level < atomic_load_explicit(&logger.min_level, memory_order_relaxed))
		return;
	l.len = 0;
	l.cut = false;
	clock_iso(clock_wall_ms(&clock_system), stamp);
	snprintf(head, sizeof(head), "%s level=%s proc=%.48s pid=%d", stamp, level_names[level], logger.proc,
	    (int)getpid());
	put_str(&l, head);
	for (const struct log_kv *k = kv; k->type != LOG_KV_END; k++)
		if (k->type == LOG_KV_JOB)
			put_kv(&l, k);
	put_str(&l, " event=");
	put_str(&l, event);
	for (const struct log_kv *k = kv; k->type != LOG_KV_END; k++)
		if (k->type != LOG_KV_JOB && k->type != LOG_KV_MSG)
			put_kv(&l, k);
	if (with_errno)
		put_errno(&l, saved_errno);
	for (const struct log_kv *k = kv; k->type != LOG_KV_END; k++)
		if (k->type == LOG_KV_MSG)
			put_kv(&l, k);
	l.text[l.len++] = '\n';
	write_line(logger.stderr_fd, &l);
	write_line(logger.tee_fd, &l);
	errno = saved_errno;
}

const char *log_fmt(const char *fmt, ...)
{
	static _Thread_local char buffers[FMT_BUFFERS][FMT_MAX_BYTES];
	static _Thread_local unsigned next;
	int saved_errno = errno;
	char *buffer = buffers[next++ % FMT_BUFFERS];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buffer, FMT_MAX_BYTES, fmt, ap);
	va_end(ap);
	errno = saved_errno;
	return buffer;
}
