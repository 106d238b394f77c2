/* Addresses of requests, program arguments and JSON bodies of any bytes: no crash, and what is decoded is
 * never longer than what came in. */
#include <stdint.h>

#include "base/mem.h"
#include "rest/body.h"
#include "rest/url.h"
#include "rest/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_url(const char *target)
{
	const char *why = NULL;
	size_t total = 0;
	struct url u;

	if (url_parse(&u, target, &why) != 0) {
		ASSERT(why != NULL);
		return;
	}
	ASSERT(u.n_segments <= URL_MAX_SEGMENTS && strlen(u.path) <= strlen(target));
	for (unsigned i = 0; i < u.n_segments; i++) {
		ASSERT(u.segments[i] != NULL);
		total += strlen(u.segments[i]) + 1;
	}
	ASSERT(total <= strlen(target));
	for (unsigned i = 0; i < u.n_query; i++)
		ASSERT(url_query(&u, u.query[i].name) != NULL);
	url_fini(&u);
}

static void try_words(const char *text)
{
	struct gw_arena *a = gw_arena_create();
	const char **words;
	size_t total = 0;
	struct err e;
	unsigned n;

	if (words_split(a, text, &words, &n, &e) == 0) {
		for (unsigned i = 0; i < n; i++)
			total += strlen(words[i]);
		ASSERT(total <= strlen(text));
	} else {
		ASSERT(e.code == ERR_INVALID);
	}
	words_split_commas(a, text, &words, &n);
	gw_arena_destroy(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xmalloc(size + 2);
	cJSON *body;

	text[0] = '/';
	memcpy(text + 1, data, size);
	text[size + 1] = '\0';
	try_url(text);
	try_url(text + 1);
	try_words(text + 1);
	for (unsigned kind = 0; kind < BODY_N_KINDS; kind++) {
		body = body_parse((enum body_kind)kind, text + 1, size);
		ASSERT(body == NULL || cJSON_IsObject(body));
		cJSON_Delete(body);
	}
	free(text);
	return 0;
}
