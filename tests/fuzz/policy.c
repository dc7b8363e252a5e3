/* Any text as a policy: refused, or compiled for somebody and for nobody to predicates that print, and are read back and copied as they
 * are; that which may be true is true where they are made coarse. */
#include <stdlib.h>

#include "proto/policy.h"
#include "tests/fuzz/entity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(struct mr_arena *a, const struct mr_entity *e, const struct mr_pred *p)
{
	struct mr_buf b = {0};
	struct mr_error err;
	mr_pred_print(&b, e, p);
	const struct mr_node *text = mr_json_read(a, mr_buf_view(&b), 1024, false, &err);
	const struct mr_pred *read = text ? mr_pred_read(a, e, text, &err) : NULL;
	MR_ASSERT(read && mr_pred_same(p, read));
	void *room = mr_alloc(mr_pred_size(p));
	MR_ASSERT(mr_pred_same(p, mr_pred_copy(room, p)));
	free(room);
	MR_ASSERT(mr_pred_members(mr_pred_coarse(a, p)) == 0);
	mr_buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct mr_entity *e = fuzz_entity();
	struct mr_arena a = {0};
	struct mr_error err;
	struct mr_str source = {(const char *)data, n};
	const struct mr_node *auth =
		mr_json_read(&a, MR_STR("{\"userId\":\"ann\",\"a\":true,\"b\":{\"c\":5},\"l\":[\"x\",1]}"), 8, false, &err);
	const struct mr_node *whose[] = {NULL, auth};
	bool ok = mr_policy_check(e, source, &err);
	for (size_t i = 0; i < MR_COUNT(whose); i++) {
		const struct mr_pred *p = mr_policy_compile(&a, e, source, whose[i], &err);
		/* Whether it compiles does not depend on who asks. */
		MR_ASSERT((p != NULL) == ok);
		if (p)
			check(&a, e, p);
	}
	mr_arena_fini(&a);
	return 0;
}
