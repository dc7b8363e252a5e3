/* What a function asks of the database: operations of docs/manifest.md, read and handed to storage. Functions stand above policies. */
#include "proto/key.h"
#include "sessions.h"

enum { OPERATION_DEPTH = 256 };

static void answer_error(struct mr_op *op, const struct mr_error *err)
{
	op->ok = false;
	mr_buf_reset(&op->json);
	mr_error_log(op->job, err);
	mr_error_print(&op->json, op->job, err);
	mr_run_op_answered(op);
}

/* `[row]` -> `row`, `[]` -> `null`. */
static struct mr_str only_row(struct mr_str rows)
{
	while (rows.n && (rows.p[0] == ' ' || rows.p[0] == '\n'))
		rows.p++, rows.n--;
	while (rows.n && (rows.p[rows.n - 1] == ' ' || rows.p[rows.n - 1] == '\n'))
		rows.n--;
	MR_ASSERT(rows.n >= 2 && rows.p[0] == '[' && rows.p[rows.n - 1] == ']');
	return rows.n == 2 ? MR_STR("null") : (struct mr_str){rows.p + 1, rows.n - 2};
}

static void print_answer(struct mr_op *op, struct mr_str json)
{
	struct mr_arena *a = &op->job->attempt;
	struct mr_error err;
	if (op->form == MR_OP_ID)
		mr_buf_str(&op->json, mr_node_get(mr_json_read(a, mr_arena_str(a, json), OPERATION_DEPTH, false, &err), "id")->raw);
	else
		mr_buf_str(&op->json, op->form == MR_OP_ONE ? only_row(json) : json);
}

/* The first statement that fails poisons the transaction: whatever the function does now, it ends in a rollback. */
void mr_op_result(struct mr_txn *txn, struct mr_str json, const struct mr_error *err, void *arg)
{
	struct mr_op *op = arg;
	struct mr_run *run = &op->job->run;
	if (err) {
		if (!run->failed) {
			run->failure = *err;
			run->failed_at = op->id;
		}
		run->failed = true;
		answer_error(op, err);
		return;
	}
	op->ok = true;
	print_answer(op, json);
	mr_run_op_answered(op);
}

const struct mr_entity *mr_entity_of(struct mr_worker *w, const struct mr_node *args, struct mr_error *err)
{
	struct mr_str name = mr_node_str(args, "entity");
	const struct mr_entity *e = name.n ? mr_app_entity(w->app, name) : NULL;
	if (!e)
		mr_fail(err, MR_UNKNOWN_ENTITY, "No entity named %.*s is declared.", (int)MR_MIN(name.n, 200), name.p ? name.p : "");
	return e;
}

/* ---- reads ---- */

const struct mr_pred *mr_where_id(struct mr_arena *a, const struct mr_entity *e, struct mr_str id, struct mr_error *err)
{
	struct mr_value *key = mr_arena_alloc(a, e->n_key * sizeof *key);
	if (!mr_key_read(a, e, id.p ? id : MR_STR(""), key, err))
		return NULL;
	const struct mr_pred *all = mr_pred_compare(a, MR_P_EQ, e->key[0], &key[0]);
	for (size_t i = 1; i < e->n_key; i++)
		all = mr_pred_and(a, all, mr_pred_compare(a, MR_P_EQ, e->key[i], &key[i]));
	return all;
}

const struct mr_pred *mr_where_read(
	struct mr_arena *a, const struct mr_entity *e, const struct mr_node *where, bool visible, struct mr_error *err)
{
	static const struct mr_node all = {.kind = MR_MAP};
	return mr_pred_from_where(a, e, where && where->kind != MR_NULL ? where : &all, visible, err);
}

bool mr_plan_read(struct mr_arena *a, const struct mr_node *from, bool visible, struct mr_plan *plan, struct mr_error *err)
{
	const struct mr_node *limit = mr_node_get(from, "limit"), *order = mr_node_get(from, "order");
	plan->limit = -1;
	if (limit && limit->kind != MR_NULL && (!mr_node_int(limit, &plan->limit) || plan->limit < -1))
		return mr_fail(err, MR_BAD_FILTER, "limit: expected a whole number that is not negative.");
	if (!order || order->kind == MR_NULL)
		return true;
	return mr_order_read(a, plan->entity, order, visible, &plan->order, &plan->n_order, err);
}

/* `now`: the function has looked at its clock, which stands at this millisecond. */
static void read_now(const struct mr_op *op, const struct mr_node *in, struct mr_plan *plan)
{
	int64_t ms;
	if (op->job->kind != MR_JOB_RUN || !mr_node_int(mr_node_get(in, "now"), &ms) || !mr_datetime_from_unix_ms(ms, &plan->now))
		plan->now = 0;
}

/* Rows that nobody else changes or locks until this call's end. */
static bool read_lock(const struct mr_op *op, const struct mr_node *in, struct mr_plan *plan, struct mr_error *err)
{
	plan->for_update = mr_node_truth(in, "forUpdate");
	return !plan->for_update || mr_job_writes(op->job) ||
	       mr_fail(err, MR_FUNCTION_FAILED, "A query cannot lock rows (forUpdate); make %s a mutation.", op->job->fn->name.p);
}

static bool op_get(struct mr_op *op, const struct mr_node *in, struct mr_error *err)
{
	struct mr_job *job = op->job;
	struct mr_plan plan = {.entity = mr_entity_of(job->w, in, err), .limit = -1};
	if (!plan.entity || !(plan.where = mr_where_id(&job->attempt, plan.entity, mr_node_str(in, "id"), err)) ||
		!read_lock(op, in, &plan, err) || !mr_obey_read(op, in, &plan, err))
		return false;
	op->form = MR_OP_ONE;
	op->id = mr_node_str(in, "id");
	mr_txn_read(job->txn, &plan, mr_op_result, op);
	return true;
}

static bool no_field(const char *where, const struct mr_entity *e, const struct mr_node *name, struct mr_error *err)
{
	struct mr_str text = name->kind == MR_STRING ? name->text : MR_STR("");
	return mr_fail(err, MR_UNKNOWN_FIELD, "%s%s has no field \"%.*s\".", where, e->name.p, (int)MR_MIN(text.n, 80), text.p);
}

/* `select`: the fields that are asked for; absent: all. */
static bool read_pick(struct mr_arena *a, const struct mr_node *in, struct mr_plan *plan, struct mr_error *err)
{
	const struct mr_node *names = mr_node_get(in, "select");
	if (!names || names->kind == MR_NULL)
		return true;
	if (names->kind != MR_ARRAY || !names->n)
		return mr_fail(err, MR_BAD_FILTER, "select: expected names of fields.");
	int *pick = mr_arena_alloc(a, names->n * sizeof *pick);
	for (size_t i = 0; i < names->n; i++) {
		pick[i] = mr_entity_field(plan->entity, names->items[i].text);
		if (pick[i] < 0 || (plan->visible && plan->entity->fields[pick[i]].server_only))
			return no_field("select: ", plan->entity, &names->items[i], err);
	}
	plan->pick = pick;
	plan->n_pick = names->n;
	return true;
}

static bool op_query(struct mr_op *op, const struct mr_node *in, struct mr_error *err)
{
	struct mr_job *job = op->job;
	struct mr_plan plan = {.entity = mr_entity_of(job->w, in, err)};
	bool visible = mr_op_obeys(in);
	if (!plan.entity || !(plan.where = mr_where_read(&job->attempt, plan.entity, mr_node_get(in, "where"), visible, err)) ||
		!mr_plan_read(&job->attempt, in, visible, &plan, err) || !read_lock(op, in, &plan, err) ||
		!mr_obey_read(op, in, &plan, err) || !read_pick(&job->attempt, in, &plan, err))
		return false;
	read_now(op, in, &plan);
	mr_txn_read(job->txn, &plan, mr_op_result, op);
	return true;
}

static bool op_summary(struct mr_op *op, const struct mr_node *in, struct mr_error *err)
{
	struct mr_job *job = op->job;
	struct mr_arena *a = &job->attempt;
	struct mr_plan plan = {.entity = mr_entity_of(job->w, in, err), .limit = -1};
	const struct mr_node *limit = mr_node_get(in, "limit");
	struct mr_summary *s = mr_arena_alloc(a, sizeof *s);
	bool visible = mr_op_obeys(in);
	if (!plan.entity || !(plan.where = mr_where_read(a, plan.entity, mr_node_get(in, "where"), visible, err)) ||
		!mr_obey_read(op, in, &plan, err))
		return false;
	if (limit && limit->kind != MR_NULL && (!mr_node_int(limit, &plan.limit) || plan.limit < 0))
		return mr_fail(err, MR_BAD_FILTER, "limit: expected a whole number that is not negative.");
	if (!mr_summary_read(a, plan.entity, in, visible, s, err))
		return false;
	read_now(op, in, &plan);
	op->form = s->n_group ? MR_OP_ROWS : MR_OP_ONE;
	mr_txn_summarize(job->txn, &plan, s, mr_op_result, op);
	return true;
}

static bool op_sql(struct mr_op *op, const struct mr_node *in, struct mr_error *err)
{
	struct mr_str text = mr_node_str(in, "text");
	if (mr_op_obeys(in))
		return mr_fail(err, MR_SQL_REFUSED, "SQL knows no policies: ctx.db.as(...) has none.");
	if (!text.p)
		return mr_fail(err, MR_SQL_REFUSED, "ctx.db.sql takes the text of a statement.");
	mr_txn_sql(op->job->txn, text, mr_node_get(in, "params"), mr_op_result, op);
	return true;
}

/* ---- writes ---- */

typedef void write_fn(struct mr_txn *txn, const struct mr_write *w, mr_txn_cb *cb, void *arg);

/* `key`: names of the fields by which the row was looked for and not found. */
static bool read_key(const struct mr_node *names, struct mr_write *w, struct mr_error *err)
{
	for (size_t i = 0; names && names->kind == MR_ARRAY && i < names->n; i++) {
		int field = mr_entity_field(w->entity, names->items[i].text);
		if (field < 0)
			return no_field("", w->entity, &names->items[i], err);
		w->key |= mr_field_bit(mr_entity_column(w->entity, w->entity->fields[field].column)); /* as txn_error.c names them */
	}
	return true;
}

static enum mr_act act_of(write_fn *write)
{
	return write == mr_txn_insert ? MR_ACT_INSERT : write == mr_txn_remove ? MR_ACT_DELETE : MR_ACT_UPDATE;
}

static bool op_write(struct mr_op *op, const struct mr_node *in, write_fn *write, struct mr_error *err)
{
	struct mr_job *job = op->job;
	if (!mr_job_writes(job))
		return mr_fail(err, MR_FUNCTION_FAILED, "A query cannot write; make %s a mutation.", job->fn->name.p);
	struct mr_write w = {.entity = mr_entity_of(job->w, in, err), .value = mr_node_get(in, "value")};
	if (!w.entity || !mr_sessions_admit_write(w.entity, err))
		return false;
	if (write == mr_txn_patch)
		w.add = mr_node_get(in, "add");
	if (write == mr_txn_insert) {
		op->form = MR_OP_ID;
		if (!read_key(mr_node_get(in, "key"), &w, err) || !mr_scheduler_admits(op, w.entity, w.value, err))
			return false;
	} else {
		w.id = op->id = mr_node_str(in, "id");
		if (!mr_where_id(&job->attempt, w.entity, w.id, err))
			return false;
	}
	if ((write != mr_txn_remove && (!w.value || w.value->kind != MR_MAP)) || (w.add && w.add->kind != MR_MAP))
		return mr_fail(err, MR_BAD_VALUE, "%s: expected a map of fields.", w.entity->name.p);
	if (write == mr_txn_replace && mr_op_obeys(in))
		return mr_fail(
			err, MR_FUNCTION_FAILED, "ctx.db.as(...) has no replace, which would also set what cannot be changed; use patch.");
	if (!mr_obey_write(op, in, act_of(write), &w, err))
		return false;
	write(job->txn, &w, mr_op_result, op);
	return true;
}

/* ---- savepoints ---- */

/* The transaction is whole again, and so is the run. */
static void on_restored(struct mr_txn *txn, struct mr_str json, const struct mr_error *err, void *arg)
{
	struct mr_op *op = arg;
	if (!err)
		op->job->run.failed = false;
	mr_op_result(txn, json, err, arg);
}

static bool op_part(struct mr_op *op, const struct mr_node *in, mr_txn_part_fn *part, mr_txn_cb *then, struct mr_error *err)
{
	int64_t level;
	if (!mr_job_writes(op->job))
		return mr_fail(err, MR_FUNCTION_FAILED, "A query has nothing to take back.");
	if (!mr_node_int(mr_node_get(in, "level"), &level) || level < 1)
		return mr_fail(err, MR_INTERNAL, "A savepoint has a level, from 1 on.");
	return part(op->job->txn, (size_t)level, then, op, err);
}

static bool start(struct mr_op *op, struct mr_str kind, struct mr_str json, struct mr_error *err)
{
	struct mr_job *job = op->job;
	if (job->run.failed && !mr_str_is(kind, "restore")) {
		*err = job->run.failure;
		return false;
	}
	if (!json.p)
		return mr_fail_data(
			err, MR_TOO_LARGE, "{\"setting\":\"max_result\"}", "An operation of the database is larger than max_result.");
	const struct mr_node *in = mr_json_read(&job->attempt, mr_arena_str(&job->attempt, json), OPERATION_DEPTH, false, err);
	if (!in)
		return false;
	if (mr_str_is(kind, "get"))
		return op_get(op, in, err);
	if (mr_str_is(kind, "query"))
		return op_query(op, in, err);
	if (mr_str_is(kind, "summary"))
		return op_summary(op, in, err);
	if (mr_str_is(kind, "sql"))
		return op_sql(op, in, err);
	if (mr_str_is(kind, "insert"))
		return op_write(op, in, mr_txn_insert, err);
	if (mr_str_is(kind, "patch"))
		return op_write(op, in, mr_txn_patch, err);
	if (mr_str_is(kind, "replace"))
		return op_write(op, in, mr_txn_replace, err);
	if (mr_str_is(kind, "delete"))
		return op_write(op, in, mr_txn_remove, err);
	if (mr_str_is(kind, "session"))
		return mr_op_session(op, in, err);
	if (mr_str_is(kind, "savepoint"))
		return op_part(op, in, mr_txn_savepoint, mr_op_result, err);
	if (mr_str_is(kind, "release"))
		return op_part(op, in, mr_txn_release, mr_op_result, err);
	if (mr_str_is(kind, "restore"))
		return op_part(op, in, mr_txn_restore, on_restored, err);
	return mr_fail(err, MR_INTERNAL, "The app's runtime asked for an unknown operation, %.*s.", (int)MR_MIN(kind.n, 50), kind.p);
}

void mr_op_start(struct mr_op *op, struct mr_str kind, struct mr_str json)
{
	struct mr_error err;
	if (!start(op, kind, json, &err))
		answer_error(op, &err); /* refused here: the transaction is as it was */
}
