#include "esbuild.h"

#include <stdarg.h>
#include <stdlib.h>

#include "sdk.h"
#include "spawn.h"

enum { BUNDLE_TIMEOUT_MS = 60000 };

void mr_args_fini(struct mr_args *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->v[i]);
	free(a->v);
	*a = (struct mr_args){0};
}

void mr_args_add(struct mr_args *a, const char *fmt, ...)
{
	struct mr_buf b = {0};
	va_list ap;
	va_start(ap, fmt);
	mr_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	a->v = mr_realloc(a->v, (a->n + 2) * sizeof *a->v);
	a->v[a->n++] = mr_buf_take(&b);
	a->v[a->n] = NULL;
}

static bool add_sdk(struct mr_args *a, const char *dir, struct mr_error *err)
{
	struct mr_sdk sdk;
	if (!mr_sdk_read(&sdk, dir, err))
		return false;
	for (size_t i = 0; i < sdk.n; i++)
		mr_args_add(a, "--alias:%s=%s", sdk.v[i].name, sdk.v[i].code);
	mr_sdk_fini(&sdk);
	return true;
}

bool mr_esbuild_args(struct mr_args *a, const struct mr_place *p, bool development, struct mr_error *err)
{
	mr_args_add(a, "%s", p->esbuild);
	mr_args_add(a, "--bundle");
	mr_args_add(a, "--color=false");
	mr_args_add(a, "--log-level=warning");
	mr_args_add(a, "--log-override:ignored-bare-import=silent"); /* the SDK's own parts, which have no side effects */
	mr_args_add(a, "--define:process.env.NODE_ENV=\"%s\"", development ? "development" : "production");
	return add_sdk(a, p->sdk, err);
}

void mr_esbuild_react(struct mr_args *a, const struct mr_place *p, const char *app_dir)
{
	static const char *const packages[] = {"react", "react-dom"};
	for (size_t i = 0; i < sizeof packages / sizeof *packages; i++) {
		char *rel = mr_printf("node_modules/%s", packages[i]);
		char *found = mr_place_above(app_dir, rel);
		if (!found)
			found = mr_place_above(p->sdk, rel);
		if (found)
			mr_args_add(a, "--alias:%s=%s", packages[i], found);
		free(found);
		free(rel);
	}
}

bool mr_esbuild_run(const struct mr_args *a, const char *app_dir, struct mr_str input, struct mr_buf *text, struct mr_error *err)
{
	struct mr_buf printed = {0};
	int status = 0;
	struct mr_spawn s = {.argv = (const char *const *)a->v, .cwd = app_dir, .input = input, .out = -1, .err = -1, .tool = true};
	if (!mr_run(&s, BUNDLE_TIMEOUT_MS, &printed, text, &status, err)) {
		mr_buf_fini(&printed);
		mr_buf_reset(text);
		return false;
	}
	mr_buf_fini(&printed);
	if (status == 0)
		return true;
	if (!text->n) {
		struct mr_buf words = {0};
		mr_exit_words(status, &words);
		mr_fail(err, MR_INTERNAL, "esbuild ended without a word: %s.", words.p);
		mr_buf_fini(&words);
	}
	return false;
}
