/* Whose tokens are taken besides those signed with auth_secret: the setting auth_issuers, a JSON array (docs/identity.md). */
#ifndef MR_ISSUERS_H
#define MR_ISSUERS_H

#include "jwk.h"

#define MR_GUESTS "guest:" /* userIds that begin so are of those whom this server signs in itself */

struct mr_issuer {
	struct mr_str name; /* `iss` of its tokens, to the byte */
	const struct mr_str *audiences;
	size_t n_audiences;
	const char *jwks; /* where its keys are: a URL, or the path of a file */
	bool is_url;
	bool discovers; /* jwks is the URL of its OpenID configuration, which tells where the keys are */
	bool algorithm[MR_JWAS];
	struct mr_str prefix; /* of the userId, before `sub` */
	bool all_claims;      /* or only those that are named: */
	const struct mr_str *claims;
	size_t n_claims;
};

struct mr_issuers {
	struct mr_arena arena;
	struct mr_issuer *v;
	size_t n;
};

/* Of the text of the array. Paths are meant from `folder` on; plain: http URLs are taken, not https alone. False and *err (bad_value): the
 * member and what is allowed. */
bool mr_issuers_read(struct mr_issuers *all, struct mr_str json, struct mr_str folder, bool plain, struct mr_error *err);
void mr_issuers_fini(struct mr_issuers *all);
/* The one of this name; -1: none. */
int mr_issuers_find(const struct mr_issuers *all, struct mr_str name);
/* Whether this userId of a token of issuer i could be taken for somebody else's: it begins as those of another issuer, or of guests. */
bool mr_issuers_ambiguous(const struct mr_issuers *all, size_t i, struct mr_str user);
/* A URL that may be asked: https, or http too when plain; printable characters only. */
bool mr_issuers_url(struct mr_str url, bool plain);

#endif
