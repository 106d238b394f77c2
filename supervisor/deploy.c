/*
 * From a JobMaster's attempt to DEPLOY messages.
 */
#include "supervisor/deploy.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "shm/exchange.h"

/* What all members are told alike. */
struct shared {
	const struct job_master *jm;
	const struct rm_slot *slots;
	uint32_t n_slots;
	int exchange_fd, plan_fd;
	int64_t buffer_timeout_ms;
};

static int make_exchange(const struct job_master *jm, struct err *e)
{
	const struct job_graph *g = jm_program(jm)->graph;
	struct exchange_ring_spec *rings = xcalloc(g->n_rings == 0 ? 1 : g->n_rings, sizeof(*rings));
	struct exchange_spec spec = { .job_id = *jm_id(jm),
		.attempt = jm_attempt(jm),
		.n_slots = g->n_slots,
		.n_rings = g->n_rings,
		.rings = rings };
	uint32_t r, edge;
	int fd;

	for (r = 0; r < g->n_rings; r++) {
		layout_ring_ends(g, r, &edge, &rings[r].producer_slot, &rings[r].consumer_slot);
		rings[r].size_bytes = exchange_ring_size(layout_inbound(g, edge));
	}
	fd = exchange_create(&spec, e);
	free(rings);
	return fd;
}

static struct tm_link *link_at(struct tm_link *const *links, uint32_t n_links, uint32_t place,
    uint32_t generation)
{
	if (place < 1 || place > n_links || tm_link_generation(links[place - 1]) != generation)
		return NULL;
	return links[place - 1];
}

/* The part of one member. Freed by free_deploy; the descriptors in it are borrowed. */
static void make_deploy(const struct shared *s, const struct jm_member *m, const int *eventfds,
    const struct conf *conf, struct ctl_deploy *d)
{
	const struct job_program *p = jm_program(s->jm);
	const struct execution_graph *g = jm_graph(s->jm);
	uint32_t i;

	*d = (struct ctl_deploy){
		.job_id = *jm_id(s->jm),
		.attempt = jm_attempt(s->jm),
		.job_name = p->name,
		.artifact = p->artifact,
		.argv = p->argv,
		.argc = p->argc,
		.default_parallelism = p->default_parallelism,
		.force_parallelism = p->force_parallelism,
		.plan_fd = s->plan_fd,
		.exchange_fd = s->exchange_fd,
		.n_slots = s->n_slots,
		.buffer_timeout_ms = s->buffer_timeout_ms,
		.auto_watermark_interval_ms = conf->auto_watermark_interval_ms,
		.record_max_size = (uint32_t)conf->record_max_size_bytes,
		.checkpointing = jm_checkpointing(s->jm)->cc.interval_ms > 0,
		.at_least_once = jm_checkpointing(s->jm)->cc.at_least_once,
		.restore_fd = -1,
	};
	if (jm_coordinator(s->jm) != NULL)
		d->restore_id = coordinator_latest(jm_coordinator(s->jm), &d->restore_fd);
	d->eventfds = xcalloc(s->n_slots, sizeof(*d->eventfds));
	d->own = xcalloc(s->n_slots, sizeof(*d->own));
	d->tasks = xcalloc(g->n_tasks, sizeof(*d->tasks));
	for (i = 0; i < s->n_slots; i++) {
		d->eventfds[i] = eventfds[i];
		if (s->slots[i].place != m->place)
			continue;
		d->eventfds[i] = -1; /* it has its own */
		d->own[d->n_own++] =
		    (struct ctl_deploy_slot){ .slot = i, .local_slot = s->slots[i].local_slot };
	}
	for (i = 0; i < g->n_tasks; i++) {
		const struct job_task *t = &g->tasks[i];

		if (t->place == m->place)
			d->tasks[d->n_tasks++] = (struct ctl_deploy_task){ .vertex = t->vertex,
				.subtask = t->subtask,
				.attempt = t->attempt,
				.execution = t->execution,
				.metrics_block = t->metrics_block };
	}
}

static void free_deploy(struct ctl_deploy *d)
{
	free(d->eventfds);
	free(d->own);
	free(d->tasks);
}

/* The job's own setting wins over the configuration. */
static int buffer_timeout(const struct job_program *p, const struct conf *conf, int64_t *ms, struct err *e)
{
	const char *text = stream_graph_setting(p->stream, "execution.buffer-timeout", NULL);

	*ms = conf->buffer_timeout_ms;
	if (text == NULL || conf_parse_duration(text, ms, e) == 0)
		return 0;
	return err_prefix(e, "the job's setting execution.buffer-timeout");
}

int deploy_attempt(const struct job_master *jm, struct tm_link *const *links, uint32_t n_links,
    const struct conf *conf, struct err *e)
{
	const struct job_program *p = jm_program(jm);
	struct shared s = { .jm = jm, .exchange_fd = -1, .plan_fd = -1 };
	struct ctl_deploy d;
	struct tm_link *l;
	int *eventfds, rc = -1;
	uint32_t i;

	s.slots = jm_slots(jm, &s.n_slots);
	eventfds = xcalloc(s.n_slots, sizeof(*eventfds));
	for (i = 0; i < s.n_slots; i++) {
		l = link_at(links, n_links, s.slots[i].place, s.slots[i].generation);
		eventfds[i] = l != NULL ? tm_link_eventfd(l, s.slots[i].local_slot) : -1;
		if (eventfds[i] < 0) {
			err_set(e, ERR_UNAVAILABLE, "taskmanager tm-%u ended meanwhile", s.slots[i].place);
			goto out;
		}
	}
	if (buffer_timeout(p, conf, &s.buffer_timeout_ms, e) != 0)
		goto out;
	s.exchange_fd = make_exchange(jm, e);
	if (s.exchange_fd < 0)
		goto out;
	s.plan_fd = file_memfd("weir-plan", p->plan, p->plan_len, e);
	if (s.plan_fd < 0)
		goto out;
	for (i = 0; i < jm_n_members(jm); i++) {
		const struct jm_member *m = jm_member(jm, i);

		l = link_at(links, n_links, m->place, m->generation);
		make_deploy(&s, m, eventfds, conf, &d);
		rc = tm_link_deploy(l, &d, e);
		free_deploy(&d);
		if (rc != 0)
			break;
	}
out:
	/* The TaskManagers have descriptors of their own; a new attempt gets a new exchange. */
	if (s.exchange_fd >= 0)
		close(s.exchange_fd);
	if (s.plan_fd >= 0)
		close(s.plan_fd);
	free(eventfds);
	return rc;
}
