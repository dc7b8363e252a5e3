/* A policy is compiled to two predicates at once: when it is true, and when it is false. Where neither holds it is unknown. So "!" only
 * swaps them, and unknown needs no operator of its own: what the caller gets is the first, in which anything unknown is false.
 */
#include "policy.h"

#include <stdlib.h>

enum { POLICY_DEPTH = 64, POLICY_MAX = 16384, NAMES_MOST = 16 };

enum token {
	T_END,
	T_NAME,
	T_NUMBER,
	T_STRING,
	T_AND,
	T_OR,
	T_NOT,
	T_EQ,
	T_NE,
	T_LT,
	T_LE,
	T_GT,
	T_GE,
	T_OPEN,
	T_CLOSE,
	T_LIST,
	T_LIST_END,
	T_COMMA,
	T_DOT,
	T_BAD
};

struct compiler {
	struct mr_arena *a;
	const struct mr_entity *e;
	const struct mr_entity *outer; /* within exists(e, ...): whose policy it is */
	const struct mr_node *auth;
	struct mr_error *err;
	const char *start, *p, *end;
	enum token token;
	struct mr_str text; /* of the token: a name, a number, or a string's content */
	int depth;
	bool asks_sets; /* some exists(...) was compiled */
};

enum operand_kind { CONSTANT, FIELD, OUTER, TRUTH };

struct links {
	struct mr_link link;
	const struct links *next;
};

struct operand {
	enum operand_kind kind;
	const struct mr_node *node; /* CONSTANT; NULL: an absent claim */
	bool literal;               /* written in the source, so that a wrong type is the author's mistake */
	int field;
	const struct mr_pred *yes, *no; /* TRUTH */
	const struct links *links;      /* of a TRUTH within exists: hold beside it */
};

static bool refuse(struct compiler *c, const char *why)
{
	const struct mr_entity *e = c->outer ? c->outer : c->e;
	mr_fail(c->err, MR_BAD_POLICY, "The policy of %s does not compile at character %zu: %s.", e->name.p, (size_t)(c->p - c->start),
		why);
	return false;
}

/* Tokens */

static bool is_letter(char c)
{
	char low = c | 0x20;
	return c == '_' || (low >= 'a' && low <= 'z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static void scan_name(struct compiler *c)
{
	const char *from = c->p;
	while (c->p < c->end && (is_letter(*c->p) || is_digit(*c->p)))
		c->p++;
	c->token = T_NAME;
	c->text = (struct mr_str){from, (size_t)(c->p - from)};
}

static void scan_number(struct compiler *c)
{
	const char *from = c->p;
	struct mr_decimal d;
	c->p++;
	while (c->p < c->end &&
		(is_digit(*c->p) || *c->p == '.' || is_letter(*c->p) || ((*c->p == '-' || *c->p == '+') && (c->p[-1] | 0x20) == 'e')))
		c->p++;
	c->text = (struct mr_str){from, (size_t)(c->p - from)};
	c->token = mr_decimal_read(c->text, &d) ? T_NUMBER : T_BAD;
}

/* Quotes of either kind; a backslash stands before a quote or a backslash. */
static void scan_string(struct compiler *c)
{
	char quote = *c->p++;
	char *copy = mr_arena_alloc(c->a, (size_t)(c->end - c->p) + 1), *to = copy;
	while (c->p < c->end && *c->p != quote) {
		if (*c->p == '\\') {
			if (++c->p == c->end || (*c->p != '\\' && *c->p != '\'' && *c->p != '"'))
				break;
		}
		*to++ = *c->p++;
	}
	c->token = c->p < c->end && *c->p == quote ? T_STRING : T_BAD;
	c->p += c->token == T_STRING;
	c->text = (struct mr_str){copy, (size_t)(to - copy)};
}

static void scan_sign(struct compiler *c)
{
	static const struct {
		char text[3];
		enum token token;
	} signs[] = {{"&&", T_AND}, {"||", T_OR}, {"==", T_EQ}, {"!=", T_NE}, {"<=", T_LE}, {">=", T_GE}, {"<", T_LT}, {">", T_GT},
		{"!", T_NOT}, {"(", T_OPEN}, {")", T_CLOSE}, {"[", T_LIST}, {"]", T_LIST_END}, {",", T_COMMA}, {".", T_DOT}};
	c->token = T_BAD;
	for (size_t i = 0; i < MR_COUNT(signs); i++) {
		size_t n = strlen(signs[i].text);
		if ((size_t)(c->end - c->p) >= n && memcmp(c->p, signs[i].text, n) == 0) {
			c->token = signs[i].token;
			c->p += n;
			return;
		}
	}
}

static void next(struct compiler *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r'))
		c->p++;
	if (c->p == c->end)
		c->token = T_END;
	else if (is_letter(*c->p))
		scan_name(c);
	else if (is_digit(*c->p) || (*c->p == '-' && c->p + 1 < c->end && is_digit(c->p[1])))
		scan_number(c);
	else if (*c->p == '\'' || *c->p == '"')
		scan_string(c);
	else
		scan_sign(c);
}

static bool accept(struct compiler *c, enum token token)
{
	if (c->token != token)
		return false;
	next(c);
	return true;
}

/* Truths */

static struct operand truth(const struct mr_pred *yes, const struct mr_pred *no)
{
	return (struct operand){.kind = TRUTH, .yes = yes, .no = no};
}

static struct operand decided(struct compiler *c, bool t)
{
	return truth(mr_pred_constant(c->a, t), mr_pred_constant(c->a, !t));
}

static struct operand unknown(struct compiler *c)
{
	const struct mr_pred *never = mr_pred_constant(c->a, false);
	return truth(never, never);
}

static struct operand decided3(struct compiler *c, int t)
{
	return t < 0 ? unknown(c) : decided(c, t);
}

static struct mr_value true_value(bool t)
{
	return (struct mr_value){.type = MR_T_BOOL, .truth = t};
}

static bool refuse_outer(struct compiler *c)
{
	return refuse(c,
		mr_arena_printf(c->a,
			"within exists, data. stands in links only (`field == data.field`); what else the row must be like stands outside "
			"of exists(%s, ...)",
			c->e->name.p)
			.p);
}

/* An operand that stands alone. */
static bool as_truth(struct compiler *c, struct operand *o)
{
	if (o->kind == TRUTH)
		return true;
	if (o->kind == OUTER)
		return refuse_outer(c);
	if (o->kind == FIELD) {
		struct mr_value yes = true_value(true), no = true_value(false);
		if (c->e->fields[o->field].type != MR_T_BOOL)
			return refuse(c, "a field that stands alone must be a bool");
		*o = truth(mr_pred_compare(c->a, MR_P_EQ, o->field, &yes), mr_pred_compare(c->a, MR_P_EQ, o->field, &no));
		return true;
	}
	if (o->node && o->node->kind == MR_BOOL) {
		*o = decided(c, o->node->truth);
		return true;
	}
	if (o->literal)
		return refuse(c, "a number, string or null is neither true nor false");
	/* A claim that is absent or no boolean: nothing follows from it, nor from its contrary. */
	*o = unknown(c);
	return true;
}

/* Comparisons */

static enum token turned(enum token op)
{
	return op == T_LT ? T_GT : op == T_LE ? T_GE : op == T_GT ? T_LT : op == T_GE ? T_LE : op;
}

static bool is_null(const struct operand *o)
{
	return o->kind == CONSTANT && (!o->node || o->node->kind == MR_NULL);
}

static bool holds(enum token op, int cmp)
{
	switch (op) {
	case T_EQ:
		return cmp == 0;
	case T_NE:
		return cmp != 0;
	case T_LT:
		return cmp < 0;
	case T_LE:
		return cmp <= 0;
	case T_GT:
		return cmp > 0;
	default:
		return cmp >= 0;
	}
}

static bool is_number(const struct mr_node *n)
{
	return n->kind == MR_NUMBER || n->kind == MR_BIGINT;
}

/* 0 or 1: decided; -1: the two do not compare. */
static int compare_nodes(enum token op, const struct mr_node *a, const struct mr_node *b)
{
	struct mr_decimal x, y;
	if (is_number(a) && is_number(b))
		return mr_decimal_read(a->text, &x) && mr_decimal_read(b->text, &y) ? holds(op, mr_decimal_cmp(&x, &y)) : -1;
	if (a->kind != b->kind)
		return -1;
	if (a->kind == MR_STRING || a->kind == MR_BYTES)
		return holds(op, mr_str_cmp(a->text, b->text));
	if (a->kind == MR_BOOL)
		return holds(op, a->truth - b->truth);
	return -1;
}

static bool compare_constants(struct compiler *c, enum token op, struct operand *x, const struct operand *y)
{
	if (!x->node || !y->node) {
		*x = unknown(c);
		return true;
	}
	int t = compare_nodes(op, x->node, y->node);
	if (t < 0 && x->literal && y->literal)
		return refuse(c, "the two sides do not compare");
	*x = decided3(c, t);
	return true;
}

/* x == null, x != null. Other comparisons with null are unknown. */
static bool compare_null(struct compiler *c, enum token op, struct operand *x, const struct operand *null)
{
	if (!null->literal || (op != T_EQ && op != T_NE)) {
		*x = unknown(c);
		return true;
	}
	struct operand is;
	if (x->kind == FIELD)
		is = truth(mr_pred_is_null(c->a, x->field, true), mr_pred_is_null(c->a, x->field, false));
	else
		is = decided(c, is_null(x));
	*x = op == T_EQ ? is : truth(is.no, is.yes);
	return true;
}

static enum mr_pred_op pred_op(enum token op)
{
	static const enum mr_pred_op ops[] = {
		[T_EQ] = MR_P_EQ, [T_NE] = MR_P_NE, [T_LT] = MR_P_LT, [T_LE] = MR_P_LE, [T_GT] = MR_P_GT, [T_GE] = MR_P_GE};
	return ops[op];
}

static enum token contrary(enum token op)
{
	static const enum token ops[] = {[T_EQ] = T_NE, [T_NE] = T_EQ, [T_LT] = T_GE, [T_LE] = T_GT, [T_GT] = T_LE, [T_GE] = T_LT};
	return ops[op];
}

static bool compare_field_value(struct compiler *c, enum token op, struct operand *x, const struct operand *y)
{
	struct mr_value v;
	struct mr_error inner;
	const struct mr_field *f = &c->e->fields[x->field];
	if (!mr_value_from_node(c->a, f->type, y->node, &v, &inner)) {
		if (y->literal)
			return refuse(c, mr_arena_printf(c->a, "the field \"%s\" is %s, which does not compare with this", f->name.p,
						 mr_type_name(f->type))
						 .p);
		/* The claim is of another type: that says nothing about the row. */
		*x = unknown(c);
		return true;
	}
	*x = truth(mr_pred_compare(c->a, pred_op(op), x->field, &v), mr_pred_compare(c->a, pred_op(contrary(op)), x->field, &v));
	return true;
}

static const struct mr_pred *fields_pred(struct compiler *c, enum token op, int x, int y)
{
	switch (op) {
	case T_EQ:
		return mr_pred_fields(c->a, MR_P_EQ_FIELD, x, y);
	case T_NE:
		return mr_pred_fields(c->a, MR_P_NE_FIELD, x, y);
	case T_LT:
		return mr_pred_fields(c->a, MR_P_LT_FIELD, x, y);
	case T_LE:
		return mr_pred_fields(c->a, MR_P_LE_FIELD, x, y);
	case T_GT:
		return mr_pred_fields(c->a, MR_P_LT_FIELD, y, x);
	default:
		return mr_pred_fields(c->a, MR_P_LE_FIELD, y, x);
	}
}

static bool compare_fields(struct compiler *c, enum token op, struct operand *x, const struct operand *y)
{
	if (!mr_types_compare(c->e->fields[x->field].type, c->e->fields[y->field].type))
		return refuse(c, "fields of these types do not compare");
	*x = truth(fields_pred(c, op, x->field, y->field), fields_pred(c, contrary(op), x->field, y->field));
	return true;
}

/* field == data.field, within exists. */
static bool make_link(struct compiler *c, enum token op, struct operand *x, const struct operand *y)
{
	struct links *l = mr_arena_alloc(c->a, sizeof *l);
	l->link = x->kind == OUTER ? (struct mr_link){y->field, x->field} : (struct mr_link){x->field, y->field};
	if (op != T_EQ || x->kind == y->kind || (x->kind != FIELD && y->kind != FIELD))
		return refuse_outer(c);
	if (!mr_types_compare(c->e->fields[l->link.inner].type, c->outer->fields[l->link.outer].type))
		return refuse(c, "fields of these types do not compare");
	*x = decided(c, true);
	x->links = l;
	return true;
}

static bool compare(struct compiler *c, enum token op, struct operand *x, struct operand *y)
{
	if (x->kind == TRUTH || y->kind == TRUTH)
		return refuse(c, "a condition in brackets cannot be compared");
	if (x->kind == OUTER || y->kind == OUTER)
		return make_link(c, op, x, y);
	/* The written null goes right, else the field goes left. */
	bool null_left = is_null(x) && x->literal && !(is_null(y) && y->literal);
	if (null_left || (x->kind == CONSTANT && y->kind == FIELD && !is_null(y))) {
		struct operand t = *x;
		*x = *y;
		*y = t;
		op = turned(op);
	}
	if (is_null(y))
		return compare_null(c, op, x, y);
	if (x->kind == CONSTANT)
		return compare_constants(c, op, x, y);
	return y->kind == FIELD ? compare_fields(c, op, x, y) : compare_field_value(c, op, x, y);
}

/* Lists */

static bool field_in(struct compiler *c, struct operand *x, const struct operand *items, size_t n, bool unknown)
{
	const struct mr_field *f = &c->e->fields[x->field];
	struct mr_value *values = mr_arena_alloc(c->a, n * sizeof *values);
	size_t known = 0;
	for (size_t i = 0; i < n; i++) {
		struct mr_error inner;
		bool fits = items[i].node && mr_value_from_node(c->a, f->type, items[i].node, &values[known], &inner);
		if (!fits && items[i].literal)
			return refuse(c, mr_arena_printf(c->a, "the field \"%s\" is %s, which does not compare with all of these",
						 f->name.p, mr_type_name(f->type))
						 .p);
		bool says = fits && !values[known].null;
		known += says;
		unknown |= !says;
	}
	const struct mr_pred *in = mr_pred_in(c->a, x->field, values, known);
	*x = truth(in, unknown ? mr_pred_constant(c->a, false) : mr_pred_not(c->a, in));
	return true;
}

static bool constant_in(struct compiler *c, struct operand *x, const struct operand *items, size_t n, bool unknown)
{
	bool found = false;
	for (size_t i = 0; i < n; i++) {
		int t = x->node && items[i].node ? compare_nodes(T_EQ, x->node, items[i].node) : -1;
		if (t < 0 && x->literal && items[i].literal)
			return refuse(c, "the value does not compare with all of these");
		found |= t == 1;
		unknown |= t < 0;
	}
	*x = found ? decided(c, true) : unknown ? decided3(c, -1) : decided(c, false);
	return true;
}

static bool is_in(struct compiler *c, struct operand *x, const struct operand *items, size_t n, bool unknown)
{
	for (size_t i = 0; i < n; i++)
		if (items[i].literal && is_null(&items[i]))
			return refuse(c, "null is in no list; ask `== null` beside it");
	if (x->kind == TRUTH || (x->literal && is_null(x)))
		return refuse(c, "in takes a field, a claim or a value before it");
	if (x->kind == OUTER)
		return refuse_outer(c);
	return x->kind == FIELD ? field_in(c, x, items, n, unknown) : constant_in(c, x, items, n, unknown);
}

/* Grammar */

static bool parse_or(struct compiler *c, struct operand *o);
static bool parse_term(struct compiler *c, struct operand *o);

static bool take_field(struct compiler *c, const struct mr_entity *e, enum operand_kind kind, struct mr_str name, struct operand *o)
{
	int f = mr_entity_field(e, name);
	if (f < 0)
		return refuse(c, mr_arena_printf(c->a, "%s has no field \"%.*s\"", e->name.p, (int)MR_MIN(name.n, 80), name.p).p);
	if (e->fields[f].type == MR_T_JSON)
		return refuse(c, "json fields do not compare");
	if (mr_field_computed(&e->fields[f]))
		return refuse(c, mr_arena_printf(c->a, "the id of %s is made of several fields: compare these", e->name.p).p);
	*o = (struct operand){.kind = kind, .field = f};
	return c->token != T_DOT || refuse(c, "fields have no members");
}

static bool parse_field(struct compiler *c, struct operand *o)
{
	if (!accept(c, T_DOT) || c->token != T_NAME)
		return refuse(c, "`data.` and a field's name were expected");
	struct mr_str name = c->text;
	next(c);
	return take_field(c, c->outer ? c->outer : c->e, c->outer ? OUTER : FIELD, name, o);
}

static bool parse_claim(struct compiler *c, struct operand *o)
{
	const struct mr_node *n = c->auth;
	if (c->token != T_DOT)
		return refuse(c, "`auth.` and a claim's name were expected");
	for (int names = 0; accept(c, T_DOT); names++) {
		if (c->token != T_NAME || names == NAMES_MOST)
			return refuse(c, "a claim's name was expected");
		n = mr_node_get(n, mr_arena_z(c->a, c->text));
		next(c);
	}
	*o = (struct operand){.kind = CONSTANT, .node = n};
	return c->token != T_OPEN || refuse(c, "claims are no functions: a role is asked for by 'admin' in auth.roles");
}

static bool literal(struct compiler *c, struct operand *o, enum mr_kind kind, bool t)
{
	struct mr_node *n = mr_arena_alloc(c->a, sizeof(*n));
	n->kind = kind;
	n->truth = t;
	n->text = c->text;
	*o = (struct operand){.kind = CONSTANT, .node = n, .literal = true};
	next(c);
	return true;
}

static bool open_exists(struct compiler *c, const struct mr_entity **set)
{
	if (c->outer)
		return refuse(c, "exists(...) does not stand within another one");
	next(c);
	*set = c->token == T_NAME ? mr_app_entity(c->e->app, c->text) : NULL;
	if (!*set)
		return refuse(c, c->token == T_NAME
					 ? mr_arena_printf(c->a, "there is no entity \"%.*s\"", (int)MR_MIN(c->text.n, 80), c->text.p).p
					 : "exists takes an entity and a condition, as exists(Member, team == data.team)");
	next(c);
	return accept(c, T_COMMA) || refuse(c, "exists takes an entity, a comma and a condition");
}

/* NULL: there are too many links. */
static const struct mr_pred *make_member(struct compiler *c, const struct mr_entity *set, const struct operand *body)
{
	struct mr_link links[MR_LINKS_MOST];
	struct mr_members m = {.entity = set, .pred = mr_pred_normal(c->a, body->yes), .links = links};
	for (const struct links *l = body->links; l; l = l->next) {
		if (m.n == MR_LINKS_MOST)
			return NULL;
		links[m.n++] = l->link;
	}
	return mr_pred_member(c->a, &m);
}

static bool parse_exists(struct compiler *c, struct operand *o)
{
	const struct mr_entity *set;
	struct operand body = {0};
	if (!open_exists(c, &set))
		return false;
	c->outer = c->e;
	c->e = set;
	c->asks_sets = true;
	bool ok = parse_or(c, &body) && as_truth(c, &body);
	c->e = c->outer;
	c->outer = NULL;
	if (!ok)
		return false;
	if (!accept(c, T_CLOSE))
		return refuse(c, "a closing bracket was expected");
	const struct mr_pred *member = make_member(c, set, &body);
	if (!member)
		return refuse(c, "exists takes 8 links at most");
	*o = truth(member, mr_pred_not(c->a, member));
	return true;
}

/* What other policy languages have; NULL: nothing that we know. */
static const char *foreign(struct mr_str name)
{
	static const char *const names[][2] = {
		{"now", "time alone changes no row, so nobody would be told; let a function compare with ctx.now()"},
		{"existing", "the rows before and after an update are both \"data\", each in its turn, and both must satisfy the policy"},
		{"input", "the rows before and after an update are both \"data\", each in its turn, and both must satisfy the policy"},
	};
	for (size_t i = 0; i < MR_COUNT(names); i++)
		if (mr_str_is(name, names[i][0]))
			return names[i][1];
	return NULL;
}

static bool parse_name(struct compiler *c, struct operand *o)
{
	struct mr_str name = c->text;
	if (mr_str_is(name, "true") || mr_str_is(name, "false"))
		return literal(c, o, MR_BOOL, name.n == 4);
	if (mr_str_is(name, "null"))
		return literal(c, o, MR_NULL, false);
	next(c);
	if (mr_str_is(name, "data"))
		return parse_field(c, o);
	if (mr_str_is(name, "auth"))
		return parse_claim(c, o);
	if (!c->outer && foreign(name))
		return refuse(c, foreign(name));
	if (c->token == T_OPEN)
		return mr_str_is(name, "exists") ? parse_exists(c, o) : refuse(c, "there are no functions but exists(...)");
	return c->outer ? take_field(c, c->e, FIELD, name, o) : refuse(c, "names begin with \"auth.\" or \"data.\"");
}

static bool parse_term(struct compiler *c, struct operand *o)
{
	switch (c->token) {
	case T_NAME:
		return parse_name(c, o);
	case T_NUMBER:
		return literal(c, o, MR_NUMBER, false);
	case T_STRING:
		return literal(c, o, MR_STRING, false);
	case T_OPEN:
		next(c);
		return parse_or(c, o) && (accept(c, T_CLOSE) || refuse(c, "a closing bracket was expected"));
	default:
		return refuse(c, "a value, auth. or data. was expected");
	}
}

struct items {
	struct operand *v;
	size_t n, cap;
};

static struct operand *add_item(struct compiler *c, struct items *items)
{
	if (items->n == items->cap) {
		items->cap = items->cap ? 2 * items->cap : 8;
		struct operand *v = mr_arena_alloc(c->a, items->cap * sizeof *v);
		if (items->n)
			memcpy(v, items->v, items->n * sizeof *v);
		items->v = v;
	}
	return &items->v[items->n++];
}

static bool parse_items(struct compiler *c, struct items *items)
{
	if (accept(c, T_LIST_END))
		return true;
	do {
		struct operand *item = add_item(c, items);
		if (!parse_term(c, item))
			return false;
		if (item->kind != CONSTANT)
			return refuse(c, "a list holds values and claims");
	} while (accept(c, T_COMMA));
	return accept(c, T_LIST_END) || refuse(c, "the list's end was expected");
}

/* A claim that is a list. */
static bool claimed_items(struct compiler *c, struct items *items, bool *unknown)
{
	struct operand claim = {0};
	if (c->token != T_NAME || !parse_term(c, &claim) || claim.kind != CONSTANT || claim.literal)
		return refuse(c, "after in comes a list, ['a', 'b'], or a claim that is one");
	*unknown = !claim.node || claim.node->kind != MR_ARRAY;
	for (size_t i = 0; !*unknown && i < claim.node->n; i++)
		*add_item(c, items) = (struct operand){.kind = CONSTANT, .node = &claim.node->items[i]};
	return true;
}

static bool parse_in(struct compiler *c, struct operand *o)
{
	struct items items = {0};
	bool unknown = false;
	bool ok = accept(c, T_LIST) ? parse_items(c, &items) : claimed_items(c, &items, &unknown);
	return ok && is_in(c, o, items.v, items.n, unknown);
}

static bool parse_cmp(struct compiler *c, struct operand *o)
{
	struct operand y = {0};
	if (!parse_term(c, o))
		return false;
	if (c->token == T_NAME && mr_str_is(c->text, "in")) {
		next(c);
		return parse_in(c, o);
	}
	enum token op = c->token;
	if (o->kind == FIELD && (op == T_BAD || op == T_NAME))
		return refuse(c, "fields are compared by ==, !=, <, <=, >, >= or in");
	if (op < T_EQ || op > T_GE)
		return true;
	next(c);
	return parse_term(c, &y) && compare(c, op, o, &y);
}

/* A link is no condition to choose between or to deny. */
static bool stands_with_and(struct compiler *c, const struct operand *o)
{
	return !o->links || refuse(c, "links to data. are joined to the rest by &&, not by || and not under !");
}

static const struct links *join_links(struct compiler *c, const struct links *x, const struct links *y)
{
	for (; x; x = x->next) {
		struct links *l = mr_arena_alloc(c->a, sizeof *l);
		*l = (struct links){x->link, y};
		y = l;
	}
	return y;
}

static bool parse_not(struct compiler *c, struct operand *o)
{
	if (c->depth >= POLICY_DEPTH)
		return refuse(c, "it nests too deep");
	c->depth++;
	bool ok;
	if (accept(c, T_NOT)) {
		ok = parse_not(c, o) && as_truth(c, o) && stands_with_and(c, o);
		if (ok)
			*o = truth(o->no, o->yes);
	} else {
		ok = parse_cmp(c, o);
	}
	c->depth--;
	return ok;
}

static bool parse_and(struct compiler *c, struct operand *o)
{
	struct operand y = {0};
	if (!parse_not(c, o))
		return false;
	while (accept(c, T_AND)) {
		if (!as_truth(c, o) || !parse_not(c, &y) || !as_truth(c, &y))
			return false;
		const struct links *links = join_links(c, o->links, y.links);
		*o = truth(mr_pred_and(c->a, o->yes, y.yes), mr_pred_or(c->a, o->no, y.no));
		o->links = links;
	}
	return true;
}

static bool parse_or(struct compiler *c, struct operand *o)
{
	struct operand y = {0};
	if (!parse_and(c, o))
		return false;
	while (accept(c, T_OR)) {
		if (!as_truth(c, o) || !parse_and(c, &y) || !as_truth(c, &y) || !stands_with_and(c, o) || !stands_with_and(c, &y))
			return false;
		*o = truth(mr_pred_or(c->a, o->yes, y.yes), mr_pred_and(c->a, o->no, y.no));
	}
	return true;
}

static const struct mr_pred *compile(struct compiler *c)
{
	struct operand o = {0};
	if (c->p == c->end)
		return mr_pred_constant(c->a, false);
	if (c->end - c->p > POLICY_MAX || !mr_utf8_ok((struct mr_str){c->p, (size_t)(c->end - c->p)})) {
		refuse(c, "it is longer than 16 KB or not UTF-8");
		return NULL;
	}
	next(c);
	if (!parse_or(c, &o) || !as_truth(c, &o))
		return NULL;
	if (c->token != T_END) {
		refuse(c, "something follows that does not belong");
		return NULL;
	}
	return mr_pred_normal(c->a, o.yes);
}

const struct mr_pred *mr_policy_compile(
	struct mr_arena *a, const struct mr_entity *e, struct mr_str source, const struct mr_node *auth, struct mr_error *err)
{
	source = mr_str_solid(source);
	struct compiler c = {.a = a, .e = e, .auth = auth, .err = err, .start = source.p, .p = source.p, .end = source.p + source.n};
	return compile(&c);
}

bool mr_policy_asks_sets(const struct mr_entity *e, struct mr_str source)
{
	struct mr_arena a = {0};
	struct mr_error err;
	source = mr_str_solid(source);
	struct compiler c = {.a = &a, .e = e, .err = &err, .start = source.p, .p = source.p, .end = source.p + source.n};
	compile(&c);
	mr_arena_fini(&a);
	return c.asks_sets;
}

bool mr_policy_check(const struct mr_entity *e, struct mr_str source, struct mr_error *err)
{
	struct mr_arena a = {0};
	bool ok = mr_policy_compile(&a, e, source, NULL, err) != NULL;
	mr_arena_fini(&a);
	return ok;
}
