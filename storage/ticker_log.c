/* The statements on the change log. All are prepared once; sequential and bitmap scans are off and plans generic, since a planner that
 * cannot see the parameters would take `xid >= $1` for a third of the log. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/ground/fault.h"
#include "proto/ground/hash.h"
#include "proto/ground/log.h"
#include "ticker_private.h"

static const char setup_sql[] =
	"select has_function_privilege('pg_catalog.pg_control_system()', 'execute'), set_config('enable_seqscan', 'off', false),"
	" set_config('enable_bitmapscan', 'off', false), set_config('plan_cache_mode', 'force_generic_plan', false),"
	" set_config('jit', 'off', false), set_config('max_parallel_workers_per_gather', '0', false),"
	" set_config('idle_in_transaction_session_timeout', '60000', false), set_config('lock_timeout', '2000', false),"
	" set_config('work_mem', '64MB', false)," /* for the rows of a big tick to be put in order */
	" set_config('statement_timeout', $1, false)";

static const char begin_sql[] = "begin isolation level repeatable read read only";
/* Retention raises the floor and truncates in one transaction: it comes wholly before our snapshot, or after our transaction. */
static const char lock_sql[] = "lock table millrace.change_log in access share mode";

#define HEAD_COLUMNS                                                                                                                       \
	"pg_current_snapshot(), pg_walfile_name(pg_current_wal_lsn()), f.xid, f.seq, millrace.this_hour(), "                               \
	"current_setting('synchronous_standby_names') <> ''"
#define HEAD_TABLES     " from (select) one left join millrace.log_floor f on true"
#define CAREFUL_COLUMNS ", m.seq, m.tag, (select tag from millrace.change_log where seq = $1::bigint limit 1)"
#define CAREFUL_TABLES  " left join (select seq, tag from millrace.change_log order by seq desc limit 1) m on true"

static const char head_sql[] = "select " HEAD_COLUMNS HEAD_TABLES " limit 1";
static const char careful_sql[] = "select " HEAD_COLUMNS CAREFUL_COLUMNS
				  ", (select system_identifier from pg_control_system())" HEAD_TABLES CAREFUL_TABLES " limit 1";
/* Where pg_control_system is not for everybody: the names of database and log tell systems apart well enough beside the tag. */
static const char careful_plain_sql[] =
	"select " HEAD_COLUMNS CAREFUL_COLUMNS ", (select hashtextextended(d.oid || ' ' || 'millrace.change_log'::regclass::oid, 0)"
	" from pg_database d where d.datname = current_database())" HEAD_TABLES CAREFUL_TABLES " limit 1";

enum {
	HEAD_SNAPSHOT,
	HEAD_WAL_FILE,
	HEAD_FLOOR_XID,
	HEAD_FLOOR_SEQ,
	HEAD_HOUR,
	HEAD_STANDBY,
	HEAD_LAST_SEQ,
	HEAD_LAST_TAG,
	HEAD_MARK,
	HEAD_SYSTEM
};

#define ROW_COLUMNS "seq, xid, tag, token, session, call, result, changes"
/* Of a row that a trigger wrote: `[{"s":1,"e":"Name",...`. By bytes, and of a long one its beginning alone. */
#define BY_TRIGGER "token is null and session is null"
#define ENTITY                                                                                                                             \
	"split_part(case when octet_length(changes::text) < 2000 then changes::text else left(changes::text, 200) end collate \"C\", "     \
	"'\"', 6)"
/* What a row shows: its payload as long as those before it are within the budget, so that at least one always comes; where a trigger wrote
 * it, at least the entity. One that stands for others shows no more. */
#define SHOWN_ROWS(budget)                                                                                                                 \
	"select seq, xid, tag, token, session, call, case when shown then result end, case when shown then coalesce(changes, '[]') end,"   \
	" not shown and not held, case when not shown and not held and token is null then " ENTITY " end"                                  \
	" from (select *, not held and not stands and before < " budget " as shown from (select *, coalesce(sum(case when held or stands " \
	"then 0 else octet_length(changes::text) + coalesce(octet_length(result::text), 0) end)"                                           \
	" over (order by seq rows between unbounded preceding and 1 preceding), 0) as before from l) l) l order by seq"

/* The three ways to a row that the position has not seen: its xid is new, or was running and is finished by now, or (after a crash of
 * Postgres, when xids are handed out again) its seq is new. They exclude each other. `is true` keeps the third off the index of xid, where
 * it would read the whole log. */
#define NEW_ROWS                                                                                                                           \
	"(select * from (select " ROW_COLUMNS " from millrace.change_log where xid >= $1::xid8"                                            \
	" union all select " ROW_COLUMNS " from millrace.change_log where xid = any(array(select x from unnest($2::xid8[]) x"              \
	" where pg_visible_in_snapshot(x, (select pg_current_snapshot()))))"                                                               \
	" union all select " ROW_COLUMNS                                                                                                   \
	" from millrace.change_log where seq > $3::bigint and (xid < $1::xid8) is true and xid <> all($2::xid8[])"                         \
	") l limit $4::bigint) l"
#define BUDGET(outside, bytes) "case when token is null then " outside "::bigint else " bytes "::bigint end"
#define HELD(tokens)           "coalesce(token in (select unnest(" tokens "::bytea[])), false) as held"
static const char rows_sql[] = "with l as (select *, " HELD("$7") ", false as stands from " NEW_ROWS ") " SHOWN_ROWS(BUDGET("$6", "$5"));
/* How many rows, by entity, and the numbers of those that are few; what triggers did not write is of null. */
static const char totals_sql[] =
	"select case when " BY_TRIGGER " then " ENTITY " end, count(*), sum(octet_length(changes::text)), max(seq),"
	" case when count(*) <= $5::bigint then array_to_string(array_agg(seq), ',') end from " NEW_ROWS " group by 1";
/* The rows of these numbers; those of $2 stand for others. */
static const char some_sql[] =
	"with l as (select " ROW_COLUMNS ", " HELD("$5") ", seq = any($2::bigint[]) as stands from millrace.change_log"
							 " where seq = any($1::bigint[] || $2::bigint[])) " SHOWN_ROWS(BUDGET("$4", "$3"));
/* The ordinary tick: its position comes from the same life of Postgres, so that xids say all; few transactions are younger than the oldest
 * that ran there, and few rows are new. It costs a third of the above, which is asked where this one shows too little. $3: tokens one after
 * the other; one that is found where two of them meet is no harm, since its payload is asked for like any that is missing. */
static const char few_sql[] =
	"select seq, xid, tag, token, session, call, case when shown then result end, case when shown then coalesce(changes, '[]') end,"
	" not (held or shown), null from (select *, not held and coalesce(octet_length(changes::text), 0)"
	" + coalesce(octet_length(result::text), 0) <= $5::bigint as shown from (select " ROW_COLUMNS
	", coalesce(position(token in $3::bytea) > 0, false) as held from millrace.change_log"
	" where xid >= $1::xid8 and (xid >= $2::xid8 or xid = any($4::xid8[])) offset 0) l offset 0) l limit $6::bigint";

/* Of an ordinary tick: transactions between the oldest that ran and the youngest; bytes of each row that are read with it. */
enum { FEW_XIDS = 512, FEW_ROW_BYTES = 64 << 10 };
/* Beside a table that is left out, so many rows of another are read by their numbers. */
enum { SOME_ROWS = 1024 };
enum { TOTAL_ENTITY, TOTAL_ROWS, TOTAL_BYTES, TOTAL_LAST, TOTAL_SEQS };
enum { ROW_SEQ, ROW_XID, ROW_TAG, ROW_TOKEN, ROW_SESSION, ROW_CALL, ROW_RESULT, ROW_CHANGES, ROW_ABOVE, ROW_ENTITY };

void mr_log_head_fini(struct mr_log_head *h)
{
	mr_snapshot_fini(&h->snapshot);
	*h = (struct mr_log_head){0};
}

void mr_log_rows_fini(struct mr_log_rows *rows)
{
	mr_arena_fini(&rows->arena);
	free(rows->rows);
	*rows = (struct mr_log_rows){0};
}

void mr_log_rows_reset(struct mr_log_rows *rows)
{
	mr_arena_reset(&rows->arena);
	rows->n = 0;
	rows->withheld = false;
}

/* ---- asking ---- */

static struct mr_str decimal(char *to, size_t size, int64_t value)
{
	return (struct mr_str){to, (size_t)snprintf(to, size, "%" PRId64, value)};
}

void mr_log_setup(struct mr_pg *pg, int timeout_ms, mr_pg_result_cb *cb, void *arg)
{
	char number[24];
	struct mr_str param = decimal(number, sizeof(number), timeout_ms);
	mr_pg_query(pg, MR_PG_ONCE, setup_sql, 1, &param, cb, arg);
	mr_pg_sync(pg);
}

bool mr_log_setup_done(const struct mr_pg_result *r)
{
	return mr_str_is(mr_pg_value(r, 0, 0), "t");
}

void mr_log_begin(struct mr_pg *pg, mr_pg_result_cb *cb, void *arg)
{
	mr_pg_query(pg, 0, begin_sql, 0, NULL, cb, arg);
	mr_pg_query(pg, 0, lock_sql, 0, NULL, cb, arg);
}

void mr_log_ask_head(struct mr_pg *pg, bool careful, bool control, const struct mr_position *from, mr_pg_result_cb *cb, void *arg)
{
	if (!careful) {
		mr_pg_query(pg, 0, head_sql, 0, NULL, cb, arg);
		return;
	}
	char seq[24];
	struct mr_str param = decimal(seq, sizeof(seq), from ? from->seq : 0);
	mr_pg_query(pg, 0, control ? careful_sql : careful_plain_sql, 1, &param, cb, arg);
}

static void print_tokens(struct mr_buf *b, struct mr_str tokens)
{
	mr_buf_char(b, '{');
	for (size_t at = 0; at + MR_TOKEN_BYTES <= tokens.n; at += MR_TOKEN_BYTES) {
		mr_buf_z(b, at ? ",\"\\\\x" : "\"\\\\x");
		mr_hex(b, (struct mr_str){tokens.p + at, MR_TOKEN_BYTES});
		mr_buf_char(b, '"');
	}
	mr_buf_char(b, '}');
}

static struct mr_str unsigned_text(char *to, size_t size, uint64_t value)
{
	return (struct mr_str){to, (size_t)snprintf(to, size, "%" PRIu64, value)};
}

static void print_running(struct mr_buf *b, const struct mr_snapshot *s)
{
	mr_buf_char(b, '{');
	for (size_t i = 0; i < s->n; i++)
		mr_buf_printf(b, i ? ",%" PRIu64 : "%" PRIu64, s->xip[i]);
	mr_buf_char(b, '}');
}

/* What is asked of all new rows. */
enum { P_XMAX, P_RUNNING, P_SEQ, P_ROWS, NEW_PARAMS };
struct new_rows {
	struct mr_buf running;
	char xmax[24], seq[24], rows[24];
};

static void new_rows_init(struct new_rows *q, struct mr_str *params, const struct mr_position *from, int64_t most)
{
	q->running = (struct mr_buf){0};
	print_running(&q->running, &from->snapshot);
	params[P_XMAX] = unsigned_text(q->xmax, sizeof(q->xmax), from->snapshot.xmax);
	params[P_RUNNING] = mr_buf_view(&q->running);
	params[P_SEQ] = decimal(q->seq, sizeof(q->seq), from->seq);
	params[P_ROWS] = decimal(q->rows, sizeof(q->rows), most + 1);
}

void mr_log_ask_rows(struct mr_pg *pg, const struct mr_position *from, struct mr_str tokens, const struct mr_log_most *most,
	mr_pg_result_cb *cb, void *arg)
{
	struct new_rows q;
	char bytes[24], outside[24];
	struct mr_buf held = {0};
	print_tokens(&held, tokens);
	struct mr_str params[NEW_PARAMS + 3] = {
		[NEW_PARAMS] = decimal(bytes, sizeof(bytes), most->bytes),
		decimal(outside, sizeof(outside), most->outside),
		mr_buf_view(&held),
	};
	new_rows_init(&q, params, from, most->rows);
	mr_pg_query(pg, 0, rows_sql, (int)MR_COUNT(params), params, cb, arg);
	mr_buf_fini(&q.running);
	mr_buf_fini(&held);
}

void mr_log_ask_totals(struct mr_pg *pg, const struct mr_position *from, int64_t most, mr_pg_result_cb *cb, void *arg)
{
	struct new_rows q;
	char some[24];
	struct mr_str params[NEW_PARAMS + 1] = {
		[NEW_PARAMS] = decimal(some, sizeof(some), mr_fault_large() ? mr_fault_large() - 1 : SOME_ROWS)};
	new_rows_init(&q, params, from, most);
	mr_pg_query(pg, 0, totals_sql, (int)MR_COUNT(params), params, cb, arg);
	mr_buf_fini(&q.running);
}

/* stand: of those that are read, these stand for others. */
static void ask_some(struct mr_pg *pg, struct mr_str seqs, struct mr_str stand, struct mr_str tokens, const struct mr_log_most *most,
	mr_pg_result_cb *cb, void *arg)
{
	char bytes[24], outside[24];
	struct mr_buf held = {0};
	print_tokens(&held, tokens);
	struct mr_str params[] = {
		seqs,
		stand,
		decimal(bytes, sizeof(bytes), most->bytes),
		decimal(outside, sizeof(outside), most->outside),
		mr_buf_view(&held),
	};
	mr_pg_query(pg, 0, some_sql, (int)MR_COUNT(params), params, cb, arg);
	mr_buf_fini(&held);
}

void mr_log_ask_some(struct mr_pg *pg, const struct mr_log_totals *totals, struct mr_str tokens, const struct mr_log_most *most,
	mr_pg_result_cb *cb, void *arg)
{
	ask_some(pg, mr_buf_view(&totals->some), mr_buf_view(&totals->stand), tokens, most, cb, arg);
}

bool mr_log_few(const struct mr_position *from)
{
	return from->snapshot.xmax - from->snapshot.xmin <= FEW_XIDS;
}

void mr_log_ask_few(struct mr_pg *pg, const struct mr_position *from, struct mr_str tokens, mr_pg_result_cb *cb, void *arg)
{
	char xmin[24], xmax[24], bytes[24], rows[24];
	struct mr_buf running = {0}, held = {0};
	print_running(&running, &from->snapshot);
	mr_buf_z(&held, "\\x");
	mr_hex(&held, tokens);
	struct mr_str params[] = {
		unsigned_text(xmin, sizeof(xmin), from->snapshot.xmin),
		unsigned_text(xmax, sizeof(xmax), from->snapshot.xmax),
		mr_buf_view(&held),
		mr_buf_view(&running),
		decimal(bytes, sizeof(bytes), FEW_ROW_BYTES),
		decimal(rows, sizeof(rows), MR_TICK_FEW + 1),
	};
	mr_pg_query(pg, 0, few_sql, (int)MR_COUNT(params), params, cb, arg);
	mr_buf_fini(&running);
	mr_buf_fini(&held);
}

void mr_log_ask_payloads(struct mr_pg *pg, const int64_t *seqs, size_t n, int64_t max_bytes, mr_pg_result_cb *cb, void *arg)
{
	struct mr_buf list = {0};
	mr_buf_char(&list, '{');
	for (size_t i = 0; i < n; i++)
		mr_buf_printf(&list, i ? ",%" PRId64 : "%" PRId64, seqs[i]);
	mr_buf_char(&list, '}');
	ask_some(pg, mr_buf_view(&list), MR_STR("{}"), (struct mr_str){"", 0}, &(struct mr_log_most){0, max_bytes, max_bytes}, cb, arg);
	mr_buf_fini(&list);
}

/* ---- reading ---- */

static uint64_t unsigned_value(const struct mr_pg_result *r, int row, int col)
{
	struct mr_str text = mr_pg_value(r, row, col);
	return text.p ? strtoull(text.p, NULL, 10) : 0;
}

/* The first eight digits of a WAL file's name. */
static bool read_timeline(struct mr_str name, uint32_t *timeline)
{
	char digits[9] = {0};
	if (name.n != 24)
		return false;
	memcpy(digits, name.p, 8);
	*timeline = (uint32_t)strtoul(digits, NULL, 16);
	return *timeline != 0;
}

bool mr_log_read_head(const struct mr_pg_result *r, struct mr_log_head *h, struct mr_error *err)
{
	mr_log_head_fini(h);
	if (mr_pg_rows(r) != 1 || !mr_snapshot_read(mr_pg_value(r, 0, HEAD_SNAPSHOT), &h->snapshot) ||
		!read_timeline(mr_pg_value(r, 0, HEAD_WAL_FILE), &h->timeline))
		return mr_fail(err, MR_INTERNAL, "Postgres gave a snapshot or WAL file name that cannot be read");
	h->floor_xid = unsigned_value(r, 0, HEAD_FLOOR_XID);
	h->floor_seq = mr_pg_int(r, 0, HEAD_FLOOR_SEQ);
	h->hour = (int32_t)mr_pg_int(r, 0, HEAD_HOUR);
	h->standby = mr_str_is(mr_pg_value(r, 0, HEAD_STANDBY), "t");
	h->careful = mr_pg_columns(r) > HEAD_SYSTEM;
	if (h->careful) {
		h->last_seq = mr_pg_int(r, 0, HEAD_LAST_SEQ);
		h->last_tag = (uint64_t)mr_pg_int(r, 0, HEAD_LAST_TAG);
		h->has_mark = mr_pg_value(r, 0, HEAD_MARK).p;
		h->mark = (uint64_t)mr_pg_int(r, 0, HEAD_MARK);
		h->system = (uint64_t)mr_pg_int(r, 0, HEAD_SYSTEM);
	}
	return true;
}

static bool read_token(struct mr_str hex, uint8_t token[MR_TOKEN_BYTES])
{
	return hex.n == 2 + 2 * MR_TOKEN_BYTES && hex.p[0] == '\\' && hex.p[1] == 'x' &&
	       mr_hex_read((struct mr_str){hex.p + 2, hex.n - 2}, token);
}

static struct mr_str keep(struct mr_log_rows *rows, const struct mr_pg_result *r, int row, int col)
{
	struct mr_str text = mr_pg_value(r, row, col);
	return text.p ? mr_arena_str(&rows->arena, text) : text;
}

static struct mr_log_row *add_row(struct mr_log_rows *rows)
{
	if (rows->n == rows->cap) {
		rows->cap = rows->cap ? rows->cap * 2 : 64;
		rows->rows = mr_realloc(rows->rows, rows->cap * sizeof(*rows->rows));
	}
	struct mr_log_row *row = &rows->rows[rows->n++];
	*row = (struct mr_log_row){0};
	return row;
}

void mr_log_read_rows(const struct mr_pg_result *r, struct mr_log_rows *rows)
{
	for (int i = 0, n = mr_pg_rows(r); i < n; i++) {
		struct mr_log_row *row = add_row(rows);
		row->seq = mr_pg_int(r, i, ROW_SEQ);
		row->xid = unsigned_value(r, i, ROW_XID);
		row->tag = (uint64_t)mr_pg_int(r, i, ROW_TAG);
		row->has_token = read_token(mr_pg_value(r, i, ROW_TOKEN), row->token);
		row->session = keep(rows, r, i, ROW_SESSION);
		row->call = keep(rows, r, i, ROW_CALL);
		row->result = keep(rows, r, i, ROW_RESULT);
		row->changes = keep(rows, r, i, ROW_CHANGES);
		row->entity = keep(rows, r, i, ROW_ENTITY);
		rows->withheld |= mr_str_is(mr_pg_value(r, i, ROW_ABOVE), "t");
	}
}

static int by_seq(const void *a, const void *b)
{
	int64_t left = ((const struct mr_log_row *)a)->seq, right = ((const struct mr_log_row *)b)->seq;
	return (left > right) - (left < right);
}

bool mr_log_read_few(const struct mr_pg_result *r, struct mr_log_rows *rows)
{
	mr_log_read_rows(r, rows);
	if (rows->n > 1)
		qsort(rows->rows, rows->n, sizeof(*rows->rows), by_seq);
	return rows->n <= MR_TICK_FEW && !rows->withheld;
}

static void add_number(struct mr_buf *list, struct mr_str seqs)
{
	if (list->n > 1)
		mr_buf_char(list, ',');
	mr_buf_str(list, seqs);
}

/* By one row for all: its last. */
static void leave_out(struct mr_log_totals *totals, struct mr_str last)
{
	totals->n_left_out++;
	add_number(&totals->stand, last);
}

bool mr_log_read_totals(const struct mr_pg_result *r, int64_t most, struct mr_log_totals *totals)
{
	bool left = false;
	mr_log_totals_fini(totals);
	mr_buf_char(&totals->some, '{');
	mr_buf_char(&totals->stand, '{');
	for (int i = 0, n = mr_pg_rows(r); i < n; i++) {
		struct mr_str seqs = mr_pg_value(r, i, TOTAL_SEQS);
		totals->rows += mr_pg_int(r, i, TOTAL_ROWS);
		if (seqs.p)
			add_number(&totals->some, seqs);
		else if (mr_pg_value(r, i, TOTAL_ENTITY).n && mr_pg_int(r, i, TOTAL_BYTES) > most)
			leave_out(totals, mr_pg_value(r, i, TOTAL_LAST));
		else
			left = true;
	}
	mr_buf_char(&totals->some, '}');
	mr_buf_char(&totals->stand, '}');
	return totals->n_left_out && !left;
}

void mr_log_totals_fini(struct mr_log_totals *totals)
{
	mr_buf_fini(&totals->some);
	mr_buf_fini(&totals->stand);
	*totals = (struct mr_log_totals){0};
}

/* ---- judging ---- */

static bool floor_passed(const struct mr_log_head *h, const struct mr_position *from)
{
	return h->floor_seq > from->seq || (h->floor_xid && h->floor_xid >= from->snapshot.xmin);
}

bool mr_log_continues(const struct mr_log_head *h, const struct mr_position *from)
{
	if (h->timeline != from->timeline || floor_passed(h, from))
		return false;
	if (!h->careful)
		return true;
	if (h->system != from->system)
		return false;
	if (from->seq == 0 || from->seq == h->floor_seq)
		return true; /* no row yet, or retention has dropped it: nothing to compare with */
	return h->has_mark && h->mark == from->tag;
}

void mr_log_advance(struct mr_position *p, const struct mr_log_head *h, const struct mr_log_rows *rows)
{
	mr_snapshot_copy(&p->snapshot, &h->snapshot);
	if (rows->n && rows->rows[rows->n - 1].seq > p->seq) {
		p->seq = rows->rows[rows->n - 1].seq;
		p->tag = rows->rows[rows->n - 1].tag;
	}
}

void mr_log_restart(struct mr_position *p, const struct mr_log_head *h)
{
	MR_ASSERT(h->careful);
	mr_snapshot_copy(&p->snapshot, &h->snapshot);
	p->system = h->system;
	p->timeline = h->timeline;
	bool has_row = h->last_seq > h->floor_seq;
	p->seq = has_row ? h->last_seq : h->floor_seq;
	p->tag = has_row ? h->last_tag : 0;
}
