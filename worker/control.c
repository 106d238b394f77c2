/*
 * Bodies of the control messages.  A decoder checks every number against what is
 * possible before it is used for memory, and leaves nothing allocated when it fails.
 */
#include "worker/control_impl.h"

#include <inttypes.h>
#include <unistd.h>

#include "base/mem.h"
#include "shm/metrics.h"

#define MAX_SLOTS (256 * CTL_MAX_SLOTS) /* of an attempt: taskmanagers times slots */
#define MAX_ARGS  65536
#define MAX_TASKS METRICS_TASK_BLOCKS /* on one worker: each has a block */
#define MAX_NAME  1024

/* Of a slot's doorbell in DEPLOY. */
enum bell { BELL_OWN, BELL_HERE, BELL_BEFORE, BELL_N };

static const char *const state_names[TASK_N_STATES] = {
	[TASK_CREATED] = "CREATED",
	[TASK_SCHEDULED] = "SCHEDULED",
	[TASK_DEPLOYING] = "DEPLOYING",
	[TASK_INITIALIZING] = "INITIALIZING",
	[TASK_RUNNING] = "RUNNING",
	[TASK_FINISHED] = "FINISHED",
	[TASK_CANCELING] = "CANCELING",
	[TASK_CANCELED] = "CANCELED",
	[TASK_FAILED] = "FAILED",
	[TASK_RECONCILING] = "RECONCILING",
};

const char *task_state_name(enum task_state s)
{
	return (unsigned)s < TASK_N_STATES ? state_names[s] : "?";
}

bool task_state_is_terminal(enum task_state s)
{
	return s == TASK_FINISHED || s == TASK_CANCELED || s == TASK_FAILED;
}

/* True while n elements of at least size_bytes each can still be in the body. */
static bool room_for(const struct msg_reader *r, uint32_t n, size_t size_bytes)
{
	return !r->bad && n <= (size_t)(r->end - r->p) / size_bytes;
}

void ctl_encode_hello(struct msg_writer *w, const struct ctl_hello *m)
{
	msg_put_u32(w, m->place);
	msg_put_u32(w, m->generation);
	msg_put_u32(w, m->pid);
	msg_put_u32(w, m->n_slots);
	msg_put_str(w, m->tm_id);
}

/* An id goes into URLs, JSON and the log: only what our own workers would send. */
static bool valid_tm_id(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && len < TM_ID_SIZE && strspn(s, "0123456789abcdef.:-") == len;
}

int ctl_decode_hello(struct msg_reader *r, struct ctl_hello *m, struct err *e)
{
	const char *tm_id;

	m->place = msg_get_u32(r);
	m->generation = msg_get_u32(r);
	m->pid = msg_get_u32(r);
	m->n_slots = msg_get_u32(r);
	tm_id = msg_get_str(r);
	if (!all_taken(r) || m->n_slots == 0 || m->n_slots > CTL_MAX_SLOTS || !valid_tm_id(tm_id))
		return malformed(e, "HELLO");
	snprintf(m->tm_id, sizeof(m->tm_id), "%s", tm_id);
	return 0;
}

void ctl_encode_heartbeat(struct msg_writer *w, const struct ctl_heartbeat *m)
{
	ASSERT(m->n_slots <= CTL_MAX_SLOTS);
	msg_put_u64(w, m->seq);
	msg_put_u32(w, m->n_slots);
	for (uint32_t i = 0; i < m->n_slots; i++) {
		msg_put_u32(w, m->turn[i]);
		msg_put_u8(w, m->sleeping[i]);
	}
}

int ctl_decode_heartbeat(struct msg_reader *r, struct ctl_heartbeat *m, struct err *e)
{
	memset(m, 0, sizeof(*m));
	m->seq = msg_get_u64(r);
	m->n_slots = msg_get_u32(r);
	if (m->n_slots > CTL_MAX_SLOTS)
		return malformed(e, "HEARTBEAT");
	for (uint32_t i = 0; i < m->n_slots; i++) {
		m->turn[i] = msg_get_u32(r);
		m->sleeping[i] = get_bool(r);
	}
	return all_taken(r) ? 0 : malformed(e, "HEARTBEAT");
}

uint32_t ctl_deploy_n_inline(const struct ctl_deploy *m)
{
	uint32_t n_fds = m->restore_id != 0 ? 3 : 2; /* plan, exchange, state */
	uint32_t i;

	for (i = 0; i < m->n_slots; i++) {
		if (m->eventfds[i] >= 0 && ++n_fds > MSG_FDS_MAX)
			break;
	}
	return i;
}

uint32_t ctl_encode_doorbells(struct msg_writer *w, const struct ctl_deploy *m, uint32_t first)
{
	uint32_t end = m->n_slots - first > MSG_FDS_MAX ? first + MSG_FDS_MAX : m->n_slots;

	ASSERT(first < m->n_slots);
	msg_put_id(w, &m->job_id);
	msg_put_u64(w, m->attempt);
	msg_put_u32(w, first);
	msg_put_u32(w, end - first);
	for (uint32_t i = first; i < end; i++) {
		msg_put_u8(w, m->eventfds[i] >= 0 ? BELL_HERE : BELL_OWN);
		if (m->eventfds[i] >= 0)
			msg_put_fd(w, m->eventfds[i]);
	}
	return end;
}

int ctl_decode_doorbells(struct msg_reader *r, struct ctl_doorbells *m, struct err *e)
{
	uint32_t n;

	msg_get_id(r, &m->job_id);
	m->attempt = msg_get_u64(r);
	m->first = msg_get_u32(r);
	n = msg_get_u32(r);
	m->n = 0;
	if (m->first > MAX_SLOTS || n > MSG_FDS_MAX || !room_for(r, n, 1))
		return malformed(e, "DOORBELLS");
	for (; m->n < n; m->n++) {
		uint8_t bell = msg_get_u8(r);

		m->fds[m->n] = bell == BELL_HERE ? msg_get_fd(r) : -1;
		if (bell > BELL_HERE || (bell == BELL_HERE && m->fds[m->n] < 0))
			r->bad = true;
	}
	if (!all_taken(r)) {
		ctl_doorbells_fini(m);
		return malformed(e, "DOORBELLS");
	}
	return 0;
}

void ctl_doorbells_fini(struct ctl_doorbells *m)
{
	for (uint32_t i = 0; i < m->n; i++)
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	m->n = 0;
}

int ctl_deploy_take_doorbells(struct ctl_deploy *m, struct ctl_doorbells *b, struct err *e)
{
	bool fits = b->first <= m->n_slots && b->n <= m->n_slots - b->first && b->attempt == m->attempt &&
	    id_equal(&b->job_id, &m->job_id);

	for (uint32_t i = 0; fits && i < b->n; i++)
		fits = b->fds[i] < 0 || (m->eventfds[b->first + i] < 0 && m->n_before > 0);
	if (!fits) {
		ctl_doorbells_fini(b);
		return err_set(e, ERR_INTERNAL, "a DOORBELLS message does not belong to its DEPLOY");
	}
	for (uint32_t i = 0; i < b->n; i++) {
		if (b->fds[i] < 0)
			continue;
		m->eventfds[b->first + i] = b->fds[i];
		m->n_before -= m->n_before > 0;
	}
	b->n = 0;
	return 0;
}

void ctl_encode_deploy(struct msg_writer *w, const struct ctl_deploy *m)
{
	uint32_t n_inline = ctl_deploy_n_inline(m);

	msg_put_id(w, &m->job_id);
	msg_put_u64(w, m->attempt);
	msg_put_str(w, m->job_name);
	msg_put_str(w, m->artifact);
	msg_put_u32(w, m->argc);
	for (uint32_t i = 0; i < m->argc; i++)
		msg_put_str(w, m->argv[i]);
	msg_put_u32(w, m->default_parallelism);
	msg_put_u8(w, m->force_parallelism);
	msg_put_fd(w, m->plan_fd);
	msg_put_fd(w, m->exchange_fd);
	msg_put_u32(w, m->n_slots);
	for (uint32_t i = 0; i < m->n_slots; i++) {
		if (m->eventfds[i] < 0) {
			msg_put_u8(w, BELL_OWN);
		} else if (i < n_inline) {
			msg_put_u8(w, BELL_HERE);
			msg_put_fd(w, m->eventfds[i]);
		} else {
			msg_put_u8(w, BELL_BEFORE);
		}
	}
	msg_put_u32(w, m->n_own);
	for (uint32_t i = 0; i < m->n_own; i++) {
		msg_put_u32(w, m->own[i].slot);
		msg_put_u32(w, m->own[i].local_slot);
	}
	msg_put_u32(w, m->n_tasks);
	for (uint32_t i = 0; i < m->n_tasks; i++) {
		const struct ctl_deploy_task *t = &m->tasks[i];

		msg_put_u32(w, t->vertex);
		msg_put_u32(w, t->subtask);
		msg_put_u32(w, t->attempt);
		msg_put_id(w, &t->execution);
		msg_put_u32(w, t->metrics_block);
	}
	msg_put_i64(w, m->buffer_timeout_ms);
	msg_put_i64(w, m->auto_watermark_interval_ms);
	msg_put_u32(w, m->record_max_size);
	msg_put_u8(w, m->checkpointing);
	msg_put_u8(w, m->at_least_once);
	msg_put_u64(w, m->restore_id);
	if (m->restore_id != 0)
		msg_put_fd(w, m->restore_fd);
}

static int decode_args(struct msg_reader *r, struct ctl_deploy *m)
{
	uint32_t n = msg_get_u32(r);

	if (n > MAX_ARGS || !room_for(r, n, sizeof(uint32_t) + 1))
		return -1;
	/* NULL behind the last one, as main's argv. */
	m->argv = xcalloc((size_t)n + 1, sizeof(*m->argv));
	for (; m->argc < n; m->argc++)
		m->argv[m->argc] = xstrdup(msg_get_str(r));
	return 0;
}

static int decode_bells(struct msg_reader *r, struct ctl_deploy *m)
{
	uint32_t n = msg_get_u32(r);

	if (n == 0 || n > MAX_SLOTS || !room_for(r, n, 1))
		return -1;
	m->eventfds = xcalloc(n, sizeof(*m->eventfds));
	for (; m->n_slots < n; m->n_slots++) {
		uint8_t bell = msg_get_u8(r);

		m->eventfds[m->n_slots] = bell == BELL_HERE ? msg_get_fd(r) : -1;
		if (bell >= BELL_N || (bell == BELL_HERE && m->eventfds[m->n_slots] < 0))
			r->bad = true;
		m->n_before += bell == BELL_BEFORE;
	}
	return 0;
}

static int decode_own(struct msg_reader *r, struct ctl_deploy *m)
{
	uint32_t n = msg_get_u32(r);
	uint64_t used = 0;

	if (n > CTL_MAX_SLOTS || !room_for(r, n, 8))
		return -1;
	m->own = xcalloc((size_t)n + 1, sizeof(*m->own));
	m->n_own = n;
	for (uint32_t i = 0; i < n; i++) {
		struct ctl_deploy_slot *s = &m->own[i];

		s->slot = msg_get_u32(r);
		s->local_slot = msg_get_u32(r);
		/* A slot of ours takes part once, and is not one whose doorbell came from elsewhere. */
		if (s->slot >= m->n_slots || s->local_slot >= CTL_MAX_SLOTS || m->eventfds[s->slot] >= 0 ||
		    (used >> s->local_slot & 1) != 0)
			return -1;
		used |= UINT64_C(1) << s->local_slot;
		for (uint32_t j = 0; j < i; j++)
			if (m->own[j].slot == s->slot)
				return -1;
	}
	return 0;
}

static bool is_own(const struct ctl_deploy *m, uint32_t slot)
{
	for (uint32_t i = 0; i < m->n_own; i++)
		if (m->own[i].slot == slot)
			return true;
	return false;
}

static int decode_tasks(struct msg_reader *r, struct ctl_deploy *m)
{
	uint32_t n = msg_get_u32(r);

	if (n > MAX_TASKS || !room_for(r, n, 32))
		return -1;
	m->tasks = xcalloc((size_t)n + 1, sizeof(*m->tasks));
	m->n_tasks = n;
	for (uint32_t i = 0; i < n; i++) {
		struct ctl_deploy_task *t = &m->tasks[i];

		t->vertex = msg_get_u32(r);
		t->subtask = msg_get_u32(r);
		t->attempt = msg_get_u32(r);
		msg_get_id(r, &t->execution);
		t->metrics_block = msg_get_u32(r);
		if (!is_own(m, t->subtask) || t->metrics_block >= METRICS_TASK_BLOCKS)
			return -1;
	}
	return 0;
}

int ctl_decode_deploy(struct msg_reader *r, struct ctl_deploy *m, struct err *e)
{
	memset(m, 0, sizeof(*m));
	m->plan_fd = -1;
	m->exchange_fd = -1;
	m->restore_fd = -1;
	msg_get_id(r, &m->job_id);
	m->attempt = msg_get_u64(r);
	m->job_name = xstrdup(msg_get_str(r));
	m->artifact = xstrdup(msg_get_str(r));
	if (decode_args(r, m) < 0)
		goto bad;
	m->default_parallelism = msg_get_u32(r);
	m->force_parallelism = get_bool(r);
	m->plan_fd = msg_get_fd(r);
	m->exchange_fd = msg_get_fd(r);
	if (decode_bells(r, m) < 0 || decode_own(r, m) < 0 || decode_tasks(r, m) < 0)
		goto bad;
	m->buffer_timeout_ms = msg_get_i64(r);
	m->auto_watermark_interval_ms = msg_get_i64(r);
	m->record_max_size = msg_get_u32(r);
	m->checkpointing = get_bool(r);
	m->at_least_once = get_bool(r);
	m->restore_id = msg_get_u64(r);
	if (m->restore_id != 0)
		m->restore_fd = msg_get_fd(r);
	if (!all_taken(r) || m->plan_fd < 0 || m->exchange_fd < 0 ||
	    (m->restore_id != 0 && m->restore_fd < 0))
		goto bad;
	return 0;
bad:
	ctl_deploy_fini(m);
	return malformed(e, "DEPLOY");
}

void ctl_deploy_fini(struct ctl_deploy *m)
{
	if (m->plan_fd >= 0)
		close(m->plan_fd);
	if (m->exchange_fd >= 0)
		close(m->exchange_fd);
	if (m->restore_id != 0 && m->restore_fd >= 0)
		close(m->restore_fd);
	for (uint32_t i = 0; i < m->n_slots; i++)
		if (m->eventfds[i] >= 0)
			close(m->eventfds[i]);
	for (uint32_t i = 0; i < m->argc; i++)
		free(m->argv[i]);
	free(m->argv);
	free(m->job_name);
	free(m->artifact);
	free(m->eventfds);
	free(m->own);
	free(m->tasks);
	memset(m, 0, sizeof(*m));
	m->plan_fd = -1;
	m->exchange_fd = -1;
	m->restore_fd = -1;
}

void ctl_encode_attempt(struct msg_writer *w, const struct ctl_attempt *m)
{
	msg_put_id(w, &m->job_id);
	msg_put_u64(w, m->attempt);
}

int ctl_decode_attempt(struct msg_reader *r, struct ctl_attempt *m, struct err *e)
{
	msg_get_id(r, &m->job_id);
	m->attempt = msg_get_u64(r);
	return all_taken(r) ? 0 : malformed(e, "DROP or DROPPED");
}

void ctl_encode_task_state(struct msg_writer *w, const struct ctl_task_state *m)
{
	msg_put_id(w, &m->job_id);
	msg_put_u64(w, m->attempt);
	msg_put_u32(w, m->vertex);
	msg_put_u32(w, m->subtask);
	msg_put_u8(w, (uint8_t)m->state);
	msg_put_i64(w, m->wall_ms);
	if (m->state == TASK_FAILED) {
		msg_put_u8(w, (uint8_t)(m->cause.code != ERR_NONE ? m->cause.code : ERR_INTERNAL));
		msg_put_str(w, m->cause.msg);
	}
}

int ctl_decode_task_state(struct msg_reader *r, struct ctl_task_state *m, struct err *e)
{
	uint8_t state, code = ERR_NONE;
	const char *text = "";

	msg_get_id(r, &m->job_id);
	m->attempt = msg_get_u64(r);
	m->vertex = msg_get_u32(r);
	m->subtask = msg_get_u32(r);
	state = msg_get_u8(r);
	m->wall_ms = msg_get_i64(r);
	if (state == TASK_FAILED) {
		code = msg_get_u8(r);
		text = msg_get_str(r);
	}
	if (!all_taken(r) || state >= TASK_N_STATES || code >= ERR_N_CODES ||
	    (state == TASK_FAILED && code == ERR_NONE))
		return malformed(e, "TASK_STATE");
	m->state = (enum task_state)state;
	m->cause.code = ERR_NONE;
	m->cause.msg[0] = '\0';
	if (state == TASK_FAILED)
		err_set(&m->cause, (enum err_code)code, "%s", text);
	return 0;
}

void ctl_encode_metric_names(struct msg_writer *w, const struct ctl_metric_names *m)
{
	msg_put_id(w, &m->job_id);
	msg_put_u64(w, m->attempt);
	msg_put_u32(w, m->vertex);
	msg_put_u32(w, m->subtask);
	msg_put_u32(w, m->first);
	msg_put_u32(w, m->n);
	for (uint32_t i = 0; i < m->n; i++)
		msg_put_str(w, m->names[i]);
}

int ctl_decode_metric_names(struct msg_reader *r, struct ctl_metric_names *m, struct err *e)
{
	uint32_t n;

	memset(m, 0, sizeof(*m));
	msg_get_id(r, &m->job_id);
	m->attempt = msg_get_u64(r);
	m->vertex = msg_get_u32(r);
	m->subtask = msg_get_u32(r);
	m->first = msg_get_u32(r);
	n = msg_get_u32(r);
	if (r->bad || m->first > METRIC_USER_MAX || n > METRIC_USER_MAX - m->first)
		return malformed(e, "METRIC_NAMES");
	m->names = xcalloc((size_t)n + 1, sizeof(*m->names));
	for (; m->n < n; m->n++) {
		const char *name = msg_get_str(r);

		if (strlen(name) > MAX_NAME)
			r->bad = true;
		m->names[m->n] = xstrdup(name);
	}
	if (!all_taken(r)) {
		ctl_metric_names_fini(m);
		return malformed(e, "METRIC_NAMES");
	}
	return 0;
}

void ctl_metric_names_fini(struct ctl_metric_names *m)
{
	for (uint32_t i = 0; i < m->n; i++)
		free(m->names[i]);
	free(m->names);
	m->names = NULL;
	m->n = 0;
}
