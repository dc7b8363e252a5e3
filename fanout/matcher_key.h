/* Keys of the matcher's hash groups: the values that a row, or a predicate, has in a group's fields; null is a value like others. Keys
 * are equal when mr_value_cmp finds all their values equal (1.0 = 1.00, -0 = 0, NaN = NaN). Hashed as they stand, without bytes in
 * between; the stored form is bytes.
 */
#ifndef MR_MATCHER_KEY_H
#define MR_MATCHER_KEY_H

#include "proto/ground/siphash.h"
#include "proto/value.h"

enum { MR_KEY_FIELDS = 8 };

struct mr_key {
	const struct mr_value *v[MR_KEY_FIELDS]; /* of the types of the group's fields, in their order */
	size_t n;
};

/* start: of the hash, from the index's secret key. */
uint64_t mr_key_hash(const struct mr_sip *start, const struct mr_key *k);
size_t mr_key_size(const struct mr_key *k); /* bytes of the stored form */
void mr_key_store(char *to, const struct mr_key *k);
bool mr_key_is(const char *stored, const struct mr_key *k);
bool mr_key_eq(const struct mr_key *a, const struct mr_key *b);

#endif
