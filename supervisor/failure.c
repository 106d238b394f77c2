/*
 * Records of failures.
 */
#include "supervisor/failure.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define NAME_LOST        "org.apache.flink.runtime.io.network.netty.exception.RemoteTransportException"
#define NAME_JOB         "org.apache.flink.runtime.JobException"
#define NAME_COMPLETION  "java.util.concurrent.CompletionException"
#define NAME_NO_RESOURCE "org.apache.flink.runtime.jobmanager.scheduler.NoResourceAvailableException"

void job_failure_fini(struct job_failure *f)
{
	free(f->text);
	free(f->task_name);
	free(f->location);
	free(f->tm_id);
	memset(f, 0, sizeof(*f));
}

const char *failure_name(enum err_code code)
{
	switch (code) {
	case ERR_USER:
		return "java.lang.RuntimeException"; /* what a user function throws to fail */
	case ERR_INVALID:
	case ERR_CONFIG:
		return "java.lang.IllegalArgumentException";
	case ERR_IO:
	case ERR_NOT_FOUND:
	case ERR_UNAVAILABLE:
		return "java.io.IOException";
	case ERR_TIMEOUT:
		return "java.util.concurrent.TimeoutException";
	case ERR_NONE:
	case ERR_CONFLICT:
	case ERR_TOO_LARGE:
	case ERR_INTERNAL:
	case ERR_N_CODES:
		break;
	}
	return "org.apache.flink.util.FlinkException";
}

void failure_from_err(struct job_failure *f, const struct err *cause)
{
	f->name = failure_name(cause->code);
	f->text =
	    xasprintf("%s: %s", f->name, cause->msg[0] != '\0' ? cause->msg : "the task gave no reason");
}

void failure_from_lost_tm(struct job_failure *f, const char *tm_id, int signo, const char *obituary)
{
	f->name = NAME_LOST;
	f->signo = signo;
	f->text = xasprintf(NAME_LOST ": Connection unexpectedly closed by remote task manager '%s'. "
				      "This might indicate that the remote task manager was lost.\n\t%s",
	    tm_id, obituary);
}

void failure_from_suppressed(struct job_failure *f, const char *why, const struct job_failure *last)
{
	f->name = NAME_JOB;
	if (last == NULL) {
		f->text = xasprintf(NAME_JOB ": %s", why);
		return;
	}
	f->text = xasprintf(NAME_JOB ": %s\nCaused by: %s", why, last->text);
	f->task_name = last->task_name != NULL ? xstrdup(last->task_name) : NULL;
	f->location = last->location != NULL ? xstrdup(last->location) : NULL;
	f->tm_id = last->tm_id != NULL ? xstrdup(last->tm_id) : NULL;
	f->signo = last->signo;
}

void failure_from_missing_slots(struct job_failure *f, uint32_t n_required, uint32_t n_free)
{
	f->name = NAME_COMPLETION;
	f->no_resource = true;
	f->text = xasprintf(NAME_COMPLETION ": " NAME_NO_RESOURCE
					    ": Could not acquire the minimum required resources."
					    "\n\tThe job needs %u slot%s and %u %s free.",
	    n_required, n_required == 1 ? "" : "s", n_free, n_free == 1 ? "is" : "are");
}

static void forget_oldest(struct failure_history *h)
{
	job_failure_fini(&h->v[0]);
	h->n--;
	memmove(&h->v[0], &h->v[1], h->n * sizeof(*h->v));
	h->truncated = true;
}

void failure_history_add(struct failure_history *h, struct job_failure *f, size_t limit)
{
	if (h->n > 0 && f->no_resource && h->v[h->n - 1].no_resource)
		job_failure_fini(&h->v[--h->n]);
	while (h->n > 0 && h->n >= limit)
		forget_oldest(h);
	VEC_RESERVE(h->v, h->n, h->cap);
	h->v[h->n++] = *f;
	memset(f, 0, sizeof(*f));
}

void failure_history_fini(struct failure_history *h)
{
	size_t i;

	for (i = 0; i < h->n; i++)
		job_failure_fini(&h->v[i]);
	free(h->v);
	memset(h, 0, sizeof(*h));
}
