/* The REST server: the HTTP server's requests become calls of routes. */
#include "rest/gateway.h"

#include "base/mem.h"
#include "rest/guard.h"
#include "rest/http.h"
#include "rest/router.h"

#define BODY_MAX (1 << 20) /* of anything but an upload */

struct rest_server {
	struct gateway *gateway;
	struct http_server *http;
	char *address;
};

static char *error_body(const char *sentence, const char **content_type)
{
	cJSON *answer = json_object(NULL, NULL);

	json_str(json_array(answer, "errors"), NULL, sentence);
	*content_type = "application/json; charset=UTF-8";
	return json_finish(answer);
}

/* What is no route: for GET it is a file of the dashboard that does not exist. */
static void fail_unknown(struct rest_call *c, const char *method, const char *path)
{
	if (strcmp(method, "GET") == 0)
		rest_fail(c, 404, NULL, "Unable to load requested file %s.", path);
	else
		rest_fail(c, 404, NULL, "Not found: %s", path);
}

static bool is_submit(const struct route *r)
{
	return strncmp(r->pattern, "/jars", 5) == 0;
}

/* The dashboard cancels by a GET. */
static bool is_cancel_by_get(const struct route *r)
{
	return r->handler == h_job_yarn_cancel;
}

static bool is_served(const struct route *r, const struct conf *conf)
{
	return (conf->web_submit || !is_submit(r)) && (conf->web_cancel || !is_cancel_by_get(r));
}

static int64_t on_head(void *arg, struct http_request *req)
{
	struct rest_server *s = arg;
	const struct conf *conf = gw_conf(s->gateway);
	struct rest_call *c = xcalloc(1, sizeof(*c));
	const char *why, *type;
	int status;

	c->gateway = s->gateway;
	c->arena = gw_arena_create();
	c->address = s->address;
	c->req = req;
	c->refs = 1;
	req->call = c;
	status = guard_check(&req->head, conf->rest_address, http_server_is_loopback(s->http) != 0, &why);
	if (status != 0) {
		http_respond_error(req, status, why);
		return 0;
	}
	if (strcmp(req->head.target, "*") == 0) {
		fail_unknown(c, req->head.method, "*");
		return 0;
	}
	if (url_parse(&c->url, req->head.target, &why) != 0) {
		http_respond_error(req, 400, why);
		return 0;
	}
	c->route = route_find(req->head.method, &c->url, c->params);
	if (c->route == NULL || !is_served(c->route, conf)) {
		fail_unknown(c, req->head.method, c->url.path);
		return 0;
	}
	if (is_cancel_by_get(c->route) && guard_check_change(&req->head, &why) != 0) {
		http_respond_error(req, 403, why);
		return 0;
	}
	type = http_head_field(&req->head, "Content-Type");
	if (c->route->body == BODY_FILE && type != NULL)
		c->upload = upload_create(type, gw_upload_dir(s->gateway));
	return c->upload == NULL && conf->rest_max_content_length_bytes > BODY_MAX ?
	    BODY_MAX :
	    conf->rest_max_content_length_bytes;
}

static void on_body(void *arg, struct http_request *req, const char *data, size_t len)
{
	struct rest_call *c = req->call;
	struct err e;

	(void)arg;
	if (c->upload != NULL) {
		if (upload_feed(c->upload, data, len, &e) != 0)
			rest_fail_err(c, &e);
		return;
	}
	if (c->text_cap - c->text_len <= len) {
		c->text_cap = (c->text_len + len) * 2 + 1;
		c->text = xreallocarray(c->text, c->text_cap, 1);
	}
	memcpy(c->text + c->text_len, data, len);
	c->text_len += len;
	c->text[c->text_len] = '\0';
}

static void on_whole(void *arg, struct http_request *req)
{
	struct rest_call *c = req->call;
	struct err e;

	(void)arg;
	if (c->upload != NULL) {
		if (upload_finish(c->upload, &e) != 0) {
			rest_fail_err(c, &e);
			return;
		}
	} else {
		c->body = body_parse(c->route->body, c->text, c->text_len);
		if (c->body == NULL) {
			rest_fail(c, 400, REST_HANDLER_EXCEPTION, "Request did not match expected format %s.",
			    body_kind_name(c->route->body));
			return;
		}
	}
	/* Held for the handler's time: its answer ends the request. */
	rest_call_hold(c);
	c->route->handler(c);
	rest_call_release(c);
}

static void on_end(void *arg, struct http_request *req)
{
	struct rest_call *c = req->call;

	(void)arg;
	if (c == NULL)
		return;
	c->req = NULL;
	rest_call_release(c);
}

static const struct http_handler handler = { on_head, on_body, on_whole, on_end, error_body };

struct rest_server *rest_create(struct event_base *base, struct gateway *g, int priority, unsigned *port,
    struct err *e)
{
	const struct conf *conf = gw_conf(g);
	struct rest_server *s = xcalloc(1, sizeof(*s));

	json_init();
	s->gateway = g;
	*port = (unsigned)conf->rest_port;
	s->http = http_server_create(base, conf->rest_bind_address, port, priority, &http_default_limits,
	    &handler, s, e);
	if (s->http == NULL) {
		free(s);
		return NULL;
	}
	s->address = xasprintf("http://%s:%u", conf->rest_address, *port);
	return s;
}

void rest_destroy(struct rest_server *r)
{
	if (r == NULL)
		return;
	http_server_destroy(r->http);
	free(r->address);
	free(r);
}
