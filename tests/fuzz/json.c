/* Any bytes as JSON: refused, or read to a tree that both encodings carry to the same canonical text. */
#include "proto/ground/log.h"
#include "proto/ground/node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void round_trip(struct mr_arena *a, const struct mr_node *tree, enum mr_encoding encoding, const struct mr_buf *want)
{
	struct mr_buf bytes = {0}, again = {0};
	struct mr_error err;
	struct mr_enc e;
	mr_enc_init(&e, &bytes, encoding);
	mr_enc_node(&e, tree);
	const struct mr_node *n = encoding == MR_JSON ? mr_json_read(a, mr_buf_view(&bytes), 64, true, &err)
						      : mr_msgpack_read(a, mr_buf_view(&bytes), 64, true, &err);
	MR_ASSERT(n);
	mr_json_canonical(&again, n);
	/* MessagePack has doubles only beyond 64 bits; JSON carries every number as it stands. */
	MR_ASSERT(encoding == MR_MSGPACK || mr_str_eq(mr_buf_view(&again), mr_buf_view(want)));
	mr_buf_fini(&bytes);
	mr_buf_fini(&again);
}

static void same(const struct mr_node *part, const struct mr_node *whole)
{
	MR_ASSERT(part->kind == whole->kind && mr_str_eq(part->raw, whole->raw) && mr_str_eq(part->key, whole->key));
	MR_ASSERT(mr_str_eq(part->text, whole->text) && part->truth == whole->truth && (!part->n || part->n == whole->n));
	for (size_t i = 0; i < part->n; i++)
		same(&part->items[i], &whole->items[i]);
}

/* What is not looked into is judged all the same. */
static void judged(struct mr_arena *a, struct mr_str text, const struct mr_node *strict, const struct mr_node *lenient)
{
	struct mr_error err;
	MR_ASSERT(mr_json_ok(text, 64, true, &err) == (strict != NULL));
	MR_ASSERT(mr_json_ok(text, 512, false, &err) == (lenient != NULL));
	for (int levels = 0; levels < 3; levels++) {
		const struct mr_node *part = mr_json_outline(a, text, levels, 512, &err);
		MR_ASSERT((part != NULL) == (lenient != NULL));
		if (part)
			same(part, lenient);
	}
	const struct mr_node *but = mr_json_read_but(a, text, "a", 512, &err);
	MR_ASSERT((but != NULL) == (lenient != NULL));
	if (but)
		same(but, lenient);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct mr_arena a = {0};
	struct mr_error err;
	struct mr_str text = {(const char *)data, n};
	const struct mr_node *strict = mr_json_read(&a, text, 64, true, &err);
	const struct mr_node *lenient = mr_json_read(&a, text, 512, false, &err);
	struct mr_buf b = {0};
	MR_ASSERT(lenient || !strict);
	judged(&a, text, strict, lenient);
	if (lenient)
		mr_json_canonical(&b, lenient);
	if (strict) {
		MR_ASSERT(mr_node_strict(strict));
		round_trip(&a, strict, MR_JSON, &b);
		round_trip(&a, strict, MR_MSGPACK, &b);
	}
	mr_buf_fini(&b);
	mr_arena_fini(&a);
	return 0;
}
