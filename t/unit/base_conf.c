/* base/conf.h: Flink's rules for lines and values, overrides, warnings, refusals. */
#include "base/conf.h"

#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "t/tap.h"

static char path[] = "/tmp/weir-conf-XXXXXX";
static char warnings[4096];
static unsigned n_warnings;

static void note(void *arg, const char *sentence)
{
	size_t len = strlen(warnings);

	ok(arg == warnings, "a warning brings its argument");
	snprintf(warnings + len, sizeof(warnings) - len, "%s\n", sentence);
	n_warnings++;
}

/* Load text as a file, with one override where it is not NULL. */
static struct conf *load_bytes(const char *text, size_t len, const char *override, struct err *e)
{
	warnings[0] = '\0';
	n_warnings = 0;
	e->code = ERR_NONE;
	e->msg[0] = '\0';
	if (file_write_atomic(path, text, len, 0600, e) < 0)
		return NULL;
	return conf_load(path, &override, override != NULL, note, warnings, e);
}

static struct conf *load(const char *text, const char *override, struct err *e)
{
	return load_bytes(text, strlen(text), override, e);
}

static void defaults(void)
{
	struct err e;
	struct conf *c = conf_load(NULL, NULL, 0, NULL, NULL, &e);

	ok(c != NULL, "without a file and overrides there are defaults");
	is_int(c->rest_port, 8081, "a number");
	is_int(c->heartbeat_interval_ms, 10000, "a duration, in ms");
	is_int(c->jobstore_expiration_ms, 3600000, "one that Flink counts in seconds");
	is_int(c->record_max_size_bytes, 16 << 20, "a size, in bytes");
	is_int(c->web_submit, true, "a truth");
	is_str(c->rest_bind_address, "127.0.0.1", "a text");
	is_str(c->taskmanager_restart, "always", "a word");
	is_str(c->storage_dir, "", "a path that is found later");
	ok(c->file == NULL && c->n_pairs == 0, "nothing was given");
	conf_destroy(c);
	conf_destroy(NULL);
}

static void lines(void)
{
	struct err e;
	struct conf *c = load("# a comment\n"
			      "\n"
			      "rest.port: 1 # the first\r\n"
			      "  taskmanager.numberOfTaskSlots :   4\t\n"
			      "rest.address: a: b: c\n"
			      "env.log.dir: file:///tmp/x#y\r"
			      "state.savepoints.dir:  file:/s p \n"
			      "rest.port: 2\n"
			      "web.upload.dir: /u",
	    NULL, &e);

	ok(c != NULL, "a file is read: %s", e.msg);
	is_str(warnings, "", "without warnings");
	is_int(c->rest_port, 2, "the last duplicate wins");
	is_int(c->slots, 4, "blanks around key and value do not count");
	is_str(c->rest_address, "a: b: c", "a line is split at the first ': '");
	is_str(c->log_dir, "/tmp/x", "and cut at the first '#', wherever it is");
	is_str(c->savepoints_dir, "/s p", "blanks inside count");
	is_str(c->upload_dir, "/u", "the last line needs no newline");
	is_str(c->file, path, "the file is remembered");
	is_int(c->n_pairs, 6, "every key once");
	is_str(c->pairs[0].key, "rest.port", "in order of their first place");
	is_str(c->pairs[0].value, "2", "with the last value");
	is_int(c->pairs[0].line, 8, "and its line");
	is_int(c->pairs[3].line, 6, "lines end with LF, CR LF or CR");
	conf_destroy(c);

	c = load("rest.port:1\npassword:secret\nrest.port:\t3\nrest.port: \n: 5\nrest.port\n", NULL, &e);
	ok(c != NULL && c->rest_port == 8081, "lines that are no pairs have no effect");
	is_int(n_warnings, 6, "and a warning each");
	like(warnings, ":1: 'rest.port' has no value behind ': '; the line is ignored\n", "without ': '");
	like(warnings, ":3: 'rest.port' has no value", "with a tab instead of the blank");
	like(warnings, ":4: 'rest.port' has no value", "without a value");
	like(warnings, ":5: the line has no key", "without a key");
	like(warnings, ":6: 'rest.port' has no value", "with a key alone");
	ok(strstr(warnings, "secret") == NULL, "a warning shows no value");
	conf_destroy(c);

	c = load_bytes("a\0b: 1\nrest.port: 3\n\xff\xfe: \xff\n", 27, NULL, &e);
	ok(c != NULL && c->rest_port == 3, "bytes of any kind are no obstacle");
	like(warnings, ":1: the line has a zero byte", "a zero byte is said");
	conf_destroy(c);
	c = load("", NULL, &e);
	ok(c != NULL && n_warnings == 0, "an empty file is good");
	conf_destroy(c);
}

static void unknown_keys(void)
{
	struct err e;
	struct conf *c = load("rest.prot: 1\n"
			      "taskmanager.numberOfTaskSlot: 1\n"
			      "jobmanager.memory.process.size: 1600m\n"
			      "metrics.reporter.prom.port: 1\n"
			      "colour: red\n"
			      "task.cancellation.timers.timeout: 1\n"
			      "rest.prot: 2\n",
	    "rest.bindadress=::", &e);

	ok(c != NULL && c->rest_port == 8081, "unknown keys are no errors");
	is_int(n_warnings, 7, "one warning a key, not a line");
	like(warnings, ":7: rest.prot: unknown key, it has no effect; is rest.port meant?\n",
	    "with the nearest key");
	like(warnings,
	    ":2: taskmanager.numberOfTaskSlot: unknown key, it has no effect; is "
	    "taskmanager.numberOfTaskSlots meant?\n",
	    "of several near ones the nearest");
	like(warnings, ":3: jobmanager.memory.process.size: this key of Flink has no effect here\n",
	    "a key of Flink");
	like(warnings, ":6: task.cancellation.timers.timeout: this key of Flink has no effect",
	    "even where one of ours is near");
	like(warnings, ":4: metrics.reporter.prom.port: a key of this kind has no effect here\n",
	    "a kind of key");
	like(warnings, ":5: colour: unknown key, it has no effect, and no known one is near it\n",
	    "none is near");
	like(warnings, "-D: rest.bindadress: unknown key, it has no effect; is rest.bind-address meant?\n",
	    "from -D");
	is_int(c->n_pairs, 7, "they are kept for the record");
	conf_destroy(c);
	c = conf_load(path, NULL, 0, NULL, NULL, &e);
	ok(c != NULL, "nobody needs to hear the warnings");
	conf_destroy(c);
}

static void overrides(void)
{
	const char *several[] = { "rest.port=1", " rest.port = 2 ", "rest.address=a=b", "env.log.dir=" };
	struct err e;
	struct conf *c = load("rest.port: 99999\nenv.log.dir: /l\n", "rest.port=7", &e);

	ok(c != NULL && c->rest_port == 7, "an override wins, even over an unacceptable value");
	is_int(c->pairs[0].line, 0, "it has no line");
	conf_destroy(c);
	c = conf_load(path, several, 4, NULL, NULL, &e);
	ok(c != NULL && c->rest_port == 2, "the last override wins");
	is_str(c->rest_address, "a=b", "it is split at the first '='");
	is_str(c->log_dir, "", "an empty one brings the default back");
	conf_destroy(c);
	ok(load("", "rest.port", &e) == NULL && e.code == ERR_CONFIG, "an override without '=' is refused");
	like(e.msg, "-D rest.port: not of the form key=value", "by name");
	ok(load("", "=5", &e) == NULL && e.code == ERR_CONFIG, "and one without a key");
}

static void refusals(void)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "rest.port: x\n",
		    ":1: rest.port: 'x' is not a whole number from 0 to 65535; allowed: 0 to 65535" },
		{ "\nrest.port: 65536\n", ":2: rest.port: '65536' is not a whole number from 0 to 65535" },
		{ "rest.port: -1\n", "'-1' is not a whole number" },
		{ "taskmanager.numberOfTaskSlots: 0\n", "taskmanager.numberOfTaskSlots: '0'" },
		{ "taskmanager.numberOfTaskManagers: 257\n", "allowed: 0 to 256" },
		{ "heartbeat.interval: 9 ms\n",
		    ":1: heartbeat.interval: '9 ms' is out of range; allowed: 10 ms to 1 h" },
		{ "heartbeat.interval: 5 parsecs\n", "'5 parsecs' is not a duration" },
		{ "taskmanager.record.max-size: 17 mb\n", "'17 mb' is out of range; allowed: 1 kb to 16 mb" },
		{ "taskmanager.record.max-size: much\n", "'much' is not a size" },
		{ "taskmanager.restart: often\n", "'often' is not known; allowed: one of: always never" },
		{ "taskmanager.restart: always never\n", "'always never' is not known" },
		{ "web.submit.enable: yes\n", "'yes' is neither true nor false; allowed: true or false" },
		{ "state.checkpoints.dir: s3://b/c\n", "'s3://b/c' is not a local path" },
		{ "jobstore.expiration-time: 0\n", "is out of range; allowed: 1 s to 365 d" },
		{ "heartbeat.timeout: 10 s\n",
		    ":1: heartbeat.timeout (10 s) must be longer than heartbeat.interval (10 s)" },
		{ "heartbeat.interval: 1 min\n",
		    ":1: heartbeat.timeout (50 s) must be longer than heartbeat.interval (1 min)" },
		{ "restart-strategy.exponential-delay.initial-backoff: 11 s\n",
		    "max-backoff (10 s) must not be shorter than" },
	};
	struct err e;

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct conf *c = load(cases[i].text, NULL, &e);

		ok(c == NULL && e.code == ERR_CONFIG, "refused: %.*s", (int)strcspn(cases[i].text, "\n"),
		    cases[i].text);
		like(e.msg, cases[i].want, "it is said where, what and what is allowed");
		conf_destroy(c);
	}
	like(e.msg, path, "the file is named");
	ok(load("", "rest.port=x", &e) == NULL, "an override is refused, too");
	like(e.msg, "-D: rest.port: 'x'", "and named as such");
	ok(conf_load("/nowhere/flink-conf.yaml", NULL, 0, NULL, NULL, &e) == NULL, "a file that is missing");
	is_int(e.code, ERR_CONFIG, "is an error of the configuration");
	like(e.msg, "/nowhere/flink-conf.yaml: No such file", "and named");
	{
		char *many = xcalloc(1, 5000 * 16);
		size_t len = 0;

		for (unsigned i = 0; i < 5000; i++)
			len += (size_t)snprintf(many + len, 16, "k%u: 1\n", i);
		ok(load(many, NULL, &e) == NULL && e.code == ERR_CONFIG, "a file with thousands of keys");
		like(e.msg, ":4097: more than 4096 keys", "is refused where it is too much");
		free(many);
	}
	ok(conf_load("/tmp", NULL, 0, NULL, NULL, NULL) == NULL, "a directory is none");
}

static void accepted(void)
{
	struct err e;
	struct conf *c =
	    load("rest.port: 0\ntaskmanager.restart: NEVER\nweb.submit.enable: False\n"
		 "jobstore.expiration-time: 7200\nheartbeat.timeout: 20000\nheartbeat.interval: +19999\n"
		 "rest.server.max-content-length: 1g\n",
		"heartbeat.interval=19999", &e);

	ok(c != NULL, "values at their limits: %s", e.msg);
	is_int(c->rest_port, 0, "the least number");
	is_str(c->taskmanager_restart, "never", "a word in any case, kept as documented");
	is_int(c->web_submit, false, "a truth in any case");
	is_int(c->jobstore_expiration_ms, 7200000, "seconds where Flink means seconds");
	is_int(c->heartbeat_timeout_ms, 20000, "ms elsewhere");
	is_int(c->rest_max_content_length_bytes, 1 << 30, "the largest size");
	conf_destroy(c);
}

static int64_t duration(const char *text)
{
	int64_t ms = -2;
	struct err e;

	return conf_parse_duration(text, &ms, &e) == 0 ? ms : -1;
}

static int64_t memory(const char *text)
{
	int64_t bytes = -2;
	struct err e;

	return conf_parse_memory(text, &bytes, &e) == 0 ? bytes : -1;
}

static void values(void)
{
	int64_t v = 42;
	bool truth = false;
	struct err e;
	char text[32];

	is_int(duration("5"), 5, "a bare duration is in ms");
	is_int(duration(" 10 s "), 10000, "seconds, blanks");
	is_int(duration("2MIN"), 120000, "minutes, in any case");
	is_int(duration("3 m"), 180000, "m is minutes");
	is_int(duration("1 h"), 3600000, "hours");
	is_int(duration("2 days"), 172800000, "days");
	is_int(duration("1500 \xc2\xb5s"), 1, "microseconds");
	is_int(duration("1999999 ns"), 1, "nanoseconds, cut");
	is_int(duration("106751991167 d"), INT64_C(106751991167) * 86400000, "the most days");
	is_int(duration("106751991168 d"), -1, "a day more is too long");
	is_int(duration("9223372036854775808"), -1, "and so is a number over 64 bits");
	is_int(duration(""), -1, "nothing is no duration");
	is_int(duration("s"), -1, "nor a unit alone");
	is_int(duration("-1 s"), -1, "nor less than nothing");
	is_int(duration("1.5 s"), -1, "nor a part");
	is_int(duration("1 s 5 ms"), -1, "nor a sum");

	is_int(memory("5"), 5, "a bare size is in bytes");
	is_int(memory("64 mb"), 64 << 20, "mebibytes");
	is_int(memory("1g"), 1 << 30, "gibibytes");
	is_int(memory("3KiBibytes"), 3072, "kibibytes, in full");
	is_int(memory("8388607 t"), INT64_C(8388607) << 40, "the most tebibytes");
	is_int(memory("8388608 t"), -1, "one more is too many");
	is_int(memory("1 kib"), -1, "a unit that Flink has not");
	is_int(memory("x"), -1, "no number");

	is_int(conf_parse_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &v, &e), 0,
	    "the least number of 64 bits");
	ok(v == INT64_MIN, "is kept");
	is_int(conf_parse_i64("9223372036854775807", INT64_MIN, INT64_MAX, &v, &e), 0, "the greatest");
	ok(v == INT64_MAX, "is kept");
	is_int(conf_parse_i64("9223372036854775808", INT64_MIN, INT64_MAX, &v, &e), -1,
	    "one more is refused");
	is_int(conf_parse_i64("-9223372036854775809", INT64_MIN, INT64_MAX, &v, &e), -1, "one less, too");
	is_int(conf_parse_i64(" +7 ", 0, 7, &v, &e), 0, "a sign and blanks");
	is_int(v, 7, "do not harm");
	is_int(conf_parse_i64("8", 0, 7, &v, &e), -1, "above the range");
	like(e.msg, "from 0 to 7", "the range is named");
	is_int(conf_parse_i64("-", 0, 7, &v, &e), -1, "a sign alone");
	is_int(conf_parse_i64("7x", 0, 7, &v, &e), -1, "a letter");
	is_int(v, 7, "what is refused changes nothing");
	is_int(conf_parse_bool(" TRUE", &truth, &e), 0, "true");
	ok(truth, "is true");
	is_int(conf_parse_bool("1", &truth, &e), -1, "1 is not");

	conf_format_duration(0, text, sizeof(text));
	is_str(text, "0 ms", "no time");
	conf_format_duration(90000, text, sizeof(text));
	is_str(text, "90 s", "the largest unit that divides");
	conf_format_memory(1536, text, sizeof(text));
	is_str(text, "1536 bytes", "also for sizes");
	conf_format_memory(INT64_C(5) << 50, text, sizeof(text));
	is_str(text, "5120 tb", "of which there is a largest");
}

static void nearest(void)
{
	const char *words[] = { "rest.port", "rest.address", "rest.bind-address" };
	char longest[300];

	is_str(conf_nearest("rest.port", words, 3), "rest.port", "the word itself");
	is_str(conf_nearest("rset.prot", words, 3), "rest.port", "two swaps");
	is_str(conf_nearest("rest.adress", words, 3), "rest.address", "a letter left out");
	ok(conf_nearest("rest.pxyz", words, 3) == words[0], "a third of the letters may differ");
	ok(conf_nearest("rest.wxyz", words, 3) == NULL, "more may not");
	ok(conf_nearest("", words, 3) == NULL, "nothing is near to nothing");
	ok(conf_nearest("rest.port", NULL, 0) == NULL, "no words, no answer");
	memset(longest, 'r', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	ok(conf_nearest(longest, words, 3) == NULL, "what is very long is no typing error");
}

static void rows(void)
{
	struct err e;
	struct conf *c = load("heartbeat.interval: 5000\nenv.log.dir: file:///l\n", NULL, &e);
	unsigned seen = 0;

	ok(conf_n_rows() >= 29, "there are rows");
	for (unsigned i = 0; i < conf_n_rows(); i++) {
		const struct conf_row *r = conf_row_at(i);
		char *value = conf_row_value(c, i);

		ok(r->key[0] && r->type[0] && r->allowed[0] && r->sentence[0] && r->def != NULL,
		    "%s is described", r->key);
		if (strcmp(r->key, "heartbeat.interval") == 0) {
			is_str(value, "5000", "a value is as it was written");
			is_str(r->allowed, "10 ms to 1 h", "limits are for people");
			ok(r->reload, "it may change while running");
			seen++;
		} else if (strcmp(r->key, "env.log.dir") == 0) {
			is_str(value, "/l", "a path is plain");
			ok(!r->reload, "it may not change while running");
			seen++;
		} else if (strcmp(r->key, "web.submit.enable") == 0) {
			is_str(r->def, "true", "a default is as one writes it");
			is_str(value, "true", "and stands for what was not given");
			seen++;
		}
		free(value);
	}
	is_int(seen, 3, "three of them looked at closely");
	conf_destroy(c);
}

int main(void)
{
	int fd = mkstemp(path);

	if (fd < 0)
		return 1;
	close(fd);
	defaults();
	lines();
	unknown_keys();
	overrides();
	refusals();
	accepted();
	values();
	nearest();
	rows();
	unlink(path);
	return tap_done();
}
