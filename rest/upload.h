/*
 * A file that is being uploaded: one part of a multipart body goes straight into a
 * temporary file of the gateway's upload directory.  The client's file name is a
 * label: it decides whether the upload is taken and is told to the gateway, and no path is
 * ever made of it.
 */
#ifndef REST_UPLOAD_H
#define REST_UPLOAD_H

#include <stddef.h>

#include "base/err.h"

struct upload;

/* NULL where content_type is not multipart/form-data. dir is borrowed. */
struct upload *upload_create(const char *content_type, const char *dir);
/* Removes what was not taken. */
void upload_destroy(struct upload *u);
/* Returns 0 or -1; e says why. */
int upload_feed(struct upload *u, const char *data, size_t len, struct err *e);
/* The body has ended: exactly one file, named *.jar or *.so, must have come. */
int upload_finish(struct upload *u, struct err *e);
/* The finished file's label; borrowed until upload_destroy. */
const char *upload_name(const struct upload *u);
/* The finished file's path; the caller owns the file, and frees the string. */
char *upload_take(struct upload *u);

#endif
