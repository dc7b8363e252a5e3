/* Bodies: what changed in one instance in one tick, encoded once for each encoding in use and shared by all who need it.
 */
#ifndef MR_BODY_H
#define MR_BODY_H

#include "fanout.h"
#include "proto/ground/list.h"
#include "rowset.h"

/* What a body's text in one encoding became on its way out, each made when first needed and once for all. Zero-initialise it. */
struct mr_wire {
	bool tried, pays;           /* whether it was deflated, and that made it smaller */
	struct mr_buf packed;       /* deflated, a piece of a message (deflate.h) */
	struct mr_frame *middle[2]; /* long ones: as fragments in the middle of a message; plain, deflated */
	/* The transition that holds this body alone: plain or deflated, without or with position. One buffer for all clients that need just
	 * it. */
	struct mr_frame *alone[2][2];
};
void mr_wire_fini(struct mr_wire *w);
/* Whether a client that takes deflated messages gets it deflated. f counts what it took. */
bool mr_wire_pays(struct mr_wire *w, struct mr_str text, struct mr_deflate *d, struct mr_fanout *f);
/* After that: its piece of a deflated message, which is stored when it does not pay. */
void mr_wire_pack(const struct mr_wire *w, struct mr_str text, struct mr_buf *out);
/* The same piece, or the text as it is, in fragments that go on with a message and do not end it. Belongs to w. */
struct mr_frame *mr_wire_middle(struct mr_wire *w, struct mr_str text, bool deflated);

struct mr_body {
	struct mr_list in_history;
	uint64_t n; /* tick */
	size_t bytes;
	struct mr_buf enc[MR_ENCODINGS]; /* empty: not encoded, nobody spoke it at the time */
	struct mr_wire wire[MR_ENCODINGS];
};
struct mr_body *mr_body_new(uint64_t n);
void mr_body_delete(struct mr_body **b);

/* Entity queries: i is the instance's number, h its hash after. */
void mr_body_diff(struct mr_buf *out, enum mr_encoding encoding, uint64_t i, uint64_t h, const struct mr_diff *d);
void mr_body_rows(struct mr_buf *out, enum mr_encoding encoding, uint64_t i, uint64_t h, const struct mr_rowset *rs);
/* Rows whole and ids gone, for a resume by touched keys. */
void mr_body_touched(struct mr_buf *out, enum mr_encoding encoding, uint64_t i, uint64_t h, const struct mr_item *const *put, size_t n_put,
	const char (*del)[16], size_t n_del);
/* Function queries. */
void mr_body_value(struct mr_buf *out, enum mr_encoding encoding, uint64_t i, uint64_t h, const struct mr_node *value);
void mr_body_error(struct mr_buf *out, enum mr_encoding encoding, uint64_t i, uint64_t h, const struct mr_error *err);
/* A new array as pieces of the old one and new elements; false when the whole value is no larger. Elements are compared by their source
 * text. */
bool mr_body_segs(
	struct mr_buf *out, enum mr_encoding encoding, uint64_t i, uint64_t h, const struct mr_node *was, const struct mr_node *is);
void mr_body_behind(struct mr_buf *out, enum mr_encoding encoding, uint64_t i, bool behind);

/* An array of n pieces that are encoded already, with commas between them in JSON. */
void mr_enc_list(struct mr_enc *e, size_t n, struct mr_str pieces);
/* The same, for pieces that are put between later: writes what stands before and after them, and returns where that is. */
size_t mr_enc_list_around(struct mr_enc *e, size_t n);
void mr_enc_hash(struct mr_enc *e, uint64_t h);                  /* as 16 hex digits */
void mr_enc_error(struct mr_enc *e, const struct mr_error *err); /* as ErrorInfo */
void mr_uuid_print(char out[37], const char id[16]);

#endif
