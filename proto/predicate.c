#include "predicate.h"

#include "key.h"
#include "like.h"

#include <stdlib.h>

#include "ground/log.h"

enum { ORDER_MOST = 8 };

/* Making nodes */

static struct mr_pred *make(struct mr_arena *a, enum mr_pred_op op)
{
	struct mr_pred *p = mr_arena_alloc(a, sizeof(*p));
	p->op = op;
	return p;
}

static struct mr_pred *make_kids(struct mr_arena *a, enum mr_pred_op op, size_t n, const struct mr_pred ***kids)
{
	struct mr_pred *p = make(a, op);
	*kids = mr_arena_alloc(a, n * sizeof(**kids));
	p->kids = *kids;
	p->n = n;
	return p;
}

const struct mr_pred *mr_pred_not(struct mr_arena *a, const struct mr_pred *kid)
{
	const struct mr_pred **kids;
	struct mr_pred *p = make_kids(a, MR_P_NOT, 1, &kids);
	kids[0] = kid;
	return p;
}

static const struct mr_pred *make_null(struct mr_arena *a, int field)
{
	struct mr_pred *p = make(a, MR_P_NULL);
	p->field = field;
	return p;
}

/* -0 is 0 to every reader, so that equal trees print alike. */
static struct mr_value settled(const struct mr_value *v)
{
	struct mr_value s = *v;
	if (s.type == MR_T_FLOAT && s.d == 0)
		s.d = 0;
	return s;
}

const struct mr_pred *mr_pred_compare(struct mr_arena *a, enum mr_pred_op op, int field, const struct mr_value *value)
{
	MR_ASSERT(!value->null);
	struct mr_pred *p = make(a, op);
	struct mr_value *v = mr_arena_alloc(a, sizeof(*v));
	*v = settled(value);
	p->field = field;
	p->values = v;
	p->n = 1;
	return p;
}

const struct mr_pred *mr_pred_fields(struct mr_arena *a, enum mr_pred_op op, int field, int other)
{
	struct mr_pred *p = make(a, op);
	p->field = field;
	p->other = other;
	return p;
}

const struct mr_pred *mr_pred_constant(struct mr_arena *a, bool truth)
{
	return make(a, truth ? MR_P_TRUE : MR_P_FALSE);
}

static const struct mr_pred *join(struct mr_arena *a, enum mr_pred_op op, const struct mr_pred *x, const struct mr_pred *y)
{
	const struct mr_pred **kids;
	struct mr_pred *p = make_kids(a, op, 2, &kids);
	kids[0] = x;
	kids[1] = y;
	return p;
}

const struct mr_pred *mr_pred_and(struct mr_arena *a, const struct mr_pred *x, const struct mr_pred *y)
{
	return join(a, MR_P_AND, x, y);
}

const struct mr_pred *mr_pred_or(struct mr_arena *a, const struct mr_pred *x, const struct mr_pred *y)
{
	return join(a, MR_P_OR, x, y);
}

const struct mr_pred *mr_pred_is_null(struct mr_arena *a, int field, bool null)
{
	const struct mr_pred *p = make_null(a, field);
	return null ? p : mr_pred_not(a, p);
}

static int by_value(const void *a, const void *b)
{
	return mr_value_cmp(a, b);
}

/* Sorts in place and drops what occurs twice; returns how many are left. */
static size_t sort_values(struct mr_value *v, size_t n)
{
	size_t kept = 0;
	qsort(v, n, sizeof(*v), by_value);
	for (size_t i = 0; i < n; i++)
		if (!kept || mr_value_cmp(&v[kept - 1], &v[i]) != 0)
			v[kept++] = v[i];
	return kept;
}

const struct mr_pred *mr_pred_in(struct mr_arena *a, int field, struct mr_value *values, size_t n)
{
	struct mr_pred *p = make(a, MR_P_IN);
	for (size_t i = 0; i < n; i++)
		values[i] = settled(&values[i]);
	p->field = field;
	p->values = values;
	p->n = sort_values(values, n);
	return p;
}

/* Copying: structs first, for they are aligned; the texts behind them all. */

struct sizes {
	size_t structs, texts;
};

static void add_sizes(struct sizes *s, const struct mr_pred *p)
{
	s->structs += sizeof(*p);
	if (p->op == MR_P_MEMBER) {
		s->structs += sizeof(*p->members) + p->members->n * sizeof(*p->members->links);
		add_sizes(s, p->members->pred);
		return;
	}
	if (p->kids)
		s->structs += p->n * sizeof(*p->kids);
	for (size_t i = 0; p->kids && i < p->n; i++)
		add_sizes(s, p->kids[i]);
	if (p->values)
		s->structs += p->n * sizeof(*p->values);
	for (size_t i = 0; p->values && i < p->n; i++)
		s->texts += p->values[i].text.n;
}

size_t mr_pred_size(const struct mr_pred *p)
{
	struct sizes s = {0};
	const size_t align = _Alignof(void *);
	add_sizes(&s, p);
	return (s.structs + s.texts + align - 1) / align * align;
}

struct room {
	char *structs, *texts;
};

static void *take(char **at, size_t n)
{
	void *p = *at;
	*at += n;
	return p;
}

static const struct mr_value *copy_values(struct room *to, const struct mr_value *from, size_t n)
{
	struct mr_value *v = take(&to->structs, n * sizeof(*v));
	for (size_t i = 0; i < n; i++) {
		v[i] = from[i];
		if (v[i].text.n)
			v[i].text.p = memcpy(take(&to->texts, v[i].text.n), from[i].text.p, v[i].text.n);
	}
	return v;
}

static const struct mr_pred *copy(struct room *to, const struct mr_pred *p);

static const struct mr_members *copy_members(struct room *to, const struct mr_members *m)
{
	struct mr_members *made = take(&to->structs, sizeof(*made));
	size_t bytes = m->n * sizeof(*m->links);
	_Static_assert(sizeof(*m->links) % _Alignof(void *) == 0, "what is behind them is aligned");
	*made = *m;
	made->links = memcpy(take(&to->structs, bytes), m->links, bytes);
	made->pred = copy(to, m->pred);
	return made;
}

static const struct mr_pred *copy(struct room *to, const struct mr_pred *p)
{
	struct mr_pred *made = take(&to->structs, sizeof(*made));
	*made = *p;
	if (p->op == MR_P_MEMBER) {
		made->members = copy_members(to, p->members);
		return made;
	}
	if (p->values)
		made->values = copy_values(to, p->values, p->n);
	if (!p->kids)
		return made;
	const struct mr_pred **kids = take(&to->structs, p->n * sizeof(*kids));
	for (size_t i = 0; i < p->n; i++)
		kids[i] = copy(to, p->kids[i]);
	made->kids = kids;
	return made;
}

const struct mr_pred *mr_pred_copy(void *to, const struct mr_pred *p)
{
	struct sizes s = {0};
	add_sizes(&s, p);
	struct room room = {to, (char *)to + s.structs};
	return copy(&room, p);
}

/* From a client's where */

struct reader {
	struct mr_arena *a;
	const struct mr_entity *e;
	bool visible;
	struct mr_error *err;
};

#define CUT(s) (int)MR_MIN((s).n, 80), (s).p ? (s).p : ""

static const struct mr_pred *bad_filter(struct reader *r, const char *why)
{
	mr_fail(r->err, MR_BAD_FILTER, "The filter is not understood: %s.", why);
	return NULL;
}

/* Position of a field that may stand in a predicate, or -1 and an error. A hidden field is as unknown as one that is not there. */
static int find_field(struct reader *r, struct mr_str name)
{
	int f = mr_entity_field(r->e, name);
	if (f < 0 || (r->visible && r->e->fields[f].server_only)) {
		mr_fail(r->err, MR_UNKNOWN_FIELD, "%.*s has no field \"%.*s\".", CUT(r->e->name), CUT(name));
		return -1;
	}
	if (r->e->fields[f].type == MR_T_JSON) {
		mr_fail(r->err, MR_BAD_FILTER, "\"%.*s\" is json, which filters and orders do not compare.", CUT(name));
		return -1;
	}
	return f;
}

/* What is asked of an id that is made of several fields is asked of these: nothing else in a predicate or an order knows of it. */
static const struct mr_pred *key_equals(struct reader *r, const struct mr_node *n)
{
	const struct mr_entity *e = r->e;
	const struct mr_pred **kids;
	struct mr_value *v = mr_arena_alloc(r->a, e->n_key * sizeof *v);
	if (n->kind == MR_NULL)
		return mr_pred_constant(r->a, false);
	if (!mr_key_read(r->a, e, n->kind == MR_STRING ? n->text : MR_STR(""), v, r->err))
		return NULL;
	struct mr_pred *p = make_kids(r->a, MR_P_AND, e->n_key, &kids);
	for (size_t i = 0; i < e->n_key; i++)
		kids[i] = mr_pred_compare(r->a, MR_P_EQ, e->key[i], &v[i]);
	return p;
}

static const struct mr_pred *key_among(struct reader *r, const struct mr_node *list)
{
	const struct mr_pred **kids;
	struct mr_pred *p = make_kids(r->a, MR_P_OR, list->n, &kids);
	for (size_t i = 0; i < list->n; i++) {
		kids[i] = key_equals(r, &list->items[i]);
		if (!kids[i])
			return NULL;
	}
	return p;
}

static const struct mr_pred *key_operator(struct reader *r, const struct mr_node *n)
{
	const struct mr_pred *p;
	if (mr_str_is(n->key, "$in") && n->kind == MR_ARRAY)
		return key_among(r, n);
	if (mr_str_is(n->key, "$not"))
		return (p = key_equals(r, n)) ? mr_pred_not(r->a, p) : NULL;
	struct mr_buf names = {0};
	mr_key_names(&names, r->e);
	mr_fail(r->err, MR_BAD_FILTER, "The id of %.*s is made of %.*s: it is equal or it is not; compare these.", CUT(r->e->name),
		CUT(mr_buf_view(&names)));
	mr_buf_fini(&names);
	return NULL;
}

static bool read_value(struct reader *r, int field, const struct mr_node *n, struct mr_value *v)
{
	struct mr_error inner;
	if (mr_value_from_node(r->a, r->e->fields[field].type, n, v, &inner))
		return true;
	mr_fail(r->err, MR_BAD_VALUE, "The value for \"%.*s\" does not fit its type %s: %s", CUT(r->e->fields[field].name),
		mr_type_name(r->e->fields[field].type), inner.message);
	return false;
}

static const struct mr_pred *read_in(struct reader *r, int field, const struct mr_node *n)
{
	if (n->kind != MR_ARRAY)
		return bad_filter(r, "$in takes a list");
	struct mr_value *values = mr_arena_alloc(r->a, n->n * sizeof(*values));
	size_t given = 0;
	bool null = false;
	for (size_t i = 0; i < n->n; i++) {
		struct mr_value *v = &values[given];
		if (!read_value(r, field, &n->items[i], v))
			return NULL;
		null |= v->null;
		given += !v->null;
	}
	const struct mr_pred *in = mr_pred_in(r->a, field, values, given);
	return null ? mr_pred_or(r->a, make_null(r->a, field), in) : in;
}

static const struct mr_pred *read_like(struct reader *r, int field, const struct mr_node *n)
{
	struct mr_value v;
	if (r->e->fields[field].type != MR_T_STRING || n->kind != MR_STRING)
		return bad_filter(r, "$like compares text with a pattern, which is text");
	if (!read_value(r, field, n, &v))
		return NULL;
	if (!mr_like_ok(v.text))
		return bad_filter(r, "a pattern of $like is at most 256 bytes long and does not end with a lone backslash");
	return mr_pred_compare(r->a, MR_P_LIKE, field, &v);
}

static const struct mr_pred *read_operator(struct reader *r, int field, struct mr_str op, const struct mr_node *n)
{
	static const struct {
		const char *name;
		enum mr_pred_op op;
	} ops[] = {{"$gt", MR_P_GT}, {"$gte", MR_P_GE}, {"$lt", MR_P_LT}, {"$lte", MR_P_LE}, {"$not", MR_P_DISTINCT}};
	struct mr_value v;
	if (mr_str_is(op, "$in"))
		return read_in(r, field, n);
	if (mr_str_is(op, "$like"))
		return read_like(r, field, n);
	for (size_t i = 0; i < MR_COUNT(ops); i++) {
		if (!mr_str_is(op, ops[i].name))
			continue;
		if (!read_value(r, field, n, &v))
			return NULL;
		if (!v.null)
			return mr_pred_compare(r->a, ops[i].op, field, &v);
		if (ops[i].op == MR_P_DISTINCT)
			return mr_pred_is_null(r->a, field, false);
		return bad_filter(r, "nothing is above or below null");
	}
	return bad_filter(r, "operators are $gt, $gte, $lt, $lte, $not, $in and $like");
}

/* All kids of a list made by `each`, joined by op. */
typedef const struct mr_pred *read_kid(struct reader *r, int field, const struct mr_node *n);

static const struct mr_pred *read_kids(struct reader *r, enum mr_pred_op op, int field, const struct mr_node *list, read_kid *each)
{
	const struct mr_pred **kids;
	struct mr_pred *p = make_kids(r->a, op, list->n, &kids);
	for (size_t i = 0; i < list->n; i++) {
		kids[i] = each(r, field, &list->items[i]);
		if (!kids[i])
			return NULL;
	}
	return p;
}

static const struct mr_pred *read_comparison(struct reader *r, int field, const struct mr_node *n)
{
	return read_operator(r, field, n->key, n);
}

static const struct mr_pred *read_key_operator(struct reader *r, int ignored, const struct mr_node *n)
{
	return key_operator(r, n);
}

static const struct mr_pred *read_where(struct reader *r, int field, const struct mr_node *n);

static const struct mr_pred *read_member(struct reader *r, int ignored, const struct mr_node *n)
{
	struct mr_value v;
	bool or = mr_str_is(n->key, "$or"), and = mr_str_is(n->key, "$and");
	if (or || and) {
		if (n->kind != MR_ARRAY)
			return bad_filter(r, "$or and $and take a list of filters");
		return read_kids(r, or ? MR_P_OR : MR_P_AND, ignored, n, read_where);
	}
	if (n->key.n && n->key.p[0] == '$')
		return bad_filter(r, "beside fields there are $or and $and");
	int field = find_field(r, n->key);
	if (field < 0)
		return NULL;
	if (mr_field_computed(&r->e->fields[field]))
		return n->kind == MR_MAP && n->n ? read_kids(r, MR_P_AND, field, n, read_key_operator) : key_equals(r, n);
	if (n->kind == MR_MAP)
		return n->n ? read_kids(r, MR_P_AND, field, n, read_comparison) : bad_filter(r, "an empty map compares nothing");
	if (!read_value(r, field, n, &v))
		return NULL;
	return v.null ? make_null(r->a, field) : mr_pred_compare(r->a, MR_P_EQ, field, &v);
}

static const struct mr_pred *read_where(struct reader *r, int ignored, const struct mr_node *n)
{
	if (n->kind != MR_MAP)
		return bad_filter(r, "a filter is a map of fields");
	return read_kids(r, MR_P_AND, ignored, n, read_member);
}

const struct mr_pred *mr_pred_from_where(
	struct mr_arena *a, const struct mr_entity *e, const struct mr_node *where, bool visible, struct mr_error *err)
{
	struct reader r = {a, e, visible, err};
	return where && where->kind != MR_NULL ? read_where(&r, 0, where) : mr_pred_constant(a, true);
}

/* Evaluation */

static int not3(int t)
{
	return t < 0 ? -1 : !t;
}

bool mr_pred_op_holds(enum mr_pred_op op, int c)
{
	switch (op) {
	case MR_P_EQ:
	case MR_P_EQ_FIELD:
		return c == 0;
	case MR_P_NE:
	case MR_P_NE_FIELD:
		return c != 0;
	case MR_P_LT:
	case MR_P_LT_FIELD:
		return c < 0;
	case MR_P_LE:
	case MR_P_LE_FIELD:
		return c <= 0;
	case MR_P_GT:
		return c > 0;
	default:
		return c >= 0;
	}
}

static int eval_in(const struct mr_pred *p, const struct mr_value *v)
{
	size_t low = 0, high = p->n;
	if (v->null)
		return p->n ? -1 : 0;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = mr_value_cmp(v, &p->values[mid]);
		if (c == 0)
			return 1;
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return 0;
}

/* AND with stop 0, OR with stop 1: a kid that says `stop` decides, else an unknown one does. */
static int eval_kids(const struct mr_pred *p, const struct mr_row *row, int stop)
{
	int result = !stop;
	for (size_t i = 0; i < p->n; i++) {
		int t = mr_pred_eval(p->kids[i], row);
		if (t == stop)
			return stop;
		if (t < 0)
			result = -1;
	}
	return result;
}

mr_fields mr_pred_reads(const struct mr_pred *p)
{
	mr_fields all = 0;
	switch (p->op) {
	case MR_P_TRUE:
	case MR_P_FALSE:
		return 0;
	case MR_P_AND:
	case MR_P_OR:
	case MR_P_NOT:
		for (size_t i = 0; i < p->n; i++)
			all |= mr_pred_reads(p->kids[i]);
		return all;
	case MR_P_EQ_FIELD:
	case MR_P_NE_FIELD:
	case MR_P_LT_FIELD:
	case MR_P_LE_FIELD:
		return mr_field_bit(p->field) | mr_field_bit(p->other);
	case MR_P_MEMBER:
		for (size_t i = 0; i < p->members->n; i++)
			all |= mr_field_bit(p->members->links[i].outer);
		return all;
	default:
		return mr_field_bit(p->field);
	}
}

int mr_pred_eval(const struct mr_pred *p, const struct mr_row *row)
{
	const struct mr_value *v = &row->v[p->field], *w;
	switch (p->op) {
	case MR_P_TRUE:
		return 1;
	case MR_P_FALSE:
		return 0;
	case MR_P_AND:
		return eval_kids(p, row, 0);
	case MR_P_OR:
		return eval_kids(p, row, 1);
	case MR_P_NOT:
		return not3(mr_pred_eval(p->kids[0], row));
	case MR_P_MEMBER:
		MR_ASSERT(!"members are resolved before a row is judged");
		return -1;
	case MR_P_IN:
		return eval_in(p, v);
	case MR_P_NULL:
		return v->null;
	case MR_P_DISTINCT:
		return v->null || mr_value_cmp(v, p->values) != 0;
	case MR_P_LIKE:
		return v->null ? -1 : mr_like(v->text, p->values->text);
	case MR_P_EQ_FIELD:
	case MR_P_NE_FIELD:
	case MR_P_LT_FIELD:
	case MR_P_LE_FIELD:
		w = &row->v[p->other];
		return v->null || w->null ? -1 : mr_pred_op_holds(p->op, mr_value_cmp(v, w));
	default:
		return v->null ? -1 : mr_pred_op_holds(p->op, mr_value_cmp(v, p->values));
	}
}

size_t mr_pred_equalities(const struct mr_pred *p, const struct mr_value **values, int *fields, size_t max)
{
	size_t n = 0;
	const struct mr_pred *const *kids = p->op == MR_P_AND ? p->kids : &p;
	for (size_t i = 0; i < (p->op == MR_P_AND ? p->n : 1) && n < max; i++) {
		if (kids[i]->op != MR_P_EQ)
			continue;
		values[n] = kids[i]->values;
		fields[n++] = kids[i]->field;
	}
	return n;
}

/* Order */

static bool bad_order(struct mr_error *err)
{
	mr_fail(err, MR_BAD_FILTER, "An order is a list of at most %d pairs [field, \"asc\" or \"desc\"], no field twice.", ORDER_MOST);
	return false;
}

static bool read_direction(const struct mr_node *n, bool *desc)
{
	*desc = n->kind == MR_STRING && mr_str_is(n->text, "desc");
	return *desc || (n->kind == MR_STRING && mr_str_is(n->text, "asc"));
}

static bool ordered_by(const struct mr_order *o, size_t n, int field)
{
	for (size_t i = 0; i < n; i++)
		if (o[i].field == field)
			return true;
	return false;
}

/* What is left of the key, behind the rest; gives how many there are then. */
static size_t by_key(const struct mr_entity *e, struct mr_order *list, size_t at, bool desc)
{
	size_t before = at;
	for (size_t i = 0; i < e->n_key; i++)
		if (!ordered_by(list, before, e->key[i]))
			list[at++] = (struct mr_order){.field = e->key[i], .desc = desc};
	return at;
}

bool mr_order_read(struct mr_arena *a, const struct mr_entity *e, const struct mr_node *order, bool visible, const struct mr_order **o,
	size_t *n, struct mr_error *err)
{
	struct reader r = {a, e, visible, err};
	size_t given = order && order->kind == MR_ARRAY ? order->n : 0, at = 0;
	if ((order && order->kind != MR_NULL && order->kind != MR_ARRAY) || given > ORDER_MOST + e->n_key)
		return bad_order(err);
	struct mr_order *list = mr_arena_alloc(a, (given + e->n_key) * sizeof(*list));
	bool whole = false; /* no two rows are equal in it */
	for (size_t i = 0; i < given; i++) {
		const struct mr_node *pair = &order->items[i];
		if (pair->kind != MR_ARRAY || pair->n != 2 || pair->items[0].kind != MR_STRING ||
			!read_direction(&pair->items[1], &list[at].desc))
			return bad_order(err);
		list[at].field = find_field(&r, pair->items[0].text);
		if (list[at].field < 0)
			return false;
		if (mr_field_computed(&e->fields[list[at].field])) {
			if (i + 1 < given)
				return bad_order(err);
			at = by_key(e, list, at, list[at].desc);
			whole = true;
			continue;
		}
		if (ordered_by(list, at, list[at].field))
			return bad_order(err);
		at++;
	}
	if (!whole)
		at = by_key(e, list, at, at && list[at - 1].desc);
	*o = list;
	*n = at;
	return true;
}

bool mr_limit_read(const struct mr_node *n, int64_t most, int64_t *limit, struct mr_error *err)
{
	*limit = -1;
	if (!n || n->kind == MR_NULL)
		return true;
	if (!mr_node_int(n, limit) || *limit < 1 || *limit > most)
		return mr_fail(err, MR_BAD_FILTER, "limit must be a whole number from 1 to %lld (instance_max_rows).", (long long)most);
	return true;
}

bool mr_rows_too_large(const struct mr_entity *e, int64_t most, struct mr_error *err)
{
	return mr_fail_data(err, MR_TOO_LARGE, "{\"setting\":\"instance_max_bytes\"}",
		"The rows of %s that the query asks for take more than %lld bytes (instance_max_bytes); add a filter or a limit, or keep "
		"what is large in an entity of its own.",
		e->name.p, (long long)most);
}

/* Ascending, nulls last; descending turns all of it round. */
static int cmp_nulls_last(const struct mr_value *a, const struct mr_value *b)
{
	if (a->null || b->null)
		return a->null - b->null;
	return mr_value_cmp(a, b);
}

int mr_order_cmp(const struct mr_order *o, size_t n, const struct mr_row *a, const struct mr_row *b)
{
	for (size_t i = 0; i < n; i++) {
		int c = cmp_nulls_last(&a->v[o[i].field], &b->v[o[i].field]);
		if (c)
			return o[i].desc ? (c < 0 ? 1 : -1) : c;
	}
	return 0;
}
