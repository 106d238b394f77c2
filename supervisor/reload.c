/*
 * The difference of two configurations.
 */
#include "supervisor/reload.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static bool differs(const struct conf *before, const struct conf *after, unsigned row, char **from, char **to)
{
	*from = conf_row_value(before, row);
	*to = conf_row_value(after, row);
	if (strcmp(*from, *to) != 0)
		return true;
	free(*from);
	free(*to);
	return false;
}

int reload_compare(const struct conf *before, const struct conf *after,
    void (*change)(void *arg, const char *key, const char *from, const char *to), void *arg, struct err *e)
{
	char fixed[ERR_MSG_MAX / 2] = "", *from, *to;
	int n = 0;
	unsigned i;

	for (i = 0; i < conf_n_rows(); i++) {
		const struct conf_row *row = conf_row_at(i);

		if (!differs(before, after, i, &from, &to))
			continue;
		n++;
		change(arg, row->key, from, to);
		if (!row->reload)
			snprintf(fixed + strlen(fixed), sizeof(fixed) - strlen(fixed), "%s%s",
			    fixed[0] != '\0' ? ", " : "", row->key);
		free(from);
		free(to);
	}
	if (fixed[0] != '\0')
		return err_set(e, ERR_CONFIG,
		    "%s cannot change while the supervisor runs; nothing was applied", fixed);
	return n;
}
