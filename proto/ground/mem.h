/* Memory and bytes: checked allocation, slices, growing buffers, arenas.
 *
 * Allocation never fails back: a process without memory ends with a message. Lifetimes are told by the call:
 * mr_alloc/mr_free on the heap, mr_arena_* until the arena is reset or freed.
 */
#ifndef MR_GROUND_MEM_H
#define MR_GROUND_MEM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Zeroed memory; ends the process when there is none. Free with free(). */
void *mr_alloc(size_t n);
void *mr_realloc(void *p, size_t n);
char *mr_strdup(const char *s);
char *mr_strndup(const char *s, size_t n);
char *mr_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Bytes that the process has allocated, whoever did, and not given back. Walks over what is free: not for every moment. */
size_t mr_heap_bytes(void);

/* A slice of bytes owned by somebody else; p may be NULL only when n is 0. Not NUL-terminated unless told. */
struct mr_str {
	const char *p;
	size_t n;
};
#define MR_STR(lit) ((struct mr_str){(lit), sizeof(lit) - 1})
struct mr_str mr_str(const char *z);         /* slice of a NUL-terminated string; NULL gives the empty slice */
struct mr_str mr_str_solid(struct mr_str s); /* the same with an address, also when it is empty: for pointer arithmetic */
bool mr_str_eq(struct mr_str a, struct mr_str b);
bool mr_str_is(struct mr_str a, const char *z);
int mr_str_cmp(struct mr_str a, struct mr_str b); /* by bytes, as memcmp; shorter first */

/* A growing buffer. Zero-initialise it; p[n] is always NUL once anything was appended. */
struct mr_buf {
	char *p;
	size_t n, cap;
};
void mr_buf_fini(struct mr_buf *b);
void mr_buf_reset(struct mr_buf *b);           /* empty, memory kept */
char *mr_buf_room(struct mr_buf *b, size_t n); /* n writable bytes at the end; the caller adds to b->n */
void mr_buf_add(struct mr_buf *b, const void *p, size_t n);
void mr_buf_str(struct mr_buf *b, struct mr_str s);
void mr_buf_z(struct mr_buf *b, const char *z);
void mr_buf_char(struct mr_buf *b, char c);
void mr_buf_printf(struct mr_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void mr_buf_vprintf(struct mr_buf *b, const char *fmt, va_list ap);
char *mr_buf_take(struct mr_buf *b); /* the bytes, NUL-terminated, now the caller's (free); b is empty again */
struct mr_str mr_buf_view(const struct mr_buf *b);

/* An arena: many small pieces freed at once. Zero-initialise it. Pieces are aligned to 16 bytes and zeroed. */
struct mr_arena {
	struct mr_arena_block *head;
	size_t used; /* bytes handed out since the last reset */
};
void mr_arena_fini(struct mr_arena *a);
void mr_arena_reset(struct mr_arena *a); /* frees all pieces, keeps one block */
/* An arena that holds little and long, begun with room for just `n` bytes of pieces (what `used` said of one with the same in it). */
void mr_arena_begin(struct mr_arena *a, size_t n);
void *mr_arena_alloc(struct mr_arena *a, size_t n);
struct mr_str mr_arena_str(struct mr_arena *a, struct mr_str s); /* a copy, NUL-terminated */
char *mr_arena_z(struct mr_arena *a, struct mr_str s);           /* the same, as a C string */
struct mr_str mr_arena_printf(struct mr_arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define MR_MAX(a, b)    ((a) > (b) ? (a) : (b))
#define MR_MIN(a, b)    ((a) < (b) ? (a) : (b))
#define MR_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
