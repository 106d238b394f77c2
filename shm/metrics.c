/*
 * The metrics region: names of the rows, life cycle, last words.
 */
#include "shm/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "shm/ring_map.h"

#define PAGE            4096
#define BLOCKS_PER_PAGE (PAGE / METRICS_BLOCK_SIZE)
#define REGION_BYTES    (PAGE + METRICS_TASK_BLOCKS * METRICS_BLOCK_SIZE)
#define N_BLOCK_PAGES   (METRICS_TASK_BLOCKS / BLOCKS_PER_PAGE)

_Static_assert(sizeof(struct metrics_process) <= PAGE, "the process block is one page");
_Static_assert(METRIC_USER_FIRST < METRICS_PER_BLOCK, "room for user metrics");

struct metrics_region {
	int fd;
	uint8_t *base;
	_Atomic uint8_t reserved[N_BLOCK_PAGES]; /* the page is known to have memory */
};

static const struct {
	const char *id;
	enum metric_kind kind;
} rows[METRIC_N] = {
#define METRIC(member, id, kind, sentence) [METRIC_##member] = { id, METRIC_##kind },
#include "shm/metrics.def"
#undef METRIC
};

const char *metric_id(enum metric m)
{
	ASSERT((unsigned)m < METRIC_N);
	return rows[m].id;
}

enum metric_kind metric_kind(enum metric m)
{
	ASSERT((unsigned)m < METRIC_N);
	return rows[m].kind;
}

int metrics_create(struct err *e)
{
	const struct metrics_process head = { .magic = METRICS_MAGIC, .version = METRICS_VERSION };
	int fd = memfd_create("weir-metrics", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return err_set_errno(e, ERR_UNAVAILABLE, "cannot create the metrics region");
	/* Blocks stay holes until a task gets one. */
	if (ftruncate(fd, REGION_BYTES) != 0 || pwrite(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head)) {
		err_set_errno(e, ERR_UNAVAILABLE, "cannot write the metrics region");
		close(fd);
		return -1;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
		err_set_errno(e, ERR_IO, "cannot seal the metrics region");
		close(fd);
		return -1;
	}
	return fd;
}

static int check(int fd, struct err *e)
{
	struct metrics_process head;
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (fstat(fd, &st) != 0)
		return err_set_errno(e, ERR_IO, "metrics region: cannot ask for its size");
	if (st.st_size != REGION_BYTES || seals < 0 || (seals & F_SEAL_SHRINK) == 0)
		return err_set(e, ERR_INTERNAL, "metrics region: it has %" PRId64 " bytes or is not sealed, "
		    "%d sealed ones are needed", (int64_t)st.st_size, REGION_BYTES);
	if (pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head))
		return err_set_errno(e, ERR_IO, "metrics region: cannot read it");
	if (head.magic != METRICS_MAGIC || head.version != METRICS_VERSION)
		return err_set(e, ERR_INTERNAL, "metrics region: it has magic %" PRIx64 " and version %"
		    PRIu32
		    ", this program %" PRIx64 " and %d", head.magic, head.version, METRICS_MAGIC,
		    METRICS_VERSION);
	return 0;
}

struct metrics_region *metrics_attach(int fd, int writable, struct err *e)
{
	struct metrics_region *m;
	void *base;

	if (check(fd, e) != 0)
		return NULL;
	base = mmap(NULL, REGION_BYTES, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED) {
		shm_map_failed(REGION_BYTES, e);
		err_prefix(e, "metrics region");
		return NULL;
	}
	m = xcalloc(1, sizeof(*m));
	m->base = base;
	m->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (m->fd < 0) {
		err_set_errno(e, ERR_UNAVAILABLE, "metrics region: cannot duplicate its descriptor");
		metrics_detach(m);
		return NULL;
	}
	if (writable)
		atomic_store_explicit(&metrics_process(m)->pid, (uint32_t)getpid(), memory_order_relaxed);
	return m;
}

void metrics_detach(struct metrics_region *m)
{
	if (m == NULL)
		return;
	munmap(m->base, REGION_BYTES);
	if (m->fd >= 0)
		close(m->fd);
	free(m);
}

struct metrics_process *metrics_process(struct metrics_region *m)
{
	return (struct metrics_process *)(void *)m->base;
}

struct metrics_task *metrics_task(struct metrics_region *m, uint32_t block)
{
	uint32_t page = block / BLOCKS_PER_PAGE;

	if (block >= METRICS_TASK_BLOCKS)
		return NULL;
	/* Reserved before the first access, on either side: reading a hole takes memory too, and the
	 * supervisor must not die of a fault for lack of it. */
	if (atomic_load_explicit(&m->reserved[page], memory_order_relaxed) == 0) {
		if (shm_reserve(m->fd, PAGE + (uint64_t)page * PAGE, PAGE, NULL) != 0)
			return NULL;
		atomic_store_explicit(&m->reserved[page], 1, memory_order_relaxed);
	}
	return (struct metrics_task *)(void *)(m->base + PAGE + (size_t)block * METRICS_BLOCK_SIZE);
}

void metrics_task_clear(struct metrics_task *t)
{
	for (unsigned i = 0; i < METRICS_PER_BLOCK; i++)
		atomic_store_explicit(&t->v[i], 0, memory_order_relaxed);
}

void metrics_last_words(struct metrics_region *m, const char *sentence)
{
	struct metrics_process *p = metrics_process(m);
	uint32_t n = 0;

	/* Length 0 first, the real one last: a reader in between gets nothing, not a mixture. */
	atomic_store_explicit(&p->last_words_len, 0, memory_order_release);
	while (n < METRICS_LAST_WORDS && sentence[n] != '\0') {
		p->last_words[n] = sentence[n];
		n++;
	}
	atomic_store_explicit(&p->last_words_len, n, memory_order_release);
}

void metrics_read_last_words(struct metrics_region *m, char *buf, unsigned size)
{
	struct metrics_process *p = metrics_process(m);
	uint32_t len = atomic_load_explicit(&p->last_words_len, memory_order_acquire);
	unsigned n = 0;

	if (size == 0)
		return;
	if (len > METRICS_LAST_WORDS)
		len = METRICS_LAST_WORDS;
	for (; n < len && n + 1 < size; n++) {
		unsigned char c = (unsigned char)p->last_words[n];

		buf[n] = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	buf[n] = '\0';
}
