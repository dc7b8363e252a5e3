/* The end of a transaction: its log row and COMMIT in one pipeline, and what their answers mean.
 *
 *   log row refused as a double  -> ROLLBACK, the recorded row is read: DUPLICATE, or call_mismatch
 *   log row refused otherwise    -> ROLLBACK: REFUSED
 *   COMMIT answered              -> DONE, or REFUSED (deferred constraints, conflicts)
 *   COMMIT not answered          -> UNKNOWN: the caller asks again with the same record
 *   COMMIT answered, but not waited for a synchronous standby -> UNKNOWN too (CLOCK.md rule 5)
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/ground/fault.h"
#include "proto/ground/log.h"
#include "txn_private.h"

struct mr_txn_commit {
	struct mr_record record; /* texts are copies in the arena */
	uint8_t token[MR_TOKEN_BYTES];
	struct mr_str result;
	struct mr_ring *ring;
	uint64_t slot;
	uint64_t xid;
	int64_t seq;
	bool logged;    /* the log row stands */
	bool duplicate; /* ...or was refused as a double */
	bool sent;      /* the end is under way: COMMIT, or a rollback that `outcome` explains */
	struct mr_outcome outcome;
	mr_txn_end_cb *cb;
	void *arg;
	struct mr_arena arena;
};

/* The hour of a call that is not recorded is this one. The settings are transaction-local: what is committed here is durable before it is
 * seen (CLOCK.md rule 5), and triggers that fire at COMMIT are not taken for our own writes. The shared lock lasts until COMMIT is over:
 * who gets his turn then, and takes his snapshot after that, sees all that was let through. */
static const char log_sql[] = "insert into millrace.change_log (part, hour, token, session, call, fn, args_hash, user_id, result, changes) "
			      "select case when not coalesce(pg_try_advisory_xact_lock_shared($10), true) then millrace.refuse_turn() "
			      "when c.hour < millrace.kept_from(c.now) then millrace.refuse_expired() "
			      "when c.hour > c.now + 1 then millrace.refuse_ahead() else millrace.part_of(c.hour) end, "
			      "c.hour, $2, $3, $4, $5, $6, $7, $8::json, $9::json "
			      "from (select coalesce($1::integer, t.now) as hour, t.now from (select millrace.this_hour() as now) t) c "
			      "returning xid::text, seq, set_config('millrace.capturing', '', true), set_config('synchronous_commit', "
			      "case current_setting('synchronous_commit') when 'remote_apply' then 'remote_apply' else 'on' end, true)";

/* Keeps the place of a lasting record in the next part. */
static const char fence_sql[] = "insert into millrace.change_log (part, hour, session, call) "
				"values ((millrace.part_of($1::integer) + 1) % 4, $1::integer, $2, $3)";

/* Not the fence, which has no hash. */
static const char recorded_sql[] =
	"select xid::text, coalesce(user_id, ''), coalesce(fn, ''), args_hash, result::text, "
	"current_setting('synchronous_standby_names') <> '', seq from millrace.change_log "
	"where part in (0, 1, 2, 3) and session = $1 and call = $2 and args_hash is not null order by seq desc limit 1";

/* A record that can be seen may be on no standby yet: its COMMIT's wait was given up, or Postgres restarted in it. A COMMIT that is waited
 * for takes everything before it along; it needs something to write, whatever the isolation and rights. */
static const char barrier_sql[] = "select pg_logical_emit_message(true, 'millrace', ''), set_config('synchronous_commit', "
				  "case current_setting('synchronous_commit') when 'remote_apply' then 'remote_apply' else 'on' end, true)";

/* ---- the end ---- */

static void flip(struct mr_txn_commit *c, bool done)
{
	if (c->slot)
		mr_ring_flip(c->ring, c->slot, done ? MR_SLOT_COMMITTED : MR_SLOT_ABORTED);
	c->slot = 0;
}

static void finish(struct mr_txn *txn)
{
	struct mr_txn_commit *c = txn->commit;
	txn->commit = NULL;
	MR_FAULT(WORKER_COMMITTED);
	/* An unknown end leaves the slot pending: the log will say. */
	if (c->outcome.end != MR_UNKNOWN)
		flip(c, c->outcome.end == MR_DONE);
	MR_FAULT(WORKER_FLIPPED);
	struct mr_outcome outcome = c->outcome;
	mr_txn_end_cb *cb = c->cb;
	void *arg = c->arg;
	mr_txn_unref(txn);
	cb(&outcome, arg);
	mr_arena_fini(&c->arena);
	free(c);
}

static void refuse(struct mr_txn_commit *c, const struct mr_error *err)
{
	c->outcome.end = MR_REFUSED;
	c->outcome.err = *err;
}

static void on_rolled_back(const struct mr_pg_result *r, void *arg)
{
	finish(arg);
}

static void roll_back(struct mr_txn *txn, mr_pg_result_cb *cb)
{
	mr_pg_query(txn->pg, 0, "rollback", 0, NULL, cb, txn);
}

/* ---- duplicates ---- */

static void hex_param(struct mr_buf *b, const void *p, size_t n)
{
	mr_buf_z(b, "\\x");
	mr_hex(b, (struct mr_str){p, n});
}

static bool same_call(const struct mr_txn_commit *c, const struct mr_pg_result *r)
{
	struct mr_buf hash = {0};
	hex_param(&hash, c->record.args_hash, sizeof(c->record.args_hash));
	bool same = mr_str_eq(mr_pg_value(r, 0, 1), c->record.user) && mr_str_eq(mr_pg_value(r, 0, 2), c->record.fn) &&
		    mr_str_eq(mr_pg_value(r, 0, 3), mr_buf_view(&hash));
	mr_buf_fini(&hash);
	return same;
}

static void on_barrier(const struct mr_pg_result *r, void *arg)
{
	struct mr_txn *txn = arg;
	struct mr_txn_commit *c = txn->commit;
	if (mr_pg_ok(r) && !mr_pg_unreplicated(r)) {
		finish(txn);
		return;
	}
	c->outcome.end = MR_UNKNOWN;
	mr_fail_data(&c->outcome.err, MR_POSTGRES_UNAVAILABLE, "{\"outcome\":\"unknown\"}",
		"The call is recorded, but whether by a synchronous standby too is not known");
	roll_back(txn, on_rolled_back);
	mr_pg_sync(txn->pg);
}

static void wait_for_standby(struct mr_txn *txn)
{
	mr_pg_query(txn->pg, 0, "begin", 0, NULL, NULL, NULL);
	mr_pg_query(txn->pg, 0, barrier_sql, 0, NULL, NULL, NULL);
	mr_pg_query(txn->pg, 0, "commit", 0, NULL, on_barrier, txn);
	mr_pg_sync(txn->pg);
}

static void on_recorded(const struct mr_pg_result *r, void *arg)
{
	struct mr_txn *txn = arg;
	struct mr_txn_commit *c = txn->commit;
	struct mr_error err;
	if (!mr_pg_ok(r)) {
		mr_pg_error(r, &err);
		refuse(c, &err);
	} else if (!mr_pg_rows(r)) {
		/* It was there a moment ago: its part has just been dropped. Another run is told so. */
		mr_fail(&err, MR_CONFLICT, "The record of this call has just gone");
		refuse(c, &err);
	} else if (!same_call(c, r)) {
		mr_fail(&err, MR_CALL_MISMATCH, "This call id was used before by another identity, function or arguments");
		refuse(c, &err);
	} else {
		struct mr_str xid = mr_pg_value(r, 0, 0), result = mr_pg_value(r, 0, 4);
		c->outcome.end = MR_DUPLICATE;
		c->outcome.xid = strtoull(xid.p, NULL, 10);
		c->outcome.seq = mr_pg_int(r, 0, 6);
		c->outcome.result = result.p ? mr_arena_str(&c->arena, result) : MR_STR("null");
		if (mr_str_is(mr_pg_value(r, 0, 5), "t")) {
			wait_for_standby(txn);
			return;
		}
	}
	finish(txn);
}

static void read_record(struct mr_txn *txn)
{
	struct mr_txn_commit *c = txn->commit;
	struct mr_str params[] = {c->record.session, c->record.call};
	mr_pg_query(txn->pg, 0, recorded_sql, 2, params, on_recorded, txn);
	mr_pg_sync(txn->pg);
}

/* ---- answers ---- */

static void not_logged(struct mr_txn *txn, const struct mr_pg_result *r)
{
	struct mr_txn_commit *c = txn->commit;
	struct mr_error err;
	const char *state = mr_pg_sqlstate(r);
	mr_pg_error(r, &err);
	if (!strcmp(state, "MR001"))
		mr_fail(&err, MR_CALL_EXPIRED, "The record of this call may have been dropped; it is not run a second time");
	else if (!strcmp(state, "MR003"))
		mr_fail(&err, MR_BAD_CALL_ID, "The call's hour is yet to come by the clock of Postgres");
	else if (txn->failed)
		err = txn->error;
	else if ((c->outcome.turn = !strcmp(state, "MR002")))
		mr_fail(&err, MR_CONFLICT, "Another call has its turn");
	else if (!strcmp(state, "23505") && c->record.session.n)
		c->duplicate = true;
	refuse(c, &err);
	/* With the connection gone the answer may have been lost, and COMMIT with it. */
	if (!strncmp(state, "08", 2))
		c->outcome.end = MR_UNKNOWN;
}

static void on_log_row(const struct mr_pg_result *r, void *arg)
{
	struct mr_txn *txn = arg;
	struct mr_txn_commit *c = txn->commit;
	if (mr_pg_ok(r)) {
		c->logged = true;
		c->xid = strtoull(mr_pg_value(r, 0, 0).p, NULL, 10);
		c->seq = mr_pg_int(r, 0, 1);
	} else {
		not_logged(txn, r);
	}
}

static void on_fence(const struct mr_pg_result *r, void *arg)
{
	struct mr_txn *txn = arg;
	if (!txn->commit->logged || mr_pg_ok(r))
		return;
	txn->commit->logged = false;
	not_logged(txn, r);
}

/* States after which Postgres may have committed all the same: it or the connection ended in between. */
static bool says_nothing(const char *state)
{
	static const char *const classes[] = {"08", "57", "58", "XX"};
	for (size_t i = 0; i < MR_COUNT(classes); i++) {
		if (!strncmp(state, classes[i], 2))
			return true;
	}
	return false;
}

static void on_commit(const struct mr_pg_result *r, void *arg)
{
	struct mr_txn *txn = arg;
	struct mr_txn_commit *c = txn->commit;
	struct mr_error err;
	if (c->logged && mr_pg_unreplicated(r)) {
		c->outcome.end = MR_UNKNOWN;
		mr_fail_data(&c->outcome.err, MR_POSTGRES_UNAVAILABLE, "{\"outcome\":\"unknown\"}",
			"The commit was not waited for by a synchronous standby");
	} else if (c->logged && mr_pg_ok(r)) {
		c->outcome.end = MR_DONE;
		c->outcome.xid = c->xid;
		c->outcome.seq = c->seq;
	} else if (c->logged) {
		mr_pg_error(r, &err);
		refuse(c, &err);
		if (says_nothing(mr_pg_sqlstate(r))) {
			c->outcome.end = MR_UNKNOWN;
			mr_fail_data(&c->outcome.err, MR_POSTGRES_UNAVAILABLE, "{\"outcome\":\"unknown\"}",
				"Postgres did not answer the commit: %s", err.message);
			c->outcome.err.foreign = true;
		}
	} else if (c->duplicate) {
		/* Skipped in the failed transaction, which has to be taken back before the record can be read. */
		flip(c, false);
		roll_back(txn, NULL);
		read_record(txn);
		return;
	} else if (c->outcome.end == MR_REFUSED) {
		roll_back(txn, on_rolled_back);
		mr_pg_sync(txn->pg);
		return;
	} else {
		mr_fail_data(&c->outcome.err, MR_POSTGRES_UNAVAILABLE, "{\"outcome\":\"unknown\"}",
			"The connection to Postgres was lost during the commit");
	}
	finish(txn);
}

/* ---- sending ---- */

static struct mr_str or_null(struct mr_str s)
{
	return s.n ? s : (struct mr_str){NULL, 0};
}

static void publish(struct mr_txn_commit *c, struct mr_str changes)
{
	struct mr_buf payload = {0};
	mr_buf_z(&payload, "{\"session\":");
	mr_json_quote(&payload, c->record.session);
	mr_buf_z(&payload, ",\"call\":");
	mr_json_quote(&payload, c->record.call);
	mr_buf_z(&payload, ",\"result\":");
	mr_buf_str(&payload, c->result);
	mr_buf_z(&payload, ",\"changes\":");
	mr_buf_str(&payload, changes);
	mr_buf_char(&payload, '}');
	c->slot = mr_ring_publish(c->ring, c->token, mr_buf_view(&payload));
	mr_buf_fini(&payload);
}

static struct mr_str print_turn(char text[static 24], int64_t key)
{
	int n = key ? snprintf(text, 24, "%" PRId64, key) : 0;
	return n ? (struct mr_str){text, (size_t)n} : (struct mr_str){NULL, 0};
}

static void send_fence(struct mr_txn *txn, struct mr_str hour)
{
	struct mr_str params[] = {hour, txn->commit->record.session, txn->commit->record.call};
	mr_pg_query(txn->pg, 0, fence_sql, (int)MR_COUNT(params), params, on_fence, txn);
}

static void send_commit(struct mr_txn *txn)
{
	struct mr_txn_commit *c = txn->commit;
	struct mr_buf changes = {0}, token = {0}, hash = {0};
	char hour[16], turn[24];
	int n = snprintf(hour, sizeof(hour), "%d", c->record.hour);
	bool recorded = c->record.session.n;
	mr_txn_print_changes(txn, &changes);
	hex_param(&token, c->token, sizeof(c->token));
	hex_param(&hash, c->record.args_hash, sizeof(c->record.args_hash));
	struct mr_str none = {NULL, 0};
	struct mr_str params[] = {
		recorded ? (struct mr_str){hour, (size_t)n} : none,
		mr_buf_view(&token),
		or_null(c->record.session),
		recorded ? c->record.call : none,
		or_null(c->record.fn),
		recorded ? mr_buf_view(&hash) : none,
		or_null(c->record.user),
		c->result,
		mr_buf_view(&changes),
		print_turn(turn, c->record.turn),
	};
	MR_FAULT_PG(WORKER_BEFORE_RING, txn->pg);
	if (c->ring)
		publish(c, mr_buf_view(&changes));
	MR_FAULT_PG(WORKER_PUBLISHED, txn->pg);
	mr_txn_ensure_begun(txn);
	mr_pg_query(txn->pg, 0, log_sql, (int)MR_COUNT(params), params, on_log_row, txn);
	if (recorded && c->record.lasting)
		send_fence(txn, params[0]);
	mr_pg_query(txn->pg, 0, "commit", 0, NULL, on_commit, txn);
	mr_pg_sync(txn->pg);
	MR_FAULT_PG(WORKER_COMMIT_SENT, txn->pg);
	mr_buf_fini(&changes);
	mr_buf_fini(&token);
	mr_buf_fini(&hash);
}

/* A transaction that already failed is taken back; nothing was published. */
static void give_up(struct mr_txn *txn, const struct mr_error *err)
{
	refuse(txn->commit, err);
	mr_pg_sync(txn->pg);
	roll_back(txn, on_rolled_back);
	mr_pg_sync(txn->pg);
}

void mr_txn_commit_if_ready(struct mr_txn *txn)
{
	if (!txn->commit || txn->ops || txn->commit->sent)
		return;
	struct mr_error err;
	txn->commit->sent = true;
	if (txn->failed) {
		err = txn->error;
		give_up(txn, &err);
	} else if (mr_pg_state(txn->pg) == MR_PG_DEAD) {
		mr_fail(&err, MR_POSTGRES_UNAVAILABLE, "The connection to Postgres was lost before the commit");
		give_up(txn, &err);
	} else {
		send_commit(txn);
	}
}

void mr_txn_commit(struct mr_txn **txnp, const struct mr_record *record, const uint8_t token[MR_TOKEN_BYTES], struct mr_str result,
	struct mr_ring *ring, mr_txn_end_cb *cb, void *arg)
{
	struct mr_txn *txn = *txnp;
	*txnp = NULL;
	MR_ASSERT(txn->kind != MR_TXN_READ && !txn->commit && !txn->abandoned);
	struct mr_txn_commit *c = mr_alloc(sizeof(*c));
	c->record = *record;
	c->record.session = mr_arena_str(&c->arena, record->session);
	c->record.call = mr_arena_str(&c->arena, record->call);
	c->record.fn = mr_arena_str(&c->arena, record->fn);
	c->record.user = mr_arena_str(&c->arena, record->user);
	c->result = mr_arena_str(&c->arena, result.n ? result : MR_STR("null"));
	memcpy(c->token, token, MR_TOKEN_BYTES);
	c->ring = ring;
	c->cb = cb;
	c->arg = arg;
	txn->commit = c;
	mr_txn_commit_if_ready(txn);
}
