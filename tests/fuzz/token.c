/* Any bytes as a token, as the claims of one that is rightly signed, as a set of keys, and as the list of issuers. */
#include "proto/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char list[] = "[{\"issuer\":\"https://i\",\"audience\":\"a\",\"jwks\":\"k\"},"
			   "{\"issuer\":\"j\",\"audience\":[\"a\",\"b\"],\"jwks\":\"k\",\"prefix\":\"j:\"}]";
/* Of issuer j: the seeds have tokens that are signed by its keys. */
static const char known[] = "{\"keys\":[{\"kty\":\"EC\",\"x\":\"o4icn8LO7t60FRr6SynIIwcGnopiWFedJqQeuc-Y4n4\",\"y\":\"Wu4ycbTGRVLo9zkK2lnc2"
			    "lAZGOsEPdoqjyMf8OYMqms\",\"crv\":\"P-256\",\"kid\":\"e\"},{\"crv\":\"Ed25519\",\"x\":\"MlAADa_cUShiG0-CXsIXfUx"
			    "b8KIf29roQRHt18GYL6I\",\"kty\":\"OKP\",\"kid\":\"d\"}]}";

static void as_token(const struct mr_trust *trust, struct mr_str bytes)
{
	struct mr_arena a = {0};
	struct mr_error err;
	struct mr_token t;
	mr_jwt_verify(&a, trust, bytes, 1000, &t, &err);
	mr_arena_fini(&a);
}

static void as_list(struct mr_str bytes)
{
	struct mr_issuers all;
	struct mr_error err;
	if (mr_issuers_read(&all, bytes, MR_STR("folder"), true, &err))
		mr_issuers_fini(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct mr_issuers issuers;
	static struct mr_jwks *set;
	struct mr_issuer_keys keys[2] = {{0}};
	struct mr_error err;
	struct mr_buf token = {0};
	struct mr_str bytes = {(const char *)data, n};
	if (!set)
		set = mr_jwks_read(MR_STR(known), &err);
	keys[1].set = set;
	if (!issuers.n)
		mr_issuers_read(&issuers, MR_STR(list), MR_STR(""), false, &err);
	keys[0].set = mr_jwks_read(bytes, &err);
	struct mr_trust trust = {.secret = MR_STR("a secret"), .leeway = 10, .issuers = &issuers, .keys = keys};
	as_token(&trust, bytes);
	mr_jwt_sign(&token, trust.secret, bytes);
	as_token(&trust, mr_buf_view(&token));
	as_list(bytes);
	mr_buf_fini(&token);
	mr_jwks_drop(&keys[0].set);
	return 0;
}
