/* Postgres and the C matcher must agree on every predicate, value, null and order: random rows, random predicates, random orders. */
#include "txn_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ROWS = 160, CASES = 2500 };

/* Values that are easily got wrong, as wire JSON. */
static const char *const pools[MR_TYPES][12] = {
	[MR_T_BOOL] = {"true", "false"},
	[MR_T_INT] = {"0", "-1", "1", "9007199254740991", "-9007199254740991", "42", "7"},
	[MR_T_BIGINT] = {"{\"$int\":\"9223372036854775807\"}", "{\"$int\":\"-9223372036854775808\"}", "{\"$int\":\"0\"}",
		"{\"$int\":\"7\"}", "{\"$int\":\"9007199254740993\"}", "{\"$int\":\"9007199254740992\"}"},
	[MR_T_FLOAT] = {"0.1", "0", "{\"$float\":\"-0\"}", "{\"$float\":\"NaN\"}", "{\"$float\":\"Infinity\"}",
		"{\"$float\":\"-Infinity\"}", "1e300", "5e-324", "-2.5", "0.30000000000000004"},
	[MR_T_NUMERIC] = {"\"1.0\"", "\"1\"", "\"0\"", "\"-0.00\"", "\"1e3\"", "\"1000\"", "\"NaN\"",
		"\"123456789012345678901234567890.123\"", "\"-5.5\"", "\"0.1\"", "\"Infinity\""},
	[MR_T_STRING] = {"\"\"", "\"a\"", "\"A\"", "\"a \"", "\"ab\"", "\"\xc3\xa9\"", "\"e\xcc\x81\"", "\"\xf0\x9f\x98\x80\"",
		"\"\xef\xbf\xbd\"", "\"it's \\\\ \\\"{,}%_\"", "\"\\u0001\"", "\"z\""},
	[MR_T_UUID] = {"\"00000000-0000-0000-0000-000000000000\"", "\"ffffffff-ffff-ffff-ffff-ffffffffffff\"",
		"\"7fffffff-0000-7000-8000-000000000001\"", "\"80000000-0000-7000-8000-000000000001\""},
	[MR_T_DATETIME] = {"\"2026-07-01T10:34:56.789Z\"", "\"2000-01-01T00:00:00.000Z\"", "\"1969-12-31T23:59:59.999Z\"", "\"infinity\"",
		"\"-infinity\"", "\"0001-01-01T00:00:00.000Z\"", "\"2026-07-01T12:34:56.789+02:00\""},
	[MR_T_BYTES] = {"{\"$bytes\":\"\"}", "{\"$bytes\":\"AA==\"}", "{\"$bytes\":\"AP8=\"}", "{\"$bytes\":\"/w==\"}",
		"{\"$bytes\":\"XA==\"}"},
};

static uint64_t seed;

static unsigned dice(unsigned sides)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % sides;
}

static const char *pick(enum mr_type type)
{
	unsigned n = 0;
	while (n < 12 && pools[type][n])
		n++;
	return pools[type][dice(n)];
}

static struct mr_pg *pg;
static struct mr_arena world; /* the rows */
static struct mr_row rows[ROWS];

static const struct mr_entity *all(void)
{
	return rig_entity("All");
}

static void field_text(struct mr_buf *b, const struct mr_field *f, int row)
{
	if (f->type != MR_T_JSON && dice(5))
		mr_buf_z(b, pick(f->type));
}

/* Functions are told rows by their columns, live queries by their images. */
static void columns_tell_what_images_tell(struct mr_txn *txn)
{
	struct mr_buf images = {0};
	struct mr_enc enc;
	mr_enc_init(&enc, &images, MR_JSON);
	mr_enc_array(&enc, ROWS);
	for (int i = 0; i < ROWS; i++)
		mr_row_encode(&enc, &rows[i], true);
	mr_enc_end(&enc);
	assert_string_equal(rig_read(txn, "All", "{}")->json, images.p);
	mr_buf_fini(&images);
}

/* ---- predicates ---- */

static const struct mr_value *values(struct mr_arena *a, enum mr_type type, size_t n)
{
	struct mr_value *v = mr_arena_alloc(a, (n + 1) * sizeof(*v));
	for (size_t i = 0; i < n; i++) {
		struct mr_error err;
		const char *text = pick(type);
		const struct mr_node *node = mr_json_read(a, mr_str(text), 9, true, &err);
		if (!node || !mr_value_from_node(a, type, node, &v[i], &err))
			fail_msg("%s: %s", text, err.message);
	}
	return v;
}

static const struct mr_pred *random_pred(struct mr_arena *a, int depth, bool sets);

/* Rows of the same table, tied by one field or two. */
static const struct mr_pred *random_member(struct mr_arena *a)
{
	struct mr_link links[2];
	struct mr_members m = {.entity = all(), .pred = random_pred(a, 2, false), .links = links, .n = 1 + dice(2)};
	for (size_t i = 0; i < m.n; i++) {
		do
			links[i] = (struct mr_link){(int)dice((unsigned)all()->n), (int)dice((unsigned)all()->n)};
		while (!mr_types_compare(all()->fields[links[i].inner].type, all()->fields[links[i].outer].type));
	}
	return mr_pred_member(a, &m);
}

static const struct mr_pred *random_pred(struct mr_arena *a, int depth, bool sets)
{
	static const enum mr_pred_op leaves[] = {MR_P_EQ, MR_P_NE, MR_P_LT, MR_P_LE, MR_P_GT, MR_P_GE, MR_P_IN, MR_P_NULL, MR_P_DISTINCT,
		MR_P_EQ_FIELD, MR_P_NE_FIELD, MR_P_LT_FIELD, MR_P_LE_FIELD, MR_P_TRUE, MR_P_FALSE};
	static const enum mr_pred_op inner[] = {MR_P_AND, MR_P_OR, MR_P_NOT};
	const struct mr_entity *e = all();
	struct mr_pred *p = mr_arena_alloc(a, sizeof(*p));
	if (sets && dice(8) == 0)
		return random_member(a);
	if (depth && dice(2)) {
		p->op = inner[dice(3)];
		p->n = p->op == MR_P_NOT ? 1 : dice(4);
		const struct mr_pred **kids = mr_arena_alloc(a, (p->n + 1) * sizeof(*kids));
		for (size_t i = 0; i < p->n; i++)
			kids[i] = random_pred(a, depth - 1, sets);
		p->kids = kids;
		return p;
	}
	p->op = leaves[dice(MR_COUNT(leaves))];
	do
		p->field = (int)dice((unsigned)e->n);
	while (e->fields[p->field].type == MR_T_JSON);
	if (p->op >= MR_P_EQ_FIELD) {
		do
			p->other = (int)dice((unsigned)e->n);
		while (e->fields[p->other].type != e->fields[p->field].type);
	} else if (p->op == MR_P_IN) {
		p->n = dice(5);
		p->values = values(a, e->fields[p->field].type, p->n);
		/* sorted and distinct, as the language has it */
		struct mr_value *v = (struct mr_value *)p->values;
		for (size_t i = 1; i < p->n; i++)
			for (size_t k = i; k && mr_value_cmp(&v[k], &v[k - 1]) < 0; k--) {
				struct mr_value swap = v[k];
				v[k] = v[k - 1];
				v[k - 1] = swap;
			}
		size_t kept = 0;
		for (size_t i = 0; i < p->n; i++) {
			if (!kept || mr_value_cmp(&v[kept - 1], &v[i]))
				v[kept++] = v[i];
		}
		p->n = kept;
	} else if (p->op != MR_P_TRUE && p->op != MR_P_FALSE && p->op != MR_P_NULL) {
		p->n = 1;
		p->values = values(a, e->fields[p->field].type, 1);
	}
	return p;
}

static size_t random_order(struct mr_order *order)
{
	const struct mr_entity *e = all();
	size_t n = 0, wanted = dice(3);
	while (n < wanted) {
		int field = 1 + (int)dice((unsigned)e->n - 1);
		if (e->fields[field].type != MR_T_JSON)
			order[n++] = (struct mr_order){field, dice(2)};
	}
	order[n++] = (struct mr_order){0, dice(2)};
	return n;
}

/* ---- agreement ---- */

static const struct mr_order *by;
static size_t n_by;
static int telling; /* predicates that some rows meet and some do not */

static int compare(const void *a, const void *b)
{
	return mr_order_cmp(by, n_by, *(const struct mr_row *const *)a, *(const struct mr_row *const *)b);
}

static const struct mr_pred *resolved_member(struct mr_arena *a, const struct mr_members *m, bool negated, void *within)
{
	struct mr_row held[ROWS];
	size_t n = 0;
	for (int i = 0; i < ROWS; i++)
		if (mr_pred_eval(m->pred, &rows[i]) == 1)
			held[n++] = rows[i];
	return mr_pred_among(a, all(), m, held, n, negated, within);
}

/* As a live query has it, which knows what the sets hold. */
static const struct mr_pred *resolved(struct mr_arena *a, const struct mr_pred *p)
{
	return mr_pred_resolve(a, p, resolved_member, (void *)mr_pred_normal(a, p));
}

static void expect(struct mr_buf *ids, const struct mr_pred *p, const struct mr_order *order, size_t n)
{
	const struct mr_row *found[ROWS];
	size_t k = 0;
	for (int i = 0; i < ROWS; i++) {
		if (mr_pred_eval(p, &rows[i]) == 1)
			found[k++] = &rows[i];
	}
	telling += k > 0 && k < ROWS;
	by = order;
	n_by = n;
	qsort(found, k, sizeof(*found), compare);
	for (size_t i = 0; i < k; i++) {
		mr_value_pgtext(ids, &found[i]->v[0]);
		mr_buf_char(ids, '\n');
	}
}

static void got(struct mr_buf *ids, const struct mr_node *list)
{
	for (size_t i = 0; i < list->n; i++) {
		mr_buf_str(ids, mr_node_str(&list->items[i], "id"));
		mr_buf_char(ids, '\n');
	}
}

static void agree(struct mr_txn *txn, struct mr_arena *a, const struct mr_pred *p, int number)
{
	struct mr_order order[4];
	size_t n = random_order(order);
	struct mr_buf c = {0}, sql = {0}, text = {0};
	expect(&c, mr_pred_members(p) ? resolved(a, p) : p, order, n);
	got(&sql, rig_load_rows(txn, a, all(), p, order, n));
	if (c.n != sql.n || (c.n && memcmp(c.p, sql.p, c.n))) {
		mr_pred_print(&text, all(), p);
		fail_msg("seed case %d: %s\nC:\n%s\nPostgres:\n%s", number, text.p, c.n ? c.p : "", sql.n ? sql.p : "");
	}
	mr_buf_fini(&c);
	mr_buf_fini(&sql);
	mr_buf_fini(&text);
}

static void rule_22_predicates_and_orders(void **state)
{
	const char *given = getenv("MILLRACE_SEED");
	seed = given ? strtoull(given, NULL, 10) : (uint64_t)getpid();
	print_message("MILLRACE_SEED=%llu\n", (unsigned long long)seed);
	rig_insert_rows(pg, all(), ROWS, field_text);
	rig_sql("update \"All\" set j = '{\"a\":[1,1e400,\"\\u0001 \\ud83d\\ude00\",null],\"a\":{}, \"$b c\":-0.10}' where b");
	struct mr_txn *txn = mr_txn_begin(pg, rig.app, MR_TXN_READ, NULL);
	rig_keep_rows(txn, &world, all(), rows, ROWS);
	columns_tell_what_images_tell(txn);
	for (int i = 0; i < CASES; i++) {
		struct mr_arena a = {0};
		const struct mr_pred *p = random_pred(&a, 3, true);
		agree(txn, &a, p, i);
		/* its normal form, and what is read back from its text, mean the same */
		const struct mr_pred *normal = mr_pred_normal(&a, p);
		agree(txn, &a, normal, i);
		struct mr_buf text = {0};
		struct mr_error err;
		mr_pred_print(&text, all(), normal);
		const struct mr_node *node = mr_json_read(&a, mr_arena_str(&a, mr_buf_view(&text)), 64, false, &err);
		const struct mr_pred *back = node ? mr_pred_read(&a, all(), node, &err) : NULL;
		if (!back)
			fail_msg("%s: %s", text.p, err.message);
		const struct mr_pred *x = resolved(&a, back), *y = resolved(&a, p), *coarse = mr_pred_coarse(&a, p);
		for (int k = 0; k < ROWS; k++) {
			assert_int_equal(mr_pred_eval(x, &rows[k]) == 1, mr_pred_eval(y, &rows[k]) == 1);
			assert_true(mr_pred_eval(y, &rows[k]) != 1 || mr_pred_eval(coarse, &rows[k]) == 1);
		}
		mr_buf_fini(&text);
		mr_arena_fini(&a);
	}
	assert_true(telling > CASES / 2);
	rig_rollback(&txn);
	mr_arena_fini(&world);
}

static int start(void **state)
{
	rig_start(state);
	pg = rig_connect();
	return 0;
}

static int stop(void **state)
{
	mr_pg_delete(&pg);
	return rig_stop(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(rule_22_predicates_and_orders)};
	return cmocka_run_group_tests(tests, start, stop);
}
