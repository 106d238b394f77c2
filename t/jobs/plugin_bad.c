/*
 * A job whose main does what --how says, all of it wrong.
 */
#include "weir.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

typedef struct word {
	int64_t n;
} word;
WEIR_TYPE(word);

WEIR_DESERIALIZER(read_word, word)(weir_ctx *ctx, const weir_message *msg, word *out)
{
	(void)ctx, (void)msg, (void)out;
	return 1;
}
WEIR_MAP(same, word, word)(weir_ctx *ctx, const word *in, word *out)
{
	(void)ctx;
	*out = *in;
	return 0;
}

static int build(weir_env *env)
{
	const char *how = weir_param_str(env, "how");
	weir_stream *s = weir_name(weir_source(env, "kafka", &read_word), "Words");
	int64_t block = 0;

	if (how == NULL)
		return weir_env_fail(env, "--how is needed");
	if (strcmp(how, "crash") == 0)
		abort();
	if (strcmp(how, "loop") == 0)
		for (;;)
			pause();
	if (strcmp(how, "exit") == 0)
		exit(3);
	if (strcmp(how, "flood") == 0)
		for (int i = 0; i < 10000; i++)
			fprintf(stderr, "line %d of a job that talks too much\n", i);
	if (strcmp(how, "grumble") == 0) {
		fprintf(stderr, "grumble \xff\n");
		return -1;
	}
	/* Not the same from process to process: an option of a map, its parallelism, its block, its very
	 * being. */
	if (strcmp(how, "pid-block") == 0)
		block = getpid();
	s = weir_name(weir_transform(s, &same, &block, sizeof(block)), "Same");
	if (strcmp(how, "pid-parallelism") == 0)
		weir_parallelism(s, 1 + getpid() % 30000);
	if (strcmp(how, "pid-name") == 0) {
		char name[32];

		snprintf(name, sizeof(name), "Same %ld", (long)getpid());
		weir_name(s, name);
	}
	if (strcmp(how, "pid-more") == 0)
		for (int i = 0; i < getpid() % 100; i++)
			s = weir_name(weir_map(s, &same), "More");
	if (strcmp(how, "time-setting") == 0) {
		struct timespec now;

		clock_gettime(CLOCK_MONOTONIC, &now);
		weir_env_set_int(env, "execution.checkpointing.interval",
		    now.tv_sec * 1000000 + now.tv_nsec / 1000);
	}
	return weir_execute(env, "Bad");
}

static const weir_param params[] = { { "how", 's', NULL, "what to do wrong" }, { NULL, 0, NULL, NULL } };
WEIR_JOB(build, "bad", "1.0", params);
