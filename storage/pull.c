/* Reads the catalog once, table by table, then prints: what a table is called must be known before another refers to it. */
#include "pull.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/ground/node.h"
#include "sync.h"

enum { NAME_MOST = 63 };

struct column {
	struct mr_str name;  /* in the table */
	struct mr_str field; /* empty: it is not declared */
	const char *type;    /* of the field, as the catalog's answer names it */
};

struct table {
	struct mr_str oid, name, entity;
	const char *why; /* it cannot be adopted: a sentence's end */
	PGresult *res;   /* its columns */
	struct column *columns;
	int n;
	int key[8], n_key;
};

struct pull {
	PGconn *conn;
	struct mr_error *err;
	struct mr_arena arena;
	struct mr_str schema;
	struct table *tables;
	int n;
	struct mr_buf *out;
};

/* ---- names ---- */

static bool letter(char c)
{
	return c == '_' || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* As a field or an entity may be named. */
static struct mr_str tame(struct pull *p, struct mr_str name)
{
	struct mr_buf b = {0};
	for (size_t i = 0; i < name.n && b.n < NAME_MOST - 2; i++) {
		char c = name.p[i];
		bool digit = c >= '0' && c <= '9';
		if (digit && !b.n)
			mr_buf_char(&b, '_');
		if (letter(c) || digit)
			mr_buf_char(&b, c);
		else if (((unsigned char)c & 0xc0) != 0x80) /* one for each character */
			mr_buf_char(&b, '_');
	}
	struct mr_str tamed = mr_arena_str(&p->arena, mr_buf_view(&b));
	mr_buf_fini(&b);
	return tamed;
}

static bool column_taken(const struct table *t, int but, struct mr_str name)
{
	for (int i = 0; i < t->n; i++)
		if (i != but && (mr_str_eq(t->columns[i].field, name) || mr_str_eq(t->columns[i].name, name)))
			return true;
	return false;
}

/* `id` is the whole key, or another column is called otherwise. */
static void name_column(struct pull *p, struct table *t, int i)
{
	struct mr_str name = tame(p, t->columns[i].name);
	bool whole_key = t->n_key == 1 && t->key[0] == i;
	if (mr_str_is(name, "id") && !(whole_key && mr_str_is(t->columns[i].name, "id")))
		name = MR_STR("id_");
	while (column_taken(t, i, name))
		name = mr_arena_printf(&p->arena, "%s_", name.p);
	t->columns[i].field = name;
}

static void name_tables(struct pull *p)
{
	for (int i = 0; i < p->n; i++) {
		struct mr_str name = tame(p, p->tables[i].name);
		for (int k = 0; k < p->n; k++)
			if (k != i && (mr_str_eq(p->tables[k].entity, name) || (k > i && mr_str_eq(p->tables[k].name, name)))) {
				name = mr_arena_printf(&p->arena, "%s_", name.p);
				k = -1;
			}
		p->tables[i].entity = name;
	}
}

/* What a module may call a constant. */
static const char *constant_tail(struct mr_str name)
{
	static const char words[] =
		" arguments break case catch class const continue debugger default delete do else entity enum eval export extends false "
		"field finally for function if implements import in instanceof interface let new null package policy private protected "
		"public return static super switch this throw true try typeof undefined v var void while with yield await ";
	char word[NAME_MOST + 3];
	snprintf(word, sizeof word, " %s ", name.p);
	return strstr(words, word) ? "_" : "";
}

/* ---- the catalog ---- */

#define TABLES                                                                                                                             \
	"select c.oid, c.relname, c.relkind, c.relpersistence <> 'p', exists (select from pg_inherits i join pg_class k on k.oid = "       \
	"i.inhrelid where i.inhparent = c.oid and not k.relispartition), row_security_active(c.oid), i.indimmediate, i.indnkeyatts "       \
	"from pg_class c join pg_namespace n on n.oid = c.relnamespace left join pg_index i on i.indrelid = c.oid and i.indisprimary "     \
	"where n.nspname = $1 and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition and ($2::text is null or c.relname in "  \
	"(select json_array_elements_text($2::json))) order by c.relname collate \"C\""
enum { T_OID, T_NAME, T_KIND, T_FLEETING, T_INHERITED, T_SECURED, T_IMMEDIATE, T_KEY };

/* A domain counts as what it is over. A reference: to the one column of a primary key. */
#define COLUMNS                                                                                                                            \
	"select a.attname, format_type(b.oid, null), b.typtype, a.attnotnull, coalesce(pg_get_expr(d.adbin, d.adrelid), ''), "             \
	"a.attidentity, a.attgenerated, coalesce(l.collisdeterministic, true), array_position(pk.indkey::int2[], a.attnum), "              \
	"exists (select from pg_index i join pg_class x on x.oid = i.indexrelid join pg_am m on m.oid = x.relam where i.indrelid = "       \
	"a.attrelid and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null and i.indnatts = "  \
	"1 and i.indkey[0] = a.attnum and i.indoption[0] = 0 and m.amname = 'btree' and not i.indisprimary), "                             \
	"(select json_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = b.oid), f.confrelid, f.confdeltype, "   \
	"f.type from pg_attribute a join pg_type y on y.oid = a.atttypid join pg_type b on b.oid = case y.typtype when 'd' then "          \
	"y.typbasetype else y.oid end left join pg_collation l on l.oid = a.attcollation left join pg_attrdef d on d.adrelid = "           \
	"a.attrelid and d.adnum = a.attnum left join pg_index pk on pk.indrelid = a.attrelid and pk.indisprimary left join lateral "       \
	"(select k.confrelid, k.confdeltype, format_type(r.atttypid, null) as type from pg_constraint k join pg_index i on i.indrelid = "  \
	"k.confrelid and i.indisprimary and i.indnkeyatts = 1 and i.indkey[0] = k.confkey[1] join pg_attribute r on r.attrelid = "         \
	"k.confrelid and r.attnum = k.confkey[1] where k.conrelid = a.attrelid and k.contype = 'f' and cardinality(k.conkey) = 1 and "     \
	"k.conkey[1] = a.attnum order by k.conname limit 1) f on true "                                                                    \
	"where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped order by a.attnum"
enum {
	C_NAME,
	C_TYPE,
	C_KIND,
	C_NOT_NULL,
	C_DEFAULT,
	C_IDENTITY,
	C_GENERATED,
	C_DETERMINISTIC,
	C_KEY,
	C_UNIQUE,
	C_LABELS,
	C_REFERENCE,
	C_ON_DELETE,
	C_REFERENCE_TYPE
};

#define INDEXES                                                                                                                            \
	"select c.relname, i.indisunique, (select json_agg(a.attname order by k.n) from unnest(i.indkey::int2[]) with ordinality "         \
	"k(attnum, n) "                                                                                                                    \
	"join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum), i.indisunique or (select bool_and(x in (0, 950)) from "  \
	"unnest(i.indcollation::oid[]) x) from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am m on m.oid = c.relam where "  \
	"i.indrelid = $1::oid and not i.indisprimary and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null "    \
	"and i.indnatts = i.indnkeyatts and m.amname = 'btree' and not (i.indisunique and i.indnatts = 1) and (select bool_and(o = 0) "    \
	"from unnest(i.indoption::int2[]) o) order by c.relname collate \"C\""

static bool yes(const PGresult *res, int row, int col)
{
	return PQgetvalue(res, row, col)[0] == 't';
}

static struct mr_str keep(struct pull *p, const PGresult *res, int row, int col)
{
	return mr_arena_str(&p->arena, mr_sync_str(res, row, col));
}

static const char *why_not(const PGresult *res, int i)
{
	char kind = PQgetvalue(res, i, T_KIND)[0];
	if (kind == 'v' || kind == 'm')
		return "is a view: changes of what it shows are not seen";
	if (kind == 'f')
		return "is a foreign table: others' changes of it are not seen";
	if (PQgetisnull(res, i, T_KEY))
		return "has no primary key, by which its rows are told apart";
	if (!yes(res, i, T_IMMEDIATE))
		return "has a deferrable primary key, under which the order of changes is not certain";
	if (yes(res, i, T_FLEETING))
		return "is unlogged or temporary, so a crash empties it unseen";
	if (yes(res, i, T_INHERITED))
		return "has tables that inherit from it, whose rows its primary key does not keep apart";
	if (yes(res, i, T_SECURED))
		return "has row level security, which hides rows from this role";
	return atoi(PQgetvalue(res, i, T_KEY)) > 8 ? "has a primary key of more than 8 columns" : NULL;
}

/* Which field holds a column: `type` in the answer of the catalog is the column's. NULL: none. */
static const char *field_of(const char *type, char kind)
{
	static const char *const fields[][2] = {{"smallint", "int"}, {"integer", "int"}, {"bigint", "int"}, {"numeric", "numeric"},
		{"double precision", "float"}, {"boolean", "bool"}, {"text", "string"}, {"character varying", "string"}, {"uuid", "uuid"},
		{"timestamp with time zone", "datetime"}, {"timestamp without time zone", "timestamp"}, {"date", "date"},
		{"time without time zone", "time"}, {"bytea", "bytes"}, {"jsonb", "json"}, {"json", "json"}};
	for (size_t i = 0; i < MR_COUNT(fields); i++)
		if (!strcmp(fields[i][0], type))
			return fields[i][1];
	return kind == 'e' ? "pgEnum" : NULL;
}

static bool may_be_key(const char *field)
{
	static const char words[] = " int numeric bool string uuid datetime ";
	char word[32];
	snprintf(word, sizeof word, " %s ", field);
	return strstr(words, word) != NULL;
}

static bool read_columns(struct pull *p, struct table *t)
{
	const char *params[] = {t->oid.p};
	t->res = mr_sync_query(p->conn, p->err, COLUMNS, 1, params);
	if (!t->res)
		return false;
	t->n = PQntuples(t->res);
	t->columns = mr_arena_alloc(&p->arena, ((size_t)t->n + 1) * sizeof *t->columns);
	for (int i = 0; i < t->n; i++) {
		struct column *c = &t->columns[i];
		c->name = keep(p, t->res, i, C_NAME);
		c->type =
			yes(t->res, i, C_DETERMINISTIC) ? field_of(PQgetvalue(t->res, i, C_TYPE), PQgetvalue(t->res, i, C_KIND)[0]) : NULL;
		if (PQgetisnull(t->res, i, C_KEY))
			continue;
		int at = atoi(PQgetvalue(t->res, i, C_KEY));
		if (at < 0 || at >= (int)MR_COUNT(t->key))
			continue;
		t->key[at] = i;
		t->n_key = MR_MAX(t->n_key, at + 1);
		if (!c->type || !may_be_key(c->type))
			t->why = "has a column in its primary key by whose type rows cannot be named";
	}
	for (int i = 0; i < t->n; i++)
		if (t->columns[i].type)
			name_column(p, t, i);
	return true;
}

static bool read_tables(struct pull *p, const struct mr_pull *what)
{
	struct mr_buf names = {0};
	for (size_t i = 0; i < what->n_tables; i++) {
		mr_buf_char(&names, i ? ',' : '[');
		mr_json_quote(&names, mr_str(what->tables[i]));
	}
	mr_buf_z(&names, what->n_tables ? "]" : "");
	const char *params[] = {what->schema, what->n_tables ? names.p : NULL};
	PGresult *res = mr_sync_query(p->conn, p->err, TABLES, 2, params);
	mr_buf_fini(&names);
	if (!res)
		return false;
	p->n = PQntuples(res);
	p->tables = mr_arena_alloc(&p->arena, ((size_t)p->n + 1) * sizeof *p->tables);
	bool ok = true;
	for (int i = 0; ok && i < p->n; i++) {
		struct table *t = &p->tables[i];
		*t = (struct table){.oid = keep(p, res, i, T_OID), .name = keep(p, res, i, T_NAME), .why = why_not(res, i)};
		if (!t->why && memchr(t->name.p, '.', t->name.n))
			t->why = "has a dot in its name";
		ok = t->why || read_columns(p, t);
	}
	PQclear(res);
	return ok;
}

static bool all_there(const struct pull *p, const struct mr_pull *what)
{
	if (!p->n && !what->n_tables)
		return mr_fail(p->err, MR_NOT_FOUND, "The schema \"%s\" has no tables.", what->schema);
	for (size_t i = 0; i < what->n_tables; i++) {
		int k = 0;
		while (k < p->n && !mr_str_is(p->tables[k].name, what->tables[i]))
			k++;
		if (k == p->n)
			return mr_fail(
				p->err, MR_NOT_FOUND, "There is no table \"%s\" in the schema \"%s\".", what->tables[i], what->schema);
	}
	return true;
}

/* ---- printing ---- */

/* For a comment: one line. */
static void print_line(struct mr_buf *b, const char *text)
{
	for (; *text; text++)
		mr_buf_char(b, (unsigned char)*text < ' ' ? ' ' : *text);
}

static const struct table *table_of(const struct pull *p, const char *oid)
{
	for (int i = 0; i < p->n; i++)
		if (mr_str_is(p->tables[i].oid, oid))
			return p->tables[i].why ? NULL : &p->tables[i];
	return NULL;
}

/* `.references("customers")`, or why not. */
static const char *print_reference(struct pull *p, const struct table *t, int i)
{
	static const struct {
		char letter;
		const char *option;
	} acts[] = {{'a', ""}, {'r', ""}, {'c', ", { onDelete: \"cascade\" }"}, {'n', ", { onDelete: \"set null\" }"}};
	if (PQgetisnull(t->res, i, C_REFERENCE))
		return NULL;
	const struct table *to = table_of(p, PQgetvalue(t->res, i, C_REFERENCE));
	if (!to)
		return "refers to a table that is not declared here";
	const char *type = field_of(PQgetvalue(t->res, i, C_REFERENCE_TYPE), 'b');
	if (!type || strcmp(type, t->columns[i].type) != 0)
		return "refers to a column of another type";
	char letter = PQgetvalue(t->res, i, C_ON_DELETE)[0];
	for (size_t k = 0; k < MR_COUNT(acts); k++) {
		if (acts[k].letter != letter || (letter == 'n' && yes(t->res, i, C_NOT_NULL)))
			continue;
		mr_buf_z(p->out, ".references(");
		mr_json_quote(p->out, to->entity);
		mr_buf_printf(p->out, "%s)", acts[k].option);
		return NULL;
	}
	return "refers to a row in a way that is not declared";
}

static void print_type(struct pull *p, const struct table *t, int i)
{
	mr_buf_printf(p->out, "field.%s(", t->columns[i].type);
	if (!strcmp(t->columns[i].type, "pgEnum")) {
		const char *labels = PQgetvalue(t->res, i, C_LABELS);
		mr_buf_add(p->out, labels + 1, strlen(labels) - 2);
	}
	mr_buf_char(p->out, ')');
}

static void print_field(struct pull *p, const struct table *t, int i)
{
	const struct column *c = &t->columns[i];
	struct mr_buf *b = p->out;
	const char *def = PQgetvalue(t->res, i, C_DEFAULT);
	bool moment = !strcmp(c->type, "datetime") || !strcmp(c->type, "timestamp"), identity = *PQgetvalue(t->res, i, C_IDENTITY);
	bool now = moment && (!strcmp(def, "now()") || !strcmp(def, "CURRENT_TIMESTAMP")), written = *PQgetvalue(t->res, i, C_GENERATED);
	mr_buf_printf(b, "\t\t%s: ", c->field.p);
	print_type(p, t, i);
	mr_buf_z(b, now ? ".defaultNow()" : *def || identity ? ".generated()" : "");
	const char *note = print_reference(p, t, i);
	mr_buf_z(b, yes(t->res, i, C_NOT_NULL) ? "" : ".optional()");
	mr_buf_z(b, yes(t->res, i, C_UNIQUE) && PQgetisnull(t->res, i, C_KEY) ? ".unique()" : "");
	mr_buf_z(b, written || PQgetvalue(t->res, i, C_IDENTITY)[0] == 'a' ? ".readonly()" : "");
	if (!mr_str_eq(c->name, c->field)) {
		mr_buf_z(b, ".column(");
		mr_json_quote(b, c->name);
		mr_buf_char(b, ')');
	}
	mr_buf_char(b, ',');
	if (*def && !now) {
		mr_buf_printf(b, " // %s: ", written ? "is always" : "default");
		print_line(b, def);
	}
	if (note)
		mr_buf_printf(b, "%s%s", *def && !now ? "; " : " // ", note);
	mr_buf_char(b, '\n');
}

static void print_undeclared(struct pull *p, const struct table *t, int i)
{
	mr_buf_z(p->out, "\t\t// ");
	print_line(p->out, t->columns[i].name.p);
	mr_buf_z(p->out, ": ");
	print_line(p->out, PQgetvalue(t->res, i, C_TYPE));
	if (!yes(t->res, i, C_DETERMINISTIC))
		mr_buf_z(p->out, " under a nondeterministic collation");
	mr_buf_z(p->out, ", which filters cannot compare; read it by ctx.db.sql");
	if (yes(t->res, i, C_NOT_NULL) && !*PQgetvalue(t->res, i, C_DEFAULT) && !*PQgetvalue(t->res, i, C_IDENTITY))
		mr_buf_z(p->out, ". It is required and has no default, so nothing is inserted here");
	mr_buf_char(p->out, '\n');
}

static void print_key(struct pull *p, const struct table *t)
{
	struct mr_str first = t->columns[t->key[0]].field;
	if (t->n_key == 1 && mr_str_is(first, "id"))
		return;
	mr_buf_z(p->out, t->n_key > 1 ? "\tkey: [" : "\tkey: ");
	for (int i = 0; i < t->n_key; i++) {
		mr_buf_z(p->out, i ? ", " : "");
		mr_json_quote(p->out, t->columns[t->key[i]].field);
	}
	mr_buf_z(p->out, t->n_key > 1 ? "],\n" : ",\n");
}

/* The fields that an index is over; false when one is not declared or cannot be compared. */
static bool index_fields(struct pull *p, const struct table *t, const char *json, struct mr_buf *fields)
{
	struct mr_error none;
	const struct mr_node *list = mr_json_read(&p->arena, mr_arena_str(&p->arena, mr_str(json)), 2, false, &none);
	for (size_t i = 0; list && i < list->n; i++) {
		int k = 0;
		while (k < t->n && !mr_str_eq(t->columns[k].name, list->items[i].text))
			k++;
		if (k == t->n || !t->columns[k].field.n || !strcmp(t->columns[k].type, "json"))
			return false;
		mr_buf_z(fields, i ? ", " : "");
		mr_json_quote(fields, t->columns[k].field);
	}
	return list && list->n;
}

/* *commented: the last line is a comment. */
static bool print_indexes(struct pull *p, const struct table *t, bool *commented)
{
	const char *params[] = {t->oid.p};
	PGresult *res = mr_sync_query(p->conn, p->err, INDEXES, 1, params);
	for (int i = 0; res && i < PQntuples(res); i++) {
		struct mr_buf fields = {0};
		struct mr_str name = tame(p, mr_sync_str(res, i, 0));
		if (!index_fields(p, t, PQgetvalue(res, i, 2), &fields)) {
			mr_buf_fini(&fields);
			continue;
		}
		*commented = !yes(res, i, 3);
		mr_buf_printf(p->out, "\n%s.index(\"%s\", [%s]%s)%s", yes(res, i, 3) ? "\t" : "\t// ", name.p, fields.p,
			yes(res, i, 1) ? ", { unique: true }" : "", yes(res, i, 3) ? "" : " is not ordered by bytes (collate \"C\")");
		mr_buf_fini(&fields);
	}
	PQclear(res);
	return res != NULL;
}

static bool print_table(struct pull *p, const struct table *t)
{
	struct mr_str place = mr_arena_printf(&p->arena, "%s.%s", p->schema.p, t->name.p);
	mr_buf_z(p->out, "\n");
	if (t->why) {
		mr_buf_z(p->out, "// ");
		print_line(p->out, place.p);
		mr_buf_printf(p->out, " %s.\n", t->why);
		return true;
	}
	mr_buf_printf(p->out, "export const %s%s = entity.adopt(", t->entity.p, constant_tail(t->entity));
	mr_json_quote(p->out, place);
	mr_buf_z(p->out, ", {\n");
	if (!mr_str_eq(t->entity, t->name))
		mr_buf_printf(p->out, "\tname: \"%s\",\n", t->entity.p);
	print_key(p, t);
	mr_buf_z(p->out, "\tfields: {\n");
	for (int i = 0; i < t->n; i++) {
		if (t->columns[i].field.n)
			print_field(p, t, i);
		else
			print_undeclared(p, t, i);
	}
	mr_buf_z(p->out, "\t},\n})");
	bool commented = false, ok = print_indexes(p, t, &commented);
	mr_buf_z(p->out, commented ? "\n;\n" : ";\n");
	return ok;
}

static bool print_all(struct pull *p, int *found, int *left)
{
	mr_buf_z(p->out, "// The tables of the schema ");
	print_line(p->out, p->schema.p);
	mr_buf_z(p->out, " as they stand, written by `millrace pull`; yours to edit (docs/adopt.md). Clients see no row\n"
			 "// until a policy says so: policy(\"table\", { read: \"...\" }).\n"
			 "import { entity, field } from \"millrace/server\";\n");
	bool ok = true;
	for (int i = 0; ok && i < p->n; i++) {
		*(p->tables[i].why ? left : found) += 1;
		ok = print_table(p, &p->tables[i]);
	}
	return ok;
}

bool mr_pull(const char *conninfo, const struct mr_pull *what, struct mr_buf *out, int *found, int *left, struct mr_error *err)
{
	struct pull p = {.err = err, .out = out, .conn = mr_sync_open(conninfo, err)};
	*found = *left = 0;
	if (!p.conn)
		return false;
	p.schema = mr_arena_str(&p.arena, mr_str(what->schema));
	bool ok =
		mr_sync_run(p.conn, err, "begin isolation level repeatable read read only") && read_tables(&p, what) && all_there(&p, what);
	if (ok) {
		name_tables(&p);
		ok = print_all(&p, found, left);
	}
	for (int i = 0; i < p.n; i++)
		PQclear(p.tables[i].res);
	PQfinish(p.conn);
	mr_arena_fini(&p.arena);
	return ok;
}
