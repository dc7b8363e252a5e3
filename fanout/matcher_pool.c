#include "matcher_pool.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "proto/ground/log.h"
#include "proto/ground/mem.h"

enum { CHUNK_FIRST = 16 << 10 };

/* Where addresses are checked, each piece is by itself, so that what is used after it was given back is seen. */
#if defined(__SANITIZE_ADDRESS__)
#define EACH_BY_ITSELF 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EACH_BY_ITSELF 1
#endif
#endif
#ifdef EACH_BY_ITSELF
#include <sanitizer/asan_interface.h>
#else
#define EACH_BY_ITSELF                    0
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

struct mr_pool_piece {
	struct mr_pool_piece *next;
};

struct mr_pool_chunk {
	struct mr_pool_chunk *next;
};

static size_t whole_lines(size_t n)
{
	return (n + MR_LINE - 1) / MR_LINE * MR_LINE;
}

void *mr_lines_alloc(size_t n)
{
	bool huge = n >= MR_HUGE_PAGE;
	size_t to = huge ? MR_HUGE_PAGE : MR_LINE;
	void *p = aligned_alloc(to, (n + to - 1) / to * to);
	if (!p)
		mr_die("out of memory: %zu bytes for the index", n);
	/* It may be refused, and then the pages are small. */
	if (huge)
		(void)madvise(p, n / MR_HUGE_PAGE * MR_HUGE_PAGE, MADV_HUGEPAGE);
	return p;
}

void mr_lines_hide(void *p, size_t n)
{
	ASAN_POISON_MEMORY_REGION(p, n);
}

void mr_lines_show(void *p, size_t n)
{
	ASAN_UNPOISON_MEMORY_REGION(p, n);
}

static bool is_pooled(size_t n)
{
	return !EACH_BY_ITSELF && n <= (size_t)MR_POOL_CLASSES * MR_LINE;
}

static void add_chunk(struct mr_pool *pool)
{
	size_t n = pool->next ? pool->next : CHUNK_FIRST;
	struct mr_pool_chunk *c = mr_lines_alloc(n);
	c->next = pool->chunks;
	pool->chunks = c;
	pool->at = (char *)c + MR_LINE;
	pool->end = (char *)c + n;
	pool->next = MR_MIN(2 * n, (size_t)MR_HUGE_PAGE);
}

void *mr_pool_alloc(struct mr_pool *pool, size_t n)
{
	n = whole_lines(n);
	if (!is_pooled(n))
		return memset(mr_lines_alloc(n), 0, n);
	struct mr_pool_piece **free_one = &pool->free[n / MR_LINE - 1], *p = *free_one;
	if (p) {
		*free_one = p->next;
		return memset(p, 0, n);
	}
	if (!pool->at || (size_t)(pool->end - pool->at) < n)
		add_chunk(pool);
	pool->at += n;
	return memset(pool->at - n, 0, n);
}

void mr_pool_free(struct mr_pool *pool, void *at, size_t n)
{
	n = whole_lines(n);
	if (!is_pooled(n)) {
		free(at);
		return;
	}
	struct mr_pool_piece *p = at, **free_one = &pool->free[n / MR_LINE - 1];
	p->next = *free_one;
	*free_one = p;
}

void mr_pool_fini(struct mr_pool *pool)
{
	while (pool->chunks) {
		struct mr_pool_chunk *c = pool->chunks;
		pool->chunks = c->next;
		free(c);
	}
	*pool = (struct mr_pool){0};
}
