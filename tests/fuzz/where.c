/* Any JSON as a filter, an order, a predicate's text and a row's image. What is read prints, reads back and normalises without a change of
 * meaning on the rows that the input itself holds. */
#include "proto/predicate.h"
#include "tests/fuzz/entity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(struct mr_arena *a, const struct mr_entity *e, const struct mr_pred *p, const struct mr_row *row)
{
	struct mr_buf b = {0}, again = {0};
	struct mr_error err;
	const struct mr_pred *normal = mr_pred_normal(a, p);
	mr_pred_print(&b, e, normal);
	const struct mr_node *text = mr_json_read(a, mr_buf_view(&b), 512, false, &err);
	/* A tree may nest one deeper for each of its own levels than what it was read from. */
	const struct mr_pred *read = text ? mr_pred_read(a, e, text, &err) : NULL;
	if (read) {
		mr_pred_print(&again, e, read);
		MR_ASSERT(mr_str_eq(mr_buf_view(&b), mr_buf_view(&again)));
		MR_ASSERT(mr_pred_eval(read, row) == mr_pred_eval(p, row));
	}
	MR_ASSERT(mr_pred_eval(normal, row) == mr_pred_eval(p, row));
	mr_buf_fini(&b);
	mr_buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct mr_entity *e = fuzz_entity();
	struct mr_arena a = {0};
	struct mr_error err;
	const struct mr_node *tree = mr_json_read(&a, (struct mr_str){(const char *)data, n}, 64, false, &err);
	if (tree) {
		struct mr_value *values = mr_arena_alloc(&a, e->n * sizeof(*values));
		struct mr_row row = {e, values}, image;
		for (size_t i = 0; i < e->n; i++) {
			const struct mr_node *m = mr_node_get(tree, e->fields[i].name.p);
			if (!m || !mr_value_from_node(&a, e->fields[i].type, m, &values[i], &err))
				values[i] = (struct mr_value){.type = e->fields[i].type, .null = true};
		}
		const struct mr_order *order;
		size_t n_order;
		const struct mr_pred *p = mr_pred_from_where(&a, e, tree, true, &err);
		if (p)
			check(&a, e, p, &row);
		p = mr_pred_read(&a, e, tree, &err);
		if (p)
			check(&a, e, p, &row);
		mr_order_read(&a, e, tree, true, &order, &n_order, &err);
		mr_row_from_image(&a, e, tree, &image);
	}
	mr_arena_fini(&a);
	return 0;
}
