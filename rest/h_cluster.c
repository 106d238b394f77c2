/* The cluster as a whole: overview and what the dashboard starts with. */
#include "rest/router.h"

/* The API that is spoken; its own name and version stand where Flink has its commit. */
#define API_VERSION "1.14.6"
#define OWN_VERSION "weir " WEIR_VERSION

void h_overview(struct rest_call *c)
{
	cJSON *o = json_object(NULL, NULL);
	struct gw_overview v;

	gw_get_overview(c->gateway, &v);
	json_i64(o, "taskmanagers", v.taskmanagers);
	json_i64(o, "slots-total", v.slots_total);
	json_i64(o, "slots-available", v.slots_available);
	json_i64(o, "jobs-running", v.jobs_running);
	json_i64(o, "jobs-finished", v.jobs_finished);
	json_i64(o, "jobs-cancelled", v.jobs_cancelled);
	json_i64(o, "jobs-failed", v.jobs_failed);
	json_str(o, "flink-version", API_VERSION);
	json_str(o, "flink-commit", OWN_VERSION);
	rest_reply(c, 200, o);
}

void h_config(struct rest_call *c)
{
	const struct conf *conf = gw_conf(c->gateway);
	cJSON *o = json_object(NULL, NULL), *features;
	time_t now = (time_t)(gw_now_ms(c->gateway) / 1000);
	struct tm tm;

	localtime_r(&now, &tm);
	json_i64(o, "refresh-interval", conf->web_refresh_interval_ms);
	json_str(o, "timezone-name",
	    strcmp(tm.tm_zone, "UTC") == 0 ? "Coordinated Universal Time" : tm.tm_zone);
	json_i64(o, "timezone-offset", (int64_t)tm.tm_gmtoff * 1000);
	json_str(o, "flink-version", API_VERSION);
	json_str(o, "flink-revision", OWN_VERSION);
	features = json_object(o, "features");
	json_bool(features, "web-submit", conf->web_submit);
	json_bool(features, "web-cancel", conf->web_cancel);
	rest_reply(c, 200, o);
}
