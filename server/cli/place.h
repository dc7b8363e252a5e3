/* Where things are: our own programs, the SDK, esbuild, the TypeScript checker. In the build tree, in an installation, or as told by
 * MILLRACE_LIBEXEC and MILLRACE_SDK.
 */
#ifndef MR_CLI_PLACE_H
#define MR_CLI_PLACE_H

#include "proto/ground/error.h"
#include "proto/ground/mem.h"

struct mr_place {
	char *worker, *fanout; /* paths of millrace-worker and millrace-fanout (NULL: not there; needed to serve only) */
	char *sdk;             /* folder of the npm package millrace */
	char *esbuild;
	char *tsc; /* NULL when there is none */
};
/* app_dir: absolute. false: something that is needed is missing; the sentence says what to do. */
bool mr_place_find(struct mr_place *p, const char *app_dir, struct mr_error *err);
void mr_place_fini(struct mr_place *p);
/* The first `rel` found in dir or a folder above it, allocated, or NULL. */
char *mr_place_above(const char *dir, const char *rel);

#endif
