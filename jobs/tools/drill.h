/*
 * weir-drill: a cluster of its own under random kills, and the proof that no window was lost.
 *
 *	drill.c           options, the run from its start to its verdict
 *	drill_plan.c      what is done to the cluster, and when; seeded
 *	drill_cluster.c   the processes: start, signals, what is left of them
 *	drill_log.c       the supervisor's log: phases of the job, times of recovery
 *	drill_kafka.c     topics, the events that go in, the results that come out
 *	drill_oracle.c    what must come out, and what did
 *	drill_report.c    the verdict
 *
 * One thread does all but the writing of events, so that a kill falls where the plan puts it.
 */
#ifndef JOBS_TOOLS_DRILL_H
#define JOBS_TOOLS_DRILL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/err.h"

#define DRILL_PARALLELISM 3

struct drill_options {
	uint64_t seed;
	int64_t n_kills;
	int64_t rate;      /* events a second */
	const char *kafka; /* NULL: an embedded broker is started */
	bool checkpointing;
	bool verbose;
	bool keep; /* the directory, whatever the verdict */
};

/* What the job does when a kill comes, as far as the supervisor's log tells. */
enum drill_phase {
	DRILL_FIRST,      /* it runs and has no checkpoint yet */
	DRILL_BETWEEN,    /* it runs, between two checkpoints */
	DRILL_CHECKPOINT, /* it runs, a checkpoint is on its way */
	DRILL_RESTART,    /* the attempt before is being given up */
	DRILL_RESTORE,    /* it is deployed from a checkpoint and not all tasks run */
	DRILL_DEPLOY,     /* it is deployed without state */
	DRILL_N_PHASES
};
enum drill_kind { DRILL_WORKER, DRILL_SUPERVISOR, DRILL_ALL, DRILL_N_KINDS };

struct drill_samples {
	int64_t *ms;
	unsigned n, cap;
};

/* ---------------------------------------------------------------- cluster */

struct drill_cluster {
	char dir[64];
	char bin_dir[4096];
	char *job_file, *broker;              /* host:port */
	pid_t supervisor, broker_pid, client; /* 0: none */
	int client_status;                    /* of the last client that ended */
	bool client_ended;
	int n_workers; /* as configured */
	bool checkpointing;
	int port; /* of the REST API; 0: not known yet */
	int64_t launch_ns;
	unsigned n_launches, n_died; /* supervisor: starts, and ends that nobody asked for */
	unsigned n_orphans;          /* processes that outlived their supervisor and were taken over */
	int64_t orphan_ms_max;       /* how long the longest lived on after it */
	int64_t killed_ns;           /* when the supervisor was last killed */
};

/* Make the directory, find the programs, start the embedded broker if there is none to use. */
int cluster_open(struct drill_cluster *c, const struct drill_options *o, struct err *e);
int cluster_write_conf(struct drill_cluster *c, int n_workers, struct err *e);
int cluster_launch(struct drill_cluster *c, struct err *e);
/* Read rest.port if it is there: its value, 0 while it is not. */
int cluster_port(struct drill_cluster *c);
/* Run the weir command in the background; its output goes to DIR/client.log. At most one at a time. */
int cluster_client(struct drill_cluster *c, const char *const *argv, struct err *e);
/* Take note of every child that ended; a supervisor that ended by itself is started again. */
int cluster_reap(struct drill_cluster *c, struct err *e);
/* The supervisor's children whose title begins with prefix: how many. */
unsigned cluster_children(const struct drill_cluster *c, const char *prefix, pid_t *pids, unsigned max);
/* Signal a process below the supervisor (or the supervisor), and no stranger that has its pid by now. */
bool cluster_signal(const struct drill_cluster *c, pid_t pid, int sig);
void cluster_kill_supervisor(struct drill_cluster *c, bool everything);
/* Descriptors of the supervisor, memfds among them counted apart. */
void cluster_count_fds(const struct drill_cluster *c, unsigned *n_fds, unsigned *n_memfds);
/* Stop the supervisor by SIGTERM. Returns its exit status, 128 + n for signal n. */
int cluster_stop(struct drill_cluster *c);
/* End what is still there: how many processes that should have been gone. */
unsigned cluster_end_rest(struct drill_cluster *c);
/* Temporary files and files of the job that are left below DIR; names go to stdout. */
unsigned cluster_count_files(const struct drill_cluster *c);
void cluster_close(struct drill_cluster *c, bool remove);

/* -------------------------------------------------------------------- log */

struct drill_log {
	char *path;
	int64_t offset;
	char job[33]; /* "" until it is submitted */
	enum drill_phase phase;
	bool had_checkpoint, running;
	int64_t trigger_ms; /* wall clock, of the last completed checkpoint */
	unsigned n_completed, n_restored, n_damaged, n_ended;
	unsigned n_attempts;
	/* the last kill */
	int64_t kill_ms;
	pid_t kill_pid;     /* of the worker; 0: of the supervisor */
	bool awaited, seen; /* its recovery is measured; its death was logged */
	enum drill_kind kill_kind;
	/* kills of a running job since the last checkpoint: was one on its way? */
	struct {
		enum drill_kind kind;
		enum drill_phase phase;
	} pending[8];
	unsigned n_pending;
	bool tainted; /* ids may be missing for another reason */
	uint64_t last_id;
	unsigned kills[DRILL_N_KINDS][DRILL_N_PHASES];
	struct drill_samples recovery[DRILL_N_KINDS];
};

void log_follow(struct drill_log *l); /* read what is new */
void log_killed(struct drill_log *l, enum drill_kind kind, pid_t pid, int64_t wall_ms);
const char *drill_phase_name(enum drill_phase p);
const char *drill_kind_name(enum drill_kind k);

/* ----------------------------------------------------------------- oracle */

struct drill_window {
	int64_t n_outputs, n_other, last; /* n_other: outputs that were not as they must be */
};
struct drill_oracle {
	struct drill_window *windows; /* window * CLICK_N_PAGES + page */
	int64_t n_windows, cap;       /* seen */
	int64_t n_outputs, n_strange; /* outputs that are no result of this input */
	int64_t n_complete;           /* windows of pages that were seen at least once */
};
struct drill_verdict {
	int64_t n_expected, n_lost, n_wrong, n_repeated;
};

void oracle_add(struct drill_oracle *o, const char *json);
/* Judge the first n_windows windows; what follows them was left open. The first ten findings go to stdout. */
void oracle_judge(const struct drill_oracle *o, int64_t n_windows, struct drill_verdict *v);
void oracle_fini(struct drill_oracle *o);

/* ------------------------------------------------------------------ kafka */

struct drill_kafka; /* both topics, the thread that writes, the reader */

struct drill_kafka *kafka_open(const char *servers, const char *tag, bool create, struct err *e);
const char *kafka_topic_in(const struct drill_kafka *k);
const char *kafka_topic_out(const struct drill_kafka *k);
int kafka_start_input(struct drill_kafka *k, int64_t rate, struct err *e);
/* Complete the window that is open and write a bit of the next one: whole windows written, or -1. */
int64_t kafka_end_input(struct drill_kafka *k, struct err *e);
/* Give what comes out within wait_ms to the oracle. */
void kafka_read(struct drill_kafka *k, struct drill_oracle *o, int wait_ms);
void kafka_close(struct drill_kafka *k, bool delete_topics);

/* --------------------------------------------------------- plan and report */

struct drill {
	struct drill_options o;
	struct drill_cluster c;
	struct drill_log l;
	struct drill_oracle oracle;
	struct drill_kafka *k;
	uint64_t rng;
	int64_t t0_ns, end_ns;
	unsigned n_kills, n_close; /* close: within 50 ms of the one before */
	unsigned n_stops, n_reloads, n_savepoints, n_savepoints_done;
	unsigned fds_before, fds_after, memfds_before, memfds_after;
	unsigned left_processes, left_files;
	int stop_status;
	bool finished; /* the job ended by its last stop */
	int64_t n_windows;
	struct drill_verdict v;
};

extern volatile sig_atomic_t drill_interrupted;

/* Let ms pass: read results, follow the log, reap children. Returns -1 when the drill cannot go on. */
int drill_wait(struct drill *d, int64_t ms, struct err *e);
/* Wait until all tasks run. */
int drill_await_running(struct drill *d, int64_t timeout_ms, struct err *e);
int drill_plan_run(struct drill *d, struct err *e);
/* Returns whether nothing was lost, wrong or left behind. */
bool drill_report(const struct drill *d);

#endif
