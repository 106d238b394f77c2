/*
 * Reading the kernel's count of out-of-memory kills.
 */
#include "supervisor/oom.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/conf.h"

/* The whole of a small file of the kernel's. Returns -1 where there is none. */
static int slurp(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -1;
	while (len < size - 1 && (n = read(fd, text + len, size - 1 - len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		len += (size_t)n;
	}
	close(fd);
	text[len] = '\0';
	return 0;
}

/* The number behind "\noom_kill " or "oom_kill " at the start. */
static int64_t find_count(const char *text)
{
	static const char key[] = "oom_kill ";
	const char *p = text;
	char digits[24];
	int64_t v;
	size_t n;

	while ((p = strstr(p, key)) != NULL && p != text && p[-1] != '\n')
		p++;
	if (p == NULL)
		return -1;
	p += sizeof(key) - 1;
	n = strspn(p, "0123456789");
	if (n == 0 || n >= sizeof(digits))
		return -1;
	memcpy(digits, p, n);
	digits[n] = '\0';
	return conf_parse_i64(digits, 0, INT64_MAX, &v, NULL) == 0 ? v : -1;
}

int64_t oom_kill_count(void)
{
	char text[32768], path[4200], *group, *end;
	int64_t count;

	/* The line of the unified hierarchy: "0::/user.slice/…". */
	if (slurp("/proc/self/cgroup", text, 4096) == 0 && (group = strstr(text, "0::/")) != NULL) {
		group += 3;
		end = strchr(group, '\n');
		if (end != NULL)
			*end = '\0';
		snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.events", group);
		if (slurp(path, text, sizeof(text)) == 0 && (count = find_count(text)) >= 0)
			return count;
	}
	return slurp("/proc/vmstat", text, sizeof(text)) == 0 ? find_count(text) : -1;
}
