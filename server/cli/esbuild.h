/* The bundler: esbuild's own executable, called without Node. */
#ifndef MR_CLI_ESBUILD_H
#define MR_CLI_ESBUILD_H

#include "place.h"

/* A command line that grows. */
struct mr_args {
	char **v; /* NULL-terminated once anything was added */
	size_t n;
};
void mr_args_fini(struct mr_args *a);
void mr_args_add(struct mr_args *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Starts a command line: esbuild, the options that all our bundles share, and one alias for each entry point of the SDK, so that app,
 * entry and browser code mean the same copy whether or not the app has run `npm install`. */
bool mr_esbuild_args(struct mr_args *a, const struct mr_place *p, bool development, struct mr_error *err);
/* React from the app's node_modules where it is, else the SDK's: one copy for the SDK's hooks and the app. */
void mr_esbuild_react(struct mr_args *a, const struct mr_place *p, const char *app_dir);

/* Runs it in app_dir (its messages name files relative to that). false: `text` holds esbuild's messages, or err a fault of another kind
 * (then text is empty). Warnings of a build that worked are left in text as well. */
bool mr_esbuild_run(const struct mr_args *a, const char *app_dir, struct mr_str input, struct mr_buf *text, struct mr_error *err);

#endif
