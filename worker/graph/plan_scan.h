/*
 * A first look at a plan's text, before anything is allocated for it.
 */
#ifndef WORKER_GRAPH_PLAN_SCAN_H
#define WORKER_GRAPH_PLAN_SCAN_H

#include <stddef.h>

#include "base/err.h"

#define PLAN_MAX_VALUES 400000 /* parsed, a value takes 64 bytes and more */
#define PLAN_MAX_DEPTH  16

/* 0 where json can be handed to the parser: of fair size, UTF-8, no control characters, no
 * \u0000 (it would cut a string short), not too deep and not too many values. */
int plan_scan(const char *json, size_t len, struct err *e);

#endif
