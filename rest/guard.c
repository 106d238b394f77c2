/* Host, Origin and Sec-Fetch-Site of requests. */
#include "rest/guard.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define HOST_MAX 256

/* "name:port" or "[address]:port" without port and brackets; false: too long or malformed. */
static bool host_part(const char *text, char out[HOST_MAX])
{
	size_t len;

	if (*text == '[') {
		len = strcspn(++text, "]");
		if (text[len] != ']')
			return false;
	} else {
		len = strcspn(text, ":");
	}
	if (len >= HOST_MAX)
		return false;
	memcpy(out, text, len);
	out[len] = '\0';
	return true;
}

/* Addresses are safe: rebinding needs a name. */
static bool host_is_ours(const char *host, const char *address)
{
	unsigned char binary[16];
	char own[HOST_MAX];

	if (inet_pton(AF_INET, host, binary) == 1 || inet_pton(AF_INET6, host, binary) == 1)
		return true;
	if (host[0] == '\0' || strcasecmp(host, "localhost") == 0 || strcasecmp(host, address) == 0)
		return true;
	return gethostname(own, sizeof(own)) == 0 && strcasecmp(host, own) == 0;
}

static bool origin_is_ours(const char *origin, const char *host)
{
	const char *p = strstr(origin, "://");

	return p != NULL && host != NULL && strcasecmp(p + 3, host) == 0;
}

int guard_check_change(const struct http_head *h, const char **why)
{
	const char *host = http_head_field(h, "Host"), *origin = http_head_field(h, "Origin");
	const char *site = http_head_field(h, "Sec-Fetch-Site");

	if ((origin != NULL && !origin_is_ours(origin, host)) ||
	    (site != NULL && (strcasecmp(site, "cross-site") == 0 || strcasecmp(site, "same-site") == 0))) {
		*why = "A page of another site may not change anything here.";
		return 403;
	}
	return 0;
}

int guard_check(const struct http_head *h, const char *address, bool loopback, const char **why)
{
	const char *host = http_head_field(h, "Host");
	bool changes = strcmp(h->method, "GET") != 0 && strcmp(h->method, "HEAD") != 0 &&
	    strcmp(h->method, "OPTIONS") != 0;
	char name[HOST_MAX];

	if (loopback && host != NULL && (!host_part(host, name) || !host_is_ours(name, address))) {
		*why = "The request's Host is not a name of this server; "
		       "set rest.address to the name clients use.";
		return 421;
	}
	return changes ? guard_check_change(h, why) : 0;
}
