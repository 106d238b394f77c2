/*
 * The simulated world of one CheckpointCoordinator: its tasks, its disk, what became of each id, and what is
 * to happen.  Included by the simulation of checkpoints only.
 */
#ifndef T_SIM_CHECKPOINT_WORLD_H
#define T_SIM_CHECKPOINT_WORLD_H

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "supervisor/checkpoint_coordinator.h"

#define MAX_TASKS  5
#define MAX_EVENTS 512
#define MAX_IDS    512

enum kind {
	EV_ACK,
	EV_DECLINE,
	EV_FINISH,
	EV_CRASH,
	EV_DEPLOY,
	EV_KILL,
	EV_SAVEPOINT,
	EV_WRITE,
	EV_STORED,
	EV_REMOVE
};
enum outcome { DONE, FAILED, SEEMS_FAILED };

struct event {
	int64_t at_ms;
	enum kind kind;
	unsigned life; /* of the supervisor, 0: whichever */
	uint64_t attempt, id;
	uint32_t task;
	enum outcome outcome;
};

/* What became of each id. */
struct fate {
	bool triggered, on_disk, notified, aborted, given_up, removing, stored_once;
	uint64_t attempt;
	unsigned life;
	enum checkpoint_kind kind;
	enum cc_status status;
};

static struct {
	uint64_t seed, rng;
	struct clock_virtual clock;
	struct event events[MAX_EVENTS];
	unsigned n_events;
	struct coordinator *c;
	struct cc_settings settings;
	unsigned life;
	uint64_t attempt; /* counts on for ever */
	bool running;     /* the attempt */
	struct cc_task tasks[MAX_TASKS];
	bool finished[MAX_TASKS];
	uint32_t n_tasks;
	struct fate ids[MAX_IDS];
	uint64_t last_id, base_id; /* triggered; what this life began with */
	uint64_t hint;             /* of the job store: a savepoint that tasks were notified of */
	int64_t disk_free_ms;      /* the storage does one thing at a time */
	int64_t last_end_ms;
	uint64_t n_requests, n_answers, n_completed_late;
	bool calm; /* no more faults */
	const char *what;
} w;

static void broken(const char *what)
{
	if (w.what == NULL)
		w.what = what;
}

static uint64_t rnd(uint64_t below)
{
	uint64_t x = w.rng += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return (x ^ x >> 31) % below;
}

static bool chance(unsigned percent)
{
	return rnd(100) < percent;
}

static int64_t now_ms(void)
{
	return w.clock.mono_ns / NS_PER_MS;
}

static struct event *post(enum kind kind, int64_t delay_ms)
{
	struct event *e;

	ASSERT(w.n_events < MAX_EVENTS);
	e = &w.events[w.n_events++];
	*e = (struct event){ .at_ms = now_ms() + delay_ms, .kind = kind, .life = w.life };
	return e;
}

/* ---- what is true ---- */

static uint64_t newest_on_disk(void)
{
	for (uint64_t id = MAX_IDS - 1; id > 0; id--) {
		const struct fate *f = &w.ids[id];

		if (f->on_disk && !f->removing && !f->given_up &&
		    (f->kind == CHECKPOINT_PERIODIC || id == w.hint))
			return id;
	}
	return 0;
}

static uint64_t newest_notified(void)
{
	for (uint64_t id = MAX_IDS - 1; id > 0; id--) {
		if (w.ids[id].notified)
			return id;
	}
	return 0;
}

static unsigned n_in_progress(bool periodic_only)
{
	unsigned n = 0;

	for (uint64_t id = 1; id <= w.last_id; id++)
		n += w.ids[id].triggered && w.ids[id].life == w.life && w.ids[id].status == CC_IN_PROGRESS &&
		    (!periodic_only || w.ids[id].kind == CHECKPOINT_PERIODIC);
	return n;
}

/* What the coordinator says of each one, where it has changed. */
static void take_over(void)
{
	const struct cc_checkpoint *const *h;
	uint32_t n = coordinator_history(w.c, &h), n_kept = 0;
	uint64_t newest_done = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct fate *f = &w.ids[h[i]->id];

		if (i > 0 && h[i]->id >= h[i - 1]->id)
			broken("the history is not in order");
		if (f->status == CC_IN_PROGRESS && h[i]->status != CC_IN_PROGRESS) {
			w.last_end_ms = now_ms();
			f->given_up |= h[i]->status == CC_FAILED;
			if (f->given_up && !f->aborted && w.running && f->attempt == w.attempt)
				broken("tasks were not told of an abort");
			if (h[i]->status == CC_COMPLETED && f->kind == CHECKPOINT_PERIODIC)
				newest_done = h[i]->id > newest_done ? h[i]->id : newest_done;
			if (h[i]->status == CC_COMPLETED && !f->on_disk)
				broken("completed before it was durable");
		} else if (f->status != h[i]->status) {
			broken("what was over changed its mind");
		}
		f->status = h[i]->status;
		n_kept += f->status == CC_COMPLETED && f->kind == CHECKPOINT_PERIODIC && !h[i]->discarded;
	}
	for (uint64_t id = 1; id < newest_done; id++) {
		const struct fate *f = &w.ids[id];

		if (f->triggered && f->life == w.life && f->status == CC_IN_PROGRESS && !f->stored_once &&
		    f->kind == CHECKPOINT_PERIODIC)
			broken("an older one goes on after a newer one is complete");
	}
	if (n_kept > w.settings.num_retained)
		broken("more are retained than should be");
}

static unsigned n_being_stored(void)
{
	unsigned n = 0;

	for (uint64_t id = 1; id <= w.last_id; id++)
		n += w.ids[id].stored_once && w.ids[id].life == w.life && w.ids[id].status == CC_IN_PROGRESS;
	return n;
}

#endif
