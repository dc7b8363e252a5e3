#include "modules.h"

#include <ctype.h>
#include <stdlib.h>

#include "files.h"
#include "proto/ground/node.h"

struct finding {
	struct mr_modules *m;
	struct mr_error *err;
};

static bool ends(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);
	return n >= k && strcmp(s + n - k, end) == 0;
}

static bool is_module(const char *rel)
{
	if (!ends(rel, ".ts") && !ends(rel, ".tsx"))
		return false;
	if (ends(rel, ".d.ts") || ends(rel, ".test.ts") || ends(rel, ".test.tsx"))
		return false;
	return rel[0] != '_' && !strstr(rel, "/_");
}

/* "admin/users.ts" -> "admin/users"; NULL when a part is not a JavaScript name. */
static char *module_name(const char *rel)
{
	char *name = mr_strdup(rel);
	*strrchr(name, '.') = 0;
	bool start = true, ok = name[0] != 0;
	for (char *c = name; *c; c++) {
		if (*c == '/') {
			ok = ok && !start;
			start = true;
			continue;
		}
		ok = ok && (*c == '_' || *c == '$' || (start ? isalpha((unsigned char)*c) : isalnum((unsigned char)*c)));
		start = false;
	}
	if (ok && !start)
		return name;
	free(name);
	return NULL;
}

static bool found(const char *rel, void *arg)
{
	struct finding *f = arg;
	if (!is_module(rel))
		return true;
	char *name = module_name(rel);
	if (!name)
		return mr_fail(f->err, MR_BAD_VALUE,
			"functions/%s cannot be a module: use letters, digits and _ in names of files and folders, and begin with a "
			"letter.",
			rel);
	for (size_t i = 0; i < f->m->n; i++) {
		if (strcmp(f->m->v[i].name, name) != 0)
			continue;
		mr_fail(f->err, MR_BAD_VALUE, "%s and functions/%s are both the module %s; rename one.", f->m->v[i].file, rel, name);
		free(name);
		return false;
	}
	f->m->v = mr_realloc(f->m->v, (f->m->n + 1) * sizeof *f->m->v);
	f->m->v[f->m->n++] = (struct mr_module){.file = mr_printf("functions/%s", rel), .name = name};
	return true;
}

bool mr_modules_find(struct mr_modules *m, const char *app_dir, struct mr_error *err)
{
	struct finding f = {m, err};
	char *dir = mr_printf("%s/functions", app_dir);
	bool ok = mr_dir_walk(dir, found, &f);
	free(dir);
	return ok;
}

void mr_modules_fini(struct mr_modules *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->v[i].file);
		free(m->v[i].name);
	}
	free(m->v);
	*m = (struct mr_modules){0};
}

static void import(struct mr_buf *out, const char *as, const char *file)
{
	char *path = mr_printf("./%s", file);
	mr_buf_printf(out, "import * as %s from ", as);
	mr_json_quote(out, mr_str(path));
	mr_buf_z(out, ";\n");
	free(path);
}

void mr_modules_entry(const struct mr_modules *m, struct mr_buf *out)
{
	mr_buf_z(out, "// Written by millrace; what the bundle of the app's functions starts from.\n"
		      "import { register } from \"millrace/runtime\";\n");
	import(out, "app", "app.ts");
	for (size_t i = 0; i < m->n; i++) {
		char *as = mr_printf("m%zu", i);
		import(out, as, m->v[i].file);
		free(as);
	}
	mr_buf_z(out, "register({ app, modules: {");
	for (size_t i = 0; i < m->n; i++) {
		mr_buf_z(out, i ? ", " : " ");
		mr_json_quote(out, mr_str(m->v[i].name));
		mr_buf_printf(out, ": m%zu", i);
	}
	mr_buf_z(out, " } });\n");
}
