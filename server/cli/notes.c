#include "notes.h"

#include <stdlib.h>

#include "files.h"
#include "storage/install.h"

static void note_actions(const struct mr_app *app, struct mr_buf *out)
{
	size_t n = 0;
	for (size_t i = 0; i < app->n_fns; i++)
		if (app->fns[i].kind == MR_FN_ACTION)
			mr_buf_printf(out, "%s%s",
				n++ ? ", " : "This version does not serve actions yet; who calls one gets unknown_function: ",
				app->fns[i].name.p);
	if (n)
		mr_buf_char(out, '\n');
}

void mr_notes(const char *build_dir, const char *conninfo, struct mr_buf *out)
{
	char *path = mr_printf("%s/manifest.json", build_dir);
	struct mr_buf json = {0};
	struct mr_error err;
	struct mr_app *app = mr_file_read(path, &json, &err) ? mr_app_read(mr_buf_view(&json), &err) : NULL;
	if (app) {
		note_actions(app, out);
		if (conninfo)
			mr_install_left(conninfo, app, out, &err);
		mr_app_drop(&app);
	}
	mr_buf_fini(&json);
	free(path);
}
