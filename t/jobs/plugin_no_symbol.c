/*
 * A shared object that is no job: nothing made by WEIR_JOB.
 */
#include "weir.h"

extern WEIR_VISIBLE const int not_a_job;
WEIR_USED const int not_a_job = 1;
