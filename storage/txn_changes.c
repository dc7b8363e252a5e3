/* The changes of a transaction, collected as the statements return them. */
#include <inttypes.h>

#include "txn_private.h"

/* Above this a transaction's changes are not listed any more: its tables are marked, and what is on screen from them is read anew. */
enum { CHANGES_MAX = 64 << 20 };

static void begin_change(struct mr_buf *b, const struct mr_entity *e, int64_t seq)
{
	mr_buf_printf(b, "%s{\"s\":%" PRId64 ",\"e\":", b->n ? "," : "[", seq);
	mr_json_quote(b, e->name);
}

static void go_bulk(struct mr_txn *txn)
{
	txn->bulk = true;
	mr_buf_fini(&txn->changes);
}

void mr_txn_add_change(struct mr_txn *txn, const struct mr_entity *e, int64_t seq, struct mr_str was, struct mr_str now)
{
	struct mr_buf *b = &txn->changes;
	txn->last_seq = seq;
	if (!txn->touched)
		txn->touched = mr_alloc(txn->app->n_entities * sizeof(*txn->touched));
	txn->touched[e->number] = true;
	if (!txn->bulk && b->n + was.n + now.n > CHANGES_MAX)
		go_bulk(txn);
	if (txn->bulk)
		return;
	begin_change(b, e, seq);
	if (was.p) {
		mr_buf_z(b, ",\"o\":");
		mr_buf_str(b, was);
	}
	if (now.p) {
		mr_buf_z(b, ",\"n\":");
		mr_buf_str(b, now);
	}
	mr_buf_char(b, '}');
}

void mr_txn_print_changes(struct mr_txn *txn, struct mr_buf *json)
{
	mr_buf_str(json, mr_buf_view(&txn->changes));
	for (size_t i = 0; txn->bulk && i < txn->app->n_entities; i++) {
		if (!txn->touched[i])
			continue;
		begin_change(json, &txn->app->entities[i], txn->last_seq);
		mr_buf_z(json, ",\"bulk\":true}");
	}
	mr_buf_z(json, json->n ? "]" : "[]");
}
