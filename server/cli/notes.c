#include "notes.h"

#include <stdlib.h>

#include "files.h"
#include "storage/install.h"

void mr_notes(const char *build_dir, const char *conninfo, struct mr_buf *out)
{
	char *path = mr_printf("%s/manifest.json", build_dir);
	struct mr_buf json = {0};
	struct mr_error err;
	struct mr_app *app = mr_file_read(path, &json, &err) ? mr_app_read(mr_buf_view(&json), &err) : NULL;
	if (app && conninfo)
		mr_install_left(conninfo, app, out, &err);
	mr_app_drop(&app);
	mr_buf_fini(&json);
	free(path);
}
