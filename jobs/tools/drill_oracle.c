/* weir-drill's oracle: every page has exactly 1,000 events in each window, so each result is known. */
#include <inttypes.h>

#include "base/mem.h"
#include "jobs/tools/click.h"
#include "jobs/tools/drill.h"

#define PER_WINDOW   (CLICK_WINDOW_MS / CLICK_STEP_MS)
#define MAX_WINDOWS  10000000 /* what says it is beyond is no result of ours */
#define MAX_FINDINGS 10

/* The text behind "key": up to the next quote, or false. */
static bool text_of(const char *json, const char *key, char *out, size_t size)
{
	const char *p = strstr(json, key), *end;

	if (p == NULL || (end = strchr(p + strlen(key), '"')) == NULL ||
	    (size_t)(end - p) - strlen(key) >= size)
		return false;
	memcpy(out, p + strlen(key), (size_t)(end - p) - strlen(key));
	out[(size_t)(end - p) - strlen(key)] = '\0';
	return true;
}

/* "01-01-1970 00:00:15:000" in ms, or -1. */
static int64_t parse_hh(const char *text)
{
	struct tm tm = { 0 };
	int ms, n = 0;

	if (sscanf(text, "%2d-%2d-%4d %2d:%2d:%2d:%3d%n", &tm.tm_mday, &tm.tm_mon, &tm.tm_year, &tm.tm_hour,
		&tm.tm_min, &tm.tm_sec, &ms, &n) != 7 ||
	    text[n] != '\0')
		return -1;
	tm.tm_mon--;
	tm.tm_year -= 1900;
	return (int64_t)timegm(&tm) * 1000 + ms;
}

/* Which window of which page a result is of, and its count. */
static bool parse_result(const char *json, int64_t *window, unsigned *page, int64_t *count)
{
	char start[32], name[32];
	const char *number = strstr(json, "\"count\":");
	char *end;
	int64_t ms;

	if (number == NULL || !text_of(json, "\"windowStart\":\"", start, sizeof(start)) ||
	    !text_of(json, "\"page\":\"", name, sizeof(name)))
		return false;
	*count = strtoll(number + 8, &end, 10);
	ms = parse_hh(start);
	if (end == number + 8 || ms < 0 || ms % CLICK_WINDOW_MS != 0 || ms / CLICK_WINDOW_MS >= MAX_WINDOWS)
		return false;
	*window = ms / CLICK_WINDOW_MS;
	for (*page = 0; *page < CLICK_N_PAGES && strcmp(name, click_pages[*page]) != 0; ++*page)
		;
	return *page < CLICK_N_PAGES;
}

void oracle_add(struct drill_oracle *o, const char *json)
{
	struct drill_window *w;
	int64_t window, count, cap;
	unsigned page;

	o->n_outputs++;
	if (!parse_result(json, &window, &page, &count)) {
		o->n_strange++;
		return;
	}
	if (window >= o->cap) {
		cap = window * 2 + 64;
		o->windows = xreallocarray(o->windows, (size_t)cap * CLICK_N_PAGES, sizeof(*o->windows));
		memset(o->windows + o->cap * CLICK_N_PAGES, 0,
		    (size_t)(cap - o->cap) * CLICK_N_PAGES * sizeof(*o->windows));
		o->cap = cap;
	}
	if (window >= o->n_windows)
		o->n_windows = window + 1;
	w = &o->windows[window * CLICK_N_PAGES + page];
	o->n_complete += w->n_outputs++ == 0;
	w->n_other += count != PER_WINDOW;
	w->last = count;
}

void oracle_judge(const struct drill_oracle *o, int64_t n_windows, struct drill_verdict *v)
{
	int64_t i, n = n_windows * CLICK_N_PAGES;
	unsigned n_said = 0;

	*v = (struct drill_verdict){ .n_expected = n };
	for (i = 0; i < n; i++) {
		static const struct drill_window none;
		const struct drill_window *w = i < o->cap * CLICK_N_PAGES ? &o->windows[i] : &none;

		v->n_lost += w->n_outputs == 0;
		v->n_wrong += w->n_other > 0;
		v->n_repeated += w->n_outputs > 1;
		if (w->n_outputs > 0 && w->n_other == 0)
			continue;
		if (n_said++ >= MAX_FINDINGS)
			continue;
		if (w->n_outputs == 0)
			printf("  window %" PRId64 " of %s: lost\n", i / CLICK_N_PAGES,
			    click_pages[i % CLICK_N_PAGES]);
		else
			printf("  window %" PRId64 " of %s: written %" PRId64 " times, %" PRId64
			       " of them not %d; at last %" PRId64 "\n",
			    i / CLICK_N_PAGES, click_pages[i % CLICK_N_PAGES], w->n_outputs, w->n_other,
			    PER_WINDOW, w->last);
	}
	if (n_said > MAX_FINDINGS)
		printf("  and %u more\n", n_said - MAX_FINDINGS);
	/* Behind the input there is the open window, and nothing more. */
	for (i = (n_windows + 1) * CLICK_N_PAGES; i < o->n_windows * CLICK_N_PAGES; i++)
		v->n_wrong += o->windows[i].n_outputs > 0;
}

void oracle_fini(struct drill_oracle *o)
{
	free(o->windows);
}
