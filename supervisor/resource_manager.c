/*
 * TaskManagers and their slots; see the header for the states.
 */
#include "supervisor/resource_manager.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

struct request {
	struct id128 job;
	uint32_t n_slots;
};

struct resource_manager {
	struct tm_info *tms; /* of place 1 first */
	size_t n_tms, cap_tms;
	struct request *requests;
	size_t n_requests, cap_requests;
};

static const char *const state_names[TM_N_STATES] = { "ABSENT", "REGISTERED", "DOOMED" };

const char *tm_state_name(enum tm_state s)
{
	return state_names[s];
}

struct resource_manager *rm_create(void)
{
	return xcalloc(1, sizeof(struct resource_manager));
}

void rm_destroy(struct resource_manager *rm)
{
	if (rm == NULL)
		return;
	free(rm->tms);
	free(rm->requests);
	free(rm);
}

/* ---- events: what each means in each state ---- */

enum event { EV_HELLO, EV_KILL, EV_DIED, N_EVENTS };

typedef void event_fn(struct tm_info *tm, const struct ctl_hello *hello);

static void ignore(struct tm_info *tm, const struct ctl_hello *hello)
{
	(void)tm;
	(void)hello;
}

static void gone(struct tm_info *tm, const struct ctl_hello *hello)
{
	(void)hello;
	tm->state = TM_ABSENT;
	memset(tm->slots, 0, sizeof(tm->slots));
	memset(tm->blocks, 0, sizeof(tm->blocks));
}

static void enter(struct tm_info *tm, const struct ctl_hello *hello)
{
	gone(tm, hello);
	tm->state = TM_REGISTERED;
	tm->generation = hello->generation;
	tm->pid = hello->pid;
	tm->n_slots = hello->n_slots < CTL_MAX_SLOTS ? hello->n_slots : CTL_MAX_SLOTS;
	memcpy(tm->id, hello->tm_id, sizeof(tm->id));
	tm->id[sizeof(tm->id) - 1] = '\0';
}

static void doom(struct tm_info *tm, const struct ctl_hello *hello)
{
	(void)hello;
	tm->state = TM_DOOMED;
}

static event_fn *const table[TM_N_STATES][N_EVENTS] = {
	/*                  EV_HELLO  EV_KILL  EV_DIED */
	[TM_ABSENT] = { enter, ignore, ignore },
	[TM_REGISTERED] = { ignore, doom, gone },
	[TM_DOOMED] = { ignore, ignore, gone },
};

static struct tm_info *find(struct resource_manager *rm, uint32_t place, uint32_t generation)
{
	if (place < 1 || place > rm->n_tms || rm->tms[place - 1].generation != generation)
		return NULL;
	return &rm->tms[place - 1];
}

void rm_on_hello(struct resource_manager *rm, const struct ctl_hello *h)
{
	struct tm_info *tm;

	ASSERT(h->place >= 1);
	while (rm->n_tms < h->place) {
		VEC_RESERVE(rm->tms, rm->n_tms, rm->cap_tms);
		memset(&rm->tms[rm->n_tms], 0, sizeof(rm->tms[0]));
		rm->tms[rm->n_tms].place = (uint32_t)rm->n_tms + 1;
		rm->n_tms++;
	}
	tm = &rm->tms[h->place - 1];
	/* An older process that says hello late was buried before this one was forked. */
	if (h->generation > tm->generation)
		table[tm->state][EV_HELLO](tm, h);
}

void rm_on_kill(struct resource_manager *rm, uint32_t place, uint32_t generation)
{
	struct tm_info *tm = find(rm, place, generation);

	if (tm != NULL)
		table[tm->state][EV_KILL](tm, NULL);
}

void rm_on_died(struct resource_manager *rm, uint32_t place, uint32_t generation)
{
	struct tm_info *tm = find(rm, place, generation);

	if (tm != NULL)
		table[tm->state][EV_DIED](tm, NULL);
}

/* ---- slots ---- */

static void drop_request(struct resource_manager *rm, size_t i)
{
	memmove(&rm->requests[i], &rm->requests[i + 1], (rm->n_requests - i - 1) * sizeof(*rm->requests));
	rm->n_requests--;
}

void rm_withdraw(struct resource_manager *rm, const struct id128 *job)
{
	size_t i;

	for (i = 0; i < rm->n_requests; i++) {
		if (id_equal(&rm->requests[i].job, job)) {
			drop_request(rm, i);
			return;
		}
	}
}

void rm_request(struct resource_manager *rm, const struct id128 *job, uint32_t n_slots)
{
	size_t i;

	/* Asking again keeps the place in the queue. */
	for (i = 0; i < rm->n_requests && !id_equal(&rm->requests[i].job, job); i++)
		;
	if (i == rm->n_requests) {
		VEC_RESERVE(rm->requests, rm->n_requests, rm->cap_requests);
		rm->n_requests++;
	}
	rm->requests[i].job = *job;
	rm->requests[i].n_slots = n_slots;
}

uint32_t tm_slots_free(const struct tm_info *tm)
{
	uint32_t i, n = 0;

	if (tm->state != TM_REGISTERED)
		return 0;
	for (i = 0; i < tm->n_slots; i++)
		n += !tm->slots[i].taken;
	return n;
}

static void take(struct tm_info *tm, const struct id128 *job, uint32_t want, struct rm_slot *slots,
    uint32_t *n)
{
	uint32_t i;

	for (i = 0; i < tm->n_slots && *n < want; i++) {
		if (tm->slots[i].taken)
			continue;
		tm->slots[i].taken = true;
		tm->slots[i].job = *job;
		slots[*n].place = tm->place;
		slots[*n].generation = tm->generation;
		slots[*n].local_slot = i;
		memcpy(slots[*n].tm_id, tm->id, sizeof(tm->id));
		(*n)++;
	}
}

struct rm_slot *rm_grant(struct resource_manager *rm, struct id128 *job, uint32_t *n)
{
	struct rm_slot *slots;
	uint32_t free_slots = rm_slots_free(rm), want, place;
	int pass;
	size_t i;

	for (i = 0; i < rm->n_requests && rm->requests[i].n_slots > free_slots; i++)
		;
	if (i == rm->n_requests)
		return NULL;
	*job = rm->requests[i].job;
	want = rm->requests[i].n_slots;
	drop_request(rm, i);
	slots = xcalloc(want, sizeof(*slots));
	*n = 0;
	for (pass = 0; pass < 2; pass++)
		for (place = 1; place <= rm->n_tms; place++)
			if (rm->tms[place - 1].state == TM_REGISTERED &&
			    (pass == 1 || rm_is_alone(rm, place, job)))
				take(&rm->tms[place - 1], job, want, slots, n);
	ASSERT(*n == want);
	return slots;
}

void rm_release(struct resource_manager *rm, const struct id128 *job)
{
	size_t i;
	uint32_t k;

	for (i = 0; i < rm->n_tms; i++)
		for (k = 0; k < rm->tms[i].n_slots; k++)
			if (rm->tms[i].slots[k].taken && id_equal(&rm->tms[i].slots[k].job, job))
				rm->tms[i].slots[k].taken = false;
}

bool rm_is_alone(const struct resource_manager *rm, uint32_t place, const struct id128 *job)
{
	const struct tm_info *tm = rm_place(rm, place);
	uint32_t i;

	for (i = 0; i < tm->n_slots; i++)
		if (tm->slots[i].taken && !id_equal(&tm->slots[i].job, job))
			return false;
	return true;
}

uint32_t rm_block_take(struct resource_manager *rm, uint32_t place, uint32_t generation)
{
	struct tm_info *tm = find(rm, place, generation);
	uint32_t w;
	int bit;

	if (tm == NULL || tm->state != TM_REGISTERED)
		return UINT32_MAX;
	for (w = 0; w < ARRAY_LEN(tm->blocks); w++) {
		if (tm->blocks[w] == UINT64_MAX)
			continue;
		bit = __builtin_ctzll(~tm->blocks[w]);
		tm->blocks[w] |= UINT64_C(1) << bit;
		return w * 64 + (uint32_t)bit;
	}
	return UINT32_MAX;
}

void rm_block_give(struct resource_manager *rm, uint32_t place, uint32_t generation, uint32_t block)
{
	struct tm_info *tm = find(rm, place, generation);

	if (tm != NULL && block < METRICS_TASK_BLOCKS)
		tm->blocks[block / 64] &= ~(UINT64_C(1) << (block % 64));
}

/* ---- what there is ---- */

uint32_t rm_n_places(const struct resource_manager *rm)
{
	return (uint32_t)rm->n_tms;
}

const struct tm_info *rm_place(const struct resource_manager *rm, uint32_t place)
{
	ASSERT(place >= 1 && place <= rm->n_tms);
	return &rm->tms[place - 1];
}

uint32_t rm_n_registered(const struct resource_manager *rm)
{
	uint32_t n = 0;
	size_t i;

	for (i = 0; i < rm->n_tms; i++)
		n += rm->tms[i].state != TM_ABSENT;
	return n;
}

uint32_t rm_slots_total(const struct resource_manager *rm)
{
	uint32_t n = 0;
	size_t i;

	for (i = 0; i < rm->n_tms; i++)
		if (rm->tms[i].state != TM_ABSENT)
			n += rm->tms[i].n_slots;
	return n;
}

uint32_t rm_slots_free(const struct resource_manager *rm)
{
	uint32_t n = 0;
	size_t i;

	for (i = 0; i < rm->n_tms; i++)
		n += tm_slots_free(&rm->tms[i]);
	return n;
}
