/* What a row is called outside of SQL: its id. That is the value of its one key column, in the column's own type; or, where the key has
 * several columns, text made of their values, a compact JSON list in the key's order (`["a",7]`). In paths and in what functions ask it
 * is always text: the one value as Postgres prints it, or that list.
 */
#ifndef MR_KEY_H
#define MR_KEY_H

#include "value.h"

/* The id as bytes, equal for equal ids of one entity and for no others. Points into the row. */
struct mr_str mr_row_key(const struct mr_row *row);
void mr_row_encode_id(struct mr_enc *e, const struct mr_row *row);
/* Makes v[0] of the values of the key, where it is made of several. */
void mr_key_make(struct mr_arena *a, const struct mr_entity *e, struct mr_value *v);
/* An id as text -> the values of the fields e->key, n_key of them. Refusals: bad_value. Text points into `text` or the arena. */
bool mr_key_read(struct mr_arena *a, const struct mr_entity *e, struct mr_str text, struct mr_value *values, struct mr_error *err);
/* Appends the names of the key's fields: `tenant and no`. */
void mr_key_names(struct mr_buf *b, const struct mr_entity *e);

#endif
