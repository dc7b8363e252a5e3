#include "issuers.h"

enum { DEPTH = 8, URL_MOST = 2048 };

#define DISCOVERY "/.well-known/openid-configuration"

struct reading {
	struct mr_issuers *all;
	struct mr_str folder;
	bool plain;
	size_t i;
	struct mr_error *err;
};

static bool wrong(const struct reading *r, const char *member, const char *expected)
{
	return mr_fail(r->err, MR_BAD_VALUE, "auth_issuers: entry %zu: %s must be %s.", r->i + 1, member, expected);
}

static bool begins(struct mr_str text, struct mr_str with)
{
	return text.n >= with.n && memcmp(mr_str_solid(text).p, mr_str_solid(with).p, with.n) == 0;
}

bool mr_issuers_url(struct mr_str url, bool plain)
{
	if (url.n > URL_MOST || !(begins(url, MR_STR("https://")) || (plain && begins(url, MR_STR("http://")))))
		return false;
	for (size_t i = 0; i < url.n; i++)
		if (url.p[i] <= ' ' || url.p[i] > '~')
			return false;
	return true;
}

/* A text or an array of texts, none of them empty. */
static bool read_texts(const struct reading *r, const struct mr_node *n, const struct mr_str **out, size_t *count)
{
	const struct mr_node *from = n->kind == MR_ARRAY ? n->items : n;
	*count = n->kind == MR_ARRAY ? n->n : 1;
	struct mr_str *texts = mr_arena_alloc(&r->all->arena, MR_MAX(*count, (size_t)1) * sizeof(*texts));
	*out = texts;
	for (size_t i = 0; i < *count; i++) {
		if (from[i].kind != MR_STRING || !from[i].text.n)
			return false;
		texts[i] = mr_arena_str(&r->all->arena, from[i].text);
	}
	return true;
}

static bool read_name(struct reading *r, struct mr_issuer *to, const struct mr_node *n)
{
	if (!n || n->kind != MR_STRING || !n->text.n)
		return wrong(r, "issuer", "a text: the `iss` of its tokens");
	to->name = mr_arena_str(&r->all->arena, n->text);
	return true;
}

static bool read_audience(struct reading *r, struct mr_issuer *to, const struct mr_node *n)
{
	return (n && read_texts(r, n, &to->audiences, &to->n_audiences) && to->n_audiences) ||
	       wrong(r, "audience", "a text or an array of texts: the `aud` of tokens that are meant for this app");
}

static bool read_url(struct reading *r, struct mr_issuer *to, struct mr_str url, const char *member)
{
	to->is_url = true;
	to->jwks = mr_arena_z(&r->all->arena, url);
	return mr_issuers_url(url, r->plain) ||
	       wrong(r, member, r->plain ? "an http or https URL" : "an https URL (http is taken where auth_jwks_private is on)");
}

static bool discover(struct reading *r, struct mr_issuer *to)
{
	struct mr_str name = to->name;
	while (name.n && name.p[name.n - 1] == '/')
		name.n--;
	to->discovers = true;
	return read_url(r, to, mr_arena_printf(&r->all->arena, "%.*s%s", (int)name.n, name.p, DISCOVERY),
		"issuer, where jwks does not say where its keys are,");
}

static bool read_jwks(struct reading *r, struct mr_issuer *to, const struct mr_node *n)
{
	if (!n)
		return discover(r, to);
	if (n->kind != MR_STRING || !n->text.n)
		return wrong(r, "jwks", "a text: the URL of its keys, or the path of a file");
	if (memmem(n->text.p, n->text.n, "://", 3))
		return read_url(r, to, n->text, "jwks");
	bool whole = n->text.p[0] == '/' || !r->folder.n;
	struct mr_str path =
		whole ? n->text : mr_arena_printf(&r->all->arena, "%.*s/%.*s", (int)r->folder.n, r->folder.p, (int)n->text.n, n->text.p);
	to->jwks = mr_arena_z(&r->all->arena, path);
	return true;
}

static bool read_algorithms(struct reading *r, struct mr_issuer *to, const struct mr_node *n)
{
	const struct mr_str *texts = NULL;
	size_t count = 0;
	for (int i = 0; i < MR_JWAS; i++)
		to->algorithm[i] = !n;
	bool ok = !n || (read_texts(r, n, &texts, &count) && count);
	for (size_t i = 0; ok && i < count; i++) {
		enum mr_jwa alg = MR_RS256;
		ok = mr_jwa_by_name(texts[i], &alg);
		to->algorithm[alg] |= ok;
	}
	return ok || wrong(r, "algorithms", "an array of some of RS256, ES256, EdDSA (without it: all of them)");
}

static bool read_prefix(struct reading *r, struct mr_issuer *to, const struct mr_node *n)
{
	if (n && n->kind != MR_STRING)
		return wrong(r, "prefix", "a text: what userId begins with, before `sub`");
	to->prefix = n ? mr_arena_str(&r->all->arena, n->text) : MR_STR("");
	return true;
}

static bool read_claims(struct reading *r, struct mr_issuer *to, const struct mr_node *n)
{
	to->all_claims = !n;
	return !n || (n->kind == MR_ARRAY && read_texts(r, n, &to->claims, &to->n_claims)) ||
	       wrong(r, "claims", "an array of names: the claims that ctx.auth has (without it: all of them)");
}

static const struct {
	const char *name;
	bool (*read)(struct reading *r, struct mr_issuer *to, const struct mr_node *n); /* n NULL: it is absent */
} members[] = {
	{"issuer", read_name},
	{"audience", read_audience},
	{"jwks", read_jwks},
	{"algorithms", read_algorithms},
	{"prefix", read_prefix},
	{"claims", read_claims},
};

static bool known(struct mr_str member)
{
	for (size_t i = 0; i < MR_COUNT(members); i++)
		if (mr_str_is(member, members[i].name))
			return true;
	return false;
}

static bool read_issuer(struct reading *r, const struct mr_node *n)
{
	struct mr_issuer *to = &r->all->v[r->i];
	if (n->kind != MR_MAP)
		return wrong(r, "it", "an object with issuer, audience and jwks");
	for (size_t i = 0; i < n->n; i++)
		if (!known(n->items[i].key))
			return mr_fail(r->err, MR_BAD_VALUE,
				"auth_issuers: entry %zu: there is no member \"%.*s\"; known are issuer, audience, jwks, algorithms, "
				"prefix, claims.",
				r->i + 1, (int)MR_MIN(n->items[i].key.n, (size_t)40), n->items[i].key.p);
	for (size_t i = 0; i < MR_COUNT(members); i++)
		if (!members[i].read(r, to, mr_node_get(n, members[i].name)))
			return false;
	return true;
}

/* Users of two issuers are two users, whatever each calls them. */
static bool apart(struct reading *r)
{
	const struct mr_issuer *last = &r->all->v[r->i];
	for (size_t i = 0; i < r->i; i++) {
		if (mr_str_eq(r->all->v[i].name, last->name))
			return mr_fail(r->err, MR_BAD_VALUE, "auth_issuers: %.*s stands there twice; give it several audiences instead.",
				(int)last->name.n, last->name.p);
		if (mr_str_eq(r->all->v[i].prefix, last->prefix))
			return wrong(r, "prefix", "another one than that of each other entry: else users of two issuers would be one");
	}
	return !begins(last->prefix, MR_STR(MR_GUESTS)) || wrong(r, "prefix", "another one than \"guest:\", which is of guests");
}

bool mr_issuers_read(struct mr_issuers *all, struct mr_str json, struct mr_str folder, bool plain, struct mr_error *err)
{
	*all = (struct mr_issuers){0};
	struct mr_error why;
	const struct mr_node *root = mr_json_read(&all->arena, json, DEPTH, false, &why);
	bool ok = root && root->kind == MR_ARRAY;
	if (!ok)
		mr_fail(err, MR_BAD_VALUE, "auth_issuers: a JSON array was expected%s%s", root ? "." : ": ", root ? "" : why.message);
	struct reading r = {.all = all, .folder = folder, .plain = plain, .err = err};
	if (ok)
		all->v = mr_arena_alloc(&all->arena, MR_MAX(root->n, (size_t)1) * sizeof(*all->v));
	for (; ok && r.i < root->n; r.i++) {
		ok = read_issuer(&r, &root->items[r.i]) && apart(&r);
		all->n += ok;
	}
	if (!ok)
		mr_issuers_fini(all);
	return ok;
}

void mr_issuers_fini(struct mr_issuers *all)
{
	mr_arena_fini(&all->arena);
	*all = (struct mr_issuers){0};
}

int mr_issuers_find(const struct mr_issuers *all, struct mr_str name)
{
	for (size_t i = 0; i < all->n; i++)
		if (mr_str_eq(all->v[i].name, name))
			return (int)i;
	return -1;
}

bool mr_issuers_ambiguous(const struct mr_issuers *all, size_t i, struct mr_str user)
{
	struct mr_str own = all->v[i].prefix;
	if (sizeof(MR_GUESTS) - 1 > own.n && begins(user, MR_STR(MR_GUESTS)))
		return true;
	for (size_t k = 0; k < all->n; k++)
		if (all->v[k].prefix.n > own.n && begins(user, all->v[k].prefix))
			return true;
	return false;
}
