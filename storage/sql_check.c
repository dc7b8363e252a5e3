/* Analysis of statements by libpg_query: a walk over the tree by its own descriptors, so that no kind of node can be forgotten. */
#include "sql_check.h"

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>
#include <stdlib.h>

#include "proto/ground/hash.h"
#include "proto/ground/log.h"

enum { TEXT_MAX = 1 << 20, DEPTH_MAX = 2000, CACHED_MAX = 500 };

/* Names of WITH queries that a table's name may stand for; inner ones first. */
struct visible {
	const struct visible *outer;
	const char *name;
};

struct walk {
	struct mr_sql_check *check;
	struct mr_sql_table *tables;
	size_t n_tables, cap_tables;
	struct mr_sql_cond *conds;
	size_t n_conds, cap_conds;
	struct mr_sql_ref *refs;
	size_t n_refs, cap_refs;
	const PgQuery__SelectStmt *select; /* the innermost around */
	int scopes;                        /* given out so far */
	int depth;
};

static void visit(struct walk *w, const ProtobufCMessage *m, int scope, const struct visible *with);

static void refuse(struct walk *w, const char *why)
{
	if (!w->check->refusal.code)
		mr_fail(&w->check->refusal, MR_SQL_REFUSED, "ctx.db.sql: %s", why);
}

static struct mr_str keep(struct walk *w, const char *text)
{
	return text && *text ? mr_arena_str(&w->check->arena, mr_str(text)) : (struct mr_str){"", 0};
}

/* ---- functions ---- */

static int by_name(const void *key, const void *entry)
{
	return strcmp(key, *(const char *const *)entry);
}

static bool listed(const char *name, const char *const *names, size_t n)
{
	return bsearch(name, names, n, sizeof(*names), by_name) != NULL;
}

/* What changes settings, holds locks beyond the transaction, runs SQL given as text, or ends sessions. Sorted. */
static const char *const refused_functions[] = {
	"cursor_to_xml",
	"cursor_to_xmlschema",
	"dblink",
	"dblink_exec",
	"pg_advisory_lock",
	"pg_advisory_lock_shared",
	"pg_advisory_unlock",
	"pg_advisory_unlock_all",
	"pg_advisory_unlock_shared",
	"pg_cancel_backend",
	"pg_reload_conf",
	"pg_terminate_backend",
	"pg_try_advisory_lock",
	"pg_try_advisory_lock_shared",
	"query_to_xml",
	"query_to_xml_and_xmlschema",
	"query_to_xmlschema",
	"set_config",
	"ts_rewrite",
	"ts_stat",
};

/* Functions of Postgres that read no table. Anything else may be the app's own; then the tables are asked from Postgres's locks. Sorted. */
static const char *const plain_functions[] = {
	"abs",
	"age",
	"array_agg",
	"array_append",
	"array_cat",
	"array_length",
	"array_position",
	"array_prepend",
	"array_remove",
	"array_to_json",
	"array_to_string",
	"avg",
	"bit_and",
	"bit_or",
	"bool_and",
	"bool_or",
	"btrim",
	"cardinality",
	"ceil",
	"ceiling",
	"char_length",
	"character_length",
	"chr",
	"clock_timestamp",
	"concat",
	"concat_ws",
	"corr",
	"count",
	"cume_dist",
	"date_bin",
	"date_part",
	"date_trunc",
	"decode",
	"dense_rank",
	"div",
	"encode",
	"every",
	"exp",
	"first_value",
	"floor",
	"format",
	"gen_random_uuid",
	"generate_series",
	"generate_subscripts",
	"greatest",
	"initcap",
	"isfinite",
	"json_agg",
	"json_array_elements",
	"json_array_elements_text",
	"json_array_length",
	"json_build_array",
	"json_build_object",
	"json_each",
	"json_each_text",
	"json_object",
	"json_object_agg",
	"json_object_keys",
	"json_strip_nulls",
	"json_typeof",
	"jsonb_agg",
	"jsonb_array_elements",
	"jsonb_array_elements_text",
	"jsonb_array_length",
	"jsonb_build_array",
	"jsonb_build_object",
	"jsonb_each",
	"jsonb_each_text",
	"jsonb_insert",
	"jsonb_object",
	"jsonb_object_agg",
	"jsonb_object_keys",
	"jsonb_path_exists",
	"jsonb_path_query",
	"jsonb_set",
	"jsonb_strip_nulls",
	"jsonb_typeof",
	"justify_days",
	"justify_hours",
	"justify_interval",
	"lag",
	"last_value",
	"lead",
	"least",
	"left",
	"length",
	"ln",
	"log",
	"lower",
	"lpad",
	"ltrim",
	"make_date",
	"make_interval",
	"make_time",
	"make_timestamp",
	"make_timestamptz",
	"max",
	"md5",
	"min",
	"mod",
	"mode",
	"now",
	"nth_value",
	"ntile",
	"nullif",
	"num_nonnulls",
	"num_nulls",
	"numnode",
	"octet_length",
	"percent_rank",
	"percentile_cont",
	"percentile_disc",
	"phraseto_tsquery",
	"pi",
	"plainto_tsquery",
	"position",
	"power",
	"quote_ident",
	"quote_literal",
	"quote_nullable",
	"random",
	"range_agg",
	"rank",
	"regexp_match",
	"regexp_matches",
	"regexp_replace",
	"regexp_split_to_array",
	"regexp_split_to_table",
	"repeat",
	"replace",
	"reverse",
	"right",
	"round",
	"row_number",
	"row_to_json",
	"rpad",
	"rtrim",
	"setweight",
	"sha256",
	"sign",
	"split_part",
	"sqrt",
	"starts_with",
	"statement_timestamp",
	"stddev",
	"stddev_pop",
	"stddev_samp",
	"string_agg",
	"string_to_array",
	"string_to_table",
	"strip",
	"strpos",
	"substr",
	"substring",
	"sum",
	"timezone",
	"to_char",
	"to_date",
	"to_hex",
	"to_json",
	"to_jsonb",
	"to_number",
	"to_timestamp",
	"to_tsquery",
	"to_tsvector",
	"transaction_timestamp",
	"translate",
	"trim",
	"trunc",
	"ts_headline",
	"ts_rank",
	"ts_rank_cd",
	"unnest",
	"upper",
	"var_pop",
	"var_samp",
	"variance",
	"websearch_to_tsquery",
	"width_bucket",
};

static const char *name_at(PgQuery__Node *const *names, size_t i)
{
	return names[i]->node_case == PG_QUERY__NODE__NODE_STRING ? names[i]->string->sval : "";
}

static void moves(struct walk *w, enum mr_sql_moves how, const char *what, const char *after)
{
	if (how == MR_SQL_STANDS || w->check->moves != MR_SQL_STANDS)
		return;
	w->check->moves = how;
	w->check->moving = mr_arena_printf(&w->check->arena, "%s%s", what, after);
}

static void visit_function(struct walk *w, const PgQuery__FuncCall *f)
{
	if (!f->n_funcname)
		return;
	const char *name = name_at(f->funcname, f->n_funcname - 1), *schema = f->n_funcname > 1 ? name_at(f->funcname, 0) : "";
	if (!*schema || !strcmp(schema, "pg_catalog"))
		moves(w, mr_sql_moving_function(name, f->n_args), name, "()");
	if (!strcmp(schema, "millrace"))
		refuse(w, "the schema millrace is not for statements");
	else if (listed(name, refused_functions, MR_COUNT(refused_functions)))
		refuse(w, "functions that change settings, hold session locks, end sessions or run other SQL are not allowed");
	else if (strcmp(schema, "pg_catalog") && (*schema || !listed(name, plain_functions, MR_COUNT(plain_functions))))
		w->check->opaque = true;
}

/* ---- tables ---- */

static bool is_with(const struct visible *with, const char *name)
{
	for (; with; with = with->outer) {
		if (!strcmp(with->name, name))
			return true;
	}
	return false;
}

static void visit_table(struct walk *w, const PgQuery__RangeVar *v, int scope, const struct visible *with)
{
	const char *schema = v->schemaname ? v->schemaname : "";
	if (!strcmp(schema, "millrace")) {
		refuse(w, "the schema millrace is not for statements");
		return;
	}
	if (!*schema && is_with(with, v->relname))
		return;
	if (w->n_tables == w->cap_tables) {
		w->cap_tables = w->cap_tables ? w->cap_tables * 2 : 8;
		w->tables = mr_realloc(w->tables, w->cap_tables * sizeof(*w->tables));
	}
	struct mr_sql_table *t = &w->tables[w->n_tables++];
	*t = (struct mr_sql_table){.scope = scope, .schema = keep(w, schema), .name = keep(w, v->relname)};
	t->alias = v->alias ? keep(w, v->alias->aliasname) : t->name;
	t->renamed = v->alias && v->alias->n_colnames;
}

/* ---- columns ---- */

static void add_ref(struct walk *w, struct mr_str qualifier, struct mr_str column)
{
	if (w->n_refs == w->cap_refs) {
		w->cap_refs = w->cap_refs ? w->cap_refs * 2 : 16;
		w->refs = mr_realloc(w->refs, w->cap_refs * sizeof(*w->refs));
	}
	w->refs[w->n_refs++] = (struct mr_sql_ref){qualifier, column};
}

/* The last two of its names: "schema.table.column" is told by the table. */
static void visit_column(struct walk *w, const PgQuery__ColumnRef *r)
{
	const struct mr_str none = {"", 0};
	size_t n = r->n_fields;
	bool star = n && r->fields[n - 1]->node_case == PG_QUERY__NODE__NODE_A_STAR;
	if (n)
		add_ref(w, n > 1 ? keep(w, name_at(r->fields, n - 2)) : none, star ? none : keep(w, name_at(r->fields, n - 1)));
}

static bool is_sorted_by(const PgQuery__SelectStmt *s, const PgQuery__SortBy *by)
{
	for (size_t i = 0; s && i < s->n_sort_clause; i++)
		if (s->sort_clause[i]->sort_by == by)
			return true;
	return false;
}

/* A result's name in ORDER BY is no column's, whatever columns there are. */
static bool names_result(const PgQuery__SelectStmt *s, const PgQuery__SortBy *by)
{
	const PgQuery__Node *n = by->node;
	if (!is_sorted_by(s, by) || n->node_case != PG_QUERY__NODE__NODE_COLUMN_REF || n->column_ref->n_fields != 1)
		return false;
	const char *name = name_at(n->column_ref->fields, 0);
	for (size_t i = 0; *name && i < s->n_target_list; i++)
		if (!strcmp(s->target_list[i]->res_target->name, name))
			return true;
	return false;
}

/* ---- conditions ---- */

/* The last name of a type without dimensions or modifiers; empty: something else. */
static struct mr_str plain_type(struct walk *w, const PgQuery__TypeName *t)
{
	if (!t->n_names || t->n_typmods || t->n_array_bounds || t->setof || t->pct_type ||
		(t->n_names > 1 && strcmp(name_at(t->names, 0), "pg_catalog")))
		return (struct mr_str){"", 0};
	return keep(w, name_at(t->names, t->n_names - 1));
}

static bool constant(struct walk *w, const PgQuery__AConst *c, struct mr_sql_value *v)
{
	if (c->isnull)
		return false;
	switch (c->val_case) {
	case PG_QUERY__A__CONST__VAL_IVAL:
		v->text = mr_arena_printf(&w->check->arena, "%d", c->ival->ival);
		return true;
	case PG_QUERY__A__CONST__VAL_FVAL:
		v->text = keep(w, c->fval->fval);
		return true;
	case PG_QUERY__A__CONST__VAL_BOOLVAL:
		v->text = c->boolval->boolval ? MR_STR("t") : MR_STR("f");
		return true;
	case PG_QUERY__A__CONST__VAL_SVAL:
		v->text = keep(w, c->sval->sval);
		return true;
	default:
		return false;
	}
}

static bool value_of(struct walk *w, const PgQuery__Node *n, bool array, struct mr_sql_value *v)
{
	*v = (struct mr_sql_value){.text = {"", 0}, .cast = {"", 0}};
	if (n->node_case == PG_QUERY__NODE__NODE_TYPE_CAST && !array) {
		struct mr_str cast = plain_type(w, n->type_cast->type_name);
		bool ok = cast.n && n->type_cast->arg->node_case != PG_QUERY__NODE__NODE_TYPE_CAST &&
			  value_of(w, n->type_cast->arg, false, v);
		v->cast = cast;
		return ok;
	}
	if (n->node_case == PG_QUERY__NODE__NODE_PARAM_REF) {
		v->param = n->param_ref->number;
		return v->param > 0;
	}
	return !array && n->node_case == PG_QUERY__NODE__NODE_A_CONST && constant(w, n->a_const, v);
}

static bool column_of(struct walk *w, const PgQuery__Node *n, struct mr_sql_cond *c)
{
	if (n->node_case != PG_QUERY__NODE__NODE_COLUMN_REF)
		return false;
	const PgQuery__ColumnRef *r = n->column_ref;
	for (size_t i = 0; i < r->n_fields; i++) {
		if (r->fields[i]->node_case != PG_QUERY__NODE__NODE_STRING)
			return false;
	}
	if (r->n_fields < 1 || r->n_fields > 2)
		return false;
	c->qualifier = r->n_fields == 2 ? keep(w, name_at(r->fields, 0)) : (struct mr_str){"", 0};
	c->column = keep(w, name_at(r->fields, r->n_fields - 1));
	return true;
}

static void add_cond(struct walk *w, const struct mr_sql_cond *c)
{
	if (w->n_conds == w->cap_conds) {
		w->cap_conds = w->cap_conds ? w->cap_conds * 2 : 8;
		w->conds = mr_realloc(w->conds, w->cap_conds * sizeof(*w->conds));
	}
	w->conds[w->n_conds++] = *c;
}

static void compare(struct walk *w, const PgQuery__Node *column, PgQuery__Node *const *values, size_t n, bool array, int scope)
{
	struct mr_sql_cond c = {.scope = scope, .n = n, .any = array};
	struct mr_sql_value *v = mr_arena_alloc(&w->check->arena, MR_MAX(n, 1u) * sizeof(*v));
	if (!column_of(w, column, &c))
		return;
	for (size_t i = 0; i < n; i++) {
		if (!value_of(w, values[i], array, &v[i]))
			return;
	}
	c.values = v;
	add_cond(w, &c);
}

/* Conjuncts that every row used must meet: of WHERE and of inner joins. Never from under OR, NOT or CASE. */
static void conjuncts(struct walk *w, const PgQuery__Node *n, int scope)
{
	if (!n || ++w->depth > DEPTH_MAX)
		return;
	if (n->node_case == PG_QUERY__NODE__NODE_BOOL_EXPR && n->bool_expr->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR) {
		for (size_t i = 0; i < n->bool_expr->n_args; i++)
			conjuncts(w, n->bool_expr->args[i], scope);
	} else if (n->node_case == PG_QUERY__NODE__NODE_A_EXPR) {
		const PgQuery__AExpr *x = n->a_expr;
		bool equals = x->n_name == 1 && !strcmp(name_at(x->name, 0), "=") && x->lexpr && x->rexpr;
		if (equals && x->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP) {
			bool turned = x->lexpr->node_case != PG_QUERY__NODE__NODE_COLUMN_REF;
			compare(w, turned ? x->rexpr : x->lexpr, turned ? &x->lexpr : &x->rexpr, 1, false, scope);
		} else if (equals && x->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY) {
			compare(w, x->lexpr, &x->rexpr, 1, true, scope);
		} else if (equals && x->kind == PG_QUERY__A__EXPR__KIND__AEXPR_IN && x->rexpr->node_case == PG_QUERY__NODE__NODE_LIST) {
			compare(w, x->lexpr, x->rexpr->list->items, x->rexpr->list->n_items, false, scope);
		}
	}
	w->depth--;
}

/* ---- the walk ---- */

/* Every message below m, but for one that the caller has seen to itself. */
static void visit_below(struct walk *w, const ProtobufCMessage *m, int scope, const struct visible *with, const void *but)
{
	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		const char *at = (const char *)m + f->offset;
		if (f->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			size_t n = *(const size_t *)(const void *)((const char *)m + f->quantifier_offset);
			ProtobufCMessage *const *items = *(ProtobufCMessage * *const *)(const void *)at;
			for (size_t k = 0; k < n; k++)
				visit(w, items[k], scope, with);
			continue;
		}
		if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
			*(const uint32_t *)(const void *)((const char *)m + f->quantifier_offset) != f->id)
			continue;
		const ProtobufCMessage *below = *(const ProtobufCMessage *const *)(const void *)at;
		if (below && below != but)
			visit(w, below, scope, with);
	}
}

/* A statement with its WITH: each query there sees those before it (all, when recursive), the statement sees all. */
static void visit_with(struct walk *w, const ProtobufCMessage *statement, const PgQuery__WithClause *clause, const struct visible *with)
{
	int scope = ++w->scopes;
	size_t n = clause ? clause->n_ctes : 0;
	struct visible *names = mr_alloc((n + 1) * sizeof(*names));
	for (size_t i = 0; i < n; i++)
		names[i] = (struct visible){i ? &names[i - 1] : with, clause->ctes[i]->common_table_expr->ctename};
	for (size_t i = 0; i < n; i++) {
		const struct visible *seen = clause->recursive ? &names[n - 1] : i ? &names[i - 1] : with;
		visit_below(w, &clause->ctes[i]->common_table_expr->base, scope, seen, NULL);
	}
	visit_below(w, statement, scope, n ? &names[n - 1] : with, clause);
	free(names);
}

static void visit_select(struct walk *w, const PgQuery__SelectStmt *s, const struct visible *with)
{
	if (s->into_clause)
		refuse(w, "SELECT INTO is not allowed");
	w->check->locks |= s->n_locking_clause > 0;
	conjuncts(w, s->where_clause, w->scopes + 1);
	const PgQuery__SelectStmt *outer = w->select;
	w->select = s;
	visit_with(w, &s->base, s->with_clause, with);
	w->select = outer;
}

/* Tables below a join that renames its columns cannot be told by them. */
static void visit_join(struct walk *w, const PgQuery__JoinExpr *j, int scope, const struct visible *with)
{
	size_t first = w->n_tables;
	const struct mr_str none = {"", 0};
	if (j->is_natural)
		add_ref(w, none, none);
	for (size_t i = 0; i < j->n_using_clause; i++)
		add_ref(w, none, keep(w, name_at(j->using_clause, i)));
	if (j->jointype == PG_QUERY__JOIN_TYPE__JOIN_INNER)
		conjuncts(w, j->quals, scope);
	visit_below(w, &j->base, scope, with, NULL);
	for (size_t i = first; j->alias && i < w->n_tables; i++)
		w->tables[i].renamed = true;
}

static void visit_constant(struct walk *w, const PgQuery__AConst *c)
{
	if (c->val_case != PG_QUERY__A__CONST__VAL_SVAL)
		return;
	const char *text = c->sval->sval;
	while (*text == '"' || *text == ' ')
		text++;
	if (!strncasecmp(text, "millrace.", 9) || !strncasecmp(text, "millrace\"", 9))
		refuse(w, "names of Millrace's own settings and tables are not allowed in literals; pass text as a parameter");
}

/* CURRENT_TIMESTAMP and the like; who and where one is stays the same. */
static void visit_value_function(struct walk *w, const PgQuery__SQLValueFunction *f)
{
	static const char *const names[] = {
		[PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_DATE] = "current_date",
		[PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIME] = "current_time",
		[PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIME_N] = "current_time",
		[PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP] = "current_timestamp",
		[PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP_N] = "current_timestamp",
		[PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIME] = "localtime",
		[PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIME_N] = "localtime",
		[PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP] = "localtimestamp",
		[PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP_N] = "localtimestamp",
	};
	if ((size_t)f->op < MR_COUNT(names) && names[f->op])
		moves(w, MR_SQL_TIME, names[f->op], "");
}

static void visit_cast(struct walk *w, const PgQuery__TypeCast *c)
{
	const PgQuery__TypeName *t = c->type_name;
	if (!t || !t->n_names || !c->arg || c->arg->node_case != PG_QUERY__NODE__NODE_A_CONST ||
		c->arg->a_const->val_case != PG_QUERY__A__CONST__VAL_SVAL)
		return;
	if (mr_sql_moving_literal(name_at(t->names, t->n_names - 1), c->arg->a_const->sval->sval))
		moves(w, MR_SQL_TIME, c->arg->a_const->sval->sval, " as a time");
}

static void visit(struct walk *w, const ProtobufCMessage *m, int scope, const struct visible *with)
{
	const char *kind = m->descriptor->short_name;
	const void *at = m;
	if (++w->depth > DEPTH_MAX) {
		refuse(w, "the statement nests too deeply");
		w->depth--;
		return;
	}
	if (!strcmp(kind, "SelectStmt")) {
		visit_select(w, at, with);
	} else if (!strcmp(kind, "InsertStmt")) {
		w->check->writes = true;
		visit_with(w, m, ((const PgQuery__InsertStmt *)at)->with_clause, with);
	} else if (!strcmp(kind, "UpdateStmt")) {
		w->check->writes = true;
		visit_with(w, m, ((const PgQuery__UpdateStmt *)at)->with_clause, with);
	} else if (!strcmp(kind, "DeleteStmt")) {
		w->check->writes = true;
		visit_with(w, m, ((const PgQuery__DeleteStmt *)at)->with_clause, with);
	} else if (!strcmp(kind, "JoinExpr")) {
		visit_join(w, at, scope, with);
	} else if (!strcmp(kind, "RangeVar")) {
		visit_table(w, at, scope, with);
	} else if (strcmp(kind, "SortBy") != 0 || !names_result(w->select, at)) {
		if (!strcmp(kind, "FuncCall"))
			visit_function(w, at);
		else if (!strcmp(kind, "SQLValueFunction"))
			visit_value_function(w, at);
		else if (!strcmp(kind, "TypeCast"))
			visit_cast(w, at);
		else if (!strcmp(kind, "RangeTableSample") && !((const PgQuery__RangeTableSample *)at)->repeatable)
			moves(w, MR_SQL_CHANCE, "tablesample", " without repeatable");
		else if (!strcmp(kind, "ColumnRef"))
			visit_column(w, at);
		else if (!strcmp(kind, "AConst"))
			visit_constant(w, at);
		else if (!strcmp(kind, "TypeName") && ((const PgQuery__TypeName *)at)->n_names > 1 &&
			 !strcmp(name_at(((const PgQuery__TypeName *)at)->names, 0), "millrace"))
			refuse(w, "the schema millrace is not for statements");
		visit_below(w, m, scope, with, NULL);
	}
	w->depth--;
}

/* ---- statements ---- */

static void check_tree(struct walk *w, const PgQuery__ParseResult *tree)
{
	if (tree->n_stmts != 1) {
		refuse(w, "takes exactly one statement");
		return;
	}
	const PgQuery__Node *n = tree->stmts[0]->stmt;
	switch (n->node_case) {
	case PG_QUERY__NODE__NODE_SELECT_STMT:
	case PG_QUERY__NODE__NODE_INSERT_STMT:
	case PG_QUERY__NODE__NODE_UPDATE_STMT:
	case PG_QUERY__NODE__NODE_DELETE_STMT:
		visit(w, &n->base, 0, NULL);
		return;
	default:
		refuse(w, "takes SELECT, INSERT, UPDATE or DELETE only");
	}
}

static void keep_lists(struct walk *w)
{
	struct mr_sql_check *c = w->check;
	if (w->n_tables)
		c->tables =
			memcpy(mr_arena_alloc(&c->arena, w->n_tables * sizeof(*w->tables)), w->tables, w->n_tables * sizeof(*w->tables));
	if (w->n_conds)
		c->conds = memcpy(mr_arena_alloc(&c->arena, w->n_conds * sizeof(*w->conds)), w->conds, w->n_conds * sizeof(*w->conds));
	if (w->n_refs)
		c->refs = memcpy(mr_arena_alloc(&c->arena, w->n_refs * sizeof(*w->refs)), w->refs, w->n_refs * sizeof(*w->refs));
	c->n_tables = w->n_tables;
	c->n_conds = w->n_conds;
	c->n_refs = w->n_refs;
	free(w->tables);
	free(w->conds);
	free(w->refs);
}

static void parse(struct mr_sql_check *c, const char *text)
{
	PgQueryProtobufParseResult r = pg_query_parse_protobuf(text);
	struct walk w = {.check = c};
	if (r.error) {
		mr_fail(&c->refusal, MR_SQL_ERROR, "ctx.db.sql: %s (at character %d)", r.error->message, r.error->cursorpos);
		c->refusal.foreign = true;
	} else {
		PgQuery__ParseResult *tree = pg_query__parse_result__unpack(NULL, r.parse_tree.len, (const uint8_t *)r.parse_tree.data);
		if (tree)
			check_tree(&w, tree);
		else
			refuse(&w, "the statement nests too deeply");
		if (tree)
			pg_query__parse_result__free_unpacked(tree, NULL);
		keep_lists(&w);
	}
	pg_query_free_protobuf_parse_result(r);
}

/* ---- by text ---- */

struct cached {
	struct mr_sql_check check;
	struct mr_str text;
};
static _Thread_local struct mr_map cache;

static void forget(struct cached *c)
{
	mr_arena_fini(&c->check.arena);
	free(c);
}

static void forget_all(void)
{
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&cache, &i, &key, &value);) {
		mr_map_del(&cache, key);
		forget(value);
	}
}

const struct mr_sql_check *mr_sql_check(struct mr_str text)
{
	static _Thread_local struct mr_sql_check too_large;
	if (text.n > TEXT_MAX || (text.n && memchr(text.p, 0, text.n))) {
		mr_fail(&too_large.refusal, MR_SQL_REFUSED, "ctx.db.sql: the statement is larger than 1 MiB or holds a zero byte");
		return &too_large;
	}
	struct cached *c = mr_map_get(&cache, text);
	if (c)
		return &c->check;
	if (cache.n >= CACHED_MAX)
		forget_all();
	c = mr_alloc(sizeof(*c));
	c->text = mr_arena_str(&c->check.arena, text);
	parse(&c->check, c->text.p);
	mr_map_put(&cache, c->text, c);
	return &c->check;
}
