/*
 * What is in that file?  A job's shared object is judged by its headers before the
 * dynamic loader sees it: the loader maps what the headers promise and dies of
 * SIGBUS where the file ends earlier.
 */
#include <elf.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "worker/graph/plugin.h"

#if defined(__x86_64__)
#define MACHINE      EM_X86_64
#define MACHINE_NAME "x86-64"
#elif defined(__aarch64__)
#define MACHINE      EM_AARCH64
#define MACHINE_NAME "aarch64"
#else /* not supported; every job is refused with this name */
#define MACHINE      EM_NONE
#define MACHINE_NAME "one that Weir does not know"
#endif

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define DATA ELFDATA2LSB
#else
#define DATA ELFDATA2MSB
#endif

#define MAX_SEGMENTS 64

static const char *machine_name(unsigned machine)
{
	switch (machine) {
	case EM_X86_64:
		return "x86-64";
	case EM_386:
		return "x86";
	case EM_AARCH64:
		return "aarch64";
	case EM_ARM:
		return "arm";
	case EM_RISCV:
		return "riscv";
	case EM_PPC64:
		return "ppc64";
	case EM_S390:
		return "s390";
	default:
		return "another machine";
	}
}

static int refuse_foreign(const uint8_t *head, size_t n, struct err *e)
{
	if (n >= 4 && memcmp(head, "PK\3\4", 4) == 0)
		return err_set(e, ERR_INVALID,
		    "it is a Java archive (or another zip); Weir runs shared objects built against weir.h");
	if (n >= 4 && memcmp(head, "\xca\xfe\xba\xbe", 4) == 0)
		return err_set(e, ERR_INVALID,
		    "it is a Java class; Weir runs shared objects built against weir.h");
	if (n >= 2 && memcmp(head, "#!", 2) == 0)
		return err_set(e, ERR_INVALID,
		    "it is a script; Weir runs shared objects built against weir.h");
	if (n >= 8 && memcmp(head, "!<arch>\n", 8) == 0)
		return err_set(e, ERR_INVALID,
		    "it is a static library; link it as a shared object (cc -shared)");
	return err_set(e, ERR_INVALID, "it is not a shared object (ELF)");
}

static int refuse_cut(uint64_t size, uint64_t need, struct err *e)
{
	return err_set(e, ERR_INVALID,
	    "the shared object is cut off: it has %" PRIu64 " bytes and its headers tell of %" PRIu64, size,
	    need);
}

static int check_header(const Elf64_Ehdr *h, struct err *e)
{
	if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != DATA || h->e_machine != MACHINE)
		return err_set(e, ERR_INVALID, "it was built for %s, and this machine is " MACHINE_NAME,
		    h->e_ident[EI_DATA] == DATA ? machine_name(h->e_machine) : "another byte order");
	if (h->e_type == ET_REL)
		return err_set(e, ERR_INVALID,
		    "it is an object file; link it as a shared object (cc -shared)");
	if (h->e_type != ET_DYN)
		return err_set(e, ERR_INVALID, "it is an ELF file, but not a shared object");
	if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phnum == 0 || h->e_phnum > MAX_SEGMENTS)
		return err_set(e, ERR_INVALID, "the program headers of the shared object are damaged");
	return 0;
}

/* Where the last byte is that the headers tell of. */
static int find_end(int fd, const Elf64_Ehdr *h, uint64_t size, uint64_t *end, struct err *e)
{
	Elf64_Phdr segments[MAX_SEGMENTS];
	size_t len = h->e_phnum * sizeof(segments[0]);
	uint64_t sections = (uint64_t)h->e_shnum * h->e_shentsize;

	if (__builtin_add_overflow(h->e_phoff, len, end) || *end > size)
		return refuse_cut(size, *end, e);
	if (pread(fd, segments, len, (off_t)h->e_phoff) != (ssize_t)len)
		return err_set_errno(e, ERR_IO, "it cannot be read");
	for (unsigned i = 0; i < h->e_phnum; i++) {
		uint64_t at;

		if (__builtin_add_overflow(segments[i].p_offset, segments[i].p_filesz, &at))
			return err_set(e, ERR_INVALID,
			    "the program headers of the shared object are damaged");
		if (segments[i].p_filesz > 0 && at > *end)
			*end = at;
	}
	if (h->e_shoff != 0) {
		uint64_t at;

		if (__builtin_add_overflow(h->e_shoff, sections, &at))
			return err_set(e, ERR_INVALID,
			    "the section headers of the shared object are damaged");
		if (at > *end)
			*end = at;
	}
	return 0;
}

int plugin_probe(int fd, struct err *e)
{
	struct stat st;
	Elf64_Ehdr h;
	uint64_t end;
	ssize_t n;

	if (fstat(fd, &st) != 0)
		return err_set_errno(e, ERR_IO, "it cannot be read");
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID, "it is not a regular file");
	n = pread(fd, &h, sizeof(h), 0);
	if (n < 0)
		return err_set_errno(e, ERR_IO, "it cannot be read");
	if (n == 0)
		return err_set(e, ERR_INVALID, "it is empty");
	if (n < SELFMAG || memcmp(h.e_ident, ELFMAG, SELFMAG) != 0)
		return refuse_foreign((const uint8_t *)&h, (size_t)n, e);
	if ((size_t)n < sizeof(h))
		return refuse_cut((uint64_t)n, sizeof(h), e);
	if (check_header(&h, e) != 0 || find_end(fd, &h, (uint64_t)st.st_size, &end, e) != 0)
		return -1;
	if (end > (uint64_t)st.st_size)
		return refuse_cut((uint64_t)st.st_size, end, e);
	return 0;
}
