/* Splitting program arguments. */
#include "rest/words.h"

#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

int words_split(struct gw_arena *a, const char *text, const char ***words, unsigned *n, struct err *e)
{
	size_t len = strlen(text);
	const char **out = gw_alloc(a, (len / 2 + 1) * sizeof(*out));
	char *w = gw_alloc(a, 2 * len + 2);

	*n = 0;
	*words = out;
	for (;;) {
		char quote = '\0';

		while (is_blank(*text))
			text++;
		if (*text == '\0')
			return 0;
		out[(*n)++] = w;
		for (; *text != '\0' && (quote != '\0' || !is_blank(*text)); text++) {
			if (*text == quote) {
				quote = '\0';
			} else if (quote == '\0' && (*text == '"' || *text == '\'')) {
				quote = *text;
			} else {
				if (*text == '\\' && quote != '\'' && text[1] != '\0')
					text++;
				*w++ = *text;
			}
		}
		*w++ = '\0';
		if (quote != '\0')
			return err_set(e, ERR_INVALID, "programArgs has a %c that is not closed", quote);
	}
}

void words_split_commas(struct gw_arena *a, const char *text, const char ***words, unsigned *n)
{
	const char **out;
	char *copy = gw_strdup(a, text);
	unsigned commas = 0;

	for (const char *p = text; *p != '\0'; p++)
		commas += *p == ',';
	out = gw_alloc(a, (commas + 1) * sizeof(*out));
	*n = 0;
	*words = out;
	if (*text == '\0')
		return;
	for (;;) {
		char *comma = strchr(copy, ',');

		out[(*n)++] = copy;
		if (comma == NULL)
			return;
		*comma = '\0';
		copy = comma + 1;
	}
}
