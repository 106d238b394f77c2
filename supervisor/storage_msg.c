/*
 * Requests to the storage process and its answers, as bytes.
 */
#include "supervisor/storage_msg.h"

#include <unistd.h>

#include "base/mem.h"

void storage_encode_request(struct msg_writer *w, const struct storage_request *q)
{
	msg_put_u64(w, q->id);
	msg_put_u8(w, (uint8_t)q->op);
	msg_put_str(w, q->dir);
	msg_put_str(w, q->name);
	msg_put_bytes(w, q->data, q->len);
	if (q->fd >= 0)
		msg_put_fd(w, q->fd);
}

int storage_decode_request(struct msg_reader *r, struct storage_request *q, struct err *e)
{
	uint8_t op;

	q->id = msg_get_u64(r);
	op = msg_get_u8(r);
	q->dir = msg_get_str(r);
	q->name = msg_get_str(r);
	q->data = msg_get_bytes(r, &q->len);
	q->fd = msg_get_fd(r);
	if (!msg_reader_ok(r) || op >= STORAGE_N_OPS || (q->fd >= 0) != (op == STORAGE_PUT_FD)) {
		if (q->fd >= 0)
			close(q->fd);
		return err_set(e, ERR_INTERNAL, "a STORE message does not verify");
	}
	q->op = (enum storage_op)op;
	return 0;
}

void storage_encode_answer(struct msg_writer *w, uint64_t id, const struct storage_answer *a)
{
	msg_put_u64(w, id);
	msg_put_u8(w, (uint8_t)a->err.code);
	msg_put_str(w, a->err.code != ERR_NONE ? a->err.msg : "");
	msg_put_str(w, a->path);
	msg_put_str(w, a->sha256);
	msg_put_i64(w, a->size_bytes);
	msg_put_u8(w, a->data != NULL);
	/* The NUL behind travels, too, so that the reader need not copy. */
	if (a->data != NULL)
		msg_put_bytes(w, a->data, (size_t)a->size_bytes + 1);
	msg_put_u32(w, a->n_entries);
	for (uint32_t i = 0; i < a->n_entries; i++) {
		msg_put_str(w, a->entries[i].name);
		msg_put_i64(w, a->entries[i].size_bytes);
		msg_put_i64(w, a->entries[i].mtime_ms);
	}
	if (a->has_fd)
		msg_put_fd(w, a->fd);
}

int storage_decode_answer(struct msg_reader *r, uint64_t *id, struct storage_answer *a, struct err *e)
{
	struct storage_entry *entries;
	uint8_t code, has_data;
	const char *text;
	uint32_t n;
	size_t len = 0;

	memset(a, 0, sizeof(*a));
	*id = msg_get_u64(r);
	code = msg_get_u8(r);
	text = msg_get_str(r);
	a->path = msg_get_str(r);
	a->sha256 = msg_get_str(r);
	a->size_bytes = msg_get_i64(r);
	has_data = msg_get_u8(r);
	if (has_data > 0)
		a->data = msg_get_bytes(r, &len);
	n = msg_get_u32(r);
	if (r->bad || code >= ERR_N_CODES || a->size_bytes < 0 ||
	    (has_data > 0 &&
		(len != (size_t)a->size_bytes + 1 || ((const char *)a->data)[len - 1] != '\0')) ||
	    n > (size_t)(r->end - r->p) / 20)
		return err_set(e, ERR_INTERNAL, "a STORED message does not verify");
	entries = xcalloc((size_t)n + 1, sizeof(*entries));
	a->entries = entries;
	for (; a->n_entries < n; a->n_entries++) {
		struct storage_entry *entry = &entries[a->n_entries];

		entry->name = xstrdup(msg_get_str(r));
		entry->size_bytes = msg_get_i64(r);
		entry->mtime_ms = msg_get_i64(r);
	}
	a->fd = msg_get_fd(r);
	a->has_fd = a->fd >= 0;
	if (!msg_reader_ok(r)) {
		storage_answer_fini(a);
		return err_set(e, ERR_INTERNAL, "a STORED message does not verify");
	}
	if (code != ERR_NONE)
		err_set(&a->err, (enum err_code)code, "%s", text);
	return 0;
}

void storage_answer_fini(struct storage_answer *a)
{
	for (uint32_t i = 0; i < a->n_entries; i++)
		free(a->entries[i].name);
	/* Ours since storage_decode_answer made it. */
	free((void *)(uintptr_t)a->entries);
	a->entries = NULL;
	a->n_entries = 0;
	if (a->has_fd)
		close(a->fd);
	a->has_fd = false;
}
