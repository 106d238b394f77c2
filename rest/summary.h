/*
 * What some numbers have in common, as checkpoint statistics show it: bounds, mean and
 * percentiles, these by the rule of Flink's library, so that the same figures
 * give the same answer.
 */
#ifndef REST_SUMMARY_H
#define REST_SUMMARY_H

#include <stddef.h>
#include <stdint.h>

#include "rest/gateway.h"
#include "rest/json.h"

/* The p-th percentile, 0 < p <= 100, of n > 0 ascending values: at place p / 100 * (n + 1), between its
 * neighbours in proportion. */
double summary_percentile(const int64_t *sorted, size_t n, double p);

/* {"min","max","avg","p50","p90","p95","p99","p999"}, sorting the samples. Without samples the
 * percentiles are "NaN". */
void json_summary(cJSON *to, const char *key, const struct gw_ckpt_figure *f);
/* Of the figures of one checkpoint's subtasks, for which Flink keeps no percentiles: all "NaN". */
void json_summary_bounds(cJSON *to, const char *key, const int64_t *values, size_t n);
/* Of what never happens: aligned barriers buffer nothing. All 0. */
void json_summary_zero(cJSON *to, const char *key);

#endif
