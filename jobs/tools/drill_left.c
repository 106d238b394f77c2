/* What a cluster leaves behind: descriptors of the supervisor, files that should be gone. */
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/mem.h"
#include "jobs/tools/drill.h"

void cluster_count_fds(const struct drill_cluster *c, unsigned *n_fds, unsigned *n_memfds)
{
	char *path = xasprintf("/proc/%d/fd", (int)c->supervisor), target[256];
	DIR *dir = opendir(path);
	struct dirent *entry;
	ssize_t n;

	free(path);
	*n_fds = *n_memfds = 0;
	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
		++*n_fds;
		*n_memfds += strncmp(target, "/memfd:", 7) == 0;
	}
	closedir(dir);
}

/* Files below path that have a temporary name, or any at all where none is to be. */
static unsigned count_below(const char *path, bool all)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned n = 0;
	size_t len;
	char *below;

	if (dir == NULL)
		return 0;
	while ((entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		below = xasprintf("%s/%s", path, entry->d_name);
		len = strlen(entry->d_name);
		if (entry->d_type == DT_DIR) {
			n += count_below(below, all);
		} else if (all || (len > 4 && strcmp(entry->d_name + len - 4, ".tmp") == 0)) {
			printf("left: %s\n", below);
			n++;
		}
		free(below);
	}
	closedir(dir);
	return n;
}

unsigned cluster_count_files(const struct drill_cluster *c)
{
	/* The job is over: nothing of it stays but its savepoints, and those without leftovers. */
	static const struct {
		const char *dir;
		bool all;
	} places[] = { { "checkpoints", true }, { "state/jobs", true }, { "state/artifacts", true },
		{ "state", false }, { "upload", false }, { "savepoints", false } };
	unsigned i, n = 0;

	for (i = 0; i < ARRAY_LEN(places); i++) {
		char *path = xasprintf("%s/%s", c->dir, places[i].dir);

		n += count_below(path, places[i].all);
		free(path);
	}
	return n;
}
