/* millrace sessions: who is signed in, and ending that. */
#include <inttypes.h>
#include <stdio.h>

#include "cli.h"
#include "database.h"
#include "proto/value.h"
#include "storage/sessions.h"

enum { LIST_MOST = 1000 };

struct wanted {
	bool revokes;
	const char *id, *user; /* NULL: not given */
};

static bool usage(const char *why)
{
	mr_cli_fail(MR_EXIT_USAGE, "%s; see `millrace help sessions`.", why);
	return false;
}

static bool read_words(const struct mr_cli *cli, struct wanted *w)
{
	const char *what = cli->argc > 1 ? cli->argv[1] : "";
	w->revokes = strcmp(what, "revoke") == 0;
	if (!w->revokes && strcmp(what, "list") != 0)
		return usage("Say what to do: millrace sessions list, or millrace sessions revoke ID");
	for (int i = 2; i < cli->argc; i++) {
		const char *word = cli->argv[i];
		if (strcmp(word, "--user") == 0 && i + 1 < cli->argc && !w->user)
			w->user = cli->argv[++i];
		else if (strncmp(word, "--user=", 7) == 0 && !w->user)
			w->user = word + 7;
		else if (w->revokes && word[0] != '-' && !w->id)
			w->id = word;
		else
			return usage("One of the words is not known here");
	}
	if (w->user && !*w->user)
		return usage("The user's ID is empty");
	if (w->revokes && !w->id == !w->user)
		return usage("Say which session to revoke, by its ID, or --user and whose");
	uint8_t uuid[16];
	return !w->id || mr_uuid_read(mr_str(w->id), uuid) || usage("A session's ID is a uuid");
}

static int list(const char *conninfo, const struct wanted *w)
{
	struct mr_buf out = {0};
	struct mr_error err;
	bool ok = mr_sessions_list(conninfo, w->user, LIST_MOST, &out, &err);
	if (ok && out.n)
		fputs(out.p, stdout);
	mr_buf_fini(&out);
	return ok ? MR_EXIT_OK : mr_cli_fail(MR_EXIT_FAILED, "%s", err.message);
}

static int revoke(const struct mr_cli *cli, const char *conninfo, const struct wanted *w)
{
	struct mr_error err;
	bool was;
	int64_t n;
	/* One without a row is a guest's. */
	bool ok = w->id ? mr_sessions_revoke(conninfo, w->id, cli->settings.auth_guest_time, &was, &err)
			: mr_sessions_revoke_user(conninfo, w->user, &n, &err);
	if (!ok)
		return mr_cli_fail(MR_EXIT_FAILED, "%s", err.message);
	if (w->id)
		puts(was ? "The session is revoked." : "The session was revoked before.");
	else
		printf("All tokens that %s had are revoked; %" PRId64 " session%s ended.\n", w->user, n, n == 1 ? "" : "s");
	return MR_EXIT_OK;
}

int mr_cmd_sessions(struct mr_cli *cli)
{
	struct wanted w = {0};
	struct mr_buf conninfo = {0};
	if (!read_words(cli, &w))
		return MR_EXIT_USAGE;
	if (!mr_database_running(&cli->settings, &conninfo))
		return mr_cli_fail(MR_EXIT_FAILED, "Nothing runs on %s; start `millrace dev` first.", cli->settings.data_dir);
	int status = w.revokes ? revoke(cli, conninfo.p, &w) : list(conninfo.p, &w);
	mr_buf_fini(&conninfo);
	return status;
}
