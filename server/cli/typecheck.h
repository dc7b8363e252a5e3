/* The native TypeScript checker over the app, in development. */
#ifndef MR_CLI_TYPECHECK_H
#define MR_CLI_TYPECHECK_H

#include "place.h"

/* Writes data_dir/app/tsconfig.json (the app's own options, with the SDK's types where the app has not installed it) and runs the checker.
 * false: out holds its messages. */
bool mr_typecheck(const struct mr_place *p, const char *app_dir, const char *data_dir, struct mr_buf *out);

#endif
