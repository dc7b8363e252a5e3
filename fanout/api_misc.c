/* Guests, counters, and the app's own pages. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "api_inner.h"
#include "files.h"
#include "hub.h"
#include "proto/ground/hash.h"
#include "proto/ground/log.h"
#include "proto/jwt.h"

enum { GUEST_DAYS = 30, GUEST_NAME_MAX = 64 };

/* --- guests --- */

/* Version 7: milliseconds, then chance. */
static void uuid(char out[37])
{
	uint8_t b[16];
	uint64_t ms = (uint64_t)mr_wall_us() / 1000;

	mr_random(b, sizeof(b));
	for (int i = 0; i < 6; i++)
		b[i] = (uint8_t)(ms >> (40 - 8 * i));
	b[6] = (uint8_t)(0x70 | (b[6] & 0x0f));
	b[8] = (uint8_t)(0x80 | (b[8] & 0x3f));
	snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3], b[4], b[5], b[6],
		b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static struct mr_str trim(struct mr_str s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t' || s.p[0] == '\n'))
		s = (struct mr_str){s.p + 1, s.n - 1};
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t' || s.p[s.n - 1] == '\n'))
		s.n--;
	return s;
}

static bool guest_name(const struct mr_node *body, struct mr_str *name, struct mr_error *err)
{
	const struct mr_node *given = mr_node_get(body, "name");

	*name = MR_STR("Guest");
	if (!given || given->kind == MR_NULL)
		return true;
	if (given->kind != MR_STRING)
		return mr_fail(err, MR_BAD_ARGS, "name must be a string");
	*name = trim(given->text);
	if (name->n == 0 || name->n > GUEST_NAME_MAX)
		return mr_fail(err, MR_BAD_ARGS, "name must have 1 to %d bytes", GUEST_NAME_MAX);
	return true;
}

static void sign_in(struct mr_req *req, const struct mr_fanout *f, struct mr_str name)
{
	struct mr_buf claims = {0}, answer = {0};
	int64_t now = mr_wall_us() / 1000000;
	char id[37];

	uuid(id);
	mr_buf_printf(&claims, "{\"sub\":\"guest:%s\",\"name\":", id);
	mr_json_quote(&claims, name);
	mr_buf_printf(&claims, ",\"iat\":%" PRId64 ",\"exp\":%" PRId64 "}", now, now + (int64_t)GUEST_DAYS * 86400);
	mr_buf_z(&answer, "{\"token\":\"");
	mr_jwt_sign(&answer, f->secret, mr_buf_view(&claims));
	mr_buf_printf(&answer, "\",\"userId\":\"guest:%s\",\"name\":", id);
	mr_json_quote(&answer, name);
	mr_buf_z(&answer, "}\n");
	mr_api_reply(req, 200, mr_buf_view(&answer));
	mr_buf_fini(&claims);
	mr_buf_fini(&answer);
}

void mr_api_guest(struct mr_req *req, struct mr_fanout *f, struct mr_str rest)
{
	struct mr_error err = {0};
	struct mr_str text, name;
	const struct mr_node *body = NULL;

	if (strcmp(f->settings.mode, "development") != 0)
		mr_fail(&err, MR_NOT_FOUND, "guests may sign in only where mode is development");
	else
		body = mr_api_body(req, f, &text, &err);
	if (body && guest_name(body, &name, &err))
		sign_in(req, f, name);
	else
		mr_req_error(req, &err);
}

/* --- counters --- */

void mr_api_metrics(struct mr_req *req, struct mr_fanout *f, struct mr_str rest)
{
	struct mr_buf b = {0};

	f->hub->counter[MR_C_HEAP_BYTES] = (int64_t)mr_heap_bytes();
	for (int i = 0; i < MR_COUNTERS; i++) {
		int64_t value = mr_hub_count(f->hub, (enum mr_counter)i);
		mr_buf_printf(&b, "# HELP millrace_%s %s\n# TYPE millrace_%s %s\nmillrace_%s %" PRId64 "\n", mr_counter_name[i],
			mr_counter_prose[i], mr_counter_name[i], mr_counter_kind[i], mr_counter_name[i], value);
	}
	mr_req_add_header(req, "Cache-Control", "no-store");
	mr_req_reply(req, 200, "text/plain; version=0.0.4; charset=utf-8", mr_buf_view(&b));
	mr_buf_fini(&b);
}

/* --- the app's pages --- */

static const char plain_page[] =
	"<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Millrace</title>"
	"<body style=\"font:16px/1.5 system-ui;max-width:40em;margin:4em auto;padding:0 1em\">"
	"<h1>Millrace</h1><p>This server is running. The app that it serves has no <code>web</code> folder, so there is no page "
	"to show here; clients connect to <code>/api/sync</code>.</p>"
	"<p><a href=\"/readyz\">Is it ready?</a> <a href=\"/metrics\">Counters</a></p>\n";

static bool is_folder(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A path of a single-page app: its last part has no dot, so it is no file's name. */
static bool is_page(struct mr_str path)
{
	const char *slash = memrchr(path.p, '/', path.n);
	return slash && !memchr(slash, '.', (size_t)(path.p + path.n - slash));
}

void mr_api_static(struct mr_req *req, const struct mr_fanout *f)
{
	struct mr_str path = mr_req_path(req);

	if (!mr_api_is(req, "GET")) {
		mr_api_not_allowed(req, "GET, HEAD");
		return;
	}
	const char *root = f->app_dir ? mr_arena_printf(mr_req_arena(req), "%s/web", f->app_dir).p : NULL;
	mr_req_add_header(req, "Referrer-Policy", "strict-origin-when-cross-origin");
	if ((!root || !is_folder(root)) && is_page(path)) {
		mr_req_add_header(req, "Cache-Control", "no-store");
		mr_req_reply(req, 200, "text/html; charset=utf-8", MR_STR(plain_page));
	} else if (root && is_page(path) && !mr_file_exists(root, path)) {
		mr_req_file(req, root, MR_STR("/index.html"));
	} else {
		mr_req_file(req, root ? root : "", path);
	}
}
