/*
 * What waits for a checkpoint: positions that are held until it is complete, and messages that a
 * barrier's acknowledgement waits for, in whatever order their reports come.
 */
#include "t/tap.h"
#include "base/mem.h"
#include "worker/connectors/delivery.h"
#include "worker/connectors/kafka_state.h"

static uint64_t random_state;
static uint32_t rnd(uint32_t n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(random_state >> 33) % n;
}

static void test_held(void)
{
	static const int64_t a[] = { 1, 2 }, b[] = { 3, 4, 5 };
	int64_t got[3] = { 0 };
	struct kafka_held h = { 0 };

	kafka_held_put(&h, 1, a, 2);
	kafka_held_put(&h, 2, b, 3);
	kafka_held_put(&h, 3, b, 3);
	is_int(kafka_held_take(&h, 2, got, 3), 3, "positions of the checkpoint that is complete");
	is_int(got[2], 5, "as they were");
	is_int(h.n, 1, "older ones are forgotten");
	is_int(kafka_held_take(&h, 2, got, 3), 0, "there once");
	for (uint64_t id = 4; id < 100; id++)
		kafka_held_put(&h, id, a, 2);
	is_int(h.n, KAFKA_HELD_MAX, "aborted ones do not pile up");
	is_int(kafka_held_take(&h, 99, got, 1), 1, "no more than there is room for");
	kafka_held_put(&h, 100, NULL, 0);
	kafka_held_fini(&h);
	is_int(h.n, 0, "and nothing is left");
}

/* ---- delivery ---- */

static void test_delivery(void)
{
	uint64_t id = 0;
	struct delivery d;

	delivery_init(&d);
	ok(delivery_barrier(&d, 1), "nothing under way: done at once");
	delivery_produced(&d);
	ok(!delivery_barrier(&d, 2), "a message is under way");
	ok(!delivery_take_done(&d, &id), "so the barrier waits");
	ok(!delivery_barrier(&d, 3), "and so does the next, though nothing came between them");
	delivery_reported(&d, delivery_epoch(&d) - 2);
	ok(delivery_take_done(&d, &id) && id == 2, "its report is in");
	ok(delivery_take_done(&d, &id) && id == 3, "that was all the next one waited for");
	ok(!delivery_waiting(&d), "nobody waits");
	delivery_fini(&d);
}

/* Reports in any order: a barrier is done at the very report that was the last of all before it. */
static void test_delivery_order(void)
{
	enum { N = 2000 };
	static uint64_t epoch_of[N], number_of[N];
	static uint64_t barrier_at[N];
	int wrong = 0, n_done = 0;

	for (int round = 0; round < 20; round++) {
		struct delivery d;
		uint64_t next_id = 1, done_id = 0, id;
		uint32_t n_under = 0, n_sent = 0;

		delivery_init(&d);
		while (n_sent < N || n_under > 0) {
			uint32_t what = rnd(20);

			if (what == 0) {
				barrier_at[next_id] = n_sent;
				if (delivery_barrier(&d, next_id))
					done_id = next_id;
				if (++next_id == N)
					break;
			} else if (what < 11 && n_sent < N) {
				epoch_of[n_under] = delivery_epoch(&d);
				number_of[n_under++] = n_sent++;
				delivery_produced(&d);
			} else if (n_under > 0) {
				uint32_t i = rnd(n_under);

				delivery_reported(&d, epoch_of[i]);
				epoch_of[i] = epoch_of[--n_under];
				number_of[i] = number_of[n_under];
			}
			while (delivery_take_done(&d, &id)) {
				wrong += id != done_id + 1;
				done_id = id;
				n_done++;
			}
			/* The oldest message under way says which barriers may be done. */
			uint64_t oldest = n_sent;
			for (uint32_t i = 0; i < n_under; i++)
				oldest = number_of[i] < oldest ? number_of[i] : oldest;
			for (id = 1; id < next_id; id++)
				wrong += (barrier_at[id] <= oldest) != (id <= done_id);
			if (next_id > 300)
				break;
		}
		delivery_fini(&d);
	}
	ok(n_done > 100, "%d barriers waited", n_done);
	is_int(wrong, 0, "each until the last report that it needed");
}

int main(int argc, char **argv)
{
	random_state = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL);
	diag("seed %llu", (unsigned long long)random_state);
	test_held();
	test_delivery();
	test_delivery_order();
	return tap_done();
}
