#include "rows.h"

#include <stdlib.h>

void mr_rows_read(struct mr_rows *rows, const struct mr_entity *e, const struct mr_node *images)
{
	struct mr_arena a = {0};
	size_t n = images && images->kind == MR_ARRAY ? images->n : 0;
	*rows = (struct mr_rows){.v = mr_alloc((n + 1) * sizeof(struct mr_item *))};
	while (!rows->misfit && rows->n < n) {
		struct mr_row row;
		const struct mr_node *image = &images->items[rows->n];
		rows->misfit = !mr_row_from_image(&a, e, image, &row);
		if (!rows->misfit)
			rows->v[rows->n++] = mr_item_new(&row, (uint32_t)image->raw.n);
		mr_arena_reset(&a);
	}
	mr_arena_fini(&a);
	for (size_t i = 0; rows->misfit && i < rows->n; i++)
		mr_item_drop(&rows->v[i]);
	rows->n = rows->misfit ? 0 : rows->n;
}

void mr_rows_fini(struct mr_rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		mr_item_drop(&rows->v[i]);
	free(rows->v);
	*rows = (struct mr_rows){0};
}
