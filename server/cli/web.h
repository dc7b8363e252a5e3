/* The app's own pages: web/index.html with its script main.tsx (or main.ts) bundled, everything else copied as it is. */
#ifndef MR_CLI_WEB_H
#define MR_CLI_WEB_H

#include "place.h"

/* Builds app_dir/web into `out` (a folder that does not exist yet). An app without web/index.html gets an empty folder.
 * false: `text` holds the bundler's messages, or err another fault. */
bool mr_web_build(
	const struct mr_place *p, const char *app_dir, const char *out, bool development, struct mr_buf *text, struct mr_error *err);

#endif
