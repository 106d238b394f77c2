/*
 * The worker's side of an exchange: check it, then map what concerns this process.
 */
#include "shm/exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "shm/ring_map.h"

#define SEALS_NEEDED (F_SEAL_SHRINK | F_SEAL_GROW)

struct exchange {
	int fd;
	struct exchange_header header; /* copied, then checked: the memfd itself is not asked again */
	struct exchange_ring_entry *table;
	bool *own;              /* n_slots: lives in this process */
	uint8_t *slots_ro;      /* all slot pages */
	void **slots_rw;        /* n_slots: our own ones again, writable; others NULL */
	struct doorbell *bells; /* n_slots */
	pthread_mutex_t lock;   /* of the two below: rings are mapped by connector threads and slots alike */
	void **mapped;          /* n_rings: what ring_map gave */
	uint64_t mapped_bytes;
};

static int read_at(int fd, void *buf, size_t len, uint64_t off, struct err *e)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (uint8_t *)buf + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set_errno(e, ERR_IO, "cannot read it");
		if (n == 0)
			return err_set(e, ERR_INTERNAL, "it ends at byte %" PRIu64, off + done);
		done += (size_t)n;
	}
	return 0;
}

static bool inside(const struct exchange_header *h, uint64_t off, uint64_t len)
{
	return off % RING_PAGE == 0 && off >= RING_PAGE && off <= h->total_bytes &&
	    len <= h->total_bytes - off;
}

static int check_header(int fd, const struct exchange_header *h, const struct id128 *job_id,
    uint64_t attempt, uint32_t n_slots, struct err *e)
{
	char got[ID_HEX_SIZE], want[ID_HEX_SIZE];
	struct stat st;
	int seals;

	if (h->magic != EXCHANGE_MAGIC)
		return err_set(e, ERR_INTERNAL, "its magic number is wrong");
	if (h->version != EXCHANGE_VERSION || h->header_bytes != sizeof(*h))
		return err_set(e, ERR_INTERNAL, "it has version %" PRIu32 " with a header of %" PRIu32
		    " bytes, this program version %d with %zu", h->version, h->header_bytes, EXCHANGE_VERSION,
		    sizeof(*h));
	if (!id_equal(&h->job_id, job_id))
		return err_set(e, ERR_INTERNAL, "it belongs to job %s, not to %s", id_hex(&h->job_id, got),
		    id_hex(job_id, want));
	if (h->attempt != attempt)
		return err_set(e, ERR_INTERNAL, "it belongs to attempt %" PRIu64 ", not to %" PRIu64,
		    h->attempt,
		    attempt);
	if (fstat(fd, &st) != 0)
		return err_set_errno(e, ERR_IO, "cannot ask for its size");
	if (st.st_size < 0 || (uint64_t)st.st_size != h->total_bytes)
		return err_set(e, ERR_INTERNAL, "it has %" PRId64 " bytes, its header says %" PRIu64,
		    (int64_t)st.st_size, h->total_bytes);
	/* Without the seals another process could truncate it under us: a fault at the next access. */
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & SEALS_NEEDED) != SEALS_NEEDED)
		return err_set(e, ERR_INTERNAL, "it is not sealed against a change of its size");
	if (h->n_slots == 0 || h->n_slots > EXCHANGE_SLOTS_MAX || h->n_slots != n_slots)
		return err_set(e, ERR_INTERNAL, "it has %" PRIu32 " slots, the deployment %" PRIu32,
		    h->n_slots,
		    n_slots);
	if (h->n_rings > EXCHANGE_RINGS_MAX)
		return err_set(e, ERR_INTERNAL, "it has %" PRIu32 " rings, at most %u are possible",
		    h->n_rings, EXCHANGE_RINGS_MAX);
	if (!inside(h, h->table_off, h->n_rings * (uint64_t)sizeof(struct exchange_ring_entry)))
		return err_set(e, ERR_INTERNAL, "its ring table lies outside of it");
	if (!inside(h, h->slots_off, h->n_slots * (uint64_t)sizeof(struct slot_page)))
		return err_set(e, ERR_INTERNAL, "its slot pages lie outside of it");
	return 0;
}

static int check_table(const struct exchange *x, struct err *e)
{
	for (uint32_t id = 0; id < x->header.n_rings; id++) {
		const struct exchange_ring_entry *r = &x->table[id];

		if (r->size_bytes < RING_SIZE_MIN || r->size_bytes > RING_SIZE_MAX ||
		    (r->size_bytes & (r->size_bytes - 1)) != 0)
			return err_set(e, ERR_INTERNAL, "ring %" PRIu32 " has a size of %" PRIu32, id,
			    r->size_bytes);
		if (r->producer_slot >= x->header.n_slots || r->consumer_slot >= x->header.n_slots)
			return err_set(e, ERR_INTERNAL, "ring %" PRIu32 " joins slot %" PRIu32 " to %" PRIu32
			    " of %" PRIu32, id, r->producer_slot, r->consumer_slot, x->header.n_slots);
		if (!inside(&x->header, r->ring_off, ring_file_size(r->size_bytes)))
			return err_set(e, ERR_INTERNAL, "ring %" PRIu32 " lies outside of it", id);
	}
	return 0;
}

static int map_slots(struct exchange *x, const int *eventfds, struct err *e)
{
	const struct exchange_header *h = &x->header;
	size_t len = h->n_slots * sizeof(struct slot_page);
	void *p;

	/* Reading another slot's page that is not there yet would take memory too: reserve all. */
	if (shm_reserve(x->fd, h->slots_off, len, e) != 0)
		return -1;
	p = mmap(NULL, len, PROT_READ, MAP_SHARED | MAP_POPULATE, x->fd, (off_t)h->slots_off);
	if (p == MAP_FAILED)
		return shm_map_failed(len, e);
	x->slots_ro = p;
	for (uint32_t i = 0; i < h->n_slots; i++) {
		x->bells[i].eventfd = eventfds[i];
		x->bells[i].page = (struct slot_page *)(void *)(x->slots_ro + i * sizeof(struct slot_page));
		if (!x->own[i])
			continue;
		p = mmap(NULL, sizeof(struct slot_page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		    x->fd,
		    (off_t)(h->slots_off + i * sizeof(struct slot_page)));
		if (p == MAP_FAILED)
			return shm_map_failed(sizeof(struct slot_page), e);
		x->slots_rw[i] = p;
		x->bells[i].page = p;
	}
	return 0;
}

static int attach(struct exchange *x, int fd, const struct id128 *job_id, uint64_t attempt,
    const uint32_t *own_slots, uint32_t n_own, const int *eventfds, uint32_t n_slots, struct err *e)
{
	struct exchange_header *h = &x->header;

	x->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (x->fd < 0)
		return err_set_errno(e, ERR_UNAVAILABLE, "cannot duplicate its descriptor");
	if (read_at(x->fd, h, sizeof(*h), 0, e) != 0 ||
	    check_header(x->fd, h, job_id, attempt, n_slots, e) != 0)
		return -1;
	x->table = xcalloc(h->n_rings + 1, sizeof(*x->table));
	x->mapped = xcalloc(h->n_rings + 1, sizeof(*x->mapped));
	x->own = xcalloc(n_slots, sizeof(*x->own));
	x->bells = xcalloc(n_slots, sizeof(*x->bells));
	x->slots_rw = xcalloc(n_slots, sizeof(*x->slots_rw));
	if (read_at(x->fd, x->table, h->n_rings * sizeof(*x->table), h->table_off, e) != 0 ||
	    check_table(x, e) != 0)
		return -1;
	for (uint32_t i = 0; i < n_own; i++) {
		if (own_slots[i] >= n_slots)
			return err_set(e, ERR_INTERNAL, "slot %" PRIu32 " is not one of its %" PRIu32,
			    own_slots[i], n_slots);
		x->own[own_slots[i]] = true;
	}
	return map_slots(x, eventfds, e);
}

struct exchange *exchange_attach(int fd, const struct id128 *job_id, uint64_t attempt,
    const uint32_t *own_slots, uint32_t n_own, const int *eventfds, uint32_t n_slots, struct err *e)
{
	struct exchange *x = xcalloc(1, sizeof(*x));

	pthread_mutex_init(&x->lock, NULL);
	if (attach(x, fd, job_id, attempt, own_slots, n_own, eventfds, n_slots, e) != 0) {
		err_prefix(e, "exchange of attempt %" PRIu64, attempt);
		exchange_detach(x);
		return NULL;
	}
	return x;
}

void exchange_detach(struct exchange *x)
{
	if (x == NULL)
		return;
	for (uint32_t i = 0; x->slots_rw && i < x->header.n_slots; i++)
		if (x->slots_rw[i])
			munmap(x->slots_rw[i], sizeof(struct slot_page));
	if (x->slots_ro)
		munmap(x->slots_ro, x->header.n_slots * sizeof(struct slot_page));
	for (uint32_t id = 0; x->mapped && id < x->header.n_rings; id++)
		if (x->mapped[id])
			munmap(x->mapped[id], ring_map_size(x->table[id].size_bytes));
	if (x->fd >= 0)
		close(x->fd);
	pthread_mutex_destroy(&x->lock);
	free(x->table);
	free(x->mapped);
	free(x->own);
	free(x->bells);
	free(x->slots_rw);
	free(x);
}

/* The ring's mapping, made at its first side and shared by the second where both are here. */
static void *map_ring(struct exchange *x, uint32_t id, struct err *e)
{
	const struct exchange_ring_entry *r = &x->table[id];
	enum ring_map_side side = !x->own[r->consumer_slot] ? RING_MAP_PRODUCER :
	    !x->own[r->producer_slot] ? RING_MAP_CONSUMER : RING_MAP_BOTH;
	void *base;

	pthread_mutex_lock(&x->lock);
	base = x->mapped[id];
	if (base == NULL) {
		base = x->mapped[id] = ring_map(x->fd, r->ring_off, r->size_bytes, side, e);
		if (base != NULL)
			x->mapped_bytes += ring_file_size(r->size_bytes);
		else
			err_prefix(e, "ring %" PRIu32 " of attempt %" PRIu64, id, x->header.attempt);
	}
	pthread_mutex_unlock(&x->lock);
	return base;
}

/* The doorbell of slot `other` as slot `self` needs it. */
static struct doorbell *peer(struct exchange *x, uint32_t self, uint32_t other)
{
	return self == other ? NULL : &x->bells[other];
}

/* The ring's mapping for one side. NULL: there is no such ring, its slot is not here, or no memory. */
static void *side_base(struct exchange *x, uint32_t id, bool producer, struct err *e)
{
	uint32_t slot;

	if (id >= x->header.n_rings) {
		err_set(e, ERR_INTERNAL, "ring %" PRIu32 " is not one of %" PRIu32, id, x->header.n_rings);
		return NULL;
	}
	slot = producer ? x->table[id].producer_slot : x->table[id].consumer_slot;
	if (!x->own[slot]) {
		err_set(e, ERR_INTERNAL, "ring %" PRIu32 " is %s by slot %" PRIu32 ", which is not in this process", id,
		    producer ? "written" : "read", slot);
		return NULL;
	}
	return map_ring(x, id, e);
}

int exchange_producer(struct exchange *x, uint32_t id, struct ring *r, struct err *e)
{
	const struct exchange_ring_entry *t;
	void *base = side_base(x, id, true, e);

	if (base == NULL)
		return -1;
	t = &x->table[id];
	ring_init_producer(r, ring_map_producer_page(base), ring_map_consumer_page(base), ring_map_data(base),
	    t->size_bytes, peer(x, t->producer_slot, t->consumer_slot));
	r->id = id;
	return 0;
}

int exchange_consumer(struct exchange *x, uint32_t id, struct ring *r, struct err *e)
{
	const struct exchange_ring_entry *t;
	void *base = side_base(x, id, false, e);

	if (base == NULL)
		return -1;
	t = &x->table[id];
	ring_init_consumer(r, ring_map_producer_page(base), ring_map_consumer_page(base), ring_map_data(base),
	    t->size_bytes, peer(x, t->consumer_slot, t->producer_slot));
	r->id = id;
	return 0;
}

struct doorbell *exchange_doorbell(struct exchange *x, uint32_t slot)
{
	ASSERT(slot < x->header.n_slots);
	return &x->bells[slot];
}

uint32_t exchange_n_rings(const struct exchange *x)
{
	return x->header.n_rings;
}

uint64_t exchange_mapped_bytes(struct exchange *x)
{
	uint64_t bytes;

	pthread_mutex_lock(&x->lock);
	bytes = x->mapped_bytes;
	pthread_mutex_unlock(&x->lock);
	return bytes;
}

struct ring_pair {
	void *base;
	uint64_t size;
};

struct ring_pair *ring_pair_create(uint64_t size, struct doorbell *producer, struct doorbell *consumer,
    struct ring *producer_side, struct ring *consumer_side)
{
	struct ring_pair *p;
	void *base = NULL;
	int fd, saved_errno;

	fd = memfd_create("weir-ring", MFD_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (ftruncate(fd, (off_t)ring_file_size(size)) == 0)
		base = ring_map(fd, 0, size, RING_MAP_BOTH, NULL);
	saved_errno = errno;
	close(fd);
	errno = saved_errno;
	if (base == NULL)
		return NULL;
	p = xmalloc(sizeof(*p));
	p->base = base;
	p->size = size;
	ring_init_producer(producer_side, ring_map_producer_page(base), ring_map_consumer_page(base),
	    ring_map_data(base), size, consumer);
	ring_init_consumer(consumer_side, ring_map_producer_page(base), ring_map_consumer_page(base),
	    ring_map_data(base), size, producer);
	return p;
}

void ring_pair_destroy(struct ring_pair *p)
{
	if (p == NULL)
		return;
	munmap(p->base, ring_map_size(p->size));
	free(p);
}
