/*
 * The keys of Flink that mean nothing on one host without a JVM: a configuration
 * written for Flink brings them along, and they are not typing errors.
 */
#ifndef BASE_CONF_FLINK_H
#define BASE_CONF_FLINK_H

#include <stdbool.h>

/* Exactly a key that Flink has. */
bool conf_flink_has_key(const char *key);
/* Below a name that is Flink's as a whole, such as "metrics.". */
bool conf_flink_has_family(const char *key);

#endif
