/* Token buckets by key, of the whole process: each holds `burst` and gains `per_second`, and what is taken from an empty one is refused.
 *
 * The table has a fixed size, whatever comes. A bucket that is full again need not be kept. Where one more key meets none but buckets that
 * are not full, it takes the place of the fullest of some, as that stands: so no key ever gets more than is its due, whoever else asks, and
 * under a flood of keys some get less.
 *
 * Any thread may take: calls of one identity or address come to several. It costs a lock of its own small part of the table, for the time
 * of a few comparisons.
 */
#ifndef MR_BUCKETS_H
#define MR_BUCKETS_H

#include <stdint.h>

struct mr_buckets;
struct mr_buckets *mr_buckets_new(int64_t per_second, int64_t burst); /* both 1 to 1000000 */
void mr_buckets_delete(struct mr_buckets **all);
/* 0: taken; else the microseconds until there is one to be taken. now_us only grows, give or take what threads differ. */
int64_t mr_buckets_take(struct mr_buckets *all, uint64_t key, int64_t now_us);

#endif
