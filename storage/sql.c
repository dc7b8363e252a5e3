/* Quoting and names of types. */
#include "sql.h"

#include <inttypes.h>

#include "proto/ground/hash.h"

/* The longest name that Postgres keeps. */
enum { NAME_BYTES = 63 };

static void quoted(struct mr_buf *b, struct mr_str text, char quote)
{
	mr_buf_char(b, quote);
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == quote)
			mr_buf_char(b, quote);
		mr_buf_char(b, text.p[i]);
	}
	mr_buf_char(b, quote);
}

void mr_sql_ident(struct mr_buf *b, struct mr_str name)
{
	quoted(b, name, '"');
}

void mr_sql_table(struct mr_buf *b, const struct mr_entity *e)
{
	mr_sql_ident(b, e->schema);
	mr_buf_char(b, '.');
	mr_sql_ident(b, e->table);
}

void mr_sql_column(struct mr_buf *b, const char *alias, const struct mr_field *f)
{
	static const char *const around[][2] = {
		[MR_AS_ITSELF] = {"", ""}, [MR_AS_TEXT] = {"(", ")::text"}, [MR_AS_UTC] = {"(", " at time zone 'UTC')"}};
	mr_buf_printf(b, "%s%s", around[f->as][0], alias);
	mr_sql_ident(b, f->column);
	mr_buf_z(b, around[f->as][1]);
}

void mr_sql_key_name(struct mr_buf *b, const struct mr_entity *e, struct mr_str what, const char *suffix)
{
	mr_buf_printf(b, "%.*s_%.*s%s", (int)e->table.n, e->table.p, (int)what.n, what.p, suffix);
	if (b->n <= NAME_BYTES)
		return;
	uint64_t hash = mr_hash_fixed(b->p, b->n, 0);
	b->n = NAME_BYTES - 9;
	while (((uint8_t)b->p[b->n] & 0xc0) == 0x80)
		b->n--;
	b->p[b->n] = 0;
	mr_buf_printf(b, "_%08" PRIx32, (uint32_t)hash);
}

void mr_sql_literal(struct mr_buf *b, struct mr_str text)
{
	if (!text.n || !memchr(text.p, '\\', text.n)) {
		quoted(b, text, '\'');
		return;
	}
	/* With backslashes only the E form means the same under every setting. */
	mr_buf_z(b, "E'");
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\'' || text.p[i] == '\\')
			mr_buf_char(b, text.p[i]);
		mr_buf_char(b, text.p[i]);
	}
	mr_buf_char(b, '\'');
}

void mr_sql_item(struct mr_buf *b, struct mr_str text)
{
	mr_buf_char(b, '"');
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '"' || text.p[i] == '\\')
			mr_buf_char(b, '\\');
		mr_buf_char(b, text.p[i]);
	}
	mr_buf_char(b, '"');
}

const char *mr_sql_cast(enum mr_type t)
{
	static const char *const names[MR_TYPES] = {
		[MR_T_BOOL] = "boolean",
		[MR_T_INT] = "bigint",
		[MR_T_BIGINT] = "bigint",
		[MR_T_FLOAT] = "double precision",
		[MR_T_NUMERIC] = "numeric",
		[MR_T_STRING] = "text",
		[MR_T_UUID] = "uuid",
		[MR_T_DATETIME] = "timestamptz",
		[MR_T_BYTES] = "bytea",
		[MR_T_JSON] = "jsonb",
	};
	return names[t];
}
