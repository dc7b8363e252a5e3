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

#endif
