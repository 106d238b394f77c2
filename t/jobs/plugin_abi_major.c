/*
 * A job for another major version of the ABI.
 */
#include "weir.h"

#undef WEIR_ABI_MAJOR
#define WEIR_ABI_MAJOR 2

static int build(weir_env *env)
{
	return weir_execute(env, "Other");
}
WEIR_JOB(build, "other", "1.0", NULL);
