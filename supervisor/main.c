/*
 * weir-supervisor: the JobManager.  Puts the parts together: options, configuration, directories, log,
 * loop, cluster, REST; and takes them apart again.
 */
#include <bsd/unistd.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "rest/gateway.h"
#include "supervisor/cluster.h"
#include "supervisor/loop.h"
#include "supervisor/reload.h"
#include "supervisor/state_dir.h"

#define STOP_GRACE_MS 2000 /* of a TaskManager, from SHUTDOWN to SIGKILL */

struct supervisor {
	const char *conf_file; /* NULL: none */
	const char **overrides;
	unsigned n_overrides;
	struct conf *conf;
	int lock_fd, workers_lock_fd, log_fd;
	struct loop *loop;
	struct cluster *cluster;
	struct rest_server *rest;
	char *port_file;
	const char *stop_signal; /* what it was asked to stop with; NULL: not yet */
	char stop_signal_text[32];
};

static void usage(FILE *to)
{
	unsigned i;

	fprintf(to,
	    "usage: weir-supervisor [-c flink-conf.yaml] [-D key=value]... [-n]\n"
	    "\n"
	    "  -c FILE       read the configuration from FILE\n"
	    "  -D KEY=VALUE  set a key, over what the file says; may be given again\n"
	    "  -n            check the configuration and exit\n"
	    "  -h, --help    print this help and exit\n"
	    "  -V, --version print the version and exit\n"
	    "\n"
	    "keys:\n");
	for (i = 0; i < conf_n_rows(); i++) {
		const struct conf_row *row = conf_row_at(i);

		fprintf(to, "  %s (%s%s)\n      %s\n", row->key,
		    row->def[0] != '\0' ? "default " : "no default", row->def, row->sentence);
	}
}

static void on_conf_warning(void *arg, const char *sentence)
{
	(void)arg;
	log_warnx("conf.warning", KV_MSG("%s", sentence));
}

static struct conf *load_conf(const struct supervisor *s, struct err *e)
{
	struct conf *conf = conf_load(s->conf_file, s->overrides, s->n_overrides, on_conf_warning, NULL, e);

	if (conf != NULL && state_dir_resolve(conf, e) != 0) {
		conf_destroy(conf);
		return NULL;
	}
	return conf;
}

static int fail(const struct err *e)
{
	log_errorx("supervisor.failed", KV_STR("code", err_name(e->code)),
	    KV_INT("status", err_exit_status(e->code)), KV_MSG("%s", e->msg));
	return err_exit_status(e->code);
}

/* ---- the log ---- */

static int open_log(struct supervisor *s, struct err *e)
{
	enum log_level level = LOG_INFO;
	char *path = xasprintf("%s/jobmanager.log", s->conf->log_dir);
	int fd = log_open_file(path), rc = 0;

	if (fd < 0) {
		rc = err_set_errno(e, ERR_IO, "open the log %s", path);
	} else {
		log_level_parse(s->conf->log_level, &level);
		log_init("jobmanager", level, STDERR_FILENO, fd);
		if (s->log_fd >= 0)
			close(s->log_fd);
		s->log_fd = fd;
	}
	free(path);
	return rc;
}

/* ---- signals ---- */

static void on_child(void *arg)
{
	struct supervisor *s = arg;

	cluster_reap(s->cluster);
}

static void on_terminate(void *arg, const char *signal_name)
{
	struct supervisor *s = arg;

	if (s->stop_signal != NULL) {
		log_warnx("supervisor.stop_now", KV_STR("signal", signal_name),
		    KV_MSG("asked to stop again; what still runs is killed"));
		loop_stop(s->loop);
		return;
	}
	snprintf(s->stop_signal_text, sizeof(s->stop_signal_text), "%s", signal_name);
	s->stop_signal = s->stop_signal_text;
	log_info("supervisor.stopping", KV_STR("signal", signal_name),
	    KV_MSG("asked to stop; jobs, TaskManagers and the storage process are ended in order"));
	cluster_stop(s->cluster);
}

static void on_stopped(void *arg)
{
	struct supervisor *s = arg;

	loop_stop(s->loop);
}

static void on_change(void *arg, const char *key, const char *from, const char *to)
{
	(void)arg;
	log_info("reload.change", KV_STR("key", key), KV_STR("from", from), KV_STR("to", to),
	    KV_MSG("the configuration has another %s", key));
}

static void on_reload(void *arg)
{
	struct supervisor *s = arg;
	enum log_level level;
	struct conf *conf, *old;
	struct err e;
	int n;

	log_info("reload.begin", KV_STR("file", s->conf_file), KV_MSG("reading the configuration again"));
	conf = load_conf(s, &e);
	n = conf != NULL ? reload_compare(s->conf, conf, on_change, NULL, &e) : -1;
	if (n < 0) {
		log_errorx("reload.refused", KV_STR("file", s->conf_file),
		    KV_MSG("%s; the running configuration stays", e.msg));
		conf_destroy(conf);
		return;
	}
	if (conf->slots != s->conf->slots)
		log_warnx("reload.later", KV_STR("key", "taskmanager.numberOfTaskSlots"),
		    KV_MSG("TaskManagers with tasks get another number of slots when they are forked again"));
	old = s->conf;
	s->conf = conf;
	if (log_level_parse(conf->log_level, &level))
		log_set_level(level);
	cluster_set_conf(s->cluster, conf);
	conf_destroy(old);
	log_info("reload.done", KV_INT("changes", n), KV_MSG("the configuration was applied"));
}

static void on_reopen_logs(void *arg)
{
	struct supervisor *s = arg;
	struct err e;

	cluster_reopen_logs(s->cluster);
	if (open_log(s, &e) != 0)
		log_errorx("log.reopen_failed", KV_MSG("%s; the old file is used on", e.msg));
	else
		log_info("log.reopened", KV_MSG("the log was opened again"));
}

static void on_dump(void *arg)
{
	struct supervisor *s = arg;

	cluster_dump(s->cluster);
}

static const struct loop_callbacks callbacks = {
	.on_child = on_child,
	.on_terminate = on_terminate,
	.on_reload = on_reload,
	.on_reopen_logs = on_reopen_logs,
	.on_dump = on_dump,
};

/* ---- start and end ---- */

static int write_port_file(struct supervisor *s, unsigned port, struct err *e)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%u\n", port);

	s->port_file = xasprintf("%s/rest.port", s->conf->storage_dir);
	return file_write_atomic(s->port_file, text, (size_t)n, 0644, e);
}

static int start(struct supervisor *s, struct err *e)
{
	struct cluster_config cfg = { .conf = s->conf,
		.stderr_fd = STDERR_FILENO,
		.workers_lock_fd = s->workers_lock_fd,
		.stop_grace_ms = STOP_GRACE_MS,
		.stopped = on_stopped,
		.arg = s };
	unsigned port;

	s->loop = loop_create(&callbacks, s, e);
	if (s->loop == NULL)
		return -1;
	cfg.base = loop_base(s->loop);
	s->cluster = cluster_create(&cfg);
	/* Before anything is forked: a port in use leaves nothing behind. */
	s->rest = rest_create(cfg.base, cluster_gateway(s->cluster), LOOP_PRIORITY_HTTP, &port, e);
	if (s->rest == NULL)
		return -1;
	cluster_start(s->cluster);
	if (write_port_file(s, port, e) != 0)
		return -1;
	log_info("rest.listening", KV_STR("address", s->conf->rest_bind_address), KV_UINT("port", port),
	    KV_MSG("REST API at http://%s:%u", s->conf->rest_bind_address, port));
	return 0;
}

static void take_apart(struct supervisor *s)
{
	if (s->port_file != NULL)
		unlink(s->port_file);
	rest_destroy(s->rest);
	cluster_destroy(s->cluster);
	loop_destroy(s->loop);
	free(s->port_file);
}

static int run(struct supervisor *s)
{
	struct err e;
	int rc;

	if (state_dir_make(s->conf, &e) != 0)
		return fail(&e);
	/* Before the log: it is the other supervisor's. */
	s->lock_fd = state_dir_lock(s->conf, &e);
	if (s->lock_fd < 0 || open_log(s, &e) != 0)
		return fail(&e);
	s->workers_lock_fd = state_dir_workers_lock(s->conf, &e);
	if (s->workers_lock_fd < 0)
		return fail(&e);
	log_info("supervisor.start", KV_STR("version", WEIR_VERSION), KV_STR("conf", s->conf->file),
	    KV_STR("state_dir", s->conf->storage_dir), KV_INT("taskmanagers", s->conf->taskmanagers),
	    KV_INT("slots", s->conf->slots), KV_INT("port", s->conf->rest_port),
	    KV_MSG("weir-supervisor %s starts", WEIR_VERSION));
	rc = start(s, &e);
	if (rc == 0)
		rc = loop_run(s->loop, &e);
	rc = rc != 0 ? fail(&e) : 0;
	take_apart(s);
	if (rc == 0)
		log_info("supervisor.end", KV_STR("signal", s->stop_signal), KV_INT("status", 0),
		    KV_MSG("stopped, as asked by %s", s->stop_signal));
	return rc;
}

/*
 * Children get titles of their own, in place of the command line.  The kernel shows such a title
 * alone, so that `pgrep -f '^taskmanager tm-2$'` finds it, only where the last byte of the area was
 * overwritten; setproctitle overwrites the end of argv[0], so that has to be the end of all.  Returns
 * copies of the arguments.
 */
static char **prepare_titles(int argc, char **argv, char **envp)
{
	char **args = xcalloc((size_t)argc + 1, sizeof(*args));
	int i;

	for (i = 0; i < argc; i++)
		args[i] = xstrdup(argv[i]);
	for (i = 1; i < argc; i++)
		if (argv[i] == argv[i - 1] + strlen(args[i - 1]) + 1)
			argv[i][-1] = ' ';
	setproctitle_init(argc, argv, envp);
	return args;
}

static void usage_error(const char *what)
{
	fprintf(stderr, "weir-supervisor: %s; --help prints the options\n", what);
}

/* Returns the exit status, or -1 to go on. */
static int parse_options(struct supervisor *s, int argc, char **argv, bool *check_only)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int opt;

	s->overrides = xcalloc((size_t)argc + 1, sizeof(*s->overrides));
	while ((opt = getopt_long(argc, argv, "+:c:D:nhV", longs, NULL)) != -1) {
		switch (opt) {
		case 'c':
			s->conf_file = optarg;
			break;
		case 'D':
			s->overrides[s->n_overrides++] = optarg;
			break;
		case 'n':
			*check_only = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			printf("weir-supervisor %s\n", WEIR_VERSION);
			return 0;
		case ':':
			usage_error(log_fmt("option -%c needs a value", optopt));
			return 1;
		default:
			/* a short one is known by its letter, a long one is the word before */
			usage_error(optopt != 0 ? log_fmt("there is no option -%c", optopt) :
						  log_fmt("there is no option %s", argv[optind - 1]));
			return 1;
		}
	}
	if (optind == argc)
		return -1;
	usage_error(log_fmt("unexpected argument \"%s\"", argv[optind]));
	return 1;
}

int main(int argc, char **argv, char **envp)
{
	struct supervisor s = { .lock_fd = -1, .workers_lock_fd = -1, .log_fd = -1 };
	char **args = prepare_titles(argc, argv, envp);
	bool check_only = false;
	struct err e;
	int rc, i;

	log_init("jobmanager", LOG_INFO, STDERR_FILENO, -1);
	rc = parse_options(&s, argc, args, &check_only);
	if (rc >= 0)
		goto out;
	s.conf = load_conf(&s, &e);
	if (s.conf == NULL) {
		rc = fail(&e);
	} else if (check_only) {
		printf("the configuration is valid\n");
		rc = 0;
	} else {
		rc = run(&s);
	}
	conf_destroy(s.conf);
	if (s.log_fd >= 0)
		close(s.log_fd);
	if (s.workers_lock_fd >= 0)
		close(s.workers_lock_fd);
	if (s.lock_fd >= 0)
		close(s.lock_fd); /* the lock goes with it */
out:
	free(s.overrides);
	for (i = 0; i < argc; i++)
		free(args[i]);
	free(args);
	return rc;
}
