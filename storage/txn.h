/* One transaction of a worker, from begin to one of its three ends: done, refused, unknown. Statements are pipelined; every write returns
 * old and new row in the same round trip and is captured once (docs/changes.md, CLOCK.md rules 1 - 6, 9, 10).
 */
#ifndef MR_TXN_H
#define MR_TXN_H

#include "pg.h"
#include "proto/predicate.h"
#include "proto/ring.h"

struct mr_txn;
enum mr_txn_kind {
	MR_TXN_READ, /* repeatable read, read only */
	MR_TXN_SERIALIZABLE,
	MR_TXN_REPEATABLE_READ,
	MR_TXN_READ_COMMITTED,
};
/* Begins on a leased connection (BEGIN travels with the first statement). snapshot: NULL, or an exported name to import (MR_TXN_READ).
 * The app must outlive the transaction. */
struct mr_txn *mr_txn_begin(struct mr_pg *pg, const struct mr_app *app, enum mr_txn_kind kind, const char *snapshot);

/* How much its operations may read and write, all together: rows that come back, and that are changed; bytes of the values that come back,
 * and that are sent to be written. What is above fails with too_many_rows or too_large, whose data names the setting. 0: as much as it
 * likes, which holds unless this is called before the first operation. MR_QUERY_BYTES is for the rows of a query instead, in mr_txn_read
 * and mr_txn_load: their bytes as JSON. */
enum mr_txn_amount { MR_READS_ROWS, MR_READS_BYTES, MR_WRITES_ROWS, MR_WRITES_BYTES, MR_QUERY_BYTES, MR_TXN_AMOUNTS };
struct mr_txn_limits {
	int64_t most[MR_TXN_AMOUNTS];
};
void mr_txn_limit(struct mr_txn *txn, const struct mr_txn_limits *limits);

/* Results arrive as JSON text in wire form (docs/protocol.md), valid during the callback; err is set instead on failure, after which only
 * mr_txn_rollback is allowed. err.code conflict: the whole function may be run again (40001, 40P01). */
typedef void mr_txn_cb(struct mr_txn *txn, struct mr_str json, const struct mr_error *err, void *arg);

/* Plan of a read: rows of `entity` for which `where` holds. */
struct mr_plan {
	const struct mr_entity *entity;
	const struct mr_pred *where;  /* NULL: all rows */
	const struct mr_order *order; /* NULL: by the key */
	size_t n_order;
	int64_t limit; /* -1: none */
	bool for_update;
	bool visible;    /* without fields that are for the server only */
	int64_t now;     /* microseconds since 2000: times in `where` go with it (mr_txn_moment). 0: they stand still */
	const int *pick; /* fields, for mr_txn_read; lives until the answer. NULL: all */
	size_t n_pick;
};
void mr_txn_read(struct mr_txn *txn, const struct mr_plan *plan, mr_txn_cb *cb, void *arg); /* array of rows */
/* For live queries: { "snapshot": text, "rows": [image, ...] }: rows as row_to_json prints them, to be read by mr_row_from_image. */
void mr_txn_load(struct mr_txn *txn, const struct mr_plan *plan, mr_txn_cb *cb, void *arg);
/* What is asked of all rows of a plan, or of each group of them (the plan's limit is of groups; it has no order, and locks nothing). The
 * answer: an array of maps, the group's fields and then the measures; without groups, of one. Sums of nothing are null, counts 0. */
enum mr_measure_fn { MR_MEASURE_COUNT, MR_MEASURE_SUM, MR_MEASURE_AVG, MR_MEASURE_MIN, MR_MEASURE_MAX };
enum { MR_MEASURES = MR_MEASURE_MAX + 1 };
extern const char *const mr_measure_names[MR_MEASURES]; /* "count", ... */
struct mr_measure {
	struct mr_str name;
	enum mr_measure_fn fn;
	int field; /* -1: rows (count only); of a field, those where it is not null */
};
struct mr_summary {
	const int *group; /* fields */
	size_t n_group;
	const struct mr_measure *measures;
	size_t n;
	const struct mr_summary_order {
		size_t column; /* groups first, then measures */
		bool desc;
	} * order; /* behind it, that of the groups */
	size_t n_order;
};
bool mr_measure_fits(const struct mr_entity *e, enum mr_measure_fn fn, int field);
void mr_txn_summarize(struct mr_txn *txn, const struct mr_plan *plan, const struct mr_summary *summary, mr_txn_cb *cb,
	void *arg); /* the summary lives until the answer */
/* Writes. `value` is a map in wire form, checked against the entity (unknown_field, bad_value). Results: insert gives the new row,
 * the others the new row (delete: the old one), or null when there is no row of that id. patch sets the fields given; replace sets all
 * others to their defaults or null. patch also takes `add`: amounts for numeric fields, added to what the row holds then (null counts as
 * 0), so that nobody need have read it. Policies: `allow_old` / `allow_new` (NULL: not asked) are judged on the row images in C, those with
 * members of sets by the statement itself, as of before it (CLOCK.md rule 30: in a serializable transaction, or a revocation is raced);
 * when one does not hold the error is forbidden (for an old row that the caller may not even read: null result as if there were none). */
struct mr_write {
	const struct mr_entity *entity;
	struct mr_str id; /* as text (proto/key.h); not for insert (there `value` may have it) */
	const struct mr_node *value;
	const struct mr_node *add;                   /* patch only; NULL: nothing */
	const struct mr_pred *allow_old, *allow_new; /* live until the answer */
	mr_fields key; /* insert only: that a row has these values already is `conflict`, for whoever looks again finds it. 0: nothing */
};
void mr_txn_insert(struct mr_txn *txn, const struct mr_write *w, mr_txn_cb *cb, void *arg);
void mr_txn_patch(struct mr_txn *txn, const struct mr_write *w, mr_txn_cb *cb, void *arg);
void mr_txn_replace(struct mr_txn *txn, const struct mr_write *w, mr_txn_cb *cb, void *arg);
void mr_txn_remove(struct mr_txn *txn, const struct mr_write *w, mr_txn_cb *cb, void *arg);
/* ctx.db.sql: one statement with $1.. parameters (nodes). Checked by libpg_query before it is sent: SELECT, INSERT, UPDATE, DELETE (and
 * WITH of them) only, in a read transaction SELECT without FOR UPDATE only; no set_config, no mention of millrace.* settings or the schema
 * millrace, no transaction control. Gives an array of row maps (column -> value by its type: int8 a number where exact, numeric a string,
 * ...). `reads` of the statement are appended to the transaction's read set. */
void mr_txn_sql(struct mr_txn *txn, struct mr_str text, const struct mr_node *params, mr_txn_cb *cb, void *arg);

/* Sessions (storage/sql/sessions.sql): what one of its functions answers, null included. */
enum mr_session_act {
	MR_SESSION_CREATE, /* user, claims (JSON or no value), milliseconds: { id, user, claims, issued, ends }, in milliseconds since 1970
			    */
	MR_SESSION_RENEW,  /* id, milliseconds at most: the same, or null when it is not good any more */
	MR_SESSION_REVOKE, /* id, and until when its tokens might be good (no value: not known): whether it was not yet */
	MR_SESSION_REVOKE_USER, /* user: number of sessions */
};
void mr_txn_session(struct mr_txn *txn, enum mr_session_act act, const struct mr_str *params, mr_txn_cb *cb, void *arg);

/* A part that can be taken back alone: it begins at a savepoint, whose level is the number of parts that are open then, itself included. It
 * ends by release, or by restore: once that is answered the transaction is as it was at the savepoint, whatever had failed since; nothing
 * is to be sent before. Levels behind one end with it. Answers: the level. false: not in turn (internal). Not in a MR_TXN_READ transaction.
 */
typedef bool mr_txn_part_fn(struct mr_txn *txn, size_t level, mr_txn_cb *cb, void *arg, struct mr_error *err);
mr_txn_part_fn mr_txn_savepoint, mr_txn_release, mr_txn_restore;

/* The scheduled mutation that this transaction is has ended (storage/sql/scheduler.sql): true, or err job_lost when it is not this
 * attempt's any more. */
void mr_txn_end_job(struct mr_txn *txn, struct mr_str place, struct mr_str id, int64_t attempt, mr_txn_cb *cb, void *arg);

/* Asked last in a MR_TXN_READ transaction: null, or err conflict when a table was truncated or rewritten since the snapshot was taken, so
 * that what was read is not what the snapshot holds. Nothing but mr_txn_rollback may follow: that is under way already. */
void mr_txn_verify(struct mr_txn *txn, mr_txn_cb *cb, void *arg);

/* What was read so far: JSON array of [entity, predicate | null, [field...]?]; null: the whole table; fields: only they were looked at, so
 * that an update of others changes nothing (absent: all, and what the entity does not declare). Tables that are no entity as ["",
 * "schema.table"]. For the reactive index. */
void mr_txn_reads(const struct mr_txn *txn, struct mr_buf *json);
/* When one of the plans with a `now` that have been read gives something else although nobody writes: the present is then where a field of
 * some row is. Milliseconds since 1970; false: never, as far as the rows say that are there. */
bool mr_txn_moment(const struct mr_txn *txn, int64_t *ms);
/* The snapshot of a MR_TXN_READ transaction ("" before its first statement was answered). */
const char *mr_txn_snapshot(const struct mr_txn *txn);

/* Who runs it, for the exactly-once record. */
struct mr_record {
	struct mr_str session; /* empty: not recorded (no duplicates can be told), a log row is written all the same */
	int32_t hour;          /* in which the call was issued first */
	bool lasting;       /* the call's id does not name it: the record is found in the next part too, by who comes with a later hour */
	struct mr_str call; /* "<hour>.<number>", or what stands for an idempotency key */
	struct mr_str fn;
	uint8_t args_hash[32];
	struct mr_str user; /* userId or empty */
	int64_t turn;       /* an advisory lock: while somebody has it alone, this may not commit (MR_REFUSED, `turn`). 0: none */
};
enum mr_end {
	MR_DONE,      /* committed now */
	MR_DUPLICATE, /* the record was there: `result` is the recorded result of the first run */
	MR_REFUSED,   /* nothing happened; err says why (conflict: run again) */
	MR_UNKNOWN,   /* COMMIT was sent and not answered: run the call again with the same record, it settles itself */
};
struct mr_outcome {
	enum mr_end end;
	uint64_t xid;         /* DONE and DUPLICATE */
	int64_t seq;          /* the same: of its log row. After a crash of Postgres xids are handed out again, these are not */
	struct mr_str result; /* DUPLICATE */
	struct mr_error err;  /* REFUSED, UNKNOWN */
	bool turn;            /* REFUSED with conflict: somebody has his turn (mr_record) */
};
typedef void mr_txn_end_cb(const struct mr_outcome *outcome, void *arg);
/* Writes the log row and commits, in one pipeline. If `ring` is given, the payload (docs/changes.md) is published there before and flipped
 * after. `token` names this attempt. result: JSON text. The transaction is gone when cb is called. */
void mr_txn_commit(struct mr_txn **txn, const struct mr_record *record, const uint8_t token[MR_TOKEN_BYTES], struct mr_str result,
	struct mr_ring *ring, mr_txn_end_cb *cb, void *arg);
/* Ends a read transaction, or gives up: ROLLBACK. cb (may be NULL) is called when the connection is free to be returned. */
void mr_txn_rollback(struct mr_txn **txn, void (*cb)(void *arg), void *arg);
struct mr_pg *mr_txn_pg(struct mr_txn *txn);

#endif
