/* Memory of the matcher: pieces that begin at a cache line, next to each other in chunks that grow to huge pages. An index of a million
 * watchers is far larger than the caches and what the processor knows of the page table; a match touches a line or two of it, at random,
 * so each line less and each page walk less counts. What is given back serves pieces of the same size; chunks go with the pool.
 */
#ifndef MR_MATCHER_POOL_H
#define MR_MATCHER_POOL_H

#include <stddef.h>

enum { MR_LINE = 64, MR_HUGE_PAGE = 2 << 20, MR_POOL_CLASSES = 16 };

/* Zero-initialise it. */
struct mr_pool {
	struct mr_pool_piece *free[MR_POOL_CLASSES]; /* by lines */
	struct mr_pool_chunk *chunks;
	char *at, *end; /* of the newest chunk, what was never given */
	size_t next;    /* bytes of the next chunk */
};

/* Zeroed. */
void *mr_pool_alloc(struct mr_pool *pool, size_t n);
void mr_pool_free(struct mr_pool *pool, void *p, size_t n); /* n as it was asked for */
void mr_pool_fini(struct mr_pool *pool);
/* Aligned to a cache line, not zeroed; in huge pages when it is large. Free with free(). */
void *mr_lines_alloc(size_t n);
/* Where addresses are checked: nobody may touch these lines, until they are shown again or freed. Else nothing. */
void mr_lines_hide(void *p, size_t n);
void mr_lines_show(void *p, size_t n);

#endif
