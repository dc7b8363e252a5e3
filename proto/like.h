/* LIKE as Postgres has it: `%` stands for any characters, `_` for one (a code point), a backslash before a character for that one. */
#ifndef MR_LIKE_H
#define MR_LIKE_H

#include "ground/mem.h"

enum { MR_LIKE_MOST = 256 /* bytes of a pattern: what one comparison costs grows with it */ };

/* Both valid UTF-8. A pattern that ends with a lone backslash, which Postgres refuses, matches nothing. Allocates nothing. */
bool mr_like(struct mr_str text, struct mr_str pattern);
/* Not too long, and no backslash at its end without a character behind it. */
bool mr_like_ok(struct mr_str pattern);

#endif
