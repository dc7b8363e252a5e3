#include "txn_rig.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/ground/log.h"

struct rig rig;

const char rig_manifest[] =
	"{\"version\":\"t1\",\"entities\":["
	"{\"name\":\"Channel\",\"schema\":\"public\",\"table\":\"Channel\",\"fields\":["
	"{\"name\":\"name\",\"type\":\"string\",\"unique\":true}],\"indexes\":[]},"
	"{\"name\":\"Message\",\"schema\":\"public\",\"table\":\"Message\",\"fields\":["
	"{\"name\":\"channel\",\"type\":\"uuid\",\"references\":\"Channel\",\"onDelete\":\"cascade\"},"
	"{\"name\":\"author\",\"type\":\"string\"},{\"name\":\"body\",\"type\":\"string\",\"optional\":true},"
	"{\"name\":\"n\",\"type\":\"int\",\"optional\":true,\"default\":7},"
	"{\"name\":\"createdAt\",\"type\":\"datetime\",\"defaultNow\":true}],"
	"\"indexes\":[{\"name\":\"by_channel\",\"fields\":[\"channel\",\"createdAt\"],\"unique\":false}]},"
	"{\"name\":\"Node\",\"schema\":\"public\",\"table\":\"Node\",\"fields\":["
	"{\"name\":\"parent\",\"type\":\"uuid\",\"optional\":true,\"references\":\"Node\",\"onDelete\":\"cascade\"},"
	"{\"name\":\"label\",\"type\":\"string\",\"optional\":true}],\"indexes\":[]},"
	"{\"name\":\"All\",\"schema\":\"public\",\"table\":\"All\",\"fields\":["
	"{\"name\":\"b\",\"type\":\"bool\",\"optional\":true},{\"name\":\"i\",\"type\":\"int\",\"optional\":true},"
	"{\"name\":\"g\",\"type\":\"bigint\",\"optional\":true},{\"name\":\"f\",\"type\":\"float\",\"optional\":true},"
	"{\"name\":\"n\",\"type\":\"numeric\",\"optional\":true},{\"name\":\"s\",\"type\":\"string\",\"optional\":true},"
	"{\"name\":\"s2\",\"type\":\"string\",\"optional\":true},{\"name\":\"u\",\"type\":\"uuid\",\"optional\":true},"
	"{\"name\":\"d\",\"type\":\"datetime\",\"optional\":true},{\"name\":\"y\",\"type\":\"bytes\",\"optional\":true},"
	"{\"name\":\"j\",\"type\":\"json\",\"optional\":true}],\"indexes\":[]}"
	"],\"policies\":[],\"functions\":[]}";

/* ---- the cluster ---- */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

int rig_start_bare(void **state)
{
	struct mr_error err;
	mr_log_init("test", MR_ERROR);
	snprintf(rig.dir, sizeof(rig.dir), "/tmp/millrace-rig-XXXXXX");
	assert_non_null(mkdtemp(rig.dir));
	rig.cluster = mr_cluster_start(rig.dir, &rig.conninfo, &err);
	if (!rig.cluster)
		fail_msg("%s", err.message);
	rig.loop = mr_loop_new();
	rig.app = rig_app(rig_manifest);
	rig.admin = mr_sync_open(rig.conninfo.p, &err);
	assert_non_null(rig.admin);
	rig_sql("reset search_path; set lock_timeout = '10s'");
	return 0;
}

int rig_start(void **state)
{
	rig_start_bare(state);
	rig_install(rig.app);
	return 0;
}

int rig_stop(void **state)
{
	PQfinish(rig.admin);
	mr_cluster_stop(&rig.cluster);
	mr_loop_delete(&rig.loop);
	mr_app_drop(&rig.app);
	mr_buf_fini(&rig.conninfo);
	nftw(rig.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

struct mr_app *rig_app(const char *manifest)
{
	struct mr_error err;
	struct mr_app *app = mr_app_read(mr_str(manifest), &err);
	if (!app)
		fail_msg("%s", err.message);
	return app;
}

void rig_install(const struct mr_app *app)
{
	struct mr_error err;
	struct mr_buf plan = {0};
	if (!mr_install_plan(rig.conninfo.p, app, &plan, &err) || !mr_install_apply(rig.conninfo.p, mr_buf_view(&plan), 5000, &err))
		fail_msg("%s\n%s", err.message, plan.p ? plan.p : "");
	mr_buf_fini(&plan);
}

void rig_sql(const char *sql)
{
	struct mr_error err;
	if (!mr_sync_run(rig.admin, &err, sql))
		fail_msg("%s: %s", sql, err.message);
}

char *rig_value(const char *fmt, ...)
{
	struct mr_buf sql = {0};
	struct mr_error err;
	va_list ap;
	va_start(ap, fmt);
	mr_buf_vprintf(&sql, fmt, ap);
	va_end(ap);
	PGresult *res = mr_sync_query(rig.admin, &err, sql.p, 0, NULL);
	if (!res)
		fail_msg("%s: %s", sql.p, err.message);
	char *value = mr_strdup(PQntuples(res) ? PQgetvalue(res, 0, 0) : "");
	PQclear(res);
	mr_buf_fini(&sql);
	return value;
}

int64_t rig_mark(void)
{
	char *text = rig_value("select last_value from millrace.seq");
	int64_t mark = atoll(text);
	free(text);
	return mark;
}

char *rig_changes(int64_t mark)
{
	return rig_value("select coalesce(string_agg((c->>'e') || case when c->'bulk' is not null then '!' when c->'o' is null then '+' "
			 "when c->'n' is null then '-' else '~' end, ' ' order by (c->>'s')::bigint), '') "
			 "from millrace.change_log, json_array_elements(changes) c where seq > %lld",
		(long long)mark);
}

/* ---- transactions ---- */

void rig_until(const bool *done, const char *what)
{
	for (int64_t end = mr_mono_us() + 20000000; !*done;) {
		if (mr_mono_us() > end)
			fail_msg("waited in vain until %s", what);
		mr_loop_turn(rig.loop, 100);
	}
}

static void on_state(struct mr_pg *pg, enum mr_pg_state state, const struct mr_error *err, void *arg)
{
	if (arg && state == MR_PG_READY)
		*(bool *)arg = true;
}

struct mr_pg *rig_connect(void)
{
	static bool ready; /* outlives the connection: told of its end too */
	ready = false;
	struct mr_pg *pg = mr_pg_open(rig.loop, rig.conninfo.p, "test", on_state, &ready);
	rig_until(&ready, "connected");
	return pg;
}

void rig_answered(struct mr_txn *txn, struct mr_str json, const struct mr_error *err, void *arg)
{
	struct rig_answer *a = arg;
	assert_false(a->done);
	a->done = true;
	a->json = err ? NULL : mr_strndup(json.p, json.n);
	if (err)
		a->err = *err;
}

void rig_free_answer(struct rig_answer *a)
{
	free(a->json);
	*a = (struct rig_answer){0};
}

void rig_ended(const struct mr_outcome *outcome, void *arg)
{
	struct rig_end *e = arg;
	assert_false(e->done);
	e->done = true;
	e->end = outcome->end;
	e->xid = outcome->xid;
	e->result = mr_strndup(outcome->result.p ? outcome->result.p : "", outcome->result.n);
	e->err = outcome->err;
	e->turn = outcome->turn;
}

const struct mr_entity *rig_entity(const char *name)
{
	const struct mr_entity *e = mr_app_entity(rig.app, mr_str(name));
	assert_non_null(e);
	return e;
}

static struct rig_answer answer;

const struct rig_answer *rig_write(struct mr_txn *txn, enum rig_write kind, const char *entity, const char *id, const char *value)
{
	struct mr_arena a = {0};
	struct mr_error err;
	struct mr_write w = {.entity = rig_entity(entity), .id = mr_str(id)};
	if (value) {
		w.value = mr_json_read(&a, mr_str(value), 64, true, &err);
		assert_non_null(w.value);
	}
	rig_free_answer(&answer);
	if (kind == RIG_INSERT)
		mr_txn_insert(txn, &w, rig_answered, &answer);
	else if (kind == RIG_PATCH)
		mr_txn_patch(txn, &w, rig_answered, &answer);
	else if (kind == RIG_REPLACE)
		mr_txn_replace(txn, &w, rig_answered, &answer);
	else
		mr_txn_remove(txn, &w, rig_answered, &answer);
	mr_arena_fini(&a);
	rig_until(&answer.done, "the write is answered");
	return &answer;
}

const struct rig_answer *rig_sql_in(struct mr_txn *txn, const char *sql, const char *params)
{
	struct mr_arena a = {0};
	struct mr_error err;
	const struct mr_node *nodes = params ? mr_json_read(&a, mr_str(params), 64, true, &err) : NULL;
	rig_free_answer(&answer);
	mr_txn_sql(txn, mr_str(sql), nodes, rig_answered, &answer);
	mr_arena_fini(&a);
	rig_until(&answer.done, "the statement is answered");
	return &answer;
}

const struct rig_answer *rig_read(struct mr_txn *txn, const char *entity, const char *where)
{
	struct mr_arena a = {0};
	struct mr_error err = {0};
	const struct mr_node *node = mr_json_read(&a, mr_str(where), 64, false, &err);
	struct mr_plan plan = {.entity = rig_entity(entity), .limit = -1};
	plan.where = mr_pred_from_where(&a, plan.entity, node, false, &err);
	if (!plan.where)
		fail_msg("%s", err.message);
	rig_free_answer(&answer);
	mr_txn_read(txn, &plan, rig_answered, &answer);
	mr_arena_fini(&a);
	rig_until(&answer.done, "the read is answered");
	return &answer;
}

void rig_insert_rows(struct mr_pg *pg, const struct mr_entity *e, int n, void (*value)(struct mr_buf *b, const struct mr_field *f, int row))
{
	struct mr_txn *txn = mr_txn_begin(pg, rig.app, MR_TXN_READ_COMMITTED, NULL);
	for (int i = 0; i < n; i++) {
		struct mr_buf row = {0}, field = {0};
		mr_buf_char(&row, '{');
		for (size_t k = 1; k < e->n; k++) {
			field.n = 0;
			value(&field, &e->fields[k], i);
			if (field.n)
				mr_buf_printf(&row, "%s\"%s\":%.*s", row.n > 1 ? "," : "", e->fields[k].name.p, (int)field.n, field.p);
		}
		mr_buf_char(&row, '}');
		const struct rig_answer *a = rig_write(txn, RIG_INSERT, e->name.p, "", row.p);
		if (!a->json)
			fail_msg("%s: %s", row.p, a->err.message);
		mr_buf_fini(&row);
		mr_buf_fini(&field);
	}
	assert_int_equal(rig_commit(&txn, "", "", NULL)->end, MR_DONE);
}

const struct mr_node *rig_load_rows(struct mr_txn *txn, struct mr_arena *a, const struct mr_entity *e, const struct mr_pred *where,
	const struct mr_order *order, size_t n_order)
{
	struct mr_plan plan = {.entity = e, .where = where, .order = order, .n_order = n_order, .limit = -1};
	struct rig_answer got = {0};
	struct mr_error err;
	mr_txn_load(txn, &plan, rig_answered, &got);
	rig_until(&got.done, "the rows are loaded");
	if (!got.json) {
		struct mr_buf text = {0};
		if (where)
			mr_pred_print(&text, e, where);
		fail_msg("%s: %s", got.err.message, where ? text.p : "all rows");
	}
	struct mr_str kept = mr_arena_str(a, mr_str(got.json));
	rig_free_answer(&got);
	return mr_node_get(mr_json_read(a, kept, 64, false, &err), "rows");
}

void rig_keep_rows(struct mr_txn *txn, struct mr_arena *a, const struct mr_entity *e, struct mr_row *rows, size_t n)
{
	const struct mr_node *list = rig_load_rows(txn, a, e, NULL, NULL, 0);
	assert_int_equal(list->n, n);
	for (size_t i = 0; i < n; i++)
		assert_true(mr_row_from_image(a, e, &list->items[i], &rows[i]));
}

const struct rig_end *rig_commit(struct mr_txn **txn, const char *session, const char *call, struct mr_ring *ring)
{
	static struct rig_end end;
	static uint64_t number;
	uint8_t token[MR_TOKEN_BYTES] = "testtest";
	number++;
	memcpy(token + 8, &number, 8);
	struct mr_record record = {
		.session = mr_str(session), .hour = mr_this_hour(), .call = mr_str(call), .fn = MR_STR("m.f"), .user = MR_STR("u1")};
	free(end.result);
	end = (struct rig_end){0};
	mr_txn_commit(txn, &record, token, MR_STR("{\"ok\":1}"), ring, rig_ended, &end);
	assert_null(*txn);
	rig_until(&end.done, "the commit is answered");
	return &end;
}

static void on_rolled_back(void *arg)
{
	*(bool *)arg = true;
}

void rig_rollback(struct mr_txn **txn)
{
	bool done = false;
	mr_txn_rollback(txn, on_rolled_back, &done);
	rig_until(&done, "rolled back");
}
