/* What the comparisons in a policy come to, with the caller's identity filled in: truths of the row, or known already. */
#include "policy_inner.h"

/* Truths */

struct mr_operand mr_operand_truth(const struct mr_pred *yes, const struct mr_pred *no)
{
	return (struct mr_operand){.kind = MR_OPERAND_TRUTH, .yes = yes, .no = no};
}

static struct mr_operand decided(struct mr_policy_compiler *c, bool t)
{
	return mr_operand_truth(mr_pred_constant(c->a, t), mr_pred_constant(c->a, !t));
}

static struct mr_operand unknown(struct mr_policy_compiler *c)
{
	const struct mr_pred *never = mr_pred_constant(c->a, false);
	return mr_operand_truth(never, never);
}

static struct mr_operand decided3(struct mr_policy_compiler *c, int t)
{
	return t < 0 ? unknown(c) : decided(c, t);
}

static struct mr_value true_value(bool t)
{
	return (struct mr_value){.type = MR_T_BOOL, .truth = t};
}

static bool refuse_outer(struct mr_policy_compiler *c)
{
	return mr_policy_refuse(c,
		mr_arena_printf(c->a,
			"within exists, data. stands in links only (`field == data.field`); what else the row must be like stands outside "
			"of exists(%s, ...)",
			c->e->name.p)
			.p);
}

/* An operand that stands alone. */
bool mr_operand_as_truth(struct mr_policy_compiler *c, struct mr_operand *o)
{
	if (o->kind == MR_OPERAND_TRUTH)
		return true;
	if (o->kind == MR_OPERAND_OUTER)
		return refuse_outer(c);
	if (o->kind == MR_OPERAND_FIELD) {
		struct mr_value yes = true_value(true), no = true_value(false);
		if (c->e->fields[o->field].type != MR_T_BOOL)
			return mr_policy_refuse(c, "a field that stands alone must be a bool");
		*o = mr_operand_truth(mr_pred_compare(c->a, MR_P_EQ, o->field, &yes), mr_pred_compare(c->a, MR_P_EQ, o->field, &no));
		return true;
	}
	if (o->node && o->node->kind == MR_BOOL) {
		*o = decided(c, o->node->truth);
		return true;
	}
	if (o->literal)
		return mr_policy_refuse(c, "a number, string or null is neither true nor false");
	/* A claim that is absent or no boolean: nothing follows from it, nor from its contrary. */
	*o = unknown(c);
	return true;
}

/* Comparisons */

static enum mr_policy_token turned(enum mr_policy_token op)
{
	return op == MR_PT_LT ? MR_PT_GT : op == MR_PT_LE ? MR_PT_GE : op == MR_PT_GT ? MR_PT_LT : op == MR_PT_GE ? MR_PT_LE : op;
}

static bool is_null(const struct mr_operand *o)
{
	return o->kind == MR_OPERAND_CONSTANT && (!o->node || o->node->kind == MR_NULL);
}

static enum mr_pred_op pred_op(enum mr_policy_token op)
{
	static const enum mr_pred_op ops[] = {[MR_PT_EQ] = MR_P_EQ,
		[MR_PT_NE] = MR_P_NE,
		[MR_PT_LT] = MR_P_LT,
		[MR_PT_LE] = MR_P_LE,
		[MR_PT_GT] = MR_P_GT,
		[MR_PT_GE] = MR_P_GE};
	return ops[op];
}

static bool is_number(const struct mr_node *n)
{
	return n->kind == MR_NUMBER || n->kind == MR_BIGINT;
}

/* 0 or 1: decided; -1: the two do not compare. */
static int compare_nodes(enum mr_pred_op op, const struct mr_node *a, const struct mr_node *b)
{
	struct mr_decimal x, y;
	if (is_number(a) && is_number(b))
		return mr_decimal_read(a->text, &x) && mr_decimal_read(b->text, &y) ? mr_pred_op_holds(op, mr_decimal_cmp(&x, &y)) : -1;
	if (a->kind != b->kind)
		return -1;
	if (a->kind == MR_STRING || a->kind == MR_BYTES)
		return mr_pred_op_holds(op, mr_str_cmp(a->text, b->text));
	if (a->kind == MR_BOOL)
		return mr_pred_op_holds(op, a->truth - b->truth);
	return -1;
}

static bool compare_constants(struct mr_policy_compiler *c, enum mr_policy_token op, struct mr_operand *x, const struct mr_operand *y)
{
	if (!x->node || !y->node) {
		*x = unknown(c);
		return true;
	}
	int t = compare_nodes(pred_op(op), x->node, y->node);
	if (t < 0 && x->literal && y->literal)
		return mr_policy_refuse(c, "the two sides do not compare");
	*x = decided3(c, t);
	return true;
}

/* x == null, x != null. Other comparisons with null are unknown. */
static bool compare_null(struct mr_policy_compiler *c, enum mr_policy_token op, struct mr_operand *x, const struct mr_operand *null)
{
	if (!null->literal || (op != MR_PT_EQ && op != MR_PT_NE)) {
		*x = unknown(c);
		return true;
	}
	struct mr_operand is;
	if (x->kind == MR_OPERAND_FIELD)
		is = mr_operand_truth(mr_pred_is_null(c->a, x->field, true), mr_pred_is_null(c->a, x->field, false));
	else
		is = decided(c, is_null(x));
	*x = op == MR_PT_EQ ? is : mr_operand_truth(is.no, is.yes);
	return true;
}

static enum mr_policy_token contrary(enum mr_policy_token op)
{
	static const enum mr_policy_token ops[] = {[MR_PT_EQ] = MR_PT_NE,
		[MR_PT_NE] = MR_PT_EQ,
		[MR_PT_LT] = MR_PT_GE,
		[MR_PT_LE] = MR_PT_GT,
		[MR_PT_GT] = MR_PT_LE,
		[MR_PT_GE] = MR_PT_LT};
	return ops[op];
}

static bool compare_field_value(struct mr_policy_compiler *c, enum mr_policy_token op, struct mr_operand *x, const struct mr_operand *y)
{
	struct mr_value v;
	struct mr_error inner;
	const struct mr_field *f = &c->e->fields[x->field];
	if (!mr_value_from_node(c->a, f->type, y->node, &v, &inner)) {
		if (y->literal)
			return mr_policy_refuse(c, mr_arena_printf(c->a, "the field \"%s\" is %s, which does not compare with this",
							   f->name.p, mr_type_name(f->type))
							   .p);
		/* The claim is of another type: that says nothing about the row. */
		*x = unknown(c);
		return true;
	}
	*x = mr_operand_truth(mr_pred_compare(c->a, pred_op(op), x->field, &v), mr_pred_compare(c->a, pred_op(contrary(op)), x->field, &v));
	return true;
}

static const struct mr_pred *fields_pred(struct mr_policy_compiler *c, enum mr_policy_token op, int x, int y)
{
	switch (op) {
	case MR_PT_EQ:
		return mr_pred_fields(c->a, MR_P_EQ_FIELD, x, y);
	case MR_PT_NE:
		return mr_pred_fields(c->a, MR_P_NE_FIELD, x, y);
	case MR_PT_LT:
		return mr_pred_fields(c->a, MR_P_LT_FIELD, x, y);
	case MR_PT_LE:
		return mr_pred_fields(c->a, MR_P_LE_FIELD, x, y);
	case MR_PT_GT:
		return mr_pred_fields(c->a, MR_P_LT_FIELD, y, x);
	default:
		return mr_pred_fields(c->a, MR_P_LE_FIELD, y, x);
	}
}

static bool compare_fields(struct mr_policy_compiler *c, enum mr_policy_token op, struct mr_operand *x, const struct mr_operand *y)
{
	if (!mr_types_compare(c->e->fields[x->field].type, c->e->fields[y->field].type))
		return mr_policy_refuse(c, "fields of these types do not compare");
	*x = mr_operand_truth(fields_pred(c, op, x->field, y->field), fields_pred(c, contrary(op), x->field, y->field));
	return true;
}

/* field == data.field, within exists. */
static bool make_link(struct mr_policy_compiler *c, enum mr_policy_token op, struct mr_operand *x, const struct mr_operand *y)
{
	struct mr_operand_links *l = mr_arena_alloc(c->a, sizeof *l);
	l->link = x->kind == MR_OPERAND_OUTER ? (struct mr_link){y->field, x->field} : (struct mr_link){x->field, y->field};
	if (op != MR_PT_EQ || x->kind == y->kind || (x->kind != MR_OPERAND_FIELD && y->kind != MR_OPERAND_FIELD))
		return refuse_outer(c);
	if (!mr_types_compare(c->e->fields[l->link.inner].type, c->outer->fields[l->link.outer].type))
		return mr_policy_refuse(c, "fields of these types do not compare");
	*x = decided(c, true);
	x->links = l;
	return true;
}

bool mr_operand_compare(struct mr_policy_compiler *c, enum mr_policy_token op, struct mr_operand *x, struct mr_operand *y)
{
	if (x->kind == MR_OPERAND_TRUTH || y->kind == MR_OPERAND_TRUTH)
		return mr_policy_refuse(c, "a condition in brackets cannot be compared");
	if (x->kind == MR_OPERAND_OUTER || y->kind == MR_OPERAND_OUTER)
		return make_link(c, op, x, y);
	/* The written null goes right, else the field goes left. */
	bool null_left = is_null(x) && x->literal && !(is_null(y) && y->literal);
	if (null_left || (x->kind == MR_OPERAND_CONSTANT && y->kind == MR_OPERAND_FIELD && !is_null(y))) {
		struct mr_operand t = *x;
		*x = *y;
		*y = t;
		op = turned(op);
	}
	if (is_null(y))
		return compare_null(c, op, x, y);
	if (x->kind == MR_OPERAND_CONSTANT)
		return compare_constants(c, op, x, y);
	return y->kind == MR_OPERAND_FIELD ? compare_fields(c, op, x, y) : compare_field_value(c, op, x, y);
}

/* Lists */

static bool field_in(struct mr_policy_compiler *c, struct mr_operand *x, const struct mr_operand *items, size_t n, bool unknown)
{
	const struct mr_field *f = &c->e->fields[x->field];
	struct mr_value *values = mr_arena_alloc(c->a, n * sizeof *values);
	size_t known = 0;
	for (size_t i = 0; i < n; i++) {
		struct mr_error inner;
		bool fits = items[i].node && mr_value_from_node(c->a, f->type, items[i].node, &values[known], &inner);
		if (!fits && items[i].literal)
			return mr_policy_refuse(c, mr_arena_printf(c->a, "the field \"%s\" is %s, which does not compare with all of these",
							   f->name.p, mr_type_name(f->type))
							   .p);
		bool says = fits && !values[known].null;
		known += says;
		unknown |= !says;
	}
	const struct mr_pred *in = mr_pred_in(c->a, x->field, values, known);
	*x = mr_operand_truth(in, unknown ? mr_pred_constant(c->a, false) : mr_pred_not(c->a, in));
	return true;
}

static bool constant_in(struct mr_policy_compiler *c, struct mr_operand *x, const struct mr_operand *items, size_t n, bool unknown)
{
	bool found = false;
	for (size_t i = 0; i < n; i++) {
		int t = x->node && items[i].node ? compare_nodes(MR_P_EQ, x->node, items[i].node) : -1;
		if (t < 0 && x->literal && items[i].literal)
			return mr_policy_refuse(c, "the value does not compare with all of these");
		found |= t == 1;
		unknown |= t < 0;
	}
	*x = found ? decided(c, true) : unknown ? decided3(c, -1) : decided(c, false);
	return true;
}

bool mr_operand_in(struct mr_policy_compiler *c, struct mr_operand *x, const struct mr_operand *items, size_t n, bool unknown)
{
	for (size_t i = 0; i < n; i++)
		if (items[i].literal && is_null(&items[i]))
			return mr_policy_refuse(c, "null is in no list; ask `== null` beside it");
	if (x->kind == MR_OPERAND_TRUTH || (x->literal && is_null(x)))
		return mr_policy_refuse(c, "in takes a field, a claim or a value before it");
	if (x->kind == MR_OPERAND_OUTER)
		return refuse_outer(c);
	return x->kind == MR_OPERAND_FIELD ? field_in(c, x, items, n, unknown) : constant_in(c, x, items, n, unknown);
}
