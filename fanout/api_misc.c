/* Counters, and the app's own pages. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "api_inner.h"
#include "files.h"
#include "hub.h"

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
