/* One build of the app: data_dir/app/<version>/{bundle.js, bundle.js.map, manifest.json, web/}. Blocking; no Node, no network. */
#ifndef MR_CLI_BUILD_H
#define MR_CLI_BUILD_H

#include "place.h"

enum { MR_VERSION_DIGITS = 16, MR_BUILDS_KEPT = 3 };

struct mr_app_build {
	char version[MR_VERSION_DIGITS + 1]; /* of bundle, manifest and web together */
	char web[MR_VERSION_DIGITS + 1];     /* of web alone */
	char *dir;                           /* data_dir/app/<version> */
};

struct mr_builder {
	const struct mr_place *place;
	const char *app_dir, *data_dir;
	bool development;
};

/* Builds, generates app_dir/_generated, stores the build. false: `text` says what is wrong in full (the bundler's or the engine's
 * messages). When it worked `text` holds warnings, mostly none. */
bool mr_build_app(const struct mr_builder *b, struct mr_app_build *build, struct mr_buf *text);
/* Builds web/ alone and exchanges it in the build `dir`. */
bool mr_build_web(const struct mr_builder *b, const char *dir, struct mr_buf *text);
void mr_app_build_fini(struct mr_app_build *build);
/* Removes all but the newest MR_BUILDS_KEPT builds, never `keep` (may be NULL), and what broken builds left. */
void mr_build_prune(const char *data_dir, const char *keep);

#endif
