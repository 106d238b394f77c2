/* The actions of `weir` and what they print: Flink's lines, since scripts read them. */
#ifndef REST_CLI_CLI_H
#define REST_CLI_CLI_H

#include <stdio.h>

#include <cjson/cJSON.h>

#include "base/err.h"
#include "rest/cli/args.h"
#include "rest/cli/client.h"

/* Each returns the exit status. */
int cli_run(const struct client *c, const struct cli_args *a, FILE *out, FILE *diag);
int cli_list(const struct client *c, const struct cli_args *a, FILE *out, FILE *diag);
int cli_stop(const struct client *c, const struct cli_args *a, FILE *out, FILE *diag);
int cli_savepoint(const struct client *c, const struct cli_args *a, FILE *out, FILE *diag);
int cli_cancel(const struct client *c, const struct cli_args *a, FILE *out, FILE *diag);

/*
 * POST body to path, which begins an operation, and ask at poll/<its id> until it has ended.  Returns its
 * "operation", freed with cJSON_Delete, or NULL and in e the server's words or why it failed.
 */
cJSON *cli_operation(const struct client *c, const char *path, const char *body, const char *poll,
    struct err *e);
/* A savepoint of a job by one of its routes, "savepoints" or "stop"; its location, or NULL. Caller frees. */
char *cli_take_savepoint(const struct client *c, const char *job_hex, const char *route, const char *body,
    struct err *e);
/* A path as the server can use it: what is relative, is so to where this command runs. NULL: NULL. Caller
 * frees. */
char *cli_place(const char *path);
/* {"<key>":target or null,"<flag>":value}; caller frees. */
char *cli_savepoint_body(const char *key, const char *target, const char *flag, bool value);

/* What was asked for cannot be: on the output, with a hint at --help. */
int cli_fail_usage(FILE *out, const char *sentence);
/* What was tried failed: Flink's frame around the exception. cause NULL: none known. */
int cli_fail(FILE *diag, const char *exception, const struct err *cause);

/* The jobs of an answer of /jobs/overview. Returns 0 or -1: not the shape. */
int cli_print_jobs(FILE *out, const cJSON *answer, const struct cli_args *a, struct err *e);
/* The end of a job of an answer of /jobs/:id/execution-result. Returns the exit status. */
int cli_print_result(FILE *out, FILE *diag, const char *job_id, const cJSON *result);
/* The body of POST /jars/:id/run; caller frees. */
char *cli_run_body(const struct cli_args *a);

#endif
