/*
 * A shared object that is no job: nothing made by WEIR_JOB.
 */
#include "weir.h"

extern const int not_a_job;
WEIR_EXPORT const int not_a_job = 1;
