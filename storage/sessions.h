/* Sessions as the CLI sees them: blocking calls, as in install.h. All fail when the database has no `_sessions` yet.
 */
#ifndef MR_SESSIONS_H
#define MR_SESSIONS_H

#include "proto/ground/error.h"
#include "proto/ground/mem.h"

/* Appends a line for each session that is not over by its time, those made last first, at most `most`: id, user, when made, until when,
 * what became of it. user NULL: of all. */
bool mr_sessions_list(const char *conninfo, const char *user, int most, struct mr_buf *out, struct mr_error *err);
/* id: a uuid. kept_ms: how long it is to be remembered when it has no row here. *was: it was good until now, as far as is known. */
bool mr_sessions_revoke(const char *conninfo, const char *id, int64_t kept_ms, bool *was, struct mr_error *err);
bool mr_sessions_revoke_user(const char *conninfo, const char *user, int64_t *n, struct mr_error *err);

#endif
