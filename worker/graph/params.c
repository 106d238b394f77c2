/*
 * A job's arguments by its table of parameters.
 */
#include "worker/graph/params.h"

#include "base/conf.h"
#include "base/mem.h"
#include "worker/graph/utf8.h"

size_t params_prefix_len(const char *row_name)
{
	size_t len = strlen(row_name);

	return len > 2 && strcmp(row_name + len - 2, ".*") == 0 ? len - 1 : 0;
}

const weir_param *params_row(const weir_param *table, const char *name)
{
	const weir_param *best = NULL;

	for (const weir_param *row = table; row != NULL && row->name != NULL; row++) {
		size_t prefix = params_prefix_len(row->name);

		if (prefix == 0 && strcmp(row->name, name) == 0)
			return row;
		if (prefix > 0 && strncmp(row->name, name, prefix) == 0 && name[prefix] != '\0' &&
		    (best == NULL || prefix > params_prefix_len(best->name)))
			best = row;
	}
	return best;
}

static int check_table(const weir_param *table, struct err *e)
{
	for (const weir_param *row = table; row != NULL && row->name != NULL; row++) {
		if (row->kind != 's' && row->kind != 'i' && row->kind != 'f')
			return err_set(e, ERR_USER,
			    "the job's parameter \"%s\" is of a kind that is not s, i or f", row->name);
		if (params_prefix_len(row->name) > 0 && (row->kind == 'f' || row->def != NULL))
			return err_set(e, ERR_USER,
			    "the job's parameter \"%s\" can have neither a default nor be a flag", row->name);
	}
	return 0;
}

static int refuse_unknown(const weir_param *table, const char *name, struct err *e)
{
	const char *words[GRAPH_MAX_OPTIONS], *nearest;
	unsigned n = 0;

	for (const weir_param *row = table; row != NULL && row->name != NULL && n < ARRAY_LEN(words); row++)
		words[n++] = row->name;
	nearest = conf_nearest(name, words, n);
	if (nearest != NULL)
		return err_set(e, ERR_INVALID, "unknown argument --%s; did you mean --%s?", name, nearest);
	return err_set(e, ERR_INVALID, "unknown argument --%s", name);
}

static int check_value(const weir_param *row, const char *name, const char *value, struct err *e)
{
	int64_t v;

	if (!utf8_valid(value, strlen(value)))
		return err_set(e, ERR_INVALID, "the value of --%s is not UTF-8", name);
	if (row->kind == 'i' && conf_parse_i64(value, INT64_MIN, INT64_MAX, &v, e) != 0)
		return err_prefix(e, "argument --%s", name);
	return 0;
}

static void unset(struct graph_option *options, unsigned *n, const char *key)
{
	for (unsigned i = 0; i < *n; i++)
		if (strcmp(options[i].key, key) == 0) {
			free(options[i].key);
			free(options[i].value);
			memmove(&options[i], &options[i + 1], (*n - i - 1) * sizeof(*options));
			--*n;
			return;
		}
}

/* A flag takes a value only behind '='. */
static int set_flag(const char *name, const char *value, struct graph_option **options, unsigned *n,
    struct err *e)
{
	bool on = true;

	if (value != NULL && conf_parse_bool(value, &on, e) != 0)
		return err_prefix(e, "argument --%s", name);
	if (on)
		graph_option_set(options, n, name, "true");
	else
		unset(*options, n, name);
	return 0;
}

static int take_argument(const weir_param *table, int argc, const char *const *argv, int *i,
    struct graph_option **options, unsigned *n, struct err *e)
{
	const char *arg = argv[*i], *eq, *value;
	const weir_param *row;
	char *name;
	int rc = -1;

	if (!utf8_valid(arg, strlen(arg)))
		return err_set(e, ERR_INVALID, "argument %d is not UTF-8", *i + 1);
	if (strncmp(arg, "--", 2) != 0 || arg[2] == '\0' || arg[2] == '=')
		return err_set(e, ERR_INVALID, "unexpected argument \"%s\"; arguments are --name value", arg);
	eq = strchr(arg, '=');
	name = eq != NULL ? xstrndup(arg + 2, (size_t)(eq - arg - 2)) : xstrdup(arg + 2);
	value = eq != NULL ? eq + 1 : NULL;
	row = params_row(table, name);
	if (row == NULL) {
		refuse_unknown(table, name, e);
	} else if (row->kind == 'f') {
		rc = set_flag(name, value, options, n, e);
	} else {
		if (value == NULL && *i + 1 < argc && strncmp(argv[*i + 1], "--", 2) != 0)
			value = argv[++*i];
		if (value == NULL)
			err_set(e, ERR_INVALID, "argument --%s needs a value", name);
		else if (*n >= GRAPH_MAX_OPTIONS)
			err_set(e, ERR_TOO_LARGE, "more than %d arguments", GRAPH_MAX_OPTIONS);
		else
			rc = check_value(row, name, value, e);
		if (rc == 0)
			graph_option_set(options, n, name, value);
	}
	free(name);
	return rc;
}

int params_parse(const weir_param *table, int argc, const char *const *argv, struct graph_option **options,
    unsigned *n, struct err *e)
{
	if (check_table(table, e) != 0)
		return -1;
	for (const weir_param *row = table; row != NULL && row->name != NULL; row++) {
		if (row->def == NULL)
			continue;
		if (check_value(row, row->name, row->def, e) != 0)
			return err_prefix(e, "the job's own default");
		if (row->kind != 'f')
			graph_option_set(options, n, row->name, row->def);
		else if (set_flag(row->name, row->def, options, n, e) != 0)
			return err_prefix(e, "the job's own default");
	}
	for (int i = 0; i < argc; i++)
		if (take_argument(table, argc, argv, &i, options, n, e) != 0)
			return -1;
	return 0;
}
