/* Predicates and orders as SQL over one table, whose alias is "r". Values travel as parameters, never as text; equal shapes give
 * equal text, so that statements are prepared once. Agrees with mr_pred_eval on every value and null (tests/flow/txn_differential.c).
 */
#ifndef MR_PRED_SQL_H
#define MR_PRED_SQL_H

#include "proto/predicate.h"

/* Parameters of a statement under construction; their text lives in the arena. */
struct mr_params {
	struct mr_arena *arena;
	struct mr_str *v;
	int n, cap;
	bool members; /* columns are of the rows of a set, within exists: alias "s" */
	bool plan;    /* none: literals instead, and no alias. For plans, which are read by people before they are run */
};
/* Adds one (p NULL: null) and returns its number, from 1 on. The text is not copied. */
int mr_params_add(struct mr_params *p, struct mr_str text);
int mr_params_add_value(struct mr_params *p, const struct mr_value *v);

void mr_pred_sql(struct mr_buf *sql, struct mr_params *params, const struct mr_entity *e, const struct mr_pred *p);
/* "r"."a" asc, "r"."b" desc ...: nulls as Postgres has them. n 0: by id. */
void mr_order_sql(struct mr_buf *sql, const struct mr_entity *e, const struct mr_order *order, size_t n);

#endif
