/*
 * What a reload would change: the difference of two configurations, as a list of keys.  All or
 * nothing: where a key differs that cannot change while running, nothing is applied.
 */
#ifndef SUPERVISOR_RELOAD_H
#define SUPERVISOR_RELOAD_H

#include "base/conf.h"

/*
 * Both with their directories resolved.
 * change:  called for every key that differs, in the order of the rows
 * Returns how many differ, or -1: e names all that cannot change while running.
 */
int reload_compare(const struct conf *before, const struct conf *after,
    void (*change)(void *arg, const char *key, const char *from, const char *to), void *arg, struct err *e);

#endif
