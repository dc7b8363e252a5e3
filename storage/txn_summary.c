/* Summaries of entities: counts, sums, averages, bounds, of all rows of a plan or by group. */
#include <inttypes.h>

#include "proto/ground/log.h"
#include "sql.h"
#include "txn_private.h"

const char *const mr_measure_names[MR_MEASURES] = {[MR_MEASURE_COUNT] = "count",
	[MR_MEASURE_SUM] = "sum",
	[MR_MEASURE_AVG] = "avg",
	[MR_MEASURE_MIN] = "min",
	[MR_MEASURE_MAX] = "max"};

static bool is_number(enum mr_type t)
{
	return t == MR_T_INT || t == MR_T_BIGINT || t == MR_T_FLOAT || t == MR_T_NUMERIC;
}

bool mr_measure_fits(const struct mr_entity *e, enum mr_measure_fn fn, int field)
{
	enum mr_type t = field < 0 ? MR_T_INT : e->fields[field].type;
	switch (fn) {
	case MR_MEASURE_COUNT:
		return true;
	case MR_MEASURE_SUM:
	case MR_MEASURE_AVG:
		return is_number(t);
	case MR_MEASURE_MIN:
	case MR_MEASURE_MAX:
		return is_number(t) || t == MR_T_STRING || t == MR_T_DATETIME;
	}
	return false;
}

/* The type of what it gives. */
static enum mr_type type_of(const struct mr_entity *e, const struct mr_measure *m)
{
	if (m->fn == MR_MEASURE_COUNT)
		return MR_T_INT;
	enum mr_type t = e->fields[m->field].type;
	return m->fn == MR_MEASURE_AVG && t != MR_T_NUMERIC ? MR_T_FLOAT : t;
}

static void column(struct mr_buf *b, const struct mr_entity *e, int field)
{
	mr_sql_column(b, "r.", &e->fields[field]);
	if (e->fields[field].type == MR_T_STRING)
		mr_buf_z(b, " collate \"C\"");
}

static void measure(struct mr_buf *b, const struct mr_entity *e, const struct mr_measure *m)
{
	mr_buf_printf(b, "%s(", mr_measure_names[m->fn]);
	if (m->field < 0)
		mr_buf_char(b, '*');
	else
		column(b, e, m->field);
	/* A sum of whole numbers is a numeric in Postgres: what its field cannot hold is an error, as with increments. */
	mr_buf_printf(b, ")::%s", mr_sql_cast(type_of(e, m)));
}

static void write_summary(struct mr_op *op, const struct mr_plan *plan, const struct mr_summary *s)
{
	struct mr_buf *b = &op->sql;
	mr_buf_z(b, "select ");
	for (size_t i = 0; i < s->n_group; i++) {
		mr_buf_z(b, i ? ", " : "");
		column(b, plan->entity, s->group[i]);
	}
	for (size_t i = 0; i < s->n; i++) {
		mr_buf_z(b, i || s->n_group ? ", " : "");
		measure(b, plan->entity, &s->measures[i]);
	}
	mr_op_print_from(op, plan);
	for (size_t i = 0; i < s->n_group; i++)
		mr_buf_printf(b, "%s%zu", i ? ", " : " group by ", i + 1);
	for (size_t i = 0; i < s->n_order; i++)
		mr_buf_printf(b, "%s%zu %s", i ? ", " : " order by ", s->order[i].column + 1, s->order[i].desc ? "desc" : "asc");
	/* Groups that are told in no order come in that of their fields: the same rows give the same answer. */
	for (size_t i = 0; i < s->n_group; i++)
		mr_buf_printf(b, "%s%zu", i || s->n_order ? ", " : " order by ", i + 1);
	if (plan->limit >= 0)
		mr_buf_printf(b, " limit %" PRId64, plan->limit);
}

static bool encode_cell(struct mr_enc *enc, struct mr_arena *a, enum mr_type t, struct mr_str text)
{
	struct mr_value v;
	if (!text.p) {
		mr_enc_null(enc);
		return true;
	}
	if (!mr_value_from_pgtext(a, t, text, &v))
		return false;
	mr_value_encode(enc, &v);
	return true;
}

static bool encode_row(struct mr_enc *enc, struct mr_arena *a, const struct mr_op *op, const struct mr_pg_result *r)
{
	const struct mr_summary *s = op->summary;
	bool ok = true;
	mr_enc_map(enc, s->n_group + s->n);
	for (size_t i = 0; ok && i < s->n_group; i++) {
		mr_enc_key(enc, op->entity->fields[s->group[i]].name);
		ok = encode_cell(enc, a, op->entity->fields[s->group[i]].type, mr_pg_value(r, 0, (int)i));
	}
	for (size_t i = 0; ok && i < s->n; i++) {
		mr_enc_key(enc, s->measures[i].name);
		ok = encode_cell(enc, a, type_of(op->entity, &s->measures[i]), mr_pg_value(r, 0, (int)(s->n_group + i)));
	}
	mr_enc_end(enc);
	return ok;
}

static bool print_summary(struct mr_op *op, const struct mr_pg_result *r, struct mr_error *err)
{
	struct mr_op_rows *rows = &op->rows;
	if (!rows->n)
		mr_enc_init(&rows->enc, &rows->json, MR_JSON);
	return encode_row(&rows->enc, &rows->arena, op, r) ||
	       mr_fail(err, MR_SCHEMA_CHANGED, "A summary of %s is not of the types that the entity declares", op->entity->name.p);
}

static mr_fields fields_of(const struct mr_summary *s)
{
	mr_fields all = 0;
	for (size_t i = 0; i < s->n_group; i++)
		all |= mr_field_bit(s->group[i]);
	for (size_t i = 0; i < s->n; i++)
		all |= s->measures[i].field >= 0 ? mr_field_bit(s->measures[i].field) : 0;
	return all;
}

void mr_txn_summarize(struct mr_txn *txn, const struct mr_plan *plan, const struct mr_summary *summary, mr_txn_cb *cb, void *arg)
{
	struct mr_op *op = mr_op_new(txn, cb, arg);
	op->entity = plan->entity;
	op->summary = summary;
	op->only_reads = true;
	op->print = print_summary;
	write_summary(op, plan, summary);
	mr_op_send(op, 0, mr_is_keyed(plan->where), txn->capturing, mr_op_take_printed);
	mr_txn_add_plan(txn, plan, fields_of(summary));
}
