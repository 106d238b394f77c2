/*
 * What weir prints, line by line as recorded from Flink's client, and how it takes a server's
 * answers.  A child process plays the server.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "rest/cli/cli.h"
#include "t/tap.h"

#define JID "bf2275d47f638cff4ac851b841952699"

static pid_t server_pid;
static int server_pipe; /* the requests' first lines */

/* Answer n requests, one a connection, with the given texts, then end. */
static struct client serve(const char *const *answers, unsigned n)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	struct client c;
	int fd = socket(AF_INET, SOCK_STREAM, 0), fds[2];
	char *address;
	struct err e;

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ASSERT(bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0 && listen(fd, 8) == 0 && pipe(fds) == 0);
	getsockname(fd, (struct sockaddr *)&in, &len);
	fflush(stdout);
	server_pid = fork();
	ASSERT(server_pid >= 0);
	if (server_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (unsigned i = 0; i < n; i++) {
			static char text[1 << 20];
			size_t got = 0;
			int conn = accept(fd, NULL, NULL);

			for (;;) {
				ssize_t k = recv(conn, text + got, sizeof(text) - 1 - got, 0);
				const char *end, *length;

				if (k <= 0)
					break;
				got += (size_t)k;
				text[got] = '\0';
				end = strstr(text, "\r\n\r\n");
				length = strstr(text, "Content-Length: ");
				if (end != NULL && length != NULL &&
				    got >= (size_t)(end + 4 - text) + strtoul(length + 16, NULL, 10))
					break;
			}
			ASSERT(send(conn, answers[i], strlen(answers[i]), 0) >= 0);
			close(conn);
			ASSERT(write(fds[1], text, got) == (ssize_t)got);
		}
		_exit(0);
	}
	close(fd);
	close(fds[1]);
	server_pipe = fds[0];
	address = xasprintf("127.0.0.1:%u", ntohs(in.sin_port));
	ASSERT(client_init(&c, address, &e) == 0);
	free(address);
	return c;
}

/* All requests the server has had. */
static char *served(struct client *c)
{
	static char text[1 << 20];
	size_t n = 0;
	ssize_t k;

	while ((k = read(server_pipe, text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)k;
	text[n] = '\0';
	close(server_pipe);
	waitpid(server_pid, NULL, 0);
	client_fini(c);
	return text;
}

static char *out_text, *diag_text;

/* Run an action with words up to NULL; its output is in out_text and diag_text. */
static int act(const struct client *c, enum cli_action action, const char *const *argv)
{
	static int (*const run[])(const struct client *, const struct cli_args *, FILE *, FILE *) = { cli_run,
		cli_list, cli_stop, cli_savepoint, cli_cancel };
	size_t out_len, diag_len;
	struct cli_args a;
	FILE *out, *diag;
	int argc = 0, rc;
	struct err e;

	while (argv[argc] != NULL)
		argc++;
	ASSERT(cli_args_parse(&a, action, argc, argv, &e) == 0);
	free(out_text);
	free(diag_text);
	out = open_memstream(&out_text, &out_len);
	diag = open_memstream(&diag_text, &diag_len);
	rc = run[action](c, &a, out, diag);
	fclose(out);
	fclose(diag);
	return rc;
}
#define ACT(c, action, ...) act((c), (action), (const char *[]){ __VA_ARGS__, NULL })
#define OK_200              "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"

static char *jobs_text(const char *json, const char *option)
{
	const char *argv[] = { option };
	struct cli_args a;
	cJSON *answer = cJSON_Parse(json);
	struct err e = { ERR_NONE, "" };
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	ASSERT(cli_args_parse(&a, CLI_LIST, option[0] != '\0', argv, &e) == 0);
	if (cli_print_jobs(out, answer, &a, &e) != 0)
		fputs(e.msg, out);
	fclose(out);
	cJSON_Delete(answer);
	return text;
}

#define JOB(id, state, start) \
	"{\"jid\":\"" id "\",\"name\":\"Click Event Count\",\"state\":\"" state "\",\"start-time\":" start "}"

static void test_list(void)
{
	static const struct {
		const char *json, *option, *want;
	} rows[] = {
		{ "{\"jobs\":[]}", "", "No running jobs.\nNo scheduled jobs.\n" },
		{ "{\"jobs\":[]}", "-a", "No running jobs.\nNo scheduled jobs.\n" },
		{ "{\"jobs\":[]}", "-s", "No scheduled jobs.\n" },
		{ "{\"jobs\":[" JOB("a", "RUNNING", "1795343698774") "," JOB("b", "FAILED",
		      "1795343813482") "," JOB("c", "RESTARTING", "1795343698000") "," JOB("d", "CREATED",
		      "1795343698774") "]}",
		    "-a",
		    "------------------ Running/Restarting Jobs -------------------\n"
		    "22.11.2026 10:34:58 : c : Click Event Count (RESTARTING)\n"
		    "22.11.2026 10:34:58 : a : Click Event Count (RUNNING)\n"
		    "--------------------------------------------------------------\n"
		    "----------------------- Scheduled/Initializing Jobs -----------------------\n"
		    "22.11.2026 10:34:58 : d : Click Event Count (CREATED)\n"
		    "--------------------------------------------------------------\n"
		    "---------------------- Terminated Jobs -----------------------\n"
		    "22.11.2026 10:36:53 : b : Click Event Count (FAILED)\n"
		    "--------------------------------------------------------------\n" },
		{ "{\"jobs\":[" JOB("b", "FAILED", "1795343813482") "]}", "-r", "No running jobs.\n" },
		{ "{}", "", "The server's answer has no list of jobs." },
		{ "{\"jobs\":[{}]}", "", "A job of the server's answer lacks id, name, state or start." },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *text = jobs_text(rows[i].json, rows[i].option);

		is_str(text, rows[i].want, "list %s of %.40s", rows[i].option, rows[i].json);
		free(text);
	}
}

static void test_cancel(void)
{
	static const char *const accepted[] = { "HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}" };
	static const char *const refused[] = {
		"HTTP/1.1 404 Not Found\r\n\r\n{\"errors\":[\"x.RestHandlerException: "
		"Job could not be found.\"]}"
	};
	struct client c = serve(accepted, 1);

	is_int(ACT(&c, CLI_CANCEL, JID), 0, "cancel");
	is_str(out_text, "Cancelling job " JID ".\nCancelled job " JID ".\n", "the recorded lines");
	is_str(diag_text, "", "nothing else");
	like(served(&c), "PATCH /v1/jobs/" JID "?mode=cancel HTTP/1.1\r\n", "the request");
	c = serve(refused, 1);
	is_int(ACT(&c, CLI_CANCEL, JID), 1, "cancel of an unknown job");
	is_str(out_text, "Cancelling job " JID ".\n", "the recorded line");
	is_str(diag_text,
	    "\n------------------------------------------------------------\n"
	    " The program finished with the following exception:\n\n"
	    "org.apache.flink.util.FlinkException: Could not cancel job " JID ".\n"
	    "Caused by: org.apache.flink.runtime.rest.util.RestClientException: "
	    "[x.RestHandlerException: Job could not be found.]\n",
	    "the recorded frame");
	served(&c);
	client_init(&c, "127.0.0.1:1", NULL);
	is_int(ACT(&c, CLI_CANCEL, "xyz"), 1, "no id: no request");
	is_str(out_text,
	    "Cannot parse JobID from \"xyz\". The expected format is [0-9a-fA-F]{32}, e.g. "
	    "fd72014d4c864993a2e5a9287b4a9c5d.\n\nUse the help option (-h or --help) to get help on the command.\n",
	    "the recorded lines");
	is_int(ACT(&c, CLI_LIST, NULL), 1, "no server");
	is_str(out_text, "Waiting for response...\n", "the recorded line");
	like(diag_text,
	    "FlinkException: Failed to retrieve job list.\nCaused by: java.net.ConnectException: "
	    "Connection refused: 127.0.0.1:1\n",
	    "and why");
	client_fini(&c);
}

static void test_run(void)
{
	static const char *const answers[] = {
		OK_200 "{\"filename\":\"/up/flink-web-upload/1_a b.so\",\"status\":\"success\"}",
		OK_200 "{\"jobid\":\"" JID "\"}",
		OK_200 "{}",
		OK_200 "{\"status\":{\"id\":\"IN_PROGRESS\"}}",
		OK_200
		"{\"status\":{\"id\":\"COMPLETED\"},\"job-execution-result\":{\"id\":\"" JID "\","
		"\"application-status\":\"SUCCEEDED\",\"accumulator-results\":{},\"net-runtime\":2202}}",
	};
	static const char *const bad[] = {
		OK_200 "{\"filename\":\"/up/1_a.so\",\"status\":\"success\"}",
		"HTTP/1.1 400 Bad Request\r\n\r\n{\"errors\":[\"c: Could not execute application.\\nCaused by: d: no symbol\"]}",
		"HTTP/1.1 503 Service Unavailable\r\n\r\n{\"errors\":[\"later\"]}",
	};
	char file[] = "/tmp/weir-cli-XXXXXX";
	int fd = mkstemp(file);
	struct client c = serve(answers, 5);
	char *text;

	ASSERT(write(fd, "content", 7) == 7);
	close(fd);
	is_int(ACT(&c, CLI_RUN, "-p", "2", file, "--x", "y z"), 0, "run");
	is_str(out_text,
	    "Job has been submitted with JobID " JID "\nProgram execution finished\nJob with JobID " JID
	    " has finished.\nJob Runtime: 2202 ms\n\n",
	    "the recorded lines");
	is_str(diag_text, "", "nothing else");
	text = served(&c);
	like(text, "filename=\"weir-cli-", "the upload's name has no directory");
	like(text, "\r\n\r\ncontent\r\n--", "its content");
	like(text, "POST /v1/jars/1_a%20b.so/run HTTP/1.1", "run of what was uploaded");
	like(text, "{\"programArgsList\":[\"--x\",\"y z\"],\"parallelism\":2}", "arguments are kept apart");
	like(text, "DELETE /v1/jars/1_a%20b.so HTTP/1.1", "the upload is removed");
	like(text, "GET /v1/jobs/" JID "/execution-result", "the result is waited for");
	c = serve(answers, 3);
	is_int(ACT(&c, CLI_RUN, "-d", "-n", "-s", "file:/sp/savepoint-1", file), 0, "run -d -n -s");
	is_str(out_text, "Job has been submitted with JobID " JID "\n", "does not wait");
	like(served(&c), "\"savepointPath\":\"file:/sp/savepoint-1\",\"allowNonRestoredState\":true}",
	    "the savepoint");
	c = serve(bad, 3);
	is_int(ACT(&c, CLI_RUN, "-d", file), 1, "a job that is refused");
	is_str(out_text, "", "nothing was submitted");
	like(diag_text, "weir: the uploaded file 1_a.so stays on the server: [later]\n",
	    "what stays is said");
	like(diag_text,
	    "The job could not be run.\nCaused by: org.apache.flink.runtime.rest.util.RestClientException: "
	    "[c: Could not execute application.\nCaused by: d: no symbol]\n",
	    "and why");
	served(&c);
	unlink(file);
	client_init(&c, "127.0.0.1:1", NULL);
	is_int(ACT(&c, CLI_RUN, "nosuch.jar"), 1, "no such file");
	is_str(out_text,
	    "Could not get job jar and dependencies from JAR file: JAR file does not exist: nosuch.jar\n\n"
	    "Use the help option (-h or --help) to get help on the command.\n",
	    "the recorded lines");
	is_int(ACT(&c, CLI_RUN, "-d"), 1, "no file given");
	client_fini(&c);
}

#define SP      "file:/opt/sp/savepoint-bf2275-39fe0f574a41"
#define REQUEST "102d929cf8376863edd4623d27cb0081"
#define FRAME \
	"\n------------------------------------------------------------\n " \
	"The program finished with the following exception:\n\n"
#define STARTED "HTTP/1.1 202 Accepted\r\n\r\n{\"request-id\":\"" REQUEST "\"}"
#define PENDING OK_200 "{\"status\":{\"id\":\"IN_PROGRESS\"},\"operation\":null}"
#define TAKEN   OK_200 "{\"status\":{\"id\":\"COMPLETED\"},\"operation\":{\"location\":\"" SP "\"}}"
#define UNKNOWN \
	OK_200 \
	"{\"status\":{\"id\":\"COMPLETED\"},\"operation\":{\"failure-cause\":{\"class\":\"x.JobNotFound\"," \
	"\"stack-trace\":\"x.JobNotFound: Could not find Flink job (" JID \
	")\",\"serialized-throwable\":\"\"}}}"
#define NOWHERE \
	"HTTP/1.1 400 Bad Request\r\n\r\n{\"errors\":[\"x.RestHandlerException: " \
	"Config key [state.savepoints.dir] is not set.\"]}"

static void test_stop(void)
{
	static const char *const taken[] = { STARTED, PENDING, PENDING, TAKEN };
	static const char *const unknown[] = { STARTED, UNKNOWN };
	static const char *const nowhere[] = { NOWHERE };
	struct client c = serve(taken, 4);
	char *text;

	is_int(ACT(&c, CLI_STOP, JID), 0, "stop");
	is_str(out_text, "Suspending job \"" JID "\" with a savepoint.\nSavepoint completed. Path: " SP "\n",
	    "the recorded lines");
	is_str(diag_text, "", "nothing else");
	text = served(&c);
	like(text, "POST /v1/jobs/" JID "/stop HTTP/1.1\r\n", "the request");
	like(text, "{\"targetDirectory\":null,\"drain\":false}", "its body");
	like(text, "GET /v1/jobs/" JID "/savepoints/" REQUEST " HTTP/1.1\r\n",
	    "asked after until it is there");
	c = serve(taken, 4);
	is_int(ACT(&c, CLI_STOP, "--drain", "-p", "/opt/sp", JID), 0, "stop --drain -p");
	is_str(out_text, "Draining job \"" JID "\" with a savepoint.\nSavepoint completed. Path: " SP "\n",
	    "the recorded lines");
	like(served(&c), "{\"targetDirectory\":\"/opt/sp\",\"drain\":true}", "its body");
	c = serve(unknown, 2);
	is_int(ACT(&c, CLI_STOP, JID), 1, "stop of an unknown job");
	is_str(out_text, "Suspending job \"" JID "\" with a savepoint.\n", "the recorded line");
	is_str(diag_text,
	    FRAME "org.apache.flink.util.FlinkException: Could not stop with a savepoint job \"" JID "\".\n"
		  "Caused by: x.JobNotFound: Could not find Flink job (" JID ")\n",
	    "and why");
	served(&c);
	c = serve(nowhere, 1);
	is_int(ACT(&c, CLI_STOP, JID), 1, "stop without a directory");
	like(diag_text,
	    "Could not stop with a savepoint job \"" JID "\".\nCaused by: "
	    "org.apache.flink.runtime.rest.util.RestClientException: [x.RestHandlerException: Config key",
	    "the server's words");
	served(&c);
	client_init(&c, "127.0.0.1:1", NULL);
	is_int(ACT(&c, CLI_STOP, NULL), 1, "stop of nothing");
	is_str(out_text, "Missing JobId\n\nUse the help option (-h or --help) to get help on the command.\n",
	    "the recorded lines");
	is_int(ACT(&c, CLI_STOP, JID), 1, "no server");
	like(diag_text, "Caused by: java.net.ConnectException", "and why");
	client_fini(&c);
}

static void test_savepoint(void)
{
	static const char *const taken[] = { STARTED, PENDING, TAKEN };
	static const char *const unknown[] = { STARTED, UNKNOWN };
	static const char *const disposed[] = { OK_200 "{\"request-id\":\"" REQUEST "\"}", PENDING,
		OK_200 "{\"status\":{\"id\":\"COMPLETED\"},\"operation\":{}}" };
	static const struct {
		const char *answers[2];
		unsigned n;
		const char *want;
	} odd[] = {
		{ { OK_200 "{}" }, 1, "The server's answer has no request id." },
		{ { OK_200 "{\"request-id\":\"../..\"}" }, 1, "The server's answer has no request id." },
		{ { STARTED, OK_200 "{}" }, 2, "does not say how far the request is." },
		{ { STARTED, OK_200 "{\"status\":{\"id\":\"LATER\"}}" }, 2,
		    "does not say how far the request is." },
		{ { STARTED, OK_200 "{\"status\":{\"id\":\"COMPLETED\"}}" }, 2,
		    "does not say where the savepoint is." },
		{ { STARTED,
		      OK_200 "{\"status\":{\"id\":\"COMPLETED\"},\"operation\":{\"failure-cause\":{}}}" },
		    2, "The server gives no reason." },
	};
	struct client c = serve(taken, 3);

	is_int(ACT(&c, CLI_SAVEPOINT, JID, "/opt/sp"), 0, "savepoint");
	is_str(out_text,
	    "Triggering savepoint for job " JID ".\nWaiting for response...\nSavepoint completed. Path: " SP
	    "\n"
	    "You can resume your program from this savepoint with the run command.\n",
	    "the recorded lines");
	is_str(diag_text, "", "nothing else");
	like(served(&c), "{\"target-directory\":\"/opt/sp\",\"cancel-job\":false}", "its body");
	c = serve(unknown, 2);
	is_int(ACT(&c, CLI_SAVEPOINT, JID), 1, "savepoint of an unknown job");
	is_str(out_text, "Triggering savepoint for job " JID ".\nWaiting for response...\n",
	    "the recorded lines");
	is_str(diag_text,
	    FRAME "org.apache.flink.util.FlinkException: Triggering a savepoint for the job " JID " failed.\n"
		  "Caused by: x.JobNotFound: Could not find Flink job (" JID ")\n",
	    "and why");
	served(&c);
	c = serve(disposed, 3);
	is_int(ACT(&c, CLI_SAVEPOINT, "-d", SP), 0, "savepoint -d");
	is_str(out_text,
	    "Disposing savepoint '" SP "'.\nWaiting for response...\nSavepoint '" SP "' disposed.\n",
	    "the recorded lines");
	like(served(&c), "{\"savepoint-path\":\"" SP "\"}", "its body");
	c = serve(unknown, 2);
	is_int(ACT(&c, CLI_SAVEPOINT, "-d", "/no/such"), 1, "savepoint -d of nothing");
	is_str(out_text, "Disposing savepoint '/no/such'.\nWaiting for response...\n", "the recorded lines");
	like(diag_text,
	    FRAME
	    "org.apache.flink.util.FlinkException: Disposing the savepoint '/no/such' failed.\nCaused by: ",
	    "and why");
	served(&c);
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		c = serve(odd[i].answers, odd[i].n);
		is_int(ACT(&c, CLI_SAVEPOINT, JID), 1, "a strange answer");
		like(diag_text, odd[i].want, "%s", odd[i].want);
		served(&c);
	}
}

static void test_places(void)
{
	static const struct {
		const char *path, *want;
	} rows[] = {
		{ "/sp", "/sp" },
		{ "file:/sp", "file:/sp" },
		{ "file:sp", "file:sp" },
		{ "sp", "/tmp/sp" },
		{ "sp/a:b", "/tmp/sp/a:b" },
		{ "./sp", "/tmp/./sp" },
		{ "", "" },
	};
	char *cwd = getcwd(NULL, 0), *text;

	ASSERT(cwd != NULL && chdir("/tmp") == 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		text = cli_place(rows[i].path);
		is_str(text, rows[i].want, "the place of \"%s\"", rows[i].path);
		free(text);
	}
	ok(cli_place(NULL) == NULL, "of none");
	text = cli_savepoint_body("k", "sp", "f", true);
	is_str(text, "{\"k\":\"/tmp/sp\",\"f\":true}", "in a body");
	free(text);
	{
		struct cli_args a = { .savepoint = "sp" };

		text = cli_run_body(&a);
		is_str(text, "{\"programArgsList\":[],\"savepointPath\":\"/tmp/sp\"}", "in that of run");
		free(text);
	}
	ASSERT(chdir(cwd) == 0);
	free(cwd);
}

static void test_cancel_with_savepoint(void)
{
	static const char *const taken[] = { STARTED, TAKEN };
	static const char *const unknown[] = { STARTED, UNKNOWN };
	struct client c = serve(taken, 2);

	is_int(ACT(&c, CLI_CANCEL, "-s", "/opt/sp", JID), 0, "cancel -s");
	is_str(out_text,
	    "DEPRECATION WARNING: Cancelling a job with savepoint is deprecated. Use \"stop\" instead.\n"
	    "Cancelling job " JID " with savepoint to /opt/sp.\n"
	    "Cancelled job " JID ". Savepoint stored in " SP ".\n",
	    "the recorded lines");
	like(served(&c), "{\"target-directory\":\"/opt/sp\",\"cancel-job\":true}", "its body");
	c = serve(unknown, 2);
	is_int(ACT(&c, CLI_CANCEL, "-s", JID), 1, "cancel -s of an unknown job");
	like(out_text, "Cancelling job " JID " with savepoint to default savepoint directory.\n",
	    "no directory");
	like(diag_text, "Could not cancel job " JID ".\nCaused by: x.JobNotFound", "and why");
	like(served(&c), "{\"target-directory\":null,\"cancel-job\":true}", "its body");
}

static void test_result(void)
{
	static const struct {
		const char *json, *want;
	} rows[] = {
		{ "{\"application-status\":\"CANCELED\"}", "Job was cancelled." },
		{ "{\"application-status\":\"FAILED\",\"failure-cause\":{\"stack-trace\":\"x.Y: broke\"}}",
		    "Job failed (JobID: " JID ")\nCaused by: x.Y: broke\n" },
		{ "{}", "Job failed (JobID: " JID ")\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cJSON *result = cJSON_Parse(rows[i].json);
		char *text;
		size_t len;
		FILE *diag = open_memstream(&text, &len);

		is_int(cli_print_result(stdout, diag, JID, result), 1, "a job that did not finish: exit 1");
		fclose(diag);
		like(text, rows[i].want, "result %zu: its reason", i);
		free(text);
		cJSON_Delete(result);
	}
}

static void test_answers(void)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "HTTP/1.1 404 Not Found\r\n\r\n{\"errors\":[\"a\",\"b\"]}", "[a, b]" },
		{ "HTTP/1.1 500 X\r\n\r\n{}", "status 500 and no reason" },
		{ "HTTP/1.1 200 OK\r\n\r\nplain", "not valid JSON" },
		{ "HTTP/1.1 200 OK\r\n\r\n{} x", "not valid JSON" },
		{ "HTTP/1.1 200 OK\r\n", "does not speak HTTP" },
		{ "SSH-2.0-x\r\n\r\n", "does not speak HTTP" },
		{ "HTTP/1.1 100 Continue\r\n\r\n", "does not speak HTTP" },
	};
	struct err e;
	cJSON *answer;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		ok(client_parse_answer(rows[i].text, strlen(rows[i].text), &e) == NULL, "answer %zu is none",
		    i);
		like(e.msg, rows[i].want, "%s", rows[i].want);
	}
	answer = client_parse_answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n{}", 52, &e);
	ok(answer != NULL, "100 Continue goes before");
	cJSON_Delete(answer);
}

static void test_address(void)
{
	static const char *const bad[] = { "host", "host:", ":1", "host:0", "host:65536", "host:x", "" };
	struct client c;
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		is_int(client_init(&c, bad[i], &e), -1, "address \"%s\"", bad[i]);
	is_int(client_init(&c, "http://jobmanager:8081", &e), 0, "with http://");
	is_str(c.host, "jobmanager", "its host");
	client_fini(&c);
	is_int(client_init(&c, "[::1]:80", &e), 0, "IPv6");
	is_str(c.host, "::1", "its host");
	client_fini(&c);
	unsetenv("WEIR_CONF_DIR");
	unsetenv("FLINK_CONF_DIR");
	is_int(client_init(&c, NULL, &e), 0, "no address, no configuration");
	ok(strcmp(c.host, "127.0.0.1") == 0 && strcmp(c.port, "8081") == 0, "is the default");
	client_fini(&c);
	{
		char dir[] = "/tmp/weir-cli-XXXXXX", *file;
		FILE *f;

		ASSERT(mkdtemp(dir) != NULL);
		file = xasprintf("%s/flink-conf.yaml", dir);
		f = fopen(file, "w");
		fputs("rest.address: jobmanager\nrest.port: 1234\n", f);
		fclose(f);
		setenv("WEIR_CONF_DIR", dir, 1);
		is_int(client_init(&c, NULL, &e), 0, "of the configuration");
		ok(strcmp(c.host, "jobmanager") == 0 && strcmp(c.port, "1234") == 0, "its address");
		client_fini(&c);
		f = fopen(file, "w");
		fputs("rest.port: 0\n", f);
		fclose(f);
		is_int(client_init(&c, NULL, &e), -1, "a free port is not known");
		like(e.msg, "-m HOST:PORT", "what to do is said");
		unlink(file);
		rmdir(dir);
		free(file);
	}
}

int main(void)
{
	setenv("TZ", "UTC", 1);
	test_list();
	test_cancel();
	test_run();
	test_stop();
	test_savepoint();
	test_places();
	test_cancel_with_savepoint();
	test_result();
	test_answers();
	test_address();
	free(out_text);
	free(diag_text);
	return tap_done();
}
