/* Where a value stands in the order of its type, as a number: a < b gives rank(a) <= rank(b). Ranks of bool, int, datetime and float are
 * exact (equal ranks, equal values); of others values that begin alike may share one, and mr_value_cmp decides.
 */
#ifndef MR_MATCHER_RANK_H
#define MR_MATCHER_RANK_H

#include "proto/value.h"

uint64_t mr_rank(const struct mr_value *v); /* not null */
bool mr_rank_exact(enum mr_type t);

#endif
