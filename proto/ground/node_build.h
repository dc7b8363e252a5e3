/* What the decoders of JSON and MessagePack share. Private to proto/ground. */
#ifndef MR_GROUND_NODE_BUILD_H
#define MR_GROUND_NODE_BUILD_H

#include "hash.h"
#include "node.h"

struct mr_build {
	struct mr_arena *arena;
	struct mr_node *stack;
	size_t n, cap;
};
void mr_build_push(struct mr_build *b, const struct mr_node *n);
/* Makes what lies above `base` the container's items. */
void mr_build_collect(struct mr_build *b, size_t base, struct mr_node *container);
void mr_build_fini(struct mr_build *b);
bool mr_build_key_twice(const struct mr_node *map);
bool mr_build_bigint_ok(struct mr_str digits); /* 0 or -?[1-9][0-9]*, at most 1000 digits */

/* The end of the value that begins at p, in text that is known to be UTF-8, when mr_json_read would take it, strict or not, at this depth;
 * NULL: that would have to be tried. json_skip.c. */
const char *mr_json_skip(const char *p, const char *end, int depth, int max_depth);

/* Where a string's plain part ends: at its closing quote, a backslash, a control character, or the end. */
static inline const char *mr_string_run(const char *p, const char *end)
{
	const uint64_t ones = 0x0101010101010101, tops = ones << 7;
	for (uint64_t w; end - p >= 8; p += 8) {
		memcpy(&w, p, 8);
		uint64_t quote = w ^ ones * '"', slash = w ^ ones * '\\';
		if ((((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((w - ones * 0x20) & ~w)) & tops)
			break;
	}
	while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
		p++;
	return p;
}

/* Behind the blanks at p. */
static inline const char *mr_json_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	return p;
}

#endif
