/*
 * Children of the supervisor: the only fork and the only waitpid.
 *
 * A child is (place, generation, pid, kind, state).  A place is what stays when a process is
 * replaced: tm-2, the storage process, a builder's number; the generation counts the
 * processes it had.  For every child that dies there is one line event=child.died in the
 * log and one call of its on_died; by then it is reaped and nothing of it is left but the
 * struct, which goes when on_died returns.
 *
 * Supervisor process only; no thread may exist when a child is forked.
 */
#ifndef SUPERVISOR_CHILD_H
#define SUPERVISOR_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/id.h"
#include "base/log.h"
#include "shm/metrics.h"
#include "worker/control.h"

enum child_kind { CHILD_TASKMANAGER, CHILD_STORAGE, CHILD_BUILDER, CHILD_N_KINDS };
const char *child_kind_name(enum child_kind k); /* "taskmanager", "storage", "builder" */

enum child_state {
	CHILD_ALIVE,    /* forked, expected to go on */
	CHILD_STOPPING, /* asked to end, or expected to by itself */
	CHILD_KILLED,   /* SIGKILL was sent, not yet reaped */
	CHILD_DEAD,     /* reaped */
	CHILD_N_STATES
};
const char *child_state_name(enum child_state s); /* "alive", ... */

/* How a child ended. A plain value, valid by itself. */
struct child_death {
	enum child_kind kind;
	uint32_t place, generation;
	pid_t pid;
	int signo;       /* 0: it exited */
	int exit_status; /* where signo is 0 */
	bool expected;   /* it was asked to stop and exited with 0 */
	bool oom;        /* killed, not by us, while the kernel counted an out-of-memory kill */
	int64_t lived_ms;
	char reason[160];                    /* why we killed it, "" when we did not */
	char last_words[METRICS_LAST_WORDS]; /* its own, "" where there are none */
	char sentence[1024]; /* "taskmanager tm-2 (pid 420) was killed by SIGKILL: no heartbeat for 50 s" */
};

struct child;
struct children;

/* After the reaping of a whole batch and the child's obituary. c is borrowed until return. */
typedef void child_died_fn(void *arg, struct child *c, const struct child_death *d);

/* What is known elsewhere about a dead child and belongs in its obituary. */
struct child_context {
	char job[ID_HEX_SIZE]; /* "" none */
	uint64_t attempt;      /* 0 none */
	char next[200];        /* what happens next: "restarting from checkpoint 17"; "" nothing to say */
};

/* What a storage process or a builder has from its parent. */
struct child_birth {
	uint32_t place, generation;
	int control_fd; /* its end */
	int stderr_fd;  /* the supervisor's; -1 none */
	pid_t parent_pid;
};

/* What the children run, just forked, with every signal blocked: each adopts (worker/adopt.h) and
 * never returns. child.c only knows how to fork. */
struct child_programs {
	void (*taskmanager)(const struct inheritance *in);
	void (*storage)(const struct child_birth *b);
	void (*builder)(const struct child_birth *b, const char *artifact, int argc, const char *const *argv);
};
extern const struct child_programs child_programs_weir; /* the real ones; supervisor/child_programs.c */

struct children_config {
	struct child_programs programs;
	int stderr_fd; /* the supervisor's stderr: children write their log lines there, too; -1 none */
	int lock_fd;   /* TaskManagers keep it open as long as they live; 0: none */
	/* May fill ctx before the obituary is written. NULL: nobody knows more. */
	void (*context)(void *arg, const struct child_death *d, struct child_context *ctx);
	/* Once after each batch of on_died calls: the state machines run. May be NULL. */
	void (*on_reaped)(void *arg);
	void *arg;
};

/* Raises the soft limit of open files to the hard one: each worker costs the supervisor 3 + slots of them. */
struct children *children_create(const struct children_config *cfg);
/* SIGKILL and reap every child that is left; their on_died are called. */
void children_destroy(struct children *cs);
bool children_closing(const struct children *cs); /* inside children_destroy: forks are refused */
unsigned children_alive(const struct children *cs);
/* All of them, for a dump: fn must not fork or kill. */
void children_each(const struct children *cs, void (*fn)(void *arg, const struct child *c), void *arg);

struct child_taskmanager_spec {
	uint32_t place;      /* from 1 */
	uint32_t generation; /* from 1 */
	uint32_t n_slots;    /* 1..CTL_MAX_SLOTS */
	const char *log_dir; /* taskmanager-N.log and .out are opened here for appending, before the fork */
	enum log_level log_level;
};

/* <log_dir>/taskmanager-<place>.<suffix>, for appending. Returns the descriptor or -1. */
int child_open_log(const char *log_dir, uint32_t place, const char *suffix, struct err *e);

/*
 * Fork.  Returns the child, or NULL: nothing was left behind.
 * on_died is called once for each child returned here, never from inside the call.
 * builder: place is any number that tells builders apart in the log; strings are borrowed until return.
 */
struct child *child_fork_taskmanager(struct children *cs, const struct child_taskmanager_spec *spec,
    child_died_fn *on_died, void *arg, struct err *e);
struct child *child_fork_storage(struct children *cs, uint32_t generation, child_died_fn *on_died, void *arg,
    struct err *e);
struct child *child_fork_builder(struct children *cs, uint32_t place, const char *artifact, int argc,
    const char *const *argv, child_died_fn *on_died, void *arg, struct err *e);

/* Its end will be no surprise: exit status 0 is then logged as info. */
void child_expect_exit(struct child *c);
/* SIGKILL; reason goes into the obituary. The end is told by on_died, as for any other death. */
void child_kill(struct child *c, const char *reason);
/* From the loop, on SIGCHLD: reap until nothing is left, then obituaries and on_died, then on_reaped. */
void child_reap(struct children *cs);

enum child_kind child_kind(const struct child *c);
enum child_state child_state(const struct child *c);
uint32_t child_place(const struct child *c);
uint32_t child_generation(const struct child *c);
pid_t child_pid(const struct child *c);
/* The supervisor's end of the control channel (builder: of the result), non-blocking; takes it away:
 * the caller closes it. -1 when it was taken before. */
int child_take_control_fd(struct child *c);
/* Taskmanagers only; borrowed until on_died returns. */
struct metrics_region *child_metrics(const struct child *c); /* read-only mapping */
int child_eventfd(const struct child *c, uint32_t slot);     /* the slot's doorbell */

#endif
