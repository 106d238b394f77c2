/*
 * The log: one line, one write(2), fixed order, then the event's own keys:
 *
 *   2026-01-02T03:04:05.678Z level=warn proc=jobmanager pid=411 job=7f3a… event=child.died tm=tm-2 … msg="…"
 *
 * event= names are stable and listed in weir-supervisor.8; msg= is prose for
 * people and comes last.  errno is preserved by every call.  Thread-safe: a line
 * is formatted on the caller's stack and written at once.
 *
 *   log_info("rest.listening", KV_INT("port", port), KV_MSG("REST API at %s", url));
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_kv_type { LOG_KV_END = 0, LOG_KV_STR, LOG_KV_INT, LOG_KV_UINT, LOG_KV_JOB, LOG_KV_MSG };

struct log_kv {
	enum log_kv_type type;
	const char *key;
	const char *str;
	int64_t num;
};

/* Values with a blank, a quote, '=' or a control character are written quoted
 * and escaped; NULL is written as "". */
/* clang-format off */
#define KV_STR(k, v)  { LOG_KV_STR, (k), (v), 0 }
#define KV_INT(k, v)  { LOG_KV_INT, (k), 0, (int64_t)(v) }
#define KV_UINT(k, v) { LOG_KV_UINT, (k), 0, (int64_t)(uint64_t)(v) }
#define KV_JOB(hex)   { LOG_KV_JOB, "job", (hex), 0 } /* printed before event= */
#define KV_MSG(...)   { LOG_KV_MSG, "msg", log_fmt(__VA_ARGS__), 0 }
/* clang-format on */

#define log_debug(event, ...)  LOG_AT(LOG_DEBUG, false, event, __VA_ARGS__)
#define log_info(event, ...)   LOG_AT(LOG_INFO, false, event, __VA_ARGS__)
#define log_warnx(event, ...)  LOG_AT(LOG_WARN, false, event, __VA_ARGS__)
#define log_warn(event, ...)   LOG_AT(LOG_WARN, true, event, __VA_ARGS__) /* appends errno= */
#define log_errorx(event, ...) LOG_AT(LOG_ERROR, false, event, __VA_ARGS__)
#define log_error(event, ...)  LOG_AT(LOG_ERROR, true, event, __VA_ARGS__) /* appends errno= */
#define LOG_AT(level, with_errno, event, ...) \
	log_write((level), (with_errno), (event), \
	    (const struct log_kv[]){ __VA_ARGS__, { LOG_KV_END, 0, 0, 0 } })

/* Set up this process's log.  proc is printed as proc= and kept by pointer;
 * lines go to stderr (tee_fd -1: only there) and to tee_fd.  Called again after
 * fork with the child's name. */
void log_init(const char *proc, enum log_level min_level, int stderr_fd, int tee_fd);
void log_set_level(enum log_level min_level);
/* Open (O_APPEND|O_CLOEXEC) a log file; -1 and errno on failure. */
int log_open_file(const char *path);
bool log_level_parse(const char *name, enum log_level *level); /* debug info warn error */

void log_write(enum log_level level, bool with_errno, const char *event, const struct log_kv *kv);
/* Format into one of a few per-thread buffers; valid until the eighth next call. */
const char *log_fmt(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
