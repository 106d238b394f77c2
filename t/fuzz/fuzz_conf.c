/*
 * Configuration files and values of any bytes: no crash, and what is accepted is inside its
 * limits and reads the same when it is read again.
 */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/file.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(void *arg, const char *sentence)
{
	ASSERT(strchr(sentence, '\n') == NULL || strlen(sentence) > 0);
	(*(unsigned *)arg)++;
}

static void try_values(const char *text)
{
	static const char *const words[] = { "rest.port", "rest.address", "heartbeat.interval" };
	char formatted[32];
	int64_t v, again;
	struct err e;
	bool truth;

	if (conf_parse_duration(text, &v, &e) == 0) {
		ASSERT(v >= 0);
		conf_format_duration(v, formatted, sizeof(formatted));
		ASSERT(conf_parse_duration(formatted, &again, &e) == 0 && again == v);
	}
	if (conf_parse_memory(text, &v, &e) == 0) {
		ASSERT(v >= 0);
		conf_format_memory(v, formatted, sizeof(formatted));
		ASSERT(conf_parse_memory(formatted, &again, &e) == 0 && again == v);
	}
	if (conf_parse_i64(text, -1000, 1000, &v, &e) == 0)
		ASSERT(v >= -1000 && v <= 1000);
	(void)conf_parse_bool(text, &truth, &e);
	(void)conf_nearest(text, words, ARRAY_LEN(words));
}

static void check(const struct conf *c)
{
	ASSERT(c->rest_port >= 0 && c->rest_port <= 65535);
	ASSERT(c->slots >= 1 && c->slots <= 64);
	ASSERT(c->heartbeat_timeout_ms > c->heartbeat_interval_ms && c->heartbeat_interval_ms >= 10);
	ASSERT(c->record_max_size_bytes >= 1024 && c->record_max_size_bytes <= 1 << 24);
	ASSERT(strcmp(c->taskmanager_restart, "always") == 0 || strcmp(c->taskmanager_restart, "never") == 0);
	for (unsigned i = 0; i < c->n_pairs; i++) {
		ASSERT(c->pairs[i].key[0] != '\0' && c->pairs[i].line > 0);
		for (unsigned j = 0; j < i; j++)
			ASSERT(strcmp(c->pairs[i].key, c->pairs[j].key) != 0);
	}
	for (unsigned i = 0; i < conf_n_rows(); i++)
		free(conf_row_value(c, i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[32], *text = xmalloc(size + 1);
	unsigned n_warnings = 0;
	struct conf *c;
	struct err e;
	int fd;

	memcpy(text, data, size);
	text[size] = '\0';
	try_values(text);
	fd = file_memfd("conf", data, size, &e);
	ASSERT(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	c = conf_load(path, NULL, 0, count, &n_warnings, &e);
	if (c != NULL) {
		check(c);
		conf_destroy(c);
	} else {
		ASSERT(e.code == ERR_CONFIG && e.msg[0] != '\0');
	}
	c = conf_load(NULL, (const char *const[]){ text }, 1, count, &n_warnings, &e);
	ASSERT(c != NULL || e.code == ERR_CONFIG);
	conf_destroy(c);
	close(fd);
	free(text);
	return 0;
}
