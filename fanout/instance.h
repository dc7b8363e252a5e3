/* Query instances: live queries, each shared by every client that may see the same answer. An instance knows its state at one tick, the
 * differences (bodies) that led there, and over which ticks its state is known; sessions take what they need from it.
 *
 * Life: new -> a load or run is under way -> ready -> (dirty -> load or run)* -> gone when its last subscription left.
 * Availability: the state is known at all ticks from `from` up to now, or up to before `dirty` when a change could not be decided here (a
 * window ran dry, a table changed in bulk, a function must run again); and before the gap that the last such wait left.
 */
#ifndef MR_INSTANCE_H
#define MR_INSTANCE_H

#include "body.h"
#include "fanout.h"
#include "matcher.h"

struct mr_bonds;
struct mr_whole;
struct mr_work;

/* One thing that a function looked at: rows of an entity, and which fields of them. */
struct mr_read {
	struct mr_watcher watcher;
	mr_fields fields; /* an update of others only is of no account */
};

/* What function queries have beside that. */
struct mr_run {
	const struct mr_fn *fn;
	const struct mr_entity *rows_of; /* its result is rows of this one: an entity query with `include`; else NULL */
	struct mr_str args;              /* canonical JSON; part of the key */
	struct mr_str auth;              /* canonical JSON of the identity, the same; empty: a shared run without one */
	struct mr_read *reads;           /* heap, their predicates behind them */
	size_t n_reads;
	uint64_t reads_hash;     /* of the text that they were read from */
	struct mr_str result;    /* JSON, heap; empty before the first; the last good one while it fails */
	uint64_t mark;           /* of the change that met it last */
	struct mr_timer *moment; /* runs it again when the present is where it compared it to be; NULL before the first */
};

/* What queries have that fail: some are tried again now and then (instance_retry.c). */
struct mr_failure {
	struct mr_error why;
	struct mr_instance *instance;
	struct mr_list in_failed;
	int64_t retry_at, retry_wait;
	bool shrank; /* since its rows were too much, some were changed or deleted */
};

/* Most wait for long until anything happens: what is needed only then is not here but behind a pointer. */
struct mr_instance {
	struct mr_instances *all;
	const struct mr_entity *entity; /* NULL: a function query, or one that is run as such */
	struct mr_failure *failure;     /* why the query fails now; NULL: it does not */
	bool ready;
	int attempts;   /* works since it was last known */
	uint64_t dirty; /* 0: known up to now */
	uint64_t from;
	uint64_t gap;      /* unknown from this tick to before `from`; 0: it was never known before */
	uint64_t gap_from; /* where the known stretch before the gap begins */
	uint64_t last;     /* tick of the last body, or of readiness */
	uint64_t lost;     /* bodies up to this tick have been given up */
	uint64_t loaded;   /* tick as of which its rows were read from the database (entity queries) */
	uint64_t said_in;  /* the transition in which it last had a part, and which (session_tell.c) */
	union {
		struct mr_sub *lone; /* while cap_subs is 0 */
		struct mr_sub **subs;
	};
	uint32_t n_subs, cap_subs; /* in no order */
	int aligning;              /* sessions that wait for all their functions to run at one tick */
	struct mr_work *work;
	int64_t not_before;        /* monotonic microseconds: the next one waits until then, since Postgres or a worker refused the last */
	struct mr_list in_dirty;   /* in all->dirty while dirty and no work is under way */
	struct mr_list in_hit;     /* in all->hit while changes of this tick await their difference */
	struct mr_list in_history; /* in all->histories while it has bodies, or a whole that is new */
	struct mr_list bodies;     /* oldest first */
	size_t history, history_most;         /* their bytes; how many are worth keeping, as last found */
	struct mr_whole *whole[MR_ENCODINGS]; /* whole.h */
	uint64_t hash, hash_was;              /* of its state; as of the last body */
	uint64_t number;
	struct mr_app *app;
	struct mr_str key; /* what makes two queries one; heap, with predicate and order behind it */
	/* Function queries. */
	struct mr_run *run;
	/* Entity queries. */
	struct mr_bonds *bonds; /* instance_sets.h; NULL: it is no set, and its policy asks none */
	uint64_t table_hash;    /* of the catalog entry of its table */
	struct mr_str where;    /* predicate's text, for workers; part of the key */
	struct mr_watcher watcher;
	struct mr_rowset rows;
	int64_t stake; /* what of it is counted in hub->stakes */
};

static inline struct mr_sub *const *mr_instance_subs(const struct mr_instance *inst)
{
	return inst->cap_subs ? inst->subs : &inst->lone;
}

struct mr_instances {
	struct mr_fanout *f;
	struct mr_matcher *index, *sets; /* sets have one of their own: they come first */
	struct mr_map by_key;
	struct mr_map split;  /* function queries that look at identity: key of the shared instance -> itself */
	struct mr_list dirty; /* wait for a tick at whose snapshot they are read or run again */
	struct mr_list hit, hit_sets;
	struct mr_list histories;
	struct mr_list failed; /* struct mr_failure */
	size_t history;        /* bytes of all bodies */
	uint64_t trimmed;      /* up to this tick; 0: something has come since */
	uint64_t last_mark;
	uint64_t speaks[MR_ENCODINGS]; /* sessions connected, by encoding */
};

struct mr_instances *mr_instances_new(struct mr_fanout *f);
void mr_instances_delete(struct mr_instances **all);

/* What a client asks for. */
struct mr_query {
	const struct mr_node *node; /* the subscribe message */
	const struct mr_node *auth; /* identity or NULL */
	struct mr_str auth_json;    /* the same, canonical; empty for nobody */
	bool ordered;               /* its rows are to be told in their order, limit or not */
};
/* Finds or makes the instance for a query of this identity; a new one is dirty and waits for work. NULL and *err when refused. */
struct mr_instance *mr_instance_find(struct mr_instances *all, const struct mr_query *q, struct mr_error *err);
/* A subscription has left; it goes with the last one. */
void mr_instance_release(struct mr_instance *inst);

/* Its key as clients know it: the same across restarts, as long as its table is the same. */
void mr_instance_k(const struct mr_instance *inst, char k[33]);
/* Its state's hash as clients know it. */
void mr_instance_h(const struct mr_instance *inst, char h[17]);
/* Greatest tick <= n at which the state is known, or 0. */
uint64_t mr_instance_bound(const struct mr_instance *inst, uint64_t n);
/* Bytes that the whole state takes as a body, at the least. */
size_t mr_instance_least(const struct mr_instance *inst);
/* A tick: applies a batch to all instances it meets and makes their bodies. */
struct mr_batch;
void mr_instances_apply(struct mr_instances *all, const struct mr_batch *batch);
/* The table is no longer what it was in a way that is not told row by row: its queries are read anew at the next snapshot. */
void mr_instances_bulk(struct mr_instances *all, const struct mr_entity *e, uint64_t n);
void mr_instances_reset(struct mr_instances *all, uint64_t n); /* every query */
/* The catalog entry of the table is another one. */
void mr_instances_rekey(struct mr_instances *all, const struct mr_entity *e);
/* Gives up bodies that no session needs any more: all up to tick n; and of those that are needed, the oldest when there are too many. */
void mr_instances_trim(struct mr_instances *all, uint64_t n);

/* For the files of this room. */
void mr_instance_trim_later(struct mr_instance *inst);                          /* it has something that the next trim is to look at */
void mr_instance_note_table(struct mr_instance *inst);                          /* what the catalog says of it now */
void mr_instance_print_order(struct mr_buf *b, const struct mr_instance *inst); /* as JSON, for workers */
void mr_instance_stake(struct mr_instance *inst);                               /* its rows are more, or fewer */
void mr_instance_dirty(struct mr_instance *inst, uint64_t n);
/* Known again at tick n (and up to `dirty`, if that is set again). */
void mr_instance_known(struct mr_instance *inst, uint64_t n);
/* Encodes the body of what has just become of the state, in one encoding. */
typedef void mr_body_encode(struct mr_buf *out, enum mr_encoding encoding, struct mr_instance *inst, const void *arg);
/* Adds a body for tick n, encoded once for each encoding in use. */
void mr_instance_add_body(struct mr_instance *inst, uint64_t n, mr_body_encode *encode, const void *arg);
/* The state of tick n has no body, and those before are given up: everybody gets the whole. */
void mr_instance_give_up(struct mr_instance *inst, uint64_t n);
/* False: its rows take more than instance_max_bytes, with which it fails from tick n on. */
bool mr_instance_bytes_fit(struct mr_instance *inst, uint64_t n);
/* Takes the difference of the rows and makes it the body of tick n, if there is any. */
void mr_instance_seal(struct mr_instance *inst, uint64_t n);
/* Those that fail may have been mended by what nobody tells of: after a tick, the ones that are due are read again. */
void mr_instances_retry(struct mr_instances *all, int64_t now);
void mr_instance_retry_later(struct mr_instance *inst); /* it has just failed */
/* From tick n on it fails with this error. */
void mr_instance_fail(struct mr_instance *inst, uint64_t n, const struct mr_error *err);
void mr_instance_mend(struct mr_instance *inst); /* it does not fail any more */
/* The result of a function query at tick n; takes nothing over (the text is copied). */
void mr_instance_result(struct mr_instance *inst, uint64_t n, struct mr_str json);
void mr_instance_encode_result(struct mr_buf *out, enum mr_encoding encoding, struct mr_instance *inst);
/* Replaces the read set by [[entity, predicate | null, [field...]?], ...]. */
void mr_instance_reads(struct mr_instance *inst, const struct mr_node *reads);
void mr_instance_end_run(struct mr_instance *inst); /* it goes */
/* Runs of this function with these arguments look at their identity: from now on each identity has an instance of its own. */
void mr_instance_note_split(struct mr_instance *inst);
/* It gives something else from then on, in milliseconds since 1970; NULL: not by itself. */
void mr_instance_moment(struct mr_instance *inst, const struct mr_node *ms);
/* Does this read look at anything that the change, which meets its predicate, has changed? */
bool mr_read_sees(const struct mr_read *read, const struct mr_change *c);
/* Does the change meet the read set or the predicate? */
bool mr_instance_meets(const struct mr_instance *inst, const struct mr_change *c);

#endif
