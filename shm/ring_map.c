/*
 * Reserving and mapping shared memory: every lack of it is found here, by name.
 */
#include "shm/ring_map.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

int shm_reserve(int fd, uint64_t off, uint64_t len, struct err *e)
{
	int rc;

	do
		rc = fallocate(fd, 0, (off_t)off, (off_t)len);
	while (rc != 0 && errno == EINTR);
	if (rc != 0)
		return err_set_errno(e, ERR_UNAVAILABLE, "cannot reserve %" PRIu64 " KiB of shared memory",
		    len >> 10);
	return 0;
}

/* vm.max_map_count, 0 where it cannot be read */
static long max_map_count(void)
{
	char text[32];
	ssize_t n;
	int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	return strtol(text, NULL, 10);
}

int shm_map_failed(uint64_t len, struct err *e)
{
	int saved_errno = errno;
	long max = saved_errno == ENOMEM ? max_map_count() : 0;

	errno = saved_errno;
	if (saved_errno != ENOMEM)
		return err_set_errno(e, ERR_UNAVAILABLE, "cannot map %" PRIu64 " KiB of shared memory",
		    len >> 10);
	return err_set_errno(e, ERR_UNAVAILABLE,
	    "cannot map %" PRIu64 " KiB of shared memory: no address space left, or more mappings than "
	    "vm.max_map_count (%ld) allows", len >> 10, max);
}

static int map_at(uint8_t *at, size_t len, int prot, int fd, uint64_t off, struct err *e)
{
	/* POPULATE costs 0.5 ms a MiB at deployment, 0.1 without. It was tried without: the first pass
	 * through the ring then takes the faults, and with 16 rings the two sides fall into step and stay
	 * there, 26 ns a record against 12 (t/bench/bench-ring.c). */
	if (mmap(at, len, prot, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, (off_t)off) == MAP_FAILED)
		return shm_map_failed(len, e);
	return 0;
}

void *ring_map(int fd, uint64_t ring_off, uint64_t size, enum ring_map_side side, struct err *e)
{
	const int rw = PROT_READ | PROT_WRITE;
	const int cons_prot = side == RING_MAP_PRODUCER ? PROT_READ : rw;
	const int prod_prot = side == RING_MAP_CONSUMER ? PROT_READ : rw;
	uint8_t *base;

	if (shm_reserve(fd, ring_off, ring_file_size(size), e) != 0)
		return NULL;
	/* One stretch of addresses first: the parts are then put over it with nothing to collide with. */
	base = mmap(NULL, ring_map_size(size), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED) {
		shm_map_failed(ring_map_size(size), e);
		return NULL;
	}
	if (map_at(base, RING_PAGE, cons_prot, fd, ring_off, e) != 0 ||
	    map_at(base + RING_PAGE, (size_t)(RING_PAGE + size), prod_prot, fd, ring_off + RING_PAGE,
	    e) != 0 ||
	    map_at(base + 2 * RING_PAGE + size, (size_t)size, prod_prot, fd, ring_off + 2 * RING_PAGE,
	    e) != 0) {
		munmap(base, ring_map_size(size));
		return NULL;
	}
	return base;
}
