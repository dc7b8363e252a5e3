/* Tasks: questions of this thread to workers. The hub finds a worker for each (jobs.h); each is answered once.
 */
#ifndef MR_TASKS_H
#define MR_TASKS_H

#include "fanout.h"
#include "rows.h"

struct mr_tasks *mr_tasks_new(struct mr_fanout *f);
void mr_tasks_delete(struct mr_tasks **tasks); /* those under way are abandoned */

/* What is done with a task when its worker dies. */
enum mr_repeat {
	MR_REPEAT_FREELY,   /* it is given to another */
	MR_REPEAT_RECORDED, /* a write: the same, and before it is refused, a worker looks whether it was done */
	MR_REPEAT_NEVER,    /* an action: it is given to one worker, when that has room for it, and to no other */
};

struct mr_task;
/* reply: the message, in the arena (which the callee may take over by emptying it); NULL with err when no worker could do it. */
typedef void mr_task_done(void *arg, const struct mr_node *reply, struct mr_arena *arena, const struct mr_error *err);
/* members: the JSON message from `"t"` on, without braces and n; taken over and emptied. fn: of the function or route that it runs, or
 * empty; session: for console lines, or empty; both copied. done is called later, never at once. */
struct mr_task *mr_task_new(struct mr_fanout *f, struct mr_buf *members, struct mr_str fn, struct mr_str session, enum mr_repeat repeat,
	mr_task_done *done, void *arg);
/* The same for what live queries ask: only some of these are under way at a time, the others wait in their order, so that calls find
 * workers that are not busy with them. */
struct mr_task *mr_task_reading(struct mr_fanout *f, struct mr_buf *members, struct mr_str fn, mr_task_done *done, void *arg);
/* The answer's rows (its member "rows") are made as well, and are there before done is called: the caller's, who frees them. Where they are
 * many, that and the parsing are done aside. */
void mr_task_want_rows(struct mr_task *t, struct mr_app *app, const struct mr_entity *e, struct mr_rows *into);
/* The answer's member "value" is given as text: its node need have no items (mr_json_read_but). */
void mr_task_leave_value(struct mr_task *t);
/* What the worker says of it before its end (a message of type part, in the arena), in order. Called later, never at once. */
typedef void mr_task_part(void *arg, const struct mr_node *part, struct mr_arena *arena);
void mr_task_listen(struct mr_task *t, mr_task_part *part);
/* Says this to the worker that has it: members of a JSON message of type part, without braces; taken over and emptied. */
void mr_task_tell(const struct mr_task *t, struct mr_buf *members);
void mr_task_abandon(struct mr_task **task); /* done is not called; the worker is told */

/* Appends `"now":..,"seed":".."` for runs of functions. */
void mr_task_add_time(struct mr_buf *members);

/* For the hub, on the task's thread: a part of it. The text lies in the arena; both are taken over. */
void mr_task_take_part(struct mr_fanout *f, uint64_t n, struct mr_arena *arena, struct mr_str text);
/* For the hub, on the task's thread: its end. The text lies in the arena; both are taken over. */
void mr_task_end(struct mr_fanout *f, uint64_t n, struct mr_arena *arena, struct mr_str text, const struct mr_error *err);

#endif
