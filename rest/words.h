/* Program arguments given as one string, split as a shell would split them. */
#ifndef REST_WORDS_H
#define REST_WORDS_H

#include "rest/gateway.h"

/*
 * Blanks separate words; '…' and "…" keep them together; a backslash takes the next byte as
 * it is (not inside '…').  The words are in the arena.  Returns 0, or -1 with the quote
 * that is not closed.
 */
int words_split(struct gw_arena *a, const char *text, const char ***words, unsigned *n, struct err *e);
/* At commas, as query parameters with several values are written. */
void words_split_commas(struct gw_arena *a, const char *text, const char ***words, unsigned *n);

#endif
