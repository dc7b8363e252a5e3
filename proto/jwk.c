#include "jwk.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdlib.h>

#include "ground/hash.h"
#include "ground/log.h"
#include "ground/refs.h"

enum { SET_BYTES = 256 << 10, SET_DEPTH = 16, SET_KEYS = 100, RSA_LEAST = 2048, RSA_MOST = 8192, EXPONENT_BYTES = 8, COORDINATE = 32 };

struct mr_jwk {
	struct mr_str kid; /* empty: it has none */
	enum mr_jwa alg;
	EVP_PKEY *key;
};

struct mr_jwks {
	atomic_uint refs;
	struct mr_arena arena; /* ids */
	size_t n;
	struct mr_jwk keys[SET_KEYS];
};

static const char *const names[MR_JWAS] = {[MR_RS256] = "RS256", [MR_ES256] = "ES256", [MR_EDDSA] = "EdDSA"};

const char *mr_jwa_name(enum mr_jwa alg)
{
	return names[alg];
}

bool mr_jwa_by_name(struct mr_str name, enum mr_jwa *alg)
{
	for (int i = 0; i < MR_JWAS; i++)
		if (mr_str_is(name, names[i])) {
			*alg = (enum mr_jwa)i;
			return true;
		}
	return false;
}

/* --- one key --- */

static bool read_bytes(const struct mr_node *jwk, const char *name, struct mr_buf *out)
{
	struct mr_str text = mr_node_str(jwk, name);
	return text.n && mr_base64url_read(out, text) && out->n;
}

/* The key of these parameters; NULL: they are none, or not a point of the curve. */
static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *build)
{
	EVP_PKEY *key = NULL;
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
	EVP_PKEY_CTX *make = EVP_PKEY_CTX_new_from_name(NULL, type, NULL), *check = NULL;
	bool ok = params && make && EVP_PKEY_fromdata_init(make) == 1 && EVP_PKEY_fromdata(make, &key, EVP_PKEY_PUBLIC_KEY, params) == 1;
	ok = ok && (check = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL)) && EVP_PKEY_public_check(check) == 1;
	EVP_PKEY_CTX_free(check);
	EVP_PKEY_CTX_free(make);
	OSSL_PARAM_free(params);
	if (ok)
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

static EVP_PKEY *rsa_key(const struct mr_buf *n, const struct mr_buf *e)
{
	if (n->n > RSA_MOST / 8 + 1 || e->n > EXPONENT_BYTES)
		return NULL;
	EVP_PKEY *key = NULL;
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	BIGNUM *modulus = BN_bin2bn((const uint8_t *)n->p, (int)n->n, NULL), *exponent = BN_bin2bn((const uint8_t *)e->p, (int)e->n, NULL);
	MR_ASSERT(build && modulus && exponent);
	bool sound = BN_num_bits(modulus) >= RSA_LEAST && BN_num_bits(modulus) <= RSA_MOST && BN_is_odd(modulus) && BN_is_odd(exponent) &&
		     !BN_is_one(exponent);
	if (sound && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) &&
		OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent))
		key = from_params("RSA", build);
	BN_free(modulus);
	BN_free(exponent);
	OSSL_PARAM_BLD_free(build);
	return key;
}

static EVP_PKEY *p256_key(const struct mr_buf *x, const struct mr_buf *y)
{
	uint8_t point[1 + 2 * COORDINATE] = {POINT_CONVERSION_UNCOMPRESSED};
	if (x->n != COORDINATE || y->n != COORDINATE)
		return NULL;
	memcpy(point + 1, x->p, COORDINATE);
	memcpy(point + 1 + COORDINATE, y->p, COORDINATE);
	EVP_PKEY *key = NULL;
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	MR_ASSERT(build);
	if (OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
		OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)))
		key = from_params("EC", build);
	OSSL_PARAM_BLD_free(build);
	return key;
}

static EVP_PKEY *ed25519_key(const struct mr_buf *x)
{
	return x->n == COORDINATE ? EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const uint8_t *)x->p, x->n) : NULL;
}

static const struct kind {
	const char *kty, *crv; /* crv NULL: has none */
	enum mr_jwa alg;
	const char *first, *second; /* its members */
} kinds[] = {
	{"RSA", NULL, MR_RS256, "n", "e"},
	{"EC", "P-256", MR_ES256, "x", "y"},
	{"OKP", "Ed25519", MR_EDDSA, "x", NULL},
};

static const struct kind *kind_of(const struct mr_node *jwk)
{
	for (size_t i = 0; i < MR_COUNT(kinds); i++)
		if (mr_str_is(mr_node_str(jwk, "kty"), kinds[i].kty) && (!kinds[i].crv || mr_str_is(mr_node_str(jwk, "crv"), kinds[i].crv)))
			return &kinds[i];
	return NULL;
}

/* It is to verify signatures, by its own algorithm, as far as it says. */
static bool is_for_this(const struct mr_node *jwk, const struct kind *kind)
{
	const struct mr_node *alg = mr_node_get(jwk, "alg"), *use = mr_node_get(jwk, "use"), *ops = mr_node_get(jwk, "key_ops");
	if (alg && !mr_str_is(mr_node_str(jwk, "alg"), names[kind->alg]))
		return false;
	if (use && !mr_str_is(mr_node_str(jwk, "use"), "sig"))
		return false;
	if (!ops)
		return true;
	for (size_t i = 0; ops->kind == MR_ARRAY && i < ops->n; i++)
		if (ops->items[i].kind == MR_STRING && mr_str_is(ops->items[i].text, "verify"))
			return true;
	return false;
}

static EVP_PKEY *read_key(const struct mr_node *jwk, const struct kind *kind)
{
	struct mr_buf first = {0}, second = {0};
	EVP_PKEY *key = NULL;
	if (read_bytes(jwk, kind->first, &first) && (!kind->second || read_bytes(jwk, kind->second, &second)))
		key = kind->alg == MR_RS256   ? rsa_key(&first, &second)
		      : kind->alg == MR_ES256 ? p256_key(&first, &second)
					      : ed25519_key(&first);
	mr_buf_fini(&first);
	mr_buf_fini(&second);
	ERR_clear_error(); /* others of this thread ask OpenSSL about theirs */
	return key;
}

/* --- the set --- */

static const struct mr_jwk *find(const struct mr_jwks *set, struct mr_str kid)
{
	for (size_t i = 0; i < set->n; i++)
		if (mr_str_eq(set->keys[i].kid, kid))
			return &set->keys[i];
	return NULL;
}

static void add(struct mr_jwks *set, const struct mr_node *jwk)
{
	const struct kind *kind = jwk->kind == MR_MAP ? kind_of(jwk) : NULL;
	const struct mr_node *id = mr_node_get(jwk, "kid");
	struct mr_str kid = mr_node_str(jwk, "kid");
	if (set->n == SET_KEYS || !kind || !is_for_this(jwk, kind) || (id && id->kind != MR_STRING) || (kid.n && find(set, kid)))
		return;
	EVP_PKEY *key = read_key(jwk, kind);
	if (key)
		set->keys[set->n++] = (struct mr_jwk){kid.n ? mr_arena_str(&set->arena, kid) : kid, kind->alg, key};
}

static struct mr_jwks *read_set(const struct mr_node *root, struct mr_error *err)
{
	const struct mr_node *keys = mr_node_get(root, "keys");
	if (!keys || keys->kind != MR_ARRAY) {
		mr_fail(err, MR_BAD_VALUE, "it is no JSON Web Key Set: {\"keys\": [...]} was expected");
		return NULL;
	}
	struct mr_jwks *set = mr_alloc(sizeof(*set));
	set->refs = 1;
	for (size_t i = 0; i < keys->n; i++)
		add(set, &keys->items[i]);
	if (set->n)
		return set;
	mr_jwks_drop(&set);
	mr_fail(err, MR_BAD_VALUE,
		"none of its keys is of use: RSA of %d to %d bits (RS256), P-256 (ES256) or Ed25519 (EdDSA), for signatures, are",
		RSA_LEAST, RSA_MOST);
	return NULL;
}

struct mr_jwks *mr_jwks_read(struct mr_str json, struct mr_error *err)
{
	if (json.n > SET_BYTES) {
		mr_fail(err, MR_BAD_VALUE, "it is longer than %d KB", SET_BYTES >> 10);
		return NULL;
	}
	struct mr_arena a = {0};
	struct mr_jwks *set = NULL;
	struct mr_error why;
	const struct mr_node *root = mr_json_read(&a, json, SET_DEPTH, false, &why);
	if (root)
		set = read_set(root, err);
	else
		mr_fail(err, MR_BAD_VALUE, "it is not JSON");
	mr_arena_fini(&a);
	return set;
}

struct mr_jwks *mr_jwks_hold(struct mr_jwks *set)
{
	mr_refs_hold(&set->refs);
	return set;
}

void mr_jwks_drop(struct mr_jwks **s)
{
	struct mr_jwks *set = *s;
	*s = NULL;
	if (!set || !mr_refs_drop(&set->refs))
		return;
	for (size_t i = 0; i < set->n; i++)
		EVP_PKEY_free(set->keys[i].key);
	mr_arena_fini(&set->arena);
	free(set);
}

size_t mr_jwks_count(const struct mr_jwks *set)
{
	return set->n;
}

const struct mr_jwk *mr_jwks_find(const struct mr_jwks *set, struct mr_str kid)
{
	if (!kid.n)
		return set->n == 1 ? &set->keys[0] : NULL;
	return find(set, kid);
}

enum mr_jwa mr_jwk_alg(const struct mr_jwk *key)
{
	return key->alg;
}

/* --- signatures --- */

/* OpenSSL takes the two numbers of ES256 as DER. Appends it. */
static bool to_der(struct mr_str signature, struct mr_buf *der)
{
	if (signature.n != 2 * COORDINATE)
		return false;
	const uint8_t *p = (const uint8_t *)signature.p;
	ECDSA_SIG *both = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(p, COORDINATE, NULL), *s = BN_bin2bn(p + COORDINATE, COORDINATE, NULL);
	MR_ASSERT(both && r && s && ECDSA_SIG_set0(both, r, s) == 1);
	int n = i2d_ECDSA_SIG(both, NULL);
	MR_ASSERT(n > 0);
	uint8_t *at = (uint8_t *)mr_buf_room(der, (size_t)n);
	der->n += (size_t)i2d_ECDSA_SIG(both, &at);
	ECDSA_SIG_free(both);
	return true;
}

static bool signed_by(EVP_PKEY *key, const EVP_MD *digest, struct mr_str text, struct mr_str signature)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	MR_ASSERT(context);
	bool ok = EVP_DigestVerifyInit(context, NULL, digest, NULL, key) == 1 &&
		  EVP_DigestVerify(context, (const uint8_t *)signature.p, signature.n, (const uint8_t *)text.p, text.n) == 1;
	EVP_MD_CTX_free(context);
	ERR_clear_error();
	return ok;
}

bool mr_jwk_verify(const struct mr_jwk *key, struct mr_str text, struct mr_str signature)
{
	struct mr_buf der = {0};
	bool ok = false;
	switch (key->alg) {
	case MR_ES256:
		ok = to_der(signature, &der) && signed_by(key->key, EVP_sha256(), text, mr_buf_view(&der));
		break;
	case MR_RS256: /* PKCS #1 v1.5 is what OpenSSL does unless told otherwise */
		ok = signed_by(key->key, EVP_sha256(), text, signature);
		break;
	case MR_EDDSA:
		ok = signed_by(key->key, NULL, text, signature);
		break;
	case MR_JWAS:
		break;
	}
	mr_buf_fini(&der);
	return ok;
}
