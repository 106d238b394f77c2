/*
 * The exchange: what is created can be attached, what is not right is refused with a
 * sentence, who may only read cannot write, and nothing is left behind.
 */
#include "shm/exchange.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "shm/ring_map.h"
#include "t/tap.h"

/* gcc's macros; clang's builds of these tests define neither and are not used with sanitizers. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

static const struct id128 job = { { 0xab, 1, 2, 3 } }, other_job = { { 0xcd } };
#define ATTEMPT 7

/* Slots 0 and 1; ring 0 and 3 go across, 1 back, 2 stays within slot 1. */
static const struct exchange_ring_spec rings[] = {
	{ 0, 1, RING_SIZE_MIN },
	{ 1, 0, RING_SIZE_MAX },
	{ 1, 1, 2 * RING_SIZE_MIN },
	{ 0, 1, RING_SIZE_MIN },
};

static int create(void)
{
	const struct exchange_spec spec = { job, ATTEMPT, 2, ARRAY_LEN(rings), rings };
	struct err e;
	int fd = exchange_create(&spec, &e);

	ASSERT(fd >= 0);
	return fd;
}

static struct exchange *attach(int fd, uint32_t n_own, uint32_t first, struct err *e)
{
	static const int eventfds[2] = { -1, -1 };
	const uint32_t own[2] = { first, 1 - first };

	return exchange_attach(fd, &job, ATTEMPT, own, n_own, eventfds, 2, e);
}

static unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	ASSERT(d != NULL);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static unsigned count_mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[4096];
	unsigned n = 0;

	ASSERT(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, "weir-exchange") != NULL;
	fclose(f);
	return n;
}

static void test_ring_size(void)
{
	is_int(exchange_ring_size(1), RING_SIZE_MAX, "one ring is as large as a ring can be");
	is_int(exchange_ring_size(8), 1 << 20, "8 share 8 MiB");
	is_int(exchange_ring_size(9), 1 << 19, "9 are rounded down to a power of two");
	is_int(exchange_ring_size(64), 128 << 10, "64");
	is_int(exchange_ring_size(256), RING_SIZE_MIN, "256 are at the least");
	is_int(exchange_ring_size(UINT32_MAX), RING_SIZE_MIN, "and so are more");
	is_int(exchange_ring_size(0), RING_SIZE_MAX, "none");
}

static void test_create(void)
{
	struct exchange_spec spec = { job, ATTEMPT, 2, 1, rings };
	struct exchange_ring_spec bad;
	struct stat st;
	struct err e;
	int fd = create();

	is_int(fstat(fd, &st), 0, "created");
	is_int(st.st_size, 4096 + 4096 + 2 * 4096 + 4 * 8192 + 32768 + 1048576 + 65536 + 32768,
	    "header, table, two slot pages, four rings");
	is_int(st.st_blocks, 16, "only header and table have memory");
	is_int(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, "sealed");
	ok(ftruncate(fd, 4096) == -1 && errno == EPERM, "cannot shrink");
	ok(ftruncate(fd, st.st_size + 4096) == -1 && errno == EPERM, "cannot grow");
	ok(fcntl(fd, F_GETFD) & FD_CLOEXEC, "close on exec");
	close(fd);

	spec.n_slots = 0;
	is_int(exchange_create(&spec, &e), -1, "no slots: refused");
	like(e.msg, "1 to 4096 slots, not 0", "and said");
	spec.n_slots = 2;
	spec.n_rings = EXCHANGE_RINGS_MAX + 1;
	is_int(exchange_create(&spec, &e), -1, "too many rings: refused");
	like(e.msg, "the job needs 1048577 rings", "and said");
	spec.n_rings = 1;
	spec.rings = &bad;
	bad = (struct exchange_ring_spec){ 0, 2, RING_SIZE_MIN };
	is_int(exchange_create(&spec, &e), -1, "a slot that is not there: refused");
	like(e.msg, "ring 0 joins slot 0 to 2", "and said");
	for (int i = 0; i < 3; i++) {
		static const uint32_t sizes[] = { RING_SIZE_MIN / 2, RING_SIZE_MAX * 2, RING_SIZE_MIN + 8 };

		bad = (struct exchange_ring_spec){ 0, 1, sizes[i] };
		is_int(exchange_create(&spec, &e), -1, "size %u: refused", sizes[i]);
		like(e.msg, "a power of two in 32768..1048576", "and said");
	}
	spec.n_rings = 0;
	fd = exchange_create(&spec, &e);
	ok(fd >= 0, "no rings at all is fine: a job of one vertex");
	close(fd);
}

/* A copy of the exchange's first pages in another memfd, sealed or not, of any size. */
static int forge(const void *patch, size_t patch_len, off_t patch_off, off_t size, bool sealed)
{
	struct exchange_header h;
	int from = create(), fd = memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	static char head[8192];

	ASSERT(fd >= 0 && pread(from, head, sizeof(head), 0) == (ssize_t)sizeof(head));
	memcpy(&h, head, sizeof(h));
	close(from);
	memcpy(head + patch_off, patch, patch_len);
	ASSERT(pwrite(fd, head, sizeof(head), 0) == (ssize_t)sizeof(head));
	ASSERT(ftruncate(fd, size == 0 ? (off_t)h.total_bytes : size) == 0);
	if (sealed)
		ASSERT(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	return fd;
}

static void refused(const char *what, int fd, const char *sentence)
{
	unsigned fds = count_fds();
	struct err e = { ERR_NONE, "" };

	ok(attach(fd, 1, 0, &e) == NULL, "%s: refused", what);
	like(e.msg, sentence, "%s: said", what);
	like(e.msg, "exchange of attempt 7: ", "%s: of what", what);
	is_int(count_fds(), fds, "%s: no descriptor is left", what);
	close(fd);
}

#define HEADER_FIELD(field, value) \
	forge(&(__typeof__(((struct exchange_header *)0)->field)){ value }, \
	    sizeof(((struct exchange_header *)0)->field), offsetof(struct exchange_header, field), 0, true)
#define RING_FIELD(id, field, value) \
	forge(&(__typeof__(((struct exchange_ring_entry *)0)->field)){ value }, \
	    sizeof(((struct exchange_ring_entry *)0)->field), \
	    4096 + (id) * (off_t)sizeof(struct exchange_ring_entry) + \
	    (off_t)offsetof(struct exchange_ring_entry, field), 0, true)

static void test_refused(void)
{
	const int eventfds[3] = { -1, -1, -1 };
	const uint32_t own[2] = { 0, 2 };
	struct err e;
	int fd = create();

	ok(exchange_attach(fd, &other_job, ATTEMPT, own, 1, eventfds, 2, &e) == NULL, "another job: refused");
	like(e.msg, "belongs to job ab010203000000000000000000000000, not to cd0", "with both");
	ok(exchange_attach(fd, &job, ATTEMPT + 1, own, 1, eventfds, 2, &e) == NULL,
	    "another attempt: refused");
	like(e.msg, "belongs to attempt 7, not to 8", "with both");
	ok(exchange_attach(fd, &job, ATTEMPT, own, 1, eventfds, 3, &e) == NULL,
	    "another number of slots: refused");
	like(e.msg, "it has 2 slots, the deployment 3", "with both");
	ok(exchange_attach(fd, &job, ATTEMPT, own, 2, eventfds, 2, &e) == NULL,
	    "a slot of ours that it lacks: refused");
	like(e.msg, "slot 2 is not one of its 2", "and said");
	ok(exchange_attach(-1, &job, ATTEMPT, own, 1, eventfds, 2, &e) == NULL, "no descriptor: refused");
	like(e.msg, "Bad file descriptor", "and said");
	close(fd);

	refused("wrong magic", HEADER_FIELD(magic, 1), "its magic number is wrong");
	refused("version 0", HEADER_FIELD(version, 0), "it has version 0");
	refused("next version", HEADER_FIELD(version, EXCHANGE_VERSION + 1), "this program version 1");
	refused("longer header", HEADER_FIELD(header_bytes, 80), "a header of 80 bytes");
	refused("another size", HEADER_FIELD(total_bytes, 4096), "its header says 4096");
	refused("too many rings", HEADER_FIELD(n_rings, UINT32_MAX), "it has 4294967295 rings");
	refused("more rings than table", HEADER_FIELD(n_rings, 60000), "its ring table lies outside");
	refused("table far away", HEADER_FIELD(table_off, UINT64_MAX - 4095), "its ring table lies outside");
	refused("table in the header", HEADER_FIELD(table_off, 0), "its ring table lies outside");
	refused("crooked slot pages", HEADER_FIELD(slots_off, 8200), "its slot pages lie outside");
	refused("slot pages far away", HEADER_FIELD(slots_off, UINT64_MAX / 4096 * 4096),
	    "its slot pages lie outside");
	refused("ring far away", RING_FIELD(1, ring_off, UINT64_C(1) << 40), "ring 1 lies outside");
	refused("crooked ring", RING_FIELD(1, ring_off, 20481), "ring 1 lies outside");
	refused("ring over the end", RING_FIELD(3, size_bytes, RING_SIZE_MAX), "ring 3 lies outside");
	refused("ring of no power of two", RING_FIELD(2, size_bytes, RING_SIZE_MIN * 3),
	    "ring 2 has a size of 98304");
	refused("producer that is not there", RING_FIELD(0, producer_slot, 2),
	    "ring 0 joins slot 2 to 1 of 2");
	refused("consumer that is not there", RING_FIELD(0, consumer_slot, 9),
	    "ring 0 joins slot 0 to 9 of 2");
	refused("truncated", forge("", 0, 0, 8192, true), "it has 8192 bytes, its header says");
	refused("cut in the header", forge("", 0, 0, 40, true), "it ends at byte 40");
	refused("empty", forge("", 0, 0, 1, true), "it ends at byte 1");
	refused("not sealed", forge("", 0, 0, 0, false), "it is not sealed");
}

/* Two processes' views in one process: attached twice, each with one slot of its own. */
static void test_sides(void)
{
	unsigned fds = count_fds();
	int fd = create();
	struct exchange *a, *b;
	struct ring p, c, within, r;
	struct ring_elem elem;
	struct err e;
	void *mem;

	a = attach(fd, 1, 0, &e);
	b = attach(fd, 1, 1, &e);
	ok(a != NULL && b != NULL, "attached");
	close(fd); /* each keeps its own */
	is_int(exchange_n_rings(a), 4, "rings");
	is_int(exchange_mapped_bytes(a), 0, "none mapped yet");
	is_int(exchange_producer(a, 0, &p, &e), 0, "producer of ring 0");
	is_int(exchange_consumer(b, 0, &c, &e), 0, "its consumer");
	is_int(exchange_mapped_bytes(a), 8192 + RING_SIZE_MIN, "mapped");
	ok(p.id == 0 && p.size == RING_SIZE_MIN && p.peer == exchange_doorbell(a, 1) &&
	    c.peer == exchange_doorbell(b, 0), "id, size and the other slot's doorbell");
	ASSERT(ring_reserve(&p, 3, &mem) == RING_OK);
	memcpy(mem, "abc", 3);
	ring_commit(&p, ELEM_RECORD, 1, 2, 3);
	ring_publish(&p);
	ASSERT(ring_peek(&c, &elem) == RING_OK);
	ok(elem.len == 3 && memcmp(elem.data, "abc", 3) == 0, "an element passes whole");
	doorbell_prepare_sleep(exchange_doorbell(a, 0));
	is_int(atomic_load(&exchange_doorbell(b, 0)->page->sleeping), 1, "the other side sees who sleeps");
	is_int(atomic_load(&exchange_doorbell(b, 1)->page->sleeping), 0, "and who does not");

	is_int(exchange_producer(a, 1, &r, &e), -1, "the producer of ring 1 is not here");
	like(e.msg, "ring 1 is written by slot 1, which is not in this process", "and said");
	is_int(exchange_consumer(a, 0, &r, &e), -1, "the consumer of ring 0 is not here");
	like(e.msg, "ring 0 is read by slot 1, which is not in this process", "and said");
	is_int(exchange_producer(a, 4, &r, &e), -1, "ring 4 is not there");
	like(e.msg, "ring 4 is not one of 4", "and said");
	is_int(exchange_consumer(b, UINT32_MAX, &r, &e), -1, "nor is the last number");

	is_int(exchange_producer(b, 2, &within, &e), 0, "a ring within one slot: producer");
	is_int(exchange_consumer(b, 2, &r, &e), 0, "and consumer");
	ok(within.peer == NULL && r.peer == NULL, "ring no doorbell");
	ok(within.data == r.data && within.prod == r.prod, "and share one mapping");
	exchange_detach(a);
	exchange_detach(b);
	exchange_detach(NULL);
	is_int(count_mappings(), 0, "nothing stays mapped");
	is_int(count_fds(), fds, "nor open");
}

static void test_both_slots_here(void)
{
	int fd = create();
	struct exchange *x;
	struct ring p, c;
	unsigned before;
	struct err e;

	x = attach(fd, 2, 0, &e);
	ok(x != NULL, "both slots are in this process");
	before = count_mappings();
	is_int(exchange_producer(x, 0, &p, &e), 0, "producer");
	is_int(exchange_consumer(x, 0, &c, &e), 0, "consumer");
	ok(p.data == c.data, "one mapping serves both");
	is_int(count_mappings() - before, 2, "of two of the kernel's");
	ok(p.peer == exchange_doorbell(x, 1) && c.peer == exchange_doorbell(x, 0),
	    "with doorbells between the slots");
	p.data[0] = 'x';
	is_int(p.data[RING_SIZE_MIN], 'x', "the data is there twice in a row");
	exchange_detach(x);
	x = attach(fd, 1, 0, &e);
	before = count_mappings();
	is_int(exchange_producer(x, 0, &p, &e), 0, "producer alone");
	is_int(count_mappings() - before, 3, "is three mappings of the kernel's");
	exchange_detach(x);
	close(fd);
}

/* A child writes where `at` points, and has to die of it. */
static void check_write(volatile uint8_t *at, bool allowed, const char *what)
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	ASSERT(pid >= 0);
	if (pid == 0) {
		const struct rlimit no_core = { 0, 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		*at = 0;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (allowed)
		ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: may be written", what);
	else
		ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "%s: a write is SIGSEGV", what);
}

static void test_protection(void)
{
	struct exchange *x;
	struct ring p, c;
	struct err e;
	int fd;

	if (sanitized) {
		diag("protection is tested without sanitizers, which take SIGSEGV for themselves");
		return;
	}
	fd = create();
	x = attach(fd, 1, 0, &e);
	ASSERT(x != NULL && exchange_producer(x, 0, &p, &e) == 0 && exchange_consumer(x, 1, &c, &e) == 0);
	check_write((uint8_t *)p.prod, true, "producer's own page");
	check_write((uint8_t *)p.cons, false, "the consumer's page, by the producer");
	check_write(p.data, true, "data, by the producer");
	check_write(p.data + 2 * p.size - 1, true, "its second mapping");
	check_write((uint8_t *)c.cons, true, "consumer's own page");
	check_write((uint8_t *)c.prod, false, "the producer's page, by the consumer");
	check_write(c.data, false, "data, by the consumer");
	check_write(c.data + 2 * c.size - 1, false, "its second mapping");
	check_write((uint8_t *)exchange_doorbell(x, 0)->page, true, "our own slot's page");
	check_write((uint8_t *)exchange_doorbell(x, 1)->page, false, "another slot's page");
	exchange_detach(x);
	close(fd);
}

/* Memory is there when a side is prepared, so that nothing faults later. */
static void test_reserved(void)
{
	struct stat before, after;
	int fd = create();
	struct exchange *x;
	struct ring r;
	struct err e;

	x = attach(fd, 1, 0, &e);
	fstat(fd, &before);
	is_int(before.st_blocks, 16 + 16, "attach reserves the slot pages");
	is_int(exchange_producer(x, 0, &r, &e), 0, "producer");
	fstat(fd, &after);
	is_int((after.st_blocks - before.st_blocks) * 512, 8192 + RING_SIZE_MIN,
	    "reserves its ring whole, and no other");
	exchange_detach(x);
	close(fd);

	/* A device that can be mapped but cannot reserve stands for a machine without memory. */
	fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	ok(ring_map(fd, 0, RING_SIZE_MIN, RING_MAP_BOTH, &e) == NULL,
	    "what cannot be reserved is not mapped");
	like(e.msg, "cannot reserve 40 KiB of shared memory: ", "and said");
	close(fd);
}

static void test_no_addresses(void)
{
	const struct rlimit few = { 1, 1 }, no_core = { 0, 0 };
	int status = 0;
	pid_t pid;

	if (sanitized) {
		diag("lack of addresses is tested without sanitizers, which need many themselves");
		return;
	}
	fflush(stdout);
	pid = fork();
	ASSERT(pid >= 0);
	if (pid == 0) {
		int fd = create();
		struct err e = { ERR_NONE, "" };
		struct exchange *x = attach(fd, 1, 0, &e);
		struct ring r;
		int rc;

		setrlimit(RLIMIT_CORE, &no_core);
		setrlimit(RLIMIT_AS, &few);
		rc = exchange_producer(x, 0, &r, &e);
		_exit(!(rc == -1 && e.code == ERR_UNAVAILABLE &&
		    strstr(e.msg, "ring 0 of attempt 7: cannot map") != NULL &&
		    strstr(e.msg, "vm.max_map_count (") != NULL));
	}
	waitpid(pid, &status, 0);
	is_int(status, 0, "lack of addresses or mappings is an error that names vm.max_map_count");
}

int main(void)
{
	test_ring_size();
	test_create();
	test_refused();
	test_sides();
	test_both_slots_here();
	test_protection();
	test_reserved();
	test_no_addresses();
	return tap_done();
}
