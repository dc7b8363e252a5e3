#include "mem.h"

#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"

void *mr_alloc(size_t n)
{
	void *p = calloc(1, n ? n : 1);
	if (!p)
		mr_die("out of memory (%zu bytes wanted)", n);
	return p;
}

void *mr_realloc(void *p, size_t n)
{
	void *q = realloc(p, n ? n : 1);
	if (!q)
		mr_die("out of memory (%zu bytes wanted)", n);
	return q;
}

char *mr_strdup(const char *s)
{
	return mr_strndup(s, strlen(s));
}

char *mr_strndup(const char *s, size_t n)
{
	char *p = mr_alloc(n + 1);
	if (n)
		memcpy(p, s, n);
	return p;
}

char *mr_printf(const char *fmt, ...)
{
	struct mr_buf b = {0};
	va_list ap;
	va_start(ap, fmt);
	mr_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	return mr_buf_take(&b);
}

/* A sanitizer's, which has an allocator of its own; else NULL. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

size_t mr_heap_bytes(void)
{
	if (__sanitizer_get_current_allocated_bytes)
		return __sanitizer_get_current_allocated_bytes();
	struct mallinfo2 m = mallinfo2();
	return m.uordblks + m.hblkhd;
}

/* Slices */

struct mr_str mr_str(const char *z)
{
	return z ? (struct mr_str){z, strlen(z)} : (struct mr_str){NULL, 0};
}

struct mr_str mr_str_solid(struct mr_str s)
{
	return s.p ? s : MR_STR("");
}

bool mr_str_eq(struct mr_str a, struct mr_str b)
{
	return a.n == b.n && (!a.n || memcmp(a.p, b.p, a.n) == 0);
}

bool mr_str_is(struct mr_str a, const char *z)
{
	return mr_str_eq(a, mr_str(z));
}

int mr_str_cmp(struct mr_str a, struct mr_str b)
{
	size_t n = MR_MIN(a.n, b.n);
	int c = n ? memcmp(a.p, b.p, n) : 0;
	return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* Buffers */

void mr_buf_fini(struct mr_buf *b)
{
	free(b->p);
	*b = (struct mr_buf){0};
}

void mr_buf_reset(struct mr_buf *b)
{
	b->n = 0;
	if (b->p)
		b->p[0] = 0;
}

char *mr_buf_room(struct mr_buf *b, size_t n)
{
	MR_ASSERT(n < SIZE_MAX / 2 - b->n);
	size_t need = b->n + n + 1;
	if (need > b->cap) {
		b->cap = MR_MAX(need, b->cap + b->cap / 2 + 64);
		b->p = mr_realloc(b->p, b->cap);
	}
	return b->p + b->n;
}

void mr_buf_add(struct mr_buf *b, const void *p, size_t n)
{
	char *to = mr_buf_room(b, n);
	if (n)
		memcpy(to, p, n);
	b->n += n;
	b->p[b->n] = 0;
}

void mr_buf_str(struct mr_buf *b, struct mr_str s)
{
	mr_buf_add(b, s.p, s.n);
}

void mr_buf_z(struct mr_buf *b, const char *z)
{
	mr_buf_add(b, z, strlen(z));
}

void mr_buf_char(struct mr_buf *b, char c)
{
	mr_buf_add(b, &c, 1);
}

void mr_buf_printf(struct mr_buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	mr_buf_vprintf(b, fmt, ap);
	va_end(ap);
}

void mr_buf_vprintf(struct mr_buf *b, const char *fmt, va_list ap)
{
	va_list again;
	va_copy(again, ap);
	char small[256];
	int n = vsnprintf(small, sizeof(small), fmt, ap);
	MR_ASSERT(n >= 0);
	if ((size_t)n < sizeof(small)) {
		mr_buf_add(b, small, (size_t)n);
	} else {
		char *to = mr_buf_room(b, (size_t)n + 1);
		vsnprintf(to, (size_t)n + 1, fmt, again);
		b->n += (size_t)n;
	}
	va_end(again);
}

char *mr_buf_take(struct mr_buf *b)
{
	if (!b->p)
		mr_buf_add(b, NULL, 0);
	char *p = b->p;
	*b = (struct mr_buf){0};
	return p;
}

struct mr_str mr_buf_view(const struct mr_buf *b)
{
	return (struct mr_str){b->p, b->n};
}

/* Arenas: blocks of growing size; a piece too large for the block at hand gets a block of its own behind it. */

enum { ARENA_FIRST = 4096, ARENA_MOST = 1 << 20, ARENA_ALIGN = 16 };

struct mr_arena_block {
	struct mr_arena_block *next;
	size_t used, cap;
	_Alignas(ARENA_ALIGN) char bytes[];
};

static struct mr_arena_block *block_new(size_t cap)
{
	struct mr_arena_block *b = malloc(sizeof(*b) + cap);
	if (!b)
		mr_die("out of memory (%zu bytes wanted)", cap);
	b->next = NULL;
	b->used = 0;
	b->cap = cap;
	return b;
}

static void *block_take(struct mr_arena_block *b, size_t n)
{
	void *p = b->bytes + b->used;
	b->used += n;
	return memset(p, 0, n);
}

void mr_arena_fini(struct mr_arena *a)
{
	for (struct mr_arena_block *b = a->head, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	*a = (struct mr_arena){0};
}

void mr_arena_reset(struct mr_arena *a)
{
	struct mr_arena_block *keep = a->head && a->head->cap <= ARENA_MOST ? a->head : NULL;
	if (keep) {
		a->head = keep->next;
		keep->next = NULL;
		keep->used = 0;
	}
	mr_arena_fini(a);
	a->head = keep;
}

void mr_arena_begin(struct mr_arena *a, size_t n)
{
	MR_ASSERT(!a->head);
	a->head = block_new(n);
}

void *mr_arena_alloc(struct mr_arena *a, size_t n)
{
	MR_ASSERT(n < SIZE_MAX / 2);
	n = (MR_MAX(n, 1) + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	a->used += n;
	struct mr_arena_block *head = a->head;
	if (head && head->cap - head->used >= n)
		return block_take(head, n);
	if (head && n > ARENA_MOST / 4) {
		struct mr_arena_block *own = block_new(n);
		own->next = head->next;
		head->next = own;
		return block_take(own, n);
	}
	size_t cap = head ? MR_MIN(MR_MAX(head->cap * 2, (size_t)ARENA_FIRST), (size_t)ARENA_MOST) : ARENA_FIRST;
	struct mr_arena_block *b = block_new(MR_MAX(cap, n));
	b->next = head;
	a->head = b;
	return block_take(b, n);
}

struct mr_str mr_arena_str(struct mr_arena *a, struct mr_str s)
{
	char *p = mr_arena_alloc(a, s.n + 1);
	if (s.n)
		memcpy(p, s.p, s.n);
	return (struct mr_str){p, s.n};
}

char *mr_arena_z(struct mr_arena *a, struct mr_str s)
{
	return (char *)mr_arena_str(a, s).p;
}

struct mr_str mr_arena_printf(struct mr_arena *a, const char *fmt, ...)
{
	struct mr_buf b = {0};
	va_list ap;
	va_start(ap, fmt);
	mr_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	struct mr_str s = mr_arena_str(a, mr_buf_view(&b));
	mr_buf_fini(&b);
	return s;
}
