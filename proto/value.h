/* Typed scalar values of predicates and row images: reading, comparing, printing. They agree with Postgres on every value,
 * null and order (tests/differential). Rows: image (what Postgres prints) -> values -> wire.
 */
#ifndef MR_VALUE_H
#define MR_VALUE_H

#include "schema.h"

struct mr_value {
	enum mr_type type;
	bool null;
	union {
		bool truth;
		int64_t i; /* int, bigint; datetime: microseconds since 2000-01-01 UTC, INT64_MIN/MAX are -/+infinity */
		double d;  /* float */
		uint8_t uuid[16];
	};
	struct mr_str text; /* string, bytes (raw), numeric (canonical: no trailing zeros, no exponent; "NaN", "Infinity", "-Infinity"),
			       json (text) */
};

/* A client's or an app's value (a wire node) for a field of that type. Refusals: bad_value with what was expected; null is taken.
 * int takes numbers and bigints that are whole and in range; datetime takes ISO 8601 text with an offset or Z, or a number of
 * milliseconds; string refuses NUL. Text points into the node or the arena. */
bool mr_value_from_node(struct mr_arena *a, enum mr_type type, const struct mr_node *n, struct mr_value *v, struct mr_error *err);
/* The same from a row image: JSON as Postgres's row_to_json prints it under the pinned settings. False: does not fit the type. */
bool mr_value_from_image(struct mr_arena *a, enum mr_type type, const struct mr_node *n, struct mr_value *v);
/* The same from a whole row's. */
bool mr_field_from_image(struct mr_arena *a, const struct mr_field *f, const struct mr_node *image, struct mr_value *v);
/* The same from a column in libpq's text format (pinned settings: ISO dates in UTC, hex bytea). */
bool mr_value_from_pgtext(struct mr_arena *a, enum mr_type type, struct mr_str text, struct mr_value *v);

/* Order as Postgres has it (text by bytes); both not null, same type (int and bigint count as one). <0, 0, >0. json: by text. */
int mr_value_cmp(const struct mr_value *a, const struct mr_value *b);
bool mr_types_compare(enum mr_type a, enum mr_type b);                /* fields of these types may be compared with each other */
bool mr_value_eq(const struct mr_value *a, const struct mr_value *b); /* null equals null */
/* Bytes such that equal values give equal bytes (1.0 = 1.00, -0 = 0): the key of hash probes and of canonical predicates. */
void mr_value_key(struct mr_buf *b, const struct mr_value *v);
void mr_value_encode(struct mr_enc *e, const struct mr_value *v); /* wire form */
void mr_value_pgtext(struct mr_buf *b, const struct mr_value *v); /* libpq text parameter; not for null */

/* 8-4-4-4-12 hex digits; printed in lower case. */
bool mr_uuid_read(struct mr_str text, uint8_t uuid[16]);
void mr_uuid_append(struct mr_buf *b, const uint8_t uuid[16]);

/* Datetimes: microseconds since 2000-01-01 UTC. Reads ISO 8601 and Postgres's ISO style, always with an offset or Z, and the infinities;
 * false otherwise, also for years before 1, fractions finer than a microsecond, and what Postgres's range does not hold. */
bool mr_datetime_read(struct mr_str text, int64_t *us);
bool mr_datetime_from_unix_ms(int64_t ms, int64_t *us);
int64_t mr_datetime_to_unix_ms(int64_t us);           /* rounded down */
void mr_datetime_print(struct mr_buf *b, int64_t us); /* the wire form */

/* A row: one value for each field of the entity, in an arena. */
struct mr_row {
	const struct mr_entity *entity;
	struct mr_value *v;
};
/* A set of an entity's fields: field i is bit i; those from the 64th on share the last one. */
typedef uint64_t mr_fields;
#define MR_FIELDS_ALL UINT64_MAX
static inline mr_fields mr_field_bit(int field)
{
	return (mr_fields)1 << (field < 63 ? field : 63);
}
/* Of one entity: is one of the fields another value, or the same value written otherwise (-0)? */
bool mr_row_differs(const struct mr_row *was, const struct mr_row *now, mr_fields fields);
/* From an image. False when a declared column is missing or does not fit: the table is not as declared (schema_changed).
 * Columns that the entity does not declare are passed over. */
bool mr_row_from_image(struct mr_arena *a, const struct mr_entity *e, const struct mr_node *image, struct mr_row *row);
/* A map of all fields that clients may read (not server_only unless `all`). */
void mr_row_encode(struct mr_enc *e, const struct mr_row *row, bool all);
/* A map of the fields in which `now` differs from `was`; returns how many (0: nothing is written). */
size_t mr_row_encode_changes(struct mr_enc *e, const struct mr_row *was, const struct mr_row *now);
uint64_t mr_row_hash(const struct mr_row *row); /* fixed hash over the fields that clients may read */

#endif
