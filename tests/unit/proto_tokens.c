/* Tokens: those of our own, and those of issuers, signed here with real keys. */
#include "tests/unit/vectors.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "proto/ground/hash.h"
#include "proto/jwt.h"

#define SECRET MR_STR("a secret of thirty-two characters")

/* --- verifying --- */

static bool verify_by(
	struct mr_arena *a, const struct mr_trust *trust, struct mr_str token, int64_t now, struct mr_token *t, struct mr_error *err)
{
	char *exact = malloc(token.n ? token.n : 1);
	memcpy(exact, mr_str_solid(token).p, token.n);
	bool ok = mr_jwt_verify(a, trust, (struct mr_str){exact, token.n}, now, t, err);
	free(exact);
	return ok;
}

static const struct mr_trust own = {.secret = {"a secret of thirty-two characters", 33}, .leeway = 10};

static void tokens(void **state)
{
	static const struct {
		const char *claims;
		enum mr_code code;
		int64_t expires;
		const char *identity;
	} cases[] = {
		{"{\"sub\":\"ann\"}", MR_OK, 0, "{\"userId\":\"ann\"}"},
		{"{\"sub\":\"ann\",\"exp\":2000,\"iat\":1,\"nbf\":1,\"role\":\"x\",\"userId\":\"bob\"}", MR_OK, 2000,
			"{\"role\":\"x\",\"userId\":\"ann\"}"},
		{"{\"sub\":\"ann\",\"jti\":\"7\",\"nonce\":\"8\",\"at_hash\":\"9\",\"c_hash\":\"0\"}", MR_OK, 0, "{\"userId\":\"ann\"}"},
		{"{\"sub\":\"ann\",\"sid\":\"018f2e4c-1b2a-7c3d-8e4f-5a6b7c8d9e0f\",\"role\":\"x\"}", MR_OK, 0,
			"{\"role\":\"x\",\"userId\":\"ann\"}"},
		{"{\"sub\":\"ann\",\"exp\":990}", MR_OK, 990, "{\"userId\":\"ann\"}"},
		{"{\"sub\":\"ann\",\"exp\":989.5}", MR_TOKEN_EXPIRED, 0, NULL},
		{"{\"sub\":\"ann\",\"exp\":0}", MR_TOKEN_EXPIRED, 0, NULL},
		{"{\"sub\":\"ann\",\"nbf\":1010}", MR_OK, 0, "{\"userId\":\"ann\"}"},
		{"{\"sub\":\"ann\",\"nbf\":1011}", MR_BAD_TOKEN, 0, NULL},
		{"{\"sub\":\"ann\",\"exp\":\"2000\"}", MR_BAD_TOKEN, 0, NULL},
		{"{\"sub\":\"ann\",\"exp\":-1}", MR_BAD_TOKEN, 0, NULL},
		{"{\"sub\":\"ann\",\"exp\":1e300}", MR_BAD_TOKEN, 0, NULL},
		{"{\"sub\":\"ann\",\"sub\":\"bob\"}", MR_BAD_TOKEN, 0, NULL},
		{"{\"sub\":5}", MR_BAD_TOKEN, 0, NULL},
		{"{\"sub\":\"\"}", MR_BAD_TOKEN, 0, NULL},
		{"{}", MR_BAD_TOKEN, 0, NULL},
		{"[]", MR_BAD_TOKEN, 0, NULL},
		{"{\"sub\":\"ann\"", MR_BAD_TOKEN, 0, NULL},
	};
	for (size_t i = 0; i < MR_COUNT(cases); i++) {
		struct mr_arena a = {0};
		struct mr_buf token = {0}, shown = {0};
		struct mr_error err = {0};
		struct mr_token t;
		mr_jwt_sign(&token, SECRET, mr_str(cases[i].claims));
		if (mr_jwt_verify(&a, &own, mr_buf_view(&token), 1000, &t, &err)) {
			mr_json_canonical(&shown, t.identity);
			assert_string_equal(shown.p, cases[i].identity);
			assert_true(t.expires == cases[i].expires && t.issuer == -1);
		}
		assert_int_equal(err.code, cases[i].code);
		mr_buf_fini(&token);
		mr_buf_fini(&shown);
		mr_arena_fini(&a);
	}
}

/* Of which session a token is, and when it was issued, says nothing of who its bearer is. */
static void sessions(void **state)
{
	static const struct {
		const char *claims;
		bool has_session;
		int64_t issued_ms;
	} cases[] = {
		{"{\"sub\":\"a\",\"sid\":\"018F2e4c-1b2a-7c3d-8e4f-5a6b7c8d9e0f\",\"iat\":12.345}", true, 12345},
		{"{\"sub\":\"a\",\"sid\":\"018f2e4c1b2a7c3d8e4f5a6b7c8d9e0f\",\"iat\":12}", false, 12000},
		{"{\"sub\":\"a\",\"sid\":7}", false, 0},
		{"{\"sub\":\"a\",\"iat\":\"12\"}", false, 0},
		{"{\"sub\":\"a\",\"iat\":-1}", false, 0},
		{"{\"sub\":\"a\",\"iat\":1e300}", false, 0},
		{"{\"sub\":\"a\",\"iat\":1790000000.123}", false, 1790000000123},
	};
	for (size_t i = 0; i < MR_COUNT(cases); i++) {
		struct mr_arena a = {0};
		struct mr_buf token = {0};
		struct mr_error err;
		struct mr_token t;
		mr_jwt_sign(&token, SECRET, mr_str(cases[i].claims));
		assert_true(mr_jwt_verify(&a, &own, mr_buf_view(&token), 1790000001, &t, &err));
		assert_int_equal(t.has_session, cases[i].has_session);
		assert_int_equal(t.issued_ms, cases[i].issued_ms);
		assert_int_equal(t.session[0], cases[i].has_session ? 1 : 0);
		mr_buf_fini(&token);
		mr_arena_fini(&a);
	}
}

/* However long a token says it is good: not longer than max_age after it was issued. */
static void too_old(void **state)
{
	static const struct mr_trust most = {.secret = {"a secret of thirty-two characters", 33}, .leeway = 10, .max_age = 100};
	static const struct {
		const char *claims;
		enum mr_code code;
		int64_t expires;
	} cases[] = {
		{"{\"sub\":\"a\",\"iat\":950}", MR_OK, 1050},
		{"{\"sub\":\"a\",\"iat\":950,\"exp\":1020}", MR_OK, 1020},
		{"{\"sub\":\"a\",\"iat\":950,\"exp\":9000}", MR_OK, 1050},
		{"{\"sub\":\"a\",\"iat\":890.9,\"exp\":9000}", MR_OK, 990},
		{"{\"sub\":\"a\",\"iat\":889.9,\"exp\":9000}", MR_TOKEN_EXPIRED, 0},
		{"{\"sub\":\"a\",\"iat\":889}", MR_TOKEN_EXPIRED, 0},
		{"{\"sub\":\"a\",\"iat\":950,\"exp\":989}", MR_TOKEN_EXPIRED, 0},
		{"{\"sub\":\"a\",\"iat\":1010}", MR_OK, 1110},
		{"{\"sub\":\"a\",\"iat\":1011}", MR_BAD_TOKEN, 0},
		{"{\"sub\":\"a\",\"iat\":9e11}", MR_BAD_TOKEN, 0},
		{"{\"sub\":\"a\",\"iat\":1e300}", MR_BAD_TOKEN, 0},
		{"{\"sub\":\"a\",\"iat\":\"950\"}", MR_BAD_TOKEN, 0},
		{"{\"sub\":\"a\",\"exp\":2000}", MR_BAD_TOKEN, 0},
	};
	for (size_t i = 0; i < MR_COUNT(cases); i++) {
		struct mr_arena a = {0};
		struct mr_buf token = {0};
		struct mr_error err = {0};
		struct mr_token t;
		mr_jwt_sign(&token, SECRET, mr_str(cases[i].claims));
		if (mr_jwt_verify(&a, &most, mr_buf_view(&token), 1000, &t, &err))
			assert_int_equal(t.expires, cases[i].expires);
		if (err.code != cases[i].code)
			fail_msg("%s: %s", cases[i].claims, mr_code_name(err.code));
		mr_buf_fini(&token);
		mr_arena_fini(&a);
	}
}

/* header.claims with a dot between. */
static void add_parts(struct mr_buf *token, const char *header, const char *claims)
{
	mr_base64url(token, mr_str(header));
	mr_buf_char(token, '.');
	mr_base64url(token, mr_str(claims));
}

static void add_mac(struct mr_buf *token, struct mr_str secret)
{
	uint8_t mac[32];
	mr_hmac_sha256(secret, mr_buf_view(token), mac);
	mr_buf_char(token, '.');
	mr_base64url(token, (struct mr_str){(const char *)mac, 32});
}

static void rule_28_forged_tokens(void **state)
{
	struct mr_arena a = {0};
	struct mr_buf token = {0}, other = {0};
	struct mr_error err;
	struct mr_token t;
	mr_jwt_sign(&token, SECRET, MR_STR("{\"sub\":\"ann\"}"));
	assert_true(verify_by(&a, &own, mr_buf_view(&token), 0, &t, &err));
	for (size_t i = 0; i < token.n; i++) {
		char was = token.p[i];
		token.p[i] = was == 'A' ? 'B' : 'A';
		assert_false(verify_by(&a, &own, mr_buf_view(&token), 0, &t, &err));
		assert_int_equal(err.code, MR_BAD_TOKEN);
		token.p[i] = was;
		assert_false(verify_by(&a, &own, (struct mr_str){token.p, i}, 0, &t, &err));
	}
	mr_jwt_sign(&other, MR_STR("another secret"), MR_STR("{\"sub\":\"ann\"}"));
	assert_false(verify_by(&a, &own, mr_buf_view(&other), 0, &t, &err));
	/* "none", and a good signature over another algorithm's name. */
	static const char *const headers[] = {"{\"alg\":\"none\"}", "{\"alg\":\"HS512\"}", "{\"alg\":\"RS256\"}", "{\"alg\":\"hs256\"}",
		"{\"alg\":\"HS256\",\"crit\":[\"x\"]}", "{\"alg\":\"HS256\",\"alg\":\"HS256\"}", "{\"alg\":[\"HS256\"]}", "{}"};
	for (size_t i = 0; i < MR_COUNT(headers); i++) {
		mr_buf_reset(&other);
		add_parts(&other, headers[i], "{\"sub\":\"ann\"}");
		mr_buf_char(&other, '.');
		assert_false(verify_by(&a, &own, mr_buf_view(&other), 0, &t, &err));
		mr_buf_reset(&other);
		add_parts(&other, headers[i], "{\"sub\":\"ann\"}");
		add_mac(&other, SECRET);
		assert_false(verify_by(&a, &own, mr_buf_view(&other), 0, &t, &err));
		assert_int_equal(err.code, MR_BAD_TOKEN);
	}
	assert_false(mr_jwt_verify(&a, &own, mr_str(NULL), 0, &t, &err));
	mr_buf_fini(&token);
	mr_buf_fini(&other);
	mr_arena_fini(&a);
}

/* --- keys --- */

enum { RSA_ONE, RSA_TWO, EC_ONE, ED_ONE, KEYS };
static EVP_PKEY *keys[KEYS];
static const char *const kids[KEYS] = {"rsa", "rsa-2", "ec", "ed"};

static int make_keys(void **state)
{
	keys[RSA_ONE] = EVP_RSA_gen(2048);
	keys[RSA_TWO] = EVP_RSA_gen(2048);
	keys[EC_ONE] = EVP_EC_gen("P-256");
	keys[ED_ONE] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	return 0;
}

static int free_keys(void **state)
{
	for (int i = 0; i < KEYS; i++)
		EVP_PKEY_free(keys[i]);
	return 0;
}

static void add_number(struct mr_buf *out, const char *member, const EVP_PKEY *key, const char *param, int bytes)
{
	uint8_t raw[2048];
	BIGNUM *n = NULL;
	assert_int_equal(EVP_PKEY_get_bn_param(key, param, &n), 1);
	int size = bytes ? BN_bn2binpad(n, raw, bytes) : BN_bn2bin(n, raw);
	BN_free(n);
	mr_buf_printf(out, ",\"%s\":\"", member);
	mr_base64url(out, (struct mr_str){(const char *)raw, (size_t)size});
	mr_buf_char(out, '"');
}

/* A JWK; kid NULL: without. more: members before the others, each with a comma after it. */
static void add_jwk(struct mr_buf *out, const EVP_PKEY *key, const char *kid, const char *more)
{
	mr_buf_printf(out, "{%s", more);
	if (kid)
		mr_buf_printf(out, "\"kid\":\"%s\",", kid);
	if (EVP_PKEY_is_a(key, "RSA")) {
		mr_buf_z(out, "\"kty\":\"RSA\"");
		add_number(out, "n", key, OSSL_PKEY_PARAM_RSA_N, 0);
		add_number(out, "e", key, OSSL_PKEY_PARAM_RSA_E, 0);
	} else if (EVP_PKEY_is_a(key, "EC")) {
		mr_buf_z(out, "\"kty\":\"EC\",\"crv\":\"P-256\"");
		add_number(out, "x", key, OSSL_PKEY_PARAM_EC_PUB_X, 32);
		add_number(out, "y", key, OSSL_PKEY_PARAM_EC_PUB_Y, 32);
	} else {
		uint8_t raw[32];
		size_t n = sizeof raw;
		assert_int_equal(EVP_PKEY_get_raw_public_key(key, raw, &n), 1);
		mr_buf_z(out, "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"");
		mr_base64url(out, (struct mr_str){(const char *)raw, n});
		mr_buf_char(out, '"');
	}
	mr_buf_char(out, '}');
}

static struct mr_jwks *set_of(const char *const *texts, size_t n, struct mr_error *err)
{
	struct mr_buf json = {0};
	mr_buf_z(&json, "{\"keys\":[");
	for (size_t i = 0; i < n; i++)
		mr_buf_printf(&json, "%s%s", i ? "," : "", texts[i]);
	mr_buf_z(&json, "]}");
	struct mr_jwks *set = mr_jwks_read(mr_buf_view(&json), err);
	mr_buf_fini(&json);
	return set;
}

static char *jwk(int key, const char *kid, const char *more)
{
	struct mr_buf b = {0};
	add_jwk(&b, keys[key], kid, more);
	return mr_buf_take(&b);
}

static struct mr_jwks *all_keys(void)
{
	char *texts[KEYS];
	struct mr_error err;
	for (int i = 0; i < KEYS; i++)
		texts[i] = jwk(i, kids[i], i == RSA_ONE ? "\"alg\":\"RS256\",\"use\":\"sig\",\"x5c\":[\"x\"]," : "");
	struct mr_jwks *set = set_of((const char *const *)texts, KEYS, &err);
	for (int i = 0; i < KEYS; i++)
		free(texts[i]);
	assert_non_null(set);
	return set;
}

/* Signs what stands in the token. as_der: ES256 as OpenSSL has it, which is not how a token does. */
static void add_signature(struct mr_buf *token, EVP_PKEY *key, bool as_der)
{
	uint8_t made[1024], raw[64];
	size_t n = sizeof made;
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	assert_int_equal(EVP_DigestSignInit(c, NULL, EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256(), NULL, key), 1);
	assert_int_equal(EVP_DigestSign(c, made, &n, (const uint8_t *)token->p, token->n), 1);
	EVP_MD_CTX_free(c);
	struct mr_str signature = {(const char *)made, n};
	if (EVP_PKEY_is_a(key, "EC") && !as_der) {
		const uint8_t *p = made;
		ECDSA_SIG *both = d2i_ECDSA_SIG(NULL, &p, (long)n);
		BN_bn2binpad(ECDSA_SIG_get0_r(both), raw, 32);
		BN_bn2binpad(ECDSA_SIG_get0_s(both), raw + 32, 32);
		ECDSA_SIG_free(both);
		signature = (struct mr_str){(const char *)raw, sizeof raw};
	}
	mr_buf_char(token, '.');
	mr_base64url(token, signature);
}

/* --- issuers --- */

#define GOOD "{\"iss\":\"https://a.example\",\"aud\":\"app\",\"sub\":\"ann\",\"iat\":900,\"exp\":2000}"

struct world {
	struct mr_issuers issuers;
	struct mr_issuer_keys keys[2];
	struct mr_trust trust;
};

static void open_world(struct world *w)
{
	static const char text[] = "[{\"issuer\":\"https://a.example\",\"audience\":[\"web\",\"app\"],\"jwks\":\"a.json\"},"
				   "{\"issuer\":\"b\",\"audience\":\"app\",\"jwks\":\"https://b.example/keys\",\"prefix\":\"b:\","
				   "\"algorithms\":[\"ES256\"],\"claims\":[\"email\",\"role\"]}]";
	struct mr_error err;
	memset(w, 0, sizeof *w);
	if (!mr_issuers_read(&w->issuers, MR_STR(text), MR_STR("/etc/x"), false, &err))
		fail_msg("%s", err.message);
	for (int i = 0; i < 2; i++)
		w->keys[i] = (struct mr_issuer_keys){.set = all_keys(), .read = 950, .fresh = 1050};
	w->trust = (struct mr_trust){.secret = SECRET, .leeway = 10, .issuers = &w->issuers, .keys = w->keys};
}

static void close_world(struct world *w)
{
	for (int i = 0; i < 2; i++)
		mr_jwks_drop(&w->keys[i].set);
	mr_issuers_fini(&w->issuers);
}

/* What a token of this header and these claims is, signed by the key, at 1000. identity: the caller frees it. */
static enum mr_code judge(const struct world *w, const char *header, const char *claims, EVP_PKEY *key, bool as_der, char **identity)
{
	struct mr_arena a = {0};
	struct mr_buf token = {0}, shown = {0};
	struct mr_error err = {0};
	struct mr_token t;
	add_parts(&token, header, claims);
	add_signature(&token, key, as_der);
	bool ok = verify_by(&a, &w->trust, mr_buf_view(&token), 1000, &t, &err);
	assert_true(ok == (err.code == MR_OK));
	if (ok && identity) {
		mr_json_canonical(&shown, t.identity);
		*identity = mr_buf_take(&shown);
	}
	mr_buf_fini(&token);
	mr_arena_fini(&a);
	return err.code;
}

static void expect(const struct world *w, const char *header, const char *claims, int key, enum mr_code code)
{
	enum mr_code got = judge(w, header, claims, keys[key], false, NULL);
	if (got != code)
		fail_msg("%s %s: %s, not %s", header, claims, mr_code_name(got), mr_code_name(code));
}

static void tokens_of_issuers(void **state)
{
	static const char *const headers[KEYS] = {"{\"alg\":\"RS256\",\"kid\":\"rsa\"}",
		"{\"alg\":\"RS256\",\"kid\":\"rsa-2\",\"typ\":\"JWT\"}", "{\"alg\":\"ES256\",\"kid\":\"ec\"}",
		"{\"kid\":\"ed\",\"alg\":\"EdDSA\"}"};
	struct world w;
	char *identity = NULL;
	open_world(&w);
	for (int i = 0; i < KEYS; i++)
		for (int k = 0; k < KEYS; k++)
			expect(&w, headers[i], GOOD, k, i == k ? MR_OK : MR_BAD_TOKEN);
	judge(&w, headers[EC_ONE], GOOD, keys[EC_ONE], false, &identity);
	assert_string_equal(identity, "{\"aud\":\"app\",\"iss\":\"https://a.example\",\"userId\":\"ann\"}");
	free(identity);
	/* Another issuer's users have another prefix, and only the claims that its entry names. */
	judge(&w, headers[EC_ONE], "{\"iss\":\"b\",\"aud\":[\"x\",\"app\"],\"sub\":\"ann\",\"exp\":2000,\"role\":\"r\",\"fva\":[1,2]}",
		keys[EC_ONE], false, &identity);
	assert_string_equal(identity, "{\"role\":\"r\",\"userId\":\"b:ann\"}");
	free(identity);
	/* Our own are taken beside them. */
	struct mr_arena a = {0};
	struct mr_buf token = {0};
	struct mr_error err;
	struct mr_token t;
	mr_jwt_sign(&token, SECRET, MR_STR("{\"sub\":\"b:ann\"}"));
	assert_true(verify_by(&a, &w.trust, mr_buf_view(&token), 1000, &t, &err) && t.issuer == -1);
	mr_buf_fini(&token);
	mr_arena_fini(&a);
	close_world(&w);
}

static void rule_28_the_algorithm_is_of_the_key(void **state)
{
	static const char *const wrong[] = {"{\"alg\":\"ES256\",\"kid\":\"rsa\"}", "{\"alg\":\"EdDSA\",\"kid\":\"rsa\"}",
		"{\"alg\":\"RS384\",\"kid\":\"rsa\"}", "{\"alg\":\"PS256\",\"kid\":\"rsa\"}", "{\"alg\":\"none\",\"kid\":\"rsa\"}",
		"{\"alg\":\"NONE\",\"kid\":\"rsa\"}", "{\"alg\":\"\",\"kid\":\"rsa\"}", "{\"kid\":\"rsa\"}",
		"{\"alg\":\"HS256\",\"kid\":\"rsa\"}", "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"crit\":[\"b64\"],\"b64\":false}",
		"{\"alg\":\"RS256\",\"alg\":\"RS256\",\"kid\":\"rsa\"}", "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"kid\":\"rsa\"}"};
	struct world w;
	open_world(&w);
	for (size_t i = 0; i < MR_COUNT(wrong); i++)
		expect(&w, wrong[i], GOOD, RSA_ONE, MR_BAD_TOKEN);
	/* An issuer may be held to less than its keys can do. */
	static const char of_b[] = "{\"iss\":\"b\",\"aud\":\"app\",\"sub\":\"ann\",\"exp\":2000}";
	expect(&w, "{\"alg\":\"ES256\",\"kid\":\"ec\"}", of_b, EC_ONE, MR_OK);
	expect(&w, "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", of_b, RSA_ONE, MR_BAD_TOKEN);
	/* The public key as if it were a shared secret, in the forms in which somebody may have it. */
	char *text = jwk(RSA_ONE, "rsa", "");
	uint8_t *der = NULL;
	int n = i2d_PUBKEY(keys[RSA_ONE], &der);
	struct mr_str secrets[] = {mr_str(text), {(const char *)der, (size_t)n}};
	struct mr_arena a = {0};
	struct mr_error err;
	struct mr_token t;
	for (size_t i = 0; i < MR_COUNT(secrets); i++) {
		struct mr_buf token = {0};
		add_parts(&token, "{\"alg\":\"HS256\",\"kid\":\"rsa\"}", GOOD);
		add_mac(&token, secrets[i]);
		assert_false(verify_by(&a, &w.trust, mr_buf_view(&token), 1000, &t, &err));
		assert_int_equal(err.code, MR_BAD_TOKEN);
		mr_buf_fini(&token);
	}
	OPENSSL_free(der);
	free(text);
	/* ES256 is two numbers of 32 bytes; as DER, or cut, it is none. */
	assert_int_equal(judge(&w, "{\"alg\":\"ES256\",\"kid\":\"ec\"}", GOOD, keys[EC_ONE], true, NULL), MR_BAD_TOKEN);
	struct mr_buf token = {0};
	add_parts(&token, "{\"alg\":\"ES256\",\"kid\":\"ec\"}", GOOD);
	mr_buf_char(&token, '.');
	mr_base64url(&token, (struct mr_str){(const char[64]){0}, 64});
	assert_false(verify_by(&a, &w.trust, mr_buf_view(&token), 1000, &t, &err));
	mr_buf_fini(&token);
	mr_arena_fini(&a);
	close_world(&w);
}

static void rule_28_issuer_audience_and_end_are_required(void **state)
{
	static const struct {
		const char *claims;
		enum mr_code code;
	} cases[] = {
		{GOOD, MR_OK},
		{"{\"iss\":\"https://a.example\",\"aud\":[\"x\",5,\"web\"],\"sub\":\"ann\",\"exp\":990}", MR_OK},
		{"{\"aud\":\"app\",\"sub\":\"ann\",\"exp\":2000}", MR_BAD_TOKEN},
		{"{\"iss\":\"https://a.example/\",\"aud\":\"app\",\"sub\":\"ann\",\"exp\":2000}", MR_BAD_TOKEN},
		{"{\"iss\":[\"https://a.example\"],\"aud\":\"app\",\"sub\":\"ann\",\"exp\":2000}", MR_BAD_TOKEN},
		{"{\"iss\":\"https://a.example\",\"sub\":\"ann\",\"exp\":2000}", MR_BAD_TOKEN},
		{"{\"iss\":\"https://a.example\",\"aud\":\"other\",\"sub\":\"ann\",\"exp\":2000}", MR_BAD_TOKEN},
		{"{\"iss\":\"https://a.example\",\"aud\":\"App\",\"sub\":\"ann\",\"exp\":2000}", MR_BAD_TOKEN},
		{"{\"iss\":\"https://a.example\",\"aud\":[],\"sub\":\"ann\",\"exp\":2000}", MR_BAD_TOKEN},
		{"{\"iss\":\"https://a.example\",\"aud\":{\"app\":\"app\"},\"sub\":\"ann\",\"exp\":2000}", MR_BAD_TOKEN},
		{"{\"iss\":\"https://a.example\",\"aud\":\"app\",\"sub\":\"ann\"}", MR_BAD_TOKEN},
		{"{\"iss\":\"https://a.example\",\"aud\":\"app\",\"sub\":\"ann\",\"exp\":989}", MR_TOKEN_EXPIRED},
		{"{\"iss\":\"https://a.example\",\"aud\":\"app\",\"sub\":\"ann\",\"exp\":2000,\"nbf\":1011}", MR_BAD_TOKEN},
		{"{\"iss\":\"https://a.example\",\"aud\":\"app\",\"exp\":2000}", MR_BAD_TOKEN},
		{"{\"iss\":\"https://a.example\",\"iss\":\"https://a.example\",\"aud\":\"app\",\"sub\":\"ann\",\"exp\":2000}",
			MR_BAD_TOKEN},
		/* Who says to be somebody of another issuer, or a guest. */
		{"{\"iss\":\"https://a.example\",\"aud\":\"app\",\"sub\":\"b:ann\",\"exp\":2000}", MR_BAD_TOKEN},
		{"{\"iss\":\"https://a.example\",\"aud\":\"app\",\"sub\":\"guest:1\",\"exp\":2000}", MR_BAD_TOKEN},
	};
	struct world w;
	open_world(&w);
	for (size_t i = 0; i < MR_COUNT(cases); i++)
		expect(&w, "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", cases[i].claims, RSA_ONE, cases[i].code);
	/* Too long, however well signed. */
	struct mr_buf claims = {0};
	mr_buf_z(&claims, "{\"iss\":\"https://a.example\",\"aud\":\"app\",\"sub\":\"ann\",\"exp\":2000,\"x\":\"");
	for (int i = 0; i < 20000; i++)
		mr_buf_char(&claims, 'x');
	mr_buf_z(&claims, "\"}");
	expect(&w, "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", claims.p, RSA_ONE, MR_BAD_TOKEN);
	mr_buf_fini(&claims);
	close_world(&w);
}

static void rule_28_a_kid_is_looked_up_and_nothing_else(void **state)
{
	static const char *const unknown[] = {"../../etc/passwd", "/dev/null", "/etc/x/a.json", "a.json", "https://evil.example/keys",
		"RSA", "rsa\\u0000", "' or 1=1 --", "rsa-3"};
	struct world w;
	open_world(&w);
	for (size_t i = 0; i < MR_COUNT(unknown); i++) {
		char *header = mr_printf("{\"alg\":\"RS256\",\"kid\":\"%s\",\"jku\":\"https://evil.example/keys\"}", unknown[i]);
		w.keys[0].fresh = 1050;
		expect(&w, header, GOOD, RSA_ONE, MR_BAD_TOKEN);
		free(header);
	}
	/* A key that the token brings along counts for nothing. */
	char *own_key = jwk(RSA_TWO, "rsa", "");
	char *header = mr_printf("{\"alg\":\"RS256\",\"kid\":\"rsa\",\"jwk\":%s}", own_key);
	expect(&w, header, GOOD, RSA_TWO, MR_BAD_TOKEN);
	free(header);
	free(own_key);
	expect(&w, "{\"alg\":\"RS256\",\"kid\":5}", GOOD, RSA_ONE, MR_BAD_TOKEN);
	expect(&w, "{\"alg\":\"RS256\",\"kid\":\"\"}", GOOD, RSA_ONE, MR_BAD_TOKEN);
	/* Without a kid it is the only key, or none. */
	expect(&w, "{\"alg\":\"RS256\"}", GOOD, RSA_ONE, MR_BAD_TOKEN);
	struct mr_error err;
	char *one = jwk(RSA_ONE, NULL, "");
	mr_jwks_drop(&w.keys[0].set);
	w.keys[0].set = set_of((const char *const[]){one}, 1, &err);
	free(one);
	expect(&w, "{\"alg\":\"RS256\"}", GOOD, RSA_ONE, MR_OK);
	expect(&w, "{\"alg\":\"RS256\"}", GOOD, RSA_TWO, MR_BAD_TOKEN);
	expect(&w, "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", GOOD, RSA_ONE, MR_BAD_TOKEN);
	close_world(&w);
}

static void unknown_keys_are_asked_for(void **state)
{
	static const char header[] = "{\"alg\":\"RS256\",\"kid\":\"new\"}";
	static const char younger[] = "{\"iss\":\"https://a.example\",\"aud\":\"app\",\"sub\":\"ann\",\"iat\":960,\"exp\":2000}";
	struct world w;
	open_world(&w);
	expect(&w, header, GOOD, RSA_ONE, MR_BAD_TOKEN);           /* read lately, and after the token was signed */
	expect(&w, header, younger, RSA_ONE, MR_KEYS_UNAVAILABLE); /* signed since */
	w.keys[0].fresh = 1000;
	expect(&w, header, GOOD, RSA_ONE, MR_KEYS_UNAVAILABLE); /* read a while ago */
	expect(&w, "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", GOOD, RSA_TWO, MR_BAD_TOKEN);
	w.keys[0].fresh = 1050;
	mr_jwks_drop(&w.keys[0].set);
	expect(&w, "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", GOOD, RSA_ONE, MR_KEYS_UNAVAILABLE); /* never */
	expect(&w, "{\"alg\":\"RS256\"}", GOOD, RSA_ONE, MR_KEYS_UNAVAILABLE);
	close_world(&w);
}

/* --- sets of keys, lists of issuers --- */

static size_t count_of(const char *const *texts, size_t n)
{
	struct mr_error err = {0};
	struct mr_jwks *set = set_of(texts, n, &err);
	size_t count = set ? mr_jwks_count(set) : 0;
	assert_true(set || err.code == MR_BAD_VALUE);
	mr_jwks_drop(&set);
	return count;
}

static void rule_28_keys_of_no_use(void **state)
{
	EVP_PKEY *small = EVP_RSA_gen(1024), *p384 = EVP_EC_gen("P-384");
	struct mr_buf weak = {0};
	add_jwk(&weak, small, "weak", "");
	char *good = jwk(RSA_ONE, "rsa", ""), *same = jwk(RSA_TWO, "rsa", ""),
	     *signing = jwk(RSA_ONE, "a", "\"key_ops\":[\"sign\",\"verify\"],");
	char *bad[] = {mr_strdup(weak.p), jwk(RSA_ONE, "b", "\"alg\":\"RS512\","), jwk(RSA_ONE, "c", "\"alg\":\"HS256\","),
		jwk(RSA_ONE, "d", "\"use\":\"enc\","), jwk(RSA_ONE, "e", "\"key_ops\":[\"encrypt\"],"),
		jwk(EC_ONE, "f", "\"alg\":\"RS256\","), jwk(ED_ONE, "g", "\"alg\":5,"),
		mr_strdup("{\"kid\":\"h\",\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}"),
		mr_strdup("{\"kid\":\"i\",\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}"), mr_strdup("{\"kid\":\"j\",\"kty\":\"RSA\"}"),
		mr_strdup("{\"kid\":\"k\",\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"AA\",\"y\":\"AA\"}"),
		/* not a point of the curve */
		mr_strdup("{\"kid\":\"l\",\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\","
			  "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}"),
		mr_strdup("{\"kid\":\"m\",\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}"),
		mr_strdup("{\"kid\":\"n\",\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AAAA\"}"), mr_strdup("{}"), mr_strdup("5")};
	for (size_t i = 0; i < MR_COUNT(bad); i++) {
		if (count_of((const char *const[]){bad[i]}, 1) != 0)
			fail_msg("%s is taken", bad[i]);
		assert_int_equal(count_of((const char *const[]){bad[i], good}, 2), 1);
		free(bad[i]);
	}
	assert_int_equal(count_of((const char *const[]){good, signing}, 2), 2);
	assert_int_equal(count_of((const char *const[]){good, same}, 2), 1);
	free(good);
	free(same);
	free(signing);
	mr_buf_fini(&weak);
	EVP_PKEY_free(small);
	EVP_PKEY_free(p384);
	static const char *const sets[] = {
		"", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]}", "{\"keys\":[", "{\"keys\":[],\"keys\":[]}", "5"};
	struct mr_error err;
	for (size_t i = 0; i < MR_COUNT(sets); i++) {
		err.code = MR_OK;
		assert_null(mr_jwks_read(mr_str(sets[i]), &err));
		assert_int_equal(err.code, MR_BAD_VALUE);
	}
}

static void lists_of_issuers(void **state)
{
	static const char *const wrong[] = {"", "{}", "[5]", "[{}]", "[{\"issuer\":\"a\",\"jwks\":\"k\"}]",
		"[{\"audience\":\"a\",\"jwks\":\"k\"}]", "[{\"issuer\":\"\",\"audience\":\"a\",\"jwks\":\"k\"}]",
		"[{\"issuer\":\"a\",\"audience\":[],\"jwks\":\"k\"}]", "[{\"issuer\":\"a\",\"audience\":[5],\"jwks\":\"k\"}]",
		"[{\"issuer\":\"a\",\"audience\":\"\",\"jwks\":\"k\"}]", "[{\"issuer\":\"a\",\"audience\":\"a\",\"jwks\":5}]",
		"[{\"issuer\":\"a\",\"audience\":\"a\"}]", "[{\"issuer\":\"http://a\",\"audience\":\"a\"}]",
		"[{\"issuer\":\"a\",\"audience\":\"a\",\"jwks\":\"http://a/k\"}]",
		"[{\"issuer\":\"a\",\"audience\":\"a\",\"jwks\":\"file:///etc/passwd\"}]",
		"[{\"issuer\":\"a\",\"audience\":\"a\",\"jwks\":\"https://a/ b\"}]",
		"[{\"issuer\":\"a\",\"audience\":\"a\",\"jwks\":\"k\",\"algorithms\":[\"HS256\"]}]",
		"[{\"issuer\":\"a\",\"audience\":\"a\",\"jwks\":\"k\",\"algorithms\":[\"none\"]}]",
		"[{\"issuer\":\"a\",\"audience\":\"a\",\"jwks\":\"k\",\"algorithms\":[]}]",
		"[{\"issuer\":\"a\",\"audience\":\"a\",\"jwks\":\"k\",\"prefix\":5}]",
		"[{\"issuer\":\"a\",\"audience\":\"a\",\"jwks\":\"k\",\"prefix\":\"guest:\"}]",
		"[{\"issuer\":\"a\",\"audience\":\"a\",\"jwks\":\"k\",\"claims\":\"all\"}]",
		"[{\"issuer\":\"a\",\"audience\":\"a\",\"jwks\":\"k\",\"audiance\":\"a\"}]",
		"[{\"issuer\":\"a\",\"audience\":\"a\",\"jwks\":\"k\"},{\"issuer\":\"b\",\"audience\":\"a\",\"jwks\":\"k\"}]",
		"[{\"issuer\":\"a\",\"audience\":\"a\",\"jwks\":\"k\"},{\"issuer\":\"a\",\"audience\":\"b\",\"jwks\":\"k\"}]"};
	struct mr_issuers all;
	struct mr_error err;
	for (size_t i = 0; i < MR_COUNT(wrong); i++) {
		err.code = MR_OK;
		if (mr_issuers_read(&all, mr_str(wrong[i]), MR_STR(""), false, &err))
			fail_msg("%s is taken", wrong[i]);
		assert_int_equal(err.code, MR_BAD_VALUE);
	}
	assert_true(
		mr_issuers_read(&all, MR_STR("[{\"issuer\":\"https://a/\",\"audience\":\"x\",\"claims\":[]}]"), MR_STR("f"), false, &err));
	assert_string_equal(all.v[0].jwks, "https://a/.well-known/openid-configuration");
	assert_true(all.v[0].is_url && all.v[0].discovers && !all.v[0].all_claims && all.v[0].algorithm[MR_EDDSA]);
	mr_issuers_fini(&all);
	assert_true(
		mr_issuers_read(&all, MR_STR("[{\"issuer\":\"a\",\"audience\":\"x\",\"jwks\":\"k/a.json\"}]"), MR_STR("f"), false, &err));
	assert_string_equal(all.v[0].jwks, "f/k/a.json");
	assert_true(!all.v[0].is_url && mr_issuers_find(&all, MR_STR("a")) == 0 && mr_issuers_find(&all, MR_STR("b")) == -1);
	mr_issuers_fini(&all);
	assert_true(
		mr_issuers_read(&all, MR_STR("[{\"issuer\":\"a\",\"audience\":\"x\",\"jwks\":\"http://h/k\"}]"), MR_STR("f"), true, &err));
	mr_issuers_fini(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens),
		cmocka_unit_test(sessions),
		cmocka_unit_test(too_old),
		cmocka_unit_test(rule_28_forged_tokens),
		cmocka_unit_test(tokens_of_issuers),
		cmocka_unit_test(rule_28_the_algorithm_is_of_the_key),
		cmocka_unit_test(rule_28_issuer_audience_and_end_are_required),
		cmocka_unit_test(rule_28_a_kid_is_looked_up_and_nothing_else),
		cmocka_unit_test(unknown_keys_are_asked_for),
		cmocka_unit_test(rule_28_keys_of_no_use),
		cmocka_unit_test(lists_of_issuers),
	};
	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
