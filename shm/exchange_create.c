/*
 * The supervisor's side of an exchange: lay it out, write header and ring table,
 * seal it.  No page of a ring is touched here: the memory is the workers'.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "shm/exchange.h"
#include "shm/ring_map.h"

#define EDGE_BYTES (8u << 20) /* of all inbound rings of a slot on one edge */

uint32_t exchange_ring_size(uint32_t n_inbound)
{
	uint32_t size = RING_SIZE_MAX;

	while (size > RING_SIZE_MIN && (uint64_t)size * n_inbound > EDGE_BYTES)
		size /= 2;
	return size;
}

static uint64_t page_up(uint64_t n)
{
	return (n + RING_PAGE - 1) & ~(uint64_t)(RING_PAGE - 1);
}

static int check_spec(const struct exchange_spec *spec, struct err *e)
{
	if (spec->n_slots == 0 || spec->n_slots > EXCHANGE_SLOTS_MAX)
		return err_set(e, ERR_INVALID, "an exchange has 1 to %d slots, not %" PRIu32,
		    EXCHANGE_SLOTS_MAX,
		    spec->n_slots);
	if (spec->n_rings > EXCHANGE_RINGS_MAX)
		return err_set(e, ERR_TOO_LARGE, "the job needs %" PRIu32 " rings, at most %u are possible: "
		    "lower its parallelism", spec->n_rings, EXCHANGE_RINGS_MAX);
	for (uint32_t id = 0; id < spec->n_rings; id++) {
		const struct exchange_ring_spec *r = &spec->rings[id];

		if (r->size_bytes < RING_SIZE_MIN || r->size_bytes > RING_SIZE_MAX ||
		    (r->size_bytes & (r->size_bytes - 1)) != 0)
			return err_set(e, ERR_INVALID, "ring %" PRIu32 " cannot have %" PRIu32
			    " bytes: a power of two in %u..%u is needed", id, r->size_bytes, RING_SIZE_MIN,
			    RING_SIZE_MAX);
		if (r->producer_slot >= spec->n_slots || r->consumer_slot >= spec->n_slots)
			return err_set(e, ERR_INVALID, "ring %" PRIu32 " joins slot %" PRIu32 " to %" PRIu32
			    ", but there are %" PRIu32, id, r->producer_slot, r->consumer_slot,
			    spec->n_slots);
	}
	return 0;
}

static int write_at(int fd, const void *buf, size_t len, uint64_t off, struct err *e)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pwrite(fd, (const uint8_t *)buf + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set_errno(e, ERR_UNAVAILABLE, "cannot write the exchange's ring table");
		done += (size_t)n;
	}
	return 0;
}

static int fill(int fd, struct exchange_header *h, const struct exchange_ring_entry *table, struct err *e)
{
	const uint32_t version = h->version;

	if (ftruncate(fd, (off_t)h->total_bytes) != 0)
		return err_set_errno(e, ERR_UNAVAILABLE, "cannot size the exchange to %" PRIu64 " MiB",
		    h->total_bytes >> 20);
	/* The version last: before it, nobody takes the rest for an exchange. */
	h->version = 0;
	if (write_at(fd, table, h->n_rings * sizeof(*table), h->table_off, e) != 0 ||
	    write_at(fd, h, sizeof(*h), 0, e) != 0 ||
	    write_at(fd, &version, sizeof(version), offsetof(struct exchange_header, version), e) != 0)
		return -1;
	/* Nobody, not even a wild worker, can truncate it under another's feet. */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		return err_set_errno(e, ERR_IO, "cannot seal the exchange");
	return 0;
}

int exchange_create(const struct exchange_spec *spec, struct err *e)
{
	struct exchange_header h = {
		.magic = EXCHANGE_MAGIC,
		.version = EXCHANGE_VERSION,
		.header_bytes = sizeof(h),
		.job_id = spec->job_id,
		.attempt = spec->attempt,
		.n_slots = spec->n_slots,
		.n_rings = spec->n_rings,
		.table_off = RING_PAGE,
	};
	struct exchange_ring_entry *table;
	int fd;

	if (check_spec(spec, e) != 0)
		return -1;
	h.slots_off = h.table_off + page_up(spec->n_rings * (uint64_t)sizeof(*table));
	h.total_bytes = h.slots_off + spec->n_slots * (uint64_t)sizeof(struct slot_page);
	table = xcalloc(spec->n_rings + 1, sizeof(*table));
	for (uint32_t id = 0; id < spec->n_rings; id++) {
		table[id].ring_off = h.total_bytes;
		table[id].size_bytes = spec->rings[id].size_bytes;
		table[id].producer_slot = spec->rings[id].producer_slot;
		table[id].consumer_slot = spec->rings[id].consumer_slot;
		h.total_bytes += ring_file_size(table[id].size_bytes);
	}
	fd = memfd_create("weir-exchange", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0) {
		err_set_errno(e, ERR_UNAVAILABLE, "cannot create the exchange");
	} else if (fill(fd, &h, table, e) != 0) {
		close(fd);
		fd = -1;
	}
	free(table);
	return fd;
}
