/*
 * Records of the job store in bytes: magic, fields as in messages, XXH3-64 of all before it.
 */
#include "supervisor/job_record.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/mem.h"
#include "base/msg.h"

#define MAGIC    UINT64_C(0x31424f4a52494557) /* "WEIRJOB1" */
#define MAX_ARGC 65536

void *job_record_encode(const struct job_record *r, size_t *len)
{
	struct msg_writer w;
	uint32_t i;

	msg_writer_init(&w);
	msg_put_u64(&w, MAGIC);
	msg_put_id(&w, &r->job_id);
	msg_put_str(&w, r->name);
	msg_put_str(&w, r->artifact);
	msg_put_u32(&w, r->argc);
	for (i = 0; i < r->argc; i++)
		msg_put_str(&w, r->argv[i]);
	msg_put_u32(&w, r->parallelism);
	msg_put_u32(&w, r->default_parallelism);
	msg_put_i64(&w, r->start_ms);
	msg_put_str(&w, r->savepoint);
	msg_put_u8(&w, r->allow_non_restored);
	msg_put_u64(&w, XXH3_64bits(w.data, w.len));
	*len = w.len;
	return w.data;
}

static int refuse(struct err *e, const char *what)
{
	return err_set(e, ERR_INTERNAL, "a record of the job store %s", what);
}

int job_record_decode(const void *data, size_t len, struct job_record *r, struct err *e)
{
	struct msg_reader in = { .p = data, .end = (const uint8_t *)data + len };
	const char *text;
	uint32_t i;

	memset(r, 0, sizeof(*r));
	if (len < 16 || msg_get_u64(&in) != MAGIC)
		return refuse(e, "does not begin as one");
	{
		struct msg_reader sum = { .p = in.end - 8, .end = in.end };

		if (msg_get_u64(&sum) != XXH3_64bits(data, len - 8))
			return refuse(e, "is damaged: its checksum is another one");
	}
	msg_get_id(&in, &r->job_id);
	r->name = xstrdup(msg_get_str(&in));
	r->artifact = xstrdup(msg_get_str(&in));
	r->argc = msg_get_u32(&in);
	if (r->argc > MAX_ARGC) {
		r->argc = 0;
		in.bad = true;
	}
	r->argv = xcalloc((size_t)r->argc + 1, sizeof(*r->argv));
	for (i = 0; i < r->argc; i++)
		r->argv[i] = xstrdup(msg_get_str(&in));
	r->parallelism = msg_get_u32(&in);
	r->default_parallelism = msg_get_u32(&in);
	r->start_ms = msg_get_i64(&in);
	text = msg_get_str(&in);
	r->savepoint = text[0] != '\0' ? xstrdup(text) : NULL;
	r->allow_non_restored = msg_get_u8(&in) != 0;
	(void)msg_get_u64(&in);
	if (msg_reader_ok(&in) && r->artifact[0] == '/' && !id_is_zero(&r->job_id))
		return 0;
	job_record_fini(r);
	return refuse(e, "is of another version, or not whole");
}

void job_record_fini(struct job_record *r)
{
	uint32_t i;

	for (i = 0; i < r->argc; i++)
		free(r->argv[i]);
	free(r->argv);
	free(r->name);
	free(r->artifact);
	free(r->savepoint);
	memset(r, 0, sizeof(*r));
}
