/*
 * A job for another minor version of the ABI.
 */
#include "weir.h"

#undef WEIR_ABI_MINOR
#define WEIR_ABI_MINOR 7

static int build(weir_env *env)
{
	return weir_execute(env, "Other");
}
WEIR_JOB(build, "other", "1.0", NULL);
