/* Options of `weir`. */
#include "rest/cli/args.h"

#include "base/conf.h"
#include "base/mem.h"

#define PARALLELISM_MAX 32768 /* as the REST API takes it */

const char *const cli_action_names[CLI_N_ACTIONS] = { "run", "list", "cancel" };

static const struct {
	const char *syntax, *sentence;
} actions[CLI_N_ACTIONS] = {
	[CLI_RUN] = { "run [OPTIONS] JOB-FILE [ARGUMENTS]", "uploads a job, runs it and waits for its end" },
	[CLI_LIST] = { "list [OPTIONS]", "lists jobs that run or are scheduled" },
	[CLI_CANCEL] = { "cancel [OPTIONS] JOB-ID", "cancels a job" },
};

enum {
	IN_RUN = 1 << CLI_RUN,
	IN_LIST = 1 << CLI_LIST,
	IN_CANCEL = 1 << CLI_CANCEL,
	IN_ALL = IN_RUN | IN_LIST | IN_CANCEL
};

static const struct cli_option {
	char letter;
	const char *name;
	const char *value; /* what it is called in the help, NULL: a flag */
	unsigned actions;
	const char *sentence;
} options[] = {
	{ 'm', "jobmanager", "HOST:PORT", IN_ALL, "Where the REST API is; default from the configuration" },
	{ 'h', "help", NULL, IN_ALL, "This text" },
	{ 'd', "detached", NULL, IN_RUN, "Do not wait for the job's end" },
	{ 'p', "parallelism", "N", IN_RUN, "Parallelism of the job; default parallelism.default" },
	{ 's', "fromSavepoint", "PATH", IN_RUN, "Restore the job's state from a savepoint" },
	{ 'n', "allowNonRestoredState", NULL, IN_RUN,
	    "Go on where the savepoint has state of operators that are gone" },
	{ 'c', "class", "NAME", IN_RUN, "Accepted for Flink's sake; a job file has one entry" },
	{ 'r', "running", NULL, IN_LIST, "Only jobs that run or restart" },
	{ 's', "scheduled", NULL, IN_LIST, "Only jobs that are scheduled" },
	{ 'a', "all", NULL, IN_LIST, "Also jobs that have ended" },
};

bool cli_action_find(const char *name, enum cli_action *action)
{
	for (unsigned i = 0; i < CLI_N_ACTIONS; i++) {
		if (strcmp(name, cli_action_names[i]) == 0) {
			*action = (enum cli_action)i;
			return true;
		}
	}
	return false;
}

static int apply(struct cli_args *a, const struct cli_option *o, const char *value, struct err *e)
{
	int64_t n;

	switch (o->letter) {
	case 'm':
		a->jobmanager = value;
		break;
	case 'h':
		a->help = true;
		break;
	case 'd':
		a->detached = true;
		break;
	case 'n':
		a->allow_non_restored = true;
		break;
	case 'c':
		a->entry_class = value;
		break;
	case 'r':
		a->running = true;
		break;
	case 'a':
		a->all = true;
		break;
	case 's':
		if (a->action == CLI_LIST)
			a->scheduled = true;
		else
			a->savepoint = value;
		break;
	case 'p':
		if (conf_parse_i64(value, 1, INT64_MAX, &n, NULL) != 0)
			return err_set(e, ERR_INVALID, "The parallelism must be a positive number: %s",
			    value);
		if (n > PARALLELISM_MAX)
			return err_set(e, ERR_INVALID, "The parallelism must be at most %d: %s",
			    PARALLELISM_MAX, value);
		a->parallelism = (unsigned)n;
		break;
	}
	return 0;
}

/* The option that a word names; *value where it is joined to it ("-p2", "--parallelism=2"). Flink also
 * takes a long name behind one dash. */
static const struct cli_option *find_option(const struct cli_args *a, const char *word, const char **value)
{
	const char *name = word + (word[1] == '-' ? 2 : 1);
	size_t len = strcspn(name, "=");

	*value = NULL;
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		const struct cli_option *o = &options[i];

		if ((o->actions & 1u << a->action) == 0)
			continue;
		if (strlen(o->name) == len && memcmp(o->name, name, len) == 0) {
			*value = name[len] == '=' ? name + len + 1 : NULL;
			return o;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(options) && word[1] != '-'; i++) {
		const struct cli_option *o = &options[i];

		if ((o->actions & 1u << a->action) == 0 || o->letter != word[1])
			continue;
		if (word[2] != '\0' && o->value == NULL)
			continue;
		*value = word[2] != '\0' ? word + 2 : NULL;
		return o;
	}
	return NULL;
}

/* A word that is no option. Returns whether options may follow. */
static bool take_operand(struct cli_args *a, int argc, const char *const *argv, int i)
{
	if (a->action == CLI_RUN) {
		a->jar = argv[i];
		a->n_program_args = (unsigned)(argc - i - 1);
		a->program_args = argv + i + 1;
		return false;
	}
	if (a->action == CLI_CANCEL && a->job == NULL)
		a->job = argv[i];
	return true;
}

int cli_args_parse(struct cli_args *a, enum cli_action action, int argc, const char *const *argv,
    struct err *e)
{
	memset(a, 0, sizeof(*a));
	a->action = action;
	for (int i = 0; i < argc; i++) {
		const struct cli_option *o;
		const char *value;

		if (strcmp(argv[i], "--") == 0) {
			if (i + 1 < argc)
				take_operand(a, argc, argv, i + 1);
			return 0;
		}
		if (argv[i][0] != '-' || argv[i][1] == '\0') {
			if (!take_operand(a, argc, argv, i))
				return 0;
			continue;
		}
		o = find_option(a, argv[i], &value);
		if (o == NULL)
			return err_set(e, ERR_INVALID, "Unrecognized option: %s", argv[i]);
		if (o->value == NULL && value != NULL)
			return err_set(e, ERR_INVALID, "The option takes no value: %s", argv[i]);
		if (o->value != NULL && value == NULL) {
			if (i + 1 == argc)
				return err_set(e, ERR_INVALID, "Missing argument for option: %c", o->letter);
			value = argv[++i];
		}
		if (apply(a, o, value, e) != 0)
			return -1;
	}
	return 0;
}

int cli_args_job(const struct cli_args *a, struct id128 *id, struct err *e)
{
	if (a->job == NULL)
		return err_set(e, ERR_INVALID, "Missing JobID. Specify a JobID to cancel a job.");
	if (id_parse(id, a->job) != 0)
		return err_set(e, ERR_INVALID,
		    "Cannot parse JobID from \"%s\". The expected format is "
		    "[0-9a-fA-F]{32}, e.g. fd72014d4c864993a2e5a9287b4a9c5d.",
		    a->job);
	return 0;
}

void cli_print_usage(FILE *out)
{
	fprintf(out, "weir ACTION [OPTIONS] [ARGUMENTS]\n\n");
	for (unsigned i = 0; i < CLI_N_ACTIONS; i++)
		fprintf(out, "  %-8s %s\n", cli_action_names[i], actions[i].sentence);
	fprintf(out,
	    "\n  weir ACTION --help   options of an action\n"
	    "  weir --version       the version\n"
	    "  weir NAME ...        runs the program weir-NAME\n");
}

void cli_print_action_help(FILE *out, enum cli_action action)
{
	fprintf(out, "Action \"%s\" %s.\n\n  Syntax: weir %s\n\n", cli_action_names[action],
	    actions[action].sentence, actions[action].syntax);
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		const struct cli_option *o = &options[i];
		char left[64];

		if ((o->actions & 1u << action) == 0)
			continue;
		snprintf(left, sizeof(left), "-%c,--%s%s%s", o->letter, o->name, o->value != NULL ? " " : "",
		    o->value != NULL ? o->value : "");
		fprintf(out, "  %-30s %s\n", left, o->sentence);
	}
}
