/*
 * A job that calls a function that nobody has.
 */
#include "weir.h"

extern int nobody_has_this(void);

static int build(weir_env *env)
{
	return nobody_has_this() + weir_execute(env, "Unresolved");
}
WEIR_JOB(build, "unresolved", "1.0", NULL);
