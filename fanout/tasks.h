/* Tasks: numbered questions to workers. A task goes to the worker with the least outstanding, again to another when its worker dies, and
 * is answered once.
 */
#ifndef MR_TASKS_H
#define MR_TASKS_H

#include "fanout.h"

struct mr_task;
/* reply: the message, in the arena (which the callee may take over by emptying it); NULL with err when no worker could do it. */
typedef void mr_task_done(void *arg, const struct mr_node *reply, struct mr_arena *arena, const struct mr_error *err);
/* members: the JSON message from `"t"` on, without braces and n; taken over and emptied. session: for console lines, or empty; copied. */
struct mr_task *mr_task_new(struct mr_fanout *f, struct mr_buf *members, struct mr_str session, mr_task_done *done, void *arg);
void mr_task_is_recorded(struct mr_task *task); /* a write: before it is refused, a worker looks whether it was done */
void mr_task_abandon(struct mr_task **task);    /* done is not called; the worker is told */

/* Appends `"now":..,"seed":".."` for runs of functions. */
void mr_task_add_time(struct mr_buf *members);

#endif
