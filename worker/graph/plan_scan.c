/*
 * A first look at a plan's text.  The parser takes 32 bytes of memory for a byte of
 * text and recurses; a job's process must not be able to spend the supervisor's
 * memory or stack.
 */
#include "worker/graph/plan_scan.h"

#include "worker/graph/plan.h"
#include "worker/graph/utf8.h"

/* Move behind the string that begins at json[i]; len where it does not end. */
static size_t skip_string(const char *json, size_t len, size_t i, struct err *e)
{
	for (i++; i < len; i++) {
		if (json[i] == '"')
			return i;
		if (json[i] != '\\')
			continue;
		if (len - i > 5 && memcmp(json + i + 1, "u0000", 5) == 0) {
			err_set(e, ERR_INTERNAL, "the plan has a NUL in a string");
			return len;
		}
		i++;
	}
	err_set(e, ERR_INTERNAL, "the plan ends within a string");
	return len;
}

int plan_scan(const char *json, size_t len, struct err *e)
{
	unsigned n_values = 1, depth = 0;

	if (len > PLAN_MAX)
		return err_set(e, ERR_TOO_LARGE, "the plan is %zu bytes; at most %u are possible", len,
		    PLAN_MAX);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)json[i] < ' ')
			return err_set(e, ERR_INTERNAL, "the plan has a control character at byte %zu", i);
	if (!utf8_valid(json, len))
		return err_set(e, ERR_INTERNAL, "the plan is not UTF-8");
	for (size_t i = 0; i < len; i++) {
		switch (json[i]) {
		case '"':
			i = skip_string(json, len, i, e);
			if (i == len)
				return -1;
			break;
		case '[':
		case '{':
			depth++;
			n_values++;
			break;
		case ']':
		case '}':
			depth -= depth > 0;
			break;
		case ',':
			n_values++;
			break;
		default:
			break;
		}
		if (depth > PLAN_MAX_DEPTH)
			return err_set(e, ERR_INTERNAL, "the plan is nested deeper than %d", PLAN_MAX_DEPTH);
		if (n_values > PLAN_MAX_VALUES)
			return err_set(e, ERR_TOO_LARGE, "the plan has more than %d values", PLAN_MAX_VALUES);
	}
	return 0;
}
