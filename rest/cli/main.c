/* weir: the command line client. */
#include <limits.h>
#include <unistd.h>

#include "base/mem.h"
#include "rest/cli/cli.h"

/* Run weir-NAME, found beside this program or in PATH. Returns when there is none. */
static void run_program(const char *name, char *const *argv)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *program = xasprintf("weir-%s", name), *slash, *beside;

	if (strchr(name, '/') == NULL && name[0] != '-') {
		if (n > 0) {
			self[n] = '\0';
			slash = strrchr(self, '/');
			*slash = '\0';
			beside = xasprintf("%s/%s", self, program);
			execv(beside, argv);
			free(beside);
		}
		execvp(program, argv);
	}
	free(program);
}

static int fail_action(const char *name)
{
	printf(
	    "\"%s\" is not a valid action.\n\nValid actions are \"run\", \"list\", \"savepoint\", \"stop\", "
	    "or \"cancel\".\n\n"
	    "Specify the version option (-v or --version) to print Weir's version.\n\n"
	    "Specify the help option (-h or --help) to get help on the command.\n",
	    name);
	return 1;
}

int main(int argc, char **argv)
{
	static int (*const run[CLI_N_ACTIONS])(const struct client *, const struct cli_args *, FILE *,
	    FILE *) = {
		[CLI_RUN] = cli_run,
		[CLI_LIST] = cli_list,
		[CLI_STOP] = cli_stop,
		[CLI_SAVEPOINT] = cli_savepoint,
		[CLI_CANCEL] = cli_cancel,
	};
	enum cli_action action;
	struct cli_args a;
	struct client c;
	struct err e;
	int rc;

	if (argc < 2) {
		printf("Please specify an action.\n\n");
		cli_print_usage(stdout);
		return 1;
	}
	if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0) {
		cli_print_usage(stdout);
		return 0;
	}
	if (strcmp(argv[1], "-v") == 0 || strcmp(argv[1], "--version") == 0) {
		printf("weir %s\n", WEIR_VERSION);
		return 0;
	}
	if (!cli_action_find(argv[1], &action)) {
		run_program(argv[1], argv + 1);
		return fail_action(argv[1]);
	}
	if (cli_args_parse(&a, action, argc - 2, (const char *const *)argv + 2, &e) != 0)
		return cli_fail_usage(stdout, e.msg);
	if (a.help) {
		cli_print_action_help(stdout, action);
		return 0;
	}
	if (client_init(&c, a.jobmanager, &e) != 0)
		return cli_fail_usage(stdout, e.msg);
	rc = run[action](&c, &a, stdout, stderr);
	client_fini(&c);
	if (fflush(stdout) != 0 && rc == 0)
		rc = 1;
	return rc;
}
