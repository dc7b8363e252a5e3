#include "sessions.h"

#include <inttypes.h>

#include "proto/issuers.h"
#include "proto/jwt.h"

enum { USER_MAX = 1024, CLAIMS_BYTES = 8192 };

/* ---- tokens ---- */

/* Claims that a token has of itself, and those that would not be what they say. */
static bool is_reserved(struct mr_str claim)
{
	static const char *const names[] = {"sub", "userId", "iss", "aud", "iat", "exp", "nbf", "jti", "sid", "nonce", "at_hash", "c_hash"};
	for (size_t i = 0; i < MR_COUNT(names); i++)
		if (mr_str_is(claim, names[i]))
			return true;
	return false;
}

static void print_claims(struct mr_buf *b, const struct mr_node *session, int64_t issued, int64_t ends)
{
	const struct mr_node *claims = mr_node_get(session, "claims");
	mr_buf_z(b, "{\"sub\":");
	mr_json_quote(b, mr_node_str(session, "user"));
	mr_buf_z(b, ",\"sid\":");
	mr_json_quote(b, mr_node_str(session, "id"));
	mr_buf_printf(b, ",\"iat\":%" PRId64 ".%03" PRId64 ",\"exp\":%" PRId64, issued / 1000, issued % 1000, ends / 1000);
	for (size_t i = 0; claims && claims->kind == MR_MAP && i < claims->n; i++) {
		mr_buf_char(b, ',');
		mr_json_quote(b, claims->items[i].key);
		mr_buf_char(b, ':');
		mr_buf_str(b, claims->items[i].raw);
	}
	mr_buf_char(b, '}');
}

/* What storage said of a session (mr_txn_session), as its owner gets it. */
static void print_session(struct mr_buf *out, const struct mr_worker *w, const struct mr_node *session)
{
	struct mr_buf claims = {0};
	int64_t issued = 0, ends = 0, us = 0;
	mr_node_int(mr_node_get(session, "issued"), &issued);
	mr_node_int(mr_node_get(session, "ends"), &ends);
	print_claims(&claims, session, issued, ends);
	mr_buf_z(out, "{\"token\":\"");
	mr_jwt_sign(out, mr_str(w->settings.auth_secret), mr_buf_view(&claims));
	mr_buf_z(out, "\",\"sessionId\":");
	mr_json_quote(out, mr_node_str(session, "id"));
	mr_buf_z(out, ",\"userId\":");
	mr_json_quote(out, mr_node_str(session, "user"));
	mr_buf_z(out, ",\"expiresAt\":\"");
	mr_datetime_from_unix_ms(ends, &us);
	mr_datetime_print(out, us);
	mr_buf_printf(out, "\",\"seconds\":%" PRId64 "}", (ends - issued) / 1000);
	mr_buf_fini(&claims);
}

static int64_t whole_seconds(int64_t ms)
{
	return (ms + 999) / 1000 * 1000;
}

static struct mr_str number(struct mr_arena *a, int64_t n)
{
	return mr_arena_printf(a, "%" PRId64, n);
}

/* ---- what functions ask ---- */

static void on_created(struct mr_txn *txn, struct mr_str json, const struct mr_error *err, void *arg)
{
	struct mr_op *op = arg;
	struct mr_arena *a = &op->job->attempt;
	struct mr_error ignored;
	struct mr_buf out = {0};
	const struct mr_node *session = err ? NULL : mr_json_read(a, mr_arena_str(a, json), 64, false, &ignored);
	if (session)
		print_session(&out, op->job->w, session);
	mr_op_result(txn, mr_buf_view(&out), err, op);
	mr_buf_fini(&out);
}

static bool read_user(const struct mr_node *in, struct mr_str *user, struct mr_error *err)
{
	*user = mr_node_str(in, "userId");
	return (user->n > 0 && user->n <= USER_MAX) || mr_fail(err, MR_BAD_ARGS, "ctx.auth: userId is a text of 1 to %d bytes.", USER_MAX);
}

static bool read_claims(const struct mr_node *in, struct mr_str *claims, struct mr_error *err)
{
	const struct mr_node *map = mr_node_get(in, "claims");
	*claims = (struct mr_str){0};
	if (!map || map->kind == MR_NULL)
		return true;
	if (map->kind != MR_MAP || map->raw.n > CLAIMS_BYTES)
		return mr_fail(err, MR_BAD_ARGS, "ctx.auth.createSession: claims is a map of at most %d bytes.", CLAIMS_BYTES);
	for (size_t i = 0; i < map->n; i++)
		if (is_reserved(map->items[i].key))
			return mr_fail(err, MR_BAD_ARGS, "ctx.auth.createSession: the claim %.*s is the token's own.",
				(int)MR_MIN(map->items[i].key.n, (size_t)20), map->items[i].key.p);
	*claims = map->raw;
	return true;
}

static bool create(struct mr_op *op, const struct mr_node *in, struct mr_error *err)
{
	struct mr_job *job = op->job;
	const struct mr_node *given = mr_node_get(in, "expiresIn");
	int64_t most = whole_seconds(job->w->settings.auth_session_time), ms = most;
	struct mr_str params[3];
	if (!read_user(in, &params[0], err) || !read_claims(in, &params[1], err))
		return false;
	if (params[0].n >= sizeof(MR_GUESTS) - 1 && memcmp(params[0].p, MR_GUESTS, sizeof(MR_GUESTS) - 1) == 0)
		return mr_fail(err, MR_BAD_ARGS, "ctx.auth.createSession: userIds that begin with " MR_GUESTS " are of guests.");
	if (given && given->kind != MR_NULL && (!mr_node_int(given, &ms) || ms < 1000))
		return mr_fail(err, MR_BAD_ARGS, "ctx.auth.createSession: expiresIn is a whole number of milliseconds, at least 1000.");
	params[2] = number(&job->attempt, MR_MIN(whole_seconds(MR_MIN(ms, most)), most));
	mr_txn_session(job->txn, MR_SESSION_CREATE, params, on_created, op);
	return true;
}

static struct mr_str time_text(struct mr_arena *a, int64_t ms)
{
	struct mr_buf b = {0};
	int64_t us;
	if (!mr_datetime_from_unix_ms(ms, &us))
		return (struct mr_str){0};
	mr_datetime_print(&b, us);
	struct mr_str text = mr_arena_str(a, mr_buf_view(&b));
	mr_buf_fini(&b);
	return text;
}

/* One without a row is a guest's, if it is anybody's. */
static bool revoke(struct mr_op *op, const struct mr_node *in, struct mr_error *err)
{
	struct mr_job *job = op->job;
	uint8_t uuid[16];
	int64_t until = mr_wall_us() / 1000 + job->w->settings.auth_guest_time;
	struct mr_str params[2] = {mr_node_str(in, "id"), time_text(&job->attempt, until)};
	if (!mr_uuid_read(params[0], uuid))
		return mr_fail(err, MR_BAD_ARGS, "ctx.auth.revokeSession takes a session's id, a uuid.");
	mr_txn_session(op->job->txn, MR_SESSION_REVOKE, params, mr_op_result, op);
	return true;
}

static bool revoke_user(struct mr_op *op, const struct mr_node *in, struct mr_error *err)
{
	struct mr_str user;
	if (!read_user(in, &user, err))
		return false;
	mr_txn_session(op->job->txn, MR_SESSION_REVOKE_USER, &user, mr_op_result, op);
	return true;
}

bool mr_op_session(struct mr_op *op, const struct mr_node *in, struct mr_error *err)
{
	struct mr_str act = mr_node_str(in, "act");
	if (!mr_job_writes(op->job))
		return mr_fail(err, MR_FUNCTION_FAILED, "Sessions are made and revoked by mutations.");
	if (mr_str_is(act, "create"))
		return create(op, in, err);
	if (mr_str_is(act, "revoke"))
		return revoke(op, in, err);
	if (mr_str_is(act, "revokeUser"))
		return revoke_user(op, in, err);
	return mr_fail(err, MR_INTERNAL, "The app's runtime asked for an unknown act on sessions.");
}

bool mr_sessions_admit_write(const struct mr_entity *e, struct mr_error *err)
{
	bool own = mr_str_is(e->name, "_sessions") || mr_str_is(e->name, "_revocations");
	return !own || mr_fail(err, MR_FORBIDDEN, "%s is not written by ctx.db; use ctx.auth.", e->name.p);
}

/* ---- what their owners ask ---- */

bool mr_session_is_act(const struct mr_job *job)
{
	return mr_str_is(job->act, "renew") || mr_str_is(job->act, "end");
}

static bool is_stale(const struct mr_job *job)
{
	return job->answered || job->step != MR_JOB_RUNNING;
}

static void on_renewed(struct mr_txn *txn, struct mr_str json, const struct mr_error *err, void *arg)
{
	struct mr_job *job = arg;
	struct mr_error why;
	if (is_stale(job))
		return;
	if (!err && mr_str_is(json, "null")) {
		mr_fail(&why, MR_SESSION_REVOKED, "This session is over; sign in again.");
		err = &why;
	}
	const struct mr_node *session = err ? NULL : mr_json_read(&job->attempt, mr_arena_str(&job->attempt, json), 64, false, &why);
	if (!session) {
		mr_job_failed(job, err ? err : &why);
		return;
	}
	struct mr_buf out = {0};
	print_session(&out, job->w, session);
	mr_job_commit(job, mr_buf_view(&out));
	mr_buf_fini(&out);
}

static void on_ended(struct mr_txn *txn, struct mr_str json, const struct mr_error *err, void *arg)
{
	struct mr_job *job = arg;
	if (is_stale(job))
		return;
	if (err)
		mr_job_failed(job, err);
	else
		mr_job_commit(job, MR_STR("{\"ended\":true}"));
}

void mr_session_act_start(struct mr_job *job)
{
	struct mr_arena *a = &job->attempt;
	struct mr_str params[2] = {mr_node_str(job->args, "id")};
	int64_t until;
	if (mr_str_is(job->act, "renew")) {
		params[1] = number(a, whole_seconds(job->w->settings.auth_session_time));
		mr_txn_session(job->txn, MR_SESSION_RENEW, params, on_renewed, job);
		return;
	}
	if (mr_node_int(mr_node_get(job->args, "until"), &until))
		params[1] = time_text(a, until);
	mr_txn_session(job->txn, MR_SESSION_REVOKE, params, on_ended, job);
}
