/* What the files of the scheduler share. For scheduler*.c only. */
#ifndef MR_SCHEDULER_H
#define MR_SCHEDULER_H

#include "worker.h"

/* A scheduled function that this worker has in hand: from the claim until its end is written down. */
struct mr_scheduled {
	struct mr_list node;
	struct mr_scheduler *s;
	struct mr_job *job;     /* NULL when that is answered */
	char id[40], place[32]; /* its row, and where that was when it was claimed */
	int64_t attempt;
	bool action;
	/* Its end that must be written down (storage/sql/scheduler.sql, end_job); NULL: it runs. */
	const char *how;
	struct mr_buf why; /* an ErrorInfo, or empty */
	bool gone;         /* somebody else's, or canceled: it is being stopped */
	bool asked;        /* Postgres was asked to, and has not answered */
};

struct mr_scheduler {
	struct mr_worker *w;
	struct mr_timer *timer;
	struct mr_list jobs;
	int n, mutations;
	char me[40];         /* what holders of jobs are called by; of this process only */
	struct mr_buf known; /* functions of the app that can be scheduled, as text[] */
	bool turning, again; /* Postgres is being asked; and is to be asked once more */
	bool failed, told;   /* the last turn; and the log has it */
	bool more;           /* the last claim filled all places */
	int asked;           /* these */
	struct mr_buf lost;  /* holders that are dead, a comma behind each, until Postgres knows */
	size_t losing;       /* so much of it Postgres is being told */
	struct mr_pg *pg;
	int out;                             /* answers that are missing */
	int64_t next_us;                     /* when something is known to be due; 0: nothing */
	int64_t done, failed_for_good, late; /* that the fanout has not been told of */
	int64_t retain_us;                   /* when old jobs are removed next */
};

/* scheduler.c */
void mr_scheduled_begin(struct mr_scheduler *s, const struct mr_node *claimed); /* a row of claim_jobs */
void mr_scheduled_gone(struct mr_scheduler *s, struct mr_str id);               /* it is not this worker's any more */
void mr_scheduled_free(struct mr_scheduled *x);
int mr_scheduler_places(const struct mr_scheduler *s); /* how many more it takes */

/* scheduler_turn.c */
void mr_scheduler_turn(void *arg);

#endif
