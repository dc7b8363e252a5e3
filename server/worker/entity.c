/* Entity acts under policies, for the HTTP API and optimistic clients: list, get, insert, update, delete. Policies are compiled with the
 * caller's identity; rows that the read policy hides do not exist for him. */
#include "proto/policy.h"
#include "sessions.h"

struct act {
	struct mr_job *job;
	const struct mr_pred *read, *policy; /* the read policy; the act's own */
	const struct mr_node *value;         /* of a write: a map */
	struct mr_str id;
	const struct mr_node *written; /* the row, while it is read back */
};

typedef bool begin_fn(struct act *act, struct mr_error *err);

static void fail(struct act *act, const struct mr_error *err)
{
	struct mr_error why = *err;
	if (why.code == MR_FORBIDDEN && !act->job->auth)
		mr_fail(&why, MR_UNAUTHENTICATED, "The policy of %s does not allow this without signing in.", act->job->entity->name.p);
	mr_job_failed(act->job, &why);
}

static void fail_not_found(struct act *act)
{
	struct mr_error err;
	mr_fail(&err, MR_NOT_FOUND, "There is no %s with this id (or it may not be seen).", act->job->entity->name.p);
	mr_job_failed(act->job, &err);
}

/* The job ended meanwhile (its time was over). */
static bool is_stale(const struct act *act)
{
	return act->job->answered || act->job->step != MR_JOB_RUNNING;
}

/* ---- rows as clients see them ---- */

static void print_row(const struct mr_entity *e, const struct mr_node *row, struct mr_buf *out)
{
	mr_buf_char(out, '{');
	bool first = true;
	for (size_t i = 0; i < row->n; i++) {
		int f = mr_entity_field(e, row->items[i].key);
		if (f < 0 || e->fields[f].server_only)
			continue;
		if (!first)
			mr_buf_char(out, ',');
		first = false;
		mr_json_quote(out, row->items[i].key);
		mr_buf_char(out, ':');
		mr_buf_str(out, row->items[i].raw);
	}
	mr_buf_char(out, '}');
}

static void print_id(const struct mr_node *row, struct mr_buf *out)
{
	mr_buf_z(out, "{\"id\":");
	mr_buf_str(out, mr_node_get(row, "id")->raw);
	mr_buf_char(out, '}');
}

static bool may_read(struct act *act, const struct mr_node *row)
{
	const struct mr_entity *e = act->job->entity;
	struct mr_arena *a = &act->job->attempt;
	struct mr_row r = {.entity = e, .v = mr_arena_alloc(a, e->n * sizeof *r.v)};
	struct mr_error err;
	struct mr_node null = {.kind = MR_NULL};
	for (size_t i = 0; i < e->n; i++) {
		const struct mr_node *v = mr_node_get(row, e->fields[i].name.p);
		if (!mr_value_from_node(a, e->fields[i].type, v ? v : &null, &r.v[i], &err))
			return false;
	}
	return mr_pred_eval(act->read, &r) == 1;
}

static const struct mr_node *read_answer(struct act *act, struct mr_str json)
{
	struct mr_error err;
	struct mr_arena *a = &act->job->attempt;
	const struct mr_node *n = mr_json_read(a, mr_arena_str(a, json), 1024, false, &err);
	MR_ASSERT(n); /* storage prints JSON */
	return n;
}

/* What was answered, or NULL: it failed, which is told, or nobody waits any more. */
static const struct mr_node *answer_of(struct act *act, struct mr_str json, const struct mr_error *err)
{
	if (is_stale(act))
		return NULL;
	if (!err)
		return read_answer(act, json);
	fail(act, err);
	return NULL;
}

/* ---- list, get ---- */

static void on_list(struct mr_txn *txn, struct mr_str json, const struct mr_error *err, void *arg)
{
	struct act *act = arg;
	struct mr_job *job = act->job;
	const struct mr_node *rows = answer_of(act, json, err);
	if (!rows)
		return;
	if ((int64_t)rows->n > job->w->settings.instance_max_rows) {
		struct mr_error many;
		mr_fail_data(&many, MR_TOO_MANY_ROWS, "{\"setting\":\"instance_max_rows\"}",
			"More than %lld rows of %s match (instance_max_rows); add a filter or a limit.",
			(long long)job->w->settings.instance_max_rows, job->entity->name.p);
		fail(act, &many);
		return;
	}
	struct mr_buf out = {0};
	mr_buf_char(&out, '[');
	for (size_t i = 0; i < rows->n; i++) {
		if (i)
			mr_buf_char(&out, ',');
		print_row(job->entity, &rows->items[i], &out);
	}
	mr_buf_char(&out, ']');
	mr_answer(job, mr_buf_view(&out), MR_STR(""));
	mr_buf_fini(&out);
	mr_job_over(job);
}

static bool begin_list(struct act *act, struct mr_error *err)
{
	struct mr_job *job = act->job;
	struct mr_plan plan = {.entity = job->entity};
	const struct mr_pred *where = mr_where_read(&job->attempt, job->entity, mr_node_get(job->args, "where"), true, err);
	if (!where || !mr_plan_read(&job->attempt, job->args, true, &plan, err))
		return false;
	int64_t most = job->w->settings.instance_max_rows + 1;
	if (plan.limit < 0 || plan.limit > most)
		plan.limit = most;
	plan.where = mr_pred_normal(&job->attempt, mr_pred_and(&job->attempt, where, act->read));
	mr_job_limit_rows(job);
	mr_txn_read(job->txn, &plan, on_list, act);
	return true;
}

static void on_get(struct mr_txn *txn, struct mr_str json, const struct mr_error *err, void *arg)
{
	struct act *act = arg;
	const struct mr_node *rows = answer_of(act, json, err);
	if (!rows)
		return;
	if (rows->n == 0) {
		fail_not_found(act);
		return;
	}
	struct mr_buf out = {0};
	print_row(act->job->entity, &rows->items[0], &out);
	mr_answer(act->job, mr_buf_view(&out), MR_STR(""));
	mr_buf_fini(&out);
	mr_job_over(act->job);
}

/* Reads the row of this id if the caller may see it. */
static bool read_one(struct act *act, bool for_update, mr_txn_cb *cb, struct mr_error *err)
{
	struct mr_job *job = act->job;
	struct mr_plan plan = {.entity = job->entity, .limit = -1, .for_update = for_update};
	const struct mr_pred *where = mr_where_id(&job->attempt, job->entity, act->id, err);
	if (!where)
		return false;
	plan.where = mr_pred_normal(&job->attempt, mr_pred_and(&job->attempt, where, act->read));
	mr_txn_read(job->txn, &plan, cb, act);
	return true;
}

static bool begin_get(struct act *act, struct mr_error *err)
{
	return read_one(act, false, on_get, err);
}

/* ---- what clients may write ---- */

/* An update leaves id, owner and readonly fields as they are; naming them with the value that they have is taken. */
static bool check_locked(struct act *act, const struct mr_node *old, struct mr_error *err)
{
	struct mr_job *job = act->job;
	const struct mr_entity *e = job->entity;
	struct mr_node *map = mr_arena_alloc(&job->attempt, sizeof *map);
	*map = (struct mr_node){.kind = MR_MAP, .items = mr_arena_alloc(&job->attempt, (act->value->n + 1) * sizeof *map)};
	for (size_t i = 0; i < act->value->n; i++) {
		const struct mr_node *v = &act->value->items[i];
		int f = mr_entity_field(e, v->key);
		if (f != 0 && !e->fields[f].key && !e->fields[f].owner && !e->fields[f].readonly)
			map->items[map->n++] = *v;
		else if (!mr_obey_same(&job->attempt, e, f, v, mr_node_get(old, e->fields[f].name.p)))
			return mr_fail(err, MR_FORBIDDEN, "%s.%s cannot be changed.", e->name.p, e->fields[f].name.p);
	}
	act->value = map;
	return true;
}

/* ---- insert, update, delete ---- */

enum row_form { ROW_ID, ROW_NEW, ROW_OLD };

static void written(struct act *act, struct mr_str json, const struct mr_error *err, enum row_form form)
{
	const struct mr_node *row = answer_of(act, json, err);
	if (!row)
		return;
	if (row->kind != MR_MAP) {
		fail_not_found(act);
		return;
	}
	struct mr_buf out = {0};
	if (form == ROW_ID || (form == ROW_NEW && !may_read(act, row)))
		print_id(row, &out);
	else
		print_row(act->job->entity, row, &out);
	mr_job_commit(act->job, mr_buf_view(&out));
	mr_buf_fini(&out);
}

static void on_inserted(struct mr_txn *txn, struct mr_str json, const struct mr_error *err, void *arg)
{
	written(arg, json, err, ROW_ID);
}

/* The row is read back: whether it may be seen now is not the row's alone to say. */
static void on_read_back(struct mr_txn *txn, struct mr_str json, const struct mr_error *err, void *arg)
{
	struct act *act = arg;
	const struct mr_node *rows = answer_of(act, json, err);
	if (!rows)
		return;
	struct mr_buf out = {0};
	if (rows->n)
		print_row(act->job->entity, &rows->items[0], &out);
	else
		print_id(act->written, &out);
	mr_job_commit(act->job, mr_buf_view(&out));
	mr_buf_fini(&out);
}

static void on_updated(struct mr_txn *txn, struct mr_str json, const struct mr_error *err, void *arg)
{
	struct act *act = arg;
	struct mr_error why;
	if (err || is_stale(act) || !mr_pred_asks_sets(act->read) || mr_str_is(json, "null")) {
		written(act, json, err, ROW_NEW);
		return;
	}
	act->written = read_answer(act, json);
	if (!read_one(act, false, on_read_back, &why))
		fail(act, &why);
}

static void on_deleted(struct mr_txn *txn, struct mr_str json, const struct mr_error *err, void *arg)
{
	written(arg, json, err, ROW_OLD);
}

static bool begin_insert(struct act *act, struct mr_error *err)
{
	struct mr_job *job = act->job;
	if (!mr_obey_fields(job->entity, act->value, err) || !mr_check_write(job, &act->value, err) ||
		!(act->value = mr_obey_owner(&job->attempt, job->entity, act->value, job->auth, err)))
		return false;
	struct mr_write w = {.entity = act->job->entity, .value = act->value, .allow_new = act->policy};
	mr_txn_insert(act->job->txn, &w, on_inserted, act);
	return true;
}

/* The row is locked and the caller may see it. */
static const struct mr_node *locked_row(struct act *act, struct mr_str json, const struct mr_error *err)
{
	const struct mr_node *rows = answer_of(act, json, err);
	if (!rows)
		return NULL;
	if (rows->n)
		return &rows->items[0];
	fail_not_found(act);
	return NULL;
}

static void on_locked_for_update(struct mr_txn *txn, struct mr_str json, const struct mr_error *err, void *arg)
{
	struct act *act = arg;
	struct mr_error why;
	const struct mr_node *old = locked_row(act, json, err);
	if (!old)
		return;
	if (!check_locked(act, old, &why)) {
		fail(act, &why);
		return;
	}
	struct mr_write w = {
		.entity = act->job->entity, .id = act->id, .value = act->value, .allow_old = act->policy, .allow_new = act->policy};
	mr_txn_patch(txn, &w, on_updated, act);
}

static void on_locked_for_delete(struct mr_txn *txn, struct mr_str json, const struct mr_error *err, void *arg)
{
	struct act *act = arg;
	if (!locked_row(act, json, err))
		return;
	struct mr_write w = {.entity = act->job->entity, .id = act->id, .allow_old = act->policy};
	mr_txn_remove(txn, &w, on_deleted, act);
}

static bool begin_update(struct act *act, struct mr_error *err)
{
	return mr_obey_fields(act->job->entity, act->value, err) && mr_check_write(act->job, &act->value, err) &&
	       read_one(act, true, on_locked_for_update, err);
}

static bool begin_delete(struct act *act, struct mr_error *err)
{
	return read_one(act, true, on_locked_for_delete, err);
}

/* ---- all ---- */

static const struct {
	const char *name;
	enum mr_act policy;
	begin_fn *begin;
} acts[] = {
	{"list", MR_ACT_READ, begin_list},
	{"get", MR_ACT_READ, begin_get},
	{"insert", MR_ACT_INSERT, begin_insert},
	{"update", MR_ACT_UPDATE, begin_update},
	{"delete", MR_ACT_DELETE, begin_delete},
};

/* Who may write no row at all is told so before anything is said about the row. */
static bool may_ever(struct act *act, enum mr_act what, const char *verb, struct mr_error *err)
{
	const struct mr_entity *e = act->job->entity;
	if (what == MR_ACT_READ || mr_pred_normal(&act->job->attempt, act->policy)->op != MR_P_FALSE)
		return true;
	if (!e->policy[what].n)
		return mr_fail(
			err, MR_FORBIDDEN, "Entity %s has no %s policy, so nobody may do that but the app's functions.", e->name.p, verb);
	return mr_fail(err, act->job->auth ? MR_FORBIDDEN : MR_UNAUTHENTICATED, "The %s policy of %s allows %s no row.", verb, e->name.p,
		act->job->auth ? "this user" : "a caller who is not signed in");
}

static bool start(struct act *act, struct mr_error *err)
{
	struct mr_job *job = act->job;
	const struct mr_entity *e = job->entity;
	for (size_t i = 0; i < MR_COUNT(acts); i++) {
		if (!mr_str_is(job->act, acts[i].name))
			continue;
		act->read = mr_policy_compile(&job->attempt, e, e->policy[MR_ACT_READ], job->auth, err);
		act->policy = act->read ? mr_policy_compile(&job->attempt, e, e->policy[acts[i].policy], job->auth, err) : NULL;
		return act->policy && may_ever(act, acts[i].policy, acts[i].name, err) && acts[i].begin(act, err);
	}
	return mr_fail(err, MR_BAD_MESSAGE, "Unknown act on an entity: %.*s.", (int)MR_MIN(job->act.n, 50), job->act.p);
}

/* One that judges by a row and its caller alone locks that row. What sets hold may be taken back meanwhile: then one of the two has to be
 * run again (CLOCK.md rule 30). */
enum mr_txn_kind mr_entity_txn(const struct mr_job *job)
{
	const struct mr_entity *e = job->entity;
	for (size_t i = 0; i < MR_COUNT(acts); i++) {
		if (!mr_str_is(job->act, acts[i].name))
			continue;
		bool reads = acts[i].policy == MR_ACT_UPDATE || acts[i].policy == MR_ACT_DELETE;
		if (mr_policy_asks_sets(e, e->policy[acts[i].policy]) || (reads && mr_policy_asks_sets(e, e->policy[MR_ACT_READ])))
			return MR_TXN_SERIALIZABLE;
	}
	return MR_TXN_READ_COMMITTED;
}

void mr_entity_start(struct mr_job *job)
{
	if (mr_session_is_act(job)) {
		mr_session_act_start(job);
		return;
	}
	struct act *act = mr_arena_alloc(&job->attempt, sizeof *act);
	struct mr_error err;
	*act = (struct act){.job = job, .value = mr_node_get(job->args, "value"), .id = mr_node_str(job->args, "id")};
	if (!start(act, &err))
		mr_job_failed(job, &err);
}
