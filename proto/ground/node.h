/* The one value model: what JSON and MessagePack both decode to and are encoded from. Trees live in an arena.
 *
 * Numbers keep their text, so that int8 and numeric never pass through a double. JSON writes what it lacks as one-key
 * maps: {"$int":"123"} a bigint, {"$bytes":"base64"} bytes, {"$float":"NaN" | "Infinity" | "-Infinity" | "-0"} a double.
 * Any other map key that begins with "$" is refused when read as a client's value (`strict`), since it could be mistaken.
 */
#ifndef MR_GROUND_NODE_H
#define MR_GROUND_NODE_H

#include <stdint.h>

#include "error.h"
#include "mem.h"

enum mr_kind {
	MR_NULL,
	MR_BOOL,
	MR_NUMBER, /* text: JSON's number syntax, or NaN, Infinity, -Infinity */
	MR_BIGINT, /* text: -?digits, any length up to 1000 */
	MR_STRING, /* text: UTF-8 without NUL */
	MR_BYTES,  /* text: raw bytes */
	MR_ARRAY,
	MR_MAP, /* keys in the order read; a key that occurs twice is refused */
};

struct mr_node {
	enum mr_kind kind;
	bool truth;            /* MR_BOOL */
	struct mr_str text;    /* MR_NUMBER, MR_BIGINT, MR_STRING, MR_BYTES */
	struct mr_str key;     /* this node's key when it is in a map */
	struct mr_str raw;     /* decoded from JSON: its source text, which outlives the node no longer than the source */
	struct mr_node *items; /* MR_ARRAY, MR_MAP: n nodes */
	size_t n;
};

/* Decoders take any bytes; they check UTF-8, depth (max_depth) and that nothing follows. Pieces are copied to the arena only
 * where escapes need it; else they point into the source. NULL and *err (bad_message, with the offset) on refusal.
 * strict: refuse unknown "$" keys (clients' input); else keep them as maps (Postgres rows, the app's JSON, filters). */
const struct mr_node *mr_json_read(struct mr_arena *a, struct mr_str json, int max_depth, bool strict, struct mr_error *err);
/* The same as lenient, for who looks at a part: arrays and maps that lie within `levels` others (0: the value itself), or those of the
 * outermost map's member `key`, have their kind and raw text, but may lack their items. They are checked as all else is. */
const struct mr_node *mr_json_outline(struct mr_arena *a, struct mr_str json, int levels, int max_depth, struct mr_error *err);
const struct mr_node *mr_json_read_but(struct mr_arena *a, struct mr_str json, const char *key, int max_depth, struct mr_error *err);
/* Whether mr_json_read takes it; *err as there. */
bool mr_json_ok(struct mr_str json, int max_depth, bool strict, struct mr_error *err);
const struct mr_node *mr_msgpack_read(struct mr_arena *a, struct mr_str bytes, int max_depth, bool strict, struct mr_error *err);

/* Member of a map by key, or NULL (also when n is NULL or no map). */
const struct mr_node *mr_node_get(const struct mr_node *n, const char *key);
/* The string of a member; the empty slice with p NULL when absent or no string. */
struct mr_str mr_node_str(const struct mr_node *n, const char *key);
/* Integers: exact, within the range of int64; false otherwise (fractions, NaN, too large, not a number or bigint). */
bool mr_node_int(const struct mr_node *n, int64_t *value);
bool mr_node_double(const struct mr_node *n, double *value);
bool mr_node_truth(const struct mr_node *n, const char *key); /* member is true */
/* What `strict` refuses, asked of a tree that was read without it: no map in it has a key that begins with "$". */
bool mr_node_strict(const struct mr_node *n);

/* Writers: one encoding or the other, the same calls. Counts of maps and arrays must be known when they are opened. */
enum mr_encoding { MR_JSON, MR_MSGPACK, MR_ENCODINGS };
enum { MR_ENC_DEPTH = 640 }; /* above the largest max_depth and what messages put around a value */
struct mr_enc {
	struct mr_buf *out;
	enum mr_encoding encoding;
	bool after_key; /* private, as all below */
	int depth;
	uint8_t level[MR_ENC_DEPTH]; /* closing character, and whether something stands in it already */
	uint32_t left[MR_ENC_DEPTH]; /* members still to come: a wrong count is a fault of the caller and ends the process */
};
void mr_enc_init(struct mr_enc *e, struct mr_buf *out, enum mr_encoding encoding);
void mr_enc_map(struct mr_enc *e, size_t members); /* then members times: mr_enc_key, a value; then mr_enc_end */
void mr_enc_array(struct mr_enc *e, size_t items); /* then items values; then mr_enc_end */
void mr_enc_end(struct mr_enc *e);
void mr_enc_key(struct mr_enc *e, struct mr_str key);
void mr_enc_null(struct mr_enc *e);
void mr_enc_bool(struct mr_enc *e, bool b);
void mr_enc_int(struct mr_enc *e, int64_t i);               /* as a number */
void mr_enc_number(struct mr_enc *e, struct mr_str text);   /* number text, exact where the encoding can be */
void mr_enc_double(struct mr_enc *e, double d);             /* shortest text that reads back the same */
void mr_enc_bigint(struct mr_enc *e, struct mr_str digits); /* MessagePack: ext type 1 with the digits */
void mr_enc_str(struct mr_enc *e, struct mr_str s);
void mr_enc_bytes(struct mr_enc *e, struct mr_str s);
void mr_enc_node(struct mr_enc *e, const struct mr_node *n); /* a whole tree */
/* Already encoded pieces that stand where values would (the encoding must be the same). */
void mr_enc_raw(struct mr_enc *e, struct mr_str encoded);

/* JSON text helpers used outside of encoders: appends a quoted, escaped string. */
void mr_json_quote(struct mr_buf *b, struct mr_str s);
/* The same of any bytes, each the character of its number (U+0000 to U+00FF), as headers have them; NUL is left out. */
void mr_json_quote_latin(struct mr_buf *b, struct mr_str s);
/* Tree to JSON text with sorted keys: equal values give equal text (-0 and 0 differ; 1.0 and 1 are both "1"). */
void mr_json_canonical(struct mr_buf *b, const struct mr_node *n);
bool mr_utf8_ok(struct mr_str s); /* valid UTF-8, no NUL, no surrogates */

/* An ErrorInfo, { code, message, data? }; an unknown code becomes internal. */
void mr_error_from_node(const struct mr_node *node, struct mr_error *err);

/* A decimal number's text taken apart, exactly: value = +-0.DIGITS * 10^point, without zeros at either end (none: zero). */
struct mr_decimal {
	bool negative;
	const char *a, *b; /* digits lie in [a, b), perhaps with one point in between */
	size_t n;          /* how many digits */
	int64_t point;
};
/* Takes JSON's number syntax, more loosely: leading zeros and a missing integer or fraction pass. False: not a number. */
bool mr_decimal_read(struct mr_str text, struct mr_decimal *d);
void mr_decimal_digits(struct mr_buf *b, const struct mr_decimal *d);   /* the digits alone */
bool mr_decimal_int(const struct mr_decimal *d, int64_t *value);        /* false: a fraction, or out of range */
bool mr_decimal_magnitude(const struct mr_decimal *d, uint64_t *value); /* whole, without its sign; false as above */
int mr_decimal_cmp(const struct mr_decimal *a, const struct mr_decimal *b);
bool mr_double_read(struct mr_str text, double *value); /* number text; false: not one, or too large for a double */
void mr_double_print(struct mr_buf *b, double d);       /* shortest that reads back the same; "NaN", "Infinity", "-Infinity", "-0" */

#endif
