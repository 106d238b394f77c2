/* Bounds, mean and percentiles. */
#include "rest/summary.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

static const struct {
	const char *key;
	double p;
} percentiles[] = { { "p50", 50 }, { "p90", 90 }, { "p95", 95 }, { "p99", 99 }, { "p999", 99.9 } };

double summary_percentile(const int64_t *sorted, size_t n, double p)
{
	double place = p * (double)(n + 1) / 100;
	size_t below = (size_t)place;

	if (below < 1)
		return (double)sorted[0];
	if (below >= n)
		return (double)sorted[n - 1];
	return (double)sorted[below - 1] +
	    (place - (double)below) * ((double)sorted[below] - (double)sorted[below - 1]);
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static cJSON *bounds(cJSON *to, const char *key, const int64_t *values, size_t n)
{
	cJSON *o = json_object(to, key);
	int64_t min = n > 0 ? INT64_MAX : 0, max = n > 0 ? INT64_MIN : 0;
	int64_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		min = values[i] < min ? values[i] : min;
		max = values[i] > max ? values[i] : max;
		sum += values[i];
	}
	json_i64(o, "min", min);
	json_i64(o, "max", max);
	json_i64(o, "avg", n > 0 ? sum / (int64_t)n : 0);
	return o;
}

void json_summary(cJSON *to, const char *key, int64_t *values, size_t n)
{
	cJSON *o = bounds(to, key, values, n);

	if (n > 0)
		qsort(values, n, sizeof(*values), by_value);
	for (size_t i = 0; i < ARRAY_LEN(percentiles); i++)
		json_double(o, percentiles[i].key,
		    n > 0 ? summary_percentile(values, n, percentiles[i].p) : (double)NAN);
}

void json_summary_bounds(cJSON *to, const char *key, const int64_t *values, size_t n)
{
	cJSON *o = bounds(to, key, values, n);

	for (size_t i = 0; i < ARRAY_LEN(percentiles); i++)
		json_double(o, percentiles[i].key, (double)NAN);
}

void json_summary_zero(cJSON *to, const char *key)
{
	cJSON *o = bounds(to, key, NULL, 0);

	for (size_t i = 0; i < ARRAY_LEN(percentiles); i++)
		json_double(o, percentiles[i].key, 0);
}
