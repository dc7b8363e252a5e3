#include "jwt.h"

#include <math.h>

#include "ground/hash.h"

enum { TOKEN_MAX = 16384, CLAIMS_DEPTH = 16, LEEWAY = 10 };

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

static const struct mr_node *bad(struct mr_error *err, const char *why)
{
	mr_fail(err, MR_BAD_TOKEN, "The token is refused: %s.", why);
	return NULL;
}

struct parts {
	struct mr_str signed_text, header, claims, mac;
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
	p->mac = (struct mr_str){dot2 + 1, (size_t)(end - dot2 - 1)};
	return true;
}

static bool signature_ok(const struct parts *p, struct mr_str secret)
{
	uint8_t want[32];
	struct mr_buf got = {0};
	mr_hmac_sha256(secret, p->signed_text, want);
	bool ok = mr_base64url_read(&got, p->mac) && got.n == sizeof(want) && mr_equal_ct(got.p, want, sizeof(want));
	mr_buf_fini(&got);
	return ok;
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

static bool passed_over(struct mr_str key)
{
	static const char *const names[] = {"sub", "userId", "iat", "exp", "nbf"};
	for (size_t i = 0; i < MR_COUNT(names); i++)
		if (mr_str_is(key, names[i]))
			return true;
	return false;
}

static const struct mr_node *identity(struct mr_arena *a, const struct mr_node *claims, const struct mr_node *sub)
{
	struct mr_node *map = mr_arena_alloc(a, sizeof(*map));
	map->kind = MR_MAP;
	map->items = mr_arena_alloc(a, (claims->n + 1) * sizeof(*map->items));
	map->items[map->n] = *sub;
	map->items[map->n++].key = MR_STR("userId");
	for (size_t i = 0; i < claims->n; i++)
		if (!passed_over(claims->items[i].key))
			map->items[map->n++] = claims->items[i];
	return map;
}

const struct mr_node *mr_jwt_verify(
	struct mr_arena *a, struct mr_str secret, struct mr_str token, int64_t now, int64_t *expires, struct mr_error *err)
{
	struct parts p;
	token = mr_str_solid(token);
	if (token.n > TOKEN_MAX)
		return bad(err, "it is longer than 16 KB");
	if (!split(token, &p))
		return bad(err, "it does not have three parts");
	/* Nothing of it is looked at before the signature is known to be ours. */
	if (!signature_ok(&p, secret))
		return bad(err, "its signature is wrong");
	const struct mr_node *header = read_part(a, p.header), *claims = read_part(a, p.claims);
	if (!header || !claims)
		return bad(err, "its parts are not JSON");
	if (!mr_str_is(mr_node_str(header, "alg"), "HS256") || mr_node_get(header, "crit"))
		return bad(err, "its algorithm is not HS256");
	const struct mr_node *sub = mr_node_get(claims, "sub");
	int64_t not_before;
	if (!sub || sub->kind != MR_STRING || !sub->text.n)
		return bad(err, "\"sub\" must name the user");
	if (!read_time(claims, "exp", expires) || !read_time(claims, "nbf", &not_before))
		return bad(err, "\"exp\" and \"nbf\" must be seconds since 1970");
	if (mr_node_get(claims, "exp") && now > *expires + LEEWAY) {
		mr_fail(err, MR_TOKEN_EXPIRED, "The token's time is over; get a new one.");
		return NULL;
	}
	if (now + LEEWAY < not_before)
		return bad(err, "it is not valid yet");
	return identity(a, claims, sub);
}
