/* The read set: what a function looked at, for whoever decides when to run it again. Only read transactions keep one. */
#include <stdlib.h>

#include "txn_private.h"

static void add(struct mr_txn *txn, struct mr_buf *item)
{
	if (!mr_map_get(&txn->reads, mr_buf_view(item))) {
		struct mr_str text = mr_arena_str(&txn->arena, mr_buf_view(item));
		mr_map_put(&txn->reads, text, txn);
		if (txn->n_reads == txn->cap_reads) {
			txn->cap_reads = txn->cap_reads ? txn->cap_reads * 2 : 8;
			txn->read_list = mr_realloc(txn->read_list, txn->cap_reads * sizeof(*txn->read_list));
		}
		txn->read_list[txn->n_reads++] = text;
	}
	mr_buf_fini(item);
}

void mr_txn_add_read(struct mr_txn *txn, const struct mr_entity *e, const struct mr_pred *where)
{
	if (txn->kind != MR_TXN_READ)
		return;
	struct mr_buf item = {0};
	mr_buf_char(&item, '[');
	mr_json_quote(&item, e->name);
	mr_buf_char(&item, ',');
	if (where && where->op != MR_P_TRUE)
		mr_pred_print(&item, e, where);
	else
		mr_buf_z(&item, "null");
	mr_buf_char(&item, ']');
	add(txn, &item);
}

void mr_txn_add_foreign_read(struct mr_txn *txn, struct mr_str table)
{
	if (txn->kind != MR_TXN_READ)
		return;
	struct mr_buf item = {0};
	mr_buf_z(&item, "[\"\",");
	mr_json_quote(&item, table);
	mr_buf_char(&item, ']');
	add(txn, &item);
}

void mr_txn_reads(const struct mr_txn *txn, struct mr_buf *json)
{
	mr_buf_char(json, '[');
	for (size_t i = 0; i < txn->n_reads; i++) {
		mr_buf_z(json, i ? "," : "");
		mr_buf_str(json, txn->read_list[i]);
	}
	mr_buf_char(json, ']');
}
