/* Every row of rest/routes.def is an item of man/weir-rest.7, and every item there is a row. Run at the
 * top of the source tree. */
#include "base/file.h"
#include "rest/router.h"
#include "t/unit/rest_fake_gateway.h"

#define MAN "man/weir-rest.7"

static bool is_route(const char *item)
{
	for (unsigned i = 0; i < route_count(); i++) {
		const struct route *r = route_at(i);
		size_t len = strlen(r->method);

		if (strncmp(item, r->method, len) == 0 && item[len] == ' ' &&
		    strcmp(item + len + 1, r->pattern) == 0)
			return true;
	}
	return false;
}

static void check(char *page)
{
	unsigned n = 0;

	for (unsigned i = 0; i < route_count(); i++) {
		char *item = xasprintf("\n.It %s %s\n", route_at(i)->method, route_at(i)->pattern);

		ok(strstr(page, item) != NULL, "%s %s is in " MAN, route_at(i)->method, route_at(i)->pattern);
		free(item);
	}
	for (char *line = page, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		*end = '\0';
		if (strncmp(line, ".It ", 4) == 0 && strchr(line, '/') != NULL &&
		    strchr(line + 4, ' ') != NULL) {
			ok(is_route(line + 4), "%s of " MAN " is a route", line + 4);
			n++;
		}
	}
	is_int(n, route_count(), "as many items as rows");
}

int main(void)
{
	static const char *const none[] = { NULL };
	struct err e;
	char *page;
	size_t len;

	if (access(MAN, R_OK) != 0)
		return tap_skip_all("not run at the top of the source tree");
	fake_init(none);
	if (ok(file_read(MAN, 1 << 20, &page, &len, &e) == 0, MAN " is read")) {
		check(page);
		free(page);
	}
	(void)fake_add_job("00000000000000000000000000000001", JOB_RUNNING, GW_TASK_RUNNING);
	fake_fini();
	return tap_done();
}
