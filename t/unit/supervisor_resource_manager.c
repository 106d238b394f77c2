/*
 * The ResourceManager: registration by generation, slots granted whole or not at all,
 * alone first, given back only by release or death.
 */
#include "supervisor/resource_manager.h"

#include <stdlib.h>

#include "t/tap.h"

static void hello(struct resource_manager *rm, uint32_t place, uint32_t generation, uint32_t n_slots)
{
	struct ctl_hello h = {
		.place = place, .generation = generation, .pid = 100 + place, .n_slots = n_slots
	};

	snprintf(h.tm_id, sizeof(h.tm_id), "127.0.0.1:%u-%06x", h.pid, generation);
	rm_on_hello(rm, &h);
}

static struct id128 job(uint8_t n)
{
	struct id128 id = { { n } };

	return id;
}

/* The places of what is granted next, "1 1 2" with the job's number in front, "" for nothing. */
static const char *grant(struct resource_manager *rm)
{
	static char text[256];
	struct id128 id;
	struct rm_slot *slots;
	uint32_t n, i;
	int len;

	text[0] = '\0';
	slots = rm_grant(rm, &id, &n);
	if (slots == NULL)
		return text;
	len = snprintf(text, sizeof(text), "job%u:", id.b[0]);
	for (i = 0; i < n; i++)
		len += snprintf(text + len, sizeof(text) - (size_t)len, " %u/%u", slots[i].place,
		    slots[i].local_slot);
	free(slots);
	return text;
}

static void test_registration(void)
{
	struct resource_manager *rm = rm_create();

	is_int(rm_slots_total(rm), 0, "nothing at first");
	hello(rm, 2, 1, 3);
	is_int(rm_n_places(rm), 2, "a later place may come first");
	is_int(rm_n_registered(rm), 1, "one registered");
	is_int(rm_slots_free(rm), 3, "its slots are free");
	is_str(rm_place(rm, 2)->id, "127.0.0.1:102-000001", "with its id");
	rm_on_died(rm, 2, 7);
	is_int(rm_n_registered(rm), 1, "the death of another generation changes nothing");
	rm_on_died(rm, 2, 1);
	is_int(rm_n_registered(rm), 0, "its own does");
	is_int(rm_slots_total(rm), 0, "and takes the slots away");
	hello(rm, 2, 1, 3);
	is_int(rm_n_registered(rm), 0, "a dead generation does not come back");
	hello(rm, 2, 2, CTL_MAX_SLOTS + 9);
	is_int(rm_slots_total(rm), CTL_MAX_SLOTS, "slots are bounded");
	is_str(tm_state_name(rm_place(rm, 2)->state), "REGISTERED", "state has a name");
	rm_destroy(rm);
	rm_destroy(NULL);
}

static void test_grants(void)
{
	struct resource_manager *rm = rm_create();
	struct id128 a = job(1), b = job(2), c = job(3);

	rm_request(rm, &a, 3);
	is_str(grant(rm), "", "no slot, no grant");
	hello(rm, 1, 1, 2);
	is_str(grant(rm), "", "nor for a part of them");
	rm_request(rm, &b, 1);
	is_str(grant(rm), "job2: 1/0", "a smaller request is not held up");
	hello(rm, 2, 1, 2);
	is_str(grant(rm), "job1: 2/0 2/1 1/1", "TaskManagers without another job come first");
	is_int(rm_slots_free(rm), 0, "all are taken");
	ok(!rm_is_alone(rm, 1, &a), "job 1 shares tm-1");
	ok(rm_is_alone(rm, 2, &a), "and has tm-2 alone");
	rm_request(rm, &c, 1);
	rm_withdraw(rm, &c);
	rm_release(rm, &a);
	is_int(rm_slots_free(rm), 3, "release gives all back");
	is_str(grant(rm), "", "a withdrawn request is not met");
	rm_request(rm, &a, 1);
	rm_request(rm, &c, 1);
	rm_request(rm, &a, 2);
	is_str(grant(rm), "job1: 2/0 2/1", "asking again keeps the place in the queue");
	is_str(grant(rm), "job3: 1/1", "then the next");
	is_str(grant(rm), "", "and no more");
	rm_destroy(rm);
}

static void test_doomed(void)
{
	struct resource_manager *rm = rm_create();
	struct id128 a = job(1), b = job(2);

	hello(rm, 1, 1, 2);
	rm_request(rm, &a, 1);
	is_str(grant(rm), "job1: 1/0", "a slot is taken");
	rm_on_kill(rm, 1, 2);
	is_int(rm_slots_free(rm), 1, "a kill of another generation is not ours");
	rm_on_kill(rm, 1, 1);
	is_int(rm_slots_free(rm), 0, "what will be killed offers nothing");
	is_int(rm_slots_total(rm), 2, "but counts until it is dead");
	rm_request(rm, &b, 1);
	is_str(grant(rm), "", "no grant from it");
	ok(rm_block_take(rm, 1, 1) == UINT32_MAX, "nor a metrics block");
	rm_on_died(rm, 1, 1);
	hello(rm, 1, 2, 2);
	is_str(grant(rm), "job2: 1/0", "the next generation is whole again");
	rm_release(rm, &a);
	is_int(rm_slots_free(rm), 1, "a release after the death frees nobody else's slot");
	rm_destroy(rm);
}

static void test_blocks(void)
{
	struct resource_manager *rm = rm_create();
	uint32_t i, block = 0;
	bool in_order = true;

	hello(rm, 1, 1, 1);
	for (i = 0; i < METRICS_TASK_BLOCKS; i++)
		in_order = in_order && rm_block_take(rm, 1, 1) == i;
	ok(in_order, "every block once");
	ok(rm_block_take(rm, 1, 1) == UINT32_MAX, "and then none");
	rm_block_give(rm, 1, 1, 77);
	rm_block_give(rm, 1, 2, 78);
	rm_block_give(rm, 1, 1, UINT32_MAX);
	block = rm_block_take(rm, 1, 1);
	is_int(block, 77, "what was given back is taken again");
	ok(rm_block_take(rm, 1, 1) == UINT32_MAX, "of its own generation only");
	rm_destroy(rm);
}

int main(void)
{
	test_registration();
	test_grants();
	test_doomed();
	test_blocks();
	return tap_done();
}
