#include "instance_gates.h"

#include "clock.h"
#include "instance_make.h"
#include "session.h"

/* It is not known any more what it says; or it is, and nobody is to ask it. */
static void leave_open(struct mr_instance *gate, uint64_t n)
{
	if (gate->dirty)
		return;
	gate->dirty = n;
	mr_subs_held(gate, true);
}

static struct mr_instance *closed(struct mr_instance *gate, uint64_t n)
{
	mr_instance_seal(gate, n);
	mr_instance_known(gate, n);
	return gate;
}

static struct mr_instance *sent_on(struct mr_instance *gate, uint64_t n)
{
	struct mr_arena a = {0};
	const struct mr_pred *p = mr_sets_effective(&a, gate);
	struct mr_instance *to = p->op == MR_P_FALSE ? closed(gate, n) : mr_instance_with(gate, p);
	if (to != gate)
		leave_open(gate, n);
	mr_arena_fini(&a);
	return to;
}

/* Who serves its subscriptions as of tick n. */
static struct mr_instance *choose(struct mr_instance *gate, uint64_t n)
{
	const struct mr_error *why = mr_sets_failure(gate);
	if (why)
		mr_instance_fail(gate, n, why);
	else if (mr_sets_serve(gate))
		return sent_on(gate, n);
	else
		leave_open(gate, n);
	return gate;
}

struct mr_instance *mr_gate_enter(struct mr_instance *gate, struct mr_sub *sub)
{
	sub->gate = gate;
	mr_list_add_tail(&gate->bonds->followers, &sub->in_gate);
	return choose(gate, gate->all->f->clock->n);
}

void mr_gate_leave(struct mr_sub *sub)
{
	struct mr_instance *gate = sub->gate;
	if (!gate)
		return;
	sub->gate = NULL;
	mr_list_del(&sub->in_gate);
	mr_instance_release(gate);
}

void mr_gate_turn(struct mr_instance *gate, uint64_t n)
{
	if (mr_list_empty(&gate->bonds->followers))
		return; /* it is being made, and asked when one enters */
	struct mr_instance *to = choose(gate, n);
	MR_LIST_FOR (e, &gate->bonds->followers)
		mr_sub_move(MR_CONTAINER(e, struct mr_sub, in_gate), to, n);
}
