/*
 * Multipart bodies of any bytes in pieces of any size: no crash, data only inside a part, and the same
 * events however the body is cut.  The first byte is the size of the pieces.
 */
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "rest/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	unsigned n_begun, n_ended;
	size_t n_data;
	uint32_t hash; /* of all events */
	bool inside;
};

static void mix(struct seen *s, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		s->hash = (s->hash ^ (unsigned char)data[i]) * 16777619u;
}

static int on_begin(void *arg, const char *name, const char *filename)
{
	struct seen *s = arg;

	ASSERT(!s->inside);
	s->inside = true;
	s->n_begun++;
	mix(s, "(", 1);
	mix(s, name != NULL ? name : "", name != NULL ? strlen(name) : 0);
	mix(s, "|", 1);
	mix(s, filename != NULL ? filename : "", filename != NULL ? strlen(filename) : 0);
	return 0;
}

static int on_data(void *arg, const char *data, size_t len)
{
	struct seen *s = arg;

	ASSERT(s->inside && len > 0);
	s->n_data += len;
	mix(s, data, len);
	return 0;
}

static int on_end(void *arg)
{
	struct seen *s = arg;

	ASSERT(s->inside);
	s->inside = false;
	s->n_ended++;
	mix(s, ")", 1);
	return 0;
}

/* Returns whether it was a whole, well-formed body. */
static bool run(const char *body, size_t len, size_t step, struct seen *s)
{
	static const struct multipart_events events = { on_begin, on_data, on_end };
	struct multipart *m = multipart_create("multipart/form-data; boundary=XX", &events, s);
	const char *why = NULL;
	bool whole;
	int rc = 0;

	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < len && rc == 0; i += step)
		rc = multipart_feed(m, body + i, len - i < step ? len - i : step, &why);
	ASSERT(rc == 0 || why != NULL);
	whole = rc == 0 && multipart_is_complete(m);
	ASSERT(s->n_data <= len && s->n_ended <= s->n_begun && (!whole || s->n_ended == s->n_begun));
	multipart_destroy(m);
	return whole;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen cut, uncut;
	char *type;

	if (size < 1)
		return 0;
	if (run((const char *)data + 1, size - 1, size, &uncut)) {
		ASSERT(run((const char *)data + 1, size - 1, (size_t)data[0] + 1, &cut));
		ASSERT(cut.hash == uncut.hash && cut.n_data == uncut.n_data && cut.n_begun == uncut.n_begun);
	} else {
		(void)run((const char *)data + 1, size - 1, (size_t)data[0] + 1, &cut);
	}
	/* The same bytes as a Content-Type. */
	type = xmalloc(size + 32);
	snprintf(type, size + 32, "multipart/form-data;%.*s", (int)size, (const char *)data);
	multipart_destroy(multipart_create(type, &(struct multipart_events){ on_begin, on_data, on_end },
	    &cut));
	free(type);
	return 0;
}
