/*
 * `_metadata`: what is written is read; whatever is damaged, cut or made by another hand is refused
 * with what is wrong.
 */
#include <stdlib.h>
#include <xxhash.h>

#include "base/mem.h"
#include "t/tap.h"
#include "worker/state/checkpoint_file.h"

static struct checkpoint_task tasks[] = {
	{ { { 1 } }, 0, 2, 128, false, "input-0 at 417, input-1 at 398, input-2 at 405", 46 },
	{ { { 1 } }, 1, 2, 128, true, NULL, 0 },
	{ { { 2, 9 } }, 0, 1, 64, false, "", 0 },
	{ { { 3 } }, 0, 3, 3, false, "zero", 4 },
	{ { { 3 } }, 1, 3, 3, false, "\0\1\2", 3 },
	{ { { 3 } }, 2, 3, 3, false, "two", 3 },
};
static char job_name[] = "Click Event Count";
static const struct checkpoint_file whole = { { { 0xab, 0xcd } }, job_name, 7, 3, CHECKPOINT_SAVEPOINT,
	1700000000123, tasks, ARRAY_LEN(tasks) };

static int refuse(const void *data, size_t len, struct err *e)
{
	/* A copy of exactly this size, so that a read behind it is seen. */
	void *copy = xmemdup(data, len);
	struct checkpoint_file f;
	int rc = checkpoint_file_decode(copy, len, &f, e);

	if (rc == 0)
		checkpoint_file_fini(&f);
	free(copy);
	return rc == -1;
}

static void test_round_trip(void)
{
	struct checkpoint_file f;
	struct err e = { 0 };
	size_t len, again;
	void *data = checkpoint_file_encode(&whole, &len), *second;

	is_int(checkpoint_file_decode(data, len, &f, &e), 0, "what was written is read: %s", e.msg);
	ok(id_equal(&f.job_id, &whole.job_id), "job id");
	is_str(f.job_name, job_name, "job name");
	is_int(f.id, 7, "id");
	is_int(f.attempt, 3, "attempt");
	is_int(f.kind, CHECKPOINT_SAVEPOINT, "kind");
	is_int(f.trigger_wall_ms, 1700000000123, "time of the trigger");
	is_int(f.n_tasks, ARRAY_LEN(tasks), "tasks");
	for (uint32_t i = 0; i < f.n_tasks; i++) {
		const struct checkpoint_task *a = &f.tasks[i], *b = &tasks[i];

		ok(id_equal(&a->vertex, &b->vertex) && a->subtask == b->subtask &&
			a->parallelism == b->parallelism && a->max_parallelism == b->max_parallelism &&
			a->finished == b->finished && a->len == b->len &&
			(a->len == 0 || memcmp(a->data, b->data, a->len) == 0),
		    "task %" PRIu32 " as it was", i);
	}
	second = checkpoint_file_encode(&f, &again);
	ok(again == len && memcmp(second, data, len) == 0, "written again, it has the same bytes");
	free(second);
	checkpoint_file_fini(&f);
	free(data);
	is_str(checkpoint_kind_name(CHECKPOINT_PERIODIC), "CHECKPOINT", "a kind has a name");
	is_str(checkpoint_kind_name(CHECKPOINT_SYNC_SAVEPOINT), "SYNC_SAVEPOINT", "the last one, too");
	is_str(checkpoint_kind_name((enum checkpoint_kind)9), "UNKNOWN", "what is no kind has none");
}

static void test_empty(void)
{
	struct checkpoint_file none = { .id = 1 }, f;
	struct err e = { 0 };
	size_t len;
	void *data = checkpoint_file_encode(&none, &len);

	is_int(checkpoint_file_decode(data, len, &f, &e), 0, "a checkpoint without tasks is one: %s", e.msg);
	is_str(f.job_name, "", "without a name, too");
	checkpoint_file_fini(&f);
	free(data);
}

static void test_damage(void)
{
	struct err e;
	size_t len, missed = 0, silent = 0;
	uint8_t *data = checkpoint_file_encode(&whole, &len);

	for (size_t i = 0; i < len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			data[i] ^= (uint8_t)(1u << bit);
			e.msg[0] = '\0';
			missed += !refuse(data, len, &e);
			silent += e.msg[0] == '\0';
			data[i] ^= (uint8_t)(1u << bit);
		}
	}
	is_int(missed, 0, "each of %zu bits that flips is detected", len * 8);
	is_int(silent, 0, "and said");
	missed = 0;
	for (size_t n = 0; n < len; n++)
		missed += !refuse(data, n, &e);
	is_int(missed, 0, "cut at each of %zu lengths it is refused", len);
	data = xreallocarray(data, len + 1, 1);
	data[len] = 0;
	ok(refuse(data, len + 1, &e), "a byte more is refused");
	like(e.msg, "it has ", "with both lengths");
	free(data);
}

/* Put both checksums right again after the header or one task was changed. */
static void seal(uint8_t *data, size_t len, size_t block, size_t block_len)
{
	uint64_t sum = XXH3_64bits(data + block, block_len);

	memcpy(data + block + block_len, &sum, 8);
	sum = XXH3_64bits(data, len - 8);
	memcpy(data + len - 8, &sum, 8);
}

static void refuse_sealed(size_t at, uint8_t value, bool header, const char *part, const char *what)
{
	size_t header_len = 76 + sizeof(job_name) - 1, len;
	uint8_t *data = checkpoint_file_encode(&whole, &len);
	struct err e = { 0 };

	if (header) {
		data[at] = value;
		seal(data, len, 0, header_len);
	} else {
		data[header_len + 8 + at] = value;
		seal(data, len, header_len + 8, 40 + tasks[0].len);
	}
	ok(refuse(data, len, &e), "%s is refused", what);
	like(e.msg, part, "and said");
	free(data);
}

static void test_hostile(void)
{
	struct err e = { 0 };

	ok(refuse("", 0, &e), "nothing is refused");
	like(e.msg, "shorter than a header", "and said");
	ok(refuse("PK\3\4 is another kind of file", 26, &e), "another kind of file is refused");
	like(e.msg, "begins with other bytes", "and said");
	refuse_sealed(8, 2, true, "of format 2 and this version reads formats up to 1", "a newer format");
	refuse_sealed(8, 0, true, "header is damaged", "format 0");
	refuse_sealed(40, 0, true, "says what cannot be", "id 0");
	refuse_sealed(64, 3, true, "says what cannot be", "a kind that is none");
	refuse_sealed(70, 0xff, true, "says what cannot be", "more tasks than bytes");
	refuse_sealed(68, 5, true, "bytes follow its last entry", "a task too few");
	refuse_sealed(68, 7, true, "goes beyond the end", "a task too many");
	refuse_sealed(72, 1, true, "says what cannot be", "a name of another length");
	refuse_sealed(80, 0, true, "says what cannot be", "a name with a NUL");
	refuse_sealed(16, 2, false, "says what cannot be", "a subtask over the parallelism");
	refuse_sealed(20, 0, false, "says what cannot be", "a parallelism of 0");
	refuse_sealed(25, 0x81, false, "says what cannot be", "too large a max parallelism");
	refuse_sealed(24, 1, false, "says what cannot be", "a max parallelism below the parallelism");
	refuse_sealed(28, 1, false, "says what cannot be", "a finished task with bytes");
	refuse_sealed(28, 2, false, "says what cannot be", "a flag that is none");
	refuse_sealed(39, 0x80, false, "goes beyond the end", "a length over all");
	refuse_sealed(16, 1, false, "each of the 2 subtasks", "a subtask twice");
	refuse_sealed(24, 127, false, "each of the 2 subtasks", "two max parallelisms of one vertex");
}

static void test_incomplete(void)
{
	struct checkpoint_file part = whole;
	struct err e = { 0 };
	size_t len;
	void *data;

	part.n_tasks--;
	data = checkpoint_file_encode(&part, &len);
	ok(refuse(data, len, &e), "a vertex without its last subtask is refused");
	like(e.msg, "lacks subtasks", "and said");
	free(data);
	part = whole;
	part.tasks++;
	part.n_tasks--;
	data = checkpoint_file_encode(&part, &len);
	ok(refuse(data, len, &e), "one without its first, too");
	like(e.msg, "vertex 01000000", "with the vertex");
	free(data);
}

int main(void)
{
	test_round_trip();
	test_empty();
	test_damage();
	test_hostile();
	test_incomplete();
	return tap_done();
}
