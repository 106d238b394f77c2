/*
 * Bodies of the control messages about checkpoints.
 */
#include "worker/control_impl.h"
#include "worker/state/checkpoint_file.h"

void ctl_encode_trigger(struct msg_writer *w, const struct ctl_trigger *m)
{
	msg_put_id(w, &m->job_id);
	msg_put_u64(w, m->attempt);
	msg_put_u64(w, m->checkpoint_id);
	msg_put_u32(w, m->kind);
	msg_put_u8(w, m->drain);
	msg_put_i64(w, m->trigger_wall_ms);
}

int ctl_decode_trigger(struct msg_reader *r, struct ctl_trigger *m, struct err *e)
{
	msg_get_id(r, &m->job_id);
	m->attempt = msg_get_u64(r);
	m->checkpoint_id = msg_get_u64(r);
	m->kind = msg_get_u32(r);
	m->drain = get_bool(r);
	m->trigger_wall_ms = msg_get_i64(r);
	if (!all_taken(r) || m->checkpoint_id == 0 || m->kind > CHECKPOINT_SYNC_SAVEPOINT ||
	    (m->drain && m->kind != CHECKPOINT_SYNC_SAVEPOINT))
		return malformed(e, "TRIGGER");
	return 0;
}

void ctl_encode_ack(struct msg_writer *w, const struct ctl_ack *m)
{
	msg_put_id(w, &m->job_id);
	msg_put_u64(w, m->attempt);
	msg_put_u64(w, m->checkpoint_id);
	msg_put_u32(w, m->vertex);
	msg_put_u32(w, m->subtask);
	msg_put_bytes(w, m->state, m->state_len);
	msg_put_i64(w, m->sync_ns);
	msg_put_i64(w, m->async_ns);
	msg_put_i64(w, m->alignment_ns);
	msg_put_i64(w, m->start_delay_ns);
	msg_put_i64(w, m->processed_bytes);
}

int ctl_decode_ack(struct msg_reader *r, struct ctl_ack *m, struct err *e)
{
	msg_get_id(r, &m->job_id);
	m->attempt = msg_get_u64(r);
	m->checkpoint_id = msg_get_u64(r);
	m->vertex = msg_get_u32(r);
	m->subtask = msg_get_u32(r);
	m->state = msg_get_bytes(r, &m->state_len);
	m->sync_ns = msg_get_i64(r);
	m->async_ns = msg_get_i64(r);
	m->alignment_ns = msg_get_i64(r);
	m->start_delay_ns = msg_get_i64(r);
	m->processed_bytes = msg_get_i64(r);
	if (!all_taken(r) || m->checkpoint_id == 0 || m->sync_ns < 0 || m->async_ns < 0 ||
	    m->alignment_ns < 0 || m->start_delay_ns < 0 || m->processed_bytes < 0)
		return malformed(e, "ACK");
	return 0;
}

void ctl_encode_decline(struct msg_writer *w, const struct ctl_decline *m)
{
	msg_put_id(w, &m->job_id);
	msg_put_u64(w, m->attempt);
	msg_put_u64(w, m->checkpoint_id);
	msg_put_u32(w, m->vertex);
	msg_put_u32(w, m->subtask);
	msg_put_u8(w, (uint8_t)(m->why.code != ERR_NONE ? m->why.code : ERR_INTERNAL));
	msg_put_str(w, m->why.msg);
}

int ctl_decode_decline(struct msg_reader *r, struct ctl_decline *m, struct err *e)
{
	uint8_t code;
	const char *text;

	msg_get_id(r, &m->job_id);
	m->attempt = msg_get_u64(r);
	m->checkpoint_id = msg_get_u64(r);
	m->vertex = msg_get_u32(r);
	m->subtask = msg_get_u32(r);
	code = msg_get_u8(r);
	text = msg_get_str(r);
	if (!all_taken(r) || m->checkpoint_id == 0 || code == ERR_NONE || code >= ERR_N_CODES)
		return malformed(e, "DECLINE");
	err_set(&m->why, (enum err_code)code, "%s", text);
	return 0;
}

void ctl_encode_checkpoint(struct msg_writer *w, const struct ctl_checkpoint *m)
{
	msg_put_id(w, &m->job_id);
	msg_put_u64(w, m->attempt);
	msg_put_u64(w, m->checkpoint_id);
}

int ctl_decode_checkpoint(struct msg_reader *r, struct ctl_checkpoint *m, struct err *e)
{
	msg_get_id(r, &m->job_id);
	m->attempt = msg_get_u64(r);
	m->checkpoint_id = msg_get_u64(r);
	return all_taken(r) && m->checkpoint_id != 0 ? 0 : malformed(e, "NOTIFY or ABORT");
}
