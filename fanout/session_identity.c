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

/* 0: never. */
static int64_t ends_at(const struct mr_caller *c)
{
	return c->expires ? (c->expires + mr_keys_leeway(c->session->all->f) + 1) * SECOND_US : 0;
}

/* When there is something to be said of it next, if ever. */
static void plan(struct mr_caller *c)
{
	struct mr_dues *expiries = &c->session->all->expiries;
	int64_t at = c->notice_us ? c->notice_us : ends_at(c);
	if (at)
		mr_dues_put(expiries, &c->due, at);
	else
		mr_dues_take(expiries, &c->due);
}

/* Who a token is of; NULL: nobody. The identity is kept as its text, no larger than it is: sessions are many. */
static struct mr_caller *new_caller(struct mr_session *s, const struct mr_token *t)
{
	if (!t->identity)
		return NULL;
	struct mr_buf json = {0};
	mr_json_canonical(&json, t->identity);
	struct mr_caller *c = mr_alloc(sizeof *c + json.n);
	*c = (struct mr_caller){
		.session = s, .expires = t->expires, .issued_ms = t->issued_ms, .has_auth_session = t->has_session, .n = json.n};
	memcpy(c->auth, json.p, json.n);
	memcpy(c->auth_session, t->session, sizeof c->auth_session);
	c->notice_us = notice_at(s, t->expires, mr_wall_us());
	plan(c);
	mr_bearers_put(c, MR_BEARERS_OF_USER, mr_node_str(t->identity, "userId"));
	mr_bearers_put(c, MR_BEARERS_OF_SESSION, (struct mr_str){(const char *)t->session, t->has_session ? sizeof t->session : 0});
	mr_buf_fini(&json);
	return c;
}

void mr_session_drop_identity(struct mr_session *s)
{
	if (!s->caller)
		return;
	mr_dues_take(&s->all->expiries, &s->caller->due);
	mr_bearers_leave(s->caller);
	free(s->caller);
	s->caller = NULL;
}

struct mr_str mr_session_whose(const struct mr_session *s)
{
	return s->caller ? (struct mr_str){s->caller->auth, s->caller->n} : (struct mr_str){0};
}

struct mr_str mr_session_identity(const struct mr_session *s)
{
	return s->caller && !s->caller->expired ? mr_session_whose(s) : (struct mr_str){0};
}

const uint8_t *mr_session_auth_session(const struct mr_session *s)
{
	return mr_session_identity(s).n && s->caller->has_auth_session ? s->caller->auth_session : NULL;
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
	if (ok) {
		struct mr_caller *c = new_caller(s, &t);
		mr_session_drop_identity(s);
		s->caller = c;
	}
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
	s->caller->expires = s->caller->notice_us = 0;
	s->caller->expired = true;
	plan(s->caller);
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

/* It has said hello, and nobody else has taken its place. */
static bool is_itself(const struct mr_session *s)
{
	return s->id.n && mr_map_get(&s->all->by_id, s->id) == s;
}

static void check(struct mr_session *s)
{
	struct mr_arena a = {0};
	struct mr_error err;
	if (!mr_session_identity(s).n || !is_itself(s))
		return;
	s->all->f->counter[MR_C_REVOCATION_LOOKS_TOTAL]++;
	struct mr_str user = mr_node_str(mr_session_auth(s, &a), "userId");
	if (!mr_revoked_check(s->all->f->revoked, mr_session_auth_session(s), user, s->caller->issued_ms, &err))
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

/* It ends where its token has, and is told before. */
static void look_at_time(struct mr_caller *c, int64_t now_us)
{
	struct mr_session *s = c->session;
	if (!is_itself(s)) {
		mr_dues_put(&s->all->expiries, &c->due, now_us + SECOND_US); /* refused, and about to go */
	} else if (now_us >= ends_at(c)) {
		expire(s);
	} else {
		c->notice_us = 0;
		plan(c);
		if (!s->live)
			send_expiry(s, MR_MAX(c->expires * SECOND_US - now_us, (int64_t)SECOND_US) / 1000, false);
	}
}

void mr_sessions_expire(struct mr_sessions *all)
{
	int64_t now_us = mr_wall_us();
	for (struct mr_due *d; (d = mr_dues_first(&all->expiries)) && d->at <= now_us;)
		look_at_time(MR_CONTAINER(d, struct mr_caller, due), now_us);
}
