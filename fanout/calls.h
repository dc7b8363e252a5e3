/* Calls: handed to the worker with the least outstanding, resent when theirs dies (they run once: the record in the log sees to it; actions
 * are never resent), and ended once. Also reads and runs for live queries.
 */
#ifndef MR_CALLS_H
#define MR_CALLS_H

#include "batch.h"
#include "fanout.h"

enum mr_call_kind { MR_CALL_QUERY, MR_CALL_MUTATION, MR_CALL_ENTITY, MR_CALL_ACTION };
static inline enum mr_call_kind mr_call_kind_of(const struct mr_fn *fn)
{
	return fn->kind == MR_FN_QUERY ? MR_CALL_QUERY : fn->kind == MR_FN_MUTATION ? MR_CALL_MUTATION : MR_CALL_ACTION;
}
struct mr_call_request {
	enum mr_call_kind kind;
	struct mr_str fn;            /* function name, or "list" "get" "insert" "update" "delete" */
	struct mr_str args;          /* JSON text of a map, wire form */
	bool may_include;            /* a list, whose args name an `include` */
	const struct mr_node *auth;  /* identity map or NULL */
	const uint8_t *auth_session; /* 16 bytes: the session that the caller's token is of; NULL: none */
	struct mr_str session;       /* for exactly-once; empty: none */
	struct mr_str call;
	int32_t hour;
	bool lasting; /* the id names no hour of its own */
};
struct mr_call;
/* value: JSON text, valid during the callback; or err. */
typedef void mr_call_done(void *arg, struct mr_str value, struct mr_written written, const struct mr_error *err);
/* Copies the request. done is called later, never at once, and exactly once unless abandoned. Returns NULL and *err when refused at once:
 * unknown_function, unauthenticated, no_workers (none will come), too_many_calls, bad_call_id, call_expired. */
struct mr_call *mr_call_start(struct mr_fanout *f, const struct mr_call_request *rq, mr_call_done *done, void *arg, struct mr_error *err);
/* The asker is gone: done is not called. The call goes on, but for an action that asks to be cancelled then. */
void mr_call_abandon(struct mr_call *call);
/* Members of a call's message that say who calls: `"auth":...` and, of a session's token, `"sid":...`. */
void mr_call_add_caller(struct mr_buf *members, const struct mr_node *auth, const uint8_t *session);
void mr_call_lost(struct mr_call *call);           /* the process ends, and its task is gone already: done is not called */
bool mr_call_is_cancelled(const struct mr_fn *fn); /* when its asker goes */

#endif
