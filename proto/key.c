#include "key.h"

#include <inttypes.h>
#include <stdlib.h>

#include "ground/log.h"

enum { KEY_DEPTH = 2 };

static bool is_int(enum mr_type t)
{
	return t == MR_T_INT || t == MR_T_BIGINT;
}

struct mr_str mr_row_key(const struct mr_row *row)
{
	const struct mr_value *v = &row->v[0];
	switch (v->type) {
	case MR_T_UUID:
		return (struct mr_str){(const char *)v->uuid, sizeof v->uuid};
	case MR_T_INT:
	case MR_T_BIGINT:
	case MR_T_DATETIME:
		return (struct mr_str){(const char *)&v->i, sizeof v->i};
	case MR_T_BOOL:
		return (struct mr_str){(const char *)&v->truth, sizeof v->truth};
	default:
		return mr_str_solid(v->text);
	}
}

void mr_row_encode_id(struct mr_enc *e, const struct mr_row *row)
{
	mr_value_encode(e, &row->v[0]);
}

void mr_key_make(struct mr_arena *a, const struct mr_entity *e, struct mr_value *v)
{
	struct mr_buf list = {0}, text = {0};
	if (e->n_key == 1)
		return;
	for (size_t i = 0; i < e->n_key; i++) {
		const struct mr_value *part = &v[e->key[i]];
		mr_buf_char(&list, i ? ',' : '[');
		mr_buf_reset(&text);
		if (part->type == MR_T_BOOL)
			mr_buf_z(&list, part->truth ? "true" : "false");
		else if (is_int(part->type))
			mr_buf_printf(&list, "%" PRId64, part->i);
		else if (part->type == MR_T_DATETIME)
			mr_datetime_print(&text, part->i);
		else
			mr_value_pgtext(&text, part);
		if (text.n || (part->type != MR_T_BOOL && !is_int(part->type)))
			mr_json_quote(&list, mr_buf_view(&text));
	}
	mr_buf_char(&list, ']');
	v[0] = (struct mr_value){.type = MR_T_STRING, .text = mr_arena_str(a, mr_buf_view(&list))};
	mr_buf_fini(&list);
	mr_buf_fini(&text);
}

void mr_key_names(struct mr_buf *b, const struct mr_entity *e)
{
	for (size_t i = 0; i < e->n_key; i++) {
		mr_buf_z(b, i == 0 ? "" : i + 1 < e->n_key ? ", " : " and ");
		mr_buf_str(b, e->fields[e->key[i]].name);
	}
}

static bool unfit(const struct mr_entity *e, struct mr_error *err, const char *why)
{
	struct mr_buf names = {0};
	mr_key_names(&names, e);
	if (e->n_key == 1)
		mr_fail(err, MR_BAD_VALUE, "The id of a row of %s is %s %s: %s", e->name.p, e->fields[0].type == MR_T_INT ? "an" : "a",
			mr_type_name(e->fields[0].type), why);
	else
		mr_fail(err, MR_BAD_VALUE, "The id of a row of %s is a list of %s: %s", e->name.p, names.p, why);
	mr_buf_fini(&names);
	return false;
}

/* Numbers stand there as digits, true and false as these words, all else as it travels. */
static bool read_one(struct mr_arena *a, const struct mr_entity *e, struct mr_str text, struct mr_value *v, struct mr_error *err)
{
	enum mr_type type = e->fields[0].type;
	struct mr_error why;
	struct mr_node n = {.kind = MR_STRING, .text = text};
	const struct mr_node *given = &n;
	if (is_int(type) || type == MR_T_BOOL) {
		given = text.n && text.n < 64 ? mr_json_read(a, mr_arena_str(a, text), 1, false, &why) : NULL;
		if (!given || given->kind == MR_NULL)
			return unfit(e, err, "it is written otherwise");
	}
	return mr_value_from_node(a, type, given, v, &why) || unfit(e, err, why.message);
}

bool mr_key_read(struct mr_arena *a, const struct mr_entity *e, struct mr_str text, struct mr_value *values, struct mr_error *err)
{
	struct mr_error why;
	if (e->n_key == 1)
		return read_one(a, e, text, &values[0], err);
	const struct mr_node *list = text.n ? mr_json_read(a, mr_arena_str(a, text), KEY_DEPTH, false, &why) : NULL;
	if (!list || list->kind != MR_ARRAY || list->n != e->n_key)
		return unfit(e, err, "it is written as a JSON list of their values");
	for (size_t i = 0; i < e->n_key; i++) {
		if (!mr_value_from_node(a, e->fields[e->key[i]].type, &list->items[i], &values[i], &why))
			return unfit(e, err, why.message);
		if (values[i].null)
			return unfit(e, err, "null is part of no key");
	}
	return true;
}
