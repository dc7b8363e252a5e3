/* Quoting and names of types. */
#include "sql.h"

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
