/* The command line of weir. */
#include "rest/cli/args.h"

#include "base/mem.h"
#include "t/tap.h"

static struct cli_args a;
static struct err e;

/* Parse words up to NULL. */
static int parse(enum cli_action action, const char *const *words)
{
	static const char *argv[16]; /* what was parsed points into it */
	int argc = 0;

	for (; words[argc] != NULL; argc++)
		argv[argc] = words[argc];
	return cli_args_parse(&a, action, argc, argv, &e);
}
#define PARSE(action, ...) parse((action), (const char *const[]){ __VA_ARGS__ })

static void test_run(void)
{
	is_int(PARSE(CLI_RUN, "-d", "-p", "3", "-m", "host:1", "-s", "/sp", "-n", "-c", "C", "job.so", "-d",
		   "--x", "y", NULL),
	    0, "all options of run");
	ok(a.detached && a.parallelism == 3 && a.allow_non_restored, "flags and numbers");
	is_str(a.jobmanager, "host:1", "-m");
	is_str(a.savepoint, "/sp", "-s");
	is_str(a.entry_class, "C", "-c");
	is_str(a.jar, "job.so", "the file");
	is_int(a.n_program_args, 3, "what follows is the program's");
	is_str(a.program_args[0], "-d", "also what looks like an option");
	is_int(PARSE(CLI_RUN, "--detached", "--parallelism=2", "--fromSavepoint", "/sp", "job.so", NULL), 0,
	    "long names");
	ok(a.detached && a.parallelism == 2 && a.n_program_args == 0, "taken");
	is_int(PARSE(CLI_RUN, "-parallelism", "4", "-p5", "j", NULL), 0,
	    "a long name behind one dash, a joined value");
	is_int(a.parallelism, 5, "the last one wins");
	is_int(PARSE(CLI_RUN, "-d", NULL), 0, "no file");
	ok(a.jar == NULL, "none");
	is_int(PARSE(CLI_RUN, "--", "-strange.so", "x", NULL), 0, "a file like an option");
	is_str(a.jar, "-strange.so", "behind --");
	is_int(a.n_program_args, 1, "with its argument");
	is_int(PARSE(CLI_RUN, "-p", "0", "j", NULL), -1, "parallelism 0");
	is_str(e.msg, "The parallelism must be a positive number: 0", "is refused");
	is_int(PARSE(CLI_RUN, "-p", "32768", "j", NULL), 0, "the highest parallelism");
	is_int(PARSE(CLI_RUN, "-p", "32769", "j", NULL), -1, "one more");
	is_str(e.msg, "The parallelism must be at most 32768: 32769", "is refused by name");
	is_int(PARSE(CLI_RUN, "-p", "abc", "j", NULL), -1, "no number");
	is_int(PARSE(CLI_RUN, "-x", "j", NULL), -1, "an unknown option");
	is_str(e.msg, "Unrecognized option: -x", "is named");
	is_int(PARSE(CLI_RUN, "-p", NULL), -1, "a missing value");
	is_str(e.msg, "Missing argument for option: p", "is named");
	is_int(PARSE(CLI_RUN, "--detached=yes", "j", NULL), -1, "a value of a flag");
}

static void test_list(void)
{
	is_int(PARSE(CLI_LIST, "-a", "-m", "h:2", NULL), 0, "list -a");
	ok(a.all && !a.running && !a.scheduled, "taken");
	is_int(PARSE(CLI_LIST, "-r", "--scheduled", NULL), 0, "list -r --scheduled");
	ok(a.running && a.scheduled && a.savepoint == NULL, "-s means scheduled here");
	is_int(PARSE(CLI_LIST, "-d", NULL), -1, "an option of another action");
	is_int(PARSE(CLI_LIST, "-h", NULL), 0, "help");
	ok(a.help, "asked for");
}

static void test_cancel(void)
{
	struct id128 id;
	char hex[ID_HEX_SIZE];

	is_int(PARSE(CLI_CANCEL, "-m", "h:2", "BF2275D47F638CFF4AC851B841952699", NULL), 0, "cancel");
	is_int(cli_args_job(&a, &id, &e), 0, "an id in upper case");
	is_str(id_hex(&id, hex), "bf2275d47f638cff4ac851b841952699", "is the same");
	PARSE(CLI_CANCEL, "xyz", NULL);
	is_int(cli_args_job(&a, &id, &e), -1, "no id");
	is_str(e.msg,
	    "Cannot parse JobID from \"xyz\". The expected format is [0-9a-fA-F]{32}, "
	    "e.g. fd72014d4c864993a2e5a9287b4a9c5d.",
	    "as recorded");
	PARSE(CLI_CANCEL, NULL);
	is_int(cli_args_job(&a, &id, &e), -1, "nothing");
	is_str(e.msg, "Missing JobID. Specify a JobID to cancel a job.", "as recorded");
}

static void test_savepoints(void)
{
	struct id128 id;

	is_int(PARSE(CLI_STOP, "--drain", "-p", "/sp", "J", NULL), 0, "stop --drain -p DIR JOB");
	ok(a.drain && !a.detached && a.parallelism == 0, "drains");
	is_str(a.target, "/sp", "into the directory");
	is_str(a.job, "J", "the job");
	is_int(PARSE(CLI_STOP, "J", "-d", "--savepointPath=/sp", NULL), 0, "the job first, other names");
	ok(a.drain && strcmp(a.target, "/sp") == 0 && strcmp(a.job, "J") == 0, "are the same");
	is_int(PARSE(CLI_STOP, "-p", NULL), -1, "-p without a directory");
	PARSE(CLI_STOP, NULL);
	is_int(cli_args_job(&a, &id, &e), -1, "stop of nothing");
	is_str(e.msg, "Missing JobId", "as recorded");
	is_int(PARSE(CLI_SAVEPOINT, "J", "/sp", "more", NULL), 0, "savepoint JOB DIR and more");
	ok(strcmp(a.job, "J") == 0 && strcmp(a.target, "/sp") == 0 && a.n_ignored == 1, "three words");
	is_int(PARSE(CLI_SAVEPOINT, "-d", "/sp/savepoint-1", NULL), 0, "savepoint -d PATH");
	is_str(a.dispose, "/sp/savepoint-1", "which to remove");
	ok(a.job == NULL && !a.drain && !a.detached, "nothing else");
	is_int(PARSE(CLI_SAVEPOINT, "-d", NULL), -1, "-d without a path");
	PARSE(CLI_SAVEPOINT, NULL);
	is_int(cli_args_job(&a, &id, &e), -1, "savepoint of nothing");
	is_str(e.msg, "Missing JobID. Specify a Job ID to trigger a savepoint.", "as Flink says it");
	is_int(PARSE(CLI_CANCEL, "-s", "/sp", "J", NULL), 0, "cancel -s DIR JOB");
	ok(a.with_savepoint && strcmp(a.target, "/sp") == 0 && strcmp(a.job, "J") == 0, "directory and job");
	is_int(PARSE(CLI_CANCEL, "-s", "J", NULL), 0, "cancel -s JOB");
	ok(a.with_savepoint && a.target == NULL && strcmp(a.job, "J") == 0, "no directory");
	is_int(PARSE(CLI_CANCEL, "J", "-s", NULL), 0, "cancel JOB -s");
	ok(a.with_savepoint && a.target == NULL && strcmp(a.job, "J") == 0, "neither here");
	is_int(PARSE(CLI_CANCEL, "-s", "-m", "h:1", "J", NULL), 0, "an option behind it");
	ok(a.with_savepoint && a.target == NULL && strcmp(a.jobmanager, "h:1") == 0, "is not its directory");
	is_int(PARSE(CLI_CANCEL, "--withSavepoint=/sp", "J", NULL), 0, "joined");
	is_str(a.target, "/sp", "the directory");
}

static void test_help(void)
{
	enum cli_action action;
	char *text = NULL;
	size_t len;
	FILE *out;

	for (unsigned i = 0; i < CLI_N_ACTIONS; i++) {
		out = open_memstream(&text, &len);
		cli_print_action_help(out, (enum cli_action)i);
		fclose(out);
		like(text, "-m,--jobmanager HOST:PORT", "%s --help has the common options",
		    cli_action_names[i]);
		ok((strstr(text, "--parallelism") != NULL) == (i == CLI_RUN), "%s --help has its own only",
		    cli_action_names[i]);
		free(text);
		ok(cli_action_find(cli_action_names[i], &action) && action == i, "%s is found",
		    cli_action_names[i]);
	}
	ok(!cli_action_find("foo", &action), "foo is not");
	out = open_memstream(&text, &len);
	cli_print_usage(out);
	fclose(out);
	for (unsigned i = 0; i < CLI_N_ACTIONS; i++)
		like(text, cli_action_names[i], "usage has %s", cli_action_names[i]);
	free(text);
}

int main(void)
{
	test_run();
	test_list();
	test_cancel();
	test_savepoints();
	test_help();
	return tap_done();
}
