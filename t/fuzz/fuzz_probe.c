/*
 * Job files of any bytes: the look at their headers never crashes, and what it lets
 * through is at least a shared object's headers.
 */
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "worker/graph/plugin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = { 0 };
	int fd = file_memfd("fuzz", data, size, &e);

	if (fd < 0)
		return 0;
	if (plugin_probe(fd, &e) == 0)
		ASSERT(size >= 64 && memcmp(data, "\177ELF", 4) == 0);
	else
		ASSERT(e.msg[0] != '\0');
	close(fd);
	return 0;
}
