/*
 * The ResourceManager: which TaskManagers there are, and which job has which slot.
 * JobManager's process.  Pure: events in, grants out; processes are forked, watched and
 * buried by tm_link.
 *
 * A TaskManager is a place (tm-1, tm-2, …) and a generation of it.  Calls name both, and
 * those that speak of another generation than the registered one are ignored.  A slot
 * belongs to one job at a time, and goes back only when that job says that nothing of it is
 * left there, or with the process.
 *
 *             HELLO               kill asked
 *   ABSENT ──────────→ REGISTERED ──────────→ DOOMED
 *      ↑                   │ died                │ died
 *      └───────────────────┴─────────────────────┘
 */
#ifndef SUPERVISOR_RESOURCE_MANAGER_H
#define SUPERVISOR_RESOURCE_MANAGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "shm/metrics.h"
#include "worker/control.h"

enum tm_state {
	TM_ABSENT,     /* no process, or none that has registered */
	TM_REGISTERED, /* offers its slots */
	TM_DOOMED,     /* will be killed: keeps its jobs' slots until it is seen dead, offers none */
	TM_N_STATES
};
const char *tm_state_name(enum tm_state s);

struct tm_slot {
	bool taken;
	struct id128 job;
};

/* One place, as the ResourceManager sees it. */
struct tm_info {
	uint32_t place;      /* 1-based */
	uint32_t generation; /* of the process registered now or last; 0: there was none yet */
	enum tm_state state;
	uint32_t pid;
	char id[TM_ID_SIZE];
	uint32_t n_slots;
	struct tm_slot slots[CTL_MAX_SLOTS];
	uint64_t blocks[METRICS_TASK_BLOCKS / 64]; /* metrics blocks in use, a bit each */
};

/* A slot as granted to a job. */
struct rm_slot {
	uint32_t place, generation, local_slot;
	char tm_id[TM_ID_SIZE];
};

struct resource_manager;

struct resource_manager *rm_create(void);
void rm_destroy(struct resource_manager *rm);

/* What happened. A place is known from its first HELLO on. */
void rm_on_hello(struct resource_manager *rm, const struct ctl_hello *h);
void rm_on_kill(struct resource_manager *rm, uint32_t place, uint32_t generation);
void rm_on_died(struct resource_manager *rm, uint32_t place, uint32_t generation);

/*
 * Slots.  A request stands until it is granted as a whole or withdrawn; requests are
 * looked at in the order of their coming, and one that cannot be met does not hold up
 * a smaller one behind it.  A job has one request at most; a new one replaces it.
 */
void rm_request(struct resource_manager *rm, const struct id128 *job, uint32_t n_slots);
void rm_withdraw(struct resource_manager *rm, const struct id128 *job);
/*
 * The next request that can be met now, if any: it is met and taken from the list.
 * Returns the slots (caller frees), *job and *n; NULL: none.
 * TaskManagers without another job's tasks come first, so that a job rarely has to
 * spare a neighbour when it recovers.
 */
struct rm_slot *rm_grant(struct resource_manager *rm, struct id128 *job, uint32_t *n);
/* Nothing of the job is left in any of its slots. */
void rm_release(struct resource_manager *rm, const struct id128 *job);
/* Has nobody but this job a slot there? */
bool rm_is_alone(const struct resource_manager *rm, uint32_t place, const struct id128 *job);
/* A metrics block that is free on a registered TaskManager, or UINT32_MAX. */
uint32_t rm_block_take(struct resource_manager *rm, uint32_t place, uint32_t generation);
void rm_block_give(struct resource_manager *rm, uint32_t place, uint32_t generation, uint32_t block);

/* What there is. */
uint32_t rm_n_places(const struct resource_manager *rm); /* the highest place known */
const struct tm_info *rm_place(const struct resource_manager *rm, uint32_t place); /* from 1; borrowed */
uint32_t rm_n_registered(const struct resource_manager *rm);
uint32_t rm_slots_total(const struct resource_manager *rm);
uint32_t rm_slots_free(const struct resource_manager *rm);
uint32_t tm_slots_free(const struct tm_info *tm);

#endif
