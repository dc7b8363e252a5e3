/* millrace jobs: lists scheduled functions, cancels one, has one that failed run again. */
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "database.h"
#include "storage/jobs.h"

enum { MOST = 100, MOST_EVER = 100000 };

static const char *const states[] = {"pending", "inProgress", "success", "failed", "canceled"};

struct wanted {
	const char *state; /* NULL: all */
	int most;
};

static bool read_option(struct wanted *w, const char *name, const char *value)
{
	if (strcmp(name, "--limit") == 0 && value) {
		w->most = atoi(value);
		return w->most > 0 && w->most <= MOST_EVER;
	}
	for (size_t i = 0; strcmp(name, "--state") == 0 && value && i < MR_COUNT(states); i++) {
		if (strcmp(states[i], value) == 0) {
			w->state = states[i];
			return true;
		}
	}
	return false;
}

static int list(const struct mr_cli *cli, const char *conninfo)
{
	struct wanted w = {NULL, MOST};
	struct mr_buf out = {0};
	struct mr_error err;
	for (int i = 1; i < cli->argc; i += 2)
		if (!read_option(&w, cli->argv[i], cli->argv[i + 1]))
			return mr_cli_fail(MR_EXIT_USAGE, "`millrace jobs` does not know %s%s%s; see `millrace help jobs`.", cli->argv[i],
				cli->argv[i + 1] ? " " : "", cli->argv[i + 1] ? cli->argv[i + 1] : "");
	if (!mr_jobs_list(conninfo, w.state, w.most, &out, &err))
		return mr_cli_fail(MR_EXIT_FAILED, "%s", err.message);
	fputs(out.n ? out.p : "", stdout);
	mr_buf_fini(&out);
	return MR_EXIT_OK;
}

static int list_crons(const char *conninfo)
{
	struct mr_buf out = {0};
	struct mr_error err;
	if (!mr_crons_list(conninfo, &out, &err))
		return mr_cli_fail(MR_EXIT_FAILED, "%s", err.message);
	fputs(out.n ? out.p : "", stdout);
	mr_buf_fini(&out);
	return MR_EXIT_OK;
}

static int run(const struct mr_cli *cli, const char *conninfo)
{
	struct mr_error err;
	if (cli->argc == 2 && strcmp(cli->argv[1], "crons") == 0)
		return list_crons(conninfo);
	bool cancel = cli->argc > 1 && strcmp(cli->argv[1], "cancel") == 0, retry = cli->argc > 1 && strcmp(cli->argv[1], "retry") == 0;
	if (!cancel && !retry)
		return list(cli, conninfo);
	if (cli->argc != 3)
		return mr_cli_fail(MR_EXIT_USAGE, "Say which: millrace jobs %s ID.", cli->argv[1]);
	if (!(cancel ? mr_jobs_cancel : mr_jobs_retry)(conninfo, cli->argv[2], &err))
		return mr_cli_fail(MR_EXIT_FAILED, "%s", err.message);
	return MR_EXIT_OK;
}

int mr_cmd_jobs(struct mr_cli *cli)
{
	struct mr_buf conninfo = {0};
	if (!mr_database_running(&cli->settings, &conninfo))
		return mr_cli_fail(MR_EXIT_FAILED, "Nothing runs on %s; start `millrace dev` first.", cli->settings.data_dir);
	int status = run(cli, conninfo.p);
	mr_buf_fini(&conninfo);
	return status;
}
