/*
 * Click events of any bytes, in every timestamp format: no crash, nothing read behind the end, and
 * what is accepted is what writing it again gives.
 */
#include "jobs/ClickCountJob.c"

#include <stdbool.h>

#include "base/err.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool said;

__attribute__((format(printf, 2, 0))) static void ctx_fail(weir_ctx *ctx, const char *fmt, va_list ap)
{
	char text[256];

	(void)ctx;
	said = vsnprintf(text, sizeof(text), fmt, ap) > 0;
}

static const weir_ctx_api ctx_api = { .struct_size = sizeof(weir_ctx_api), .fail = ctx_fail };

/* The event that was accepted, as its window's result, is JSON that reads as the same page and time. */
static void check(weir_ctx *ctx, const click_event *e, enum ts_format format)
{
	char text[128 + 6 * PAGE_SIZE], *p = text;
	weir_message m = { .struct_size = sizeof(m), .value = text };
	click_event again = { 0 };

	ASSERT(memchr(e->page, 0, PAGE_SIZE) != NULL);
	if (format != TS_MILLIS)
		ASSERT(e->timestamp_ms >= INT64_C(-62167219200000) &&
		    e->timestamp_ms <= INT64_C(253402300799999));
	p = put_timestamp(put_text(p, "{\"timestamp\":"), format, e->timestamp_ms);
	p = put_json_string(put_text(p, ",\"page\":"), e->page);
	*p++ = '}';
	m.value_len = (uint32_t)(p - text);
	ASSERT(read_event(ctx, &m, &again, format) == 1);
	ASSERT(strcmp(again.page, e->page) == 0 && again.timestamp_ms == e->timestamp_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	weir_ctx ctx = { &ctx_api };
	weir_message m = { .struct_size = sizeof(m), .value = data, .value_len = (uint32_t)size };

	for (int f = 0; f < TS_N_FORMATS; f++) {
		click_event e = { 0 };
		int rc;

		said = false;
		rc = read_event(&ctx, &m, &e, (enum ts_format)f);
		ASSERT(rc == 1 || (rc < 0 && said));
		if (rc == 1)
			check(&ctx, &e, (enum ts_format)f);
	}
	ASSERT(weir_job_v1.main == build);
	return 0;
}
