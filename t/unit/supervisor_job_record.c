/*
 * Records of the job store: there and back, and every kind of damage refused.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "supervisor/job_record.h"
#include "t/tap.h"

static char name[] = "Click \"Count\"", artifact[] = "/state/artifacts/a.so", arg0[] = "--x", arg1[] = "",
	    savepoint[] = "/sp/1";
static char *argv[] = { arg0, arg1 };

static struct job_record sample(void)
{
	return (struct job_record){ .job_id = { { 1, 2, 3 } },
		.name = name,
		.artifact = artifact,
		.argv = argv,
		.argc = 2,
		.parallelism = 3,
		.default_parallelism = 4,
		.start_ms = 1700000000123,
		.savepoint = savepoint,
		.allow_non_restored = true };
}

static void test_round_trip(void)
{
	struct job_record r = sample(), back;
	struct err e = { ERR_NONE, "" };
	size_t len;
	void *data = job_record_encode(&r, &len);

	ok(job_record_decode(data, len, &back, &e) == 0, "a record is read again %s", e.msg);
	ok(id_equal(&back.job_id, &r.job_id), "its job");
	is_str(back.name, name, "name");
	is_str(back.artifact, artifact, "artifact");
	ok(back.argc == 2 && strcmp(back.argv[0], "--x") == 0 && back.argv[1][0] == '\0', "arguments");
	ok(back.parallelism == 3 && back.default_parallelism == 4, "parallelism");
	is_int(back.start_ms, r.start_ms, "start");
	is_str(back.savepoint, savepoint, "savepoint");
	ok(back.allow_non_restored, "and what may be left behind");
	job_record_fini(&back);
	free(data);
	r.savepoint = NULL;
	r.argc = 0;
	data = job_record_encode(&r, &len);
	ok(job_record_decode(data, len, &back, &e) == 0 && back.savepoint == NULL && back.argc == 0,
	    "one without savepoint and arguments");
	job_record_fini(&back);
	free(data);
}

static void test_damage(void)
{
	struct job_record r = sample(), back;
	struct err e;
	size_t len, i, n_taken = 0;
	uint8_t *data = job_record_encode(&r, &len);

	for (i = 0; i < len * 8; i++) {
		data[i / 8] ^= (uint8_t)(1u << i % 8);
		if (job_record_decode(data, len, &back, &e) == 0) {
			job_record_fini(&back);
			n_taken++;
		}
		data[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	is_int(n_taken, 0, "each flipped bit is found");
	for (i = 0; i < len; i++) {
		uint8_t *part = xmemdup(data, i + 1); /* of that size, for the sanitizer */

		if (job_record_decode(part, i, &back, &e) == 0) {
			job_record_fini(&back);
			n_taken++;
		}
		free(part);
	}
	is_int(n_taken, 0, "so is each missing end");
	like(e.msg, "record of the job store", "with a sentence");
	free(data);
}

int main(void)
{
	test_round_trip();
	test_damage();
	return tap_done();
}
