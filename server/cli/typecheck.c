#include "typecheck.h"

#include <stdlib.h>

#include "files.h"
#include "proto/ground/node.h"
#include "sdk.h"
#include "spawn.h"

enum { CHECK_TIMEOUT_MS = 120000 };

static const char own_options[] =
	"\"target\":\"es2022\",\"module\":\"esnext\",\"moduleResolution\":\"bundler\",\"lib\":[\"es2023\",\"dom\",\"dom.iterable\"],"
	"\"jsx\":\"react-jsx\",\"types\":[],\"strict\":true,";

static void add_path(struct mr_buf *b, bool *first, const char *name, const char *path)
{
	mr_buf_z(b, *first ? "" : ",");
	*first = false;
	mr_json_quote(b, mr_str(name));
	mr_buf_z(b, ":[");
	mr_json_quote(b, mr_str(path));
	mr_buf_z(b, "]");
}

/* Types of a package that the app lacks come from the SDK's own folder. */
static void add_foreign(struct mr_buf *b, bool *first, const char *sdk, const char *app_dir, const char *package)
{
	char *rel = mr_printf("node_modules/@types/%s", package);
	char *own = mr_place_above(app_dir, rel), *ours = mr_place_above(sdk, rel);
	if (!own && ours) {
		char *below = mr_printf("%s/*", package), *path = mr_printf("%s/*", ours);
		add_path(b, first, package, ours);
		add_path(b, first, below, path);
		free(below);
		free(path);
	}
	free(own);
	free(ours);
	free(rel);
}

static void add_paths(struct mr_buf *b, const struct mr_sdk *sdk, const char *sdk_dir, const char *app_dir)
{
	char *installed = mr_place_above(app_dir, "node_modules/millrace");
	bool first = true;
	mr_buf_z(b, "\"paths\":{");
	for (size_t i = 0; !installed && i < sdk->n; i++)
		if (sdk->v[i].types)
			add_path(b, &first, sdk->v[i].name, sdk->v[i].types);
	add_foreign(b, &first, sdk_dir, app_dir, "react");
	add_foreign(b, &first, sdk_dir, app_dir, "react-dom");
	mr_buf_z(b, "}");
	free(installed);
}

static void add_includes(struct mr_buf *b, const char *app_dir)
{
	static const char *const parts[] = {"app.ts", "functions", "_generated", "web"};
	mr_buf_z(b, "\"include\":[");
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		char *path = mr_printf("%s/%s", app_dir, parts[i]);
		mr_buf_z(b, i ? "," : "");
		mr_json_quote(b, mr_str(path));
		free(path);
	}
	mr_buf_z(b, "]");
}

static bool write_config(const struct mr_place *p, const char *app_dir, const char *path, struct mr_error *err)
{
	struct mr_sdk sdk;
	struct mr_buf b = {0};
	char *own = mr_printf("%s/tsconfig.json", app_dir);
	bool has_own = mr_path_exists(own), ok = mr_sdk_read(&sdk, p->sdk, err);
	if (ok) {
		mr_buf_z(&b, "{");
		if (has_own) {
			mr_buf_z(&b, "\"extends\":");
			mr_json_quote(&b, mr_str(own));
			mr_buf_z(&b, ",");
		}
		mr_buf_printf(&b, "\"compilerOptions\":{%s\"noEmit\":true,\"skipLibCheck\":true,", has_own ? "" : own_options);
		add_paths(&b, &sdk, p->sdk, app_dir);
		mr_buf_z(&b, "},");
		add_includes(&b, app_dir);
		mr_buf_z(&b, "}\n");
		ok = mr_file_update(path, mr_buf_view(&b), err);
		mr_sdk_fini(&sdk);
	}
	mr_buf_fini(&b);
	free(own);
	return ok;
}

bool mr_typecheck(const struct mr_place *p, const char *app_dir, const char *data_dir, struct mr_buf *out)
{
	char *config = mr_printf("%s/app/tsconfig.json", data_dir);
	const char *argv[] = {p->tsc, "--pretty", "false", "-p", config, NULL};
	struct mr_spawn s = {.argv = argv, .cwd = app_dir, .out = -1, .err = -1, .tool = true};
	struct mr_error err = {0};
	int status = 0;
	bool ran = write_config(p, app_dir, config, &err) && mr_run(&s, CHECK_TIMEOUT_MS, out, out, &status, &err);
	if (!ran)
		mr_buf_printf(out, "%s\n", err.message);
	free(config);
	return ran && status == 0;
}
