/* Function queries: shared runs, the split by identity, results and read sets. */
#include <stdlib.h>

#include "clock.h"
#include "instance_included.h"
#include "instance_make.h"
#include "proto/ground/log.h"
#include "work.h"

static const int64_t MOMENT_MOST_MS = INT64_C(86400000); /* then it is asked anew */

static void fn_key(struct mr_buf *key, const struct mr_fn *fn, struct mr_str args, struct mr_str auth)
{
	mr_buf_reset(key);
	mr_buf_printf(key, "F|%s|", fn->name.p);
	mr_buf_str(key, args);
	mr_buf_char(key, '|');
	mr_buf_str(key, auth.n ? auth : MR_STR("-"));
}

static const struct mr_fn *check_fn(const struct mr_fanout *f, const struct mr_query *q, struct mr_error *err)
{
	struct mr_str name = mr_node_str(q->node, "fn");
	const struct mr_fn *fn = mr_app_fn(f->app, name);
	if (!fn || fn->internal) {
		mr_fail(err, MR_UNKNOWN_FUNCTION, "No public function \"%.*s\" is loaded.", (int)MR_MIN(name.n, 120), name.p);
		return NULL;
	}
	if (fn->kind != MR_FN_QUERY) {
		mr_fail(err, MR_UNKNOWN_FUNCTION, "%s is not a query, so it cannot be watched; call it instead.", fn->name.p);
		return NULL;
	}
	if (fn->needs_user && !q->auth) {
		mr_fail(err, MR_UNAUTHENTICATED, "%s needs a signed-in caller.", fn->name.p);
		return NULL;
	}
	return fn;
}

/* A split that was found once is remembered: later clients get an instance of their own at once. */
static bool is_split(const struct mr_instances *all, struct mr_str key)
{
	return mr_map_get(&all->split, key) != NULL;
}

static void print_args(struct mr_buf *args, const struct mr_query *q)
{
	const struct mr_node *node = mr_node_get(q->node, "args");
	if (node && node->kind != MR_NULL)
		mr_json_canonical(args, node);
	else
		mr_buf_z(args, "{}");
}

static struct mr_instance *make_run(struct mr_instances *all, struct mr_str key, const struct mr_fn *fn, size_t more, void **room)
{
	struct mr_instance *inst = mr_instance_make(all, key, more, room);
	inst->run = mr_alloc(sizeof *inst->run);
	inst->run->fn = fn;
	return inst;
}

struct mr_instance *mr_instance_find_fn(struct mr_instances *all, const struct mr_query *q, struct mr_error *err)
{
	const struct mr_fn *fn = check_fn(all->f, q, err);
	if (!fn)
		return NULL;
	struct mr_buf args = {0}, key = {0};
	print_args(&args, q);
	fn_key(&key, fn, mr_buf_view(&args), (struct mr_str){0});
	struct mr_str auth = {0};
	if (is_split(all, mr_buf_view(&key))) {
		auth = q->auth ? q->auth_json : MR_STR("null");
		fn_key(&key, fn, mr_buf_view(&args), auth);
	}
	struct mr_instance *inst = mr_instance_by_key(all, mr_buf_view(&key));
	if (!inst) {
		inst = make_run(all, mr_buf_view(&key), fn, 0, NULL);
		size_t at = 2 + fn->name.n + 1;
		inst->run->args = mr_instance_part(inst, at, args.n);
		inst->run->auth = mr_instance_part(inst, at + args.n + 1, auth.n);
		mr_instance_dirty(inst, 1);
	}
	mr_buf_fini(&args);
	mr_buf_fini(&key);
	return inst;
}

/* Callers to whom the policies admit the same share it: it runs as the first of them. */
static struct mr_instance *make_included(struct mr_instances *all, struct mr_str key, const struct mr_included *in, struct mr_str auth)
{
	void *room;
	struct mr_instance *inst = make_run(all, key, in->fn, auth.n, &room);
	memcpy(room, auth.p, auth.n);
	inst->run->rows_of = in->entity;
	inst->run->args = mr_instance_part(inst, 2, in->args.n);
	inst->run->auth = (struct mr_str){room, auth.n};
	mr_instance_dirty(inst, 1);
	return inst;
}

struct mr_instance *mr_instance_find_included(struct mr_instances *all, const struct mr_query *q, struct mr_error *err)
{
	struct mr_included in;
	struct mr_buf key = {0};
	struct mr_instance *inst = NULL;
	if (mr_included_read(all->f, q, &in, err)) {
		mr_buf_z(&key, "I|");
		mr_buf_str(&key, mr_buf_view(&in.args));
		mr_buf_str(&key, mr_buf_view(&in.admits));
		inst = mr_instance_by_key(all, mr_buf_view(&key));
		if (!inst)
			inst = make_included(all, mr_buf_view(&key), &in, q->auth ? q->auth_json : MR_STR("null"));
	}
	mr_included_fini(&in);
	mr_buf_fini(&key);
	return inst;
}

void mr_instance_note_split(struct mr_instance *inst)
{
	struct mr_buf key = {0};
	fn_key(&key, inst->run->fn, inst->run->args, (struct mr_str){0});
	struct mr_str view = mr_buf_view(&key);
	if (is_split(inst->all, view)) {
		mr_buf_fini(&key);
		return;
	}
	char *kept = mr_buf_take(&key);
	mr_map_put(&inst->all->split, (struct mr_str){kept, view.n}, kept);
}

struct change_of_result {
	const struct mr_node *was, *is; /* outlines of arrays; NULL: all of it is told */
	struct mr_str json;
};

static void encode_result(struct mr_buf *out, enum mr_encoding encoding, struct mr_instance *inst, const void *arg)
{
	const struct change_of_result *c = arg;
	if (c->was && mr_body_segs(out, encoding, inst->number, inst->hash, c->was, c->is))
		return;
	mr_buf_reset(out);
	mr_body_value(out, encoding, inst->number, inst->hash, c->json);
}

/* Its elements by their text, if it is an array: of most there is no more to be known. */
static const struct mr_node *outline(struct mr_arena *a, struct mr_str json, struct mr_error *err)
{
	return mr_json_outline(a, json, 1, MR_RESULT_DEPTH, err);
}

void mr_instance_encode_result(struct mr_buf *out, enum mr_encoding encoding, struct mr_instance *inst)
{
	mr_body_value(out, encoding, inst->number, inst->hash, inst->run->result);
}

static void keep_result(struct mr_run *run, struct mr_str json)
{
	free((char *)run->result.p);
	run->result = (struct mr_str){mr_strndup(json.p, json.n), json.n};
}

/* Only the text is kept, for a tree is several times as large; no tree is made of it, but of what is told anew. */
void mr_instance_result(struct mr_instance *inst, uint64_t n, struct mr_str json)
{
	uint64_t hash = mr_hash_fixed(json.p, json.n, 3);
	struct mr_run *run = inst->run;
	bool first = !inst->ready;
	if (!first && !inst->failure && inst->hash == hash && mr_str_eq(run->result, json)) {
		inst->all->f->counter[MR_C_RERUNS_EQUAL_TOTAL]++;
		mr_instance_known(inst, n);
		return;
	}
	struct mr_arena a = {0};
	struct mr_error err;
	struct change_of_result c = {.is = outline(&a, json, &err), .json = json};
	if (!c.is) {
		mr_arena_fini(&a);
		mr_instance_fail(inst, n, &err);
		return;
	}
	if (!first && !inst->failure && c.is->kind == MR_ARRAY)
		c.was = outline(&a, run->result, &err);
	mr_instance_mend(inst);
	inst->hash = hash;
	mr_instance_known(inst, n);
	if (!first)
		mr_instance_add_body(inst, n, encode_result, &c);
	keep_result(run, json);
	mr_arena_fini(&a);
}

/* The predicate is given as a tree or as its text. */
static const struct mr_pred *read_pred(struct mr_arena *a, const struct mr_entity *e, const struct mr_node *given)
{
	static const struct mr_pred everything = {.op = MR_P_TRUE};
	struct mr_error err;
	struct mr_str text = given->kind == MR_STRING ? given->text : given->raw;
	const struct mr_node *node = given->kind == MR_NULL ? NULL : mr_json_read(a, text, 256, false, &err);
	const struct mr_pred *p = node ? mr_pred_read(a, e, node, &err) : NULL;
	/* What cannot be read makes the dependence coarser, never wrong. */
	return p ? p : &everything;
}

static void drop_reads(struct mr_instance *inst)
{
	struct mr_run *run = inst->run;
	for (size_t i = 0; i < run->n_reads; i++) {
		mr_matcher_remove(inst->all->index, &run->reads[i].watcher);
		mr_stakes_add(&inst->all->f->hub->stakes, run->reads[i].watcher.entity, -MR_STAKE_RUN);
	}
	free(run->reads);
	run->reads = NULL;
	run->n_reads = 0;
}

/* They go into memory that is just as large. */
static void keep_reads(struct mr_instance *inst, const struct mr_read *reads, size_t n)
{
	size_t bytes = n * sizeof *reads;
	for (size_t i = 0; i < n; i++)
		bytes += mr_pred_size(reads[i].watcher.pred);
	struct mr_read *kept = mr_alloc(bytes);
	char *room = (char *)(kept + n);
	for (size_t i = 0; i < n; i++) {
		struct mr_watcher *w = &kept[i].watcher;
		kept[i] = reads[i];
		w->pred = mr_pred_copy(room, w->pred);
		room += mr_pred_size(w->pred);
		mr_matcher_add(inst->all->index, w);
		mr_stakes_add(&inst->all->f->hub->stakes, w->entity, MR_STAKE_RUN);
	}
	inst->run->reads = kept;
	inst->run->n_reads = n;
}

static mr_fields read_fields(const struct mr_entity *e, const struct mr_node *names)
{
	mr_fields all = 0;
	if (!names || names->kind != MR_ARRAY)
		return MR_FIELDS_ALL;
	for (size_t i = 0; i < names->n; i++) {
		int field = mr_entity_field(e, names->items[i].text);
		all |= field < 0 ? MR_FIELDS_ALL : mr_field_bit(field);
	}
	return all;
}

/* Most functions look at the same each time: then all stays as it is. */
void mr_instance_reads(struct mr_instance *inst, const struct mr_node *reads)
{
	uint64_t hash = reads ? mr_hash(reads->raw.p, reads->raw.n) : 0;
	if (inst->run->n_reads && hash == inst->run->reads_hash)
		return;
	drop_reads(inst);
	inst->run->reads_hash = hash;
	struct mr_arena a = {0};
	size_t n = reads && reads->kind == MR_ARRAY ? reads->n : 0, known = 0;
	struct mr_read *kept = mr_arena_alloc(&a, n * sizeof *kept);
	for (size_t i = 0; i < n; i++) {
		const struct mr_node *one = &reads->items[i];
		if (one->kind != MR_ARRAY || one->n < 2)
			continue;
		const struct mr_entity *e = mr_app_entity(inst->app, one->items[0].text);
		if (!e)
			continue;
		kept[known].fields = read_fields(e, one->n > 2 ? &one->items[2] : NULL);
		kept[known++].watcher = (struct mr_watcher){.entity = e, .pred = read_pred(&a, e, &one->items[1]), .owner = inst};
	}
	if (known)
		keep_reads(inst, kept, known);
	mr_arena_fini(&a);
}

/* An update that changes nothing of what is declared changed something else, which the function may have read all the same. */
bool mr_read_sees(const struct mr_read *read, const struct mr_change *c)
{
	return read->fields == MR_FIELDS_ALL || !c->was.v || !c->is.v || mr_row_differs(&c->was, &c->is, read->fields) ||
	       !mr_row_differs(&c->was, &c->is, MR_FIELDS_ALL);
}

/* What is under way, or waits for the next tick, looks at a later clock anyway, and tells the next moment. */
static void on_moment(void *arg)
{
	struct mr_instance *inst = arg;
	if (inst->work || inst->dirty)
		return;
	inst->all->f->counter[MR_C_MOMENTS_TOTAL]++;
	mr_work_begin(inst);
}

void mr_instance_moment(struct mr_instance *inst, const struct mr_node *ms)
{
	struct mr_run *run = inst->run;
	int64_t at;
	if (run->moment)
		mr_timer_stop(run->moment);
	if (!mr_node_int(ms, &at))
		return;
	if (!run->moment)
		run->moment = mr_timer_new(inst->all->f->loop, on_moment, inst);
	int64_t left = at - mr_wall_us() / 1000;
	mr_timer_start(run->moment, MR_MIN(MR_MAX(left, 0), MOMENT_MOST_MS) * 1000);
}

void mr_instance_end_run(struct mr_instance *inst)
{
	drop_reads(inst);
	mr_timer_delete(&inst->run->moment);
	free((char *)inst->run->result.p);
	free(inst->run);
	inst->run = NULL;
}
