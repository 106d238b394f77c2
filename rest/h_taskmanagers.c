/* TaskManagers. */
#include "rest/router.h"

#define MIB (1024 * 1024)

/* What a number of a TaskManager's slots has of it, in MiB where it is memory. */
static void json_resource(cJSON *to, const char *key, const struct gw_taskmanager *tm, unsigned slots)
{
	cJSON *o = json_object(to, key);
	int64_t all = tm->slots > 0 ? tm->slots : 1;

	json_double(o, "cpuCores", slots);
	json_i64(o, "taskHeapMemory", tm->heap_bytes / MIB * slots / all);
	json_i64(o, "taskOffHeapMemory", 0);
	json_i64(o, "managedMemory", 0);
	json_i64(o, "networkMemory", tm->ring_bytes / MIB * slots / all);
	json_object(o, "extendedResources");
}

static void json_taskmanager(cJSON *to, const struct gw_taskmanager *tm)
{
	cJSON *o = json_object(to, NULL), *sub;

	json_str(o, "id", tm->id);
	json_str(o, "path", tm->path);
	/* Records go through shared memory: there is no port for them. */
	json_i64(o, "dataPort", -1);
	json_i64(o, "jmxPort", -1);
	json_i64(o, "timeSinceLastHeartbeat", tm->last_heartbeat_ms);
	json_i64(o, "slotsNumber", tm->slots);
	json_i64(o, "freeSlots", tm->free_slots);
	json_resource(o, "totalResource", tm, tm->slots);
	json_resource(o, "freeResource", tm, tm->free_slots);
	sub = json_object(o, "hardware");
	json_i64(sub, "cpuCores", tm->cpu_cores);
	json_i64(sub, "physicalMemory", tm->physical_memory_bytes);
	json_i64(sub, "freeMemory", tm->heap_bytes);
	json_i64(sub, "managedMemory", 0);
	sub = json_object(o, "memoryConfiguration");
	json_i64(sub, "frameworkHeap", 0);
	json_i64(sub, "taskHeap", tm->heap_bytes);
	json_i64(sub, "frameworkOffHeap", 0);
	json_i64(sub, "taskOffHeap", 0);
	json_i64(sub, "networkMemory", tm->ring_bytes);
	json_i64(sub, "managedMemory", 0);
	json_i64(sub, "jvmMetaspace", 0);
	json_i64(sub, "jvmOverhead", 0);
	json_i64(sub, "totalFlinkMemory", tm->heap_bytes + tm->ring_bytes);
	json_i64(sub, "totalProcessMemory", tm->memory_rss_bytes);
}

void h_taskmanagers(struct rest_call *c)
{
	cJSON *o = json_object(NULL, NULL), *list = json_array(o, "taskmanagers");
	struct gw_taskmanager *tms;
	unsigned n = gw_taskmanagers(c->gateway, c->arena, &tms);

	for (unsigned i = 0; i < n; i++)
		json_taskmanager(list, &tms[i]);
	rest_reply(c, 200, o);
}
