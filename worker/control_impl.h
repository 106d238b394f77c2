/*
 * What the decoders of control messages share: worker/control.c, worker/control_checkpoint.c.
 */
#ifndef WORKER_CONTROL_IMPL_H
#define WORKER_CONTROL_IMPL_H

#include "worker/control.h"

static inline int malformed(struct err *e, const char *type)
{
	return err_set(e, ERR_INTERNAL, "a %s message does not verify", type);
}

/* Descriptors of a body that was understood, but whose frame brought more of them, are nobody's. */
static inline bool all_taken(const struct msg_reader *r)
{
	return msg_reader_ok(r) && r->next_fd == r->n_fds;
}

static inline bool get_bool(struct msg_reader *r)
{
	uint8_t v = msg_get_u8(r);

	if (v > 1)
		r->bad = true;
	return v == 1;
}

#endif
