#include "digest.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "proto/ground/log.h"

static const EVP_MD *find(struct mr_str name)
{
	return mr_str_is(name, "SHA-1")     ? EVP_sha1()
	       : mr_str_is(name, "SHA-256") ? EVP_sha256()
	       : mr_str_is(name, "SHA-384") ? EVP_sha384()
	       : mr_str_is(name, "SHA-512") ? EVP_sha512()
					    : NULL;
}

size_t mr_digest(struct mr_str name, struct mr_str data, uint8_t *out)
{
	const EVP_MD *md = find(name);
	unsigned n = 0;
	if (!md)
		return 0;
	int ok = EVP_Digest(mr_str_solid(data).p, data.n, out, &n, md, NULL);
	MR_ASSERT(ok == 1 && n <= MR_DIGEST_MOST);
	return n;
}

size_t mr_digest_keyed(struct mr_str name, struct mr_str key, struct mr_str data, uint8_t *out)
{
	const EVP_MD *md = find(name);
	unsigned n = 0;
	if (!md || key.n > INT_MAX)
		return 0;
	const void *done = HMAC(md, mr_str_solid(key).p, (int)key.n, (const unsigned char *)mr_str_solid(data).p, data.n, out, &n);
	MR_ASSERT(done && n <= MR_DIGEST_MOST);
	return n;
}
