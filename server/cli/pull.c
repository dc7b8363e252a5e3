/* millrace pull: the declarations of a database that is there already. */
#include "storage/pull.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "database.h"
#include "files.h"

struct wanted {
	struct mr_pull pull;
	const char *out;
	bool force;
};

static bool read_options(const struct mr_cli *cli, struct wanted *w)
{
	const char **tables = mr_alloc((size_t)(cli->argc + 1) * sizeof *tables);
	*w = (struct wanted){.pull = {.schema = "public", .tables = tables}};
	for (int i = 1; i < cli->argc; i++) {
		const char *word = cli->argv[i], *value;
		if ((value = mr_cli_option(cli, &i, "--schema"))) {
			w->pull.schema = value;
		} else if ((value = mr_cli_option(cli, &i, "--table"))) {
			tables[w->pull.n_tables++] = value;
		} else if ((value = mr_cli_option(cli, &i, "--out"))) {
			w->out = value;
		} else if (strcmp(word, "--force") == 0) {
			w->force = true;
		} else {
			mr_cli_fail(MR_EXIT_USAGE, "%s is not an option of `millrace pull`; see `millrace help pull`.", word);
			return false;
		}
	}
	return true;
}

static int pull(const struct mr_cli *cli, const char *conninfo, void *arg)
{
	const struct wanted *w = arg;
	struct mr_buf text = {0};
	struct mr_error err;
	int found, left;
	bool ok = mr_pull(conninfo, &w->pull, &text, &found, &left, &err) &&
		  (!w->out || mr_file_write(w->out, mr_buf_view(&text), 0644, &err));
	if (ok && !w->out)
		fputs(text.p, stdout);
	if (ok)
		fprintf(stderr, "%d tables declared, %d left out.\n", found, left);
	mr_buf_fini(&text);
	return ok ? MR_EXIT_OK : mr_cli_fail(MR_EXIT_FAILED, "%s", err.message);
}

int mr_cmd_pull(struct mr_cli *cli)
{
	struct wanted w;
	int status;
	if (!read_options(cli, &w))
		status = MR_EXIT_USAGE;
	else if (w.out && !w.force && mr_path_exists(w.out))
		status = mr_cli_fail(MR_EXIT_FAILED, "%s exists; give --force to write over it.", w.out);
	else
		status = mr_cli_with_database(cli, pull, &w);
	free((void *)w.pull.tables);
	return status;
}
