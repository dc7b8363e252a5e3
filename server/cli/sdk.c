#include "sdk.h"

#include <stdlib.h>

#include "files.h"
#include "proto/ground/node.h"

enum { PACKAGE_DEPTH = 16 };

/* The file that an entry of "exports" means under the first of these conditions; a plain string means itself. */
static struct mr_str target(const struct mr_node *entry, const char *const *conditions)
{
	if (entry->kind == MR_STRING)
		return entry->text;
	for (; *conditions; conditions++) {
		const struct mr_node *t = mr_node_get(entry, *conditions);
		if (t)
			return target(t, conditions);
	}
	return (struct mr_str){0};
}

static char *path_of(const char *dir, struct mr_str rel)
{
	return rel.n > 2 ? mr_printf("%s/%.*s", dir, (int)rel.n - 2, rel.p + 2) : NULL;
}

static bool read_entry(struct mr_sdk *sdk, const char *dir, const struct mr_node *entry, struct mr_error *err)
{
	static const char *const code[] = {"browser", "import", "module", "default", NULL}, *const types[] = {"types", NULL};
	struct mr_str key = entry->key;
	if (key.n < 1 || key.p[0] != '.' || mr_str_is(key, "./package.json"))
		return true;
	char *path = path_of(dir, target(entry, code));
	if (!path || !mr_path_exists(path)) {
		mr_fail(err, MR_NOT_FOUND, "The SDK is not built (%s is missing): run `npm run build` in %s.", path ? path : "a file", dir);
		free(path);
		return false;
	}
	sdk->v = mr_realloc(sdk->v, (sdk->n + 1) * sizeof *sdk->v);
	sdk->v[sdk->n++] = (struct mr_sdk_entry){
		.name = mr_printf("millrace%.*s", (int)key.n - 1, key.p + 1),
		.code = path,
		.types = entry->kind == MR_MAP ? path_of(dir, target(entry, types)) : NULL,
	};
	return true;
}

bool mr_sdk_read(struct mr_sdk *sdk, const char *dir, struct mr_error *err)
{
	char *path = mr_printf("%s/package.json", dir);
	struct mr_buf text = {0};
	struct mr_arena arena = {0};
	const struct mr_node *package = NULL;
	*sdk = (struct mr_sdk){0};
	bool ok = mr_file_read(path, &text, err) && (package = mr_json_read(&arena, mr_buf_view(&text), PACKAGE_DEPTH, false, err));
	const struct mr_node *exports = mr_node_get(package, "exports");
	for (size_t i = 0; ok && exports && i < exports->n; i++)
		ok = read_entry(sdk, dir, &exports->items[i], err);
	if (ok && !sdk->n)
		ok = mr_fail(err, MR_NOT_FOUND, "%s names no entry points; it is not the SDK of Millrace.", path);
	if (!ok)
		mr_sdk_fini(sdk);
	mr_arena_fini(&arena);
	mr_buf_fini(&text);
	free(path);
	return ok;
}

void mr_sdk_fini(struct mr_sdk *sdk)
{
	for (size_t i = 0; i < sdk->n; i++) {
		free(sdk->v[i].name);
		free(sdk->v[i].code);
		free(sdk->v[i].types);
	}
	free(sdk->v);
	*sdk = (struct mr_sdk){0};
}
