/*
 * Durable checkpoints, by age.
 */
#include "supervisor/checkpoint_retention.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

void retention_init(struct retention *r)
{
	memset(r, 0, sizeof(*r));
	r->latest_fd = -1;
}

void retention_fini(struct retention *r)
{
	for (uint32_t i = 0; i < r->n_kept; i++)
		free(r->kept[i].path);
	if (r->latest_fd >= 0)
		close(r->latest_fd);
	free(r->kept);
	free(r->latest_path);
}

int retention_bytes(const struct checkpoint_file *f, struct err *e)
{
	size_t len;
	void *data = checkpoint_file_encode(f, &len);
	int fd = -1;

	if (len > CHECKPOINT_FILE_MAX)
		err_set(e, ERR_TOO_LARGE, "its state has %zu bytes, over the limit of %u", len,
		    CHECKPOINT_FILE_MAX);
	else
		fd = file_memfd("checkpoint", data, len, e);
	free(data);
	return fd;
}

void retention_set_latest(struct retention *r, uint64_t id, int fd, enum checkpoint_kind kind,
    const char *path)
{
	/* Either may be what is here already. */
	char *copy = path != NULL ? xstrdup(path) : NULL;

	if (r->latest_fd >= 0 && r->latest_fd != fd)
		close(r->latest_fd);
	free(r->latest_path);
	r->latest_id = id;
	r->latest_fd = fd;
	r->latest_kind = kind;
	r->latest_path = copy;
}

void retention_keep(struct retention *r, uint64_t id, const char *path)
{
	uint32_t i;

	for (i = 0; i < r->n_kept; i++) {
		if (r->kept[i].id == id)
			return;
	}
	VEC_RESERVE(r->kept, r->n_kept, r->cap);
	for (i = r->n_kept++; i > 0 && r->kept[i - 1].id > id; i--)
		r->kept[i] = r->kept[i - 1];
	r->kept[i] = (struct retained){ id, xstrdup(path) };
}

bool retention_take_surplus(struct retention *r, uint32_t n_allowed, struct retained *oldest)
{
	if (r->n_kept <= n_allowed)
		return false;
	*oldest = r->kept[0];
	memmove(&r->kept[0], &r->kept[1], --r->n_kept * sizeof(r->kept[0]));
	return true;
}
