/* Whether the app's tables are still what they were, asked at the snapshot of each outside poll. Reading all that makes up a table's
 * fingerprint takes some 40 us of Postgres, so it is read anew only where a commit has touched a catalog row of one of the tables: their
 * xmins say so. And where nothing at all was committed since, not even those are asked. */
#include "ticker_catalog.h"

/* Read at the tick's snapshot, like the rows: a table that was truncated or altered shows it in the very tick that holds the change. xmin
 * tells of a trigger that was disabled and enabled again. "blind": some rows of the table have no trigger that captures them. Beside it the
 * tables with all their parts, NULL where one is gone. */
static const char read_sql[] =
	"with recursive declared(name, oid) as materialized (select e.key, (select c.oid from pg_class c join pg_namespace n on n.oid = "
	"c.relnamespace where n.nspname = e.value->>0 and c.relname = e.value->>1) from json_each($1::json) e),"
	" part(oid) as (select oid from declared union select i.inhrelid from part join pg_inherits i on i.inhparent = part.oid)"
	" select coalesce(json_object_agg(e.name, coalesce((select c.oid || ' ' || c.relfilenode || ' ' || md5(concat_ws('|',"
	"(select string_agg(concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attcollation, a.attnotnull), ',' order by "
	"a.attnum)"
	" from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),"
	"(select string_agg(concat_ws(' ', t.tgname, t.tgenabled, t.tgfoid, t.xmin), ',' order by t.tgname)"
	" from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal),"
	"(with recursive kid(oid) as (select inhrelid from pg_inherits where inhparent = c.oid"
	" union all select i.inhrelid from kid join pg_inherits i on i.inhparent = kid.oid)"
	" select string_agg(k.oid || ' ' || k.relfilenode, ',' order by k.oid) from kid join pg_class k using (oid))))"
	" || case when exists (with recursive kid(oid) as (select c.oid where c.relkind in ('r', 'p')"
	" union all select i.inhrelid from kid join pg_inherits i on i.inhparent = kid.oid)"
	" select from kid join pg_class k using (oid) where k.relkind = 'r' and not exists (select from pg_trigger t where t.tgrelid = "
	"k.oid"
	" and t.tgfoid = to_regprocedure('millrace.capture()') and t.tgenabled in ('A', 'O'))) then ' blind' else '' end"
	" from pg_class c where c.oid = e.oid), 'gone')), '{}'),"
	"(select array_agg(oid) from part having bool_and(oid is not null))"
	" from declared e";

/* Each commit that adds, changes or drops such a row leaves another list of xmins: what stays keeps its own, what is new has that of the
 * commit. The names of schemas and of our function are part of what is read as well. $2: the snapshot of the last answer. */
static const char check_sql[] =
	"select pg_current_snapshot(), case when pg_current_snapshot()::text <> $2::text then md5(concat_ws(' ',"
	"(select array_agg(xmin) from pg_namespace), (select array_agg(xmin) from pg_proc where proname = 'capture'),"
	"(select array_agg(xmin) from pg_class where oid = any($1::oid[])),"
	"(select array_agg(xmin) from pg_attribute where attrelid = any($1::oid[]) and attnum > 0),"
	"(select array_agg(xmin) from pg_trigger where tgrelid = any($1::oid[])),"
	"(select array_agg(xmin) from pg_inherits where inhparent = any($1::oid[])))) end";

enum { READ_TEXT, READ_PARTS };
enum { CHECK_SNAPSHOT, CHECK_MARKS };

static void set(struct mr_buf *b, struct mr_str text)
{
	mr_buf_reset(b);
	mr_buf_str(b, text);
}

void mr_catalog_watch(struct mr_catalog_watch *w, struct mr_str tables)
{
	set(&w->tables, tables);
	w->known = false;
	w->others = true;
}

void mr_catalog_watch_fini(struct mr_catalog_watch *w)
{
	mr_buf_fini(&w->tables);
	mr_buf_fini(&w->text);
	mr_buf_fini(&w->parts);
	mr_buf_fini(&w->snapshot);
	mr_buf_fini(&w->marks);
	*w = (struct mr_catalog_watch){0};
}

void mr_catalog_begin(struct mr_catalog_watch *w, bool continues)
{
	w->known = w->known && continues;
	w->others = false;
	w->step = w->known ? MR_CATALOG_CHECK : MR_CATALOG_READ;
}

void mr_catalog_ask(const struct mr_catalog_watch *w, struct mr_pg *pg, mr_pg_result_cb *cb, void *arg)
{
	if (w->step == MR_CATALOG_READ) {
		struct mr_str tables = mr_buf_view(&w->tables);
		mr_pg_query(pg, 0, read_sql, 1, &tables, cb, arg);
		return;
	}
	struct mr_str params[] = {mr_buf_view(&w->parts), w->step == MR_CATALOG_CHECK ? mr_buf_view(&w->snapshot) : MR_STR("")};
	mr_pg_query(pg, 0, check_sql, (int)MR_COUNT(params), params, cb, arg);
}

/* A table that is gone may come again under its name, which no mark would tell. */
static enum mr_catalog_step take_reading(struct mr_catalog_watch *w, const struct mr_pg_result *r)
{
	struct mr_str parts = mr_pg_value(r, 0, READ_PARTS);
	set(&w->text, mr_pg_value(r, 0, READ_TEXT));
	set(&w->parts, parts);
	return parts.p ? MR_CATALOG_MARK : MR_CATALOG_DONE;
}

static enum mr_catalog_step take_marks(struct mr_catalog_watch *w, const struct mr_pg_result *r)
{
	struct mr_str marks = mr_pg_value(r, 0, CHECK_MARKS);
	bool same = !marks.p || mr_str_eq(marks, mr_buf_view(&w->marks));
	if (w->step == MR_CATALOG_CHECK && !same) {
		w->known = false;
		return MR_CATALOG_READ;
	}
	if (marks.p)
		set(&w->marks, marks);
	set(&w->snapshot, mr_pg_value(r, 0, CHECK_SNAPSHOT));
	w->known = !w->others;
	return MR_CATALOG_DONE;
}

bool mr_catalog_answer(struct mr_catalog_watch *w, const struct mr_pg_result *r)
{
	if (mr_pg_rows(r) == 1)
		w->step = w->step == MR_CATALOG_READ ? take_reading(w, r) : take_marks(w, r);
	else
		w->step = MR_CATALOG_DONE;
	return w->step == MR_CATALOG_DONE;
}
