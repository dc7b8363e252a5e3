/* Any text as a value of each type in Postgres's text format (the first byte chooses): what is read prints, and reads back as equal. */
#include "proto/value.h"
#include "proto/ground/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (!n)
		return 0;
	struct mr_arena a = {0};
	struct mr_buf text = {0}, wire = {0};
	struct mr_value v, again;
	enum mr_type type = (enum mr_type)(data[0] % MR_TYPES);
	if (mr_value_from_pgtext(&a, type, (struct mr_str){(const char *)data + 1, n - 1}, &v)) {
		mr_value_pgtext(&text, &v);
		mr_buf_add(&text, "", 0);
		MR_ASSERT(mr_value_from_pgtext(&a, type, mr_buf_view(&text), &again) && mr_value_eq(&v, &again));
		for (int encoding = 0; encoding < MR_ENCODINGS; encoding++) {
			struct mr_enc e;
			struct mr_error err;
			mr_buf_reset(&wire);
			mr_enc_init(&e, &wire, (enum mr_encoding)encoding);
			mr_value_encode(&e, &v);
			const struct mr_node *node = encoding == MR_JSON ? mr_json_read(&a, mr_buf_view(&wire), 512, false, &err)
									 : mr_msgpack_read(&a, mr_buf_view(&wire), 512, false, &err);
			MR_ASSERT(node);
			if (type != MR_T_JSON && type != MR_T_NUMERIC)
				MR_ASSERT(mr_value_from_node(&a, type, node, &again, &err) && mr_value_eq(&v, &again));
		}
	}
	mr_buf_fini(&text);
	mr_buf_fini(&wire);
	mr_arena_fini(&a);
	return 0;
}
