/*
 * Click events as the tools write them: the same bytes that the Flink operations
 * playground's generator gives, with a choice of timestamp formats.
 */
#ifndef JOBS_TOOLS_CLICK_H
#define JOBS_TOOLS_CLICK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define CLICK_WINDOW_MS 15000
#define CLICK_STEP_MS   15 /* between two events of a page: 1,000 of them fill a window */

/* The pages in their order. */
extern const char *const click_pages[];
#define CLICK_N_PAGES 6

enum click_format {
	CLICK_PLAYGROUND, /* dd-MM-yyyy hh:mm:ss:SSS, 12-hour clock: repeats itself after 12 h */
	CLICK_HH,         /* the same on a 24-hour clock */
	CLICK_ISO,        /* yyyy-MM-ddTHH:mm:ss.SSSZ */
	CLICK_MILLIS      /* a number */
};
/* Returns 0 or -1 with what is allowed. */
int click_format_parse(const char *name, enum click_format *format, struct err *e);

#define CLICK_EVENT_MAX 96
/* Write one event as JSON; returns its length. ms is from 1970 up to the year 9999. */
size_t click_event_write(char buf[CLICK_EVENT_MAX], enum click_format format, int64_t ms, const char *page);

#endif
