/*
 * The answers of every route over a fake gateway, compared with answers recorded from a
 * Flink 1.14.6 cluster (t/flink-rest): the same status, the same keys, the same JSON
 * types.  Run from the top of the source tree.
 */
#include <fcntl.h>

#include "rest/job_json.h"
#include "rest/router.h"
#include "t/unit/rest_fake_gateway.h"
#include "t/unit/rest_http_client.h"
#include "t/unit/rest_shape.h"

#define RUNNING  "fb9501bf1c301faa5bc10b446bd0b114"
#define FAILED   "9c4b2ea902a8815207346fda160bbdb8"
#define FINISHED "3ae3807f1f357f4bdbda209d88af47ed"
#define CANCELED "39d90c2b65576e5f3a770c8204adc364"
#define UNKNOWN  "deadbeefdeadbeefdeadbeefdeadbeef"
#define JAR      "62c36a80-8efa-4ffa-97e7-df35ec6389da_ClickCountJob.jar"

static void test_cluster(void)
{
	cJSON *got;

	shape_only("GET", "/overview", "", "steady", "overview");
	shape_only("GET", "/v1/overview", "{}", "err", "v1_prefix");
	shape_only("GET", "//overview/?foo=bar", "", "err", "double_slash");
	got = shape_is("GET", "/config", "", "steady", "config");
	is_int(member(got, "refresh-interval")->valueint, 3000, "the refresh interval of the configuration");
	cJSON_Delete(got);
	got = shape_is("GET", "/taskmanagers", "", "steady", "taskmanagers");
	is_int((int64_t)member(got, "taskmanagers/0/timeSinceLastHeartbeat")->valuedouble,
	    fake.tms[0].last_heartbeat_ms, "the heartbeat's absolute time");
	cJSON_Delete(got);
}

static void test_user_config(void)
{
	static const char *args[] = { "--topic", "input", "--properties.sasl.password", "hunter2",
		"--event-time" };
	char *text;

	fake.jobs[0]->n_args = 5;
	fake.jobs[0]->args = args;
	text = client_call("GET", "/jobs/" RUNNING "/config", "");
	like(text,
	    "\"user-config\":{\"topic\":\"input\",\"properties.sasl.password\":\"******\","
	    "\"event-time\":\"__NO_VALUE_KEY\"}",
	    "arguments, secrets covered");
	free(text);
	fake.jobs[0]->n_args = 0;
}

static void test_jobs(void)
{
	cJSON *got;
	char *text;

	shape_only("GET", "/jobs", "", "steady", "jobs");
	got = shape_is("GET", "/jobs/overview", "", "steady", "jobs_overview");
	is_int(member(got, "jobs/0/tasks/total")->valueint, 6, "subtasks of all vertices");
	is_int(member(got, "jobs/0/pending-operators")->valueint, 0, "what 2.x clients want");
	cJSON_Delete(got);
	got = shape_is("GET", "/jobs/" RUNNING, "", "steady", "job");
	is_int(cJSON_GetArraySize(member(got, "vertices")), 3, "three vertices");
	is_str(cJSON_GetStringValue(member(got, "vertices/0/name")), "Source: ClickEvent Source",
	    "source first");
	is_str(cJSON_GetStringValue(member(got, "plan/nodes/0/description")),
	    "Sink ClickEventStatistics Sink", "in the plan the sink is first");
	ok(member(got, "plan/nodes/2/inputs") == NULL, "a source has no inputs");
	is_str(cJSON_GetStringValue(member(got, "plan/nodes/1/inputs/0/ship_strategy")), "HASH",
	    "its ship strategy");
	is_int(member(got, "end-time")->valueint, -1, "not ended");
	is_int(member(got, "duration")->valueint, 10000, "duration up to now");
	is_int(member(got, "status-counts/RUNNING")->valueint, 3, "counts are of vertices");
	is_int(member(got, "vertices/0/duration")->valueint, 9000, "a vertex since its first deploy");
	cJSON_Delete(got);
	text = client_call("GET", "/jobs/" RUNNING, "");
	like(text, "\"write-records\":18014398509481986", "64 bits are whole");
	free(text);
	shape_only("GET", "/jobs/FB9501BF1C301FAA5BC10B446BD0B1147", "", "steady", "job");
	got = shape_is("GET", "/jobs/" FINISHED, "", "finished", "job");
	is_int(member(got, "duration")->valueint, 9000, "duration up to the end");
	cJSON_Delete(got);
	shape_only("GET", "/jobs/" CANCELED, "", "canceled", "job");
	shape_only("GET", "/jobs/" RUNNING "/plan", "", "steady", "job_plan");
	shape_only("GET", "/jobs/" RUNNING "/config", "", "steady", "job_config");
	test_user_config();
	shape_only("GET", "/jobs/" RUNNING "/vertices/bc764cd8ddf7a0cff126f51c16239658", "", "steady",
	    "vertex0");
}

static void test_vertex_states(void)
{
	static const struct {
		enum gw_task_state a, b;
		const char *want;
	} rows[] = {
		{ GW_TASK_RUNNING, GW_TASK_FAILED, "FAILED" },
		{ GW_TASK_CANCELING, GW_TASK_FAILED, "FAILED" },
		{ GW_TASK_FINISHED, GW_TASK_CANCELING, "CANCELING" },
		{ GW_TASK_CANCELED, GW_TASK_RUNNING, "CANCELED" },
		{ GW_TASK_RUNNING, GW_TASK_INITIALIZING, "INITIALIZING" },
		{ GW_TASK_SCHEDULED, GW_TASK_RUNNING, "RUNNING" },
		{ GW_TASK_FINISHED, GW_TASK_FINISHED, "FINISHED" },
		{ GW_TASK_FINISHED, GW_TASK_SCHEDULED, "RUNNING" },
		{ GW_TASK_SCHEDULED, GW_TASK_DEPLOYING, "CREATED" },
	};
	struct gw_vertex *v = &fake.jobs[0]->vertices[0];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *answer;
		cJSON *got;

		v->subtasks[0].state = rows[i].a;
		v->subtasks[1].state = rows[i].b;
		answer = client_call("GET", "/jobs/" RUNNING, "");
		got = cJSON_Parse(body_of(answer));
		is_str(cJSON_GetStringValue(member(got, "vertices/0/status")), rows[i].want, "%s and %s",
		    gw_task_state_names[rows[i].a], gw_task_state_names[rows[i].b]);
		cJSON_Delete(got);
		free(answer);
	}
	v->subtasks[0].state = v->subtasks[1].state = GW_TASK_RUNNING;
}

static void test_exceptions(void)
{
	static struct gw_exception history[] = {
		{ "java.lang.RuntimeException", "java.lang.RuntimeException: Artificial failure.",
		    1795344534331, "ClickEvent Counter (2/2) - execution #2", "localhost", "tm" },
		{ "weir.WorkerLost", "weir.WorkerLost: taskmanager killed", 1795344534000, NULL, NULL, NULL },
	};
	cJSON *got;

	shape_only("GET", "/jobs/" RUNNING "/exceptions", "", "nocp", "job_exceptions");
	fake.jobs[0]->n_exceptions = 2;
	fake.jobs[0]->exceptions = history;
	got = shape_is("GET", "/jobs/" RUNNING "/exceptions", "", "steady", "job_exceptions");
	is_int(cJSON_GetArraySize(member(got, "exceptionHistory/entries")), 2, "two failures");
	ok(member(got, "exceptionHistory/entries/1/taskName") == NULL, "a global one has no task");
	cJSON_Delete(got);
	got = shape_is("GET", "/jobs/" RUNNING "/exceptions?maxExceptions=1", "", "steady",
	    "job_exceptions_maxExceptions_1");
	ok(cJSON_IsTrue(member(got, "exceptionHistory/truncated")), "cut off");
	cJSON_Delete(got);
	fake.jobs[1]->n_exceptions = fake.jobs[1]->n_failed_now = 1;
	fake.jobs[1]->exceptions = fake.jobs[1]->failed_now = history;
	got = shape_is("GET", "/jobs/" FAILED "/exceptions", "", "failed", "job_exceptions");
	is_str(cJSON_GetStringValue(member(got, "all-exceptions/0/task")), "ClickEvent Counter (2/2)",
	    "the task alone");
	cJSON_Delete(got);
	error_is("GET", "/jobs/" RUNNING "/exceptions?maxExceptions=abc", "", "bad_query_maxExceptions");
	fake.jobs[0]->n_exceptions = 0;
}

static void test_result(void)
{
	char *text;

	shape_only("GET", "/jobs/" RUNNING "/execution-result", "", "steady", "job_execution_result");
	text = client_call("GET", "/jobs/" FINISHED "/execution-result", "");
	is_str(body_of(text),
	    "{\"status\":{\"id\":\"COMPLETED\"},\"job-execution-result\":{\"id\":\"" FINISHED "\","
	    "\"application-status\":\"SUCCEEDED\",\"accumulator-results\":{},\"net-runtime\":9000}}",
	    "a finished job's result");
	free(text);
	text = client_call("GET", "/jobs/" CANCELED "/execution-result", "");
	like(text, "\"application-status\":\"CANCELED\"", "a cancelled one's");
	free(text);
	text = client_call("GET", "/jobs/" FAILED "/execution-result", "");
	like(text, "\"application-status\":\"FAILED\"", "a failed one's");
	like(text,
	    "\"failure-cause\":{\"class\":\"java.lang.RuntimeException\",\"stack-trace\":\"java.lang.RuntimeException: "
	    "Artificial failure.\",\"serialized-throwable\":\"rO0ABXNyAClvcmcuYXBhY2hlLmZsaW5rLnV0aWwuU2VyaWFsaXplZFRocm93YWJsZ",
	    "with its cause");
	free(text);
}

static size_t decode_base64(const char *text, unsigned char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned v = 0, bits = 0;
	size_t n = 0;

	for (; *text != '\0' && *text != '='; text++) {
		v = v << 6 | (unsigned)(strchr(digits, *text) - digits);
		bits += 6;
		if (bits >= 8)
			out[n++] = (unsigned char)(v >> (bits -= 8));
	}
	return n;
}

/* The parts of Java's serialized form: constants of 378 and 100 bytes around three strings. */
static void test_throwable(void)
{
	static unsigned char bytes[8192];
	struct gw_arena *a = gw_arena_create();
	cJSON *o = json_object(NULL, NULL);
	char text[512];
	size_t n;

	snprintf(text, sizeof(text), "x.Y: %0300d", 7);
	json_failure_cause(o, "failure-cause", a, "x.Y", text);
	n = decode_base64(cJSON_GetStringValue(member(o, "failure-cause/serialized-throwable")), bytes);
	is_int(n, 378 + 3 + 300 + 100 + 3 + 305 + 3 + 3 + 1, "the length of a serialized failure");
	ok(memcmp(bytes, "\xac\xed\0\5sr\0)org.apache.flink.util.SerializedThrowable", 47) == 0, "its class");
	ok(memcmp(bytes + 378, "t\x01\x2c", 3) == 0, "the message's length");
	ok(memcmp(bytes + 381, text + 5, 300) == 0, "the message without its class");
	ok(memcmp(bytes + 781, "t\x01\x31x.Y: 00", 10) == 0, "the whole text");
	ok(memcmp(bytes + n - 7, "t\0\3x.Yp", 7) == 0, "the class");
	cJSON_Delete(o);
	gw_arena_destroy(a);
}

static void test_metrics(void)
{
	cJSON *got = shape_is("GET", "/jobs/" RUNNING "/metrics", "", "steady", "job_metrics");
	const cJSON *want = cJSON_GetObjectItem(recorded("steady", "job_metrics"), "body"), *a, *b;
	unsigned found = 0;
	char *text;

	cJSON_ArrayForEach(a, want) {
		cJSON_ArrayForEach(b, got) {
			found += strcmp(cJSON_GetStringValue(member(a, "id")),
				     cJSON_GetStringValue(member(b, "id"))) == 0;
		}
	}
	is_int(found, cJSON_GetArraySize(want), "the recorded metrics, all of them");
	cJSON_Delete(got);
	shape_only("GET", "/jobs/" RUNNING "/metrics?get=uptime,numRestarts", "", "steady",
	    "job_metrics_get");
	text = client_call("GET", "/jobs/" RUNNING "/metrics?get=uptime,nonsense", "");
	is_str(body_of(text), "[{\"id\":\"uptime\",\"value\":\"9000\"}]", "what is unknown is left out");
	free(text);
	shape_only("GET", "/jobs/" UNKNOWN "/metrics", "", "err", "unknown_job_metrics");
	text = client_call("GET", "/jobs/" FINISHED "/metrics", "");
	is_str(body_of(text), "[]", "gone with the job");
	free(text);
}

static void test_cancel(void)
{
	char *text = client_call("PATCH", "/v1/jobs/" RUNNING "?mode=cancel", "{}");

	like(text, "HTTP/1.1 202 Accepted", "cancel is accepted");
	is_str(body_of(text), "{}", "with an empty object");
	is_str(fake.asked, "cancel " RUNNING, "the gateway was asked");
	free(text);
	err_set(&fake.err, ERR_NOT_FOUND, "no such job");
	error_is("PATCH", "/jobs/" UNKNOWN, "", "unknown_job_cancel_nomode");
	fake.err.code = ERR_NONE;
	error_is("PATCH", "/jobs/" RUNNING "?mode=stop", "", "patch_stopmode");
	error_is("PATCH", "/jobs/" RUNNING "?mode=bogus", "", "patch_badmode");
}

static void test_jars(void)
{
	static const char small[] =
	    "--B\r\nContent-Disposition: form-data; name=\"jarfile\"; filename=\"a.so\"\r\n\r\n"
	    "data\r\n--B--\r\n";
	static const char head[] = "--B\r\nContent-Disposition: form-data; filename=\"big.so\"\r\n\r\n";
	static const char tail[] = "\r\n--B--\r\n";
	char *text, *request;
	cJSON *got;

	got = shape_is("GET", "/jars", "", "jars", "jars");
	ok(strncmp(cJSON_GetStringValue(member(got, "address")), "http://localhost:", 17) == 0,
	    "our address");
	ok(cJSON_GetArraySize(member(got, "files/1/entry")) == 0, "a file whose entry is not known");
	cJSON_Delete(got);
	shape_only("DELETE", "/jars/x.jar", "", "jars", "jar_delete");
	fake.text = "/up/flink-web-upload/1_a.so";
	request = xasprintf(
	    "POST /jars/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=B\r\n"
	    "Content-Length: %zu\r\n\r\n%s",
	    strlen(small), small);
	text = client_ask(request);
	free(request);
	is_str(body_of(text), "{\"filename\":\"/up/flink-web-upload/1_a.so\",\"status\":\"success\"}",
	    "an upload");
	is_str(fake.asked, "add a.so", "under its name");
	ok(fake.upload_len == 4 && memcmp(fake.upload_data, "data", 4) == 0, "with its content");
	free(text);
	{
		/* 3 MB: more than any other body may have. */
		size_t size = 3000000;
		char *data = xmalloc(size);
		int fd = client_open();

		memset(data, 'd', size);
		request = xasprintf(
		    "POST /jars/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; "
		    "boundary=B\r\nContent-Length: %zu\r\n\r\n%s",
		    size + strlen(head) + strlen(tail), head);
		client_send(fd, request);
		client_send_n(fd, data, size);
		client_send(fd, tail);
		text = client_read(fd);
		like(text, "200 OK", "a large upload");
		is_int(fake.upload_len, size, "all of it");
		free(text);
		free(request);
		free(data);
		close(fd);
	}
	error_is("POST", "/jars/upload", "{}", "jar_upload_json");
	error_is("POST", "/jars/upload", "", "jar_upload_empty");
	error_is("POST", "/jars/upload", "PK", "jar_upload_wrong_ctype");
	err_set(&fake.err, ERR_NOT_FOUND, "no");
	text = client_call("DELETE", "/jars/unknown.jar", "");
	like(text, "HTTP/1.1 400", "an unknown file cannot be deleted");
	like(text, "RestHandlerException: File unknown.jar does not exist in /tmp/", "and is named");
	free(text);
	error_is("POST", "/jars/unknown.jar/run", "", "jar_unknown_run");
	fake.err.code = ERR_NONE;
}

static void asks(const char *path, const char *body, const char *want)
{
	char *text = client_call("POST", path, body);

	like(text, "HTTP/1.1 200 OK", "%s %s", path, body);
	is_str(fake.asked, want, "%s", want);
	free(text);
}

static void test_run(void)
{
	char *text;

	fake.text = RUNNING;
	shape_only("POST", "/jars/" JAR "/run", "", "jars", "jars_run");
	asks("/jars/j/run", "{\"parallelism\":3,\"programArgs\":\"--a b --c\",\"savepointPath\":\"/s\"}",
	    "run j p=3 [--a] [b] [--c] from /s");
	asks("/jars/j/run?program-args=x&parallelism=2&savepointPath=/q&allowNonRestoredState=true",
	    "{\"entryClass\":\"E\",\"parallelism\":null,\"programArgs\":null,\"savepointPath\":null,\"allowNonRestoredState\":null}",
	    "run j p=2 [x] from /q partly");
	asks("/jars/j/run?parallelism=2&program-args=x", "{\"parallelism\":4,\"programArgs\":\"y\"}",
	    "run j p=4 [y]");
	asks("/jars/j/run?programArg=a,b%20c", "", "run j p=0 [a] [b c]");
	asks("/jars/j/run", "{\"programArgsList\":[\"a b\",\"\"],\"jobId\":\"" RUNNING "\"}",
	    "run j p=0 [a b] [] as " RUNNING);
	asks("/v1/jars/j%20k/run", "", "run j k p=0");
	error_is("POST", "/jars/j/run", "{\"parallelism\":0}", "jar_run_bad_parallelism");
	error_is("POST", "/jars/j/run", "{\"parallelism\":\"abc\"}", "jar_run_bad_parallelism_str");
	error_is("POST", "/jars/j/run?parallelism=abc", "", "jar_plan_bad_parallelism");
	error_is("POST", "/jars/j/run", "{\"x\":1}", "jar_run_unknown_field");
	error_is("POST", "/jars/j/run", "{x", "jar_run_badjson");
	error_is("POST", "/jars/j/run", "{\"programArgs\":\"a\",\"programArgsList\":[\"a\"]}",
	    "jar_run_both_args");
	err_set(&fake.err, ERR_USER, "the program's main failed");
	error_is("POST", "/jars/j/run", "", "jar_run_bad_args");
	text = client_call("POST", "/jars/j/run", "");
	like(text, "ProgramInvocationException: the program's main failed", "the reason follows");
	free(text);
	err_set(&fake.err, ERR_NOT_FOUND, "there is no savepoint /no/such/dir");
	error_is("POST", "/jars/" JAR "/run", "{\"savepointPath\":\"/no/such/dir\"}", "jar_run_bad_savepoint");
	err_set(&fake.err, ERR_UNAVAILABLE, "no builder now");
	text = client_call("POST", "/jars/j/run", "");
	like(text, "HTTP/1.1 503", "not now");
	free(text);
	err_set(&fake.err, ERR_IO, "disk full");
	text = client_call("POST", "/jars/j/run", "");
	like(text, "HTTP/1.1 500", "the system's refusal");
	like(text, "disk full", "with its reason");
	free(text);
	fake.err.code = ERR_NONE;
}

/* Answers that come later, also to clients that have left. */
static void test_later(void)
{
	int fd = client_open();
	char *text;

	fake.later = true;
	client_send(fd, "POST /jars/j/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
	for (int i = 0; i < 10000 && fake.done == NULL; i++)
		turn();
	fake_answer();
	text = client_read(fd);
	like(text, "{\"jobid\":\"" RUNNING "\"}", "answered later");
	free(text);
	client_send(fd, "POST /jars/j/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
	for (int i = 0; i < 10000 && fake.done == NULL; i++)
		turn();
	{
		struct linger reset = { .l_onoff = 1, .l_linger = 0 };

		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	}
	close(fd);
	for (int i = 0; i < 100; i++)
		turn();
	fake_answer();
	ok(true, "answered to nobody");
	fake.later = false;
}

static void test_errors(void)
{
	char *text;

	error_is("GET", "/jobs/xyz", "", "malformed_job");
	error_is("GET", "/jobs/" UNKNOWN, "", "unknown_job_job");
	error_is("GET", "/jobs/" UNKNOWN "/exceptions", "", "unknown_job_exceptions");
	error_is("GET", "/jobs/" UNKNOWN "/plan", "", "unknown_job_plan");
	error_is("GET", "/jobs/" UNKNOWN "/config", "", "unknown_job_config");
	error_is("GET", "/jobs/" UNKNOWN "/execution-result", "", "unknown_job_execution_result");
	error_is("GET", "/jobs/" UNKNOWN "/vertices/bc764cd8ddf7a0cff126f51c16239658", "",
	    "unknown_job_vertex");
	error_is("GET", "/jobs/" RUNNING "/vertices/" UNKNOWN, "", "unknown_vertex");
	error_is("GET", "/nonexistent", "", "unknown_path");
	error_is("POST", "/nonexistent", "", "unknown_path_post");
	error_is("DELETE", "/nonexistent", "", "unknown_path_delete");
	error_is("GET", "/v2/overview", "", "v2_prefix");
	error_is("GET", "/jars/upload", "", "wrong_method_get_jars_upload");
	error_is("POST", "/overview", "", "wrong_method_post_overview");
	error_is("PUT", "/jobs", "", "wrong_method_put_jobs");
	error_is("OPTIONS", "/jobs", "", "options_jobs");
	text = client_call("HEAD", "/overview", "");
	like(text, "HTTP/1.1 404", "HEAD is not served");
	free(text);
	text = client_call("GET", "/jobs", "{\"a\":1}");
	like(text, "did not match expected format EmptyRequestBody", "a body where none is wanted");
	free(text);
	text = client_ask("POST /jars/j/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n\r\n");
	like(text, "HTTP/1.1 413", "1 MiB is most for JSON");
	free(text);
	text = client_ask("GET /jobs HTTP/1.1\r\nHost: evil.example\r\n\r\n");
	like(text, "HTTP/1.1 421", "a foreign Host");
	free(text);
	text = client_ask("POST /jars/j/run HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n"
			  "Content-Length: 0\r\n\r\n");
	like(text, "HTTP/1.1 403", "another page");
	ok(strstr(text, "Access-Control") == NULL, "no CORS field");
	free(text);
}

/* Names come from users: quotes, controls and bytes that are no UTF-8. */
static void test_names(void)
{
	char *text;

	fake.jobs[0]->name = "a\"b\n\xff<c> \xc3\xa9";
	fake.jobs[0]->vertices[0].name = "a -> b & \"c\"";
	text = client_call("GET", "/jobs/" RUNNING, "");
	like(text, "\"name\":\"a\\\"b\\n\xef\xbf\xbd<c> \xc3\xa9\"", "the name is escaped and repaired");
	like(text, "\"description\":\"a -&gt; b &amp; &quot;c&quot;\"", "the description is HTML");
	free(text);
	fake.jobs[0]->name = "Click Event Count";
}

static void setup(void)
{
	struct gw_taskmanager *tm = &fake.tms[0];

	(void)fake_add_job(RUNNING, JOB_RUNNING, GW_TASK_RUNNING);
	(void)fake_add_job(FAILED, JOB_FAILED, GW_TASK_FAILED);
	(void)fake_add_job(FINISHED, JOB_FINISHED, GW_TASK_FINISHED);
	(void)fake_add_job(CANCELED, JOB_CANCELED, GW_TASK_CANCELED);
	tm->id = "127.0.0.1:4711-d6520a";
	tm->path = "tm-1";
	tm->last_heartbeat_ms = fake.now_ms - 5;
	tm->slots = 1;
	tm->ring_bytes = 8 << 20;
	tm->physical_memory_bytes = INT64_C(25274793984);
	tm->cpu_cores = 2;
	fake.n_tms = 1;
	fake.jars[0] = (struct gw_jar){ JAR, "ClickCountJob.jar", 1795343698108, "ClickCount" };
	fake.jars[1] = (struct gw_jar){ "1_x.so", "x.so", 1795343698108, NULL };
	fake.n_jars = 2;
}

static void test_no_submit(struct rest_server **r)
{
	static const char *const overrides[] = { "rest.port=0", "web.submit.enable=false", NULL };
	struct conf *old = fake.conf;
	struct err e;
	char *text;

	rest_destroy(*r);
	fake.conf = conf_load(NULL, overrides, 2, NULL, NULL, &e);
	*r = rest_create(loop, &fake, -1, &server_port, &e);
	text = client_call("POST", "/jars/j/run", "");
	like(text, "HTTP/1.1 404", "without web.submit.enable there is no run");
	free(text);
	conf_destroy(old);
}

int main(void)
{
	static const char *const overrides[] = { "rest.port=0", NULL };
	struct rest_server *r;
	struct err e;

	if (access("t/flink-rest/steady.json", R_OK) != 0)
		return tap_skip_all("not run from the top of the source tree");
	loop = event_base_new();
	fake_init(overrides);
	setup();
	r = rest_create(loop, &fake, -1, &server_port, &e);
	if (!ok(r != NULL && server_port > 0, "the REST server listens"))
		return tap_done();
	test_cluster();
	test_jobs();
	test_vertex_states();
	test_exceptions();
	test_result();
	test_throwable();
	test_metrics();
	test_cancel();
	test_jars();
	test_run();
	test_later();
	test_errors();
	test_names();
	test_no_submit(&r);
	rest_destroy(r);
	recorded(NULL, NULL);
	fake_fini();
	event_base_free(loop);
	libevent_global_shutdown();
	return tap_done();
}
