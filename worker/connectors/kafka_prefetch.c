/*
 * Wakes librdkafka's threads so that they decide about the next fetch.
 *
 * A full queue has to be drained by a part of its limit before a fetch is due again, so a wake-up for each
 * such part that was taken is enough, whatever the thread saw and when; none is needed for what never came
 * near the limit, but one in a hundred thousand messages costs nothing.
 */
#include "worker/connectors/kafka_prefetch.h"

#include <strings.h>

#include "base/conf.h"
#include "worker/connectors/kafka_client.h"

#define PARTS 8 /* of the queue's limit */

static int64_t number(const struct rd_kafka_conf_s *conf, const char *name)
{
	char *text = kafka_client_property(conf, name);
	struct err e = { 0 };
	int64_t n = 0;

	if (text != NULL && conf_parse_i64(text, 0, INT32_MAX, &n, &e) < 0)
		n = 0;
	free(text);
	return n;
}

void kafka_prefetch_init(struct kafka_prefetch *p, const struct rd_kafka_conf_s *conf)
{
	char *protocol = kafka_client_property(conf, "security.protocol");
	char *mechanism = kafka_client_property(conf, "sasl.mechanisms");
	bool sasl = protocol != NULL && strncmp(protocol, "sasl", 4) == 0;

	*p = (struct kafka_prefetch){
		.step_messages = number(conf, "queued.min.messages") / PARTS,
		.step_bytes = number(conf, "queued.max.messages.kbytes") * 1024 / PARTS,
		.user = kafka_client_property(conf, "sasl.username"),
		.password = kafka_client_property(conf, "sasl.password"),
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

void kafka_prefetch_wake(struct kafka_prefetch *p, struct rd_kafka_s *rk)
{
	p->taken_messages = p->taken_bytes = 0;
	if (p->can_wake)
		kafka_client_wake(rk, p->user != NULL ? p->user : "", p->password != NULL ? p->password : "");
}
