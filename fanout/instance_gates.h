/* Gates: queries whose filter pins all that their policy asks of other rows. With `room = r` given, "is this caller a member of r" is one
 * fact for all rows. Who is one is sent on to the query `room = r`, which all share who are: each change is matched and encoded once. Who
 * is none is served by the gate itself, which never has a row; so are all while its sets are not known, or fail.
 *
 * When the fact changes, subscriptions move in that tick (CLOCK.md rule 14): mr_sub_move holds their sessions until the other query is
 * known.
 */
#ifndef MR_INSTANCE_GATES_H
#define MR_INSTANCE_GATES_H

#include "instance_sets.h"

struct mr_sub;

static inline bool mr_instance_is_gate(const struct mr_instance *inst)
{
	return inst->bonds && inst->bonds->is_gate;
}
/* A subscription of this gate; gives the instance that serves it now. */
struct mr_instance *mr_gate_enter(struct mr_instance *gate, struct mr_sub *sub);
void mr_gate_leave(struct mr_sub *sub); /* the gate goes with the last one */
/* Something has become of its sets, as of tick n. */
void mr_gate_turn(struct mr_instance *gate, uint64_t n);

#endif
