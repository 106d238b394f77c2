/*
 * Bookkeeping of barriers.
 */
#include "worker/runtime/alignment.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void alignment_init(struct alignment *a, bool holds_back)
{
	memset(a, 0, sizeof(*a));
	a->holds_back = holds_back;
}

void alignment_fini(struct alignment *a)
{
	free(a->inputs);
	memset(a, 0, sizeof(*a));
}

void alignment_add_input(struct alignment *a)
{
	VEC_RESERVE(a->inputs, a->n_inputs, a->cap_inputs);
	a->inputs[a->n_inputs++] = (struct alignment_input){ 0 };
}

static bool was_aborted(const struct alignment *a, uint64_t id)
{
	for (uint32_t i = 0; i < ALIGNMENT_N_ABORTED; i++)
		if (a->aborted[i] == id)
			return true;
	return false;
}

static enum alignment_step look(struct alignment *a)
{
	if (a->id == 0)
		return ALIGNMENT_WAITING;
	for (uint32_t i = 0; i < a->n_inputs; i++)
		if (!a->inputs[i].ended && a->inputs[i].last_id != a->id)
			return ALIGNMENT_WAITING;
	a->done_id = a->id;
	a->id = 0;
	return ALIGNMENT_COMPLETE;
}

bool alignment_too_early(const struct alignment *a, uint32_t input, uint64_t id)
{
	return a->id != 0 && a->inputs[input].last_id == a->id && id > a->id;
}

enum alignment_step alignment_barrier(struct alignment *a, uint32_t input, uint64_t id, uint64_t *canceled)
{
	struct alignment_input *in = &a->inputs[input];

	*canceled = 0;
	if (id <= in->last_id)
		return ALIGNMENT_DAMAGED;
	in->last_id = id;
	if (id <= a->done_id || id < a->id || was_aborted(a, id))
		return ALIGNMENT_DROPPED;
	if (id > a->id) {
		*canceled = a->id;
		if (a->id > a->done_id)
			a->done_id = a->id;
		a->id = id;
	}
	return look(a);
}

enum alignment_step alignment_ended(struct alignment *a, uint32_t input)
{
	a->inputs[input].ended = true;
	return look(a);
}

bool alignment_abort(struct alignment *a, uint64_t id)
{
	if (id <= a->done_id || was_aborted(a, id))
		return false;
	a->aborted[a->next_aborted++ % ALIGNMENT_N_ABORTED] = id;
	if (id != a->id)
		return false;
	a->done_id = id;
	a->id = 0;
	return true;
}

bool alignment_holds(const struct alignment *a, uint32_t input)
{
	return a->holds_back && a->id != 0 && a->inputs[input].last_id == a->id;
}
