/* Any bytes as a token; and any bytes as the claims of one that is rightly signed. */
#include "proto/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct mr_arena a = {0};
	struct mr_error err;
	struct mr_buf token = {0};
	struct mr_str bytes = {(const char *)data, n}, secret = MR_STR("a secret");
	int64_t expires;
	mr_jwt_verify(&a, secret, bytes, 1000, &expires, &err);
	mr_jwt_sign(&token, secret, bytes);
	mr_jwt_verify(&a, secret, mr_buf_view(&token), 1000, &expires, &err);
	mr_buf_fini(&token);
	mr_arena_fini(&a);
	return 0;
}
