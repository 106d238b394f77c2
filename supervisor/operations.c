/*
 * Outcomes of requests, kept for GW_OPERATION_KEPT_MS.
 */
#include "supervisor/operations.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "supervisor/failure.h"

struct operations {
	const struct clock *clock;
	struct operation **v; /* oldest first */
	size_t n, cap;
	uint64_t last_number;
};

struct operations *operations_create(const struct clock *clock)
{
	struct operations *o = xcalloc(1, sizeof(*o));

	o->clock = clock;
	return o;
}

static void forget(struct operations *o, size_t i)
{
	free(o->v[i]->location);
	free(o->v[i]->failure);
	free(o->v[i]);
	memmove(&o->v[i], &o->v[i + 1], (o->n - i - 1) * sizeof(struct operation *));
	o->n--;
}

void operations_destroy(struct operations *o)
{
	if (o == NULL)
		return;
	while (o->n > 0)
		forget(o, o->n - 1);
	free(o->v);
	free(o);
}

static void expire(struct operations *o)
{
	int64_t now = clock_mono_ns(o->clock);
	size_t i;

	for (i = o->n; i-- > 0;)
		if (o->v[i]->status != GW_OP_IN_PROGRESS &&
		    o->v[i]->ended_ns + GW_OPERATION_KEPT_MS * NS_PER_MS <= now)
			forget(o, i);
}

const struct operation *operations_begin(struct operations *o, const struct id128 *job)
{
	struct operation *op = xcalloc(1, sizeof(*op));

	expire(o);
	id_random(&op->id);
	op->number = ++o->last_number;
	if (job != NULL)
		op->job = *job;
	op->status = GW_OP_IN_PROGRESS;
	VEC_RESERVE(o->v, o->n, o->cap);
	o->v[o->n++] = op;
	return op;
}

/* Flink's name for what a request says of itself. */
static const char *class_of(const struct operation *op, enum err_code code)
{
	if (code == ERR_NOT_FOUND && !id_is_zero(&op->job))
		return GW_JOB_NOT_FOUND;
	if (id_is_zero(&op->job))
		return failure_name(code);
	return "org.apache.flink.runtime.checkpoint.CheckpointException";
}

/* The first line is Flink's, since scripts and tests read it; what it was follows. */
static char *text_of(const struct operation *op, enum err_code code, const char *sentence)
{
	char hex[ID_HEX_SIZE];

	if (id_is_zero(&op->job))
		return xstrdup(sentence);
	if (code == ERR_NOT_FOUND)
		return xasprintf("Could not find Flink job (%s)", id_hex(&op->job, hex));
	if (code == ERR_IO || code == ERR_INVALID)
		return xasprintf(
		    "An Exception occurred while triggering the checkpoint. IO-problem detected.\n"
		    "Caused by: %s: %s",
		    failure_name(code), sentence);
	return xstrdup(sentence);
}

void operations_end(struct operations *o, uint64_t number, const char *location, const struct err *e,
    const char *failure_class)
{
	struct operation *op = NULL;
	size_t i;

	for (i = 0; i < o->n; i++)
		if (o->v[i]->number == number)
			op = o->v[i];
	if (op == NULL || op->status != GW_OP_IN_PROGRESS)
		return;
	op->ended_ns = clock_mono_ns(o->clock);
	if (e == NULL) {
		op->status = GW_OP_COMPLETED;
		op->location = location != NULL ? xstrdup(location) : NULL;
		return;
	}
	op->status = GW_OP_FAILED;
	op->failure_class = failure_class != NULL ? failure_class : class_of(op, e->code);
	op->failure = text_of(op, e->code, e->msg);
}

const struct operation *operations_find(struct operations *o, const struct id128 *job, const struct id128 *id)
{
	static const struct id128 none;
	size_t i;

	expire(o);
	for (i = 0; i < o->n; i++)
		if (id_equal(&o->v[i]->id, id) && id_equal(&o->v[i]->job, job != NULL ? job : &none))
			return o->v[i];
	return NULL;
}
