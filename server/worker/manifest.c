/* `millrace-worker --manifest BUNDLE`: runs the bundle once and prints what it declares; errors go to standard error with their place. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/js/guard.h"
#include "server/js/source_map.h"
#include "worker.h"

enum { LOAD_MS = 10 * 1000 };

bool mr_file_read(const char *path, struct mr_buf *b, struct mr_error *err)
{
	FILE *f = fopen(path, "re");
	if (!f)
		return mr_fail(err, MR_INTERNAL, "Cannot open %s: %s.", path, strerror(errno));
	size_t n;
	do {
		n = fread(mr_buf_room(b, 65536), 1, 65536, f);
		b->n += n;
	} while (n);
	bool ok = !ferror(f);
	fclose(f);
	mr_buf_add(b, "", 0);
	return ok || mr_fail(err, MR_INTERNAL, "Cannot read %s.", path);
}

/* Nothing but console lines can come while a bundle is loaded and describes itself. */
static uint64_t no_op(void *arg, uint64_t n, struct mr_str kind, struct mr_str json)
{
	return 1;
}

static void no_done(void *arg, uint64_t n, bool ok, struct mr_str json) {}

static void no_identity(void *arg, uint64_t n) {}

static void to_stderr(void *arg, uint64_t n, struct mr_str level, struct mr_str text)
{
	fprintf(stderr, "%.*s\n", (int)text.n, text.p);
}

static void last_words(enum mr_reason reason, void *arg)
{
	static const char time[] = "The app's code runs for too long while it is loaded.\n",
			  memory[] = "The app's code takes too much memory while it is loaded.\n";
	ssize_t n =
		reason == MR_REASON_TIME ? write(STDERR_FILENO, time, sizeof time - 1) : write(STDERR_FILENO, memory, sizeof memory - 1);
	(void)n;
}

static void print_version(struct mr_str source, struct mr_buf *out)
{
	uint8_t sum[32];
	mr_sha256(source.p, source.n, sum);
	mr_hex(out, (struct mr_str){(const char *)sum, 8});
}

/* The manifest is the bundle's own text with the version put in front. */
static bool print(struct mr_js *js, struct mr_str source, struct mr_buf *out, struct mr_error *err)
{
	struct mr_buf text = {0};
	struct mr_arena a = {0};
	const struct mr_node *map = mr_js_manifest(js, &text, err) ? mr_json_read(&a, mr_buf_view(&text), 64, false, err) : NULL;
	bool ok = map && map->kind == MR_MAP;
	if (map && !ok)
		mr_fail(err, MR_FUNCTION_FAILED, "The app's manifest is no map");
	if (ok) {
		mr_buf_z(out, "{\"version\":\"");
		print_version(source, out);
		mr_buf_char(out, '"');
		for (size_t i = 0; i < map->n; i++)
			if (!mr_str_is(map->items[i].key, "version")) {
				mr_buf_z(out, ",\n");
				mr_json_quote(out, map->items[i].key);
				mr_buf_char(out, ':');
				mr_buf_str(out, map->items[i].raw);
			}
		mr_buf_z(out, "}\n");
		struct mr_app *app = mr_app_read(mr_buf_view(out), err);
		ok = app != NULL;
		mr_app_drop(&app);
	}
	mr_arena_fini(&a);
	mr_buf_fini(&text);
	return ok;
}

/* Places in the bundle become places in the app's files when its map lies beside it. */
static void print_error(const char *path, const struct mr_error *err)
{
	struct mr_buf map_text = {0}, name = {0}, out = {0};
	struct mr_error ignored;
	struct mr_source_map *map = NULL;
	mr_buf_printf(&name, "%s.map", path);
	if (mr_file_read(name.p, &map_text, &ignored))
		map = mr_source_map_read(mr_buf_view(&map_text), "bundle.js");
	mr_source_map_text(map, mr_str(err->message), &out);
	fprintf(stderr, "%s\n", out.p ? out.p : "");
	mr_source_map_delete(&map);
	mr_buf_fini(&map_text);
	mr_buf_fini(&name);
	mr_buf_fini(&out);
}

int mr_print_manifest(const struct mr_settings *settings, const char *bundle)
{
	struct mr_error err;
	struct mr_buf source = {0}, out = {0};
	const struct mr_js_host host = {no_op, no_done, to_stderr, no_identity, NULL};
	const struct mr_js_limits limits = {LOAD_MS, (size_t)64 << 20, settings->worker_memory_limit};
	const struct mr_guard_limits guard = {LOAD_MS * 3 / 2 + 200, settings->worker_memory_limit};
	bool ok = mr_file_read(bundle, &source, &err);
	if (ok) {
		struct mr_js *js = mr_js_new(&host, &limits);
		struct mr_buf variables = {0};
		mr_variables_print(&variables);
		mr_js_variables(js, mr_buf_view(&variables));
		mr_buf_fini(&variables);
		mr_guard_start(&guard, last_words, NULL);
		mr_guard_enter();
		ok = mr_js_load(js, mr_buf_view(&source), "bundle.js", &err) && print(js, mr_buf_view(&source), &out, &err);
		mr_guard_leave();
		mr_guard_stop();
		mr_js_delete(&js);
	}
	if (ok)
		ok = fwrite(out.p, 1, out.n, stdout) == out.n && fflush(stdout) == 0;
	else
		print_error(bundle, &err);
	mr_buf_fini(&source);
	mr_buf_fini(&out);
	return ok ? 0 : 1;
}
