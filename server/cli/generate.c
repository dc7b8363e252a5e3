#include "generate.h"

#include <stdlib.h>

#include "files.h"

static const char note[] = "// Written by millrace from app.ts and functions/. Do not edit.\n";

static bool put(const char *app_dir, const char *name, struct mr_buf *text, struct mr_error *err)
{
	char *path = mr_printf("%s/_generated/%s", app_dir, name);
	bool ok = mr_file_update(path, mr_buf_view(text), err);
	free(path);
	mr_buf_fini(text);
	return ok;
}

static bool put_text(const char *app_dir, const char *name, const char *text, struct mr_error *err)
{
	struct mr_buf b = {0};
	mr_buf_z(&b, note);
	mr_buf_z(&b, text);
	return put(app_dir, name, &b, err);
}

/* Does a module's name begin with prefix and go on with exactly this part? */
static bool has_part(const char *name, const char *prefix, const char *part, size_t n)
{
	size_t k = strlen(prefix);
	return strncmp(name, prefix, k) == 0 && strncmp(name + k, part, n) == 0 && (name[k + n] == 0 || name[k + n] == '/');
}

static void indent(struct mr_buf *out, int depth)
{
	for (int i = 0; i < depth; i++)
		mr_buf_char(out, '\t');
}

static void emit(struct mr_buf *out, const struct mr_modules *m, const char *prefix, int depth);

/* One part of names: the module of that name, the folder of that name, or both. */
static void emit_part(struct mr_buf *out, const struct mr_modules *m, const char *prefix, const char *part, size_t n, int depth)
{
	char *path = mr_printf("%s%.*s", prefix, (int)n, part), *below = mr_printf("%s/", path);
	bool leaf = false, folder = false;
	for (size_t i = 0; i < m->n; i++) {
		leaf = leaf || strcmp(m->v[i].name, path) == 0;
		folder = folder || strncmp(m->v[i].name, below, strlen(below)) == 0;
	}
	indent(out, depth);
	mr_buf_printf(out, "%.*s: ", (int)n, part);
	if (leaf)
		mr_buf_printf(out, "typeof import(\"../functions/%s\")", path);
	if (leaf && folder)
		mr_buf_z(out, " & ");
	if (folder) {
		mr_buf_z(out, "{\n");
		emit(out, m, below, depth + 1);
		indent(out, depth);
		mr_buf_z(out, "}");
	}
	mr_buf_z(out, ";\n");
	free(path);
	free(below);
}

/* All parts that follow `prefix`, each once. */
static void emit(struct mr_buf *out, const struct mr_modules *m, const char *prefix, int depth)
{
	size_t k = strlen(prefix);
	for (size_t i = 0; i < m->n; i++) {
		if (strncmp(m->v[i].name, prefix, k) != 0)
			continue;
		const char *part = m->v[i].name + k;
		size_t n = strcspn(part, "/");
		bool before = false;
		for (size_t j = 0; j < i; j++)
			before = before || has_part(m->v[j].name, prefix, part, n);
		if (!before)
			emit_part(out, m, prefix, part, n, depth);
	}
}

static bool put_api(const struct mr_modules *m, const char *app_dir, struct mr_error *err)
{
	struct mr_buf b = {0};
	mr_buf_z(&b, note);
	mr_buf_z(&b, "import { makeApi, makeInternal } from \"millrace\";\nexport type Modules = {\n");
	emit(&b, m, "", 1);
	mr_buf_z(&b, "};\nexport const api = makeApi<Modules>();\nexport const internal = makeInternal<Modules>();\n");
	return put(app_dir, "api.ts", &b, err);
}

static const char server_text[] =
	"import type * as App from \"../app\";\n"
	"import { typed, type ActionCtx as Acting, type MutationCtx as Writing, type QueryCtx as Reading } from \"millrace/server\";\n"
	"export const { query, mutation, action, internalQuery, internalMutation, internalAction } = typed<typeof App>();\n"
	"export { httpAction } from \"millrace/server\";\n"
	"export type QueryCtx = Reading<typeof App>;\n"
	"export type MutationCtx = Writing<typeof App>;\n"
	"export type ActionCtx = Acting;\n"
	"export type DatabaseReader = QueryCtx[\"db\"];\n"
	"export type DatabaseWriter = MutationCtx[\"db\"];\n"
	"export type { App };\n";
static const char client_text[] = "import type * as App from \"../app\";\n"
				  "import { createClient, type ClientOptions } from \"millrace\";\n"
				  "export const connect = (options?: ClientOptions) => createClient<typeof App>(options);\n";
static const char db_text[] = "import type * as App from \"../app\";\n"
			      "import { createDb } from \"millrace/react\";\n"
			      "export const db = createDb<typeof App>();\n";

static const char model_text[] =
	"import type * as App from \"../app\";\n"
	"import type { DataModelOf, DocumentOf, Id as AnyId, SystemTableNames, TableName } from \"millrace/convex/server\";\n"
	"export type DataModel = DataModelOf<typeof App>;\n"
	"export type TableNames = TableName<typeof App>;\n"
	"export type Doc<Table extends TableNames> = DocumentOf<typeof App, Table>;\n"
	"export type Id<Table extends TableNames | SystemTableNames> = AnyId<Table>;\n";

/* Apps that were written for Convex import the types of their documents from here. */
static bool has_schema(const char *app_dir, bool *has, struct mr_error *err)
{
	char *path = mr_printf("%s/app.ts", app_dir);
	struct mr_buf text = {0};
	bool ok = !mr_path_exists(path) || mr_file_read(path, &text, err);
	*has = ok && text.n && memmem(text.p, text.n, "millrace/convex/", strlen("millrace/convex/"));
	mr_buf_fini(&text);
	free(path);
	return ok;
}

bool mr_generate(const struct mr_modules *m, const char *app_dir, bool react, struct mr_error *err)
{
	char *dir = mr_printf("%s/_generated", app_dir);
	bool ok = mr_dir_make(dir, 0755, err) && put_text(app_dir, "server.ts", server_text, err) && put_api(m, app_dir, err) &&
		  put_text(app_dir, "client.ts", client_text, err);
	bool ported = false;
	if (ok && react)
		ok = put_text(app_dir, "db.ts", db_text, err);
	ok = ok && has_schema(app_dir, &ported, err);
	if (ok && ported)
		ok = put_text(app_dir, "dataModel.ts", model_text, err);
	free(dir);
	return ok;
}
