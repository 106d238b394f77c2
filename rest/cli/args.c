/* Options of `weir`. */
#include "rest/cli/args.h"

#include "base/conf.h"
#include "base/mem.h"

#define PARALLELISM_MAX 32768 /* as the REST API takes it */

const char *const cli_action_names[CLI_N_ACTIONS] = { "run", "list", "stop", "savepoint", "cancel" };

static const struct {
	const char *syntax, *sentence;
	const char *no_job; /* what is said where it has no job id */
} actions[CLI_N_ACTIONS] = {
	[CLI_RUN] = { "run [OPTIONS] JOB-FILE [ARGUMENTS]", "uploads a job, runs it and waits for its end",
	    NULL },
	[CLI_LIST] = { "list [OPTIONS]", "lists jobs that run or are scheduled", NULL },
	[CLI_STOP] = { "stop [OPTIONS] JOB-ID", "stops a job with a savepoint", "Missing JobId" },
	[CLI_SAVEPOINT] = { "savepoint [OPTIONS] JOB-ID [DIRECTORY]",
	    "takes a savepoint of a job, or removes one",
	    "Missing JobID. Specify a Job ID to trigger a savepoint." },
	[CLI_CANCEL] = { "cancel [OPTIONS] JOB-ID", "cancels a job",
	    "Missing JobID. Specify a JobID to cancel a job." },
};

enum {
	IN_RUN = 1 << CLI_RUN,
	IN_LIST = 1 << CLI_LIST,
	IN_STOP = 1 << CLI_STOP,
	IN_SAVEPOINT = 1 << CLI_SAVEPOINT,
	IN_CANCEL = 1 << CLI_CANCEL,
	IN_ALL = IN_RUN | IN_LIST | IN_STOP | IN_SAVEPOINT | IN_CANCEL
};

enum option_id {
	OPT_JOBMANAGER,
	OPT_HELP,
	OPT_DETACHED,
	OPT_PARALLELISM,
	OPT_FROM_SAVEPOINT,
	OPT_ALLOW_NON_RESTORED,
	OPT_CLASS,
	OPT_RUNNING,
	OPT_SCHEDULED,
	OPT_ALL,
	OPT_TARGET,
	OPT_DRAIN,
	OPT_DISPOSE,
	OPT_WITH_SAVEPOINT,
};

static const struct cli_option {
	enum option_id id;
	char letter;
	const char *name;
	const char *value; /* what it is called in the help, NULL: a flag; [IN BRACKETS] it may be left out */
	unsigned actions;
	const char *sentence;
} options[] = {
	{ OPT_JOBMANAGER, 'm', "jobmanager", "HOST:PORT", IN_ALL,
	    "Where the REST API is; default from the configuration" },
	{ OPT_HELP, 'h', "help", NULL, IN_ALL, "This text" },
	{ OPT_DETACHED, 'd', "detached", NULL, IN_RUN, "Do not wait for the job's end" },
	{ OPT_PARALLELISM, 'p', "parallelism", "N", IN_RUN,
	    "Parallelism of the job; default parallelism.default" },
	{ OPT_FROM_SAVEPOINT, 's', "fromSavepoint", "PATH", IN_RUN,
	    "Restore the job's state from a savepoint" },
	{ OPT_ALLOW_NON_RESTORED, 'n', "allowNonRestoredState", NULL, IN_RUN,
	    "Go on where the savepoint has state of operators that are gone" },
	{ OPT_CLASS, 'c', "class", "NAME", IN_RUN, "Accepted for Flink's sake; a job file has one entry" },
	{ OPT_RUNNING, 'r', "running", NULL, IN_LIST, "Only jobs that run or restart" },
	{ OPT_SCHEDULED, 's', "scheduled", NULL, IN_LIST, "Only jobs that are scheduled" },
	{ OPT_ALL, 'a', "all", NULL, IN_LIST, "Also jobs that have ended" },
	{ OPT_TARGET, 'p', "savepointPath", "DIRECTORY", IN_STOP,
	    "Where the savepoint goes; default state.savepoints.dir" },
	{ OPT_DRAIN, 'd', "drain", NULL, IN_STOP, "Let all windows fire before: the job will not go on" },
	{ OPT_DISPOSE, 'd', "dispose", "PATH", IN_SAVEPOINT, "Remove this savepoint" },
	{ OPT_WITH_SAVEPOINT, 's', "withSavepoint", "[DIRECTORY]", IN_CANCEL,
	    "Take a savepoint before; stop does it better" },
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

	switch (o->id) {
	case OPT_JOBMANAGER:
		a->jobmanager = value;
		break;
	case OPT_HELP:
		a->help = true;
		break;
	case OPT_DETACHED:
		a->detached = true;
		break;
	case OPT_PARALLELISM:
		if (conf_parse_i64(value, 1, INT64_MAX, &n, NULL) != 0)
			return err_set(e, ERR_INVALID, "The parallelism must be a positive number: %s",
			    value);
		if (n > PARALLELISM_MAX)
			return err_set(e, ERR_INVALID, "The parallelism must be at most %d: %s",
			    PARALLELISM_MAX, value);
		a->parallelism = (unsigned)n;
		break;
	case OPT_FROM_SAVEPOINT:
		a->savepoint = value;
		break;
	case OPT_ALLOW_NON_RESTORED:
		a->allow_non_restored = true;
		break;
	case OPT_CLASS:
		a->entry_class = value;
		break;
	case OPT_RUNNING:
		a->running = true;
		break;
	case OPT_SCHEDULED:
		a->scheduled = true;
		break;
	case OPT_ALL:
		a->all = true;
		break;
	case OPT_TARGET:
		a->target = value;
		break;
	case OPT_DRAIN:
		a->drain = true;
		break;
	case OPT_DISPOSE:
		a->dispose = value;
		break;
	case OPT_WITH_SAVEPOINT:
		a->with_savepoint = true;
		a->target = value;
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
	if (a->action == CLI_LIST)
		a->n_ignored++;
	else if (a->job == NULL && a->dispose == NULL)
		a->job = argv[i];
	else if (a->action == CLI_SAVEPOINT && a->target == NULL && a->dispose == NULL)
		a->target = argv[i];
	else
		a->n_ignored++;
	return true;
}

static bool is_option(const char *word)
{
	return word[0] == '-' && word[1] != '\0';
}

/* "cancel -s JOB": what looked like the directory was the job. */
static void settle_optional(struct cli_args *a)
{
	if (a->with_savepoint && a->job == NULL) {
		a->job = a->target;
		a->target = NULL;
	}
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
			while (++i < argc && take_operand(a, argc, argv, i))
				;
			break;
		}
		if (!is_option(argv[i])) {
			if (!take_operand(a, argc, argv, i))
				break;
			continue;
		}
		o = find_option(a, argv[i], &value);
		if (o == NULL)
			return err_set(e, ERR_INVALID, "Unrecognized option: %s", argv[i]);
		if (o->value == NULL && value != NULL)
			return err_set(e, ERR_INVALID, "The option takes no value: %s", argv[i]);
		if (o->value != NULL && value == NULL) {
			bool optional = o->value[0] == '[';

			if (i + 1 == argc && !optional)
				return err_set(e, ERR_INVALID, "Missing argument for option: %c", o->letter);
			if (i + 1 < argc && !(optional && is_option(argv[i + 1])))
				value = argv[++i];
		}
		if (apply(a, o, value, e) != 0)
			return -1;
	}
	settle_optional(a);
	return 0;
}

int cli_args_job(const struct cli_args *a, struct id128 *id, struct err *e)
{
	if (a->job == NULL)
		return err_set(e, ERR_INVALID, "%s", actions[a->action].no_job);
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
		fprintf(out, "  %-10s %s\n", cli_action_names[i], actions[i].sentence);
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
		char left[80];

		if ((o->actions & 1u << action) == 0)
			continue;
		snprintf(left, sizeof(left), "-%c,--%s%s%s", o->letter, o->name, o->value != NULL ? " " : "",
		    o->value != NULL ? o->value : "");
		fprintf(out, "  %-30s %s\n", left, o->sentence);
	}
}
