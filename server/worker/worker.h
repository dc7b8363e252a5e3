/* The worker process: one JavaScript heap, a few connections, and as many jobs at once as it has connections. A job is one numbered request
 * of the fanout (proto/link.h): a call, a run for a live query, or a read.
 *
 *   door.c    messages of the fanout, in and out          job.c      a job's life: attempts, answer (job_read.c, job_answer.c), and
 *                                                                    before and after that lines and connection (job_line.c)
 *   run.c     an attempt that runs a function             ops.c      what a function asks of the database
 *   summary.c what a summary is asked for                 read.c     first loads
 *   entity.c  entity acts under policies                  obey.c     what these and functions as somebody may do
 *   hot.c     what is contended takes turns               plain.c    errors as callers see them
 *   check.c   rules of fields that only the app knows
 *   action.c  what an action asks for: calls, timers      fetch.c    HTTP
 *   variables.c the environment                           manifest.c --manifest
 *   http.c    bodies of routes
 *   scheduler.c functions that run later, those that this worker has (scheduler_turn.c: what it asks Postgres for)
 *   sessions.c ctx.auth, tokens
 *
 * One thread, one worker a process; everything hangs from struct mr_worker.
 */
#ifndef MR_WORKER_H
#define MR_WORKER_H

#include "proto/ground/hash.h"
#include "proto/ground/list.h"
#include "proto/ground/log.h"
#include "proto/ground/loop.h"
#include "proto/link.h"
#include "proto/ring.h"
#include "proto/schema.h"
#include "proto/settings.h"
#include "server/js/js.h"
#include "storage/txn.h"

struct mr_worker {
	struct mr_settings settings;
	bool development;
	struct mr_loop *loop;
	struct mr_link *link;
	struct mr_pool *pool;
	struct mr_app *app;
	struct mr_js *js;
	struct mr_source_map *source_map; /* NULL when the bundle has none */

	/* From the fanout's welcome. */
	struct mr_ring *ring;
	int ring_fd, bell; /* -1 before */
	int lane;
	uint8_t origin[8];
	bool ready;

	/* Jobs by step: waiting ones in two lines (those that read at an exported snapshot go first) and actions, which need no connection
	 * and begin in this turn, all others in `jobs`. */
	struct mr_list waiting, importing, actions, jobs;
	struct mr_list scheduled;       /* mutations that nobody calls; waiting too */
	int scheduled_leased;           /* connections that such have */
	bool scheduled_last;            /* the last one to get a connection was such */
	struct mr_scheduler *scheduler; /* NULL: it runs none */
	int leased, lines;              /* connections in use, and their number */
	int reserve;                    /* kept free for imports: a held snapshot must not wait behind mutations */
	uint64_t attempts, runs, ops;   /* running numbers */
	struct mr_job *slicing;         /* whose code runs */
	int ops_out;                    /* operations of live runs that are not settled, but for actions: */
	int action_ops_out;
	uint64_t inner;             /* running number of jobs that actions asked for */
	struct mr_fetches *fetches; /* NULL before the first */
	struct mr_list answered;    /* operations that wait to be settled */
	bool pumping;               /* a pump is due, deferred or by its timer */
	struct mr_timer *pump_on;   /* NULL before it was needed */
	bool admitting;             /* a deferred look at the lines is due */

	struct mr_map hot;           /* function -> struct hot (hot.c) */
	struct mr_hot_row *hot_rows; /* by lock key; NULL before the first */
	struct mr_timer *memory_timer;
	int memory_high; /* how often in a row it was above the mark */
	bool draining;   /* finish all jobs, then exit */
	bool retiring;   /* finish the running ones, then exit: the fanout sends the others again */
	struct mr_timer *exit_timer;
};

/* What a call waits for before it begins (hot.c). */
enum mr_turn { MR_TURN_NONE, MR_TURN_ROWS, MR_TURN_OWN, MR_TURN_ALL };
enum { MR_HOT_KEYS = 8 /* rows that one call takes turns for */, MR_HOT_ROWS = 1024 /* that a worker remembers */ };

/* A call and its turns, for hot.c only. */
struct mr_hot_keys {
	int64_t v[MR_HOT_KEYS]; /* sorted */
	size_t n;
};
struct mr_hot {
	struct mr_hot_keys rows; /* that its last attempt was about */
	struct mr_hot_keys held; /* that it has or waits for */
	int asked;               /* for locks and their end, and not answered */
	void (*then)(struct mr_job *job);
};

/* An action has neither connection nor transaction: RUNNING, then LEAVING. One with a record first commits that, as a claim which says that
 * its end is not known: who asks again is told so, and it runs at most once, whatever dies. */
enum mr_job_kind { MR_JOB_QUERY, MR_JOB_MUTATION, MR_JOB_ACTION, MR_JOB_ENTITY, MR_JOB_RUN, MR_JOB_READ };
enum mr_job_step {
	MR_JOB_WAITING, /* in a line */
	MR_JOB_LEASING, /* the pool owes it a connection */
	MR_JOB_RUNNING, /* an attempt is under way: txn is open, or it is an action */
	MR_JOB_ENDING,  /* COMMIT or ROLLBACK is under way */
	MR_JOB_PAUSING, /* before the next attempt */
	MR_JOB_LEAVING, /* gives back its turn and connection */
};

/* One execution of the function's code, in one transaction. */
struct mr_run {
	uint64_t number; /* the engine's name for it; 0: none */
	struct mr_list ops;
	int out;       /* operations not yet settled */
	bool done, ok; /* the code ended: with a result or an error, in text */
	bool too_large;
	struct mr_buf text;
	bool failed; /* the transaction is poisoned: first error of a statement */
	struct mr_error failure;
	struct mr_str failed_at; /* the row that this was about, or empty */
	bool split;              /* shared, and looked at its identity */
	int log_lines;
	int64_t scheduled; /* functions that it has scheduled */
};

/* What an action that answers a request waits for; NULL: nothing. */
struct mr_http {
	struct mr_op *reader; /* a piece of the request's body */
	struct mr_op *writer; /* that its last piece is taken */
	struct mr_op *leaver; /* that the client goes */
	bool gone;            /* it went */
};

struct mr_job {
	struct mr_list node;
	struct mr_worker *w;
	enum mr_job_kind kind;
	enum mr_job_step step;
	uint64_t n;
	struct mr_arena arena; /* the message and what hangs from it */
	const struct mr_node *message;
	/* Asked for by an action of this worker: */
	bool inner;
	struct mr_op *asker;            /* NULL: the answer goes nowhere */
	struct mr_scheduled *scheduled; /* it is nobody's call; NULL: it is somebody's. Inner, too */
	int depth;                      /* of calls above it */
	uint64_t root;                  /* number of the fanout's job that all this is for */
	const struct mr_fn *fn;         /* functions */
	struct mr_str act;              /* entity acts */
	const struct mr_entity *entity;
	const struct mr_node *args, *auth;
	struct mr_str session;
	struct mr_str auth_session; /* id of the session that the caller's token is of; or empty */
	const char *snapshot;       /* exported name or NULL */
	bool shared;
	double now_ms;
	struct mr_str seed;
	struct mr_record record;
	bool recorded; /* the record is the caller's own: the call may be sent again, to another worker */
	bool before;   /* another worker had it, and may have done it */
	int64_t began_us, deadline_us;
	int64_t away_us;        /* when it began to wait for Postgres to come back; 0: it does not */
	struct mr_timer *timer; /* the deadline, or the end of a pause */

	struct mr_pg *pg;
	bool leased;            /* it counts among those that have a connection, or wait for it */
	bool claiming;          /* an action that does not run yet: its record is written first */
	char claim[33];         /* by which it knows that record again, when its COMMIT was not answered */
	struct mr_list fetches; /* of an action */
	int fetching;           /* those of them that have a connection, or make one */
	struct mr_http http;
	uint64_t xid;      /* of its effects, the last; 0: none */
	int64_t seq;       /* of their log row */
	enum mr_turn turn; /* that it has, or waits for */
	bool locks;        /* pg may hold locks of it */
	struct mr_hot hot;
	struct mr_txn *txn;
	struct mr_arena attempt; /* until the transaction's end */
	uint8_t token[MR_TOKEN_BYTES];
	struct mr_run run;
	struct mr_str loaded; /* rows of a load, until they are verified */

	int conflicts, tries;
	int lost_turns;        /* conflicts while it had the turn of all */
	int64_t attempt_us;    /* when the last attempt began */
	bool yielded;          /* somebody had his turn when it was to commit */
	bool unknown;          /* a COMMIT of it was never answered */
	bool tombstone;        /* its last attempt only settles which end it had */
	bool again;            /* after this rollback comes another attempt */
	bool answered;         /* nothing but leaving is left to do */
	bool rings;            /* its answer stands for the bell */
	bool cancelled;        /* the fanout does not want it any more */
	bool schedules;        /* it writes scheduled functions */
	struct mr_error why;   /* of the last attempt's failure */
	struct mr_buf verdict; /* the error that a tombstone records */
};

/* main.c */
enum mr_level mr_worker_level(const struct mr_settings *settings);
void mr_worker_welcomed(struct mr_worker *w); /* lane and ring are there: opens the pool, says ready when Postgres answers */
void mr_worker_deserted(struct mr_worker *w); /* the fanout is gone */

/* door.c */
bool mr_door_open(struct mr_worker *w, const char *path, struct mr_error *err);
void mr_door_ready(struct mr_worker *w);
void mr_door_slow(struct mr_job *job, int64_t us, bool ended); /* a slice of it took so much CPU */
void mr_door_jobs(struct mr_worker *w, int64_t done, int64_t failed, int64_t late);
void mr_door_lost(struct mr_worker *w, struct mr_str holder); /* Postgres knows */
void mr_door_log(struct mr_worker *w, struct mr_job *job, struct mr_str level, struct mr_str text);
/* Each job is answered once by one of these. `more`: further members, each beginning with a comma; may be empty. */
void mr_answer(struct mr_job *job, struct mr_str value, struct mr_str more);
void mr_print_written(struct mr_buf *more, uint64_t xid, int64_t seq);                  /* for `more`: what the answer's tick must hold */
void mr_answer_error_text(struct mr_job *job, struct mr_str error, struct mr_str more); /* error: JSON text of an ErrorInfo */
void mr_answer_error(struct mr_job *job, const struct mr_error *err);
void mr_answer_split(struct mr_job *job);
void mr_answer_rows(struct mr_job *job, struct mr_str load); /* load: as mr_txn_load gives it */

/* plain.c */
/* By which the log has what a caller is not told: of what was said, and in which call; of live queries the same each time, or they would
 * become another whenever they are run again. */
struct mr_log_id {
	char text[9];
};
struct mr_log_id mr_error_id(const struct mr_job *job, struct mr_str said);
void mr_error_print(struct mr_buf *b, const struct mr_job *job, const struct mr_error *err); /* an ErrorInfo for the caller */
void mr_error_log(const struct mr_job *job, const struct mr_error *err); /* what the caller is not told; once for each error */

/* job.c, job_line.c */
void mr_jobs_init(struct mr_worker *w);
/* Takes the arena over, in which the message and its text live; answers it in any case. */
void mr_job_start(struct mr_worker *w, struct mr_arena *arena, const struct mr_node *message);
void mr_job_cancel(struct mr_worker *w, uint64_t n);
void mr_job_forget(struct mr_worker *w, uint64_t n); /* another worker has it; if it has begun here, it goes on */
void mr_job_body(struct mr_worker *w, uint64_t n, const struct mr_node *message); /* for an action that answers a request */
bool mr_job_writes(const struct mr_job *job);
void mr_job_limit_rows(struct mr_job *job); /* before it reads the rows of a query: they may take instance_max_bytes */
/* Ends of an attempt, by run.c, entity.c and read.c. */
void mr_job_commit(struct mr_job *job, struct mr_str result);       /* writes it down; the answer follows */
void mr_job_over(struct mr_job *job);                               /* it is answered: roll back and leave */
void mr_job_failed(struct mr_job *job, const struct mr_error *err); /* roll back; run again if that may help, else answer err */
void mr_job_refused(struct mr_job *job, enum mr_code code, struct mr_str error, struct mr_str more); /* roll back; answer this ErrorInfo */
/* A call that an action makes: a job like others, answered to the operation. */
void mr_job_start_inner(struct mr_op *asker, struct mr_arena *arena, const struct mr_node *message);
void mr_job_cancel_inner(struct mr_job *job);
/* A scheduled function; its end is told to mr_scheduled_answered. */
void mr_job_start_scheduled(struct mr_worker *w, struct mr_scheduled *scheduled, struct mr_arena *arena, const struct mr_node *message);
int mr_jobs_scheduled_share(const struct mr_worker *w); /* connections that those may have at once */
void mr_jobs_maybe_exit(struct mr_worker *w);           /* if it is to end and nothing is left to do */
void mr_jobs_drain(struct mr_worker *w);
void mr_jobs_retire(struct mr_worker *w);
void mr_jobs_abort(struct mr_worker *w); /* nobody hears of their ends any more: takes back what is not committed */

/* run.c */
extern const struct mr_js_host mr_run_host; /* arg: the worker */
void mr_run_start(struct mr_job *job);
void mr_run_stop(struct mr_job *job); /* its code is never entered again */
void mr_run_free(struct mr_job *job); /* after the transaction's end */

/* ops.c */
struct mr_op {
	struct mr_list in_run, in_answered;
	struct mr_job *job;
	uint64_t number;
	struct mr_str id;                              /* of its row; empty: it is about other rows */
	enum { MR_OP_ROWS, MR_OP_ONE, MR_OP_ID } form; /* of the answer: as it came, its only row or null, the row's id */
	bool ok;
	struct mr_buf json;
	/* Of actions: */
	void (*drop)(struct mr_op *op); /* nobody waits for it any more; NULL: nothing is to be done */
	struct mr_job *inner;
	struct mr_timer *timer;
	struct mr_fetch *fetch;
};
void mr_op_start(struct mr_op *op, struct mr_str kind, struct mr_str json);
mr_txn_cb mr_op_result;                    /* arg: the operation; its answer, by its form */
void mr_run_op_answered(struct mr_op *op); /* run.c: json and ok are set; it will be settled soon */
void mr_run_op_free(struct mr_op *op);     /* out of its run, as if it had never been asked for */

/* action.c */
/* A call of `kind`, `fn` and `args` as job.c reads it, up to its "auth", whose value is to follow. */
void mr_call_print(struct mr_buf *b, const struct mr_node *in);
/* false: it has too many operations under way to begin one of this kind. */
bool mr_action_admits(const struct mr_job *job, struct mr_str kind);
void mr_action_op(struct mr_op *op, struct mr_str kind, struct mr_str json);
void mr_action_answered(struct mr_job *job, bool ok, struct mr_str json); /* a job that an action asked for has ended */

/* http.c: operations of actions that answer requests, and what the fanout says to them. */
bool mr_http_body(struct mr_op *op, const struct mr_node *in, struct mr_error *err);
bool mr_http_respond(struct mr_op *op, const struct mr_node *in, struct mr_error *err);
bool mr_http_write(struct mr_op *op, const struct mr_node *in, struct mr_error *err);
bool mr_http_gone(struct mr_op *op, const struct mr_node *in, struct mr_error *err);
void mr_http_message(struct mr_job *job, const struct mr_node *m);

/* summary.c: groupBy, measures, order of an operation. */
bool mr_summary_read(struct mr_arena *a, const struct mr_entity *e, const struct mr_node *in, bool visible, struct mr_summary *summary,
	struct mr_error *err);

/* obey.c: what clients may name in a write; what they cannot is unknown_field. */
bool mr_obey_fields(const struct mr_entity *e, const struct mr_node *value, struct mr_error *err);
/* An insert is signed: fields of the owner hold the caller. NULL and *err: it says otherwise, or nobody calls. */
const struct mr_node *mr_obey_owner(
	struct mr_arena *a, const struct mr_entity *e, const struct mr_node *value, const struct mr_node *auth, struct mr_error *err);
bool mr_obey_same(struct mr_arena *a, const struct mr_entity *e, int field, const struct mr_node *x, const struct mr_node *y);
/* Operations with { "as": identity | null } are under the policies; the others stand above them, and these change nothing. */
bool mr_op_obeys(const struct mr_node *in);
bool mr_obey_read(struct mr_op *op, const struct mr_node *in, struct mr_plan *plan, struct mr_error *err);
bool mr_obey_write(struct mr_op *op, const struct mr_node *in, enum mr_act act, struct mr_write *w, struct mr_error *err);

/* entity.c, read.c */
enum mr_txn_kind mr_entity_txn(const struct mr_job *job); /* that an act which writes runs in */
void mr_entity_start(struct mr_job *job);
void mr_read_start(struct mr_job *job);
/* The plan's order and limit from a message or an operation; where is set by the caller. */
bool mr_plan_read(struct mr_arena *a, const struct mr_node *from, bool visible, struct mr_plan *plan, struct mr_error *err);
/* A filter in the client language; absent: all rows. */
const struct mr_pred *mr_where_read(
	struct mr_arena *a, const struct mr_entity *e, const struct mr_node *where, bool visible, struct mr_error *err);
const struct mr_pred *mr_where_id(struct mr_arena *a, const struct mr_entity *e, struct mr_str id, struct mr_error *err);
const struct mr_entity *mr_entity_of(struct mr_worker *w, const struct mr_node *args, struct mr_error *err);

/* hot.c: what conflicts often takes turns. */
void mr_hot_conflict(struct mr_job *job);    /* an attempt was lost */
bool mr_hot_waits(const struct mr_job *job); /* its next attempt takes a turn */
/* Before an attempt: asks for the turn that it must have. Not waited for: what is sent behind it waits in the connection. */
void mr_hot_take(struct mr_job *job);
/* Asks for the turn's end, behind whatever is under way. `then`: when it is answered, or at once if there is nothing to give back. */
void mr_hot_give(struct mr_job *job, void (*then)(struct mr_job *job));
void mr_hot_lost(struct mr_job *job); /* its connection is gone, and what was asked of it is not answered any more */
void mr_hot_ask(struct mr_job *job);  /* whether its record asks for the turn of all */
void mr_hot_free(struct mr_worker *w);

/* scheduler.c */
void mr_scheduler_start(struct mr_worker *w);                              /* when Postgres answers */
void mr_scheduler_soon(struct mr_worker *w);                               /* something may be due */
const char *mr_scheduler_holder(const struct mr_worker *w);                /* by what name this worker holds jobs; NULL: it has none */
void mr_scheduler_lost(struct mr_worker *w, struct mr_str holder);         /* that worker is dead: its jobs are anybody's */
void mr_scheduler_leave(struct mr_worker *w, const struct mr_node *names); /* these it leaves to other workers; NULL or empty: none */
bool mr_scheduler_idle(const struct mr_worker *w);
/* Whether one more may be scheduled by an insert of this value; true for other entities. */
bool mr_scheduler_admits(struct mr_op *op, const struct mr_entity *e, const struct mr_node *value, struct mr_error *err);
void mr_scheduled_is(struct mr_scheduled *scheduled, struct mr_job *job);    /* its job, until that is answered */
void mr_scheduled_answered(struct mr_job *job, bool ok, struct mr_str json); /* json: an ErrorInfo unless ok */
void mr_scheduled_back(struct mr_job *job);                                  /* answers it: it never began, others shall have it */
void mr_scheduled_end(struct mr_job *job); /* a mutation's code has: writes that down in its transaction, and commits */

/* manifest.c */
int mr_print_manifest(const struct mr_settings *settings, const char *bundle);
/* check.c: what a client writes, by the rules that only the app's code knows; *value may become another. */
bool mr_check_write(struct mr_job *job, const struct mr_node **value, struct mr_error *err);
/* variables.c: what functions see of the environment: MILLRACE_VAR_NAME as NAME, a JSON map. */
void mr_variables_print(struct mr_buf *b);
bool mr_file_read(const char *path, struct mr_buf *b, struct mr_error *err);

#endif
