/* The commands that look at a built app, without a database: check, policy test. */
#include <stdio.h>
#include <stdlib.h>

#include "build.h"
#include "check.h"
#include "cli.h"
#include "files.h"
#include "policy_test.h"
#include "typecheck.h"

/* What it declares, or NULL and a sentence on standard error. */
static struct mr_app *declared(const struct mr_app_build *made)
{
	struct mr_buf text = {0};
	struct mr_error err;
	char *path = mr_printf("%s/manifest.json", made->dir);
	struct mr_app *app = mr_file_read(path, &text, &err) ? mr_app_read(mr_buf_view(&text), &err) : NULL;
	if (!app)
		fprintf(stderr, "%s\n", err.message);
	mr_buf_fini(&text);
	free(path);
	return app;
}

static bool check_declarations(const struct mr_app_build *made)
{
	struct mr_buf out = {0};
	struct mr_app *app = declared(made);
	bool ok = app && mr_check_app(app, &out) == 0;
	if (out.n)
		fputs(out.p, stderr);
	mr_app_drop(&app);
	mr_buf_fini(&out);
	return ok;
}

static bool check_types(const struct mr_cli *cli)
{
	struct mr_place place;
	struct mr_error err;
	struct mr_buf out = {0};
	if (!mr_place_find(&place, cli->settings.app_dir, &err))
		return false;
	bool ok = true;
	if (place.tsc)
		ok = mr_typecheck(&place, cli->settings.app_dir, cli->settings.data_dir, &out);
	else
		fputs("Types are not checked: there is no TypeScript checker here (npm install typescript in the app).\n", stderr);
	if (!ok && out.n)
		fputs(out.p, stderr);
	mr_buf_fini(&out);
	mr_place_fini(&place);
	return ok;
}

int mr_cmd_check(struct mr_cli *cli)
{
	struct mr_app_build made;
	if (!mr_cli_no_more(cli))
		return MR_EXIT_USAGE;
	if (!mr_cli_build(cli, &made))
		return MR_EXIT_FAILED;
	bool right = check_declarations(&made), typed = check_types(cli);
	mr_build_prune(cli->settings.data_dir, made.dir);
	mr_app_build_fini(&made);
	if (right && typed)
		return MR_EXIT_OK;
	return mr_cli_fail(MR_EXIT_FAILED, "The app has mistakes; they are listed above.");
}

static bool hold(const struct mr_app_build *made, const char *path)
{
	struct mr_buf text = {0}, out = {0};
	struct mr_error err;
	struct mr_app *app = declared(made);
	bool read = app && mr_file_read(path, &text, &err);
	bool ok = read && mr_policy_test(app, mr_buf_view(&text), &out);
	if (app && !read)
		mr_buf_printf(&out, "%s\n", err.message);
	fputs(out.n ? out.p : "", ok ? stdout : stderr);
	mr_app_drop(&app);
	mr_buf_fini(&text);
	mr_buf_fini(&out);
	return ok;
}

/* millrace policy test [FILE] */
int mr_cmd_policy(struct mr_cli *cli)
{
	struct mr_app_build made;
	if (cli->argc < 2 || strcmp(cli->argv[1], "test") != 0 || cli->argc > 3)
		return mr_cli_fail(MR_EXIT_USAGE, "`millrace policy test [FILE]` is what there is; see `millrace help policy`.");
	if (!mr_cli_build(cli, &made))
		return MR_EXIT_FAILED;
	char *path = cli->argc == 3 ? mr_strdup(cli->argv[2]) : mr_printf("%s/policies.test.json", cli->settings.app_dir);
	bool ok = hold(&made, path);
	free(path);
	mr_build_prune(cli->settings.data_dir, made.dir);
	mr_app_build_fini(&made);
	return ok ? MR_EXIT_OK : mr_cli_fail(MR_EXIT_FAILED, "The policies are not as the table says.");
}
