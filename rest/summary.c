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

static cJSON *bounds(cJSON *to, const char *key, int64_t min, int64_t max, int64_t avg)
{
	cJSON *o = json_object(to, key);

	json_i64(o, "min", min);
	json_i64(o, "max", max);
	json_i64(o, "avg", avg);
	return o;
}

void json_summary(cJSON *to, const char *key, const struct gw_ckpt_figure *f)
{
	cJSON *o = bounds(to, key, f->min, f->max, f->avg);

	if (f->n_samples > 0)
		qsort(f->samples, f->n_samples, sizeof(*f->samples), by_value);
	for (size_t i = 0; i < ARRAY_LEN(percentiles); i++)
		json_double(o, percentiles[i].key,
		    f->n_samples > 0 ? summary_percentile(f->samples, f->n_samples, percentiles[i].p) :
				       (double)NAN);
}

void json_summary_bounds(cJSON *to, const char *key, const int64_t *values, size_t n)
{
	int64_t min = n > 0 ? INT64_MAX : 0, max = n > 0 ? INT64_MIN : 0, sum = 0;
	cJSON *o;

	for (size_t i = 0; i < n; i++) {
		min = values[i] < min ? values[i] : min;
		max = values[i] > max ? values[i] : max;
		sum += values[i];
	}
	o = bounds(to, key, min, max, n > 0 ? sum / (int64_t)n : 0);
	for (size_t i = 0; i < ARRAY_LEN(percentiles); i++)
		json_double(o, percentiles[i].key, (double)NAN);
}

void json_summary_zero(cJSON *to, const char *key)
{
	cJSON *o = bounds(to, key, 0, 0, 0);

	for (size_t i = 0; i < ARRAY_LEN(percentiles); i++)
		json_double(o, percentiles[i].key, 0);
}
