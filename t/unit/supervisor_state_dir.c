/*
 * Directories by default and by configuration, the lock that only one can have, and what a reload would change.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/reload.h"
#include "supervisor/state_dir.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "t/tap.h"

static char dir[] = "/tmp/weir-state-XXXXXX";

static struct conf *conf_of(const char *const *overrides, unsigned n)
{
	struct err e;
	struct conf *c = conf_load(NULL, overrides, n, NULL, NULL, &e);

	ASSERT(c != NULL);
	return c;
}

static void test_defaults(void)
{
	struct conf *c = conf_of(NULL, 0);
	const char *want;
	struct err e;

	setenv("XDG_STATE_HOME", "/x/state", 1);
	ok(state_dir_resolve(c, &e) == 0, "nothing given");
	want = geteuid() == 0 ? "/var/lib/weir" : "/x/state/weir";
	is_str(c->storage_dir, want, "the state directory has its default");
	is_str(c->upload_dir + strlen(want), "/web", "uploads are below it");
	is_str(c->log_dir + strlen(want), "/log", "logs, too");
	is_str(c->checkpoints_dir + strlen(want), "/checkpoints", "and checkpoints");
	is_str(c->savepoints_dir, "", "savepoints have no default");
	conf_destroy(c);
}

static void test_given(void)
{
	char *storage = xasprintf("high-availability.storageDir=file://%s/a/b", dir);
	const char *const overrides[] = { storage, "env.log.dir=relative/log", "web.upload.dir=file:/up" };
	struct conf *c = conf_of(overrides, 3);
	char *cwd = getcwd(NULL, 0), *log = xasprintf("%s/relative/log", cwd),
	     *below = xasprintf("%s/a/b", dir);
	struct err e;

	ok(state_dir_resolve(c, &e) == 0, "some given");
	is_str(c->storage_dir, below, "a URI is a path");
	is_str(c->log_dir, log, "a relative one is made absolute");
	is_str(c->upload_dir, "/up", "file: too");
	conf_destroy(c);
	free(storage);
	free(cwd);
	free(log);
	free(below);
}

static struct conf *conf_in_dir(const char *more)
{
	char *storage = xasprintf("high-availability.storageDir=%s/state", dir);
	const char *const overrides[] = { storage, more };
	struct conf *c = conf_of(overrides, more != NULL ? 2 : 1);
	struct err e;

	ASSERT(state_dir_resolve(c, &e) == 0);
	free(storage);
	return c;
}

static void test_make_and_lock(void)
{
	struct conf *c = conf_in_dir(NULL);
	char *web = xasprintf("%s/state/web/flink-web-upload", dir), pid_text[32];
	char *left = xasprintf("%s/rest.port.0123456789ab.tmp", c->storage_dir);
	char *other = xasprintf("%s/other.tmp", c->storage_dir),
	     *port = xasprintf("%s/rest.port", c->storage_dir);
	struct stat st;
	struct err e;
	int fd, status;
	pid_t pid;

	ok(state_dir_make(c, &e) == 0 && stat(web, &st) == 0 && S_ISDIR(st.st_mode), "directories are made");
	ok(state_dir_make(c, &e) == 0, "again is fine");
	fd = state_dir_lock(c, &e);
	ok(fd >= 0, "the lock is taken");
	pid = fork();
	if (pid == 0) {
		close(fd);
		snprintf(pid_text, sizeof(pid_text), "pid %d", (int)getppid());
		_exit(state_dir_lock(c, &e) == -1 && e.code == ERR_CONFLICT &&
			    strstr(e.msg, pid_text) != NULL ?
			0 :
			1);
	}
	ok(waitpid(pid, &status, 0) == pid && status == 0, "a second one is told who has it");
	ok(file_write_atomic(left, "1", 1, 0600, &e) == 0 &&
		file_write_atomic(other, "1", 1, 0600, &e) == 0 &&
		file_write_atomic(port, "1", 1, 0600, &e) == 0,
	    "it is killed while it writes rest.port");
	close(fd);
	fd = state_dir_lock(c, &e);
	ok(fd >= 0, "after its end the next one has it");
	ok(access(left, F_OK) != 0, "and sweeps what was left of rest.port");
	ok(access(other, F_OK) == 0 && access(port, F_OK) == 0, "and nothing else");
	close(fd);
	conf_destroy(c);
	free(web);
	free(left);
	free(other);
	free(port);
}

/* A supervisor is killed when it has just forked: the child has the lock for a moment more. */
static void test_lock_of_the_dead(void)
{
	struct conf *c = conf_in_dir(NULL);
	struct timespec moment = { 0, 200000000 };
	int64_t t0_ns = clock_mono_ns(&clock_system);
	struct err e;
	int fd, status;
	pid_t pid = fork();

	if (pid == 0) {
		fd = state_dir_lock(c, &e);
		if (fd >= 0 && fork() == 0)
			nanosleep(&moment, NULL);
		_exit(fd < 0);
	}
	ok(waitpid(pid, &status, 0) == pid && status == 0, "a supervisor takes the lock, forks and dies");
	fd = state_dir_lock(c, &e);
	ok(fd >= 0, "the next one has the lock as soon as the child has let it go");
	ok(clock_mono_ns(&clock_system) - t0_ns >= 150 * NS_PER_MS, "for which it waits");
	close(fd);
	conf_destroy(c);
}

static void test_unusable(void)
{
	char *file = xasprintf("%s/file", dir), *override = xasprintf("env.log.dir=%s/file/log", dir);
	struct conf *c = conf_in_dir(override);
	struct err e;

	ok(file_write_atomic(file, "", 0, 0600, &e) == 0, "a file in the way");
	ok(state_dir_make(c, &e) == -1, "is an error");
	like(e.msg, "env.log.dir: ", "with the key");
	like(e.msg, file, "and the path");
	conf_destroy(c);
	free(file);
	free(override);
}

static char changes[512];

static void on_change(void *arg, const char *key, const char *from, const char *to)
{
	size_t len = strlen(changes);

	(void)arg;
	snprintf(changes + len, sizeof(changes) - len, "%s:%s>%s ", key, from, to);
}

static void test_reload(void)
{
	const char *const good[] = { "taskmanager.numberOfTaskManagers=5", "heartbeat.interval=7 s" };
	const char *const bad[] = { "rest.port=1234", "env.log.dir=/elsewhere", "parallelism.default=3" };
	struct conf *before = conf_of(NULL, 0), *same = conf_of(NULL, 0), *after = conf_of(good, 2),
		    *fixed = conf_of(bad, 3);
	struct err e;

	is_int(reload_compare(before, same, on_change, NULL, &e), 0, "the same is no change");
	is_str(changes, "", "of nothing");
	is_int(reload_compare(before, after, on_change, NULL, &e), 2, "two changes");
	like(changes, "taskmanager.numberOfTaskManagers:2>5 ", "one of them");
	like(changes, "heartbeat.interval:", "and the other");
	is_int(reload_compare(before, fixed, on_change, NULL, &e), -1, "what cannot change is refused");
	like(e.msg, "rest.port, env.log.dir cannot change", "all of it is named");
	is_int(e.code, ERR_CONFIG, "as an error of the configuration");
	conf_destroy(before);
	conf_destroy(same);
	conf_destroy(after);
	conf_destroy(fixed);
}

int main(void)
{
	struct err e;

	ASSERT(mkdtemp(dir) != NULL);
	test_defaults();
	test_given();
	test_make_and_lock();
	test_lock_of_the_dead();
	test_unusable();
	test_reload();
	ok(file_remove_tree(dir, &e) == 0, "nothing is left");
	return tap_done();
}
