/* Messages under way, by epochs between barriers. */
#include "worker/connectors/delivery.h"

#include "base/err.h"
#include "base/mem.h"

static void open_epoch(struct delivery *d)
{
	VEC_RESERVE(d->epochs, d->n, d->cap);
	d->epochs[d->n++] = (struct delivery_epoch){ 0 };
}

void delivery_init(struct delivery *d)
{
	*d = (struct delivery){ 0 };
	open_epoch(d);
}

void delivery_fini(struct delivery *d)
{
	free(d->epochs);
	*d = (struct delivery){ 0 };
}

void delivery_reported(struct delivery *d, uint64_t epoch)
{
	ASSERT(epoch >= d->first && epoch - d->first < d->n && d->epochs[epoch - d->first].n_under_way > 0);
	d->epochs[epoch - d->first].n_under_way--;
}

bool delivery_barrier(struct delivery *d, uint64_t checkpoint_id)
{
	/* Nothing before it and nothing in it: the epoch stays open. */
	if (d->n == 1 && d->epochs[0].n_under_way == 0)
		return true;
	d->epochs[d->n - 1].checkpoint_id = checkpoint_id;
	open_epoch(d);
	return false;
}

bool delivery_waiting(const struct delivery *d)
{
	return d->n > 1;
}

bool delivery_done(const struct delivery *d)
{
	return d->n > 1 && d->epochs[0].n_under_way == 0;
}

bool delivery_take_done(struct delivery *d, uint64_t *checkpoint_id)
{
	if (!delivery_done(d))
		return false;
	*checkpoint_id = d->epochs[0].checkpoint_id;
	d->n--;
	d->first++;
	memmove(d->epochs, d->epochs + 1, d->n * sizeof(*d->epochs));
	return true;
}
