/* The control socket: fanout <-> workers, supervisor -> fanout. A unix stream in data_dir/run/fanout.sock; frames of a 4-byte little-endian
 * length (below MR_LINK_MAX; its upper four bits count the descriptors that come along) and a JSON map, "t" its name. Values inside
 * (args, results) are in wire form and are passed on as text.
 *
 * worker -> fanout
 *   hello   { role: "worker", pid, app: version, protocol }
 *   ready   { holder? }                              its code is loaded and Postgres answers; holder: by what name it holds
 *             scheduled functions, a uuid
 *   reply   { n, value | error, xid?, seq?, dup?, reads?, again?, snapshot?, split? }
 *             the end of call or run n; split: it looked at its identity; again: milliseconds since 1970 at which a run gives
 *             something else, though nobody writes
 *   wrote   like reply, of a call that has just committed: it stands for the bell as well, which was not rung
 *   rows    { n, snapshot, rows: [image...] | error }     the end of read n
 *   part    { n, head | bytes | want }                    of an action that answers a request (kind http), before its reply: the head
 *             of its answer { status, headers, length? }; bytes of its body, which are answered by part { taken }; it wants the next
 *             piece of the request's body, answered by part { bytes }
 *   log     { n, fn, level, text, session? }
 *   jobs    { done, failed, late }                   scheduled functions since the last one (counters.md)
 *   lost    { holder }                               Postgres knows that worker to be dead
 *   slow    { fn, ms, ended? }                       a slice of the function or route took more CPU than slow_slice; ended: it was stopped
 * fanout -> worker
 *   welcome { lane, origin } with two descriptors: ring memory, bell (eventfd)
 *   call    { n, kind: "query"|"mutation"|"action"|"http"|"entity", fn, args, auth: {userId,...}|null, session?, call?, hour?, lasting?,
 *             seed, now, refuse?, sid? }
 *             kind entity: fn is "list"|"get"|"insert"|"update"|"delete", args { entity, id?, value?, where?, order?, limit? };
 *             under the entity's policies; answers rows as clients see them (insert: { id })
 *             on _sessions also "renew" (answers as ctx.auth.createSession) | "end", args { entity, id, until? }: by its owner
 *             sid: the session that the caller's token is of
 *             kind action: given to one worker, once, when that has less than worker_actions; with a session and call it is run
 *             only if its record was not there before
 *             kind http: like an action without a record; fn is the name of a route, args the request { method, url, headers, params,
 *             body | more: true, piece }; its value is the answer { status, headers, bytes?, length? }, or null when that went in parts
 *             gone: the client went meanwhile
 *             refuse: an error; the call is not run: it was done before, or is refused for good with this error
 *   run     { n, fn, args, auth|null, shared: bool, snapshot? }
 *             a query function for a live query; answered by reply with reads, snapshot
 *   read    { n, entity, where: text, order: [[f,d]..], limit: -1|k, snapshot? }
 *             first load or refill; answered by rows
 *   part    { n, bytes | taken: true | gone: true }  to an action that answers a request: a piece of the request's body (null: its
 *             end); the last piece of the answer is taken; the client is gone
 *   cancel  { n }
 *   lost    { holder }                               that worker is dead: what it held is anybody's; answered by lost { holder }
 *             when Postgres knows
 *   forget  { n }                                    another worker was given it; it is not answered unless it has begun
 *   leave   { fns }                                  functions that it does not take from the scheduler while others may; replaces the last
 *   drain   {}                                       finish what runs, then exit 0
 * supervisor -> fanout
 *   hello   { role: "supervisor" }                   answered by welcome { port }
 *   app     { dir, version, workers }
 *             manifest.json is in dir; takes over when `workers` workers of that version are ready
 *             answered by app_serves { version } or app_refused { version, error }
 *   dev     { error: text | null, reload: bool }     to all clients
 *   stop    {}
 */
#ifndef MR_LINK_H
#define MR_LINK_H

#include "ground/loop.h"
#include "ground/mem.h"

#define MR_LINK_MAX      (256u << 20)
#define MR_LINK_PROTOCOL 2

struct mr_link;
/* One frame has come; text is valid during the call; fds (n_fds) are the receiver's to close. text.p NULL: the peer is gone (delete the
 * link). */
typedef void mr_link_cb(struct mr_link *link, struct mr_str text, const int *fds, int n_fds, void *arg);
/* Takes the socket over. */
struct mr_link *mr_link_new(struct mr_loop *loop, int fd, mr_link_cb *cb, void *arg);
void mr_link_delete(struct mr_link **link);
void mr_link_send(struct mr_link *link, struct mr_str json);
void mr_link_send_fds(struct mr_link *link, struct mr_str json, const int *fds, int n_fds);
size_t mr_link_pending(const struct mr_link *link); /* bytes not yet taken by the kernel */

int mr_link_listen(const char *path);  /* -1 and errno; removes a stale socket file */
int mr_link_connect(const char *path); /* blocking connect; -1 and errno */

#endif
