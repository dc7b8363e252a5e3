/* SQL text: embedded files, quoting, names of types. Values of people go into statements as parameters; literals are for plans only,
 * which are read by people before they are run.
 */
#ifndef MR_SQL_H
#define MR_SQL_H

#include "proto/value.h"

/* storage/sql/ *.sql, embedded by the build and run one after the other; the version row in millrace.sql is MR_SCHEMA_VERSION. */
extern const char mr_sql_millrace[], mr_sql_scheduler[], mr_sql_crons[], mr_sql_sessions[];
enum { MR_SCHEMA_VERSION = 5 };

void mr_sql_ident(struct mr_buf *b, struct mr_str name);        /* "name" */
void mr_sql_table(struct mr_buf *b, const struct mr_entity *e); /* "schema"."table" */
/* The column as a value of the field's type, so that it compares as everywhere; alias: "r.", or "". */
void mr_sql_column(struct mr_buf *b, const char *alias, const struct mr_field *f);
/* "Table_what" and suffix, as constraints and indexes are named: cut to what Postgres keeps; a cut name ends with a hash of the whole. */
void mr_sql_key_name(struct mr_buf *b, const struct mr_entity *e, struct mr_str what, const char *suffix);
void mr_sql_literal(struct mr_buf *b, struct mr_str text); /* 'text', whatever standard_conforming_strings says */
void mr_sql_item(struct mr_buf *b, struct mr_str text);    /* "text", as an item of an array's text */
const char *mr_sql_cast(enum mr_type t);                   /* the type of parameters and literals */

#endif
