/* app_dir/_generated: the types by which browser code and functions know each other. Text that the type checker reads; at run time it is
 * one Proxy. Files are rewritten only when they change.
 */
#ifndef MR_CLI_GENERATE_H
#define MR_CLI_GENERATE_H

#include "modules.h"

/* react: the app can use React, so it gets db.ts too. One whose app.ts declares a schema as Convex does gets dataModel.ts. */
bool mr_generate(const struct mr_modules *m, const char *app_dir, bool react, struct mr_error *err);

#endif
