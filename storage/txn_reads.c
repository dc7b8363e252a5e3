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

static mr_fields all_of(const struct mr_entity *e)
{
	mr_fields all = 0;
	for (size_t i = 0; i < e->n; i++)
		all |= mr_field_bit((int)i);
	return all;
}

static void print_fields(struct mr_buf *b, const struct mr_entity *e, mr_fields fields)
{
	const char *between = "";
	mr_buf_z(b, ",[");
	for (size_t i = 0; i < e->n; i++) {
		if (!(fields & mr_field_bit((int)i)))
			continue;
		mr_buf_z(b, between);
		mr_json_quote(b, e->fields[i].name);
		between = ",";
	}
	mr_buf_char(b, ']');
}

/* Of a set that decides about rows, its own rows are read too. */
static const struct mr_pred *add_set(struct mr_arena *a, const struct mr_members *m, bool negated, void *txn)
{
	mr_fields links = 0;
	for (size_t i = 0; i < m->n; i++)
		links |= mr_field_bit(m->links[i].inner);
	mr_txn_add_read(txn, m->entity, m->pred, links);
	return mr_pred_constant(a, !negated);
}

void mr_txn_add_read(struct mr_txn *txn, const struct mr_entity *e, const struct mr_pred *where, mr_fields fields)
{
	if (txn->kind != MR_TXN_READ)
		return;
	struct mr_arena a = {0};
	struct mr_buf item = {0};
	mr_txn_look_at(txn, e);
	fields |= where ? mr_pred_reads(where) : 0;
	if (mr_pred_asks_sets(where))
		where = mr_pred_resolve(&a, where, add_set, txn);
	mr_buf_char(&item, '[');
	mr_json_quote(&item, e->name);
	mr_buf_char(&item, ',');
	if (where && where->op != MR_P_TRUE)
		mr_pred_print(&item, e, where);
	else
		mr_buf_z(&item, "null");
	if ((fields & all_of(e)) != all_of(e))
		print_fields(&item, e, fields);
	mr_buf_char(&item, ']');
	add(txn, &item);
	mr_arena_fini(&a);
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
