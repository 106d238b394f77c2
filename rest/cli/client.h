/*
 * A blocking HTTP client for the REST API: one connection a request, as Flink's command
 * line does.  In the client's process.
 */
#ifndef REST_CLI_CLIENT_H
#define REST_CLI_CLIENT_H

#include <stddef.h>

#include <cjson/cJSON.h>

#include "base/err.h"

struct client {
	char *host;
	char port[8];
};

/* address: "host:port", "[address]:port", or with http:// before; NULL: rest.address and rest.port of
 * flink-conf.yaml in $WEIR_CONF_DIR or $FLINK_CONF_DIR, else 127.0.0.1:8081. */
int client_init(struct client *c, const char *address, struct err *e);
void client_fini(struct client *c);

/*
 * Ask and wait for the answer, at most ten minutes without a byte.  Returns the parsed JSON of a
 * 2xx, freed with cJSON_Delete, or NULL; e then has the server's own words ("[...]") or what
 * failed.
 */
cJSON *client_request(const struct client *c, const char *method, const char *path, const char *content_type,
    const char *body, size_t len, struct err *e);
/* POST a file as multipart/form-data, under the last part of its path. */
cJSON *client_upload(const struct client *c, const char *path, const char *file, struct err *e);

/* Bytes of a whole answer, parsed. Exposed for its test. */
cJSON *client_parse_answer(const char *text, size_t len, struct err *e);

#endif
