/*
 * Between supervisor/tm_link.c, which has the channel, and supervisor/tm_messages.c, which knows bodies of
 * messages.  Included by those two only.
 */
#ifndef SUPERVISOR_TM_MESSAGES_H
#define SUPERVISOR_TM_MESSAGES_H

#include "base/msg.h"
#include "supervisor/tm_link.h"

/* Nothing is sent to a process that is not registered or gone. */
void tm_link_send(struct tm_link *l, enum msg_type type, const struct msg_writer *w);
/* ACK or DECLINE came. e is filled where it does not verify. */
void tm_hear_checkpoint(struct tm_link *l, const struct tm_events *ev, void *arg, unsigned type,
    struct msg_reader *r, struct err *e);

#endif
