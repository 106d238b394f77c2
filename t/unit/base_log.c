/* base/log.h: the line's order, escaping, levels, cutting, errno, threads. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "t/tap.h"

static char text[1 << 20];
static int log_fd;

/* What was logged since the last call. */
static const char *logged(void)
{
	ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);

	text[n < 0 ? 0 : n] = '\0';
	if (ftruncate(log_fd, 0) < 0 || lseek(log_fd, 0, SEEK_SET) < 0)
		text[0] = '\0';
	return text;
}

/* The line behind its stamp, level, process and pid, without the newline. */
static const char *event(void)
{
	char *p = strstr(logged(), " pid="), *end;

	if (p == NULL)
		return "";
	p = strchr(p + 1, ' ');
	end = p != NULL ? strchr(p, '\n') : NULL;
	if (end == NULL || end[1] != '\0')
		return "not one line";
	*end = '\0';
	return p + 1;
}

static void order(void)
{
	char want[64];

	errno = EACCES;
	log_warn("child.died", KV_MSG("restarting from checkpoint %d", 17), KV_STR("tm", "tm-2"),
	    KV_INT("signal", 9), KV_JOB("7f3a"));
	is_int(errno, EACCES, "errno is preserved");
	snprintf(want, sizeof(want), "Z level=warn proc=jobmanager pid=%d job=7f3a ", (int)getpid());
	logged();
	is_int(strspn(text, "0123456789-T:."), 23, "a line begins with its time");
	is_int(strncmp(text + 23, want, strlen(want)), 0, "then level, process, pid and job");
	like(text, "event=child.died tm=tm-2 signal=9 errno=EACCES msg=\"restarting from checkpoint 17\"\n",
	    "then the event, its keys, errno, and msg last");

	log_warnx("a.b", KV_STR("k", "v"));
	is_str(event(), "event=a.b k=v", "log_warnx appends no errno");
	errno = 123456;
	log_error("a.b", KV_STR("k", "v"));
	is_str(event(), "event=a.b k=v errno=123456", "a nameless errno is a number");
	log_info("n", KV_INT("least", INT64_MIN), KV_UINT("most", UINT64_MAX));
	is_str(event(), "event=n least=-9223372036854775808 most=18446744073709551615",
	    "numbers at their limits");
}

static void escaping(void)
{
	/* clang-format off */
	static const struct {
		const char *value, *want;
	} cases[] = {
		{ "plain/9.x:y,z", "plain/9.x:y,z" }, { "", "\"\"" }, { NULL, "\"\"" }, { "two words", "\"two words\"" },
		{ "a=b", "\"a=b\"" }, { "say \"hi\"", "\"say \\\"hi\\\"\"" }, { "back\\slash", "\"back\\\\slash\"" },
		{ "line\nlevel=error", "\"line\\nlevel=error\"" }, { "\r\t", "\"\\r\\t\"" },
		{ "\x1b[31m", "\"\\x1b[31m\"" }, { "\x7f", "\"\\x7f\"" }, { "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ "\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac\xf0\x9f\x98\x80" }, { "\xff", "\"\\xff\"" },
		{ "\xc2\x9b", "\"\\xc2\\x9b\"" }, { "\xc0\xaf", "\"\\xc0\\xaf\"" }, { "\xed\xa0\x80", "\"\\xed\\xa0\\x80\"" },
		{ "\xe0\x9f\xbf", "\"\\xe0\\x9f\\xbf\"" }, { "\xe2\x82", "\"\\xe2\\x82\"" }, { "\xf4\x90\x80\x80", "\"\\xf4\\x90\\x80\\x80\"" },
	};
	/* clang-format on */
	char want[128];

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		log_info("e", KV_STR("v", cases[i].value));
		snprintf(want, sizeof(want), "event=e v=%s", cases[i].want);
		is_str(event(), want, "value %u is escaped as it must be", i);
	}
	log_info("e", KV_MSG("plain"));
	is_str(event(), "event=e msg=\"plain\"", "msg is always quoted");
}

static void levels(void)
{
	enum log_level level = LOG_ERROR;

	log_debug("quiet", KV_INT("n", 1));
	is_str(logged(), "", "below the least level nothing is written");
	log_set_level(LOG_DEBUG);
	log_debug("loud", KV_INT("n", 1));
	is_str(event(), "event=loud n=1", "the level can be lowered");
	log_set_level(LOG_WARN);
	log_info("quiet", KV_INT("n", 1));
	is_str(logged(), "", "and raised");
	log_set_level(LOG_INFO);
	ok(log_level_parse("debug", &level) && level == LOG_DEBUG, "debug is a level");
	ok(log_level_parse("error", &level) && level == LOG_ERROR, "error is a level");
	ok(!log_level_parse("loud", &level) && !log_level_parse("", &level) && level == LOG_ERROR,
	    "others are not");
}

static void cutting(void)
{
	static char big[8192];
	bool good = true;
	size_t len;

	memset(big, 'y', sizeof(big) - 1);
	log_info("big", KV_STR("v", big), KV_INT("n", 1), KV_MSG("never seen"));
	len = strlen(logged());
	ok(len <= PIPE_BUF && len > PIPE_BUF - 64, "a long line is cut to what a pipe takes whole (%zu)",
	    len);
	ok(strcmp(text + len - 6, "y\xe2\x80\xa6\"\n") == 0, "the cut is marked and the line well-formed");
	like(text, " v=\"yyy", "a value that is cut is quoted");
	ok(strstr(text, " n=") == NULL && strstr(text, "msg=") == NULL, "nothing follows the cut");

	/* A line that is full to any degree before its next attribute stays well-formed. */
	for (unsigned i = 900 * 4; i < 1025 * 4; i++) {
		big[i / 4] = '\0';
		log_info(&"eeee"[i % 4], KV_STR("a", big), KV_STR("b", big), KV_STR("c", big),
		    KV_STR("d", big), KV_INT("n", 12345), KV_MSG("%s", "some words of prose for people"));
		big[i / 4] = 'y';
		len = strlen(logged());
		good = good && len <= PIPE_BUF && text[len - 1] == '\n' &&
		    (text[len - 2] == '"' || text[len - 2] == 'y' ||
			strcmp(text + len - 9, " n=12345\n") == 0);
	}
	ok(good, "attributes are whole or absent");

	is_int(strlen(log_fmt("%s", big)), 2047, "prose is cut at 2047 bytes");
}

static void destinations(void)
{
	char dir[] = "/tmp/weir-log-XXXXXX", path[64];
	struct stat st;
	int fd;

	ok(mkdtemp(dir) != NULL, "a directory");
	snprintf(path, sizeof(path), "%s/a.log", dir);
	fd = log_open_file(path);
	ok(fd >= 0, "a log file is made");
	ok((fcntl(fd, F_GETFL) & O_APPEND) != 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0,
	    "for appending, not inherited");
	ok(fstat(fd, &st) == 0 && (st.st_mode & 0777) == 0600, "and private");
	log_init("tm-1", LOG_INFO, log_fd, fd);
	log_info("both", KV_INT("n", 1));
	like(logged(), "proc=tm-1 ", "a line goes to the first descriptor");
	ok(fstat(fd, &st) == 0 && (size_t)st.st_size == strlen(text), "and to the second");
	log_init("tm-1", LOG_INFO, -1, -1);
	log_info("none", KV_INT("n", 1));
	is_str(logged(), "", "or nowhere");
	log_init("jobmanager", LOG_INFO, log_fd, -1);
	close(fd);
	unlink(path);
	rmdir(dir);
	errno = 0;
	ok(log_open_file("/nowhere/at/all") == -1 && errno == ENOENT,
	    "a file that cannot be made is said by errno");
}

static void *shout(void *arg)
{
	for (int i = 0; i < 200; i++)
		log_info("thread", KV_STR("who", arg),
		    KV_MSG("%s %s", "says", log_fmt("%s-%s", (char *)arg, (char *)arg)));
	return NULL;
}

static void threads(void)
{
	pthread_t t[2];
	char one[] = "one", two[] = "two", *save = NULL;
	unsigned n = 0, good = 0;

	pthread_create(&t[0], NULL, shout, one);
	pthread_create(&t[1], NULL, shout, two);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	logged();
	for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		n++;
		good += strstr(line, "who=one msg=\"says one-one\"") != NULL ||
		    strstr(line, "who=two msg=\"says two-two\"") != NULL;
	}
	is_int(n, 400, "two threads, 400 lines");
	is_int(good, 400, "each of them whole");
}

int main(void)
{
	const char *first = log_fmt("%d", 1);

	for (int i = 2; i <= 8; i++)
		log_fmt("%d", i);
	is_str(first, "1", "prose stays valid over seven more calls");

	log_fd = memfd_create("log", MFD_CLOEXEC);
	if (log_fd < 0 || fcntl(log_fd, F_SETFL, O_APPEND) < 0)
		return 1;
	log_init("jobmanager", LOG_INFO, log_fd, -1);
	order();
	escaping();
	levels();
	cutting();
	destinations();
	threads();
	return tap_done();
}
