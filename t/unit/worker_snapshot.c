/*
 * A task's part of a checkpoint: what is written comes out part by part, for each operator its own;
 * bytes that were cut, changed or made up are refused or harmless.
 */
#include "worker/state/snapshot.h"

#include <stdlib.h>

#include "base/mem.h"
#include "t/tap.h"

static const struct id128 op_a = { { 0xaa, 1 } }, op_b = { { 0xbb, 2 } }, op_c = { { 0xcc, 3 } };

struct story {
	char text[2048];
	int stop_at; /* the part at which fn fails, 0: none */
	int n;
};

static void tell(struct story *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void tell(struct story *s, const char *fmt, ...)
{
	size_t n = strlen(s->text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->text + n, sizeof(s->text) - n, fmt, ap);
	va_end(ap);
}

/* Reads whatever the part holds in the form that fill() gave it. */
static int on_part(void *arg, struct snapshot_part *part, struct err *e)
{
	struct story *s = arg;

	if (++s->n == s->stop_at)
		return err_set(e, ERR_INVALID, "the reader has had enough");
	if (part->keyed)
		tell(s, "g%u:", part->key_group);
	else
		tell(s, "%s:", part->name);
	while (part->p < part->end && !part->bad) {
		uint32_t kind = snapshot_get_u32(part);
		const void *p;
		size_t len;

		if (kind == 1) {
			tell(s, "%u,", snapshot_get_u32(part));
		} else if (kind == 2) {
			tell(s, "%llu,", (unsigned long long)snapshot_get_u64(part));
		} else if (kind == 3) {
			tell(s, "%lld,", (long long)snapshot_get_i64(part));
		} else if (kind == 4) {
			tell(s, "\"%s\",", snapshot_get_str(part));
		} else {
			p = snapshot_get_bytes(part, &len);
			tell(s, "%zu bytes,", len);
			if (len > 0)
				s->text[0] |= ((const uint8_t *)p)[len - 1] & 0; /* they can be read */
		}
	}
	if (!snapshot_part_ok(part))
		return err_set(e, ERR_INVALID, "a part is not as it was written");
	tell(s, " ");
	return 0;
}

static void fill(struct snapshot_writer *w)
{
	snapshot_writer_init(w);
	snapshot_begin(w, &op_a);
	snapshot_begin_group(w, 3);
	snapshot_put_u32(w, 1);
	snapshot_put_u32(w, UINT32_MAX);
	snapshot_put_u32(w, 2);
	snapshot_put_u64(w, UINT64_C(1) << 40);
	snapshot_end_part(w);
	snapshot_begin_group(w, 127);
	snapshot_end_part(w);
	snapshot_begin_entry(w, "wm");
	snapshot_put_u32(w, 3);
	snapshot_put_i64(w, INT64_MIN);
	snapshot_end_part(w);
	snapshot_end(w);
	snapshot_begin(w, &op_b);
	snapshot_end(w);
	snapshot_begin(w, &op_c);
	snapshot_begin_entry(w, "sixteen-letters!");
	snapshot_put_u32(w, 4);
	snapshot_put_str(w, "");
	snapshot_put_u32(w, 4);
	snapshot_put_str(w, "topic");
	snapshot_put_u32(w, 5);
	snapshot_put_bytes(w, NULL, 0);
	snapshot_put_u32(w, 5);
	snapshot_put_bytes(w, "abc", 3);
	snapshot_end_part(w);
	snapshot_end(w);
}

static const char *story_of(const void *data, size_t len, const struct id128 *op, struct story *s)
{
	struct err e = { 0 };

	memset(s, 0, sizeof(*s));
	if (snapshot_each(data, len, op, on_part, s, &e) < 0)
		snprintf(s->text, sizeof(s->text), "! %s", e.msg);
	return s->text;
}

static int on_operator(void *arg, const struct id128 *id, size_t len, struct err *e)
{
	(void)e;
	tell(arg, "%02x:%zu ", id->b[0], len);
	return id->b[0] == 0xee ? -1 : 0;
}

static void round_trip(void)
{
	const struct id128 other = { { 0xdd } };
	struct snapshot_writer w;
	struct story s;
	struct err e = { 0 };

	fill(&w);
	is_str(story_of(w.data, w.len, &op_a, &s),
	    "g3:4294967295,1099511627776, g127: wm:-9223372036854775808, ",
	    "groups and entries come out in order");
	is_str(story_of(w.data, w.len, &op_b, &s), "", "an operator without parts has none");
	is_str(story_of(w.data, w.len, &op_c, &s), "sixteen-letters!:\"\",\"topic\",0 bytes,3 bytes, ",
	    "strings and bytes, empty ones too");
	is_str(story_of(w.data, w.len, &other, &s), "", "another operator has nothing");
	is_str(story_of(NULL, 0, &op_a, &s), "", "no bytes, no state");
	memset(&s, 0, sizeof(s));
	ok(snapshot_operators(w.data, w.len, on_operator, &s, &e) == 0, "the operators are told");
	like(s.text, "aa:", "the first");
	like(s.text, "bb:0 ", "the empty one");
	memset(&s, 0, sizeof(s));
	s.stop_at = 2;
	ok(snapshot_each(w.data, w.len, &op_a, on_part, &s, &e) < 0, "a reader that fails ends it");
	is_str(e.msg, "the reader has had enough", "with its own sentence");
	is_int(s.n, 2, "at once");
	snapshot_writer_fini(&w);
}

/* Everything that can be asked of one part that is too short. */
static void running_dry(void)
{
	static const uint8_t few[3] = { 1, 2, 3 };
	struct snapshot_part r = { .p = few, .end = few + 3 };
	size_t len = 9;

	is_int(snapshot_get_u32(&r), 0, "a number that is not all there is 0");
	ok(r.bad && !snapshot_part_ok(&r), "and the part is bad");
	is_int(snapshot_get_u64(&r), 0, "for ever");
	snapshot_get_bytes(&r, &len);
	is_int(len, 0, "no bytes");
	is_str(snapshot_get_str(&r), "", "no string");
	r = (struct snapshot_part){ .p = (const uint8_t *)"\2\0\0\0ab", .end = (const uint8_t *)"" };
	r.end = r.p + 6;
	is_str(snapshot_get_str(&r), "", "a string without its end is none");
	ok(r.bad, "and is said");
	r = (struct snapshot_part){ .p = few, .end = few + 3 };
	ok(!snapshot_part_ok(&r), "what was not read is over");
}

static void truncation(void)
{
	struct snapshot_writer w;
	unsigned accepted = 0, silent = 0;
	size_t a_end = 0;

	fill(&w);
	/* A cut between two operators cannot be seen here: the file's checksums see it. */
	for (size_t len = 1; len < w.len; len++) {
		uint8_t *cut =
		    xmemdup(w.data, len); /* of exactly this length, so that ASan sees a step beyond */
		struct story s = { 0 };
		struct err e = { 0 };

		if (snapshot_operators(cut, len, on_operator, &s, &e) == 0) {
			accepted++;
			a_end = len;
		} else if (e.code != ERR_INVALID || strstr(e.msg, "damaged") == NULL) {
			silent++;
		}
		story_of(cut, len, &op_a, &s);
		story_of(cut, len, &op_c, &s);
		free(cut);
	}
	is_int(accepted, 2, "only a cut between operators is not seen in %zu lengths", w.len);
	is_int(silent, 0, "every other is said to be damage, and where");
	ok(a_end > 0 && a_end < w.len, "the last one before the third operator");
	snapshot_writer_fini(&w);
}

static void hostile(void)
{
	struct snapshot_writer w;
	struct story s;
	uint64_t x = 88172645463325252U;
	unsigned good = 0;

	fill(&w);
	for (size_t i = 0; i < w.len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			uint8_t *p = xmemdup(w.data, w.len);

			p[i] ^= (uint8_t)(1u << bit);
			story_of(p, w.len, &op_a, &s);
			story_of(p, w.len, &op_c, &s);
			free(p);
		}
	}
	ok(true, "every bit of %zu bytes was changed once", w.len);
	for (unsigned round = 0; round < 20000; round++) {
		uint8_t noise[96];
		size_t len;
		uint8_t *p;

		for (size_t i = 0; i < sizeof(noise); i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			noise[i] = x % 4 < 2 ? 0 : x % 4 == 2 ? (uint8_t)(x >> 32) % 5 : (uint8_t)(x >> 32);
		}
		len = x % sizeof(noise) + 1;
		memcpy(noise, &op_a, len < sizeof(op_a) ? len : sizeof(op_a));
		p = xmemdup(noise, len);
		good += story_of(p, len, &op_a, &s)[0] != '!';
		free(p);
	}
	ok(true, "20000 random bodies, of which %u were in order by chance", good);
	snapshot_writer_fini(&w);
}

static void order_of_groups(void)
{
	struct snapshot_writer w;
	struct story s;

	snapshot_writer_init(&w);
	snapshot_begin(&w, &op_a);
	snapshot_begin_group(&w, 5);
	snapshot_end_part(&w);
	snapshot_begin_group(&w, 5);
	snapshot_end_part(&w);
	snapshot_end(&w);
	like(story_of(w.data, w.len, &op_a, &s), "out of order", "a key group comes once");
	snapshot_writer_fini(&w);
}

/* More than the writer begins with: it grows. */
static void large(void)
{
	struct snapshot_writer w;
	uint8_t *block = xcalloc(1, 100000);
	struct story s;

	snapshot_writer_init(&w);
	snapshot_begin(&w, &op_a);
	snapshot_begin_entry(&w, "big");
	for (int i = 0; i < 3; i++) {
		snapshot_put_u32(&w, 5);
		snapshot_put_bytes(&w, block, 100000);
	}
	snapshot_end_part(&w);
	snapshot_end(&w);
	is_str(story_of(w.data, w.len, &op_a, &s), "big:100000 bytes,100000 bytes,100000 bytes, ",
	    "a large part");
	snapshot_writer_fini(&w);
	free(block);
}

int main(void)
{
	round_trip();
	running_dry();
	truncation();
	hostile();
	order_of_groups();
	large();
	return tap_done();
}
