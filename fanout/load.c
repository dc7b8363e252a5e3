#include "load.h"

#include <stdlib.h>

#include "errors.h"
#include "instance_sets.h"
#include "load_alike.h"
#include "proto/ground/log.h"
#include "tasks.h"

enum {
	VALUES_MOST = 500, /* of one field, in a list */
	PREDS_MOST = 64,   /* others, joined by OR */
};

struct mr_load {
	struct mr_list in_clock; /* until it is sent */
	struct mr_clock *clock;
	const struct mr_entity *entity;
	int field;            /* whose value makes the difference, or MR_ALIKE_IN_NOTHING */
	size_t kid;           /* (load_alike.h) */
	struct mr_list parts; /* those that have not got their answer */
	size_t n_parts;       /* that have not left */
	char *snapshot;       /* to read at; NULL: one of its own */
	bool sent;
	struct mr_task *task;
	struct mr_rows rows;
};

static void maybe_free(struct mr_load *load)
{
	if (load->n_parts)
		return;
	mr_list_del(&load->in_clock);
	mr_task_abandon(&load->task);
	mr_rows_fini(&load->rows);
	free(load->snapshot);
	free(load);
}

void mr_load_leave(struct mr_loaded *l)
{
	struct mr_load *load = l->load;
	mr_list_del(&l->in_load);
	if (!load)
		return;
	l->load = NULL;
	free(l->rows);
	l->rows = NULL;
	load->n_parts--;
	maybe_free(load);
}

static struct mr_loaded *part_of(struct mr_list *e)
{
	return MR_CONTAINER(e, struct mr_loaded, in_load);
}

/* All parts get the same answer. Each may leave, and end others, when it has it. */
static void tell_all(struct mr_load *load, const char *snapshot, const struct mr_error *err)
{
	load->n_parts++;
	while (!mr_list_empty(&load->parts)) {
		struct mr_loaded *l = part_of(load->parts.next);
		mr_list_del(&l->in_load);
		l->done(l, snapshot, err);
	}
	load->n_parts--;
	maybe_free(load);
}

/* --- asking --- */

/* What all have in common, if anything, and any of their values. */
static const struct mr_pred *any_value(struct mr_arena *a, const struct mr_load *load)
{
	struct mr_value *values = mr_arena_alloc(a, load->n_parts * sizeof *values);
	size_t n = 0;
	MR_LIST_FOR (e, &load->parts)
		values[n++] = *mr_alike_value(part_of(e), load->kid);
	struct mr_pred *any = mr_arena_alloc(a, sizeof *any);
	*any = (struct mr_pred){.op = MR_P_IN, .field = load->field, .values = values, .n = n};
	const struct mr_pred *like = part_of(load->parts.next)->inst->rows.pred, *p = any;
	for (size_t i = 0; like->op == MR_P_AND && i < like->n; i++)
		if (i != load->kid)
			p = mr_pred_and(a, p, like->kids[i]);
	return mr_pred_normal(a, p);
}

static const struct mr_pred *any_predicate(struct mr_arena *a, const struct mr_load *load)
{
	const struct mr_pred **kids = mr_arena_alloc(a, load->n_parts * sizeof *kids);
	size_t n = 0;
	MR_LIST_FOR (e, &load->parts)
		kids[n++] = part_of(e)->inst->rows.pred;
	struct mr_pred *p = mr_arena_alloc(a, sizeof *p);
	*p = (struct mr_pred){.op = MR_P_OR, .kids = kids, .n = n};
	return mr_pred_normal(a, p);
}

void mr_load_at(struct mr_buf *m, const char *snapshot)
{
	if (snapshot) {
		mr_buf_z(m, ",\"snapshot\":");
		mr_json_quote(m, mr_str(snapshot));
	}
}

void mr_load_print(struct mr_buf *m, const struct mr_entity *e, struct mr_str where, struct mr_str order, int64_t limit)
{
	mr_buf_z(m, "\"t\":\"read\",\"entity\":");
	mr_json_quote(m, e->name);
	mr_buf_z(m, ",\"where\":");
	mr_json_quote(m, where);
	mr_buf_z(m, ",\"order\":");
	mr_buf_str(m, order);
	mr_buf_printf(m, ",\"limit\":%lld", (long long)limit);
}

static void print_load(struct mr_buf *m, const struct mr_load *load)
{
	struct mr_arena a = {0};
	struct mr_buf where = {0};
	mr_pred_print(&where, load->entity, load->field == MR_ALIKE_IN_NOTHING ? any_predicate(&a, load) : any_value(&a, load));
	/* In no order, and one row more than any of them may have. */
	mr_load_print(m, load->entity, mr_buf_view(&where), MR_STR("[]"), load->clock->f->settings.instance_max_rows + 1);
	mr_load_at(m, load->snapshot);
	mr_buf_fini(&where);
	mr_arena_fini(&a);
}

static void on_answer(void *arg, const struct mr_node *reply, struct mr_arena *arena, const struct mr_error *err);

static void send_load(struct mr_load *load)
{
	struct mr_buf m = {0};
	load->sent = true;
	if (load->n_parts == 1) {
		tell_all(load, NULL, NULL);
		return;
	}
	print_load(&m, load);
	load->task = mr_task_reading(load->clock->f, &m, (struct mr_str){0}, on_answer, load);
	mr_task_want_rows(load->task, part_of(load->parts.next)->inst->app, load->entity, &load->rows);
}

bool mr_load_fits(const struct mr_instance *inst)
{
	/* One whose sets changed meanwhile is read alone, which brings it to some tick for sure. */
	bool again = mr_instance_bonds(inst) && inst->attempts;
	return inst->entity && inst->rows.limit < 0 && inst->rows.pred->op != MR_P_TRUE && !again;
}

static struct mr_load *new_load(struct mr_clock *clock, const struct mr_alike *kind)
{
	struct mr_load *load = mr_alloc(sizeof *load);
	load->clock = clock;
	load->entity = kind->entity;
	load->field = kind->field;
	load->kid = kind->kid;
	load->snapshot = kind->snapshot ? mr_strdup(kind->snapshot) : NULL;
	mr_list_init(&load->parts);
	mr_list_add_tail(&clock->loads, &load->in_clock);
	return load;
}

static void join(void *arg, struct mr_loaded *l, struct mr_alike *kind)
{
	size_t most = kind->field == MR_ALIKE_IN_NOTHING ? PREDS_MOST : VALUES_MOST;
	if (!kind->load || kind->load->n_parts == most)
		kind->load = new_load(arg, kind);
	l->load = kind->load;
	l->load->n_parts++;
	mr_list_add_tail(&l->load->parts, &l->in_load);
}

static void on_turn_over(void *arg)
{
	struct mr_clock *clock = arg;
	mr_alike_deal(&clock->asked, join, clock);
	while (!mr_list_empty(&clock->loads)) {
		struct mr_load *load = MR_CONTAINER(clock->loads.next, struct mr_load, in_clock);
		mr_list_del(&load->in_clock);
		send_load(load);
	}
}

void mr_load_add(struct mr_clock *clock, struct mr_loaded *l, const char *snapshot)
{
	l->snapshot = snapshot;
	if (mr_list_empty(&clock->asked))
		mr_defer(clock->f->loop, on_turn_over, clock);
	mr_list_add_tail(&clock->asked, &l->in_load);
}

/* --- the answer --- */

static void give(struct mr_loaded *l, struct mr_item *row)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 8;
		l->rows = mr_realloc(l->rows, l->cap * sizeof *l->rows);
	}
	l->rows[l->n++] = row;
}

/* A part, and the value that its rows have. */
struct wanted {
	const struct mr_value *value;
	struct mr_loaded *part;
};

static int by_value(const void *x, const void *y)
{
	return mr_value_cmp(((const struct wanted *)x)->value, ((const struct wanted *)y)->value);
}

/* The first of the parts, in order of their values, whose value is not below. */
static size_t first_not_below(const struct wanted *parts, size_t n, const struct mr_value *v)
{
	size_t low = 0, high = n;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (mr_value_cmp(parts[middle].value, v) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void give_by_value(const struct mr_load *load, const struct wanted *parts, size_t n, struct mr_item *row)
{
	const struct mr_value *v = &row->row.v[load->field];
	for (size_t i = first_not_below(parts, n, v); i < n && mr_value_cmp(parts[i].value, v) == 0; i++)
		give(parts[i].part, row);
}

static void give_by_predicate(const struct wanted *parts, size_t n, struct mr_item *row)
{
	for (size_t i = 0; i < n; i++)
		if (mr_pred_eval(parts[i].part->inst->rows.pred, &row->row) == 1)
			give(parts[i].part, row);
}

static void deal(struct mr_load *load)
{
	bool by_field = load->field != MR_ALIKE_IN_NOTHING;
	struct wanted *parts = mr_alloc((load->n_parts + 1) * sizeof *parts);
	size_t n = 0;
	MR_LIST_FOR (e, &load->parts)
		parts[n++] = (struct wanted){by_field ? mr_alike_value(part_of(e), load->kid) : NULL, part_of(e)};
	if (by_field)
		qsort(parts, n, sizeof *parts, by_value);
	for (size_t i = 0; i < load->rows.n; i++) {
		if (by_field)
			give_by_value(load, parts, n, load->rows.v[i]);
		else
			give_by_predicate(parts, n, load->rows.v[i]);
	}
	free(parts);
}

static void on_answer(void *arg, const struct mr_node *reply, struct mr_arena *arena, const struct mr_error *err)
{
	struct mr_load *load = arg;
	struct mr_error refused;
	bool too_large = false;
	const struct mr_node *error = mr_node_get(reply, "error"), *images = mr_node_get(reply, "rows");
	load->task = NULL;
	if (error) {
		mr_error_from_node(error, &refused);
		too_large = refused.code == MR_TOO_LARGE;
		err = &refused;
	}
	struct mr_str snapshot = mr_node_str(reply, "snapshot");
	bool whole =
		!err && snapshot.n && images && !load->rows.misfit && load->rows.n <= (size_t)load->clock->f->settings.instance_max_rows;
	struct mr_buf copy = {0};
	mr_buf_str(&copy, snapshot);
	if (whole)
		deal(load);
	/* Too much for one reading, say: each is told by its own. */
	tell_all(load, whole ? copy.p : NULL, whole || too_large ? NULL : err);
	mr_buf_fini(&copy);
}
