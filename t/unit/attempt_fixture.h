/*
 * For tests of attempts: a job's plugin deployed on two slots of one process, as a supervisor
 * would, and what the tasks say.
 *
 * Include it in exactly one file of a test program.
 */
#ifndef T_UNIT_ATTEMPT_FIXTURE_H
#define T_UNIT_ATTEMPT_FIXTURE_H

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "shm/exchange.h"
#include "t/tap.h"
#include "worker/graph/job_graph.h"
#include "worker/graph/plan.h"
#include "worker/graph/plugin.h"
#include "worker/runtime/attempt.h"

#define N_SLOTS 3
#define MAX_TASKS 32

static struct slot *slots[N_SLOTS];
static int eventfds[N_SLOTS], metrics_fd;
static struct metrics_region *metrics;
static char *artifact;

static struct {
	pthread_mutex_t lock;
	enum task_state state[MAX_TASKS][N_SLOTS];
	unsigned n_failed, n_initializing, n_running;
	struct err cause;
	bool deploy_failed;
	_Atomic int dropped;
} seen = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int64_t now_ms(void)
{
	return clock_mono_ns(&clock_system) / NS_PER_MS;
}

#define UNTIL(cond, seconds) \
	__extension__({ \
		int64_t end_ = now_ms() + (seconds) * 1000; \
		bool ok_; \
		while (!(ok_ = (cond)) && now_ms() < end_) \
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL); \
		ok_; \
	})

static void on_task_state(void *arg, const struct ctl_task_state *st)
{
	(void)arg;
	pthread_mutex_lock(&seen.lock);
	if (st->vertex == UINT32_MAX)
		seen.deploy_failed = true;
	else
		seen.state[st->vertex][st->subtask] = st->state;
	seen.n_initializing += st->state == TASK_INITIALIZING;
	seen.n_running += st->state == TASK_RUNNING;
	if (st->state == TASK_FAILED && seen.n_failed++ == 0)
		seen.cause = st->cause;
	pthread_mutex_unlock(&seen.lock);
}

static void on_dropped(void *arg, const struct id128 *job_id, uint64_t attempt)
{
	(void)arg;
	(void)job_id;
	(void)attempt;
	atomic_store(&seen.dropped, 1);
}

static void no_ack(void *arg, const struct ctl_ack *ack)
{
	(void)arg;
	(void)ack;
}

static void no_decline(void *arg, const struct ctl_decline *decline)
{
	(void)arg;
	(void)decline;
}

static struct attempt_events events = { .task_state = on_task_state,
	.ack = no_ack,
	.decline = no_decline,
	.dropped = on_dropped };

__attribute__((unused))
static unsigned n_failed(void)
{
	unsigned n;

	pthread_mutex_lock(&seen.lock);
	n = seen.n_failed;
	pthread_mutex_unlock(&seen.lock);
	return n;
}

__attribute__((unused))
static bool deploy_failed(void)
{
	bool failed;

	pthread_mutex_lock(&seen.lock);
	failed = seen.deploy_failed;
	pthread_mutex_unlock(&seen.lock);
	return failed;
}

__attribute__((unused))
static unsigned count(enum task_state s)
{
	unsigned n = 0;

	pthread_mutex_lock(&seen.lock);
	for (unsigned v = 0; v < MAX_TASKS; v++)
		for (unsigned i = 0; i < N_SLOTS; i++)
			n += seen.state[v][i] == s && s != TASK_CREATED;
	pthread_mutex_unlock(&seen.lock);
	return n;
}

__attribute__((unused))
static unsigned n_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		closedir(d);
	return n;
}

__attribute__((unused))
static unsigned n_maps(void)
{
	char *data;
	size_t len;
	struct err e = { 0 };
	unsigned n = 0;

	if (file_read("/proc/self/maps", 16 << 20, &data, &len, &e) != 0)
		return 0;
	for (char *p = data; (p = strstr(p, "exchange")) != NULL; p++)
		n++;
	free(data);
	return n;
}

/* ---------------------------------------------- what the supervisor does */

struct deployment {
	struct ctl_deploy d;
	struct stream_graph *g;
	struct job_graph *jg;
};

static bool make_deploy(struct deployment *dep, const char *const *argv, unsigned argc, uint32_t parallelism,
    uint64_t attempt, struct err *e)
{
	struct plugin *p = plugin_open(artifact, e);
	struct stream_graph *built;
	struct exchange_ring_spec *rings;
	struct exchange_spec spec;
	char *json;

	memset(&seen.state, 0, sizeof(seen.state));
	seen.n_failed = seen.n_initializing = seen.n_running = 0;
	seen.deploy_failed = false;
	atomic_store(&seen.dropped, 0);
	if (p == NULL)
		return false;
	built = plugin_build(p, (int)argc, argv, e);
	if (built == NULL)
		return false;
	json = plan_encode(built, e);
	stream_graph_destroy(built);
	plugin_close(p);
	dep->g = plan_decode(json, strlen(json), e);
	dep->jg = job_graph_create(dep->g, parallelism, true, e);
	if (dep->jg == NULL)
		return false;
	dep->d = (struct ctl_deploy){
		.attempt = attempt,
		.job_name = xstrdup("Numbers"),
		.artifact = xstrdup(artifact),
		.argc = argc,
		.argv = xcalloc(argc + 1, sizeof(char *)),
		.default_parallelism = parallelism,
		.force_parallelism = true,
		.plan_fd = file_memfd("plan", json, strlen(json), e),
		.n_slots = dep->jg->n_slots,
		.n_own = dep->jg->n_slots,
		.eventfds = xcalloc(dep->jg->n_slots, sizeof(int)),
		.own = xcalloc(dep->jg->n_slots, sizeof(struct ctl_deploy_slot)),
		.tasks = xcalloc(MAX_TASKS, sizeof(struct ctl_deploy_task)),
		.buffer_timeout_ms = 100,
		.auto_watermark_interval_ms = 200,
		.record_max_size = 1 << 20,
	};
	free(json);
	id_random(&dep->d.job_id);
	for (unsigned i = 0; i < argc; i++)
		dep->d.argv[i] = xstrdup(argv[i]);
	for (uint32_t i = 0; i < dep->d.n_slots; i++) {
		dep->d.eventfds[i] = -1;
		dep->d.own[i] =
		    (struct ctl_deploy_slot){ .slot = i, .local_slot = N_SLOTS - 1 - i % N_SLOTS };
	}
	for (uint32_t v = 0; v < dep->jg->n_vertices; v++)
		for (uint32_t s = 0; s < dep->jg->vertices[v].parallelism; s++) {
			uint32_t i = dep->d.n_tasks++;

			dep->d.tasks[i] =
			    (struct ctl_deploy_task){ .vertex = v, .subtask = s, .metrics_block = i };
			id_random(&dep->d.tasks[i].execution);
		}
	rings = xcalloc(dep->jg->n_rings + 1, sizeof(*rings));
	for (uint32_t r = 0; r < dep->jg->n_rings; r++) {
		uint32_t edge, from, to;

		layout_ring_ends(dep->jg, r, &edge, &from, &to);
		rings[r] = (struct exchange_ring_spec){ from, to,
			exchange_ring_size(layout_inbound(dep->jg, edge)) };
	}
	spec = (struct exchange_spec){ dep->d.job_id, attempt, dep->d.n_slots, dep->jg->n_rings, rings };
	dep->d.exchange_fd = exchange_create(&spec, e);
	free(rings);
	return dep->d.exchange_fd >= 0 && dep->d.plan_fd >= 0;
}

static void fini_deploy(struct deployment *dep)
{
	job_graph_destroy(dep->jg);
	stream_graph_destroy(dep->g);
}

static struct attempt *start(struct deployment *dep)
{
	return attempt_create(&dep->d, slots, N_SLOTS, metrics, &events, NULL);
}

__attribute__((unused))
static void drop(struct attempt *a, const char *what)
{
	attempt_drop(a);
	ok(UNTIL(atomic_load(&seen.dropped), 20), "%s: dropped", what);
	attempt_destroy(a);
	is_int(n_maps(), 0, "%s: no mapping of the exchange is left", what);
}

/* Of all subtasks of a vertex. */
__attribute__((unused))
static int64_t sum(const struct job_graph *jg, uint32_t vertex, enum metric m)
{
	int64_t n = 0;
	uint32_t i = 0;

	for (uint32_t v = 0; v < jg->n_vertices; v++)
		for (uint32_t s = 0; s < jg->vertices[v].parallelism; s++, i++)
			if (v == vertex)
				n += metrics_get(metrics_task(metrics, i), m);
	return n;
}

/* Slots, metrics, and where the job's plugin is. */
static void fixture_init(const char *job)
{
	struct err e = { 0 };
	char path[512];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	path[n > 0 ? n : 0] = '\0';
	for (int i = 0; i < 2; i++)
		if ((slash = strrchr(path, '/')) != NULL)
			*slash = '\0';
	artifact = xasprintf("%s/jobs/%s.so", path, job);
	metrics_fd = metrics_create(&e);
	metrics = metrics_attach(metrics_fd, 1, &e);
	for (uint32_t i = 0; i < N_SLOTS; i++) {
		eventfds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		slots[i] = slot_create(i, eventfds[i], &clock_system, &e);
	}
}

static void fixture_fini(void)
{
	for (uint32_t i = 0; i < N_SLOTS; i++) {
		slot_destroy(slots[i]);
		close(eventfds[i]);
	}
	metrics_detach(metrics);
	close(metrics_fd);
	free(artifact);
}

#endif
