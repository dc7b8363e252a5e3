/* The app's function modules: functions/ as it stands, and the entry that binds them for the engine. */
#ifndef MR_CLI_MODULES_H
#define MR_CLI_MODULES_H

#include "proto/ground/error.h"
#include "proto/ground/mem.h"

struct mr_module {
	char *file; /* "functions/admin/users.ts" */
	char *name; /* "admin/users": functions of it are admin.users.<export> */
};
struct mr_modules {
	struct mr_module *v; /* in the order of their files */
	size_t n;
};
/* functions, all *.ts and *.tsx below it but *.test.ts, *.d.ts, _generated and names that begin with "_" or ".". false: a name that cannot
 * be one, or two files of one name. */
bool mr_modules_find(struct mr_modules *m, const char *app_dir, struct mr_error *err);
void mr_modules_fini(struct mr_modules *m);

/* The source that esbuild starts from: imports app.ts and each module and gives them to the runtime. */
void mr_modules_entry(const struct mr_modules *m, struct mr_buf *out);

#endif
