/*
 * Wakes librdkafka's threads so that they decide about the next fetch.
 *
 * A full queue has to be drained by a part of its limit before a fetch is due again, so a wake-up for each
 * such part that was taken is enough, whatever the thread saw and when; none is needed for what never came
 * near the limit, but one in a hundred thousand messages costs nothing.
 */
#include "worker/connectors/kafka_prefetch.h"

#include <librdkafka/rdkafka.h>
#include <strings.h>

#include "base/conf.h"
#include "base/mem.h"

#define PARTS 8 /* of the queue's limit */

/* A property's value, NULL: it has none; caller frees. */
static char *property(const rd_kafka_conf_t *conf, const char *name)
{
	size_t size;
	char *value;

	if (rd_kafka_conf_get(conf, name, NULL, &size) != RD_KAFKA_CONF_OK)
		return NULL;
	value = xmalloc(size);
	if (rd_kafka_conf_get(conf, name, value, &size) == RD_KAFKA_CONF_OK)
		return value;
	free(value);
	return NULL;
}

static int64_t number(const rd_kafka_conf_t *conf, const char *name)
{
	char *text = property(conf, name);
	struct err e = { 0 };
	int64_t n = 0;

	if (text != NULL && conf_parse_i64(text, 0, INT32_MAX, &n, &e) < 0)
		n = 0;
	free(text);
	return n;
}

void kafka_prefetch_init(struct kafka_prefetch *p, const rd_kafka_conf_t *conf)
{
	char *protocol = property(conf, "security.protocol"), *mechanism = property(conf, "sasl.mechanisms");
	bool sasl = protocol != NULL && strncmp(protocol, "sasl", 4) == 0;

	*p = (struct kafka_prefetch){
		.step_messages = number(conf, "queued.min.messages") / PARTS,
		.step_bytes = number(conf, "queued.max.messages.kbytes") * 1024 / PARTS,
		.user = property(conf, "sasl.username"),
		.password = property(conf, "sasl.password"),
	};
	/* Kerberos takes the user's name from its ticket unless one is set, and so none may be. */
	p->can_wake = !sasl || p->user != NULL || mechanism == NULL || strcasecmp(mechanism, "GSSAPI") != 0;
	free(protocol);
	free(mechanism);
}

void kafka_prefetch_fini(struct kafka_prefetch *p)
{
	if (p->password != NULL)
		explicit_bzero(p->password, strlen(p->password));
	free(p->user);
	free(p->password);
}

/*
 * No call is there for this alone.  New credentials wake every thread that might wait to use them, at the
 * cost of a lock and of no request.  They are the old ones.
 */
void kafka_prefetch_wake(struct kafka_prefetch *p, rd_kafka_t *rk)
{
	rd_kafka_error_t *error;

	p->taken_messages = p->taken_bytes = 0;
	if (!p->can_wake)
		return;
	error = rd_kafka_sasl_set_credentials(rk, p->user != NULL ? p->user : "",
	    p->password != NULL ? p->password : "");
	if (error != NULL)
		rd_kafka_error_destroy(error);
}
