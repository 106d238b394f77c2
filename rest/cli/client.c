/* The blocking HTTP client. */
#include "rest/cli/client.h"

#include <errno.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/file.h"
#include "base/id.h"
#include "base/mem.h"

#define ANSWER_MAX (64 << 20)
#define UPLOAD_MAX (1 << 30)
#define SILENCE_S  600

static int set_host_port(struct client *c, const char *address, struct err *e)
{
	const char *text = strncmp(address, "http://", 7) == 0 ? address + 7 : address;
	const char *colon = strrchr(text, ':');
	size_t host_len = colon != NULL ? (size_t)(colon - text) : 0;
	int64_t port;

	if (host_len >= 2 && text[0] == '[' && text[host_len - 1] == ']') {
		text++;
		host_len -= 2;
	}
	if (host_len == 0 || conf_parse_i64(colon + 1, 1, 65535, &port, NULL) != 0)
		return err_set(e, ERR_INVALID, "The address \"%s\" is not HOST:PORT.", address);
	c->host = xstrndup(text, host_len);
	snprintf(c->port, sizeof(c->port), "%d", (int)port);
	return 0;
}

static void ignore_warning(void *arg, const char *sentence)
{
	/* The supervisor says it; here only two keys matter. */
	(void)arg;
	(void)sentence;
}

static int from_configuration(struct client *c, struct err *e)
{
	const char *dir = getenv("WEIR_CONF_DIR");
	char *file = NULL;
	struct conf *conf;

	if (dir == NULL)
		dir = getenv("FLINK_CONF_DIR");
	if (dir != NULL)
		file = xasprintf("%s/flink-conf.yaml", dir);
	conf = conf_load(file, NULL, 0, ignore_warning, NULL, e);
	free(file);
	if (conf == NULL)
		return -1;
	if (conf->rest_port == 0) {
		conf_destroy(conf);
		return err_set(e, ERR_CONFIG,
		    "rest.port is 0: the server takes a free port; give it with -m HOST:PORT.");
	}
	/* A server that is bound to IPv4's loopback is not found behind a name that means ::1 first. */
	c->host = xstrdup(strcmp(conf->rest_address, "localhost") == 0 ? "127.0.0.1" : conf->rest_address);
	snprintf(c->port, sizeof(c->port), "%d", (int)conf->rest_port);
	conf_destroy(conf);
	return 0;
}

int client_init(struct client *c, const char *address, struct err *e)
{
	memset(c, 0, sizeof(*c));
	return address != NULL ? set_host_port(c, address, e) : from_configuration(c, e);
}

void client_fini(struct client *c)
{
	free(c->host);
	c->host = NULL;
}

static int client_connect(const struct client *c, struct err *e)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *list, *ai;
	struct timeval silence = { .tv_sec = SILENCE_S };
	int fd = -1, failed = 0, rc = getaddrinfo(c->host, c->port, &hints, &list);

	if (rc != 0)
		return err_set(e, ERR_UNAVAILABLE, "The host %s is not known: %s", c->host, gai_strerror(rc));
	for (ai = list; ai != NULL; ai = ai->ai_next) {
		fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, 0);
		if (fd >= 0 && connect(fd, ai->ai_addr, ai->ai_addrlen) == 0)
			break;
		failed = errno;
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(list);
	if (fd < 0)
		return err_set(e, ERR_UNAVAILABLE, "%s: %s:%s", strerror(failed), c->host, c->port);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof(silence));
	return fd;
}

static int send_all(int fd, struct iovec *iov, int n)
{
	while (n > 0) {
		struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)n };
		ssize_t sent = sendmsg(fd, &msg, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return -1;
		while (n > 0 && (size_t)sent >= iov->iov_len) {
			sent -= (ssize_t)iov->iov_len;
			iov++;
			n--;
		}
		if (n > 0) {
			iov->iov_base = (char *)iov->iov_base + sent;
			iov->iov_len -= (size_t)sent;
		}
	}
	return 0;
}

/* Everything up to the end of the connection. */
static char *receive_all(int fd, size_t *len, struct err *e)
{
	size_t cap = 65536;
	char *text = xmalloc(cap + 1);

	*len = 0;
	for (;;) {
		ssize_t n = recv(fd, text + *len, cap - *len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		/* A reset behind a whole answer takes nothing away. */
		if (n == 0 || (n < 0 && errno == ECONNRESET && *len > 0))
			break;
		if (n < 0 || *len + (size_t)n > ANSWER_MAX) {
			if (n < 0)
				err_set_errno(e, ERR_UNAVAILABLE, "The server did not answer");
			else
				err_set(e, ERR_TOO_LARGE, "The server's answer is too large.");
			free(text);
			return NULL;
		}
		*len += (size_t)n;
		if (*len == cap) {
			cap *= 2;
			text = xreallocarray(text, cap + 1, 1);
		}
	}
	text[*len] = '\0';
	return text;
}

/* The server's errors as Flink's client prints them: "[first, second]". */
static int set_errors(struct err *e, int status, const cJSON *answer)
{
	const cJSON *errors = cJSON_GetObjectItemCaseSensitive(answer, "errors"), *item;
	char text[ERR_MSG_MAX];
	size_t n = 0;

	if (!cJSON_IsArray(errors))
		return err_set(e, ERR_INTERNAL, "The server answered with status %d and no reason.", status);
	text[0] = '\0';
	cJSON_ArrayForEach(item, errors) {
		if (cJSON_IsString(item) && n < sizeof(text))
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n > 0 ? ", " : "",
			    item->valuestring);
	}
	return err_set(e, status == 404 ? ERR_NOT_FOUND : ERR_INVALID, "[%s]", text);
}

cJSON *client_parse_answer(const char *text, size_t len, struct err *e)
{
	const char *body = memmem(text, len, "\r\n\r\n", 4), *end;
	int status;
	cJSON *answer;

	if (body == NULL || sscanf(text, "HTTP/1.%*1[01] %3d", &status) != 1 || status < 100) {
		err_set(e, ERR_INTERNAL, "What answers there does not speak HTTP.");
		return NULL;
	}
	/* 100 Continue goes before the answer. */
	if (status == 100)
		return client_parse_answer(body + 4, len - (size_t)(body + 4 - text), e);
	end = NULL;
	answer = cJSON_ParseWithOpts(body + 4, &end, 1);
	if (answer == NULL) {
		err_set(e, ERR_INTERNAL, "Response was not valid JSON, but plain-text (status %d).", status);
		return NULL;
	}
	if (status >= 200 && status < 300)
		return answer;
	set_errors(e, status, answer);
	cJSON_Delete(answer);
	return NULL;
}

static cJSON *exchange(const struct client *c, struct iovec *iov, int n, struct err *e)
{
	cJSON *answer = NULL;
	struct err sent;
	char *text;
	size_t len;
	int fd = client_connect(c, e);

	if (fd < 0)
		return NULL;
	sent.code = ERR_NONE;
	/* A server may refuse a body before all of it is sent: its answer says why. */
	if (send_all(fd, iov, n) != 0)
		err_set_errno(&sent, ERR_UNAVAILABLE, "The request could not be sent");
	text = receive_all(fd, &len, e);
	close(fd);
	if (text != NULL && len == 0)
		*e = sent;
	if (text != NULL && len == 0 && sent.code == ERR_NONE)
		err_set(e, ERR_UNAVAILABLE, "The server closed the connection without an answer.");
	if (text != NULL && len > 0)
		answer = client_parse_answer(text, len, e);
	free(text);
	return answer;
}

static char *request_head(const struct client *c, const char *method, const char *path,
    const char *content_type, size_t len)
{
	bool is_v6 = strchr(c->host, ':') != NULL;

	return xasprintf("%s %s HTTP/1.1\r\nHost: %s%s%s:%s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
			 "Connection: close\r\n\r\n",
	    method, path, is_v6 ? "[" : "", c->host, is_v6 ? "]" : "", c->port, content_type, len);
}

cJSON *client_request(const struct client *c, const char *method, const char *path, const char *content_type,
    const char *body, size_t len, struct err *e)
{
	char *head = request_head(c, method, path, content_type, len);
	char *copy = xmemdup(body, len);
	struct iovec iov[] = { { head, strlen(head) }, { copy, len } };
	cJSON *answer = exchange(c, iov, 2, e);

	free(head);
	free(copy);
	return answer;
}

cJSON *client_upload(const struct client *c, const char *path, const char *file, struct err *e)
{
	const char *slash = strrchr(file, '/'), *name = slash != NULL ? slash + 1 : file;
	char boundary[33], *data, *label, *first, *last, *type, *head;
	cJSON *answer;
	size_t len;

	if (file_read(file, UPLOAD_MAX, &data, &len, e) != 0)
		return NULL;
	id_random_hex(boundary, 32);
	label = xstrdup(name);
	for (char *p = label; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == '"' || *p == '\\')
			*p = '_';
	first = xasprintf("--%s\r\nContent-Disposition: form-data; name=\"jarfile\"; filename=\"%s\"\r\n"
			  "Content-Type: application/octet-stream\r\n\r\n",
	    boundary, label);
	last = xasprintf("\r\n--%s--\r\n", boundary);
	type = xasprintf("multipart/form-data; boundary=%s", boundary);
	head = request_head(c, "POST", path, type, strlen(first) + len + strlen(last));
	{
		struct iovec iov[] = { { head, strlen(head) }, { first, strlen(first) }, { data, len },
			{ last, strlen(last) } };

		answer = exchange(c, iov, 4, e);
	}
	free(head);
	free(type);
	free(last);
	free(first);
	free(label);
	free(data);
	return answer;
}
