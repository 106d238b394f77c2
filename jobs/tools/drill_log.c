/* weir-drill reads the log of the supervisor: the phase that a kill found the job in, and times of recovery. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "jobs/tools/drill.h"

static const char *const phase_names[] = { "before the first checkpoint", "between checkpoints",
	"checkpoint in progress", "restart", "restore", "deploy" };
_Static_assert(ARRAY_LEN(phase_names) == DRILL_N_PHASES, "a name each");
static const char *const kind_names[] = { "worker", "supervisor", "everything" };
_Static_assert(ARRAY_LEN(kind_names) == DRILL_N_KINDS, "a name each");

const char *drill_phase_name(enum drill_phase p)
{
	return phase_names[p];
}
const char *drill_kind_name(enum drill_kind k)
{
	return kind_names[k];
}

/* The value behind " key=" as a number, or 0. */
static int64_t number_of(const char *line, const char *key)
{
	const char *p = strstr(line, key);

	return p == NULL ? 0 : strtoll(p + strlen(key), NULL, 10);
}

/* The line's time, "2026-01-02T03:04:05.678Z", or 0. */
static int64_t time_of(const char *line)
{
	struct tm tm = { 0 };
	int ms;

	if (sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
		&tm.tm_min, &tm.tm_sec, &ms) != 7)
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	return (int64_t)timegm(&tm) * 1000 + ms;
}

static void add_sample(struct drill_samples *s, int64_t ms)
{
	VEC_RESERVE(s->ms, s->n, s->cap);
	s->ms[s->n++] = ms;
}

static void on_running(struct drill_log *l, int64_t ms)
{
	l->running = true;
	l->n_attempts++;
	l->phase = l->had_checkpoint ? DRILL_BETWEEN : DRILL_FIRST;
	if (l->awaited && l->seen && ms >= l->kill_ms) {
		add_sample(&l->recovery[l->kill_kind], ms - l->kill_ms);
		l->awaited = false;
	}
}

/*
 * A checkpoint that goes with its attempt has no line of its own, but its id is missing: as many ids as
 * are missing, so many of the kills since the last checkpoint found one on its way.
 */
static void on_completed(struct drill_log *l, const char *line, int64_t ms)
{
	uint64_t id = (uint64_t)number_of(line, " checkpoint=");
	unsigned i;

	for (i = 0; i < l->n_pending && !l->tainted && l->last_id + 1 + i < id; i++) {
		l->kills[l->pending[i].kind][l->pending[i].phase]--;
		l->kills[l->pending[i].kind][DRILL_CHECKPOINT]++;
	}
	l->n_pending = 0;
	l->tainted = false;
	l->last_id = id;
	if (strstr(line, " kind=CHECKPOINT ") == NULL)
		return; /* a savepoint: nothing begins with it again */
	l->n_completed++;
	l->trigger_ms = ms - number_of(line, "checkpointDuration=");
	l->had_checkpoint = true;
	if (l->phase == DRILL_FIRST)
		l->phase = DRILL_BETWEEN;
}

static void on_line(struct drill_log *l, const char *line)
{
	const char *p = strstr(line, " event="), *end;
	int64_t ms = time_of(line);
	char event[64];
	size_t len;

	if (p == NULL || strstr(line, " proc=jobmanager ") == NULL)
		return;
	p += strlen(" event=");
	end = strchr(p, ' ');
	len = end == NULL ? strlen(p) : (size_t)(end - p);
	if (len >= sizeof(event))
		return;
	memcpy(event, p, len);
	event[len] = '\0';
	if (strcmp(event, "supervisor.start") == 0) {
		l->running = false;
		l->phase = DRILL_RESTART;
		l->seen = l->seen || (l->kill_pid == 0 && ms >= l->kill_ms);
	} else if (strcmp(event, "child.died") == 0) {
		/* While the job runs, its failure tells that the dead one had tasks of it. */
		if (l->awaited && !l->running && number_of(line, " child_pid=") == l->kill_pid)
			l->seen = true;
	} else if (strcmp(event, "job.submitted") == 0 || strcmp(event, "job.resumed") == 0) {
		p = strstr(line, " job=");
		if (p != NULL && sscanf(p, " job=%32[0-9a-f]", l->job) != 1)
			l->job[0] = '\0';
		l->phase = number_of(line, " checkpoint=") != 0 ? DRILL_RESTORE : DRILL_DEPLOY;
	} else if (strcmp(event, "job.failure") == 0) {
		l->running = false;
		l->phase = DRILL_RESTART;
		l->tainted = l->tainted || !l->awaited || l->seen; /* by a reload, say */
		l->seen = l->seen || ms >= l->kill_ms;
	} else if (strcmp(event, "job.restarting") == 0) {
		l->running = false;
		l->phase = DRILL_DEPLOY;
	} else if (strcmp(event, "job.restored") == 0) {
		l->n_restored++;
		l->phase = DRILL_RESTORE;
	} else if (strcmp(event, "job.running") == 0) {
		on_running(l, ms);
	} else if (strcmp(event, "checkpoint.completed") == 0) {
		on_completed(l, line, ms);
	} else if (strcmp(event, "checkpoint.failed") == 0) {
		l->tainted = true; /* given up for a reason of its own */
	} else if (strcmp(event, "checkpoint.damaged") == 0) {
		l->n_damaged++;
	} else if (strcmp(event, "job.ended") == 0) {
		l->running = false;
		l->n_ended++;
	}
}

void log_follow(struct drill_log *l)
{
	int fd = open(l->path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *text, *line, *end;
	ssize_t n;

	if (fd < 0)
		return;
	if (fstat(fd, &st) < 0 || st.st_size <= l->offset) {
		close(fd);
		return;
	}
	text = xmalloc((size_t)(st.st_size - l->offset) + 1);
	n = pread(fd, text, (size_t)(st.st_size - l->offset), l->offset);
	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	for (line = text; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		*end = '\0';
		on_line(l, line);
	}
	l->offset += line - text;
	free(text);
}

void log_killed(struct drill_log *l, enum drill_kind kind, pid_t pid, int64_t wall_ms)
{
	l->kill_ms = wall_ms;
	l->kill_pid = kind == DRILL_WORKER ? pid : 0;
	l->kill_kind = kind;
	l->awaited = true;
	l->seen = false;
	l->kills[kind][l->phase]++;
	if ((l->phase == DRILL_FIRST || l->phase == DRILL_BETWEEN) && l->n_pending < ARRAY_LEN(l->pending)) {
		l->pending[l->n_pending].kind = kind;
		l->pending[l->n_pending++].phase = l->phase;
	}
	if (kind != DRILL_WORKER) {
		l->running = false;
		l->phase = DRILL_RESTART;
	}
}
