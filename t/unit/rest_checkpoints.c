/*
 * Checkpoints and savepoints over a fake gateway, compared with answers recorded from a Flink
 * 1.14.6 cluster (t/flink-rest).  Run from the top of the source tree.
 */
#include "rest/summary.h"
#include "t/unit/rest_fake_gateway.h"
#include "t/unit/rest_http_client.h"
#include "t/unit/rest_shape.h"

#define RUNNING   "fb9501bf1c301faa5bc10b446bd0b114"
#define OTHER     "0b34bbb96c0d4ab1489bdb98b0c4fe12" /* of the recorded errors */
#define UNKNOWN   "deadbeefdeadbeefdeadbeefdeadbeef"
#define REQUEST   "102d929cf8376863edd4623d27cb0081"
#define CP        "/jobs/" RUNNING "/checkpoints"
#define COUNTER   "0a448493b4782967b150582570326227"
#define DIRECTORY "file:/opt/flink/data/cp/fb9501bf1c301faa5bc10b446bd0b114/chk-352"

static void has(const char *method, const char *path, const char *body, const char *want, const char *what)
{
	char *text = client_call(method, path, body);

	like(text, want, "%s", what);
	free(text);
}

/* Checkpoint 352 of the recorded job, as its own details have it; the source's second subtask came first. */
static void fill_checkpoint(struct gw_ckpt *k, const struct gw_job *job)
{
	static struct gw_ckpt_vertex vertices[3];
	static struct gw_ckpt_subtask subtasks[3][2] = {
		{ { 0, true, 1795344815424, 37, 264, 0, 0, 2, 0, 16 },
		    { 1, true, 1795344815403, 16, 264, 0, 0, 1, 0, 6 } },
		{ { 0, true, 1795344815455, 68, 2763, 0, 0, 5, 0, 62 },
		    { 1, true, 1795344815453, 66, 2639, 105, 0, 0, 51, 12 } },
		{ { 0, true, 1795344815455, 68, 270, 0, 0, 0, 0, 66 },
		    { 1, true, 1795344815452, 65, 270, 0, 0, 0, 0, 65 } },
	};

	*k = (struct gw_ckpt){ .id = 352,
		.status = GW_CKPT_COMPLETED,
		.kind = "CHECKPOINT",
		.trigger_ms = 1795344815387,
		.latest_ack_ms = 1795344815455,
		.end_to_end_ms = 68,
		.state_bytes = 6470,
		.processed_bytes = 105,
		.n_subtasks = 6,
		.n_acked = 6,
		.external_path = DIRECTORY,
		.n_vertices = 3,
		.vertices = vertices };
	for (unsigned i = 0; i < 3; i++) {
		vertices[i] = (struct gw_ckpt_vertex){ .id = job->vertices[i].id,
			.n_subtasks = 2,
			.n_acked = 2,
			.latest_ack_ms = subtasks[i][0].ack_ms,
			.end_to_end_ms = subtasks[i][0].end_to_end_ms,
			.state_bytes = subtasks[i][0].state_bytes + subtasks[i][1].state_bytes,
			.processed_bytes = subtasks[i][0].processed_bytes + subtasks[i][1].processed_bytes,
			.subtasks = subtasks[i] };
	}
}

/* What the recorded job had: 351 and 352, a savepoint, a failed one, a restore. */
static void fill(const struct gw_job *job)
{
	static struct gw_ckpt history[14], savepoint, failed;
	static int64_t sizes[] = { 9, 1, 6483, 6470 }, times[] = { 68, 8, 487, 22 };
	static struct gw_ckpt_restored restored = { 70, 1795344535375, false, "file:/cp/chk-70" };
	struct gw_ckpts *v = &fake.ckpts;

	fill_checkpoint(&history[0], job);
	for (unsigned i = 1; i < ARRAY_LEN(history); i++) {
		history[i] = history[0];
		history[i].id -= i;
		history[i].discarded = true;
		history[i].state_bytes = 6470 + i;
		history[i].n_vertices = 0;
	}
	savepoint = history[0];
	savepoint.id = 332;
	savepoint.is_savepoint = true;
	savepoint.kind = "SAVEPOINT";
	savepoint.external_path = "file:/sp/savepoint-fb9501-0cb7b02f6bf9";
	failed = history[0];
	failed.id = 335;
	failed.status = GW_CKPT_FAILED;
	failed.is_savepoint = true;
	failed.kind = "SAVEPOINT";
	failed.latest_ack_ms = -1;
	failed.external_path = NULL;
	failed.failure = "An Exception occurred while triggering the checkpoint. IO-problem detected.";
	failed.failure_ms = 1795344799052;
	*v = (struct gw_ckpts){ .n_restored = 4,
		.n_total = 292,
		.n_completed = 289,
		.n_failed = 3,
		.completed = &history[0],
		.savepoint = &savepoint,
		.failed = &failed,
		.restored = &restored,
		.state_bytes = { 1, 9000, 6470, ARRAY_LEN(sizes), sizes },
		.end_to_end_ms = { 8, 487, 41, ARRAY_LEN(times), times },
		.processed_bytes = { 0, 803, 199, ARRAY_LEN(times), times },
		.n_history = ARRAY_LEN(history),
		.history = history,
		.enabled = true,
		.interval_ms = 1000,
		.timeout_ms = 600000,
		.max_concurrent = 1,
		.delete_on_cancellation = true };
}

static void clear(void)
{
	fake.ckpts =
	    (struct gw_ckpts){ .timeout_ms = 600000, .max_concurrent = 1, .delete_on_cancellation = true };
}

static void test_list(void)
{
	cJSON *got = shape_is("GET", CP, "", "steady", "job_checkpoints");

	is_int(member(got, "counts/completed")->valueint, 289, "how many were completed");
	is_int(member(got, "counts/restored")->valueint, 4, "and restored");
	is_int(member(got, "latest/completed/id")->valueint, 352, "the latest");
	is_str(cJSON_GetStringValue(member(got, "latest/completed/@class")), "completed", "1.14's class");
	is_str(cJSON_GetStringValue(member(got, "latest/completed/className")), "completed", "2.x's class");
	is_str(cJSON_GetStringValue(member(got, "latest/savepoint/checkpoint_type")), "SAVEPOINT",
	    "the latest savepoint");
	is_int((int64_t)member(got, "latest/failed/latest_ack_timestamp")->valuedouble, -1,
	    "a failed one nobody has acknowledged");
	is_int(member(got, "latest/restored/id")->valueint, 70, "what was restored");
	is_int(cJSON_GetArraySize(member(got, "history")), 14, "the history");
	is_int(member(got, "history/13/id")->valueint, 339, "ends with the oldest");
	ok(cJSON_IsTrue(member(got, "history/1/discarded")), "what is subsumed is discarded");
	is_int(cJSON_GetArraySize(member(got, "history/0/tasks")), 0, "the list has no tasks");
	is_int(member(got, "summary/state_size/max")->valueint, 9000, "the bounds are of all");
	is_int(member(got, "summary/end_to_end_duration/avg")->valueint, 41, "and the mean");
	ok(member(got, "summary/state_size/p50")->valuedouble == 3239.5, "percentiles lie between");
	ok(member(got, "summary/persisted_data/p99")->valuedouble == 0, "nothing is persisted");
	cJSON_Delete(got);

	clear();
	got = shape_is("GET", CP, "", "nocp", "job_checkpoints");
	is_str(cJSON_GetStringValue(member(got, "summary/state_size/p50")), "NaN",
	    "no data: NaN as a string");
	ok(cJSON_IsNull(member(got, "latest/restored")), "nothing was restored");
	cJSON_Delete(got);
	shape_only("GET", CP, "", "created", "job_checkpoints");
	error_is("GET", "/jobs/" UNKNOWN "/checkpoints", "", "unknown_job_checkpoints");
}

static void test_config(void)
{
	cJSON *got = shape_is("GET", CP "/config", "", "steady", "job_checkpoints_config");

	is_str(cJSON_GetStringValue(member(got, "mode")), "exactly_once", "exactly once");
	is_int(member(got, "interval")->valueint, 1000, "the interval");
	cJSON_Delete(got);
	fake.ckpts.at_least_once = true;
	has("GET", CP "/config", "", "\"mode\":\"at_least_once\",\"interval\":1000,", "at least once");
	clear();
	shape_only("GET", CP "/config", "", "nocp", "job_checkpoints_config");
	has("GET", CP "/config", "",
	    "{\"mode\":\"at_least_once\",\"interval\":9223372036854775807,\"timeout\":600000,",
	    "none are taken");
	error_is("GET", "/jobs/" UNKNOWN "/checkpoints/config", "", "unknown_job_checkpoints_config");
}

static void test_details(void)
{
	cJSON *got = shape_is("GET", CP "/details/352", "", "steady", "job_checkpoint_details");

	is_int(member(got, "tasks/" COUNTER "/state_size")->valueint, 5402, "the state of a vertex");
	cJSON_Delete(got);
	has("GET", CP "/details/332", "", "\"checkpoint_type\":\"SAVEPOINT\"",
	    "the latest savepoint is found behind the history");
	has("GET", CP "/details/335", "",
	    "\"failure_timestamp\":1795344799052,\"failure_message\":\"An Exception",
	    "and the latest failed one");
	error_is("GET", CP "/details/abc", "", "malformed_checkpoint");
	error_is("GET", CP "/details/999999", "", "unknown_checkpoint");
	error_is("GET", "/jobs/" UNKNOWN "/checkpoints/details/1", "", "unknown_job_checkpoint_details");
}

static void test_subtasks(void)
{
	struct gw_ckpt_vertex *source = &fake.ckpts.history[0].vertices[0];
	cJSON *got =
	    shape_is("GET", CP "/details/352/subtasks/" COUNTER, "", "steady", "vertex1_checkpoint_subtasks");

	is_int(member(got, "summary/alignment/duration/max")->valueint, 51, "the longest alignment");
	is_int(member(got, "summary/start_delay/avg")->valueint, 37, "the mean of the delays");
	is_str(cJSON_GetStringValue(member(got, "summary/start_delay/p50")), "NaN", "no percentiles here");
	is_int(member(got, "subtasks/1/alignment/processed")->valueint, 105, "what came during alignment");
	cJSON_Delete(got);
	source->subtasks[1].acked = false;
	source->n_acked = 1;
	fake.ckpts.history[0].status = GW_CKPT_IN_PROGRESS;
	has("GET", CP "/details/352/subtasks/bc764cd8ddf7a0cff126f51c16239658", "",
	    "{\"@class\":\"pending\",\"className\":\"pending\",\"index\":1,\"status\":\"pending_or_failed\"}",
	    "a subtask that has not acknowledged");
	has("GET", CP "/details/352", "",
	    "{\"@class\":\"in_progress\",\"className\":\"in_progress\",\"id\":352,"
	    "\"status\":\"IN_PROGRESS\"",
	    "a checkpoint under way");
	error_is("GET", CP "/details/999999/subtasks/" COUNTER, "", "unknown_checkpoint_subtasks");
	has("GET", CP "/details/352/subtasks/" UNKNOWN, "",
	    "There is no checkpoint statistics for task " UNKNOWN ".", "another job's vertex");
	has("GET", CP "/details/352/subtasks/xyz", "",
	    "Cannot resolve path parameter (vertexid) from value \\\"xyz\\\"", "no vertex");
	source->subtasks[1].acked = true;
	source->n_acked = 2;
	fake.ckpts.history[0].status = GW_CKPT_COMPLETED;
}

static void test_metrics(void)
{
	has("GET",
	    "/jobs/" RUNNING
	    "/metrics?get=numberOfCompletedCheckpoints,lastCheckpointSize,lastCheckpointExternalPath",
	    "",
	    "[{\"id\":\"numberOfCompletedCheckpoints\",\"value\":\"289\"},"
	    "{\"id\":\"lastCheckpointSize\",\"value\":\"6470\"},"
	    "{\"id\":\"lastCheckpointExternalPath\",\"value\":\"" DIRECTORY "\"}]",
	    "metrics of the last checkpoint");
	fake.ckpts.savepoint->id = 400;
	has("GET", "/jobs/" RUNNING "/metrics?get=lastCheckpointExternalPath", "",
	    "savepoint-fb9501-0cb7b02f6bf9", "a savepoint is one, too");
	clear();
	has("GET", "/jobs/" RUNNING "/metrics?get=lastCheckpointDuration,lastCheckpointExternalPath", "",
	    "[{\"id\":\"lastCheckpointDuration\",\"value\":\"-1\"},"
	    "{\"id\":\"lastCheckpointExternalPath\",\"value\":\"n/a\"}]",
	    "before the first");
}

/* Trigger; what the gateway was asked. */
static void asks(const char *path, const char *body, const char *name, const char *want)
{
	shape_only("POST", path, body, "flow", name);
	is_str(fake.asked, want, "%s", want);
}

static void test_trigger(void)
{
	fake.text = REQUEST;
	asks("/jobs/" RUNNING "/savepoints", "{\"target-directory\":\"/sp\",\"cancel-job\":false}",
	    "savepoint_trigger", "savepoint " RUNNING " to /sp");
	asks("/jobs/" RUNNING "/savepoints", "{}", "savepoint_trigger_empty",
	    "savepoint " RUNNING " to default");
	asks("/jobs/" RUNNING "/savepoints", "", "savepoint_trigger_nobody",
	    "savepoint " RUNNING " to default");
	asks("/v1/jobs/" RUNNING "/savepoints", "{\"target-directory\":\"/sp\",\"cancel-job\":true}",
	    "cancel_with_savepoint_trigger", "savepoint " RUNNING " to /sp cancel");
	asks("/jobs/" RUNNING "/savepoints",
	    "{\"target-directory\":null,\"formatType\":\"CANONICAL\",\"triggerId\":\"" UNKNOWN
	    "\",\"cancel-job\":null}",
	    "savepoint_trigger", "savepoint " RUNNING " to default");
	asks("/jobs/" RUNNING "/stop", "{\"targetDirectory\":\"/sp\",\"drain\":false}", "stop_trigger",
	    "stop " RUNNING " to /sp");
	asks("/jobs/" RUNNING "/stop", "{}", "stop_trigger", "stop " RUNNING " to default");
	asks("/jobs/" RUNNING "/stop", "{\"drain\":true,\"formatType\":null}", "stop_trigger",
	    "stop " RUNNING " to default drain");
	shape_only("POST", "/savepoint-disposal", "{\"savepoint-path\":\"file:/sp/x\"}", "flow",
	    "savepoint_disposal_trigger");
	is_str(fake.asked, "dispose file:/sp/x", "a removal");
	shape_only("POST", "/jobs/" UNKNOWN "/savepoints", "{}", "err", "unknown_job_savepoint");
	shape_only("POST", "/jobs/" UNKNOWN "/stop", "{}", "err", "unknown_job_stop");
	err_set(&fake.err, ERR_UNAVAILABLE, "storage is starting");
	has("POST", "/jobs/" RUNNING "/savepoints", "{}", "HTTP/1.1 503", "not now");
	fake.err.code = ERR_NONE;
}

static void test_refusals(void)
{
	static const char sp[] = "/jobs/" OTHER "/savepoints", stop[] = "/jobs/" OTHER "/stop";
	char *dir = fake.conf->savepoints_dir, none[] = "";

	error_is("POST", sp, "[]", "savepoint_array");
	error_is("POST", sp, "{bad", "savepoint_badjson");
	error_is("POST", sp, "a=b", "savepoint_formencoded");
	error_is("POST", sp, "{\"foo\":1}", "savepoint_unknown_field");
	error_is("POST", sp, "{\"cancel-job\":\"maybe\"}", "savepoint_wrong_type");
	has("POST", sp, "{\"formatType\":\"ZIP\"}", "expected format SavepointTriggerRequestBody",
	    "no such format");
	has("POST", sp, "{\"triggerId\":\"xyz\"}", "expected format SavepointTriggerRequestBody", "no id");
	error_is("POST", stop, "{bad", "stop_badjson");
	error_is("POST", stop, "{\"foo\":1}", "stop_unknown_field");
	error_is("GET", sp, "", "wrong_method_get_savepoints");
	error_is("GET", stop, "", "wrong_method_get_stop");
	error_is("POST", "/savepoint-disposal", "{}", "savepoint_disposal_empty");
	has("POST", "/jobs/xyz/stop", "{}", "Cannot resolve path parameter (jobid)", "no job id");
	fake.conf->savepoints_dir = none;
	has("POST", sp, "{}",
	    "Exception: Config key [state.savepoints.dir] is not set. Property [target-directory] must be provided.",
	    "a savepoint nowhere");
	has("POST", sp, "{\"target-directory\":\"\"}", "HTTP/1.1 400", "an empty directory is none");
	has("POST", stop, "{}",
	    "Exception: Config key [state.savepoints.dir] is not set. Property [targetDirectory] must be provided.",
	    "a stop nowhere");
	fake.conf->savepoints_dir = dir;
}

static void operation(enum gw_operation_status status, const char *location, const char *failure_class,
    const char *failure)
{
	fake.op = (struct gw_operation){ status, location, failure_class, failure };
}

static void test_poll(void)
{
	static const char poll[] = "/v1/jobs/" RUNNING "/savepoints/" REQUEST;
	cJSON *got;

	fake.op_job = fake_id(RUNNING);
	fake.op_request = fake_id(REQUEST);
	operation(GW_OP_IN_PROGRESS, NULL, NULL, NULL);
	shape_only("GET", poll, "{}", "flow", "savepoint_poll_first");
	operation(GW_OP_COMPLETED, "file:/sp/savepoint-1", NULL, NULL);
	got = shape_is("GET", poll, "", "flow", "savepoint_poll_completed");
	is_str(cJSON_GetStringValue(member(got, "operation/location")), "file:/sp/savepoint-1",
	    "where it is");
	cJSON_Delete(got);
	operation(GW_OP_FAILED, NULL, "org.apache.flink.runtime.checkpoint.CheckpointException", "no space");
	got = shape_is("GET", poll, "", "flow", "savepoint_baddir_poll_completed");
	is_str(cJSON_GetStringValue(member(got, "operation/failure-cause/stack-trace")),
	    "org.apache.flink.runtime.checkpoint.CheckpointException: no space", "why not");
	cJSON_Delete(got);
	operation(GW_OP_FAILED, NULL, GW_JOB_NOT_FOUND, "Could not find Flink job (" RUNNING ")");
	shape_only("GET", poll, "", "flow", "stop_finished_poll_completed");
	error_is("GET", "/jobs/" OTHER "/savepoints/" UNKNOWN, "", "savepoint_poll_unknown_trigger");
	error_is("GET", "/jobs/" UNKNOWN "/savepoints/" UNKNOWN, "", "unknown_job_savepoint_poll");
	error_is("GET", "/jobs/" OTHER "/savepoints/xyz", "", "savepoint_poll_malformed");
	has("GET", "/jobs/" OTHER "/savepoints/" REQUEST, "", "HTTP/1.1 404", "another job's request");
	memset(&fake.op_job, 0, sizeof(fake.op_job));
	operation(GW_OP_IN_PROGRESS, NULL, NULL, NULL);
	shape_only("GET", "/savepoint-disposal/" REQUEST, "", "flow", "savepoint_disposal_poll_first");
	operation(GW_OP_COMPLETED, NULL, NULL, NULL);
	has("GET", "/savepoint-disposal/" REQUEST, "", "{\"status\":{\"id\":\"COMPLETED\"},\"operation\":{}}",
	    "removed: an empty object");
	operation(GW_OP_FAILED, NULL, "org.apache.flink.util.FlinkException",
	    "Could not dispose savepoint /x.");
	shape_only("GET", "/savepoint-disposal/" REQUEST, "", "err", "savepoint_disposal_bad_poll");
	error_is("GET", "/savepoint-disposal/" UNKNOWN, "", "savepoint_disposal_unknown");
}

static void test_job_routes(void)
{
	has("GET", "/jobs/" RUNNING "/status", "", "\r\n\r\n{\"status\":\"RUNNING\"}", "the state alone");
	has("GET", "/jobs/" UNKNOWN "/status", "", "Job " UNKNOWN " not found", "of an unknown job");
	error_is("PATCH", "/jobs/" OTHER "/rescaling?parallelism=3", "", "rescaling");
	error_is("PATCH", "/jobs/" OTHER "/rescaling", "", "rescaling_nopar");
	error_is("GET", "/jobs/" OTHER "/rescaling/" UNKNOWN, "", "rescaling_poll");
	has("PATCH", "/jobs/xyz/rescaling", "", "HTTP/1.1 400", "an id is looked at before");
	has("GET", "/jobs/" OTHER "/rescaling/xyz", "", "HTTP/1.1 400", "and a request's, too");
	has("GET", "/jobs/" RUNNING "/yarn-cancel", "", "HTTP/1.1 202 Accepted", "the dashboard's cancel");
	is_str(fake.asked, "cancel " RUNNING, "cancels");
	error_is("GET", "/jobs/xyz/yarn-cancel", "", "job_yarn_cancel_get");
	err_set(&fake.err, ERR_NOT_FOUND, "no such job");
	error_is("GET", "/jobs/" UNKNOWN "/yarn-cancel", "", "unknown_job_cancel_yarn");
	fake.err.code = ERR_NONE;
	{
		char *text = client_ask("GET /jobs/" OTHER "/yarn-cancel HTTP/1.1\r\nHost: localhost\r\n"
					"Sec-Fetch-Site: cross-site\r\n\r\n");

		like(text, "HTTP/1.1 403", "not from another page, though it is a GET");
		is_str(fake.asked, "cancel " UNKNOWN, "nothing is cancelled");
		free(text);
	}
	fake.conf->web_cancel = false;
	has("GET", "/jobs/" RUNNING "/yarn-cancel", "", "HTTP/1.1 404", "not without web.cancel.enable");
	fake.conf->web_cancel = true;
}

static void test_percentiles(void)
{
	static const int64_t eight[] = { 21, 22, 30, 64, 65, 70, 100, 127 };
	cJSON *o = json_object(NULL, NULL);
	int64_t values[] = { 7, 1, 3 };
	struct gw_ckpt_figure f = { 1, 7, 3, 3, values };

	ok(summary_percentile(eight, 8, 50) == 64.5, "the middle of eight");
	ok(summary_percentile(eight, 8, 90) == 127, "beyond the last");
	ok(summary_percentile(eight, 8, 5) == 21, "before the first");
	ok(summary_percentile(eight, 1, 50) == 21, "of one");
	ok(summary_percentile(eight, 8, 75) == 92.5, "in proportion");
	json_summary(o, "s", &f);
	{
		char *text = json_finish(o);

		is_str(text,
		    "{\"s\":{\"min\":1,\"max\":7,\"avg\":3,\"p50\":3.0,\"p90\":7.0,\"p95\":7.0,\"p99\":7.0,"
		    "\"p999\":7.0}}",
		    "in any order");
		free(text);
	}
}

int main(void)
{
	static const char *const overrides[] = { "rest.port=0", "state.savepoints.dir=/sp", NULL };
	struct gw_job *job;
	struct rest_server *r;
	struct err e;

	if (access("t/flink-rest/steady.json", R_OK) != 0)
		return tap_skip_all("not run from the top of the source tree");
	loop = event_base_new();
	fake_init(overrides);
	job = fake_add_job(RUNNING, JOB_RUNNING, GW_TASK_RUNNING);
	(void)fake_add_job(OTHER, JOB_FINISHED, GW_TASK_FINISHED);
	r = rest_create(loop, &fake, -1, &server_port, &e);
	if (!ok(r != NULL && server_port > 0, "the REST server listens"))
		return tap_done();
	test_percentiles();
	fill(job);
	test_list();
	fill(job);
	test_config();
	fill(job);
	test_details();
	test_subtasks();
	test_metrics();
	test_trigger();
	test_refusals();
	test_poll();
	test_job_routes();
	rest_destroy(r);
	recorded(NULL, NULL);
	fake_fini();
	event_base_free(loop);
	libevent_global_shutdown();
	return tap_done();
}
