/*
 * The state directory and its lock.
 */
#include "supervisor/state_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

#define LOCK_RETRY_NS 2000000
#define LOCK_RETRIES  1000 /* 2 s in all */

static char *default_dir(struct err *e)
{
	const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (geteuid() == 0)
		return xstrdup("/var/lib/weir");
	if (xdg != NULL && xdg[0] == '/')
		return xasprintf("%s/weir", xdg);
	if (home != NULL && home[0] == '/')
		return xasprintf("%s/.local/state/weir", home);
	err_set(e, ERR_CONFIG,
	    "high-availability.storageDir is not set, and there is no HOME to put it below");
	return NULL;
}

static void fill(char **path, const char *state_dir, const char *name)
{
	if ((*path)[0] != '\0')
		return;
	free(*path);
	*path = xasprintf("%s/%s", state_dir, name);
}

/* Children and a changed directory must not make it another one. */
static int make_absolute(char **path, struct err *e)
{
	char *cwd, *whole;

	if ((*path)[0] == '/' || (*path)[0] == '\0')
		return 0;
	cwd = getcwd(NULL, 0);
	if (cwd == NULL)
		return err_set_errno(e, ERR_CONFIG, "find the directory that %s is relative to", *path);
	whole = xasprintf("%s/%s", cwd, *path);
	free(cwd);
	free(*path);
	*path = whole;
	return 0;
}

int state_dir_resolve(struct conf *conf, struct err *e)
{
	char **const paths[] = { &conf->storage_dir, &conf->checkpoints_dir, &conf->savepoints_dir,
		&conf->upload_dir, &conf->log_dir };
	size_t i;

	if (conf->storage_dir[0] == '\0') {
		char *dir = default_dir(e);

		if (dir == NULL)
			return -1;
		free(conf->storage_dir);
		conf->storage_dir = dir;
	}
	fill(&conf->checkpoints_dir, conf->storage_dir, "checkpoints");
	fill(&conf->upload_dir, conf->storage_dir, "web");
	fill(&conf->log_dir, conf->storage_dir, "log");
	for (i = 0; i < ARRAY_LEN(paths); i++)
		if (make_absolute(paths[i], e) != 0)
			return -1;
	return 0;
}

int state_dir_make(const struct conf *conf, struct err *e)
{
	const struct {
		const char *key, *path;
	} dirs[] = {
		{ "high-availability.storageDir", conf->storage_dir },
		{ "state.checkpoints.dir", conf->checkpoints_dir },
		{ "web.upload.dir", conf->upload_dir },
		{ "env.log.dir", conf->log_dir },
	};
	char *web;
	size_t i;
	int rc;

	for (i = 0; i < ARRAY_LEN(dirs); i++)
		if (file_mkdirs(dirs[i].path, e) != 0)
			return err_prefix(e, "%s", dirs[i].key);
	web = xasprintf("%s/flink-web-upload", conf->upload_dir);
	rc = file_mkdirs(web, e);
	free(web);
	return rc != 0 ? err_prefix(e, "web.upload.dir") : 0;
}

int state_dir_workers_lock(const struct conf *conf, struct err *e)
{
	char *path = xasprintf("%s/workers.lock", conf->storage_dir);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		err_set_errno(e, ERR_IO, "open %s", path);
	free(path);
	return fd;
}

/*
 * A supervisor that was killed while it wrote rest.port has left the temporary file. Jobs and checkpoints are
 * swept by those who write them.  Nothing depends on it: what cannot be removed stays.
 */
static void sweep(const char *dir_path)
{
	static const char prefix[] = "rest.port.", suffix[] = ".tmp";
	DIR *dir = opendir(dir_path);
	struct dirent *entry;

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) {
		size_t len = strlen(entry->d_name);

		if (len >= sizeof(prefix) + sizeof(suffix) &&
		    strncmp(entry->d_name, prefix, sizeof(prefix) - 1) == 0 &&
		    strcmp(entry->d_name + len - (sizeof(suffix) - 1), suffix) == 0)
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
	}
	closedir(dir);
}

/* Whether the process that wrote its pid here is no more. */
static bool holder_is_gone(int fd)
{
	char text[32] = "";
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	long pid = n > 0 ? strtol(text, NULL, 10) : 0;

	return pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/*
 * flock is shared with forked children. One that had just been forked when its supervisor was killed holds
 * the lock until it has closed what it inherited: that is waited for, a living supervisor is not.
 */
static int lock_of_the_living(int fd)
{
	const struct timespec pause = { 0, LOCK_RETRY_NS };
	int i;

	for (i = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
		if (errno != EWOULDBLOCK)
			return -1;
		if (i == LOCK_RETRIES || !holder_is_gone(fd)) {
			errno = EWOULDBLOCK;
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	return 0;
}

int state_dir_lock(const struct conf *conf, struct err *e)
{
	char *path = xasprintf("%s/supervisor.lock", conf->storage_dir), text[32] = "";
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), rc = -1;
	ssize_t n;

	if (fd < 0) {
		err_set_errno(e, ERR_IO, "open %s", path);
	} else if (lock_of_the_living(fd) == 0) {
		n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
		if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
			err_set_errno(e, ERR_IO, "write %s", path);
		else
			rc = fd;
		if (rc >= 0)
			sweep(conf->storage_dir);
	} else if (errno == EWOULDBLOCK) {
		n = pread(fd, text, sizeof(text) - 1, 0);
		text[n > 0 ? n : 0] = '\0';
		text[strcspn(text, "\n")] = '\0';
		err_set(e, ERR_CONFLICT, "the state directory %s is in use by the supervisor with pid %s",
		    conf->storage_dir, text[0] != '\0' ? text : "(not yet written)");
	} else {
		err_set_errno(e, ERR_IO, "lock %s", path);
	}
	free(path);
	if (rc < 0 && fd >= 0)
		close(fd);
	return rc;
}
