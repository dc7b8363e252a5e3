/* The rows of one live entity query, as of one tick: a set by id, and for windows (limit) the first rows in order with a margin behind
 * them. Pure: changes go in, differences come out.
 */
#ifndef MR_ROWSET_H
#define MR_ROWSET_H

#include "batch.h"
#include "proto/ground/hash.h"
#include "proto/predicate.h"

/* One row, counted, its values in the same block. Row sets of one thread share it. */
struct mr_item {
	int refs;
	uint32_t bytes; /* as JSON */
	uint64_t hash;
	struct mr_row row;
};

/* What windows have beside that. */
struct mr_window {
	struct mr_item **rows; /* in order */
	size_t n, cap;
	struct mr_item **shown; /* what the last difference left on screen */
	size_t n_shown;
	bool complete; /* there are no others in the database; else those after the last are unknown */
};

struct mr_rowset {
	const struct mr_entity *entity;
	const struct mr_pred *pred;
	const struct mr_order *order;
	uint32_t n_order;
	bool reverted;            /* what has changed since the last difference is unknown: nothing is applied before the next fill */
	int64_t limit;            /* -1: none */
	struct mr_map by_id;      /* by mr_row_key */
	struct mr_map touched;    /* the same -> struct before: rows before the changes since the last difference; not of windows */
	struct mr_map *was;       /* all rows on screen, after a fill and until the next difference; not of windows */
	struct mr_window *window; /* NULL: there is no limit */
	uint64_t hash;            /* of what is on screen after the last difference */
	size_t bytes;             /* of all rows here, those behind a window included */
};

void mr_rowset_init(struct mr_rowset *rs, const struct mr_entity *e, const struct mr_pred *pred, const struct mr_order *order,
	size_t n_order, int64_t limit);
void mr_rowset_fini(struct mr_rowset *rs);
/* How many rows to read from the database: limit and margin, or -1. */
int64_t mr_rowset_want(const struct mr_rowset *rs);
/* Replaces all rows with what was read (mr_rowset_want rows at most; fewer: that is all there are). Holds the items that it keeps. */
void mr_rowset_fill(struct mr_rowset *rs, struct mr_item *const *items, size_t n);
/* Nothing is known and nothing is on screen. */
void mr_rowset_empty(struct mr_rowset *rs);
/* Applies one change of its entity that is told row by row. *is: the row after it, NULL at first: made by the first row set that keeps it,
 * shared by those that the same change is applied to next, dropped by the caller. */
void mr_rowset_apply(struct mr_rowset *rs, const struct mr_change *c, struct mr_item **is);
/* Takes out what its predicate, which is another one now, does not admit. */
void mr_rowset_admit(struct mr_rowset *rs);
/* Copies; refs is 1. bytes: of the row as JSON, as Postgres printed it. */
struct mr_item *mr_item_new(const struct mr_row *row, uint32_t bytes);
struct mr_item *mr_item_hold(struct mr_item *item);
void mr_item_drop(struct mr_item **item); /* NULL is fine */
/* The window lost so many rows that what belongs there is unknown: it must be read again before a difference is taken. */
bool mr_rowset_dry(const struct mr_rowset *rs);
/* Takes back all that came since the last difference, so that whoever asks for the rows gets those of that moment until a fill. */
void mr_rowset_revert(struct mr_rowset *rs);
size_t mr_rowset_size(const struct mr_rowset *rs); /* rows on screen */

/* What changed on screen since the last difference. Items are held until mr_diff_fini. */
struct mr_diff {
	struct mr_item **put;
	struct mr_item **was, **is; /* pairs that differ */
	struct mr_item **del;
	size_t n_put, n_patch, n_del;
};
/* Takes the difference; true when there is any. */
bool mr_rowset_diff(struct mr_rowset *rs, struct mr_diff *d);
void mr_diff_fini(struct mr_diff *d);
/* Each row on screen: for (size_t i = 0; (item = mr_rowset_next(rs, &i));) */
const struct mr_item *mr_rowset_next(const struct mr_rowset *rs, size_t *i);
const struct mr_item *mr_rowset_get(const struct mr_rowset *rs, struct mr_str key); /* on screen, or NULL; key: mr_row_key */

#endif
