#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "proto/ground/loop.h"
#include "proto/jwt.h"
#include "secret.h"

enum { CLAIM_DEPTH = 16, CLAIMS_MOST = 64 };

struct wanted {
	const char *user, *expires;
	const char *claims[CLAIMS_MOST];
	size_t n_claims;
};

/* "30d" -> seconds; 0 when it is none. */
static int64_t duration(const char *text)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	char *end;
	long n = strtol(text, &end, 10);
	if (n <= 0 || n > 1000000000 || !end[0] || end[1])
		return 0;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (units[i].unit == *end)
			return n * units[i].seconds;
	return 0;
}

static bool read_options(const struct mr_cli *cli, struct wanted *w)
{
	for (int i = 1; i < cli->argc; i++) {
		const char *word = cli->argv[i], *value;
		if ((value = mr_cli_option(cli, &i, "--user"))) {
			w->user = value;
		} else if ((value = mr_cli_option(cli, &i, "--expires"))) {
			w->expires = value;
		} else if ((value = mr_cli_option(cli, &i, "--claim")) && w->n_claims < CLAIMS_MOST) {
			w->claims[w->n_claims++] = value;
		} else {
			mr_cli_fail(MR_EXIT_USAGE, "%s is not an option of `millrace token`; see `millrace help token`.", word);
			return false;
		}
	}
	if (!w->user || !*w->user) {
		mr_cli_fail(MR_EXIT_USAGE, "Say who the token is for: millrace token --user ID.");
		return false;
	}
	return true;
}

/* NAME=VALUE: the value as JSON when it is JSON, else as text. */
static bool add_claim(struct mr_enc *e, const char *claim)
{
	static const char *const own[] = {"sub", "iat", "exp", "nbf", "userId"};
	const char *eq = strchr(claim, '=');
	struct mr_str name = {claim, eq ? (size_t)(eq - claim) : 0};
	if (!name.n) {
		mr_cli_fail(MR_EXIT_USAGE, "--claim takes NAME=VALUE, not %s.", claim);
		return false;
	}
	for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
		if (mr_str_is(name, own[i])) {
			mr_cli_fail(MR_EXIT_USAGE, "The claim %s is set by millrace itself; use --user and --expires.", own[i]);
			return false;
		}
	}
	struct mr_arena arena = {0};
	struct mr_error none;
	struct mr_str value = mr_str(eq + 1);
	const struct mr_node *json = mr_json_read(&arena, value, CLAIM_DEPTH, false, &none);
	bool ok = json || mr_utf8_ok(value);
	mr_enc_key(e, name);
	if (json)
		mr_enc_node(e, json);
	else if (ok)
		mr_enc_str(e, value);
	else
		mr_cli_fail(MR_EXIT_USAGE, "The value of the claim %.*s is not UTF-8.", (int)name.n, name.p);
	mr_arena_fini(&arena);
	return ok;
}

int mr_cmd_token(struct mr_cli *cli)
{
	struct wanted w = {.expires = "30d"};
	struct mr_error err;
	struct mr_buf secret = {0}, claims = {0}, token = {0};
	struct mr_enc e;
	if (!read_options(cli, &w))
		return MR_EXIT_USAGE;
	int64_t seconds = duration(w.expires), now = mr_wall_us() / 1000000;
	if (!seconds)
		return mr_cli_fail(MR_EXIT_USAGE, "--expires takes a time such as 90s, 15m, 12h or 30d, not %s.", w.expires);
	if (!mr_utf8_ok(mr_str(w.user)))
		return mr_cli_fail(MR_EXIT_USAGE, "The user's ID is not UTF-8.");
	mr_enc_init(&e, &claims, MR_JSON);
	mr_enc_map(&e, 3 + w.n_claims);
	mr_enc_key(&e, MR_STR("sub"));
	mr_enc_str(&e, mr_str(w.user));
	mr_enc_key(&e, MR_STR("iat"));
	mr_enc_int(&e, now);
	mr_enc_key(&e, MR_STR("exp"));
	mr_enc_int(&e, now + seconds);
	int status = MR_EXIT_OK;
	for (size_t i = 0; i < w.n_claims && status == MR_EXIT_OK; i++)
		status = add_claim(&e, w.claims[i]) ? MR_EXIT_OK : MR_EXIT_USAGE;
	if (status == MR_EXIT_OK && !mr_secret_get(&cli->settings, &secret, &err))
		status = mr_cli_fail(MR_EXIT_FAILED, "%s", err.message);
	if (status == MR_EXIT_OK) {
		mr_enc_end(&e);
		mr_jwt_sign(&token, mr_buf_view(&secret), mr_buf_view(&claims));
		puts(token.p);
	}
	mr_buf_fini(&token);
	mr_buf_fini(&claims);
	mr_buf_fini(&secret);
	return status;
}
