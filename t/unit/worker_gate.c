/*
 * The input gate on rings of the test's own: turn by turn, watermarks and idleness,
 * fragments, decoding, end of input, and every kind of damage.
 *
 * The other side is written element by element before the task starts, so that each test has one right
 * outcome, told by the operator behind the gate as one line of text.
 */
#include "t/unit/gate_fixture.h"

/* ---------------------------------------------------------------- tests */

static void test_order_and_end(void)
{
	struct scene s;

	scene_init(&s, 1, NULL);
	record(&s, 0, 1);
	record(&s, 0, 2);
	watermark(&s, 0, 2);
	watermark(&s, 0, 2);
	record(&s, 0, 3);
	watermark(&s, 0, WEIR_MAX_TIMESTAMP);
	end(&s, 0);
	run(&s, "r1 r2 w2 r3 max0 e0 ", NULL, "one input");

	scene_init(&s, 2, NULL);
	for (int i = 0; i < 3; i++)
		record(&s, 0, i);
	for (int i = 100; i < 103; i++)
		record(&s, 1, i);
	end(&s, 0);
	end(&s, 1);
	run(&s, "r0 r1 r2 r100 r101 r102 e0 ", NULL, "two inputs");
}

static void test_watermarks(void)
{
	struct scene s;

	scene_init(&s, 2, NULL);
	watermark(&s, 0, 10);
	watermark(&s, 0, 20);
	watermark(&s, 1, 5);
	watermark(&s, 1, 15);
	watermark(&s, 1, 30);
	watermark(&s, 0, WEIR_MAX_TIMESTAMP);
	end(&s, 0);
	watermark(&s, 1, WEIR_MAX_TIMESTAMP);
	end(&s, 1);
	/* input 0 is read first, whole: its end leaves input 1 alone */
	run(&s, "w5 w15 w30 max0 e0 ", NULL, "the minimum of two");

	scene_init(&s, 2, NULL);
	watermark(&s, 0, 10);
	status(&s, 0, true);
	watermark(&s, 1, 50);
	record(&s, 1, 51);
	end(&s, 0);
	end(&s, 1);
	run(&s, "w50 r51 e0 ", NULL, "an idle input does not hold it back");

	scene_init(&s, 2, NULL);
	watermark(&s, 0, 10);
	status(&s, 0, true);
	end(&s, 0);
	watermark(&s, 1, 20);
	status(&s, 1, true);
	status(&s, 1, false);
	watermark(&s, 1, 30);
	end(&s, 1);
	run(&s, "w20 i1 i0 w30 e0 ", NULL, "the whole gate is idle, then active");

	/* 64 elements of an input are its turn: what follows them comes after the other one's first 64 */
	scene_init(&s, 2, NULL);
	watermark(&s, 0, 10);
	for (int i = 1; i < 64; i++)
		status(&s, 0, true);
	for (int i = 0; i < 64; i++)
		status(&s, 0, false);
	for (int i = 0; i < 64; i++)
		watermark(&s, 1, 50);
	watermark(&s, 1, 60);
	end(&s, 1);
	watermark(&s, 0, 55);
	watermark(&s, 0, 70);
	end(&s, 0);
	run(&s, "w50 w60 w70 e0 ", NULL,
	    "an input that comes back does not hold up the others until it has caught up");

	scene_init(&s, 2, NULL);
	watermark(&s, 0, WEIR_MAX_TIMESTAMP);
	end(&s, 0);
	watermark(&s, 1, 20);
	status(&s, 1, true);
	status(&s, 1, false);
	record(&s, 1, 21);
	watermark(&s, 1, 30);
	end(&s, 1);
	run(&s, "w20 i1 i0 r21 w30 max0 e0 ", NULL, "an input that has ended does not speak for an idle one");

	scene_init(&s, 1, NULL);
	status(&s, 0, true);
	watermark(&s, 0, 7);
	status(&s, 0, false);
	record(&s, 0, 8);
	end(&s, 0);
	run(&s, "i1 w7 i0 r8 e0 ", NULL, "one idle input");
}

static void test_fragments(void)
{
	struct scene s;
	uint8_t *big = xmalloc(50000);

	for (uint32_t i = 0; i < 50000; i++)
		big[i] = (uint8_t)(i * 7);
	scene_init(&s, 1, NULL);
	record(&s, 0, 1);
	for (uint32_t off = 0; off < 50000; off += 10000)
		put(&s, 0, ELEM_RECORD | (off < 40000 ? ELEM_MORE : 0), 2, big + off, 10000);
	record(&s, 0, 3);
	put(&s, 0, ELEM_RECORD | ELEM_MORE, 4, big, 4000);
	put(&s, 0, ELEM_RECORD, 4, big + 4000, 1);
	end(&s, 0);
	run(&s, "r1 r2 r3 r4 e0 ", NULL, "fragments");
	is_int(sum_len, 54001, "fragments: two whole records");
	ok(big_right, "fragments: every byte in its place");

	scene_init(&s, 1, NULL);
	put(&s, 0, ELEM_RECORD | ELEM_MORE, 2, big, 8);
	watermark(&s, 0, 3);
	run(&s, "", "ring 10 from Maker (1/1) is damaged: a record's fragments end without the last one",
	    "fragments that break off");

	scene_init(&s, 1, NULL);
	s.fx.env.record_max_size = 20000;
	for (int i = 0; i < 3; i++)
		put(&s, 0, ELEM_RECORD | ELEM_MORE, 2, big, 10000);
	run(&s, "", "ring 10 from Maker (1/1) is damaged: the fragments of a record are longer than "
	    "taskmanager.record.max-size", "fragments without end");
	free(big);
}

static int64_t doubled(const void *buf, uint32_t len, void *v, uint32_t cap)
{
	if (len == 1)
		return -1;
	if (cap >= len * 2) {
		for (uint32_t i = 0; i < 2 * len; i++)
			((uint8_t *)v)[i] = (uint8_t)(i * 7);
	}
	(void)buf;
	return (int64_t)len * 2;
}
static const weir_type doubling = { sizeof(weir_type), "doubling", 0, 1, NULL, doubled };

static void test_decoding(void)
{
	struct graph_type type = { .name = xstrdup("doubling"), .code = &doubling };
	struct graph_type row = {
		.name = xstrdup("fx_row"), .size = sizeof(fx_row), .code = &fx_row_weir_type
	};
	struct scene s;
	uint8_t bytes[3000] = { 0 };

	scene_init(&s, 1, &type);
	put(&s, 0, ELEM_RECORD, 1, bytes, 100);
	put(&s, 0, ELEM_RECORD, 2, bytes, 3000); /* more than the buffer at first has */
	end(&s, 0);
	run(&s, "r1 r2 e0 ", NULL, "decoding");
	is_int(big_len, 6000, "decoding: into a buffer that grows");
	ok(big_right, "decoding: the deserializer's bytes");

	scene_init(&s, 1, &type);
	put(&s, 0, ELEM_RECORD, 1, bytes, 1);
	run(&s, "",
	    "ring 10 from Maker (1/1): the deserializer of type doubling refused a record of 1 bytes (returned -1)",
	    "a refusing deserializer");

	scene_init(&s, 1, &row);
	put(&s, 0, ELEM_RECORD, 1, bytes, 8);
	run(&s, "", "ring 10 from Maker (1/1): a record of 8 bytes where type fx_row has 16",
	    "a record that is too short");
	free(type.name);
	free(row.name);
}

static void test_damage(void)
{
	struct scene s;

	scene_init(&s, 2, NULL);
	record(&s, 0, 1);
	atomic_store(&s.producer[1].prod->head, (uint64_t)12345);
	run(&s, "r1 ", "ring 11 from Maker (2/2) is damaged: its head is not a multiple of 8", "a wild head");

	scene_init(&s, 2, NULL);
	end(&s, 0);
	record(&s, 0, 1);
	run(&s, "", "ring 10 from Maker (1/2) is damaged: an element follows the end of input",
	    "an element after the end");

	scene_init(&s, 1, NULL);
	watermark(&s, 0, 10);
	watermark(&s, 0, 9);
	run(&s, "w10 ", "ring 10 from Maker (1/1) is damaged: its watermark fell", "a falling watermark");
}

int main(void)
{
	test_order_and_end();
	test_watermarks();
	test_fragments();
	test_decoding();
	test_damage();
	return tap_done();
}
