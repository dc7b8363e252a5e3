/* The read set of a statement: tables with the equalities that pin them, where these are certain; else whole tables. Coarser than need
 * be at times, never finer.
 */
#include "proto/ground/log.h"
#include "txn_sql.h"

enum { VALUES_MAX = 64 }; /* of one IN list; longer ones pin nothing */

/* ---- names ---- */

/* An unqualified name is found by the pinned search_path, which is public alone. */
static const struct mr_entity *entity_of(const struct mr_app *app, struct mr_str schema, struct mr_str table)
{
	for (size_t i = 0; i < app->n_entities; i++) {
		const struct mr_entity *e = &app->entities[i];
		if (mr_str_eq(e->table, table) && mr_str_eq(e->schema, schema.n ? schema : MR_STR("public")))
			return e;
	}
	return NULL;
}

static bool is_catalog(const struct mr_sql_table *t)
{
	if (t->schema.n)
		return mr_str_is(t->schema, "pg_catalog") || mr_str_is(t->schema, "information_schema");
	return t->name.n > 3 && !memcmp(t->name.p, "pg_", 3);
}

static bool is_on(const struct mr_sql_cond *c, const struct mr_sql_table *t)
{
	return c->scope == t->scope && !t->renamed && (!c->qualifier.n || mr_str_eq(c->qualifier, t->alias));
}

/* ---- values ---- */

/* Casts under which a value is the same in the field's own type. */
static bool cast_keeps(enum mr_type type, struct mr_str cast)
{
	static const char *const casts[MR_TYPES] = {
		[MR_T_BOOL] = " bool ",
		[MR_T_INT] = " int2 int4 int8 ",
		[MR_T_BIGINT] = " int2 int4 int8 ",
		[MR_T_FLOAT] = " float8 ",
		[MR_T_NUMERIC] = " numeric int2 int4 int8 ",
		[MR_T_STRING] = " text varchar ",
		[MR_T_UUID] = " uuid ",
		[MR_T_DATETIME] = " timestamptz ",
		[MR_T_BYTES] = " bytea ",
		[MR_T_JSON] = " ",
	};
	char word[32];
	if (!cast.n)
		return true;
	if (cast.n > sizeof(word) - 3)
		return false;
	word[0] = word[cast.n + 1] = ' ';
	memcpy(word + 1, cast.p, cast.n);
	word[cast.n + 2] = 0;
	return strstr(casts[type], word) != NULL;
}

static bool value_from_node(struct mr_arena *a, enum mr_type type, const struct mr_node *n, struct mr_value *v)
{
	struct mr_error err;
	struct mr_buf hex = {0};
	switch (n->kind) {
	case MR_BOOL:
		return type == MR_T_BOOL && mr_value_from_pgtext(a, type, n->truth ? MR_STR("t") : MR_STR("f"), v);
	case MR_STRING:
		/* Of all that Postgres takes for a time, the unmistakable form. */
		if (type == MR_T_DATETIME)
			return mr_value_from_node(a, type, n, v, &err);
		return mr_value_from_pgtext(a, type, n->text, v);
	case MR_NUMBER:
	case MR_BIGINT:
		return type != MR_T_DATETIME && type != MR_T_BOOL && mr_value_from_pgtext(a, type, n->text, v);
	case MR_BYTES:
		mr_buf_z(&hex, "\\x");
		mr_hex(&hex, n->text);
		bool ok = type == MR_T_BYTES && mr_value_from_pgtext(a, type, mr_arena_str(a, mr_buf_view(&hex)), v);
		mr_buf_fini(&hex);
		return ok;
	default:
		return false;
	}
}

static bool value_of(struct mr_arena *a, enum mr_type type, const struct mr_sql_value *s, const struct mr_node *params, struct mr_value *v)
{
	if (!cast_keeps(type, s->cast) || type == MR_T_JSON)
		return false;
	if (!s->param) {
		const struct mr_node literal = {.kind = MR_STRING, .text = s->text};
		return value_from_node(a, type, &literal, v) && !v->null;
	}
	return params && (size_t)s->param <= params->n && value_from_node(a, type, &params->items[s->param - 1], v) && !v->null;
}

/* ---- predicates ---- */

static const struct mr_pred *equal(struct mr_arena *a, int field, const struct mr_value *v)
{
	struct mr_pred *p = mr_arena_alloc(a, sizeof(*p));
	struct mr_value *copy = mr_arena_alloc(a, sizeof(*copy));
	*copy = *v;
	*p = (struct mr_pred){.op = MR_P_EQ, .field = field, .values = copy, .n = 1};
	return p;
}

static const struct mr_pred *combine(struct mr_arena *a, enum mr_pred_op op, const struct mr_pred *const *kids, size_t n)
{
	struct mr_pred *p = mr_arena_alloc(a, sizeof(*p));
	*p = (struct mr_pred){.op = op, .kids = kids, .n = n};
	return p;
}

/* One condition as a predicate; NULL when its values are not certain. A null among them matches nothing and is left out. */
static const struct mr_pred *pred_of(
	struct mr_arena *a, const struct mr_entity *e, int field, const struct mr_sql_cond *c, const struct mr_node *params)
{
	enum mr_type type = e->fields[field].type;
	const struct mr_node *array = NULL;
	size_t n = c->n, kept = 0;
	if (c->any) {
		size_t param = (size_t)c->values[0].param;
		array = params && param <= params->n ? &params->items[param - 1] : NULL;
		if (!array || array->kind != MR_ARRAY || type == MR_T_JSON)
			return NULL;
		n = array->n;
	}
	if (n > VALUES_MAX)
		return NULL;
	const struct mr_pred **kids = mr_arena_alloc(a, (n + 1) * sizeof(*kids));
	for (size_t i = 0; i < n; i++) {
		struct mr_value v;
		if (array && array->items[i].kind == MR_NULL)
			continue;
		if (!(array ? value_from_node(a, type, &array->items[i], &v) && !v.null : value_of(a, type, &c->values[i], params, &v)))
			return NULL;
		kids[kept++] = equal(a, field, &v);
	}
	return combine(a, MR_P_OR, kids, kept);
}

static const struct mr_pred *pinned(struct mr_arena *a, const struct mr_entity *e, const struct mr_sql_table *t,
	const struct mr_sql_check *check, const struct mr_node *params)
{
	const struct mr_pred **kids = mr_arena_alloc(a, (check->n_conds + 1) * sizeof(*kids));
	size_t n = 0;
	for (size_t i = 0; i < check->n_conds; i++) {
		const struct mr_sql_cond *c = &check->conds[i];
		int field = is_on(c, t) ? mr_entity_column(e, c->column) : -1;
		/* What the statement compares is not what the field is: 'now' of a date, a time in another zone. */
		const struct mr_pred *p = field < 0 || e->fields[field].as ? NULL : pred_of(a, e, field, c, params);
		if (p)
			kids[n++] = p;
	}
	return n ? mr_pred_normal(a, combine(a, MR_P_AND, kids, n)) : NULL;
}

/* ---- columns ---- */

/* What is no field may be a table's whole row, a column that the entity does not declare, or a function of the row. */
static mr_fields named(const struct mr_entity *e, struct mr_str column)
{
	int field = mr_entity_column(e, column);
	/* Of a numeric Postgres also knows how many zeros it ends with; nobody else here does. */
	return field < 0 || e->fields[field].type == MR_T_NUMERIC ? MR_FIELDS_ALL : mr_field_bit(field);
}

/* What the statement looks at of one of its tables. An unqualified name may be any table's. */
static mr_fields fields_of(const struct mr_entity *e, const struct mr_sql_table *t, const struct mr_sql_check *check)
{
	mr_fields all = t->renamed ? MR_FIELDS_ALL : 0;
	for (size_t i = 0; i < check->n_refs; i++) {
		const struct mr_sql_ref *r = &check->refs[i];
		if (!r->qualifier.n || mr_str_eq(r->qualifier, t->alias))
			all |= r->column.n ? named(e, r->column) : MR_FIELDS_ALL;
		else if (mr_str_eq(r->column, t->alias))
			all = MR_FIELDS_ALL; /* "schema.table": its whole row */
	}
	return all;
}

bool mr_sql_reads(struct mr_txn *txn, const struct mr_sql_check *check, const struct mr_node *params, struct mr_arena *a)
{
	bool opaque = check->opaque;
	for (size_t i = 0; i < check->n_tables; i++) {
		const struct mr_sql_table *t = &check->tables[i];
		const struct mr_entity *e = entity_of(txn->app, t->schema, t->name);
		if (e)
			mr_txn_add_read(txn, e, pinned(a, e, t, check, params), fields_of(e, t, check));
		else if (!is_catalog(t))
			opaque = true;
	}
	return opaque;
}

/* ---- what Postgres knows ---- */

static const char locks_sql[] =
	"select distinct n.nspname, c.relname from pg_locks l join pg_class k on k.oid = l.relation "
	"join pg_class c on c.oid = coalesce(pg_partition_root(k.oid), k.oid) join pg_namespace n on n.oid = c.relnamespace "
	"where l.pid = pg_backend_pid() and l.locktype = 'relation' and l.granted and k.relkind in ('r', 'p', 'm', 'f') "
	"and l.database = (select oid from pg_database where datname = current_database()) "
	"and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast', 'millrace')";

/* The statement's own rows are kept until the tables are known. */
static void on_rows(const struct mr_pg_result *r, void *arg)
{
	struct mr_op *op = arg;
	struct mr_error err;
	if (!mr_pg_ok(r)) {
		mr_op_error(op, r, &err);
		mr_txn_fail(op->txn, &err);
	} else if (!mr_sql_columns(op, r, &err)) {
		mr_txn_fail(op->txn, &err);
	}
}

static void take_locks(struct mr_op *op, const struct mr_pg_result *r)
{
	for (int i = 0; i < mr_pg_rows(r); i++) {
		struct mr_str schema = mr_pg_value(r, i, 0), table = mr_pg_value(r, i, 1);
		const struct mr_entity *e = entity_of(op->txn->app, schema, table);
		if (e)
			mr_txn_add_read(op->txn, e, NULL, MR_FIELDS_ALL);
		else
			mr_txn_add_foreign_read(
				op->txn, mr_arena_printf(&op->arena, "%.*s.%.*s", (int)schema.n, schema.p, (int)table.n, table.p));
	}
	mr_op_take_printed(op, r);
}

void mr_sql_send_opaque(struct mr_op *op)
{
	mr_txn_ensure_begun(op->txn);
	mr_pg_stream(op->txn->pg, 0, op->sql.p, op->params.n, op->params.v, mr_op_on_row, on_rows, op);
	mr_buf_reset(&op->sql);
	mr_buf_z(&op->sql, locks_sql);
	op->params.n = 0;
	op->rows.before = true;
	mr_op_send(op, 0, false, NULL, take_locks);
}
