/*
 * weir-drill: starts a cluster, gives it known input, kills its processes at random instants, and says
 * whether every window was counted all the same.
 */
#include <getopt.h>
#include <inttypes.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/log.h"
#include "base/mem.h"
#include "jobs/tools/click.h"
#include "jobs/tools/drill.h"

#define POLL_MS   5
#define RUN_MS    30000 /* for the job to run, undisturbed */
#define STILL_MS  15000 /* without a new window: no more will come */
#define SETTLE_MS 5000  /* for the supervisor to close what belonged to the last failure */

volatile sig_atomic_t drill_interrupted;

static void on_stop(int sig)
{
	drill_interrupted = sig;
}

/* ---------------------------------------------------------------- waiting */

static int turn(struct drill *d, int wait_ms, struct err *e)
{
	kafka_read(d->k, &d->oracle, wait_ms);
	log_follow(&d->l);
	if (cluster_reap(&d->c, e) < 0)
		return -1;
	if (d->c.client_ended) {
		d->c.client_ended = false;
		d->n_savepoints_done += d->c.client_status == 0;
	}
	return 0;
}

static int64_t now_ms(void)
{
	return clock_mono_ns(&clock_system) / NS_PER_MS;
}

int drill_wait(struct drill *d, int64_t ms, struct err *e)
{
	int64_t until_ms = now_ms() + ms, left;

	do {
		left = until_ms - now_ms();
		if (turn(d, left < 0 ? 0 : left > POLL_MS ? POLL_MS : (int)left, e) < 0)
			return -1;
	} while (now_ms() < until_ms && drill_interrupted == 0);
	return 0;
}

int drill_await_running(struct drill *d, int64_t timeout_ms, struct err *e)
{
	int64_t deadline_ms = now_ms() + timeout_ms;

	while (!d->l.running && drill_interrupted == 0) {
		if (turn(d, POLL_MS, e) < 0)
			return -1;
		if (now_ms() > deadline_ms)
			return err_set(e, ERR_TIMEOUT,
			    "the job does not run %" PRId64 " s after the last kill", timeout_ms / 1000);
	}
	return 0;
}

static int await_client(struct drill *d, int64_t timeout_ms, struct err *e)
{
	int64_t deadline_ms = now_ms() + timeout_ms;

	while (d->c.client != 0 && now_ms() < deadline_ms)
		if (turn(d, POLL_MS, e) < 0)
			return -1;
	if (d->c.client != 0)
		kill(d->c.client, SIGKILL);
	while (d->c.client != 0)
		if (turn(d, POLL_MS, e) < 0)
			return -1;
	return 0;
}

/* ------------------------------------------------------------------ parts */

static int await_port(struct drill *d, struct err *e)
{
	int64_t deadline_ms = now_ms() + RUN_MS;

	while (cluster_port(&d->c) == 0) {
		if (turn(d, POLL_MS, e) < 0)
			return -1;
		if (now_ms() > deadline_ms)
			return err_set(e, ERR_TIMEOUT, "the supervisor has no port; see %s/supervisor.log",
			    d->c.dir);
	}
	return 0;
}

static int run_job(struct drill *d, const char *tag, struct err *e)
{
	char *address, *parallelism;
	int rc = -1;

	if (await_port(d, e) < 0)
		return -1;
	address = xasprintf("127.0.0.1:%d", d->c.port);
	parallelism = xasprintf("%d", DRILL_PARALLELISM);
	if (cluster_client(&d->c,
		(const char *const[]){ "run", "-d", "-m", address, "-p", parallelism, d->c.job_file,
		    "--bootstrap.servers", d->c.broker, "--input-topic", kafka_topic_in(d->k),
		    "--output-topic", kafka_topic_out(d->k), "--group.id", tag, "--event-time",
		    "--timestamp-format", "HH", NULL },
		e) == 0 &&
	    await_client(d, RUN_MS, e) == 0) {
		rc = d->c.client_status == 0 ?
		    0 :
		    err_set(e, ERR_UNAVAILABLE, "the job was not taken; see %s/client.log", d->c.dir);
	}
	d->n_savepoints_done = 0; /* that was none */
	free(address);
	free(parallelism);
	return rc < 0 ? -1 : drill_await_running(d, RUN_MS, e);
}

/* All that the input closes, or until nothing more comes. */
static int await_windows(struct drill *d, struct err *e)
{
	int64_t last_ms = now_ms(), seen = -1;

	while (d->oracle.n_complete < d->n_windows * CLICK_N_PAGES && drill_interrupted == 0) {
		if (turn(d, POLL_MS, e) < 0)
			return -1;
		if (d->oracle.n_outputs != seen) {
			seen = d->oracle.n_outputs;
			last_ms = now_ms();
		} else if (now_ms() - last_ms > STILL_MS) {
			break;
		}
	}
	return 0;
}

/* Its descriptors when nothing is under way; those of the last failure may still be on their way out. */
static int settle(struct drill *d, struct err *e)
{
	int64_t deadline_ms = now_ms() + SETTLE_MS;

	do {
		if (drill_wait(d, 50, e) < 0)
			return -1;
		cluster_count_fds(&d->c, &d->fds_after, &d->memfds_after);
	} while ((d->fds_after > d->fds_before || d->memfds_after > d->memfds_before) &&
	    now_ms() < deadline_ms);
	return 0;
}

static int stop_job(struct drill *d, struct err *e)
{
	int64_t deadline_ms = now_ms() + RUN_MS;
	char *address;
	int rc;

	if (await_port(d, e) < 0 || await_client(d, RUN_MS, e) < 0)
		return -1;
	address = xasprintf("127.0.0.1:%d", d->c.port);
	rc = cluster_client(&d->c, (const char *const[]){ "stop", "--drain", "-m", address, d->l.job, NULL },
	    e);
	free(address);
	if (rc < 0 || await_client(d, RUN_MS, e) < 0)
		return -1;
	d->n_savepoints++;
	while (d->l.n_ended == 0 && now_ms() < deadline_ms)
		if (turn(d, POLL_MS, e) < 0)
			return -1;
	d->finished = d->l.n_ended > 0 && d->c.client_status == 0;
	return drill_wait(d, 300, e); /* a result too many would come now; files of the job go */
}

static int drill_run(struct drill *d, struct err *e)
{
	char *tag = xasprintf("drill-%" PRIu64, d->o.seed);
	int rc = -1;

	if (d->o.kafka != NULL) {
		free(tag);
		tag = xasprintf("drill-%" PRIu64 "-%d", d->o.seed, (int)getpid());
	}
	if (cluster_open(&d->c, &d->o, e) < 0 || cluster_write_conf(&d->c, DRILL_PARALLELISM, e) < 0)
		goto out;
	d->l.path = xasprintf("%s/supervisor.log", d->c.dir);
	d->k = kafka_open(d->c.broker, tag, d->o.kafka != NULL, e);
	if (d->k == NULL || cluster_launch(&d->c, e) < 0 || run_job(d, tag, e) < 0)
		goto out;
	cluster_count_fds(&d->c, &d->fds_before, &d->memfds_before);
	/* The checkpoint that a job began with stays open beside it; the first attempt had none. */
	d->fds_before += d->o.checkpointing;
	d->memfds_before += d->o.checkpointing;
	d->t0_ns = clock_mono_ns(&clock_system);
	if (kafka_start_input(d->k, d->o.rate, e) < 0 || drill_plan_run(d, e) < 0)
		goto out;
	d->end_ns = clock_mono_ns(&clock_system);
	if ((d->n_windows = kafka_end_input(d->k, e)) < 0 || drill_await_running(d, RUN_MS, e) < 0 ||
	    await_windows(d, e) < 0 || settle(d, e) < 0 || stop_job(d, e) < 0)
		goto out;
	rc = 0;
out:
	free(tag);
	return rc;
}

/* ------------------------------------------------------------------- main */

static void usage(FILE *to)
{
	fputs(
	    "usage: weir drill [--seed N] [--kills N] [--rate N] [--kafka HOST:PORT] [--no-checkpointing]\n"
	    "                  [--verbose] [--keep]\n"
	    "  --seed N             the plan of another drill again; default: a random one, which is printed\n"
	    "  --kills N            how many; default 20\n"
	    "  --rate N             events a second; default 4000\n"
	    "  --kafka HOST:PORT    a broker to use; default: an embedded one is started\n"
	    "  --no-checkpointing   without checkpoints, to see the drill fail\n"
	    "  --verbose            print each kill\n"
	    "  --keep               keep the directory with configuration, state and logs\n",
	    to);
}

/* Returns 0, 1 to end well at once, or -1. */
static int parse_options(struct drill_options *o, int argc, char **argv, struct err *e)
{
	static const struct option options[] = { { "seed", required_argument, NULL, 's' },
		{ "kills", required_argument, NULL, 'n' }, { "rate", required_argument, NULL, 'r' },
		{ "kafka", required_argument, NULL, 'k' }, { "no-checkpointing", no_argument, NULL, 'C' },
		{ "verbose", no_argument, NULL, 'v' }, { "keep", no_argument, NULL, 'K' },
		{ "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 } };
	int64_t seed;
	int c;

	while ((c = getopt_long(argc, argv, "hV", options, NULL)) != -1) {
		switch (c) {
		case 's':
			if (conf_parse_i64(optarg, 0, INT64_MAX, &seed, e) < 0)
				return err_prefix(e, "--seed %s", optarg);
			o->seed = (uint64_t)seed;
			break;
		case 'n':
			if (conf_parse_i64(optarg, 0, 1000000, &o->n_kills, e) < 0)
				return err_prefix(e, "--kills %s", optarg);
			break;
		case 'r':
			if (conf_parse_i64(optarg, 100, 1000000, &o->rate, e) < 0)
				return err_prefix(e, "--rate %s", optarg);
			break;
		case 'k':
			o->kafka = optarg;
			break;
		case 'C':
			o->checkpointing = false;
			break;
		case 'v':
			o->verbose = true;
			break;
		case 'K':
			o->keep = true;
			break;
		case 'h':
			usage(stdout);
			return 1;
		case 'V':
			puts("weir-drill " WEIR_VERSION);
			return 1;
		default:
			usage(stderr);
			return err_set(e, ERR_INVALID, "see above");
		}
	}
	if (optind < argc)
		return err_set(e, ERR_INVALID, "unexpected argument %s", argv[optind]);
	return 0;
}

int main(int argc, char **argv)
{
	struct drill *d = xcalloc(1, sizeof(*d));
	struct sigaction sa = { .sa_handler = on_stop };
	struct err e = { 0 };
	bool well = false;
	int rc;
	unsigned k;

	log_init("weir-drill", LOG_WARN, STDERR_FILENO, -1);
	d->o = (struct drill_options){ .n_kills = 20, .rate = 4000, .checkpointing = true };
	if (getrandom(&d->o.seed, sizeof(d->o.seed), 0) != sizeof(d->o.seed))
		d->o.seed = (uint64_t)clock_mono_ns(&clock_system);
	d->o.seed %= 1000000000; /* to be typed again */
	rc = parse_options(&d->o, argc, argv, &e);
	if (rc != 0) {
		if (rc < 0)
			fprintf(stderr, "weir-drill: %s\n", e.msg);
		free(d);
		return rc < 0;
	}
	d->rng = d->o.seed;
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	printf("seed %" PRIu64 ": %" PRId64 " kills, %" PRId64 " events/s, parallelism %d, checkpoints %s\n",
	    d->o.seed, d->o.n_kills, d->o.rate, DRILL_PARALLELISM,
	    d->o.checkpointing ? "every 200 ms" : "off");
	rc = drill_run(d, &e);
	if (rc < 0) {
		fprintf(stderr, "weir-drill: %s\n", e.msg);
		d->end_ns = clock_mono_ns(&clock_system);
	}
	d->stop_status = cluster_stop(&d->c);
	log_follow(&d->l);
	if (d->k != NULL)
		kafka_close(d->k, d->o.kafka != NULL);
	d->left_processes = cluster_end_rest(&d->c);
	if (rc == 0)
		d->left_files = cluster_count_files(&d->c);
	oracle_judge(&d->oracle, d->n_windows < 0 ? 0 : d->n_windows, &d->v);
	well = drill_report(d) && rc == 0;
	cluster_close(&d->c, well && !d->o.keep);
	oracle_fini(&d->oracle);
	for (k = 0; k < DRILL_N_KINDS; k++)
		free(d->l.recovery[k].ms);
	free(d->l.path);
	free(d);
	return !well;
}
