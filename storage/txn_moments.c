/* Reads that compare with the present: when does one of them give something else although nobody wrote? A row crosses such a comparison at
 * a moment that its field names, so the next one is the least such field that is still ahead, asked for behind the read, in its snapshot.
 * What the read set keeps is coarser for it: rows that are on the other side of the present now are watched too. */
#include "txn_private.h"

static bool moves(const struct mr_pred *p)
{
	const struct mr_value *v = p->values;
	return (p->op == MR_P_LT || p->op == MR_P_LE || p->op == MR_P_GT || p->op == MR_P_GE) && v->type == MR_T_DATETIME &&
	       v->i != INT64_MAX && v->i != INT64_MIN;
}

static bool holds_moving(const struct mr_pred *p)
{
	if (!mr_pred_has_kids(p->op))
		return moves(p);
	for (size_t i = 0; i < p->n; i++)
		if (holds_moving(p->kids[i]))
			return true;
	return false;
}

/* True wherever p may be at another moment. */
static const struct mr_pred *steady_part(struct mr_arena *a, const struct mr_pred *p)
{
	if (!p || !holds_moving(p))
		return p;
	const struct mr_pred *all = mr_pred_constant(a, true);
	for (size_t i = 0; p->op == MR_P_AND && i < p->n; i++)
		all = mr_pred_and(a, all, steady_part(a, p->kids[i]));
	return mr_pred_normal(a, all);
}

/* The present reaches the row's value when the value that was compared with it does; it was as far from the present as that is now. */
static void take_moment(struct mr_op *op, const struct mr_pg_result *r)
{
	struct mr_value least;
	struct mr_str text = mr_pg_value(r, 0, 0);
	if (text.p && mr_value_from_pgtext(&op->arena, MR_T_DATETIME, text, &least) && least.i != INT64_MAX)
		op->txn->moment = MR_MIN(op->txn->moment, least.i - op->ahead);
	mr_op_answer(op, MR_STR("null"));
}

static void ask(struct mr_txn *txn, const struct mr_plan *plan, const struct mr_pred *steady, const struct mr_pred *p)
{
	struct mr_op *op = mr_op_new(txn, NULL, NULL);
	struct mr_arena *a = &op->arena;
	enum mr_pred_op still = p->op == MR_P_LT || p->op == MR_P_GE ? MR_P_GE : MR_P_GT;
	struct mr_plan ahead = {.entity = plan->entity};
	ahead.where = mr_pred_normal(a, mr_pred_and(a, steady, mr_pred_compare(a, still, p->field, &p->values[0])));
	op->entity = plan->entity;
	op->only_reads = true;
	op->ahead = p->values[0].i - plan->now;
	mr_buf_z(&op->sql, "select min(");
	mr_sql_column(&op->sql, "r.", &plan->entity->fields[p->field]);
	mr_buf_z(&op->sql, ")::text");
	mr_op_print_from(op, &ahead);
	mr_op_send(op, 0, mr_is_keyed(ahead.where), txn->capturing, take_moment);
}

static void ask_each(struct mr_txn *txn, const struct mr_plan *plan, const struct mr_pred *steady, const struct mr_pred *p)
{
	if (moves(p))
		ask(txn, plan, steady, p);
	for (size_t i = 0; mr_pred_has_kids(p->op) && i < p->n; i++)
		ask_each(txn, plan, steady, p->kids[i]);
}

void mr_txn_add_plan(struct mr_txn *txn, const struct mr_plan *plan, mr_fields fields)
{
	struct mr_arena a = {0};
	if (txn->kind != MR_TXN_READ || !plan->now || !plan->where || !holds_moving(plan->where)) {
		mr_txn_add_read(txn, plan->entity, plan->where, fields);
		return;
	}
	const struct mr_pred *steady = steady_part(&a, plan->where);
	mr_txn_add_read(txn, plan->entity, steady, fields | mr_pred_reads(plan->where));
	ask_each(txn, plan, steady, plan->where);
	mr_arena_fini(&a);
}

bool mr_txn_moment(const struct mr_txn *txn, int64_t *ms)
{
	if (txn->moment == INT64_MAX)
		return false;
	/* Behind it, so that what is compared with "less than" has been passed. */
	*ms = mr_datetime_to_unix_ms(txn->moment) + 1;
	return true;
}
