/*
 * Functions that invite mistakes do not compile.  Force-included in every
 * file of the project but the jobs, which see include/ alone.
 */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat sprintf vsprintf gets atoi atol atoll strtok
#pragma GCC poison localtime gmtime ctime asctime strncpy signal tmpnam mktemp

#endif
