/*
 * The state machines, bound to a running system.
 */
#include "supervisor/cluster.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "supervisor/builder_run.h"
#include "supervisor/cluster_impl.h"
#include "supervisor/deploy.h"
#include "supervisor/gateway.h"
#include "supervisor/loop.h"

/* ---- turns ---- */

static void arm(struct cluster *c)
{
	int64_t due = dispatcher_deadline_ns(c->dispatcher), wait;
	struct timeval tv;

	if (due == c->armed_ns)
		return;
	c->armed_ns = due;
	if (due == INT64_MAX) {
		event_del(c->timer);
		return;
	}
	wait = due - clock_mono_ns(c->clock);
	if (wait < 0)
		wait = 0;
	tv.tv_sec = wait / NS_PER_S;
	tv.tv_usec = (wait % NS_PER_S + 999) / 1000; /* rounded up: an early timer would come twice */
	if (tv.tv_usec >= 1000000) {
		tv.tv_sec++;
		tv.tv_usec -= 1000000;
	}
	ASSERT(event_add(c->timer, &tv) == 0);
}

static void take_turn(struct cluster *c)
{
	dispatcher_turn(c->dispatcher);
	arm(c);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct cluster *c = arg;

	(void)fd;
	(void)what;
	take_turn(c);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct cluster *c = arg;

	(void)fd;
	(void)what;
	c->armed_ns = INT64_MAX;
	take_turn(c);
}

void cluster_poke(struct cluster *c)
{
	event_active(c->turn, EV_TIMEOUT, 0);
}

/* ---- what the TaskManagers say ---- */

static void on_registered(void *arg, struct tm_link *l, const struct ctl_hello *hello)
{
	struct cluster *c = arg;

	c->regions[tm_link_place(l) - 1] = tm_link_metrics(l);
	log_info("tm.registered", KV_STR("tm", log_fmt("tm-%" PRIu32, hello->place)),
	    KV_UINT("generation", hello->generation), KV_UINT("child_pid", hello->pid),
	    KV_STR("tm_id", hello->tm_id), KV_UINT("slots", hello->n_slots),
	    KV_MSG("taskmanager registered"));
	dispatcher_on_hello(c->dispatcher, hello);
	cluster_poke(c);
}

static void on_task_state(void *arg, struct tm_link *l, const struct ctl_task_state *s)
{
	struct cluster *c = arg;

	dispatcher_on_task_state(c->dispatcher, tm_link_place(l), tm_link_generation(l), s);
	cluster_poke(c);
}

static void on_dropped(void *arg, struct tm_link *l, const struct ctl_attempt *a)
{
	struct cluster *c = arg;

	dispatcher_on_dropped(c->dispatcher, tm_link_place(l), tm_link_generation(l), a);
	cluster_poke(c);
}

static void on_metric_names(void *arg, struct tm_link *l, const struct ctl_metric_names *names)
{
	struct cluster *c = arg;

	dispatcher_on_metric_names(c->dispatcher, tm_link_place(l), tm_link_generation(l), names);
}

static void on_ack(void *arg, struct tm_link *l, const struct ctl_ack *a)
{
	struct cluster *c = arg;

	dispatcher_on_ack(c->dispatcher, tm_link_place(l), tm_link_generation(l), a);
	cluster_poke(c);
}

static void on_decline(void *arg, struct tm_link *l, const struct ctl_decline *d)
{
	struct cluster *c = arg;

	dispatcher_on_decline(c->dispatcher, tm_link_place(l), tm_link_generation(l), d);
	cluster_poke(c);
}

static void on_tm_died(void *arg, struct tm_link *l, const struct child_death *d)
{
	struct cluster *c = arg;

	dispatcher_on_died(c->dispatcher, d->place, d->generation, d->signo, d->sentence);
	/* The counters were copied; the mapping goes when this returns. */
	c->regions[tm_link_place(l) - 1] = NULL;
}

static void on_storage_stopped(void *arg)
{
	struct cluster *c = arg;

	c->cfg.stopped(c->cfg.arg);
}

static void stop_storage_if_last(struct cluster *c)
{
	if (c->ending && c->n_links_stopped == c->n_links)
		storage_shutdown(c->storage, on_storage_stopped, c);
}

static void on_tm_stopped(void *arg, struct tm_link *l)
{
	struct cluster *c = arg;

	cluster_link_stopped(c, tm_link_place(l));
	stop_storage_if_last(c);
}

static const struct tm_events tm_events = {
	.registered = on_registered,
	.task_state = on_task_state,
	.dropped = on_dropped,
	.metric_names = on_metric_names,
	.ack = on_ack,
	.decline = on_decline,
	.died = on_tm_died,
	.stopped = on_tm_stopped,
};

/* What the obituary of a TaskManager says of its job. */
static void on_context(void *arg, const struct child_death *d, struct child_context *ctx)
{
	struct cluster *c = arg;
	struct job_master *jm;

	if (d->kind != CHILD_TASKMANAGER)
		return;
	jm = dispatcher_job_at(c->dispatcher, d->place, d->generation);
	if (jm == NULL)
		return;
	snprintf(ctx->job, sizeof(ctx->job), "%s", jm_id_hex(jm));
	ctx->attempt = jm_attempt(jm);
	if (jm_phase(jm) == JM_RUNNING)
		snprintf(ctx->next, sizeof(ctx->next), "job \"%.100s\" restarts as attempt %" PRIu64,
		    jm_program(jm)->name, jm_attempt(jm) + 1);
}

static void on_reaped(void *arg)
{
	struct cluster *c = arg;

	take_turn(c);
}

/* ---- what the Dispatcher asks for ---- */

static struct tm_link *link_at(struct cluster *c, uint32_t place, uint32_t generation)
{
	struct tm_link *l = cluster_link(c, place);

	return l != NULL && tm_link_generation(l) == generation ? l : NULL;
}

static int op_deploy(void *arg, struct job_master *jm, struct err *e)
{
	struct cluster *c = arg;

	return deploy_attempt(jm, c->links, c->n_links, c->conf, e);
}

static void op_drop(void *arg, uint32_t place, uint32_t generation, const struct id128 *job, uint64_t attempt)
{
	struct tm_link *l = link_at(arg, place, generation);
	struct ctl_attempt a = { .job_id = *job, .attempt = attempt };

	if (l != NULL)
		tm_link_drop(l, &a);
}

static void op_kill(void *arg, uint32_t place, uint32_t generation, const char *why)
{
	struct tm_link *l = link_at(arg, place, generation);

	if (l != NULL)
		tm_link_kill(l, why);
}

static void op_trigger(void *arg, uint32_t place, uint32_t generation, const struct ctl_trigger *t)
{
	struct tm_link *l = link_at(arg, place, generation);

	if (l != NULL)
		tm_link_trigger(l, t);
}

static void op_notify(void *arg, uint32_t place, uint32_t generation, const struct ctl_checkpoint *m)
{
	struct tm_link *l = link_at(arg, place, generation);

	if (l != NULL)
		tm_link_notify(l, m);
}

static void op_abort(void *arg, uint32_t place, uint32_t generation, const struct ctl_checkpoint *m)
{
	struct tm_link *l = link_at(arg, place, generation);

	if (l != NULL)
		tm_link_abort(l, m);
}

static void op_task_over(void *arg, struct job_task *t)
{
	struct cluster *c = arg;
	struct tm_link *l = link_at(c, t->place, t->generation);
	struct metrics_task *m;
	unsigned i;

	if (l == NULL || c->regions[t->place - 1] == NULL)
		return;
	m = metrics_task(c->regions[t->place - 1], t->metrics_block);
	for (i = 0; m != NULL && i < METRICS_PER_BLOCK; i++)
		t->metrics[i] = metrics_get(m, i);
}

static void unlink_build(struct cluster *c, struct build *b)
{
	struct build **p = &c->builds;

	while (*p != b)
		p = &(*p)->next;
	*p = b->next;
}

static void on_built(void *arg, struct build_result *res, const struct err *why)
{
	struct build *b = arg;
	struct cluster *c = b->cluster;

	unlink_build(c, b);
	dispatcher_on_built(c->dispatcher, b->submission, b->which, res, why);
	free(b);
	cluster_poke(c);
}

static int op_build(void *arg, uint32_t submission, unsigned which, const char *artifact, uint32_t argc,
    char *const *argv, struct err *e)
{
	struct cluster *c = arg;
	struct build *b = xcalloc(1, sizeof(*b));

	b->cluster = c;
	b->submission = submission;
	b->which = which;
	b->run = builder_run_start(c->children, c->cfg.base, artifact, argc, (const char *const *)argv,
	    on_built, b, e);
	if (b->run == NULL) {
		free(b);
		return -1;
	}
	b->next = c->builds;
	c->builds = b;
	return 0;
}

static void op_build_kill(void *arg, uint32_t submission, unsigned which)
{
	struct cluster *c = arg;
	struct build *b;

	for (b = c->builds; b != NULL; b = b->next) {
		if (b->submission == submission && b->which == which) {
			builder_run_kill(b->run, "its submission is over");
			unlink_build(c, b);
			free(b);
			return;
		}
	}
}

static void op_stopped(void *arg)
{
	struct cluster *c = arg;
	uint32_t i;

	c->ending = true;
	for (i = 0; i < c->n_links; i++)
		tm_link_shutdown(c->links[i], c->cfg.stop_grace_ms);
	stop_storage_if_last(c); /* there may be no TaskManager */
}

static const struct dispatcher_ops dispatcher_ops = {
	.deploy = op_deploy,
	.drop = op_drop,
	.kill = op_kill,
	.task_over = op_task_over,
	.store = cluster_op_store,
	.unstore = cluster_op_unstore,
	.build = op_build,
	.build_kill = op_build_kill,
	.trigger = op_trigger,
	.notify = op_notify,
	.abort = op_abort,
	.store_checkpoint = cluster_op_store_checkpoint,
	.discard_checkpoint = cluster_op_discard_checkpoint,
	.discard_checkpoints = cluster_op_discard_checkpoints,
	.savepoint_done = cluster_op_savepoint_done,
	.find_checkpoint = cluster_op_find_checkpoint,
	.record = cluster_op_record,
	.unrecord = cluster_op_unrecord,
	.stopped = op_stopped,
};

/* ---- life ---- */

struct cluster *cluster_create(const struct cluster_config *cfg)
{
	struct cluster *c = xcalloc(1, sizeof(*c));
	struct children_config children = { .programs = child_programs_weir,
		.stderr_fd = cfg->stderr_fd,
		.lock_fd = cfg->workers_lock_fd,
		.context = on_context,
		.on_reaped = on_reaped,
		.arg = c };
	char *dir = xasprintf("%s/flink-web-upload", cfg->conf->upload_dir);

	c->cfg = *cfg;
	c->conf = cfg->conf;
	c->clock = &clock_system;
	c->armed_ns = INT64_MAX;
	c->tm_events = tm_events;
	c->turn = event_new(cfg->base, -1, 0, on_turn, c);
	c->timer = evtimer_new(cfg->base, on_timer, c);
	ASSERT(c->turn != NULL && c->timer != NULL);
	event_priority_set(c->turn, LOOP_PRIORITY_CONTROL);
	event_priority_set(c->timer, LOOP_PRIORITY_CONTROL);
	c->children = children_create(&children);
	c->dispatcher = dispatcher_create(c->conf, c->clock, &dispatcher_ops, c);
	c->jars = jar_store_create(dir, c->clock);
	c->operations = operations_create(c->clock);
	c->gateway = gateway_create(c);
	free(dir);
	return c;
}

void cluster_start(struct cluster *c)
{
	struct storage_config cfg = {
		.children = c->children, .base = c->cfg.base, .dir = c->conf->storage_dir
	};

	cluster_scale(c);
	c->storage = storage_create(&cfg);
	jar_store_start(c->jars, c->storage);
	c->checkpoints = checkpoint_store_create(c->storage, c->conf->checkpoints_dir);
	cluster_resume(c);
}

void cluster_stop(struct cluster *c)
{
	if (c->stopping)
		return;
	c->stopping = true;
	dispatcher_stop(c->dispatcher);
	take_turn(c);
}

void cluster_destroy(struct cluster *c)
{
	uint32_t i;

	if (c == NULL)
		return;
	children_destroy(c->children);
	for (i = 0; i < c->n_links; i++)
		tm_link_destroy(c->links[i]);
	storage_destroy(c->storage);
	checkpoint_store_destroy(c->checkpoints);
	operations_destroy(c->operations);
	gateway_destroy(c->gateway);
	jar_store_destroy(c->jars);
	dispatcher_destroy(c->dispatcher);
	event_free(c->turn);
	event_free(c->timer);
	if (c->lock_timer != NULL)
		event_free(c->lock_timer);
	free(c->links);
	free(c->regions);
	free(c->drains);
	free(c);
}

void cluster_reap(struct cluster *c)
{
	child_reap(c->children);
}

void cluster_set_conf(struct cluster *c, const struct conf *conf)
{
	uint32_t i;

	c->conf = conf;
	dispatcher_configure(c->dispatcher, conf);
	for (i = 0; i < c->n_links; i++)
		tm_link_set_conf(c->links[i], conf);
	if (c->stopping)
		return;
	cluster_scale(c);
	/* The operator has asked: what died or waits is forked now. */
	for (i = 0; i < c->n_links; i++)
		tm_link_revive(c->links[i]);
	cluster_poke(c);
}

void cluster_reopen_logs(struct cluster *c)
{
	uint32_t i;

	for (i = 0; i < c->n_links; i++)
		tm_link_reopen_logs(c->links[i]);
}

static void dump_child(void *arg, const struct child *child)
{
	(void)arg;
	log_info("dump.child", KV_STR("kind", child_kind_name(child_kind(child))),
	    KV_UINT("place", child_place(child)), KV_UINT("generation", child_generation(child)),
	    KV_INT("child_pid", child_pid(child)), KV_STR("state", child_state_name(child_state(child))),
	    KV_MSG("a child process"));
}

void cluster_dump(const struct cluster *c)
{
	const struct resource_manager *rm = dispatcher_rm(c->dispatcher);
	uint32_t i;

	log_info("dump.begin", KV_UINT("jobs", dispatcher_n_jobs(c->dispatcher)),
	    KV_UINT("submissions", dispatcher_n_submissions(c->dispatcher)),
	    KV_UINT("slots", rm_slots_total(rm)), KV_UINT("free", rm_slots_free(rm)),
	    KV_UINT("storage_requests", storage_n_pending(c->storage)), KV_MSG("state of the JobManager"));
	children_each(c->children, dump_child, NULL);
	for (i = 1; i <= rm_n_places(rm); i++) {
		const struct tm_info *tm = rm_place(rm, i);

		log_info("dump.taskmanager", KV_STR("tm", log_fmt("tm-%" PRIu32, i)),
		    KV_UINT("generation", tm->generation), KV_STR("state", tm_state_name(tm->state)),
		    KV_STR("tm_id", tm->id), KV_UINT("slots", tm->n_slots),
		    KV_UINT("free", tm_slots_free(tm)), KV_MSG("a place"));
	}
	for (i = 0; i < dispatcher_n_jobs(c->dispatcher); i++) {
		const struct job_master *jm = dispatcher_job(c->dispatcher, i);
		int64_t due = jm_deadline_ns(jm);

		log_info("dump.job", KV_JOB(jm_id_hex(jm)), KV_STR("name", jm_program(jm)->name),
		    KV_STR("state", job_state_name(jm_state(jm))),
		    KV_STR("phase", jm_phase_name(jm_phase(jm))), KV_UINT("attempt", jm_attempt(jm)),
		    KV_INT("restarts", jm_n_restarts(jm)), KV_UINT("members", jm_n_members(jm)),
		    KV_INT("timer_ms", due == INT64_MAX ? -1 : (due - clock_mono_ns(c->clock)) / NS_PER_MS),
		    KV_MSG("a job"));
	}
}

/* ---- for the gateway ---- */

struct gateway *cluster_gateway(struct cluster *c)
{
	return c->gateway;
}

const struct conf *cluster_conf(const struct cluster *c)
{
	return c->conf;
}

struct dispatcher *cluster_dispatcher(const struct cluster *c)
{
	return c->dispatcher;
}

struct jar_store *cluster_jars(const struct cluster *c)
{
	return c->jars;
}

struct operations *cluster_operations(const struct cluster *c)
{
	return c->operations;
}

struct checkpoint_store *cluster_checkpoints(const struct cluster *c)
{
	return c->checkpoints;
}

const struct clock *cluster_clock(const struct cluster *c)
{
	return c->clock;
}

struct tm_link *cluster_link(const struct cluster *c, uint32_t place)
{
	return place >= 1 && place <= c->n_links ? c->links[place - 1] : NULL;
}
