/*
 * Bodies of control messages: little-endian numbers, length-prefixed strings.
 * Writing grows the buffer; reading believes nothing.
 */
#include "base/msg.h"

#include <endian.h>

#include "base/mem.h"

static const char *const type_names[MSG_N_TYPES] = {
#define MSG(name, from, sentence) [MSG_##name] = #name,
#include "base/msg.def"
#undef MSG
};

const char *msg_type_name(unsigned type)
{
	return type < MSG_N_TYPES && type_names[type] != NULL ? type_names[type] : "?";
}

void msg_writer_init(struct msg_writer *w)
{
	w->data = NULL;
	w->len = 0;
	w->cap = 0;
	w->n_fds = 0;
}

void msg_writer_fini(struct msg_writer *w)
{
	free(w->data);
	msg_writer_init(w);
}

static void put(struct msg_writer *w, const void *p, size_t len)
{
	if (len > w->cap - w->len) {
		size_t cap = w->cap > 0 ? w->cap : 128;

		ASSERT(len <= SIZE_MAX / 4 && w->len <= SIZE_MAX / 4);
		while (cap - w->len < len)
			cap *= 2;
		w->data = xreallocarray(w->data, cap, 1);
		w->cap = cap;
	}
	if (len > 0)
		memcpy(w->data + w->len, p, len);
	w->len += len;
}

void msg_put_u8(struct msg_writer *w, uint8_t v)
{
	put(w, &v, sizeof(v));
}

void msg_put_u32(struct msg_writer *w, uint32_t v)
{
	v = htole32(v);
	put(w, &v, sizeof(v));
}

void msg_put_u64(struct msg_writer *w, uint64_t v)
{
	v = htole64(v);
	put(w, &v, sizeof(v));
}

void msg_put_i64(struct msg_writer *w, int64_t v)
{
	msg_put_u64(w, (uint64_t)v);
}

void msg_put_bytes(struct msg_writer *w, const void *p, size_t len)
{
	ASSERT(len <= UINT32_MAX);
	msg_put_u32(w, (uint32_t)len);
	put(w, p, len);
}

void msg_put_str(struct msg_writer *w, const char *s)
{
	if (s == NULL)
		s = "";
	/* With its NUL, so that the reader need not copy it. */
	msg_put_bytes(w, s, strlen(s) + 1);
}

void msg_put_id(struct msg_writer *w, const struct id128 *id)
{
	put(w, id->b, sizeof(id->b));
}

void msg_put_fd(struct msg_writer *w, int fd)
{
	ASSERT(fd >= 0 && w->n_fds < MSG_FDS_MAX);
	w->fds[w->n_fds++] = fd;
}

/* The next len bytes, or NULL where there are fewer: then the reader is bad for good. */
static const void *take(struct msg_reader *r, size_t len)
{
	const uint8_t *p = r->p;

	if (r->bad || len > (size_t)(r->end - p)) {
		r->bad = true;
		r->p = r->end;
		return NULL;
	}
	r->p = p + len;
	return p;
}

uint8_t msg_get_u8(struct msg_reader *r)
{
	const uint8_t *p = take(r, 1);

	return p != NULL ? *p : 0;
}

uint32_t msg_get_u32(struct msg_reader *r)
{
	const void *p = take(r, sizeof(uint32_t));
	uint32_t v = 0;

	if (p != NULL)
		memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

uint64_t msg_get_u64(struct msg_reader *r)
{
	const void *p = take(r, sizeof(uint64_t));
	uint64_t v = 0;

	if (p != NULL)
		memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

int64_t msg_get_i64(struct msg_reader *r)
{
	return (int64_t)msg_get_u64(r);
}

const void *msg_get_bytes(struct msg_reader *r, size_t *len)
{
	uint32_t n = msg_get_u32(r);
	const void *p = take(r, n);

	*len = p != NULL ? n : 0;
	return p != NULL ? p : "";
}

const char *msg_get_str(struct msg_reader *r)
{
	size_t len;
	const char *s = msg_get_bytes(r, &len);

	/* Exactly one NUL, at the end. */
	if (r->bad || len == 0 || memchr(s, '\0', len) != s + len - 1) {
		r->bad = true;
		r->p = r->end;
		return "";
	}
	return s;
}

void msg_get_id(struct msg_reader *r, struct id128 *id)
{
	const void *p = take(r, sizeof(id->b));

	memset(id->b, 0, sizeof(id->b));
	if (p != NULL)
		memcpy(id->b, p, sizeof(id->b));
}

int msg_get_fd(struct msg_reader *r)
{
	int fd;

	if (r->next_fd >= r->n_fds)
		return -1;
	fd = r->fds[r->next_fd];
	r->fds[r->next_fd++] = -1;
	return fd;
}

bool msg_reader_ok(const struct msg_reader *r)
{
	return !r->bad && r->p == r->end;
}
