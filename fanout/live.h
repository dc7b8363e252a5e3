/* GET /api/live: one live query as server-sent events. Events are named by what they hold: rows, change, value, segs, error, behind; data
 * is the body; id is position, key and hash joined by "~", so that Last-Event-ID resumes exactly.
 */
#ifndef MR_LIVE_H
#define MR_LIVE_H

#include "fanout.h"
#include "net.h"

struct mr_live;
void mr_live_request(struct mr_req *req, struct mr_fanout *f);

/* For sessions. */
void mr_live_message(struct mr_live *live, struct mr_str json);
size_t mr_live_pending(const struct mr_live *live);
void mr_live_close(struct mr_live *live);

#endif
