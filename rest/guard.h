/*
 * What a web page in the operator's browser must not reach: requests for a foreign host name
 * (DNS rebinding) and changes asked for by another site.  Programs that send no Origin,
 * as curl and the command line, are not concerned.
 */
#ifndef REST_GUARD_H
#define REST_GUARD_H

#include "rest/http_head.h"

/* Returns 0, or the status to refuse with and a sentence in *why. address: rest.address;
 * loopback: whether the server is bound to this host alone, where names are checked. */
int guard_check(const struct http_head *h, const char *address, bool loopback, const char **why);
/* The second half alone, for a GET that changes something nevertheless. */
int guard_check_change(const struct http_head *h, const char **why);

#endif
