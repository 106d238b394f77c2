/* Control messages: what goes in comes out; cut, damaged and random bodies are refused and leave
 * nothing open. */
#include "t/unit/control_fixture.h"

static int decode_hello(struct msg_reader *r, struct err *e)
{
	struct ctl_hello m;

	return ctl_decode_hello(r, &m, e);
}

static int decode_heartbeat(struct msg_reader *r, struct err *e)
{
	struct ctl_heartbeat m;

	return ctl_decode_heartbeat(r, &m, e);
}

static int decode_doorbells(struct msg_reader *r, struct err *e)
{
	struct ctl_doorbells m;

	if (ctl_decode_doorbells(r, &m, e) < 0)
		return -1;
	ctl_doorbells_fini(&m);
	return 0;
}

static int decode_attempt(struct msg_reader *r, struct err *e)
{
	struct ctl_attempt m;

	return ctl_decode_attempt(r, &m, e);
}

static int decode_task_state(struct msg_reader *r, struct err *e)
{
	struct ctl_task_state m;

	return ctl_decode_task_state(r, &m, e);
}

static int decode_metric_names(struct msg_reader *r, struct err *e)
{
	struct ctl_metric_names m;

	if (ctl_decode_metric_names(r, &m, e) < 0)
		return -1;
	ctl_metric_names_fini(&m);
	return 0;
}

static decode_fn *const decoders[] = { decode_hello, decode_heartbeat, decode_deploy, decode_doorbells,
	decode_attempt, decode_task_state, decode_metric_names };

static void test_hello(void)
{
	struct ctl_hello in = {
		.place = 2, .generation = 7, .pid = 411, .n_slots = 3, .tm_id = "127.0.0.1:411-0a1b2c"
	};
	struct ctl_hello out;
	struct msg_writer w;
	struct arrived a;
	struct err e;

	msg_writer_init(&w);
	ctl_encode_hello(&w, &in);
	arrive(&a, &w, w.len);
	ok(ctl_decode_hello(&a.r, &out, &e) == 0, "HELLO is understood");
	ok(out.place == 2 && out.generation == 7 && out.pid == 411 && out.n_slots == 3, "its numbers");
	is_str(out.tm_id, in.tm_id, "its TaskManager id");
	leave(&a);
	check_damage(&w, decode_hello, "HELLO");
	msg_writer_fini(&w);

	for (unsigned i = 0; i < 3; i++) {
		struct ctl_hello bad = in;

		if (i == 0)
			bad.n_slots = 0;
		else if (i == 1)
			bad.n_slots = CTL_MAX_SLOTS + 1;
		else
			snprintf(bad.tm_id, sizeof(bad.tm_id), "../<script>");
		ctl_encode_hello(&w, &bad);
		arrive(&a, &w, w.len);
		ok(ctl_decode_hello(&a.r, &out, &e) < 0, "HELLO with a wrong value %u is refused", i);
		leave(&a);
		msg_writer_fini(&w);
	}
}

static void test_heartbeat(void)
{
	struct ctl_heartbeat in = { .seq = UINT64_C(1) << 40, .n_slots = CTL_MAX_SLOTS }, out;
	struct msg_writer w;
	struct arrived a;
	struct err e;
	bool same = true;

	for (uint32_t i = 0; i < CTL_MAX_SLOTS; i++) {
		in.turn[i] = i * 1000003;
		in.sleeping[i] = i % 3 == 0;
	}
	msg_writer_init(&w);
	ctl_encode_heartbeat(&w, &in);
	arrive(&a, &w, w.len);
	ok(ctl_decode_heartbeat(&a.r, &out, &e) == 0, "HEARTBEAT is understood");
	leave(&a);
	for (uint32_t i = 0; i < CTL_MAX_SLOTS; i++)
		same = same && out.turn[i] == in.turn[i] && out.sleeping[i] == in.sleeping[i];
	ok(out.seq == in.seq && out.n_slots == CTL_MAX_SLOTS && same, "with %d slots", CTL_MAX_SLOTS);
	check_damage(&w, decode_heartbeat, "HEARTBEAT");
	msg_writer_fini(&w);

	msg_put_u64(&w, 1);
	msg_put_u32(&w, CTL_MAX_SLOTS + 1);
	for (unsigned i = 0; i < (CTL_MAX_SLOTS + 1) * 5; i++)
		msg_put_u8(&w, 0);
	arrive(&a, &w, w.len);
	ok(ctl_decode_heartbeat(&a.r, &out, &e) < 0, "HEARTBEAT of one slot too many is refused");
	leave(&a);
	msg_writer_fini(&w);
}

static void test_deploy(int fd)
{
	int fds = count_fds();
	struct ctl_deploy in, out;
	struct msg_writer w;
	struct arrived a;
	struct err e;

	make_deploy(&in, 4, fd);
	msg_writer_init(&w);
	ctl_encode_deploy(&w, &in);
	arrive(&a, &w, w.len);
	if (!ok(ctl_decode_deploy(&a.r, &out, &e) == 0, "DEPLOY is understood"))
		return;
	leave(&a);
	ok(id_equal(&out.job_id, &in.job_id) && out.attempt == 9 && out.default_parallelism == 5 &&
		out.force_parallelism && out.record_max_size == 1U << 24 && out.buffer_timeout_ms == 100 &&
		out.auto_watermark_interval_ms == -200,
	    "its plain values");
	is_str(out.job_name, "Click Event Count", "its name");
	is_str(out.artifact, "/state/artifacts/ab.so", "its artifact");
	ok(out.argc == 2 && strcmp(out.argv[0], "--topic") == 0 && out.argv[1][0] == '\0' &&
		out.argv[2] == NULL,
	    "its arguments, an empty one included, NULL behind");
	ok(out.n_slots == 4 && out.eventfds[0] >= 0 && out.eventfds[1] == -1 && out.eventfds[3] >= 0 &&
		out.n_before == 0,
	    "its doorbells");
	ok(out.plan_fd >= 0 && out.exchange_fd >= 0 && out.plan_fd != fd,
	    "plan and exchange are descriptors of its own");
	ok(out.n_own == 1 && out.own[0].slot == 1 && out.own[0].local_slot == 3, "its slots here");
	ok(out.n_tasks == 2 && out.tasks[1].vertex == 1 && out.tasks[1].attempt == 4 &&
		out.tasks[1].metrics_block == METRICS_TASK_BLOCKS - 1 &&
		memcmp(&out.tasks[1].execution, &in.tasks[1].execution, 16) == 0,
	    "its tasks");
	ctl_deploy_fini(&out);
	is_int(count_fds(), fds, "freeing closes every descriptor");
	check_damage(&w, decode_deploy, "DEPLOY");
	msg_writer_fini(&w);
	free(in.eventfds);
}

/* Values that a body can carry and no supervisor would send. */
static void test_deploy_nonsense(int fd)
{
	static const char *const what[] = { "a task on a slot of another worker",
		"a metrics block out of range", "a slot index out of range", "a local slot out of range",
		"an own slot with a doorbell from elsewhere", "one local slot twice", "one slot twice" };

	for (unsigned i = 0; i < ARRAY_LEN(what); i++) {
		struct ctl_deploy_slot own[2] = { { 1, 3 }, { 1, 3 } };
		struct ctl_deploy_task task = { .subtask = 1 };
		struct ctl_deploy d, out;
		struct msg_writer w;
		struct arrived a;
		struct err e;

		make_deploy(&d, 4, fd);
		d.own = own;
		d.tasks = &task;
		d.n_tasks = 1;
		if (i == 0) {
			task.subtask = 2;
		} else if (i == 1) {
			task.metrics_block = METRICS_TASK_BLOCKS;
		} else if (i == 2) {
			own[0].slot = 4;
		} else if (i == 3) {
			own[0].local_slot = CTL_MAX_SLOTS;
		} else if (i == 4) {
			own[0].slot = 0;
		} else {
			d.n_own = 2;
			own[1].local_slot = i == 5 ? 3 : 4;
			if (i == 5) {
				own[1].slot = 2;
				d.eventfds[2] = -1;
			}
		}
		msg_writer_init(&w);
		ctl_encode_deploy(&w, &d);
		arrive(&a, &w, w.len);
		ok(ctl_decode_deploy(&a.r, &out, &e) < 0, "DEPLOY with %s is refused", what[i]);
		leave(&a);
		msg_writer_fini(&w);
		free(d.eventfds);
	}
}

static void test_doorbells(int fd)
{
	enum { N = 600 };
	int fds = count_fds();
	unsigned n_messages = 0, missing = 0;
	struct ctl_deploy in, out;
	struct ctl_doorbells bells[4], stray;
	struct msg_writer w;
	struct arrived a;
	struct err e;

	make_deploy(&in, N, fd);
	is_int(ctl_deploy_n_inline(&in), 199,
	    "198 doorbells and a slot of its own go with the DEPLOY itself");
	msg_writer_init(&w);
	for (uint32_t i = ctl_deploy_n_inline(&in); i < N; n_messages++) {
		i = ctl_encode_doorbells(&w, &in, i);
		arrive(&a, &w, w.len);
		ok(ctl_decode_doorbells(&a.r, &bells[n_messages], &e) == 0, "DOORBELLS %u is understood",
		    n_messages);
		leave(&a);
		if (n_messages == 0)
			check_damage(&w, decode_doorbells, "DOORBELLS");
		msg_writer_fini(&w);
	}
	is_int(n_messages, 3, "the other 401 in three messages");
	ctl_encode_deploy(&w, &in);
	ok(w.n_fds <= MSG_FDS_MAX, "no frame has more descriptors than the kernel takes");
	arrive(&a, &w, w.len);
	ok(ctl_decode_deploy(&a.r, &out, &e) == 0, "a DEPLOY of %d slots is understood", N);
	leave(&a);
	msg_writer_fini(&w);
	is_int(out.n_before, N - 199, "it says how many came before");

	stray = bells[0];
	stray.attempt++;
	for (uint32_t i = 0; i < stray.n; i++)
		stray.fds[i] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	ok(ctl_deploy_take_doorbells(&out, &stray, &e) < 0, "doorbells of another attempt are refused");
	for (unsigned i = 0; i < n_messages; i++)
		ok(ctl_deploy_take_doorbells(&out, &bells[i], &e) == 0, "DOORBELLS %u is put in", i);
	for (uint32_t i = 0; i < N; i++)
		missing += out.eventfds[i] < 0;
	is_int(missing, 1, "only the worker's own slot has none");
	is_int(out.n_before, 0, "nothing is missing");
	ctl_deploy_fini(&out);
	is_int(count_fds(), fds, "freeing closes every descriptor");
	free(in.eventfds);
}

static void test_small(void)
{
	struct ctl_attempt at = { .attempt = UINT64_MAX }, at_out;
	struct ctl_task_state st = { .attempt = 3,
		.vertex = UINT32_MAX,
		.subtask = UINT32_MAX,
		.state = TASK_FAILED,
		.wall_ms = -1 },
			      st_out;
	struct msg_writer w;
	struct arrived a;
	struct err e;

	id_random(&at.job_id);
	st.job_id = at.job_id;
	msg_writer_init(&w);
	ctl_encode_attempt(&w, &at);
	arrive(&a, &w, w.len);
	ok(ctl_decode_attempt(&a.r, &at_out, &e) == 0 && id_equal(&at.job_id, &at_out.job_id) &&
		at_out.attempt == UINT64_MAX,
	    "DROP");
	leave(&a);
	check_damage(&w, decode_attempt, "DROP");
	msg_writer_fini(&w);

	err_set(&st.cause, ERR_USER, "map: division by zero at record 17");
	ctl_encode_task_state(&w, &st);
	arrive(&a, &w, w.len);
	ok(ctl_decode_task_state(&a.r, &st_out, &e) == 0 && st_out.state == TASK_FAILED &&
		st_out.wall_ms == -1 && st_out.vertex == UINT32_MAX && st_out.cause.code == ERR_USER,
	    "TASK_STATE of a failed deploy");
	is_str(st_out.cause.msg, st.cause.msg, "with its cause");
	leave(&a);
	check_damage(&w, decode_task_state, "TASK_STATE");
	msg_writer_fini(&w);

	st.state = TASK_RUNNING;
	ctl_encode_task_state(&w, &st);
	arrive(&a, &w, w.len);
	ok(ctl_decode_task_state(&a.r, &st_out, &e) == 0 && st_out.state == TASK_RUNNING &&
		st_out.cause.code == ERR_NONE && st_out.cause.msg[0] == '\0',
	    "only FAILED has a cause");
	leave(&a);
	msg_writer_fini(&w);

	st.state = TASK_FAILED;
	st.cause.code = ERR_NONE;
	ctl_encode_task_state(&w, &st);
	arrive(&a, &w, w.len);
	ok(ctl_decode_task_state(&a.r, &st_out, &e) == 0 && st_out.cause.code != ERR_NONE,
	    "a failure without a code is still a failure");
	leave(&a);
	msg_writer_fini(&w);
}

static void test_metric_names(void)
{
	char n0[] = "requests", n1[] = "r\xc3\xa9sum\xc3\xa9s";
	char *names[] = { n0, n1 };
	struct ctl_metric_names in = { .attempt = 2,
		.vertex = 1,
		.subtask = 5,
		.first = 3,
		.n = 2,
		.names = names },
				out;
	struct msg_writer w;
	struct arrived a;
	struct err e;

	msg_writer_init(&w);
	ctl_encode_metric_names(&w, &in);
	arrive(&a, &w, w.len);
	ok(ctl_decode_metric_names(&a.r, &out, &e) == 0 && out.n == 2 && out.first == 3 && out.subtask == 5,
	    "METRIC_NAMES");
	is_str(out.names[1], n1, "its names");
	ctl_metric_names_fini(&out);
	leave(&a);
	check_damage(&w, decode_metric_names, "METRIC_NAMES");
	msg_writer_fini(&w);

	in.first = METRIC_USER_MAX - 1;
	ctl_encode_metric_names(&w, &in);
	arrive(&a, &w, w.len);
	ok(ctl_decode_metric_names(&a.r, &out, &e) < 0, "a metric behind the block's end is refused");
	leave(&a);
	msg_writer_fini(&w);
}

static void test_states(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < TASK_N_STATES; i++)
		n += task_state_is_terminal((enum task_state)i);
	is_int(n, 3, "three states are final");
	is_str(task_state_name(TASK_CREATED), "CREATED", "states have names");
	is_str(task_state_name(TASK_RECONCILING), "RECONCILING", "the last one, too");
	is_str(task_state_name(TASK_N_STATES), "?", "what is no state has none");
}

int main(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC), fds = count_fds();

	test_states();
	test_hello();
	test_heartbeat();
	test_deploy(fd);
	test_deploy_nonsense(fd);
	test_doorbells(fd);
	test_small();
	test_metric_names();
	check_random(decoders, ARRAY_LEN(decoders));
	is_int(count_fds(), fds, "no descriptor was lost");
	return tap_done();
}
