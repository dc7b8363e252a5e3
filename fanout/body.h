/* Bodies: what changed in one instance in one tick, encoded once for each encoding in use and shared by all who need it.
 */
#ifndef MR_BODY_H
#define MR_BODY_H

#include "proto/ground/list.h"
#include "rowset.h"
#include "wire.h"

struct mr_body {
	struct mr_list in_history;
	uint64_t n; /* tick */
	size_t bytes;
	struct mr_wire *wire[MR_ENCODINGS]; /* NULL: not encoded, nobody spoke it at the time */
};
struct mr_body *mr_body_new(uint64_t n);
void mr_body_delete(struct mr_body **b);

/* Entity queries: i is the instance's number, h its hash after. */
void mr_body_diff(struct mr_buf *out, enum mr_encoding encoding, uint64_t i, uint64_t h, const struct mr_diff *d);
void mr_body_rows(struct mr_buf *out, enum mr_encoding encoding, uint64_t i, uint64_t h, const struct mr_rowset *rs);
/* The same of rows that somebody holds; puts them in order. */
struct mr_rows_order {
	const struct mr_order *order;
	size_t n;
};
void mr_body_items(struct mr_buf *out, enum mr_encoding encoding, uint64_t i, uint64_t h, const struct mr_item **items, size_t n,
	struct mr_rows_order order);
/* Rows whole and ids gone, for a resume by touched keys. */
void mr_body_touched(struct mr_buf *out, enum mr_encoding encoding, uint64_t i, uint64_t h, const struct mr_item *const *put, size_t n_put,
	const struct mr_row *const *del, size_t n_del);
/* Function queries. */
enum { MR_RESULT_DEPTH = 4096 };
void mr_body_value(struct mr_buf *out, enum mr_encoding encoding, uint64_t i, uint64_t h, struct mr_str json);
void mr_body_error(struct mr_buf *out, enum mr_encoding encoding, uint64_t i, uint64_t h, const struct mr_error *err);
/* A new array as pieces of the old one and new elements; false when the whole value is no larger. Elements are compared by their source
 * text, from which the new ones are read: those of `was` and `is` need have no items (mr_json_outline). */
bool mr_body_segs(
	struct mr_buf *out, enum mr_encoding encoding, uint64_t i, uint64_t h, const struct mr_node *was, const struct mr_node *is);
void mr_body_behind(struct mr_buf *out, enum mr_encoding encoding, uint64_t i, bool behind);

/* An array of n pieces that are encoded already, with commas between them in JSON. */
void mr_enc_list(struct mr_enc *e, size_t n, struct mr_str pieces);
/* The same, for pieces that are put between later: writes what stands before and after them, and returns where that is. */
size_t mr_enc_list_around(struct mr_enc *e, size_t n);
void mr_enc_hash(struct mr_enc *e, uint64_t h);                  /* as 16 hex digits */
void mr_enc_error(struct mr_enc *e, const struct mr_error *err); /* as ErrorInfo */

#endif
