/* Sets of members: what policies ask that look at other rows (exists(...), docs/policies.md). A set is a live query of its own that nobody
 * subscribes to, shared by all queries that ask it. A query that asks sets is matched by its effective predicate, in which each member is
 * replaced by what its set holds; so a change costs what it matches, and no policy is asked for a client and a write.
 *
 * CLOCK.md rule 14: in a tick sets come first. What they no longer admit leaves their queries in that tick, by key. What they may admit
 * anew is read at the tick's snapshot: the query is dirty. While a set is not known, neither are its queries. Of queries whose filter
 * decides all that is to be asked, see instance_gates.h.
 */
#ifndef MR_INSTANCE_SETS_H
#define MR_INSTANCE_SETS_H

#include "instance.h"

/* One member in a query's predicate. */
struct mr_bond {
	struct mr_list in_set; /* in the set's queries */
	struct mr_instance *query, *set;
	const struct mr_members *members;
	bool negated;
};

struct mr_bonds {
	/* Of a set. */
	bool is_set;
	struct mr_list queries; /* struct mr_bond */
	uint64_t touched;       /* the last tick in which some change met it, or in which it became known */
	/* Of a query that asks sets. */
	const struct mr_pred *asked;
	void *effective; /* heap: the predicate that its rows are matched by; NULL: not made yet */
	uint64_t other;  /* the last tick in which that became another one */
	uint64_t grew;   /* the last tick in which that may have come to admit more */
	/* Of a gate. */
	bool is_gate, ordered;
	struct mr_list followers; /* struct mr_sub */
	size_t n;
	struct mr_bond v[];
};

static inline bool mr_instance_is_set(const struct mr_instance *inst)
{
	return inst->bonds && inst->bonds->is_set;
}
/* Its own sets, if it asks any. */
static inline size_t mr_instance_bonds(const struct mr_instance *inst)
{
	return inst->bonds ? inst->bonds->n : 0;
}

/* A new query with members in this predicate, which lives as long as it does: finds or makes its sets, and joins the index; a gate does
 * not. */
void mr_sets_bind(struct mr_instance *inst, const struct mr_pred *asked);
/* What its rows are matched by while its sets hold what they do. */
const struct mr_pred *mr_sets_effective(struct mr_arena *a, const struct mr_instance *inst);
void mr_sets_unbind(struct mr_instance *inst); /* it goes, and with it those sets that nobody else asks */
/* Of what an instance asks; true, NULL and 0 for one that asks nothing. */
bool mr_sets_serve(const struct mr_instance *inst); /* all are known now */
const struct mr_error *mr_sets_failure(const struct mr_instance *inst);
uint64_t mr_sets_touched(const struct mr_instance *inst);
uint64_t mr_sets_grew(const struct mr_instance *inst);
uint64_t mr_sets_loaded(const struct mr_instance *inst); /* the last of them */
uint64_t mr_sets_table_hash(const struct mr_instance *inst);
bool mr_sets_blind(const struct mr_instance *inst);                           /* nobody captures the rows of one */
bool mr_set_met(const struct mr_instance *set, const struct mr_batch *batch); /* some change in it touches the set */

/* For instance.c: what has become of a set. */
void mr_set_seal(struct mr_instance *set, uint64_t n); /* its rows are those of tick n */
void mr_set_dirty(struct mr_instance *set, uint64_t n);
void mr_set_known(struct mr_instance *set);
void mr_set_failed(struct mr_instance *set, uint64_t n);

#endif
