/* URLs, the table of routes, the guard, program arguments, request bodies. */
#include "rest/router.h"

#include "base/mem.h"
#include "rest/guard.h"
#include "rest/words.h"
#include "t/unit/rest_fake_gateway.h"

static const char *found(const char *method, const char *target, const char *params[CALL_MAX_PARAMS])
{
	static struct url u;
	const struct route *r;
	const char *why;

	url_fini(&u);
	if (url_parse(&u, target, &why) != 0)
		return why;
	r = route_find(method, &u, params);
	return r != NULL ? r->pattern : "none";
}

static void test_routes(void)
{
	const char *p[CALL_MAX_PARAMS] = { NULL };

	is_str(found("GET", "/jobs", p), "/jobs", "a plain path");
	is_str(found("GET", "/v1/jobs", p), "/jobs", "below /v1");
	is_str(found("GET", "/v2/jobs", p), "none", "not below /v2");
	is_str(found("GET", "/jobs/", p), "/jobs", "a trailing slash");
	is_str(found("GET", "//jobs//overview", p), "/jobs/overview", "double slashes");
	is_str(found("GET", "/jobs/overview", p), "/jobs/overview", "a word goes before a parameter");
	is_str(found("GET", "/jobs/abc?x=y", p), "/jobs/:jobid", "a parameter");
	is_str(p[0], "abc", "its value");
	is_str(found("GET", "/jobs/j/vertices/v", p), "/jobs/:jobid/vertices/:vertexid", "two parameters");
	is_str(p[1], "v", "the second one");
	is_str(found("GET", "/jobs/j/checkpoints/config", p), "/jobs/:jobid/checkpoints/config",
	    "the settings of checkpoints");
	is_str(found("GET", "/v1/jobs/j/checkpoints/details/3/subtasks/v", p),
	    "/jobs/:jobid/checkpoints/details/:checkpointid/subtasks/:vertexid", "three parameters");
	is_str(p[1], "3", "the checkpoint");
	is_str(p[2], "v", "and the vertex");
	is_str(found("POST", "/jobs/j/savepoints", p), "/jobs/:jobid/savepoints", "a savepoint");
	is_str(found("GET", "/jobs/j/savepoints", p), "none", "is not asked for by GET");
	is_str(found("GET", "/jobs/a%2fb", p), "/jobs/:jobid", "an escaped slash does not split");
	is_str(p[0], "a/b", "and is decoded once");
	is_str(found("GET", "/jobs/a%252fb", p), "/jobs/:jobid", "twice escaped");
	is_str(p[0], "a%2fb", "... only once");
	is_str(found("PUT", "/jobs", p), "none", "another method");
	is_str(found("GET", "/jars/upload", p), "none", "GET of a POST route");
	is_str(found("GET", "/", p), "none", "the root");
	like(found("GET", "/jobs/%00", p), "NUL", "a NUL is refused");
	like(found("GET", "/jobs/%2", p), "escape", "half an escape is refused");
	like(found("GET", "/jobs/%zz", p), "escape", "no digits");
	like(found("GET", "jobs", p), "slash", "no slash");
	like(found("GET", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", p), "too many parts", "too deep");
	for (unsigned i = 0; i < route_count(); i++) {
		const struct route *r = route_at(i);

		ok(r->priority >= 1 && r->priority <= 3 && r->sentence[0] != '\0', "%s %s: complete",
		    r->method, r->pattern);
		is_str(found(r->method, r->pattern, p), r->pattern, "%s %s: no other row hides it", r->method,
		    r->pattern);
	}
	found("GET", "/", p);
}

static void test_query(void)
{
	struct url u;
	const char *why;

	is_int(url_parse(&u, "/a?x=1&y=a%26b+c&x=2&&flag&=e", &why), 0, "a query");
	is_str(url_query(&u, "x"), "2", "the last one wins");
	is_str(url_query(&u, "y"), "a&b c", "decoded, plus is a blank");
	is_str(url_query(&u, "flag"), "", "without a value");
	ok(url_query(&u, "z") == NULL, "not given");
	url_fini(&u);
	is_int(url_parse(&u, "/a?x=%0", &why), -1, "half an escape");
	is_int(url_parse(&u, "/a+b", &why), 0, "a plus in a path");
	is_str(u.segments[0], "a+b", "stays");
	url_fini(&u);
}

static int guard(const char *text, bool loopback)
{
	char *copy = xstrdup(text);
	struct http_head h;
	const char *why;
	int status = http_head_parse(&h, copy, strlen(copy), &why);

	if (status == 0)
		status = guard_check(&h, "jobmanager", loopback, &why);
	free(copy);
	return status;
}

static int guard_change(const char *text)
{
	char *copy = xstrdup(text);
	struct http_head h;
	const char *why;
	int status = http_head_parse(&h, copy, strlen(copy), &why);

	if (status == 0)
		status = guard_check_change(&h, &why);
	free(copy);
	return status;
}

static void test_guard(void)
{
	is_int(guard("POST / HTTP/1.1\r\nHost: localhost:8081\r\n\r\n", true), 0, "curl");
	is_int(guard("POST / HTTP/1.1\r\nHost: 192.168.1.1:8081\r\n\r\n", true), 0, "an address");
	is_int(guard("POST / HTTP/1.1\r\nHost: [::1]:8081\r\n\r\n", true), 0, "an address of IPv6");
	is_int(guard("POST / HTTP/1.1\r\nHost: JobManager:8081\r\n\r\n", true), 0, "rest.address");
	is_int(guard("GET / HTTP/1.0\r\n\r\n", true), 0, "HTTP/1.0 without a Host");
	is_int(guard("GET / HTTP/1.1\r\nHost: evil.example:8081\r\n\r\n", true), 421, "a foreign name");
	is_int(guard("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", true), 421, "a broken address");
	is_int(guard("GET / HTTP/1.1\r\nHost: other.example\r\n\r\n", false), 0,
	    "bound wide, names are not known");
	is_int(guard("POST / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n", true), 403,
	    "another page's change");
	is_int(guard("POST / HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n", true), 403,
	    "a sandboxed page's");
	is_int(guard("POST / HTTP/1.1\r\nHost: localhost:1\r\nOrigin: http://localhost:1\r\n\r\n", true), 0,
	    "our page's");
	is_int(guard("DELETE / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n\r\n", true), 403,
	    "cross-site");
	is_int(guard("GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n", true), 0,
	    "reading");
	is_int(guard_change("GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n"), 403,
	    "a GET that changes something");
	is_int(guard_change("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 0, "the same of curl");
}

static const char *split(struct gw_arena *a, const char *text)
{
	static char out[256];
	const char **words;
	size_t len = 0;
	struct err e;
	unsigned n;

	if (words_split(a, text, &words, &n, &e) != 0)
		return gw_strdup(a, e.msg);
	out[0] = '\0';
	for (unsigned i = 0; i < n; i++)
		len += (size_t)snprintf(out + len, sizeof(out) - len, "[%s]", words[i]);
	return out;
}

static void test_words(void)
{
	struct gw_arena *a = gw_arena_create();
	const char **words;
	unsigned n;

	is_str(split(a, "--bootstrap.servers kafka:9092  --checkpointing"),
	    "[--bootstrap.servers][kafka:9092][--checkpointing]", "blanks");
	is_str(split(a, "a \"b c\" 'd e'f"), "[a][b c][d ef]", "quotes");
	is_str(split(a, "a\\ b \"\\\"\" '\\'"), "[a b][\"][\\]", "backslashes");
	is_str(split(a, " \t "), "", "nothing");
	is_str(split(a, "'' x"), "[][x]", "an empty word");
	like(split(a, "a 'b"), "not closed", "an open quote");
	words_split_commas(a, "a,,b", &words, &n);
	is_int(n, 3, "commas");
	is_str(words[2], "b", "the third");
	words_split_commas(a, "", &words, &n);
	is_int(n, 0, "an empty list");
	gw_arena_destroy(a);
}

static bool parses(enum body_kind kind, const char *text)
{
	cJSON *body = body_parse(kind, text, strlen(text));

	cJSON_Delete(body);
	return body != NULL;
}

static void test_bodies(void)
{
	cJSON *body;
	int64_t n;

	ok(parses(BODY_EMPTY, "") && parses(BODY_EMPTY, "{}") && parses(BODY_EMPTY, " \n"), "empty bodies");
	ok(!parses(BODY_EMPTY, "{\"a\":1}") && !parses(BODY_EMPTY, "[]") && !parses(BODY_EMPTY, "x"),
	    "not empty");
	ok(parses(BODY_JAR_RUN,
	       "{\"entryClass\":null,\"parallelism\":null,\"programArgs\":null,\"savepointPath\":null,"
	       "\"allowNonRestoredState\":null}"),
	    "the dashboard's nulls");
	ok(!parses(BODY_JAR_RUN, "{\"x\":1}"), "an unknown field");
	ok(!parses(BODY_JAR_RUN, "{\"parallelism\":\"abc\"}"), "a wrong type");
	ok(!parses(BODY_JAR_RUN, "{\"parallelism\":1.5}") && !parses(BODY_JAR_RUN, "{\"parallelism\":1e99}"),
	    "no integer");
	ok(!parses(BODY_JAR_RUN, "{\"programArgs\":5}") && !parses(BODY_JAR_RUN, "{\"programArgsList\":[1]}"),
	    "no strings");
	ok(parses(BODY_SAVEPOINT,
	       "{\"target-directory\":null,\"cancel-job\":false,\"formatType\":\"NATIVE\"}"),
	    "a savepoint, as 2.x asks for it");
	ok(!parses(BODY_SAVEPOINT, "{\"targetDirectory\":\"/x\"}"), "the field of a stop");
	ok(parses(BODY_STOP, "{\"targetDirectory\":\"/x\",\"drain\":true}"), "a stop");
	ok(!parses(BODY_STOP, "{\"drain\":\"true\"}"), "a flag is no string");
	ok(!parses(BODY_STOP, "{\"triggerId\":\"12\"}") &&
		!parses(BODY_STOP, "{\"formatType\":\"canonical\"}"),
	    "no id, no format");
	ok(!parses(BODY_DISPOSAL, "{\"savepoint-path\":[\"/x\"]}"), "one path");
	ok(!parses(BODY_JAR_RUN, "{} x") && !parses(BODY_JAR_RUN, "{"), "garbage behind, unfinished");
	ok(!parses(BODY_JAR_RUN, "{\"programArgs\":\"a\\u0000b\"}"), "an escaped NUL");
	ok(body_parse(BODY_JAR_RUN, "{}\0x", 4) == NULL, "a NUL");
	body = body_parse(BODY_JAR_RUN, "{\"parallelism\":1,\"parallelism\":\"3\"}", 35);
	ok(body_int(body, "parallelism", &n) && n == 3, "the last one wins, digits in a string count");
	ok(body_bool(body, "allowNonRestoredState", true), "what is missing keeps its value");
	cJSON_Delete(body);
}

int main(void)
{
	static const char *const none[] = { NULL };

	fake_init(none);
	json_init();
	test_routes();
	test_query();
	test_guard();
	test_words();
	test_bodies();
	(void)fake_add_job("00000000000000000000000000000001", JOB_RUNNING, GW_TASK_RUNNING);
	fake_fini();
	return tap_done();
}
