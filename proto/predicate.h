/* Predicates over one row: one language, read by SQL (storage), C (here) and TypeScript (client/). Three-valued as in SQL.
 *
 * `where` of a client: a map, all members must hold:  { field: value }  equal (null: is null)
 *   { field: { $gt, $gte, $lt, $lte: value, $not: value, $in: [values] } }   $not: is distinct from (null-safe, never unknown)
 *   { field: { $like: pattern } }   of strings (like.h)
 *   { $or: [where, ...] }, { $and: [where, ...] }.   A null inside $gt.. is refused; $in may hold null (is null).
 * Policies compile to the same tree (policy.h), and they alone make members of sets, which a row does not decide by itself.
 */
#ifndef MR_PREDICATE_H
#define MR_PREDICATE_H

#include "value.h"

enum mr_pred_op {
	MR_P_TRUE,
	MR_P_FALSE,
	MR_P_AND, /* kids; no kids: true */
	MR_P_OR,  /* kids; no kids: false */
	MR_P_NOT, /* one kid */
	MR_P_EQ,  /* field = value, unknown on null */
	MR_P_NE,  /* field <> value, unknown on null */
	MR_P_LT,
	MR_P_LE,
	MR_P_GT,
	MR_P_GE,
	MR_P_IN,       /* field = any(values); no null among them */
	MR_P_NULL,     /* field is null */
	MR_P_DISTINCT, /* field is distinct from value */
	MR_P_LIKE,     /* a string, by the pattern in value (like.h); unknown on null */
	/* two fields of comparable types, unknown when either is null */
	MR_P_EQ_FIELD,
	MR_P_NE_FIELD,
	MR_P_LT_FIELD,
	MR_P_LE_FIELD,
	MR_P_MEMBER, /* there is such a row of another entity: true or false, never unknown */
};

enum { MR_LINKS_MOST = 8 }; /* of one set of members */

struct mr_link {
	int inner, outer; /* fields of the other entity, of the row's own; of types that compare */
};

/* Rows of `entity` for which pred holds and whose inner fields equal the outer ones of the row that is judged. None of them null. */
struct mr_members {
	const struct mr_entity *entity;
	const struct mr_pred *pred; /* without members */
	const struct mr_link *links;
	size_t n; /* up to MR_LINKS_MOST; 0: any of them will do */
};

struct mr_pred {
	enum mr_pred_op op;
	int field, other;              /* positions in entity->fields */
	const struct mr_value *values; /* n of them: one for comparisons, any number for IN (sorted, distinct) */
	size_t n;
	union {
		const struct mr_pred *const *kids; /* n of them, for AND, OR, NOT */
		const struct mr_members *members;  /* MEMBER */
	};
};

/* Trees live in the arena given. Errors: unknown_field, bad_filter, bad_value. `visible`: refuse server_only fields. */
const struct mr_pred *mr_pred_from_where(
	struct mr_arena *a, const struct mr_entity *e, const struct mr_node *where, bool visible, struct mr_error *err);
const struct mr_pred *mr_pred_and(struct mr_arena *a, const struct mr_pred *x, const struct mr_pred *y);
/* Pieces to build trees of. Values are not null and are copied (their texts are not). */
const struct mr_pred *mr_pred_or(struct mr_arena *a, const struct mr_pred *x, const struct mr_pred *y);
const struct mr_pred *mr_pred_constant(struct mr_arena *a, bool truth);
/* Of a comparison: does it hold between two values of which the first is less (c below zero), equal or more? */
bool mr_pred_op_holds(enum mr_pred_op op, int c);
const struct mr_pred *mr_pred_compare(
	struct mr_arena *a, enum mr_pred_op op, int field, const struct mr_value *value);           /* EQ..GE, DISTINCT */
const struct mr_pred *mr_pred_fields(struct mr_arena *a, enum mr_pred_op op, int field, int other); /* the _FIELD ones */
const struct mr_pred *mr_pred_is_null(struct mr_arena *a, int field, bool null);
const struct mr_pred *mr_pred_not(struct mr_arena *a, const struct mr_pred *p);
const struct mr_pred *mr_pred_in(struct mr_arena *a, int field, struct mr_value *values, size_t n); /* sorts the values in place */
const struct mr_pred *mr_pred_member(struct mr_arena *a, const struct mr_members *members);         /* copies all but the predicate */
/* Normal form: AND/OR flattened, constants folded, kids sorted and distinct, IN of one is EQ. Equal meaning written alike gives the
 * same tree; it never changes the meaning. */
const struct mr_pred *mr_pred_normal(struct mr_arena *a, const struct mr_pred *p);
bool mr_pred_same(const struct mr_pred *a, const struct mr_pred *b); /* the same tree */
/* A copy with all that it needs, in one piece of memory: so many bytes, aligned as pointers are, and so is what is behind it. */
size_t mr_pred_size(const struct mr_pred *p);
const struct mr_pred *mr_pred_copy(void *to, const struct mr_pred *p);
/* Text form (JSON) of a tree, and back; equal normal trees give equal text. Carried to workers and used in instance keys. */
void mr_pred_print(struct mr_buf *b, const struct mr_entity *e, const struct mr_pred *p);
const struct mr_pred *mr_pred_read(struct mr_arena *a, const struct mr_entity *e, const struct mr_node *text, struct mr_error *err);
mr_fields mr_pred_reads(const struct mr_pred *p); /* fields of the row that it looks at */
/* 1 true, 0 false, -1 unknown (counts as no match). Allocates nothing. Not of members: SQL decides those, or they are resolved first. */
int mr_pred_eval(const struct mr_pred *p, const struct mr_row *row);
/* The equalities that every match has (top-level EQ of an AND), as positions in `fields` with their values; the matcher's hash groups. */
size_t mr_pred_equalities(const struct mr_pred *p, const struct mr_value **values, int *fields, size_t max);

static inline bool mr_pred_has_kids(enum mr_pred_op op)
{
	return op == MR_P_AND || op == MR_P_OR || op == MR_P_NOT;
}

/* Members of sets (predicate_members.c). */
size_t mr_pred_members(const struct mr_pred *p); /* how many there are in the tree */
/* Whether what sets hold decides, beside the row; NULL, which is always met, asks for none. */
static inline bool mr_pred_asks_sets(const struct mr_pred *p)
{
	return p && mr_pred_members(p) > 0;
}
/* The tree with something else in the place of each, in normal form; `each` is called in the order of the tree. negated: it stands under an
 * odd number of NOTs. */
typedef const struct mr_pred *mr_pred_resolver(struct mr_arena *a, const struct mr_members *m, bool negated, void *arg);
const struct mr_pred *mr_pred_resolve(struct mr_arena *a, const struct mr_pred *p, mr_pred_resolver *each, void *arg);
/* What stands for a member while its set holds these rows: the same for every row of `outer` that meets `within`, which is normal and has
 * the member somewhere (NULL: for every row): what that pins by equality is decided here. Where it may be unknown, it is so only for rows
 * of which it is not true, and not if negated. Values are the rows' own; their texts are not copied. */
const struct mr_pred *mr_pred_among(struct mr_arena *a, const struct mr_entity *outer, const struct mr_members *m,
	const struct mr_row *rows, size_t n, bool negated, const struct mr_pred *within);
/* Whether `within`, which is normal, pins by equality all that its members look for: what they are is the same for all rows that meet it.
 */
bool mr_pred_members_pinned(const struct mr_pred *within);
/* Whether a row of the set can be one that some row looks for which meets `within`, as above. */
bool mr_pred_member_counts(const struct mr_members *m, const struct mr_row *row, const struct mr_pred *within);
/* True wherever the tree may be, whatever the sets hold. */
const struct mr_pred *mr_pred_coarse(struct mr_arena *a, const struct mr_pred *p);

/* Order: fields and directions, the id last. */
struct mr_order {
	int field;
	bool desc;
};
/* From [[field, "asc" | "desc"], ...] or null; appends id (in the direction of the last entry) when it is absent. At most 8 entries. */
bool mr_order_read(struct mr_arena *a, const struct mr_entity *e, const struct mr_node *order, bool visible, const struct mr_order **o,
	size_t *n, struct mr_error *err);
/* The limit of a query, wherever it was given: from 1 to `most` (instance_max_rows); -1 when absent (NULL or null). */
bool mr_limit_read(const struct mr_node *n, int64_t most, int64_t *limit, struct mr_error *err);
/* For a query whose rows take more than `most` bytes (instance_max_bytes): false, with what it is told. */
bool mr_rows_too_large(const struct mr_entity *e, int64_t most, struct mr_error *err);
int mr_order_cmp(
	const struct mr_order *o, size_t n, const struct mr_row *a, const struct mr_row *b); /* nulls last asc, first desc, as Postgres */

#endif
