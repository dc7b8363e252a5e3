/* Bytes as watchers that come and go and as changes: the index finds what brute force finds (tests/unit/matcher_world.h). */
#include "tests/unit/matcher_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct choices c = {.p = data ? data : (const uint8_t *)"", .n = n};
	struct world *w = world_new(&c);
	while (c.n)
		world_step(w);
	world_match(w);
	world_delete(&w);
	return 0;
}
