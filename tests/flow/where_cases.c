/* Filters of clients over generated rows, of a declared entity and of an adopted table: Postgres and the C matcher must agree on each, row
 * by row and in order. What they agreed on is written to the file MILLRACE_CASES, for the client's reader to agree with too
 * (where_readers.mjs, which runs this): for each of the two a line with the rows, then one for each filter, with the ids of the rows that
 * it holds for, in the order asked for. */
#include "txn_rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ROWS = 300, CASES = 2000 };

static uint64_t seed;
static struct mr_pg *pg;
static struct mr_arena world;
static struct mr_row rows[ROWS];
static FILE *out;

static uint64_t random_bits(void)
{
	seed += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
	uint64_t z = seed;
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static unsigned dice(unsigned sides)
{
	return (unsigned)(random_bits() % sides);
}

/* A key of two columns, one of them ordered by its collation; types that declared entities do not have; names that are not the columns'. */
static const char adopted_table[] =
	"create schema legacy; create type legacy.mood as enum ('sad', 'ok', 'Happy', '\xc3\xa9t\xc3\xa9', 'a_b'); "
	"create domain legacy.word as varchar(40) check (value <> 'never'); "
	"create table legacy.kinds (tenant_id text collate \"und-x-icu\", no smallint, small smallint, whole integer, huge bigint, "
	"price numeric(12, 3), amount numeric, ratio double precision, day date, hour time, local_time timestamp, moment timestamptz, "
	"mood legacy.mood, label varchar(20) collate \"und-x-icu\", word legacy.word, uuid uuid, raw bytea, flag boolean, "
	"extra interval default '1 day', primary key (tenant_id, no))";
static const char adopted_manifest[] =
	"{\"version\":\"t2\",\"entities\":[{\"name\":\"Kinds\",\"schema\":\"legacy\",\"table\":\"kinds\",\"key\":[\"tenant\",\"no\"],"
	"\"fields\":["
	"{\"name\":\"tenant\",\"type\":\"string\",\"column\":\"tenant_id\"},{\"name\":\"no\",\"type\":\"int\"},"
	"{\"name\":\"small\",\"type\":\"int\",\"optional\":true},{\"name\":\"whole\",\"type\":\"bigint\",\"optional\":true},"
	"{\"name\":\"huge\",\"type\":\"bigint\",\"optional\":true},{\"name\":\"price\",\"type\":\"numeric\",\"optional\":true},"
	"{\"name\":\"amount\",\"type\":\"numeric\",\"optional\":true},{\"name\":\"ratio\",\"type\":\"float\",\"optional\":true},"
	"{\"name\":\"day\",\"type\":\"string\",\"as\":\"text\",\"optional\":true},"
	"{\"name\":\"hour\",\"type\":\"string\",\"as\":\"text\",\"optional\":true},"
	"{\"name\":\"local\",\"type\":\"datetime\",\"as\":\"utc\",\"column\":\"local_time\",\"optional\":true},"
	"{\"name\":\"moment\",\"type\":\"datetime\",\"optional\":true},"
	"{\"name\":\"mood\",\"type\":\"string\",\"as\":\"text\",\"optional\":true},"
	"{\"name\":\"label\",\"type\":\"string\",\"optional\":true},{\"name\":\"word\",\"type\":\"string\",\"optional\":true},"
	"{\"name\":\"uuid\",\"type\":\"uuid\",\"optional\":true},{\"name\":\"raw\",\"type\":\"bytes\",\"optional\":true},"
	"{\"name\":\"flag\",\"type\":\"bool\",\"optional\":true}],\"indexes\":[]}],\"policies\":[],\"functions\":[]}";

static const struct mr_entity *subject;

/* ---- values: edges, small ones that meet often, and anything ---- */

static void int_text(struct mr_buf *b, bool big)
{
	static const int64_t edges[] = {
		0, 1, -1, 9007199254740991, -9007199254740991, 9007199254740992, 9007199254740993, INT64_MAX, INT64_MIN};
	int64_t v = dice(3) ? (int64_t)dice(7) - 3 : dice(2) ? edges[dice(big ? 9 : 5)] : (int64_t)(random_bits() >> (big ? 0 : 12));
	mr_buf_printf(b, big ? "{\"$int\":\"%" PRId64 "\"}" : "%" PRId64, v);
}

static void float_text(struct mr_buf *b)
{
	static const char *const edges[] = {"{\"$float\":\"NaN\"}", "{\"$float\":\"-0\"}", "{\"$float\":\"Infinity\"}",
		"{\"$float\":\"-Infinity\"}", "0", "5e-324", "1.7976931348623157e308", "0.30000000000000004"};
	union {
		uint64_t bits;
		double d;
	} any = {.bits = random_bits() & ~(UINT64_C(1) << 62)}; /* no infinity, no NaN */
	switch (dice(4)) {
	case 0:
		mr_buf_z(b, edges[dice(MR_COUNT(edges))]);
		return;
	case 1:
		mr_buf_printf(b, "%.17g", any.d);
		return;
	default:
		mr_buf_printf(b, "%.17g", (dice(13) - 6.0) / 4);
	}
}

static void numeric_text(struct mr_buf *b)
{
	static const char *const edges[] = {"NaN", "Infinity", "-Infinity", "-0.00", "1e3", "1000", "1.0", "1"};
	if (!dice(3)) {
		mr_buf_printf(b, "\"%s\"", edges[dice(MR_COUNT(edges))]);
		return;
	}
	mr_buf_printf(b, "\"%s%u", dice(2) ? "" : "-", dice(4));
	for (unsigned n = dice(2) * dice(30); n; n--)
		mr_buf_printf(b, "%u", dice(10));
	mr_buf_printf(b, ".%u%u\"", dice(3), dice(2));
}

static void string_text(struct mr_buf *b)
{
	static const char *const letters[] = {"a", "b", "A", "Z", " ", "0", "\\\\", "\\\"", "'", "%", "_", "\\u0001", "\xc3\xa9",
		"e\xcc\x81", "\xc3\x9f", "\xef\xbf\xbd", "\xf0\x9f\x98\x80", "\xee\x80\x80", "\xe2\x80\xa8", "\x7f"};
	mr_buf_char(b, '"');
	for (unsigned n = dice(4); n; n--)
		mr_buf_z(b, letters[dice(MR_COUNT(letters))]);
	mr_buf_char(b, '"');
}

static void uuid_text(struct mr_buf *b)
{
	uint64_t high = dice(2) ? 0 : random_bits(), low = dice(4);
	mr_buf_printf(b, "\"%08x-%04x-7%03x-8%03x-%012" PRIx64 "\"", (unsigned)(high >> 32), (unsigned)(high >> 16) & 0xffff,
		(unsigned)high & 0xfff, 0, low);
}

static void datetime_text(struct mr_buf *b)
{
	static const char *const edges[] = {"infinity", "-infinity", "0001-01-01T00:00:00.000Z", "1969-12-31T23:59:59.999Z",
		"2026-07-01T12:34:56.789+02:00", "2026-07-01T10:34:56.789Z", "2000-02-29T00:00:00.000Z"};
	if (dice(3))
		mr_buf_printf(b, "\"%s\"", edges[dice(MR_COUNT(edges))]);
	else
		mr_buf_printf(b, "\"20%02u-%02u-%02uT%02u:%02u:%02u.%03uZ\"", dice(100), 1 + dice(12), 1 + dice(28), dice(24), dice(60),
			dice(60), dice(1000));
}

static void bytes_text(struct mr_buf *b)
{
	static const char *const some[] = {"", "AA==", "AP8=", "/w==", "XA==", "AAE=", "gA=="};
	mr_buf_printf(b, "{\"$bytes\":\"%s\"}", some[dice(MR_COUNT(some))]);
}

static void date_text(struct mr_buf *b)
{
	static const char *const edges[] = {
		"infinity", "-infinity", "0001-01-01", "0044-03-15 BC", "10000-01-01", "2000-02-29", "2026-07-01"};
	if (dice(3))
		mr_buf_printf(b, "\"%s\"", edges[dice(MR_COUNT(edges))]);
	else
		mr_buf_printf(b, "\"20%02u-%02u-%02u\"", dice(100), 1 + dice(12), 1 + dice(28));
}

static void time_text(struct mr_buf *b)
{
	static const char *const edges[] = {"00:00:00", "24:00:00", "23:59:59.999999", "12:00:00.1", "12:00:00"};
	if (dice(2))
		mr_buf_printf(b, "\"%s\"", edges[dice(MR_COUNT(edges))]);
	else
		mr_buf_printf(b, "\"%02u:%02u:%02u.%06u\"", dice(24), dice(3), dice(60), dice(3) * 1001);
}

static void label_text(struct mr_buf *b)
{
	static const char *const labels[] = {"sad", "ok", "Happy", "\xc3\xa9t\xc3\xa9", "a_b"};
	mr_buf_printf(b, "\"%s\"", labels[dice(MR_COUNT(labels))]);
}

/* To the microsecond. */
static void moment_text(struct mr_buf *b)
{
	if (dice(2))
		datetime_text(b);
	else
		mr_buf_printf(b, "\"2026-07-01T10:34:56.78%u%03uZ\"", 8 + dice(2), dice(3) * 500);
}

/* What is text here and not there has the texts that Postgres prints of it. */
static bool adopted_text(struct mr_buf *b, const struct mr_field *f)
{
	static const struct {
		const char *name;
		void (*print)(struct mr_buf *b);
	} kinds[] = {{"day", date_text}, {"hour", time_text}, {"mood", label_text}, {"local", moment_text}, {"moment", moment_text}};
	for (size_t i = 0; i < MR_COUNT(kinds); i++)
		if (mr_str_is(f->name, kinds[i].name)) {
			kinds[i].print(b);
			return true;
		}
	return false;
}

static void type_text(struct mr_buf *b, enum mr_type type)
{
	switch (type) {
	case MR_T_BOOL:
		mr_buf_z(b, dice(2) ? "true" : "false");
		return;
	case MR_T_INT:
	case MR_T_BIGINT:
		int_text(b, type == MR_T_BIGINT);
		return;
	case MR_T_FLOAT:
		float_text(b);
		return;
	case MR_T_NUMERIC:
		numeric_text(b);
		return;
	case MR_T_STRING:
		string_text(b);
		return;
	case MR_T_UUID:
		uuid_text(b);
		return;
	case MR_T_DATETIME:
		datetime_text(b);
		return;
	default:
		bytes_text(b);
	}
}

/* To compare with: columns of text may be asked for any. */
static void value_text(struct mr_buf *b, const struct mr_field *f)
{
	if ((f->as == MR_AS_TEXT && !dice(4)) || !adopted_text(b, f))
		type_text(b, f->type);
}

/* What the column holds. */
static void stored_text(struct mr_buf *b, const struct mr_field *f, int row)
{
	static const char *const tenants[] = {"b", "B", "\xc3\xa9"};
	if (mr_str_is(f->name, "tenant"))
		mr_buf_printf(b, "\"%s\"", tenants[row % 3]);
	else if (mr_str_is(f->name, "no"))
		mr_buf_printf(b, "%d", row / 3 - 7);
	else if (mr_str_is(f->name, "small"))
		mr_buf_printf(b, "%d", dice(3) ? (int)dice(7) - 3 : dice(2) ? INT16_MIN : INT16_MAX);
	else if (mr_str_is(f->name, "whole"))
		mr_buf_printf(b, "{\"$int\":\"%d\"}", dice(3) ? (int)dice(7) - 3 : dice(2) ? INT32_MIN : INT32_MAX);
	else if (mr_str_is(f->name, "price"))
		mr_buf_printf(b, dice(9) ? "\"%u.%u\"" : "\"NaN\"", dice(3), dice(30));
	else if (!adopted_text(b, f))
		type_text(b, f->type);
}

/* ---- rows ---- */

static void field_text(struct mr_buf *b, const struct mr_field *f, int row)
{
	if (f->type != MR_T_JSON && (!f->optional || dice(6)))
		stored_text(b, f, row);
}

static void write_rows(void)
{
	const struct mr_entity *e = subject;
	struct mr_buf json = {0};
	struct mr_enc enc;
	fputs("{\"key\":[", out);
	for (size_t i = 0; i < e->n_key; i++)
		fprintf(out, "%s\"%s\"", i ? "," : "", e->fields[e->key[i]].name.p);
	fputs("],\"fields\":{", out);
	for (size_t i = 1; i < e->n; i++)
		fprintf(out, "%s\"%s\":\"%s\"", i > 1 ? "," : "", e->fields[i].name.p, mr_type_name(e->fields[i].type));
	mr_enc_init(&enc, &json, MR_JSON);
	mr_enc_array(&enc, ROWS);
	for (int i = 0; i < ROWS; i++)
		mr_row_encode(&enc, &rows[i], true);
	mr_enc_end(&enc);
	fprintf(out, "},\"rows\":%.*s}\n", (int)json.n, json.p);
	mr_buf_fini(&json);
}

/* ---- filters ---- */

static const struct mr_field *any_field(void)
{
	const struct mr_entity *e = subject;
	const struct mr_field *f;
	do
		f = &e->fields[1 + dice((unsigned)e->n - 1)];
	while (f->type == MR_T_JSON);
	return f;
}

static void comparison_text(struct mr_buf *b, const struct mr_field *f)
{
	static const char *const names[] = {"$gt", "$gte", "$lt", "$lte", "$not"};
	unsigned first = dice(5), n = 1 + dice(2);
	for (unsigned i = 0; i < n; i++) {
		mr_buf_printf(b, "%c\"%s\":", i ? ',' : '{', names[(first + i) % 5]);
		if ((first + i) % 5 == 4 && !dice(3))
			mr_buf_z(b, "null");
		else
			value_text(b, f);
	}
	mr_buf_char(b, '}');
}

static void like_text(struct mr_buf *b)
{
	static const char *const pieces[] = {
		"%", "_", "a", "b", "A", "\\\\\\\\", "\\\\%", "\\\\_", "\\\\a", "%%", "\xc3\xa9", "\xf0\x9f\x98\x80", "'", " "};
	mr_buf_z(b, "{\"$like\":\"");
	for (unsigned n = dice(5); n; n--)
		mr_buf_z(b, pieces[dice(MR_COUNT(pieces))]);
	mr_buf_z(b, "\"}");
}

static void in_text(struct mr_buf *b, const struct mr_field *f)
{
	unsigned n = dice(5);
	mr_buf_z(b, "{\"$in\":[");
	for (unsigned i = 0; i < n; i++) {
		mr_buf_z(b, i ? "," : "");
		if (dice(6))
			value_text(b, f);
		else
			mr_buf_z(b, "null");
	}
	mr_buf_z(b, "]}");
}

/* A key of several columns is equal or it is not. */
static void id_text(struct mr_buf *b)
{
	unsigned n = dice(4);
	mr_buf_z(b, "\"id\":");
	mr_buf_z(b, n == 0 ? "{\"$not\":" : n == 1 ? "{\"$in\":[\"[\\\"x\\\",9]\"," : "");
	mr_json_quote(b, rows[dice(ROWS)].v[0].text);
	if (n == 1) {
		mr_buf_char(b, ',');
		mr_json_quote(b, rows[dice(ROWS)].v[0].text);
	}
	mr_buf_z(b, n == 0 ? "}" : n == 1 ? "]}" : "");
}

static void where_text(struct mr_buf *b, int depth);

static void group_text(struct mr_buf *b, int depth)
{
	unsigned n = dice(4);
	mr_buf_printf(b, "\"%s\":[", dice(2) ? "$or" : "$and");
	for (unsigned i = 0; i < n; i++) {
		mr_buf_z(b, i ? "," : "");
		where_text(b, depth - 1);
	}
	mr_buf_char(b, ']');
}

static void where_text(struct mr_buf *b, int depth)
{
	bool group = depth && dice(2), field = !group || dice(2);
	const struct mr_field *f = any_field();
	mr_buf_char(b, '{');
	if (field && mr_field_computed(&subject->fields[0]) && !dice(12)) {
		id_text(b);
	} else if (field) {
		mr_buf_printf(b, "\"%s\":", f->name.p);
		if (!dice(8))
			mr_buf_z(b, "null");
		else if (f->type == MR_T_STRING && dice(2))
			like_text(b);
		else if (!dice(3))
			value_text(b, f);
		else if (dice(3))
			comparison_text(b, f);
		else
			in_text(b, f);
	}
	if (group) {
		mr_buf_z(b, field ? "," : "");
		group_text(b, depth);
	}
	mr_buf_char(b, '}');
}

static void order_text(struct mr_buf *b)
{
	unsigned n = dice(3);
	const struct mr_field *before = NULL;
	mr_buf_char(b, '[');
	for (unsigned i = 0; i < n; i++) {
		const struct mr_field *f = any_field();
		if (f == before)
			continue;
		mr_buf_printf(b, "%s[\"%s\",\"%s\"]", before ? "," : "", f->name.p, dice(2) ? "asc" : "desc");
		before = f;
	}
	mr_buf_z(b, before ? "" : "[\"id\",\"asc\"]");
	mr_buf_char(b, ']');
}

/* ---- agreement ---- */

static const struct mr_order *by;
static size_t n_by;
static int telling; /* filters that some rows meet and some do not */

static int compare(const void *a, const void *b)
{
	return mr_order_cmp(by, n_by, *(const struct mr_row *const *)a, *(const struct mr_row *const *)b);
}

static void print_id(struct mr_buf *ids, const struct mr_row *row)
{
	struct mr_buf id = {0};
	mr_value_pgtext(&id, &row->v[0]);
	mr_buf_z(ids, ids->n ? "," : "");
	mr_json_quote(ids, mr_buf_view(&id));
	mr_buf_fini(&id);
}

static void print_ids(struct mr_buf *ids, const struct mr_pred *p)
{
	const struct mr_row *found[ROWS];
	size_t k = 0;
	for (int i = 0; i < ROWS; i++)
		if (mr_pred_eval(p, &rows[i]) == 1)
			found[k++] = &rows[i];
	telling += k > 0 && k < ROWS;
	qsort(found, k, sizeof(*found), compare);
	for (size_t i = 0; i < k; i++)
		print_id(ids, found[i]);
}

static void print_found(struct mr_buf *ids, struct mr_arena *a, const struct mr_node *list)
{
	for (size_t i = 0; i < list->n; i++) {
		struct mr_row row;
		assert_true(mr_row_from_image(a, subject, &list->items[i], &row));
		print_id(ids, &row);
	}
}

static void agree(struct mr_txn *txn, struct mr_arena *a)
{
	struct mr_buf where = {0}, order = {0}, c = {0}, sql = {0};
	struct mr_error err;
	where_text(&where, 3);
	order_text(&order);
	const struct mr_node *w = mr_json_read(a, mr_buf_view(&where), 64, false, &err),
			     *o = mr_json_read(a, mr_buf_view(&order), 64, true, &err);
	const struct mr_pred *p = w ? mr_pred_from_where(a, subject, w, false, &err) : NULL;
	if (!p || !o || !mr_order_read(a, subject, o, false, &by, &n_by, &err))
		fail_msg("%s %s: %s", where.p, order.p, err.message);
	print_ids(&c, p);
	print_found(&sql, a, rig_load_rows(txn, a, subject, p, by, n_by));
	if (c.n != sql.n || (c.n && memcmp(c.p, sql.p, c.n)))
		fail_msg("%s %s\nC:\n%s\nPostgres:\n%s", where.p, order.p, c.n ? c.p : "", sql.n ? sql.p : "");
	fprintf(out, "{\"where\":%s,\"order\":%s,\"ids\":[%s]}\n", where.p, order.p, c.n ? c.p : "");
	mr_buf_fini(&where);
	mr_buf_fini(&order);
	mr_buf_fini(&c);
	mr_buf_fini(&sql);
}

static void filters(const char *entity)
{
	subject = rig_entity(entity);
	telling = 0;
	rig_insert_rows(pg, subject, ROWS, field_text);
	struct mr_txn *txn = mr_txn_begin(pg, rig.app, MR_TXN_READ, NULL);
	rig_keep_rows(txn, &world, subject, rows, ROWS);
	write_rows();
	for (int i = 0; i < CASES; i++) {
		struct mr_arena a = {0};
		agree(txn, &a);
		mr_arena_fini(&a);
	}
	assert_true(telling > CASES / 2);
	rig_rollback(&txn);
	mr_arena_fini(&world);
}

static void begin_dice(void)
{
	const char *given = getenv("MILLRACE_SEED");
	seed = given ? strtoull(given, NULL, 10) : (uint64_t)getpid();
	print_message("MILLRACE_SEED=%" PRIu64 "\n", seed);
}

static void rule_22_filters(void **state)
{
	begin_dice();
	filters("All");
}

static void rule_22_filters_on_an_adopted_table(void **state)
{
	begin_dice();
	rig_sql(adopted_table);
	mr_app_drop(&rig.app);
	rig.app = rig_app(adopted_manifest);
	rig_install(rig.app);
	filters("Kinds");
}

static int start(void **state)
{
	const char *path = getenv("MILLRACE_CASES");
	out = fopen(path ? path : "/dev/null", "we");
	rig_start(state);
	pg = rig_connect();
	return out ? 0 : -1;
}

static int stop(void **state)
{
	mr_pg_delete(&pg);
	if (fclose(out))
		return -1;
	return rig_stop(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(rule_22_filters), cmocka_unit_test(rule_22_filters_on_an_adopted_table)};
	return cmocka_run_group_tests(tests, start, stop);
}
