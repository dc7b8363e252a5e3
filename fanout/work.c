#include "work.h"

#include <stdlib.h>

#include "errors.h"
#include "instance_sets.h"
#include "load.h"
#include "proto/ground/fault.h"
#include "proto/ground/log.h"
#include "session.h"
#include "tasks.h"

/* What is read at one held snapshot: by statements of their own, and in all. */
enum { GENERATION_ALONE = 64, GENERATION_MOST = 4000 };
enum { REFUSED_FIRST_US = 20 * 1000, REFUSED_MOST_US = 1000 * 1000, REFUSED_SHIFT_MAX = 6 };

/* Works that read at the same held snapshot. */
struct generation {
	struct mr_clock *clock;
	struct mr_hold *hold;
	const char *name; /* of its snapshot; NULL: not exported yet */
	int refs;         /* its works, and one until the snapshot was exported */
};

struct mr_work {
	struct mr_list in_clock;
	struct mr_clock *clock;
	struct mr_instance *inst;
	struct generation *generation; /* NULL: reads at a snapshot of its own */
	uint64_t since;                /* the tick that was current when it began; the tick itself when it has a generation */
	struct mr_task *task;
	struct mr_loaded loaded; /* its part of a reading with others */
	bool spoiled;
	/* The answer, while it waits for a tick that holds its snapshot. */
	struct mr_list in_answered;
	struct mr_arena arena;
	const struct mr_node *reply;
	struct mr_rows rows; /* of an entity query that was read by itself */
	struct mr_snapshot snapshot;
};

static void drop_generation(struct generation **g)
{
	struct generation *gen = *g;
	*g = NULL;
	if (!gen || --gen->refs)
		return;
	mr_hold_drop(gen->clock->f, &gen->hold);
	free(gen);
}

static void free_work(struct mr_work *w)
{
	mr_list_del(&w->in_clock);
	mr_list_del(&w->in_answered);
	drop_generation(&w->generation);
	mr_task_abandon(&w->task);
	mr_load_leave(&w->loaded);
	mr_rows_fini(&w->rows);
	mr_arena_fini(&w->arena);
	mr_snapshot_fini(&w->snapshot);
	free(w);
}

struct mr_instance *mr_work_of(struct mr_list *in_clock)
{
	return MR_CONTAINER(in_clock, struct mr_work, in_clock)->inst;
}

void mr_work_abandon(struct mr_work **work)
{
	if (*work)
		free_work(*work);
	*work = NULL;
}

void mr_work_spoil(struct mr_work *work)
{
	work->spoiled = true;
}

void mr_works_spoil(struct mr_clock *clock)
{
	MR_LIST_FOR (e, &clock->works)
		MR_CONTAINER(e, struct mr_work, in_clock)->spoiled = true;
}

uint64_t mr_works_since(const struct mr_clock *clock)
{
	if (mr_list_empty(&clock->works))
		return UINT64_MAX;
	return MR_CONTAINER(clock->works.next, struct mr_work, in_clock)->since;
}

/* The work is over, the instance is still dirty: it takes its place in the queue again. If it is not, it was to find out whether what
 * failed still does, and is tried again when that is due. */
static void again(struct mr_work *w)
{
	struct mr_instance *inst = w->inst;
	inst->work = NULL;
	inst->attempts++;
	free_work(w);
	if (inst->dirty || !inst->ready)
		mr_instance_dirty(inst, inst->dirty);
}

/* Again, but not at once: what refused it may refuse it for long. */
static void again_later(struct mr_work *w)
{
	struct mr_instance *inst = w->inst;
	int64_t wait = (int64_t)REFUSED_FIRST_US << MR_MIN(inst->attempts, REFUSED_SHIFT_MAX);
	inst->not_before = mr_mono_us() + MR_MIN(wait, (int64_t)REFUSED_MOST_US);
	again(w);
}

void mr_work_other_predicate(struct mr_work *w)
{
	if (w->loaded.inst)
		again(w);
}

static bool is_late(const struct mr_work *w, const struct mr_change *c)
{
	return !mr_snapshot_sees(&w->snapshot, c->xid);
}

/* Calls see for each change that the work's snapshot does not see, in order; stops when it returns false. */
static bool late_changes(
	struct mr_work *w, bool (*see)(struct mr_work *w, const struct mr_batch *b, const struct mr_change *c, void *arg), void *arg)
{
	MR_LIST_FOR (e, &w->clock->kept) {
		const struct mr_batch *b = MR_CONTAINER(e, struct mr_kept, in_clock)->batch;
		bool some = b->n > w->since && b->last_xid >= w->snapshot.xmin; /* those before are seen */
		for (size_t i = 0; some && i < b->n_changes; i++)
			if (is_late(w, &b->changes[i]) && !see(w, b, &b->changes[i], arg))
				return false;
	}
	return true;
}

static bool apply_late(struct mr_work *w, const struct mr_batch *b, const struct mr_change *c, void *arg)
{
	if (c->entity != w->inst->entity)
		return true;
	if (c->bulk)
		return false;
	struct mr_item *is = NULL;
	if (mr_instance_meets(w->inst, c))
		mr_rowset_apply(&w->inst->rows, c, &is);
	mr_item_drop(&is);
	return true;
}

static bool first_hit(struct mr_work *w, const struct mr_batch *b, const struct mr_change *c, void *arg)
{
	if (!mr_instance_meets(w->inst, c))
		return true;
	*(uint64_t *)arg = b->n;
	return false;
}

/* Fills the rows from the answer; false when one does not fit its declaration. */
static bool fill_rows(struct mr_work *w)
{
	struct mr_rowset *rs = &w->inst->rows;
	if (w->rows.misfit)
		return false;
	if (w->reply)
		mr_rowset_fill(rs, w->rows.v, w->rows.n);
	else
		mr_rowset_fill(rs, w->loaded.rows, w->loaded.n);
	return true;
}

static void end_work(struct mr_work *w)
{
	w->inst->work = NULL;
	w->inst->attempts = 0;
	w->inst->not_before = 0;
	free_work(w);
}

/* A table that does not fit its declaration stays so until somebody alters it, and that will be seen. */
static bool may_pass(const struct mr_error *err)
{
	return err->code != MR_SCHEMA_CHANGED && strcmp(mr_code_retry(err->code), "never") != 0;
}

static void fail(struct mr_work *w, const struct mr_error *err)
{
	struct mr_instance *inst = w->inst;
	uint64_t n = w->clock->n;
	if (may_pass(err)) {
		again_later(w);
		return;
	}
	end_work(w);
	mr_instance_fail(inst, n, err);
}

/* What was read was admitted by the sets of its snapshot: is that what they admit now, or did at the tick that it was read at? */
enum admitted { ADMITTED_NOW, ADMITTED_THEN, ADMITTED_NEVER };

static enum admitted admitted(const struct mr_work *w)
{
	const struct mr_instance *inst = w->inst;
	bool alone = w->reply;
	/* What they admit no more is taken out; a set may have lost for a moment, between two ticks, what it held before and after. */
	bool now = mr_sets_serve(inst) && mr_sets_grew(inst) <= w->since && (w->generation || mr_sets_touched(inst) <= w->since);
	return now ? ADMITTED_NOW : w->generation && alone ? ADMITTED_THEN : ADMITTED_NEVER;
}

/* It is known as of the tick that it was read at, and no further. */
static void finish_then(struct mr_work *w)
{
	struct mr_instance *inst = w->inst;
	uint64_t n = w->since;
	end_work(w);
	inst->loaded = n;
	mr_instance_seal(inst, n);
	if (!inst->failure)
		mr_instance_known(inst, n);
	mr_instance_dirty(inst, n + 1);
}

static void finish_rows(struct mr_work *w)
{
	struct mr_instance *inst = w->inst;
	struct mr_error err;
	enum admitted when = admitted(w);
	w->clock->f->counter[MR_C_LOADS_TOTAL]++;
	if (when == ADMITTED_NEVER) {
		again(w);
		return;
	}
	if (!fill_rows(w)) {
		mr_fail(&err, MR_SCHEMA_CHANGED,
			"Table %s no longer fits the declaration of entity %s; run millrace migrate to see the difference.",
			inst->entity->table.p, inst->entity->name.p);
		if (!inst->failure)
			mr_log(MR_ERROR, "%s", err.message);
		end_work(w);
		mr_instance_fail(inst, inst->all->f->clock->n, &err);
		return;
	}
	if (when == ADMITTED_THEN) {
		finish_then(w);
		return;
	}
	bool told = late_changes(w, apply_late, NULL);
	if (told && mr_instance_bonds(inst))
		mr_rowset_admit(&inst->rows);
	if (!told || mr_rowset_dry(&inst->rows)) {
		mr_rowset_revert(&inst->rows);
		again(w);
		return;
	}
	uint64_t n = w->clock->n;
	end_work(w);
	inst->loaded = n;
	mr_instance_seal(inst, n);
	if (!inst->failure)
		mr_instance_known(inst, n);
}

/* At which tick the answer is the state: now, unless a change that it did not see met its read set; then at the tick whose snapshot it
 * read at, if there is one, else at none (0). */
static uint64_t known_at(struct mr_work *w, uint64_t *dirty)
{
	*dirty = 0;
	if (late_changes(w, first_hit, dirty))
		return w->clock->n;
	return w->generation ? w->since : 0;
}

static void finish_run(struct mr_work *w)
{
	struct mr_instance *inst = w->inst;
	struct mr_clock *clock = w->clock;
	clock->f->counter[MR_C_RERUNS_TOTAL]++;
	if (mr_node_truth(w->reply, "split")) {
		mr_instance_note_split(inst);
		end_work(w);
		mr_sessions_reattach(clock->f->sessions, inst);
		return;
	}
	mr_instance_reads(inst, mr_node_get(w->reply, "reads"));
	mr_instance_moment(inst, mr_node_get(w->reply, "again"));
	uint64_t dirty, n = known_at(w, &dirty);
	if (!n) {
		again(w);
		return;
	}
	const struct mr_node *value = mr_node_get(w->reply, "value"), *error = mr_node_get(w->reply, "error");
	struct mr_error err = {0};
	if (error) {
		mr_error_from_node(error, &err);
		mr_instance_fail(inst, n, &err);
	} else {
		mr_instance_result(inst, n, value ? value->raw : MR_STR("null"));
	}
	end_work(w);
	if (dirty)
		mr_instance_dirty(inst, dirty);
}

static void finish(struct mr_work *w)
{
	if (w->spoiled)
		again(w);
	else if (w->inst->entity)
		finish_rows(w);
	else
		finish_run(w);
}

static bool is_due(const struct mr_work *w)
{
	return w->clock->now && mr_snapshot_within(&w->snapshot, &w->clock->now->position.snapshot);
}

static struct mr_work *next_due(struct mr_clock *clock)
{
	MR_LIST_FOR (e, &clock->answered) {
		struct mr_work *w = MR_CONTAINER(e, struct mr_work, in_answered);
		if (is_due(w))
			return w;
	}
	return NULL;
}

void mr_works_settle(struct mr_clock *clock)
{
	/* Finishing one may end others (a split moves subscriptions), so the search begins anew each time. */
	for (struct mr_work *w; (w = next_due(clock));)
		finish(w);
}

static void answered(struct mr_work *w)
{
	mr_list_add_tail(&w->clock->answered, &w->in_answered);
	if (is_due(w) || w->spoiled || mr_node_truth(w->reply, "split"))
		finish(w);
	else
		mr_clock_want(w->clock);
}

static void on_answer(void *arg, const struct mr_node *reply, struct mr_arena *arena, const struct mr_error *err)
{
	struct mr_work *w = arg;
	struct mr_error failure = {0};
	w->task = NULL;
	MR_FAULT(FANOUT_LOAD_TAKEN);
	const struct mr_node *refused = mr_node_get(reply, "error");
	struct mr_str snapshot = mr_node_str(reply, "snapshot");
	bool split = mr_node_truth(reply, "split");
	/* A function's own error is its result; one that says nothing about it (Postgres went away) is no answer at all. */
	if (!err && refused) {
		mr_error_from_node(refused, &failure);
		if (w->inst->entity || may_pass(&failure))
			err = &failure;
	}
	/* A function that failed before it read anything has no snapshot: its error stands by itself. */
	if (!err && !split && !mr_snapshot_read(snapshot, &w->snapshot)) {
		if (!mr_node_get(reply, "error")) {
			mr_fail(&failure, MR_INTERNAL, "A worker answered a load without a snapshot.");
			err = &failure;
		} else if (w->clock->now) {
			mr_snapshot_copy(&w->snapshot, &w->clock->now->position.snapshot);
		}
	}
	if (err) {
		fail(w, err);
		return;
	}
	w->arena = *arena;
	*arena = (struct mr_arena){0};
	w->reply = reply;
	answered(w);
}

static void print_read(struct mr_buf *m, const struct mr_instance *inst)
{
	int64_t want = mr_rowset_want(&inst->rows);
	struct mr_buf order = {0};
	mr_instance_print_order(&order, inst);
	const struct mr_settings *s = &inst->all->f->settings;
	/* One more than allowed tells that there are too many. */
	want = want < 0 ? (mr_instance_is_set(inst) ? s->policy_set_max : s->instance_max_rows) + 1 : want;
	mr_load_print(m, inst->entity, inst->where, mr_buf_view(&order), want);
	mr_buf_fini(&order);
}

static void print_run(struct mr_buf *m, const struct mr_instance *inst)
{
	mr_buf_z(m, "\"t\":\"run\",\"fn\":");
	mr_json_quote(m, inst->run->fn->name);
	mr_buf_z(m, ",\"args\":");
	mr_buf_str(m, inst->run->args);
	mr_buf_z(m, ",\"auth\":");
	mr_buf_str(m, inst->run->auth.n ? inst->run->auth : MR_STR("null"));
	mr_buf_printf(m, ",\"shared\":%s,", inst->run->auth.n ? "false" : "true");
	mr_task_add_time(m);
}

static void send_work(struct mr_work *w, const char *snapshot)
{
	struct mr_buf m = {0};
	if (w->inst->entity)
		print_read(&m, w->inst);
	else
		print_run(&m, w->inst);
	mr_load_at(&m, snapshot);
	w->task = mr_task_reading(w->clock->f, &m, w->inst->entity ? (struct mr_str){0} : w->inst->run->fn->name, on_answer, w);
	if (w->inst->entity)
		mr_task_want_rows(w->task, w->inst->app, w->inst->entity, &w->rows);
	else
		mr_task_leave_value(w->task);
}

static struct mr_work *new_work(struct mr_instance *inst, struct generation *g)
{
	struct mr_clock *clock = inst->all->f->clock;
	struct mr_work *w = mr_alloc(sizeof *w);
	w->clock = clock;
	w->inst = inst;
	w->since = clock->n;
	w->generation = g;
	if (g)
		g->refs++;
	mr_list_add_tail(&clock->works, &w->in_clock);
	mr_list_del(&inst->in_dirty);
	inst->work = w;
	return w;
}

/* What was read with others has come. */
static void on_loaded(struct mr_loaded *l, const char *snapshot, const struct mr_error *err)
{
	struct mr_work *w = MR_CONTAINER(l, struct mr_work, loaded);
	MR_FAULT(FANOUT_LOAD_TAKEN);
	if (err) {
		fail(w, err);
	} else if (!snapshot || !mr_snapshot_read(mr_str(snapshot), &w->snapshot)) {
		mr_load_leave(&w->loaded);
		send_work(w, w->generation ? w->generation->name : NULL);
	} else {
		answered(w);
	}
}

/* Reads it together with others, or by itself. */
static void begin(struct mr_work *w, const char *snapshot)
{
	if (!mr_load_fits(w->inst)) {
		send_work(w, snapshot);
		return;
	}
	w->loaded.inst = w->inst;
	w->loaded.done = on_loaded;
	mr_load_add(w->clock, &w->loaded, snapshot);
}

void mr_work_begin(struct mr_instance *inst)
{
	begin(new_work(inst, NULL), NULL);
}

static void on_hold(void *arg, struct mr_hold *hold, const char *name)
{
	struct generation *g = arg;
	g->hold = hold;
	g->name = name;
	MR_LIST_FOR (e, &g->clock->works) {
		struct mr_work *w = MR_CONTAINER(e, struct mr_work, in_clock);
		if (w->generation != g)
			continue;
		if (name)
			begin(w, name);
		else
			again(w);
	}
	MR_FAULT(FANOUT_SNAPSHOT_HELD);
	drop_generation(&g);
}

/* A session that no tick suits, since its functions run at different ones, gets them all run at the same one. */
static bool must_wait(const struct mr_instance *inst)
{
	return inst->aligning && mr_sessions_misaligned(inst);
}

/* Those that may run now, at the tick's snapshot; NULL: none. */
static struct generation *gather(struct mr_clock *clock)
{
	struct generation *g = mr_alloc(sizeof *g);
	g->clock = clock;
	g->refs = 1;
	int alone = 0, n = 0;
	int64_t now = mr_mono_us();
	mr_sessions_busy(clock, true);
	MR_LIST_FOR (e, &clock->f->instances->dirty) {
		struct mr_instance *inst = MR_CONTAINER(e, struct mr_instance, in_dirty);
		bool fits = mr_load_fits(inst);
		if (n >= GENERATION_MOST)
			break;
		if (!mr_sets_serve(inst) || now < inst->not_before || (!fits && alone >= GENERATION_ALONE) || must_wait(inst))
			continue;
		alone += !fits;
		n++;
		new_work(inst, g);
	}
	mr_sessions_busy(clock, false);
	if (!n)
		drop_generation(&g);
	return g;
}

void mr_works_at_tick(struct mr_clock *clock, bool may_hold)
{
	bool some = may_hold && !mr_list_empty(&clock->f->instances->dirty);
	struct generation *g = some ? gather(clock) : NULL;
	mr_ticks_applied(clock->f, clock->n, g ? on_hold : NULL, g);
}
