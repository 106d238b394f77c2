/*
 * A multipart/form-data body, parsed as it comes in pieces of any size.  The memory
 * held is one piece and one part's head.  A part's file name is reported as it came: it
 * is the client's word and never a path.
 */
#ifndef REST_MULTIPART_H
#define REST_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

struct multipart;

struct multipart_events {
	/* name and filename are NULL where the part has none. Any of the three may return -1 to stop. */
	int (*begin)(void *arg, const char *name, const char *filename);
	int (*data)(void *arg, const char *data, size_t len);
	int (*end)(void *arg);
};

/* content_type: the request's field. NULL where it is not multipart/form-data with a
 * boundary. events is borrowed. */
struct multipart *multipart_create(const char *content_type, const struct multipart_events *events,
    void *arg);
void multipart_destroy(struct multipart *m);
/* Returns 0, or -1 with a sentence in *why (NULL there when an event stopped it). */
int multipart_feed(struct multipart *m, const char *data, size_t len, const char **why);
/* Whether the closing boundary has come. */
bool multipart_is_complete(const struct multipart *m);

#endif
