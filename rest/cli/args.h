/*
 * The command line of `weir`: one table of options, read for parsing and for --help.
 */
#ifndef REST_CLI_ARGS_H
#define REST_CLI_ARGS_H

#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"
#include "base/id.h"

enum cli_action { CLI_RUN, CLI_LIST, CLI_STOP, CLI_SAVEPOINT, CLI_CANCEL, CLI_N_ACTIONS };
extern const char *const cli_action_names[CLI_N_ACTIONS];

struct cli_args {
	enum cli_action action;
	bool help;
	const char *jobmanager;       /* -m, NULL: from the configuration */
	bool running, scheduled, all; /* list */
	bool detached;                /* run */
	unsigned parallelism;         /* 0: not given */
	const char *savepoint, *entry_class;
	bool allow_non_restored;
	const char *jar;     /* run: the file, NULL: missing */
	const char *job;     /* stop, savepoint, cancel: as given, NULL: missing */
	const char *target;  /* of the savepoint: a directory, NULL: the configured one */
	bool drain;          /* stop */
	bool with_savepoint; /* cancel */
	const char *dispose; /* savepoint: the one to remove, NULL: none */
	unsigned n_ignored;  /* words that have no meaning */
	unsigned n_program_args;
	const char *const *program_args;
};

/* False: name is none of the actions. */
bool cli_action_find(const char *name, enum cli_action *action);
/* argv behind the action's name. Options end at the first word of run that is none. Returns 0, or -1 with
 * what is wrong. */
int cli_args_parse(struct cli_args *a, enum cli_action action, int argc, const char *const *argv,
    struct err *e);
/* The job of the action. */
int cli_args_job(const struct cli_args *a, struct id128 *id, struct err *e);

void cli_print_usage(FILE *out);
void cli_print_action_help(FILE *out, enum cli_action action);

#endif
