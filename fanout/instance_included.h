/* Entity queries with `include`: with each row, the rows that fields of it refer to. They are run as a function of the runtime's own
 * (client/src/runtime/included.ts), under the caller's policies; so whatever holds of function queries holds of them: read sets, reruns,
 * limits. What a client asks is checked here first, by the same rules as an entity query without it.
 *
 *   include := { name: reference, ... };  reference := "field" | { "field": "field", "include": include }
 */
#ifndef MR_INSTANCE_INCLUDED_H
#define MR_INSTANCE_INCLUDED_H

#include "instance.h"

struct mr_included {
	const struct mr_entity *entity; /* whose rows are asked for */
	const struct mr_fn *fn;
	struct mr_buf args;   /* of fn, JSON: equal for equal questions */
	struct mr_buf admits; /* the predicates of the read policies for this caller, of each entity that it looks at: who has equal ones
				 sees the same */
};
/* Whether anything is to be included: an empty `include` is none. */
bool mr_included_is_asked(const struct mr_node *query);
/* q: an entity query that asks for it. False and *err: refused as an entity query is, or unknown_field, bad_filter. `in` is to be freed in
 * any case. */
bool mr_included_read(const struct mr_fanout *f, const struct mr_query *q, struct mr_included *in, struct mr_error *err);
void mr_included_fini(struct mr_included *in);

#endif
