/*
 * Writing and reading a task's part of a checkpoint.
 *
 *   section  operator id (16), u32 length, then its parts
 *   part     u8 1, u32 key group, u32 length, bytes
 *            u8 2, u8 length of name, name, u32 length, bytes
 */
#include "worker/state/snapshot.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"

enum part_kind { PART_GROUP = 1, PART_ENTRY };

#define NAME_MAX_LEN (sizeof(((struct snapshot_part *)0)->name) - 1)

/* ------------------------------------------------------------- writing */

void snapshot_writer_init(struct snapshot_writer *w)
{
	memset(w, 0, sizeof(*w));
}

void snapshot_writer_fini(struct snapshot_writer *w)
{
	free(w->data);
	memset(w, 0, sizeof(*w));
}

static uint8_t *extend(struct snapshot_writer *w, size_t len)
{
	uint8_t *p;

	if (w->cap - w->len < len) {
		size_t cap = w->cap != 0 ? w->cap : 256;

		while (cap - w->len < len)
			cap *= 2;
		w->data = xreallocarray(w->data, 1, cap);
		w->cap = cap;
	}
	p = w->data + w->len;
	w->len += len;
	return p;
}

static void store(uint8_t *p, uint64_t v, unsigned n_bytes)
{
	for (unsigned i = 0; i < n_bytes; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static void put(struct snapshot_writer *w, uint64_t v, unsigned n_bytes)
{
	store(extend(w, n_bytes), v, n_bytes);
}

/* The length that was left open at `at` is what has come since. */
static void close_length(struct snapshot_writer *w, size_t at)
{
	size_t len = w->len - at - sizeof(uint32_t);

	ASSERT(len <= UINT32_MAX);
	store(w->data + at, len, sizeof(uint32_t));
}

void snapshot_begin(struct snapshot_writer *w, const struct id128 *operator_id)
{
	ASSERT(w->section == 0);
	memcpy(extend(w, sizeof(operator_id->b)), operator_id->b, sizeof(operator_id->b));
	w->section = w->len;
	put(w, 0, sizeof(uint32_t));
}

void snapshot_end(struct snapshot_writer *w)
{
	ASSERT(w->section != 0 && w->group == 0);
	close_length(w, w->section);
	w->section = 0;
}

void snapshot_begin_group(struct snapshot_writer *w, uint32_t key_group)
{
	ASSERT(w->section != 0 && w->group == 0);
	put(w, PART_GROUP, 1);
	put(w, key_group, sizeof(uint32_t));
	w->group = w->len;
	put(w, 0, sizeof(uint32_t));
}

void snapshot_begin_entry(struct snapshot_writer *w, const char *name)
{
	size_t len = strlen(name);

	ASSERT(w->section != 0 && w->group == 0 && len > 0 && len <= NAME_MAX_LEN);
	put(w, PART_ENTRY, 1);
	put(w, len, 1);
	memcpy(extend(w, len), name, len);
	w->group = w->len;
	put(w, 0, sizeof(uint32_t));
}

void snapshot_end_part(struct snapshot_writer *w)
{
	ASSERT(w->group != 0);
	close_length(w, w->group);
	w->group = 0;
}

void snapshot_put_u32(struct snapshot_writer *w, uint32_t v)
{
	ASSERT(w->group != 0);
	put(w, v, sizeof(v));
}

void snapshot_put_u64(struct snapshot_writer *w, uint64_t v)
{
	ASSERT(w->group != 0);
	put(w, v, sizeof(v));
}

void snapshot_put_i64(struct snapshot_writer *w, int64_t v)
{
	snapshot_put_u64(w, (uint64_t)v);
}

void snapshot_put_bytes(struct snapshot_writer *w, const void *p, size_t len)
{
	ASSERT(len <= UINT32_MAX);
	snapshot_put_u32(w, (uint32_t)len);
	if (len > 0)
		memcpy(extend(w, len), p, len);
}

void snapshot_put_str(struct snapshot_writer *w, const char *s)
{
	snapshot_put_bytes(w, s, strlen(s) + 1); /* with its NUL: a reader borrows it */
}

/* ------------------------------------------------------------- reading */

/* The next len bytes, or NULL and bad from then on. */
static const uint8_t *take(struct snapshot_part *r, size_t len)
{
	const uint8_t *p = r->p;

	if (r->bad || (size_t)(r->end - r->p) < len) {
		r->bad = true;
		r->p = r->end;
		return NULL;
	}
	r->p += len;
	return p;
}

static uint64_t get(struct snapshot_part *r, unsigned n_bytes)
{
	const uint8_t *p = take(r, n_bytes);
	uint64_t v = 0;

	for (unsigned i = 0; p != NULL && i < n_bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

uint32_t snapshot_get_u32(struct snapshot_part *r)
{
	return (uint32_t)get(r, sizeof(uint32_t));
}

uint64_t snapshot_get_u64(struct snapshot_part *r)
{
	return get(r, sizeof(uint64_t));
}

int64_t snapshot_get_i64(struct snapshot_part *r)
{
	return (int64_t)get(r, sizeof(int64_t));
}

const void *snapshot_get_bytes(struct snapshot_part *r, size_t *len)
{
	uint32_t n = snapshot_get_u32(r);
	const uint8_t *p = take(r, n);

	*len = p != NULL ? n : 0;
	return p != NULL ? p : r->end;
}

const char *snapshot_get_str(struct snapshot_part *r)
{
	size_t len;
	const char *s = snapshot_get_bytes(r, &len);

	if (len == 0 || memchr(s, '\0', len) != s + len - 1) {
		r->bad = true;
		r->p = r->end;
		return "";
	}
	return s;
}

bool snapshot_part_ok(const struct snapshot_part *r)
{
	return !r->bad && r->p == r->end;
}

static int damaged(struct err *e, const void *data, const uint8_t *at, const char *what)
{
	return err_set(e, ERR_INVALID, "the state is damaged at byte %zu: %s",
	    (size_t)(at - (const uint8_t *)data), what);
}

/* The part that begins at body->p; body moves behind it. NULL, or what is wrong with it. */
static const char *next_part(struct snapshot_part *body, struct snapshot_part *part)
{
	uint64_t kind = get(body, 1);
	size_t len;

	memset(part, 0, sizeof(*part));
	if (kind == PART_GROUP) {
		part->keyed = true;
		part->key_group = snapshot_get_u32(body);
	} else if (kind == PART_ENTRY) {
		size_t n = (size_t)get(body, 1);
		const uint8_t *name = n > 0 && n <= NAME_MAX_LEN ? take(body, n) : NULL;

		if (name == NULL || memchr(name, '\0', n) != NULL)
			return "an entry has no proper name";
		memcpy(part->name, name, n);
	} else {
		return "it is neither a key group nor an entry";
	}
	part->p = snapshot_get_bytes(body, &len);
	part->end = part->p + len;
	return body->bad ? "it ends within a part" : NULL;
}

static int each_part(const void *data, struct snapshot_part body, snapshot_part_fn *fn, void *arg,
    struct err *e)
{
	int64_t last_group = -1;

	while (body.p < body.end) {
		const uint8_t *at = body.p;
		struct snapshot_part part;
		const char *wrong = next_part(&body, &part);

		if (wrong != NULL)
			return damaged(e, data, at, wrong);
		if (part.keyed && (int64_t)part.key_group <= last_group)
			return damaged(e, data, at, "its key groups are out of order");
		if (part.keyed)
			last_group = part.key_group;
		if (fn(arg, &part, e) < 0)
			return -1;
	}
	return 0;
}

/* The section that begins at all->p; all moves behind it. */
static bool next_section(struct snapshot_part *all, struct id128 *id, struct snapshot_part *body)
{
	const uint8_t *p = take(all, sizeof(id->b));
	size_t len;

	if (p != NULL)
		memcpy(id->b, p, sizeof(id->b));
	memset(body, 0, sizeof(*body));
	body->p = snapshot_get_bytes(all, &len);
	body->end = body->p + len;
	return !all->bad;
}

int snapshot_each(const void *data, size_t len, const struct id128 *operator_id, snapshot_part_fn *fn,
    void *arg, struct err *e)
{
	struct snapshot_part all = { .p = data, .end = len > 0 ? (const uint8_t *)data + len : data };

	while (all.p < all.end) {
		const uint8_t *at = all.p;
		struct snapshot_part body;
		struct id128 id;

		if (!next_section(&all, &id, &body))
			return damaged(e, data, at, "it ends within an operator");
		if (id_equal(&id, operator_id) && each_part(data, body, fn, arg, e) < 0)
			return -1;
	}
	return 0;
}

int snapshot_operators(const void *data, size_t len, snapshot_operator_fn *fn, void *arg, struct err *e)
{
	struct snapshot_part all = { .p = data, .end = len > 0 ? (const uint8_t *)data + len : data };

	while (all.p < all.end) {
		const uint8_t *at = all.p;
		struct snapshot_part body;
		struct id128 id;

		if (!next_section(&all, &id, &body))
			return damaged(e, data, at, "it ends within an operator");
		if (fn(arg, &id, (size_t)(body.end - body.p), e) < 0)
			return -1;
	}
	return 0;
}
