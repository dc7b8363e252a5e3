/* Who a session's caller is: what a token says, for as long as it is good. The one that ends is told so before, and leaves a caller who is
 * nobody: what is bound to a user ends, all else goes on.
 */
#include <stdlib.h>

#include "bearers.h"
#include "keys.h"
#include "proto/ground/log.h"
#include "revoked.h"
#include "session.h"

enum { IDENTITY_DEPTH = 64 /* at least what a token may have */, SECOND_US = 1000 * 1000 };

/* When it is told that its token ends: not at once, however short the token lives, else it would bring one after the other. */
static int64_t notice_at(const struct mr_session *s, int64_t expires, int64_t now_us)
{
	int64_t left = expires * SECOND_US - now_us, notice = s->all->f->settings.auth_notice * 1000;
	return expires && notice && left > 0 ? expires * SECOND_US - MR_MIN(notice, left / 2) : 0;
}

/* The identity as its text, no larger than it is: sessions are many. */
static void keep(struct mr_session *s, const struct mr_token *t)
{
	const struct mr_node *auth = t->identity;
	struct mr_buf json = {0};
	if (auth)
		mr_json_canonical(&json, auth);
	free((char *)s->auth.p);
	s->expires = t->expires;
	s->issued_ms = t->issued_ms;
	s->has_auth_session = t->has_session;
	memcpy(s->auth_session, t->session, sizeof s->auth_session);
	mr_bearers_put(s, MR_BEARERS_OF_USER, mr_node_str(auth, "userId"));
	mr_bearers_put(s, MR_BEARERS_OF_SESSION, (struct mr_str){(const char *)t->session, t->has_session ? sizeof t->session : 0});
	s->notice_us = notice_at(s, t->expires, mr_wall_us());
	s->expired = false;
	s->auth = (struct mr_str){auth ? mr_strndup(json.p, json.n) : NULL, json.n};
	mr_buf_fini(&json);
}

struct mr_str mr_session_identity(const struct mr_session *s)
{
	return s->expired ? (struct mr_str){0} : s->auth;
}

const uint8_t *mr_session_auth_session(const struct mr_session *s)
{
	return s->has_auth_session && !s->expired ? s->auth_session : NULL;
}

const struct mr_node *mr_session_auth(const struct mr_session *s, struct mr_arena *a)
{
	struct mr_error ignored;
	struct mr_str text = mr_session_identity(s);
	if (!text.n)
		return NULL;
	const struct mr_node *auth = mr_json_read(a, text, IDENTITY_DEPTH, false, &ignored);
	MR_ASSERT(auth);
	return auth;
}

bool mr_session_take_identity(struct mr_session *s, struct mr_str token, struct mr_error *err)
{
	struct mr_arena a = {0};
	struct mr_token t = {0};
	struct mr_fanout *f = s->all->f;
	bool ok = !token.n || (mr_keys_verify(f, &a, token, &t, err) && mr_revoked_check_token(f->revoked, &t, err));
	if (ok)
		keep(s, &t);
	mr_arena_fini(&a);
	return ok;
}

void mr_session_change_identity(struct mr_session *s, const struct mr_node *m)
{
	struct mr_error err;
	struct mr_buf was = {0};
	mr_buf_str(&was, mr_session_identity(s));
	if (!mr_session_take_identity(s, mr_node_str(m, "token"), &err)) {
		bool later = err.code == MR_KEYS_UNAVAILABLE; /* it comes back with the token, as at hello */
		mr_session_error(s, &err, 0, later);
		if (later)
			mr_session_close(s, 4000, mr_code_name(err.code));
	} else {
		mr_session_welcome(s);
		if (!mr_str_eq(mr_buf_view(&was), mr_session_identity(s)))
			mr_session_reidentify(s);
	}
	mr_buf_fini(&was);
}

static void send_expiry(struct mr_session *s, int64_t in_ms, bool revoked)
{
	struct mr_buf b = {0};
	struct mr_enc e;
	mr_enc_init(&e, &b, s->encoding);
	mr_enc_map(&e, 2 + revoked);
	mr_enc_key(&e, MR_STR("t"));
	mr_enc_str(&e, MR_STR("expiry"));
	mr_enc_key(&e, MR_STR("in"));
	mr_enc_int(&e, in_ms);
	if (revoked) {
		mr_enc_key(&e, MR_STR("revoked"));
		mr_enc_bool(&e, true);
	}
	mr_enc_end(&e);
	mr_session_send(s, mr_buf_view(&b));
	mr_buf_fini(&b);
}

/* The caller is nobody, until another token comes. A stream of events cannot bring one: it ends. */
static void end(struct mr_session *s, const struct mr_error *why)
{
	s->expires = s->notice_us = 0;
	s->expired = true;
	if (s->live) {
		mr_session_error(s, why, 0, true);
		return;
	}
	send_expiry(s, 0, why->code == MR_SESSION_REVOKED);
	mr_session_welcome(s);
	mr_session_reidentify(s);
}

static void expire(struct mr_session *s)
{
	struct mr_error err;
	mr_fail(&err, MR_TOKEN_EXPIRED, "The token has expired; connect again with a new one.");
	end(s, &err);
}

static void check(struct mr_session *s)
{
	struct mr_arena a = {0};
	struct mr_error err;
	if (!mr_session_identity(s).n || mr_map_get(&s->all->by_id, s->id) != s)
		return;
	s->all->f->counter[MR_C_REVOCATION_LOOKS_TOTAL]++;
	struct mr_str user = mr_node_str(mr_session_auth(s, &a), "userId");
	if (!mr_revoked_check(s->all->f->revoked, mr_session_auth_session(s), user, s->issued_ms, &err))
		end(s, &err);
	mr_arena_fini(&a);
}

void mr_sessions_revoke(struct mr_sessions *all)
{
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&all->by_id, &i, &key, &value);)
		check(value);
}

void mr_sessions_revoke_user(struct mr_sessions *all, struct mr_str user)
{
	mr_bearers_each(all, MR_BEARERS_OF_USER, user, check);
}

void mr_sessions_revoke_session(struct mr_sessions *all, const uint8_t session[16])
{
	mr_bearers_each(all, MR_BEARERS_OF_SESSION, (struct mr_str){(const char *)session, 16}, check);
}

void mr_sessions_expire(struct mr_sessions *all)
{
	int64_t now_us = mr_wall_us(), leeway = mr_keys_leeway(all->f);
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&all->by_id, &i, &key, &value);) {
		struct mr_session *s = value;
		if (s->expires && now_us / SECOND_US > s->expires + leeway) {
			expire(s);
		} else if (s->notice_us && now_us >= s->notice_us) {
			s->notice_us = 0;
			if (!s->live)
				send_expiry(s, MR_MAX(s->expires * SECOND_US - now_us, (int64_t)SECOND_US) / 1000, false);
		}
	}
}
