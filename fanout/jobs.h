/* Jobs: what the threads ask of workers (tasks.h), as the hub keeps it. A job goes to a worker (choice.h), again to another when its worker
 * dies (but for actions), and is answered once. Actions wait here until a worker has room for one, so that what was
 * given to a worker has been begun as far as anybody can know.
 */
#ifndef MR_JOBS_H
#define MR_JOBS_H

#include "tasks.h"
#include "workers.h"

/* What a thread asks for; taken over. */
struct mr_job_order {
	struct mr_fanout *f;
	uint64_t n; /* the thread's number for it, of no other thread */
	struct mr_buf members;
	struct mr_str fn;      /* the function or route that it runs; heap, or empty: none */
	struct mr_str session; /* for console lines; heap, or empty */
	enum mr_repeat repeat;
};
void mr_job_order_delete(struct mr_job_order **order);
void mr_jobs_order(struct mr_workers *all, struct mr_job_order *order);
/* Says this to the worker that has it (members of a message of type part); to the one that will have it, where none has it yet. */
void mr_jobs_tell(struct mr_workers *all, uint64_t n, struct mr_str members);
/* The thread has no use for the answer any more. */
void mr_jobs_abandon(struct mr_workers *all, uint64_t n);

void mr_jobs_dispatch(struct mr_workers *all); /* waiting ones, to whom there is */
void mr_jobs_answer(struct mr_worker *w, uint64_t n, struct mr_str text);
void mr_jobs_part(struct mr_worker *w, uint64_t n, struct mr_str text);              /* what is said of it before its answer */
void mr_jobs_orphaned(struct mr_worker *w, uint64_t running, enum mr_reason reason); /* its worker died */
void mr_jobs_console(struct mr_worker *w, uint64_t n, struct mr_str text);
void mr_jobs_held_up(struct mr_workers *all); /* what workers that are held up have not begun goes to others */
void mr_jobs_overdue(struct mr_workers *all);
void mr_jobs_delete_all(struct mr_workers *all); /* none is answered */

#endif
