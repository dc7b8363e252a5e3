#include "schema.h"

#include <stdlib.h>

#include "ground/hash.h"
#include "ground/refs.h"
#include "predicate.h"
#include "routes.h"

enum { NAME_MAX_BYTES = 63, MANIFEST_DEPTH = 64, FIELDS_MAX = 1000, KEY_MAX = 8 };
enum { BY_ENTITY, BY_FN, BY_ROUTE, BY_KINDS };

static const struct {
	const char *name, *sql;
} types[MR_TYPES] = {
	[MR_T_BOOL] = {"bool", "boolean"},
	[MR_T_INT] = {"int", "bigint"},
	[MR_T_BIGINT] = {"bigint", "bigint"},
	[MR_T_FLOAT] = {"float", "double precision"},
	[MR_T_NUMERIC] = {"numeric", "numeric"},
	[MR_T_STRING] = {"string", "text"},
	[MR_T_UUID] = {"uuid", "uuid"},
	[MR_T_DATETIME] = {"datetime", "timestamp with time zone"},
	[MR_T_BYTES] = {"bytes", "bytea"},
	[MR_T_JSON] = {"json", "jsonb"},
};

const char *mr_type_name(enum mr_type t)
{
	return types[t].name;
}

const char *mr_type_sql(enum mr_type t)
{
	return types[t].sql;
}

/* Reading: `where` is the place in the manifest, for the sentence. */

struct reader {
	struct mr_app *app;
	struct mr_error *err;
};

static bool refuse(struct reader *r, struct mr_str where, const char *why)
{
	mr_fail(r->err, MR_BAD_VALUE, "The manifest is wrong at %.*s: %s.", (int)MR_MIN(where.n, 200), where.p, why);
	return false;
}

static struct mr_str place(struct reader *r, struct mr_str where, const char *what, struct mr_str name)
{
	return mr_arena_printf(&r->app->arena, "%.*s%s%s \"%.*s\"", (int)where.n, where.p ? where.p : "", where.n ? ", " : "", what,
		(int)MR_MIN(name.n, 80), name.p ? name.p : "");
}

static bool is_name(struct mr_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i], low = c | 0x20;
		if (!(c == '_' || (low >= 'a' && low <= 'z') || (i && c >= '0' && c <= '9')))
			return false;
	}
	return s.n > 0 && s.n <= NAME_MAX_BYTES;
}

/* "messages.send", also "admin/users.list": path of the module, dot, name; a module's default export has the module's name alone. */
static bool is_fn_name(struct mr_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i], low = c | 0x20;
		if (!(c == '_' || c == '.' || c == '/' || c == '-' || (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9')))
			return false;
	}
	return s.n > 0 && s.n <= 200;
}

/* A member that must be a string when it is there; *s keeps its default otherwise. */
static bool text_member(struct reader *r, struct mr_str where, const struct mr_node *n, const char *key, struct mr_str *s)
{
	const struct mr_node *m = mr_node_get(n, key);
	if (!m || m->kind == MR_NULL)
		return true;
	if (m->kind != MR_STRING)
		return refuse(r, where, mr_arena_printf(&r->app->arena, "\"%s\" must be a string", key).p);
	*s = mr_arena_str(&r->app->arena, m->text);
	return true;
}

static bool bool_member(struct reader *r, struct mr_str where, const struct mr_node *n, const char *key, bool *b)
{
	const struct mr_node *m = mr_node_get(n, key);
	if (!m || m->kind == MR_NULL)
		return true;
	if (m->kind != MR_BOOL)
		return refuse(r, where, mr_arena_printf(&r->app->arena, "\"%s\" must be true or false", key).p);
	*b = m->truth;
	return true;
}

/* A list that may be absent. */
static bool list_member(struct reader *r, struct mr_str where, const struct mr_node *n, const char *key, const struct mr_node **list)
{
	static const struct mr_node none = {.kind = MR_ARRAY};
	const struct mr_node *m = mr_node_get(n, key);
	*list = m && m->kind != MR_NULL ? m : &none;
	return (*list)->kind == MR_ARRAY || refuse(r, where, mr_arena_printf(&r->app->arena, "\"%s\" must be a list", key).p);
}

/* Fields */

static bool read_type(struct reader *r, struct mr_str where, struct mr_str name, enum mr_type *type)
{
	for (int t = 0; t < MR_TYPES; t++)
		if (mr_str_is(name, types[t].name)) {
			*type = (enum mr_type)t;
			return true;
		}
	return refuse(r, where, "\"type\" must be one of bool int bigint float numeric string uuid datetime bytes json");
}

static bool read_as(struct reader *r, struct mr_str where, struct mr_str as, struct mr_field *f)
{
	bool text = mr_str_is(as, "text"), utc = mr_str_is(as, "utc");
	f->as = text ? MR_AS_TEXT : utc ? MR_AS_UTC : MR_AS_ITSELF;
	return (text && f->type == MR_T_STRING) || (utc && f->type == MR_T_DATETIME) || !as.n ||
	       refuse(r, where, "\"as\" is \"text\" of strings or \"utc\" of datetimes");
}

static bool check_field(struct reader *r, struct mr_str where, const struct mr_field *f)
{
	struct mr_value v;
	struct mr_error inner;
	if (f->def && !mr_value_from_node(&r->app->arena, f->type, f->def, &v, &inner))
		return refuse(r, where, "the default does not fit the type");
	if (f->on_delete.n && !mr_str_is(f->on_delete, "restrict") && !mr_str_is(f->on_delete, "cascade") &&
		!mr_str_is(f->on_delete, "set null"))
		return refuse(r, where, "\"onDelete\" must be \"restrict\", \"cascade\" or \"set null\"");
	if (mr_str_is(f->on_delete, "set null") && !f->optional)
		return refuse(r, where, "onDelete \"set null\" needs an optional field");
	if (f->default_now && f->type != MR_T_DATETIME)
		return refuse(r, where, "\"defaultNow\" is for datetimes");
	if (f->owner && f->type != MR_T_STRING && f->type != MR_T_UUID)
		return refuse(r, where, "\"owner\" is for strings and uuids");
	return true;
}

static bool read_field(struct reader *r, struct mr_str where, const struct mr_node *n, struct mr_field *f)
{
	struct mr_str type = {0}, as = {0};
	if (n->kind != MR_MAP || !text_member(r, where, n, "name", &f->name))
		return n->kind == MR_MAP ? false : refuse(r, where, "a field must be a map");
	where = place(r, where, "field", f->name);
	if (!is_name(f->name))
		return refuse(r, where, "a name is a letter or _, then letters, digits and _, at most 63");
	f->column = f->name;
	bool ok = text_member(r, where, n, "type", &type) && read_type(r, where, type, &f->type) && text_member(r, where, n, "as", &as) &&
		  read_as(r, where, as, f) && text_member(r, where, n, "column", &f->column) &&
		  bool_member(r, where, n, "generated", &f->generated) && text_member(r, where, n, "references", &f->references) &&
		  text_member(r, where, n, "onDelete", &f->on_delete) && bool_member(r, where, n, "optional", &f->optional) &&
		  bool_member(r, where, n, "unique", &f->unique) && bool_member(r, where, n, "serverOnly", &f->server_only) &&
		  bool_member(r, where, n, "readonly", &f->readonly) && bool_member(r, where, n, "owner", &f->owner) &&
		  bool_member(r, where, n, "defaultNow", &f->default_now) && bool_member(r, where, n, "checked", &f->checked);
	if (!ok)
		return false;
	if (f->references.n && !f->on_delete.n)
		f->on_delete = MR_STR("restrict");
	if (!f->column.n || f->column.n > NAME_MAX_BYTES)
		return refuse(r, where, "\"column\" has 1 to 63 bytes");
	f->def = mr_node_get(n, "default");
	return check_field(r, where, f);
}

/* Keys */

/* What a row can be named by: of floats and bytes there is no text that people would put into a URL, and JSON has no one form. */
static bool may_be_key(enum mr_type t)
{
	return t != MR_T_FLOAT && t != MR_T_BYTES && t != MR_T_JSON;
}

static bool read_key_field(struct reader *r, struct mr_str where, struct mr_entity *e, struct mr_field *fields, struct mr_str name, int *at)
{
	where = place(r, where, "the key", name);
	*at = mr_entity_field(e, name);
	if (*at < 0)
		return refuse(r, where, "there is no such field");
	struct mr_field *f = &fields[*at];
	if (!may_be_key(f->type) || f->as)
		return refuse(r, where, "a key is made of bool, int, bigint, numeric, string, uuid and datetime");
	if (f->optional || f->server_only || f->key)
		return refuse(r, where, "a field of the key is required, is seen by clients, and is named once");
	f->key = f->readonly = true;
	return true;
}

/* An adopted table's: fields[0] stands for its one column, or for all of them. */
static bool read_key(
	struct reader *r, struct mr_str where, const struct mr_node *n, struct mr_entity *e, struct mr_field *fields, bool has_id)
{
	const struct mr_node *list;
	if (!has_id)
		fields[0].name = MR_STR("");
	if (!list_member(r, where, n, "key", &list))
		return false;
	if (!list->n || list->n > KEY_MAX)
		return refuse(r, where, "\"key\" names 1 to 8 fields");
	int *key = mr_arena_alloc(&r->app->arena, list->n * sizeof(*key));
	for (size_t i = 0; i < list->n; i++)
		if (!read_key_field(r, where, e, fields, list->items[i].kind == MR_STRING ? list->items[i].text : MR_STR(""), &key[i]))
			return false;
	if (has_id && (list->n > 1 || key[0]))
		return refuse(r, where, "a field named id is the whole key; give the column id another name, by \"column\"");
	if (list->n == 1) {
		fields[key[0]].unique = true;
		fields[0] = fields[key[0]];
		key[0] = 0;
	} else {
		fields[0] = (struct mr_field){.type = MR_T_STRING, .column = MR_STR("")};
	}
	fields[0].name = MR_STR("id");
	fields[0].unique = fields[0].readonly = true;
	fields[0].references = fields[0].on_delete = (struct mr_str){0};
	e->key = key;
	e->n_key = list->n;
	return true;
}

static bool read_fields(struct reader *r, struct mr_str where, const struct mr_node *n, struct mr_entity *e)
{
	static const int own_key[] = {0};
	const struct mr_node *list;
	if (!list_member(r, where, n, "fields", &list))
		return false;
	if (list->n > FIELDS_MAX)
		return refuse(r, where, "it has more than 1000 fields");
	struct mr_field *fields = mr_arena_alloc(&r->app->arena, (list->n + 1) * sizeof(*fields));
	fields[0] = (struct mr_field){.name = MR_STR("id"), .column = MR_STR("id"), .type = MR_T_UUID, .unique = true, .readonly = true};
	e->fields = fields;
	e->n = 1;
	e->key = own_key;
	e->n_key = 1;
	bool has_id = false;
	for (size_t i = 0; i < list->n; i++) {
		struct mr_field f = {0};
		if (!read_field(r, where, &list->items[i], &f))
			return false;
		bool is_id = e->adopted && !has_id && mr_str_is(f.name, "id");
		if (!is_id && mr_entity_field(e, f.name) >= 0)
			return refuse(
				r, place(r, where, "field", f.name), mr_str_is(f.name, "id") ? "id is implied" : "the name occurs twice");
		has_id |= is_id;
		fields[is_id ? 0 : e->n++] = f;
	}
	return !e->adopted || read_key(r, where, n, e, fields, has_id);
}

/* Indexes */

/* A filter, as functions write them; *pred stays NULL when there is none. */
static bool read_rows(
	struct reader *r, struct mr_str where, const struct mr_node *n, const struct mr_entity *e, const struct mr_pred **pred)
{
	struct mr_error inner;
	if (!n || n->kind == MR_NULL)
		return true;
	*pred = mr_pred_from_where(&r->app->arena, e, n, false, &inner);
	return *pred || refuse(r, where, mr_arena_printf(&r->app->arena, "its filter cannot be read: %s", inner.message).p);
}

static bool read_index(struct reader *r, struct mr_str where, const struct mr_node *n, const struct mr_entity *e, struct mr_index *index)
{
	const struct mr_node *list;
	if (!text_member(r, where, n, "name", &index->name))
		return false;
	where = place(r, where, "index", index->name);
	if (!is_name(index->name))
		return refuse(r, where, "a name is a letter or _, then letters, digits and _, at most 63");
	if (!bool_member(r, where, n, "unique", &index->unique) || !list_member(r, where, n, "fields", &list))
		return false;
	if (!list->n || list->n > 32)
		return refuse(r, where, "an index has 1 to 32 fields");
	int *fields = mr_arena_alloc(&r->app->arena, list->n * sizeof(*fields));
	for (size_t i = 0; i < list->n; i++) {
		fields[i] = list->items[i].kind == MR_STRING ? mr_entity_field(e, list->items[i].text) : -1;
		if (fields[i] < 0 || mr_field_computed(&e->fields[fields[i]]))
			return refuse(r, where, "it names a field that the entity does not have");
	}
	index->fields = fields;
	index->n = list->n;
	return read_rows(r, where, mr_node_get(n, "where"), e, &index->where);
}

static bool read_indexes(struct reader *r, struct mr_str where, const struct mr_node *n, struct mr_entity *e)
{
	const struct mr_node *list;
	if (!list_member(r, where, n, "indexes", &list))
		return false;
	struct mr_index *indexes = mr_arena_alloc(&r->app->arena, list->n * sizeof(*indexes));
	for (size_t i = 0; i < list->n; i++) {
		if (!read_index(r, where, &list->items[i], e, &indexes[i]))
			return false;
		for (size_t j = 0; j < i; j++)
			if (mr_str_eq(indexes[i].name, indexes[j].name))
				return refuse(r, place(r, where, "index", indexes[i].name), "the name occurs twice");
	}
	e->indexes = indexes;
	e->n_indexes = list->n;
	return true;
}

/* Checks */

static bool length_member(struct reader *r, struct mr_str where, const struct mr_node *n, const char *key, int64_t *length)
{
	const struct mr_node *m = mr_node_get(n, key);
	*length = -1;
	return !m || (mr_node_int(m, length) && *length >= 0) ||
	       refuse(r, where, mr_arena_printf(&r->app->arena, "\"%s\" must be a whole number", key).p);
}

/* A field's values, min and max as a filter. */
static const struct mr_node *rules_of(struct mr_arena *a, const struct mr_node *n, struct mr_str field)
{
	static const char *const rules[][2] = {{"values", "$in"}, {"min", "$gte"}, {"max", "$lte"}};
	struct mr_node *terms = mr_arena_alloc(a, MR_COUNT(rules) * sizeof *terms), *where = mr_arena_alloc(a, 2 * sizeof *where);
	where[0] = (struct mr_node){.kind = MR_MAP, .items = &where[1], .n = 1};
	where[1] = (struct mr_node){.kind = MR_MAP, .key = field, .items = terms};
	for (size_t i = 0; i < MR_COUNT(rules); i++) {
		const struct mr_node *rule = mr_node_get(n, rules[i][0]);
		if (!rule || rule->kind == MR_NULL)
			continue;
		terms[where[1].n] = *rule;
		terms[where[1].n++].key = mr_str(rules[i][1]);
	}
	return where[1].n ? where : NULL;
}

static bool read_rules(
	struct reader *r, struct mr_str where, const struct mr_node *n, const struct mr_entity *e, int field, struct mr_check *c)
{
	const struct mr_field *f = &e->fields[field];
	where = place(r, where, "field", f->name);
	*c = (struct mr_check){.name = f->name, .field = field};
	if (!length_member(r, where, n, "minLength", &c->min_length) || !length_member(r, where, n, "maxLength", &c->max_length) ||
		!read_rows(r, where, rules_of(&r->app->arena, n, f->name), e, &c->pred))
		return false;
	return (c->min_length < 0 && c->max_length < 0) || f->type == MR_T_STRING || f->type == MR_T_BYTES ||
	       refuse(r, where, "only strings and bytes have a length");
}

static bool read_check(struct reader *r, struct mr_str where, const struct mr_node *n, const struct mr_entity *e, struct mr_check *c)
{
	*c = (struct mr_check){.field = -1, .min_length = -1, .max_length = -1};
	if (!text_member(r, where, n, "name", &c->name))
		return false;
	where = place(r, where, "check", c->name);
	if (!is_name(c->name))
		return refuse(r, where, "a name is a letter or _, then letters, digits and _, at most 63");
	return read_rows(r, where, mr_node_get(n, "where"), e, &c->pred) && (c->pred || refuse(r, where, "it has no filter"));
}

static bool read_checks(struct reader *r, struct mr_str where, const struct mr_node *n, struct mr_entity *e)
{
	const struct mr_node *list, *fields = mr_node_get(n, "fields");
	if (!list_member(r, where, n, "checks", &list))
		return false;
	struct mr_check *checks = mr_arena_alloc(&r->app->arena, (e->n + list->n) * sizeof *checks);
	e->checks = checks;
	for (size_t i = 0; fields && i < fields->n; i++) {
		struct mr_check *c = &checks[e->n_checks];
		if (!read_rules(r, where, &fields->items[i], e, mr_entity_field(e, mr_node_str(&fields->items[i], "name")), c))
			return false;
		e->n_checks += c->pred || c->min_length >= 0 || c->max_length >= 0;
	}
	for (size_t i = 0; i < list->n; i++) {
		struct mr_check *c = &checks[e->n_checks];
		if (!read_check(r, where, &list->items[i], e, c))
			return false;
		for (size_t k = 0; k < e->n_checks; k++)
			if (mr_str_eq(checks[k].name, c->name))
				return refuse(
					r, place(r, where, "check", c->name), "the name occurs twice, or is that of a field with rules");
		e->n_checks++;
	}
	return true;
}

/* Entities */

/* What clients see of the entity, and by what rows are named; every piece is delimited, so that no two shapes run together. */
static uint64_t shape_of(const struct mr_entity *e)
{
	struct mr_buf b = {0};
	mr_json_quote(&b, e->name);
	for (size_t i = 0; i < e->n; i++) {
		mr_json_quote(&b, e->fields[i].name);
		mr_buf_printf(&b, "%s%s", types[e->fields[i].type].name, e->fields[i].server_only ? " server" : "");
	}
	for (size_t i = 0; e->adopted && i < e->n_key; i++)
		mr_json_quote(&b, e->fields[e->key[i]].column);
	uint64_t h = mr_hash_fixed(b.p, b.n, 0);
	mr_buf_fini(&b);
	return h;
}

static bool read_entity(struct reader *r, const struct mr_node *n, struct mr_entity *e)
{
	struct mr_str where = {0};
	if (!text_member(r, MR_STR("entities"), n, "name", &e->name))
		return false;
	where = place(r, where, "entity", e->name);
	if (!is_name(e->name))
		return refuse(r, where, "a name is a letter or _, then letters, digits and _, at most 63");
	e->schema = MR_STR("public");
	e->table = e->name;
	if (!text_member(r, where, n, "schema", &e->schema) || !text_member(r, where, n, "table", &e->table))
		return false;
	if (!e->schema.n || e->schema.n > NAME_MAX_BYTES || !e->table.n || e->table.n > NAME_MAX_BYTES)
		return refuse(r, where, "\"schema\" and \"table\" have 1 to 63 bytes");
	e->adopted = mr_node_get(n, "key") != NULL;
	if (!read_fields(r, where, n, e) || !read_indexes(r, where, n, e) || !read_checks(r, where, n, e))
		return false;
	e->shape = shape_of(e);
	return true;
}

static bool table_twice(const struct mr_app *app, const struct mr_entity *e)
{
	for (size_t i = 0; i < app->n_entities; i++)
		if (mr_str_eq(app->entities[i].schema, e->schema) && mr_str_eq(app->entities[i].table, e->table))
			return true;
	return false;
}

static bool read_entities(struct reader *r, const struct mr_node *root)
{
	struct mr_app *app = r->app;
	const struct mr_node *list;
	if (!list_member(r, MR_STR("the top"), root, "entities", &list))
		return false;
	app->entities = mr_arena_alloc(&app->arena, list->n * sizeof(*app->entities));
	for (size_t i = 0; i < list->n; i++) {
		struct mr_entity *e = &app->entities[i];
		e->number = (int)i;
		e->app = app;
		if (!read_entity(r, &list->items[i], e))
			return false;
		struct mr_str where = place(r, (struct mr_str){0}, "entity", e->name);
		if (mr_map_put(&app->by_name[BY_ENTITY], e->name, e))
			return refuse(r, where, "the name occurs twice");
		if (table_twice(app, e))
			return refuse(r, where, "another entity has the same table");
		app->n_entities++;
	}
	return true;
}

static bool check_reference(struct reader *r, const struct mr_entity *e, const struct mr_field *f)
{
	const struct mr_entity *to = mr_app_entity(r->app, f->references);
	struct mr_str where = place(r, place(r, (struct mr_str){0}, "entity", e->name), "field", f->name);
	if (!to)
		return refuse(r, where, "it refers to an entity that is not declared");
	if (to->n_key > 1)
		return refuse(r, where, "it refers to an entity whose key is made of several fields");
	return mr_types_compare(f->type, to->fields[0].type) ||
	       refuse(r, where, "it is of another type than the key of the entity that it refers to");
}

static bool check_references(struct reader *r)
{
	for (size_t i = 0; i < r->app->n_entities; i++) {
		const struct mr_entity *e = &r->app->entities[i];
		for (size_t f = 0; f < e->n; f++)
			if (e->fields[f].references.n && !check_reference(r, e, &e->fields[f]))
				return false;
	}
	return true;
}

/* Policies */

const char *const mr_act_names[MR_ACTS] = {"read", "insert", "update", "delete"};

static bool add_policy(struct reader *r, struct mr_str where, const struct mr_node *n, const char *act, struct mr_str *policy)
{
	const struct mr_node *m = mr_node_get(n, act);
	struct mr_str text;
	if (!m || m->kind == MR_NULL)
		return true;
	if (m->kind == MR_STRING && m->text.n)
		text = m->text;
	else if (m->kind == MR_BOOL)
		text = m->truth ? MR_STR("true") : MR_STR("false");
	else
		return refuse(r, where, mr_arena_printf(&r->app->arena, "\"%s\" must be an expression", act).p);
	if (policy->n)
		*policy = mr_arena_printf(&r->app->arena, "(%s) && (%.*s)", policy->p, (int)text.n, text.p);
	else
		*policy = mr_arena_str(&r->app->arena, text);
	return true;
}

static bool read_policies(struct reader *r, const struct mr_node *root)
{
	const struct mr_node *list;
	if (!list_member(r, MR_STR("the top"), root, "policies", &list))
		return false;
	for (size_t i = 0; i < list->n; i++) {
		const struct mr_node *n = &list->items[i];
		struct mr_str name = mr_node_str(n, "entity");
		struct mr_str where = place(r, (struct mr_str){0}, "the policy of", name);
		struct mr_entity *e = name.p ? mr_map_get(&r->app->by_name[BY_ENTITY], name) : NULL;
		if (!e)
			return refuse(r, where, "there is no such entity");
		for (int act = 0; act < MR_ACTS; act++)
			if (!add_policy(r, where, n, mr_act_names[act], &e->policy[act]))
				return false;
	}
	return true;
}

/* Functions */

static bool read_isolation(struct reader *r, struct mr_str where, const struct mr_node *n, struct mr_fn *fn)
{
	fn->isolation = fn->kind == MR_FN_MUTATION ? MR_STR("serializable") : MR_STR("repeatable read");
	if (!text_member(r, where, n, "isolation", &fn->isolation))
		return false;
	return mr_str_is(fn->isolation, "serializable") || mr_str_is(fn->isolation, "repeatable read") ||
	       mr_str_is(fn->isolation, "read committed") ||
	       refuse(r, where, "\"isolation\" must be \"serializable\", \"repeatable read\" or \"read committed\"");
}

static bool read_fn(struct reader *r, const struct mr_node *n, struct mr_fn *fn)
{
	struct mr_str where = MR_STR("functions"), kind = {0}, auth = MR_STR("user");
	if (!text_member(r, where, n, "name", &fn->name))
		return false;
	where = place(r, (struct mr_str){0}, "function", fn->name);
	if (!is_fn_name(fn->name))
		return refuse(r, where, "a function's name is <module>.<name>, or <module> for a default export");
	if (!text_member(r, where, n, "kind", &kind) || !text_member(r, where, n, "auth", &auth) ||
		!bool_member(r, where, n, "internal", &fn->internal) || !bool_member(r, where, n, "cancel", &fn->cancel))
		return false;
	if (!mr_str_is(kind, "query") && !mr_str_is(kind, "mutation") && !mr_str_is(kind, "action"))
		return refuse(r, where, "\"kind\" must be query, mutation or action");
	if (!mr_str_is(auth, "user") && !mr_str_is(auth, "public"))
		return refuse(r, where, "\"auth\" must be user or public");
	fn->kind = kind.p[0] == 'q' ? MR_FN_QUERY : kind.p[0] == 'm' ? MR_FN_MUTATION : MR_FN_ACTION;
	fn->needs_user = mr_str_is(auth, "user");
	return read_isolation(r, where, n, fn);
}

static bool read_fns(struct reader *r, const struct mr_node *root)
{
	struct mr_app *app = r->app;
	const struct mr_node *list;
	if (!list_member(r, MR_STR("the top"), root, "functions", &list))
		return false;
	app->fns = mr_arena_alloc(&app->arena, list->n * sizeof(*app->fns));
	for (size_t i = 0; i < list->n; i++) {
		struct mr_fn *fn = &app->fns[i];
		if (!read_fn(r, &list->items[i], fn))
			return false;
		if (mr_map_put(&app->by_name[BY_FN], fn->name, fn))
			return refuse(r, place(r, (struct mr_str){0}, "function", fn->name), "the name occurs twice");
		app->n_fns++;
	}
	return true;
}

static bool read_routes(struct reader *r, const struct mr_node *root)
{
	struct mr_app *app = r->app;
	if (!mr_app_read_routes(app, mr_node_get(root, "routes"), r->err))
		return false;
	for (size_t i = 0; i < app->n_routes; i++)
		mr_map_put(&app->by_name[BY_ROUTE], app->routes[i].fn.name, &app->routes[i]);
	return true;
}

static bool read_crons(struct reader *r, const struct mr_node *root)
{
	const struct mr_node *crons = mr_node_get(root, "crons");
	if (crons && crons->kind != MR_ARRAY)
		return refuse(r, MR_STR("the top"), "\"crons\" must be a list");
	if (crons)
		r->app->crons = mr_arena_str(&r->app->arena, crons->raw);
	return true;
}

/* Life */

static bool read_app(struct reader *r, struct mr_str json)
{
	const struct mr_node *root = mr_json_read(&r->app->arena, mr_arena_str(&r->app->arena, json), MANIFEST_DEPTH, false, r->err);
	if (!root) {
		r->err->code = MR_BAD_VALUE;
		return false;
	}
	if (root->kind != MR_MAP)
		return refuse(r, MR_STR("the top"), "it must be a map");
	r->app->version = MR_STR("");
	return text_member(r, MR_STR("the top"), root, "version", &r->app->version) && read_entities(r, root) && check_references(r) &&
	       read_policies(r, root) && read_fns(r, root) && read_routes(r, root) && read_crons(r, root);
}

struct mr_app *mr_app_read(struct mr_str json, struct mr_error *err)
{
	struct mr_app *app = mr_alloc(sizeof(*app));
	app->refs = 1;
	app->by_name = mr_alloc(BY_KINDS * sizeof(*app->by_name));
	struct reader r = {app, err};
	if (!read_app(&r, json))
		mr_app_drop(&app);
	return app;
}

struct mr_app *mr_app_hold(struct mr_app *app)
{
	mr_refs_hold(&app->refs);
	return app;
}

void mr_app_drop(struct mr_app **a)
{
	struct mr_app *app = *a;
	*a = NULL;
	if (!app || !mr_refs_drop(&app->refs))
		return;
	for (int i = 0; i < BY_KINDS; i++)
		mr_map_fini(&app->by_name[i]);
	free(app->by_name);
	mr_arena_fini(&app->arena);
	free(app);
}

const struct mr_entity *mr_app_entity(const struct mr_app *app, struct mr_str name)
{
	return mr_map_get(&app->by_name[BY_ENTITY], name);
}

const struct mr_fn *mr_app_fn(const struct mr_app *app, struct mr_str name)
{
	return mr_map_get(&app->by_name[BY_FN], name);
}

const struct mr_route *mr_app_route(const struct mr_app *app, struct mr_str name)
{
	return mr_map_get(&app->by_name[BY_ROUTE], name);
}

int mr_entity_column(const struct mr_entity *e, struct mr_str column)
{
	/* The column of a key is `id` too: here it goes by the other name. */
	for (size_t i = e->n; i-- > 0;)
		if (mr_str_eq(e->fields[i].column, column))
			return (int)i;
	return -1;
}

int mr_entity_field(const struct mr_entity *e, struct mr_str name)
{
	for (size_t i = 0; i < e->n; i++)
		if (mr_str_eq(e->fields[i].name, name))
			return (int)i;
	return -1;
}
