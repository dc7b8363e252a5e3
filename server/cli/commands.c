/* The commands that come and go: build, migrate, psql. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli.h"
#include "database.h"
#include "files.h"
#include "notes.h"
#include "proto/ground/log.h"

bool mr_cli_build(const struct mr_cli *cli, struct mr_app_build *made)
{
	struct mr_place place;
	struct mr_error err;
	struct mr_buf text = {0};
	char *app = mr_printf("%s/app", cli->settings.data_dir);
	bool ok = mr_dir_make(cli->settings.data_dir, 0700, &err) && mr_dir_make(app, 0755, &err) &&
		  mr_place_find(&place, cli->settings.app_dir, &err);
	free(app);
	if (!ok) {
		mr_cli_fail(MR_EXIT_FAILED, "%s", err.message);
		return false;
	}
	struct mr_builder b = {&place, cli->settings.app_dir, cli->settings.data_dir, strcmp(cli->settings.mode, "development") == 0};
	ok = mr_build_app(&b, made, &text);
	if (text.n)
		fputs(text.p, stderr);
	if (!ok)
		mr_cli_fail(MR_EXIT_FAILED, "The app does not build; the errors are above.");
	mr_buf_fini(&text);
	mr_place_fini(&place);
	return ok;
}

int mr_cmd_build(struct mr_cli *cli)
{
	struct mr_app_build made;
	if (!mr_cli_no_more(cli))
		return MR_EXIT_USAGE;
	if (!mr_cli_build(cli, &made))
		return MR_EXIT_FAILED;
	puts(made.dir);
	mr_build_prune(cli->settings.data_dir, made.dir);
	mr_app_build_fini(&made);
	return MR_EXIT_OK;
}

static void tell_notes(const char *conninfo, const char *dir)
{
	struct mr_buf notes = {0};
	mr_notes(dir, conninfo, &notes);
	if (notes.n)
		fputs(notes.p, stderr);
	mr_buf_fini(&notes);
}

struct migration {
	const char *dir; /* of the build */
	bool apply;
};

static int plan_and_apply(const struct mr_cli *cli, const char *conninfo, void *arg)
{
	const char *dir = ((const struct migration *)arg)->dir;
	bool apply = ((const struct migration *)arg)->apply;
	struct mr_buf sql = {0};
	struct mr_error err;
	int status = MR_EXIT_OK;
	if (!mr_database_plan(conninfo, dir, &sql, &err)) {
		status = mr_cli_fail(MR_EXIT_FAILED, "%s", err.message);
	} else if (!sql.n) {
		fputs("Nothing to do: the database fits the app.\n", stderr);
	} else {
		fputs(sql.p, stdout);
		if (sql.p[sql.n - 1] != '\n')
			putchar('\n');
		fflush(stdout);
		status = apply ? MR_EXIT_OK : MR_EXIT_PENDING;
	}
	if (status == MR_EXIT_PENDING)
		fputs("Not applied; `millrace migrate --apply` runs it.\n", stderr);
	if (status == MR_EXIT_OK && apply && !mr_database_apply(conninfo, &cli->settings, mr_buf_view(&sql), &err))
		status = mr_cli_fail(MR_EXIT_FAILED, "%s", err.message);
	else if (status == MR_EXIT_OK && sql.n)
		fputs("Applied.\n", stderr);
	mr_buf_fini(&sql);
	tell_notes(conninfo, dir);
	return status;
}

int mr_cli_with_database(const struct mr_cli *cli, int (*run)(const struct mr_cli *cli, const char *conninfo, void *arg), void *arg)
{
	struct mr_buf conninfo = {0};
	struct mr_error err;
	int status;
	if (mr_database_running(&cli->settings, &conninfo)) {
		status = run(cli, conninfo.p, arg);
	} else {
		struct mr_database db;
		int lock = mr_data_dir_lock(&cli->settings, &err);
		if (lock < 0)
			return mr_cli_fail(MR_EXIT_FAILED, "%s", err.message);
		if (mr_database_open(&db, &cli->settings, &err)) {
			status = run(cli, db.conninfo.p, arg);
			mr_database_close(&db, &cli->settings);
		} else {
			status = mr_cli_fail(MR_EXIT_FAILED, "%s", err.message);
		}
		close(lock);
	}
	mr_buf_fini(&conninfo);
	return status;
}

int mr_cmd_migrate(struct mr_cli *cli)
{
	struct mr_app_build made;
	bool apply = cli->argc == 2 && strcmp(cli->argv[1], "--apply") == 0;
	if (!apply && !mr_cli_no_more(cli))
		return MR_EXIT_USAGE;
	if (!mr_cli_build(cli, &made))
		return MR_EXIT_FAILED;
	int status = mr_cli_with_database(cli, plan_and_apply, &(struct migration){made.dir, apply});
	mr_app_build_fini(&made);
	return status;
}

int mr_cmd_psql(struct mr_cli *cli)
{
	struct mr_buf conninfo = {0};
	if (!mr_database_running(&cli->settings, &conninfo))
		return mr_cli_fail(MR_EXIT_FAILED, "Nothing runs on %s; start `millrace dev` first.", cli->settings.data_dir);
	const char **argv = mr_alloc((size_t)(cli->argc + 3) * sizeof *argv);
	int n = 0, first = cli->argc > 1 && strcmp(cli->argv[1], "--") == 0 ? 2 : 1;
	argv[n++] = "psql";
	argv[n++] = conninfo.p;
	for (int i = first; i < cli->argc; i++)
		argv[n++] = cli->argv[i];
	execvp("psql", (char *const *)argv);
	int e = errno;
	free(argv);
	mr_buf_fini(&conninfo);
	return mr_cli_fail(MR_EXIT_FAILED, "psql cannot be run (%s); install postgresql-client.", strerror(e));
}
