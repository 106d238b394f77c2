/*
 * What is said to a TaskManager about attempts and checkpoints, and what it says of checkpoints:
 * messages from structs and back.
 */
#include "supervisor/tm_messages.h"

void tm_link_drop(struct tm_link *l, const struct ctl_attempt *a)
{
	struct msg_writer w;

	msg_writer_init(&w);
	ctl_encode_attempt(&w, a);
	tm_link_send(l, MSG_DROP, &w);
	msg_writer_fini(&w);
}

void tm_link_trigger(struct tm_link *l, const struct ctl_trigger *t)
{
	struct msg_writer w;

	msg_writer_init(&w);
	ctl_encode_trigger(&w, t);
	tm_link_send(l, MSG_TRIGGER, &w);
	msg_writer_fini(&w);
}

static void send_checkpoint(struct tm_link *l, enum msg_type type, const struct ctl_checkpoint *c)
{
	struct msg_writer w;

	msg_writer_init(&w);
	ctl_encode_checkpoint(&w, c);
	tm_link_send(l, type, &w);
	msg_writer_fini(&w);
}

void tm_link_notify(struct tm_link *l, const struct ctl_checkpoint *c)
{
	send_checkpoint(l, MSG_NOTIFY, c);
}

void tm_link_abort(struct tm_link *l, const struct ctl_checkpoint *c)
{
	send_checkpoint(l, MSG_ABORT, c);
}

void tm_hear_checkpoint(struct tm_link *l, const struct tm_events *ev, void *arg, unsigned type,
    struct msg_reader *r, struct err *e)
{
	struct ctl_ack ack;
	struct ctl_decline decline;

	if (type == MSG_ACK) {
		if (ctl_decode_ack(r, &ack, e) == 0 && ev->ack != NULL)
			ev->ack(arg, l, &ack);
	} else if (ctl_decode_decline(r, &decline, e) == 0 && ev->decline != NULL) {
		ev->decline(arg, l, &decline);
	}
}
