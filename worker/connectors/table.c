/* Which connectors there are. */
#include <string.h>

#include "base/mem.h"
#include "worker/connectors/connectors.h"

static const struct connector *const connectors[] = { &connector_kafka, &connector_sequence,
	&connector_blackhole };

const struct connector *connector_find(const char *name)
{
	unsigned i;

	for (i = 0; name != NULL && i < ARRAY_LEN(connectors); i++)
		if (strcmp(connectors[i]->name, name) == 0)
			return connectors[i];
	return NULL;
}
