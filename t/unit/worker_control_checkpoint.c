/*
 * Control messages about checkpoints, and a deploy that begins with one.
 */
#include "t/unit/control_fixture.h"

static int decode_trigger(struct msg_reader *r, struct err *e)
{
	struct ctl_trigger m;

	return ctl_decode_trigger(r, &m, e);
}

static int decode_ack(struct msg_reader *r, struct err *e)
{
	struct ctl_ack m;

	return ctl_decode_ack(r, &m, e);
}

static int decode_decline(struct msg_reader *r, struct err *e)
{
	struct ctl_decline m;

	return ctl_decode_decline(r, &m, e);
}

static int decode_checkpoint(struct msg_reader *r, struct err *e)
{
	struct ctl_checkpoint m;

	return ctl_decode_checkpoint(r, &m, e);
}

static decode_fn *const decoders[] = { decode_deploy, decode_trigger, decode_ack, decode_decline,
	decode_checkpoint };

static void test_deploy_with_state(int fd)
{
	struct ctl_deploy in, out;
	struct msg_writer w;
	struct arrived a;
	struct err e;

	make_deploy(&in, 4, fd);
	in.checkpointing = in.at_least_once = true;
	in.restore_id = 17;
	in.restore_fd = fd;
	msg_writer_init(&w);
	ctl_encode_deploy(&w, &in);
	arrive(&a, &w, w.len);
	ok(ctl_decode_deploy(&a.r, &out, &e) == 0 && out.checkpointing && out.at_least_once &&
		out.restore_id == 17 && out.restore_fd >= 0 && out.restore_fd != fd,
	    "DEPLOY from a checkpoint");
	leave(&a);
	ctl_deploy_fini(&out);
	is_int(out.restore_fd, -1, "freeing forgets its descriptor");
	check_damage(&w, decode_deploy, "DEPLOY from a checkpoint");
	msg_writer_fini(&w);
	free(in.eventfds);
	make_deploy(&in, 300, fd);
	in.restore_id = 17;
	in.restore_fd = fd;
	is_int(ctl_deploy_n_inline(&in), 198, "the state's descriptor takes the place of a doorbell");
	free(in.eventfds);
}

static void test_checkpoint(void)
{
	struct ctl_trigger tr = { .attempt = 3, .checkpoint_id = UINT64_C(1) << 33, .kind = 2, .drain = true,
		.trigger_wall_ms = 1700000000000 }, tr_out;
	struct ctl_ack ack = { .attempt = 3, .checkpoint_id = 9, .vertex = 1, .subtask = 2, .state = "state",
		.state_len = 5, .sync_ns = 1, .async_ns = 2, .alignment_ns = 3, .start_delay_ns = 4,
		.processed_bytes = 5 }, ack_out;
	struct ctl_decline no = { .attempt = 3, .checkpoint_id = 9, .vertex = 1, .subtask = 2 }, no_out;
	struct ctl_checkpoint cp = { .attempt = 3, .checkpoint_id = UINT64_MAX }, cp_out;
	struct msg_writer w;
	struct arrived a;
	struct err e;

	id_random(&tr.job_id);
	ack.job_id = no.job_id = cp.job_id = tr.job_id;
	msg_writer_init(&w);
	ctl_encode_trigger(&w, &tr);
	arrive(&a, &w, w.len);
	ok(ctl_decode_trigger(&a.r, &tr_out, &e) == 0 && id_equal(&tr_out.job_id, &tr.job_id) &&
		tr_out.attempt == 3 && tr_out.checkpoint_id == tr.checkpoint_id && tr_out.kind == 2 &&
		tr_out.drain && tr_out.trigger_wall_ms == 1700000000000,
	    "TRIGGER");
	leave(&a);
	check_damage(&w, decode_trigger, "TRIGGER");
	msg_writer_fini(&w);
	tr.kind = 0;
	ctl_encode_trigger(&w, &tr);
	arrive(&a, &w, w.len);
	ok(ctl_decode_trigger(&a.r, &tr_out, &e) < 0, "TRIGGER of a periodic checkpoint that drains is refused");
	leave(&a);
	msg_writer_fini(&w);

	ctl_encode_ack(&w, &ack);
	arrive(&a, &w, w.len);
	ok(ctl_decode_ack(&a.r, &ack_out, &e) == 0 && id_equal(&ack_out.job_id, &ack.job_id) &&
		ack_out.checkpoint_id == 9 && ack_out.vertex == 1 && ack_out.subtask == 2 &&
		ack_out.state_len == 5 && memcmp(ack_out.state, "state", 5) == 0 && ack_out.sync_ns == 1 &&
		ack_out.async_ns == 2 && ack_out.alignment_ns == 3 && ack_out.start_delay_ns == 4 &&
		ack_out.processed_bytes == 5,
	    "ACK");
	leave(&a);
	check_damage(&w, decode_ack, "ACK");
	msg_writer_fini(&w);

	err_set(&no.why, ERR_USER, "a transaction is under way");
	ctl_encode_decline(&w, &no);
	arrive(&a, &w, w.len);
	ok(ctl_decode_decline(&a.r, &no_out, &e) == 0 && no_out.checkpoint_id == 9 && no_out.subtask == 2 &&
		no_out.why.code == ERR_USER,
	    "DECLINE");
	is_str(no_out.why.msg, "a transaction is under way", "with its reason");
	leave(&a);
	check_damage(&w, decode_decline, "DECLINE");
	msg_writer_fini(&w);

	ctl_encode_checkpoint(&w, &cp);
	arrive(&a, &w, w.len);
	ok(ctl_decode_checkpoint(&a.r, &cp_out, &e) == 0 && cp_out.attempt == 3 &&
		cp_out.checkpoint_id == UINT64_MAX,
	    "NOTIFY");
	leave(&a);
	check_damage(&w, decode_checkpoint, "NOTIFY");
	msg_writer_fini(&w);
}

int main(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC), fds = count_fds();

	test_deploy_with_state(fd);
	test_checkpoint();
	check_random(decoders, ARRAY_LEN(decoders));
	is_int(count_fds(), fds, "no descriptor was lost");
	return tap_done();
}
