/* Savepoints: trigger, stop, dispose, and what became of a request. */
#include "base/mem.h"
#include "rest/job_json.h"
#include "rest/router.h"

#define OPERATION_KEY     "org.apache.flink.runtime.rest.handler.async.OperationKey"
#define JOB_OPERATION_KEY "org.apache.flink.runtime.rest.handler.job.AsynchronousJobOperationKey"

static void reply_request(struct rest_call *c, int status, const struct err *e, const char *request)
{
	cJSON *o;

	if (e != NULL) {
		rest_fail_err(c, e);
	} else {
		o = json_object(NULL, NULL);
		json_str(o, "request-id", request);
		rest_reply(c, status, o);
	}
	rest_call_release(c);
}

static void on_triggered(void *arg, const struct err *e, const char *text)
{
	reply_request(arg, 202, e, text);
}

static void on_disposing(void *arg, const struct err *e, const char *text)
{
	reply_request(arg, 200, e, text);
}

/* The directory of the body's field, NULL for the configured one. False: there is neither, and that was
 * answered. */
static bool get_target(struct rest_call *c, const char *field, const char **target)
{
	*target = body_str(c->body, field);
	if (*target != NULL && **target == '\0')
		*target = NULL;
	if (*target != NULL || gw_conf(c->gateway)->savepoints_dir[0] != '\0')
		return true;
	rest_fail(c, 400, REST_HANDLER_EXCEPTION,
	    "Config key [state.savepoints.dir] is not set. Property [%s] must be provided.", field);
	return false;
}

void h_job_savepoint(struct rest_call *c)
{
	const char *target;
	struct id128 job;

	if (!rest_param_id(c, "jobid", &job) || !get_target(c, "target-directory", &target))
		return;
	rest_call_hold(c);
	gw_job_savepoint(c->gateway, &job, target, body_bool(c->body, "cancel-job", false), on_triggered, c);
}

void h_job_stop(struct rest_call *c)
{
	const char *target;
	struct id128 job;

	if (!rest_param_id(c, "jobid", &job) || !get_target(c, "targetDirectory", &target))
		return;
	rest_call_hold(c);
	gw_job_stop(c->gateway, &job, target, body_bool(c->body, "drain", false), on_triggered, c);
}

void h_savepoint_dispose(struct rest_call *c)
{
	const char *path = body_str(c->body, "savepoint-path");

	if (path == NULL) {
		rest_fail(c, 400, REST_HANDLER_EXCEPTION,
		    "Field savepoint-path must not be omitted or be null.");
		return;
	}
	rest_call_hold(c);
	gw_savepoint_dispose(c->gateway, path, on_disposing, c);
}

/* Java's hashCode() of an id; Flink's message about an unknown request shows one that is made of these. */
static uint32_t java_hash(const struct id128 *id)
{
	uint32_t hash = 0;

	for (unsigned i = 0; i < sizeof(id->b); i += 4)
		hash ^= (uint32_t)id->b[i] << 24 | (uint32_t)id->b[i + 1] << 16 |
		    (uint32_t)id->b[i + 2] << 8 | id->b[i + 3];
	return hash;
}

static void fail_unknown_request(struct rest_call *c, const struct id128 *job, const struct id128 *request)
{
	uint32_t hash = 31 + java_hash(request);

	if (job != NULL)
		hash = 31 * (31 + hash) + java_hash(job);
	rest_fail(c, 404, NOT_FOUND_EXCEPTION, "Operation not found under key: %s@%x",
	    job != NULL ? JOB_OPERATION_KEY : OPERATION_KEY, hash);
}

/* {"status":{"id"},"operation":…}: clients of 1.14 refuse any other key. */
static void reply_operation(struct rest_call *c, const struct id128 *job, const struct id128 *request)
{
	struct gw_operation op;
	cJSON *o, *operation;

	gw_operation(c->gateway, c->arena, job, request, &op);
	if (op.status == GW_OP_UNKNOWN) {
		fail_unknown_request(c, job, request);
		return;
	}
	o = json_object(NULL, NULL);
	json_str(json_object(o, "status"), "id",
	    op.status == GW_OP_IN_PROGRESS ? "IN_PROGRESS" : "COMPLETED");
	if (op.status == GW_OP_IN_PROGRESS) {
		json_null(o, "operation");
	} else {
		operation = json_object(o, "operation");
		if (op.status == GW_OP_FAILED)
			json_failure_cause(operation, "failure-cause", c->arena, op.failure_class,
			    gw_printf(c->arena, "%s: %s", op.failure_class, op.failure));
		else if (op.location != NULL)
			json_str(operation, "location", op.location);
	}
	rest_reply(c, 200, o);
}

void h_job_savepoint_status(struct rest_call *c)
{
	struct id128 job, request;

	if (rest_param_id(c, "jobid", &job) && rest_param_id(c, "triggerid", &request))
		reply_operation(c, &job, &request);
}

void h_savepoint_disposal_status(struct rest_call *c)
{
	struct id128 request;

	if (rest_param_id(c, "triggerid", &request))
		reply_operation(c, NULL, &request);
}
