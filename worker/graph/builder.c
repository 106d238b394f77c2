/*
 * The job builder: a forked child that runs a submitted job's main once and sends
 * what came of it.  It holds user code that nobody has seen run yet, so that it
 * may crash, loop or exit; the supervisor sees the end of the channel or its timer.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/msg.h"
#include "worker/graph/plan.h"
#include "worker/graph/plugin.h"
#include "worker/graph/utf8.h"

#define STDERR_MAX 4096

/* For the handler of exit(3), which user code may call. */
static struct {
	int result_fd;
	int saved_stderr; /* -1: not captured */
	int memfd;
	bool sent;
} builder = { -1, -1, -1, false };

/* The first 4 KiB that went to stderr, as valid UTF-8; caller frees. */
static char *captured_stderr(void)
{
	char *text = xcalloc(1, STDERR_MAX + 1);
	const uint8_t *p = (const uint8_t *)text, *end;

	if (builder.memfd < 0 || pread(builder.memfd, text, STDERR_MAX, 0) < 0)
		return text;
	/* The memory file was made full size, so that the text ends at the first NUL. */
	end = p + strlen(text);
	while (p < end) {
		const uint8_t *at = p;
		bool valid = true;

		utf8_next(&p, end, &valid);
		if (!valid)
			memset(text + (at - (const uint8_t *)text), '?', (size_t)(p - at));
	}
	return text;
}

static void capture_stderr(void)
{
	struct err e = { 0 };

	fflush(stderr);
	builder.memfd = file_memfd("builder-stderr", "", 0, &e);
	if (builder.memfd < 0) {
		log_warnx("builder.stderr", KV_MSG("what the job writes to stderr is not kept: %s", e.msg));
		return;
	}
	/* Sealed at its size: a job that floods stderr gets EPERM and not the machine's memory. */
	builder.saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (ftruncate(builder.memfd, STDERR_MAX) != 0 ||
	    fcntl(builder.memfd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) != 0 || builder.saved_stderr < 0 ||
	    dup2(builder.memfd, STDERR_FILENO) < 0)
		log_warn("builder.stderr", KV_MSG("what the job writes to stderr is not kept"));
}

static void restore_stderr(void)
{
	fflush(stderr);
	if (builder.saved_stderr < 0)
		return;
	dup2(builder.saved_stderr, STDERR_FILENO);
	close(builder.saved_stderr);
	builder.saved_stderr = -1;
}

/* plan NULL: why not is in *why. Ends in 0 where the result is on its way. */
static int send_result(const char *plan, const struct err *why)
{
	struct msg_writer w;
	struct err e = { 0 };
	int plan_fd = -1, rc = -1;
	char *text;

	restore_stderr();
	text = captured_stderr();
	msg_writer_init(&w);
	if (plan != NULL) {
		plan_fd = file_memfd("plan", plan, strlen(plan), &e);
		if (plan_fd < 0)
			why = &e;
	}
	msg_put_u8(&w, plan_fd >= 0);
	msg_put_u32(&w, plan_fd >= 0 ? ERR_NONE : why->code);
	msg_put_str(&w, plan_fd >= 0 ? "" : why->msg);
	msg_put_str(&w, text);
	if (plan_fd >= 0)
		msg_put_fd(&w, plan_fd);
	builder.sent = true;
	rc = msg_send_fd(builder.result_fd, MSG_BUILD_RESULT, &w, &e);
	if (rc != 0)
		log_errorx("builder.send", KV_MSG("the result of the build cannot be sent: %s", e.msg));
	if (plan_fd >= 0)
		close(plan_fd);
	msg_writer_fini(&w);
	free(text);
	return rc;
}

/* exit(3) from user code is an answer too. */
static void on_user_exit(int status, void *unused)
{
	struct err e = { 0 };

	(void)unused;
	if (builder.sent)
		return;
	err_set(&e, ERR_USER, "the job's main function ended the process by exit(%d)", status);
	send_result(NULL, &e);
	_exit(1);
}

_Noreturn void builder_main(int result_fd, const char *artifact, int argc, const char *const *argv)
{
	struct stream_graph *g = NULL;
	struct err e = { 0 };
	struct plugin *p;
	char *plan = NULL;
	int rc;

	builder.result_fd = result_fd;
	on_exit(on_user_exit, NULL);
	capture_stderr();
	p = plugin_open(artifact, &e);
	if (p != NULL)
		g = plugin_build(p, argc, argv, &e);
	if (g != NULL)
		plan = plan_encode(g, &e);
	rc = send_result(plan, &e);
	free(plan);
	stream_graph_destroy(g);
	/* Not exit: handlers that the parent or the job registered are none of ours.  The object stays
	 * open, since threads that the job started may be running in it. */
	fflush(stdout);
	_exit(rc == 0 ? 0 : 1);
}

int build_result_decode(struct msg_reader *r, struct build_result *res, struct err *e)
{
	uint8_t good = msg_get_u8(r);
	uint32_t code = msg_get_u32(r);
	const char *msg = msg_get_str(r), *text = msg_get_str(r);
	int fd = good != 0 ? msg_get_fd(r) : -1, rc = 0;

	memset(res, 0, sizeof(*res));
	if (!msg_reader_ok(r) || (good != 0) != (fd >= 0) ||
	    (good == 0 && (code == ERR_NONE || code >= ERR_N_CODES)))
		rc = err_set(e, ERR_INTERNAL, "the job builder's answer is damaged");
	else if (good != 0)
		rc = file_read_fd(fd, PLAN_MAX, &res->plan, &res->plan_len, e);
	if (fd >= 0)
		close(fd);
	if (rc != 0)
		return -1;
	res->ok = good != 0;
	res->stderr_text = xstrdup(text);
	if (!res->ok)
		err_set(&res->err, (enum err_code)code, "%s", msg);
	return 0;
}

void build_result_fini(struct build_result *res)
{
	free(res->plan);
	free(res->stderr_text);
	memset(res, 0, sizeof(*res));
}
