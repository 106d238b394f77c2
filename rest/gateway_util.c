/* What every gateway needs: state names and the memory of one request's views. */
#include "rest/gateway.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

const char *const gw_task_state_names[GW_N_TASK_STATES] = {
	"CREATED",
	"SCHEDULED",
	"DEPLOYING",
	"INITIALIZING",
	"RUNNING",
	"FINISHED",
	"CANCELING",
	"CANCELED",
	"FAILED",
	"RECONCILING",
};

const char *job_state_name(enum job_state s)
{
	static const char *const names[JOB_N_STATES] = {
		"INITIALIZING",
		"CREATED",
		"RUNNING",
		"FAILING",
		"FAILED",
		"CANCELLING",
		"CANCELED",
		"FINISHED",
		"RESTARTING",
		"SUSPENDED",
		"RECONCILING",
	};

	return (unsigned)s < JOB_N_STATES ? names[s] : "UNKNOWN";
}

bool job_state_is_terminal(enum job_state s)
{
	return s == JOB_FINISHED || s == JOB_CANCELED || s == JOB_FAILED;
}

bool gw_task_state_is_terminal(unsigned state)
{
	return state == GW_TASK_FINISHED || state == GW_TASK_CANCELED || state == GW_TASK_FAILED;
}

#define BLOCK_SIZE 8192
#define ALIGN      sizeof(max_align_t)

struct block {
	struct block *next;
	size_t used, size;
	max_align_t data[];
};

struct gw_arena {
	struct block *blocks;
};

struct gw_arena *gw_arena_create(void)
{
	return xcalloc(1, sizeof(struct gw_arena));
}

void gw_arena_destroy(struct gw_arena *a)
{
	while (a != NULL && a->blocks != NULL) {
		struct block *next = a->blocks->next;

		free(a->blocks);
		a->blocks = next;
	}
	free(a);
}

void *gw_alloc(struct gw_arena *a, size_t size)
{
	struct block *b = a->blocks;
	void *p;

	ASSERT(size < SIZE_MAX / 2);
	size = (size + ALIGN - 1) / ALIGN * ALIGN;
	if (b == NULL || b->size - b->used < size) {
		size_t block_size = size > BLOCK_SIZE ? size : BLOCK_SIZE;

		b = xcalloc(1, sizeof(*b) + block_size);
		b->size = block_size;
		b->next = a->blocks;
		a->blocks = b;
	}
	p = (char *)b->data + b->used;
	b->used += size;
	return p;
}

char *gw_strdup(struct gw_arena *a, const char *s)
{
	size_t size = strlen(s) + 1;

	return memcpy(gw_alloc(a, size), s, size);
}

char *gw_printf(struct gw_arena *a, const char *fmt, ...)
{
	va_list ap;
	int n;
	char *s;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	ASSERT(n >= 0);
	s = gw_alloc(a, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(s, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return s;
}
