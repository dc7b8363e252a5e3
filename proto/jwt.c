#include "jwt.h"

#include <math.h>

#include "ground/hash.h"
#include "value.h"

enum { TOKEN_MAX = 16384, CLAIMS_DEPTH = 16 };

void mr_jwt_sign(struct mr_buf *out, struct mr_str secret, struct mr_str claims)
{
	size_t start = out->n;
	mr_base64url(out, MR_STR("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"));
	mr_buf_char(out, '.');
	mr_base64url(out, claims);
	uint8_t mac[32];
	mr_hmac_sha256(secret, (struct mr_str){out->p + start, out->n - start}, mac);
	mr_buf_char(out, '.');
	mr_base64url(out, (struct mr_str){(const char *)mac, sizeof(mac)});
}

static bool bad(struct mr_error *err, const char *why)
{
	return mr_fail(err, MR_BAD_TOKEN, "The token is refused: %s.", why);
}

struct parts {
	struct mr_str signed_text, header, claims, signature;
};

static bool split(struct mr_str token, struct parts *p)
{
	const char *end = token.p + token.n;
	const char *dot1 = token.n ? memchr(token.p, '.', token.n) : NULL;
	const char *dot2 = dot1 ? memchr(dot1 + 1, '.', (size_t)(end - dot1 - 1)) : NULL;
	if (!dot2)
		return false;
	p->signed_text = (struct mr_str){token.p, (size_t)(dot2 - token.p)};
	p->header = (struct mr_str){token.p, (size_t)(dot1 - token.p)};
	p->claims = (struct mr_str){dot1 + 1, (size_t)(dot2 - dot1 - 1)};
	p->signature = (struct mr_str){dot2 + 1, (size_t)(end - dot2 - 1)};
	return true;
}

/* A base64url part that holds a JSON map, or NULL. */
static const struct mr_node *read_part(struct mr_arena *a, struct mr_str part)
{
	struct mr_buf b = {0};
	struct mr_error err;
	const struct mr_node *n = NULL;
	if (mr_base64url_read(&b, part))
		n = mr_json_read(a, mr_arena_str(a, mr_buf_view(&b)), CLAIMS_DEPTH, false, &err);
	mr_buf_fini(&b);
	return n && n->kind == MR_MAP ? n : NULL;
}

/* A time in seconds, perhaps with a fraction; 0 when absent. */
static bool read_time(const struct mr_node *claims, const char *name, int64_t *t)
{
	const struct mr_node *n = mr_node_get(claims, name);
	double d;
	*t = 0;
	if (!n)
		return true;
	if (!mr_node_double(n, &d) || !(d >= 0 && d < 1e15))
		return false;
	*t = (int64_t)floor(d);
	return true;
}

/* When it was issued, to the millisecond if it says so. */
static int64_t issued_ms(const struct mr_node *claims)
{
	double seconds;
	if (!mr_node_double(mr_node_get(claims, "iat"), &seconds) || !(seconds >= 0 && seconds < 1e12))
		return 0;
	return (int64_t)llround(seconds * 1000);
}

/* What `sub` says already, and what is another with each token of the same caller. */
static bool passed_over(struct mr_str claim)
{
	static const char *const names[] = {"sub", "userId", "iat", "exp", "nbf", "jti", "nonce", "at_hash", "c_hash"};
	for (size_t i = 0; i < MR_COUNT(names); i++)
		if (mr_str_is(claim, names[i]))
			return true;
	return false;
}

static bool kept(const struct mr_issuer *issuer, struct mr_str claim)
{
	if (passed_over(claim) || (!issuer && mr_str_is(claim, "sid")))
		return false;
	if (!issuer || issuer->all_claims)
		return true;
	for (size_t i = 0; i < issuer->n_claims; i++)
		if (mr_str_eq(issuer->claims[i], claim))
			return true;
	return false;
}

static const struct mr_node *identity(
	struct mr_arena *a, const struct mr_issuer *issuer, const struct mr_node *claims, const struct mr_node *user)
{
	struct mr_node *map = mr_arena_alloc(a, sizeof(*map));
	map->kind = MR_MAP;
	map->items = mr_arena_alloc(a, (claims->n + 1) * sizeof(*map->items));
	map->items[map->n] = *user;
	map->items[map->n++].key = MR_STR("userId");
	for (size_t i = 0; i < claims->n; i++)
		if (kept(issuer, claims->items[i].key))
			map->items[map->n++] = claims->items[i];
	return map;
}

/* --- whose it is --- */

static bool our_signature(const struct parts *p, struct mr_str secret)
{
	uint8_t want[32];
	struct mr_buf got = {0};
	mr_hmac_sha256(secret, p->signed_text, want);
	bool ok = mr_base64url_read(&got, p->signature) && got.n == sizeof(want) && mr_equal_ct(got.p, want, sizeof(want));
	mr_buf_fini(&got);
	return ok;
}

static bool their_signature(const struct parts *p, const struct mr_jwk *key)
{
	struct mr_buf signature = {0};
	bool ok = mr_base64url_read(&signature, p->signature) && mr_jwk_verify(key, p->signed_text, mr_buf_view(&signature));
	mr_buf_fini(&signature);
	return ok;
}

/* The set lacks the key. Is it a new one? What the token says of its age is believed: at worst the keys are read again in a while. */
static bool no_key(
	const struct mr_issuer_keys *keys, const struct mr_trust *trust, const struct mr_node *claims, int64_t now, struct mr_error *err)
{
	int64_t issued;
	bool newer = read_time(claims, "iat", &issued) && issued + trust->leeway > keys->read;
	if (keys->set && now < keys->fresh && !newer)
		return bad(err, "it is signed with a key that its issuer does not have");
	return mr_fail(err, MR_KEYS_UNAVAILABLE, "The keys of the token's issuer are being read; send it again in a moment.");
}

static bool of_issuer(const struct parts *p, const struct mr_trust *trust, const struct mr_node *header, const struct mr_node *claims,
	int64_t now, int *issuer, struct mr_error *err)
{
	const struct mr_node *kid = mr_node_get(header, "kid");
	enum mr_jwa alg;
	if (!mr_jwa_by_name(mr_node_str(header, "alg"), &alg))
		return bad(err, "its algorithm is none of HS256, RS256, ES256, EdDSA");
	*issuer = trust->issuers ? mr_issuers_find(trust->issuers, mr_node_str(claims, "iss")) : -1;
	if (*issuer < 0)
		return bad(err, "its issuer (\"iss\") is none of auth_issuers");
	if (kid && (kid->kind != MR_STRING || !kid->text.n))
		return bad(err, "\"kid\" must be a text");
	const struct mr_issuer_keys *keys = &trust->keys[*issuer];
	const struct mr_jwk *key = keys->set ? mr_jwks_find(keys->set, mr_node_str(header, "kid")) : NULL;
	if (!key && keys->set && !kid)
		return bad(err, "it does not say which key of its issuer it is signed with (\"kid\")");
	if (!key)
		return no_key(keys, trust, claims, now, err);
	if (alg != mr_jwk_alg(key) || !trust->issuers->v[*issuer].algorithm[alg])
		return bad(err, "its algorithm is not that of its key, or not one of its issuer");
	return their_signature(p, key) || bad(err, "its signature is wrong");
}

/* --- what it says --- */

static bool is_for_us(const struct mr_issuer *issuer, const struct mr_node *audience)
{
	const struct mr_node *all = audience && audience->kind == MR_ARRAY ? audience->items : audience;
	size_t n = !audience ? 0 : audience->kind == MR_ARRAY ? audience->n : 1;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < issuer->n_audiences; k++)
			if (all[i].kind == MR_STRING && mr_str_eq(all[i].text, issuer->audiences[k]))
				return true;
	return false;
}

static bool young_enough(const struct mr_trust *trust, int64_t now, struct mr_token *t, struct mr_error *err)
{
	int64_t issued = t->issued_ms / 1000, most = issued + trust->max_age;
	if (!trust->max_age)
		return true;
	if (!t->issued_ms)
		return bad(err, "\"iat\" must say when it was issued (setting auth_token_max_age)");
	if (issued > now + trust->leeway)
		return bad(err, "it was issued in the future");
	t->expires = t->expires ? MR_MIN(t->expires, most) : most;
	return now <= t->expires + trust->leeway ||
	       mr_fail(err, MR_TOKEN_EXPIRED, "The token is older than any may be (setting auth_token_max_age); get a new one.");
}

static bool in_time(const struct mr_trust *trust, const struct mr_node *claims, int64_t now, struct mr_token *t, struct mr_error *err)
{
	int64_t not_before;
	const struct mr_node *end = mr_node_get(claims, "exp");
	if (!read_time(claims, "exp", &t->expires) || !read_time(claims, "nbf", &not_before))
		return bad(err, "\"exp\" and \"nbf\" must be seconds since 1970");
	if (!end && t->issuer >= 0)
		return bad(err, "\"exp\" must say when it expires");
	if (end && now > t->expires + trust->leeway)
		return mr_fail(err, MR_TOKEN_EXPIRED, "The token's time is over; get a new one.");
	return now + trust->leeway >= not_before || bad(err, "it is not valid yet");
}

static bool read_user(
	struct mr_arena *a, const struct mr_trust *trust, const struct mr_node *claims, struct mr_token *t, struct mr_error *err)
{
	const struct mr_node *sub = mr_node_get(claims, "sub");
	const struct mr_issuer *issuer = t->issuer >= 0 ? &trust->issuers->v[t->issuer] : NULL;
	if (!sub || sub->kind != MR_STRING || !sub->text.n)
		return bad(err, "\"sub\" must name the user");
	struct mr_node user = {.kind = MR_STRING, .text = sub->text};
	if (issuer && issuer->prefix.n)
		user.text = mr_arena_printf(a, "%.*s%.*s", (int)issuer->prefix.n, issuer->prefix.p, (int)sub->text.n, sub->text.p);
	if (issuer && mr_issuers_ambiguous(trust->issuers, (size_t)t->issuer, user.text))
		return bad(err, "its \"sub\" begins like the users of another issuer");
	t->identity = identity(a, issuer, claims, &user);
	t->has_session = !issuer && mr_uuid_read(mr_node_str(claims, "sid"), t->session);
	return true;
}

bool mr_jwt_verify(
	struct mr_arena *a, const struct mr_trust *trust, struct mr_str token, int64_t now, struct mr_token *t, struct mr_error *err)
{
	struct parts p;
	*t = (struct mr_token){.issuer = -1};
	token = mr_str_solid(token);
	if (token.n > TOKEN_MAX)
		return bad(err, "it is longer than 16 KB");
	if (!split(token, &p))
		return bad(err, "it does not have three parts");
	/* Before the signature is known to be right they are asked for no more than whose key and which. */
	const struct mr_node *header = read_part(a, p.header), *claims = read_part(a, p.claims);
	if (!header || !claims)
		return bad(err, "its parts are not JSON");
	if (mr_node_get(header, "crit"))
		return bad(err, "it asks for extensions (\"crit\")");
	if (!mr_str_is(mr_node_str(header, "alg"), "HS256")) {
		if (!of_issuer(&p, trust, header, claims, now, &t->issuer, err))
			return false;
		if (!is_for_us(&trust->issuers->v[t->issuer], mr_node_get(claims, "aud")))
			return bad(err, "it is meant for others: its audience (\"aud\") is none of auth_issuers");
	} else if (!our_signature(&p, trust->secret)) {
		return bad(err, "its signature is wrong");
	}
	t->issued_ms = issued_ms(claims);
	return in_time(trust, claims, now, t, err) && young_enough(trust, now, t, err) && read_user(a, trust, claims, t, err);
}
