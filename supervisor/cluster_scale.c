/*
 * How many TaskManagers there are, as configured now: places that are too many are drained, places that are
 * missing get a process, idle ones with another number of slots are replaced.  Jobs with tasks on a
 * drained one go on elsewhere, by the path of every failure.
 */
#include <inttypes.h>

#include "base/log.h"
#include "base/mem.h"
#include "supervisor/cluster_impl.h"

static bool is_idle(const struct cluster *c, const struct tm_link *l)
{
	const struct resource_manager *rm = dispatcher_rm(c->dispatcher);
	const struct tm_info *tm;

	if (!tm_link_registered(l) || tm_link_place(l) > rm_n_places(rm))
		return false;
	tm = rm_place(rm, tm_link_place(l));
	return tm->state == TM_REGISTERED && tm_slots_free(tm) == tm->n_slots;
}

static void drain(struct cluster *c, uint32_t i, const char *why)
{
	struct tm_link *l = c->links[i];

	log_info("tm.draining", KV_STR("tm", log_fmt("tm-%" PRIu32, tm_link_place(l))),
	    KV_UINT("generation", tm_link_generation(l)),
	    KV_MSG("taskmanager tm-%" PRIu32 " is drained: %s", tm_link_place(l), why));
	/* From here on it is given no task; what it has ends with it. */
	rm_on_kill(dispatcher_rm(c->dispatcher), tm_link_place(l), tm_link_generation(l));
	c->drains[i] = DRAINING;
	tm_link_shutdown(l, c->cfg.stop_grace_ms);
}

static struct tm_link_config config_of(struct cluster *c, uint32_t i, uint32_t generation)
{
	return (struct tm_link_config){ .children = c->children,
		.base = c->cfg.base,
		.clock = c->clock,
		.conf = c->conf,
		.place = i + 1,
		.first_generation = generation,
		.events = c->tm_events,
		.arg = c };
}

/* A place whose process was drained gets one again. */
static void fill(struct cluster *c, uint32_t i)
{
	struct tm_link *old = c->links[i];
	struct tm_link_config cfg = config_of(c, i, tm_link_generation(old) + 1);

	tm_link_destroy(old);
	c->n_links_stopped--;
	c->drains[i] = KEPT;
	c->regions[i] = NULL;
	c->links[i] = tm_link_create(&cfg);
}

static void add_links(struct cluster *c, uint32_t n)
{
	struct tm_link_config cfg;

	if (n <= c->n_links)
		return;
	c->links = xreallocarray(c->links, n, sizeof(struct tm_link *));
	c->regions = xreallocarray(c->regions, n, sizeof(struct metrics_region *));
	c->drains = xreallocarray(c->drains, n, sizeof(*c->drains));
	while (c->n_links < n) {
		c->regions[c->n_links] = NULL;
		c->drains[c->n_links] = KEPT;
		cfg = config_of(c, c->n_links, 1);
		c->links[c->n_links++] = tm_link_create(&cfg);
	}
}

void cluster_scale(struct cluster *c)
{
	uint32_t n = (uint32_t)c->conf->taskmanagers, slots = (uint32_t)c->conf->slots, i;

	for (i = 0; i < c->n_links; i++) {
		if (i < n && c->drains[i] == DRAINED)
			fill(c, i);
		else if (i >= n && c->drains[i] == KEPT)
			drain(c, i, "fewer are configured");
		else if (c->drains[i] == KEPT && tm_link_n_slots(c->links[i]) != slots &&
		    is_idle(c, c->links[i]))
			drain(c, i, "it gets another number of slots");
	}
	add_links(c, n);
}

void cluster_link_stopped(struct cluster *c, uint32_t place)
{
	c->n_links_stopped++;
	if (c->drains[place - 1] != DRAINING)
		return;
	c->drains[place - 1] = DRAINED;
	if (!c->stopping)
		cluster_scale(c);
}
