#include "fetch.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "fetch_allow.h"
#include "fetch_socket.h"
#include "proto/ground/hash.h"

enum {
	PAUSE_BYTES = 256 << 10, /* that wait to be read: from here on nothing is taken from the network */
	HEAD_BYTES = 256 << 10,
};

struct mr_fetch {
	struct mr_list in_job, in_line;
	struct mr_fetches *all;
	struct mr_job *job;
	uint64_t id;                /* that of the operation which began it */
	struct mr_op *asker;        /* waits for the head */
	struct mr_op *reader;       /* waits for a piece of the body */
	CURL *easy;                 /* NULL: waits in line, or is over */
	struct curl_slist *headers; /* of the request */
	char *url, *method;
	struct mr_buf sent; /* body of the request */
	bool has_body, follow;
	struct mr_buf head; /* of the response: `["name","value"],...` */
	size_t head_bytes;
	long status;
	char reason[128]; /* of the status line */
	bool located;     /* the head names another place */
	bool headed, paused, over, told;
	bool refused, too_large;
	struct mr_buf data; /* has come and was not read */
	int64_t received;
	struct mr_error err; /* code 0: it ended well */
	char trouble[CURL_ERROR_SIZE];
};

struct mr_fetches {
	struct mr_worker *w;
	CURLM *multi;
	struct mr_fetch_sockets *sockets;
	struct mr_list line; /* those that wait for their turn */
	bool calling;        /* a deferred call of them is due */
	int64_t running;
};

static const struct mr_settings *settings_of(const struct mr_fetch *f)
{
	return &f->all->w->settings;
}

/* ---- answers ---- */

static void answer_op(struct mr_op **op, bool ok, struct mr_buf *json)
{
	struct mr_op *one = *op;
	*op = NULL;
	one->drop = NULL;
	one->fetch = NULL;
	one->ok = ok;
	mr_buf_fini(&one->json);
	one->json = *json;
	*json = (struct mr_buf){0};
	mr_run_op_answered(one);
}

static void answer_error(struct mr_op **op, const struct mr_error *err)
{
	struct mr_buf text = {0};
	mr_error_print(&text, (*op)->job, err);
	answer_op(op, false, &text);
}

static void answer_head(struct mr_fetch *f)
{
	struct mr_buf b = {0};
	char *url = NULL;
	long redirects = 0;
	curl_easy_getinfo(f->easy, CURLINFO_EFFECTIVE_URL, &url);
	curl_easy_getinfo(f->easy, CURLINFO_REDIRECT_COUNT, &redirects);
	f->headed = true;
	mr_buf_printf(&b, "{\"id\":%" PRIu64 ",\"status\":%ld,\"statusText\":", f->id, f->status);
	mr_json_quote(&b, mr_str(f->reason));
	mr_buf_z(&b, ",\"url\":");
	mr_json_quote(&b, mr_str(url && mr_utf8_ok(mr_str(url)) ? url : f->url));
	mr_buf_printf(&b, ",\"redirected\":%s,\"headers\":[", redirects ? "true" : "false");
	mr_buf_str(&b, mr_buf_view(&f->head));
	mr_buf_z(&b, "]}");
	if (f->asker)
		answer_op(&f->asker, true, &b);
	mr_buf_fini(&b);
}

/* What has come, or how it ended; that is told once. */
static void answer_reader(struct mr_fetch *f)
{
	struct mr_buf b = {0};
	if (!f->reader || (!f->data.n && !f->over))
		return;
	f->told = !f->data.n;
	if (!f->data.n && f->err.code) {
		answer_error(&f->reader, &f->err);
		return;
	}
	if (f->data.n) {
		mr_buf_z(&b, "{\"$bytes\":\"");
		mr_base64(&b, mr_buf_view(&f->data));
		mr_buf_z(&b, "\"}");
		mr_buf_reset(&f->data);
	} else {
		mr_buf_z(&b, "null");
	}
	answer_op(&f->reader, true, &b);
}

/* ---- what the network says ---- */

static struct mr_str trimmed(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	while (end > p && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r' || end[-1] == '\n'))
		end--;
	return (struct mr_str){p, (size_t)(end - p)};
}

/* Each response begins anew: interim ones, and those that lead elsewhere. "HTTP/1.1 200 Fine". */
static void take_status(struct mr_fetch *f, const char *p, const char *end)
{
	mr_buf_reset(&f->head);
	f->located = false;
	f->status = 0;
	f->reason[0] = 0;
	const char *code = memchr(p, ' ', (size_t)(end - p));
	if (!code)
		return;
	for (code++; code < end && *code >= '0' && *code <= '9' && f->status < 1000; code++)
		f->status = f->status * 10 + (*code - '0');
	struct mr_str reason = trimmed(code, end);
	if (reason.n < sizeof f->reason && mr_utf8_ok(reason))
		snprintf(f->reason, sizeof f->reason, "%.*s", (int)reason.n, reason.p);
}

static void take_header(struct mr_fetch *f, const char *p, const char *end)
{
	const char *colon = memchr(p, ':', (size_t)(end - p));
	if (!colon)
		return;
	struct mr_str name = trimmed(p, colon), value = trimmed(colon + 1, end);
	if (name.n == 8 && strncasecmp(name.p, "location", 8) == 0)
		f->located = value.n > 0;
	mr_buf_z(&f->head, f->head.n ? ",[" : "[");
	mr_json_quote_latin(&f->head, name);
	mr_buf_char(&f->head, ',');
	mr_json_quote_latin(&f->head, value);
	mr_buf_char(&f->head, ']');
}

static bool leads_elsewhere(const struct mr_fetch *f)
{
	bool is_redirect = f->status == 301 || f->status == 302 || f->status == 303 || f->status == 307 || f->status == 308;
	return f->follow && is_redirect && f->located;
}

/* See Other is asked for by GET, whatever led there. */
static void prepare_redirect(struct mr_fetch *f)
{
	if (f->status != 303 || !strcmp(f->method, "HEAD"))
		return;
	curl_easy_setopt(f->easy, CURLOPT_CUSTOMREQUEST, NULL);
	curl_easy_setopt(f->easy, CURLOPT_POSTREDIR, 0L);
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct mr_fetch *f = arg;
	size_t length = size * n;
	f->head_bytes += length;
	if (f->head_bytes > HEAD_BYTES) {
		f->too_large = true;
		return 0;
	}
	if (f->headed)
		return length; /* trailers */
	if (length > 5 && memcmp(p, "HTTP/", 5) == 0)
		take_status(f, p, p + length);
	else if (trimmed(p, p + length).n)
		take_header(f, p, p + length);
	else if (leads_elsewhere(f))
		prepare_redirect(f);
	else if (f->status >= 200)
		answer_head(f);
	return length;
}

static size_t on_data(char *p, size_t size, size_t n, void *arg)
{
	struct mr_fetch *f = arg;
	size_t length = size * n;
	if (f->data.n >= PAUSE_BYTES) {
		f->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	f->received += (int64_t)length;
	if (f->received > settings_of(f)->fetch_max_bytes) {
		f->too_large = true;
		return 0;
	}
	mr_buf_add(&f->data, p, length);
	answer_reader(f);
	return length;
}

/* Rule 29. */
static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct mr_fetch *f = arg;
	if (!mr_fetch_allowed(settings_of(f)->fetch_private, &a->addr, (socklen_t)a->addrlen)) {
		f->refused = true;
		return CURL_SOCKET_BAD;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* ---- ends ---- */

static bool has_connected(const struct mr_fetch *f)
{
	long n = 0;
	curl_easy_getinfo(f->easy, CURLINFO_NUM_CONNECTS, &n);
	return n > 0;
}

static void explain(struct mr_fetch *f, CURLcode result)
{
	const struct mr_settings *s = settings_of(f);
	if (f->too_large)
		mr_fail_data(&f->err, MR_TOO_LARGE, "{\"setting\":\"fetch_max_bytes\"}",
			"The response is larger than %" PRId64 " bytes (fetch_max_bytes).", s->fetch_max_bytes);
	else if (result == CURLE_OPERATION_TIMEDOUT)
		mr_fail_data(&f->err, MR_TIME_LIMIT, "{\"setting\":\"fetch_time_limit\"}",
			"The fetch took longer than %" PRId64 " ms (fetch_time_limit).", s->fetch_time_limit);
	else if (result == CURLE_TOO_MANY_REDIRECTS)
		mr_fail_data(&f->err, MR_FETCH_FAILED, "{\"setting\":\"fetch_redirects\"}",
			"The fetch was led on more than %" PRId64 " times (fetch_redirects).", s->fetch_redirects);
	else if ((result == CURLE_UNSUPPORTED_PROTOCOL && (f->located || !has_connected(f))) || result == CURLE_URL_MALFORMAT)
		mr_fail(&f->err, MR_FETCH_REFUSED, "fetch takes addresses of http and https.");
	else if (f->refused && result == CURLE_COULDNT_CONNECT)
		mr_fail_data(&f->err, MR_FETCH_REFUSED, "{\"setting\":\"fetch_private\"}",
			"The address is not of the public internet; fetch_private names those that are allowed.");
	else
		mr_fail(&f->err, MR_FETCH_FAILED, "%s.", f->trouble[0] ? f->trouble : curl_easy_strerror(result));
}

static void call_line(struct mr_fetches *all);

/* Its connection is free for others. */
static void disconnect(struct mr_fetch *f)
{
	mr_list_del(&f->in_line);
	if (!f->easy)
		return;
	curl_multi_remove_handle(f->all->multi, f->easy);
	curl_easy_cleanup(f->easy);
	f->easy = NULL;
	f->all->running--;
	f->job->fetching--;
}

static void free_fetch(struct mr_fetch *f)
{
	MR_ASSERT(!f->asker && !f->reader);
	disconnect(f);
	mr_list_del(&f->in_job);
	curl_slist_free_all(f->headers);
	mr_buf_fini(&f->sent);
	mr_buf_fini(&f->head);
	mr_buf_fini(&f->data);
	free(f->url);
	free(f->method);
	free(f);
}

static void finish(struct mr_fetch *f, CURLcode result)
{
	if (result != CURLE_OK || !f->headed)
		explain(f, result);
	f->over = true;
	disconnect(f);
	answer_reader(f);
	if (f->asker) {
		f->told = true;
		answer_error(&f->asker, &f->err);
	}
	if (f->told)
		free_fetch(f);
}

static void on_results(void *arg)
{
	struct mr_fetches *all = arg;
	CURLMsg *message;
	int more;
	while ((message = curl_multi_info_read(all->multi, &more))) {
		struct mr_fetch *f = NULL;
		if (message->msg != CURLMSG_DONE)
			continue;
		CURLcode result = message->data.result;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&f);
		finish(f, result);
	}
	call_line(all);
}

/* ---- beginnings ---- */

static struct mr_fetches *fetches_of(struct mr_worker *w)
{
	if (w->fetches)
		return w->fetches;
	struct mr_fetches *all = mr_alloc(sizeof *all);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	all->w = w;
	all->multi = curl_multi_init();
	if (!all->multi)
		mr_die("libcurl cannot be started");
	mr_list_init(&all->line);
	all->sockets = mr_fetch_sockets_new(w->loop, all->multi, on_results, all);
	return w->fetches = all;
}

static void set_body(struct mr_fetch *f)
{
	CURL *e = f->easy;
	bool post = !strcmp(f->method, "POST");
	if (f->has_body || post) {
		curl_easy_setopt(e, CURLOPT_POST, 1L);
		curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)f->sent.n);
		curl_easy_setopt(e, CURLOPT_POSTFIELDS, f->sent.n ? f->sent.p : "");
	}
	if (!strcmp(f->method, "HEAD"))
		curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
	else if (!post && strcmp(f->method, "GET") != 0)
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, f->method);
	if (!post)
		curl_easy_setopt(e, CURLOPT_POSTREDIR, (long)CURL_REDIR_POST_ALL); /* only POST becomes GET where a redirect leads */
}

static void begin(struct mr_fetch *f)
{
	const struct mr_settings *s = settings_of(f);
	CURL *e = f->easy = curl_easy_init();
	if (!e)
		mr_die("libcurl has no memory");
	mr_list_del(&f->in_line);
	f->all->running++;
	f->job->fetching++;
	curl_easy_setopt(e, CURLOPT_PRIVATE, f);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, f->trouble);
	curl_easy_setopt(e, CURLOPT_URL, f->url);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_PROXY, "");
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)s->fetch_time_limit);
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, f->follow ? 1L : 0L);
	curl_easy_setopt(e, CURLOPT_MAXREDIRS, (long)s->fetch_redirects);
	curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, "");
	curl_easy_setopt(e, CURLOPT_USERAGENT, "millrace");
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, f->headers);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, f);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, f);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, f);
	set_body(f);
	curl_multi_add_handle(f->all->multi, e);
}

static bool may_begin(const struct mr_fetch *f)
{
	const struct mr_settings *s = settings_of(f);
	return f->all->running < s->fetch_per_worker && f->job->fetching < s->fetch_per_action;
}

static void begin_waiting(void *arg)
{
	struct mr_fetches *all = arg;
	all->calling = false;
	MR_LIST_FOR (e, &all->line) {
		struct mr_fetch *f = MR_CONTAINER(e, struct mr_fetch, in_line);
		if (all->running >= settings_of(f)->fetch_per_worker)
			return;
		if (may_begin(f))
			begin(f);
	}
}

/* Some have ended, and more may in this turn: all of an action that has. */
static void call_line(struct mr_fetches *all)
{
	if (!all->calling)
		mr_defer(all->w->loop, begin_waiting, all);
	all->calling = true;
}

/* ---- operations ---- */

/* A header of one line; without a value it would mean to leave it out. */
static bool add_header(struct mr_fetch *f, struct mr_str name, struct mr_str value, struct mr_error *err)
{
	if (!name.n || memchr(name.p, '\r', name.n) || memchr(name.p, '\n', name.n) || memchr(name.p, ':', name.n) || !value.p ||
		memchr(value.p, '\r', value.n) || memchr(value.p, '\n', value.n))
		return mr_fail(err, MR_BAD_VALUE, "A header of the fetch is no line of text.");
	char *line =
		value.n ? mr_printf("%.*s: %.*s", (int)name.n, name.p, (int)value.n, value.p) : mr_printf("%.*s;", (int)name.n, name.p);
	f->headers = curl_slist_append(f->headers, line);
	free(line);
	return true;
}

static bool read_headers(struct mr_fetch *f, const struct mr_node *list, struct mr_error *err)
{
	bool typed = false;
	for (size_t i = 0; list && list->kind == MR_ARRAY && i < list->n; i++) {
		const struct mr_node *pair = &list->items[i];
		if (pair->kind != MR_ARRAY || pair->n != 2 || !add_header(f, pair->items[0].text, mr_str_solid(pair->items[1].text), err))
			return mr_fail(err, MR_BAD_VALUE, "A header of the fetch is no line of text.");
		typed |= pair->items[0].text.n == 12 && strncasecmp(pair->items[0].text.p, "content-type", 12) == 0;
	}
	/* What libcurl would add by itself. */
	f->headers = curl_slist_append(f->headers, "Expect:");
	if (!typed)
		f->headers = curl_slist_append(f->headers, "Content-Type:");
	return true;
}

static bool read_request(struct mr_fetch *f, const struct mr_node *in, struct mr_error *err)
{
	struct mr_str url = mr_node_str(in, "url"), method = mr_node_str(in, "method");
	const struct mr_node *body = mr_node_get(in, "body");
	if (!url.n || !method.n)
		return mr_fail(err, MR_BAD_VALUE, "fetch takes an address and a method.");
	f->url = mr_strndup(url.p, url.n);
	f->method = mr_strndup(method.p, method.n);
	f->follow = mr_node_truth(in, "follow");
	f->has_body = body && (body->kind == MR_STRING || body->kind == MR_BYTES);
	if (f->has_body)
		mr_buf_str(&f->sent, body->text);
	return read_headers(f, mr_node_get(in, "headers"), err);
}

static void drop_asker(struct mr_op *op)
{
	struct mr_fetch *f = op->fetch;
	struct mr_fetches *all = f->all;
	f->asker = NULL;
	free_fetch(f);
	call_line(all);
}

bool mr_fetch_start(struct mr_op *op, const struct mr_node *in, struct mr_error *err)
{
	struct mr_fetch *f = mr_alloc(sizeof *f);
	mr_list_init(&f->in_line);
	mr_list_init(&f->in_job);
	f->all = fetches_of(op->job->w);
	f->job = op->job;
	f->id = op->number;
	if (!read_request(f, in, err)) {
		free_fetch(f);
		return false;
	}
	f->asker = op;
	op->fetch = f;
	op->drop = drop_asker;
	mr_list_add_tail(&op->job->fetches, &f->in_job);
	/* Those in line could not begin, and cannot now: they need not be asked. */
	if (may_begin(f))
		begin(f);
	else
		mr_list_add_tail(&f->all->line, &f->in_line);
	return true;
}

static struct mr_fetch *find(const struct mr_op *op, const struct mr_node *in, struct mr_error *err)
{
	int64_t id;
	if (mr_node_int(mr_node_get(in, "id"), &id))
		MR_LIST_FOR (e, &op->job->fetches) {
			struct mr_fetch *f = MR_CONTAINER(e, struct mr_fetch, in_job);
			if (f->id == (uint64_t)id)
				return f;
		}
	mr_fail(err, MR_FETCH_FAILED, "The response is closed.");
	return NULL;
}

static void drop_reader(struct mr_op *op)
{
	op->fetch->reader = NULL;
}

bool mr_fetch_read(struct mr_op *op, const struct mr_node *in, struct mr_error *err)
{
	struct mr_fetch *f = find(op, in, err);
	if (!f)
		return false;
	if (f->reader)
		return mr_fail(err, MR_BAD_VALUE, "The body is being read already.");
	f->reader = op;
	op->fetch = f;
	op->drop = drop_reader;
	answer_reader(f);
	if (f->told) {
		free_fetch(f);
	} else if (f->paused && !f->data.n && f->easy) {
		f->paused = false;
		curl_easy_pause(f->easy, CURLPAUSE_CONT);
	}
	return true;
}

bool mr_fetch_close(struct mr_op *op, const struct mr_node *in, struct mr_error *err)
{
	struct mr_fetch *f = find(op, in, err);
	struct mr_buf null = {0};
	if (f && !f->asker) {
		static const struct mr_error closed = {.code = MR_FETCH_FAILED, .message = "The response was closed."};
		if (f->reader)
			answer_error(&f->reader, &closed);
		free_fetch(f);
		call_line(op->job->w->fetches);
	}
	mr_buf_z(&null, "null");
	answer_op(&op, true, &null);
	return true;
}

void mr_fetch_end_all(struct mr_job *job)
{
	if (mr_list_empty(&job->fetches))
		return;
	MR_LIST_FOR (e, &job->fetches)
		free_fetch(MR_CONTAINER(e, struct mr_fetch, in_job));
	call_line(job->w->fetches);
}
