#include "instance_included.h"

#include "instance_make.h"
#include "proto/policy.h"

static const char FUNCTION[] = "_entity.included";

bool mr_included_is_asked(const struct mr_node *query)
{
	const struct mr_node *include = mr_node_get(query, "include");
	return include && include->kind != MR_NULL && !(include->kind == MR_MAP && !include->n);
}

/* --- what is to be included --- */

struct reading {
	struct mr_arena *arena;
	const struct mr_fanout *f;
	const struct mr_query *query;
	struct mr_buf *admits;
	int64_t n; /* references so far */
	struct mr_error *err;
};

static bool is_name(struct mr_str s)
{
	enum { NAME_MAX_BYTES = 63 };
	if (!s.n || s.n > NAME_MAX_BYTES || (s.p[0] >= '0' && s.p[0] <= '9'))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i], lower = (char)(c | 0x20);
		if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && c != '_')
			return false;
	}
	return true;
}

/* It stands beside the row's fields. One that clients do not know is not there, and is not betrayed. */
static bool check_name(const struct reading *r, const struct mr_entity *e, struct mr_str name)
{
	if (!is_name(name))
		return mr_fail(r->err, MR_BAD_FILTER, "include: a name has letters, digits and _ only, at most 63; \"%.*s\" is none.",
			(int)MR_MIN(name.n, 80), name.p);
	int f = mr_entity_field(e, name);
	if (f >= 0 && !e->fields[f].server_only)
		return mr_fail(
			r->err, MR_BAD_FILTER, "include: %s has a field named %.*s; give it another name.", e->name.p, (int)name.n, name.p);
	return true;
}

static const struct mr_field *find_field(const struct reading *r, const struct mr_entity *e, struct mr_str name)
{
	int f = mr_entity_field(e, name);
	if (f < 0 || e->fields[f].server_only) {
		mr_fail(r->err, MR_UNKNOWN_FIELD, "include: %s has no field \"%.*s\".", e->name.p, (int)MR_MIN(name.n, 80), name.p);
		return NULL;
	}
	if (!e->fields[f].references.n) {
		mr_fail(r->err, MR_BAD_FILTER, "include: %s.%s is not declared as a reference (field.id(\"Entity\")).", e->name.p,
			e->fields[f].name.p);
		return NULL;
	}
	return &e->fields[f];
}

static bool count(struct reading *r)
{
	int64_t most = r->f->settings.max_include;
	if (++r->n <= most)
		return true;
	return mr_fail_data(r->err, MR_BAD_FILTER, "{\"setting\":\"max_include\"}",
		"include: a query may include %lld references (max_include), those within each other counted.", (long long)most);
}

/* What of an entity this caller may read: under a policy that allows nothing, what is included is null. */
static bool add_policy(const struct reading *r, const struct mr_entity *e)
{
	const struct mr_pred *p = mr_policy_compile(r->arena, e, e->policy[MR_ACT_READ], r->query->auth, r->err);
	if (!p)
		return false;
	mr_buf_printf(r->admits, "|%s %016llx ", e->name.p, (unsigned long long)e->shape);
	mr_pred_print(r->admits, e, mr_pred_normal(r->arena, p));
	return true;
}

static bool read_include(struct reading *r, const struct mr_entity *e, const struct mr_node *include);

static bool read_reference(struct reading *r, const struct mr_entity *e, const struct mr_node *one)
{
	const struct mr_node *field = one->kind == MR_MAP ? mr_node_get(one, "field") : one, *more = mr_node_get(one, "include");
	if (!field || field->kind != MR_STRING)
		return mr_fail(r->err, MR_BAD_FILTER,
			"include: %.*s is to be the name of a field, or {\"field\": ..., \"include\": {...}}.", (int)one->key.n,
			one->key.p);
	for (size_t i = 0; one->kind == MR_MAP && i < one->n; i++)
		if (!mr_str_is(one->items[i].key, "field") && !mr_str_is(one->items[i].key, "include"))
			return mr_fail(r->err, MR_BAD_FILTER, "include: %.*s has \"%.*s\"; known: field, include.", (int)one->key.n,
				one->key.p, (int)MR_MIN(one->items[i].key.n, 80), one->items[i].key.p);
	const struct mr_field *f = find_field(r, e, field->text);
	const struct mr_entity *to = f ? mr_app_entity(r->f->app, f->references) : NULL;
	return to && add_policy(r, to) && (!more || more->kind == MR_NULL || read_include(r, to, more));
}

static bool read_include(struct reading *r, const struct mr_entity *e, const struct mr_node *include)
{
	if (include->kind != MR_MAP)
		return mr_fail(r->err, MR_BAD_FILTER, "include: expected { name: \"field\", ... }.");
	for (size_t i = 0; i < include->n; i++)
		if (!count(r) || !check_name(r, e, include->items[i].key) || !read_reference(r, e, &include->items[i]))
			return false;
	return true;
}

/* --- the function's arguments --- */

static void add_member(struct mr_buf *args, const struct mr_node *query, const char *name)
{
	const struct mr_node *node = mr_node_get(query, name);
	mr_buf_printf(args, ",\"%s\":", name);
	if (node)
		mr_json_canonical(args, node);
	else
		mr_buf_z(args, "null");
}

/* The filter goes as text: its operators are no values of the protocol. */
static void add_where(struct mr_buf *args, const struct mr_node *query)
{
	const struct mr_node *where = mr_node_get(query, "where");
	struct mr_buf text = {0};
	if (where && where->kind != MR_NULL)
		mr_json_canonical(&text, where);
	else
		mr_buf_z(&text, "{}");
	mr_buf_z(args, ",\"where\":");
	mr_json_quote(args, mr_buf_view(&text));
	mr_buf_fini(&text);
}

static void print_args(struct mr_included *in, const struct mr_node *query, int64_t limit, int64_t most)
{
	struct mr_buf *args = &in->args;
	mr_buf_z(args, "{\"entity\":");
	mr_json_quote(args, in->entity->name);
	add_where(args, query);
	add_member(args, query, "order");
	add_member(args, query, "include");
	if (limit >= 0)
		mr_buf_printf(args, ",\"limit\":%lld", (long long)limit);
	mr_buf_printf(args, ",\"most\":%lld}", (long long)most);
}

static bool read_rows(struct mr_arena *a, const struct mr_fanout *f, const struct mr_query *q, struct mr_included *in, struct mr_error *err)
{
	const struct mr_order *order;
	size_t n_order;
	int64_t limit, most = f->settings.instance_max_rows;
	if (!(in->entity = mr_query_entity(f, q, err)) || !mr_query_predicate(a, in->entity, q, err) ||
		!mr_order_read(a, in->entity, mr_node_get(q->node, "order"), true, &order, &n_order, err) ||
		!mr_limit_read(mr_node_get(q->node, "limit"), most, &limit, err))
		return false;
	print_args(in, q->node, limit, most);
	return true;
}

bool mr_included_read(const struct mr_fanout *f, const struct mr_query *q, struct mr_included *in, struct mr_error *err)
{
	struct mr_arena a = {0};
	struct reading r = {.arena = &a, .f = f, .query = q, .admits = &in->admits, .err = err};
	*in = (struct mr_included){.fn = mr_app_fn(f->app, MR_STR(FUNCTION))};
	bool ok = in->fn ||
		  mr_fail(err, MR_UNKNOWN_FUNCTION, "The app was built by a version of Millrace that knows no include; build it again.");
	ok = ok && read_rows(&a, f, q, in, err) && add_policy(&r, in->entity) &&
	     read_include(&r, in->entity, mr_node_get(q->node, "include"));
	mr_arena_fini(&a);
	return ok;
}

void mr_included_fini(struct mr_included *in)
{
	mr_buf_fini(&in->args);
	mr_buf_fini(&in->admits);
}
