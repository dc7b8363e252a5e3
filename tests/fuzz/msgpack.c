/* Any bytes as MessagePack: refused, or read to a tree that both encodings carry unchanged. */
#include "proto/ground/log.h"
#include "proto/ground/node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct mr_arena a = {0};
	struct mr_error err;
	const struct mr_node *tree = mr_msgpack_read(&a, (struct mr_str){(const char *)data, n}, 64, true, &err);
	struct mr_buf want = {0};
	if (tree)
		mr_json_canonical(&want, tree);
	for (int encoding = 0; tree && encoding < MR_ENCODINGS; encoding++) {
		struct mr_buf bytes = {0}, got = {0};
		struct mr_enc e;
		mr_enc_init(&e, &bytes, (enum mr_encoding)encoding);
		mr_enc_node(&e, tree);
		const struct mr_node *again = encoding == MR_JSON ? mr_json_read(&a, mr_buf_view(&bytes), 64, true, &err)
								  : mr_msgpack_read(&a, mr_buf_view(&bytes), 64, true, &err);
		MR_ASSERT(again);
		mr_json_canonical(&got, again);
		MR_ASSERT(mr_str_eq(mr_buf_view(&got), mr_buf_view(&want)));
		mr_buf_fini(&bytes);
		mr_buf_fini(&got);
	}
	mr_buf_fini(&want);
	mr_arena_fini(&a);
	return 0;
}
