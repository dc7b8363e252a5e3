#include "web.h"

#include <stdlib.h>
#include <strings.h>

#include "esbuild.h"
#include "files.h"
#include "proto/ground/hash.h"

enum { STAMP_BYTES = 4 };

struct copying {
	const char *web, *out;
	struct mr_error *err;
	bool ok;
};

static bool is_source(const char *rel)
{
	static const char *const endings[] = {".ts", ".tsx", ".jsx", ".map"};
	const char *dot = strrchr(rel, '.');
	for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
		if (strcmp(dot, endings[i]) == 0)
			return true;
	return strcmp(rel, "tsconfig.json") == 0 || strcmp(rel, "index.html") == 0;
}

/* Copies one static file. */
static bool copy(const char *rel, void *arg)
{
	struct copying *c = arg;
	if (is_source(rel))
		return true;
	char *from = mr_printf("%s/%s", c->web, rel), *to = mr_printf("%s/%s", c->out, rel);
	char *slash = strrchr(to, '/');
	*slash = 0;
	c->ok = mr_dir_make(to, 0755, c->err);
	*slash = '/';
	c->ok = c->ok && mr_file_copy(from, to, c->err);
	free(from);
	free(to);
	return c->ok;
}

/* A short name of a file's content, so that browsers never show an old script with a new page; empty when there is no such file. */
static void stamp(const char *out, const char *name, struct mr_buf *to)
{
	char *path = mr_printf("%s/%s", out, name);
	struct mr_buf content = {0};
	struct mr_error none;
	if (mr_path_exists(path) && mr_file_read(path, &content, &none)) {
		uint8_t sum[32];
		mr_sha256(content.p, content.n, sum);
		mr_hex(to, (struct mr_str){(const char *)sum, STAMP_BYTES});
	}
	mr_buf_fini(&content);
	free(path);
}

static void add_range(struct mr_buf *b, const char *from, const char *to)
{
	mr_buf_add(b, from, (size_t)(to - from));
}

/* Replaces each `src="...main.tsx"` of the page by the bundled script. Returns whether there was one. */
static bool point_script(struct mr_buf *page, const char *entry, const char *stamp_text)
{
	struct mr_buf out = {0};
	bool any = false;
	const char *at = page->p, *hit;
	size_t n = strlen(entry);
	while ((hit = strstr(at, entry))) {
		bool quoted = hit[n] == '"' || hit[n] == '\'';
		add_range(&out, at, hit);
		if (quoted)
			mr_buf_printf(&out, "main.js?v=%s", stamp_text);
		else
			mr_buf_add(&out, hit, n);
		any = any || quoted;
		at = hit + n;
	}
	mr_buf_z(&out, at);
	mr_buf_fini(page);
	*page = out;
	return any;
}

/* Puts text before the first `tag` of the page, or at its end. */
static void insert_before(struct mr_buf *page, const char *tag, const char *text)
{
	struct mr_buf out = {0};
	const char *hit = strcasestr(page->p, tag);
	if (!hit)
		hit = page->p + page->n;
	add_range(&out, page->p, hit);
	mr_buf_z(&out, text);
	mr_buf_z(&out, hit);
	mr_buf_fini(page);
	*page = out;
}

static bool write_page(const char *web, const char *out, const char *entry, struct mr_error *err)
{
	char *from = mr_printf("%s/index.html", web), *to = mr_printf("%s/index.html", out);
	struct mr_buf page = {0}, js = {0}, css = {0};
	bool ok = mr_file_read(from, &page, err);
	if (ok && entry) {
		stamp(out, "main.js", &js);
		stamp(out, "main.css", &css);
		if (!point_script(&page, entry, js.p)) {
			char *tag = mr_printf("<script type=\"module\" src=\"/main.js?v=%s\"></script>\n", js.p);
			insert_before(&page, "</body>", tag);
			free(tag);
		}
		if (css.n && !strstr(page.p, "main.css")) {
			char *tag = mr_printf("<link rel=\"stylesheet\" href=\"/main.css?v=%s\">\n", css.p);
			insert_before(&page, "</head>", tag);
			free(tag);
		}
	}
	ok = ok && mr_file_write(to, mr_buf_view(&page), 0644, err);
	mr_buf_fini(&page);
	mr_buf_fini(&js);
	mr_buf_fini(&css);
	free(from);
	free(to);
	return ok;
}

static bool bundle(const struct mr_place *p, const char *app_dir, const char *entry, const char *out, bool development, struct mr_buf *text,
	struct mr_error *err)
{
	static const char *const assets[] = {
		".svg", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".ico", ".woff", ".woff2", ".mp3", ".wasm"};
	struct mr_args a = {0};
	bool ok = mr_esbuild_args(&a, p, development, err);
	if (ok) {
		mr_esbuild_react(&a, p, app_dir);
		mr_args_add(&a, "web/%s", entry);
		mr_args_add(&a, "--outdir=%s", out);
		mr_args_add(&a, "--format=esm");
		mr_args_add(&a, "--target=es2022");
		mr_args_add(&a, "--jsx=automatic");
		mr_args_add(&a, "--sourcemap");
		mr_args_add(&a, "--asset-names=assets/[name]-[hash]");
		for (size_t i = 0; i < sizeof assets / sizeof *assets; i++)
			mr_args_add(&a, "--loader:%s=file", assets[i]);
		if (!development)
			mr_args_add(&a, "--minify");
		ok = mr_esbuild_run(&a, app_dir, (struct mr_str){0}, text, err);
	}
	mr_args_fini(&a);
	return ok;
}

/* The page's script: main.tsx, else main.ts, else none. */
static const char *find_entry(const char *web)
{
	static const char *const entries[] = {"main.tsx", "main.ts"};
	for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
		char *path = mr_printf("%s/%s", web, entries[i]);
		bool there = mr_path_exists(path);
		free(path);
		if (there)
			return entries[i];
	}
	return NULL;
}

bool mr_web_build(
	const struct mr_place *p, const char *app_dir, const char *out, bool development, struct mr_buf *text, struct mr_error *err)
{
	char *web = mr_printf("%s/web", app_dir), *page = mr_printf("%s/index.html", web);
	const char *entry = find_entry(web);
	struct copying c = {web, out, err, true};
	bool ok = mr_dir_make(out, 0755, err);
	if (ok && mr_path_exists(page)) {
		mr_dir_walk(web, copy, &c);
		ok = c.ok && (!entry || bundle(p, app_dir, entry, out, development, text, err)) && write_page(web, out, entry, err);
	}
	free(web);
	free(page);
	return ok;
}
