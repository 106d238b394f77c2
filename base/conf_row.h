/*
 * Between base/conf.c, which reads pairs, and base/conf_row.c, which knows what
 * the rows of conf_keys.def take.  Included by the base/conf_*.c files only.
 */
#ifndef BASE_CONF_ROW_H
#define BASE_CONF_ROW_H

#include "base/conf.h"

/* Index of a key's row, or -1. */
int conf_row_find(const char *key);
/* The key of the row that was probably meant, or NULL. */
const char *conf_row_nearest(const char *key);
/* Parse value into row i's member; the error says what is wrong with the value. */
int conf_row_set(struct conf *c, unsigned i, const char *value, struct err *e);
/* c is zeroed. */
void conf_row_set_defaults(struct conf *c);
void conf_row_free_values(struct conf *c);

/* The pair of a key that was given, or NULL. */
const struct conf_pair *conf_pair_of(const struct conf *c, const char *key);

#endif
