/* Every key of base/conf_keys.def is told in man/weir.conf.5 and etc/flink-conf.yaml, with the
 * limits and the default that it has, and nothing else is. Run at the top of the source tree. */
#include <ctype.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/file.h"
#include "base/mem.h"
#include "t/tap.h"

#define MAN  "man/weir.conf.5"
#define YAML "etc/flink-conf.yaml"

static char *slurp(const char *path)
{
	char *data;
	size_t len;
	struct err e;

	if (file_read(path, 1 << 20, &data, &len, &e) < 0) {
		ok(false, "%s", e.msg);
		return xstrdup("");
	}
	return data;
}

static const struct conf_row *row_of(const char *key, size_t len)
{
	for (unsigned i = 0; i < conf_n_rows(); i++)
		if (strlen(conf_row_at(i)->key) == len && memcmp(conf_row_at(i)->key, key, len) == 0)
			return conf_row_at(i);
	return NULL;
}

static void manual(void)
{
	char *page = slurp(MAN), want[256];

	for (unsigned i = 0; i < conf_n_rows(); i++) {
		const struct conf_row *r = conf_row_at(i);
		char *item = xasprintf("\n.It Ic %s\n", r->key), *start = strstr(page, item),
		     *paragraph = NULL;

		if (start != NULL) {
			const char *next = strstr(start + 1, "\n.It "), *end = strstr(start, "\n.El");

			if (next == NULL || (end != NULL && end < next))
				next = end;
			paragraph = xstrndup(start, next != NULL ? (size_t)(next - start) : strlen(start));
		}
		snprintf(want, sizeof(want), "\nAllowed: %s; default: %s; %s.", r->allowed,
		    r->def[0] != '\0' ? r->def : "empty", r->reload ? "may be reloaded" : "read at start");
		like(paragraph, want, MAN " tells %s with its limits and its default", r->key);
		ok(start == NULL || strstr(start + 1, item) == NULL, "once");
		free(paragraph);
		free(item);
	}
	for (const char *p = page; (p = strstr(p, "\n.It Ic ")) != NULL;) {
		p += strlen("\n.It Ic ");
		ok(row_of(p, strcspn(p, "\n")) != NULL, "%.*s of " MAN " is a key", (int)strcspn(p, "\n"), p);
	}
	free(page);
}

static void no_warning(void *arg, const char *sentence)
{
	(void)arg;
	ok(false, "no warning: %s", sentence);
}

/* Strip the sign of a commented "#key: value", so that all lines are active. */
static char *uncommented(const char *text)
{
	char *all = xstrdup(text);

	for (char *line = all; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (line[0] == '#' && islower((unsigned char)line[1]))
			line[0] = ' ';
	}
	return all;
}

static void example(void)
{
	char *text = slurp(YAML), *all = uncommented(text), path[] = "/tmp/weir-conf-XXXXXX";
	struct conf *as_is, *c;
	struct err e;
	int fd = mkstemp(path);

	as_is = conf_load(YAML, NULL, 0, no_warning, NULL, &e);
	ok(as_is != NULL, YAML " is accepted as it is");
	ok(fd >= 0 && file_write_all(fd, all, strlen(all)) == 0, "with every line active");
	c = conf_load(path, NULL, 0, no_warning, NULL, &e);
	ok(c != NULL, "it is accepted, too");
	is_int(c != NULL ? c->n_pairs : 0, conf_n_rows(), "it has every key");
	for (unsigned i = 0; i < conf_n_rows() && c != NULL && as_is != NULL; i++) {
		const struct conf_row *r = conf_row_at(i);
		char *value = conf_row_value(c, i), *kept = conf_row_value(as_is, i);

		/* A directory that was found by the user's environment is shown by an example. */
		if (r->def[0] != '\0')
			is_str(value, r->def, "%s shows its default", r->key);
		else
			ok(value[0] != '\0', "%s has an example", r->key);
		is_str(kept, r->def, "the file as it is leaves %s at its default", r->key);
		free(value);
		free(kept);
	}
	conf_destroy(c);
	conf_destroy(as_is);
	if (fd >= 0)
		close(fd);
	unlink(path);
	free(all);
	free(text);
}

int main(void)
{
	manual();
	example();
	return tap_done();
}
