/* Capture triggers: one for rows on the table (partitions inherit it, other children get their own), one for TRUNCATE on each leaf too. */
#include "install_private.h"

#include <stdlib.h>

/* Names that sort before every other AFTER trigger, those of foreign keys ("RI_...") included: a change is captured before
 * anybody else's trigger can write the row again. */
#define ROW_TRIGGER      "00_millrace_capture"
#define TRUNCATE_TRIGGER "00_millrace_truncate"
/* Second argument of the triggers: grows when their definition changes, so that installed ones are replaced. */
#define TRIGGER_VERSION "1"

/* The table and all its descendants: name, whether it needs a row trigger of its own, which triggers it has as they should be. */
#define FAMILY                                                                                                                             \
	"with recursive family(oid) as (select $1::oid union select i.inhrelid from pg_inherits i join family f on i.inhparent = f.oid) "  \
	"select n.nspname, c.relname, c.oid = $1::oid or not c.relispartition as own_rows, "                                               \
	"(select count(*) from pg_trigger t where t.tgrelid = c.oid and t.tgname = '" ROW_TRIGGER "') as row_there, "                      \
	"(select count(*) from pg_trigger t where t.tgrelid = c.oid and t.tgname = '" ROW_TRIGGER "' and t.tgenabled = 'A' "               \
	"  and t.tgfoid = to_regprocedure('millrace.capture()') and t.tgargs = $2::bytea) as row_good, "                                   \
	"(select count(*) from pg_trigger t where t.tgrelid = c.oid and t.tgname = '" TRUNCATE_TRIGGER "') as truncate_there, "            \
	"(select count(*) from pg_trigger t where t.tgrelid = c.oid and t.tgname = '" TRUNCATE_TRIGGER "' and t.tgenabled = 'A' "          \
	"  and t.tgfoid = to_regprocedure('millrace.capture_truncate()') and t.tgargs = $2::bytea) as truncate_good, "                     \
	"(select min(t.tgname collate \"C\") from pg_trigger t where t.tgrelid = c.oid and t.tgname collate \"C\" < '" ROW_TRIGGER "' "    \
	"  and t.tgtype & 1 = 1 and t.tgtype & 66 = 0) as before_us "                                                                      \
	"from family f join pg_class c on c.oid = f.oid join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p') "      \
	"order by c.oid"

static void name_of(struct mr_buf *b, struct mr_str schema, struct mr_str table)
{
	mr_sql_ident(b, schema);
	mr_buf_char(b, '.');
	mr_sql_ident(b, table);
}

static void add_trigger(struct mr_draft *d, const struct mr_entity *e, struct mr_str schema, struct mr_str table, bool rows, bool replace)
{
	struct mr_buf *b = &d->triggers, name = {0};
	const char *trigger = rows ? ROW_TRIGGER : TRUNCATE_TRIGGER;
	name_of(&name, schema, table);
	if (replace)
		mr_buf_printf(b, "drop trigger \"%s\" on %s;\n", trigger, name.p);
	if (rows) {
		mr_buf_printf(b, "create trigger \"%s\" after insert or update or delete on %s for each row\n", trigger, name.p);
		mr_buf_z(b, "\twhen (current_setting('millrace.capturing', true) is distinct from ");
		mr_sql_literal(b, e->name);
		mr_buf_z(b, " or pg_trigger_depth() > 0)\n\texecute function millrace.capture(");
	} else {
		mr_buf_printf(b,
			"create trigger \"%s\" after truncate on %s for each statement\n\texecute function millrace.capture_truncate(",
			trigger, name.p);
	}
	mr_sql_literal(b, e->name);
	mr_buf_printf(b, ", '" TRIGGER_VERSION "');\nalter table %s enable always trigger \"%s\";\n", name.p, trigger);
	mr_buf_fini(&name);
}

/* The arguments as pg_trigger keeps them: each followed by a zero byte. */
static void trigger_args(struct mr_buf *b, const struct mr_entity *e)
{
	static const char digits[] = "0123456789abcdef";
	mr_buf_z(b, "\\x");
	for (size_t i = 0; i < e->name.n; i++) {
		mr_buf_char(b, digits[(uint8_t)e->name.p[i] >> 4]);
		mr_buf_char(b, digits[(uint8_t)e->name.p[i] & 15]);
	}
	mr_buf_printf(b, "00%02x00", TRIGGER_VERSION[0]);
}

static bool number(const PGresult *res, int row, int col)
{
	return strcmp(PQgetvalue(res, row, col), "0") != 0;
}

static void draft_member(struct mr_draft *d, struct mr_draft_table *t, const PGresult *res, int i)
{
	const struct mr_entity *e = t->entity;
	struct mr_str schema = mr_sync_str(res, i, 0), table = mr_sync_str(res, i, 1);
	if (!PQgetisnull(res, i, 7))
		mr_draft_refuse(d, e->name, MR_STR(""),
			"cannot be captured: the trigger \"%s\" of \"%s\" sorts before " ROW_TRIGGER
			" and could change rows unseen; rename it",
			PQgetvalue(res, i, 7), table.p);
	if (PQgetvalue(res, i, 2)[0] == 't' && !number(res, i, 4)) {
		add_trigger(d, e, schema, table, true, number(res, i, 3));
		t->changed = true;
	}
	if (!number(res, i, 6)) {
		add_trigger(d, e, schema, table, false, number(res, i, 5));
		t->changed = true;
	}
}

bool mr_draft_triggers(struct mr_draft *d, struct mr_draft_table *t)
{
	const struct mr_entity *e = t->entity;
	if (!*t->oid) {
		add_trigger(d, e, e->schema, e->table, true, false);
		add_trigger(d, e, e->schema, e->table, false, false);
		return true;
	}
	struct mr_buf args = {0};
	trigger_args(&args, e);
	const char *params[] = {t->oid, args.p};
	PGresult *res = mr_draft_ask(d, FAMILY, 2, params);
	for (int i = 0; res && i < PQntuples(res); i++)
		draft_member(d, t, res, i);
	PQclear(res);
	mr_buf_fini(&args);
	return res != NULL;
}
