/*
 * Settings: of the whole job and of one operator.  Tables of what there is; a key
 * that is not in them is refused with the nearest one that is.
 */
#include "base/conf.h"
#include "base/mem.h"
#include "worker/graph/env.h"
#include "worker/graph/utf8.h"

enum value_kind { VALUE_PARALLELISM, VALUE_BOOL, VALUE_DURATION, VALUE_TIMEOUT, VALUE_COUNT, VALUE_TEXT };

/* What a job may say about itself, by Flink's keys. */
static const struct {
	const char *key;
	enum value_kind kind;
} settings[] = {
	{ "parallelism.default", VALUE_PARALLELISM },
	{ "pipeline.max-parallelism", VALUE_PARALLELISM },
	{ "pipeline.operator-chaining", VALUE_BOOL },
	{ "pipeline.auto-watermark-interval", VALUE_DURATION },
	{ "execution.buffer-timeout", VALUE_TIMEOUT },
	{ "execution.checkpointing.interval", VALUE_DURATION },
	{ "execution.checkpointing.timeout", VALUE_DURATION },
	{ "execution.checkpointing.min-pause", VALUE_DURATION },
	{ "execution.checkpointing.mode", VALUE_TEXT },
	{ "execution.checkpointing.externalized-checkpoint-retention", VALUE_TEXT },
	{ "execution.checkpointing.max-concurrent-checkpoints", VALUE_COUNT },
	{ "execution.checkpointing.tolerable-failed-checkpoints", VALUE_COUNT },
	{ "execution.checkpointing.unaligned", VALUE_BOOL },
	{ "restart-strategy", VALUE_TEXT },
	{ "restart-strategy.fixed-delay.attempts", VALUE_COUNT },
	{ "restart-strategy.fixed-delay.delay", VALUE_DURATION },
};

static const char *const node_keys[] = {
	"weir.name",
	"weir.uid",
	"weir.parallelism",
	"weir.max-parallelism",
	"weir.chaining",
};

static int check_text(const char *key, const char *value, struct err *e)
{
	if (key == NULL || key[0] == '\0' || !utf8_valid(key, strlen(key)))
		return err_set(e, ERR_USER, "a key is missing or not UTF-8");
	if (value == NULL || !utf8_valid(value, strlen(value)))
		return err_set(e, ERR_USER, "the value of %s is missing or not UTF-8", key);
	return 0;
}

static int check_value(enum value_kind kind, const char *value, struct err *e)
{
	int64_t v;
	bool b;

	switch (kind) {
	case VALUE_PARALLELISM:
		return conf_parse_i64(value, 1, GRAPH_MAX_PARALLELISM, &v, e);
	case VALUE_BOOL:
		return conf_parse_bool(value, &b, e);
	case VALUE_TIMEOUT:
		if (strcmp(value, "-1") == 0) /* Flink's "only when a buffer is full" */
			return 0;
		return conf_parse_duration(value, &v, e);
	case VALUE_DURATION:
		return conf_parse_duration(value, &v, e);
	case VALUE_COUNT:
		return conf_parse_i64(value, 0, INT32_MAX, &v, e);
	case VALUE_TEXT:
		break;
	}
	return 0;
}

static int refuse_key(const char *key, const char *const *words, unsigned n, const char *what, struct err *e)
{
	const char *nearest = conf_nearest(key, words, n);

	if (nearest != NULL)
		return err_set(e, ERR_USER, "%s \"%s\"; did you mean %s?", what, key, nearest);
	return err_set(e, ERR_USER, "%s \"%s\"", what, key);
}

int setting_check(const char *key, const char *value, struct err *e)
{
	const char *words[ARRAY_LEN(settings)];

	if (check_text(key, value, e) != 0)
		return -1;
	for (unsigned i = 0; i < ARRAY_LEN(settings); i++) {
		words[i] = settings[i].key;
		if (strcmp(key, settings[i].key) != 0)
			continue;
		return check_value(settings[i].kind, value, e) != 0 ? err_prefix(e, "%s", key) : 0;
	}
	return refuse_key(key, words, ARRAY_LEN(settings), "a job cannot set", e);
}

static int set_text(char **slot, const char *key, const char *value, struct err *e)
{
	if (value[0] == '\0')
		return err_set(e, ERR_USER, "%s cannot be empty", key);
	for (const char *p = value; *p != '\0'; p++)
		if ((unsigned char)*p < ' ')
			return err_set(e, ERR_USER, "%s cannot have control characters", key);
	free(*slot);
	*slot = xstrdup(value);
	return 0;
}

static int set_parallelism(int32_t *slot, const char *key, const char *value, struct err *e)
{
	int64_t v;

	if (conf_parse_i64(value, 1, GRAPH_MAX_PARALLELISM, &v, e) != 0)
		return err_prefix(e, "%s", key);
	*slot = (int32_t)v;
	return 0;
}

static int set_chaining(struct graph_node *n, const char *value, struct err *e)
{
	int c = chaining_parse(value);

	if (c < 0)
		return err_set(e, ERR_USER, "weir.chaining is always, head or never, not \"%s\"", value);
	n->chaining = (enum chaining)c;
	return 0;
}

int node_set(struct graph_node *n, const char *key, const char *value, struct err *e)
{
	if (check_text(key, value, e) != 0)
		return -1;
	if (strcmp(key, "weir.name") == 0)
		return set_text(&n->name, key, value, e);
	if (strcmp(key, "weir.uid") == 0)
		return set_text(&n->uid, key, value, e);
	if (strcmp(key, "weir.parallelism") == 0)
		return set_parallelism(&n->parallelism, key, value, e);
	if (strcmp(key, "weir.max-parallelism") == 0)
		return set_parallelism(&n->max_parallelism, key, value, e);
	if (strcmp(key, "weir.chaining") == 0)
		return set_chaining(n, value, e);
	if (strncmp(key, "weir.", 5) == 0)
		return refuse_key(key, node_keys, ARRAY_LEN(node_keys), "an operator has no setting", e);
	if (n->connector == NULL)
		return refuse_key(key, node_keys, ARRAY_LEN(node_keys),
		    "only sources and sinks have options of a connector, not", e);
	if (n->n_options >= GRAPH_MAX_OPTIONS && graph_node_option(n, key, NULL) == NULL)
		return err_set(e, ERR_USER, "it has more than %d options", GRAPH_MAX_OPTIONS);
	graph_option_set(&n->options, &n->n_options, key, value);
	return 0;
}
