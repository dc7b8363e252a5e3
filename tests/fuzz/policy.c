/* Any text as a policy: refused, or compiled for somebody and for nobody to predicates that print. */
#include "proto/policy.h"
#include "tests/fuzz/entity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct mr_entity *e = fuzz_entity();
	struct mr_arena a = {0};
	struct mr_error err;
	struct mr_str source = {(const char *)data, n};
	const struct mr_node *auth = mr_json_read(&a, MR_STR("{\"userId\":\"ann\",\"a\":true,\"b\":{\"c\":5}}"), 8, false, &err);
	const struct mr_node *whose[] = {NULL, auth};
	bool ok = mr_policy_check(e, source, &err);
	for (size_t i = 0; i < MR_COUNT(whose); i++) {
		struct mr_buf b = {0};
		const struct mr_pred *p = mr_policy_compile(&a, e, source, whose[i], &err);
		/* Whether it compiles does not depend on who asks. */
		MR_ASSERT((p != NULL) == ok);
		if (p)
			mr_pred_print(&b, e, p);
		mr_buf_fini(&b);
	}
	mr_arena_fini(&a);
	return 0;
}
