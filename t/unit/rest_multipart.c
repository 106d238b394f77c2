/* multipart/form-data in every cut, and uploads made of it. */
#include "rest/multipart.h"

#include <dirent.h>
#include <sys/stat.h>

#include "base/file.h"
#include "rest/upload.h"
#include "t/unit/rest_fake_gateway.h"

static char trace[4096];

static void note(const char *text)
{
	size_t len = strlen(trace);

	snprintf(trace + len, sizeof(trace) - len, "%s", text);
}

static int on_begin(void *arg, const char *name, const char *filename)
{
	(void)arg;
	note("(");
	note(name != NULL ? name : "-");
	note(":");
	note(filename != NULL ? filename : "-");
	note("|");
	return filename != NULL && strcmp(filename, "stop") == 0 ? -1 : 0;
}

static int on_data(void *arg, const char *data, size_t len)
{
	char text[256];

	(void)arg;
	snprintf(text, sizeof(text), "%.*s", (int)len, data);
	note(text);
	return 0;
}

static int on_end(void *arg)
{
	(void)arg;
	note(")");
	return 0;
}

/* The events of a body fed in pieces of `step` bytes. */
static const char *parse(const char *type, const char *body, size_t step)
{
	static const struct multipart_events events = { on_begin, on_data, on_end };
	struct multipart *m = multipart_create(type, &events, NULL);
	size_t len = strlen(body);
	const char *why = NULL;
	int rc = 0;

	trace[0] = '\0';
	if (m == NULL)
		return "no multipart";
	for (size_t i = 0; i < len && rc == 0; i += step)
		rc = multipart_feed(m, body + i, len - i < step ? len - i : step, &why);
	note(rc != 0 ? (why != NULL ? why : "stopped") : multipart_is_complete(m) ? "." : "...");
	multipart_destroy(m);
	return trace;
}

#define TYPE "multipart/form-data; boundary=XX"
#define PART(filename, data) \
	"--XX\r\nContent-Disposition: form-data; name=\"jarfile\"; filename=\"" filename \
	"\"\r\nContent-Type: application/octet-stream\r\n\r\n" data "\r\n"

static void test_parser(void)
{
	static const char *body = "preamble\r\n" PART("a.so",
	    "one\r\n--X\r\n-two") "--XX  \r\ncontent-disposition: form-data; name=f\r\n\r\nvalue\r\n--XX\r\n\r\nbare\r\n--XX--epilogue\r\n--XX";

	for (size_t step = 1; step <= strlen(body); step++) {
		if (strcmp(parse(TYPE, body, step),
			"(jarfile:a.so|one\r\n--X\r\n-two)(f:-|value)(-:-|bare).") != 0) {
			is_str(trace, "", "cut every %zu bytes", step);
			return;
		}
	}
	ok(true, "a body is the same however it is cut");
	is_str(parse("multipart/form-data; charset=x; BOUNDARY=\"XX\"", "--XX--", 99), ".",
	    "a quoted boundary, no part");
	is_str(parse(TYPE, PART("q\\\"x\\y;z.jar", "") "--XX--", 99), "(jarfile:q\"x\\y;z.jar|).",
	    "a strange file name");
	like(parse(TYPE, PART("a", "data"), 99), "...", "no end");
	like(parse(TYPE, "--XXjunk", 99), "boundary", "junk behind a boundary");
	like(parse(TYPE, PART("stop", "data") "--XX--", 99), "stopped", "an event stops it");
	is_str(parse("multipart/form-data", "", 1), "no multipart", "no boundary");
	is_str(parse("multipart/form-data; boundary=", "", 1), "no multipart", "an empty boundary");
	is_str(parse("application/json", "", 1), "no multipart", "another type");
	{
		char *big = xmalloc(20000);

		memset(big, 'h', 19999);
		memcpy(big, "--XX\r\n", 6);
		big[19999] = '\0';
		like(parse(TYPE, big, 4096), "too large", "an endless part head");
		free(big);
	}
}

static char *stored;

/* What becomes of a whole upload: "NAME=CONTENT" or the error. */
static const char *upload(const char *body)
{
	struct upload *u = upload_create(TYPE, fake.upload_dir);
	struct err e;

	free(stored);
	stored = NULL;
	if (upload_feed(u, body, strlen(body), &e) != 0 || upload_finish(u, &e) != 0) {
		stored = xstrdup(e.msg);
	} else {
		char *path = upload_take(u), *data;
		struct stat st;
		size_t len;

		ok(strncmp(path, fake.upload_dir, strlen(fake.upload_dir)) == 0 &&
			strchr(path + strlen(fake.upload_dir) + 1, '/') == NULL,
		    "the file is right in the directory");
		ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600, "for its owner alone");
		ok(file_read(path, 4096, &data, &len, &e) == 0, "it can be read");
		stored = xasprintf("%s=%s", upload_name(u), data);
		unlink(path);
		free(path);
		free(data);
	}
	upload_destroy(u);
	return stored;
}

static void test_upload(void)
{
	is_str(upload(PART("ClickCountJob.so", "content") "--XX--\r\n"), "ClickCountJob.so=content", "a .so");
	is_str(upload(PART("a.JAR", "x") "--XX--\r\n"), "a.JAR=x", "a .jar");
	is_str(upload(PART("../../etc/x.so", "x") "--XX--"), "x.so=x", "a path is cut off");
	is_str(upload(PART("C:\\dir\\x y%2f.so", "x") "--XX--"), "x_y_2f.so=x", "so is a foreign one");
	is_str(upload(PART("a.txt", "x") "--XX--"), "Only Jar files are allowed.", "another suffix");
	is_str(upload(PART(".so", "x") "--XX--"), "Only Jar files are allowed.", "a suffix alone");
	is_str(upload(PART("", "x") "--XX--"), "Only Jar files are allowed.", "no name");
	is_str(upload("--XX--"), "Exactly 1 file must be sent, received 0.", "no file");
	is_str(upload(PART("a.so", "x") PART("b.so", "y") "--XX--"),
	    "Exactly 1 file must be sent, received 2.", "two");
	like(upload(PART("a.so", "x")), "before its closing boundary", "half an upload");
	{
		char *dir = fake.upload_dir;

		fake.upload_dir = xstrdup("/nonexistent/directory");
		like(upload(PART("a.so", "x") "--XX--"), "cannot store the upload in /nonexistent",
		    "no directory");
		free(fake.upload_dir);
		fake.upload_dir = dir;
	}
	{
		char name[400];

		memset(name, 'n', sizeof(name));
		snprintf(name + 390, 10, ".so");
		{
			char *body = xasprintf(
			    "--XX\r\nContent-Disposition: form-data; filename=\"%s\"\r\n\r\nx\r\n--XX--",
			    name);

			is_int(strcspn(upload(body), "="), 200, "a long name is shortened");
			free(body);
		}
	}
	free(stored);
}

int main(void)
{
	static const char *const none[] = { NULL };

	fake_init(none);
	test_parser();
	test_upload();
	(void)fake_add_job("00000000000000000000000000000001", JOB_RUNNING, GW_TASK_RUNNING);
	fake_fini();
	return tap_done();
}
