/* Predicates as text: ["eq","field",value], ["in","field",[values]], ["and",kid,...], ["eq_field","field","other"], ["true"];
 * ["member","Entity",predicate,["inner","outer"],...]. */
#include "predicate.h"

enum shape { BARE, VALUE, VALUES, FIELD, FIELDS, KIDS, MEMBERS };

static const struct {
	const char *name;
	enum shape shape;
} ops[] = {
	[MR_P_TRUE] = {"true", BARE},
	[MR_P_FALSE] = {"false", BARE},
	[MR_P_AND] = {"and", KIDS},
	[MR_P_OR] = {"or", KIDS},
	[MR_P_NOT] = {"not", KIDS},
	[MR_P_EQ] = {"eq", VALUE},
	[MR_P_NE] = {"ne", VALUE},
	[MR_P_LT] = {"lt", VALUE},
	[MR_P_LE] = {"le", VALUE},
	[MR_P_GT] = {"gt", VALUE},
	[MR_P_GE] = {"ge", VALUE},
	[MR_P_IN] = {"in", VALUES},
	[MR_P_NULL] = {"null", FIELD},
	[MR_P_DISTINCT] = {"distinct", VALUE},
	[MR_P_LIKE] = {"like", VALUE},
	[MR_P_EQ_FIELD] = {"eq_field", FIELDS},
	[MR_P_NE_FIELD] = {"ne_field", FIELDS},
	[MR_P_LT_FIELD] = {"lt_field", FIELDS},
	[MR_P_LE_FIELD] = {"le_field", FIELDS},
	[MR_P_MEMBER] = {"member", MEMBERS},
};

static void print(struct mr_enc *e, const struct mr_entity *en, const struct mr_pred *p);

static void print_members(struct mr_enc *e, const struct mr_entity *en, const struct mr_members *m)
{
	mr_enc_array(e, 3 + m->n);
	mr_enc_str(e, mr_str(ops[MR_P_MEMBER].name));
	mr_enc_str(e, m->entity->name);
	print(e, m->entity, m->pred);
	for (size_t i = 0; i < m->n; i++) {
		mr_enc_array(e, 2);
		mr_enc_str(e, m->entity->fields[m->links[i].inner].name);
		mr_enc_str(e, en->fields[m->links[i].outer].name);
		mr_enc_end(e);
	}
	mr_enc_end(e);
}

static void print(struct mr_enc *e, const struct mr_entity *en, const struct mr_pred *p)
{
	static const size_t items[] = {[BARE] = 1, [VALUE] = 3, [VALUES] = 3, [FIELD] = 2, [FIELDS] = 3};
	enum shape shape = ops[p->op].shape;
	if (shape == MEMBERS) {
		print_members(e, en, p->members);
		return;
	}
	mr_enc_array(e, shape == KIDS ? p->n + 1 : items[shape]);
	mr_enc_str(e, mr_str(ops[p->op].name));
	if (shape != BARE && shape != KIDS)
		mr_enc_str(e, en->fields[p->field].name);
	if (shape == FIELDS)
		mr_enc_str(e, en->fields[p->other].name);
	if (shape == VALUES)
		mr_enc_array(e, p->n);
	for (size_t i = 0; i < p->n; i++) {
		if (shape == KIDS)
			print(e, en, p->kids[i]);
		else
			mr_value_encode(e, &p->values[i]);
	}
	if (shape == VALUES)
		mr_enc_end(e);
	mr_enc_end(e);
}

void mr_pred_print(struct mr_buf *b, const struct mr_entity *e, const struct mr_pred *p)
{
	struct mr_enc enc;
	mr_enc_init(&enc, b, MR_JSON);
	print(&enc, e, p);
}

struct reader {
	struct mr_arena *a;
	const struct mr_entity *e;
	const struct mr_entity *outer; /* while the predicate of a set is read */
	struct mr_error *err;
};

static bool bad(struct reader *r)
{
	mr_fail(r->err, MR_BAD_FILTER, "The predicate's text is not understood.");
	return false;
}

static bool read_field(struct reader *r, const struct mr_node *n, int *field)
{
	*field = n->kind == MR_STRING ? mr_entity_field(r->e, n->text) : -1;
	if (*field >= 0 && r->e->fields[*field].type != MR_T_JSON && !mr_field_computed(&r->e->fields[*field]))
		return true;
	mr_fail(r->err, MR_UNKNOWN_FIELD, "The predicate's text names a field that does not compare.");
	return false;
}

static bool read_values(struct reader *r, struct mr_pred *p, const struct mr_node *items, size_t n)
{
	struct mr_value *v = mr_arena_alloc(r->a, n * sizeof(*v));
	for (size_t i = 0; i < n; i++) {
		if (!mr_value_from_node(r->a, r->e->fields[p->field].type, &items[i], &v[i], r->err))
			return false;
		/* Lists are searched by halves. */
		if (v[i].null || (i && mr_value_cmp(&v[i - 1], &v[i]) >= 0))
			return bad(r);
	}
	p->values = v;
	p->n = n;
	return true;
}

static const struct mr_pred *read(struct reader *r, const struct mr_node *n);

static bool read_kids(struct reader *r, struct mr_pred *p, const struct mr_node *n)
{
	const struct mr_pred **kids = mr_arena_alloc(r->a, n->n * sizeof(*kids));
	if (p->op == MR_P_NOT && n->n != 2)
		return bad(r);
	for (p->n = 0; p->n + 1 < n->n; p->n++) {
		kids[p->n] = read(r, &n->items[p->n + 1]);
		if (!kids[p->n])
			return false;
	}
	p->kids = kids;
	return true;
}

static bool read_link(struct reader *r, const struct mr_entity *inner, const struct mr_node *n, struct mr_link *link)
{
	struct reader in = *r;
	in.e = inner;
	if (n->kind != MR_ARRAY || n->n != 2)
		return bad(r);
	if (!read_field(&in, &n->items[0], &link->inner) || !read_field(r, &n->items[1], &link->outer))
		return false;
	return mr_types_compare(inner->fields[link->inner].type, r->e->fields[link->outer].type) || bad(r);
}

static bool read_members(struct reader *r, struct mr_pred *p, const struct mr_node *n)
{
	if (r->outer || n->n < 3 || n->n > 3 + MR_LINKS_MOST || n->items[1].kind != MR_STRING)
		return bad(r);
	struct mr_members *m = mr_arena_alloc(r->a, sizeof(*m));
	struct mr_link *links = mr_arena_alloc(r->a, (n->n - 3) * sizeof(*links));
	m->entity = mr_app_entity(r->e->app, n->items[1].text);
	if (!m->entity)
		return bad(r);
	struct reader in = {r->a, m->entity, r->e, r->err};
	m->pred = read(&in, &n->items[2]);
	for (; m->pred && m->n < n->n - 3; m->n++)
		if (!read_link(r, m->entity, &n->items[3 + m->n], &links[m->n]))
			return false;
	m->links = links;
	p->members = m;
	return m->pred != NULL;
}

static bool read_op(const struct mr_node *n, enum mr_pred_op *op)
{
	if (n->kind != MR_ARRAY || !n->n || n->items[0].kind != MR_STRING)
		return false;
	for (size_t i = 0; i < MR_COUNT(ops); i++)
		if (mr_str_is(n->items[0].text, ops[i].name)) {
			*op = (enum mr_pred_op)i;
			return true;
		}
	return false;
}

static bool comparable(const struct mr_entity *e, const struct mr_pred *p)
{
	return mr_types_compare(e->fields[p->field].type, e->fields[p->other].type);
}

static bool read_parts(struct reader *r, struct mr_pred *p, const struct mr_node *n)
{
	switch (ops[p->op].shape) {
	case BARE:
		return n->n == 1 || bad(r);
	case FIELD:
		return n->n == 2 ? read_field(r, &n->items[1], &p->field) : bad(r);
	case VALUE:
		return n->n == 3 ? read_field(r, &n->items[1], &p->field) && read_values(r, p, &n->items[2], 1) : bad(r);
	case VALUES:
		if (n->n != 3 || n->items[2].kind != MR_ARRAY)
			return bad(r);
		return read_field(r, &n->items[1], &p->field) && read_values(r, p, n->items[2].items, n->items[2].n);
	case FIELDS:
		if (n->n != 3 || !read_field(r, &n->items[1], &p->field) || !read_field(r, &n->items[2], &p->other))
			return n->n == 3 ? false : bad(r);
		return comparable(r->e, p) || bad(r);
	case KIDS:
		return read_kids(r, p, n);
	case MEMBERS:
		return read_members(r, p, n);
	}
	return false;
}

static const struct mr_pred *read(struct reader *r, const struct mr_node *n)
{
	enum mr_pred_op op;
	if (!read_op(n, &op)) {
		bad(r);
		return NULL;
	}
	struct mr_pred *p = mr_arena_alloc(r->a, sizeof(*p));
	p->op = op;
	return read_parts(r, p, n) ? p : NULL;
}

const struct mr_pred *mr_pred_read(struct mr_arena *a, const struct mr_entity *e, const struct mr_node *text, struct mr_error *err)
{
	struct reader r = {a, e, NULL, err};
	if (!text) {
		bad(&r);
		return NULL;
	}
	return read(&r, text);
}
