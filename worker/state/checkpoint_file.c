/*
 * `_metadata`, little-endian:
 *
 *   header   magic[8] format:4 header_len:4 file_len:8 job[16] id:8 attempt:8 trigger_ms:8
 *            kind:4 n_tasks:4 name_len:4 name[name_len] xxh3:8
 *   task     vertex[16] subtask:4 parallelism:4 max_parallelism:4 finished:4 len:8 data[len] xxh3:8
 *            ... n_tasks of them, all subtasks of every vertex that is named
 *   trailer  xxh3:8 of everything before it
 *
 * Magic and format stay where they are in every format to come, so that a newer one can be named.
 */
#include "worker/state/checkpoint_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/mem.h"

#define MAGIC           "WEIRCKPT"
#define HEADER_FIXED    76
#define TASK_FIXED      40
#define SUM_BYTES       8
#define MAX_PARALLELISM 32768
#define MAX_NAME        4096

const char *checkpoint_kind_name(enum checkpoint_kind k)
{
	static const char *const names[] = { "CHECKPOINT", "SAVEPOINT", "SYNC_SAVEPOINT" };

	return (size_t)k < ARRAY_LEN(names) ? names[k] : "UNKNOWN";
}

/* ---- writing ---- */

static uint8_t *put_u32(uint8_t *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		*p++ = (uint8_t)(v >> 8 * i);
	return p;
}

static uint8_t *put_u64(uint8_t *p, uint64_t v)
{
	return put_u32(put_u32(p, (uint32_t)v), (uint32_t)(v >> 32));
}

static uint8_t *put_bytes(uint8_t *p, const void *data, size_t len)
{
	if (len > 0)
		memcpy(p, data, len);
	return p + len;
}

static uint8_t *put_sum(uint8_t *p, const uint8_t *from)
{
	return put_u64(p, XXH3_64bits(from, (size_t)(p - from)));
}

static uint8_t *put_task(uint8_t *p, const struct checkpoint_task *t)
{
	const uint8_t *from = p;

	p = put_bytes(p, t->vertex.b, sizeof(t->vertex.b));
	p = put_u32(p, t->subtask);
	p = put_u32(p, t->parallelism);
	p = put_u32(p, t->max_parallelism);
	p = put_u32(p, t->finished);
	p = put_u64(p, t->len);
	p = put_bytes(p, t->data, t->len);
	return put_sum(p, from);
}

void *checkpoint_file_encode(const struct checkpoint_file *f, size_t *len)
{
	const char *name = f->job_name != NULL ? f->job_name : "";
	size_t name_len = strnlen(name, MAX_NAME);
	size_t total = HEADER_FIXED + name_len + SUM_BYTES + SUM_BYTES;
	uint8_t *data, *p;

	for (uint32_t i = 0; i < f->n_tasks; i++)
		total += TASK_FIXED + f->tasks[i].len + SUM_BYTES;
	data = p = xmalloc(total);
	p = put_bytes(p, MAGIC, 8);
	p = put_u32(p, CHECKPOINT_FORMAT);
	p = put_u32(p, (uint32_t)(HEADER_FIXED + name_len));
	p = put_u64(p, total);
	p = put_bytes(p, f->job_id.b, sizeof(f->job_id.b));
	p = put_u64(p, f->id);
	p = put_u64(p, f->attempt);
	p = put_u64(p, (uint64_t)f->trigger_wall_ms);
	p = put_u32(p, f->kind);
	p = put_u32(p, f->n_tasks);
	p = put_u32(p, (uint32_t)name_len);
	p = put_bytes(p, name, name_len);
	p = put_sum(p, data);
	for (uint32_t i = 0; i < f->n_tasks; i++)
		p = put_task(p, &f->tasks[i]);
	p = put_sum(p, data);
	ASSERT((size_t)(p - data) == total);
	*len = total;
	return data;
}

/* ---- reading ---- */

static uint32_t u32_at(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t u64_at(const uint8_t *p)
{
	return u32_at(p) | (uint64_t)u32_at(p + 4) << 32;
}

static bool sum_is_right(const uint8_t *block, size_t len)
{
	return XXH3_64bits(block, len) == u64_at(block + len);
}

static int decode_header(const uint8_t *p, size_t len, struct checkpoint_file *f, size_t *header_len,
    struct err *e)
{
	uint32_t format, name_len;

	if (len < 16 || memcmp(p, MAGIC, 8) != 0)
		return err_set(e, ERR_INVALID, "it is no checkpoint: %s",
		    len < 16 ? "it is shorter than a header" : "it begins with other bytes");
	format = u32_at(p + 8);
	if (format > CHECKPOINT_FORMAT)
		return err_set(e, ERR_INVALID,
		    "it is of format %" PRIu32
		    " and this version reads formats up to %d, or its header is damaged",
		    format, CHECKPOINT_FORMAT);
	*header_len = u32_at(p + 12);
	if (format == 0 || *header_len < HEADER_FIXED || *header_len > HEADER_FIXED + MAX_NAME ||
	    *header_len + 2 * SUM_BYTES > len || !sum_is_right(p, *header_len))
		return err_set(e, ERR_INVALID, "its header is damaged");
	if (u64_at(p + 16) != len)
		return err_set(e, ERR_INVALID, "it has %zu bytes and should have %" PRIu64, len,
		    u64_at(p + 16));
	memcpy(f->job_id.b, p + 24, sizeof(f->job_id.b));
	f->id = u64_at(p + 40);
	f->attempt = u64_at(p + 48);
	f->trigger_wall_ms = (int64_t)u64_at(p + 56);
	f->kind = (enum checkpoint_kind)u32_at(p + 64);
	f->n_tasks = u32_at(p + 68);
	name_len = u32_at(p + 72);
	if (name_len != *header_len - HEADER_FIXED || memchr(p + HEADER_FIXED, '\0', name_len) != NULL ||
	    f->id == 0 || u32_at(p + 64) > CHECKPOINT_SYNC_SAVEPOINT ||
	    f->n_tasks > (len - *header_len) / (TASK_FIXED + SUM_BYTES))
		return err_set(e, ERR_INVALID, "its header says what cannot be");
	f->job_name = xstrndup((const char *)p + HEADER_FIXED, name_len);
	*header_len += SUM_BYTES;
	return 0;
}

/* One task at *off, which is moved behind it; end is where the tasks end. */
static int decode_task(const uint8_t *p, size_t end, size_t *off, struct checkpoint_task *t, struct err *e)
{
	const uint8_t *q = p + *off;
	size_t room = end - *off;

	if (room < TASK_FIXED + SUM_BYTES || u64_at(q + 32) > room - TASK_FIXED - SUM_BYTES)
		return err_set(e, ERR_INVALID, "the entry at offset %zu goes beyond the end", *off);
	t->len = (size_t)u64_at(q + 32);
	if (!sum_is_right(q, TASK_FIXED + t->len))
		return err_set(e, ERR_INVALID, "the entry at offset %zu is damaged", *off);
	memcpy(t->vertex.b, q, sizeof(t->vertex.b));
	t->subtask = u32_at(q + 16);
	t->parallelism = u32_at(q + 20);
	t->max_parallelism = u32_at(q + 24);
	t->finished = u32_at(q + 28) == 1;
	t->data = t->len > 0 ? q + TASK_FIXED : NULL;
	if (t->parallelism == 0 || t->parallelism > t->max_parallelism ||
	    t->max_parallelism > MAX_PARALLELISM || t->subtask >= t->parallelism || u32_at(q + 28) > 1 ||
	    (t->finished && t->len > 0))
		return err_set(e, ERR_INVALID, "the entry at offset %zu says what cannot be", *off);
	*off += TASK_FIXED + t->len + SUM_BYTES;
	return 0;
}

static int by_vertex(const void *a, const void *b)
{
	const struct checkpoint_task *x = *(const struct checkpoint_task *const *)a;
	const struct checkpoint_task *y = *(const struct checkpoint_task *const *)b;
	int order = memcmp(x->vertex.b, y->vertex.b, sizeof(x->vertex.b));

	return order != 0 ? order : (x->subtask > y->subtask) - (x->subtask < y->subtask);
}

/* Every vertex with all of its subtasks, each once, of one parallelism. */
static int check_complete(const struct checkpoint_file *f, struct err *e)
{
	const struct checkpoint_task **sorted = xcalloc((size_t)f->n_tasks + 1, sizeof(*sorted));
	uint32_t expected = 0;
	int rc = 0;

	for (uint32_t i = 0; i < f->n_tasks; i++)
		sorted[i] = &f->tasks[i];
	qsort(sorted, f->n_tasks, sizeof(*sorted), by_vertex);
	for (uint32_t i = 0; rc == 0 && i < f->n_tasks; i++) {
		const struct checkpoint_task *t = sorted[i], *first = sorted[i - expected];
		char hex[ID_HEX_SIZE];

		if (t->subtask != expected || !id_equal(&t->vertex, &first->vertex) ||
		    t->parallelism != first->parallelism || t->max_parallelism != first->max_parallelism)
			rc = err_set(e, ERR_INVALID,
			    "it does not hold each of the %" PRIu32 " subtasks of vertex %s once",
			    first->parallelism, id_hex(&first->vertex, hex));
		expected = expected + 1 < t->parallelism ? expected + 1 : 0;
	}
	if (rc == 0 && expected != 0)
		rc = err_set(e, ERR_INVALID, "the last of its vertices lacks subtasks");
	free(sorted);
	return rc;
}

int checkpoint_file_decode(const void *data, size_t len, struct checkpoint_file *f, struct err *e)
{
	const uint8_t *p = data;
	size_t off = 0;

	memset(f, 0, sizeof(*f));
	if (len > CHECKPOINT_FILE_MAX)
		return err_set(e, ERR_TOO_LARGE, "it has %zu bytes, over the limit of %u", len,
		    CHECKPOINT_FILE_MAX);
	if (decode_header(p, len, f, &off, e) < 0)
		goto fail;
	len -= SUM_BYTES;
	f->tasks = xcalloc((size_t)f->n_tasks + 1, sizeof(*f->tasks));
	for (uint32_t i = 0; i < f->n_tasks; i++) {
		if (decode_task(p, len, &off, &f->tasks[i], e) < 0)
			goto fail;
	}
	if (off != len) {
		err_set(e, ERR_INVALID, "%zu bytes follow its last entry", len - off);
		goto fail;
	}
	if (!sum_is_right(p, len)) {
		err_set(e, ERR_INVALID, "its last checksum is damaged");
		goto fail;
	}
	if (check_complete(f, e) < 0)
		goto fail;
	return 0;
fail:
	checkpoint_file_fini(f);
	return -1;
}

void checkpoint_file_fini(struct checkpoint_file *f)
{
	free(f->job_name);
	free(f->tasks);
	memset(f, 0, sizeof(*f));
}
